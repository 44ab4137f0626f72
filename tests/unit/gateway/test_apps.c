/* What an app may do: what was agreed with it, compiled to a bit for each operation, and for how
 * long that is believed. The rows are made here, as SQL_APP and SQL_MORE would give them. */
#include "exchange_fixture.h"

#include "base/log.h"
#include "gateway/apps.h"
#include "runtime/fiber.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct fixture f;

/* ---- operations ---- */

enum { SHOP_THINGS, SHOP_BUY, SHOP_LAST, BANK_LIST, OPERATIONS };
static const struct {
    const char *product, *key;
} KEYS[OPERATIONS] = {
    [SHOP_THINGS] = {"shop", "GET /shop/v1/things"},
    [SHOP_BUY] = {"shop", "POST /shop/v1/things"},
    [SHOP_LAST] = {"shop", "PUT /shop/v1/z"},
    [BANK_LIST] = {"bank", "GET /bank/v1/list"},
};

static const struct tb_plugin shop = {.name = "shop"}, bank = {.name = "bank"};
static struct tb_operation served[TB_OPERATIONS_MAX];
static struct tb_operation *by_index[TB_OPERATIONS_MAX];
static struct tb_limit_set standard;

static void serve(uint32_t i, const char *product, const char *key)
{
    served[i] = (struct tb_operation){.plugin = strcmp(product, "shop") == 0 ? &shop : &bank,
                                      .index = i};
    served[i].key_n = (size_t)snprintf(served[i].key, sizeof served[i].key, "%s", key);
    by_index[i] = &served[i];
}

/* ---- the database ---- */

enum kind { STOP = 1, LIMIT, ENTITLEMENT };

struct line {
    enum kind kind;
    const char *product, *operation;
    const char *text; /* of a stop: why; of a limit: its name */
    int64_t quota, window_ms, period;
};

enum { LINES = 12000, COLUMNS = 7, FIRST_PAGE = 500 };

static struct {
    bool there, active, plain;
    const char *scope; /* NULL: SQL's null */
    struct line lines[LINES];
    size_t n;
    tb_err err, err_of_more;
    void (*meanwhile)(struct tb_req *req); /* while the first statement is on its way */
    size_t asked, more;                    /* statements */
} db;

static struct tb_str cells[(LINES + 1) * COLUMNS];
static char numbers[(LINES + 1) * 3 + 8][24];
static size_t numbers_n;

static struct tb_str number(int64_t value)
{
    char *at = numbers[numbers_n++];
    return (struct tb_str){at, tb_text_int(at, value)};
}

static void put(struct tb_rows *rows, const struct tb_str row[COLUMNS], size_t columns)
{
    memcpy(cells + rows->n++ * columns, row, columns * sizeof *row);
}

static void put_line(struct tb_rows *rows, const struct line *line)
{
    const struct tb_str row[COLUMNS] = {
        number(line->kind),      tb_str(line->product),
        tb_str(line->operation), tb_str(line->text == NULL ? "" : line->text),
        number(line->quota),     number(line->window_ms),
        number(line->period),
    };
    put(rows, row, rows->columns);
}

/* Entitlements from the `from`th on; of the others `most`, which SQL gives one more of than C
 * takes. */
static void put_page(struct tb_rows *rows, size_t from)
{
    size_t seen = 0, put_n = 0;
    for (size_t i = 0; i < db.n && put_n < FIRST_PAGE; i++) {
        if (db.lines[i].kind != ENTITLEMENT || seen++ < from)
            continue;
        put_line(rows, &db.lines[i]);
        put_n++;
    }
}

static tb_err first_rows(struct tb_req *req, struct tb_rows *rows)
{
    db.asked++;
    if (db.meanwhile != NULL)
        db.meanwhile(req);
    TB_TRY(db.err);
    if (!db.there)
        return NULL;
    const struct tb_str head[COLUMNS] = {
        TB_STR("0"),       TB_STR("sandbox"), tb_str(db.scope), TB_STR(""),
        number(db.active), number(db.plain),  TB_STR("0"),
    };
    put(rows, head, COLUMNS);
    for (int kind = STOP; kind <= LIMIT; kind++)
        for (size_t i = 0; i < db.n; i++)
            if ((int)db.lines[i].kind == kind)
                put_line(rows, &db.lines[i]);
    put_page(rows, 0);
    return NULL;
}

/* How many entitlements stand up to and with this one. */
static size_t place_of(struct tb_str product, struct tb_str operation)
{
    size_t n = 0;
    for (size_t i = 0; i < db.n; i++) {
        if (db.lines[i].kind != ENTITLEMENT)
            continue;
        n++;
        if (tb_str_eq(product, tb_str(db.lines[i].product)) &&
            tb_str_eq(operation, tb_str(db.lines[i].operation)))
            return n;
    }
    fail_msg("there is no entitlement %.*s", (int)operation.n, operation.at);
    return 0;
}

static tb_err query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                    const struct tb_param *params, size_t params_n)
{
    static struct tb_rows rows;
    numbers_n = 0;
    *out_rows = &rows;
    rows = (struct tb_rows){.columns = COLUMNS, .cells = cells};
    if (params_n == 1)
        return first_rows(req, &rows);
    assert_int_equal(params_n, 4);
    assert_non_null(strstr(sql, "bank.entitlement"));
    assert_true(tb_str_eq(params[1].text, TB_STR("sandbox")));
    db.more++;
    if (db.err_of_more != NULL)
        return tb_fail(req, db.err_of_more, "said of a page");
    size_t from = place_of(params[2].text, params[3].text);
    rows.columns = 3;
    put_page(&rows, from);
    return NULL;
}

static void add_line(struct line line)
{
    assert_true(db.n < LINES);
    db.lines[db.n++] = line;
}

static void entitle(const char *product, const char *operation)
{
    add_line((struct line){.kind = ENTITLEMENT, .product = product, .operation = operation});
}

static void stop(const char *product, const char *operation, const char *why)
{
    add_line((struct line){STOP, product, operation, why, 0, 0, 0});
}

static void limit(const char *product, const char *operation, const char *name, int64_t quota)
{
    add_line((struct line){LIMIT, product, operation, name, quota, 1000, TB_LIMIT_ROLLING});
}

/* ---- asking ---- */

static struct tb_apps *apps;
static struct tb_app found;
static int log_fd;

static int open_all(void **state)
{
    (void)state;
    char why[128];
    const struct tb_limit_window window = {"standard", 100, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING};
    fixture_open(&f);
    f.host.query = query;
    for (uint32_t i = 0; i < OPERATIONS; i++)
        serve(i, KEYS[i].product, KEYS[i].key);
    assert_true(tb_limit_set_init(&standard, &window, 1, why, sizeof why));
    log_fd = memfd_create("log", 0);
    tb_log_start(log_fd, TB_LOG_INFO, NULL);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    tb_log_start(STDERR_FILENO, TB_LOG_INFO, NULL);
    close(log_fd);
    fixture_close(&f);
    return 0;
}

/* An empty memory before each test, and a database that knows the app and nothing of it. */
static int forget(void **state)
{
    (void)state;
    db.there = db.active = true;
    db.plain = false;
    db.scope = NULL;
    db.n = db.asked = db.more = 0;
    db.err = db.err_of_more = NULL;
    db.meanwhile = NULL;
    tb_loop_turn(f.loop, 0);
    apps = tb_apps_new(&standard, by_index, OPERATIONS);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tb_apps_free(apps);
    return 0;
}

static tb_err find_as(const char *app, uint32_t operation)
{
    struct tb_exchange *x = fixture_request(&f, "GET", "/shop/v1/things");
    memset(&found, 0, sizeof found);
    return tb_app_find(&x->run.req, apps, tb_str(app), &served[operation], &found);
}

static const char *find(uint32_t operation)
{
    tb_err err = find_as("app_a", operation);
    return err == NULL ? "ok" : err->code;
}

/* One more memory, filled at the first question. */
static void read_anew(void)
{
    tb_apps_free(apps);
    apps = tb_apps_new(&standard, by_index, OPERATIONS);
}

static void let_it_get_old(void)
{
    usleep(1010 * 1000);
    tb_loop_turn(f.loop, 0);
}

/* Whether the log has got this event since it was last looked at. */
static bool was_logged(const char *event)
{
    char text[8192];
    ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(ftruncate(log_fd, 0), 0);
    lseek(log_fd, 0, SEEK_SET);
    return strstr(text, event) != NULL;
}

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
    memset(name, 'a', sizeof name);
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
    memset(long_reason, 'r', sizeof long_reason);
    long_reason[sizeof long_reason - 1] = '\0';
    stop("bank", "", "the bank rests");
    stop("shop", "", "the shop is closed");
    stop("shop", "GET /shop/v1/things", "nothing to see");
    assert_string_equal(find(SHOP_THINGS), "ok");
    assert_string_equal(found.stopped, "the shop is closed");
    assert_string_equal(find(BANK_LIST), "ok");
    assert_string_equal(found.stopped, "the bank rests");
    for (size_t n = 78; n <= 81; n++) { /* room for 79 bytes */
        db.n = 0;
        stop("", "", long_reason + sizeof long_reason - 1 - n);
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
        snprintf(key, sizeof key, "GET /shop/v1/%u", i);
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
    for (uint32_t i = 0; i < OPERATIONS; i++)
        serve(i, KEYS[i].product, KEYS[i].key);
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
        snprintf(names[i], sizeof names[i], "GET /gone/%05zu", i);
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
            snprintf(names[w], sizeof names[w], "%s%zu", cases[i].name, w);
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

/* ---- for how long ---- */

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
        snprintf(names[i], sizeof names[i], "GET /gone/%05zu", i);
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
        uint64_t hash = 14695981039346656037u;
        if (i >= 0)
            snprintf(name, sizeof name, "app_%d", i);
        for (const char *c = name; *c != '\0'; c++)
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        if (i < 0)
            place = hash % TB_APPS_REMEMBERED;
        else if (hash % TB_APPS_REMEMBERED == place)
            memcpy(twin, name, sizeof twin);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, forget, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(says_what_state_the_app_is_in),
        TEST(knows_no_app_without_a_name_or_of_one_too_long),
        TEST(refuses_an_app_that_is_not_there),
        TEST(entitles_to_what_a_line_reaches_and_no_more),
        TEST(gives_the_first_reason_that_reaches_an_operation),
        TEST(has_a_bit_for_each_of_the_most_operations),
        TEST(reads_every_page_of_ten_thousand_entitlements),
        TEST(stops_everything_when_there_are_more_stops_than_it_reads),
        TEST(gives_each_operation_the_limits_that_reach_it),
        TEST(gives_the_standard_limits_where_none_of_its_own_reach),
        TEST(lets_nobody_off_whose_limits_cannot_be_used),
        TEST(uses_no_limit_of_an_app_that_has_more_than_it_reads),
        TEST(believes_what_it_read_for_a_second),
        TEST(believes_it_while_the_books_are_away_and_asks_once_a_second),
        TEST(keeps_nothing_of_an_agreement_read_in_part),
        TEST(lets_one_ask_for_all),
        TEST(tells_apps_apart_that_share_a_place),
        TEST(forgets_an_app_that_is_gone),
        TEST(reads_to_the_end_though_the_client_leaves),
    };
    return cmocka_run_group_tests_name("apps", tests, open_all, close_all);
}
