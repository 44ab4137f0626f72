/* Requests that end while their script waits: at every place of Lua where a script can wait and in
 * every way a wait can end, alone and beside others in the same state. The script ends there, what
 * it had goes back, and the others notice nothing. */
#include "lua_fixture.h"

enum { CALLERS = 4, LOOKUPS_MOST = 3 };

/* Each waits once for `n` of the entry '1', and returns it: by a way that differs for Lua. */
static const char *const PLACES[] = {
    "return tb.lookup('t', '1').n",
    "local entry = tb.lookup('t', '1') return entry.n",
    "return (select(2, pcall(function() return tb.lookup('t', '1').n end)))",
    "return select(2, pcall(tb.lookup, 't', '1')).n",
    "return select(4, pcall(pcall, pcall, tb.lookup, 't', '1')).n",
    "return select(2, xpcall(function() return tb.lookup('t', '1').n end, error))",
    "return select(2, xpcall(error, function() return tb.lookup('t', '1').n end))",
    "return setmetatable({}, { __index = function() return tb.lookup('t', '1').n end }).x",
    "local n setmetatable({}, { __newindex = function() n = tb.lookup('t', '1').n end }).x = 1 return n",
    "return setmetatable({}, { __call = function() return tb.lookup('t', '1').n end })()",
    "return setmetatable({}, { __concat = function() return tb.lookup('t', '1').n end }) .. 'x'",
    "return tonumber('' .. '' .. setmetatable({}, { __concat = function() return tb.lookup('t', '1').n end }))",
    "return setmetatable({}, { __add = function() return tb.lookup('t', '1').n end }) + 1",
    "return -setmetatable({}, { __unm = function() return tb.lookup('t', '1').n end })",
    "local n local m = { __lt = function() n = tb.lookup('t', '1').n return true end } "
    "return setmetatable({}, m) < setmetatable({}, m) and n",
    "local n local m = { __le = function() n = tb.lookup('t', '1').n return true end } "
    "return setmetatable({}, m) <= setmetatable({}, m) and n",
    "local n local m = { __eq = function() n = tb.lookup('t', '1').n return true end } "
    "return setmetatable({}, m) == setmetatable({}, m) and n",
    "for n in function(_, last) return last == nil and tb.lookup('t', '1').n or nil end do return n end",
    "for entry in tb.lookup, 't', '1' do return entry.n end",
    "local n table.sort({ 2, 1 }, function(a, b) n = tb.lookup('t', '1').n return a < b end) return n",
    "return tables.map({ '1' }, function(key) return tb.lookup('t', key).n end)[1]",
    "return tables.find({ '1' }, function(key) return tb.lookup('t', key).n end) == '1' and request.n",
    "return decision.rules({ function() return { approvals = tb.lookup('t', '1').n } end })(request).approvals",
    "local t = {} for i = 1, 200 do t[i] = ('x'):rep(100) .. i end local n = tb.lookup('t', '1').n return #t == 200 and n",
    "local function deep(n) if n == 0 then return tb.lookup('t', '1').n end return (deep(n - 1)) end return deep(100)",
    "local f = function(...) return tb.lookup(...).n end return (f('t', '1', 2, 3))",
    "for i = 1, 10 do if i == 5 then return tb.lookup('t', '1').n end end",
    "return tb.lookup('t', tb.lookup('t', tb.lookup('t', '0') and '2') and '1').n",
};

/* In each of them a wait is refused, because the host's own frames stand between. */
static const char *const REFUSED_PLACES[] = {
    "return tostring(setmetatable({}, { __tostring = function() return tb.lookup('t', '1').n end }))",
    "local m = { __tostring = function() return tb.lookup('t', '1').n end } "
    "local good = pcall(tostring, setmetatable({}, m)) assert(good) return 1",
};

enum fate {
    CANCELLED,  /* the client is gone, or its connection was closed by a worker that drains */
    LATE,       /* the request's deadline passes */
    NO_BOOKS,   /* PostgreSQL is gone */
    OVERLOADED, /* no connection was free in time */
    FATES
};

/* What the runner is told by a lookup that does not come back as it should. */
static const char *const CODES[FATES] = {[CANCELLED] = "cancelled",
                                         [LATE] = "deadline",
                                         [NO_BOOKS] = "store",
                                         [OVERLOADED] = "overload"};

struct caller {
    struct stage *stage;
    struct tb_run *run; /* while it runs */
    struct tb_script_result result;
    char *decision;
    tb_err err;
    int number, waits, end_at; /* 0: it runs to its end */
    enum fate fate;
    bool over;
};

/* It ends the wait that is under way. */
struct end_timer {
    struct tb_timer timer;
    struct caller *caller;
};

static void cancel(struct tb_timer *timer)
{
    tb_run_cancel(((struct end_timer *)timer)->caller->run);
}

static tb_err TB_SUSPENDS entry(struct tb_req *req, void *arg, struct tb_str table,
                                struct tb_str key, json_t **out)
{
    struct caller *caller = arg;
    struct tb_loop *loop = caller->run->loop;
    (void)table, (void)key;
    bool ends = ++caller->waits == caller->end_at;
    if (ends && caller->fate == NO_BOOKS)
        return TB_E_STORE;
    if (ends && caller->fate == OVERLOADED)
        return TB_E_OVERLOAD;
    if (ends && caller->fate == LATE)
        caller->run->deadline_ms = tb_loop_now_ms(loop) + 1;
    struct end_timer end = {.timer = {.fired = cancel}, .caller = caller};
    if (ends && caller->fate == CANCELLED)
        tb_timer_start(loop, &end.timer, 1);
    tb_err err = tb_sleep(req, ends ? 10000 : 1);
    tb_timer_stop(loop, &end.timer);
    TB_TRY(err);
    *out = json_pack("{s:i}", "n", caller->number);
    return NULL;
}

static tb_err TB_SUSPENDS call(struct tb_req *req, void *arg)
{
    struct caller *caller = arg;
    json_t *input = json_pack("{s:i}", "n", caller->number);
    struct tb_script_call one = caller->stage->call;
    one.input = input;
    one.lookup = entry;
    one.lookup_arg = caller;
    caller->run = tb_run_of(req);
    caller->err = tb_script_run(req, caller->stage->script, &one, &caller->result);
    if (caller->result.decision != NULL)
        caller->decision = json_dumps(caller->result.decision, JSON_ENCODE_ANY);
    json_decref(input);
    caller->over = true;
    return NULL;
}

/* Start the callers at once, and take turns until the last of them is over. */
static void run_callers(struct stage *stage, struct caller *callers, int n)
{
    for (int i = 0; i < n; i++) {
        callers[i].stage = stage;
        callers[i].number = i + 1;
        assert_null(tb_run_detached(stage->loop, "caller", call, &callers[i], 30000));
    }
    for (int i = 0; i < n; i++)
        while (!callers[i].over)
            tb_loop_turn(stage->loop, 100);
    assert_true(tb_script_idle(stage->script));
}

static tb_err error_of(enum fate fate)
{
    switch (fate) {
    case CANCELLED:
        return TB_E_CANCELLED;
    case LATE:
        return TB_E_DEADLINE;
    case NO_BOOKS:
        return TB_E_STORE;
    default:
        return TB_E_OVERLOAD;
    }
}

static void check_end(struct caller *caller, const char *place)
{
    char wanted[16];
    snprintf(wanted, sizeof(wanted), "%d", caller->number);
    if (caller->end_at == 0) {
        if (caller->decision == NULL || strcmp(caller->decision, wanted) != 0)
            fail_msg("%s: %s, %s", place, caller->decision, caller->result.why);
        assert_null(caller->err);
    } else {
        if (caller->result.end != TB_SCRIPT_ENDED || caller->waits != caller->end_at ||
            !tb_is(caller->err, error_of(caller->fate)))
            fail_msg("%s, %s: %s after %d waits, %s", place, CODES[caller->fate],
                     tb_script_end_word(caller->result.end), caller->waits, caller->result.why);
        assert_null(caller->decision);
    }
    free(caller->decision);
}

/* How often the script waits when nothing ends it. */
static int waits_of(struct stage *stage, const char *place)
{
    struct caller caller = {.end_at = 0};
    run_callers(stage, &caller, 1);
    check_end(&caller, place);
    assert_in_range(caller.waits, 1, LOOKUPS_MOST);
    return caller.waits;
}

static void ends_with_its_request_at_any_wait(void **state)
{
    (void)state;
    for (size_t place = 0; place < COUNT(PLACES); place++) {
        struct stage stage;
        stage_begin(&stage, stage_hook(PLACES[place]), "{}");
        int waits = waits_of(&stage, PLACES[place]);
        for (int at = 1; at <= waits; at++)
            for (enum fate fate = CANCELLED; fate < FATES; fate++) {
                struct caller caller = {.end_at = at, .fate = fate};
                run_callers(&stage, &caller, 1);
                check_end(&caller, PLACES[place]);
            }
        waits_of(&stage, PLACES[place]); /* the state is as good as before */
        assert_false(tb_script_worn(stage.script));
        stage_end(&stage);
    }
}

static void ends_beside_others_in_the_same_state(void **state)
{
    (void)state;
    for (size_t place = 0; place < COUNT(PLACES); place++) {
        struct stage stage;
        stage_begin(&stage, stage_hook(PLACES[place]), "{}");
        int waits = waits_of(&stage, PLACES[place]);
        for (enum fate fate = CANCELLED; fate < FATES; fate++) {
            struct caller callers[CALLERS] = {{.end_at = 1, .fate = fate},
                                              {.end_at = 0},
                                              {.end_at = waits, .fate = fate},
                                              {.end_at = 0}};
            run_callers(&stage, callers, CALLERS);
            for (int i = 0; i < CALLERS; i++)
                check_end(&callers[i], PLACES[place]);
        }
        stage_end(&stage);
    }
}

static void refuses_to_wait_within_the_hosts_own_frames(void **state)
{
    (void)state;
    for (size_t place = 0; place < COUNT(REFUSED_PLACES); place++) {
        struct stage stage;
        struct caller caller = {.end_at = 0};
        stage_begin(&stage, stage_hook(REFUSED_PLACES[place]), "{}");
        run_callers(&stage, &caller, 1);
        assert_int_equal(caller.result.end, TB_SCRIPT_ERROR);
        assert_int_equal(caller.waits, 0);
        stage_end(&stage);
    }
}

/* An entry that no memory is left for ends the call, in the host's hands as in the script's. */
static tb_err TB_SUSPENDS big_entry(struct tb_req *req, void *arg, struct tb_str table,
                                    struct tb_str key, json_t **out)
{
    (void)arg, (void)table, (void)key;
    TB_TRY(tb_sleep(req, 0));
    *out = json_array();
    for (int i = 0; i < 4000; i++)
        json_array_append_new(*out, json_pack("{s:i}", "i", i));
    return NULL;
}

static void ends_where_an_entry_does_not_fit(void **state)
{
    (void)state;
    struct tb_script_limits limits = *stage_limits();
    limits.memory_bytes = 128 * 1024;
    for (size_t place = 0; place < COUNT(PLACES); place++) {
        struct stage stage;
        stage_begin_within(&stage, &limits, stage_hook(PLACES[place]), "{}");
        stage.call.lookup = big_entry;
        stage_run(&stage);
        assert_null(stage.err);
        assert_int_equal(stage.result.end, TB_SCRIPT_MEMORY);
        assert_true(tb_script_worn(stage.script) && tb_script_idle(stage.script));
        stage_end(&stage);
    }
}

/* Waits that take longer than the call may end it, as does the budget that is used up between them.
 */
static tb_err TB_SUSPENDS slow_entry(struct tb_req *req, void *arg, struct tb_str table,
                                     struct tb_str key, json_t **out)
{
    (void)arg, (void)table, (void)key;
    TB_TRY(tb_sleep(req, 30));
    *out = json_pack("{s:i}", "n", 1);
    return NULL;
}

static void ends_when_its_waits_have_taken_too_long(void **state)
{
    (void)state;
    struct tb_script_limits limits = *stage_limits();
    limits.wall_ms = 10;
    for (size_t place = 0; place < COUNT(PLACES); place++) {
        struct stage stage;
        stage_begin_within(&stage, &limits, stage_hook(PLACES[place]), "{}");
        stage.call.lookup = slow_entry;
        stage_run(&stage);
        assert_null(stage.err);
        assert_int_equal(stage.result.end, TB_SCRIPT_BUDGET);
        assert_true(tb_script_idle(stage.script));
        stage_end(&stage);
    }
}

/* Threads of calls that never came back are garbage: a thousand leave what ten do. */
static void leaves_nothing_of_calls_that_were_cut_off(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage, stage_hook(PLACES[COUNT(PLACES) - 1]), "{}");
    size_t most = 0;
    for (int i = 0; i < 1000; i++) {
        struct caller caller = {.end_at = 1 + i % LOOKUPS_MOST, .fate = NO_BOOKS};
        run_callers(&stage, &caller, 1);
        check_end(&caller, "lookups within each other");
        if (i <= 100)
            most = tb_script_bytes(stage.script) > most ? tb_script_bytes(stage.script) : most;
        assert_true(tb_script_bytes(stage.script) <= 2 * most);
    }
    stage_end(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ends_with_its_request_at_any_wait),
    cmocka_unit_test(ends_beside_others_in_the_same_state),
    cmocka_unit_test(refuses_to_wait_within_the_hosts_own_frames),
    cmocka_unit_test(ends_where_an_entry_does_not_fit),
    cmocka_unit_test(ends_when_its_waits_have_taken_too_long),
    cmocka_unit_test(leaves_nothing_of_calls_that_were_cut_off),
};
TEST_GROUP(tests, NULL, NULL);
