/* Scripts that mean well: what they are given, what they can do with it, what they return. */
#include "lua_fixture.h"

/* ---- values ---- */

static void gives_back_what_it_was_given(void **state)
{
    (void)state;
    static const char *const values[] = {
        "{}",
        "[]",
        "{\"a\": []}",
        "{\"a\": {}}",
        "[[], [[]], {}]",
        "{\"a\": null, \"b\": [null, true, false]}",
        "{\"amount\": 9007199254740991, \"minus\": -9007199254740991}",
        "{\"text\": \"\\u901a\\u5b9d\"}",
        "[1, 2, 3, {\"a\": [4, [5, {\"b\": 6}]]}]",
        "\"text\"",
        "0",
        "{\"half\": 0.5}"};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct stage stage;
        stage_begin(&stage, stage_hook("return request"), values[i]);
        stage_run(&stage);
        char *wanted = json_dumps(stage.call.input, JSON_SORT_KEYS | JSON_ENCODE_ANY);
        assert_string_equal(stage.result.why, "");
        if (strcmp(wanted, "{}") != 0 && strcmp(stage.decision, wanted) != 0)
            fail_msg("%s became %s", wanted, stage.decision);
        free(wanted);
        stage_end(&stage);
    }
}

static void keeps_numbers_whole_that_a_double_cannot_hold(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage, stage_hook("return { kind = type(request.big), same = request.big }"),
                "{\"big\": 9223372036854775807}");
    stage_run(&stage);
    assert_string_equal(stage.decision,
                        "{\"kind\": \"string\", \"same\": \"9223372036854775807\"}");
    stage_end(&stage);
}

static void refuses_to_tell_what_json_does_not_have(void **state)
{
    (void)state;
    static const struct {
        const char *body, *why;
    } cases[] = {
        {"return function() end", "a function or another value"},
        {"return { a = tb }", "a function or another value"},
        {"return { 1, 2, x = 3 }", "a list has gaps or names"},
        {"return { [1] = 1, [3] = 3, [4] = 4 }", "a list has gaps or names"},
        {"return { [true] = 1 }", "a name is not a text"},
        {"return { 0 / 0 }", "a number is not finite"},
        {"return { x = 1 / 0 }", "a number is not finite"},
        {"return { '\\255' }", "a text is not UTF-8"},
        {"return { 'a\\0b' }", "a text holds a zero byte"},
        {"return { ['\\255'] = 1 }", "a name is not UTF-8"},
        {"return { ['a\\0b'] = 1 }", "a name is not a text"},
        {"local t = {} t.t = t return t", "nested too deep"},
        {"local t = {} for i = 1, 5000 do t[i] = i end return t", "too many values"},
        {"local t = {} for i = 1, 5000 do t['k' .. i] = i end return t", "more than 4,096 values"},
        {"local t = {} for i = 1, 5 do t[i] = ('x'):rep(20000) .. i end return t",
         "more than 64 KiB"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct stage stage;
        stage_begin(&stage, stage_hook(cases[i].body), "{}");
        stage_run(&stage);
        if (stage.result.end != TB_SCRIPT_ANSWER ||
            strstr(stage.result.why, cases[i].why) == NULL || stage.decision != NULL)
            fail_msg("%s: %s, %s", cases[i].body, tb_script_end_word(stage.result.end),
                     stage.result.why);
        stage_end(&stage);
    }
}

/* ---- the library ---- */

/* Each is an expression and what it is worth, as JSON. */
static const char *const WORTH[][2] = {
    {"tb.now()", "1700000000123"},
    {"tb.random(6) == tb.random(6) and tb.random(6) == tb.random(6) and tb.random(6) == tb.random(6)",
     "false"},
    {"tb.random(1)", "1"},
    {"tb.null == request.nothing", "true"},
    {"tb.match('order 17 of 20', '\\\\d+')", "\"17\""},
    {"{ tb.match('2026-11-23', '(\\\\d+)-(\\\\d+)-(\\\\d+)') }", "[\"2026\", \"11\", \"23\"]"},
    {"tb.match('a', 'b') == nil", "true"},
    {"tb.match('xay', 'a?', 3)", "\"\""},
    {"{ tb.find('ABC', '(?i)b') }", "[2, 2]"},
    {"{ tb.find('\xe9\x80\x9a\xe5\xae\x9d', '\xe5\xae\x9d') }", "[4, 6]"},
    {"{ tb.replace('a1b22', '(\\\\d+)', '<$1$$>') }", "[\"a<1$>b<22$>\", 2]"},
    {"{ tb.replace('aaa', 'a', 'b', 2) }", "[\"bba\", 2]"},
    {"{ tb.replace('ab', '', '-') }", "[\"-a-b-\", 3]"},
    {"('%5.2f|%s|%q'):format(1.5, 'x', 'y')", "\" 1.50|x|\\\"y\\\"\""},
    {"('abc'):upper() .. ('x'):rep(3, ',')", "\"ABCx,x,x\""},
    {"{ ('abc'):byte(1, -1) }", "[97, 98, 99]"},
    {"{ ('a.b.c'):find('.', 3, true) }", "[4, 4]"},
    {"('abc'):sub(2)", "\"bc\""},
    {"table.concat({ 1, 'b', 3 }, '-')", "\"1-b-3\""},
    {"tonumber('0x10') + tonumber('7', 8)", "23"},
    {"tonumber(('1'):rep(65)) == nil", "true"},
    {"tostring({}) .. tostring(nil) .. tostring(tb.null) .. tostring(12345678901234)",
     "\"tablenilnull12345678901234\""},
    {"math.max(1, 5, 3) + math.floor(2.7)", "7"},
    {"select('#', unpack({ 1, 2, 3 }))", "3"},
    {"pcall(error, 'x')", "false"},
    {"{ n = #{ 1, 2, 3 }, list = tb.array({}) }", "{\"list\": [], \"n\": 3}"},
};

static void has_a_library_that_does_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(WORTH); i++) {
        struct stage stage;
        char body[512];
        snprintf(body, sizeof(body), "return (%s)", WORTH[i][0]);
        if (WORTH[i][0][0] == '{')
            snprintf(body, sizeof(body), "return %s", WORTH[i][0]);
        stage_begin(&stage, stage_hook(body), "{\"nothing\": null}");
        stage_run(&stage);
        if (stage.decision == NULL || strcmp(stage.decision, WORTH[i][1]) != 0)
            fail_msg("%s is %s (%s), not %s", WORTH[i][0], stage.decision, stage.result.why,
                     WORTH[i][1]);
        stage_end(&stage);
    }
}

static void sorts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"local t = { 3, 1, 2 } table.sort(t) return t", "[1, 2, 3]"},
        {"local t = {} table.sort(t) return tb.array(t)", "[]"},
        {"local t = { 1 } table.sort(t) return t", "[1]"},
        {"local t = { 'b', 'a', 'c', 'e', 'd' } table.sort(t, function(a, b) return a > b end) return t",
         "[\"e\", \"d\", \"c\", \"b\", \"a\"]"},
        {"local t = { { 1, 'a' }, { 0, 'b' }, { 1, 'c' }, { 0, 'd' } } table.sort(t, function(a, b) return a[1] < b[1] end) "
         "return { t[1][2], t[2][2], t[3][2], t[4][2] }",
         "[\"b\", \"d\", \"a\", \"c\"]"},
        {"local t = { 5, 4, 3, 2, 1, 6, 7 } table.sort(t, function() return true end) return #t",
         "7"},
        {"local t = {} for i = 1, 300 do t[i] = i * 7919 % 300 end table.sort(t) for i = 2, 300 do "
         "if t[i] < t[i - 1] then return false end end return true",
         "true"},
        {"local t = { 1, 2, 3 } table.insert(t, 2, 9) table.insert(t, 4) return { t, table.remove(t, 1), table.remove(t), t }",
         "[[9, 2, 3], 1, 4, [9, 2, 3]]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct stage stage;
        stage_begin(&stage, stage_hook(cases[i][0]), "{}");
        stage_run(&stage);
        if (stage.decision == NULL || strcmp(stage.decision, cases[i][1]) != 0)
            fail_msg("%s: %s (%s)", cases[i][0], stage.decision, stage.result.why);
        stage_end(&stage);
    }
}

/* ---- calls ---- */

static void begins_every_call_anew(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage,
                "count = (count or 0) + 1\nlocal kept = {}\n"
                "return { on_request = function()\n"
                "  kept[#kept + 1] = 1; count = count + 1; string_count = (string_count or 0) + 1\n"
                "  return { count, #kept, string_count } end }",
                "{}");
    for (int i = 0; i < 3; i++) {
        stage_run(&stage);
        assert_string_equal(stage.decision, "[2, 1, 1]");
    }
    stage_end(&stage);
}

static void draws_the_same_numbers_for_the_same_seed(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage, stage_hook("return { tb.random(1000), tb.random(1000), tb.random(1000) }"),
                "{}");
    stage_run(&stage);
    char *first = stage.decision;
    stage.decision = NULL;
    stage_run(&stage);
    assert_string_equal(stage.decision, first);
    stage.call.seed = 8;
    stage_run(&stage);
    assert_string_not_equal(stage.decision, first);
    free(first);
    stage_end(&stage);
}

static void says_where_it_failed(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage, stage_hook("local x = nil\nreturn x.y"), "{}");
    stage_run(&stage);
    assert_int_equal(stage.result.end, TB_SCRIPT_ERROR);
    assert_non_null(strstr(stage.result.why, "script:3: attempt to index local 'x'"));
    assert_false(tb_script_worn(stage.script));
    stage_end(&stage);
}

static void refuses_texts_that_are_no_scripts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"return {", "script:1:"},
        {"", "returns a table"},
        {"return 1", "returns a table"},
        {"return { on_request = 1 }", "functions named"},
        {"return { function() end }", "functions named"},
        {"error('no')", "no"},
        {"while true do end", "budget"},
        {"return tb.lookup('a', 'b')", "yield"},
        {"\033LJ\002", "attempt to load"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[TB_SCRIPT_WHY_BYTES];
        assert_null(tb_script_new(&tb_script_limits, tb_str(cases[i][0]), why, sizeof(why)));
        if (strstr(why, cases[i][1]) == NULL)
            fail_msg("%s: %s", cases[i][0], why);
    }
}

/* ---- lookups ---- */

static tb_err TB_SUSPENDS slow_entry(struct tb_req *req, void *arg, struct tb_str table,
                                     struct tb_str key, json_t **out)
{
    int *asked = arg;
    ++*asked;
    TB_TRY(tb_sleep(req, 1));
    *out = tb_str_eq(key, TB_STR("missing"))
               ? NULL
               : json_pack("{s:s%, s:s%}", "table", table.at, table.n, "key", key.at, key.n);
    return NULL;
}

static void waits_for_entries_of_the_partners_tables(void **state)
{
    (void)state;
    struct stage stage;
    int asked = 0;
    stage_begin(
        &stage,
        stage_hook(
            "local good, entry = pcall(tb.lookup, 'payees', 'a')\n"
            "return { good, entry.key, tb.lookup('payees', 'b').table, tb.lookup('x', 'missing') == nil }"),
        "{}");
    stage.call.lookup = slow_entry;
    stage.call.lookup_arg = &asked;
    stage_run(&stage);
    assert_string_equal(stage.result.why, "");
    assert_string_equal(stage.decision, "[true, \"a\", \"payees\", true]");
    assert_int_equal(asked, 3);
    assert_int_equal(stage.result.lookups, 3);
    stage_end(&stage);
}

static void bounds_lookups_and_where_they_may_stand(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"for i = 1, 100 do\ntb.lookup('a', 'b') end", "script:3: a call has at most 16 lookups"},
        {"tables.map({ 1 }, function() for i = 1, 100 do local _ = tb.lookup('a', 'b') end end)",
         "script:2: a call has at most 16 lookups"},
        {"for i = 1, 16 do tb.lookup('a', 'b') end return tb.lookup('a', 'b')", "at most 16"},
        {"local t = setmetatable({}, { __index = function() return tb.lookup('a', 'b').key end }) return t.x == 'b'",
         ""},
        {"return tb.lookup({}, 1)", "string expected"},
        {"assert(tb.lookup(('x'):rep(41), 'b') == nil)", ""},
        {"assert(tb.lookup('a', ('x'):rep(513)) == nil)", ""},
        {"assert(tb.lookup('a', ('x'):rep(512)))", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct stage stage;
        int asked = 0;
        stage_begin(&stage, stage_hook(cases[i][0]), "{}");
        stage.call.lookup = slow_entry;
        stage.call.lookup_arg = &asked;
        stage_run(&stage);
        bool as_said = cases[i][1][0] == '\0' ? stage.result.why[0] == '\0'
                                              : strstr(stage.result.why, cases[i][1]) != NULL;
        if (!as_said || asked > TB_SCRIPT_LOOKUPS)
            fail_msg("%s: %s", cases[i][0], stage.result.why);
        stage_end(&stage);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gives_back_what_it_was_given),
    cmocka_unit_test(keeps_numbers_whole_that_a_double_cannot_hold),
    cmocka_unit_test(refuses_to_tell_what_json_does_not_have),
    cmocka_unit_test(has_a_library_that_does_what_it_says),
    cmocka_unit_test(sorts),
    cmocka_unit_test(begins_every_call_anew),
    cmocka_unit_test(draws_the_same_numbers_for_the_same_seed),
    cmocka_unit_test(says_where_it_failed),
    cmocka_unit_test(refuses_texts_that_are_no_scripts),
    cmocka_unit_test(waits_for_entries_of_the_partners_tables),
    cmocka_unit_test(bounds_lookups_and_where_they_may_stand),
};
TEST_GROUP(tests, NULL, NULL);
