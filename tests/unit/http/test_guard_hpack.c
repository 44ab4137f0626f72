/* The scan of header blocks before they are decoded: sizes of RFC 7541's own examples, the table as
 * it changes within a block, limits to the byte, and what is not HPACK. */
#include "../unit.h"

#include "http/guard/guard_hpack.h"
#include <string.h>

#include <tongbao/types.h>

static const struct guard_hpack_limits roomy = {TB_GUARD_HPACK_FIELDS, UINT32_MAX};

/* A dynamic table of `n` entries, the newest first; all values 100 bytes. */
struct small_table {
    h2o_iovec_t name, value;
    h2o_hpack_header_table_entry_t entries[8];
    h2o_hpack_header_table_t table;
};

static void fill(struct small_table *t, size_t n)
{
    *t = (struct small_table){.name = {"custom", 6}, .value = {"", 100}};
    for (size_t i = 0; i < 8; i++)
        t->entries[i] = (h2o_hpack_header_table_entry_t){&t->name, &t->value, NULL};
    t->table = (h2o_hpack_header_table_t){.entries = t->entries,
                                          .num_entries = n,
                                          .entry_capacity = 8,
                                          .entry_start_index = 5,
                                          .hpack_size = n * 138,
                                          .hpack_capacity = 4096,
                                          .hpack_max_capacity = 4096};
}

struct example {
    const char *what;
    const char *block;
    size_t len;
    size_t entries; /* in the table before */
    enum guard_hpack_verdict verdict;
    uint32_t fields, bytes;
};
#define BLOCK(text) text, sizeof(text) - 1

static void check_all(const struct example *examples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct example *e = &examples[i];
        struct small_table t;
        struct guard_hpack_size size;
        fill(&t, e->entries);
        enum guard_hpack_verdict verdict = tb_guard_hpack_measure(
            &t.table, (const uint8_t *)e->block, e->len, roomy, true, &size);
        if (verdict != e->verdict ||
            (verdict == GUARD_HPACK_FITS && (size.fields != e->fields || size.bytes != e->bytes)))
            fail_msg("%s: verdict %d, %u fields, %u bytes", e->what, (int)verdict, size.fields,
                     size.bytes);
    }
}

static void measures_the_examples_of_rfc_7541(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"C.2.1 literal with indexing",
         BLOCK("\x40\x0a"
               "custom-key\x0d"
               "custom-header"),
         0, GUARD_HPACK_FITS, 1, 55},
        {"C.2.2 literal without indexing", BLOCK("\x04\x0c/sample/path"), 0, GUARD_HPACK_FITS, 1,
         49},
        {"C.2.3 literal never indexed", BLOCK("\x10\x08password\x06secret"), 0, GUARD_HPACK_FITS, 1,
         46},
        {"C.2.4 indexed", BLOCK("\x82"), 0, GUARD_HPACK_FITS, 1, 42},
        {"C.3.1 a request", BLOCK("\x82\x86\x84\x41\x0fwww.example.com"), 0, GUARD_HPACK_FITS, 4,
         42 + 43 + 38 + 57},
        {"C.4.1 the same, Huffman",
         BLOCK("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"), 0,
         GUARD_HPACK_FITS, 4, 42 + 43 + 38 + 57},
        {"C.6.1 a date and a URL, Huffman",
         BLOCK("\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4"
               "\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91\x9d\x29\xad"
               "\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3"),
         0, GUARD_HPACK_FITS, 4, 42 + 52 + 65 + 63},
        {"nothing", BLOCK(""), 0, GUARD_HPACK_FITS, 0, 0},
    };
    check_all(examples, TB_COUNT(examples));
}

static void follows_the_table_within_a_block(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"an entry of before", BLOCK("\xbe"), 1, GUARD_HPACK_FITS, 1, 138},
        {"the oldest of three, across the ring's end", BLOCK("\xc0"), 3, GUARD_HPACK_FITS, 1, 138},
        {"one beyond", BLOCK("\xc1"), 3, GUARD_HPACK_BROKEN, 0, 0},
        {"a new entry takes index 62", BLOCK("\x40\x01x\x01y\xbe"), 1, GUARD_HPACK_FITS, 2, 68},
        {"and moves the old one to 63", BLOCK("\x40\x01x\x01y\xbf"), 1, GUARD_HPACK_FITS, 2,
         34 + 138},
        {"its name alone", BLOCK("\x40\x01x\x01y\x0f\x2f\x03zzz"), 0, GUARD_HPACK_FITS, 2, 34 + 36},
        {"a table made smaller forgets the oldest", BLOCK("\x3f\x7d\xbf"), 2, GUARD_HPACK_BROKEN, 0,
         0},
        {"and keeps the newest", BLOCK("\x3f\x7d\xbe"), 2, GUARD_HPACK_FITS, 1, 138},
        {"an entry larger than the table empties it", BLOCK("\x20\x40\x01x\x01y\xbe"), 1,
         GUARD_HPACK_BROKEN, 0, 0},
    };
    check_all(examples, TB_COUNT(examples));
}

static void refuses_what_is_not_hpack(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"index 0", BLOCK("\x80"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"index 62 of an empty table", BLOCK("\xbe"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"an integer without end", BLOCK("\xff\xff\xff"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"an integer of five octets", BLOCK("\xff\x80\x80\x80\x80\x01"), 0, GUARD_HPACK_BROKEN, 0,
         0},
        {"a name without value", BLOCK("\x00\x01x"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"a string longer than the block", BLOCK("\x00\x01x\x05y"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"an empty name", BLOCK("\x00\x00\x01y"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"Huffman padding of zeros", BLOCK("\x04\x81\x00"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"Huffman padding of 8 bits", BLOCK("\x04\x86\0\0\0\0\0\xff"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"the end-of-string symbol", BLOCK("\x04\x84\xff\xff\xff\xff"), 0, GUARD_HPACK_BROKEN, 0,
         0},
        {"a size update behind a field", BLOCK("\x82\x20\x82"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"a size update at the end", BLOCK("\x20"), 0, GUARD_HPACK_BROKEN, 0, 0},
        {"a table larger than allowed", BLOCK("\x3f\xe2\x1f\x82"), 0, GUARD_HPACK_BROKEN, 0, 0},
    };
    check_all(examples, TB_COUNT(examples));
}

static enum guard_hpack_verdict measure_limited(const void *block, size_t len, uint32_t fields,
                                                uint32_t bytes)
{
    struct small_table t;
    struct guard_hpack_size size;
    fill(&t, 3);
    return tb_guard_hpack_measure(&t.table, block, len, (struct guard_hpack_limits){fields, bytes},
                                  false, &size);
}

static void holds_the_limits_to_the_field_and_byte(void **state)
{
    (void)state;
    uint8_t bomb[101];
    memset(bomb, 0xbe, sizeof(bomb));
    assert_int_equal(measure_limited(bomb, 100, 100, UINT32_MAX), GUARD_HPACK_FITS);
    assert_int_equal(measure_limited(bomb, 101, 100, UINT32_MAX), GUARD_HPACK_TOO_MANY);
    assert_int_equal(measure_limited(bomb, 100, 100, 13800), GUARD_HPACK_FITS);
    assert_int_equal(measure_limited(bomb, 100, 100, 13799), GUARD_HPACK_TOO_LARGE);
}

static void measures_exactly_only_when_the_guess_does_not_fit(void **state)
{
    (void)state;
    /* 12 octets of Huffman are 15 characters, at most 19: 57 bytes in all, at most 61. */
    static const char block[] = "\x01\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    assert_int_equal(measure_limited(block, sizeof(block) - 1, 1, 61), GUARD_HPACK_FITS);
    assert_int_equal(measure_limited(block, sizeof(block) - 1, 1, 57), GUARD_HPACK_FITS);
    assert_int_equal(measure_limited(block, sizeof(block) - 1, 1, 56), GUARD_HPACK_TOO_LARGE);
}

static void counts_characters_of_long_codes_among_short_ones(void **state)
{
    (void)state;
    /* LF a SYN 0 b F9 ~ CR " c | FF e SOH X \\ d: codes of 5 to 30 bits. */
    static const char block[] =
        "\x01\xa1"
        "\xff\xff\xff\xf0\x7f\xff\xff\xff\x02\x3f\xff\xff\xfe\xff\xef\xff\xff\xff\xbf\xc9\x3f\xe7\xff\xff\xdc\x5f\xff\xfb\x1f\x9f\xff\xc2\x4f";
    enum { FIELD = 10 + 17 + 32 };
    assert_int_equal(measure_limited(BLOCK(block), 1, FIELD), GUARD_HPACK_FITS);
    assert_int_equal(measure_limited(BLOCK(block), 1, FIELD - 1), GUARD_HPACK_TOO_LARGE);
    assert_int_equal(measure_limited(block, sizeof(block) - 2, 1, FIELD), GUARD_HPACK_BROKEN);
}

static void finds_the_token_of_a_block_that_enters_the_table(void **state)
{
    static const struct {
        const char *block;
        size_t len, token_at;
    } cases[] = {
        {BLOCK("\x40\x04"
               "dpop\x01y"
               "\x1f\x08\x01t"),
         10},
        {BLOCK("\x57\x01t\xbe"), 1},
        {BLOCK("\x40\x04"
               "dpop\x01y\xbe"),
         0},
        {BLOCK("\x40\x0d"
               "authorization\x01t"),
         0}, /* its name could be anything's */
    };
    (void)state;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct small_table t;
        struct guard_hpack_size size;
        fill(&t, 1);
        assert_int_equal(tb_guard_hpack_measure(&t.table, (const uint8_t *)cases[i].block,
                                                cases[i].len, roomy, false, &size),
                         GUARD_HPACK_FITS);
        assert_int_equal(size.token_at, cases[i].token_at);
    }
}

static bool fits(const char *block, size_t len, size_t entries)
{
    struct small_table t;
    struct guard_hpack_brief brief;
    fill(&t, entries);
    return tb_guard_hpack_fits(&t.table, (const uint8_t *)block, len,
                               (struct guard_hpack_limits){100, 4140}, &brief);
}

static void knows_without_measuring_what_surely_fits(void **state)
{
    char references[100], value[300] = "\x1f\x08\x7f\x81\x01"; /* authorization, 256 bytes */
    (void)state;
    memset(references, 0xbe, sizeof(references));
    assert_true(fits(BLOCK("\x82\x87\x04\x05/ping\xbe"), 1));
    assert_true(fits(value, 5 + 256, 0));
    assert_false(fits(value, 5 + 255, 0));
    assert_true(fits(references, 30, 1)); /* 30 x 138 */
    assert_false(fits(references, 31, 1));
    assert_false(fits(references, 30, 2));
    assert_false(fits(BLOCK("\x81"), 0));
    assert_false(fits(BLOCK("\x80"), 0));
    assert_false(fits(BLOCK("\xff\x01"), 0));
    assert_false(fits(BLOCK("\x82\x04\x05/pin"), 0));
    assert_false(fits(BLOCK("\x82\x04"), 0));
    assert_false(fits(BLOCK("\x44\x05/ping"), 0)); /* enters the table */
    assert_false(fits(BLOCK("\x00\x01x\x01y"), 0));
    assert_false(fits(BLOCK("\x20\x82"), 0));
}

static void tells_what_is_fresh(void **state)
{
    static const struct {
        const char *block;
        size_t len;
        unsigned fresh;
    } cases[] = {
        {BLOCK("\x82\xbe"), 0},
        {BLOCK("\x04\x01/"), 0},
        {BLOCK("\x44\x01/"), 0},
        {BLOCK("\x02\x03GET"), GUARD_FRESH_NAMES},
        {BLOCK("\x81"), GUARD_FRESH_NAMES},
        {BLOCK("\x01\x01"
               "a"),
         GUARD_FRESH_NAMES},
        {BLOCK("\x05\x01/"), GUARD_FRESH_FIELDS},
        {BLOCK("\x1f\x08\x01y"), GUARD_FRESH_FIELDS},
        {BLOCK("\x0f\x2f\x01y"), GUARD_FRESH_NAMES | GUARD_FRESH_FIELDS},
        {BLOCK("\x00\x01x\x01y"), GUARD_FRESH_NAMES | GUARD_FRESH_FIELDS | GUARD_FRESH_NAME},
        {BLOCK("\x0f\x17\x01y"), GUARD_FRESH_FIELDS | GUARD_FRESH_NAME}, /* host */
        {BLOCK("\x0f\x0d\x01"
               "0"),
         GUARD_FRESH_FIELDS}, /* content-length */
        {BLOCK("\x5c\x01"
               "0"),
         GUARD_FRESH_FIELDS | GUARD_FRESH_NAME},
        {BLOCK("\x0f\x0d\x01"
               "0\x0f\x0d\x01"
               "0"),
         GUARD_FRESH_FIELDS | GUARD_FRESH_NAME},
    };
    (void)state;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct small_table t;
        struct guard_hpack_size size;
        fill(&t, 1);
        assert_int_equal(tb_guard_hpack_measure(&t.table, (const uint8_t *)cases[i].block,
                                                cases[i].len, roomy, false, &size),
                         GUARD_HPACK_FITS);
        assert_int_equal(size.fresh, cases[i].fresh);
    }
}

static void tells_host_and_length_from_other_names(void **state)
{
    static const struct {
        const char *block;
        size_t len;
        enum guard_hpack_name name;
        size_t n, value_at;
        bool indexing;
    } cases[] = {
        {BLOCK("\x82\x82"), GUARD_NAME_OTHER, 1, 0, false},
        {BLOCK("\xa6"), GUARD_NAME_HOST, 1, 0, false},
        {BLOCK("\x0f\x17\x01y"), GUARD_NAME_HOST, 4, 2, false},
        {BLOCK("\x66\x01y"), GUARD_NAME_HOST, 3, 1, true},
        {BLOCK("\x00\x04host\x01y"), GUARD_NAME_HOST, 8, 6, false},
        {BLOCK("\x40\x83\x9c\xe8\x4f\x01y"), GUARD_NAME_HOST, 7, 5, true},
        {BLOCK("\x00\x04hosT\x01y"), GUARD_NAME_OTHER, 8, 6, false},
        {BLOCK("\x9c"), GUARD_NAME_LENGTH, 1, 0, false},
        {BLOCK("\x5c\x01y"), GUARD_NAME_LENGTH, 3, 1, true},
        {BLOCK("\x10\x0e"
               "content-length\x01y"),
         GUARD_NAME_LENGTH, 18, 16, false},
        {BLOCK("\x00\x8a\x21\xea\x49\x6a\x4a\xd4\x16\xa9\x93\x3f\x01y"), GUARD_NAME_LENGTH, 14, 12,
         false},
        {BLOCK("\x3f\xe1\x1f\xbe"), GUARD_NAME_OTHER, 4, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct small_table t;
        struct guard_hpack_field field;
        fill(&t, 1);
        assert_true(
            tb_guard_hpack_field(&t.table, (const uint8_t *)cases[i].block, cases[i].len, &field));
        if (field.name != cases[i].name || field.n != cases[i].n ||
            field.value_at != cases[i].value_at || field.indexing != cases[i].indexing)
            fail_msg("case %zu: name %d, %zu bytes, value at %zu", i, (int)field.name, field.n,
                     field.value_at);
    }
    struct small_table t;
    struct guard_hpack_field field;
    fill(&t, 1);
    t.name = (h2o_iovec_t){"host", 4};
    t.table.hpack_size = 136;
    assert_true(tb_guard_hpack_field(&t.table, (const uint8_t *)"\xbe", 1, &field));
    assert_int_equal(field.name, GUARD_NAME_HOST);
    assert_ptr_equal(field.value, &t.value);
    assert_false(tb_guard_hpack_field(&t.table, (const uint8_t *)"\x20\xbe", 2, &field));
    assert_false(tb_guard_hpack_field(&t.table, (const uint8_t *)"\xbf", 1, &field));
}

#define TEXT_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static unsigned fresh_of(const char *block, size_t len)
{
    struct small_table t;
    struct guard_hpack_size size;
    fill(&t, 1);
    assert_int_equal(
        tb_guard_hpack_measure(&t.table, (const uint8_t *)block, len, roomy, false, &size),
        GUARD_HPACK_FITS);
    return size.fresh;
}

static void knows_a_name_in_full_when_it_was_learnt(void **state)
{
    (void)state;
    static const char same[] = "\x10\x05x-own\x01y", other[] = "\x10\x05x-owm\x01y";
    const unsigned known = GUARD_FRESH_NAMES | GUARD_FRESH_FIELDS, fresh = known | GUARD_FRESH_NAME;
    struct small_table t;
    struct guard_hpack_field field;
    fill(&t, 1);
    assert_int_equal(fresh_of(same, sizeof(same) - 1), fresh);
    assert_true(tb_guard_hpack_field(&t.table, (const uint8_t *)same, sizeof(same) - 1, &field));
    assert_int_equal(field.name_at, 1);
    assert_int_equal(field.name_n, 6);
    tb_guard_hpack_learn_name((const uint8_t *)same + field.name_at, field.name_n);
    assert_int_equal(fresh_of(same, sizeof(same) - 1), known);
    assert_int_equal(fresh_of(other, sizeof(other) - 1), fresh);
    assert_int_equal(fresh_of("\x00\x04host\x01y", 8), fresh);
    assert_true(tb_guard_hpack_field(&t.table, (const uint8_t *)"\x00\x04host\x01y", 8, &field));
    assert_int_equal(field.name_n, 0); /* never to be learnt */
}

static void cuts_a_block_into_pieces_that_fit(void **state)
{
    static const struct {
        const char *what;
        const char *block;
        size_t len, piece;
        uint32_t fields, bytes; /* of the piece */
    } cases[] = {
        {"all of it", BLOCK("\xbe\xbe"), 2, 2, 276},
        {"as many fields as may be", BLOCK("\xbe\xbe\xbe\xbe"), 3, 3, 414},
        {"as many bytes as may be", BLOCK("\x40\x01x\x40" TEXT_64 "\xbe\xbf\xbf"), 70, 3, 332},
        {"one field that is too large",
         BLOCK(
             "\x00\x01x\x7f\x81\x03" TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64
             "\xbe"),
         518, 1, 545},
        {"an update before the fields", BLOCK("\x3f\xe1\x1f\xbe"), 4, 1, 138},
        {"a broken field", BLOCK("\x80"), 0, 0, 0},
        {"a broken field behind the piece", BLOCK("\xbe\xbe\xbe\x80"), 3, 3, 414},
    };
    (void)state;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct small_table t;
        struct guard_hpack_size size;
        fill(&t, 1);
        size_t n = tb_guard_hpack_piece(&t.table, (const uint8_t *)cases[i].block, cases[i].len,
                                        (struct guard_hpack_limits){3, 420}, &size);
        if (n != cases[i].piece ||
            (n != 0 && (size.fields != cases[i].fields || size.bytes != cases[i].bytes)))
            fail_msg("%s: %zu of %zu, %u fields, %u bytes", cases[i].what, n, cases[i].len,
                     size.fields, size.bytes);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(measures_the_examples_of_rfc_7541),
    cmocka_unit_test(follows_the_table_within_a_block),
    cmocka_unit_test(refuses_what_is_not_hpack),
    cmocka_unit_test(holds_the_limits_to_the_field_and_byte),
    cmocka_unit_test(measures_exactly_only_when_the_guess_does_not_fit),
    cmocka_unit_test(counts_characters_of_long_codes_among_short_ones),
    cmocka_unit_test(finds_the_token_of_a_block_that_enters_the_table),
    cmocka_unit_test(knows_without_measuring_what_surely_fits),
    cmocka_unit_test(tells_what_is_fresh),
    cmocka_unit_test(tells_host_and_length_from_other_names),
    cmocka_unit_test(knows_a_name_in_full_when_it_was_learnt),
    cmocka_unit_test(cuts_a_block_into_pieces_that_fit),
};
TEST_GROUP(tests, NULL, NULL);
