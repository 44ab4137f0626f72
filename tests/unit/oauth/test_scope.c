/* Scopes as texts. */
#include "../unit.h"

#include "oauth/scope.h"
#include <string.h>

static void takes_well_formed_scopes_only(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a b", "accounts:read e-payment:write openid", "!",
                                       "~"};
    static const char *const bad[] = {"",     " ",   " a",   "a ", "a  b",
                                      "a\tb", "a\"", "a\\b", "é",  "\x7f"};
    char many[2 * 65];
    for (size_t i = 0; i < TB_COUNT(good); i++)
        assert_true(tb_scope_good(tb_str(good[i])));
    for (size_t i = 0; i < TB_COUNT(bad); i++)
        if (tb_scope_good(tb_str(bad[i])))
            fail_msg("accepted: \"%s\"", bad[i]);
    assert_false(tb_scope_good(TB_STR_NONE));
    for (size_t i = 0; i < sizeof(many); i++)
        many[i] = i % 2 == 0 ? 'a' : ' ';
    assert_true(tb_scope_good((struct tb_str){many, 2 * 64 - 1}));
    assert_false(tb_scope_good((struct tb_str){many, 2 * 65 - 1}));
}

static void compares_names_whole(void **state)
{
    (void)state;
    static const struct {
        const char *scope, *allowed;
        bool within;
    } rows[] = {
        {"a", "a b", true},    {"b a", "a b", true}, {"", "a", true},    {NULL, "a", true},
        {NULL, NULL, true},    {"a", NULL, false},   {"a", "ab", false}, {"ab", "a", false},
        {"a c", "a b", false}, {"A", "a", false},    {"a a", "a", true},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        if (tb_scope_within(tb_str(rows[i].scope), tb_str(rows[i].allowed)) != rows[i].within)
            fail_msg("%s in %s", rows[i].scope, rows[i].allowed);
    assert_true(tb_scope_has(TB_STR("openid accounts:read"), TB_STR("openid")));
    assert_false(tb_scope_has(TB_STR("openid accounts:read"), TB_STR("accounts")));
    assert_false(tb_scope_has(TB_STR_NONE, TB_STR("openid")));
}

static void joins_and_intersects_each_name_once(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    assert_string_equal(tb_scope_join(arena, TB_STR("a b"), TB_STR("b c a d")).at, "a b c d");
    assert_string_equal(tb_scope_join(arena, TB_STR_NONE, TB_STR("c c")).at, "c");
    assert_string_equal(tb_scope_join(arena, TB_STR_NONE, TB_STR_NONE).at, "");
    assert_string_equal(tb_scope_common(arena, TB_STR("a b c b"), TB_STR("c b x")).at, "b c");
    assert_string_equal(tb_scope_common(arena, TB_STR("a"), TB_STR_NONE).at, "");
    assert_string_equal(tb_scope_common(arena, TB_STR_NONE, TB_STR("a")).at, "");
    tb_arena_free(arena);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_well_formed_scopes_only),
    cmocka_unit_test(compares_names_whole),
    cmocka_unit_test(joins_and_intersects_each_name_once),
};
TEST_GROUP(tests, NULL, NULL);
