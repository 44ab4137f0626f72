/* HTTP/2 header sections: measured before the library decodes them, judged after. What RFC 9113
 * calls malformed and the library lets through is answered with RST_STREAM(PROTOCOL_ERROR): the
 * guard takes back the library's note of which pseudo-header fields it saw, and the library does
 * the rest. */
#include "http/guard_conn.h"
#include "http/guard_hpack.h"
#include "http/guard_syntax.h"
#include "http/hpack_memo.h"
#include <strings.h>

/* A request pays for some control frames and a part of a reset, in thousandths. */
enum { EARN_FRAMES = 4000, EARN_RESETS = 250 };

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

static bool length_is_sound(const h2o_req_t *req, size_t content_length)
{
    const h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
    return content_length == SIZE_MAX || content_length == 0 || stream->_req_body != NULL;
}

static int refuse(struct guarded *g, enum tb_guard_kind_index kind, int code, const char **err_desc)
{
    tb_guard_condemn(g, kind);
    *err_desc = tb_guard_kinds[kind].name;
    return code;
}

/* @return 0 when the block may be decoded, or the connection error */
static int measure(struct guarded *g, const h2o_hpack_header_table_t *table, const uint8_t *src,
                   size_t len, struct guard_hpack_brief *out_brief, const char **err_desc)
{
    struct guard_hpack_limits limits = {tb_guard_self.limits.header_fields,
                                        tb_guard_self.limits.header_bytes};
    struct guard_hpack_size size = {0};
    if (tb_guard_hpack_fits(table, src, len, limits, out_brief))
        return 0;
    if (len > tb_guard_self.limits.header_block_bytes)
        return refuse(g, TB_GUARD_HEADER_BLOCK, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM, err_desc);
    enum guard_hpack_verdict verdict = tb_guard_hpack_measure(table, src, len, limits, false,
                                                              &size);
    *out_brief = (struct guard_hpack_brief){.fresh = size.fresh, .token_at = size.token_at};
    switch (verdict) {
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

/* Trailers are decoded for the sake of the table, and forgotten: the library adds them to the
 * request's fields, where they could pose as authorization (RFC 9110 6.5.1). */
static int parse_trailers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src,
                          size_t len, size_t *content_length, const char **err_desc)
{
    size_t fields_before = req->headers.size;
    int ret = tb_guard_original.h2o_hpack_parse_headers(req, table, src, len, NULL, content_length,
                                                        NULL, err_desc);
    req->headers.size = fields_before;
    guard_count(TB_GUARD_TRAILERS);
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

int h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src,
                            size_t len, int *pseudo_header_exists_map, size_t *content_length,
                            void **digests, const char **err_desc)
{
    struct guarded *g = tb_guard_self.current;
    if (g == NULL)
        return tb_guard_original.h2o_hpack_parse_headers(
            req, table, src, len, pseudo_header_exists_map, content_length, digests, err_desc);

    struct guard_hpack_brief brief;
    int ret = measure(g, table, src, len, &brief, err_desc);
    if (ret != 0)
        return ret;
    unsigned fresh = brief.fresh;
    /* What is only referred to was judged when it came, unless something was not, or was bad. */
    bool was_tainted = g->tainted;
    if (was_tainted)
        fresh = GUARD_FRESH_NAMES | GUARD_FRESH_FIELDS;
    g->tainted = true;
    g->useful_ms = guard_now();
    if (pseudo_header_exists_map == NULL)
        return parse_trailers(req, table, src, len, content_length, err_desc);
    /* No digests: the decoder of cache-digest is one more thing to attack, and nothing here pushes.
     */
    struct tb_hpack_block block = tb_hpack_memo_open(src, len, brief.token_at);
    ret = tb_guard_original.h2o_hpack_parse_headers(
        req, table, block.at, block.n, pseudo_header_exists_map, content_length, NULL, err_desc);
    if (ret != 0)
        return ret;
    if (block.coded_n != 0)
        learn_token(&block, req);
    if (tb_guard_target_ok(req->input.path, req->input.method) &&
        length_is_sound(req, *content_length) &&
        ((fresh & GUARD_FRESH_NAMES) == 0 || names_are_sound(req)) &&
        ((fresh & GUARD_FRESH_FIELDS) == 0 || fields_are_sound(req))) {
        g->tainted = was_tainted;
        guard_give(&g->frames, EARN_FRAMES, tb_guard_self.limits.frame_burst);
        guard_give(&g->resets, EARN_RESETS, tb_guard_self.limits.reset_burst);
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
