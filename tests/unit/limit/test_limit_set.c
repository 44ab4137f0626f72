/* Sets of windows: what is made ready, and what is refused with a sentence. */
#include "../unit.h"

#include "limit/limit.h"
#include <string.h>

static void refuses_windows_that_make_no_sense(void **state)
{
    (void)state;
    static const struct {
        struct tb_limit_window window;
        const char *why;
    } cases[] = {
        {{"", 1, 1000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "is no name"},
        {{"Burst", 1, 1000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "is no name"},
        {{"a\"b", 1, 1000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "is no name"},
        {{"sixteen_letters_", 1, 1000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "is no name"},
        {{"b", 0, 1000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "quota must be from 1"},
        {{"b", -1, 1000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "quota must be from 1"},
        {{"b", 160000001, 1000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "from 1 to 160000000"},
        {{"b", INT64_MAX, 86400000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "quota must be"},
        {{"b", 1, 0, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "must be whole seconds"},
        {{"b", 1, 1500, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "must be whole seconds"},
        {{"b", 1, INT64_C(367) * 86400000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "366 days"},
        {{"b", 1, INT64_MAX, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "must be whole seconds"},
        {{"b", 1, -1000, TB_LIMIT_APP, TB_LIMIT_ROLLING}, "must be whole seconds"},
    };
    char why[160];
    struct tb_limit_set set;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        assert_false(tb_limit_set_init(&set, &cases[i].window, 1, why, sizeof(why)));
        if (strstr(why, cases[i].why) == NULL)
            fail_msg("expected \"%s\", found \"%s\"", cases[i].why, why);
    }
    static const struct tb_limit_window five[] = {{"a", 1, 1000, 0, 0},
                                                  {"b", 1, 1000, 0, 0},
                                                  {"c", 1, 1000, 0, 0},
                                                  {"d", 1, 1000, 0, 0},
                                                  {"e", 1, 1000, 0, 0}};
    static const struct tb_limit_window twice[] = {{"a", 1, 1000, 0, 0}, {"a", 2, 1000, 0, 0}};
    assert_false(tb_limit_set_init(&set, five, 5, why, sizeof(why)));
    assert_false(tb_limit_set_init(&set, twice, 2, why, sizeof(why)));
    assert_string_equal(why, "two windows are called \"a\"");

    struct tb_limit_window widest[4];
    static const char *const names[] = {"fifteen_letters", "fifteen_lettera", "fifteen_letterb",
                                        "fifteen_letterc"};
    for (size_t i = 0; i < 4; i++) /* and the longest policy fits */
        widest[i] = (struct tb_limit_window){names[i], INT64_C(1000000000000000),
                                             INT64_C(366) * 86400000, TB_LIMIT_APP,
                                             TB_LIMIT_ROLLING};
    assert_true(tb_limit_set_init(&set, widest, 4, why, sizeof(why)));
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(refuses_windows_that_make_no_sense)};
TEST_GROUP(tests, NULL, NULL);
