/* Private parts of libh2o-evloop 2.2.5 that the guard reads or replaces. The packaged
 * h2o/http2_internal.h cannot be included (it needs a khash.h that no package ships), so the few
 * prototypes and structures are declared here: same names, same order, cut off behind the last
 * field used. tb_guard_check refuses a library that is laid out otherwise. */
#ifndef TB_HTTP_GUARD_GUARD_H2O_H
#define TB_HTTP_GUARD_GUARD_H2O_H

#include <h2o.h>
#include <h2o/http2.h>
#include <h2o/http2_scheduler.h>
#include <tongbao/types.h>

_Static_assert(H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13,
               "the guard knows libh2o 0.13 (h2o 2.2) only");

enum {
    H2O_FRAME_DATA,
    H2O_FRAME_HEADERS,
    H2O_FRAME_PRIORITY,
    H2O_FRAME_RST_STREAM,
    H2O_FRAME_SETTINGS,
    H2O_FRAME_PUSH_PROMISE,
    H2O_FRAME_PING,
    H2O_FRAME_GOAWAY,
    H2O_FRAME_WINDOW_UPDATE,
    H2O_FRAME_CONTINUATION,
    H2O_FRAME_KNOWN_N
};

enum {
    H2O_FLAG_END_STREAM = 0x1,
    H2O_FLAG_ACK = 0x1,
    H2O_FLAG_END_HEADERS = 0x4,
    H2O_FLAG_PADDED = 0x8,
    H2O_FLAG_PRIORITY = 0x20,
    H2O_FRAME_HEAD_BYTES = 9
};

typedef struct st_h2o_http2_frame_t {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint32_t stream_id;
    const uint8_t *payload;
} h2o_http2_frame_t;

typedef struct st_h2o_hpack_header_table_entry_t {
    h2o_iovec_t *name;
    h2o_iovec_t *value;
    const char *err_desc;
} h2o_hpack_header_table_entry_t;

/* A ring; the newest entry is at entry_start_index. */
typedef struct st_h2o_hpack_header_table_t {
    h2o_hpack_header_table_entry_t *entries;
    size_t num_entries, entry_capacity, entry_start_index;
    size_t hpack_size;
    size_t hpack_capacity;
    size_t hpack_max_capacity;
} h2o_hpack_header_table_t;

enum h2o_stream_state {
    H2O_STREAM_IDLE,
    H2O_STREAM_RECV_HEADERS,
    H2O_STREAM_RECV_BODY,
    H2O_STREAM_REQ_PENDING,
    H2O_STREAM_SEND_HEADERS,
    H2O_STREAM_SEND_BODY,
    H2O_STREAM_SEND_BODY_IS_FINAL,
    H2O_STREAM_END_STREAM
};

enum h2o_conn_state { H2O_CONN_OPEN, H2O_CONN_HALF_CLOSED, H2O_CONN_IS_CLOSING };

typedef struct {
    uint32_t open, half_closed, send_body;
} h2o_num_streams_t;

typedef struct st_h2o_http2_stream_t {
    uint32_t stream_id;
    h2o_ostream_t _ostr_final;
    enum h2o_stream_state state;
    ssize_t output_window;
    ssize_t input_window;
    h2o_http2_priority_t received_priority;
    h2o_buffer_t *_req_body;
    size_t _expected_content_length;
    H2O_VECTOR(h2o_iovec_t) _data;
    h2o_ostream_pull_cb _pull_cb;
    h2o_num_streams_t *_num_streams_slot;
    void *cache_digests;
    struct {
        uint32_t parent_stream_id;
        unsigned promise_sent : 1;
    } push;
    struct {
        h2o_linklist_t link;
        h2o_http2_scheduler_openref_t scheduler;
    } _refs;
    h2o_send_state_t send_state;
    h2o_req_t req;
} h2o_http2_stream_t;

typedef struct st_h2o_http2_conn_t {
    h2o_conn_t super;
    h2o_socket_t *sock;
    h2o_http2_settings_t peer_settings;
    void *streams;
    struct {
        uint32_t max_open, max_processed;
    } pull_stream_ids;
    struct {
        uint32_t max_open;
    } push_stream_ids;
    struct {
        h2o_num_streams_t priority, pull, push;
    } num_streams;
    h2o_http2_scheduler_node_t scheduler;
    enum h2o_conn_state state;
    h2o_linklist_t _conns;
    ssize_t (*_read_expect)(struct st_h2o_http2_conn_t *conn, const uint8_t *src, size_t len,
                            const char **err_desc);
    h2o_buffer_t *_http1_req_input;
    h2o_hpack_header_table_t _input_header_table;
    ssize_t _input_window;
    h2o_hpack_header_table_t _output_header_table;
    h2o_linklist_t _pending_reqs;
    h2o_timeout_entry_t _timeout_entry;
    h2o_buffer_t *_headers_unparsed; /* not NULL exactly while CONTINUATION is expected */
    struct {
        h2o_buffer_t *buf;
        h2o_buffer_t *buf_in_flight;
        h2o_linklist_t streams_to_proceed;
        h2o_timeout_entry_t timeout_entry;
        ssize_t window;
    } _write;
} h2o_http2_conn_t;

#if defined(__LP64__)
_Static_assert(offsetof(h2o_http2_conn_t, num_streams) == 100, "layout of 2.2.5");
_Static_assert(offsetof(h2o_http2_conn_t, state) == 168, "layout of 2.2.5");
_Static_assert(offsetof(h2o_http2_conn_t, _headers_unparsed) == 376, "layout of 2.2.5");
_Static_assert(offsetof(h2o_http2_conn_t, _write.streams_to_proceed) == 400, "layout of 2.2.5");
_Static_assert(offsetof(h2o_http2_stream_t, output_window) == 48, "layout of 2.2.5");
_Static_assert(offsetof(h2o_http2_stream_t, _req_body) == 80, "layout of 2.2.5");
_Static_assert(offsetof(h2o_http2_stream_t, _refs.link) == 152, "layout of 2.2.5");
_Static_assert(offsetof(h2o_http2_stream_t, req) == 272, "layout of 2.2.5");
_Static_assert(sizeof(h2o_http2_stream_t) == 880, "layout of 2.2.5");
#endif

struct phr_header {
    const char *name; /* NULL for the continuation of a folded line */
    size_t name_len;
    const char *value;
    size_t value_len;
};

struct phr_chunked_decoder {
    size_t bytes_left_in_chunk;
    char consume_trailer;
    char _hex_count;
    char _state;
};

/* Every function the guard replaces: X(return type, name, parameters). */
// clang-format off
#define TB_GUARD_REPLACED(X)                                                                       \
    X(void, h2o_http2_accept,                                                                      \
      (h2o_accept_ctx_t *ctx, h2o_socket_t *sock, struct timeval connected_at))                    \
    X(int, h2o_http2_handle_upgrade, (h2o_req_t *req, struct timeval connected_at))                \
    X(void, h2o_socket_read_start, (h2o_socket_t *sock, h2o_socket_cb cb))                         \
    X(void, h2o_socket_close, (h2o_socket_t *sock))                                                \
    X(ssize_t, h2o_http2_decode_frame,                                                             \
      (h2o_http2_frame_t *frame, const uint8_t *src, size_t len,                                   \
       const h2o_http2_settings_t *host_settings, const char **err_desc))                          \
    X(void, h2o_http2_stream_reset, (h2o_http2_conn_t *conn, h2o_http2_stream_t *stream))          \
    X(void, h2o_http2_stream_close, (h2o_http2_conn_t *conn, h2o_http2_stream_t *stream))          \
    X(void, h2o_http2__encode_rst_stream_frame,                                                    \
      (h2o_buffer_t **buf, uint32_t stream_id, int errnum))                                        \
    X(void, h2o_send_error_generic,                                                                \
      (h2o_req_t *req, int status, const char *reason, const char *body, int flags))               \
    X(int, h2o_hpack_parse_headers,                                                                \
      (h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,            \
       int *pseudo_header_exists_map, size_t *content_length, void **digests,                      \
       const char **err_desc))                                                                     \
    X(int, phr_parse_request,                                                                      \
      (const char *buf, size_t len, const char **method, size_t *method_len, const char **path,    \
       size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,      \
       size_t last_len))                                                                           \
    X(ssize_t, phr_decode_chunked, (struct phr_chunked_decoder *decoder, char *buf, size_t *bufsz))\
    X(void, h2o_hpack_flatten_response,                                                            \
      (h2o_buffer_t **buf, h2o_hpack_header_table_t *table, uint32_t stream_id,                    \
       size_t max_frame_size, h2o_res_t *res, h2o_timestamp_t *ts, const h2o_iovec_t *server_name, \
       size_t content_length))                                                                     \
    X(h2o_iovec_t, h2o_url_normalize_path,                                                         \
      (h2o_mem_pool_t *pool, const char *path, size_t len, size_t *query_at,                       \
       size_t **norm_indexes))
// clang-format on

/* Ours, under the library's names; exported so that its jump table binds to them. */
#define X(type, name, parameters) __attribute__((visibility("default"))) type name parameters;
TB_GUARD_REPLACED(X)
#undef X

/* The library's own, filled in by guard_bind before the first use. */
struct guard_original {
#define X(type, name, parameters) type(*name) parameters;
    TB_GUARD_REPLACED(X)
#undef X
};

/* Not replaced, only called. */
void h2o_http2_conn_request_write(h2o_http2_conn_t *conn);
void h2o_http2_encode_goaway_frame(h2o_buffer_t **buf, uint32_t last_stream_id, int errnum,
                                   h2o_iovec_t additional_data);
void h2o_http2_encode_window_update_frame(h2o_buffer_t **buf, uint32_t stream_id,
                                          int32_t window_size_increment);
uint8_t *h2o_http2_encode_frame_header(uint8_t *dst, size_t length, uint8_t type, uint8_t flags,
                                       int32_t stream_id);

#endif
