/* What an app may do: what was agreed with it, compiled to a bit for each operation. */
#include "app_rows.h"

#include "limit/limit.h"
#include <stdio.h>
#include <string.h>

/* ---- the app itself ---- */

static void says_what_state_the_app_is_in(void **state)
{
    (void)state;
    static const struct {
        bool active, plain;
        const char *scope;
    } cases[] = {
        {true, false, NULL},
        {false, false, NULL},
        {true, true, ""},
        {true, false, "shop:read"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        db.active = cases[i].active;
        db.plain = cases[i].plain;
        db.scope = cases[i].scope;
        read_anew();
        assert_string_equal(find(SHOP_THINGS), "ok");
        assert_int_equal(found.active, cases[i].active);
        assert_int_equal(found.plain_tokens, cases[i].plain);
        assert_false(found.entitled);
        assert_null(found.stopped);
        assert_ptr_equal(found.limits, &standard);
        if (cases[i].scope == NULL)
            assert_null(found.scope);
        else
            assert_string_equal(found.scope, cases[i].scope);
    }
}

static void knows_no_app_without_a_name_or_of_one_too_long(void **state)
{
    (void)state;
    char name[64];
    memset(name, 'a', sizeof(name));
    for (size_t n = 0; n < 50; n++) {
        name[n] = '\0';
        tb_err err = find_as(name, SHOP_THINGS);
        assert_int_equal(err == NULL, n >= 1 && n <= 47);
        assert_true(err == NULL || tb_is(err, TB_E_NOT_ENTITLED));
        name[n] = 'a';
    }
}

static void refuses_an_app_that_is_not_there(void **state)
{
    (void)state;
    db.there = false;
    assert_string_equal(find(SHOP_THINGS), "not_entitled");
    assert_string_equal(fixture_detail(&f), "the token's app does not exist any more");
    db.there = true;
    assert_string_equal(find(SHOP_THINGS), "ok");
}

/* ---- entitlements and stops ---- */

static void entitles_to_what_a_line_reaches_and_no_more(void **state)
{
    (void)state;
    static const struct {
        const char *product, *operation;
        bool things, buy, list;
    } cases[] = {
        {"", "", true, true, true},
        {"shop", "", true, true, false},
        {"bank", "", false, false, true},
        {"shop", "GET /shop/v1/things", true, false, false},
        {"shop", "POST /shop/v1/things", false, true, false},
        {"bank", "GET /shop/v1/things", false, false, false},
        {"", "GET /shop/v1/things", false, false, false},
        {"shop", "GET /shop/v1/thing", false, false, false},
        {"shop", "GET /shop/v1/things ", false, false, false},
        {"shops", "", false, false, false},
        {"sho", "", false, false, false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        for (int stopped = 0; stopped < 2; stopped++) {
            const bool want[OPERATIONS] = {[SHOP_THINGS] = cases[i].things,
                                           [SHOP_BUY] = cases[i].buy,
                                           [BANK_LIST] = cases[i].list};
            db.n = 0;
            if (stopped != 0)
                stop(cases[i].product, cases[i].operation, "for the night");
            else
                entitle(cases[i].product, cases[i].operation);
            read_anew();
            for (uint32_t o = 0; o < OPERATIONS; o++) {
                if (o == SHOP_LAST)
                    continue;
                assert_string_equal(find(o), "ok");
                assert_int_equal(found.entitled, stopped == 0 && want[o]);
                assert_int_equal(found.stopped != NULL, stopped != 0 && want[o]);
                if (found.stopped != NULL)
                    assert_string_equal(found.stopped, "for the night");
            }
        }
}

static void gives_the_first_reason_that_reaches_an_operation(void **state)
{
    (void)state;
    char long_reason[128];
    memset(long_reason, 'r', sizeof(long_reason));
    long_reason[sizeof(long_reason) - 1] = '\0';
    stop("bank", "", "the bank rests");
    stop("shop", "", "the shop is closed");
    stop("shop", "GET /shop/v1/things", "nothing to see");
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_string_equal(found.stopped, "the shop is closed");
    assert_string_equal(find(BANK_LIST), "ok");
    assert_string_equal(found.stopped, "the bank rests");
    for (size_t n = 78; n <= 81; n++) { /* room for 79 bytes */
        db.n = 0;
        stop("", "", long_reason + sizeof(long_reason) - 1 - n);
        read_anew();
        assert_string_equal(find(SHOP_THINGS), "ok");
        assert_int_equal(strlen(found.stopped), n < 80 ? n : 79);
    }
}

static void has_a_bit_for_each_of_the_most_operations(void **state)
{
    (void)state;
    static const uint32_t some[] = {0, 1, 62, 63, 64, 65, 511, 512, 1022, 1023};
    char key[64];
    for (uint32_t i = 0; i < TB_OPERATIONS_MAX; i++) {
        snprintf(key, sizeof(key), "GET /shop/v1/%u", i);
        serve(i, "shop", key);
    }
    for (size_t s = 0; s < TB_COUNT(some); s++) {
        db.n = 0;
        entitle("shop", served[some[s]].key);
        tb_apps_free(apps);
        apps = tb_apps_new(&standard, by_index, TB_OPERATIONS_MAX);
        for (size_t o = 0; o < TB_COUNT(some); o++) {
            assert_string_equal(find(some[o]), "ok");
            assert_int_equal(found.entitled, o == s);
        }
    }
    serve_all();
}

/* Entitlements are read in pages of 500; the last of them is the one that counts here. There may be
 * 10,000, and a page more is read before the bank is told that some are not. */
static void reads_every_page_of_ten_thousand_entitlements(void **state)
{
    (void)state;
    static const struct {
        size_t n, pages; /* behind the first */
        bool entitled, told;
    } cases[] = {
        {1, 0, true, false},      {499, 0, true, false},    {500, 1, true, false},
        {501, 1, true, false},    {999, 1, true, false},    {1000, 2, true, false},
        {1001, 2, true, false},   {9999, 19, true, false},  {10000, 20, true, false},
        {10001, 20, true, false}, {10499, 20, true, false}, {10500, 20, true, true},
        {10501, 20, false, true},
    };
    static char names[10501][32];
    for (size_t i = 0; i < TB_COUNT(names); i++)
        snprintf(names[i], sizeof(names[i]), "GET /gone/%05zu", i);
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        db.n = db.more = 0;
        for (size_t e = 0; e + 1 < cases[i].n; e++)
            entitle("shop", names[e]);
        entitle("shop", "PUT /shop/v1/z");
        read_anew();
        (void)was_logged("");
        assert_string_equal(find(SHOP_LAST), "ok");
        if (found.entitled != cases[i].entitled || db.more != cases[i].pages)
            fail_msg("%zu entitlements: %s in %zu pages", cases[i].n,
                     found.entitled ? "entitled" : "not entitled", db.more);
        assert_string_equal(find(SHOP_THINGS), "ok");
        assert_false(found.entitled);
        assert_int_equal(was_logged("entitlements_not_read"), cases[i].told);
        assert_true(tb_arena_used(f.x->run.arena) < 1024); /* pages have memory of their own */
    }
}

static void stops_everything_when_there_are_more_stops_than_it_reads(void **state)
{
    (void)state;
    static const size_t sizes[] = {2047, 2048, 2049};
    for (size_t i = 0; i < TB_COUNT(sizes); i++) {
        db.n = 0;
        for (size_t s = 0; s < sizes[i]; s++)
            stop("shop", "GET /shop/v1/things", "closed");
        read_anew();
        (void)was_logged("");
        assert_string_equal(find(SHOP_THINGS), "ok");
        assert_string_equal(found.stopped, "closed");
        assert_string_equal(find(BANK_LIST), "ok");
        assert_int_equal(found.stopped != NULL, sizes[i] > 2048);
        if (found.stopped != NULL)
            assert_string_equal(found.stopped, "there are more stops than are read");
        assert_int_equal(was_logged("too_many_stops"), sizes[i] > 2048);
    }
}

/* ---- limits ---- */

static void gives_each_operation_the_limits_that_reach_it(void **state)
{
    (void)state;
    limit("", "", "all", 100);
    limit("shop", "", "shop", 50);
    limit("shop", "GET /shop/v1/things", "things", 10);
    limit("bank", "GET /shop/v1/things", "wrong", 1);
    limit("gone", "", "gone", 1);
    add_line((struct line){LIMIT, "shop", "POST /shop/v1/things", "daily", 7, 0, TB_LIMIT_DAY});
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_int_equal(found.limits->n, 3);
    static const struct {
        const char *name;
        enum tb_limit_scope scope;
        int64_t quota;
    } want[] = {
        {"all", TB_LIMIT_APP, 100}, {"shop", TB_LIMIT_PRODUCT, 50}, {"things", TB_LIMIT_ROUTE, 10}};
    for (size_t i = 0; i < TB_COUNT(want); i++) {
        assert_string_equal(found.limits->rules[i].name, want[i].name);
        assert_int_equal(found.limits->rules[i].scope, want[i].scope);
        assert_int_equal(found.limits->rules[i].quota, want[i].quota);
        assert_int_equal(found.limits->rules[i].period, TB_LIMIT_ROLLING);
    }
    const struct tb_limit_set *things = found.limits;
    assert_string_equal(find(SHOP_BUY), "ok");
    assert_int_equal(found.limits->n, 3);
    assert_string_equal(found.limits->rules[2].name, "daily");
    assert_int_equal(found.limits->rules[2].period, TB_LIMIT_DAY);
    assert_string_equal(find(BANK_LIST), "ok");
    assert_int_equal(found.limits->n, 1);
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_ptr_equal(found.limits, things); /* made ready once */
}

static void gives_the_standard_limits_where_none_of_its_own_reach(void **state)
{
    (void)state;
    limit("shop", "", "shop", 50);
    (void)was_logged("");
    assert_string_equal(find(BANK_LIST), "ok");
    assert_string_equal(found.limits->rules[0].name, "standard");
    assert_false(was_logged("limits_not_usable"));
}

static void lets_nobody_off_whose_limits_cannot_be_used(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        const char *name;
        bool good;
    } cases[] = {{TB_LIMIT_WINDOWS, "w", true},
                 {TB_LIMIT_WINDOWS + 1, "w", false},
                 {TB_LIMIT_WINDOWS + 2, "w", false},
                 {1, "Not a name", false}};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        static char names[8][40];
        db.n = 0;
        for (size_t w = 0; w < cases[i].n; w++) {
            snprintf(names[w], sizeof(names[w]), "%s%zu", cases[i].name, w);
            limit("shop", "", names[w], 1);
        }
        read_anew();
        (void)was_logged("");
        assert_string_equal(find(SHOP_THINGS), "ok");
        assert_int_equal(strcmp(found.limits->rules[0].name, "standard") != 0, cases[i].good);
        assert_int_equal(was_logged("limits_not_usable"), !cases[i].good);
    }
}

static void uses_no_limit_of_an_app_that_has_more_than_it_reads(void **state)
{
    (void)state;
    static const size_t sizes[] = {2047, 2048, 2049};
    for (size_t i = 0; i < TB_COUNT(sizes); i++) {
        db.n = 0;
        limit("shop", "", "own", 1);
        while (db.n < sizes[i])
            limit("bank", "", "theirs", 1);
        read_anew();
        assert_string_equal(find(SHOP_THINGS), "ok");
        assert_string_equal(found.limits->rules[0].name, sizes[i] <= 2048 ? "own" : "standard");
    }
}

static const struct CMUnitTest tests[] = {
    APP_TEST(says_what_state_the_app_is_in),
    APP_TEST(knows_no_app_without_a_name_or_of_one_too_long),
    APP_TEST(refuses_an_app_that_is_not_there),
    APP_TEST(entitles_to_what_a_line_reaches_and_no_more),
    APP_TEST(gives_the_first_reason_that_reaches_an_operation),
    APP_TEST(has_a_bit_for_each_of_the_most_operations),
    APP_TEST(reads_every_page_of_ten_thousand_entitlements),
    APP_TEST(stops_everything_when_there_are_more_stops_than_it_reads),
    APP_TEST(gives_each_operation_the_limits_that_reach_it),
    APP_TEST(gives_the_standard_limits_where_none_of_its_own_reach),
    APP_TEST(lets_nobody_off_whose_limits_cannot_be_used),
    APP_TEST(uses_no_limit_of_an_app_that_has_more_than_it_reads),
};
TEST_GROUP(tests, app_rows_open, app_rows_close);
