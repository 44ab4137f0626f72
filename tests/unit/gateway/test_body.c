/* Stages "body" and "schema": which bodies are read, and how the others are refused. */
#include "exchange_fixture.h"

#include "../schema/helper.h"
#include "base/json.h"
#include "base/metrics.h"
#include "hooks/scripts.h"
#include <stdio.h>

static struct fixture f;
static struct tb_schema *anything, *payment;

static int open_all(void **state)
{
    (void)state;
    fixture_open(&f);
    anything = load_text("true");
    payment = load_text("{'type':'object','required':['amount'],'additionalProperties':false,"
                        "'properties':{'amount':{'type':'integer','minimum':1},"
                        "'note':{'type':'string','maxLength':3}}}");
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    tb_schema_free(anything);
    tb_schema_free(payment);
    fixture_close(&f);
    return 0;
}

static struct tb_exchange *send_as(const char *type, struct tb_str body)
{
    struct tb_exchange *x = fixture_request(&f, "POST", "/shop/v1/things");
    f.operation.body_schema = anything;
    x->in.content_type = tb_str(type);
    x->in.body = body;
    return x;
}

static struct tb_exchange *send(struct tb_str body)
{
    return send_as("application/json", body);
}

static const char *body_stage(void)
{
    return fixture_stage(&f, tb_stage_body);
}

static void reads_json_by_whatever_its_type_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *type, *code;
    } cases[] = {
        {"application/json", "ok"},
        {"APPLICATION/Json", "ok"},
        {"application/json; charset=utf-8", "ok"},
        {"application/json ; charset=UTF-8", "ok"},
        {"application/json\t; charset=UTF-8", "ok"},
        {"application/json;charset=\"utf-8\"", "ok"},
        {"application/json;charset=us-ascii", "ok"},
        {"application/json; profile=x", "ok"},
        {"application/json;", "ok"},
        {NULL, "unsupported_media_type"},
        {"", "unsupported_media_type"},
        {"application/jso", "unsupported_media_type"},
        {"application/jsonx", "unsupported_media_type"},
        {"application/json+x", "unsupported_media_type"},
        {"application/problem+json", "unsupported_media_type"},
        {"text/json", "unsupported_media_type"},
        {" application/json", "unsupported_media_type"},
        {"application/json; charset=utf-16", "unsupported_media_type"},
        {"application/json; charset=latin1", "unsupported_media_type"},
        {"application/json; CHARSET=gbk", "unsupported_media_type"},
        {"application/json; charset=", "unsupported_media_type"},
        {"application/json; charset=utf-8; charset=gbk", "unsupported_media_type"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = send_as(cases[i].type, TB_STR("{\"a\":1}"));
        const char *code = body_stage();
        if (strcmp(code, cases[i].code) != 0)
            fail_msg("%s: %s", cases[i].type, code);
        if (strcmp(code, "ok") == 0)
            assert_true(json_is_object(x->json));
        else
            assert_string_equal(fixture_place(&f), "content-type:");
    }
}

static void says_forty_bytes_of_a_charset_and_no_more(void **state)
{
    (void)state;
    static const struct {
        const char *type, *says;
    } cases[] = {
        {"application/json;charset=gbk", "has the charset gbk; it must be UTF-8"},
        {"application/json;charset=0123456789012345678901234567890123456789",
         "charset 0123456789012345678901234567890123456789;"},
        {"application/json;charset=0123456789012345678901234567890123456789x",
         "charset 0123456789012345678901234567890123456789;"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        send_as(cases[i].type, TB_STR("{}"));
        assert_string_equal(body_stage(), "unsupported_media_type");
        assert_non_null(strstr(fixture_detail(&f), cases[i].says));
    }
    send_as("application/json;charset=gbk", TB_STR("")); /* of nothing it does not matter */
    assert_string_equal(body_stage(), "body_missing");
}

static void takes_no_content_coding_and_says_which_would_do(void **state)
{
    (void)state;
    static const char *const codings[] = {"gzip", "br", "",
                                          "0123456789012345678901234567890123456789x"};
    for (size_t i = 0; i < TB_COUNT(codings); i++) {
        struct tb_exchange *x = send(TB_STR("{}"));
        x->in.content_encoding = tb_str(codings[i]);
        assert_string_equal(body_stage(), "unsupported_content_coding");
        assert_string_equal(fixture_place(&f), "content-encoding:");
        assert_string_equal(fixture_reply_header(&f, "accept-encoding"), "identity");
        assert_null(strchr(fixture_detail(&f), 'x'));
    }
    struct tb_exchange *x = send(TB_STR_NONE);
    x->in.content_encoding = TB_STR("gzip");
    assert_string_equal(body_stage(), "body_missing");
    assert_null(fixture_reply_header(&f, "accept-encoding"));
}

static void holds_a_body_against_the_operations_size_or_the_common_one(void **state)
{
    (void)state;
    static const struct {
        uint32_t of_route;
        int64_t common;
        size_t most;
    } cases[] = {{0, 64, 64}, {64, 1024, 64}, {128, 64, 128}, {2, 64, 2}};
    char body[256];
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        for (size_t n = cases[i].most - 1; n <= cases[i].most + 1; n++)
            for (int raw = 0; raw < 2; raw++) {
                char says[96];
                memset(body, ' ', sizeof(body));
                body[0] = '1';
                f.settings.limits_body_bytes = cases[i].common;
                send((struct tb_str){body, n});
                f.route.body_bytes = cases[i].of_route;
                fixture_flags(&f, raw ? TB_R_RAW : 0);
                assert_string_equal(body_stage(), n <= cases[i].most ? "ok" : "body_too_large");
                snprintf(says, sizeof(says), "has %zu bytes; this operation takes %zu", n,
                         cases[i].most);
                if (n > cases[i].most)
                    assert_non_null(strstr(fixture_detail(&f), says));
            }
    f.settings.limits_body_bytes = f.config->limits_body_bytes;
}

static void wants_a_body_where_one_is_declared_and_none_elsewhere(void **state)
{
    (void)state;
    struct tb_exchange *x = send(TB_STR_NONE);
    assert_string_equal(body_stage(), "body_missing");
    assert_string_equal(fixture_place(&f), "");
    assert_string_equal(fixture_detail(&f), "POST /shop/v1/things takes a JSON body and got none");
    x = send(TB_STR("{}"));
    f.operation.body_schema = NULL;
    assert_string_equal(body_stage(), "bad_request");
    assert_string_equal(fixture_detail(&f), "POST /shop/v1/things takes no body");
    assert_null(x->json);
    x = send_as(NULL, TB_STR_NONE);
    f.operation.body_schema = NULL;
    assert_string_equal(body_stage(), "ok");
    assert_null(x->json);
}

static void leaves_raw_routes_their_body(void **state)
{
    (void)state;
    struct tb_exchange *x = send_as("application/x-www-form-urlencoded", TB_STR("a=1"));
    fixture_flags(&f, TB_R_RAW);
    assert_string_equal(body_stage(), "ok");
    assert_null(x->json);
    assert_true(tb_str_eq(x->body, TB_STR("a=1")));
    send_as("application/x-www-form-urlencoded; charset=gbk", TB_STR("a=1"));
    fixture_flags(&f, TB_R_RAW);
    assert_string_equal(body_stage(), "unsupported_media_type");
}

static void names_what_is_no_json_by_place_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *body, *code, *place, *says;
    } cases[] = {
        {"{\"a\":1.5}", "bad_number", "/a", "1.5: number that is not written as an integer"},
        {"{\"a\":[1,2e3]}", "bad_number", "/a/1", "2e3: "},
        {"{\"a\":9223372036854775808}", "bad_number", "/a", "9223372036854775808: number beyond"},
        {"{\"amount\":9223372036854775808}", "amount_out_of_range", "/amount", "beyond"},
        {"{\"l\":[{\"amount\":-9223372036854775809}]}", "amount_out_of_range", "/l/0/amount",
         "-9223372036854775809: "},
        {"{\"amount\":{\"x\":9223372036854775808}}", "bad_number", "/amount/x", "beyond"},
        {"{\"the_amount\":9223372036854775808}", "bad_number", "/the_amount", "beyond"},
        {"{\"amount\":1.5}", "bad_number", "/amount", "1.5: number that is not"},
        {"99999999999999999999999999999999999999", "bad_number", "",
         "99999999999999999999999999999999: number"},
        {"9223372036854775808", "bad_number", "", "9223372036854775808: number beyond"},
        {"{\"a\":1,\n \"a\":2}", "bad_json", "/a", "line 2"},
        {"{\"a\":1}x", "bad_json", "", "something follows the value"},
        {"{", "bad_json", "", "line 1"},
        {"{\"a\":\"\\u0000\"}", "bad_json", "/a", "line 1"},
        {"{\"a\":\"\xff\"}", "bad_encoding", "/a", "line 1"},
        {"\xef\xbb\xbf{}", "bad_encoding", "", "line 1, column 1"},
        {"{\"a\":-}", "bad_json", "/a", "line 1"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = send(tb_str(cases[i].body));
        const char *code = body_stage();
        if (strcmp(code, cases[i].code) != 0 || strcmp(fixture_place(&f), cases[i].place) != 0 ||
            strstr(fixture_detail(&f), cases[i].says) == NULL)
            fail_msg("%s: %s at \"%s\": %s", cases[i].body, code, fixture_place(&f),
                     fixture_detail(&f));
        assert_null(x->json);
    }
}

static void shows_a_number_up_to_a_nul(void **state)
{
    (void)state;
    send(TB_STR("[1.5\0]"));
    assert_string_equal(body_stage(), "bad_number");
    assert_true(strncmp(fixture_detail(&f), "1.5: ", 5) == 0);
}

static void reads_json_as_deep_and_wide_as_the_configuration_says(void **state)
{
    (void)state;
    char body[256];
    f.settings.limits_json_depth = 4;
    f.settings.limits_json_members = 4;
    for (size_t n = 3; n <= 5; n++) {
        snprintf(body, sizeof(body), "%.*s%.*s", (int)n, "[[[[[", (int)n, "]]]]]");
        send(tb_str(body));
        assert_string_equal(body_stage(), n <= 4 ? "ok" : "bad_json");
        snprintf(body, sizeof(body), "[1%.*s]", (int)(2 * (n - 1)), ",1,1,1,1,1");
        send(tb_str(body));
        assert_string_equal(body_stage(), n <= 4 ? "ok" : "bad_json");
    }
    f.settings.limits_json_depth = f.config->limits_json_depth;
    f.settings.limits_json_members = f.config->limits_json_members;
}

/* ---- schema ---- */

/* The stage "schema" for this body, which is JSON. */
static struct tb_exchange *check(const struct tb_schema *schema, const char *body)
{
    struct tb_exchange *x = send(tb_str(body));
    f.operation.body_schema = schema;
    assert_string_equal(body_stage(), "ok");
    return x;
}

static const char *schema_stage(void)
{
    return fixture_stage(&f, tb_stage_schema);
}

static uint64_t invalid_n(void)
{
    return f.parts.metrics->row->of[TB_M_INVALID];
}

static void lists_every_place_that_breaks_the_schema(void **state)
{
    (void)state;
    static const struct {
        const char *body, *first; /* NULL: it fits */
        size_t places;
        const char *says;
    } cases[] = {
        {"{\"amount\":1}", NULL, 0, NULL},
        {"{\"amount\":1,\"note\":\"abc\"}", NULL, 0, NULL},
        {"{}", "/amount", 1, "/amount "},
        {"{\"amount\":0}", "/amount", 1, "/amount must be"},
        {"{\"amount\":0,\"note\":\"abcd\"}", "/amount", 2, "/amount must be"},
        {"{\"note\":5,\"x\":1}", "/note", 3, "/note "},
        {"[]", "", 1, "the body must be"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        uint64_t before = invalid_n();
        const struct tb_problem *problem = &check(payment, cases[i].body)->run.problem;
        const char *code = schema_stage();
        assert_string_equal(code, cases[i].first == NULL ? "ok" : "invalid_body");
        assert_int_equal(invalid_n() - before, cases[i].first != NULL);
        assert_int_equal(problem->places_n, cases[i].places);
        assert_int_equal(problem->places_total, cases[i].places);
        if (cases[i].first == NULL)
            continue;
        assert_string_equal(fixture_place(&f), cases[i].first);
        if (strstr(fixture_detail(&f), cases[i].says) != fixture_detail(&f))
            fail_msg("%s: %s", cases[i].body, fixture_detail(&f));
        for (size_t p = 0; p < problem->places_n; p++)
            assert_non_null(problem->places[p].detail);
    }
}

static void lists_sixteen_places_and_counts_the_rest(void **state)
{
    (void)state;
    struct tb_schema *numbers = load_text("{'type':'array','items':{'type':'integer'}}");
    for (size_t n = TB_RUN_ERRORS - 1; n <= TB_RUN_ERRORS + 2; n++) {
        char body[256];
        size_t at = 1;
        body[0] = '[';
        for (size_t i = 0; i < n; i++, at += 3)
            memcpy(body + at, "\"\",", 3);
        memcpy(body + at - 1, "]", 2);
        const struct tb_problem *problem = &check(numbers, body)->run.problem;
        assert_string_equal(schema_stage(), "invalid_body");
        assert_int_equal(problem->places_n, n < TB_RUN_ERRORS ? n : TB_RUN_ERRORS);
        assert_int_equal(problem->places_total, n);
    }
    tb_schema_free(numbers);
}

static void checks_no_body_where_none_is_declared_or_the_key_is_answered(void **state)
{
    (void)state;
    struct tb_exchange *x = check(payment, "{\"amount\":0}");
    x->replays = true;
    assert_string_equal(schema_stage(), "ok");
    check(payment, "{\"amount\":0}");
    f.operation.body_schema = NULL;
    assert_string_equal(schema_stage(), "ok");
}

/* ---- with a script ---- */

static size_t answered_rows;
static tb_err answered_err;

static tb_err answered_query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                             const struct tb_param *params, size_t params_n)
{
    static struct tb_rows rows;
    (void)req, (void)params;
    assert_non_null(strstr(sql, "script.answered"));
    assert_int_equal(params_n, 4);
    rows = (struct tb_rows){.n = answered_rows};
    *out_rows = &rows;
    return answered_err;
}

/* The script has shaped the body; what came under this key before may have been taken. */
static void lets_an_answered_key_pass_whatever_its_script_makes_of_the_body(void **state)
{
    (void)state;
    static const struct {
        uint32_t flags;
        const char *key;
        size_t rows;
        tb_err err;
        const char *code;
    } cases[] = {
        {TB_R_KEY, "k", 1, NULL, "ok"},
        {TB_R_KEY, "k", 0, NULL, "invalid_body"},
        {TB_R_KEY, "k", 0, TB_E_STORE, "store_unavailable"},
        {TB_R_KEY, "k k", 1, NULL, "idempotency_key_invalid"},
        {TB_R_KEY, NULL, 1, NULL, "invalid_body"},
        {0, "k", 1, NULL, "invalid_body"},
    };
    static struct tb_script_row script;
    static struct tb_grant grant = {.partner = {"ptr_a", 5}, .book = 1};
    f.host.query = answered_query;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = check(payment, "{\"amount\":0}");
        x->grant = &grant;
        x->script = &script;
        fixture_flags(&f, cases[i].flags);
        x->in.idempotency_key = tb_str(cases[i].key);
        answered_rows = cases[i].rows;
        answered_err = cases[i].err;
        assert_string_equal(schema_stage(), cases[i].code);
        assert_int_equal(x->replays, strcmp(cases[i].code, "ok") == 0);
        if (strcmp(cases[i].code, "invalid_body") == 0)
            assert_string_equal(fixture_place(&f), "/amount");
    }
}

/* ---- memory ---- */

static bool read_with(struct fixture *fixture, size_t cap)
{
    struct tb_exchange *x = send(TB_STR("{\"a\":[1,2,{\"b\":\"c\"}]}"));
    fixture_starve(fixture, cap);
    const char *code = body_stage();
    if (strcmp(code, "ok") == 0) {
        assert_true(json_is_object(x->json));
        return true;
    }
    assert_string_equal(code, "internal");
    return false;
}

static bool check_with(struct fixture *fixture, size_t cap)
{
    check(payment, "{\"amount\":0,\"note\":\"abcd\",\"x\":1}");
    fixture_starve(fixture, cap);
    const char *code = schema_stage();
    if (strcmp(code, "invalid_body") == 0) {
        assert_int_equal(fixture->x->run.problem.places_n, 3);
        return true;
    }
    assert_string_equal(code, "internal");
    return false;
}

static bool blame_with(struct fixture *fixture, size_t cap)
{
    send(TB_STR("{\"amount\":9223372036854775808}"));
    fixture_starve(fixture, cap);
    const char *code = body_stage();
    if (strcmp(code, "amount_out_of_range") != 0)
        assert_string_equal(code, "internal");
    return strcmp(code, "internal") != 0;
}

static void passes_and_blames_nothing_when_memory_ends(void **state)
{
    (void)state;
    fixture_famine(&f, read_with);
    fixture_famine(&f, check_with);
    fixture_famine(&f, blame_with);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_json_by_whatever_its_type_is_written),
    cmocka_unit_test(says_forty_bytes_of_a_charset_and_no_more),
    cmocka_unit_test(takes_no_content_coding_and_says_which_would_do),
    cmocka_unit_test(holds_a_body_against_the_operations_size_or_the_common_one),
    cmocka_unit_test(wants_a_body_where_one_is_declared_and_none_elsewhere),
    cmocka_unit_test(leaves_raw_routes_their_body),
    cmocka_unit_test(names_what_is_no_json_by_place_and_line),
    cmocka_unit_test(shows_a_number_up_to_a_nul),
    cmocka_unit_test(reads_json_as_deep_and_wide_as_the_configuration_says),
    cmocka_unit_test(lists_every_place_that_breaks_the_schema),
    cmocka_unit_test(lists_sixteen_places_and_counts_the_rest),
    cmocka_unit_test(checks_no_body_where_none_is_declared_or_the_key_is_answered),
    cmocka_unit_test(lets_an_answered_key_pass_whatever_its_script_makes_of_the_body),
    cmocka_unit_test(passes_and_blames_nothing_when_memory_ends),
};
TEST_GROUP(tests, open_all, close_all);
