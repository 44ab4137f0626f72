/* The heads of HTTP/2 answers, in place of libh2o's encoder. The library keeps every field it sends
 * in its dynamic table: an id that is new in each answer costs two allocations, an eviction, a
 * search of up to 32 entries for every other field, and Huffman coding; six such fields cost more
 * instructions than all the rest of a request. Here only fields that repeat are kept, and values go
 * out as they are.
 *
 * It also keeps to the table size a peer asks for (RFC 9113 §6.5.2), which the library does not.
 * Source: RFC 7541. */
#include "http/guard/guard_h2o.h"
#include <stdbool.h>
#include <string.h>
#include <tongbao/types.h>

enum {
    STATIC_ENTRIES = 61,
    KEPT_ENTRIES = 16,   /**< in the dynamic table; a date a second pushes one of them out */
    ENTRY_OVERHEAD = 32, /**< RFC 7541 §4.1 */
    INTEGER_BYTES = 6,   /**< most for 32 bits behind any prefix */
    STATUS_BYTES = 5,
    LENGTH_BYTES = 2 + 1 + 20,
    SIZE_UPDATE_BYTES = 1,
};

/* First bytes of a representation, RFC 7541 §6. */
enum {
    INDEXED = 0x80,      /**< index with 7 bits */
    KEPT = 0x40,         /**< with incremental indexing; name index with 6 bits */
    TABLE_SIZE_0 = 0x20, /**< dynamic table size update to 0 */
    PASSING = 0x00,      /**< without indexing; name index with 4 bits */
    NEVER = 0x10,        /**< the same, and nobody on the way may index it */
    NAME_STATUS = 8,     /**< indexes of names in the static table */
    NAME_CONTENT_LENGTH = 28,
};

static uint8_t *put_integer(uint8_t *dst, uint8_t first, unsigned prefix_bits, size_t value)
{
    size_t most = ((size_t)1 << prefix_bits) - 1;
    if (value < most) {
        *dst++ = (uint8_t)(first | value);
        return dst;
    }
    *dst++ = (uint8_t)(first | most);
    for (value -= most; value >= 0x80; value >>= 7)
        *dst++ = (uint8_t)(0x80 | value);
    *dst++ = (uint8_t)value;
    return dst;
}

static uint8_t *put_text(uint8_t *dst, const h2o_iovec_t *text)
{
    dst = put_integer(dst, 0, 7, text->len);
    memcpy(dst, text->base, text->len);
    return dst + text->len;
}

/* Tokens are names the library knows; each is one object, so comparing addresses is enough. */
static bool is_token(const h2o_iovec_t *name)
{
    return (uintptr_t)name >= (uintptr_t)h2o__tokens &&
           (uintptr_t)name < (uintptr_t)(h2o__tokens + H2O_MAX_TOKENS);
}

static bool same(const h2o_iovec_t *a, const h2o_iovec_t *b)
{
    return a->len == b->len && memcmp(a->base, b->base, a->len) == 0;
}

/* ---- the dynamic table: libh2o's structure, which it frees with the connection ---- */

static void evict(h2o_hpack_header_table_t *table)
{
    size_t at = (table->entry_start_index + --table->num_entries) % table->entry_capacity;
    h2o_hpack_header_table_entry_t *oldest = &table->entries[at];
    table->hpack_size -= oldest->name->len + oldest->value->len + ENTRY_OVERHEAD;
    if (!is_token(oldest->name))
        h2o_mem_release_shared(oldest->name);
    h2o_mem_release_shared(oldest->value);
}

/* Index of the entry with this name and value, 0 when there is none. */
static size_t find_field(const h2o_hpack_header_table_t *table, const h2o_iovec_t *name,
                         const h2o_iovec_t *value)
{
    bool token = is_token(name);
    for (size_t i = 0; i < table->num_entries; i++) {
        const h2o_hpack_header_table_entry_t *entry =
            &table->entries[(table->entry_start_index + i) % KEPT_ENTRIES];
        if ((token ? entry->name == name : same(entry->name, name)) && same(entry->value, value))
            return STATIC_ENTRIES + 1 + i;
    }
    return 0;
}

static h2o_iovec_t *shared_copy(const h2o_iovec_t *text)
{
    h2o_iovec_t *copy = h2o_mem_alloc_shared(NULL, sizeof(*copy) + text->len + 1, NULL);
    copy->base = (char *)(copy + 1);
    copy->len = text->len;
    memcpy(copy->base, text->base, text->len);
    copy->base[text->len] = '\0';
    return copy;
}

/* Keep a field, as the peer will when it reads it. @return false when the table is too small for it
 */
static bool add_field(h2o_hpack_header_table_t *table, h2o_iovec_t *name, const h2o_iovec_t *value)
{
    size_t size = name->len + value->len + ENTRY_OVERHEAD;
    if (size > table->hpack_capacity)
        return false;
    /* dropping more than the peer does is safe: indexes count from the newest */
    while (table->num_entries == KEPT_ENTRIES ||
           (table->num_entries > 0 && table->hpack_size + size > table->hpack_capacity))
        evict(table);
    if (table->entries == NULL) {
        table->entries = h2o_mem_alloc(KEPT_ENTRIES * sizeof(*table->entries));
        table->entry_capacity = KEPT_ENTRIES;
    }
    table->entry_start_index = (table->entry_start_index + KEPT_ENTRIES - 1) % KEPT_ENTRIES;
    table->entries[table->entry_start_index] = (h2o_hpack_header_table_entry_t){
        .name = is_token(name) ? name : shared_copy(name),
        .value = shared_copy(value),
    };
    table->num_entries++;
    table->hpack_size += size;
    return true;
}

/* ---- fields ---- */

/* Whether a field has the same value in many answers of a connection. */
static bool repeats(const h2o_iovec_t *name, bool token)
{
    if (!token)
        return name->len == sizeof("ratelimit-policy") - 1 &&
               memcmp(name->base, "ratelimit-policy", name->len) == 0;
    return name == &H2O_TOKEN_DATE->buf || name == &H2O_TOKEN_CONTENT_TYPE->buf ||
           name == &H2O_TOKEN_CACHE_CONTROL->buf || name == &H2O_TOKEN_VARY->buf ||
           name == &H2O_TOKEN_STRICT_TRANSPORT_SECURITY->buf || name == &H2O_TOKEN_SERVER->buf;
}

/* Sessions, and redirects whose URL has an authorization code: what lies in a table can be guessed
 * at by the length of what follows (RFC 7541 §7.1.3). */
static bool is_secret(const h2o_iovec_t *name)
{
    return name == &H2O_TOKEN_SET_COOKIE->buf || name == &H2O_TOKEN_LOCATION->buf;
}

static uint8_t *put_field(uint8_t *dst, h2o_hpack_header_table_t *table, h2o_iovec_t *name,
                          const h2o_iovec_t *value)
{
    bool token = is_token(name);
    uint8_t form = token && is_secret(name) ? NEVER : PASSING;
    unsigned prefix_bits = 4;
    if (repeats(name, token)) {
        size_t index = find_field(table, name, value);
        if (index != 0)
            return put_integer(dst, INDEXED, 7, index);
        if (add_field(table, name, value)) {
            form = KEPT;
            prefix_bits = 6;
        }
    }
    size_t name_index = 0;
    if (token)
        name_index = (size_t)TB_CONTAINER(h2o_token_t, buf, name)->http2_static_table_name_index;
    dst = put_integer(dst, form, prefix_bits, name_index);
    if (name_index == 0)
        dst = put_text(dst, name);
    return put_text(dst, value);
}

static uint8_t *put_status(uint8_t *dst, int status)
{
    static const short indexed[] = {200, 204, 206, 304, 400, 404, 500}; /* entries 8 to 14 */
    for (size_t i = 0; i < TB_COUNT(indexed); i++)
        if (status == indexed[i])
            return put_integer(dst, INDEXED, 7, NAME_STATUS + i);
    dst = put_integer(dst, PASSING, 4, NAME_STATUS);
    *dst++ = 3;
    *dst++ = (uint8_t)('0' + status / 100);
    *dst++ = (uint8_t)('0' + status / 10 % 10);
    *dst++ = (uint8_t)('0' + status % 10);
    return dst;
}

static uint8_t *put_content_length(uint8_t *dst, size_t length)
{
    char digits[20], *at = digits + sizeof(digits);
    do
        *--at = (char)('0' + length % 10);
    while ((length /= 10) != 0);
    h2o_iovec_t text = {at, (size_t)(digits + sizeof(digits) - at)};
    return put_text(put_integer(dst, PASSING, 4, NAME_CONTENT_LENGTH), &text);
}

/* ---- frames ---- */

/* Put frame heads on the block that lies behind room for one. */
static void frame(h2o_buffer_t **buf, size_t start, size_t block, size_t most, uint32_t stream_id)
{
    size_t more = block == 0 ? 0 : (block - 1) / most; /* CONTINUATION frames */
    if (more > 0)
        h2o_buffer_reserve(buf, more * H2O_FRAME_HEAD_BYTES);
    char *first = (*buf)->bytes + start + H2O_FRAME_HEAD_BYTES;
    for (size_t i = more; i > 0; i--) { /* from the back, to make room between the pieces */
        size_t from = i * most, n = i == more ? block - from : most;
        char *to = first + from + i * H2O_FRAME_HEAD_BYTES;
        memmove(to, first + from, n);
        h2o_http2_encode_frame_header((uint8_t *)to - H2O_FRAME_HEAD_BYTES, n,
                                      H2O_FRAME_CONTINUATION, i == more ? H2O_FLAG_END_HEADERS : 0,
                                      (int32_t)stream_id);
    }
    h2o_http2_encode_frame_header((uint8_t *)(*buf)->bytes + start, more > 0 ? most : block,
                                  H2O_FRAME_HEADERS, more > 0 ? 0 : H2O_FLAG_END_HEADERS,
                                  (int32_t)stream_id);
    (*buf)->size = start + block + (more + 1) * H2O_FRAME_HEAD_BYTES;
}

static size_t most_bytes(const h2o_res_t *res)
{
    size_t n = H2O_FRAME_HEAD_BYTES + SIZE_UPDATE_BYTES + STATUS_BYTES + LENGTH_BYTES + 1 +
               INTEGER_BYTES + H2O_TIMESTR_RFC1123_LEN;
    for (size_t i = 0; i < res->headers.size; i++)
        n += res->headers.entries[i].name->len + res->headers.entries[i].value.len +
             3 * INTEGER_BYTES;
    return n;
}

/* Called by libh2o with an answer that is ready to go. */
void h2o_hpack_flatten_response(h2o_buffer_t **buf, h2o_hpack_header_table_t *table,
                                uint32_t stream_id, size_t max_frame_size, h2o_res_t *res,
                                h2o_timestamp_t *ts, const h2o_iovec_t *server_name,
                                size_t content_length)
{
    const h2o_http2_conn_t *conn = TB_CONTAINER(h2o_http2_conn_t, _output_header_table, table);
    size_t start = (*buf)->size;
    uint8_t *block = (uint8_t *)h2o_buffer_reserve(buf, most_bytes(res) + server_name->len +
                                                            3 * INTEGER_BYTES)
                         .base +
                     H2O_FRAME_HEAD_BYTES;
    uint8_t *dst = block;

    /* a peer that wants a smaller table than ours gets none */
    if (conn->peer_settings.header_table_size < table->hpack_capacity) {
        while (table->num_entries > 0)
            evict(table);
        table->hpack_capacity = 0;
        *dst++ = TABLE_SIZE_0;
    }
    dst = put_status(dst, res->status);
    if (server_name->len > 0)
        dst = put_field(dst, table, &H2O_TOKEN_SERVER->buf, server_name);
    const h2o_iovec_t date = {ts->str->rfc1123, H2O_TIMESTR_RFC1123_LEN};
    dst = put_field(dst, table, &H2O_TOKEN_DATE->buf, &date);
    for (size_t i = 0; i < res->headers.size; i++)
        dst = put_field(dst, table, res->headers.entries[i].name, &res->headers.entries[i].value);
    if (content_length != SIZE_MAX)
        dst = put_content_length(dst, content_length);
    frame(buf, start, (size_t)(dst - block), max_frame_size, stream_id);
}
