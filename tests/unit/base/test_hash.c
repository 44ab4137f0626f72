/* Hashes for tables: the vectors of their authors. */
#include "base/hash.h"

#include "test.h"

static void fnv_1a_gives_the_authors_vectors(void **state)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } vectors[] = {
        {"", UINT64_C(0xcbf29ce484222325)},
        {"a", UINT64_C(0xaf63dc4c8601ec8c)},
        {"foobar", UINT64_C(0x85944171f73967e8)},
    };
    (void)state;
    for (size_t i = 0; i < TB_COUNT(vectors); i++)
        assert_true(tb_hash(vectors[i].text, strlen(vectors[i].text)) == vectors[i].hash);
}

static void hashes_parts_as_the_whole(void **state)
{
    (void)state;
    assert_true(tb_hash_add(tb_hash("foo", 3), "bar", 3) == tb_hash("foobar", 6));
    assert_true(tb_hash_add(tb_hash("foobar", 6), NULL, 0) == tb_hash("foobar", 6));
}

/* Numbers that follow each other, as ids and indices do, find places of their own. */
static void words_spread_over_a_table(void **state)
{
    enum { WORDS = 256, PLACES = 1024 };
    static uint8_t taken[PLACES];
    size_t shared = 0;
    (void)state;
    for (uint64_t word = 0; word < WORDS; word++)
        shared += taken[tb_hash_word(0, word << 32) % PLACES]++ > 0;
    assert_true(shared < WORDS / 4);
}

static void folding_takes_from_both_halves(void **state)
{
    (void)state;
    assert_int_equal(tb_hash_fold(UINT64_C(0x0000000100000002)), 3);
}

static void siphash_gives_the_authors_vectors(void **state)
{
    (void)state;
    unsigned char text[15];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (unsigned char)i;
    struct tb_siphash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    assert_true(tb_siphash(key, text, 15) == UINT64_C(0xa129ca6149be45e5));
    assert_true(tb_siphash(key, text, 0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(tb_siphash(key, text, 8) == UINT64_C(0x93f5f5799a932462));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(fnv_1a_gives_the_authors_vectors),
    cmocka_unit_test(hashes_parts_as_the_whole),
    cmocka_unit_test(words_spread_over_a_table),
    cmocka_unit_test(folding_takes_from_both_halves),
    cmocka_unit_test(siphash_gives_the_authors_vectors),
};
TEST_GROUP(tests, NULL, NULL);
