/* For how long a worker goes by what it has read of an app, and who reads it again. */
#include "app_rows.h"
#include "base/hash.h"

#include "runtime/fiber.h"
#include <stdio.h>
#include <string.h>

static void believes_what_it_read_for_a_second(void **state)
{
    (void)state;
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_false(found.entitled);
    entitle("shop", "");
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_false(found.entitled);
    assert_int_equal(db.asked, 1);
    let_it_get_old();
    db.active = false;
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_true(found.entitled);
    assert_false(found.active);
    assert_int_equal(db.asked, 2);
}

static void believes_it_while_the_books_are_away_and_asks_once_a_second(void **state)
{
    (void)state;
    db.err = TB_E_STORE;
    assert_string_equal(find(SHOP_THINGS), "store_unavailable"); /* nothing to believe yet */
    assert_string_equal(find(SHOP_THINGS), "store_unavailable");
    assert_int_equal(db.asked, 2);
    db.err = NULL;
    entitle("shop", "");
    assert_string_equal(find(SHOP_THINGS), "ok");
    let_it_get_old();
    db.err = TB_E_STORE;
    for (int i = 0; i < 3; i++) {
        assert_string_equal(find(SHOP_THINGS), "ok");
        assert_true(found.entitled);
        assert_string_equal(fixture_detail(&f), "");
        assert_int_equal(f.x->run.problem.retry_after_s, 0);
    }
    assert_int_equal(db.asked, 4);
    let_it_get_old();
    db.err = TB_E_DEADLINE; /* is no sign that they are away */
    assert_string_equal(find(SHOP_THINGS), "deadline_exceeded");
}

static void keeps_nothing_of_an_agreement_read_in_part(void **state)
{
    (void)state;
    static char names[FIRST_PAGE][32];
    entitle("bank", "");
    assert_string_equal(find(BANK_LIST), "ok");
    assert_true(found.entitled);
    let_it_get_old();
    db.n = 0;
    for (size_t i = 0; i < FIRST_PAGE; i++) {
        snprintf(names[i], sizeof(names[i]), "GET /gone/%05zu", i);
        entitle("shop", names[i]);
    }
    entitle("shop", "PUT /shop/v1/z");
    db.err_of_more = TB_E_STORE;
    assert_string_equal(find(BANK_LIST), "ok");
    assert_true(found.entitled); /* as it was */
    let_it_get_old();
    db.err_of_more = TB_E_INTERNAL;
    assert_string_equal(find(BANK_LIST), "internal");
    assert_string_equal(fixture_detail(&f), ""); /* the words were in the page's memory */
    let_it_get_old();
    db.err_of_more = NULL;
    assert_string_equal(find(SHOP_LAST), "ok");
    assert_true(found.entitled);
    assert_string_equal(find(BANK_LIST), "ok");
    assert_false(found.entitled);
}

/* Another request of the same app, while the first is being answered by the database. */
static const char *other_code;
static bool other_entitled;

static void another_asks(struct tb_req *req)
{
    struct tb_app app;
    db.meanwhile = NULL;
    tb_err err = tb_app_find(req, apps, TB_STR("app_a"), &served[SHOP_THINGS], &app);
    other_code = err == NULL ? "ok" : err->code;
    other_entitled = err == NULL && app.entitled;
}

static void lets_one_ask_for_all(void **state)
{
    (void)state;
    entitle("shop", "");
    assert_string_equal(find(SHOP_THINGS), "ok");
    let_it_get_old();
    db.meanwhile = another_asks;
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_string_equal(other_code, "ok");
    assert_true(other_entitled);
    assert_int_equal(db.asked, 2);
}

/* Two apps in one place displace each other and never answer for each other. */
static void tells_apps_apart_that_share_a_place(void **state)
{
    (void)state;
    static char twin[32];
    uint64_t place = 0;
    for (int i = -1; twin[0] == '\0'; i++) {
        char name[32] = "app_a";
        if (i >= 0)
            snprintf(name, sizeof(name), "t%04x", (unsigned)i);
        uint64_t hash = tb_hash(name, strlen(name));
        if (i < 0)
            place = hash % TB_APPS_REMEMBERED;
        else if (hash % TB_APPS_REMEMBERED == place)
            memcpy(twin, name, sizeof(twin));
    }
    entitle("shop", "");
    assert_string_equal(find(SHOP_THINGS), "ok");
    db.n = 0;
    assert_null(find_as(twin, SHOP_THINGS));
    assert_false(found.entitled);
    assert_int_equal(db.asked, 2);
    db.err = TB_E_STORE; /* what is remembered is the twin's */
    assert_string_equal(find(SHOP_THINGS), "store_unavailable");
    let_it_get_old();
    assert_string_equal(find(SHOP_THINGS), "store_unavailable");
    db.err = NULL; /* and that somebody asks for the one does not make the other fresh */
    db.active = false;
    assert_null(find_as(twin, SHOP_THINGS));
    assert_false(found.active);
}

static void forgets_an_app_that_is_gone(void **state)
{
    (void)state;
    assert_string_equal(find(SHOP_THINGS), "ok");
    let_it_get_old();
    db.there = false;
    for (int i = 0; i < 3; i++)
        assert_string_equal(find(SHOP_THINGS), "not_entitled");
}

/* ---- a client that goes away ---- */

static void client_leaves(struct tb_req *req)
{
    tb_run_cancel(tb_run_of(req));
    db.err = tb_sleep(req, 2);
}

static tb_err find_on_fiber(struct tb_exchange *x)
{
    return tb_app_find(&x->run.req, apps, TB_STR("app_a"), &served[SHOP_THINGS], &found);
}

/* Else a suspended app that asks and leaves, again and again, would never be read. */
static void reads_to_the_end_though_the_client_leaves(void **state)
{
    (void)state;
    assert_string_equal(find(SHOP_THINGS), "ok");
    let_it_get_old();
    db.active = false;
    db.meanwhile = client_leaves;
    (void)fixture_request(&f, "GET", "/shop/v1/things");
    assert_string_equal(fixture_wait(&f, find_on_fiber), "ok");
    assert_false(found.active);
    assert_false(f.x->run.finish);
    db.meanwhile = NULL;
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_false(found.active);
}

static const struct CMUnitTest tests[] = {
    APP_TEST(believes_what_it_read_for_a_second),
    APP_TEST(believes_it_while_the_books_are_away_and_asks_once_a_second),
    APP_TEST(keeps_nothing_of_an_agreement_read_in_part),
    APP_TEST(lets_one_ask_for_all),
    APP_TEST(tells_apps_apart_that_share_a_place),
    APP_TEST(forgets_an_app_that_is_gone),
    APP_TEST(reads_to_the_end_though_the_client_leaves),
};
TEST_GROUP(tests, app_rows_open, app_rows_close);
