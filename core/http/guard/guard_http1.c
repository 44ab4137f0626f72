/* HTTP/1: what two parsers could read differently is refused before the library acts on it (request
 * smuggling; RFC 9112 2.2, 3.2, 5.1, 5.2, 6.3, 7.1, 11.2). The library's own parser runs first; the
 * guard judges what it found. The chunked decoder is replaced whole, because the library's takes
 * bare LF, any number of CR, and trailers and extensions of any length. */
#include "base/text.h"
#include "http/guard/guard_conn.h"
#include "http/guard/guard_syntax.h"
#include <string.h>
#include <strings.h>

/* ---- the head ---- */

static bool is_named(const struct phr_header *h, const char *name, size_t len)
{
    return h->name_len == len && strncasecmp(h->name, name, len) == 0;
}

static bool is_decimal(const char *text, size_t len)
{
    if (len == 0 || len > 18)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

/* The library takes a bare LF for the end of a line; a proxy before us may not. */
static bool has_bare_lf(const char *buf, size_t len)
{
    const char *end = buf + len;
    for (const char *at = buf; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        if (at == buf || at[-1] != '\r')
            return true;
    return false;
}

static void trim(struct phr_header *h)
{
    while (h->value_len != 0 &&
           (h->value[h->value_len - 1] == ' ' || h->value[h->value_len - 1] == '\t'))
        h->value_len--;
}

/* What a head says about itself, beside its fields one by one. */
struct head_sum {
    unsigned hosts, lengths, codings;
    size_t bytes; /* as in guard_hpack_size */
    bool body_too_large;
    bool unknown_expectation;
};

static bool length_is_sound(const struct phr_header *h, struct head_sum *sum)
{
    sum->lengths++;
    if (!is_decimal(h->value, h->value_len))
        return false;
    sum->body_too_large = h2o_strtosize(h->value, h->value_len) >
                          tb_guard_self.ctx->globalconf->max_request_entity_size;
    return true;
}

static bool field_is_sound(const struct phr_header *h, struct head_sum *sum)
{
    if (is_named(h, H2O_STRLIT("host"))) {
        sum->hosts++;
        return tb_guard_authority_ok(h2o_iovec_init(h->value, h->value_len));
    }
    if (is_named(h, H2O_STRLIT("content-length")))
        return length_is_sound(h, sum);
    if (is_named(h, H2O_STRLIT("transfer-encoding"))) {
        sum->codings++;
        return h->value_len == 7 && strncasecmp(h->value, "chunked", 7) == 0;
    }
    if (is_named(h, H2O_STRLIT("expect")) &&
        !h2o_lcstris(h->value, h->value_len, H2O_STRLIT("100-continue")))
        sum->unknown_expectation = true;
    return true;
}

static bool fields_are_sound(struct phr_header *headers, size_t n, int minor_version,
                             struct head_sum *sum)
{
    *sum = (struct head_sum){0};
    for (size_t i = 0; i < n; i++) {
        struct phr_header *h = &headers[i];
        if (h->name == NULL) /* obs-fold */
            return false;
        trim(h);
        sum->bytes += h->name_len + h->value_len + 32;
        if (!field_is_sound(h, sum))
            return false;
    }
    if (sum->codings > 1 || sum->lengths > 1 || sum->hosts > 1 ||
        (sum->codings != 0 && sum->lengths != 0))
        return false;
    return minor_version >= 1 ? sum->hosts == 1 : sum->codings == 0;
}

/* The library's cue to speak HTTP/2 from now on, where that is served. */
static bool is_preface(const char *buf, size_t len)
{
    static const char preface[] = "PRI * HTTP/2";
    size_t n = len < sizeof(preface) - 1 ? len : sizeof(preface) - 1;
    return tb_guard_self.ctx->globalconf->http1.upgrade_to_http2 != 0 &&
           memcmp(buf, preface, n) == 0;
}

/* Blank lines behind a request, which the library passes over. */
static bool is_blank(const char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (buf[i] != '\r' && buf[i] != '\n')
            return false;
    return len <= 4;
}

static bool begins(h2o_iovec_t text, const char *head, size_t n)
{
    return text.len > n && strncasecmp(text.base, head, n) == 0;
}

/* A target in absolute form (RFC 9112 3.2.2): its authority counts, whatever Host says. Without a
 * path the slash takes the place of the octet in front of the query, and the authority moves. */
static void split_absolute(h2o_iovec_t *target, struct phr_header *headers, size_t n)
{
    size_t scheme = begins(*target, H2O_STRLIT("https://"))  ? 8
                    : begins(*target, H2O_STRLIT("http://")) ? 7
                                                             : 0;
    if (scheme == 0)
        return;
    char *authority = target->base + scheme, *end = target->base + target->len, *path = authority;
    while (path != end && *path != '/' && *path != '?')
        path++;
    size_t authority_n = (size_t)(path - authority);
    if (path == end) {
        *target = h2o_iovec_init(H2O_STRLIT("/"));
    } else {
        if (*path == '?') {
            memmove(authority - 1, authority, authority_n);
            authority--;
            *--path = '/';
        }
        *target = h2o_iovec_init(path, (size_t)(end - path));
    }
    for (size_t i = 0; i < n; i++)
        if (headers[i].name != NULL && is_named(&headers[i], H2O_STRLIT("host"))) {
            headers[i].value = authority;
            headers[i].value_len = authority_n;
        }
}

/* Why a complete head is refused; GUARD_REFUSAL_N: it is not. */
static enum guard_refusal judge_head(h2o_iovec_t method, h2o_iovec_t path, int minor_version,
                                     struct phr_header *headers, size_t n)
{
    const struct tb_guard_limits *limits = &tb_guard_self.limits;
    struct head_sum sum;
    if (!tb_guard_method_ok(method) || !tb_guard_target_ok(path, method) ||
        !fields_are_sound(headers, n, minor_version, &sum))
        return GUARD_REFUSE_SYNTAX;
    if (n > limits->header_fields)
        return GUARD_REFUSE_FIELDS;
    if (sum.bytes > limits->header_bytes)
        return GUARD_REFUSE_BYTES;
    if (sum.unknown_expectation)
        return GUARD_REFUSE_EXPECTATION;
    return sum.body_too_large ? GUARD_REFUSE_BODY : GUARD_REFUSAL_N;
}

/* Of the fields of a refused request only those stay that its answer repeats. */
static size_t keep_names(struct phr_header *headers, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (headers[i].name != NULL &&
            (is_named(&headers[i], H2O_STRLIT("x-request-id")) ||
             is_named(&headers[i], H2O_STRLIT("x-fapi-interaction-id")) ||
             is_named(&headers[i], H2O_STRLIT("traceparent")) ||
             is_named(&headers[i], H2O_STRLIT("origin"))))
            headers[kept++] = headers[i];
    return kept;
}

/* A refused request reaches the handler, which answers, as one that has nothing but its method: a
 * request for HEAD is answered without a body. The connection closes behind it, so all that has
 * been read counts as its head. */
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len,
                      const char **path, size_t *path_len, int *minor_version,
                      struct phr_header *headers, size_t *num_headers, size_t last_len)
{
    size_t most = *num_headers;
    int ret = tb_guard_original.phr_parse_request(buf, len, method, method_len, path, path_len,
                                                  minor_version, headers, num_headers, last_len);
    if (tb_guard_self.ctx == NULL)
        return ret;
    enum guard_refusal refusal = GUARD_REFUSAL_N;
    bool parsed = ret > 0;
    if (parsed) {
        h2o_iovec_t target = h2o_iovec_init(*path, *path_len);
        bool bare = has_bare_lf(buf, (size_t)ret);
        split_absolute(&target, headers, *num_headers);
        *path = target.base;
        *path_len = target.len;
        refusal = bare ? GUARD_REFUSE_SYNTAX
                       : judge_head(h2o_iovec_init(*method, *method_len), target, *minor_version,
                                    headers, *num_headers);
    }
    if (ret == -1 && !is_preface(buf, len) && !is_blank(buf, len))
        refusal = *num_headers == most ? GUARD_REFUSE_FIELDS : GUARD_REFUSE_SYNTAX;
    else if (ret == -2 && len > tb_guard_self.limits.header_block_bytes)
        refusal = GUARD_REFUSE_BYTES;
    if (refusal == GUARD_REFUSAL_N)
        return ret;
    tb_guard_refuse(NULL, refusal);
    *num_headers = parsed ? keep_names(headers, *num_headers) : 0;
    if (!parsed || !tb_guard_method_ok(h2o_iovec_init(*method, *method_len))) {
        *method = "GET";
        *method_len = 3;
    }
    *path = "/";
    *path_len = 1;
    *minor_version = 1;
    return (int)len;
}

/* ---- the chunked body ---- */

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_DATA, /* 2: the library asks for this one */
    CHUNK_SIZE_LF,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_HEAD,
    CHUNK_TRAILER,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
    CHUNK_COMPLETE,
    CHUNK_ERROR,
};
enum { CHUNK_DIGITS = 8, EXTENSION_BYTES = 100, TRAILER_BYTES = 4096 };

static bool is_line_char(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

static enum chunk_state after_size_digit(struct phr_chunked_decoder *d, char c)
{
    int value = tb_hex_digit(c);
    if (value >= 0) {
        if (d->_hex_count++ == CHUNK_DIGITS)
            return CHUNK_ERROR;
        d->bytes_left_in_chunk = d->bytes_left_in_chunk * 16 + (size_t)value;
        return CHUNK_SIZE;
    }
    if (d->_hex_count == 0)
        return CHUNK_ERROR;
    d->_hex_count = 0;
    return c == '\r' ? CHUNK_SIZE_LF : c == ';' ? CHUNK_EXTENSION : CHUNK_ERROR;
}

/* One octet outside of data. In trailers bytes_left_in_chunk, which has come to 0, counts them. */
static enum chunk_state next_state(struct phr_chunked_decoder *d, char c)
{
    switch ((enum chunk_state)d->_state) {
    case CHUNK_SIZE:
        return after_size_digit(d, c);
    case CHUNK_EXTENSION:
        if (c == '\r') {
            d->_hex_count = 0;
            return CHUNK_SIZE_LF;
        }
        return is_line_char(c) && d->_hex_count++ < EXTENSION_BYTES ? CHUNK_EXTENSION : CHUNK_ERROR;
    case CHUNK_SIZE_LF:
        if (c != '\n')
            return CHUNK_ERROR;
        if (d->bytes_left_in_chunk != 0)
            return CHUNK_DATA;
        return d->consume_trailer ? CHUNK_TRAILER_HEAD : CHUNK_COMPLETE;
    case CHUNK_DATA_CR:
        return c == '\r' ? CHUNK_DATA_LF : CHUNK_ERROR;
    case CHUNK_DATA_LF:
        return c == '\n' ? CHUNK_SIZE : CHUNK_ERROR;
    case CHUNK_TRAILER_HEAD:
        if (c == '\r')
            return CHUNK_END_LF;
        return c != ' ' && c != '\t' && is_line_char(c) ? CHUNK_TRAILER : CHUNK_ERROR;
    case CHUNK_TRAILER:
        if (c == '\r')
            return CHUNK_TRAILER_LF;
        return is_line_char(c) && ++d->bytes_left_in_chunk <= TRAILER_BYTES ? CHUNK_TRAILER
                                                                            : CHUNK_ERROR;
    case CHUNK_TRAILER_LF:
        return c == '\n' ? CHUNK_TRAILER_HEAD : CHUNK_ERROR;
    case CHUNK_END_LF:
        return c == '\n' ? CHUNK_COMPLETE : CHUNK_ERROR;
    default:
        return CHUNK_ERROR;
    }
}

ssize_t phr_decode_chunked(struct phr_chunked_decoder *d, char *buf, size_t *bufsz)
{
    if (tb_guard_self.ctx == NULL)
        return tb_guard_original.phr_decode_chunked(d, buf, bufsz);
    size_t dst = 0, src = 0, size = *bufsz;
    while (src < size && d->_state != CHUNK_COMPLETE && d->_state != CHUNK_ERROR) {
        if (d->_state != CHUNK_DATA) {
            d->_state = (char)next_state(d, buf[src++]);
            continue;
        }
        size_t n = size - src < d->bytes_left_in_chunk ? size - src : d->bytes_left_in_chunk;
        memmove(buf + dst, buf + src, n);
        dst += n;
        src += n;
        d->bytes_left_in_chunk -= n;
        if (d->bytes_left_in_chunk == 0)
            d->_state = CHUNK_DATA_CR;
    }
    memmove(buf + dst, buf + src, size - src);
    *bufsz = dst;
    if (d->_state == CHUNK_COMPLETE)
        return (ssize_t)(size - src);
    if (d->_state != CHUNK_ERROR)
        return -2;
    guard_count(TB_GUARD_CHUNKED_REFUSED);
    return -1;
}
