/* GET and POST /oauth/userinfo (OpenID Connect Core §5.3): a resource like any other, whose token
 * must have the scope `openid` and stand for a customer. */
#include "base/text.h"
#include "http/server.h"
#include "oauth/endpoint/endpoints.h"
#include "oauth/server.h"
#include "oauth/token/claims.h"
#include "oauth/token/token.h"
#include "runtime/run.h"

static const char SQL_USER[] =
    "select u.name, g.claims, g.acr, extract(epoch from g.auth_time)::bigint from oauth.grants g "
    "join oauth.user_account u on u.id = g.subject where g.id = $1 and g.ended_at is null";

/* The grant behind the token that the gateway has just let in. */
static tb_err find_family(struct tb_req *req, struct tb_str *out)
{
    struct tb_str field = tb_run_of(req)->in->authorization;
    struct tb_grant *grant;
    const char *why;
    const char *blank = field.at == NULL ? NULL : memchr(field.at, ' ', field.n);
    if (blank == NULL)
        return tb_fail(req, TB_E_TOKEN_MISSING, "there is no access token");
    struct tb_str token = {blank + 1, field.n - (size_t)(blank + 1 - field.at)};
    TB_TRY(tb_token_check(tb_oauth()->tokens, token, tb_oauth_now_s(req), &grant, &why));
    if (!tb_arena_defer(tb_run_of(req)->arena, tb_grant_drop_any, grant))
        return TB_E_INTERNAL;
    *out = grant->family;
    return NULL;
}

tb_err TB_SUSPENDS tb_oauth_userinfo(struct tb_req *req)
{
    struct tb_str family;
    struct tb_rows *rows;
    struct tb_text text;
    TB_TRY(find_family(req, &family));
    if (family.at == NULL)
        return tb_fail(req, TB_E_SCOPE_MISSING, "the token stands for no customer");
    TB_TRY(tb_query(req, &rows, SQL_USER, TB_TEXT(family)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_TOKEN_INVALID, "%s", TB_E_TOKEN_INVALID->title);
    struct tb_str claims = tb_cell(rows, 0, 1), acr = tb_cell(rows, 0, 2);
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_text_add(&text, TB_STR("{\"sub\":"));
    tb_text_add_json(&text, tb_subject(req));
    tb_text_add(&text, TB_STR(",\"name\":"));
    tb_text_add_json(&text, tb_cell(rows, 0, 0));
    if (acr.at != NULL && tb_claims_ask(req, claims, "userinfo", "acr")) {
        tb_text_add(&text, TB_STR(",\"acr\":"));
        tb_text_add_json(&text, acr);
    }
    if (tb_cell(rows, 0, 3).at != NULL && tb_claims_ask(req, claims, "userinfo", "auth_time"))
        tb_text_add_format(&text, ",\"auth_time\":%lld", (long long)tb_cell_int(rows, 0, 3));
    tb_text_add_char(&text, '}');
    return tb_reply(req, 200, tb_text_end(&text));
}
