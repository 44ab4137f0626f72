/* Stage "authenticate": whose token it is. Every bad token gets the same answer; why it is bad
 * stands in the operator's view of the trace only. */
#include "crypto/digest.h"
#include "crypto/keystore.h"
#include "gateway/gateway.h"
#include <stdio.h>
#include <strings.h>

static const char SCHEME[] = "bearer ";

/* The token behind "Bearer ", absent when the field is missing or of another scheme. */
static struct tb_str bearer(struct tb_str field)
{
    size_t n = sizeof(SCHEME) - 1;
    if (field.n <= n || strncasecmp(field.at, SCHEME, n) != 0)
        return TB_STR_NONE;
    return (struct tb_str){field.at + n, field.n - n};
}

/* RFC 8705 §3.1: the SHA-256 of the certificate the connection was made with. */
static struct tb_str thumbprint(struct tb_exchange *x)
{
    unsigned char digest[TB_SHA256_BYTES];
    if (x->in.client_certificate.at == NULL)
        return TB_STR_NONE;
    tb_sha256(&x->in.client_certificate, 1, digest);
    return tb_base64url(x->run.arena, TB_BYTES(digest, sizeof(digest)));
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
    struct tb_str token = bearer(x->in.authorization);
    struct tb_presented presented = {.cert = thumbprint(x)};
    int64_t now_s = tb_loop_wall_ms(x->run.loop) / 1000;
    struct tb_grant *grant = NULL;
    const char *cause = "the Authorization header is of another scheme";
    tb_err err = TB_E_TOKEN_INVALID;
    if (token.at != NULL)
        err = tb_token_check(parts->tokens, token, now_s, &grant, &cause);
    if (err == NULL && (cause = tb_token_misused(grant, &presented)) != NULL) {
        tb_grant_drop(grant);
        err = TB_E_TOKEN_INVALID;
    }
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
