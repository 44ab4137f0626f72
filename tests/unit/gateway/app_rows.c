#include "app_rows.h"

#include "base/log.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fixture f;

/* ---- operations ---- */

static const struct {
    const char *product, *key;
} KEYS[OPERATIONS] = {
    [SHOP_THINGS] = {"shop", "GET /shop/v1/things"},
    [SHOP_BUY] = {"shop", "POST /shop/v1/things"},
    [SHOP_LAST] = {"shop", "PUT /shop/v1/z"},
    [BANK_LIST] = {"bank", "GET /bank/v1/list"},
};

static const struct tb_plugin shop = {.name = "shop"}, bank = {.name = "bank"};
struct tb_operation served[TB_OPERATIONS_MAX];
struct tb_operation *by_index[TB_OPERATIONS_MAX];
struct tb_limit_set standard;

void serve(uint32_t i, const char *product, const char *key)
{
    served[i] = (struct tb_operation){.plugin = strcmp(product, "shop") == 0 ? &shop : &bank,
                                      .index = i};
    served[i].key_n = (size_t)snprintf(served[i].key, sizeof(served[i].key), "%s", key);
    by_index[i] = &served[i];
}

void serve_all(void)
{
    for (uint32_t i = 0; i < OPERATIONS; i++)
        serve(i, KEYS[i].product, KEYS[i].key);
}

/* ---- the database ---- */

enum { COLUMNS = 7 };

struct app_rows db;

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
    memcpy(cells + rows->n++ * columns, row, columns * sizeof(*row));
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

void add_line(struct line line)
{
    assert_true(db.n < LINES);
    db.lines[db.n++] = line;
}

void entitle(const char *product, const char *operation)
{
    add_line((struct line){.kind = ENTITLEMENT, .product = product, .operation = operation});
}

void stop(const char *product, const char *operation, const char *why)
{
    add_line((struct line){STOP, product, operation, why, 0, 0, 0});
}

void limit(const char *product, const char *operation, const char *name, int64_t quota)
{
    add_line((struct line){LIMIT, product, operation, name, quota, 1000, TB_LIMIT_ROLLING});
}

/* ---- asking ---- */

struct tb_apps *apps;
struct tb_app found;
static int log_fd;

int app_rows_open(void **state)
{
    (void)state;
    char why[128];
    const struct tb_limit_window window = {"standard", 100, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING};
    fixture_open(&f);
    f.host.query = query;
    serve_all();
    assert_true(tb_limit_set_init(&standard, &window, 1, why, sizeof(why)));
    log_fd = memfd_create("log", 0);
    tb_log_start(log_fd, TB_LOG_INFO, NULL);
    return 0;
}

int app_rows_close(void **state)
{
    (void)state;
    tb_log_start(STDERR_FILENO, TB_LOG_INFO, NULL);
    close(log_fd);
    fixture_close(&f);
    return 0;
}

int app_rows_begin(void **state)
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

int app_rows_end(void **state)
{
    (void)state;
    tb_apps_free(apps);
    return 0;
}

tb_err find_as(const char *app, uint32_t operation)
{
    struct tb_exchange *x = fixture_request(&f, "GET", "/shop/v1/things");
    memset(&found, 0, sizeof(found));
    return tb_app_find(&x->run.req, apps, tb_str(app), &served[operation], &found);
}

const char *find(uint32_t operation)
{
    tb_err err = find_as("app_a", operation);
    return err == NULL ? "ok" : err->code;
}

void read_anew(void)
{
    tb_apps_free(apps);
    apps = tb_apps_new(&standard, by_index, OPERATIONS);
}

void let_it_get_old(void)
{
    usleep(1010 * 1000);
    tb_loop_turn(f.loop, 0);
}

bool was_logged(const char *event)
{
    char text[8192];
    ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(ftruncate(log_fd, 0), 0);
    lseek(log_fd, 0, SEEK_SET);
    return strstr(text, event) != NULL;
}
