/* Who gets which connection. Reads go to the shared connection with the least on its way; a
 * transaction waits for one to become idle, which is kept free of new reads meanwhile. Both wait in
 * order, within a bound of number and time, and not at all while the database is away. */
#include "store/pool.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/store_impl.h"
#include <string.h>

enum {
    SWEEP_MS = 100,
    ANSWER_GRACE_MS = 2000, /* beyond statement_timeout, before a silent server is given up */
    AWAIT_STEP_MS = 5,
};

/* ---- what is up ---- */

static bool plays(const struct tb_store *store, int i, enum tb_conn_role role)
{
    return store->conns[i].role == role;
}

bool tb_pool_up(const struct tb_store *store, enum tb_conn_role role)
{
    for (int i = 0; i < store->conns_n; i++)
        if (plays(store, i, role) && store->conns[i].state == TB_CONN_READY)
            return true;
    return false;
}

/* The first attempt after a loss is likely to succeed within milliseconds, so it is waited for. */
bool tb_pool_hopeful(const struct tb_store *store, enum tb_conn_role role)
{
    for (int i = 0; i < store->conns_n; i++) {
        const struct tb_conn *conn = &store->conns[i];
        if (plays(store, i, role) && (conn->state == TB_CONN_READY || conn->failures == 0))
            return true;
    }
    return false;
}

bool tb_store_ready(const struct tb_store *store)
{
    return tb_pool_up(store, TB_FOR_READS) && tb_pool_up(store, TB_FOR_BATCHES);
}

tb_err TB_SUSPENDS tb_store_await(struct tb_req *req, struct tb_store *store, int64_t ms)
{
    int64_t until_ms = tb_loop_now_ms(store->loop) + ms;
    while (!tb_store_ready(store)) {
        if (tb_loop_now_ms(store->loop) >= until_ms)
            return tb_store_unavailable(req, TB_E_STORE);
        TB_TRY(tb_sleep(req, AWAIT_STEP_MS));
    }
    return NULL;
}

const char *tb_store_trouble(const struct tb_store *store)
{
    return store->trouble;
}

/* ---- handing out ---- */

static bool open_to_reads(const struct tb_conn *conn)
{
    return conn->state == TB_CONN_READY && !conn->exclusive && !conn->draining && !conn->retiring;
}

static struct tb_conn *least_busy(struct tb_store *store, size_t most_in_flight)
{
    struct tb_conn *best = NULL;
    for (int i = 0; i < store->reads_n; i++) {
        struct tb_conn *conn = &store->conns[i];
        if (open_to_reads(conn) && conn->in_flight < most_in_flight &&
            (best == NULL || conn->in_flight < best->in_flight))
            best = conn;
    }
    return best;
}

/* One connection stays for reads, so that a row of long transactions does not stop them. */
static int transactions_most(const struct tb_store *store)
{
    return store->reads_n > 1 ? store->reads_n - 1 : 1;
}

static void promise_connections(struct tb_store *store)
{
    for (int i = 0; i < store->reads_n; i++)
        store->conns[i].draining = false;
    size_t room = (size_t)(transactions_most(store) - store->stats.exclusive);
    size_t wanted = store->tx_queue_n < room ? store->tx_queue_n : room;
    for (; wanted > 0; wanted--) {
        struct tb_conn *conn = least_busy(store, SIZE_MAX);
        if (conn == NULL)
            return;
        conn->draining = true;
    }
}

static struct tb_tx_wait *next_transaction(struct tb_store *store)
{
    struct tb_tx_wait *wait = store->tx_queue;
    store->tx_queue = wait->next;
    if (store->tx_queue == NULL)
        store->tx_queue_last = &store->tx_queue;
    store->tx_queue_n--;
    return wait;
}

static void serve_transactions(struct tb_store *store)
{
    promise_connections(store);
    for (int i = 0; i < store->reads_n && store->tx_queue != NULL; i++) {
        struct tb_conn *conn = &store->conns[i];
        if (!conn->draining || conn->in_flight > 0)
            continue;
        struct tb_tx_wait *wait = next_transaction(store);
        conn->draining = false;
        conn->exclusive = true;
        store->stats.exclusive++;
        wait->conn = conn;
        wait->end = TB_OP_DONE;
        tb_fiber_wake(wait->wake);
    }
}

static struct tb_op *next_read(struct tb_store *store)
{
    struct tb_op *op = store->queue;
    store->queue = op->next;
    if (store->queue == NULL)
        store->queue_last = &store->queue;
    store->queue_n--;
    return op;
}

void tb_pool_serve(struct tb_store *store)
{
    if (store->tx_queue != NULL)
        serve_transactions(store);
    while (store->queue != NULL) {
        struct tb_conn *conn = least_busy(store, TB_PIPELINE_MAX);
        if (conn == NULL)
            return;
        tb_conn_submit(conn, next_read(store));
    }
}

/* ---- asking ---- */

tb_err tb_pool_submit(struct tb_store *store, struct tb_op *op)
{
    if (!tb_pool_hopeful(store, TB_FOR_READS))
        return TB_E_STORE;
    struct tb_conn *conn = store->queue == NULL ? least_busy(store, TB_PIPELINE_MAX) : NULL;
    if (conn != NULL) {
        tb_conn_submit(conn, op);
        return NULL;
    }
    if (store->queue_n >= store->options.queue) {
        store->stats.overloads++;
        return TB_E_OVERLOAD;
    }
    op->next = NULL;
    op->end = TB_OP_RUNNING;
    op->queued_ms = tb_loop_now_ms(store->loop);
    *store->queue_last = op;
    store->queue_last = &op->next;
    store->queue_n++;
    tb_pool_watch(store);
    return NULL;
}

bool tb_pool_withdraw(struct tb_store *store, struct tb_op *op)
{
    for (struct tb_op **at = &store->queue; *at != NULL; at = &(*at)->next)
        if (*at == op) {
            *at = op->next;
            if (store->queue_last == &op->next)
                store->queue_last = at;
            store->queue_n--;
            return true;
        }
    return false;
}

tb_err tb_pool_reserve(struct tb_store *store, struct tb_tx_wait *wait)
{
    if (!tb_pool_hopeful(store, TB_FOR_READS))
        return TB_E_STORE;
    if (store->tx_queue_n >= store->options.queue) {
        store->stats.overloads++;
        return TB_E_OVERLOAD;
    }
    wait->next = NULL;
    wait->conn = NULL;
    wait->queued_ms = tb_loop_now_ms(store->loop);
    *store->tx_queue_last = wait;
    store->tx_queue_last = &wait->next;
    store->tx_queue_n++;
    tb_pool_watch(store);
    tb_pool_serve(store);
    return NULL;
}

void tb_pool_unreserve(struct tb_store *store, struct tb_tx_wait *wait)
{
    for (struct tb_tx_wait **at = &store->tx_queue; *at != NULL; at = &(*at)->next)
        if (*at == wait) {
            *at = wait->next;
            if (store->tx_queue_last == &wait->next)
                store->tx_queue_last = at;
            store->tx_queue_n--;
            break;
        }
    if (wait->conn != NULL)
        tb_pool_release(wait->conn);
    else
        tb_pool_serve(store);
}

void tb_pool_release(struct tb_conn *conn)
{
    conn->exclusive = false;
    conn->store->stats.exclusive--;
    tb_pool_conn_changed(conn);
}

/* ---- what changes by itself ---- */

static void refuse_transactions(struct tb_store *store, enum tb_op_end end,
                                int64_t queued_before_ms)
{
    while (store->tx_queue != NULL && store->tx_queue->queued_ms <= queued_before_ms) {
        struct tb_tx_wait *wait = next_transaction(store);
        wait->end = end;
        tb_fiber_wake(wait->wake);
    }
}

static void refuse_reads(struct tb_store *store, enum tb_op_end end, int64_t queued_before_ms)
{
    while (store->queue != NULL && store->queue->queued_ms <= queued_before_ms) {
        struct tb_op *op = next_read(store);
        op->end = end;
        op->ended(op);
    }
}

void tb_pool_conn_changed(struct tb_conn *conn)
{
    struct tb_store *store = conn->store;
    if (store->closing)
        return;
    if (conn->retiring && conn->state == TB_CONN_READY && conn->in_flight == 0 &&
        !conn->exclusive) {
        tb_conn_drop(conn, "the session is out of date");
        return;
    }
    if (conn->role == TB_FOR_BATCHES) {
        if (!tb_pool_hopeful(store, TB_FOR_BATCHES))
            tb_batcher_down(store->batcher);
        return;
    }
    tb_pool_serve(store);
    if (!tb_pool_hopeful(store, TB_FOR_READS)) {
        refuse_reads(store, TB_OP_UNSENT, INT64_MAX);
        refuse_transactions(store, TB_OP_UNSENT, INT64_MAX);
    }
}

static bool give_up_silent(struct tb_store *store, int64_t now_ms)
{
    bool busy = false;
    int64_t most_ms = store->options.statement_ms + ANSWER_GRACE_MS;
    for (int i = 0; i < store->conns_n; i++) {
        struct tb_conn *conn = &store->conns[i];
        if (conn->in_flight == 0)
            continue;
        busy = true;
        if (conn->state == TB_CONN_READY && !conn->first->patient &&
            now_ms - conn->busy_since_ms > most_ms) {
            store->stats.dropped++;
            tb_conn_drop(conn, "the server does not answer");
        }
    }
    return busy;
}

static void sweep(struct tb_timer *timer)
{
    struct tb_store *store = TB_OWNER(timer, struct tb_store, sweep);
    int64_t now_ms = tb_loop_now_ms(store->loop);
    int64_t queued_before_ms = now_ms - store->options.wait_ms;
    refuse_reads(store, TB_OP_LATE, queued_before_ms);
    refuse_transactions(store, TB_OP_LATE, queued_before_ms);
    tb_batcher_sweep(store->batcher, queued_before_ms);
    if (give_up_silent(store, now_ms) || store->queue != NULL || store->tx_queue != NULL ||
        !tb_batcher_idle(store->batcher))
        tb_pool_watch(store);
}

void tb_pool_watch(struct tb_store *store)
{
    if (store->sweep.slot == 0)
        tb_timer_start(store->loop, &store->sweep, SWEEP_MS);
}

/* ---- opening and closing ---- */

static void default_options(struct tb_store_options *options)
{
#define DEFAULT(member, value) (options->member == 0 ? (void)(options->member = (value)) : (void)0)
    DEFAULT(application, "tongbao");
    DEFAULT(connections, 4);
    DEFAULT(batch_connections, 2);
    DEFAULT(batch_size, 64);
    DEFAULT(queue, 4096);
    DEFAULT(wait_ms, 2000);
    DEFAULT(statement_ms, 10000);
    DEFAULT(connect_ms, 5000);
#undef DEFAULT
    if (options->batch_size > TB_BATCH_MAX)
        options->batch_size = TB_BATCH_MAX;
}

static void turn(struct tb_hook *hook)
{
    tb_batcher_turn(TB_OWNER(hook, struct tb_store, hook)->batcher);
}

struct tb_store *tb_store_open(struct tb_loop *loop, const struct tb_store_options *options)
{
    struct tb_store *store = tb_mem(sizeof(*store));
    store->loop = loop;
    store->options = *options;
    default_options(&store->options);
    store->dsn = tb_mem_text(options->dsn, strlen(options->dsn));
    store->application = tb_mem_text(store->options.application,
                                     strlen(store->options.application));
    store->options.dsn = store->dsn;
    store->options.application = store->application;
    store->queue_last = &store->queue;
    store->tx_queue_last = &store->tx_queue;
    store->sweep.fired = sweep;
    store->batcher = tb_batcher_new(store);
    store->reads_n = store->options.connections;
    store->conns_n = store->reads_n + store->options.batch_connections;
    store->conns = tb_mem_array((size_t)store->conns_n, sizeof(*store->conns));
    for (int i = 0; i < store->conns_n; i++)
        tb_conn_init(&store->conns[i], store, i < store->reads_n ? TB_FOR_READS : TB_FOR_BATCHES);
    for (int i = 0; i < store->conns_n; i++)
        tb_conn_open(&store->conns[i]);
    store->hook.turn = turn;
    tb_hook_add(loop, &store->hook);
    return store;
}

void tb_store_close(struct tb_store *store)
{
    store->closing = true;
    TB_ASSERT(store->queue == NULL && store->tx_queue == NULL && store->stats.exclusive == 0);
    tb_hook_remove(store->loop, &store->hook);
    for (int i = 0; i < store->conns_n; i++)
        tb_conn_close(&store->conns[i]);
    tb_timer_stop(store->loop, &store->sweep);
    tb_batcher_free(store->batcher);
    tb_reads_free(store);
    tb_statements_free(&store->statements);
    tb_mem_free(store->conns);
    tb_mem_free(store->dsn);
    tb_mem_free(store->application);
    tb_mem_free(store);
}

struct tb_store_stats tb_store_stats(const struct tb_store *store)
{
    struct tb_store_stats stats = store->stats;
    stats.connections = store->conns_n;
    stats.queued = store->queue_n + store->tx_queue_n;
    tb_batcher_count(store->batcher, &stats);
    for (int i = 0; i < store->conns_n; i++) {
        stats.connections_up += store->conns[i].state == TB_CONN_READY;
        stats.in_flight += store->conns[i].in_flight;
    }
    return stats;
}
