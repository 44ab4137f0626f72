/* Giving way: a script that computes for long is interrupted after every slice and goes on as if
 * nothing had been, others are served in between, and of many such calls one runs in each turn. */
#include "lua_fixture.h"

enum { CALLERS = 5 };

/* Computing that touches what an interruption could lose: loops of every kind, varargs, results
 * being collected, metamethods, concatenation, sorting, errors under way, upvalues, tail calls. */
static const char *const COMPUTING[] = {
    "local n = 0 for i = 1, 3000 do n = n + i end return n",
    "local n, i = 0, 0 while i < 3000 do i = i + 1 if i % 3 == 0 then n = n + i end end return n",
    "local n, i = 0, 0 repeat i = i + 1 n = n - i until i == 2000 return n",
    "local t = {} for i = 1, 500 do t[i] = i * 7 % 101 end table.sort(t, function(a, b) return a > b end) "
    "return table.concat(t, ',')",
    "local t = {} for i = 1, 400 do t['k' .. i] = i end local n = 0 for k, v in pairs(t) do n = n + v * #k end return n",
    "local function f(n) if n < 2 then return n end return f(n - 1) + f(n - 2) end return f(17)",
    "local function f(n, a) if n == 0 then return a end return f(n - 1, a + n) end return f(3000, 0)",
    "local function sum(...) local n = 0 for i = 1, select('#', ...) do n = n + select(i, ...) end return n end "
    "local function many(n, ...) if n == 0 then return sum(...) end return many(n - 1, n, ...) end return many(60)",
    "local m = {} m.__index = function(t, k) local n = 0 for i = 1, k do n = n + i end return n end "
    "m.__add = function(a, b) return (type(a) == 'number' and a or a[50]) + (type(b) == 'number' and b or b[40]) end "
    "m.__lt = function(a, b) return a[30] < b[31] end m.__concat = function(a, b) return tostring(#tostring(b)) end "
    "m.__call = function(self, a, b) for i = 1, 200 do a = a + b end return a end "
    "local t, u = setmetatable({}, m), setmetatable({}, m) local out = {} "
    "for i = 1, 20 do out[i] = t[i] + (t + 1) + (2 + u) + t(1, 2) + (t < u and 1 or 0) + #(t .. 'xy') end "
    "return table.concat(out, ' ')",
    "local s = '' for i = 1, 300 do s = s .. i .. ',' .. (i % 2 == 0 and 'a' or 'b') end return s",
    "local out = {} for i = 1, 100 do local ok, why = pcall(function(n) for j = 1, 50 do n = n + j end "
    "error('at ' .. n, 0) end, i) out[i] = tostring(ok) .. why end return table.concat(out)",
    "local function tell(why) local n = 0 for i = 1, 100 do n = n + i end return why .. n end "
    "local out = {} for i = 1, 50 do out[i] = select(2, xpcall(function() local x = nil + i end, tell)) end "
    "return table.concat(out)",
    "local list = {} for i = 1, 100 do list[i] = function() i = i + 1 return i end end local n = 0 "
    "for round = 1, 5 do for i = 1, 100 do n = n + list[i]() end end return n",
    "local t = { (function() local a = {} for i = 1, 120 do a[i] = i end return unpack(a) end)() } return #t + t[120]",
    "local function each(t) local i = 0 return function() i = i + 1 return t[i] end end local n = 0 "
    "for v in each({ 5, 6, 7, 8, 9 }) do for w in each({ 1, 2, 3 }) do n = n * 3 + v * w end end return n",
    "local out = {} for i = 1, 40 do out[i] = money.format(money.of(i * 12345, 'CNY')) .. time.shift('2026-01-31', i) end "
    "return table.concat(out)",
    "local n = 0 for i = 1, 200 do n = n + #tb.replace('a' .. i, '[0-9]', 'x') + (tb.match('k' .. i, '[0-9]+') + 0) end return n",
    "goto on ::back:: do return 'back' end ::on:: local n = 0 for i = 1, 2000 do n = n + i if n > 5e5 then goto back end end return n",
};

static char *outcome(const struct tb_script_limits *limits, const char *body)
{
    struct stage stage;
    stage_begin_within(&stage, limits, stage_hook(body), "{}");
    stage_run(&stage);
    if (stage.result.end != TB_SCRIPT_DONE || stage.decision == NULL)
        fail_msg("%s: %s\n%s", tb_script_end_word(stage.result.end), stage.result.why, body);
    char *out = strdup(stage.decision);
    stage_end(&stage);
    return out;
}

static void goes_on_as_if_nothing_had_been(void **state)
{
    (void)state;
    struct tb_script_limits never = *stage_limits(), always = never;
    never.turn_us = 1000 * 1000;
    always.turn_us = 0; /* at every look at the clock */
    always.cpu_us *= 20;
    always.wall_ms *= 20;
    for (size_t i = 0; i < COUNT(COMPUTING); i++) {
        char *expected = outcome(&never, COMPUTING[i]), *got = outcome(&always, COMPUTING[i]);
        assert_string_equal(got, expected);
        free(expected);
        free(got);
    }
}

/* ---- beside each other ---- */

struct turns {
    struct tb_script *script;
    int64_t turn; /**< of the bystander, who takes one in each of the loop's */
    int under_way;
};

struct caller {
    struct turns *turns;
    struct tb_script_result result;
    const char *hook;
    tb_err err;
};

static tb_err TB_SUSPENDS compute(struct tb_req *req, void *arg)
{
    struct caller *caller = arg;
    struct tb_script_call call = {.hook = caller->hook, .now_ms = 1700000000123};
    call.members = &(struct tb_script_member){.name = "id", .text = TB_STR("r")};
    call.members_n = 1;
    caller->err = tb_script_run(req, caller->turns->script, &call, &caller->result);
    caller->turns->under_way--;
    return NULL;
}

/* Somebody else on the worker. */
static tb_err TB_SUSPENDS stand_by(struct tb_req *req, void *arg)
{
    struct turns *turns = arg;
    while (turns->under_way > 0) {
        TB_TRY(tb_sleep(req, 0));
        turns->turn++;
    }
    return NULL;
}

static const char LONG[] =
    "return { on_request = function() local n = 0 for i = 1, 40000 do n = n + i % 7 end return { n = n } end,\n"
    "inside = function() return { s = tostring(setmetatable({}, { __tostring = function()\n"
    "for i = 1, 400000 do end return 'x' end })) } end }";

static void run_beside(struct turns *turns, struct caller *callers, int n, const char *hook,
                       const struct tb_script_limits *limits)
{
    char why[TB_SCRIPT_WHY_BYTES];
    struct tb_loop *loop = tb_loop_new();
    *turns = (struct turns){.script = tb_script_new(limits, tb_str(LONG), why, sizeof(why)),
                            .under_way = n};
    assert_non_null(turns->script);
    for (int i = 0; i < n; i++) {
        callers[i] = (struct caller){.turns = turns, .hook = hook};
        assert_null(tb_run_detached(loop, "caller", compute, &callers[i], 60000));
    }
    assert_null(tb_run_to_end(loop, stand_by, turns, 60000));
    tb_script_free(turns->script);
    tb_loop_free(loop);
}

static void lets_others_have_their_turn(void **state)
{
    (void)state;
    struct turns turns;
    struct caller callers[CALLERS];
    struct tb_script_limits limits = *stage_limits();
    limits.cpu_us *= 20;
    limits.wall_ms *= 20;
    limits.turn_us = 0;
    run_beside(&turns, callers, 1, "on_request", &limits);
    int64_t alone = turns.turn;
    assert_int_equal(callers[0].result.end, TB_SCRIPT_DONE);
    assert_in_range(alone, 100, 100000); /* 40,000 rounds of a loop, looked at every 100 steps */
    run_beside(&turns, callers, CALLERS, "on_request", &limits);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(callers[i].result.end, TB_SCRIPT_DONE);
    assert_true(turns.turn >= CALLERS * (alone - 1)); /* one slice in a turn, of all calls */
}

static void counts_what_could_not_give_way(void **state)
{
    (void)state;
    struct turns turns;
    struct caller caller;
    struct tb_script_limits limits = *stage_limits();
    limits.cpu_us *= 20;
    limits.wall_ms *= 20;
    limits.turn_us = 0;
    run_beside(&turns, &caller, 1, "on_request", &limits);
    assert_true(caller.result.held_ns < caller.result.cpu_ns / 2);
    run_beside(&turns, &caller, 1, "inside", &limits);
    assert_int_equal(caller.result.end, TB_SCRIPT_DONE);
    assert_true(turns.turn <= 2);
    assert_true(caller.result.held_ns > caller.result.cpu_ns / 2);
}

/* ---- ends ---- */

/* Each caller has another deadline, so calls end at every place of the line. */
static void leaves_the_line_when_its_request_ends(void **state)
{
    (void)state;
    char why[TB_SCRIPT_WHY_BYTES];
    struct tb_script_limits limits = *stage_limits();
    limits.cpu_us = limits.wall_ms * 1000;
    limits.turn_us = 0;
    static const char endless[] = "return { on_request = function() while true do end end }";
    struct turns turns = {.script = tb_script_new(&limits, tb_str(endless), why, sizeof(why)),
                          .under_way = CALLERS};
    struct caller callers[CALLERS];
    struct tb_loop *loop = tb_loop_new();
    static const int64_t within_ms[CALLERS] = {30, 5, 50, 10, 20};
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.turns = &turns, .hook = "on_request"};
        assert_null(tb_run_detached(loop, "caller", compute, &callers[i], within_ms[i]));
    }
    assert_null(tb_run_to_end(loop, stand_by, &turns, 60000));
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].result.end, TB_SCRIPT_ENDED);
        assert_true(tb_is(callers[i].err, TB_E_DEADLINE));
    }
    assert_true(tb_script_idle(turns.script));
    tb_script_free(turns.script);
    tb_loop_free(loop);
}

/* Also where what is left ends with a slice, so that the next one begins with less than nothing. */
static void ends_when_its_slices_have_used_up_the_budget(void **state)
{
    (void)state;
    struct tb_script_limits limits = *stage_limits();
    limits.cpu_us = 1000 * stage_stretch();
    limits.turn_us = 0;
    limits.wall_ms = 5000 * stage_stretch();
    for (int i = 0; i < 100; i++) {
        struct stage stage;
        stage_begin_within(&stage, &limits, stage_hook("while true do end"), "{}");
        stage_run(&stage);
        assert_int_equal(stage.result.end, TB_SCRIPT_BUDGET);
        assert_non_null(strstr(stage.result.why, "the budget of this call is used up"));
        stage_end(&stage);
    }
}

static void ends_when_its_turns_have_taken_too_long(void **state)
{
    (void)state;
    struct turns turns;
    struct caller callers[CALLERS];
    struct tb_script_limits limits = *stage_limits();
    limits.cpu_us *= 200;
    limits.turn_us = 0;
    limits.wall_ms = 1;
    run_beside(&turns, callers, CALLERS, "on_request", &limits);
    int ended = 0;
    for (int i = 0; i < CALLERS; i++)
        ended += callers[i].result.end == TB_SCRIPT_BUDGET &&
                 strstr(callers[i].result.why, "the call has taken too long") != NULL;
    assert_true(ended > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(goes_on_as_if_nothing_had_been),
    cmocka_unit_test(lets_others_have_their_turn),
    cmocka_unit_test(counts_what_could_not_give_way),
    cmocka_unit_test(leaves_the_line_when_its_request_ends),
    cmocka_unit_test(ends_when_its_slices_have_used_up_the_budget),
    cmocka_unit_test(ends_when_its_turns_have_taken_too_long),
};
TEST_GROUP(tests, NULL, NULL);
