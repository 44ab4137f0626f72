/* Certificates by OpenSSL's parser. Names are copied out with their lengths: a NUL inside a name
 * has fooled those who took it for its end. */
#include "crypto/x509.h"
#include "base/assert.h"
#include "base/time.h"
#include "crypto/digest.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

static bool copy_text(struct tb_arena *arena, const void *at, size_t n, struct tb_str *out)
{
    if (memchr(at, '\0', n) != NULL)
        return false;
    *out = (struct tb_str){tb_arena_text(arena, at, n), n};
    return out->at != NULL;
}

static bool read_subject(const X509 *x509, struct tb_arena *arena, struct tb_str *out)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    TB_ASSERT(bio != NULL);
    /* UTF-8 as it is, which RFC 4514 allows, where RFC 2253's flags would escape it */
    bool good = X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0,
                                   XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0;
    long n = BIO_get_mem_data(bio, &text);
    good = good && n >= 0 && copy_text(arena, n == 0 ? "" : text, (size_t)n, out);
    BIO_free(bio);
    return good;
}

static bool copy_subject(const X509 *x509, struct tb_arena *arena, struct tb_str *out)
{
    unsigned char *der = NULL;
    int n = i2d_X509_NAME(X509_get_subject_name(x509), &der);
    if (n <= 0)
        return false;
    *out = (struct tb_str){tb_arena_text(arena, (const char *)der, (size_t)n), (size_t)n};
    OPENSSL_free(der);
    return out->at != NULL;
}

static bool read_time(const ASN1_TIME *time, int64_t *out_s)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return false;
    struct tb_date date = {tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday};
    if (!tb_date_valid(date))
        return false;
    *out_s = tb_date_to_days(date) * 86400 + tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
    return true;
}

static bool read_address(const ASN1_OCTET_STRING *bytes, struct tb_arena *arena, struct tb_str *out)
{
    char text[INET6_ADDRSTRLEN];
    int n = ASN1_STRING_length(bytes);
    if (n != 4 && n != 16)
        return false;
    const char *written = inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text,
                                    sizeof(text));
    return written != NULL && copy_text(arena, text, strlen(text), out);
}

/* One name into *out; true also when it is of a kind nobody can be registered by (*out_taken
 * false). */
static bool read_name(const GENERAL_NAME *name, struct tb_arena *arena, struct tb_san *out,
                      bool *out_taken)
{
    const ASN1_IA5STRING *text;
    *out_taken = true;
    switch (name->type) {
    case GEN_DNS:
        out->kind = TB_SAN_DNS;
        text = name->d.dNSName;
        break;
    case GEN_URI:
        out->kind = TB_SAN_URI;
        text = name->d.uniformResourceIdentifier;
        break;
    case GEN_EMAIL:
        out->kind = TB_SAN_EMAIL;
        text = name->d.rfc822Name;
        break;
    case GEN_IPADD:
        out->kind = TB_SAN_IP;
        return read_address(name->d.iPAddress, arena, &out->text);
    default:
        *out_taken = false;
        return true;
    }
    return copy_text(arena, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text),
                     &out->text);
}

static bool read_names(const X509 *x509, struct tb_arena *arena, struct tb_certificate *out)
{
    int critical;
    GENERAL_NAMES *list = X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, NULL);
    if (list == NULL)
        return critical == -1; /* there is none; anything else is malformed or there twice */
    int n = sk_GENERAL_NAME_num(list);
    struct tb_san *names = NULL;
    bool good = n <= TB_CERTIFICATE_NAMES_MAX;
    if (good)
        names = tb_arena_alloc(arena, (size_t)n * sizeof(names[0]) + 1);
    good = good && names != NULL;
    for (int i = 0; good && i < n; i++) {
        bool taken;
        good = read_name(sk_GENERAL_NAME_value(list, i), arena, &names[out->names_n], &taken);
        out->names_n += taken;
    }
    GENERAL_NAMES_free(list);
    out->names = names;
    return good;
}

bool tb_certificate_read(struct tb_str der, struct tb_arena *arena, struct tb_certificate *out)
{
    unsigned char digest[TB_SHA256_BYTES];
    const unsigned char *at = (const unsigned char *)der.at;
    if (der.n == 0 || der.n > TB_CERTIFICATE_BYTES_MAX)
        return false;
    X509 *x509 = d2i_X509(NULL, &at, (long)der.n);
    *out = (struct tb_certificate){0};
    bool good = x509 != NULL && at == (const unsigned char *)der.at + der.n &&
                read_subject(x509, arena, &out->subject) &&
                copy_subject(x509, arena, &out->subject_der) && read_names(x509, arena, out) &&
                read_time(X509_get0_notBefore(x509), &out->not_before_s) &&
                read_time(X509_get0_notAfter(x509), &out->not_after_s);
    X509_free(x509);
    ERR_clear_error();
    if (!good)
        return false;
    tb_sha256(&der, 1, digest);
    out->x5t = tb_base64url(arena, TB_BYTES(digest, sizeof(digest)));
    return out->x5t.at != NULL;
}
