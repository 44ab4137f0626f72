/* Refusals that are answered. A request that breaks a bound, but leaves its connection sound, goes
 * on to the owner's handler with a note of what is wrong, so that the client reads an answer and
 * not the end of its other requests. An HTTP/2 stream may be answered before its body has come;
 * from then on its DATA is dropped, and RST_STREAM(NO_ERROR) behind the answer asks the client to
 * stop (RFC 9113 8.1). Each refusal is paid for like a reset: who goes on is closed. */
#include "http/guard/guard_conn.h"
#include <stdio.h>
#include <sys/socket.h>

#define NOTE H2O_STRLIT("tongbao.refusal")

enum {
    WORDS_BYTES = 160,
    RETURN_WINDOW_BYTES = 16384,
    DROPPED_BYTES = 8 << 20, /* of one stream: half of the window that it has */
};

/* Filled in by tb_guard_refusals_init, because the words name the limits. */
static struct refusal {
    tb_err err;
    char why[WORDS_BYTES];
} refusals[GUARD_REFUSAL_N];

static const enum tb_guard_kind_index kinds[GUARD_REFUSAL_N] = {
    [GUARD_REFUSE_SYNTAX] = TB_GUARD_HTTP1_REFUSED,
    [GUARD_REFUSE_CHARACTERS] = TB_GUARD_MALFORMED,
    [GUARD_REFUSE_MALFORMED] = TB_GUARD_MALFORMED,
    [GUARD_REFUSE_CHUNKS] = TB_GUARD_CHUNKED_REFUSED,
    [GUARD_REFUSE_SLOW_BODY] = TB_GUARD_SLOW_BODY,
    [GUARD_REFUSE_BODY] = TB_GUARD_BODY_LIMIT,
    [GUARD_REFUSE_EXPECTATION] = TB_GUARD_EXPECTATION,
    [GUARD_REFUSE_FIELDS] = TB_GUARD_HEADER_FIELDS,
    [GUARD_REFUSE_BYTES] = TB_GUARD_HEADER_BYTES,
    [GUARD_REFUSE_MEMORY] = TB_GUARD_BODY_BYTES,
};

void tb_guard_refusals_init(const struct guard *guard)
{
    const struct tb_guard_limits *limits = &guard->limits;
    static const struct {
        tb_err err;
        const char *why;
    } plain[GUARD_REFUSAL_N] = {
        [GUARD_REFUSE_SYNTAX] = {TB_E_BAD_REQUEST, "the head of the request is malformed"},
        [GUARD_REFUSE_CHARACTERS] = {TB_E_BAD_REQUEST,
                                     "a header field has a character that is not allowed"},
        [GUARD_REFUSE_MALFORMED] = {TB_E_BAD_REQUEST, "the trailer section is malformed"},
        [GUARD_REFUSE_CHUNKS] = {TB_E_BAD_REQUEST, "the chunked coding of the body is malformed"},
        [GUARD_REFUSE_SLOW_BODY] = {TB_E_BODY_TIMEOUT, "the body did not arrive in time"},
        [GUARD_REFUSE_EXPECTATION] = {TB_E_EXPECTATION,
                                      "the only expectation that can be met is 100-continue"},
        [GUARD_REFUSE_MEMORY] = {TB_E_OVERLOAD,
                                 "the connection has too many body bytes on the way"},
        [GUARD_REFUSE_BODY] = {TB_E_TOO_LARGE, NULL},
        [GUARD_REFUSE_FIELDS] = {TB_E_HEADERS_TOO_LARGE, NULL},
        [GUARD_REFUSE_BYTES] = {TB_E_HEADERS_TOO_LARGE, NULL},
    };
    for (size_t i = 0; i < GUARD_REFUSAL_N; i++) {
        refusals[i].err = plain[i].err;
        if (plain[i].why != NULL)
            snprintf(refusals[i].why, WORDS_BYTES, "%s", plain[i].why);
    }
    snprintf(refusals[GUARD_REFUSE_BODY].why, WORDS_BYTES, "a request may have %zu bytes of body",
             guard->ctx->globalconf->max_request_entity_size);
    snprintf(refusals[GUARD_REFUSE_FIELDS].why, WORDS_BYTES, "a request may have %u header fields",
             limits->header_fields);
    snprintf(refusals[GUARD_REFUSE_BYTES].why, WORDS_BYTES,
             "names and values of the header fields, and 32 more for each, may be %u bytes",
             limits->header_bytes);
}

/* ---- the note ---- */

void tb_guard_refuse(h2o_req_t *req, enum guard_refusal reason)
{
    struct refusal *refusal = &refusals[reason];
    guard_count(kinds[reason]);
    if (req != NULL)
        *h2o_req_getenv(req, NOTE, 1) = h2o_iovec_init(refusal, sizeof(*refusal));
    else
        tb_guard_self.refused_head = refusal;
}

bool tb_guard_refusal(h2o_req_t *req, tb_err *out_err, const char **out_why)
{
    const struct refusal *refusal = NULL;
    if (req->version < 0x200) {
        refusal = tb_guard_self.refused_head;
        tb_guard_self.refused_head = NULL;
    }
    if (refusal == NULL && req->env.size != 0) {
        const h2o_iovec_t *note = h2o_req_getenv(req, NOTE, 0);
        refusal = note == NULL ? NULL : (const struct refusal *)(const void *)note->base;
    }
    if (refusal == NULL)
        return false;
    if (req->version < 0x200) {
        struct guarded *g = tb_guard_of(req->conn->callbacks->get_socket(req->conn));
        req->http1_is_persistent = 0; /* where its next request would begin is not known */
        if (g != NULL)
            g->lingers = true;
    }
    *out_err = refusal->err;
    *out_why = refusal->why;
    return true;
}

/* ---- streams answered early ---- */

static struct guard_early *early_of(struct guarded *g, uint32_t stream_id)
{
    for (size_t i = 0; i < GUARD_EARLY_N && g->early_n != 0 && stream_id != 0; i++)
        if (g->early[i].stream_id == stream_id)
            return &g->early[i];
    return NULL;
}

bool tb_guard_is_early(struct guarded *g, uint32_t stream_id)
{
    return early_of(g, stream_id) != NULL;
}

/* Forget the body of a stream that is going to be answered. Unless it is complete, more will come.
 */
static void cut_body(struct guarded *g, h2o_http2_stream_t *stream, bool complete, bool enough)
{
    if (stream->_req_body != NULL)
        h2o_buffer_dispose(&stream->_req_body);
    stream->req.entity = h2o_iovec_init(NULL, 0);
    if (!complete)
        g->early[g->early_n++ % GUARD_EARLY_N] = (struct guard_early){
            .stream_id = stream->stream_id, .enough = enough};
}

static void charge(struct guarded *g)
{
    if (!tb_guard_take(&g->resets, GUARD_COST_RESET, tb_guard_self.limits.reset_burst,
                       tb_guard_self.limits.reset_per_s))
        tb_guard_condemn(g, TB_GUARD_RESET_BUDGET);
}

void tb_guard_refuse_head(struct guarded *g, h2o_req_t *req, enum guard_refusal reason)
{
    h2o_http2_stream_t *stream = TB_CONTAINER(h2o_http2_stream_t, req, req);
    tb_guard_refuse(req, reason);
    cut_body(g, stream, stream->_req_body == NULL, false);
    charge(g);
}

/* Every error that the library would answer by itself, in plain text. Its own handler calls ours,
 * which finds the note. */
void h2o_send_error_generic(h2o_req_t *req, int status, const char *reason, const char *body,
                            int flags)
{
    if (tb_guard_self.ctx == NULL || req->pathconf != NULL) {
        tb_guard_original.h2o_send_error_generic(req, status, reason, body, flags);
        return;
    }
    if (tb_guard_self.current != NULL)
        tb_guard_refuse_head(tb_guard_self.current, req, GUARD_REFUSE_CHARACTERS);
    else
        tb_guard_refuse(req, status == 413 ? GUARD_REFUSE_BODY : GUARD_REFUSE_CHUNKS);
    h2o_process_request(req);
}

/* The library does the same for header fields with invalid characters. */
void tb_guard_refuse_body(struct guarded *g, h2o_http2_stream_t *stream, enum guard_refusal reason,
                          bool complete)
{
    tb_guard_refuse(&stream->req, reason);
    cut_body(g, stream, complete, reason == GUARD_REFUSE_SLOW_BODY);
    charge(g);
    stream->_num_streams_slot->half_closed++;
    stream->state = H2O_STREAM_SEND_HEADERS;
    h2o_process_request(&stream->req);
}

static void ask_to_stop(h2o_http2_conn_t *conn, uint32_t stream_id)
{
    h2o_http2__encode_rst_stream_frame(&conn->_write.buf, stream_id, -H2O_HTTP2_ERROR_NONE);
}

/* Flow control counts what is dropped (RFC 9113 5.1, 5.2): the connection's window is given back,
 * the stream's is not. */
void tb_guard_drop_data(struct guarded *g, const h2o_http2_frame_t *frame)
{
    h2o_http2_conn_t *conn = g->conn;
    struct guard_early *early = early_of(g, frame->stream_id);
    g->dropped_bytes += frame->length;
    if (g->dropped_bytes >= RETURN_WINDOW_BYTES) {
        h2o_http2_encode_window_update_frame(&conn->_write.buf, 0, (int32_t)g->dropped_bytes);
        h2o_http2_conn_request_write(conn);
        g->dropped_bytes = 0;
    }
    if (early == NULL)
        return;
    early->dropped_bytes += frame->length;
    if ((frame->flags & H2O_FLAG_END_STREAM) != 0) {
        early->stream_id = 0;
    } else if (!early->enough && early->dropped_bytes > DROPPED_BYTES) {
        early->enough = true;
        if (early->answered)
            ask_to_stop(conn, frame->stream_id);
        h2o_http2_conn_request_write(conn);
    }
}

/* The library closes a stream behind its last byte, and then writes what is in its buffer; a write
 * must not be asked for here, because it closes all streams of a dying connection, too. */
void h2o_http2_stream_close(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    struct guarded *g = tb_guard_self.ctx != NULL && conn->sock != NULL ? tb_guard_of(conn->sock)
                                                                        : NULL;
    struct guard_early *early = g != NULL ? early_of(g, stream->stream_id) : NULL;
    if (early != NULL) {
        early->answered = true;
        if (early->enough && conn->state == H2O_CONN_OPEN && stream->state == H2O_STREAM_END_STREAM)
            ask_to_stop(conn, stream->stream_id);
    }
    tb_guard_original.h2o_http2_stream_close(conn, stream);
}

/* A body that has become larger than any may be: the library answers with REFUSED_STREAM, which
 * tells the client to try again, and resets the stream. Both are replaced. */
void h2o_http2__encode_rst_stream_frame(h2o_buffer_t **buf, uint32_t stream_id, int errnum)
{
    struct guarded *g = tb_guard_self.current;
    if (g != NULL && g->data_stream == stream_id && stream_id != 0 &&
        errnum == -H2O_HTTP2_ERROR_REFUSED_STREAM)
        g->overrun = true;
    else
        tb_guard_original.h2o_http2__encode_rst_stream_frame(buf, stream_id, errnum);
}

/* ---- HTTP/1 connections that close ---- */

/* What the client still sends is read for a while and forgotten: closing on unread bytes makes TCP
 * drop the answer on its way (RFC 9112 9.6). Ends with the client's end, or when the sweep cuts. */
static void read_on(h2o_socket_t *sock, const char *err)
{
    h2o_buffer_consume(&sock->input, sock->input->size);
    if (err == NULL)
        return;
    h2o_socket_read_stop(sock);
    tb_guard_original.h2o_socket_close(sock);
}

bool tb_guard_linger(struct guarded *g)
{
    if (!g->lingers || g->sock->_cb.write != NULL)
        return false;
    g->lingers = false;
    shutdown(h2o_socket_get_fd(g->sock), SHUT_WR);
    tb_guard_original.h2o_socket_read_start(g->sock, read_on);
    return true;
}
