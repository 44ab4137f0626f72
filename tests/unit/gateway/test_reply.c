/* From an error to the answer: its shape, its headers, its language; and whether an answer of a
 * product is what the product declared. */
#include "exchange_fixture.h"

#include "../schema/helper.h"
#include "oauth/errors.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static struct fixture f;

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

static struct tb_exchange *ask(uint32_t flags)
{
    struct tb_exchange *x = fixture_request(&f, "GET", "/shop/v1/things");
    fixture_flags(&f, flags);
    x->own_headers_n = x->reply_headers_n; /* as stage "handler" leaves it */
    return x;
}

static const char *type_of_reply(void)
{
    const char *type = fixture_reply_header(&f, "content-type");
    return type == NULL ? "none" : type;
}

/* The problem that was answered. */
static json_t *problem(void)
{
    json_error_t error;
    json_t *json = json_loads(fixture_reply(&f), 0, &error);
    if (json == NULL)
        fail_msg("%s: %s", error.text, fixture_reply(&f));
    return json;
}

static void assert_member(const json_t *object, const char *name, const char *value)
{
    const char *found = json_string_value(json_object_get(object, name));
    if (value == NULL ? found != NULL : found == NULL || strcmp(found, value) != 0)
        fail_msg("%s is %s", name, found);
}

/* ---- answers ---- */

static void answers_with_what_it_is_given_and_keeps_caches_out(void **state)
{
    (void)state;
    struct tb_exchange *x = ask(0);
    assert_null(tb_exchange_reply(x, 201, TB_STR("text/css"), TB_STR("a{}")));
    assert_int_equal(x->status, 201);
    assert_string_equal(fixture_reply(&f), "a{}");
    assert_string_equal(type_of_reply(), "text/css");
    assert_string_equal(fixture_reply_header(&f, "cache-control"), "no-store");
    assert_null(fixture_reply_header(&f, "strict-transport-security"));
    assert_null(fixture_reply_header(&f, "dpop-nonce"));
    assert_null(fixture_reply_header(&f, "vary"));
}

static void leaves_a_handler_its_own_cache_control(void **state)
{
    (void)state;
    struct tb_exchange *x = ask(0);
    assert_null(tb_set_header(&x->run.req, "cache-control", TB_STR("public, max-age=5")));
    assert_null(tb_exchange_reply(x, 200, TB_STR("text/css"), TB_STR("")));
    assert_string_equal(fixture_reply_header(&f, "cache-control"), "public, max-age=5");
    size_t n = 0;
    for (size_t i = 0; i < x->reply_headers_n; i++)
        n += tb_str_eq(x->reply_headers[i].name, TB_STR("cache-control")) ? 1 : 0;
    assert_int_equal(n, 1);
}

static void needs_a_body_unless_the_status_has_none(void **state)
{
    (void)state;
    static const struct {
        int status;
        bool good;
    } cases[] = {{200, false}, {202, false}, {203, false}, {204, true},
                 {205, false}, {302, false}, {303, true},  {404, false}};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ask(0);
        tb_err err = tb_exchange_reply(x, cases[i].status, TB_STR("text/css"), TB_STR_NONE);
        assert_int_equal(err == NULL, cases[i].good);
        assert_int_equal(x->status, cases[i].good ? cases[i].status : 0);
        assert_string_equal(type_of_reply(), "none");
        if (!cases[i].good)
            assert_true(tb_is(err, TB_E_INTERNAL));
    }
}

/* RFC 9449 §8.2: to whoever makes proofs, and on the endpoints of the authorization server. */
static void gives_the_next_nonce_to_those_who_make_proofs(void **state)
{
    (void)state;
    for (int asks = 0; asks < 2; asks++)
        for (int scheme = 0; scheme < 2; scheme++)
            for (int oauth = 0; oauth < 2; oauth++) {
                f.settings.dpop_nonce = asks != 0;
                struct tb_exchange *x = ask(oauth != 0 ? TB_R_OAUTH : 0);
                x->dpop_scheme = scheme != 0;
                assert_null(tb_exchange_reply(x, 200, TB_STR("text/css"), TB_STR("")));
                const char *nonce = fixture_reply_header(&f, "dpop-nonce");
                if (asks != 0 && (scheme != 0 || oauth != 0))
                    assert_int_equal(strlen(nonce), 22);
                else
                    assert_null(nonce);
            }
    f.settings.dpop_nonce = f.config->dpop_nonce;
}

static void binds_browsers_to_https_where_they_log_in_but_on_this_machine(void **state)
{
    (void)state;
    static const struct {
        uint32_t flags;
        bool sandbox;
        const char *authority;
        bool bound;
    } cases[] = {
        {TB_R_OAUTH, true, "bank.example", true},
        {TB_R_OAUTH, true, "localhost:8443", false},
        {TB_R_OAUTH, false, "localhost:8443", true},
        {0, false, "bank.example", false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        f.settings.sandbox = cases[i].sandbox;
        struct tb_exchange *x = ask(cases[i].flags);
        x->in.authority = tb_str(cases[i].authority);
        assert_null(tb_exchange_reply(x, 200, TB_STR("text/css"), TB_STR("")));
        assert_int_equal(fixture_reply_header(&f, "strict-transport-security") != NULL,
                         cases[i].bound);
    }
    f.settings.sandbox = f.config->sandbox;
}

/* ---- refusals ---- */

static void refuses_with_a_problem_document(void **state)
{
    (void)state;
    struct tb_exchange *x = ask(0);
    tb_err err = tb_fail_at(&x->run.req, TB_E_CONFLICT, "/amount", "it is \"taken\"");
    tb_exchange_refuse(x, err);
    assert_int_equal(x->status, 409);
    assert_string_equal(type_of_reply(), "application/problem+json");
    assert_string_equal(fixture_reply_header(&f, "content-language"), "en");
    assert_string_equal(fixture_reply_header(&f, "vary"), "accept-language");
    assert_string_equal(fixture_reply_header(&f, "cache-control"), "no-store");
    assert_null(fixture_reply_header(&f, "retry-after"));
    assert_null(fixture_reply_header(&f, "www-authenticate"));
    assert_null(fixture_reply_header(&f, "link"));
    json_t *json = problem();
    assert_member(json, "code", "conflict");
    assert_member(json, "detail", "it is \"taken\"");
    assert_member(json, "title", TB_E_CONFLICT->title);
    assert_member(json, "type", "https://localhost:8443/problems/conflict");
    assert_member(json, "trace", x->trace_id);
    assert_member(json, "request_id", x->request_id);
    assert_member(json_array_get(json_object_get(json, "errors"), 0), "pointer", "/amount");
    json_decref(json);
}

static void speaks_the_language_the_client_prefers(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *speaks;
    } cases[] = {
        {NULL, "en"},           {"zh", "zh"}, {"zh-CN,zh;q=0.9,en;q=0.8", "zh"},
        {"en, zh;q=0.5", "en"}, {"fr", "en"}, {"", "en"},
        {"zh;q=0", "en"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ask(0);
        if (cases[i].sent != NULL)
            fixture_header(&f, "accept-language", cases[i].sent);
        tb_exchange_refuse(x, TB_E_CONFLICT);
        const char *tag = fixture_reply_header(&f, "content-language");
        if (strncmp(tag, cases[i].speaks, 2) != 0)
            fail_msg("%s: %s", cases[i].sent, tag);
        json_t *json = problem();
        const char *title = json_string_value(json_object_get(json, "title"));
        assert_int_equal(strcmp(title, TB_E_CONFLICT->title) == 0,
                         strcmp(cases[i].speaks, "en") == 0);
        json_decref(json);
    }
}

static void says_when_to_come_again(void **state)
{
    (void)state;
    const struct {
        tb_err err;
        int64_t known_s;
        const char *says;
    } cases[] = {
        {TB_E_CONFLICT, 0, NULL},       {TB_E_CONFLICT, 7, "7"},  {TB_E_KEY_IN_PROGRESS, 0, "1"},
        {TB_E_KEY_IN_PROGRESS, 9, "9"}, {TB_E_STORE, 0, "1"},     {TB_E_OVERLOAD, 3, "3"},
        {TB_E_DEADLINE, 0, "1"},        {TB_E_IN_DOUBT, 0, "1"},  {TB_E_RATE_LIMITED, 60, "60"},
        {TB_E_INTERNAL, 0, NULL},       {TB_E_UPSTREAM, 0, NULL}, {TB_E_CONFLICT, -1, NULL},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ask(0);
        x->run.problem.retry_after_s = cases[i].known_s;
        tb_exchange_refuse(x, cases[i].err);
        const char *found = fixture_reply_header(&f, "retry-after");
        if (cases[i].says == NULL)
            assert_null(found);
        else
            assert_string_equal(found, cases[i].says);
    }
}

static void names_what_the_path_says_when_it_is_not_found(void **state)
{
    (void)state;
    static const struct {
        size_t params_n;
        const char *place; /* that was named before; NULL: none */
        bool operation;
        const char *says; /* NULL: no place */
    } cases[] = {
        {1, NULL, true, "payment_id"}, {0, NULL, true, NULL},  {2, NULL, true, NULL},
        {1, "/x", true, NULL},         {1, NULL, false, NULL},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ask(0);
        x->match.params[0] = (struct tb_path_param){"payment_id", TB_STR("pay_1")};
        x->match.params_n = cases[i].params_n;
        tb_err err = tb_fail(&x->run.req, TB_E_NOT_FOUND, "no such payment");
        if (cases[i].place != NULL)
            err = tb_fail_at(&x->run.req, TB_E_NOT_FOUND, cases[i].place, "nor this");
        if (!cases[i].operation)
            x->match.operation = NULL;
        tb_exchange_refuse(x, err);
        json_t *json = problem();
        assert_member(json_array_get(json_object_get(json, "errors"), 0), "parameter",
                      cases[i].says);
        json_decref(json);
    }
    struct tb_exchange *x = ask(0);
    x->match.params_n = 1;
    tb_exchange_refuse(x, TB_E_CONFLICT);
    json_t *json = problem();
    assert_null(json_object_get(json, "errors"));
    json_decref(json);
}

static void links_to_what_is_related(void **state)
{
    (void)state;
    struct tb_exchange *x = ask(0);
    x->run.problem.link = TB_STR("/shop/v1/things/1");
    tb_exchange_refuse(x, TB_E_DUPLICATE_REFERENCE);
    assert_string_equal(fixture_reply_header(&f, "link"), "</shop/v1/things/1>; rel=\"related\"");
}

static void keeps_the_registered_name_of_a_problem_type(void **state)
{
    (void)state;
    tb_exchange_refuse(ask(0), TB_E_RATE_LIMITED);
    json_t *json = problem();
    assert_member(json, "type", "https://iana.org/assignments/http-problem-types#quota-exceeded");
    json_decref(json);
}

static void tells_what_the_database_said_to_the_owner_of_a_sandbox_alone(void **state)
{
    (void)state;
    static const struct tb_grant owner = {.env = TB_ENV_SANDBOX}, live = {.env = TB_ENV_LIVE};
    const struct tb_grant *const grants[] = {&owner, &live, NULL};
    for (size_t i = 0; i < TB_COUNT(grants); i++) {
        struct tb_exchange *x = ask(0);
        x->grant = grants[i];
        x->run.problem.sqlstate = TB_STR("P0001");
        x->run.problem.cause = TB_STR("secret of the bank");
        tb_exchange_refuse(x, TB_E_INTERNAL);
        assert_int_equal(strstr(fixture_reply(&f), "secret of the bank") != NULL, i == 0);
    }
}

static void fails_in_the_shape_of_the_route(void **state)
{
    (void)state;
    const struct {
        uint32_t flags;
        const char *type, *says;
    } cases[] = {
        {0, "application/problem+json", "\"code\":\"bad_request\""},
        {TB_R_RAW, "application/problem+json", "\"code\":\"bad_request\""},
        {TB_R_OAUTH, "application/json", "\"error\":\"invalid_request\""},
        {TB_R_OAUTH | TB_R_HTML, "application/json", "\"error\":\"invalid_request\""},
        {TB_R_HTML, "text/html; charset=utf-8", "<!doctype html>"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ask(cases[i].flags);
        tb_exchange_refuse(x, tb_fail(&x->run.req, TB_E_BAD_REQUEST, "it is bad"));
        assert_int_equal(x->status, 400);
        assert_string_equal(type_of_reply(), cases[i].type);
        if (strcasestr(fixture_reply(&f), cases[i].says) == NULL)
            fail_msg("%s", fixture_reply(&f));
        bool html = cases[i].flags == TB_R_HTML;
        assert_int_equal(fixture_reply_header(&f, "content-security-policy") != NULL, html);
        assert_int_equal(fixture_reply_header(&f, "content-language") != NULL,
                         (cases[i].flags & (TB_R_HTML | TB_R_OAUTH)) == 0);
    }
}

/* A method it does not take, or a stage before the router: the path is asked for its shape. */
static void fails_in_the_shape_of_the_path_where_no_operation_was_reached(void **state)
{
    (void)state;
    static const struct tb_route pages = {.method = "GET", .path = "/page", .flags = TB_R_HTML};
    static struct tb_operation operation = {.plugin = &f.plugin, .route = &pages};
    assert_null(tb_router_add((struct tb_router *)f.parts.router, &operation));
    static const struct {
        const char *method, *path, *type;
    } cases[] = {
        {"GET", "/page", "text/html; charset=utf-8"},
        {"PUT", "/page", "text/html; charset=utf-8"},
        {"GET", "/pages", "application/problem+json"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = fixture_request(&f, cases[i].method, cases[i].path);
        x->match = (struct tb_match){.flags = TB_R_OAUTH}; /* of the request before */
        tb_exchange_refuse(x, TB_E_QUARANTINED);
        assert_string_equal(type_of_reply(), cases[i].type);
    }
}

/* What a handler had set belongs to an answer that is not given. */
static void drops_the_headers_of_the_answer_it_refuses(void **state)
{
    (void)state;
    struct tb_exchange *x = ask(0);
    assert_null(tb_set_header(&x->run.req, "location", TB_STR("/there")));
    assert_null(tb_set_header(&x->run.req, "cache-control", TB_STR("public")));
    assert_null(tb_exchange_reply(x, 200, TB_STR("application/json"), TB_STR("{}")));
    tb_exchange_refuse(x, TB_E_INTERNAL);
    assert_int_equal(x->status, 500);
    assert_null(fixture_reply_header(&f, "location"));
    assert_string_equal(fixture_reply_header(&f, "cache-control"), "no-store");
    assert_string_equal(type_of_reply(), "application/problem+json");
    assert_string_equal(fixture_reply_header(&f, "x-request-id"), x->request_id);

    x = fixture_request(&f, "GET", "/shop/v1/things"); /* refused before any handler */
    assert_true(tb_exchange_header(x, TB_STR("allow"), TB_STR("PUT")));
    tb_exchange_refuse(x, TB_E_METHOD);
    assert_string_equal(fixture_reply_header(&f, "allow"), "PUT");
}

static void challenges_by_what_was_wrong(void **state)
{
    (void)state;
    static const struct tb_grant bound = {.dpop = {"jkt", 3}}, plain = {.env = TB_ENV_LIVE};
    const struct {
        tb_err err;
        const struct tb_grant *grant;
        const char *scope, *says, *lacks;
    } cases[] = {
        {TB_E_TOKEN_INVALID, NULL, NULL, "Bearer error=\"invalid_token\"", "algs"},
        {TB_E_TOKEN_INVALID, &plain, NULL, "Bearer error=\"invalid_token\"", "scope"},
        {TB_E_TOKEN_INVALID, &bound, NULL, "DPoP error=\"invalid_token\", algs=\"", NULL},
        {TB_E_TOKEN_MISSING, NULL, NULL, "DPoP algs=\"", NULL},
        {TB_E_SCOPE_MISSING, &plain, "shop:read",
         "Bearer error=\"insufficient_scope\", scope=\"shop:read\"", NULL},
        {TB_E_CONSENT_REVOKED, &plain, NULL, "Bearer error=\"insufficient_scope\"", "scope=\""},
        {TB_E_DPOP_PROOF, &bound, NULL, "DPoP error=\"invalid_dpop_proof\"", NULL},
        {TB_E_DPOP_NONCE, &bound, NULL, "DPoP error=\"use_dpop_nonce\"", NULL},
        {TB_E_INVALID_CLIENT, NULL, NULL, "Basic realm=\"tongbao\"", NULL},
        {TB_E_NOT_ENTITLED, &plain, NULL, NULL, NULL},
        {TB_E_INTERNAL, NULL, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ask(0);
        x->grant = cases[i].grant;
        f.route.scope = cases[i].scope;
        tb_exchange_refuse(x, cases[i].err);
        const char *found = fixture_reply_header(&f, "www-authenticate");
        if ((found == NULL) != (cases[i].says == NULL) ||
            (found != NULL && strncmp(found, cases[i].says, strlen(cases[i].says)) != 0))
            fail_msg("%s: %s", cases[i].err->code, found);
        if (cases[i].lacks != NULL)
            assert_null(strstr(found, cases[i].lacks));
    }
}

/* ---- headers and memory ---- */

static void sends_no_more_headers_than_there_is_room_for(void **state)
{
    (void)state;
    struct tb_exchange *x = ask(0);
    while (tb_exchange_header(x, TB_STR("x-more"), TB_STR("1")))
        assert_true(x->reply_headers_n <= TB_REPLY_HEADERS_MAX);
    assert_int_equal(x->reply_headers_n, TB_REPLY_HEADERS_MAX);
    assert_true(tb_is(tb_set_header(&x->run.req, "x-more", TB_STR("1")), TB_E_INTERNAL));
    assert_null(tb_exchange_reply(x, 200, TB_STR("text/css"), TB_STR("")));
    assert_int_equal(x->reply_headers_n, TB_REPLY_HEADERS_MAX);
}

static uint32_t shape;

static bool refuse_with(struct fixture *fixture, size_t cap)
{
    struct tb_exchange *x = ask(shape);
    x->run.problem.link = TB_STR("/shop/v1/things/1");
    f.settings.dpop_nonce = true;
    x->dpop_scheme = true;
    fixture_starve(fixture, cap);
    tb_exchange_refuse(x, TB_E_DPOP_NONCE);
    f.settings.dpop_nonce = f.config->dpop_nonce;
    assert_non_null(x->reply.at);
    for (size_t i = 0; i < x->reply_headers_n; i++)
        if (x->reply_headers[i].value.at == NULL)
            fail_msg("%s has no value", x->reply_headers[i].name.at);
    if (x->status == 401)
        return true;
    assert_int_equal(x->status, 500);
    assert_string_equal(type_of_reply(), "application/problem+json");
    json_t *json = problem();
    assert_member(json, "code", "internal");
    json_decref(json);
    return false;
}

static void refuses_with_its_last_words_when_memory_ends(void **state)
{
    (void)state;
    static const uint32_t shapes[] = {0, TB_R_OAUTH, TB_R_HTML};
    for (size_t i = 0; i < TB_COUNT(shapes); i++) {
        shape = shapes[i];
        fixture_famine(&f, refuse_with);
    }
}

/* ---- the handler and its answer ---- */

static struct tb_str answers; /* absent: the handler says nothing */
static size_t handled;

static tb_err handler(struct tb_req *req)
{
    handled++;
    return answers.at == NULL ? NULL : tb_reply(req, 200, answers);
}

static void expects_a_handler_to_answer(void **state)
{
    (void)state;
    struct tb_exchange *x = fixture_request(&f, "GET", "/shop/v1/things");
    size_t own = x->reply_headers_n;
    f.route.handler = handler;
    answers = TB_STR("{}");
    handled = 0;
    assert_string_equal(fixture_stage(&f, tb_stage_handler), "ok");
    assert_int_equal(handled, 1);
    assert_int_equal(x->own_headers_n, own);
    ask(0);
    f.route.handler = handler;
    answers = TB_STR_NONE;
    assert_string_equal(fixture_stage(&f, tb_stage_handler), "internal");
    assert_string_equal(fixture_detail(&f), "the operation gave no answer");
}

static struct tb_answer stored;
static tb_err stored_err;

static tb_err answered_call(struct tb_req *req, struct tb_answer *out, const struct tb_call *call)
{
    (void)req;
    assert_string_equal(call->function, "script.answer_again");
    *out = stored;
    return stored_err;
}

static void gives_the_stored_answer_of_an_answered_key(void **state)
{
    (void)state;
    f.host.call = answered_call;
    handled = 0;
    stored = (struct tb_answer){201, TB_STR("{\"id\":1}"), TB_STR("/shop/v1/things/1"), true};
    stored_err = NULL;
    struct tb_exchange *x = ask(TB_R_KEY);
    f.route.handler = handler;
    x->replays = true;
    assert_string_equal(fixture_stage(&f, tb_stage_handler), "ok");
    assert_int_equal(handled, 0);
    assert_int_equal(x->status, 201);
    assert_string_equal(fixture_reply(&f), "{\"id\":1}");
    assert_string_equal(fixture_reply_header(&f, "location"), "/shop/v1/things/1");
    assert_string_equal(fixture_reply_header(&f, "idempotency-replayed"), "true");
    stored_err = TB_E_KEY_REUSED;
    x = ask(TB_R_KEY);
    x->replays = true;
    assert_string_equal(fixture_stage(&f, tb_stage_handler), "idempotency_key_reused");
    assert_int_equal(x->status, 0);
}

static void holds_answers_against_their_schema_where_that_is_switched_on(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *says; /* NULL: it is good */
    } cases[] = {
        {"{\"id\":\"x\"}", NULL},
        {"{\"id\":5}", "the answer breaks its schema at \"/id\": must be a string"},
        {"{}", "the answer breaks its schema at \"/id\""},
        {"[]", "the answer breaks its schema at \"\""},
        {"{\"id\":", "the answer is not JSON: "},
        {"{\"id\":1.5}", "the answer is not JSON: "},
        {"", "the answer is not JSON: "},
    };
    struct tb_schema *schema = load_text("{'type':'object','required':['id'],"
                                         "'properties':{'id':{'type':'string'}}}");
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        for (int on = 0; on < 2; on++)
            for (int declared = 0; declared < 2; declared++) {
                struct tb_exchange *x = ask(0);
                f.settings.check_replies = on != 0;
                f.operation.reply_schema = declared != 0 ? schema : NULL;
                assert_null(tb_reply(&x->run.req, 200, tb_str(cases[i].reply)));
                const char *code = fixture_stage(&f, tb_stage_reply_schema);
                bool bad = on != 0 && declared != 0 && cases[i].says != NULL;
                if (strcmp(code, bad ? "internal" : "ok") != 0)
                    fail_msg("%s: %s", cases[i].reply, code);
                if (bad && strstr(fixture_detail(&f), cases[i].says) == NULL)
                    fail_msg("%s: %s", cases[i].reply, fixture_detail(&f));
            }
    f.settings.check_replies = f.config->check_replies;
    tb_schema_free(schema);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(answers_with_what_it_is_given_and_keeps_caches_out),
    cmocka_unit_test(leaves_a_handler_its_own_cache_control),
    cmocka_unit_test(needs_a_body_unless_the_status_has_none),
    cmocka_unit_test(gives_the_next_nonce_to_those_who_make_proofs),
    cmocka_unit_test(binds_browsers_to_https_where_they_log_in_but_on_this_machine),
    cmocka_unit_test(refuses_with_a_problem_document),
    cmocka_unit_test(speaks_the_language_the_client_prefers),
    cmocka_unit_test(says_when_to_come_again),
    cmocka_unit_test(names_what_the_path_says_when_it_is_not_found),
    cmocka_unit_test(links_to_what_is_related),
    cmocka_unit_test(keeps_the_registered_name_of_a_problem_type),
    cmocka_unit_test(tells_what_the_database_said_to_the_owner_of_a_sandbox_alone),
    cmocka_unit_test(fails_in_the_shape_of_the_route),
    cmocka_unit_test(fails_in_the_shape_of_the_path_where_no_operation_was_reached),
    cmocka_unit_test(drops_the_headers_of_the_answer_it_refuses),
    cmocka_unit_test(challenges_by_what_was_wrong),
    cmocka_unit_test(sends_no_more_headers_than_there_is_room_for),
    cmocka_unit_test(refuses_with_its_last_words_when_memory_ends),
    cmocka_unit_test(expects_a_handler_to_answer),
    cmocka_unit_test(gives_the_stored_answer_of_an_answered_key),
    cmocka_unit_test(holds_answers_against_their_schema_where_that_is_switched_on),
};
TEST_GROUP(tests, open_all, close_all);
