/* Whole requests on the real pipeline: which stage refuses what, as the decision trace tells it,
 * and that the answer and the trace agree. Tokens are tested where they are made; these routes are
 * open. */
#include "exchange_fixture.h"

#include "../schema/helper.h"
#include "gateway/record.h"
#include "gateway/stage/pipeline.h"
#include "gateway/trace_ring.h"
#include <stdio.h>

static struct fixture f;
static struct tb_schema *body_schema, *reply_schema;
static struct tb_str answer; /* of the product; absent: it refuses */

static tb_err handler(struct tb_req *req)
{
    if (answer.at == NULL)
        return tb_fail_at(req, TB_E_CONFLICT, "/amount", "not today");
    return tb_reply(req, 201, answer);
}

static const struct tb_query_param PARAMS[] = {
    {"n", TB_Q_INT, 1, 5, NULL, NULL},
    {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
};

static const struct tb_route ROUTES[] = {
    {.method = "POST",
     .path = "/shop/v1/things",
     .query = PARAMS,
     .flags = TB_R_KEY,
     .timeout_ms = 5000,
     .handler = handler},
    {.method = "GET", .path = "/shop/v1/secret", .scope = "shop:read", .handler = handler},
    {.method = "GET", .path = "/shop/v1/things/{thing_id:thg}", .handler = handler},
    {.method = "GET", .path = "/shop/v1/page", .flags = TB_R_HTML, .handler = handler},
};
static struct tb_operation operations[TB_COUNT(ROUTES)];

static int open_all(void **state)
{
    (void)state;
    fixture_open(&f);
    body_schema = load_text("{'type':'object','required':['amount'],"
                            "'properties':{'amount':{'type':'integer'}}}");
    reply_schema = load_text("{'type':'object','required':['id']}");
    for (size_t i = 0; i < TB_COUNT(ROUTES); i++) {
        operations[i] = (struct tb_operation){
            .plugin = &f.plugin, .route = &ROUTES[i], .index = (uint32_t)i, .metric = (uint32_t)i};
        assert_null(tb_router_add((struct tb_router *)f.parts.router, &operations[i]));
    }
    operations[0].body_schema = body_schema;
    operations[0].reply_schema = reply_schema;
    f.settings.check_replies = true;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    tb_schema_free(body_schema);
    tb_schema_free(reply_schema);
    fixture_close(&f);
    return 0;
}

/* A good request, and what a case does to it. */
static struct tb_exchange *ask(const char *method, const char *path)
{
    struct tb_exchange *x = fixture_request(&f, method, path);
    x->match = (struct tb_match){.operation = NULL};
    x->in.content_type = TB_STR("application/json");
    x->in.idempotency_key = TB_STR("k");
    x->in.body = TB_STR("{\"amount\":1}");
    f.quarantined = false;
    answer = TB_STR("{\"id\":1}");
    return x;
}

/* Walk, answer and record as the gateway does; the name of the stage that refused. */
static const char *walk(void)
{
    struct tb_exchange *x = f.x;
    tb_err err = tb_pipeline_run(x);
    if (err != NULL)
        tb_exchange_refuse(x, err);
    tb_record(x, err);
    struct tb_trace trace;
    assert_true(tb_trace_find(f.parts.traces, tb_str(x->trace_id), &trace));
    assert_int_equal(trace.status, x->status);
    if (err == NULL) {
        assert_int_equal(trace.refused_by, UINT8_MAX);
        return "none";
    }
    assert_int_equal(x->status, err->status);
    assert_int_equal(trace.stages_n, trace.refused_by + 1);
    assert_int_equal(trace.verdict[trace.refused_by], TB_VERDICT_REFUSE);
    for (size_t i = 0; i < trace.refused_by; i++)
        assert_int_equal(trace.verdict[i], TB_VERDICT_PASS);
    const char *words = fixture_detail(&f)[0] == '\0' ? err->title : fixture_detail(&f);
    assert_memory_equal(trace.why, words, strlen(trace.why));
    return tb_pipeline_names()[trace.refused_by];
}

enum fault {
    GOOD,
    QUARANTINE,
    TWICE,
    QUERY,
    TYPE,
    CODING,
    NO_BODY,
    NO_JSON,
    SHAPE,
    NO_KEY,
    BAD_KEY,
    PRODUCT,
    REPLY
};

static void spoil(struct tb_exchange *x, enum fault fault)
{
    f.quarantined = fault == QUARANTINE;
    if (fault == TWICE)
        x->in.repeated = "content-type";
    if (fault == QUERY)
        x->in.raw_query = TB_STR("n=6");
    if (fault == TYPE)
        x->in.content_type = TB_STR("text/plain");
    if (fault == CODING)
        x->in.content_encoding = TB_STR("gzip");
    if (fault == NO_BODY)
        x->in.body = TB_STR_NONE;
    if (fault == NO_JSON)
        x->in.body = TB_STR("{\"amount\":1");
    if (fault == SHAPE)
        x->in.body = TB_STR("{\"amount\":\"1\"}");
    if (fault == NO_KEY)
        x->in.idempotency_key = TB_STR_NONE;
    if (fault == BAD_KEY)
        x->in.idempotency_key = TB_STR("k k");
    if (fault == PRODUCT)
        answer = TB_STR_NONE;
    if (fault == REPLY)
        answer = TB_STR("{}");
}

static void refuses_each_fault_where_the_trace_says(void **state)
{
    (void)state;
    static const struct {
        enum fault fault;
        int status;
        const char *stage, *code, *place;
    } cases[] = {
        {GOOD, 201, "none", NULL, NULL},
        {QUARANTINE, 503, "admit", "quarantined_request", "none"},
        {TWICE, 400, "admit", "bad_request", "content-type:"},
        {QUERY, 400, "query", "bad_parameter", "?n"},
        {TYPE, 415, "body", "unsupported_media_type", "content-type:"},
        {CODING, 415, "body", "unsupported_content_coding", "content-encoding:"},
        {NO_BODY, 400, "body", "body_missing", ""},
        {NO_JSON, 400, "body", "bad_json", "/amount"},
        {SHAPE, 422, "schema", "invalid_body", "/amount"},
        {NO_KEY, 400, "idempotency", "idempotency_key_missing", "idempotency-key:"},
        {BAD_KEY, 400, "idempotency", "idempotency_key_invalid", "idempotency-key:"},
        {PRODUCT, 409, "handler", "conflict", "/amount"},
        {REPLY, 500, "reply", "internal", "none"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char code[64];
        struct tb_exchange *x = ask("POST", "/shop/v1/things");
        spoil(x, cases[i].fault);
        const char *stage = walk();
        if (strcmp(stage, cases[i].stage) != 0 || x->status != cases[i].status)
            fail_msg("fault %d: %d by %s", (int)cases[i].fault, x->status, stage);
        if (cases[i].code == NULL)
            continue;
        snprintf(code, sizeof(code), "\"code\":\"%s\"", cases[i].code);
        assert_non_null(strstr(fixture_reply(&f), code));
        assert_string_equal(fixture_place(&f), cases[i].place);
    }
}

static void refuses_paths_and_methods_at_the_router(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *stage, *says;
        int status;
    } cases[] = {
        {"GET", "/shop/v2/things", "route", "nothing is served at /shop/v2/things", 404},
        {"GET", "/token/01234567890123456789012345678901234567", "route",
         "nothing is served at /token/...", 404},
        {"DELETE", "/shop/v1/things", "route", "this path takes POST", 405},
        {"PUT", "/shop/v1/page", "route", "this path takes GET", 405},
        {"GET", "/shop/v1/secret", "authenticate", "there is no Authorization header", 401},
        {"GET", "/shop/v1/things/pay_1", "query", "pay_1 is not a thing id: thg_", 404},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ask(cases[i].method, cases[i].path);
        assert_string_equal(walk(), cases[i].stage);
        assert_int_equal(x->status, cases[i].status);
        assert_non_null(strstr(fixture_detail(&f), cases[i].says));
    }
    (void)ask("DELETE", "/shop/v1/things");
    (void)walk();
    assert_string_equal(fixture_reply_header(&f, "allow"), "POST");
}

/* A request that is refused leaves nothing to the next one in the same exchange. */
static void begins_every_request_anew(void **state)
{
    (void)state;
    for (enum fault fault = GOOD; fault <= REPLY; fault++) {
        spoil(ask("POST", "/shop/v1/things"), fault);
        (void)walk();
        struct tb_exchange *x = ask("POST", "/shop/v1/things");
        x->in.raw_query = TB_STR("n=5");
        assert_string_equal(walk(), "none");
        assert_int_equal(x->status, 201);
        assert_int_equal(x->run.problem.places_n, 0);
        assert_string_equal(fixture_reply(&f), "{\"id\":1}");
        assert_int_equal(x->run.deadline_ms, tb_loop_now_ms(f.loop) + 5000);
    }
}

static bool walk_with(struct fixture *fixture, size_t cap)
{
    struct tb_exchange *x = ask("POST", "/shop/v1/things");
    fixture_starve(fixture, cap);
    const char *stage = walk();
    assert_true(x->status == 201 || x->status == 500);
    return strcmp(stage, "none") == 0;
}

static void answers_or_says_that_memory_ended(void **state)
{
    (void)state;
    fixture_famine(&f, walk_with);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(refuses_each_fault_where_the_trace_says),
    cmocka_unit_test(refuses_paths_and_methods_at_the_router),
    cmocka_unit_test(begins_every_request_anew),
    cmocka_unit_test(answers_or_says_that_memory_ended),
};
TEST_GROUP(tests, open_all, close_all);
