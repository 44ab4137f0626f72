/* "__Host-tongbao-known-<of the login>=<issued>.<random>.<code>". The code is an HMAC of all that,
 * so a mark counts for the login it was made for and cannot be made to last. */
#include "oauth/user/device.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/seal.h"
#include "oauth/handle.h"
#include "oauth/server.h"
#include "oauth/user/cookie.h"
#include "runtime/run.h"

enum { NAME_CHARS = 16 /* of the login's digest: a browser has few logins */ };

/* The name of the cookie for this login, with "="; absent when the arena is full. */
static struct tb_str name_for(struct tb_arena *arena, struct tb_str login)
{
    struct tb_str digest = tb_handle_digest(arena, login);
    if (digest.at == NULL)
        return TB_STR_NONE;
    return tb_arena_format(arena, "__Host-tongbao-known-%.*s=", NAME_CHARS, digest.at);
}

static struct tb_str code_of(struct tb_arena *arena, struct tb_str login, struct tb_str mark)
{
    const struct tb_str parts[] = {login, TB_STR("\n"), mark};
    unsigned char code[TB_SHA256_BYTES];
    struct tb_secret key = {NULL, 0};
    tb_secret_derive(&key, &tb_oauth()->master, "tongbao devices 1");
    struct tb_hmac *hmac = tb_hmac_new(TB_BYTES(key.at, key.n));
    tb_hmac_sha256(hmac, parts, TB_COUNT(parts), code);
    tb_hmac_free(hmac);
    tb_secret_wipe(&key);
    return tb_base64url(arena, TB_BYTES(code, sizeof(code)));
}

struct tb_str tb_device(struct tb_req *req, struct tb_str login)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_str name = name_for(arena, login);
    struct tb_str value = name.at == NULL ? name : tb_cookie(req, name);
    int64_t issued_s, age_s;
    if (value.at == NULL)
        return TB_STR_NONE;
    const char *first = memchr(value.at, '.', value.n);
    const char *last = memrchr(value.at, '.', value.n);
    if (first == NULL || first == last)
        return TB_STR_NONE;
    struct tb_str mark = {value.at, (size_t)(last - value.at)};
    struct tb_str code = {last + 1, value.n - mark.n - 1}, right = code_of(arena, login, mark);
    if (right.at == NULL || !tb_same_secret(right, code) ||
        !tb_text_to_int((struct tb_str){value.at, (size_t)(first - value.at)}, &issued_s))
        return TB_STR_NONE;
    age_s = tb_oauth_now_s(req) - issued_s;
    return age_s < TB_DEVICE_LIFE_S ? mark : TB_STR_NONE;
}

tb_err tb_device_mark(struct tb_req *req, struct tb_str login)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_str name = name_for(arena, login);
    struct tb_handle handle;
    if (name.at == NULL || !tb_handle_make(arena, &handle))
        return TB_E_INTERNAL;
    struct tb_str mark = tb_arena_format(arena, "%lld.%s", (long long)tb_oauth_now_s(req),
                                         handle.text.at);
    struct tb_str code = mark.at == NULL ? mark : code_of(arena, login, mark);
    if (code.at == NULL)
        return TB_E_INTERNAL;
    struct tb_str cookie = tb_arena_format(
        arena, "%s%s.%s; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=%d", name.at, mark.at,
        code.at, (int)TB_DEVICE_LIFE_S);
    return cookie.at == NULL ? TB_E_INTERNAL : tb_set_header(req, "set-cookie", cookie);
}
