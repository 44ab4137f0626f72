/* A reader of RFC 4514's grammar that builds OpenSSL's structure of the same name, whose comparison
 * is that of RFC 5280. */
#include "crypto/dn.h"
#include "base/assert.h"
#include "base/text.h"
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <strings.h>

enum { TYPE_MAX = 64 };

/* What is left to read. */
struct reader {
    const char *at, *end;
};

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && *r->at == ' ')
        r->at++;
}

/* The names that RFC 4514 §3 fixes. OpenSSL knows others by some of them ("uid"). */
static const struct {
    const char *name, *oid;
} FIXED[] = {
    {"CN", "2.5.4.3"},
    {"L", "2.5.4.7"},
    {"ST", "2.5.4.8"},
    {"O", "2.5.4.10"},
    {"OU", "2.5.4.11"},
    {"C", "2.5.4.6"},
    {"STREET", "2.5.4.9"},
    {"DC", "0.9.2342.19200300.100.1.25"},
    {"UID", "0.9.2342.19200300.100.1.1"},
};

/* The type of this name, as OpenSSL writes it in any case; NULL when there is none. */
static ASN1_OBJECT *type_named(const char *name)
{
    int end = OBJ_new_nid(0);
    for (size_t i = 0; i < TB_COUNT(FIXED); i++)
        if (strcasecmp(FIXED[i].name, name) == 0)
            return OBJ_txt2obj(FIXED[i].oid, 1);
    for (int nid = 1; nid < end; nid++) {
        const char *brief = OBJ_nid2sn(nid), *full = OBJ_nid2ln(nid);
        if ((brief != NULL && strcasecmp(brief, name) == 0) ||
            (full != NULL && strcasecmp(full, name) == 0))
            return OBJ_dup(OBJ_nid2obj(nid));
    }
    return NULL;
}

/* A type and its "=". */
static ASN1_OBJECT *read_type(struct reader *r)
{
    char name[TYPE_MAX];
    size_t n = 0;
    skip_blanks(r);
    while (r->at < r->end && n < sizeof(name) - 1 &&
           ((*r->at >= '0' && *r->at <= '9') || (*r->at >= 'a' && *r->at <= 'z') ||
            (*r->at >= 'A' && *r->at <= 'Z') || *r->at == '.' || *r->at == '-'))
        name[n++] = *r->at++;
    name[n] = '\0';
    skip_blanks(r);
    if (n == 0 || r->at == r->end || *r->at++ != '=')
        return NULL;
    if (name[0] < '0' || name[0] > '9')
        return type_named(name);
    /* OpenSSL reads "1.2." as well */
    return strspn(name, "0123456789.") == n && name[n - 1] != '.' ? OBJ_txt2obj(name, 1) : NULL;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_pair(struct reader *r, unsigned char *out)
{
    if (r->end - r->at < 2 || hex(r->at[0]) < 0 || hex(r->at[1]) < 0)
        return false;
    *out = (unsigned char)(hex(r->at[0]) << 4 | hex(r->at[1]));
    r->at += 2;
    return true;
}

/* One character, or an escape of one; *out_blank: a blank that may be cut off at the end. */
static bool read_character(struct reader *r, unsigned char *out, bool *out_blank)
{
    *out_blank = *r->at == ' ';
    if (strchr("\";<>", *r->at) != NULL)
        return false;
    if (*r->at != '\\') {
        *out = (unsigned char)*r->at++;
        return true;
    }
    if (++r->at == r->end)
        return false;
    if (strchr("\\\"+,;<> #=", *r->at) == NULL)
        return read_pair(r, out);
    *out = (unsigned char)*r->at++;
    return true;
}

static bool is_utf8(const unsigned char *at, size_t n)
{
    for (size_t i = 0, span; i < n; i += span)
        if ((span = tb_utf8_span((const char *)at + i, n - i)) == 0)
            return false;
    return true;
}

static X509_NAME_ENTRY *read_text(struct reader *r, const ASN1_OBJECT *type)
{
    unsigned char bytes[TB_DN_BYTES_MAX];
    size_t n = 0, kept = 0;
    bool blank;
    skip_blanks(r);
    while (r->at < r->end && *r->at != ',' && *r->at != '+') {
        if (!read_character(r, &bytes[n++], &blank))
            return NULL;
        if (!blank)
            kept = n;
    }
    if (!is_utf8(bytes, kept))
        return NULL;
    return X509_NAME_ENTRY_create_by_OBJ(NULL, type, V_ASN1_UTF8STRING, bytes, (int)kept);
}

/* "#" and the BER of the value. */
static X509_NAME_ENTRY *read_ber(struct reader *r, const ASN1_OBJECT *type)
{
    unsigned char bytes[TB_DN_BYTES_MAX / 2];
    const unsigned char *at = bytes;
    X509_NAME_ENTRY *entry = NULL;
    size_t n = 0;
    r->at++;
    while (read_pair(r, &bytes[n]))
        n++;
    skip_blanks(r);
    ASN1_TYPE *value = n == 0 ? NULL : d2i_ASN1_TYPE(NULL, &at, (long)n);
    if (value != NULL && at == bytes + n &&
        (ASN1_tag2bit(value->type) & (B_ASN1_DIRECTORYSTRING | B_ASN1_IA5STRING |
                                      B_ASN1_NUMERICSTRING | B_ASN1_VISIBLESTRING)) != 0)
        entry = X509_NAME_ENTRY_create_by_OBJ(NULL, type, value->type,
                                              ASN1_STRING_get0_data(value->value.asn1_string),
                                              ASN1_STRING_length(value->value.asn1_string));
    ASN1_TYPE_free(value);
    return entry;
}

/* The name of a text, whose last member is the first of the structure. NULL: it is none. */
static X509_NAME *read_name(struct tb_str text)
{
    struct reader r = {text.at, text.at + text.n};
    X509_NAME *name = X509_NAME_new();
    bool joined = false, more = text.n > 0 && text.n <= TB_DN_BYTES_MAX, good = more;
    TB_ASSERT(name != NULL);
    while (good && more) {
        ASN1_OBJECT *type = read_type(&r);
        skip_blanks(&r);
        X509_NAME_ENTRY *entry = NULL;
        if (type != NULL)
            entry = r.at < r.end && *r.at == '#' ? read_ber(&r, type) : read_text(&r, type);
        more = r.at < r.end;
        good = entry != NULL && X509_NAME_entry_count(name) < TB_DN_ATTRIBUTES_MAX &&
               (!more || *r.at == ',' || *r.at == '+') &&
               X509_NAME_add_entry(name, entry, joined ? 1 : 0, joined ? -1 : 0) == 1;
        joined = good && more && *r.at++ == '+';
        X509_NAME_ENTRY_free(entry);
        ASN1_OBJECT_free(type);
    }
    ERR_clear_error();
    if (good)
        return name;
    X509_NAME_free(name);
    return NULL;
}

bool tb_dn_good(struct tb_str text)
{
    X509_NAME *name = read_name(text);
    X509_NAME_free(name);
    return name != NULL;
}

bool tb_dn_same(struct tb_str text, struct tb_str der)
{
    const unsigned char *at = (const unsigned char *)der.at;
    X509_NAME *registered = read_name(text);
    X509_NAME *shown = registered == NULL ? NULL : d2i_X509_NAME(NULL, &at, (long)der.n);
    bool same = shown != NULL && X509_NAME_cmp(registered, shown) == 0;
    X509_NAME_free(registered);
    X509_NAME_free(shown);
    ERR_clear_error();
    return same;
}
