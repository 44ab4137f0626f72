/* Texts of distinguished names against names as certificates have them. */
#include "../unit.h"

#include "crypto/dn.h"
#include <openssl/x509.h>
#include <string.h>

/* An attribute of a name; `set` -1: of the same member as the one before. */
struct attribute {
    const char *oid;
    int kind;
    const char *value;
    int set;
};

#define CN    "2.5.4.3"
#define O     "2.5.4.10"
#define OU    "2.5.4.11"
#define C     "2.5.4.6"
#define DC    "0.9.2342.19200300.100.1.25"
#define UID   "0.9.2342.19200300.100.1.1"
#define EMAIL "1.2.840.113549.1.9.1"

static unsigned char room[4096];

static struct tb_str encode(const struct attribute *attributes)
{
    X509_NAME *name = X509_NAME_new();
    unsigned char *at = room;
    for (; attributes->oid != NULL; attributes++) {
        ASN1_OBJECT *type = OBJ_txt2obj(attributes->oid, 1);
        X509_NAME_ENTRY *entry = X509_NAME_ENTRY_create_by_OBJ(
            NULL, type, attributes->kind, (const unsigned char *)attributes->value,
            (int)strlen(attributes->value));
        assert_non_null(entry);
        assert_int_equal(X509_NAME_add_entry(name, entry, -1, attributes->set), 1);
        X509_NAME_ENTRY_free(entry);
        ASN1_OBJECT_free(type);
    }
    int n = i2d_X509_NAME(name, &at);
    assert_true(n > 0 && n < (int)sizeof(room));
    X509_NAME_free(name);
    return (struct tb_str){(const char *)room, (size_t)n};
}

static const struct attribute PARTNER[] = {
    {C, V_ASN1_PRINTABLESTRING, "CN", 0},
    {O, V_ASN1_UTF8STRING, "Partner, Inc.", 0},
    {OU, V_ASN1_UTF8STRING, "通宝", 0},
    {CN, V_ASN1_PRINTABLESTRING, "client one", 0},
    {NULL, 0, NULL, 0},
};

static void finds_a_name_in_each_of_its_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "CN=client one,OU=通宝,O=Partner\\, Inc.,C=CN",
        "cn=Client One,ou=通宝,o=partner\\, inc.,c=cn",
        "commonName=client one, organizationalUnitName=通宝 ,O=Partner\\2c Inc., C = CN",
        "2.5.4.3=client one,2.5.4.11=\\E9\\80\\9A\\e5\\ae\\9d,2.5.4.10=Partner\\, Inc.,2.5.4.6=CN",
        "CN=#0C0A636C69656E74206F6E65,OU=通宝,O=Partner\\, Inc.,C=#1302434e",
        "CN=client  one ,OU=通宝,O=Partner\\, Inc.,C=CN",
        "CN=\\63lient one,OU=通宝,O=Partner\\,\\ Inc.,C=CN",
    };
    struct tb_str der = encode(PARTNER);
    for (size_t i = 0; i < TB_COUNT(texts); i++)
        if (!tb_dn_good(tb_str(texts[i])) || !tb_dn_same(tb_str(texts[i]), der))
            fail_msg("%s", texts[i]);
}

static void finds_no_other_name(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "CN=client two,OU=通宝,O=Partner\\, Inc.,C=CN",
        "C=CN,O=Partner\\, Inc.,OU=通宝,CN=client one",
        "CN=client one",
        "CN=client one,OU=通宝,O=Partner\\, Inc.",
        "CN=client one,OU=通宝,O=Partner\\, Inc.,C=CN,DC=x",
        "CN=client one+OU=通宝,O=Partner\\, Inc.,C=CN",
        "CN=clientone,OU=通宝,O=Partner\\, Inc.,C=CN",
        "SN=client one,OU=通宝,O=Partner\\, Inc.,C=CN",
    };
    struct tb_str der = encode(PARTNER);
    for (size_t i = 0; i < TB_COUNT(texts); i++)
        if (!tb_dn_good(tb_str(texts[i])) || tb_dn_same(tb_str(texts[i]), der))
            fail_msg("%s", texts[i]);
    assert_false(tb_dn_same(tb_str("CN=client one"), TB_STR("")));
    assert_false(tb_dn_same(tb_str("CN=client one"), TB_STR("nonsense")));
}

static void knows_sets_and_the_names_that_are_fixed(void **state)
{
    (void)state;
    static const struct attribute set[] = {
        {DC, V_ASN1_IA5STRING, "example", 0},
        {UID, V_ASN1_UTF8STRING, "7", 0},
        {CN, V_ASN1_UTF8STRING, "one + \"two\" <three>; #four\\ ", -1},
        {OU, V_ASN1_BMPSTRING, "\0a\0b", -1},
        {EMAIL, V_ASN1_IA5STRING, "ops@client.example", 0},
        {NULL, 0, NULL, 0},
    };
    /* in a set the order says nothing */
    static const char *const texts[] = {
        "emailAddress=ops@client.example,UID=7+CN=one \\+ \\\"two\\\" \\<three\\>\\; #four\\\\\\ +OU=,DC=example",
        "1.2.840.113549.1.9.1=ops@client.example,OU=+uid=7 + cn=one \\2B \\22two\\22 \\3Cthree\\3E\\3B \\#four\\5C\\20,dc=Example",
    };
    struct tb_str der = encode(set);
    for (size_t i = 0; i < TB_COUNT(texts); i++)
        if (!tb_dn_same(tb_str(texts[i]), der))
            fail_msg("%s", texts[i]);
}

static void refuses_what_is_no_name(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",         " ",          ",",         "client one",  "=a",
        "CN",       "CN=a,",      "CN=a,,O=b", "CN=a+",       "CN=a;O=b",
        "CN=\"a\"", "CN=a\\",     "CN=a\\g",   "CN=a\\4",     "CN=a<b",
        "CN=#",     "CN=#0C",     "CN=#0C0",   "CN=#0C0161x", "CN=#0C016161",
        "CN=#0201", "CN=#020107", "CN=#3000",  "no-such=a",   "1.2.=a",
        "1=a",      "CN=\\ff",    "CN=\xff",   "CN/a=b",      "CN:a",
    };
    char big[TB_DN_BYTES_MAX + 2];
    for (size_t i = 0; i < TB_COUNT(texts); i++)
        if (tb_dn_good(tb_str(texts[i])))
            fail_msg("\"%s\" is taken for a name", texts[i]);
    memset(big, 'a', sizeof(big));
    memcpy(big, "CN=", 3);
    assert_true(tb_dn_good((struct tb_str){big, TB_DN_BYTES_MAX}));
    assert_false(tb_dn_good((struct tb_str){big, TB_DN_BYTES_MAX + 1}));
    for (size_t i = 0; i <= TB_DN_ATTRIBUTES_MAX; i++)
        memcpy(big + 5 * i, "CN=a,", 5);
    assert_true(tb_dn_good((struct tb_str){big, 5 * (size_t)TB_DN_ATTRIBUTES_MAX - 1}));
    assert_false(tb_dn_good((struct tb_str){big, 5 * (size_t)(TB_DN_ATTRIBUTES_MAX + 1) - 1}));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(finds_a_name_in_each_of_its_texts),
    cmocka_unit_test(finds_no_other_name),
    cmocka_unit_test(knows_sets_and_the_names_that_are_fixed),
    cmocka_unit_test(refuses_what_is_no_name),
};
TEST_GROUP(tests, NULL, NULL);
