/* A connection's life: down, connecting, setting up, ready, and around again. It is in libpq's
 * pipeline mode whenever it is ready. After a loss the first attempt is immediate, the next ones
 * back off. */
#include "base/assert.h"
#include "base/log.h"
#include "base/random.h"
#include "store/store_impl.h"
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

enum { BACKOFF_FIRST_MS = 50, BACKOFF_MOST_MS = 5000 };

static void lose(struct tb_conn *conn, const char *why);
static void go_on_connecting(struct tb_conn *conn);

static void no_notice(void *arg, const PGresult *result)
{
    (void)arg, (void)result;
}

/* ---- ready: statements out, answers in ---- */

static void flush(struct tb_conn *conn)
{
    int left = PQflush(conn->pg);
    if (left < 0)
        lose(conn, "write failed");
    else
        tb_watch_want(&conn->watch, true, left == 1);
}

static void ready_to_talk(struct tb_conn *conn, bool readable)
{
    if (readable && !tb_pipeline_read(conn)) {
        lose(conn, "read failed");
        return;
    }
    if (conn->pg != NULL)
        flush(conn);
    if (conn->state == TB_CONN_READY)
        tb_pool_conn_changed(conn);
}

static void socket_ready(struct tb_watch *watch, bool readable, bool writable)
{
    (void)writable;
    struct tb_conn *conn = TB_OWNER(watch, struct tb_conn, watch);
    if (conn->state == TB_CONN_CONNECTING)
        go_on_connecting(conn);
    else
        ready_to_talk(conn, readable);
}

void tb_conn_submit(struct tb_conn *conn, struct tb_op *op)
{
    TB_ASSERT(conn->pg != NULL && conn->state >= TB_CONN_SETTING_UP);
    op->next = NULL;
    op->end = TB_OP_RUNNING;
    *conn->last = op;
    conn->last = &op->next;
    if (conn->in_flight++ == 0)
        conn->busy_since_ms = tb_loop_now_ms(conn->store->loop);
    tb_pool_watch(conn->store);
    if (tb_pipeline_send(conn, op))
        flush(conn);
    else
        lose(conn, "send failed");
}

void tb_conn_sync(struct tb_conn *conn)
{
    TB_ASSERT(conn->pg != NULL);
    if (PQpipelineSync(conn->pg) == 1)
        flush(conn);
    else
        lose(conn, "send failed");
}

/* ---- going down ---- */

/* What was sent may have been executed; nobody knows until it is asked again. */
static void end_all_as_lost(struct tb_conn *conn)
{
    struct tb_op *op = conn->first;
    conn->first = NULL;
    conn->last = &conn->first;
    conn->in_flight = 0;
    for (struct tb_op *next; op != NULL; op = next) {
        next = op->next;
        op->next = NULL;
        tb_op_clear(op);
        op->end = TB_OP_LOST;
        op->ended(op);
    }
}

static void hang_up(struct tb_conn *conn)
{
    tb_timer_stop(conn->store->loop, &conn->timer);
    tb_watch_close(&conn->watch);
    PQfinish(conn->pg);
    conn->pg = NULL;
    conn->state = TB_CONN_DOWN;
    conn->session++;
    conn->draining = conn->retiring = conn->ended_command = false;
    memset(conn->prepared, 0, sizeof(conn->prepared));
}

/* 0, 50, 100, … 5000 ms, each less up to a half: workers that lost their server together should not
 * come back together. */
static int64_t backoff_ms(unsigned failures)
{
    if (failures == 0)
        return 0;
    int64_t most_ms = failures < 8 ? (int64_t)BACKOFF_FIRST_MS << (failures - 1) : BACKOFF_MOST_MS;
    return most_ms / 2 + (int64_t)(tb_random_u64() % (uint64_t)(most_ms / 2 + 1));
}

static void try_later(struct tb_conn *conn)
{
    tb_timer_start(conn->store->loop, &conn->timer, backoff_ms(conn->failures));
}

static void log_trouble(struct tb_conn *conn, const char *event, const char *why)
{
    const char *words = PQerrorMessage(conn->pg);
    struct tb_str first_line = {words, strcspn(words, "\n")};
    snprintf(conn->store->trouble, sizeof(conn->store->trouble), "%s%s%.*s", why,
             first_line.n > 0 ? ": " : "", (int)first_line.n, first_line.at);
    tb_log_with(TB_LOG_WARN, event,
                TB_F_CSTR("role", conn->role == TB_FOR_READS ? "reads" : "batches"),
                TB_F_CSTR("why", why), TB_F_TEXT("server", first_line),
                TB_F_INT("failures", conn->failures));
}

static void lose(struct tb_conn *conn, const char *why)
{
    bool was_up = conn->state == TB_CONN_READY;
    if (was_up) {
        conn->store->stats.losses++;
        conn->failures = 0;
    } else {
        conn->failures++;
    }
    /* Once for each loss, then with every doubling of the attempts. */
    if (was_up || (conn->failures & (conn->failures - 1)) == 0)
        log_trouble(conn, was_up ? "store_connection_lost" : "store_connect_failed", why);
    hang_up(conn);
    try_later(conn);
    end_all_as_lost(conn);
    tb_pool_conn_changed(conn);
}

void tb_conn_drop(struct tb_conn *conn, const char *why)
{
    if (conn->pg != NULL)
        lose(conn, why);
}

void tb_conn_close(struct tb_conn *conn)
{
    hang_up(conn);
    end_all_as_lost(conn);
}

/* ---- coming up ---- */

static void setup_ended(struct tb_op *op)
{
    struct tb_conn *conn = TB_OWNER(op, struct tb_conn, setup);
    if (op->end == TB_OP_LOST)
        return;
    tb_op_clear(op);
    if (op->end != TB_OP_DONE) {
        lose(conn, op->message);
        return;
    }
    tb_timer_stop(conn->store->loop, &conn->timer);
    conn->state = TB_CONN_READY;
    conn->failures = 0;
    conn->store->stats.connects++;
    tb_pool_conn_changed(conn);
}

/* Settings the answers depend on, or that bound what a statement can cost. In one statement rather
 * than as start-up options, which connection poolers refuse. Plans of batched calls never depend on
 * the array they are given, so they are planned once. */
static void set_up(struct tb_conn *conn)
{
    static const char sql[] =
        "select set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO', false),"
        " set_config('extra_float_digits', '1', false), set_config('jit', 'off', false),"
        " set_config('statement_timeout', $1, false),"
        " set_config('idle_in_transaction_session_timeout', $1, false),"
        " set_config('client_connection_check_interval', '2s', false),"
        " set_config('plan_cache_mode', $2, false)";
    char statement_ms[24];
    snprintf(statement_ms, sizeof(statement_ms), "%lld",
             (long long)conn->store->options.statement_ms);
    const char *params[] = {statement_ms,
                            conn->role == TB_FOR_BATCHES ? "force_generic_plan" : "auto"};
    conn->state = TB_CONN_SETTING_UP;
    conn->setup = (struct tb_op){.sql = sql, .params = params, .params_n = 2, .ended = setup_ended};
    tb_conn_submit(conn, &conn->setup);
    conn->setup.params = NULL;
}

/* libpq may go on to another address, and another socket with the same number, between two calls.
 */
static void watch_anew(struct tb_conn *conn, bool write)
{
    tb_watch_close(&conn->watch);
    int fd = PQsocket(conn->pg);
    if (fd < 0)
        return;
    tb_watch_open(conn->store->loop, &conn->watch, fd);
    tb_watch_want(&conn->watch, !write, write);
}

static void go_on_connecting(struct tb_conn *conn)
{
    tb_watch_close(&conn->watch);
    switch (PQconnectPoll(conn->pg)) {
    case PGRES_POLLING_READING:
        watch_anew(conn, false);
        break;
    case PGRES_POLLING_WRITING:
        watch_anew(conn, true);
        break;
    case PGRES_POLLING_OK:
        watch_anew(conn, false);
        if (PQsetnonblocking(conn->pg, 1) != 0 || PQenterPipelineMode(conn->pg) != 1)
            lose(conn, "no pipeline mode");
        else
            set_up(conn);
        break;
    default:
        lose(conn, "refused");
    }
}

void tb_conn_open(struct tb_conn *conn)
{
    const struct tb_store *store = conn->store;
    /* The connection string may override what stands before it, not what stands behind. */
    const char *names[] = {"target_session_attrs",
                           "tcp_user_timeout",
                           "keepalives_idle",
                           "dbname",
                           "application_name",
                           "client_encoding",
                           NULL};
    const char *values[] = {"read-write",       "10000", "30", store->dsn,
                            store->application, "UTF8",  NULL};
    conn->state = TB_CONN_CONNECTING;
    tb_timer_start(store->loop, &conn->timer, store->options.connect_ms);
    conn->pg = PQconnectStartParams(names, values, 1);
    TB_ASSERT(conn->pg != NULL);
    PQsetNoticeReceiver(conn->pg, no_notice, NULL);
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        lose(conn, "refused");
    else
        watch_anew(conn, true);
}

static void timer_fired(struct tb_timer *timer)
{
    struct tb_conn *conn = TB_OWNER(timer, struct tb_conn, timer);
    if (conn->state == TB_CONN_DOWN)
        tb_conn_open(conn);
    else
        lose(conn, "timed out");
}

void tb_conn_init(struct tb_conn *conn, struct tb_store *store, enum tb_conn_role role)
{
    *conn = (struct tb_conn){.store = store,
                             .role = role,
                             .timer = {.fired = timer_fired},
                             .watch = {.ready = socket_ready}};
    conn->last = &conn->first;
}
