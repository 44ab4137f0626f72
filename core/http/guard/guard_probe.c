/* Whether the library that was loaded is laid out as guard_h2o.h says. Its private structures have
 * no version, and a rebuild may or may not have changed them; so one HTTP/2 request is played
 * through it at start, on a loop of its own, and what is then found in the structures is compared
 * with what was sent. The public structures have room behind them that must stay as it was: a
 * library that thinks them larger than our header would write there. */
#include "base/mem.h"
#include "http/guard/guard_conn.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STREAM = 5,
    WINDOW = 70000,
    SLACK_BYTES = 1024,
    SLACK = 0xa5,
    TURNS = 8, /* of the loop, for the connection to be gone */
};

/* SETTINGS with an initial window of 70,000; POST / on stream 5 with three octets of body and two
 * fields that enter the table; its DATA. */
static const char request[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                              "\0\0\6\4\0\0\0\0\0"
                              "\0\4\0\1\x11\x70"
                              "\0\0\x1d\1\4\0\0\0\5"
                              "\x83\x87\x84"
                              "\x41\5probe"
                              "\x40\7x-probe\5value"
                              "\x0f\x0d\1"
                              "3"
                              "\0\0\3\0\1\0\0\0\5"
                              "abc";

static struct {
    struct {
        h2o_globalconf_t config;
        unsigned char behind[SLACK_BYTES];
    } config;
    struct {
        h2o_context_t ctx;
        unsigned char behind[SLACK_BYTES];
    } context;
    h2o_socket_t *sock;
    const char *fault; /* what is not where it should be; NULL: nothing */
    bool asked, closed;
} * probe;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (probe->fault == NULL && !(condition))                                                  \
            probe->fault = #condition;                                                             \
    } while (0)

static bool is_untouched(const unsigned char *behind)
{
    for (size_t i = 0; i < SLACK_BYTES; i++)
        if (behind[i] != SLACK)
            return false;
    return true;
}

static bool is(h2o_iovec_t text, const char *word)
{
    return h2o_memis(text.base, text.len, word, strlen(word));
}

static void check_table(const h2o_hpack_header_table_t *table)
{
    EXPECT(table->hpack_capacity == 4096 && table->hpack_max_capacity == 4096);
    EXPECT(table->num_entries == 2 && table->hpack_size == 47 + 44);
    EXPECT(table->entry_capacity >= 2 && table->entry_start_index < table->entry_capacity);
    if (probe->fault != NULL)
        return;
    const h2o_hpack_header_table_entry_t *newest = &table->entries[table->entry_start_index];
    EXPECT(is(*newest->name, "x-probe") && is(*newest->value, "value"));
    EXPECT(newest->err_desc == NULL);
}

static void check_connection(const h2o_http2_conn_t *conn)
{
    EXPECT(conn->sock == probe->sock);
    EXPECT(conn->peer_settings.initial_window_size == WINDOW);
    EXPECT(conn->pull_stream_ids.max_open == STREAM);
    EXPECT(conn->num_streams.pull.open == 1 && conn->num_streams.pull.half_closed == 1);
    EXPECT(conn->num_streams.pull.send_body == 0 && conn->num_streams.priority.open == 0);
    EXPECT(conn->state == H2O_CONN_OPEN && conn->_headers_unparsed == NULL);
    EXPECT(conn->_output_header_table.hpack_capacity == 4096);
    EXPECT(conn->_write.window == 65535 && conn->_write.buf_in_flight == NULL);
    EXPECT(conn->_write.buf != NULL && conn->_write.buf->size != 0);
    EXPECT(conn->_write.streams_to_proceed.next == &conn->_write.streams_to_proceed);
    check_table(&conn->_input_header_table);
}

static void check_stream(const h2o_http2_conn_t *conn, const h2o_http2_stream_t *stream)
{
    EXPECT(stream->stream_id == STREAM && stream->state == H2O_STREAM_SEND_HEADERS);
    EXPECT(stream->output_window == WINDOW && stream->_expected_content_length == 3);
    EXPECT(stream->_num_streams_slot == &conn->num_streams.pull && stream->_data.size == 0);
    EXPECT(stream->_refs.link.next == NULL && stream->_pull_cb == NULL);
    EXPECT(stream->_req_body != NULL && stream->_req_body->size == 3 &&
           memcmp(stream->_req_body->bytes, "abc", 3) == 0);
}

static void check_request(const h2o_req_t *req)
{
    EXPECT(req->version == 0x200 && is(req->input.method, "POST") && is(req->input.path, "/"));
    EXPECT(is(req->input.authority, "probe") && req->input.scheme->default_port == 443);
    EXPECT(req->headers.size == 1 && is(req->headers.entries[0].value, "value"));
    EXPECT(is(req->entity, "abc") && req->env.size == 0 && req->filereq == NULL);
    EXPECT(req->timestamps.request_body_begin_at.tv_sec != 0);
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    const h2o_http2_conn_t *conn = (const h2o_http2_conn_t *)(const void *)req->conn;
    const h2o_http2_stream_t *stream = TB_CONTAINER(h2o_http2_stream_t, req, req);
    (void)self;
    probe->asked = true;
    check_request(req);
    check_connection(conn);
    check_stream(conn, stream);
    h2o_send_error_404(req, "Not Found", "", 0);
    EXPECT(stream->state == H2O_STREAM_SEND_BODY_IS_FINAL && conn->num_streams.pull.send_body == 1);
    return 0;
}

static void on_closed(void *data)
{
    (void)data;
    probe->closed = true;
}

static void play(h2o_loop_t *loop, int fd)
{
    h2o_accept_ctx_t accept = {.ctx = &probe->context.ctx, .hosts = probe->config.config.hosts};
    probe->sock = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    probe->sock->on_close.cb = on_closed;
    memcpy(h2o_buffer_reserve(&probe->sock->input, sizeof(request) - 1).base, request,
           sizeof(request) - 1);
    probe->sock->input->size += sizeof(request) - 1;
    h2o_http2_accept(&accept, probe->sock, (struct timeval){0});
    EXPECT(probe->asked);
}

static void run(int fds[2])
{
    h2o_loop_t *loop = h2o_evloop_create();
    h2o_config_init(&probe->config.config);
    h2o_hostconf_t *host = h2o_config_register_host(&probe->config.config,
                                                    h2o_iovec_init(H2O_STRLIT("probe")), 65535);
    h2o_create_handler(&host->fallback_path, sizeof(h2o_handler_t))->on_req = on_request;
    h2o_context_init(&probe->context.ctx, loop, &probe->config.config);
    EXPECT(is_untouched(probe->config.behind));
    EXPECT(is_untouched(probe->context.behind));
    if (probe->fault == NULL)
        play(loop, fds[0]);
    close(fds[1]);
    if (probe->fault != NULL)
        return; /* of a library that is not the one we know nothing more is asked */
    for (int i = 0; i < TURNS && probe->sock != NULL && !probe->closed; i++)
        h2o_evloop_run(loop, 10);
    EXPECT(probe->closed);
    h2o_context_dispose(&probe->context.ctx);
    h2o_config_dispose(&probe->config.config);
    h2o_evloop_destroy(loop);
}

bool tb_guard_probe(char *why, size_t why_bytes)
{
    static bool passed;
    int fds[2];
    if (passed)
        return true;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
        snprintf(why, why_bytes, "no descriptors for the check of libh2o-evloop");
        return false;
    }
    probe = tb_mem(sizeof(*probe));
    memset(probe->config.behind, SLACK, SLACK_BYTES);
    memset(probe->context.behind, SLACK, SLACK_BYTES);
    run(fds);
    passed = probe->fault == NULL;
    if (passed)
        tb_mem_free(probe);
    else
        snprintf(why, why_bytes,
                 "libh2o-evloop is not laid out as h2o 2.2.x, which the guard knows: %s",
                 probe->fault);
    return passed;
}
