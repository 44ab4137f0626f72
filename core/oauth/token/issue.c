/* Access token, ID token and the answer that carries them. */
#include "oauth/token/issue.h"
#include "base/text.h"
#include "crypto/jose.h"
#include "oauth/errors.h"
#include "oauth/response.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "oauth/token/claims.h"
#include "oauth/token/token.h"
#include "runtime/run.h"

static void add_member(struct tb_text *text, const char *name, struct tb_str value)
{
    if (value.at == NULL)
        return;
    tb_text_add_format(text, ",\"%s\":", name);
    tb_text_add_json(text, value);
}

static tb_err mint(struct tb_req *req, const struct tb_issue *issue, struct tb_minted *out)
{
    const struct tb_grant_row *granted = issue->granted;
    struct tb_token_order order = {
        .partner = issue->client->partner,
        .app = issue->client->id,
        .book = issue->client->book,
        .scope = issue->scope,
        .details = issue->details,
        .cert = issue->binding.cert,
        .dpop = issue->binding.dpop,
        .life_s = TB_ACCESS_LIFE_S,
    };
    if (granted != NULL) {
        order.partner = granted->partner;
        order.book = granted->book;
        order.subject = granted->subject;
        order.family = granted->id;
        order.consent = granted->consent;
        order.acr = granted->acr;
        order.auth_time_s = granted->auth_time_s;
    }
    if (!tb_scope_good(issue->scope))
        return tb_fail(req, TB_E_INVALID_SCOPE, "there is no scope that the token could have");
    tb_err err = tb_token_mint(tb_oauth()->tokens, &order, tb_oauth_now_s(req),
                               tb_run_of(req)->arena, out);
    if (err != NULL)
        return tb_is(err, TB_E_STORE)
                   ? tb_fail(req, err, "the keys that tokens are signed with are not here yet")
                   : tb_fail(req, TB_E_INTERNAL, "the token could not be minted");
    if (out->token.n > TB_JOSE_BYTES_MAX)
        return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS, "too large for a token");
    return NULL;
}

/* OpenID Connect Core §2. */
static tb_err TB_SUSPENDS make_id_token(struct tb_req *req, const struct tb_issue *issue,
                                        struct tb_str *out)
{
    const struct tb_grant_row *granted = issue->granted;
    struct tb_text text;
    int64_t now_s = tb_oauth_now_s(req), exp_s = now_s + TB_ACCESS_LIFE_S;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_text_add_format(&text, "{\"iat\":%lld,\"exp\":%lld", (long long)now_s, (long long)exp_s);
    add_member(&text, "iss", tb_str(tb_oauth()->config->issuer));
    add_member(&text, "sub", granted->subject);
    add_member(&text, "aud", issue->client->id);
    add_member(&text, "nonce", issue->nonce);
    add_member(&text, "acr", granted->acr);
    if (granted->auth_time_s != 0)
        tb_text_add_format(&text, ",\"auth_time\":%lld", (long long)granted->auth_time_s);
    if (tb_claims_ask(req, granted->claims, "id_token", "name")) {
        struct tb_str name;
        TB_TRY(tb_claims_name(req, granted->subject, &name));
        add_member(&text, "name", name);
    }
    tb_text_add_char(&text, '}');
    return tb_response_sign(req, "JWT", tb_text_end(&text), out);
}

tb_err TB_SUSPENDS tb_issue(struct tb_req *req, const struct tb_issue *issue)
{
    struct tb_minted minted;
    struct tb_str id_token = TB_STR_NONE;
    struct tb_text text;
    if (issue->granted != NULL && tb_scope_has(issue->scope, TB_STR("openid")))
        TB_TRY(make_id_token(req, issue, &id_token));
    TB_TRY(mint(req, issue, &minted));
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_text_add_format(&text, "{\"expires_in\":%d", (int)TB_ACCESS_LIFE_S);
    add_member(&text, "access_token", minted.token);
    add_member(&text, "token_type",
               issue->binding.dpop.at != NULL ? TB_STR("DPoP") : TB_STR("Bearer"));
    add_member(&text, "scope", issue->scope);
    add_member(&text, "refresh_token", issue->refresh_token);
    add_member(&text, "id_token", id_token);
    if (issue->details.at != NULL) {
        tb_text_add(&text, TB_STR(",\"authorization_details\":"));
        tb_text_add(&text, issue->details);
    }
    tb_text_add_char(&text, '}');
    return tb_reply(req, 200, tb_text_end(&text));
}
