/* Rows by partner and book in a table of chains that doubles; they are never freed before the
 * worker ends, so a request may keep one over a wait. */
#include "gateway/scripts.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "store/query.h"
#include <stdio.h>

enum {
    CHANGES_MAX = 500, /* rows of one refresh */
    FIRST_BUCKETS = 64,
    TELL_MS = 1000, /* a script's failures are written down so often at most */
    TELL_WITHIN_MS = 5000,
    NAME_BYTES = 128, /* of a table or a key */
    ENTRY_BYTES = 4096,
};

struct tb_scripts {
    struct tb_scripts_parts parts;
    struct tb_script_limits limits;
    struct tb_states *states;
    struct tb_script_row **buckets;
    size_t buckets_n, rows_n; /* buckets: a power of two */
    int64_t generation;       /* the last that was read */
    struct tb_arena *spare;   /* for the next answer that is shaped; NULL: none */
};

struct tb_scripts *tb_scripts_new(const struct tb_scripts_parts *parts)
{
    const struct tb_config *config = parts->config;
    struct tb_scripts *scripts = tb_mem(sizeof(*scripts));
    scripts->parts = *parts;
    scripts->limits = (struct tb_script_limits){
        .memory_bytes = (size_t)config->script_memory_bytes,
        .object_bytes = (size_t)config->script_object_bytes,
        .cpu_us = config->script_cpu_ms * 1000,
        .wall_ms = config->script_wall_ms,
        .calls = (uint32_t)config->script_calls,
    };
    scripts->states = tb_states_new(&scripts->limits, (size_t)config->script_states);
    scripts->buckets_n = FIRST_BUCKETS;
    scripts->buckets = tb_mem_array(FIRST_BUCKETS, sizeof(*scripts->buckets));
    return scripts;
}

void tb_scripts_free(struct tb_scripts *scripts)
{
    if (scripts == NULL)
        return;
    for (size_t i = 0; i < scripts->buckets_n; i++) {
        for (struct tb_script_row *row = scripts->buckets[i], *next; row != NULL; row = next) {
            next = row->chain;
            tb_mem_free(row);
        }
    }
    tb_mem_free(scripts->buckets);
    tb_states_free(scripts->states);
    tb_arena_free(scripts->spare);
    tb_mem_free(scripts);
}

/* ---- the table ---- */

/* FNV-1a: partners' ids are made by us. */
static uint64_t hash_of(struct tb_str text, uint64_t hash)
{
    for (size_t i = 0; i < text.n; i++)
        hash = (hash ^ (unsigned char)text.at[i]) * UINT64_C(1099511628211);
    return hash;
}

static struct tb_script_row **bucket_of(struct tb_script_row **buckets, size_t n, int32_t book,
                                        struct tb_str partner)
{
    uint64_t hash = hash_of(partner, UINT64_C(14695981039346656037) ^ (uint64_t)book);
    return &buckets[(hash ^ hash >> 32) & (n - 1)];
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
    "on_request_failure = 'deny', on_response_failure = 'withhold', recording "
    "from script.changes($1, $2)";
enum { GENERATION, BOOK, PARTNER, SCRIPT, VERSION, PREVIOUS, CANARY, DENIES, WITHHOLDS, RECORDING };

static enum tb_failure failure_of(const struct tb_rows *rows, size_t i, size_t column)
{
    return tb_str_eq(tb_cell(rows, i, column), TB_STR("t")) ? TB_FAILURE_CLOSED : TB_FAILURE_OPEN;
}

static void take(struct tb_scripts *scripts, const struct tb_rows *rows, size_t i)
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
    row->generation = scripts->generation;
    memset(row->breaker, 0, sizeof(row->breaker)); /* what runs now has not failed yet */
}

tb_err TB_SUSPENDS tb_scripts_refresh(struct tb_req *req, struct tb_scripts *scripts,
                                      bool *out_behind)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(scripts->generation), TB_INT(CHANGES_MAX)};
    *out_behind = false;
    TB_TRY(tb_store_query(req, scripts->parts.store, &rows, SQL_CHANGES, params, TB_COUNT(params)));
    for (size_t i = 0; i < rows->n; i++)
        take(scripts, rows, i);
    *out_behind = rows->n == CHANGES_MAX;
    return NULL;
}

/* ---- versions ---- */

uint64_t tb_script_seed(struct tb_str request_id)
{
    return hash_of(request_id, UINT64_C(14695981039346656037));
}

int32_t tb_script_pick(const struct tb_script_row *row, struct tb_str request_id)
{
    if (row->canary >= 100)
        return row->version;
    uint64_t hash = tb_script_seed(request_id);
    return (int32_t)((hash ^ hash >> 32) % 100) < row->canary ? row->version : row->previous;
}

static const char SQL_SOURCE[] = "select s from script.source($1, $2, $3) s";

tb_err TB_SUSPENDS tb_scripts_hold(struct tb_req *req, struct tb_scripts *scripts,
                                   const struct tb_script_row *row, int32_t version,
                                   struct tb_script **out, char *why, size_t why_bytes)
{
    char name[TB_SCRIPT_ID_BYTES + sizeof(version)] = {0}; /* the id and the version's bytes */
    struct tb_rows *rows;
    memcpy(name, row->id, TB_SCRIPT_ID_BYTES);
    memcpy(name + TB_SCRIPT_ID_BYTES, &version, sizeof(version));
    const struct tb_str key = {name, sizeof(name)};
    *out = tb_states_find(scripts->states, key);
    if (*out != NULL)
        return NULL;
    const struct tb_param params[] = {TB_INT(row->book), TB_TEXT(tb_str(row->id)), TB_INT(version)};
    TB_TRY(tb_store_query(req, scripts->parts.store, &rows, SQL_SOURCE, params, TB_COUNT(params)));
    if (rows->n == 0)
        snprintf(why, why_bytes, "there is no text of version %d", version);
    else
        *out = tb_states_add(scripts->states, key, tb_cell(rows, 0, 0), why, why_bytes);
    return NULL;
}

void tb_scripts_release(struct tb_scripts *scripts, struct tb_script *script)
{
    tb_states_release(scripts->states, script);
}

struct tb_states_stats tb_scripts_stats(const struct tb_scripts *scripts)
{
    return tb_states_stats(scripts->states);
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

/* ---- failures ---- */

/* A failure on its way into the books. */
struct telling {
    struct tb_store *store;
    int32_t book, version;
    int64_t at_ms, until_ms; /* wall clock; until 0: the hook goes on */
    const char *hook, *ended;
    char script[TB_SCRIPT_ID_BYTES], request[40], why[TB_SCRIPT_WHY_BYTES];
};

static const char SQL_NOTE[] = "select script.note_failure($1, $2, $3, $4, $5, $6, $7, $8, $9)";

static tb_err TB_SUSPENDS tell(struct tb_req *req, void *arg)
{
    struct telling *t = arg;
    struct tb_rows *rows;
    const struct tb_param params[] = {
        TB_INT(t->book),
        TB_TEXT(tb_str(t->script)),
        TB_INT(t->version),
        TB_TEXT(tb_str(t->hook)),
        TB_TEXT(tb_str(t->ended)),
        TB_TEXT(tb_str(t->request)),
        TB_TEXT(tb_str(t->why)),
        TB_TIME(t->at_ms),
        t->until_ms == 0 ? TB_TEXT(TB_STR_NONE) : TB_TIME(t->until_ms),
    };
    tb_err err = tb_store_query(req, t->store, &rows, SQL_NOTE, params, TB_COUNT(params));
    tb_mem_free(t);
    return err;
}

static void tell_failure(struct tb_exchange *x, const struct tb_scripts *scripts,
                         const struct tb_script_row *row, int32_t version, enum tb_script_hook hook,
                         const struct tb_script_result *result, bool off)
{
    struct telling *t = tb_mem(sizeof(*t));
    t->store = scripts->parts.store;
    t->book = row->book;
    t->version = version;
    t->at_ms = tb_loop_wall_ms(x->run.loop);
    t->until_ms = off ? t->at_ms + TB_BREAKER_OFF_MS : 0;
    t->hook = tb_script_hook_row(hook)->name;
    t->ended = tb_script_end_word(result->end);
    memcpy(t->script, row->id, sizeof(t->script));
    memcpy(t->request, x->request_id, sizeof(x->request_id));
    tb_script_words(t->why, sizeof(t->why), result->why);
    if (tb_run_detached(x->run.loop, "script failure", tell, t, TELL_WITHIN_MS) != NULL)
        tb_mem_free(t);
}

bool tb_script_off(const struct tb_script_row *row, enum tb_script_hook hook, int64_t now_ms)
{
    return now_ms < row->breaker[hook].off_until_ms;
}

static void count(struct tb_metrics *metrics, const struct tb_script_result *result)
{
    static const enum tb_metric ends[] = {
        [TB_SCRIPT_ERROR] = TB_M_SCRIPT_ERRORS,  [TB_SCRIPT_BUDGET] = TB_M_SCRIPT_BUDGET,
        [TB_SCRIPT_MEMORY] = TB_M_SCRIPT_MEMORY, [TB_SCRIPT_ANSWER] = TB_M_SCRIPT_ANSWERS,
        [TB_SCRIPT_ENDED] = TB_M_SCRIPT_ENDED,
    };
    tb_count(metrics, TB_M_SCRIPT_CALLS, 1);
    tb_count(metrics, TB_M_SCRIPT_LOOKUPS, result->lookups);
    tb_observe(metrics, TB_H_SCRIPT_CPU, (uint64_t)(result->cpu_ns / 1000));
    if (result->end != TB_SCRIPT_DONE)
        tb_count(metrics, ends[result->end], 1);
}

void tb_scripts_note(struct tb_exchange *x, struct tb_script_row *row, int32_t version,
                     enum tb_script_hook hook, const struct tb_script_result *result)
{
    static const uint64_t looked_back = (UINT64_C(1) << TB_BREAKER_CALLS) - 1;
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    struct tb_script_breaker *breaker = &row->breaker[hook];
    count(parts->metrics, result);
    if (result->end == TB_SCRIPT_ENDED) /* the client's doing, not the script's */
        return;
    bool failed = result->end != TB_SCRIPT_DONE;
    breaker->failed = breaker->failed << 1 | failed;
    if (!failed)
        return;
    int64_t now_ms = tb_loop_now_ms(x->run.loop);
    bool off = __builtin_popcountll(breaker->failed & looked_back) >= TB_BREAKER_FAILURES;
    if (off) {
        breaker->off_until_ms = now_ms + TB_BREAKER_OFF_MS;
        breaker->failed = 0;
        tb_count(parts->metrics, TB_M_SCRIPT_OFF, 1);
    }
    if (!off && now_ms - breaker->told_ms < TELL_MS)
        return;
    breaker->told_ms = now_ms;
    tell_failure(x, parts->scripts, row, version, hook, result, off);
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

/* ---- dry runs ---- */

void tb_scripts_record(struct tb_scripts *scripts, const struct tb_exchange *x)
{
    if (x->script != NULL && x->script->recording && scripts->parts.record != NULL)
        scripts->parts.record(x);
}
