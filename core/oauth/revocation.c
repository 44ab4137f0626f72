/* POST /oauth/revoke (RFC 7009): a client gives back an access token, or a refresh token and with
 * it everything that came of its grant. What is not the client's own, or no token at all, is
 * answered as if it had been revoked: there is nothing to learn here. */
#include "oauth/auth.h"
#include "oauth/endpoints.h"
#include "oauth/errors.h"
#include "oauth/refresh.h"
#include "oauth/server.h"
#include "runtime/run.h"

static tb_err TB_SUSPENDS revoke_access(struct tb_req *req, const struct tb_oauth_client *client,
                                        struct tb_str token)
{
    struct tb_grant *grant;
    const char *why;
    int64_t now_s = tb_oauth_now_s(req);
    if (tb_token_check(tb_oauth()->tokens, token, now_s, &grant, &why) != NULL)
        return NULL;
    tb_arena_defer(tb_run_of(req)->arena, tb_grant_drop_any, grant);
    if (!tb_str_eq(grant->app, client->id))
        return NULL;
    return tb_token_revoke(req, tb_oauth()->revocations, grant->jti, grant->exp_s, now_s);
}

tb_err TB_SUSPENDS tb_oauth_revoke(struct tb_req *req)
{
    struct tb_form form;
    struct tb_oauth_client *client;
    bool found = false;
    TB_TRY(tb_form_read(req, &form));
    TB_TRY(tb_client_authenticate(req, &form, &client));
    struct tb_str token = tb_form_get(&form, "token");
    if (token.at == NULL)
        return tb_fail(req, TB_E_INVALID_REQUEST, "token is missing");
    /* A JWT has dots, a refresh token has none: no hint is needed. */
    if (memchr(token.at, '.', token.n) == NULL)
        TB_TRY(tb_refresh_revoke(req, token, client->id, &found));
    else
        TB_TRY(revoke_access(req, client, token));
    return tb_reply(req, 200, TB_STR("{}"));
}
