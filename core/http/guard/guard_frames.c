/* HTTP/2 frames: whose they are, what they cost, and which the library must not see. The library
 * reads one connection at a time; the guard wraps its read callback, so that the replaced frame
 * decoder knows the connection without a search. A frame the library should not see is turned into
 * one it ignores: an acknowledgement of SETTINGS. */
#include "http/guard/guard_conn.h"
#include <arpa/inet.h>
#include <string.h>

#define TINY_DATA_BYTES 64

/* Costs in thousandths of a token. DATA that carries something is paid for by flow control, so a
 * tiny frame costs only a sixteenth; SETTINGS can carry 2,730 settings and walks all streams. */
enum {
    COST_FRAME = GUARD_COST_RESET,
    COST_SETTINGS = 5000,
    COST_TINY_DATA = 60,
    EARN_BYTES = 4096,
};

/* ---- reading ---- */

static void guarded_read(h2o_socket_t *sock, const char *err)
{
    struct guard *guard = &tb_guard_self;
    struct guarded *g = tb_guard_of(sock);
    tb_guard_hold(g);
    guard->current = g;
    guard->http2_read(sock, err);
    guard->current = NULL;
    tb_guard_execute(g);
    tb_guard_release(g);
}

void h2o_socket_read_start(h2o_socket_t *sock, h2o_socket_cb cb)
{
    struct guard *guard = &tb_guard_self;
    if (guard->in_accept) {
        guard->http2_read = cb;
        guard->current->conn = sock->data;
        guard->in_accept = false;
    }
    /* Also when the library resumes reading behind a full output buffer. */
    if (cb == guard->http2_read && cb != NULL && tb_guard_of(sock) != NULL)
        cb = guarded_read;
    tb_guard_original.h2o_socket_read_start(sock, cb);
}

void h2o_http2_accept(h2o_accept_ctx_t *ctx, h2o_socket_t *sock, struct timeval connected_at)
{
    struct guard *guard = &tb_guard_self;
    struct guarded *g = guard->ctx != NULL ? tb_guard_of(sock) : NULL;
    if (g == NULL) {
        tb_guard_original.h2o_http2_accept(ctx, sock, connected_at);
        return;
    }
    /* The library makes its connection object, starts to read (h2o_socket_read_start above learns
     * the callback) and may parse what is already there, calling its callback directly. It may be
     * nested in the HTTP/1 reader, never in another connection's HTTP/2. */
    tb_guard_hold(g);
    guard->current = g;
    guard->in_accept = true;
    tb_guard_original.h2o_http2_accept(ctx, sock, connected_at);
    guard->current = NULL;
    tb_guard_execute(g);
    tb_guard_release(g);
}

int h2o_http2_handle_upgrade(h2o_req_t *req, struct timeval connected_at)
{
    /* RFC 9113 dropped this way in; ignoring it is always allowed (RFC 9110 7.8). */
    if (tb_guard_self.ctx == NULL)
        return tb_guard_original.h2o_http2_handle_upgrade(req, connected_at);
    guard_count(TB_GUARD_UPGRADE_REFUSED);
    return -1;
}

void h2o_socket_close(h2o_socket_t *sock)
{
    struct guarded *g = tb_guard_of(sock);
    if (g != NULL && tb_guard_self.ctx != NULL) {
        /* The library's object is gone now, the socket only when TLS has said goodbye. */
        g->conn = NULL;
        uint64_t cut_ms = guard_now() + 2 * GUARD_SWEEP_MS;
        if (g->cut_ms == 0 || cut_ms < g->cut_ms)
            g->cut_ms = cut_ms;
        if (tb_guard_linger(g))
            return;
    }
    tb_guard_original.h2o_socket_close(sock);
}

/* ---- resets ---- */

void h2o_http2_stream_reset(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    struct guard *guard = &tb_guard_self;
    struct guarded *g = guard->current;
    if (g != NULL && g->overrun) {
        g->overrun = false;
        tb_guard_refuse_body(g, stream, GUARD_REFUSE_BODY, g->data_ends);
        return;
    }
    /* Either side's fault: what counts is that the stream ends before its answer did. */
    if (g != NULL && g->conn == conn && stream->state < H2O_STREAM_END_STREAM) {
        guard_count(TB_GUARD_RESET);
        if (!tb_guard_take(&g->resets, COST_FRAME, guard->limits.reset_burst,
                           guard->limits.reset_per_s))
            tb_guard_condemn(g, TB_GUARD_RESET_BUDGET);
    }
    tb_guard_original.h2o_http2_stream_reset(conn, stream);
}

/* ---- frames ---- */

static ssize_t refuse_frame(struct guarded *g, enum tb_guard_kind_index kind, const char **err_desc)
{
    tb_guard_condemn(g, kind);
    *err_desc = tb_guard_kinds[g->condemned].name;
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

static void swallow(h2o_http2_frame_t *frame)
{
    frame->type = H2O_FRAME_SETTINGS;
    frame->flags = H2O_FLAG_ACK;
    frame->length = 0;
    frame->stream_id = 0;
}

/* A client that takes a large answer returns its bytes with WINDOW_UPDATE frames: what was sent
 * since the last look is worth some. */
static void credit_sent_bytes(struct guarded *g)
{
    size_t sent = g->sock->bytes_written - g->bytes_credited;
    uint32_t burst = tb_guard_self.limits.frame_burst;
    uint32_t tokens = sent / EARN_BYTES < burst ? (uint32_t)(sent / EARN_BYTES) : burst;
    guard_give(&g->frames, tokens * 1000, burst);
    g->bytes_credited += (size_t)tokens * EARN_BYTES;
    if (tokens == burst)
        g->bytes_credited = g->sock->bytes_written;
}

static bool pay(struct guarded *g, uint32_t cost)
{
    const struct tb_guard_limits *limits = &tb_guard_self.limits;
    if (g->frames.tokens >= cost) {
        g->frames.tokens -= cost;
        return true;
    }
    credit_sent_bytes(g);
    return tb_guard_take(&g->frames, cost, limits->frame_burst, limits->frame_per_s);
}

/* Bodies are counted as they arrive, and never counted down: when the sum passes the limit, the
 * truth is asked for. So the usual frame costs one addition. */
struct body_sum {
    const h2o_conn_t *conn;
    uint32_t stream_id;
    h2o_http2_stream_t *stream; /* the one of that id */
    size_t bytes;
};

static int add_body(h2o_req_t *req, void *data)
{
    struct body_sum *sum = data;
    h2o_http2_stream_t *stream = TB_CONTAINER(h2o_http2_stream_t, req, req);
    if (req->conn != sum->conn || stream->_req_body == NULL)
        return 0;
    sum->bytes += stream->_req_body->size;
    if (stream->stream_id == sum->stream_id && stream->state == H2O_STREAM_RECV_BODY)
        sum->stream = stream;
    return 0;
}

/* @return the stream that is one too many; NULL: the bodies fit, or the frame is nobody's */
static h2o_http2_stream_t *find_excess(struct guarded *g, size_t more, uint32_t stream_id)
{
    size_t most = tb_guard_self.limits.connection_body_bytes;
    g->body_bytes += more;
    if (g->body_bytes <= most)
        return NULL;
    h2o_context_t *ctx = tb_guard_self.ctx;
    struct body_sum sum = {.conn = &g->conn->super, .stream_id = stream_id};
    ctx->globalconf->http2.callbacks.foreach_request(ctx, add_body, &sum);
    g->body_bytes = sum.bytes + more;
    return g->body_bytes <= most ? NULL : sum.stream;
}

static ssize_t admit_data(struct guarded *g, h2o_http2_frame_t *frame, const char **err_desc)
{
    size_t length = frame->length;
    bool ends = (frame->flags & H2O_FLAG_END_STREAM) != 0;
    if ((frame->flags & H2O_FLAG_PADDED) != 0 && length != 0)
        length -= frame->payload[0] < length ? (size_t)frame->payload[0] + 1 : length;
    if (!ends && length < TINY_DATA_BYTES && !pay(g, length == 0 ? COST_FRAME : COST_TINY_DATA))
        return refuse_frame(g, TB_GUARD_FRAME_BUDGET, err_desc);
    if (tb_guard_is_early(g, frame->stream_id)) {
        tb_guard_drop_data(g, frame);
        swallow(frame);
        return 0;
    }
    h2o_http2_stream_t *excess = find_excess(g, length, frame->stream_id);
    if (excess != NULL) {
        tb_guard_refuse_body(g, excess, GUARD_REFUSE_MEMORY, false);
        tb_guard_drop_data(g, frame);
        swallow(frame);
        return 0;
    }
    g->data_stream = frame->stream_id;
    g->data_ends = ends;
    return 0;
}

/* The end of a request that has been answered already. */
static ssize_t drop_trailers(struct guarded *g, h2o_http2_frame_t *frame, const char **err_desc)
{
    ssize_t ret = tb_guard_drop_trailers(g, frame, err_desc);
    swallow(frame);
    return ret;
}

/* A header block has begun or goes on. The library gathers up to 417,792 bytes of it, in any number
 * of frames; and once it has sent its last GOAWAY, a CONTINUATION makes it loop for ever. */
static ssize_t admit_header_part(struct guarded *g, const h2o_http2_frame_t *frame,
                                 const char **err_desc)
{
    const struct tb_guard_limits *limits = &tb_guard_self.limits;
    h2o_buffer_t *gathered = g->conn->_headers_unparsed;
    bool ends = (frame->flags & H2O_FLAG_END_HEADERS) != 0;
    if (gathered == NULL) {
        g->continuations = 0;
        g->headers_ms = ends ? 0 : guard_now();
        return 0;
    }
    if (g->conn->state != H2O_CONN_OPEN || ++g->continuations > limits->continuations ||
        (frame->length == 0 && !ends))
        return refuse_frame(g, TB_GUARD_CONTINUATION, err_desc);
    if (gathered->size + frame->length > limits->header_block_bytes)
        return refuse_frame(g, TB_GUARD_HEADER_BLOCK, err_desc);
    if (ends)
        g->headers_ms = 0;
    return 0;
}

/* An answered stream whose last bytes wait for a slow socket is still in the library's table. If
 * its window is used up and the client opens it again, the library schedules the stream a second
 * time and an assertion ends the process. An open window keeps it from doing so. */
static void settle_answered_streams(h2o_http2_conn_t *conn)
{
    h2o_linklist_t *anchor = &conn->_write.streams_to_proceed;
    for (h2o_linklist_t *at = anchor->next; at != anchor; at = at->next) {
        h2o_http2_stream_t *stream = TB_CONTAINER(h2o_http2_stream_t, _refs.link, at);
        if (stream->state != H2O_STREAM_END_STREAM || stream->output_window == INT32_MAX / 2)
            continue;
        stream->output_window = INT32_MAX / 2;
        guard_count(TB_GUARD_WINDOW);
    }
}

static ssize_t admit(struct guarded *g, h2o_http2_frame_t *frame, const char **err_desc)
{
    uint32_t cost = COST_FRAME;
    g->data_stream = 0;
    if (frame->type == H2O_FRAME_CONTINUATION && g->conn->_headers_unparsed != NULL)
        return admit_header_part(g, frame, err_desc);
    switch (frame->type) {
    case H2O_FRAME_DATA:
        return admit_data(g, frame, err_desc);
    case H2O_FRAME_HEADERS:
        if (g->conn->_headers_unparsed != NULL)
            return 0;
        if ((frame->flags & H2O_FLAG_END_HEADERS) != 0 && tb_guard_is_early(g, frame->stream_id))
            return drop_trailers(g, frame, err_desc);
        return admit_header_part(g, frame, err_desc);
    case H2O_FRAME_SETTINGS:
        cost = COST_SETTINGS;
        settle_answered_streams(g->conn);
        break;
    case H2O_FRAME_WINDOW_UPDATE:
        settle_answered_streams(g->conn);
        break;
    default:
        /* Inside a header block anything else is the client's error, and the library says so. */
        if (frame->type >= H2O_FRAME_KNOWN_N && g->conn->_headers_unparsed == NULL) {
            guard_count(TB_GUARD_UNKNOWN_FRAME);
            swallow(frame);
        }
    }
    return pay(g, cost) ? 0 : refuse_frame(g, TB_GUARD_FRAME_BUDGET, err_desc);
}

/* The library announces 100 streams and no size of header lists; a second SETTINGS corrects it. */
static void announce_limits(h2o_http2_conn_t *conn)
{
    const struct tb_guard_limits *limits = &tb_guard_self.limits;
    const struct {
        uint16_t id;
        uint32_t value;
    } settings[] = {{H2O_HTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams},
                    {H2O_HTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->header_bytes}};
    enum { N = TB_COUNT(settings), BYTES = H2O_FRAME_HEAD_BYTES + 6 * N };
    uint8_t *dst = (uint8_t *)h2o_buffer_reserve(&conn->_write.buf, BYTES).base;
    dst = h2o_http2_encode_frame_header(dst, 6 * N, H2O_FRAME_SETTINGS, 0, 0);
    for (size_t i = 0; i < N; i++) {
        uint16_t id = htons(settings[i].id);
        uint32_t value = htonl(settings[i].value);
        memcpy(dst, &id, 2);
        memcpy(dst + 2, &value, 4);
        dst += 6;
    }
    conn->_write.buf->size += BYTES;
    h2o_http2_conn_request_write(conn);
}

ssize_t h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                               const h2o_http2_settings_t *host_settings, const char **err_desc)
{
    struct guarded *g = tb_guard_self.current;
    ssize_t used = tb_guard_original.h2o_http2_decode_frame(frame, src, len, host_settings,
                                                            err_desc);
    if (g == NULL)
        return used;
    if (used < 0) {
        if (used == H2O_HTTP2_ERROR_INCOMPLETE && g->partial_ms == 0)
            g->partial_ms = guard_now();
        return used;
    }
    g->partial_ms = 0;
    if (!g->spoke) {
        g->spoke = true;
        announce_limits(g->conn);
    }
    if (g->condemned != TB_GUARD_KIND_N)
        return refuse_frame(g, g->condemned, err_desc);
    ssize_t refused = admit(g, frame, err_desc);
    return refused != 0 ? refused : used;
}
