/* HTTP/2 header sections: measured before the library decodes them, judged after. A section that is
 * larger than a request may have is decoded all the same, because the dynamic table must stay in
 * step, but only its first piece is kept, for an answer of 431. What RFC 9113 calls malformed and
 * the library lets through is answered with RST_STREAM(PROTOCOL_ERROR): the guard takes back the
 * library's note of which pseudo-header fields it saw, and the library does the rest. */
#include "http/guard/guard_conn.h"
#include "http/guard/guard_hpack.h"
#include "http/guard/guard_syntax.h"
#include "http/guard/hpack_memo.h"
#include <strings.h>

/* A request pays for some control frames and a part of a reset, in thousandths. */
enum { EARN_FRAMES = 4000, EARN_RESETS = 250 };

enum {
    EXCESS_FACTOR = 10, /* so many times the fields of a request are decoded to answer 431 */
    PRIORITY_BYTES = 5,
    HTTPS_PORT = 443,
};

/* The connection-specific fields that the library lets through (RFC 9113 8.2.2). */
static bool is_connection_field(const h2o_iovec_t *name)
{
    return name == &H2O_TOKEN_KEEP_ALIVE->buf ||
           h2o_memis(name->base, name->len, H2O_STRLIT("proxy-connection"));
}

static bool fields_are_sound(const h2o_req_t *req)
{
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *h = &req->headers.entries[i];
        if (!guard_value_is_trimmed(h->value) || is_connection_field(h->name))
            return false;
    }
    return true;
}

static bool names_are_sound(const h2o_req_t *req)
{
    return tb_guard_method_ok(req->input.method) &&
           (req->input.authority.base == NULL || tb_guard_authority_ok(req->input.authority));
}

/* TLS is https; what is not, libh2o takes for http. */
static bool scheme_is_sound(const struct guarded *g, const h2o_req_t *req)
{
    return g->sock->ssl == NULL ||
           (req->input.scheme != NULL && req->input.scheme->default_port == HTTPS_PORT);
}

static bool length_is_sound(const h2o_req_t *req, size_t content_length)
{
    const h2o_http2_stream_t *stream = TB_CONTAINER(h2o_http2_stream_t, req, req);
    return content_length == SIZE_MAX || content_length == 0 || stream->_req_body != NULL;
}

static size_t largest_body(void)
{
    return tb_guard_self.ctx->globalconf->max_request_entity_size;
}

static int refuse_block(struct guarded *g, enum tb_guard_kind_index kind, int code,
                        const char **err_desc)
{
    tb_guard_condemn(g, kind);
    *err_desc = tb_guard_kinds[kind].name;
    return code;
}

static struct guard_hpack_limits limits_of_requests(void)
{
    return (struct guard_hpack_limits){tb_guard_self.limits.header_fields,
                                       tb_guard_self.limits.header_bytes};
}

/* @return 0 when the block may be decoded, or the connection error
 * @param out_excess  why it may only be decoded in pieces; GUARD_REFUSAL_N: it need not be */
static int measure(struct guarded *g, const h2o_hpack_header_table_t *table, const uint8_t *src,
                   size_t len, struct guard_hpack_brief *out_brief, enum guard_refusal *out_excess,
                   const char **err_desc)
{
    struct guard_hpack_limits limits = limits_of_requests();
    struct guard_hpack_size size = {0};
    *out_excess = GUARD_REFUSAL_N;
    if (tb_guard_hpack_fits(table, src, len, limits, out_brief))
        return 0;
    if (len > tb_guard_self.limits.header_block_bytes)
        return refuse_block(g, TB_GUARD_HEADER_BLOCK, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM, err_desc);
    enum guard_hpack_verdict verdict = tb_guard_hpack_measure(table, src, len, limits, false,
                                                              &size);
    *out_brief = (struct guard_hpack_brief){.fresh = size.fresh, .token_at = size.token_at};
    switch (verdict) {
    case GUARD_HPACK_TOO_MANY:
        *out_excess = GUARD_REFUSE_FIELDS;
        break;
    case GUARD_HPACK_TOO_LARGE:
        *out_excess = GUARD_REFUSE_BYTES;
        break;
    case GUARD_HPACK_BROKEN:
        return refuse_block(g, TB_GUARD_HEADER_CODING, H2O_HTTP2_ERROR_COMPRESSION, err_desc);
    case GUARD_HPACK_FITS:
        break;
    }
    return 0;
}

/* Decode for the sake of the table alone. */
static int parse_aside(h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                       const char **err_desc)
{
    h2o_req_t aside = {.version = 0};
    int seen = 0;
    size_t length;
    h2o_mem_init_pool(&aside.pool);
    int ret = tb_guard_original.h2o_hpack_parse_headers(&aside, table, src, len, &seen, &length,
                                                        NULL, err_desc);
    h2o_mem_clear_pool(&aside.pool);
    *err_desc = ret == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR ? NULL : *err_desc;
    return ret == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR ? 0 : ret;
}

/* What the library insists on, where it was not in the piece that was kept. */
static void complete_head(h2o_req_t *req, int *pseudo_header_exists_map)
{
    if (req->input.method.base == NULL)
        req->input.method = h2o_iovec_init(H2O_STRLIT("GET"));
    if (req->input.path.base == NULL)
        req->input.path = h2o_iovec_init(H2O_STRLIT("/"));
    if (req->input.scheme == NULL)
        req->input.scheme = &H2O_URL_SCHEME_HTTPS;
    *pseudo_header_exists_map = GUARD_PSEUDO_EXPECTED;
}

/* The memory that a block costs is bounded by its pieces, the time by the number of its fields: a
 * reference of one byte is a field. Trailers have no map, and nothing of them is kept. */
static int parse_pieces(struct guarded *g, h2o_req_t *req, h2o_hpack_header_table_t *table,
                        const uint8_t *src, size_t len, int *pseudo_header_exists_map,
                        const char **err_desc)
{
    struct guard_hpack_limits limits = limits_of_requests();
    size_t fields = 0, ignored, n;
    int ret = 0;
    for (size_t at = 0; at < len && ret == 0; at += n) {
        struct guard_hpack_size size;
        n = tb_guard_hpack_piece(table, src + at, len - at, limits, &size);
        if (n == 0)
            return refuse_block(g, TB_GUARD_HEADER_CODING, H2O_HTTP2_ERROR_COMPRESSION, err_desc);
        fields += size.fields;
        if (fields > (size_t)limits.fields * EXCESS_FACTOR)
            return refuse_block(g, TB_GUARD_HEADER_BOMB, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM,
                                err_desc);
        if (at == 0 && pseudo_header_exists_map != NULL && size.bytes <= limits.bytes)
            ret = tb_guard_original.h2o_hpack_parse_headers(
                req, table, src, n, pseudo_header_exists_map, &ignored, NULL, err_desc);
        else
            ret = parse_aside(table, src + at, n, err_desc);
        if (ret == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR)
            ret = 0;
    }
    if (ret == 0)
        *err_desc = NULL;
    return ret;
}

static int parse_excess(struct guarded *g, h2o_req_t *req, h2o_hpack_header_table_t *table,
                        const uint8_t *src, size_t len, int *pseudo_header_exists_map,
                        enum guard_refusal excess, const char **err_desc)
{
    int ret = parse_pieces(g, req, table, src, len, pseudo_header_exists_map, err_desc);
    if (ret != 0)
        return ret;
    if (pseudo_header_exists_map != NULL) {
        complete_head(req, pseudo_header_exists_map);
        tb_guard_refuse_head(g, req, excess);
    } else {
        tb_guard_refuse(req, excess);
    }
    return 0;
}

ssize_t tb_guard_drop_trailers(struct guarded *g, const h2o_http2_frame_t *frame,
                               const char **err_desc)
{
    const uint8_t *src = frame->payload;
    size_t len = frame->length, padding = 0;
    if ((frame->flags & H2O_FLAG_PADDED) != 0 && len != 0) {
        padding = *src++;
        len--;
    }
    if ((frame->flags & H2O_FLAG_PRIORITY) != 0 && len >= PRIORITY_BYTES) {
        src += PRIORITY_BYTES;
        len -= PRIORITY_BYTES;
    }
    if (padding > len)
        return H2O_HTTP2_ERROR_PROTOCOL;
    g->tainted = true;
    guard_count(TB_GUARD_TRAILERS);
    return parse_pieces(g, NULL, &g->conn->_input_header_table, src, len - padding, NULL, err_desc);
}

/* ---- field by field ---- */

/* What the careful reading of a section has seen. It is for sections with new names: the library
 * skips `host`, keeps the last of several lengths, and ends the connection for most of what is
 * malformed, where RFC 9113 8.1.1 asks for the end of the stream. */
struct careful {
    h2o_iovec_t host;
    unsigned hosts, lengths;
    size_t content_length;
    bool regular; /* pseudo-header fields are over */
    bool malformed;
    const char *soft; /* the library's words for an invalid character */
};

/* The value of a `host` field, which the library would not give: decoded under another name. */
static h2o_iovec_t read_value(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src,
                              const struct guard_hpack_field *field)
{
    if (field->value_at == 0)
        return field->value == NULL ? h2o_iovec_init(H2O_STRLIT(""))
                                    : h2o_strdup(&req->pool, field->value->base, field->value->len);
    size_t n = field->n - field->value_at;
    uint8_t *renamed = h2o_mem_alloc_pool(&req->pool, 3 + n);
    memcpy(renamed, "\x00\x01h", 3);
    memcpy(renamed + 3, src + field->value_at, n);
    h2o_req_t aside = {.version = 0};
    h2o_iovec_t value = {H2O_STRLIT("")};
    size_t ignored;
    const char *why = NULL;
    h2o_mem_init_pool(&aside.pool);
    if (tb_guard_original.h2o_hpack_parse_headers(&aside, table, renamed, 3 + n, NULL, &ignored,
                                                  NULL, &why) == 0 &&
        aside.headers.size == 1)
        value = h2o_strdup(&req->pool, aside.headers.entries[0].value.base,
                           aside.headers.entries[0].value.len);
    h2o_mem_clear_pool(&aside.pool);
    return value;
}

/* A malformed field is passed over, unless the tables are no longer the same behind it. */
static int parse_field(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src,
                       const struct guard_hpack_field *field, int *pseudo_header_exists_map,
                       struct careful *c, const char **err_desc)
{
    int *map = c->regular ? NULL : pseudo_header_exists_map, seen = map != NULL ? *map : 0;
    const char *why = NULL;
    size_t length;
    int ret = tb_guard_original.h2o_hpack_parse_headers(req, table, src, field->n, map, &length,
                                                        NULL, &why);
    if (ret == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR)
        c->soft = why;
    else if (ret == H2O_HTTP2_ERROR_PROTOCOL && (why == NULL || !field->indexing))
        c->malformed = true;
    else if (ret != 0) {
        *err_desc = why;
        return ret;
    }
    if (length != SIZE_MAX)
        c->content_length = length;
    c->regular |= map == NULL || *map == seen;
    return 0;
}

static int parse_fields(struct guarded *g, h2o_req_t *req, h2o_hpack_header_table_t *table,
                        const uint8_t *src, size_t len, int *pseudo_header_exists_map,
                        struct careful *c, const char **err_desc)
{
    *c = (struct careful){.content_length = SIZE_MAX};
    for (size_t at = 0; at < len;) {
        struct guard_hpack_field field;
        if (!tb_guard_hpack_field(table, src + at, len - at, &field))
            return refuse_block(g, TB_GUARD_HEADER_CODING, H2O_HTTP2_ERROR_COMPRESSION, err_desc);
        if (field.name == GUARD_NAME_HOST && c->hosts++ == 0)
            c->host = read_value(req, table, src + at, &field);
        c->lengths += field.name == GUARD_NAME_LENGTH;
        int ret = parse_field(req, table, src + at, &field, pseudo_header_exists_map, c, err_desc);
        if (ret != 0)
            return ret;
        if (field.name_n != 0 && c->regular && !c->malformed && c->soft == NULL)
            tb_guard_hpack_learn_name(src + at + field.name_at, field.name_n);
        g->careful |= field.indexing && field.name != GUARD_NAME_OTHER;
        at += field.n;
    }
    return 0;
}

/* RFC 9113 8.3.1: `host` says the same as `:authority`, or stands in for it. */
static bool singles_are_sound(h2o_req_t *req, const struct careful *c)
{
    h2o_iovec_t *authority = &req->input.authority;
    if (c->malformed || c->hosts > 1 || c->lengths > 1)
        return false;
    if (c->hosts == 1 && authority->base == NULL)
        *authority = c->host;
    return c->hosts == 0 || (authority->len == c->host.len &&
                             strncasecmp(authority->base, c->host.base, c->host.len) == 0);
}

/* Trailers are decoded for the sake of the table, and forgotten: the library adds them to the
 * request's fields, where they could pose as authorization (RFC 9110 6.5.1). */
static int parse_trailers(struct guarded *g, h2o_req_t *req, h2o_hpack_header_table_t *table,
                          const uint8_t *src, size_t len, size_t *content_length,
                          const char **err_desc)
{
    size_t fields_before = req->headers.size;
    struct careful c;
    int ret = parse_fields(g, req, table, src, len, NULL, &c, err_desc);
    *content_length = SIZE_MAX;
    req->headers.size = fields_before;
    guard_count(TB_GUARD_TRAILERS);
    if (ret == 0 && (c.malformed || c.soft != NULL))
        tb_guard_refuse(req, GUARD_REFUSE_MALFORMED);
    return ret;
}

/* The block had one literal `authorization`; of several fields only the literal's is meant, so then
 * nothing is learnt. */
static void learn_token(const struct tb_hpack_block *block, const h2o_req_t *req)
{
    ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, -1);
    if (at < 0 || h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, at) >= 0)
        return;
    h2o_iovec_t value = req->headers.entries[at].value;
    tb_hpack_memo_learn(block, (struct tb_str){value.base, value.len});
}

/* All names stand in the tables, where they were judged. No digests: the decoder of cache-digest is
 * one more thing to attack, and nothing here pushes. */
static int parse_known(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src,
                       size_t len, size_t token_at, int *pseudo_header_exists_map,
                       size_t *content_length, const char **err_desc)
{
    struct tb_hpack_block block = tb_hpack_memo_open(src, len, token_at);
    int ret = tb_guard_original.h2o_hpack_parse_headers(
        req, table, block.at, block.n, pseudo_header_exists_map, content_length, NULL, err_desc);
    if (ret == 0 && block.coded_n != 0)
        learn_token(&block, req);
    return ret;
}

/* RFC 9110 10.1.1: an interim answer of 100 before the body. */
static void send_continue(h2o_http2_conn_t *conn, uint32_t stream_id)
{
    static const uint8_t status[] = {0x08, 3, '1', '0', '0'};
    enum { BYTES = H2O_FRAME_HEAD_BYTES + sizeof(status) };
    uint8_t *dst = (uint8_t *)h2o_buffer_reserve(&conn->_write.buf, BYTES).base;
    dst = h2o_http2_encode_frame_header(dst, sizeof(status), H2O_FRAME_HEADERS,
                                        H2O_FLAG_END_HEADERS, (int32_t)stream_id);
    memcpy(dst, status, sizeof(status));
    conn->_write.buf->size += BYTES;
    h2o_http2_conn_request_write(conn);
}

/* The request is sound: whether its body may come, and whether the client waits to hear so. */
static void expect(struct guarded *g, h2o_req_t *req, size_t content_length)
{
    const h2o_http2_stream_t *stream = TB_CONTAINER(h2o_http2_stream_t, req, req);
    ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_EXPECT, -1);
    const h2o_iovec_t *value = at < 0 ? NULL : &req->headers.entries[at].value;
    if (value != NULL && !h2o_lcstris(value->base, value->len, H2O_STRLIT("100-continue")))
        tb_guard_refuse_head(g, req, GUARD_REFUSE_EXPECTATION);
    else if (content_length != SIZE_MAX && content_length > largest_body())
        tb_guard_refuse_head(g, req, GUARD_REFUSE_BODY);
    else if (value != NULL && stream->_req_body != NULL)
        send_continue(g->conn, stream->stream_id);
}

int h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src,
                            size_t len, int *pseudo_header_exists_map, size_t *content_length,
                            void **digests, const char **err_desc)
{
    struct guarded *g = tb_guard_self.current;
    if (g == NULL)
        return tb_guard_original.h2o_hpack_parse_headers(
            req, table, src, len, pseudo_header_exists_map, content_length, digests, err_desc);

    struct guard_hpack_brief brief;
    enum guard_refusal excess;
    int ret = measure(g, table, src, len, &brief, &excess, err_desc);
    if (ret != 0)
        return ret;
    unsigned fresh = brief.fresh;
    /* What is only referred to was judged when it came, unless something was not, or was bad. */
    bool was_tainted = g->tainted;
    if (was_tainted)
        fresh = GUARD_FRESH_NAMES | GUARD_FRESH_FIELDS;
    g->tainted = true;
    g->useful_ms = guard_now();
    if (excess != GUARD_REFUSAL_N) {
        *content_length = SIZE_MAX;
        return parse_excess(g, req, table, src, len, pseudo_header_exists_map, excess, err_desc);
    }
    if (pseudo_header_exists_map == NULL)
        return parse_trailers(g, req, table, src, len, content_length, err_desc);
    struct careful c = {.soft = NULL};
    if (was_tainted || g->careful || (brief.fresh & GUARD_FRESH_NAME) != 0) {
        ret = parse_fields(g, req, table, src, len, pseudo_header_exists_map, &c, err_desc);
        *content_length = c.content_length;
    } else {
        ret = parse_known(req, table, src, len, brief.token_at, pseudo_header_exists_map,
                          content_length, err_desc);
    }
    if (ret != 0)
        return ret;
    if (c.soft != NULL && !c.malformed) {
        *err_desc = c.soft;
        return H2O_HTTP2_ERROR_INVALID_HEADER_CHAR;
    }
    if (tb_guard_target_ok(req->input.path, req->input.method) &&
        length_is_sound(req, *content_length) && scheme_is_sound(g, req) &&
        singles_are_sound(req, &c) && ((fresh & GUARD_FRESH_NAMES) == 0 || names_are_sound(req)) &&
        ((fresh & GUARD_FRESH_FIELDS) == 0 || fields_are_sound(req))) {
        g->tainted = was_tainted;
        guard_give(&g->frames, EARN_FRAMES, tb_guard_self.limits.frame_burst);
        guard_give(&g->resets, EARN_RESETS, tb_guard_self.limits.reset_burst);
        expect(g, req, *content_length);
    } else {
        *pseudo_header_exists_map = 0;
        guard_count(TB_GUARD_MALFORMED);
    }
    return 0;
}

bool tb_guard_authority(const h2o_req_t *req, const h2o_iovec_t *names, size_t names_n)
{
    const h2o_iovec_t *a = &req->input.authority;
    for (size_t i = 0; i < names_n; i++)
        if (a->len == names[i].len && strncasecmp(a->base, names[i].base, a->len) == 0)
            return true;
    if (tb_guard_self.ctx != NULL)
        guard_count(TB_GUARD_MISDIRECTED);
    return false;
}
