/* Stage "authenticate": whose token it is. Every bad token gets the same answer; why it is bad
 * stands in the operator's view of the trace only. */
#include "crypto/keystore.h"
#include "gateway/gateway.h"
#include <stdio.h>
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

static void note_partner(struct tb_exchange *x)
{
    struct tb_str partner = x->grant->partner;
    size_t n = partner.n < TB_TRACE_PARTNER_BYTES ? partner.n : TB_TRACE_PARTNER_BYTES - 1;
    memcpy(x->trace.partner, partner.at, n);
    x->trace.partner[n] = '\0';
}

tb_err tb_stage_authenticate(struct tb_exchange *x)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    if (x->match.operation->route->scope == NULL)
        return NULL;
    if (x->in.authorization.at == NULL)
        return tb_fail(&x->run.req, TB_E_TOKEN_MISSING, "there is no Authorization header");
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
    if (err != NULL) {
        snprintf(x->trace.cause, sizeof(x->trace.cause), "%s", cause);
        return tb_fail(&x->run.req, err, "%s", err->title);
    }
    tb_arena_defer(x->run.arena, tb_grant_drop_any, grant);
    x->grant = grant;
    note_partner(x);
    return NULL;
}
