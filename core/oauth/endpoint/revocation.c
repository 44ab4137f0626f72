/* POST /oauth/revoke (RFC 7009): a client gives back an access token, or a refresh token and with
 * it everything that came of its grant. What is not the client's own, or no token at all, is
 * answered as if it had been revoked: there is nothing to learn here. */
#include "oauth/endpoint/endpoints.h"
#include "oauth/endpoint/token_param.h"
#include "oauth/errors.h"
#include "oauth/server.h"
#include "oauth/token/refresh.h"
#include "oauth/token/revoke.h"
#include "oauth/token/token.h"
#include "runtime/run.h"

static tb_err TB_SUSPENDS revoke_access(struct tb_req *req, const struct tb_oauth_client *client,
                                        struct tb_str token)
{
    struct tb_grant *grant;
    const char *why;
    int64_t now_s = tb_oauth_now_s(req);
    if (tb_token_check(tb_oauth()->tokens, token, now_s, &grant, &why) != NULL)
        return NULL;
    if (!tb_arena_defer(tb_run_of(req)->arena, tb_grant_drop_any, grant))
        return TB_E_INTERNAL;
    if (!tb_str_eq(grant->app, client->id))
        return NULL;
    return tb_token_revoke(req, tb_oauth()->revocations, grant->jti, grant->exp_s, now_s);
}

tb_err TB_SUSPENDS tb_oauth_revoke(struct tb_req *req)
{
    struct tb_token_param shown;
    bool found = false;
    TB_TRY(tb_token_param_read(req, &shown));
    if (shown.is_refresh)
        TB_TRY(tb_refresh_revoke(req, shown.token, shown.client->id, &found));
    else
        TB_TRY(revoke_access(req, shown.client, shown.token));
    return tb_reply(req, 200, TB_STR("{}"));
}
