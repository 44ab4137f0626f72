/* Idempotency-Key: the key of a write as the client sent it, bare or as a String. Source:
 * draft-ietf-httpapi-idempotency-key-header-07; RFC 8941 §3.3.3. */
#include "gateway/exchange.h"

static bool visible(char c)
{
    return c >= 0x21 && c <= 0x7e;
}

/* Undo the quotes of an RFC 8941 String. False when it is not one. */
static bool unquote(struct tb_arena *arena, struct tb_str raw, struct tb_str *out)
{
    char *at = tb_arena_raw(arena, raw.n);
    size_t n = 0;
    if (at == NULL || raw.n < 2 || raw.at[raw.n - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < raw.n; i++) {
        char c = raw.at[i];
        if (c == '\\') {
            c = raw.at[++i];
            if (i + 1 >= raw.n || (c != '"' && c != '\\'))
                return false;
        } else if (c == '"' || c < 0x20 || c > 0x7e) {
            return false;
        }
        at[n++] = c;
    }
    *out = (struct tb_str){at, n};
    return true;
}

static bool bare(struct tb_str raw)
{
    for (size_t i = 0; i < raw.n; i++)
        if (!visible(raw.at[i]) || raw.at[i] == '"' || raw.at[i] == '\\' || raw.at[i] == ',')
            return false;
    return true;
}

tb_err tb_exchange_key(struct tb_exchange *x)
{
    struct tb_str raw = x->in.idempotency_key;
    bool quoted = raw.n > 0 && raw.at[0] == '"';
    bool good = quoted ? unquote(x->run.arena, raw, &x->key) : bare(raw);
    if (!quoted)
        x->key = raw;
    if (!good || x->key.n == 0 || x->key.n > TB_KEY_MAX)
        return tb_fail_at(&x->run.req, TB_E_KEY_INVALID, "idempotency-key:",
                          "Idempotency-Key must be 1 to %d visible ASCII characters, bare or as a "
                          "quoted string",
                          TB_KEY_MAX);
    return NULL;
}
