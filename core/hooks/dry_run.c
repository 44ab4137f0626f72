/* The recordings come in pages, each on a run of its own with a fresh arena, so that a replay of a
 * hundred thousand takes no more memory than one of a hundred. After each call others get their
 * turn if it is due. */
#include "hooks/dry_run.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"
#include "hooks/dry_count.h"
#include "hooks/scripts.h"
#include "store/tx.h"
#include <stdio.h>

enum {
    PAGE_CAP = 8 * 1024 * 1024, /* of one page: recordings, decisions, differences */
    TELL_US = 1000 * 1000,      /* the books hear so often how far it is */
    TELL_BYTES = 64 * 1024,     /* or when differences have piled up */
    TEXT_BYTES = 80,
};

/* One of the two versions. */
struct side {
    int32_t version;          /* 0: none, everything is allowed */
    struct tb_str source;     /* own memory */
    struct tb_script *script; /* NULL: to be made */
};

struct tb_dry_run {
    struct tb_dry_run_ask ask; /* its texts are the ones below */
    struct tb_store *store;
    char partner[TEXT_BYTES], id[TEXT_BYTES], script[TEXT_BYTES], by[TEXT_BYTES];
    int64_t after_n, upto_n; /* recordings still to come: after_n < n <= upto_n */
    struct side sides[2];
    struct tb_dry_count count;
    struct tb_arena *arena;
    int64_t slice_us, told_us; /* since when it has the processor, since when nothing was told */
    bool cancelled;
    char why[TB_SCRIPT_WHY_BYTES + 64]; /* it failed; "" as long as it has not */
};

/* ---- beginning ---- */

static struct tb_str keep_text(char out[TEXT_BYTES], struct tb_str text)
{
    size_t n = text.n < TEXT_BYTES ? text.n : TEXT_BYTES - 1;
    memcpy(out, text.at, n);
    out[n] = '\0';
    return (struct tb_str){out, n};
}

static const char SQL_START[] =
    "select what, script, held, after_n, upto_n, recordings "
    "from script.start_dry_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

static tb_err refuse_run(struct tb_req *req, const struct tb_dry_run_ask *ask, struct tb_str what)
{
    if (tb_str_eq(what, TB_STR("busy")))
        return tb_fail(req, TB_E_CONFLICT, "two dry runs are running already");
    if (tb_str_eq(what, TB_STR("no_script")))
        return tb_fail(req, TB_E_NOT_FOUND, "there is no script");
    bool other = tb_str_eq(what, TB_STR("no_against"));
    return tb_fail_at(req, TB_E_INVALID, other ? "/against" : "/version",
                      "the script has no version %d", other ? ask->against : ask->version);
}

static tb_err TB_SUSPENDS start(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct tb_dry_run *run = arg;
    const struct tb_dry_run_ask *ask = &run->ask;
    struct tb_rows *rows;
    const struct tb_param params[] = {
        TB_INT(ask->book),
        TB_TEXT(ask->partner),
        TB_TEXT(ask->id),
        TB_INT(ask->version),
        ask->against == 0 ? TB_NULL : TB_INT(ask->against),
        TB_TEXT(ask->against_active ? TB_STR("t") : TB_STR("f")),
        TB_TIME(ask->since_ms),
        TB_INT(ask->most),
        TB_TEXT(ask->by),
        TB_TIME(tb_loop_wall_ms(tb_run_of(req)->loop)),
    };
    TB_TRY(tb_tx_query(tx, &rows, SQL_START, params, TB_COUNT(params)));
    if (!tb_str_eq(tb_cell(rows, 0, 0), TB_STR("started")))
        return refuse_run(req, ask, tb_cell(rows, 0, 0));
    keep_text(run->script, tb_cell(rows, 0, 1));
    run->sides[TB_DRY_AFTER].version = ask->version;
    run->sides[TB_DRY_BEFORE].version = (int32_t)tb_cell_int(rows, 0, 2);
    run->after_n = tb_cell_int(rows, 0, 3);
    run->upto_n = tb_cell_int(rows, 0, 4);
    run->count.recordings = tb_cell_int(rows, 0, 5);
    return NULL;
}

tb_err TB_SUSPENDS tb_dry_run_begin(struct tb_req *req, struct tb_store *store,
                                    const struct tb_dry_run_ask *ask, struct tb_dry_run **out_run)
{
    struct tb_dry_run *run = tb_mem(sizeof(*run));
    run->store = store;
    run->ask = *ask;
    run->ask.partner = keep_text(run->partner, ask->partner);
    run->ask.id = keep_text(run->id, ask->id);
    run->ask.by = keep_text(run->by, ask->by);
    run->arena = tb_arena_new(PAGE_CAP);
    tb_dry_count_open(&run->count);
    tb_err err = tb_tx_run(req, store, start, run);
    if (err == NULL)
        *out_run = run;
    else
        tb_dry_run_free(run);
    return err;
}

void tb_dry_run_free(struct tb_dry_run *run)
{
    for (size_t i = 0; i < TB_DRY_SIDES; i++) {
        tb_script_free(run->sides[i].script);
        tb_mem_free((char *)(uintptr_t)run->sides[i].source.at);
    }
    tb_dry_count_close(&run->count);
    tb_arena_free(run->arena);
    tb_mem_free(run);
}

/* ---- telling ---- */

static const char SQL_HEAR[] = "select script.hear_dry_run($1, $2, $3::jsonb, $4, $5::jsonb, $6)";

static struct tb_str text_of(struct tb_req *req, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    size_t n = text == NULL ? 0 : strlen(text);
    struct tb_str out = {text == NULL ? NULL : tb_arena_text(tb_run_of(req)->arena, text, n), n};
    free(text);
    return out;
}

/* How far it is. Somebody may want it to end. */
static tb_err TB_SUSPENDS store_progress(struct tb_req *req, struct tb_dry_run *run)
{
    struct tb_dry_count *count = &run->count;
    struct tb_rows *rows;
    json_t *counts = tb_dry_count_json(count);
    struct tb_str text = text_of(req, counts), lines = text_of(req, count->lines);
    json_decref(counts);
    if (text.at == NULL || lines.at == NULL)
        return tb_fail(req, TB_E_INTERNAL, "what was counted cannot be told");
    const struct tb_param params[] = {
        TB_INT(run->ask.book), TB_TEXT(run->ask.id),
        TB_TEXT(text),         TB_INT(count->lines_told),
        TB_TEXT(lines),        TB_TIME(tb_loop_wall_ms(tb_run_of(req)->loop)),
    };
    TB_TRY(tb_store_query(req, run->store, &rows, SQL_HEAR, params, TB_COUNT(params)));
    tb_dry_count_told(count);
    run->told_us = tb_loop_us();
    run->cancelled |= !tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t"));
    if (run->ask.told != NULL)
        run->ask.told(run->ask.arg, count->replayed, count->recordings);
    return NULL;
}

/* Between two calls: tell, and let others have their turn. */
static tb_err TB_SUSPENDS breathe(struct tb_req *req, struct tb_dry_run *run)
{
    int64_t now_us = tb_loop_us();
    if (now_us - run->told_us >= TELL_US || run->count.lines_bytes >= TELL_BYTES)
        TB_TRY(store_progress(req, run));
    run->cancelled |= run->ask.stop != NULL && run->ask.stop(run->ask.arg);
    if (run->ask.alone || now_us - run->slice_us < TB_DRY_RUN_SLICE_US)
        return NULL;
    TB_TRY(tb_sleep(req, 1 + 2 * (now_us - run->slice_us) / 1000));
    run->slice_us = tb_loop_us();
    return NULL;
}

/* ---- calling ---- */

static const char SQL_SOURCE[] = "select s from script.source($1, $2, $3) s";

static tb_err TB_SUSPENDS load_source(struct tb_req *req, struct tb_dry_run *run, struct side *side)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(run->ask.book), TB_TEXT(tb_str(run->script)),
                                      TB_INT(side->version)};
    if (side->version == 0)
        return NULL;
    TB_TRY(tb_store_query(req, run->store, &rows, SQL_SOURCE, params, TB_COUNT(params)));
    struct tb_str source = rows->n == 0 ? TB_STR("") : tb_cell(rows, 0, 0);
    side->source = (struct tb_str){tb_mem_text(source.at, source.n), source.n};
    return NULL;
}

static tb_err TB_SUSPENDS load_sources(struct tb_req *req, struct tb_dry_run *run)
{
    for (size_t i = 0; i < TB_DRY_SIDES; i++)
        TB_TRY(load_source(req, run, &run->sides[i]));
    return NULL;
}

static tb_err TB_SUSPENDS lookup(struct tb_req *req, void *arg, struct tb_str table,
                                 struct tb_str key, json_t **out)
{
    const struct tb_dry_run *run = arg;
    return tb_script_entry(req, run->store, run->ask.book, run->ask.partner, table, key, out);
}

/* The state of a version; a worn one is replaced. NULL: its text is not acceptable. */
static struct tb_script *script_of(struct tb_dry_run *run, struct side *side)
{
    char why[TB_SCRIPT_WHY_BYTES];
    if (side->script != NULL && tb_script_worn(side->script)) {
        tb_script_free(side->script);
        side->script = NULL;
    }
    if (side->script == NULL)
        side->script = tb_script_new(&run->ask.limits, side->source, why, sizeof(why));
    if (side->script == NULL)
        snprintf(run->why, sizeof(run->why), "version %d: %s", side->version, why);
    return side->script;
}

static tb_err TB_SUSPENDS ask_side(struct tb_req *req, struct tb_dry_run *run, size_t at,
                                   const struct tb_script_call *call, struct tb_dry_verdict *out)
{
    struct side *side = &run->sides[at];
    struct tb_script_result result;
    tb_dry_judge(out, NULL);
    if (side->version == 0)
        return NULL;
    struct tb_script *script = script_of(run, side);
    if (script == NULL || !tb_script_has(script, call->hook))
        return NULL;
    TB_TRY(tb_script_run(req, script, call, &result));
    tb_dry_count_call(&run->count, at, result.cpu_ns);
    bool good = result.end == TB_SCRIPT_DONE &&
                (result.decision == NULL ||
                 tb_script_decision_good(TB_HOOK_ON_REQUEST, result.decision, tb_run_of(req)->arena,
                                         result.why, sizeof(result.why)));
    if (good) {
        tb_dry_judge(out, result.decision);
    } else {
        *out = (struct tb_dry_verdict){.outcome = TB_DRY_ERROR, .kinds = 1u << TB_DRY_ERROR};
        snprintf(out->why, sizeof(out->why), "%s", result.why);
    }
    return breathe(req, run);
}

static bool goes_on(const struct tb_dry_run *run)
{
    return !run->cancelled && run->why[0] == '\0';
}

/* ---- a page ---- */

static const char SQL_RECORDINGS[] = "select n, world_ms, status, request_id, request "
                                     "from script.recordings($1, $2, $3, $4)";
enum { N, WORLD_MS, STATUS, REQUEST_ID, REQUEST };

static tb_err TB_SUSPENDS replay_request(struct tb_req *req, struct tb_dry_run *run,
                                         const struct tb_dry_request *request)
{
    struct tb_dry_verdict verdicts[TB_DRY_SIDES];
    const struct tb_script_call call = {
        .hook = tb_script_hook_row(TB_HOOK_ON_REQUEST)->name,
        .input = request->json,
        .now_ms = request->world_ms,
        .seed = tb_script_seed(request->id),
        .lookup = lookup,
        .lookup_arg = run,
    };
    for (size_t i = 0; i < TB_DRY_SIDES; i++)
        TB_TRY(ask_side(req, run, i, &call, &verdicts[i]));
    if (goes_on(run))
        tb_dry_count_request(&run->count, request, verdicts);
    if (tb_dry_count_cpu_ns(&run->count) > INT64_C(1000000000) * TB_DRY_RUN_CPU_S)
        snprintf(run->why, sizeof(run->why), "it took more than %d s of processor time",
                 TB_DRY_RUN_CPU_S);
    return NULL;
}

static tb_err TB_SUSPENDS replay_page(struct tb_req *req, struct tb_dry_run *run)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(run->ask.book), TB_TEXT(tb_str(run->script)),
                                      TB_INT(run->after_n), TB_INT(run->upto_n)};
    TB_TRY(tb_store_query(req, run->store, &rows, SQL_RECORDINGS, params, TB_COUNT(params)));
    run->slice_us = tb_loop_us();
    if (rows->n == 0)
        run->after_n = run->upto_n; /* the rest was forgotten meanwhile */
    for (size_t i = 0; i < rows->n && goes_on(run); i++) {
        struct tb_str text = tb_cell(rows, i, REQUEST);
        struct tb_dry_request request = {
            .json = json_loadb(text.at, text.n, JSON_ALLOW_NUL, NULL),
            .id = tb_cell(rows, i, REQUEST_ID),
            .world_ms = tb_cell_int(rows, i, WORLD_MS),
            .status = (int)tb_cell_int(rows, i, STATUS),
        };
        tb_err err = replay_request(req, run, &request);
        json_decref(request.json);
        if (err != NULL)
            return err;
        run->after_n = tb_cell_int(rows, i, N);
    }
    return store_progress(req, run);
}

/* ---- the whole ---- */

/* Do a step on a run of its own and forget its memory. */
static tb_err TB_SUSPENDS step(struct tb_req *req, struct tb_dry_run *run,
                               tb_err (*work)(struct tb_req *, struct tb_dry_run *))
{
    struct tb_run *outer = tb_run_of(req);
    struct tb_run inner;
    tb_run_init(&inner, outer->loop, run->arena);
    inner.label = "dry run";
    tb_run_end(outer);
    tb_run_begin(&inner);
    tb_err err = work(&inner.req, run);
    if (err != NULL && run->why[0] == '\0') {
        struct tb_str detail = inner.problem.detail;
        snprintf(run->why, sizeof(run->why), "%s %.*s", err->title, (int)detail.n,
                 detail.n > 0 ? detail.at : "");
    }
    tb_run_end(&inner);
    tb_run_begin(outer);
    tb_arena_reset(run->arena);
    return err;
}

static const char SQL_END[] = "select script.end_dry_run($1, $2, $3, $4, $5)";

static tb_err TB_SUSPENDS end(struct tb_req *req, struct tb_dry_run *run)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {
        TB_INT(run->ask.book),
        TB_TEXT(run->ask.id),
        TB_TEXT(tb_str(tb_dry_run_status(run))),
        run->why[0] == '\0' ? TB_NULL : TB_TEXT(tb_str(run->why)),
        TB_TIME(tb_loop_wall_ms(tb_run_of(req)->loop)),
    };
    return tb_store_query(req, run->store, &rows, SQL_END, params, TB_COUNT(params));
}

tb_err TB_SUSPENDS tb_dry_run_replay(struct tb_req *req, struct tb_dry_run *run)
{
    run->told_us = tb_loop_us();
    tb_err err = step(req, run, load_sources);
    while (err == NULL && run->after_n < run->upto_n && goes_on(run))
        err = step(req, run, replay_page);
    if (err == NULL && run->count.recordings == 0)
        err = step(req, run, store_progress);
    return step(req, run, end);
}

const char *tb_dry_run_status(const struct tb_dry_run *run)
{
    if (run->why[0] != '\0')
        return "failed";
    return run->cancelled ? "cancelled" : "done";
}
