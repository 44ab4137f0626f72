/* Rows by partner and book in a table of chains that doubles; they are never freed before the
 * worker ends, so a request may keep one over a wait. */
#include "hooks/scripts.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "gateway/gateway.h"
#include "store/query.h"
#include <stdio.h>

enum {
    CHANGES_MAX = 500, /* rows of one refresh */
    FIRST_BUCKETS = 64,
    NAME_BYTES = 128, /* of a table or a key */
    ENTRY_BYTES = 4096,
};

struct tb_scripts {
    struct tb_scripts_parts parts;
    struct tb_script_limits limits;
    struct tb_vm_pool *states;
    struct tb_script_row **buckets;
    size_t buckets_n, rows_n; /* buckets: a power of two */
    int64_t generation;       /* the last that was read */
    struct tb_arena *spare;   /* for the next answer that is shaped; NULL: none */
};

struct tb_script_limits tb_script_limits_of(const struct tb_config *config)
{
    return (struct tb_script_limits){
        .memory_bytes = (size_t)config->script_memory_bytes,
        .object_bytes = (size_t)config->script_object_bytes,
        .cpu_us = config->script_cpu_ms * 1000,
        .turn_us = tb_script_limits.turn_us,
        .wall_ms = config->script_wall_ms,
        .calls = (uint32_t)config->script_calls,
    };
}

struct tb_scripts *tb_scripts_new(const struct tb_scripts_parts *parts)
{
    struct tb_scripts *scripts = tb_mem(sizeof(*scripts));
    scripts->parts = *parts;
    scripts->limits = tb_script_limits_of(parts->config);
    scripts->states = tb_vm_pool_new(&scripts->limits, (size_t)parts->config->script_states,
                                     (size_t)parts->config->script_states_bytes);
    scripts->buckets_n = FIRST_BUCKETS;
    scripts->buckets = tb_mem_array(FIRST_BUCKETS, sizeof(*scripts->buckets));
    return scripts;
}

/* ---- the table ---- */

/* Not keyed: partners' ids are made by us. */
static struct tb_script_row **bucket_of(struct tb_script_row **buckets, size_t n, int32_t book,
                                        struct tb_str partner)
{
    uint64_t hash = tb_hash_add(TB_HASH_START ^ (uint64_t)book, partner.at, partner.n);
    return &buckets[tb_hash_fold(hash) & (n - 1)];
}

struct tb_script_row *tb_scripts_find(struct tb_scripts *scripts, int32_t book,
                                      struct tb_str partner)
{
    struct tb_script_row *row = *bucket_of(scripts->buckets, scripts->buckets_n, book, partner);
    while (row != NULL && (row->book != book || row->partner_n != partner.n ||
                           memcmp(row->partner, partner.at, partner.n) != 0))
        row = row->chain;
    return row;
}

static void grow(struct tb_scripts *scripts)
{
    size_t n = scripts->buckets_n * 2;
    struct tb_script_row **buckets = tb_mem_array(n, sizeof(*buckets));
    for (size_t i = 0; i < scripts->buckets_n; i++) {
        for (struct tb_script_row *row = scripts->buckets[i], *next; row != NULL; row = next) {
            struct tb_script_row **at = bucket_of(buckets, n, row->book,
                                                  (struct tb_str){row->partner, row->partner_n});
            next = row->chain;
            row->chain = *at;
            *at = row;
        }
    }
    tb_mem_free(scripts->buckets);
    scripts->buckets = buckets;
    scripts->buckets_n = n;
}

static struct tb_script_row *add(struct tb_scripts *scripts, int32_t book, struct tb_str partner)
{
    if (scripts->rows_n == scripts->buckets_n)
        grow(scripts);
    struct tb_script_row *row = tb_mem(sizeof(*row));
    struct tb_script_row **at = bucket_of(scripts->buckets, scripts->buckets_n, book, partner);
    row->book = book;
    row->partner_n = partner.n;
    memcpy(row->partner, partner.at, partner.n);
    row->chain = *at;
    *at = row;
    scripts->rows_n++;
    return row;
}

/* ---- what changed ---- */

static const char SQL_CHANGES[] =
    "select generation, book, partner, script, version, previous, canary, "
    "on_request_failure = 'deny', on_response_failure = 'withhold', recording, activated, off "
    "from script.changes($1, $2)";
enum {
    GENERATION,
    BOOK,
    PARTNER,
    SCRIPT,
    VERSION,
    PREVIOUS,
    CANARY,
    DENIES,
    WITHHOLDS,
    RECORDING,
    ACTIVATED,
    OFF
};

static enum tb_failure failure_of(const struct tb_rows *rows, size_t i, size_t column)
{
    return tb_str_eq(tb_cell(rows, i, column), TB_STR("t")) ? TB_FAILURE_CLOSED : TB_FAILURE_OPEN;
}

/* What runs now has not failed yet. */
static void begin_anew(struct tb_script_row *row, int64_t activated)
{
    row->activated = activated;
    row->limits_n = 0;
    memset(row->breakers, 0, sizeof(row->breakers));
}

static void take_row(struct tb_scripts *scripts, const struct tb_rows *rows, size_t i,
                     struct tb_loop *loop)
{
    struct tb_str partner = tb_cell(rows, i, PARTNER), id = tb_cell(rows, i, SCRIPT);
    int32_t book = (int32_t)tb_cell_int(rows, i, BOOK);
    scripts->generation = tb_cell_int(rows, i, GENERATION);
    if (partner.n > TB_SCRIPT_PARTNER_BYTES || id.n >= TB_SCRIPT_ID_BYTES) {
        tb_log_with(TB_LOG_ERROR, "script_not_usable", TB_F_TEXT("script", id),
                    TB_F_TEXT("partner", partner));
        return;
    }
    struct tb_script_row *row = tb_scripts_find(scripts, book, partner);
    if (row == NULL)
        row = add(scripts, book, partner);
    memcpy(row->id, id.at, id.n);
    row->id[id.n] = '\0';
    row->version = (int32_t)tb_cell_int(rows, i, VERSION);
    row->previous = (int32_t)tb_cell_int(rows, i, PREVIOUS);
    row->canary = (int32_t)tb_cell_int(rows, i, CANARY);
    row->failure[TB_HOOK_ON_REQUEST] = failure_of(rows, i, DENIES);
    row->failure[TB_HOOK_ON_RESPONSE] = failure_of(rows, i, WITHHOLDS);
    row->recording = tb_str_eq(tb_cell(rows, i, RECORDING), TB_STR("t"));
    if (row->activated != tb_cell_int(rows, i, ACTIVATED))
        begin_anew(row, tb_cell_int(rows, i, ACTIVATED));
    tb_script_breakers_hear(row, tb_cell(rows, i, OFF), loop);
}

tb_err TB_SUSPENDS tb_scripts_refresh(struct tb_req *req, struct tb_scripts *scripts,
                                      bool *out_behind)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(scripts->generation), TB_INT(CHANGES_MAX)};
    *out_behind = false;
    TB_TRY(tb_store_query(req, scripts->parts.store, &rows, SQL_CHANGES, params, TB_COUNT(params)));
    for (size_t i = 0; i < rows->n; i++)
        take_row(scripts, rows, i, tb_run_of(req)->loop);
    *out_behind = rows->n == CHANGES_MAX;
    if (!*out_behind) /* a worker that begins is asked when it knows all */
        tb_gauge(scripts->parts.metrics, TB_M_SCRIPT_GENERATION, (uint64_t)scripts->generation);
    return NULL;
}

/* ---- versions ---- */

uint64_t tb_script_seed(struct tb_str request_id)
{
    return tb_hash(request_id.at, request_id.n);
}

int32_t tb_script_pick(const struct tb_script_row *row, struct tb_str request_id)
{
    if (row->canary >= 100)
        return row->version;
    uint64_t hash = tb_script_seed(request_id);
    return (int32_t)((hash ^ hash >> 32) % 100) < row->canary ? row->version : row->previous;
}

static const char SQL_SOURCE[] = "select s from script.source($1, $2, $3) s";

/* Reading a long text, and ending the state before, which may be full, gives way to nobody: the
 * partner is charged for it as for its calls. */
static struct tb_script *make(struct tb_scripts *scripts, struct tb_script_row *row,
                              struct tb_str version, struct tb_str text, char *why,
                              size_t why_bytes, int64_t now_ms)
{
    int64_t began_ns = tb_thread_ns();
    struct tb_script *script = tb_vm_pool_add(scripts->states, version, text, why, why_bytes);
    int64_t held_ns = tb_thread_ns() - began_ns - TB_SCRIPT_SHORT_US * 1000;
    tb_script_held(row, held_ns, scripts->parts.config->script_long_ms, now_ms);
    return script;
}

tb_err TB_SUSPENDS tb_scripts_hold(struct tb_req *req, struct tb_scripts *scripts,
                                   struct tb_script_row *row, int32_t version,
                                   struct tb_script **out, char *why, size_t why_bytes)
{
    char name[TB_SCRIPT_ID_BYTES + sizeof(version)] = {0}; /* the id and the version's bytes */
    struct tb_rows *rows;
    memcpy(name, row->id, TB_SCRIPT_ID_BYTES);
    memcpy(name + TB_SCRIPT_ID_BYTES, &version, sizeof(version));
    const struct tb_str key = {name, sizeof(name)};
    *out = tb_vm_pool_find(scripts->states, key);
    if (*out != NULL)
        return NULL;
    const struct tb_param params[] = {TB_INT(row->book), TB_TEXT(tb_str(row->id)), TB_INT(version)};
    TB_TRY(tb_store_query(req, scripts->parts.store, &rows, SQL_SOURCE, params, TB_COUNT(params)));
    if (rows->n == 0)
        snprintf(why, why_bytes, "there is no text of version %d", version);
    else
        *out = make(scripts, row, key, tb_cell(rows, 0, 0), why, why_bytes,
                    tb_loop_now_ms(tb_run_of(req)->loop));
    return NULL;
}

void tb_scripts_release(struct tb_scripts *scripts, struct tb_script *script)
{
    tb_vm_pool_release(scripts->states, script);
}

struct tb_vm_pool_stats tb_scripts_stats(const struct tb_scripts *scripts)
{
    return tb_vm_pool_stats(scripts->states);
}

/* ---- memory of answers that are shaped ---- */

struct lent {
    struct tb_scripts *scripts;
    struct tb_arena *arena;
};

static void take_back(void *arg)
{
    struct lent lent = *(struct lent *)arg; /* it may lie where the reset below reaches */
    tb_arena_reset(lent.arena);
    if (lent.scripts->spare == NULL)
        lent.scripts->spare = lent.arena;
    else
        tb_arena_free(lent.arena);
}

struct tb_arena *tb_scripts_scratch(struct tb_exchange *x)
{
    struct tb_scripts *scripts = tb_gateway_parts(x->gateway)->scripts;
    struct lent *lent = tb_arena_alloc(x->run.arena, sizeof(*lent));
    if (lent == NULL)
        return NULL;
    *lent = (struct lent){scripts,
                          scripts->spare != NULL ? scripts->spare : tb_arena_new(TB_ARENA_CAP)};
    scripts->spare = NULL;
    return tb_arena_defer(x->run.arena, take_back, lent) ? lent->arena : NULL;
}

/* ---- the partner's own tables ---- */

static const char SQL_LOOKUP[] = "select e from script.lookup($1, $2, $3, $4) e";

static bool fit_for_name(struct tb_str text)
{
    return text.n > 0 && text.n <= NAME_BYTES && memchr(text.at, '\0', text.n) == NULL &&
           tb_utf8_valid(text);
}

tb_err TB_SUSPENDS tb_script_entry(struct tb_req *req, struct tb_store *store, int32_t book,
                                   struct tb_str partner, struct tb_str table, struct tb_str key,
                                   json_t **out)
{
    static const struct tb_json_limits limits = {
        .bytes = 2 * ENTRY_BYTES, .depth = 32, .members = ENTRY_BYTES, .reals = true};
    struct tb_rows *rows;
    struct tb_json_error where;
    *out = NULL;
    if (!fit_for_name(table) || !fit_for_name(key))
        return NULL; /* no entry is called so */
    const struct tb_param params[] = {TB_INT(book), TB_TEXT(partner), TB_TEXT(table), TB_TEXT(key)};
    TB_TRY(tb_store_query(req, store, &rows, SQL_LOOKUP, params, TB_COUNT(params)));
    if (rows->n == 0 || tb_cell(rows, 0, 0).at == NULL)
        return NULL;
    return tb_json_parse(NULL, tb_cell(rows, 0, 0), &limits, out, &where);
}

tb_err TB_SUSPENDS tb_scripts_lookup(struct tb_req *req, void *arg, struct tb_str table,
                                     struct tb_str key, json_t **out)
{
    const struct tb_exchange *x = tb_exchange_of(req);
    (void)arg;
    return tb_script_entry(req, tb_gateway_parts(x->gateway)->store, x->grant->book,
                           x->grant->partner, table, key, out);
}
