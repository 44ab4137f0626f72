/* Deadlines. The library's timers are restarted by any byte, so a client that sends one now and
 * then is served for ever; these are absolute, or grow only with what was really carried. One timer
 * looks at all connections and streams twice a second: no timer per connection, no clock per frame.
 */
#include "base/time.h"
#include "http/guard/guard_conn.h"
#include <sys/socket.h>

enum { VICTIMS = 64, CLOCK_STEP_MS = 2000, STOPPED_MS = 5000 };

/* What one look at the streams found. Streams are not reset while the library walks its table. */
struct look {
    uint64_t now_ms;
    h2o_http2_stream_t *slow_bodies[VICTIMS];
    size_t slow_bodies_n;
};

static uint64_t since(const struct timeval *at, uint64_t now_ms)
{
    uint64_t at_ms = (uint64_t)at->tv_sec * 1000 + (uint64_t)at->tv_usec / 1000;
    return now_ms > at_ms ? now_ms - at_ms : 0;
}

static uint64_t allowed_ms(uint32_t base_ms, size_t carried)
{
    return base_ms + (uint64_t)carried * 1000 / tb_guard_self.limits.rate_bytes_per_s;
}

static struct guarded *guarded_of_request(h2o_req_t *req)
{
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    return sock != NULL ? tb_guard_of(sock) : NULL;
}

/* For answers that wait for the client. What was sent is counted when the socket takes it over, so
 * a client that stops reading stops the count too. */
static void judge_answer(h2o_req_t *req, const struct look *look)
{
    if (req->timestamps.response_start_at.tv_sec == 0 ||
        since(&req->timestamps.response_start_at, look->now_ms) <=
            allowed_ms(tb_guard_self.limits.answer_ms, req->bytes_sent))
        return;
    struct guarded *g = guarded_of_request(req);
    if (g != NULL)
        tb_guard_condemn(g, TB_GUARD_SLOW_ANSWER);
}

static int look_at_http2(h2o_req_t *req, void *data)
{
    struct look *look = data;
    h2o_http2_stream_t *stream = TB_CONTAINER(h2o_http2_stream_t, req, req);
    if (stream->state == H2O_STREAM_RECV_BODY) {
        if (since(&req->timestamps.request_body_begin_at, look->now_ms) >
                allowed_ms(tb_guard_self.limits.body_ms, stream->_req_body->size) &&
            look->slow_bodies_n < VICTIMS && guarded_of_request(req) != NULL)
            look->slow_bodies[look->slow_bodies_n++] = stream;
    } else if (stream->_data.size != 0 || stream->state == H2O_STREAM_END_STREAM) {
        judge_answer(req, look);
    }
    return 0;
}

static int look_at_http1(h2o_req_t *req, void *data)
{
    struct guarded *g = guarded_of_request(req);
    if (g == NULL)
        return 0;
    if (g->sock->_cb.write != NULL)
        judge_answer(req, data);
    if (g->left_ms != 0 && req->version != 0)
        req->http1_is_persistent = 0; /* the answer to come says `connection: close` */
    else if (g->left_ms != 0 && g->sock->input->size == 0)
        g->cut_ms = g->left_ms; /* between two requests */
    return 0;
}

/* Only the stream is at fault, so only the stream is refused. Nothing else can free a stream that
 * waits for its body, so the list stays valid while it is worked off; a connection on its way out
 * is left. */
static void refuse_slow_bodies(struct look *look)
{
    for (size_t i = 0; i < look->slow_bodies_n; i++) {
        h2o_http2_stream_t *stream = look->slow_bodies[i];
        h2o_http2_conn_t *conn = (h2o_http2_conn_t *)(void *)stream->req.conn;
        if (conn->state == H2O_CONN_IS_CLOSING || conn->_headers_unparsed != NULL)
            continue;
        tb_guard_refuse_body(tb_guard_of(conn->sock), stream, GUARD_REFUSE_SLOW_BODY, false);
    }
}

static bool overdue(uint64_t since_ms, uint32_t limit_ms, uint64_t now_ms)
{
    return since_ms != 0 && now_ms > since_ms && now_ms - since_ms > limit_ms;
}

/* A client that is asked to leave may have requests and bodies under way. The first GOAWAY promises
 * to serve them and what crosses it; the last one names the last stream, and is sent when no body
 * is under way, because from then on the library ignores DATA. */
static void ask_to_leave(struct guarded *g)
{
    h2o_http2_conn_t *conn = g->conn;
    g->left_ms = guard_now();
    g->cut_ms = g->left_ms + tb_guard_self.limits.drain_ms;
    if (conn == NULL || conn->state != H2O_CONN_OPEN)
        return;
    h2o_http2_encode_goaway_frame(&conn->_write.buf, INT32_MAX, H2O_HTTP2_ERROR_NONE,
                                  h2o_iovec_init(H2O_STRLIT("drain")));
    h2o_http2_conn_request_write(conn);
}

static void go_on_leaving(struct guarded *g, uint64_t now_ms)
{
    const h2o_http2_conn_t *conn = g->conn;
    if (conn->state == H2O_CONN_OPEN && now_ms - g->left_ms >= GUARD_SWEEP_MS &&
        conn->num_streams.pull.open == conn->num_streams.pull.half_closed &&
        conn->_headers_unparsed == NULL)
        tb_guard_dismiss(g, H2O_HTTP2_ERROR_NONE, "drain", tb_guard_self.limits.drain_ms);
}

static void judge_http2(struct guarded *g, uint64_t now_ms)
{
    const struct tb_guard_limits *limits = &tb_guard_self.limits;
    const h2o_http2_conn_t *conn = g->conn;
    if (conn->num_streams.pull.open != 0)
        g->useful_ms = now_ms;
    if (!g->spoke && overdue(g->accepted_ms, limits->opening_ms, now_ms))
        tb_guard_condemn(g, TB_GUARD_SLOW_OPENING);
    else if (overdue(g->partial_ms, limits->frame_ms, now_ms))
        tb_guard_condemn(g, TB_GUARD_SLOW_FRAME);
    else if (conn->_headers_unparsed != NULL && overdue(g->headers_ms, limits->header_ms, now_ms))
        tb_guard_condemn(g, TB_GUARD_SLOW_HEADERS);
    else if (conn->state == H2O_CONN_OPEN && overdue(g->useful_ms, limits->idle_ms, now_ms)) {
        guard_count(TB_GUARD_IDLE);
        tb_guard_dismiss(g, H2O_HTTP2_ERROR_NONE, "idle", 2 * GUARD_SWEEP_MS);
    }
    if (g->left_ms != 0)
        go_on_leaving(g, now_ms);
    if (conn->state == H2O_CONN_IS_CLOSING && g->cut_ms == 0)
        g->cut_ms = now_ms + 2 * GUARD_SWEEP_MS; /* its last bytes wait for the client */
}

static void judge_connection(struct guarded *g, uint64_t now_ms)
{
    if (g->left_ms == 0 && overdue(g->accepted_ms, tb_guard_self.limits.age_ms, now_ms)) {
        guard_count(TB_GUARD_AGED);
        ask_to_leave(g);
    }
    if (g->conn != NULL)
        judge_http2(g, now_ms);
    tb_guard_execute(g);
    if (g->cut_ms != 0 && now_ms >= g->cut_ms) {
        guard_count(TB_GUARD_SLOW_CLOSE);
        shutdown(h2o_socket_get_fd(g->sock), SHUT_RDWR);
        g->cut_ms = now_ms + 10 * GUARD_SWEEP_MS;
    }
}

/* The loop's clock is the wall clock. When it jumps, or the process was stopped for a while,
 * streams are not judged by their time stamps until those from before are old, and connections are
 * judged from now on. */
static void notice_clock_step(uint64_t now_ms)
{
    struct guard *guard = &tb_guard_self;
    uint64_t steady = (uint64_t)tb_monotonic_ms();
    int64_t wall_passed = (int64_t)(now_ms - guard->swept_ms);
    int64_t steady_passed = (int64_t)(steady - guard->swept_steady_ms);
    int64_t step = wall_passed - steady_passed;
    if (guard->swept_ms != 0 &&
        (step > CLOCK_STEP_MS || step < -CLOCK_STEP_MS || steady_passed > STOPPED_MS)) {
        guard->stepped_ms = now_ms;
        for (h2o_linklist_t *at = guard->open.next; at != &guard->open; at = at->next) {
            struct guarded *g = TB_CONTAINER(struct guarded, link, at);
            g->accepted_ms = g->useful_ms = now_ms;
            g->partial_ms = g->partial_ms != 0 ? now_ms : 0;
            g->headers_ms = g->headers_ms != 0 ? now_ms : 0;
            g->left_ms = g->left_ms != 0 ? now_ms : 0;
            g->cut_ms = g->cut_ms != 0 ? now_ms + 2 * GUARD_SWEEP_MS : 0;
            g->frames.filled_ms = g->resets.filled_ms = now_ms;
        }
    }
    guard->swept_ms = now_ms;
    guard->swept_steady_ms = steady;
}

static void look_at_streams(uint64_t now_ms)
{
    struct guard *guard = &tb_guard_self;
    h2o_context_t *ctx = guard->ctx;
    struct look look = {.now_ms = now_ms};
    uint32_t settle_ms = guard->limits.answer_ms + guard->limits.body_ms;
    if (guard->stepped_ms != 0 && !overdue(guard->stepped_ms, settle_ms, now_ms))
        return;
    ctx->globalconf->http2.callbacks.foreach_request(ctx, look_at_http2, &look);
    ctx->globalconf->http1.callbacks.foreach_request(ctx, look_at_http1, &look);
    refuse_slow_bodies(&look);
}

void tb_guard_sweep(h2o_timeout_entry_t *entry)
{
    struct guard *guard = &tb_guard_self;
    uint64_t now_ms = guard_now();
    notice_clock_step(now_ms);
    look_at_streams(now_ms);
    for (h2o_linklist_t *at = guard->open.next; at != &guard->open; at = at->next)
        judge_connection(TB_CONTAINER(struct guarded, link, at), now_ms);
    h2o_timeout_link(guard->ctx->loop, &guard->sweep_timeout, entry);
}

void tb_guard_drain(void)
{
    struct guard *guard = &tb_guard_self;
    for (h2o_linklist_t *at = guard->open.next; at != &guard->open; at = at->next) {
        struct guarded *g = TB_CONTAINER(struct guarded, link, at);
        if (g->left_ms == 0)
            ask_to_leave(g);
    }
}
