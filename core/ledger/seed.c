/* The demo world is one transaction: it is there whole or not at all, and the second time it is
 * found by its name. */
#include "ledger/seed.h"
#include "base/id.h"
#include "base/text.h"
#include "base/time.h"
#include "runtime/run.h"
#include <stdio.h>
#include <tongbao/plugin.h>

enum { FILL_AT_ONCE = 500, DEMO_BOOK = 1 };

static const char WORLD_NAME[] = "Demo";

/* What the bank itself owes and is owed: the other side of every opening balance, one a currency.
 */
static const struct {
    const char *code;
    int64_t opening_minor; /* what each demo account begins with */
} CURRENCIES[] = {
    {"CNY", INT64_C(1000000000000)},
    {"USD", INT64_C(100000000000)},
    {"JPY", INT64_C(10000000000)},
    {"KWD", INT64_C(100000000000)},
};

/* The accounts of a company, by place in CURRENCIES. */
static const size_t COMPANY_ACCOUNTS[] = {0, 0, 1, 2, 3};

static const char *const COMPANIES[TB_SEED_COMPANIES] = {
    "Jiangnan Textiles",   "Blue River Logistics", "Huabei Steel",        "Lotus Foods",
    "Tianshan Energy",     "East Harbour Trading", "Golden Bridge Build", "Yunling Tea",
    "Silk Road Machinery", "Pearl Bay Hotels",     "North Star Schools",  "Red Maple Pharma",
    "Great Plain Grain",   "Spring City Property", "Long Wave Telecom",   "White Crane Paper",
    "Summit Optics",       "Clear Water Works",    "Jade Peak Mining",    "Evergreen Retail",
};

static const char SQL_FIND[] =
    "select w.id, b.book, a.partner, a.id from bank.world w join bank.book b on b.world = w.id "
    "join bank.app a on a.world = w.id where w.name = $1 order by a.created_at, a.id limit 1";
static const char SQL_FIND_ACCOUNTS[] =
    "select min(a.id), a.party from bank.account_access x join bank.account a on (a.book, a.id) = (x.book, "
    "x.account) where x.book = $1 and x.partner = $2 and a.currency = 'CNY' group by a.party "
    "order by 1 limit 2";
static const char SQL_WORLD[] =
    "insert into bank.world (id, name, kind, created_at) values ($1, $2, "
    "'sandbox', $3)";
/* Book 1 is the demo's. Two that make a world at once would take the same book: the lock keeps them
 * apart until the first has committed. */
static const char SQL_LOCK_BOOKS[] = "select pg_advisory_xact_lock(7151283, 2)";
static const char SQL_NEXT_BOOK[] = "select coalesce(max(book), 1) + 1 from bank.book";
static const char SQL_BOOK[] = "insert into bank.book (book, world) values ($1, $2)";
static const char SQL_PARTNER[] =
    "insert into bank.partner (id, name, created_at) values ($1, $2, $3)";
static const char SQL_APP[] = "insert into bank.app (id, partner, world, name, plain_tokens, "
                              "created_at) values ($1, $2, $3, $4, $5, $6)";
static const char SQL_ENTITLE[] =
    "insert into bank.entitlement (app, environment, since) values ($1, 'sandbox', $2)";
/* More than a load can reach: the demo is there to be loaded. */
static const char SQL_NO_LIMIT[] =
    "insert into bank.app_limit (app, name, quota, window_ms) values ($1, 'demo', 1000000000, 60000)";
static const char SQL_PARTY[] =
    "insert into bank.party (book, id, kind, name, created_at) values ($1, $2, $3, $4, $5)";
static const char SQL_OPEN[] = "select bank.open_accounts($1, $2::jsonb, $3, $4)";
static const char SQL_SETTLEMENT[] =
    "select id from bank.account where book = $1 and currency = $2 and floor is null order by id "
    "limit 1";

/* What was planned while the tables were empty is planned again with what is in them now. */
static const char SQL_ANALYZE[] = "analyze";

static tb_err TB_SUSPENDS analyze(struct tb_req *req, struct tb_store *store)
{
    struct tb_rows *rows;
    return tb_store_query(req, store, &rows, SQL_ANALYZE, NULL, 0);
}

struct work {
    struct tb_tx *tx;
    struct tb_req *req;
    struct tb_seed *seed;
    int64_t now_ms;
};

/* What tb_seed_demo asks of its transaction. */
struct demo {
    struct tb_seed *seed;
    bool made; /* it was not there */
};

static tb_err TB_SUSPENDS run_sql(struct work *w, const char *sql, const struct tb_param *params,
                                  size_t params_n)
{
    struct tb_rows *rows;
    return tb_tx_query(w->tx, &rows, sql, params, params_n);
}

#define RUN(work, sql, ...)                                                                        \
    run_sql((work), (sql), (const struct tb_param[]){__VA_ARGS__},                                 \
            sizeof((const struct tb_param[]){__VA_ARGS__}) / sizeof(struct tb_param))

static struct tb_str new_id(struct work *w, const char *prefix)
{
    char *out = tb_alloc(w->req, TB_ID_ROOM);
    if (out == NULL)
        return TB_STR_NONE;
    return (struct tb_str){out, tb_id_make(out, prefix, w->seed->book, w->now_ms)};
}

static void copy_id(char out[TB_SEED_ID_BYTES], struct tb_str id)
{
    snprintf(out, TB_SEED_ID_BYTES, "%.*s", (int)id.n, id.at);
}

/* One account as bank.open_accounts takes it; money comes from `from`, absent: none does. */
static void add_account(struct tb_text *list, struct tb_str id, struct tb_str party,
                        const char *currency, const char *name, struct tb_str from, int64_t minor)
{
    tb_text_add(list, list->n == 0 ? TB_STR("[") : TB_STR(","));
    tb_text_add(list, TB_STR("{\"id\":"));
    tb_text_add_json(list, id);
    tb_text_add(list, TB_STR(",\"party\":"));
    tb_text_add_json(list, party);
    tb_text_add_format(list, ",\"currency\":\"%s\",\"name\":", currency);
    tb_text_add_json(list, tb_str(name));
    if (from.at == NULL) {
        tb_text_add(list, TB_STR(",\"floor\":null}"));
        return;
    }
    tb_text_add(list, TB_STR(",\"opening\":{\"from\":"));
    tb_text_add_json(list, from);
    tb_text_add_format(list, ",\"amount\":%lld}}", (long long)minor);
}

static tb_err TB_SUSPENDS open_list(struct work *w, struct tb_text *list, struct tb_str partner)
{
    tb_text_add_char(list, ']');
    struct tb_str json = tb_text_end(list);
    if (json.at == NULL)
        return tb_fail(w->req, TB_E_INTERNAL, "too many accounts at once");
    return RUN(w, SQL_OPEN, TB_INT(w->seed->book), TB_TEXT(json), TB_TEXT(partner),
               TB_TIME(w->now_ms));
}

static tb_err TB_SUSPENDS make_settlement(struct work *w,
                                          struct tb_str out_accounts[TB_COUNT(CURRENCIES)])
{
    struct tb_str bank = new_id(w, "pty");
    struct tb_text list;
    tb_text_init(&list, tb_run_of(w->req)->arena);
    TB_TRY(RUN(w, SQL_PARTY, TB_INT(w->seed->book), TB_TEXT(bank), TB_TEXT(TB_STR("bank")),
               TB_TEXT(TB_STR("Demo Bank")), TB_TIME(w->now_ms)));
    for (size_t i = 0; i < TB_COUNT(CURRENCIES); i++) {
        out_accounts[i] = new_id(w, "acc");
        add_account(&list, out_accounts[i], bank, CURRENCIES[i].code, "Settlement", TB_STR_NONE, 0);
    }
    return open_list(w, &list, TB_STR_NONE);
}

static tb_err TB_SUSPENDS make_companies(struct work *w, size_t companies_n,
                                         const struct tb_str *settlement)
{
    struct tb_text list;
    tb_text_init(&list, tb_run_of(w->req)->arena);
    for (size_t c = 0; c < companies_n; c++) {
        struct tb_str party = new_id(w, "pty");
        TB_TRY(RUN(w, SQL_PARTY, TB_INT(w->seed->book), TB_TEXT(party), TB_TEXT(TB_STR("company")),
                   TB_TEXT(tb_str(COMPANIES[c])), TB_TIME(w->now_ms)));
        for (size_t i = 0; i < TB_COUNT(COMPANY_ACCOUNTS); i++) {
            size_t currency = COMPANY_ACCOUNTS[i];
            struct tb_str id = new_id(w, "acc");
            if (c == 0 && i == 0) {
                copy_id(w->seed->debtor, id);
                copy_id(w->seed->company, party);
            }
            if (c == 0 ? i == 1 : c == 1 && i == 0) /* of the second company, if there is one */
                copy_id(w->seed->creditor, id);
            add_account(&list, id, party, CURRENCIES[currency].code, COMPANIES[c],
                        settlement[currency], CURRENCIES[currency].opening_minor);
        }
    }
    return open_list(w, &list, tb_str(w->seed->partner));
}

/* World, partner and app with their ids; the book's number is chosen already. */
static tb_err TB_SUSPENDS make_app(struct work *w, const struct tb_seed_order *order)
{
    struct tb_seed *seed = w->seed;
    copy_id(seed->world, new_id(w, "wld"));
    copy_id(seed->partner, new_id(w, "ptr"));
    copy_id(seed->app, new_id(w, "app"));
    TB_TRY(
        RUN(w, SQL_WORLD, TB_TEXT(tb_str(seed->world)), TB_TEXT(order->world), TB_TIME(w->now_ms)));
    TB_TRY(RUN(w, SQL_BOOK, TB_INT(seed->book), TB_TEXT(tb_str(seed->world))));
    TB_TRY(RUN(w, SQL_PARTNER, TB_TEXT(tb_str(seed->partner)), TB_TEXT(order->partner),
               TB_TIME(w->now_ms)));
    TB_TRY(RUN(w, SQL_APP, TB_TEXT(tb_str(seed->app)), TB_TEXT(tb_str(seed->partner)),
               TB_TEXT(tb_str(seed->world)), TB_TEXT(order->app), TB_BOOL(order->plain_tokens),
               TB_TIME(w->now_ms)));
    return RUN(w, SQL_ENTITLE, TB_TEXT(tb_str(seed->app)), TB_TIME(w->now_ms));
}

static tb_err TB_SUSPENDS make_world(struct work *w, const struct tb_seed_order *order)
{
    struct tb_str settlement[TB_COUNT(CURRENCIES)];
    TB_TRY(make_app(w, order));
    TB_TRY(make_settlement(w, settlement));
    return make_companies(w, order->companies_n, settlement);
}

tb_err TB_SUSPENDS tb_seed_world(struct tb_req *req, struct tb_tx *tx,
                                 const struct tb_seed_order *order, struct tb_seed *out_seed)
{
    struct work w = {.tx = tx, .req = req, .seed = out_seed, .now_ms = tb_wall_ms()};
    struct tb_rows *rows;
    TB_TRY(run_sql(&w, SQL_LOCK_BOOKS, NULL, 0));
    TB_TRY(tb_tx_query(tx, &rows, SQL_NEXT_BOOK, NULL, 0));
    int64_t book = tb_cell_int(rows, 0, 0);
    if (book > TB_BOOK_MAX)
        return tb_fail(req, TB_E_OVERLOAD, "no room for another world");
    out_seed->book = (int32_t)book;
    return make_world(&w, order);
}

static tb_err TB_SUSPENDS make_demo(struct work *w)
{
    const struct tb_seed_order order = {
        .world = tb_str(WORLD_NAME),
        .partner = TB_STR("Demo partner"),
        .app = TB_STR("Demo app"),
        .companies_n = TB_SEED_COMPANIES,
        .plain_tokens = true,
    };
    w->seed->book = DEMO_BOOK;
    TB_TRY(make_world(w, &order));
    return RUN(w, SQL_NO_LIMIT, TB_TEXT(tb_str(w->seed->app)));
}

static tb_err TB_SUSPENDS demo(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct demo *whole = arg;
    struct tb_seed *seed = whole->seed;
    struct work w = {.tx = tx, .req = req, .seed = seed, .now_ms = tb_wall_ms()};
    struct tb_rows *rows;
    TB_TRY(tb_tx_query(tx, &rows, SQL_FIND, &TB_TEXT(tb_str(WORLD_NAME)), 1));
    whole->made = rows->n == 0;
    if (whole->made)
        return make_demo(&w);
    copy_id(seed->world, tb_cell(rows, 0, 0));
    seed->book = (int32_t)tb_cell_int(rows, 0, 1);
    copy_id(seed->partner, tb_cell(rows, 0, 2));
    copy_id(seed->app, tb_cell(rows, 0, 3));
    const struct tb_param whose[] = {TB_INT(seed->book), TB_TEXT(tb_str(seed->partner))};
    TB_TRY(tb_tx_query(tx, &rows, SQL_FIND_ACCOUNTS, whose, TB_COUNT(whose)));
    if (rows->n < 2)
        return tb_fail(req, TB_E_CONFLICT, "the demo world has lost its accounts");
    copy_id(seed->debtor, tb_cell(rows, 0, 0));
    copy_id(seed->company, tb_cell(rows, 0, 1));
    copy_id(seed->creditor, tb_cell(rows, 1, 0));
    return NULL;
}

tb_err TB_SUSPENDS tb_seed_demo(struct tb_req *req, struct tb_store *store,
                                struct tb_seed *out_seed)
{
    struct demo whole = {.seed = out_seed};
    TB_TRY(tb_tx_run(req, store, demo, &whole));
    return whole.made ? analyze(req, store) : NULL;
}

/* ---- more accounts ---- */

struct fill {
    const struct tb_seed *seed;
    int64_t wanted;
    struct tb_str *ids; /* of the accounts opened, in the arena of the piece */
};

static tb_err TB_SUSPENDS fill_some(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct fill *fill = arg;
    struct tb_seed seed = *fill->seed;
    struct work w = {.tx = tx, .req = req, .seed = &seed, .now_ms = tb_wall_ms()};
    struct tb_rows *rows;
    const struct tb_param which[] = {TB_INT(seed.book), TB_TEXT(TB_STR("CNY"))};
    TB_TRY(tb_tx_query(tx, &rows, SQL_SETTLEMENT, which, TB_COUNT(which)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_CONFLICT, "the world has no settlement account");
    struct tb_str from = tb_cell(rows, 0, 0), party = new_id(&w, "pty");
    fill->ids = tb_alloc(req, FILL_AT_ONCE * sizeof(*fill->ids));
    struct tb_text list;
    tb_text_init(&list, tb_run_of(req)->arena);
    TB_TRY(RUN(&w, SQL_PARTY, TB_INT(seed.book), TB_TEXT(party), TB_TEXT(TB_STR("company")),
               TB_TEXT(TB_STR("Load")), TB_TIME(w.now_ms)));
    for (int64_t i = 0; i < fill->wanted; i++) {
        fill->ids[i] = new_id(&w, "acc");
        add_account(&list, fill->ids[i], party, "CNY", "Load", from, CURRENCIES[0].opening_minor);
    }
    return open_list(&w, &list, tb_str(seed.partner));
}

/* Each piece has an arena of its own, so that any number of accounts fits. */
tb_err TB_SUSPENDS tb_seed_fill(struct tb_req *req, struct tb_store *store,
                                const struct tb_seed *seed, int64_t accounts_n,
                                void (*opened)(const char *account, void *arg), void *arg)
{
    struct tb_run *run = tb_run_of(req);
    struct tb_arena *whole = run->arena;
    tb_err err = NULL;
    for (int64_t left = accounts_n; left > 0 && err == NULL; left -= FILL_AT_ONCE) {
        struct fill fill = {seed, left < FILL_AT_ONCE ? left : FILL_AT_ONCE, NULL};
        run->arena = tb_arena_new(TB_ARENA_CAP);
        err = tb_tx_run(req, store, fill_some, &fill);
        for (int64_t i = 0; err == NULL && i < fill.wanted; i++)
            opened(fill.ids[i].at, arg);
        struct tb_arena *piece = run->arena;
        run->arena = whole;
        if (err != NULL && run->problem.detail.at != NULL)
            run->problem.detail.at = tb_arena_text(whole, run->problem.detail.at,
                                                   run->problem.detail.n);
        tb_arena_free(piece);
    }
    return err != NULL ? err : analyze(req, store);
}
