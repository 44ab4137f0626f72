#include "http/names.h"
#include <string.h>

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
    return text.n == TB_TRACEPARENT_CHARS && memcmp(t, "00-", 3) == 0 && t[35] == '-' &&
           t[52] == '-' && hex(t + 3, 32, &zero_trace) && hex(t + 36, 16, &zero_parent) &&
           hex(t + 53, 2, &zero) && !zero_trace && !zero_parent;
}

static void write_hex(char *out, uint64_t bits)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 15; i >= 0; i--, bits >>= 4)
        out[i] = digits[bits & 15];
}

bool tb_interaction_id_fits(struct tb_str sent)
{
    return sent.n == TB_UUID_CHARS && tb_uuid_check(sent);
}

void tb_request_id_make(char out[TB_UUID_CHARS + 1], struct tb_str sent)
{
    if (!tb_interaction_id_fits(sent)) {
        tb_uuid_make(out);
        return;
    }
    for (size_t i = 0; i < TB_UUID_CHARS; i++)
        out[i] = sent.at[i] >= 'A' && sent.at[i] <= 'F' ? (char)(sent.at[i] | 0x20) : sent.at[i];
    out[TB_UUID_CHARS] = '\0';
}

void tb_traceparent_make(char out[TB_TRACEPARENT_CHARS + 1], struct tb_str sent,
                         const char request_id[TB_UUID_CHARS + 1])
{
    if (valid_traceparent(sent)) {
        memcpy(out, sent.at, TB_TRACEPARENT_CHARS);
    } else {
        memcpy(out, "00-", 3);
        size_t n = 3;
        for (size_t i = 0; i < TB_UUID_CHARS; i++)
            if (request_id[i] != '-')
                out[n++] = request_id[i];
        out[n] = out[n + 17] = '-';
        memcpy(out + n + 18, "01", 2);
    }
    write_hex(out + 36, tb_random_u64() | 1);
    out[TB_TRACEPARENT_CHARS] = '\0';
}
