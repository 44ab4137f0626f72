/* A direct-mapped table by the app's id: two apps on one place displace each other, which costs a
 * query, never an answer. The limits of an operation are made ready when it is first asked for. */
#include "gateway/apps.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/run.h"

enum { FRESH_MS = 1000, ID_BYTES = 48, TERMS_MAX = 512, TEXT_BYTES = 80, OPERATIONS_MAX = 1024 };

enum kind { STOP, LIMIT, ENTITLEMENT }; /* as SQL_APP numbers them */

/* A line of what was agreed with the app, or decided about all, as it stands in the books: it
 * speaks of one operation, of a product, or of everything. */
struct term {
    enum kind kind;
    char product[41], route[TB_ROUTE_KEY_BYTES];
    char text[TEXT_BYTES]; /* name of a limit, reason of a stop */
    int64_t quota, window_ms;
};

struct place {
    char id[ID_BYTES];
    size_t id_n; /* 0: empty */
    bool active, plain_tokens;
    char *scope;      /* that its client has registered; NULL: it is none, and has no say */
    int64_t read_ms;  /* loop clock */
    int64_t asked_ms; /* somebody is reading it since then; 0: nobody */
    struct term *terms;
    size_t terms_n;
    bool limited;               /* one of the terms is a limit */
    struct tb_limit_set **sets; /* by operation, NULL: not made ready; only with limits */
};

struct tb_apps {
    const struct tb_limit_set *standard;
    struct place places[TB_APPS_REMEMBERED];
};

struct tb_apps *tb_apps_new(const struct tb_limit_set *standard)
{
    struct tb_apps *apps = tb_mem(sizeof(*apps));
    apps->standard = standard;
    return apps;
}

static void forget_terms(struct place *place)
{
    for (size_t i = 0; place->sets != NULL && i < OPERATIONS_MAX; i++)
        tb_mem_free(place->sets[i]);
    tb_mem_free(place->sets);
    tb_mem_free(place->terms);
    tb_mem_free(place->scope);
    place->scope = NULL;
    place->sets = NULL;
    place->terms = NULL;
    place->terms_n = 0;
    place->limited = false;
}

void tb_apps_free(struct tb_apps *apps)
{
    if (apps == NULL)
        return;
    for (size_t i = 0; i < TB_APPS_REMEMBERED; i++)
        forget_terms(&apps->places[i]);
    tb_mem_free(apps);
}

/* FNV-1a: ids come from tokens we signed, so nobody chooses them to collide. */
static struct place *place_of(struct tb_apps *apps, struct tb_str id)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < id.n; i++)
        hash = (hash ^ (unsigned char)id.at[i]) * 1099511628211u;
    return &apps->places[hash % TB_APPS_REMEMBERED];
}

/* Stops come first: a line that finds no room must not be one of them. */
static const char SQL_APP[] =
    "select a.state = 'active' and p.state = 'active', a.plain_tokens, t.kind, t.product, t.route, "
    "t.text, t.quota, t.window_ms, (select coalesce(c.metadata ->> 'scope', '') from oauth.client c "
    "where c.app = a.id) from bank.app a join bank.partner p on p.id = a.partner "
    "join bank.world w on w.id = a.world left join lateral ("
    "select 0 as kind, s.product, s.operation as route, s.reason as text, 0 as quota, "
    "0 as window_ms from bank.stop s union all "
    "select 1, l.product, l.route, l.name, l.quota, l.window_ms from bank.app_limit l "
    "where l.app = a.id union all "
    "select 2, e.product, e.operation, '', 0, 0 from bank.entitlement e "
    "where e.app = a.id and e.environment = w.kind) t on true where a.id = $1 order by t.kind";

static void copy_text(char *out, size_t room, struct tb_str text)
{
    size_t n = text.n < room ? text.n : room - 1;
    memcpy(out, text.at, n);
    out[n] = '\0';
}

static bool is_true(const struct tb_rows *rows, size_t row, size_t column)
{
    return tb_str_eq(tb_cell(rows, row, column), TB_STR("t"));
}

static void take_rows(struct place *place, struct tb_str id, const struct tb_rows *rows)
{
    forget_terms(place);
    copy_text(place->id, ID_BYTES, id);
    place->id_n = id.n;
    place->active = is_true(rows, 0, 0);
    place->plain_tokens = is_true(rows, 0, 1);
    struct tb_str scope = tb_cell(rows, 0, 8);
    if (scope.at != NULL)
        place->scope = tb_mem_text(scope.at, scope.n);
    if (tb_cell(rows, 0, 2).at == NULL) /* nothing was agreed */
        return;
    place->terms_n = rows->n < TERMS_MAX ? rows->n : TERMS_MAX;
    place->terms = tb_mem_array(place->terms_n, sizeof(*place->terms));
    for (size_t i = 0; i < place->terms_n; i++) {
        struct term *term = &place->terms[i];
        term->kind = (enum kind)tb_cell_int(rows, i, 2);
        copy_text(term->product, sizeof(term->product), tb_cell(rows, i, 3));
        copy_text(term->route, sizeof(term->route), tb_cell(rows, i, 4));
        copy_text(term->text, sizeof(term->text), tb_cell(rows, i, 5));
        term->quota = tb_cell_int(rows, i, 6);
        term->window_ms = tb_cell_int(rows, i, 7);
        place->limited |= term->kind == LIMIT;
    }
    if (place->limited)
        place->sets = tb_mem_array(OPERATIONS_MAX, sizeof(*place->sets));
}

static bool applies(const struct term *term, enum kind kind, const struct tb_operation *operation)
{
    return term->kind == kind &&
           (term->product[0] == '\0' || strcmp(term->product, operation->plugin->name) == 0) &&
           (term->route[0] == '\0' || strcmp(term->route, operation->key) == 0);
}

/* The first line of this kind that speaks of the operation; NULL: none does. */
static const struct term *find_term(const struct place *place, enum kind kind,
                                    const struct tb_operation *operation)
{
    for (size_t i = 0; i < place->terms_n; i++)
        if (applies(&place->terms[i], kind, operation))
            return &place->terms[i];
    return NULL;
}

static enum tb_limit_scope scope_of(const struct term *term)
{
    if (term->route[0] != '\0')
        return TB_LIMIT_ROUTE;
    return term->product[0] != '\0' ? TB_LIMIT_PRODUCT : TB_LIMIT_APP;
}

/* The windows of one operation. An agreement that cannot be made ready counts as the standard one:
 * the bank is told, and the app is not let off its limits. */
static const struct tb_limit_set *set_for(const struct tb_apps *apps, struct place *place,
                                          const struct tb_operation *operation)
{
    struct tb_limit_window windows[TB_LIMIT_WINDOWS];
    char why[128];
    size_t n = 0;
    if (!place->limited || operation->index >= OPERATIONS_MAX)
        return apps->standard;
    if (place->sets[operation->index] != NULL)
        return place->sets[operation->index];
    for (size_t i = 0; i < place->terms_n && n < TB_LIMIT_WINDOWS; i++)
        if (applies(&place->terms[i], LIMIT, operation))
            windows[n++] = (struct tb_limit_window){place->terms[i].text, place->terms[i].quota,
                                                    place->terms[i].window_ms,
                                                    scope_of(&place->terms[i])};
    struct tb_limit_set *set = tb_mem(sizeof(*set));
    if (n == 0 || !tb_limit_set_init(set, windows, n, why, sizeof(why))) {
        if (n > 0)
            tb_log_with(TB_LOG_ERROR, "limits_not_usable", TB_F_CSTR("app", place->id),
                        TB_F_CSTR("why", why));
        *set = *apps->standard;
    }
    place->sets[operation->index] = set;
    return set;
}

static bool holds(const struct place *place, struct tb_str id)
{
    return place->id_n == id.n && memcmp(place->id, id.at, id.n) == 0;
}

static tb_err TB_SUSPENDS read_app(struct tb_req *req, struct place *place, struct tb_str id)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_APP, TB_TEXT(id)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_ENTITLED, "the token's app does not exist any more");
    take_rows(place, id, rows);
    place->read_ms = tb_loop_now_ms(tb_run_of(req)->loop);
    place->asked_ms = 0;
    return NULL;
}

tb_err TB_SUSPENDS tb_app_find(struct tb_req *req, struct tb_apps *apps, struct tb_str app,
                               const struct tb_operation *operation, struct tb_app *out_app)
{
    struct place *place = place_of(apps, app);
    int64_t now_ms = tb_loop_now_ms(tb_run_of(req)->loop);
    if (app.n == 0 || app.n >= ID_BYTES)
        return tb_fail(req, TB_E_NOT_ENTITLED, "the token names no app");
    bool known = holds(place, app);
    bool fresh = now_ms - place->read_ms < FRESH_MS || now_ms - place->asked_ms < FRESH_MS;
    if (!known || !fresh) {
        place->asked_ms = now_ms;
        tb_err err = read_app(req, place, app);
        if (err != NULL && !(tb_is(err, TB_E_STORE) && holds(place, app)))
            return err;
        tb_run_of(req)->problem = (struct tb_problem){0};
    }
    const struct term *stop = find_term(place, STOP, operation);
    *out_app = (struct tb_app){
        .active = place->active,
        .plain_tokens = place->plain_tokens,
        .scope = place->scope,
        .entitled = find_term(place, ENTITLEMENT, operation) != NULL,
        .stopped = stop == NULL ? NULL : stop->text,
        .limits = set_for(apps, place, operation),
    };
    return NULL;
}
