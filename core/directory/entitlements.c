/* A direct-mapped table by the app's id: two apps on one place displace each other, which costs a
 * query, never an answer. What was agreed with an app is compiled when it is read: the operations
 * it may use and those the bank has stopped become bitmaps, so that a request asks for one bit of
 * each, however many lines the agreement has. The limits of an operation are made ready when it is
 * first asked for. */
#include "directory/entitlements.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/run.h"
#include <stdio.h>

enum {
    FRESH_MS = 1000,
    ID_BYTES = 48,
    TEXT_BYTES = 80,
    LINES_MAX = 2048, /* limits of an app, and stops: more than there are operations */
    PAGE_ROWS = 500,  /* entitlements of one query */
    PAGE_BYTES = 1024 * 1024,
    PLACES = 2 * TB_OPERATIONS_MAX, /* of the names of operations */
    WORDS = TB_OPERATIONS_MAX / 64,
};

_Static_assert(TB_OPERATIONS_MAX % 64 == 0, "the bitmaps have a bit for every operation");
_Static_assert(TB_ENTITLEMENTS_MAX % PAGE_ROWS == 0, "what may be granted is read in whole pages");

enum kind { HEAD, STOP, LIMIT, ENTITLEMENT }; /* as SQL_APP numbers them */

/* What a line speaks of: one operation, a product, or everything. */
struct reach {
    const struct tb_plugin *product; /* NULL: all */
    uint32_t operation;              /* index; ALL: of all the product */
};
enum { ALL = TB_OPERATIONS_MAX };

struct stop {
    struct reach reach;
    char reason[TEXT_BYTES];
};

struct limit {
    struct reach reach;
    char name[TB_LIMIT_NAME_BYTES];
    int64_t quota, window_ms;
    enum tb_limit_period period;
};

/* What was agreed with an app, or decided about all, as it stood in the books. */
struct agreement {
    bool active, plain_tokens;
    char *scope; /* that its client has registered; NULL: it is none, and has no say */
    uint64_t entitled[WORDS], stopped[WORDS]; /* a bit for each operation */
    struct stop *stops;
    size_t stops_n;
    struct limit *limits;
    size_t limits_n;
    size_t limits_lost;         /* beyond LINES_MAX: the standard ones count instead of all */
    struct tb_limit_set **sets; /* by operation, NULL: not made ready; only with limits */
};

struct place {
    char id[ID_BYTES];
    size_t id_n;      /* 0: empty */
    int64_t read_ms;  /* loop clock */
    int64_t asked_ms; /* start of the refresh in flight; 0: none */
    struct agreement *agreement;
};

struct tb_apps {
    const struct tb_limit_set *standard;
    struct tb_operation *const *operations;
    size_t operations_n;
    uint16_t names[PLACES]; /* hash table of their keys: index plus 1; 0: free */
    struct place places[TB_APPS_REMEMBERED];
};

/* The place in `names` of the operation of this key, or the free one where it would be. Not keyed:
 * names come from products, and at most half of the places are taken. */
static size_t name_at(const struct tb_apps *apps, struct tb_str key)
{
    size_t at = tb_hash(key.at, key.n) % PLACES;
    for (; apps->names[at] != 0; at = (at + 1) % PLACES) {
        const struct tb_operation *operation = apps->operations[apps->names[at] - 1];
        if (tb_str_eq(key, (struct tb_str){operation->key, operation->key_n}))
            break;
    }
    return at;
}

struct tb_apps *tb_apps_new(const struct tb_limit_set *standard,
                            struct tb_operation *const *operations, size_t operations_n)
{
    struct tb_apps *apps = tb_mem(sizeof(*apps));
    apps->standard = standard;
    apps->operations = operations;
    apps->operations_n = operations_n;
    TB_ASSERT(operations_n <= TB_OPERATIONS_MAX);
    for (size_t i = 0; i < operations_n; i++) {
        struct tb_str key = {operations[i]->key, operations[i]->key_n};
        TB_ASSERT(operations[i]->index == i);
        apps->names[name_at(apps, key)] = (uint16_t)(i + 1);
    }
    return apps;
}

static void agreement_free(struct agreement *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; a->sets != NULL && i < TB_OPERATIONS_MAX; i++)
        tb_mem_free(a->sets[i]);
    tb_mem_free(a->sets);
    tb_mem_free(a->stops);
    tb_mem_free(a->limits);
    tb_mem_free(a->scope);
    tb_mem_free(a);
}

void tb_apps_free(struct tb_apps *apps)
{
    if (apps == NULL)
        return;
    for (size_t i = 0; i < TB_APPS_REMEMBERED; i++)
        agreement_free(apps->places[i].agreement);
    tb_mem_free(apps);
}

/* ---- compiling ---- */

/* The first rows of an app: its state, what is stopped, its limits, and a page of entitlements. */
static const char SQL_APP[] =
    "select t.kind, t.product, t.route, t.text, t.quota, t.window_ms, t.period from bank.app a "
    "join bank.partner p on p.id = a.partner join bank.world w on w.id = a.world, lateral ("
    "select 0 as kind, w.kind as product, (select coalesce(c.metadata ->> 'scope', '') from "
    "oauth.client c where c.app = a.id) as route, '' as text, (a.state = 'active' and p.state = "
    "'active')::int::bigint as quota, a.plain_tokens::int::bigint as window_ms, 0 as period "
    "union all (select 1, s.product, s.operation, s.reason, 0, 0, 0 from bank.stop s limit 2049) "
    "union all (select 2, l.product, l.route, l.name, l.quota, coalesce(l.window_ms, 0), "
    "array_position(array['rolling', 'day', 'month'], l.period) - 1 from bank.app_limit l "
    "where l.app = a.id limit 2049) union all (select 3, e.product, e.operation, '', 0, 0, 0 "
    "from bank.entitlement e where e.app = a.id and e.environment = w.kind "
    "order by e.product, e.operation limit 500)) t where a.id = $1 order by t.kind, "
    "t.product collate \"C\", t.route collate \"C\", t.text";
_Static_assert(LINES_MAX == 2048 && PAGE_ROWS == 500, "SQL_APP says the same");

/* The entitlements behind one. */
static const char SQL_MORE[] =
    "select 3, e.product, e.operation from bank.entitlement e where e.app = $1 and "
    "e.environment = $2 and (e.product, e.operation) > ($3, $4) order by e.product, e.operation "
    "limit 500";

static void copy_text(char *out, size_t room, struct tb_str text)
{
    size_t n = text.n < room ? text.n : room - 1;
    memcpy(out, text.at, n);
    out[n] = '\0';
}

/* Whom product and operation of a row mean. False: nothing that is served here. */
static bool reach_of(const struct tb_apps *apps, struct tb_str product, struct tb_str operation,
                     struct reach *out)
{
    *out = (struct reach){.operation = ALL};
    if (product.n == 0 && operation.n == 0)
        return true;
    if (operation.n > 0) {
        size_t at = name_at(apps, operation);
        if (apps->names[at] == 0)
            return false;
        out->operation = apps->names[at] - 1u;
        out->product = apps->operations[out->operation]->plugin;
        return tb_str_eq(product, tb_str(out->product->name));
    }
    for (size_t i = 0; i < apps->operations_n && out->product == NULL; i++)
        if (tb_str_eq(product, tb_str(apps->operations[i]->plugin->name)))
            out->product = apps->operations[i]->plugin;
    return out->product != NULL;
}

static bool covers(const struct reach *reach, const struct tb_operation *operation)
{
    return (reach->product == NULL || reach->product == operation->plugin) &&
           (reach->operation == ALL || reach->operation == operation->index);
}

static bool has_bit(const uint64_t bits[WORDS], uint32_t index)
{
    return (bits[index / 64] >> index % 64 & 1) != 0;
}

static void set_bits(const struct tb_apps *apps, uint64_t bits[WORDS], const struct reach *reach)
{
    size_t from = reach->operation == ALL ? 0 : reach->operation;
    size_t to = reach->operation == ALL ? apps->operations_n : from + 1;
    for (size_t i = from; i < to; i++)
        if (covers(reach, apps->operations[i]))
            bits[i / 64] |= UINT64_C(1) << i % 64;
}

static void add_stop(struct agreement *a, const struct reach *reach, struct tb_str reason)
{
    struct stop *stop = &a->stops[a->stops_n++];
    stop->reach = *reach;
    copy_text(stop->reason, TEXT_BYTES, reason);
}

static void add_limit(struct agreement *a, const struct reach *reach, const struct tb_rows *rows,
                      size_t row)
{
    struct limit *limit = &a->limits[a->limits_n++];
    limit->reach = *reach;
    copy_text(limit->name, sizeof(limit->name), tb_cell(rows, row, 3));
    limit->quota = tb_cell_int(rows, row, 4);
    limit->window_ms = tb_cell_int(rows, row, 5);
    limit->period = (enum tb_limit_period)tb_cell_int(rows, row, 6);
}

static size_t count(const struct tb_rows *rows, enum kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++)
        n += tb_cell_int(rows, i, 0) == kind;
    return n;
}

/* Compile rows of stops, limits and entitlements. A line about what is not served here is left out.
 */
static void take_rows(const struct tb_apps *apps, struct agreement *a, const struct tb_rows *rows)
{
    struct reach reach;
    for (size_t i = 0; i < rows->n; i++) {
        enum kind kind = (enum kind)tb_cell_int(rows, i, 0);
        if (kind == HEAD || !reach_of(apps, tb_cell(rows, i, 1), tb_cell(rows, i, 2), &reach))
            continue;
        if (kind == STOP) {
            add_stop(a, &reach, tb_cell(rows, i, 3));
            set_bits(apps, a->stopped, &reach);
        } else if (kind == LIMIT) {
            add_limit(a, &reach, rows, i);
        } else {
            set_bits(apps, a->entitled, &reach);
        }
    }
}

/* The first rows; the state of the app comes before all. */
static struct agreement *begin(const struct tb_apps *apps, const struct tb_rows *rows)
{
    struct agreement *a = tb_mem(sizeof(*a));
    struct tb_str scope = tb_cell(rows, 0, 2);
    size_t stops_n = count(rows, STOP), limits_n = count(rows, LIMIT);
    a->active = tb_cell_int(rows, 0, 4) != 0;
    a->plain_tokens = tb_cell_int(rows, 0, 5) != 0;
    if (scope.at != NULL)
        a->scope = tb_mem_text(scope.at, scope.n);
    a->stops = tb_mem_array(stops_n + 1, sizeof(*a->stops));
    a->limits = tb_mem_array(limits_n + 1, sizeof(*a->limits));
    a->limits_lost = limits_n > LINES_MAX ? limits_n - LINES_MAX : 0;
    if (limits_n > 0)
        a->sets = tb_mem_array(TB_OPERATIONS_MAX, sizeof(struct tb_limit_set *));
    take_rows(apps, a, rows);
    if (stops_n > LINES_MAX) { /* which of them are missing is not known: nothing is served */
        memset(a->stopped, 0xff, sizeof(a->stopped));
        tb_log_with(TB_LOG_ERROR, "too_many_stops", TB_F_INT("most", LINES_MAX));
    }
    return a;
}

/* ---- asking ---- */

static const char *reason_of(const struct agreement *a, const struct tb_operation *operation)
{
    if (!has_bit(a->stopped, operation->index))
        return NULL;
    for (size_t i = 0; i < a->stops_n; i++)
        if (covers(&a->stops[i].reach, operation))
            return a->stops[i].reason;
    return "there are more stops than are read";
}

static enum tb_limit_scope scope_of(const struct reach *reach)
{
    if (reach->operation != ALL)
        return TB_LIMIT_ROUTE;
    return reach->product != NULL ? TB_LIMIT_PRODUCT : TB_LIMIT_APP;
}

/* The windows of one operation, if they can be made ready; one more than there may be is enough to
 * have the set refused with a sentence. */
static bool make_set(const struct agreement *a, const struct tb_operation *operation,
                     struct tb_limit_set *set, char *why, size_t why_bytes)
{
    struct tb_limit_window windows[TB_LIMIT_WINDOWS + 1];
    size_t n = 0;
    why[0] = '\0';
    if (a->limits_lost > 0) {
        snprintf(why, why_bytes, "more than %d limits", LINES_MAX);
        return false;
    }
    for (size_t i = 0; i < a->limits_n && n < TB_COUNT(windows); i++) {
        const struct limit *l = &a->limits[i];
        if (covers(&l->reach, operation))
            windows[n++] = (struct tb_limit_window){l->name, l->quota, l->window_ms,
                                                    scope_of(&l->reach), l->period};
    }
    return n > 0 && tb_limit_set_init(set, windows, n, why, why_bytes);
}

/* An agreement that cannot be made ready counts as the standard one: the bank is told, and the app
 * is not let off its limits. */
static const struct tb_limit_set *set_for(const struct tb_apps *apps, const struct place *place,
                                          const struct tb_operation *operation)
{
    struct agreement *a = place->agreement;
    char why[128];
    if (a->sets == NULL)
        return apps->standard;
    struct tb_limit_set **set = &a->sets[operation->index];
    if (*set != NULL)
        return *set;
    *set = tb_mem(sizeof(**set));
    if (!make_set(a, operation, *set, why, sizeof(why))) {
        if (why[0] != '\0')
            tb_log_with(TB_LOG_ERROR, "limits_not_usable", TB_F_CSTR("app", place->id),
                        TB_F_CSTR("operation", operation->key), TB_F_CSTR("why", why));
        **set = *apps->standard;
    }
    return *set;
}

/* ---- reading ---- */

/* One more page of entitlements, in memory of its own: a request's is not made for all of them. */
static tb_err TB_SUSPENDS read_page(struct tb_req *req, const struct tb_apps *apps,
                                    struct agreement *a, const struct tb_param params[4],
                                    struct tb_arena *page, struct tb_rows **out_rows)
{
    struct tb_problem *problem = &tb_run_of(req)->problem;
    struct tb_arena *own = tb_run_borrow(req, page);
    tb_err err = tb_query_params(req, out_rows, SQL_MORE, params, 4);
    if (err != NULL) /* its words are in the page */
        *problem = (struct tb_problem){.retry_after_s = problem->retry_after_s};
    (void)tb_run_borrow(req, own);
    if (err == NULL)
        take_rows(apps, a, *out_rows);
    return err;
}

/* What the first page left out, and one page more than an app may have: when that is full, too,
 * there may be some that are not read. */
static tb_err TB_SUSPENDS read_more(struct tb_req *req, const struct tb_apps *apps,
                                    struct agreement *a, struct tb_str id, struct tb_rows *rows)
{
    struct tb_str environment = tb_cell(rows, 0, 1);
    struct tb_arena *pages[2] = {tb_arena_new(PAGE_BYTES), tb_arena_new(PAGE_BYTES)};
    size_t page_n = count(rows, ENTITLEMENT), read_n = page_n;
    tb_err err = NULL;
    for (size_t turn = 0; err == NULL && page_n == PAGE_ROWS && read_n <= TB_ENTITLEMENTS_MAX;
         turn++) {
        struct tb_arena *page = pages[turn % 2]; /* the last row read is in the other */
        const struct tb_param params[4] = {TB_TEXT(id), TB_TEXT(environment),
                                           TB_TEXT(tb_cell(rows, rows->n - 1, 1)),
                                           TB_TEXT(tb_cell(rows, rows->n - 1, 2))};
        tb_arena_reset(page);
        err = read_page(req, apps, a, params, page, &rows);
        page_n = err == NULL ? rows->n : 0;
        read_n += page_n;
    }
    if (err == NULL && page_n == PAGE_ROWS)
        tb_log_with(TB_LOG_ERROR, "entitlements_not_read", TB_F_TEXT("app", id),
                    TB_F_INT("most", TB_ENTITLEMENTS_MAX));
    tb_arena_free(pages[0]);
    tb_arena_free(pages[1]);
    return err;
}

static bool holds(const struct place *place, struct tb_str id)
{
    return place->id_n == id.n && memcmp(place->id, id.at, id.n) == 0;
}

static tb_err TB_SUSPENDS read_app(struct tb_req *req, struct tb_apps *apps, struct place *place,
                                   struct tb_str id)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_APP, TB_TEXT(id)));
    if (rows->n == 0) {
        if (holds(place, id))
            place->id_n = 0; /* what was remembered of it ends now */
        return tb_fail(req, TB_E_NOT_ENTITLED, "the token's app does not exist any more");
    }
    struct agreement *a = begin(apps, rows);
    tb_err err = read_more(req, apps, a, id, rows);
    if (err != NULL) {
        agreement_free(a);
        return err;
    }
    agreement_free(place->agreement);
    place->agreement = a;
    copy_text(place->id, ID_BYTES, id);
    place->id_n = id.n;
    place->read_ms = tb_loop_now_ms(tb_run_of(req)->loop);
    place->asked_ms = 0;
    return NULL;
}

/* A client that leaves does not end the reading: others meanwhile go by what is remembered, and an
 * app that asked and left, again and again, would never be read. */
static tb_err TB_SUSPENDS read_to_end(struct tb_req *req, struct tb_apps *apps, struct place *place,
                                      struct tb_str id)
{
    struct tb_run *run = tb_run_of(req);
    bool finish = run->finish;
    run->finish = true;
    tb_err err = read_app(req, apps, place, id);
    run->finish = finish;
    return err;
}

tb_err TB_SUSPENDS tb_app_find(struct tb_req *req, struct tb_apps *apps, struct tb_str app,
                               const struct tb_operation *operation, struct tb_app *out_app)
{
    struct place *place = &apps->places[tb_hash(app.at, app.n) % TB_APPS_REMEMBERED];
    int64_t now_ms = tb_loop_now_ms(tb_run_of(req)->loop);
    if (app.n == 0 || app.n >= ID_BYTES)
        return tb_fail(req, TB_E_NOT_ENTITLED, "the token names no app");
    bool known = holds(place, app);
    bool fresh = now_ms - place->read_ms < FRESH_MS || now_ms - place->asked_ms < FRESH_MS;
    if (!known || !fresh) {
        if (known) /* otherwise somebody else's is remembered there, and nobody asks for it */
            place->asked_ms = now_ms;
        tb_err err = read_to_end(req, apps, place, app);
        if (err != NULL && !(tb_is(err, TB_E_STORE) && holds(place, app)))
            return err;
        tb_run_of(req)->problem = (struct tb_problem){0};
    }
    const struct agreement *a = place->agreement;
    *out_app = (struct tb_app){
        .active = a->active,
        .plain_tokens = a->plain_tokens,
        .scope = a->scope,
        .entitled = has_bit(a->entitled, operation->index),
        .stopped = reason_of(a, operation),
        .limits = set_for(apps, place, operation),
    };
    return NULL;
}
