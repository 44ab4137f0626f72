#include "oauth/throttle.h"
#include "http/server.h"
#include "oauth/code.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <arpa/inet.h>

static const char SQL_ATTEMPT[] = "select oauth.login_attempt($1, $2, $3)";
static const char SQL_SUCCESS[] = "select oauth.login_succeeded($1, $2, $3, $4)";

/* A kind and a digest: the table tells nobody which logins and addresses were tried. */
static struct tb_str subject(struct tb_req *req, const char *kind, struct tb_str text)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_str digest = tb_handle_digest(arena, text);
    return digest.at == NULL ? digest : tb_arena_format(arena, "%s %s", kind, digest.at);
}

static struct tb_str login_subject(struct tb_req *req, struct tb_str login)
{
    char *lower = tb_alloc(req, login.n + 1);
    if (lower == NULL)
        return TB_STR_NONE;
    for (size_t i = 0; i < login.n; i++) {
        char c = login.at[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return subject(req, "login", (struct tb_str){lower, login.n});
}

/* Whoever has an IPv6 address has all of its /64. */
static struct tb_str address_subject(struct tb_req *req)
{
    const char *peer = tb_run_of(req)->in->peer;
    unsigned char bytes[16];
    struct tb_str address = tb_str(peer);
    if (inet_pton(AF_INET6, peer, bytes) == 1)
        address = (struct tb_str){(const char *)bytes, 8};
    return subject(req, "address", address);
}

tb_err TB_SUSPENDS tb_throttle_attempt(struct tb_req *req, struct tb_str login, int64_t *out_wait_s)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_ATTEMPT, TB_TEXT(login_subject(req, login)),
                    TB_TEXT(address_subject(req)), TB_TIME(tb_oauth_now_s(req) * 1000)));
    *out_wait_s = tb_cell_int(rows, 0, 0);
    return NULL;
}

tb_err TB_SUSPENDS tb_throttle_success(struct tb_req *req, struct tb_str login, bool complete)
{
    struct tb_rows *rows;
    return tb_query(req, &rows, SQL_SUCCESS, TB_TEXT(login_subject(req, login)),
                    TB_TEXT(address_subject(req)), TB_BOOL(complete),
                    TB_TIME(tb_oauth_now_s(req) * 1000));
}
