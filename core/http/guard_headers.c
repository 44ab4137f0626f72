/* HTTP/2 header sections: measured before the library decodes them, judged after. What RFC 9113
 * calls malformed and the library lets through is answered with RST_STREAM(PROTOCOL_ERROR): the
 * guard takes back the library's note of which pseudo-header fields it saw, and the library does
 * the rest. */
#include "http/guard_conn.h"
#include "http/guard_hpack.h"
#include "http/guard_syntax.h"
#include <strings.h>

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
        if (!tb_guard_value_is_trimmed(h->value) || is_connection_field(h->name))
            return false;
    }
    return true;
}

static bool request_is_sound(const h2o_req_t *req, size_t content_length)
{
    const h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
    bool has_body = stream->_req_body != NULL;
    return tb_guard_method_ok(req->input.method) &&
           tb_guard_target_ok(req->input.path, req->input.method) &&
           (req->input.authority.base == NULL || tb_guard_authority_ok(req->input.authority)) &&
           (has_body || content_length == SIZE_MAX || content_length == 0) && fields_are_sound(req);
}

static int refuse(struct guarded *g, enum tb_guard_kind_index kind, int code, const char **err_desc)
{
    tb_guard_condemn(g, kind);
    *err_desc = tb_guard_kinds[kind].name;
    return code;
}

/* @return 0 when the block may be decoded, or the connection error */
static int measure(struct guarded *g, const h2o_hpack_header_table_t *table, const uint8_t *src,
                   size_t len, const char **err_desc)
{
    const struct tb_guard_limits *limits = &tb_guard_self.limits;
    struct guard_hpack_size size;
    if (len > limits->header_block_bytes)
        return refuse(g, TB_GUARD_HEADER_BLOCK, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM, err_desc);
    switch (tb_guard_hpack_measure(
        table, src, len, (struct guard_hpack_limits){limits->header_fields, limits->header_bytes},
        false, &size)) {
    case GUARD_HPACK_TOO_MANY:
        return refuse(g, TB_GUARD_HEADER_FIELDS, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM, err_desc);
    case GUARD_HPACK_TOO_LARGE:
        return refuse(g, TB_GUARD_HEADER_BYTES, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM, err_desc);
    case GUARD_HPACK_BROKEN:
        return refuse(g, TB_GUARD_HEADER_CODING, H2O_HTTP2_ERROR_COMPRESSION, err_desc);
    case GUARD_HPACK_FITS:
        break;
    }
    return 0;
}

int h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src,
                            size_t len, int *pseudo_header_exists_map, size_t *content_length,
                            void **digests, const char **err_desc)
{
    struct guarded *g = tb_guard_self.current;
    if (g == NULL)
        return tb_guard_original.h2o_hpack_parse_headers(
            req, table, src, len, pseudo_header_exists_map, content_length, digests, err_desc);

    int ret = measure(g, table, src, len, err_desc);
    if (ret != 0)
        return ret;
    g->useful_ms = guard_now();
    size_t fields_before = req->headers.size;
    /* No digests: the decoder of cache-digest is one more thing to attack, and nothing here pushes.
     */
    ret = tb_guard_original.h2o_hpack_parse_headers(req, table, src, len, pseudo_header_exists_map,
                                                    content_length, NULL, err_desc);
    if (ret != 0)
        return ret;
    if (pseudo_header_exists_map == NULL) {
        /* The library adds trailers to the request's fields, where they could pose as authorization
         * (RFC 9110 6.5.1). They were decoded for the sake of the table, and are forgotten. */
        req->headers.size = fields_before;
        guard_count(TB_GUARD_TRAILERS);
    } else if (!request_is_sound(req, *content_length)) {
        *pseudo_header_exists_map = 0;
        guard_count(TB_GUARD_MALFORMED);
    } else {
        tb_guard_earn(g);
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
