/* Handlers. A dry run is begun by the request and goes on without it, on the same worker. */
#include "hooks/dry_runs.h"
#include "base/json.h"
#include "base/time.h"
#include "gateway/gateway.h"
#include "hooks/dry_run.h"
#include "hooks/redact.h"
#include "hooks/scripts.h"
#include "store/tx.h"

enum {
    DAY_MS = 24 * 60 * 60 * 1000,
    PAGE_BYTES = 384 * 1024, /* of differences: a page must fit a request's memory */
};

static int64_t wall_ms(struct tb_req *req)
{
    return tb_loop_wall_ms(tb_run_of(req)->loop);
}

/* The time of switches and dry runs is the bank's, not a world's. */
#define WALL(req) TB_TIME(wall_ms(req))

static struct tb_str client_of(struct tb_req *req)
{
    struct tb_str app = tb_app(req);
    return tb_arena_format(tb_run_of(req)->arena, "client:%.*s", (int)app.n, app.at);
}

/* ---- recording ---- */

static const char SQL_RECORDING[] = "select script.recording_json($1, $2, $3)";
static const char SQL_START[] = "select script.start_recording($1, $2, $3, $4, $5::jsonb, $6, $7)";
static const char SQL_STOP[] = "select script.stop_recording($1, $2, true, $3, $4)";

/* GET /scripts/v1/recording */
tb_err TB_SUSPENDS tb_recording_get(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_RECORDING, TB_BOOK(req), TB_PARTNER(req), WALL(req)));
    return tb_reply_row(req, 200, rows, 0);
}

/* A write that stands in the record of acts, of one statement. */
struct write {
    const char *sql;
    const struct tb_param *params;
    size_t params_n;
    struct tb_rows *rows;
};

static tb_err TB_SUSPENDS write(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct write *w = arg;
    (void)req;
    return tb_tx_query(tx, &w->rows, w->sql, w->params, w->params_n);
}

static tb_err TB_SUSPENDS write_down(struct tb_req *req, struct write *w)
{
    return tb_tx_run(req, tb_gateway_parts(tb_exchange_of(req)->gateway)->store, write, w);
}

/* The list as it was sent, as text, if it is one of pointers. */
static tb_err redact_of(struct tb_req *req, struct tb_str *out)
{
    char why[256];
    const json_t *list = json_object_get(tb_json(req), "redact");
    *out = TB_STR("[]");
    if (list == NULL)
        return NULL;
    struct tb_redaction *redaction = tb_redaction_new(list, why, sizeof(why));
    if (redaction == NULL)
        return tb_fail_at(req, TB_E_INVALID, "/redact", "%s", why);
    tb_redaction_free(redaction);
    char *text = json_dumps(list, JSON_COMPACT);
    if (text != NULL)
        *out = tb_str(tb_arena_text(tb_run_of(req)->arena, text, strlen(text)));
    free(text);
    return text == NULL ? TB_E_INTERNAL : NULL;
}

/* PUT /scripts/v1/recording */
tb_err TB_SUSPENDS tb_recording_put(struct tb_req *req)
{
    int64_t days = 1;
    struct tb_str redact;
    TB_TRY(redact_of(req, &redact));
    (void)tb_json_int(tb_json(req), "days", &days);
    const struct tb_param params[] = {
        TB_BOOK(req),
        TB_PARTNER(req),
        TB_TEXT(tb_id(req, "scr")),
        TB_TIME(wall_ms(req) + days * DAY_MS),
        TB_TEXT(redact),
        TB_TEXT(client_of(req)),
        WALL(req),
    };
    struct write w = {SQL_START, params, TB_COUNT(params), NULL};
    TB_TRY(write_down(req, &w));
    return tb_recording_get(req);
}

/* DELETE /scripts/v1/recording */
tb_err TB_SUSPENDS tb_recording_delete(struct tb_req *req)
{
    const struct tb_param params[] = {TB_BOOK(req), TB_PARTNER(req), TB_TEXT(client_of(req)),
                                      WALL(req)};
    struct write w = {SQL_STOP, params, TB_COUNT(params), NULL};
    TB_TRY(write_down(req, &w));
    if (tb_cell(w.rows, 0, 0).at == NULL)
        return tb_fail(req, TB_E_NOT_FOUND, "nothing was ever recorded");
    return tb_reply_as(req, 204, NULL, TB_STR_NONE);
}

/* ---- dry runs ---- */

static const char SQL_READ[] = "select r from script.read_dry_run($1, $2, $3, $4, $5) r";
static const char SQL_CANCEL[] = "select script.cancel_dry_run($1, $2, $3, $4, $5)";
static const char SQL_DIFFERENCES[] =
    "select text, last, more from script.differences($1, $2, $3, $4)";

static tb_err no_dry_run(struct tb_req *req)
{
    struct tb_str id = tb_path(req, "dry_run_id");
    return tb_fail(req, TB_E_NOT_FOUND, "no dry run %.*s of this script", (int)id.n, id.at);
}

static tb_err TB_SUSPENDS read_dry_run(struct tb_req *req, struct tb_str id, struct tb_rows **rows)
{
    TB_TRY(tb_query(req, rows, SQL_READ, TB_BOOK(req), TB_PARTNER(req), TB_PATH(req, "script_id"),
                    TB_TEXT(id), WALL(req)));
    return (*rows)->n == 0 ? no_dry_run(req) : NULL;
}

/* GET /scripts/v1/scripts/{script_id}/dry-runs/{dry_run_id} */
tb_err TB_SUSPENDS tb_dry_run_get(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(read_dry_run(req, tb_path(req, "dry_run_id"), &rows));
    return tb_reply_row(req, 200, rows, 0);
}

static tb_err TB_SUSPENDS replay(struct tb_req *req, void *arg)
{
    struct tb_dry_run *run = arg;
    tb_err err = tb_dry_run_replay(req, run);
    tb_dry_run_free(run);
    return err;
}

/* A script is found by its partner; the path must name it. */
static tb_err TB_SUSPENDS check_script(struct tb_req *req)
{
    static const char sql[] =
        "select from script.script s where s.book = $1 and s.partner = $2 and s.id = $3";
    struct tb_rows *rows;
    struct tb_str id = tb_path(req, "script_id");
    TB_TRY(tb_query(req, &rows, sql, TB_BOOK(req), TB_PARTNER(req), TB_TEXT(id)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "no script %.*s", (int)id.n, id.at);
    return NULL;
}

/* `against` left out: what runs now; null: nothing. */
static tb_err ask_of(struct tb_req *req, struct tb_dry_run_ask *out)
{
    const json_t *body = tb_json(req), *against = json_object_get(body, "against");
    struct tb_str since = tb_json_str(body, "since");
    int64_t version = 0;
    (void)tb_json_int(body, "version", &version);
    *out = (struct tb_dry_run_ask){
        .book = tb_book(req),
        .partner = tb_partner(req),
        .id = tb_id(req, "dry"),
        .by = client_of(req),
        .version = (int32_t)version,
        .against = (int32_t)json_integer_value(against),
        .against_active = against == NULL,
        .most = TB_DRY_RUN_MOST,
        .limits = tb_script_limits_of(tb_gateway_parts(tb_exchange_of(req)->gateway)->config),
    };
    (void)tb_json_int(body, "limit", &out->most);
    if (since.at != NULL && !tb_time_parse(since, &out->since_ms))
        return tb_fail_at(req, TB_E_INVALID, "/since", "must be a time");
    return NULL;
}

/* POST /scripts/v1/scripts/{script_id}/dry-runs */
tb_err TB_SUSPENDS tb_dry_run_post(struct tb_req *req)
{
    struct tb_dry_run_ask ask;
    struct tb_dry_run *run;
    struct tb_rows *rows;
    struct tb_store *store = tb_gateway_parts(tb_exchange_of(req)->gateway)->store;
    TB_TRY(ask_of(req, &ask));
    TB_TRY(check_script(req));
    TB_TRY(tb_dry_run_begin(req, store, &ask, &run));
    tb_err err = tb_run_detached(tb_run_of(req)->loop, "dry run", replay, run, 0);
    if (err != NULL) { /* nobody hears of it again: in half a minute it counts as lost */
        tb_dry_run_free(run);
        return err;
    }
    TB_TRY(read_dry_run(req, ask.id, &rows));
    struct tb_str path = tb_path(req, "script_id");
    TB_TRY(tb_set_header(req, "location",
                         tb_arena_format(tb_run_of(req)->arena,
                                         "/scripts/v1/scripts/%.*s/dry-runs/%.*s", (int)path.n,
                                         path.at, (int)ask.id.n, ask.id.at)));
    return tb_reply_row(req, 201, rows, 0);
}

/* DELETE /scripts/v1/scripts/{script_id}/dry-runs/{dry_run_id} */
tb_err TB_SUSPENDS tb_dry_run_cancel(struct tb_req *req)
{
    const struct tb_param params[] = {TB_BOOK(req), TB_PARTNER(req), TB_PATH(req, "script_id"),
                                      TB_PATH(req, "dry_run_id"), WALL(req)};
    struct write w = {SQL_CANCEL, params, TB_COUNT(params), NULL};
    TB_TRY(write_down(req, &w));
    if (tb_cell(w.rows, 0, 0).at == NULL)
        return no_dry_run(req);
    return tb_reply_row(req, 200, w.rows, 0);
}

const struct tb_query_param tb_differences_query[] = {
    {.name = "cursor",
     .kind = TB_Q_INT,
     .min = 0,
     .max = TB_DRY_RUN_LINES,
     .doc = "where to go on, as the Link of the page before says"},
    {.name = NULL},
};

static tb_err link_next(struct tb_req *req, int64_t last)
{
    struct tb_str script = tb_path(req, "script_id"), id = tb_path(req, "dry_run_id");
    return tb_set_header(
        req, "link",
        tb_arena_format(tb_run_of(req)->arena,
                        "</scripts/v1/scripts/%.*s/dry-runs/%.*s/differences?cursor=%lld>; "
                        "rel=\"next\"",
                        (int)script.n, script.at, (int)id.n, id.at, (long long)last));
}

/* GET /scripts/v1/scripts/{script_id}/dry-runs/{dry_run_id}/differences */
tb_err TB_SUSPENDS tb_dry_run_differences(struct tb_req *req)
{
    static const char TYPE[] = "application/x-ndjson";
    struct tb_str cursor = tb_query_param(req, "cursor");
    int64_t after = 0;
    struct tb_rows *rows;
    if (cursor.at != NULL && !tb_text_to_int(cursor, &after))
        return tb_fail(req, TB_E_BAD_REQUEST, "cursor must be a number");
    TB_TRY(read_dry_run(req, tb_path(req, "dry_run_id"), &rows));
    TB_TRY(tb_query(req, &rows, SQL_DIFFERENCES, TB_BOOK(req), TB_PATH(req, "dry_run_id"),
                    TB_INT(after), TB_INT(PAGE_BYTES)));
    if (rows->n == 0)
        return tb_reply_as(req, 200, TYPE, TB_STR(""));
    if (tb_str_eq(tb_cell(rows, 0, 2), TB_STR("t")))
        TB_TRY(link_next(req, tb_cell_int(rows, 0, 1)));
    return tb_reply_as(req, 200, TYPE, tb_cell(rows, 0, 0));
}
