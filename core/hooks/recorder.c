/* A queue, a timer, and one fiber at a time that empties the queue: it takes requests of one
 * script, asks what must be left out of them, and writes them with one statement. */
#include "hooks/recorder.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "hooks/redact.h"
#include "hooks/scripts.h"
#include "hooks/sensitive.h"
#include "store/query.h"
#include <stdio.h>

enum {
    BATCH = 32,               /* requests of one statement: a millisecond of work */
    BATCH_BYTES = 192 * 1024, /* of its text, which must fit an arena several times */
    WITHIN_MS = 5000,
    DAY_MS = 24 * 60 * 60 * 1000,
    OVERHEAD_BYTES = 1024, /* of a request beside its body */
};

struct recording {
    struct recording *next;
    const struct tb_script_row *row; /* lives as long as the worker, as */
    const struct tb_operation *operation;
    json_t *request;
    size_t bytes;
    int64_t world_ms;
    int status;
    char id[37];
    char verdict[TB_TRACE_WORD_BYTES];
};

static struct recorder {
    struct tb_recorder_parts parts;
    struct tb_timer timer;
    struct recording *first, **last;
    size_t n, bytes;
    size_t left;  /* still to be written of those that were there when the writing began */
    bool running; /* a fiber is at it */
    struct marks {
        bool known;
        struct tb_redaction *redaction; /* NULL: requests must not be kept */
    } marks[TB_OPERATIONS_MAX];
} recorder;

/* ---- taking ---- */

static void drop_recording(struct recording *recording)
{
    json_decref(recording->request);
    tb_mem_free(recording);
}

static void lose(size_t n)
{
    tb_count(recorder.parts.metrics, TB_M_RECORDINGS_LOST, n);
}

void tb_recorder_keep(struct tb_exchange *x)
{
    if (x->script == NULL || !x->script->recording)
        return;
    size_t bytes = x->in.body.n + OVERHEAD_BYTES;
    bool full = recorder.n == TB_RECORDER_QUEUE || recorder.bytes + bytes > TB_RECORDER_QUEUE_BYTES;
    json_t *request = full ? NULL : tb_script_request(x);
    if (request == NULL) {
        lose(1);
        return;
    }
    struct recording *recording = tb_mem(sizeof(*recording));
    const char *verdict = x->trace.scripts[TB_HOOK_ON_REQUEST].verdict;
    *recording = (struct recording){
        .row = x->script,
        .operation = x->match.operation,
        .request = json_incref(request),
        .bytes = bytes,
        .status = x->status,
    };
    if (!tb_time_parse(tb_json_str(request, "world_time"), &recording->world_ms))
        recording->world_ms = tb_loop_wall_ms(x->run.loop);
    memcpy(recording->id, x->request_id, sizeof(recording->id));
    snprintf(recording->verdict, sizeof(recording->verdict), "%s",
             verdict[0] == '\0' ? "none" : verdict);
    *recorder.last = recording;
    recorder.last = &recording->next;
    recorder.n++;
    recorder.bytes += bytes;
    if (!recorder.running && recorder.timer.slot == 0)
        tb_timer_start(recorder.parts.loop, &recorder.timer, TB_RECORDER_MS);
}

/* ---- writing ---- */

struct batch {
    const struct tb_script_row *row;
    struct recording *recordings[BATCH];
    size_t n, bytes;
};

/* Take the oldest and those behind it that are of the same script. */
static void take_batch(struct batch *batch)
{
    while (recorder.first != NULL && batch->n < BATCH) {
        struct recording *recording = recorder.first;
        if (batch->n == 0)
            batch->row = recording->row;
        if (recording->row != batch->row ||
            (batch->n > 0 && batch->bytes + recording->bytes > BATCH_BYTES))
            break;
        recorder.first = recording->next;
        if (recorder.first == NULL)
            recorder.last = &recorder.first;
        recorder.n--;
        recorder.bytes -= recording->bytes;
        batch->bytes += recording->bytes;
        batch->recordings[batch->n++] = recording;
    }
}

static struct tb_redaction *redaction_of(json_t *list)
{
    char why[256];
    struct tb_redaction *redaction = tb_redaction_new(list, why, sizeof(why));
    json_decref(list);
    return redaction;
}

/* What the product's schema marks as sensitive; its files are read once. */
static const struct tb_redaction *marks_of(const struct tb_operation *operation)
{
    char path[256];
    struct marks *marks = &recorder.marks[operation->index];
    if (marks->known)
        return marks->redaction;
    snprintf(path, sizeof(path), "%s/%s.json", operation->plugin->name,
             operation->route->body_schema == NULL ? "" : operation->route->body_schema);
    for (char *c = path; *c != '/'; c++) /* folders are named as in SQL */
        if (*c == '-')
            *c = '_';
    marks->known = true;
    marks->redaction = redaction_of(operation->route->body_schema == NULL
                                        ? json_array()
                                        : tb_sensitive_members(recorder.parts.schemas, path));
    return marks->redaction;
}

/* One element of script.record's array; NULL: it cannot be kept. */
static json_t *row_of(const struct tb_redaction *redaction, const struct recording *recording)
{
    json_t *row = NULL;
    char *text = NULL;
    const struct tb_redaction *marks = marks_of(recording->operation);
    if (marks != NULL && tb_redact(marks, recording->request) &&
        tb_redact(redaction, recording->request))
        text = json_dumps(recording->request, JSON_COMPACT);
    if (text != NULL && strlen(text) <= TB_RECORDER_TEXT_BYTES)
        row = json_pack("{s:I, s:i, s:s, s:s, s:s}", "world_ms", (json_int_t)recording->world_ms,
                        "status", recording->status, "verdict", recording->verdict, "id",
                        recording->id, "request", text);
    free(text);
    return row;
}

/* The batch as JSON text, in the arena; absent when nothing of it can be kept. */
static struct tb_str text_of(struct tb_req *req, const struct batch *batch,
                             const struct tb_redaction *redaction)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < batch->n; i++) {
        json_t *row = row_of(redaction, batch->recordings[i]);
        if (row != NULL)
            (void)json_array_append_new(rows, row);
    }
    char *text = json_array_size(rows) == 0 ? NULL : json_dumps(rows, JSON_COMPACT);
    size_t n = text == NULL ? 0 : strlen(text);
    struct tb_str out = {text == NULL ? NULL : tb_arena_text(tb_run_of(req)->arena, text, n), n};
    free(text);
    json_decref(rows);
    return out;
}

static const char SQL_REDACTED[] = "select r from script.redacted($1, $2, $3) r";
static const char SQL_RECORD[] = "select script.record($1, $2, $3::jsonb, $4, $5)";

/* Nothing is kept of a script whose list of what to leave out is not known. */
static tb_err TB_SUSPENDS write_batch(struct tb_req *req, const struct batch *batch,
                                      int64_t *out_kept)
{
    struct tb_rows *rows;
    int64_t now_ms = tb_loop_wall_ms(recorder.parts.loop);
    struct tb_str script = tb_str(batch->row->id);
    const struct tb_param who[] = {TB_INT(batch->row->book), TB_TEXT(script), TB_TIME(now_ms)};
    TB_TRY(tb_store_query(req, recorder.parts.store, &rows, SQL_REDACTED, who, TB_COUNT(who)));
    struct tb_str list = rows->n == 0 ? TB_STR_NONE : tb_cell(rows, 0, 0);
    struct tb_redaction *redaction = redaction_of(
        list.at == NULL ? NULL : json_loadb(list.at, list.n, 0, NULL));
    if (redaction == NULL)
        return NULL;
    struct tb_str text = text_of(req, batch, redaction);
    tb_redaction_free(redaction);
    if (text.at == NULL)
        return NULL;
    const struct tb_param params[] = {TB_INT(batch->row->book), TB_TEXT(script), TB_TEXT(text),
                                      TB_TIME(now_ms),
                                      TB_TIME(now_ms + recorder.parts.days * DAY_MS)};
    TB_TRY(tb_store_query(req, recorder.parts.store, &rows, SQL_RECORD, params, TB_COUNT(params)));
    *out_kept = tb_cell_int(rows, 0, 0);
    return NULL;
}

/* One batch of those that were there when the writing began; a fresh run for each, so that none
 * grows. Then the next, a turn later, or nothing for a while. */
static tb_err TB_SUSPENDS write_some(struct tb_req *req, void *arg)
{
    struct batch batch = {0};
    int64_t kept = 0;
    (void)arg;
    take_batch(&batch);
    tb_err err = write_batch(req, &batch, &kept);
    tb_count(recorder.parts.metrics, TB_M_RECORDED, (uint64_t)kept);
    lose(batch.n - (size_t)kept);
    for (size_t i = 0; i < batch.n; i++)
        drop_recording(batch.recordings[i]);
    recorder.left -= batch.n;
    recorder.running = false;
    if (recorder.first != NULL)
        tb_timer_start(recorder.parts.loop, &recorder.timer,
                       recorder.left > 0 ? 0 : TB_RECORDER_MS);
    return err;
}

static void fired(struct tb_timer *timer)
{
    if (recorder.left == 0)
        recorder.left = recorder.n;
    recorder.running = true;
    if (tb_run_detached(recorder.parts.loop, "recordings", write_some, NULL, WITHIN_MS) == NULL)
        return;
    recorder.running = false; /* no fiber is free: later */
    tb_timer_start(recorder.parts.loop, timer, TB_RECORDER_MS);
}

void tb_recorder_open(const struct tb_recorder_parts *parts)
{
    recorder = (struct recorder){.parts = *parts, .timer.fired = fired};
    recorder.last = &recorder.first;
}
