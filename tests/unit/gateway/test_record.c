/* What is kept of a request that has ended: its line in the access log, its trace, its count. */
#include "exchange_fixture.h"

#include "base/metrics.h"
#include "gateway/record.h"
#include "gateway/trace_ring.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static struct fixture f;
static const struct tb_grant grant = {.partner = {"ptr_a", 5}, .app = {"app_a", 5}};

static int open_all(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static struct tb_exchange *ended(const char *method, int status)
{
    struct tb_exchange *x = fixture_request(&f, method, "/shop/v1/things");
    x->status = status;
    return x;
}

static void logs_requests_as_the_configuration_says(void **state)
{
    (void)state;
    static const struct {
        enum tb_log_access access;
        const char *method; /* NULL: no operation was found */
        bool logged;
    } cases[] = {
        {TB_ACCESS_ALL, "GET", true},      {TB_ACCESS_ALL, "POST", true},
        {TB_ACCESS_ALL, NULL, true},       {TB_ACCESS_WRITES, "GET", false},
        {TB_ACCESS_WRITES, "HEAD", false}, {TB_ACCESS_WRITES, "POST", true},
        {TB_ACCESS_WRITES, NULL, true},    {TB_ACCESS_NONE, "GET", false},
        {TB_ACCESS_NONE, "POST", false},   {TB_ACCESS_NONE, NULL, false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        f.settings.log_access = (int32_t)cases[i].access;
        struct tb_exchange *x = ended(cases[i].method == NULL ? "GET" : cases[i].method, 200);
        if (cases[i].method == NULL)
            x->match.operation = NULL;
        tb_record(x, NULL);
        assert_int_equal(fixture_access_log(&f)[0] != '\0', cases[i].logged);
    }
    f.settings.log_access = f.config->log_access;
}

/* The one line of the access log as JSON. */
static json_t *line(void)
{
    const char *text = fixture_access_log(&f);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static const char *text_of(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    return text == NULL ? "none" : text;
}

static void writes_one_line_of_who_asked_for_what_and_how_it_ended(void **state)
{
    (void)state;
    struct tb_exchange *x = ended("POST", 409);
    x->grant = &grant;
    x->in.body = TB_STR("{\"secret\":1}");
    x->reply = TB_STR("{}");
    tb_record(x, TB_E_CONFLICT);
    json_t *json = line();
    assert_string_equal(text_of(json, "event"), "request");
    assert_string_equal(text_of(json, "request_id"), x->request_id);
    assert_string_equal(text_of(json, "trace"), x->trace_id);
    assert_string_equal(text_of(json, "route"), "POST /shop/v1/things");
    assert_string_equal(text_of(json, "partner"), "ptr_a");
    assert_string_equal(text_of(json, "app"), "app_a");
    assert_string_equal(text_of(json, "error"), "conflict");
    assert_string_equal(text_of(json, "peer"), "192.0.2.7");
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 409);
    assert_int_equal(json_integer_value(json_object_get(json, "bytes_in")), 12);
    assert_int_equal(json_integer_value(json_object_get(json, "bytes_out")), 2);
    assert_true(json_is_integer(json_object_get(json, "us")));
    json_decref(json);
}

static void leaves_out_what_it_does_not_know(void **state)
{
    (void)state;
    struct tb_exchange *x = ended("GET", 404);
    x->match.operation = NULL;
    tb_record(x, NULL);
    json_t *json = line();
    static const char *const unknown[] = {"route", "partner", "app", "error"};
    for (size_t i = 0; i < TB_COUNT(unknown); i++)
        assert_string_equal(text_of(json, unknown[i]), "none");
    json_decref(json);
}

/* ---- traces ---- */

static struct tb_trace kept(const struct tb_exchange *x)
{
    struct tb_trace trace;
    assert_true(tb_trace_find(f.parts.traces, tb_str(x->trace_id), &trace));
    return trace;
}

static void keeps_the_trace_for_whoever_the_caller_is(void **state)
{
    (void)state;
    static const struct {
        const char *partner, *app, *cause;
        bool proven;
        int status;
    } cases[] = {
        {"ptr_a", "app_a", NULL, true, 200},
        {"ptr_a", "app_a", "revoked by the bank", true, 403},
        {"ptr_a", "app_a", "of another key", false, 401},
        {NULL, NULL, NULL, false, 399},
        {NULL, NULL, NULL, false, 400},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ended("GET", cases[i].status);
        x->run.caller = (struct tb_caller){.partner = tb_str(cases[i].partner),
                                           .app = tb_str(cases[i].app),
                                           .proven = cases[i].proven,
                                           .cause = cases[i].cause};
        int64_t before = tb_loop_wall_ms(f.loop);
        tb_record(x, NULL);
        struct tb_trace trace = kept(x);
        bool refused = cases[i].status >= 400;
        assert_string_equal(trace.partner, cases[i].partner == NULL ? "" : cases[i].partner);
        assert_string_equal(trace.app, cases[i].app == NULL ? "" : cases[i].app);
        assert_string_equal(trace.cause, cases[i].cause == NULL ? "" : cases[i].cause);
        assert_int_equal(trace.status, cases[i].status);
        assert_int_equal(trace.at_ms, before);
        uint64_t share = cases[i].proven ? tb_trace_share(trace.partner, refused)
                                         : tb_trace_share_of_stranger("192.0.2.7", refused);
        assert_true(trace.share == share);
    }
}

static void keeps_names_and_causes_as_far_as_they_fit(void **state)
{
    (void)state;
    static const char words[] =
        "0123456789012345678901234567890123456789012345678901234567890123456"
        "7890123456789";
    for (size_t n = TB_TRACE_PARTNER_BYTES - 2; n <= TB_TRACE_PARTNER_BYTES + 1; n++) {
        size_t fits = n < TB_TRACE_PARTNER_BYTES ? n : TB_TRACE_PARTNER_BYTES - 1;
        struct tb_exchange *x = ended("GET", 200);
        x->run.caller = (struct tb_caller){
            .partner = {words, n}, .app = {words, n}, .proven = true, .cause = words};
        tb_record(x, NULL);
        struct tb_trace trace = kept(x);
        assert_int_equal(strnlen(trace.partner, sizeof(trace.partner)), fits);
        assert_int_equal(strnlen(trace.app, sizeof(trace.app)), fits);
        assert_int_equal(strnlen(trace.cause, sizeof(trace.cause)), TB_TRACE_CAUSE_BYTES - 1);
    }
}

/* What a stage said is not wiped by a caller without a cause. */
static void keeps_the_cause_a_stage_has_noted(void **state)
{
    (void)state;
    struct tb_exchange *x = ended("GET", 403);
    snprintf(x->trace.cause, sizeof(x->trace.cause), "stopped at noon");
    tb_record(x, TB_E_STOPPED);
    assert_string_equal(kept(x).cause, "stopped at noon");
}

/* ---- counts ---- */

static uint64_t answers(uint32_t operation, size_t class)
{
    return f.parts.metrics->row->operations[operation].answers[class];
}

static void counts_each_answer_under_its_operation_and_class(void **state)
{
    (void)state;
    static const struct {
        int status;
        bool gone;
        size_t class;
    } cases[] = {
        {200, false, 0}, {299, false, 0}, {303, false, 1}, {404, false, 2},
        {503, false, 3}, {200, true, 4},  {0, false, 4},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        for (int found = 0; found < 2; found++) {
            uint32_t metric = found != 0 ? 7 : TB_METRICS_OPERATIONS - 1;
            struct tb_exchange *x = ended("GET", cases[i].status);
            f.operation.metric = 7;
            if (found == 0)
                x->match.operation = NULL;
            x->gone = cases[i].gone;
            uint64_t before = answers(metric, cases[i].class);
            tb_record(x, NULL);
            assert_int_equal(answers(metric, cases[i].class), before + 1);
            x->gone = false;
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(logs_requests_as_the_configuration_says),
    cmocka_unit_test(writes_one_line_of_who_asked_for_what_and_how_it_ended),
    cmocka_unit_test(leaves_out_what_it_does_not_know),
    cmocka_unit_test(keeps_the_trace_for_whoever_the_caller_is),
    cmocka_unit_test(keeps_names_and_causes_as_far_as_they_fit),
    cmocka_unit_test(keeps_the_cause_a_stage_has_noted),
    cmocka_unit_test(counts_each_answer_under_its_operation_and_class),
};
TEST_GROUP(tests, open_all, close_all);
