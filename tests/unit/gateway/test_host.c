/* The host table that products are given: what each service says of a request, and that calls and
 * queries reach the database with it. */
#include "exchange_fixture.h"

#include "../store/pg.h"
#include "base/id.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/time.h"
#include "gateway/host.h"
#include "store/migrate.h"
#include <stdio.h>
#include <string.h>

static struct pg pg;
static struct fixture f;

/* What a call of t.see brings is what it answers with, and it is answered once for each key; t.no
 * refuses. */
static const char SCHEMA[] =
    "create schema t; create table t.done (n int);"
    "create function t.see(book int, calls tb.call[]) returns setof tb.answer language plpgsql as $$"
    " declare c tb.call;"
    " begin"
    "  foreach c in array calls loop"
    "   insert into t.done values (1);"
    "   return next row(c.n, 201, null, null, null, '/shop/v1/things/1', jsonb_build_object("
    "     'book', see.book, 'partner', c.partner, 'app', c.app, 'now', tb.rfc3339(c.now),"
    "     'route', c.route, 'key', c.key, 'fp', c.fp, 'path', c.path, 'body', c.body,"
    "     'consent', c.consent, 'request', c.request, 'routed', c.routed, 'details', c.details"
    "     )::text, null, false)::tb.answer;"
    "  end loop;"
    " end $$;"
    "create function t.no(book int, calls tb.call[]) returns setof tb.answer language plpgsql as $$"
    " begin"
    "  return next row(calls[1].n, 409, 'conflict', 'it is taken', '/v', null, null, null, false"
    "                  )::tb.answer;"
    " end $$;";

static int open_all(void **state)
{
    (void)state;
    pg_make(&pg, false);
    for (const struct tb_migration *m = tb_store_migrations; m->number != 0; m++)
        pg_do(&pg, m->sql);
    pg_do(&pg, SCHEMA);
    fixture_open_on(&f, pg.dsn);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&f);
    pg_remove(&pg);
    return 0;
}

static const struct tb_grant grant = {
    .partner = {"ptr_a", 5},
    .app = {"app_a", 5},
    .subject = {"usr_1", 5},
    .consent = {"cns_1", 5},
    .details = {"[{\"type\":\"payment\"}]", 20},
    .book = 7,
};

static struct tb_req *ask(void)
{
    struct tb_exchange *x = fixture_request(&f, "POST", "/shop/v1/things");
    x->grant = &grant;
    return &x->run.req;
}

static void assert_text(struct tb_str text, const char *want)
{
    if (want == NULL ? text.at != NULL : text.at == NULL || !tb_str_eq(text, tb_str(want)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)text.n, text.at == NULL ? "" : text.at,
                 want == NULL ? "nothing" : want);
}

/* ---- who and what ---- */

/* Behind the size there are functions and nothing else: none is left out. */
static void has_every_service_the_sdk_promises(void **state)
{
    (void)state;
    const struct tb_host *host = tb_plugin_host();
    void (*services[(sizeof(*host) - sizeof(host->size)) / sizeof(void (*)(void))])(void);
    assert_ptr_equal(host, tb_plugin_host());
    assert_int_equal(host->size, sizeof(*host));
    memcpy(services, (const char *)host + sizeof(host->size), sizeof(services));
    for (size_t i = 0; i < TB_COUNT(services); i++)
        if (services[i] == NULL)
            fail_msg("service %zu is missing", i);
}

static void says_for_whom_a_request_acts(void **state)
{
    (void)state;
    struct tb_req *req = ask();
    assert_text(tb_partner(req), "ptr_a");
    assert_text(tb_app(req), "app_a");
    assert_text(tb_subject(req), "usr_1");
    assert_text(tb_consent(req), "cns_1");
    assert_text(tb_details(req), "[{\"type\":\"payment\"}]");
    assert_int_equal(tb_book(req), 7);
}

static void says_of_an_open_route_that_it_acts_for_nobody(void **state)
{
    (void)state;
    struct tb_req *req = ask();
    f.x->grant = NULL;
    assert_text(tb_partner(req), "");
    assert_text(tb_app(req), "");
    assert_text(tb_subject(req), NULL);
    assert_text(tb_consent(req), NULL);
    assert_text(tb_details(req), NULL);
    assert_int_equal(tb_book(req), 0);
}

static void tells_the_time_of_the_world(void **state)
{
    (void)state;
    static const int64_t offsets[] = {0, 1, -86400000, 86400000};
    struct tb_req *req = ask();
    for (size_t i = 0; i < TB_COUNT(offsets); i++) {
        f.x->world_offset_ms = offsets[i];
        assert_int_equal(tb_now(req), tb_loop_wall_ms(f.loop) + offsets[i]);
    }
    f.x->world_offset_ms = INT64_MAX;
    assert_int_equal(tb_now(req), TB_TIME_MAX);
    f.x->world_offset_ms = INT64_MIN;
    assert_int_equal(tb_now(req), TB_TIME_MIN);
}

static void gives_what_came_in_by_its_name(void **state)
{
    (void)state;
    struct tb_req *req = ask();
    f.x->match.params[0] = (struct tb_path_param){"payment_id", TB_STR("pay_1")};
    f.x->match.params[1] = (struct tb_path_param){"refund_id", TB_STR("ref_1")};
    f.x->match.params_n = 2;
    f.x->query[0] = (struct tb_query_value){TB_STR("limit"), TB_STR("5")};
    f.x->query[1] = (struct tb_query_value){TB_STR("state"), TB_STR("")};
    f.x->query_n = 2;
    fixture_header(&f, "prefer", "current");
    fixture_header(&f, "prefer", "other");
    f.x->body = TB_STR("{\"a\":1}");
    f.x->in.body = TB_STR("{\"a\":0}"); /* as it came, before a script */
    assert_text(tb_path(req, "payment_id"), "pay_1");
    assert_text(tb_path(req, "refund_id"), "ref_1");
    assert_text(tb_path(req, "payment"), NULL);
    assert_text(tb_query_param(req, "limit"), "5");
    assert_text(tb_query_param(req, "state"), "");
    assert_text(tb_query_param(req, "lim"), NULL);
    assert_text(tb_header(req, "prefer"), "current");
    assert_text(tb_header(req, "if-match"), NULL);
    assert_text(tb_body(req), "{\"a\":1}");
    assert_null(tb_json(req));
    f.x->json = json_integer(5);
    assert_true(tb_json_defer(f.x->run.arena, f.x->json));
    assert_ptr_equal(tb_json(req), f.x->json);
}

static void makes_ids_of_the_requests_book(void **state)
{
    (void)state;
    struct tb_req *req = ask();
    struct tb_str one = tb_id(req, "pay"), other = tb_id(req, "pay");
    assert_true(tb_id_check(one, "pay"));
    assert_int_equal(tb_id_book(one), 7);
    assert_int_equal(tb_id_time(one), tb_loop_wall_ms(f.loop));
    assert_false(tb_str_eq(one, other));
    fixture_starve(&f, TB_ID_ROOM - 1);
    assert_text(tb_id(req, "pay"), NULL);
}

static void reads_the_products_own_keys(void **state)
{
    (void)state;
    static const struct tb_config_key keys[] = {{"colour", "red", "Its colour."}};
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text errors;
    tb_text_init(&errors, arena);
    assert_true(tb_config_declare(f.config, "shop", keys, TB_COUNT(keys), &errors));
    tb_arena_free(arena);
    struct tb_req *req = ask();
    assert_text(tb_config(req, "colour"), "red");
    assert_text(tb_config(req, "size"), NULL);
}

static void says_what_a_script_decided_about_the_way(void **state)
{
    (void)state;
    struct tb_req *req = ask();
    assert_text(tb_routed(req, "channel"), NULL);
    json_t *route = json_pack("{s:s, s:i}", "channel", "fast", "n", 1);
    f.x->routed = route;
    assert_text(tb_routed(req, "channel"), "fast");
    assert_text(tb_routed(req, "variant"), NULL);
    assert_text(tb_routed(req, "n"), NULL);
    f.x->routed = NULL;
    json_decref(route);
}

/* ---- the answer ---- */

static void sets_headers_of_visible_text_alone(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool good;
    } cases[] = {
        {"location", "/shop/v1/things/1", true},
        {"etag", "\"1\"", true},
        {"x-a", " ~", true},
        {"x-a", "", true},
        {"x-a", "a\r\nset-cookie: b", false},
        {"x-a", "a\n", false},
        {"x-a", "a\tb", false},
        {"x-a", "\x1f", false},
        {"x-a", "\x7f", false},
        {"x-a", "\xe6\xac\xbe", false},
        {"x-a\r\nx-b", "a", false},
        {"x-\xc3\xa4", "a", false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_req *req = ask();
        size_t n = f.x->reply_headers_n;
        tb_err err = tb_set_header(req, cases[i].name, tb_str(cases[i].value));
        if ((err == NULL) != cases[i].good)
            fail_msg("%s: %s", cases[i].name, cases[i].value);
        assert_int_equal(f.x->reply_headers_n, n + cases[i].good);
        if (cases[i].good)
            assert_string_equal(fixture_reply_header(&f, cases[i].name), cases[i].value);
        else
            assert_true(tb_is(err, TB_E_INTERNAL));
    }
}

static void copies_headers_and_takes_as_many_as_there_is_room_for(void **state)
{
    (void)state;
    struct tb_req *req = ask();
    char name[8] = "x-a", value[8] = "one";
    assert_null(tb_set_header(req, name, tb_str(value)));
    memset(name, 'y', 3);
    memset(value, 'y', 3);
    assert_string_equal(fixture_reply_header(&f, "x-a"), "one");
    while (f.x->reply_headers_n < TB_REPLY_HEADERS_MAX)
        assert_null(tb_set_header(req, "x-b", TB_STR("1")));
    assert_true(tb_is(tb_set_header(req, "x-b", TB_STR("1")), TB_E_INTERNAL));
    assert_string_equal(fixture_detail(&f), "the answer has too many header fields");
}

static bool set_with(struct fixture *fixture, size_t cap)
{
    struct tb_req *req = ask();
    size_t n = fixture->x->reply_headers_n;
    fixture_starve(fixture, cap);
    tb_err err = tb_set_header(req, "location", TB_STR("/shop/v1/things/1"));
    assert_true(err == NULL || tb_is(err, TB_E_INTERNAL));
    assert_int_equal(fixture->x->reply_headers_n, n + (err == NULL));
    return err == NULL;
}

static void sets_no_header_when_memory_ends(void **state)
{
    (void)state;
    fixture_famine(&f, set_with);
}

static void answers_with_json_or_whatever_is_said(void **state)
{
    (void)state;
    struct tb_req *req = ask();
    assert_null(tb_reply(req, 200, TB_STR("{}")));
    assert_string_equal(fixture_reply_header(&f, "content-type"), "application/json");
    assert_int_equal(f.x->status, 200);
    req = ask();
    assert_null(tb_reply_as(req, 202, "text/plain", TB_STR("x")));
    assert_string_equal(fixture_reply_header(&f, "content-type"), "text/plain");
    assert_int_equal(f.x->status, 202);
    req = ask();
    assert_true(tb_is(tb_reply(req, 200, TB_STR_NONE), TB_E_INTERNAL));
}

/* ---- the database ---- */

static struct tb_rows *rows;
static const char *statement;

static tb_err query(struct tb_exchange *x)
{
    return tb_query(&x->run.req, &rows, statement, TB_INT(20), TB_TEXT(TB_STR("x")));
}

static void asks_the_database(void **state)
{
    (void)state;
    static const char good[] = "select $1::int + 1, $2::text",
                      bad[] = "select $1::int / 0, $2::text";
    (void)ask();
    statement = good;
    assert_string_equal(fixture_wait(&f, query), "ok");
    assert_int_equal(tb_cell_int(rows, 0, 0), 21);
    assert_text(tb_cell(rows, 0, 1), "x");
    (void)ask();
    statement = bad;
    assert_string_equal(fixture_wait(&f, query), "internal");
    assert_text(f.x->run.problem.sqlstate, "22012");
}

static struct tb_answer answer;
static const char *function;

static tb_err call(struct tb_exchange *x)
{
    const struct tb_call what = {function};
    return tb_call(&x->run.req, &answer, &what);
}

/* A request under this key, whose fingerprint is sixty-four times one digit. */
static const char *call_with(const char *key, char print)
{
    (void)ask();
    f.x->key = tb_str(key);
    memset(f.x->fingerprint, print, 64);
    f.x->fingerprint[64] = '\0';
    return fixture_wait(&f, call);
}

static uint64_t replayed_n(void)
{
    return f.parts.metrics->row->of[TB_M_REPLAYED];
}

static void does_a_call_once_for_each_key_and_gives_its_answer_again(void **state)
{
    (void)state;
    char first[1024];
    uint64_t before = replayed_n();
    pg_do(&pg, "truncate t.done, tb.idempotency_key");
    function = "t.see";
    assert_string_equal(call_with("k", 'a'), "ok");
    assert_int_equal(answer.status, 201);
    assert_false(answer.replayed);
    assert_text(answer.location, "/shop/v1/things/1");
    snprintf(first, sizeof(first), "%.*s", (int)answer.body.n, answer.body.at);
    assert_string_equal(call_with("k", 'a'), "ok");
    assert_true(answer.replayed);
    assert_int_equal(answer.status, 201);
    assert_text(answer.body, first);
    assert_int_equal(replayed_n(), before + 1);
    assert_string_equal(call_with("k", 'b'), "idempotency_key_reused");
    assert_int_equal(pg_number(&pg, "select count(*) from t.done"), 1);
    assert_string_equal(call_with("other", 'a'), "ok");
    assert_string_equal(call_with(NULL, 'a'), "ok");
    assert_string_equal(call_with(NULL, 'a'), "ok");
    assert_false(answer.replayed);
    assert_int_equal(pg_number(&pg, "select count(*) from t.done"), 4);
    assert_int_equal(replayed_n(), before + 1);
}

static void passes_on_what_a_function_refuses_with(void **state)
{
    (void)state;
    function = "t.no";
    assert_string_equal(call_with(NULL, 'a'), "conflict");
    assert_string_equal(fixture_detail(&f), "it is taken");
    assert_string_equal(fixture_place(&f), "/v");
}

static void assert_member(const json_t *seen, const char *name, const char *want)
{
    char *text = json_dumps(json_object_get(seen, name), JSON_ENCODE_ANY | JSON_COMPACT);
    if (text == NULL || strcmp(text, want) != 0)
        fail_msg("%s is %s", name, text);
    free(text);
}

static json_t *seen_by_the_function(void)
{
    assert_string_equal(fixture_wait(&f, call), "ok");
    json_t *seen = json_loadb(answer.body.at, answer.body.n, 0, NULL);
    assert_non_null(seen);
    return seen;
}

static void sends_the_whole_request_with_a_call(void **state)
{
    (void)state;
    char request[64], print[80];
    (void)ask();
    function = "t.see";
    json_t *route = json_pack("{s:s}", "channel", "fast");
    f.x->routed = route;
    f.x->body = TB_STR("{\"amount\":1}");
    f.x->key = TB_STR("the key");
    memset(f.x->fingerprint, '0', 64);
    f.x->fingerprint[64] = '\0';
    f.x->match.params[0] = (struct tb_path_param){"payment_id", TB_STR("pay_1")};
    f.x->match.params_n = 1;
    f.x->world_offset_ms = INT64_C(1700000000000) - tb_loop_wall_ms(f.loop);
    snprintf(request, sizeof(request), "\"%s\"", f.x->request_id);
    snprintf(print, sizeof(print), "\"%s\"", f.x->fingerprint);
    json_t *seen = seen_by_the_function();
    assert_member(seen, "book", "7");
    assert_member(seen, "partner", "\"ptr_a\"");
    assert_member(seen, "app", "\"app_a\"");
    assert_member(seen, "route", "\"POST /shop/v1/things\"");
    assert_member(seen, "key", "\"the key\"");
    assert_member(seen, "fp", print);
    assert_member(seen, "path", "{\"payment_id\":\"pay_1\"}");
    assert_member(seen, "body", "{\"amount\":1}");
    assert_member(seen, "consent", "\"cns_1\"");
    assert_member(seen, "details", "[{\"type\":\"payment\"}]");
    assert_member(seen, "request", request);
    assert_member(seen, "routed", "{\"channel\":\"fast\"}");
    assert_non_null(strstr(json_string_value(json_object_get(seen, "now")), "2023-11-14T22:13:2"));
    json_decref(seen);
    f.x->routed = NULL;
    json_decref(route);
}

static void sends_nothing_for_what_a_request_lacks(void **state)
{
    (void)state;
    static const struct tb_grant plain = {.partner = {"ptr_a", 5}, .app = {"app_a", 5}, .book = 7};
    static const char *const lacking[] = {"key", "fp", "body", "consent", "details", "routed"};
    (void)ask();
    f.x->grant = &plain;
    memset(f.x->fingerprint, '0', 64); /* without a key it is nobody's */
    function = "t.see";
    json_t *seen = seen_by_the_function();
    for (size_t i = 0; i < TB_COUNT(lacking); i++)
        assert_member(seen, lacking[i], "null");
    json_decref(seen);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(has_every_service_the_sdk_promises),
    cmocka_unit_test(says_for_whom_a_request_acts),
    cmocka_unit_test(says_of_an_open_route_that_it_acts_for_nobody),
    cmocka_unit_test(tells_the_time_of_the_world),
    cmocka_unit_test(gives_what_came_in_by_its_name),
    cmocka_unit_test(makes_ids_of_the_requests_book),
    cmocka_unit_test(reads_the_products_own_keys),
    cmocka_unit_test(says_what_a_script_decided_about_the_way),
    cmocka_unit_test(sets_headers_of_visible_text_alone),
    cmocka_unit_test(copies_headers_and_takes_as_many_as_there_is_room_for),
    cmocka_unit_test(sets_no_header_when_memory_ends),
    cmocka_unit_test(answers_with_json_or_whatever_is_said),
    cmocka_unit_test(asks_the_database),
    cmocka_unit_test(does_a_call_once_for_each_key_and_gives_its_answer_again),
    cmocka_unit_test(passes_on_what_a_function_refuses_with),
    cmocka_unit_test(sends_the_whole_request_with_a_call),
    cmocka_unit_test(sends_nothing_for_what_a_request_lacks),
};
TEST_GROUP(tests, open_all, close_all);
