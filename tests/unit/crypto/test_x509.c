/* Certificates: the names and times they say, and bytes that are not quite one. */
#include "../unit.h"

#include "crypto/digest.h"
#include "crypto/x509.h"
#include <string.h>

/* Made with openssl req: a subject in two scripts, and every kind of alternative name. */
#define FULL                                                                                       \
    "MIICYTCCAgigAwIBAgIBBzAKBggqhkjOPQQDAjBLMQswCQYDVQQGEwJDTjEWMBQGA1UECgwNUGFydG5lciwgSW5j"     \
    "LjEPMA0GA1UECwwG6YCa5a6dMRMwEQYDVQQDDApjbGllbnQgb25lMB4XDTI2MTEyMzA5MzkwOFoXDTM2MTEyMDA5"     \
    "MzkwOFowSzELMAkGA1UEBhMCQ04xFjAUBgNVBAoMDVBhcnRuZXIsIEluYy4xDzANBgNVBAsMBumAmuWunTETMBEG"     \
    "A1UEAwwKY2xpZW50IG9uZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIN6aVTTOlaNh9lVAYSNyeFV7vJ7CeKH"     \
    "Ws29jAwUgsl7XxmE6eBQx6Ay_9FJOURbOkNyPWcLW9Z1LZwK0NmWt8SjgdwwgdkwgbcGA1UdEQSBrzCBrIIOY2xp"     \
    "ZW50LmV4YW1wbGWGGWh0dHBzOi8vY2xpZW50LmV4YW1wbGUvaWSHBMAAAgeHECABDbgAAAAAAAAAAAAAAAeBEm9w"     \
    "c0BjbGllbnQuZXhhbXBsZaRTMFExCzAJBgNVBAYTAkNOMRYwFAYDVQQKDA1QYXJ0bmVyLCBJbmMuMRUwEwYDVQQL"     \
    "DAzDqcKAwprDpcKuwp0xEzARBgNVBAMMCmNsaWVudCBvbmUwHQYDVR0OBBYEFMYpe90_G8R9f3ftabB-SMbtyPce"     \
    "MAoGCCqGSM49BAMCA0cAMEQCIDpXEauMLleh7UW6EcQq8WBUhQhG0yto0Haasg_pWKJBAiB-UaKkNNyPdBM6GCO2"     \
    "IDpqOupsGk8nI91BSDoiZDpZGg"

/* A subject and nothing else. */
#define BARE                                                                                       \
    "MIIBczCCARmgAwIBAgIUFoUntwTLkyPFh0pFWsSjLW0A8towCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEYmFyZTAe"     \
    "Fw0yNjExMjMwOTM5MDhaFw0zNjExMjAwOTM5MDhaMA8xDTALBgNVBAMMBGJhcmUwWTATBgcqhkjOPQIBBggqhkjO"     \
    "PQMBBwNCAASDemlU0zpWjYfZVQGEjcnhVe7yewnih1rNvYwMFILJe18ZhOngUMegMv_RSTlEWzpDcj1nC1vWdS2c"     \
    "CtDZlrfEo1MwUTAdBgNVHQ4EFgQUxil73T8bxH1_d-1psH5Ixu3I9x4wHwYDVR0jBBgwFoAUxil73T8bxH1_d-1p"     \
    "sH5Ixu3I9x4wDwYDVR0TAQH_BAUwAwEB_zAKBggqhkjOPQQDAgNIADBFAiAF5_3ZBmzazdZV351YRCco8q8VSOzQ"     \
    "OZ39tt_MmWm4OAIhAM0QM0QeKSN3IdCeMlxeUOdU-W5dn0lGrhedwzu9Km7e"

enum { NOT_BEFORE = 1795426748 };
#define NOT_AFTER INT64_C(2110786748)
#define X5T       "S447KN5CPDqbBhBDpaHOVDE4eTcESCTIw_OR6ljdtKI"

enum { ROOM = TB_CERTIFICATE_BYTES_MAX + 1 };

static unsigned char der[ROOM];

static struct tb_str decode(const char *text)
{
    size_t n;
    assert_true(tb_base64url_read(tb_str(text), der, &n));
    return TB_BYTES(der, n);
}

static void reads_names_times_and_thumbprint(void **state)
{
    (void)state;
    static const struct tb_san expected[] = {
        {TB_SAN_DNS, {"client.example", 14}},
        {TB_SAN_URI, {"https://client.example/id", 25}},
        {TB_SAN_IP, {"192.0.2.7", 9}},
        {TB_SAN_IP, {"2001:db8::7", 11}},
        {TB_SAN_EMAIL, {"ops@client.example", 18}},
    };
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_certificate certificate;
    assert_true(tb_certificate_read(decode(FULL), arena, &certificate));
    assert_string_equal(certificate.subject.at, "CN=client one,OU=通宝,O=Partner\\, Inc.,C=CN");
    assert_int_equal(certificate.not_before_s, NOT_BEFORE);
    assert_true(certificate.not_after_s == NOT_AFTER);
    assert_string_equal(certificate.x5t.at, X5T);
    assert_int_equal(certificate.names_n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(certificate.names[i].kind, expected[i].kind);
        assert_true(tb_str_eq(certificate.names[i].text, expected[i].text));
    }
    assert_true(tb_certificate_read(decode(BARE), arena, &certificate));
    assert_string_equal(certificate.subject.at, "CN=bare");
    assert_int_equal(certificate.names_n, 0);
    tb_arena_free(arena);
}

static void refuses_what_is_not_exactly_one_certificate(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_certificate certificate;
    struct tb_str whole = decode(FULL);
    for (size_t n = 0; n < whole.n; n++)
        assert_false(tb_certificate_read((struct tb_str){whole.at, n}, arena, &certificate));
    assert_false(tb_certificate_read((struct tb_str){whole.at, whole.n + 1}, arena, &certificate));
    assert_false(tb_certificate_read((struct tb_str){whole.at, ROOM}, arena, &certificate));
    assert_false(tb_certificate_read(TB_STR_NONE, arena, &certificate));
    tb_arena_free(arena);
}

static void refuses_names_with_a_nul(void **state)
{
    (void)state;
    static const char *const names[] = {"client.example", "https://client", "ops@client"};
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_certificate certificate;
    for (size_t i = 0; i < 3; i++) {
        struct tb_str whole = decode(FULL);
        unsigned char *at = memmem(der, whole.n, names[i], strlen(names[i]));
        assert_non_null(at);
        at[3] = '\0';
        assert_false(tb_certificate_read(whole, arena, &certificate));
    }
    struct tb_str whole = decode(FULL); /* in the subject it is escaped, and cannot mislead */
    unsigned char *at = memmem(der, whole.n, "client one", 10); /* the issuer has the same name */
    at = memmem(at + 10, whole.n - (size_t)(at + 10 - der), "client one", 10);
    at[6] = '\0';
    assert_true(tb_certificate_read(whole, arena, &certificate));
    assert_non_null(strstr(certificate.subject.at, "CN=client\\00one,"));
    tb_arena_free(arena);
}

static void survives_every_changed_byte(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_certificate certificate;
    struct tb_str whole = decode(FULL);
    for (size_t i = 0; i < whole.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            der[i] ^= (unsigned char)(1 << bit);
            if (tb_certificate_read(whole, arena, &certificate)) {
                assert_int_equal(strlen(certificate.subject.at), certificate.subject.n);
                assert_string_not_equal(certificate.x5t.at, X5T);
            }
            der[i] ^= (unsigned char)(1 << bit);
            tb_arena_reset(arena);
        }
    tb_arena_free(arena);
}

static void refuses_when_memory_ends(void **state)
{
    (void)state;
    struct tb_str whole = decode(FULL);
    bool read = false;
    for (size_t cap = 0; cap < 2048; cap += 16) {
        struct tb_certificate certificate;
        struct tb_arena *small = tb_arena_new(cap);
        read = tb_certificate_read(whole, small, &certificate);
        assert_true(read != tb_arena_overflowed(small));
        tb_arena_free(small);
    }
    assert_true(read);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_names_times_and_thumbprint),
    cmocka_unit_test(refuses_what_is_not_exactly_one_certificate),
    cmocka_unit_test(refuses_names_with_a_nul),
    cmocka_unit_test(survives_every_changed_byte),
    cmocka_unit_test(refuses_when_memory_ends),
};
TEST_GROUP(tests, NULL, NULL);
