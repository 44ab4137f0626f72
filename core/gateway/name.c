/* The names of a request: its id, and its place in the trace of the client. Both are on every
 * answer, refusals included, so that a partner's log and the bank's can be laid side by side. */
#include "base/random.h"
#include "gateway/exchange.h"

enum { TRACE_CHARS = 55 };

static void lower(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] >= 'A' && text[i] <= 'F')
            text[i] = (char)(text[i] | 0x20);
}

static bool hex(const char *at, size_t n, bool *out_zero)
{
    *out_zero = true;
    for (size_t i = 0; i < n; i++) {
        if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
            return false;
        *out_zero = *out_zero && at[i] == '0';
    }
    return true;
}

/* version "00", 32 hex digits not all zero, 16 not all zero, 2: W3C Trace Context §3.2.2. */
static bool valid_traceparent(struct tb_str text)
{
    bool zero_trace, zero_parent, zero;
    const char *t = text.at;
    return text.n == TRACE_CHARS && memcmp(t, "00-", 3) == 0 && t[35] == '-' && t[52] == '-' &&
           hex(t + 3, 32, &zero_trace) && hex(t + 36, 16, &zero_parent) && hex(t + 53, 2, &zero) &&
           !zero_trace && !zero_parent;
}

static void write_hex(char *out, uint64_t bits)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 15; i >= 0; i--, bits >>= 4)
        out[i] = digits[bits & 15];
}

/* Our own span below the client's, or the head of a trace whose id is the request's. */
static void make_traceparent(struct tb_exchange *x)
{
    char *out = x->traceparent;
    if (valid_traceparent(x->in.traceparent)) {
        memcpy(out, x->in.traceparent.at, TRACE_CHARS);
    } else {
        memcpy(out, "00-", 3);
        size_t n = 3;
        for (size_t i = 0; i < TB_UUID_CHARS; i++)
            if (x->request_id[i] != '-')
                out[n++] = x->request_id[i];
        out[n] = out[n + 17] = '-';
        memcpy(out + n + 18, "01", 2);
    }
    write_hex(out + 36, tb_random_u64() | 1);
    out[TRACE_CHARS] = '\0';
}

void tb_exchange_name(struct tb_exchange *x)
{
    if (x->in.request_id.n == TB_UUID_CHARS && tb_uuid_check(x->in.request_id)) {
        memcpy(x->request_id, x->in.request_id.at, TB_UUID_CHARS);
        x->request_id[TB_UUID_CHARS] = '\0';
        lower(x->request_id, TB_UUID_CHARS);
    } else {
        tb_uuid_make(x->request_id);
    }
    make_traceparent(x);
    memcpy(x->trace.request_id, x->request_id, TB_UUID_CHARS);
    tb_exchange_header(x, TB_STR("x-request-id"), (struct tb_str){x->request_id, TB_UUID_CHARS});
    tb_exchange_header(x, TB_STR("traceparent"), (struct tb_str){x->traceparent, TRACE_CHARS});
}

bool tb_exchange_header(struct tb_exchange *x, struct tb_str name, struct tb_str value)
{
    if (x->reply_headers_n == TB_REPLY_HEADERS_MAX)
        return false;
    x->reply_headers[x->reply_headers_n++] = (struct tb_header){name, value};
    return true;
}
