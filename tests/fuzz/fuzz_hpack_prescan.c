/* The pre-scan of header blocks against two decoders. The input is a sequence of blocks, each led
 * by its length in two bytes, all decoded with one dynamic table. Properties, for every block:
 *   - what libnghttp2 decodes has exactly the fields and bytes that the exact scan counted;
 *   - the quick scan agrees on the number of fields, and never counts fewer bytes;
 *   - a block of the usual kind, which is not measured, is within the limits, and nothing of it is
 * fresh;
 *   - libh2o finds no coding error in a block that the scan understood, so both read the same. */
#include "http/guard/guard_hpack.h"
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 16384 };

void h2o_hpack_dispose_header_table(h2o_hpack_header_table_t *header_table);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Fields and bytes that libnghttp2 makes of a block. False when it refuses. */
static bool inflate(nghttp2_hd_inflater *inflater, const uint8_t *src, size_t len,
                    struct guard_hpack_size *out)
{
    *out = (struct guard_hpack_size){0};
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, src, len, 1);
        if (used < 0)
            return false;
        src += used;
        len -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            out->fields++;
            out->bytes += (uint32_t)(nv.namelen + nv.valuelen + 32);
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            return nghttp2_hd_inflate_end_headers(inflater) == 0;
        if (len == 0 && (flags & NGHTTP2_HD_INFLATE_EMIT) == 0)
            return false;
    }
}

/* Let libh2o decode the block, for its table. False when it breaks off in the middle, which it may
 * for what the fields say, but not for how they are coded. */
static bool decode(h2o_hpack_header_table_t *table, const uint8_t *src, size_t len)
{
    h2o_req_t req;
    int seen = 0;
    size_t content_length;
    const char *err_desc = NULL;
    memset(&req, 0, offsetof(h2o_req_t, pool));
    h2o_mem_init_pool(&req.pool);
    int ret = h2o_hpack_parse_headers(&req, table, src, len, &seen, &content_length, NULL,
                                      &err_desc);
    h2o_mem_clear_pool(&req.pool);
    require(ret != H2O_HTTP2_ERROR_COMPRESSION);
    return ret == 0 || ret == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR;
}

/* @return whether table and inflater are still in step */
static bool try_block(h2o_hpack_header_table_t *table, nghttp2_hd_inflater *inflater,
                      const uint8_t *src, size_t len)
{
    static const struct guard_hpack_limits none = {TB_GUARD_HPACK_FIELDS, UINT32_MAX};
    struct guard_hpack_size exact, quick, truth;
    enum guard_hpack_verdict verdict = tb_guard_hpack_measure(table, src, len, none, true, &exact);
    enum guard_hpack_verdict guess = tb_guard_hpack_measure(table, src, len, none, false, &quick);
    static const struct guard_hpack_limits limits = {100, 32768};
    struct guard_hpack_brief brief;
    if (tb_guard_hpack_fits(table, src, len, limits, &brief) && verdict == GUARD_HPACK_FITS)
        require(exact.fields <= limits.fields && exact.bytes <= limits.bytes &&
                exact.fresh == brief.fresh);
    bool inflated = inflate(inflater, src, len, &truth);
    if (verdict == GUARD_HPACK_TOO_MANY) {
        require(guess == verdict || guess == GUARD_HPACK_BROKEN);
        return false;
    }
    if (verdict == GUARD_HPACK_BROKEN)
        return false;
    require(guess == GUARD_HPACK_FITS && quick.fields == exact.fields &&
            quick.bytes >= exact.bytes);
    if (inflated)
        require(truth.fields == exact.fields && truth.bytes == exact.bytes);
    return decode(table, src, len) && inflated;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    h2o_hpack_header_table_t table = {.hpack_capacity = 4096, .hpack_max_capacity = 4096};
    nghttp2_hd_inflater *inflater;
    require(nghttp2_hd_inflate_new(&inflater) == 0);
    while (size >= 2) {
        size_t len = ((size_t)data[0] << 8 | data[1]) % (BLOCK_BYTES + 1);
        data += 2;
        size -= 2;
        if (len > size)
            len = size;
        if (!try_block(&table, inflater, data, len))
            break;
        data += len;
        size -= len;
    }
    nghttp2_hd_inflate_del(inflater);
    h2o_hpack_dispose_header_table(&table);
    return 0;
}
