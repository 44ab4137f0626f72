/* One batched call: what of the request the function sees, and what the request hears of the
 * function's answer, also of a wrong one and of one that does not fit. */
#include "../unit.h"

#include "calls_fixture.h"
#include <stdio.h>
#include <string.h>
#include <tongbao/plugin.h>

/* t.echo answers with the call as it sees it, t.say with what the body says: an array of answers.
 */
static const char FUNCTIONS[] =
    "create function t.echo(book int, calls tb.call[]) returns setof tb.answer language sql as"
    " $$ select c.n, 200, null, null, null, null, to_jsonb(c)::text, null::jsonb, false"
    "    from unnest(calls) c $$;"
    "create function t.say(book int, calls tb.call[]) returns setof tb.answer language sql as"
    " $$ select r.* from unnest(calls) c, jsonb_array_elements(c.body) x,"
    "    jsonb_populate_record(null::tb.answer, x) r $$;";

static int set_up(void **state)
{
    calls_set_up(state);
    pg_do(&stage.pg, FUNCTIONS);
    return 0;
}

static struct tb_call_context context;
static char heard[2048];

static struct tb_call_context plain_context(const char *body)
{
    return (struct tb_call_context){.book = 1,
                                    .partner = TB_STR("ptr_test"),
                                    .app = TB_STR("app_test"),
                                    .route = TB_STR("POST /t/v1/things"),
                                    .body = tb_str(body)};
}

static tb_err act_in_context(struct actor *actor)
{
    struct tb_answer answer;
    const struct tb_call call = {.function = actor->function};
    TB_TRY(tb_store_call(&actor->run.req, stage.store, &answer, &call, &context));
    snprintf(heard, sizeof(heard), "%.*s", (int)answer.body.n, answer.body.at);
    return NULL;
}

/* Call `function` with a body and without a key. */
static tb_err call(struct actor *actor, const char *function, const char *body)
{
    *actor = (struct actor){.function = function};
    context = plain_context(body);
    heard[0] = '\0';
    return stage_do(&stage, actor, act_in_context, ENOUGH_MS);
}

static void carries_the_path_the_consent_and_the_way(void **state)
{
    (void)state;
    const struct tb_path_param path[] = {{"thing", TB_STR("t_1")}, {"part", TB_STR("a \"b\"")}};
    static const char *const whole[] = {
        "\"path\": {\"part\": \"a \\\"b\\\"\", \"thing\": \"t_1\"}",
        "\"consent\": \"cns_1\"",
        "\"request\": \"req_1\"",
        "\"details\": [{\"type\": \"x\"}]",
        "\"routed\": {\"to\": \"there\"}",
        "\"body\": null",
    };
    struct actor actor = {.function = "t.echo"};
    stage_open(&stage, (struct tb_store_options){0});
    context = (struct tb_call_context){.book = 1,
                                       .partner = TB_STR("ptr_test"),
                                       .app = TB_STR("app_test"),
                                       .route = TB_STR("POST /t/v1/things"),
                                       .path = path,
                                       .path_n = TB_COUNT(path),
                                       .consent = TB_STR("cns_1"),
                                       .details = TB_STR("[{\"type\":\"x\"}]"),
                                       .request = TB_STR("req_1"),
                                       .routed = TB_STR("{\"to\":\"there\"}")};
    assert_null(stage_do(&stage, &actor, act_in_context, ENOUGH_MS));
    for (size_t i = 0; i < TB_COUNT(whole); i++)
        assert_non_null(strstr(heard, whole[i]));
    context.details = TB_STR_NONE;
    assert_null(stage_do(&stage, &actor, act_in_context, ENOUGH_MS));
    assert_non_null(strstr(heard, "\"details\": null"));
    stage_close(&stage);
}

static void takes_the_first_answer_to_each_call_and_none_to_others(void **state)
{
    (void)state;
    struct actor actor;
    stage_open(&stage, (struct tb_store_options){0});
    assert_null(call(&actor, "t.say",
                     "[{\"status\":200,\"body\":\"to nobody\"},"
                     "{\"n\":-1,\"status\":200,\"body\":\"to one before\"},"
                     "{\"n\":1,\"status\":200,\"body\":\"to one behind\"},"
                     "{\"n\":2000000000,\"status\":200,\"body\":\"to one far behind\"},"
                     "{\"n\":0,\"status\":200,\"body\":\"first\"},"
                     "{\"n\":0,\"status\":200,\"body\":\"second\"}]"));
    assert_string_equal(heard, "first");
    stage_close(&stage);
}

static tb_err product_error(struct tb_str code)
{
    return tb_str_eq(code, TB_STR("thing_is_away")) ? TB_E_NOT_FOUND : NULL;
}

static void knows_a_refusal_by_its_code_and_its_status(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool product, known;
    } cases[] = {
        {"[{\"n\":0,\"status\":409,\"code\":\"duplicate_reference\"}]", false, true},
        {"[{\"n\":0,\"status\":404,\"code\":\"duplicate_reference\"}]", false, false},
        {"[{\"n\":0,\"status\":404,\"code\":\"thing_is_away\"}]", false, false},
        {"[{\"n\":0,\"status\":404,\"code\":\"thing_is_away\"}]", true, true},
        {"[{\"n\":0,\"status\":404}]", true, false},
        {"[{\"n\":0,\"status\":199}]", false, false},
        {"[{\"n\":0,\"status\":300}]", false, false},
        {"[{\"n\":0}]", false, false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct actor actor;
        stage_open(&stage, (struct tb_store_options){
                               .error_by_code = cases[i].product ? product_error : NULL});
        tb_err err = call(&actor, "t.say", cases[i].answer);
        assert_non_null(err);
        assert_int_equal(!tb_is(err, TB_E_INTERNAL), cases[i].known);
        assert_null(actor.run.problem.detail.at);
        stage_close(&stage);
    }
}

/* ---- memory ---- */

enum { ROOM = 16 * 1024, LARGE = 64 * 1024 };

/* Leave the request so many bytes. */
static void fill(struct actor *actor, size_t room)
{
    struct tb_arena *arena = actor->run.arena;
    assert_non_null(tb_arena_raw(arena, tb_arena_cap(arena) - tb_arena_used(arena) - room));
}

static tb_err act_with_little_room(struct actor *actor)
{
    fill(actor, ROOM);
    tb_err err = act_in_context(actor);
    const struct tb_problem *problem = &actor->run.problem;
    assert_null(problem->detail.at); /* nor does it pretend to a text it has no room for */
    assert_int_equal(problem->extra.n, 0);
    assert_null(problem->extra.at);
    return err;
}

static void says_in_doubt_when_the_answer_does_not_fit(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "{\"n\":0,\"status\":200,\"body\":\"",
        "{\"n\":0,\"status\":409,\"code\":\"duplicate_reference\",\"extra\":{\"first\":1},"
        "\"detail\":\"",
    };
    static char large[LARGE + 1], body[LARGE + 256];
    memset(large, 'x', LARGE);
    stage_open(&stage, (struct tb_store_options){0});
    for (size_t i = 0; i < TB_COUNT(heads); i++) {
        struct actor actor = {.function = "t.say"};
        snprintf(body, sizeof(body), "[%s%s\"}]", heads[i], large);
        context = plain_context(body);
        assert_true(
            tb_is(stage_do(&stage, &actor, act_with_little_room, ENOUGH_MS), TB_E_IN_DOUBT));
    }
    stage_close(&stage);
}

static tb_err commit_nothing(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    (void)req, (void)tx, (void)arg;
    return NULL;
}

static tb_err act_without_room(struct actor *actor)
{
    fill(actor, 0);
    actor->sql = "select $1::int";
    assert_true(tb_is(act_call(actor), TB_E_INTERNAL));
    assert_true(tb_is(act_query(actor), TB_E_INTERNAL));
    return tb_tx_run(&actor->run.req, stage.store, commit_nothing, NULL);
}

static void sends_nothing_for_a_request_without_memory(void **state)
{
    (void)state;
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){0});
    uint64_t sent = tb_store_stats(stage.store).statements;
    assert_true(tb_is(stage_do(&stage, &actor, act_without_room, ENOUGH_MS), TB_E_INTERNAL));
    assert_int_equal(tb_store_stats(stage.store).statements, sent);
    stage_close(&stage);
}

static void bounds_a_batch_by_its_bytes(void **state)
{
    (void)state;
    static char body[TB_BATCH_BYTES_MAX / 2];
    struct actor four[4] = {0};
    memset(body, ' ', sizeof(body) - 1);
    memcpy(body, "[]", 2);
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    context = plain_context(body);
    for (size_t i = 0; i < 4; i++) {
        four[i].function = "t.echo";
        stage_start(&stage, &four[i], act_in_context, ENOUGH_MS);
    }
    stage_wait(&stage, four, 4);
    for (size_t i = 0; i < 4; i++)
        assert_null(four[i].err);
    assert_int_equal(tb_store_stats(stage.store).batches, 2);
    stage_close(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(carries_the_path_the_consent_and_the_way),
    cmocka_unit_test(takes_the_first_answer_to_each_call_and_none_to_others),
    cmocka_unit_test(knows_a_refusal_by_its_code_and_its_status),
    cmocka_unit_test(says_in_doubt_when_the_answer_does_not_fit),
    cmocka_unit_test(sends_nothing_for_a_request_without_memory),
    cmocka_unit_test(bounds_a_batch_by_its_bytes),
};
TEST_GROUP(tests, set_up, calls_tear_down);
