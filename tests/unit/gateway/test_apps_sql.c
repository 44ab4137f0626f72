/* The two statements that read an app, on a real PostgreSQL: what they find of an app's world, its
 * client, its limits and entitlements, page by page. */
#include "exchange_fixture.h"

#include "../store/pg.h"
#include "directory/entitlements.h"
#include "limit/limit.h"
#include "oauth/token/keys.h"
#include "store/migrate.h"
#include <stdio.h>

extern const struct tb_migration tb_ledger_migrations[];

static struct pg pg;
static struct fixture f;
static struct tb_limit_set standard;
static struct tb_app found;

enum { FIRST, LAST, OPERATIONS };
static const struct tb_plugin shop = {.name = "shop"};
static struct tb_operation served[OPERATIONS] = {
    [FIRST] = {.plugin = &shop, .key = "GET /shop/v1/a", .key_n = 14, .index = FIRST},
    [LAST] = {.plugin = &shop, .key = "PUT /shop/v1/z", .key_n = 14, .index = LAST},
};
static struct tb_operation *const by_index[] = {&served[FIRST], &served[LAST]};

static const char BOOKS[] =
    "insert into bank.world values ('wld_s', 'Sandbox', 'sandbox', default, default, now());"
    "insert into bank.partner values ('ptr_a', 'A', default, now());"
    "insert into bank.app values ('app_a', 'ptr_a', 'wld_s', 'A', default, true, now());"
    "insert into bank.app values ('app_b', 'ptr_a', 'wld_s', 'B', default, false, now());";

static int open_all(void **state)
{
    (void)state;
    char why[128];
    const struct tb_migration *const rooms[] = {tb_store_migrations, tb_ledger_migrations,
                                                tb_oauth_migrations};
    const struct tb_limit_window window = {"standard", 100, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING};
    pg_make(&pg, false);
    for (size_t i = 0; i < TB_COUNT(rooms); i++)
        for (const struct tb_migration *m = rooms[i]; m->number != 0; m++)
            pg_do(&pg, m->sql);
    pg_do(&pg, BOOKS);
    fixture_open_on(&f, pg.dsn);
    assert_true(tb_limit_set_init(&standard, &window, 1, why, sizeof(why)));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&f);
    pg_remove(&pg);
    return 0;
}

static struct tb_apps *apps;
static const char *who;
static uint32_t what;

static tb_err find(struct tb_exchange *x)
{
    return tb_app_find(&x->run.req, apps, tb_str(who), &served[what], &found);
}

/* A worker that has met no app asks for one. */
static const char *ask(const char *app, uint32_t operation)
{
    (void)fixture_request(&f, "GET", "/shop/v1/a");
    tb_apps_free(apps);
    apps = tb_apps_new(&standard, by_index, OPERATIONS);
    who = app;
    what = operation;
    return fixture_wait(&f, find);
}

static int forget(void **state)
{
    (void)state;
    tb_apps_free(apps);
    apps = NULL;
    pg_do(&pg, "truncate bank.entitlement, bank.stop, bank.app_limit; "
               "update bank.app set state = 'active'; update bank.partner set state = 'active'");
    return 0;
}

static void finds_the_state_of_app_and_partner(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        bool active;
    } cases[] = {
        {"select 1", true},
        {"update bank.app set state = 'suspended' where id = 'app_a'", false},
        {"update bank.app set state = 'active'; update bank.partner set state = 'suspended'",
         false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        pg_do(&pg, cases[i].sql);
        assert_string_equal(ask("app_a", FIRST), "ok");
        assert_int_equal(found.active, cases[i].active);
        assert_true(found.plain_tokens);
        assert_null(found.scope);
        assert_false(found.entitled);
        assert_null(found.stopped);
        assert_ptr_equal(found.limits, &standard);
    }
    assert_string_equal(ask("app_b", FIRST), "ok");
    assert_false(found.plain_tokens);
    assert_string_equal(ask("app_c", FIRST), "not_entitled");
}

static void finds_the_scope_that_a_client_has_registered(void **state)
{
    (void)state;
    static const struct {
        const char *metadata, *scope;
    } cases[] = {{"{\"scope\":\"shop:read shop:write\"}", "shop:read shop:write"}, {"{}", ""}};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char sql[256];
        snprintf(sql, sizeof(sql),
                 "insert into oauth.client (app, metadata, created_at, updated_at) values "
                 "('app_b', '%s', now(), now())",
                 cases[i].metadata);
        pg_do(&pg, sql);
        assert_string_equal(ask("app_b", FIRST), "ok");
        assert_string_equal(found.scope, cases[i].scope);
        assert_string_equal(ask("app_a", FIRST), "ok");
        assert_null(found.scope);
        pg_do(&pg, "delete from oauth.client");
    }
}

static void finds_the_entitlements_of_the_apps_own_environment(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        bool first, last;
    } cases[] = {
        {"('app_a', 'shop', 'sandbox', 'GET /shop/v1/a', now())", true, false},
        {"('app_a', 'shop', 'live', '', now())", false, false},
        {"('app_b', '', 'sandbox', '', now())", false, false},
        {"('app_a', 'shop', 'sandbox', '', now())", true, true},
        {"('app_a', '', 'sandbox', '', now())", true, true},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char sql[256];
        snprintf(sql, sizeof(sql),
                 "truncate bank.entitlement; insert into bank.entitlement values %s", cases[i].row);
        pg_do(&pg, sql);
        assert_string_equal(ask("app_a", FIRST), "ok");
        assert_int_equal(found.entitled, cases[i].first);
        assert_string_equal(ask("app_a", LAST), "ok");
        assert_int_equal(found.entitled, cases[i].last);
    }
}

/* The one that counts is the last in the order of the pages. */
static void reads_entitlements_to_the_last_page(void **state)
{
    (void)state;
    static const size_t sizes[] = {499, 500, 501, 1000, 1001, 1500};
    for (size_t i = 0; i < TB_COUNT(sizes); i++) {
        char sql[512];
        snprintf(sql, sizeof(sql),
                 "truncate bank.entitlement; insert into bank.entitlement select 'app_a', 'gone', "
                 "'sandbox', 'GET /gone/' || n, now() from generate_series(2, %zu) n; "
                 "insert into bank.entitlement values ('app_a', 'shop', 'sandbox', "
                 "'PUT /shop/v1/z', now())",
                 sizes[i]);
        pg_do(&pg, sql);
        assert_string_equal(ask("app_a", LAST), "ok");
        assert_true(found.entitled);
        assert_string_equal(ask("app_a", FIRST), "ok");
        assert_false(found.entitled);
    }
}

static void finds_stops_and_limits(void **state)
{
    (void)state;
    pg_do(&pg, "insert into bank.stop values ('shop', 'PUT /shop/v1/z', 'closed', now()); "
               "insert into bank.app_limit values "
               "('app_a', '', '', 'all', 100, 60000, 'rolling'), "
               "('app_a', 'shop', 'GET /shop/v1/a', 'daily', 7, null, 'day'), "
               "('app_a', 'shop', '', 'monthly', 9, null, 'month'), "
               "('app_b', '', '', 'theirs', 1, 1000, 'rolling')");
    assert_string_equal(ask("app_a", FIRST), "ok");
    assert_null(found.stopped);
    static const struct {
        const char *name;
        int64_t quota;
        enum tb_limit_period period;
        enum tb_limit_scope scope;
    } want[] = {{"all", 100, TB_LIMIT_ROLLING, TB_LIMIT_APP},
                {"monthly", 9, TB_LIMIT_MONTH, TB_LIMIT_PRODUCT},
                {"daily", 7, TB_LIMIT_DAY, TB_LIMIT_ROUTE}};
    assert_int_equal(found.limits->n, TB_COUNT(want));
    for (size_t i = 0; i < TB_COUNT(want); i++) {
        assert_string_equal(found.limits->rules[i].name, want[i].name);
        assert_int_equal(found.limits->rules[i].quota, want[i].quota);
        assert_int_equal(found.limits->rules[i].period, want[i].period);
        assert_int_equal(found.limits->rules[i].scope, want[i].scope);
    }
    assert_string_equal(ask("app_a", LAST), "ok");
    assert_string_equal(found.stopped, "closed");
    assert_int_equal(found.limits->n, 2);
}

#define TEST(name) cmocka_unit_test_teardown(name, forget)

static const struct CMUnitTest tests[] = {
    TEST(finds_the_state_of_app_and_partner),
    TEST(finds_the_scope_that_a_client_has_registered),
    TEST(finds_the_entitlements_of_the_apps_own_environment),
    TEST(reads_entitlements_to_the_last_page),
    TEST(finds_stops_and_limits),
};
TEST_GROUP(tests, open_all, close_all);
