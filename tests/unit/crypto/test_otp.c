/* One-time passwords: the vectors of their RFCs. */
#include "../unit.h"

#include "crypto/otp.h"
#include <string.h>

static const struct tb_str rfc_secret = {"12345678901234567890", 20};

/* RFC 4226, appendix D */
static void gives_the_hotp_vectors(void **state)
{
    (void)state;
    static const char *const codes[] = {"755224", "287082", "359152", "969429", "338314",
                                        "254676", "287922", "162583", "399871", "520489"};
    for (size_t i = 0; i < TB_COUNT(codes); i++) {
        char code[6];
        tb_hotp(rfc_secret, i, 6, code);
        assert_memory_equal(code, codes[i], 6);
    }
}

/* RFC 6238, appendix B, the rows of SHA-1 */
static void gives_the_totp_vectors(void **state)
{
    (void)state;
    static const struct {
        int64_t at_s;
        const char *code;
    } rows[] = {
        {59, "94287082"},         {1111111109, "07081804"}, {1111111111, "14050471"},
        {1234567890, "89005924"}, {2000000000, "69279037"}, {INT64_C(20000000000), "65353130"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        char code[8];
        tb_hotp(rfc_secret, (uint64_t)(rows[i].at_s / TB_OTP_STEP_S), 8, code);
        assert_memory_equal(code, rows[i].code, 8);
    }
}

/* RFC 4648 §10, without its padding */
static void writes_the_base32_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *data, *text;
    } rows[] = {{"", ""},
                {"f", "MY"},
                {"fo", "MZXQ"},
                {"foo", "MZXW6"},
                {"foob", "MZXW6YQ"},
                {"fooba", "MZXW6YTB"},
                {"foobar", "MZXW6YTBOI"}};
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        char text[16];
        size_t n = tb_base32_write(text, tb_str(rows[i].data));
        assert_int_equal(n, strlen(rows[i].text));
        assert_int_equal(n, TB_BASE32_CHARS(strlen(rows[i].data)));
        assert_memory_equal(text, rows[i].text, n);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gives_the_hotp_vectors),
    cmocka_unit_test(gives_the_totp_vectors),
    cmocka_unit_test(writes_the_base32_vectors),
};
TEST_GROUP(tests, NULL, NULL);
