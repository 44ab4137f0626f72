/* Stages "entitle" and "limit": which of all conditions refuses, in what words, and what the
 * headers say of the limit. What the database says is made here. */
#include "exchange_fixture.h"

#include "base/mem.h"
#include "base/metrics.h"
#include "directory/entitlements.h"
#include "ledger/world.h"
#include "limit/limit.h"
#include <stdio.h>
#include <sys/mman.h>

static struct fixture f;
static struct tb_limit_set standard;
static void *limiter_memory;

/* ---- the database ---- */

static struct {
    bool world, app, active, plain, entitled, stopped;
    const char *scope; /* NULL: SQL's null */
} db;

static tb_err query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                    const struct tb_param *params, size_t params_n)
{
    static struct tb_str cells[3 * 7];
    static struct tb_rows rows;
    (void)req, (void)params;
    assert_int_equal(params_n, 1);
    *out_rows = &rows;
    if (strstr(sql, "bank.book") != NULL) {
        cells[0] = TB_STR("f");
        cells[1] = TB_STR("3600000");
        rows = (struct tb_rows){db.world ? 1 : 0, 2, cells};
        return NULL;
    }
    const struct tb_str lines[3][7] = {
        {TB_STR("0"), TB_STR("sandbox"), tb_str(db.scope), TB_STR(""),
         db.active ? TB_STR("1") : TB_STR("0"), db.plain ? TB_STR("1") : TB_STR("0"), TB_STR("0")},
        {TB_STR("1"), db.stopped ? TB_STR("") : TB_STR("gone"), TB_STR(""),
         TB_STR("closed at noon"), TB_STR("0"), TB_STR("0"), TB_STR("0")},
        {TB_STR("3"), db.entitled ? TB_STR("") : TB_STR("gone"), TB_STR(""), TB_STR(""),
         TB_STR("0"), TB_STR("0"), TB_STR("0")},
    };
    memcpy(cells, lines, sizeof(lines));
    rows = (struct tb_rows){db.app ? 3 : 0, 7, cells};
    return NULL;
}

static int open_all(void **state)
{
    (void)state;
    char why[128];
    const struct tb_limit_window window = {"standard", 4, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING};
    fixture_open(&f);
    f.host.query = query;
    assert_true(tb_limit_set_init(&standard, &window, 1, why, sizeof(why)));
    limiter_memory = mmap(NULL, tb_limiter_bytes(64), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(limiter_memory, MAP_FAILED);
    fixture_parts(&f)->limiter = tb_limiter_open(limiter_memory, tb_limiter_bytes(64));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    tb_limiter_close(fixture_parts(&f)->limiter);
    munmap(limiter_memory, tb_limiter_bytes(64));
    fixture_close(&f);
    return 0;
}

/* ---- entitle ---- */

static const struct tb_str scopes[] = {{"shop:read", 9}, {"shop:write", 10}};

/* A request as stage "constrain" leaves it, of an app that may do all. */
static struct tb_exchange *ask(struct tb_grant *grant)
{
    *grant = (struct tb_grant){.partner = {"ptr_a", 5},
                               .app = {"app_a", 5},
                               .book = 7,
                               .env = TB_ENV_SANDBOX,
                               .cert = {"x5t", 3},
                               .scopes = scopes,
                               .scopes_n = TB_COUNT(scopes)};
    db.world = db.app = db.active = db.entitled = true;
    db.plain = db.stopped = false;
    db.scope = NULL;
    f.plugin.name = "shop";
    struct tb_exchange *x = fixture_request(&f, "GET", "/shop/v1/things");
    f.route.scope = "shop:read";
    x->grant = grant;
    return x;
}

/* The stage, in a worker that has met neither world nor app. */
static const char *entitle(void)
{
    static struct tb_operation *operations[1];
    operations[0] = &f.operation;
    struct tb_gateway_parts *parts = fixture_parts(&f);
    parts->worlds = tb_worlds_new();
    parts->apps = tb_apps_new(&standard, operations, 1);
    const char *code = fixture_stage(&f, tb_stage_entitle);
    tb_apps_free(parts->apps);
    tb_mem_free(parts->worlds);
    return code;
}

static void lets_an_app_do_what_was_agreed_in_its_world(void **state)
{
    (void)state;
    struct tb_grant grant;
    struct tb_exchange *x = ask(&grant);
    assert_string_equal(entitle(), "ok");
    assert_ptr_equal(x->limits, &standard);
    assert_int_equal(x->world_offset_ms, 3600000);
}

static void asks_nothing_of_whoever_uses_an_open_route(void **state)
{
    (void)state;
    struct tb_grant grant;
    struct tb_exchange *x = ask(&grant);
    f.route.scope = NULL;
    x->grant = NULL;
    x->limits = &standard; /* of the request before */
    assert_string_equal(entitle(), "ok");
    assert_null(x->limits);
}

static void refuses_when_any_condition_fails(void **state)
{
    (void)state;
    enum what { WORLD, APP, SUSPENDED, STOPPED, ENTITLEMENT, TOKEN_SCOPE, APP_SCOPE };
    static const struct {
        enum what lacking;
        const char *code, *detail, *cause;
    } cases[] = {
        {WORLD, "not_entitled", "the token's world does not exist any more", ""},
        {APP, "not_entitled", "the token's app does not exist any more", ""},
        {SUSPENDED, "stopped", "the app or its partner is suspended", ""},
        {STOPPED, "stopped", "the bank has stopped GET /shop/v1/things", "closed at noon"},
        {ENTITLEMENT, "not_entitled",
         "no entitlement of the app covers GET /shop/v1/things in the sandbox environment", ""},
        {TOKEN_SCOPE, "insufficient_scope", "GET /shop/v1/things needs the scope shop:read", ""},
        {APP_SCOPE, "insufficient_scope",
         "GET /shop/v1/things needs the scope shop:read, which the app has not registered any more",
         ""},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_grant grant;
        struct tb_exchange *x = ask(&grant);
        enum what lacking = cases[i].lacking;
        db.world = lacking != WORLD;
        db.app = lacking != APP;
        db.active = lacking != SUSPENDED;
        db.stopped = lacking == STOPPED;
        db.entitled = lacking != ENTITLEMENT;
        db.scope = lacking == APP_SCOPE ? "shop:write" : NULL;
        if (lacking == TOKEN_SCOPE)
            grant.scopes = scopes + 1, grant.scopes_n = 1;
        assert_string_equal(entitle(), cases[i].code);
        assert_string_equal(fixture_detail(&f), cases[i].detail);
        assert_string_equal(x->trace.cause, cases[i].cause);
        /* what is known of the app is used up by its refusals, too */
        bool known = lacking != WORLD && lacking != APP && lacking != TOKEN_SCOPE;
        assert_int_equal(x->limits != NULL, known);
    }
}

static void holds_a_token_against_the_scopes_its_app_has_registered(void **state)
{
    (void)state;
    static const struct {
        const char *registered, *code;
    } cases[] = {
        {NULL, "ok"},
        {"shop:read", "ok"},
        {"openid shop:read shop:write", "ok"},
        {"", "insufficient_scope"},
        {"shop:reader", "insufficient_scope"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_grant grant;
        (void)ask(&grant);
        db.scope = cases[i].registered;
        assert_string_equal(entitle(), cases[i].code);
    }
}

static void takes_tokens_bound_to_nobody_where_the_app_may_use_them(void **state)
{
    (void)state;
    static const struct {
        const char *cert, *dpop;
        bool plain, sandbox, good;
    } cases[] = {
        {"x5t", NULL, false, true, true},  {NULL, "jkt", false, true, true},
        {NULL, NULL, true, true, true},    {NULL, NULL, false, true, false},
        {NULL, NULL, false, false, false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_grant grant;
        struct tb_exchange *x = ask(&grant);
        grant.cert = tb_str(cases[i].cert);
        grant.dpop = tb_str(cases[i].dpop);
        db.plain = cases[i].plain;
        f.settings.sandbox = cases[i].sandbox;
        assert_string_equal(entitle(), cases[i].good ? "ok" : "token_invalid");
        if (cases[i].good)
            continue;
        assert_string_equal(fixture_place(&f), "authorization:");
        assert_non_null(x->run.caller.cause);
        /* only in a sandbox is there nothing to be gained by the words */
        assert_int_equal(strstr(fixture_detail(&f), "bound to nobody") != NULL, cases[i].sandbox);
    }
    f.settings.sandbox = f.config->sandbox;
}

static void needs_no_entitlement_for_what_comes_with_being_an_app(void **state)
{
    (void)state;
    static const struct {
        uint32_t flags;
        const char *code;
    } cases[] = {
        {TB_R_EVERY_APP, "ok"}, {TB_R_EVERY_APP | TB_R_PAGE, "ok"}, {TB_R_PAGE, "not_entitled"}};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_grant grant;
        (void)ask(&grant);
        f.route.flags = cases[i].flags;
        db.entitled = false;
        assert_string_equal(entitle(), cases[i].code);
    }
    struct tb_grant grant;
    (void)ask(&grant);
    grant.env = TB_ENV_LIVE;
    db.entitled = false;
    assert_string_equal(entitle(), "not_entitled");
    assert_non_null(strstr(fixture_detail(&f), "in the live environment"));
}

/* ---- limit ---- */

/* Units of the limit that a request of this route costs. */
static const char *take(uint32_t cost)
{
    struct tb_grant grant;
    struct tb_exchange *x = ask(&grant);
    f.route.cost = cost;
    x->limits = &standard;
    return fixture_stage(&f, tb_stage_limit);
}

static void takes_what_a_request_costs_until_the_limit_is_used_up(void **state)
{
    (void)state;
    static const struct {
        uint32_t cost;
        const char *code, *left; /* how the header ends its policy */
    } cases[] = {{0, "ok", "r=3"},
                 {1, "ok", "r=2"},
                 {3, "rate_limited", "r=2"},
                 {2, "ok", "r=0"},
                 {1, "rate_limited", "r=0"}};
    uint64_t refused = f.parts.metrics->row->of[TB_M_RATE_LIMITED];
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        assert_string_equal(take(cases[i].cost), cases[i].code);
        const char *header = fixture_reply_header(&f, "ratelimit");
        if (strstr(header, cases[i].left) == NULL)
            fail_msg("case %zu: %s", i, header);
        assert_non_null(strstr(fixture_reply_header(&f, "ratelimit-policy"), "\"standard\";q=4"));
        if (strcmp(cases[i].code, "ok") == 0)
            continue;
        assert_true(f.x->run.problem.retry_after_s > 0);
        assert_non_null(strstr(fixture_detail(&f), "the limit \"standard\" is used up; wait "));
        assert_true(
            tb_str_eq(f.x->run.problem.extra, TB_STR("{\"violated-policies\":[\"standard\"]}")));
    }
    assert_int_equal(f.parts.metrics->row->of[TB_M_RATE_LIMITED], refused + 2);
}

static void counts_nothing_on_open_routes(void **state)
{
    (void)state;
    struct tb_grant grant;
    struct tb_exchange *x = ask(&grant);
    x->limits = NULL;
    assert_string_equal(fixture_stage(&f, tb_stage_limit), "ok");
    assert_null(fixture_reply_header(&f, "ratelimit"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lets_an_app_do_what_was_agreed_in_its_world),
    cmocka_unit_test(asks_nothing_of_whoever_uses_an_open_route),
    cmocka_unit_test(refuses_when_any_condition_fails),
    cmocka_unit_test(holds_a_token_against_the_scopes_its_app_has_registered),
    cmocka_unit_test(takes_tokens_bound_to_nobody_where_the_app_may_use_them),
    cmocka_unit_test(needs_no_entitlement_for_what_comes_with_being_an_app),
    cmocka_unit_test(takes_what_a_request_costs_until_the_limit_is_used_up),
    cmocka_unit_test(counts_nothing_on_open_routes),
};
TEST_GROUP(tests, open_all, close_all);
