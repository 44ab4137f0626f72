/* The pipeline alone, with stages that do as they are told: their order, and what the decision
 * trace keeps of each. */
#include "../unit.h"

#include <stdint.h>

#include "../../../core/gateway/stage/pipeline.c"

#include <unistd.h>

enum { STAGES_N = TB_COUNT(STAGES), NOBODY = -1 };

static int refuser = NOBODY; /* the stage that refuses */
static const char *words;    /* the detail it refuses with; NULL: an error without words */
static size_t seen[STAGES_N], seen_n;
static int sleeper = NOBODY; /* the stage that takes 3 ms */

static tb_err told(struct tb_exchange *x, size_t stage)
{
    assert_true(seen_n < STAGES_N);
    seen[seen_n++] = stage;
    if ((int)stage == sleeper)
        usleep(3000);
    if ((int)stage != refuser)
        return NULL;
    return words == NULL ? TB_E_OVERLOAD : tb_fail(&x->run.req, TB_E_CONFLICT, "%s", words);
}

#define STAGE(n, function)                                                                         \
    tb_err function(struct tb_exchange *x)                                                         \
    {                                                                                              \
        return told(x, n);                                                                         \
    }

STAGE(0, tb_stage_admit)
STAGE(1, tb_stage_route)
STAGE(2, tb_stage_authenticate)
STAGE(3, tb_stage_constrain)
STAGE(4, tb_stage_entitle)
STAGE(5, tb_stage_limit)
STAGE(6, tb_stage_query)
STAGE(7, tb_stage_body)
STAGE(8, tb_stage_script_before)
STAGE(9, tb_stage_schema)
STAGE(10, tb_stage_consent)
STAGE(11, tb_stage_idempotency)
STAGE(12, tb_stage_handler)
STAGE(13, tb_stage_script_after)
STAGE(14, tb_stage_reply_schema)

static struct tb_exchange x;
static struct tb_arena *arena;

/* What a request leaves in the trace, and the last one left there. */
static tb_err walk(int who, const char *why)
{
    refuser = who;
    words = why;
    seen_n = 0;
    tb_arena_reset(arena);
    x.run = (struct tb_run){.req = {&tb_run_host}, .arena = arena};
    x.trace.refused_by = UINT8_MAX;
    x.trace.stages_n = 0;
    x.trace.why[0] = '\0';
    return tb_pipeline_run(&x);
}

static int open_all(void **state)
{
    (void)state;
    arena = tb_arena_new(TB_ARENA_CAP);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    tb_arena_free(arena);
    return 0;
}

static void names_its_stages_in_order(void **state)
{
    (void)state;
    static const char *const names[] = {
        "admit",   "route",       "authenticate", "constrain",     "entitle",
        "limit",   "query",       "body",         "script:before", "schema",
        "consent", "idempotency", "handler",      "script:after",  "reply",
    };
    const char *const *found = tb_pipeline_names();
    for (size_t i = 0; i < TB_COUNT(names); i++)
        assert_string_equal(found[i], names[i]);
    assert_null(found[TB_COUNT(names)]);
}

static void passes_a_request_through_every_stage_once(void **state)
{
    (void)state;
    assert_null(walk(NOBODY, NULL));
    assert_int_equal(seen_n, STAGES_N);
    assert_int_equal(x.trace.stages_n, STAGES_N);
    assert_int_equal(x.trace.refused_by, UINT8_MAX);
    assert_string_equal(x.trace.why, "");
    for (size_t i = 0; i < STAGES_N; i++) {
        assert_int_equal(seen[i], i);
        assert_int_equal(x.trace.verdict[i], TB_VERDICT_PASS);
    }
}

static void ends_at_whichever_stage_refuses(void **state)
{
    (void)state;
    for (int who = 0; who < STAGES_N; who++) {
        tb_err err = walk(who, "it may not");
        assert_true(tb_is(err, TB_E_CONFLICT));
        assert_int_equal(seen_n, who + 1);
        assert_int_equal(x.trace.stages_n, who + 1);
        assert_int_equal(x.trace.refused_by, who);
        assert_string_equal(x.trace.why, "it may not");
        for (int i = 0; i < who; i++)
            assert_int_equal(x.trace.verdict[i], TB_VERDICT_PASS);
        assert_int_equal(x.trace.verdict[who], TB_VERDICT_REFUSE);
    }
}

static void keeps_the_words_of_a_refusal_as_far_as_they_fit(void **state)
{
    (void)state;
    char line[] = "a line that is longer than a trace has room for, so that its end must be left "
                  "out at byte 95 or before";
    for (size_t n = TB_TRACE_WHY_BYTES - 2; n <= TB_TRACE_WHY_BYTES + 1; n++) {
        char detail[TB_TRACE_WHY_BYTES + 8];
        size_t kept = n < TB_TRACE_WHY_BYTES ? n : TB_TRACE_WHY_BYTES - 1;
        memcpy(detail, line, n);
        detail[n] = '\0';
        assert_non_null(walk(1, detail));
        assert_int_equal(strlen(x.trace.why), kept);
        assert_memory_equal(x.trace.why, detail, kept);
    }
    assert_non_null(walk(1, ""));
    assert_string_equal(x.trace.why, "");
    assert_true(tb_is(walk(2, NULL), TB_E_OVERLOAD));
    assert_string_equal(x.trace.why, TB_E_OVERLOAD->title);
}

/* "款" has three bytes: all of it stands in the trace or nothing. */
static void cuts_words_between_two_characters(void **state)
{
    (void)state;
    for (size_t before = TB_TRACE_WHY_BYTES - 5; before < TB_TRACE_WHY_BYTES; before++) {
        char detail[TB_TRACE_WHY_BYTES + 8];
        memset(detail, 'a', before);
        memcpy(detail + before, "\xe6\xac\xbe\xe6\xac\xbe", 7);
        assert_non_null(walk(0, detail));
        size_t room = TB_TRACE_WHY_BYTES - 1 - before;
        assert_int_equal(strlen(x.trace.why), before + room / 3 * 3);
    }
}

static void measures_each_stage_by_itself(void **state)
{
    (void)state;
    sleeper = 7;
    assert_null(walk(NOBODY, NULL));
    sleeper = NOBODY;
    for (size_t i = 0; i < STAGES_N; i++)
        if (i != 7)
            assert_true(x.trace.ticks[i] < x.trace.ticks[7]);
    uint64_t slow = x.trace.ticks[7];
    assert_null(walk(NOBODY, NULL));
    assert_true(x.trace.ticks[7] < slow); /* nothing is left of the request before */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_its_stages_in_order),
    cmocka_unit_test(passes_a_request_through_every_stage_once),
    cmocka_unit_test(ends_at_whichever_stage_refuses),
    cmocka_unit_test(keeps_the_words_of_a_refusal_as_far_as_they_fit),
    cmocka_unit_test(cuts_words_between_two_characters),
    cmocka_unit_test(measures_each_stage_by_itself),
};
TEST_GROUP(tests, open_all, close_all);
