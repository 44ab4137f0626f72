/* See script_breaker.h. A worker counts for itself and believes the books of what is off: they know
 * which worker was first, and what was activated meanwhile. */
#include "hooks/script_breaker.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "hooks/scripts.h"
#include "store/query.h"

enum {
    TELL_MS = 1000, /* a hook's failures are written down so often at most */
    TELL_WITHIN_MS = 5000,
};

/* NULL for a version that does not run any more. */
static struct tb_script_breaker *find_breaker(struct tb_script_row *row, int32_t version,
                                              enum tb_script_hook hook)
{
    if (version == row->version)
        return &row->breakers[hook].version;
    return version == row->previous ? &row->breakers[hook].previous : NULL;
}

bool tb_script_off(struct tb_script_row *row, int32_t version, enum tb_script_hook hook,
                   int64_t now_ms)
{
    const struct tb_script_breaker *breaker = find_breaker(row, version, hook);
    return breaker != NULL && now_ms < breaker->off_until_ms;
}

/* ---- holding up ---- */

void tb_script_held(struct tb_script_row *row, int64_t held_ns, int64_t long_ms, int64_t now_ms)
{
    if (held_ns <= 0)
        return;
    if (row->settled_ms < now_ms)
        row->settled_ms = now_ms;
    row->settled_ms += held_ns / 1000 / long_ms; /* us of ms a second */
}

bool tb_script_too_long(const struct tb_script_row *row, int64_t now_ms)
{
    return row->settled_ms > now_ms + TB_SCRIPT_SAVED_MS;
}

/* ---- hearing ---- */

static void apply_state(struct tb_script_row *row, const json_t *told, struct tb_loop *loop)
{
    int64_t version = 0, until_ms = 0;
    struct tb_str name = tb_json_str(told, "hook");
    (void)tb_json_int(told, "version", &version);
    (void)tb_json_int(told, "until_ms", &until_ms);
    int64_t left_ms = until_ms - tb_loop_wall_ms(loop);
    for (enum tb_script_hook hook = 0; left_ms > 0 && hook < TB_HOOKS_N; hook++) {
        struct tb_script_breaker *breaker = find_breaker(row, (int32_t)version, hook);
        if (breaker == NULL || !tb_str_eq(name, tb_str(tb_script_hook_row(hook)->name)))
            continue;
        if (left_ms > TB_BREAKER_OFF_MS) /* another machine's clock */
            left_ms = TB_BREAKER_OFF_MS;
        breaker->off_until_ms = tb_loop_now_ms(loop) + left_ms;
    }
}

void tb_script_breakers_hear(struct tb_script_row *row, struct tb_str off, struct tb_loop *loop)
{
    json_t *list = off.at == NULL ? NULL : json_loadb(off.at, off.n, 0, NULL);
    for (size_t i = 0; i < json_array_size(list); i++)
        apply_state(row, json_array_get(list, i), loop);
    json_decref(list);
}

/* ---- telling ---- */

/* A failure on its way into the books. */
struct telling {
    struct tb_store *store;
    int32_t book, version;
    int64_t at_ms, until_ms; /* wall clock; until 0: the hook goes on */
    const char *hook, *ended;
    char script[TB_SCRIPT_ID_BYTES], request[40], why[TB_SCRIPT_WHY_BYTES];
};

static const char SQL_NOTE[] = "select script.note_failure($1, $2, $3, $4, $5, $6, $7, $8, $9)";

static tb_err TB_SUSPENDS publish_state(struct tb_req *req, void *arg)
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

static void tell_failure(struct tb_exchange *x, const struct tb_script_row *row, int32_t version,
                         enum tb_script_hook hook, const char *ended, const char *why, bool off)
{
    struct telling *t = tb_mem(sizeof(*t));
    t->store = tb_gateway_parts(x->gateway)->store;
    t->book = row->book;
    t->version = version;
    t->at_ms = tb_loop_wall_ms(x->run.loop);
    t->until_ms = off ? t->at_ms + TB_BREAKER_OFF_MS : 0;
    t->hook = tb_script_hook_row(hook)->name;
    t->ended = ended;
    memcpy(t->script, row->id, sizeof(t->script));
    memcpy(t->request, x->request_id, sizeof(x->request_id));
    tb_script_words(t->why, sizeof(t->why), why);
    if (tb_run_detached(x->run.loop, "script failure", publish_state, t, TELL_WITHIN_MS) != NULL)
        tb_mem_free(t);
}

/* A hook's failures are told once in TELL_MS at most. */
static bool may_tell(struct tb_script_breaker *breaker, int64_t now_ms)
{
    if (now_ms - breaker->told_ms < TELL_MS)
        return false;
    breaker->told_ms = now_ms;
    return true;
}

void tb_script_note_too_long(struct tb_exchange *x, struct tb_script_row *row, int32_t version,
                             enum tb_script_hook hook, const char *why)
{
    struct tb_script_breaker *breaker = find_breaker(row, version, hook);
    if (breaker != NULL && may_tell(breaker, tb_loop_now_ms(x->run.loop)))
        tell_failure(x, row, version, hook, "too long", why, false);
}

/* ---- counting ---- */

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

void tb_script_note(struct tb_exchange *x, struct tb_script_row *row, int32_t version,
                    enum tb_script_hook hook, const struct tb_script_result *result)
{
    static const uint64_t looked_back = (UINT64_C(1) << TB_BREAKER_CALLS) - 1;
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    struct tb_metrics *metrics = parts->metrics;
    struct tb_script_breaker *breaker = find_breaker(row, version, hook);
    int64_t now_ms = tb_loop_now_ms(x->run.loop);
    count(metrics, result);
    tb_script_held(row, result->held_ns, parts->config->script_long_ms, now_ms);
    if (result->end == TB_SCRIPT_ENDED || breaker == NULL) /* the client's doing, or over */
        return;
    bool failed = result->end != TB_SCRIPT_DONE;
    breaker->failed = breaker->failed << 1 | failed;
    if (!failed || now_ms < breaker->off_until_ms)
        return;
    bool off = __builtin_popcountll(breaker->failed & looked_back) >= TB_BREAKER_FAILURES;
    if (off) {
        breaker->off_until_ms = now_ms + TB_BREAKER_OFF_MS;
        tb_count(metrics, TB_M_SCRIPT_OFF, 1);
    }
    if (may_tell(breaker, now_ms) || off)
        tell_failure(x, row, version, hook, tb_script_end_word(result->end), result->why, off);
}
