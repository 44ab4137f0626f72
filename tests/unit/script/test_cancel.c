/* Requests that end while their script waits: at each of its waits, alone and beside others in the
 * same state. The script ends there, its thread goes back, and the others notice nothing. */
#include "stage.h"

enum { WAITS = 5, CALLERS = 4 };

/* A wait at every place that differs for the runner: plain, under pcall, in a metamethod, in an
 * iterator, in an error's handler. */
static const char *const BODY =
    "local seen = { tb.lookup('t', '1').n }\n"
    "pcall(function() seen[2] = tb.lookup('t', '2').n error('x') end)\n"
    "seen[3] = setmetatable({}, { __index = function(_, k) return tb.lookup('t', k).n end })['3']\n"
    "for n in function(_, last) return last == nil and tb.lookup('t', '4').n or nil end do seen[4] = n end\n"
    "xpcall(error, function() seen[5] = tb.lookup('t', '5').n end)\n"
    "return seen";

/* What the runner is told by a lookup that does not come back as it should. */
enum fate { CANCELLED, LATE, REFUSED, FATES };

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
    if (ends && caller->fate == REFUSED)
        return TB_E_STORE;
    if (ends && caller->fate == LATE)
        caller->run->deadline_ms = tb_loop_now_ms(loop) + 1;
    struct end_timer end = {.timer = {.fired = cancel}, .caller = caller};
    if (ends && caller->fate == CANCELLED)
        tb_timer_start(loop, &end.timer, 1);
    tb_err err = tb_sleep(req, ends ? 10000 : 1);
    tb_timer_stop(loop, &end.timer);
    TB_TRY(err);
    *out = json_pack("{s:i}", "n", caller->number * 10 + caller->waits);
    return NULL;
}

static tb_err TB_SUSPENDS call(struct tb_req *req, void *arg)
{
    struct caller *caller = arg;
    struct tb_script_call one = caller->stage->call;
    one.lookup = entry;
    one.lookup_arg = caller;
    caller->run = tb_run_of(req);
    caller->err = tb_script_run(req, caller->stage->script, &one, &caller->result);
    if (caller->result.decision != NULL)
        caller->decision = json_dumps(caller->result.decision, JSON_SORT_KEYS);
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

static void check_end(struct caller *caller)
{
    char wanted[96];
    int ten = caller->number * 10;
    snprintf(wanted, sizeof wanted, "[%d, %d, %d, %d, %d]", ten + 1, ten + 2, ten + 3, ten + 4,
             ten + 5);
    if (caller->end_at == 0) {
        assert_null(caller->err);
        assert_string_equal(caller->result.why, "");
        assert_string_equal(caller->decision, wanted);
    } else {
        assert_int_equal(caller->result.end, TB_SCRIPT_ENDED);
        assert_null(caller->decision);
        assert_int_equal(caller->waits, caller->end_at);
        assert_true(tb_is(caller->err, caller->fate == CANCELLED ? TB_E_CANCELLED
                                       : caller->fate == LATE    ? TB_E_DEADLINE
                                                                 : TB_E_STORE));
    }
    free(caller->decision);
}

static void ends_with_its_request_at_any_wait(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage, stage_hook(BODY), "{}");
    for (int at = 0; at <= WAITS; at++)
        for (enum fate fate = CANCELLED; fate < FATES; fate++) {
            struct caller caller = {.end_at = at, .fate = fate};
            run_callers(&stage, &caller, 1);
            check_end(&caller);
        }
    assert_false(tb_script_worn(stage.script));
    stage_end(&stage);
}

static void ends_beside_others_in_the_same_state(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage, stage_hook(BODY), "{}");
    for (int at = 1; at <= WAITS; at++)
        for (enum fate fate = CANCELLED; fate < FATES; fate++) {
            struct caller callers[CALLERS] = {{.end_at = at, .fate = fate},
                                              {.end_at = 0},
                                              {.end_at = WAITS + 1 - at, .fate = fate}};
            run_callers(&stage, callers, CALLERS);
            for (int i = 0; i < CALLERS; i++)
                check_end(&callers[i]);
        }
    stage_end(&stage);
}

/* Threads of calls that never came back are garbage: a thousand leave what ten do. */
static void leaves_nothing_of_calls_that_were_cut_off(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage, stage_hook(BODY), "{}");
    size_t most = 0;
    for (int i = 0; i < 1000; i++) {
        struct caller caller = {.end_at = 1 + i % WAITS, .fate = REFUSED};
        run_callers(&stage, &caller, 1);
        check_end(&caller);
        if (i <= 100)
            most = tb_script_bytes(stage.script) > most ? tb_script_bytes(stage.script) : most;
        assert_true(tb_script_bytes(stage.script) <= 2 * most);
    }
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_with_its_request_at_any_wait),
        cmocka_unit_test(ends_beside_others_in_the_same_state),
        cmocka_unit_test(leaves_nothing_of_calls_that_were_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
