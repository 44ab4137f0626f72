/* Stage "authenticate": whose token it is. Every bad token gets the same answer; why it is bad
 * stands in the operator's view of the trace only. In a sandbox, where nothing is to be gained by
 * it, the answer says which kind of bad it is. */
#include "crypto/keystore.h"
#include "gateway/gateway.h"
#include "oauth/token/token.h"
#include <strings.h>

/* The token behind a scheme, which is compared without regard to case (RFC 9110 §11.1); absent when
 * the field is of another. */
static struct tb_str behind(struct tb_str field, struct tb_str scheme)
{
    if (field.n <= scheme.n || strncasecmp(field.at, scheme.at, scheme.n) != 0)
        return TB_STR_NONE;
    return (struct tb_str){field.at + scheme.n, field.n - scheme.n};
}

static void read_token(struct tb_exchange *x)
{
    x->token = behind(x->in.authorization, TB_STR("Bearer "));
    if (x->token.at != NULL)
        return;
    x->token = behind(x->in.authorization, TB_STR("DPoP "));
    x->dpop_scheme = x->token.at != NULL;
}

/* The partner in the trace at once, too: a crash record is made from it. */
static void note_caller(struct tb_exchange *x)
{
    struct tb_str partner = x->grant->partner;
    size_t n = partner.n < TB_TRACE_PARTNER_BYTES ? partner.n : TB_TRACE_PARTNER_BYTES - 1;
    memcpy(x->trace.partner, partner.at, n);
    x->trace.partner[n] = '\0';
    x->run.caller = (struct tb_caller){.partner = partner, .app = x->grant->app};
}

static const char *words_of(enum tb_token_fault fault)
{
    switch (fault) {
    case TB_TOKEN_EXPIRED:
        return "the access token has expired";
    case TB_TOKEN_REVOKED:
        return "the access token was revoked, or what it stood on has ended";
    default:
        return "this is no access token of this server";
    }
}

/* Refuse a token, or what is none. Whose it was may read the trace. */
static tb_err refuse_token(struct tb_exchange *x, tb_err err, const char *cause)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    const char *words = "the Authorization header is of another scheme than Bearer and DPoP";
    if (x->token.at != NULL) {
        struct tb_token_refused token = tb_token_refused(parts->tokens);
        char *partner = tb_arena_text(x->run.arena, token.partner.at, token.partner.n);
        char *app = tb_arena_text(x->run.arena, token.app.at, token.app.n);
        if (token.fault != TB_TOKEN_UNKNOWN)
            x->run.caller = (struct tb_caller){.partner = tb_str(partner), .app = tb_str(app)};
        words = words_of(token.fault);
    }
    x->run.caller.cause = cause;
    if (!parts->config->sandbox || !tb_is(err, TB_E_TOKEN_INVALID))
        words = err->title;
    return tb_fail_at(&x->run.req, err, "authorization:", "%s", words);
}

tb_err tb_stage_authenticate(struct tb_exchange *x)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    if (x->match.operation->route->scope == NULL)
        return NULL;
    if (x->in.authorization.at == NULL)
        return tb_fail_at(&x->run.req, TB_E_TOKEN_MISSING,
                          "authorization:", "there is no Authorization header");
    read_token(x);
    int64_t now_s = tb_loop_wall_ms(x->run.loop) / 1000;
    struct tb_grant *grant = NULL;
    const char *cause = "the Authorization header is of another scheme";
    tb_err err = TB_E_TOKEN_INVALID;
    if (x->token.at != NULL)
        err = tb_token_check(parts->tokens, x->token, now_s, &grant, &cause);
    if (err != NULL && tb_keystore_signer(parts->keys, now_s) == NULL)
        return tb_fail(&x->run.req, TB_E_STORE,
                       "the keys that tokens are checked with are not here yet");
    if (err != NULL)
        return refuse_token(x, err, cause);
    if (!tb_arena_defer(x->run.arena, tb_grant_drop_any, grant))
        return TB_E_INTERNAL;
    x->grant = grant;
    note_caller(x);
    return NULL;
}
