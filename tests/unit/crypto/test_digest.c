/* Digests against their published vectors, and the exactness of the decoders. */
#include "../unit.h"

#include "crypto/digest.h"
#include <string.h>

static void assert_hex(const unsigned char *bytes, size_t n, const char *expected)
{
    char hex[2 * 64 + 1] = {0};
    tb_hex_write(hex, TB_BYTES(bytes, n));
    assert_string_equal(hex, expected);
}

static void hashes_the_vectors_of_fips_180(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    unsigned char digest[TB_SHA256_BYTES];
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct tb_str text = tb_str(rows[i].text);
        tb_sha256(&text, 1, digest);
        assert_hex(digest, sizeof(digest), rows[i].digest);
    }
}

static void hashes_parts_and_pieces_as_one_text(void **state)
{
    (void)state;
    unsigned char whole[TB_SHA256_BYTES], parts[TB_SHA256_BYTES], pieces[TB_SHA256_BYTES];
    tb_sha256(&TB_STR("one two three"), 1, whole);
    tb_sha256((struct tb_str[]){TB_STR("one "), TB_STR_NONE, TB_STR("two three")}, 3, parts);
    struct tb_sha256 *hash = tb_sha256_begin();
    tb_sha256_add(hash, TB_STR("one t"));
    tb_sha256_add(hash, TB_STR_NONE);
    tb_sha256_add(hash, TB_STR("wo three"));
    tb_sha256_end(hash, pieces);
    assert_memory_equal(whole, parts, sizeof(whole));
    assert_memory_equal(whole, pieces, sizeof(whole));
}

static void authenticates_the_vectors_of_rfc_4231(void **state)
{
    (void)state;
    unsigned char code[TB_SHA256_BYTES];
    struct tb_hmac *hmac = tb_hmac_new(TB_STR("Jefe"));
    for (int again = 0; again < 3; again++) { /* the key stays ready */
        tb_hmac_sha256(hmac, (struct tb_str[]){TB_STR("what do ya want "), TB_STR("for nothing?")},
                       2, code);
        assert_hex(code, sizeof(code),
                   "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
    tb_hmac_free(hmac);

    unsigned char long_key[131];
    memset(long_key, 0xaa, sizeof(long_key));
    hmac = tb_hmac_new(TB_BYTES(long_key, sizeof(long_key)));
    tb_hmac_sha256(hmac, &TB_STR("Test Using Larger Than Block-Size Key - Hash Key First"), 1,
                   code);
    assert_hex(code, sizeof(code),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    tb_hmac_free(hmac);

    hmac = tb_hmac_new(TB_STR_NONE);
    tb_hmac_sha256(hmac, NULL, 0, code);
    assert_hex(code, sizeof(code),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    tb_hmac_free(hmac);
}

static void compares_secrets_whole(void **state)
{
    (void)state;
    assert_true(tb_same_secret(TB_STR("abc"), TB_STR("abc")));
    assert_true(tb_same_secret(TB_STR(""), TB_STR_NONE));
    assert_false(tb_same_secret(TB_STR("abc"), TB_STR("abd")));
    assert_false(tb_same_secret(TB_STR("abc"), TB_STR("ab")));
    assert_false(tb_same_secret(TB_STR("abc"), TB_STR_NONE));
}

static void writes_and_reads_base64url(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } rows[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfb", "__77"},
    };
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct tb_str text = tb_base64url(arena, tb_str(rows[i].bytes));
        unsigned char bytes[16];
        size_t n;
        assert_string_equal(text.at, rows[i].text);
        assert_int_equal(text.n, TB_BASE64URL_CHARS(strlen(rows[i].bytes)));
        assert_true(tb_base64url_read(text, bytes, &n));
        assert_int_equal(n, strlen(rows[i].bytes));
        assert_memory_equal(bytes, rows[i].bytes, n);
    }
    tb_arena_free(arena);
}

static void reads_only_the_one_text_of_each_value(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "A",    "Zg==", "Zg=",  "Zm8=", "Zh",    "Zm9", "Zm9v\n", " Zm9v",   "Zm 9",
        "__7+", "__7/", "Zm.v", "Z",    "AAAAA", "Zv",  "Zm_",    "\x80gAA",
    };
    unsigned char bytes[16];
    size_t n;
    for (size_t i = 0; i < TB_COUNT(bad); i++)
        if (tb_base64url_read(tb_str(bad[i]), bytes, &n))
            fail_msg("\"%s\" was read", bad[i]);
    assert_false(tb_base64url_read((struct tb_str){"Zg\0A", 4}, bytes, &n));
}

static void reads_standard_base64_with_its_padding_only(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } rows[] = {
        {"", ""},         {"Zg==", "f"},   {"Zm8=", "fo"},  {"Zm9v", "foo"}, {"/+8A", "\xff\xef"},
        {"Zg", NULL},     {"Zg=", NULL},   {"Zg===", NULL}, {"=", NULL},     {"====", NULL},
        {"Zm9v=", NULL},  {"Zh==", NULL},  {"Z===", NULL},  {"_-8A", NULL},  {"Z=g=", NULL},
        {"Zm9v\n", NULL}, {"Zm 9v", NULL},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        unsigned char bytes[16] = {0};
        size_t n;
        bool good = tb_base64_read(tb_str(rows[i].text), bytes, &n);
        if (good != (rows[i].bytes != NULL))
            fail_msg("%s", rows[i].text);
        if (good)
            assert_string_equal(bytes, rows[i].bytes);
    }
}

static void base64url_of_random_bytes_comes_back(void **state)
{
    (void)state;
    unsigned char bytes[67], back[67];
    char text[TB_BASE64URL_CHARS(sizeof(bytes))];
    uint64_t seed = 1;
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] =
                (unsigned char)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
        size_t chars = tb_base64url_write(text, TB_BYTES(bytes, n)), got;
        assert_true(tb_base64url_read((struct tb_str){text, chars}, back, &got));
        assert_int_equal(got, n);
        assert_memory_equal(bytes, back, n);
    }
}

static void reads_hexadecimal_digits_in_pairs(void **state)
{
    (void)state;
    unsigned char bytes[4];
    assert_true(tb_hex_read(TB_STR("00fFA09c"), bytes));
    assert_memory_equal(bytes, "\x00\xff\xa0\x9c", 4);
    assert_true(tb_hex_read(TB_STR(""), bytes));
    assert_false(tb_hex_read(TB_STR("0"), bytes));
    assert_false(tb_hex_read(TB_STR("0g"), bytes));
    assert_false(tb_hex_read(TB_STR("g0"), bytes));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hashes_the_vectors_of_fips_180),
    cmocka_unit_test(hashes_parts_and_pieces_as_one_text),
    cmocka_unit_test(authenticates_the_vectors_of_rfc_4231),
    cmocka_unit_test(compares_secrets_whole),
    cmocka_unit_test(writes_and_reads_base64url),
    cmocka_unit_test(reads_only_the_one_text_of_each_value),
    cmocka_unit_test(reads_standard_base64_with_its_padding_only),
    cmocka_unit_test(base64url_of_random_bytes_comes_back),
    cmocka_unit_test(reads_hexadecimal_digits_in_pairs),
};
TEST_GROUP(tests, NULL, NULL);
