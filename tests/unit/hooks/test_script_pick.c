/* Which version of a script a request meets. */
#include "../unit.h"

#include "hooks/scripts.h"
#include <stdio.h>

enum { REQUESTS = 20000 };

static size_t met(const struct tb_script_row *row, int32_t version)
{
    size_t n = 0;
    char id[37];
    for (unsigned i = 0; i < REQUESTS; i++) {
        snprintf(id, sizeof(id), "%08x-c3f2-4941-9336-3c2bf77b83de", i * 2654435761u);
        int32_t picked = tb_script_pick(row, tb_str(id));
        assert_int_equal(tb_script_pick(row, tb_str(id)), picked);
        n += picked == version;
    }
    return n;
}

static void gives_a_canary_its_share(void **state)
{
    (void)state;
    for (int32_t canary = 1; canary <= 100; canary += 9) {
        struct tb_script_row row = {.version = 3, .previous = 2, .canary = canary};
        size_t n = met(&row, 3), wanted = (size_t)canary * (REQUESTS / 100);
        assert_in_range(n, wanted - wanted / 10 - 40, wanted + wanted / 10 + 40);
        assert_int_equal(n + met(&row, 2), REQUESTS);
    }
}

static void gives_the_rest_to_nobody_where_there_was_no_version_before(void **state)
{
    (void)state;
    struct tb_script_row row = {.version = 1, .canary = 50};
    assert_int_equal(met(&row, 1) + met(&row, 0), REQUESTS);
    row = (struct tb_script_row){.canary = 100};
    assert_int_equal(met(&row, 0), REQUESTS);
}

static void leaves_a_hook_alone_until_its_time(void **state)
{
    (void)state;
    struct tb_script_row row = {.version = 2, .previous = 1};
    row.breakers[TB_HOOK_ON_REQUEST].version.off_until_ms = 1000;
    assert_true(tb_script_off(&row, 2, TB_HOOK_ON_REQUEST, 999));
    assert_false(tb_script_off(&row, 2, TB_HOOK_ON_REQUEST, 1000));
    assert_false(tb_script_off(&row, 2, TB_HOOK_ON_RESPONSE, 999));
    assert_false(tb_script_off(&row, 1, TB_HOOK_ON_REQUEST, 999)); /* beside the canary */
    assert_false(tb_script_off(&row, 3, TB_HOOK_ON_REQUEST, 999)); /* does not run any more */
}

static void gives_long_calls_their_share(void **state)
{
    (void)state;
    struct tb_script_row row = {0};
    for (int i = 0; i < 100000; i++)
        tb_script_held(&row, 0, 1, 5000); /* short ones are nobody's business */
    assert_false(tb_script_too_long(&row, 5000));
    for (int i = 0; i < 5; i++) {
        assert_false(tb_script_too_long(&row, 5000));
        tb_script_held(&row, 5000000, 1, 5000);
    }
    assert_true(tb_script_too_long(&row, 5000));
    assert_true(tb_script_too_long(&row, 9999)); /* a millisecond a second */
    assert_false(tb_script_too_long(&row, 10000));
    row.settled_ms = 0;
    for (int i = 0; i < 100; i++)
        tb_script_held(&row, 5000000, 1000, 5000); /* where all of a second is given */
    assert_false(tb_script_too_long(&row, 5000));
}

static void copies_whole_characters(void **state)
{
    (void)state;
    static const struct {
        const char *words, *copied;
    } cases[] = {
        {"", ""},
        {"abc", "abc"},
        {"abcdefgh", "abcdefg"},
        {"abcdef\xc3\xa9", "abcdef"},
        {"\xc3\xa9\xc3\xa9\xc3\xa9x", "\xc3\xa9\xc3\xa9\xc3\xa9x"},
        {"ab\xff"
         "cd",
         "ab"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char out[8];
        tb_script_words(out, sizeof(out), cases[i].words);
        assert_string_equal(out, cases[i].copied);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gives_a_canary_its_share),
    cmocka_unit_test(gives_the_rest_to_nobody_where_there_was_no_version_before),
    cmocka_unit_test(leaves_a_hook_alone_until_its_time),
    cmocka_unit_test(gives_long_calls_their_share),
    cmocka_unit_test(copies_whole_characters),
};
TEST_GROUP(tests, NULL, NULL);
