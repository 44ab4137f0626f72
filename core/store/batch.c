/* The batch engine. Calls wait in groups of the same function and book; at the end of each turn
 * every free connection takes the next group's calls, group after group in a circle, so that a busy
 * book does not keep others waiting. */
#include "store/batch.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "runtime/fault.h"
#include "store/batch_impl.h"
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

enum {
    LOSSES_WHOLE = 2,       /* times a batch is sent again whole after a lost connection */
    LOSSES_ALONE = 4,       /* times a call alone is; then its outcome stays in doubt */
    RESOLVE_MS = 30 * 1000, /* longest a batch waits to be sent again */
};

struct tb_batch {
    struct tb_batch *next; /* among those to be sent again, or the idle */
    struct tb_op op;
    struct tb_batcher *batcher;
    const struct tb_function *function;
    int32_t book;
    bool keyed;
    struct tb_pending **calls;
    size_t n;
    int conflicts, losses;
    int64_t since_ms; /* when it was to be sent again */
    char *array;      /* the calls as JSON */
    size_t array_n, array_room;
    char book_text[12];
    const char *params[2];
};

/* ---- the ends of a call ---- */

static void end_call(struct tb_pending *call)
{
    call->over = true;
    if (call->req != NULL)
        tb_fiber_wake(call->wake);
    else
        tb_mem_free(call);
}

/* If an earlier attempt was lost unanswered, its outcome is unknown: the call is in doubt, whatever
 * the later error says. One that nobody waits for was counted when its request gave up. */
static void fail_call(struct tb_batcher *batcher, struct tb_pending *call, tb_err err)
{
    call->err = call->lost ? TB_E_IN_DOUBT : err;
    if (call->req != NULL && tb_is(call->err, TB_E_IN_DOUBT))
        batcher->store->stats.in_doubt++;
    end_call(call);
}

static struct tb_batch *new_batch(struct tb_batcher *batcher)
{
    struct tb_batch *batch = batcher->idle;
    if (batch != NULL) {
        batcher->idle = batch->next;
    } else {
        batch = tb_mem(sizeof(*batch));
        batch->batcher = batcher;
        batch->calls = tb_mem_array((size_t)batcher->store->options.batch_size,
                                    sizeof(*batch->calls));
    }
    batch->next = NULL;
    batch->n = 0;
    batch->conflicts = batch->losses = 0;
    return batch;
}

static void retire_batch(struct tb_batch *batch)
{
    tb_op_clear(&batch->op);
    batch->batcher->in_batches -= batch->n;
    batch->n = 0;
    batch->next = batch->batcher->idle;
    batch->batcher->idle = batch;
}

static void fail_batch(struct tb_batch *batch, tb_err err)
{
    for (size_t i = 0; i < batch->n; i++)
        fail_call(batch->batcher, batch->calls[i], err);
    retire_batch(batch);
}

static void send_again(struct tb_batch *batch)
{
    batch->since_ms = tb_loop_now_ms(batch->batcher->store->loop);
    batch->next = batch->batcher->again;
    batch->batcher->again = batch;
}

/* ---- when a batch was not done ---- */

/* The first half stays in `batch`; both are sent again, the first half first. */
static void split(struct tb_batch *batch)
{
    struct tb_batch *rest = new_batch(batch->batcher);
    size_t half = batch->n / 2;
    rest->function = batch->function;
    rest->book = batch->book;
    rest->keyed = batch->keyed;
    rest->n = batch->n - half;
    memcpy(rest->calls, batch->calls + half, rest->n * sizeof(*rest->calls));
    batch->n = half;
    batch->conflicts = batch->losses = rest->losses = 0;
    batch->batcher->store->stats.splits++;
    send_again(rest);
    send_again(batch);
}

static bool has_state(const struct tb_op *op, const char *state)
{
    return strncmp(op->sqlstate, state, strlen(state)) == 0;
}

static void fail_alone(struct tb_batch *batch)
{
    const struct tb_op *op = &batch->op;
    tb_err err = TB_E_INTERNAL;
    if (has_state(op, "40"))
        err = TB_E_STORE; /* it kept losing against others, and may be tried later */
    else if (has_state(op, "57014"))
        err = TB_E_DEADLINE;
    if (tb_is(err, TB_E_INTERNAL)) {
        batch->batcher->store->stats.poisoned++;
        tb_log_with(TB_LOG_ERROR, "call_raised", TB_F_CSTR("function", batch->function->name),
                    TB_F_INT("book", batch->book), TB_F_CSTR("sqlstate", op->sqlstate),
                    TB_F_CSTR("message", op->message));
        if (batch->calls[0]->req != NULL)
            tb_op_note(batch->calls[0]->req, op);
    }
    fail_batch(batch, err);
}

/* The server refused the batch as a whole: nothing of it happened. */
static void batch_raised(struct tb_batch *batch)
{
    struct tb_store_stats *stats = &batch->batcher->store->stats;
    const struct tb_op *op = &batch->op;
    bool conflict = has_state(op, "40001") || has_state(op, "40P01");
    if (has_state(op, "53") || has_state(op, "57P")) {
        fail_batch(batch, TB_E_STORE);
    } else if ((conflict || tb_op_misplaced(op)) && batch->conflicts < TB_BATCH_CONFLICTS) {
        stats->conflicts += conflict;
        batch->conflicts++;
        send_again(batch);
    } else if (batch->n > 1) {
        split(batch);
    } else {
        fail_alone(batch);
    }
}

/* The connection fell before the answer came. Calls with keys are retried: the table of keys makes
 * a retry idempotent. Calls without must not be sent again. */
static void batch_lost(struct tb_batch *batch)
{
    batch->losses++;
    for (size_t i = 0; i < batch->n; i++)
        batch->calls[i]->lost = true;
    if (!batch->keyed || (batch->n == 1 && batch->losses > LOSSES_ALONE)) {
        fail_batch(batch, TB_E_IN_DOUBT);
        return;
    }
    batch->batcher->store->stats.resent += batch->n;
    if (batch->losses > LOSSES_WHOLE && batch->n > 1)
        split(batch);
    else
        send_again(batch);
}

/* ---- answers ---- */

static void batch_done(struct tb_batch *batch)
{
    const PGresult *result = batch->op.result;
    (void)TB_FAULT("after_commit_before_reply");
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t n = -1;
        bool known = tb_text_to_int(tb_str(PQgetvalue(result, row, 0)), &n) && n >= 0 &&
                     (size_t)n < batch->n && batch->calls[n] != NULL;
        if (!known)
            continue;
        struct tb_pending *call = batch->calls[n];
        batch->calls[n] = NULL;
        if (call->req != NULL)
            tb_pending_answer(call, batch->batcher->store, result, row);
        end_call(call);
    }
    for (size_t i = 0; i < batch->n; i++)
        if (batch->calls[i] != NULL) {
            tb_log_with(TB_LOG_ERROR, "call_without_answer",
                        TB_F_CSTR("function", batch->function->name), TB_F_INT("n", i));
            fail_call(batch->batcher, batch->calls[i], TB_E_IN_DOUBT);
        }
    retire_batch(batch);
}

static void batch_ended(struct tb_op *op)
{
    struct tb_batch *batch = TB_OWNER(op, struct tb_batch, op);
    if (batch->batcher->store->closing)
        fail_batch(batch, TB_E_IN_DOUBT);
    else if (op->end == TB_OP_DONE)
        batch_done(batch);
    else if (op->end == TB_OP_RAISED)
        batch_raised(batch);
    else
        batch_lost(batch);
}

/* ---- sending ---- */

static void add(struct tb_batch *batch, const char *at, size_t n)
{
    if (batch->array_n + n > batch->array_room) {
        batch->array_room = 2 * (batch->array_n + n);
        batch->array = tb_mem_resize(batch->array, batch->array_room);
    }
    memcpy(batch->array + batch->array_n, at, n);
    batch->array_n += n;
}

static void write_array(struct tb_batch *batch)
{
    char head[32];
    batch->array_n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        int n = snprintf(head, sizeof(head), "%s{\"n\":%zu,", i == 0 ? "[" : ",", i);
        add(batch, head, (size_t)n);
        add(batch, batch->calls[i]->text, batch->calls[i]->text_n);
    }
    add(batch, "]", 2); /* with its NUL */
}

static void drop_deserted(struct tb_batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->calls[i]->req != NULL)
            batch->calls[kept++] = batch->calls[i];
        else
            tb_mem_free(batch->calls[i]);
    }
    batch->batcher->in_batches -= batch->n - kept;
    batch->n = kept;
}

static void count_batch(struct tb_store_stats *stats, size_t n)
{
    size_t class = 0;
    _Static_assert((int)TB_BATCH_MAX == 1 << ((int)TB_STORE_SIZES - 1),
                   "the last class holds the largest");
    while (n > (size_t)1 << class)
        class ++;
    stats->batches++;
    stats->batch_sizes[class]++;
}

static void send_batch(struct tb_batch *batch, struct tb_conn *conn)
{
    struct tb_store *store = batch->batcher->store;
    (void)TB_FAULT("before_ledger_tx");
    write_array(batch);
    snprintf(batch->book_text, sizeof(batch->book_text), "%d", (int)batch->book);
    batch->params[0] = batch->book_text;
    batch->params[1] = batch->array;
    const char *sql = batch->keyed ? batch->function->with_keys : batch->function->without_keys;
    batch->op = (struct tb_op){.statement = tb_statement_of(&store->statements, sql),
                               .sql = sql,
                               .params = batch->params,
                               .params_n = 2,
                               .hold_sync = TB_FAULT_ARMED("key_claimed"),
                               .ended = batch_ended};
    count_batch(&store->stats, batch->n);
    tb_conn_submit(conn, &batch->op);
    (void)TB_FAULT("in_ledger_tx");
}

/* A batch of the next group's calls, NULL when nothing waits. */
static struct tb_batch *gather(struct tb_batcher *batcher)
{
    struct tb_group *group = tb_group_next(batcher);
    if (group == NULL)
        return NULL;
    struct tb_batch *batch = new_batch(batcher);
    batch->function = group->function;
    batch->book = group->book;
    batch->keyed = group->keyed;
    size_t most = (size_t)batcher->store->options.batch_size, bytes = 0;
    while (group->n > 0 && batch->n < most && bytes < TB_BATCH_BYTES_MAX) {
        struct tb_pending *call = tb_group_take(batcher, group);
        bytes += call->text_n;
        batch->calls[batch->n++] = call;
    }
    batcher->in_batches += batch->n;
    tb_group_put_back(batcher, group);
    return batch;
}

static struct tb_batch *next_batch(struct tb_batcher *batcher)
{
    while (batcher->again != NULL) {
        struct tb_batch *batch = batcher->again;
        batcher->again = batch->next;
        drop_deserted(batch);
        if (batch->n > 0)
            return batch;
        retire_batch(batch);
    }
    return gather(batcher);
}

void tb_batcher_turn(struct tb_batcher *batcher)
{
    struct tb_store *store = batcher->store;
    for (int i = store->reads_n; i < store->conns_n; i++) {
        struct tb_conn *conn = &store->conns[i];
        if (conn->state != TB_CONN_READY || conn->in_flight > 0 || conn->retiring)
            continue;
        struct tb_batch *batch = next_batch(batcher);
        if (batch == NULL)
            return;
        send_batch(batch, conn);
    }
}

/* ---- refusing ---- */

/* End the calls that have waited in their groups since `queued_before_ms` or longer. */
static void fail_waiting(struct tb_batcher *batcher, tb_err err, int64_t queued_before_ms)
{
    struct tb_group *group = batcher->circle;
    batcher->circle = NULL;
    batcher->circle_last = &batcher->circle;
    for (struct tb_group *next; group != NULL; group = next) {
        next = group->next;
        while (group->n > 0 && group->first->queued_ms <= queued_before_ms) {
            fail_call(batcher, tb_group_take(batcher, group), err);
            batcher->store->stats.overloads += tb_is(err, TB_E_OVERLOAD);
        }
        tb_group_put_back(batcher, group);
    }
}

void tb_batcher_down(struct tb_batcher *batcher)
{
    fail_waiting(batcher, TB_E_STORE, INT64_MAX);
}

void tb_batcher_sweep(struct tb_batcher *batcher, int64_t queued_before_ms)
{
    fail_waiting(batcher, TB_E_OVERLOAD, queued_before_ms);
    int64_t give_up_ms = tb_loop_now_ms(batcher->store->loop) - RESOLVE_MS;
    for (struct tb_batch **at = &batcher->again; *at != NULL;) {
        struct tb_batch *batch = *at;
        if (batch->since_ms > give_up_ms) {
            at = &batch->next;
            continue;
        }
        *at = batch->next;
        fail_batch(batch, TB_E_IN_DOUBT);
    }
}

bool tb_batcher_idle(const struct tb_batcher *batcher)
{
    return batcher->queued == 0 && batcher->again == NULL;
}

void tb_batcher_count(const struct tb_batcher *batcher, struct tb_store_stats *stats)
{
    stats->calls_queued = batcher->queued;
    stats->calls_in_flight = batcher->in_batches;
}

/* ---- the call ---- */

/* The deadline came first. What never left did not happen; anything else comes to its end alone. */
static tb_err give_up(struct tb_batcher *batcher, struct tb_pending *call, tb_err err)
{
    if (call->group != NULL) {
        tb_group_leave(batcher, call);
        tb_mem_free(call);
        return err;
    }
    call->req = NULL;
    batcher->store->stats.in_doubt++;
    return TB_E_IN_DOUBT;
}

static tb_err TB_SUSPENDS wait_for_end(struct tb_req *req, struct tb_pending *call)
{
    struct tb_run *run = tb_run_of(req);
    bool finish = run->finish;
    run->finish = true; /* what was handed in is done whether or not the client still listens */
    tb_err err = tb_wait(req);
    run->finish = finish;
    return call->over ? NULL : err;
}

tb_err TB_SUSPENDS tb_store_call(struct tb_req *req, struct tb_store *store,
                                 struct tb_answer *out_answer, const struct tb_call *call,
                                 const struct tb_call_context *context)
{
    struct tb_batcher *batcher = store->batcher;
    TB_ASSERT(!tb_run_of(req)->in_transaction && context->book > 0);
    if (!tb_pool_hopeful(store, TB_FOR_BATCHES))
        return tb_store_unavailable(req, TB_E_STORE);
    if (batcher->queued >= store->options.queue) {
        store->stats.overloads++;
        return tb_store_unavailable(req, TB_E_OVERLOAD);
    }
    struct tb_pending *pending = tb_pending_new(req, context);
    if (pending == NULL)
        return tb_fail(req, TB_E_INTERNAL, "the request needs too much memory");
    store->stats.calls++;
    pending->wake = tb_fiber_token();
    tb_group_add(batcher, call->function, context->book, context->key.at != NULL, pending);
    tb_err err = wait_for_end(req, pending);
    if (err != NULL)
        return give_up(batcher, pending, err);
    err = tb_pending_outcome(req, pending, out_answer);
    tb_mem_free(pending);
    if (tb_is(err, TB_E_STORE) || tb_is(err, TB_E_OVERLOAD) || tb_is(err, TB_E_IN_DOUBT))
        tb_store_unavailable(req, err);
    return err;
}

/* ---- opening and closing ---- */

struct tb_batcher *tb_batcher_new(struct tb_store *store)
{
    struct tb_batcher *batcher = tb_mem(sizeof(*batcher));
    batcher->store = store;
    batcher->circle_last = &batcher->circle;
    return batcher;
}

void tb_batcher_free(struct tb_batcher *batcher)
{
    while (batcher->again != NULL) {
        struct tb_batch *batch = batcher->again;
        batcher->again = batch->next;
        drop_deserted(batch);
        retire_batch(batch);
    }
    for (struct tb_batch *batch = batcher->idle, *next; batch != NULL; batch = next) {
        next = batch->next;
        tb_mem_free(batch->array);
        tb_mem_free(batch->calls);
        tb_mem_free(batch);
    }
    tb_functions_free(batcher);
    tb_mem_free(batcher);
}
