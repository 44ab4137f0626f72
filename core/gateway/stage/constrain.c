/* Stage "constrain": a token counts only in the hands it was made for. One bound to a certificate
 * goes with that certificate's connection, one bound to a key with a fresh proof of that key for
 * this very request; bound to nobody it goes in a sandbox alone.
 * Source: RFC 8705 §3; RFC 9449 §7. */
#include "gateway/gateway.h"
#include "oauth/errors.h"
#include "oauth/token/dpop.h"
#include "oauth/token/token.h"

/* The proof that must come with a token under the scheme DPoP. Its faults have names of their own
 * here, where they are 401. */
static tb_err read_proof(struct tb_exchange *x, struct tb_str *out_jkt)
{
    const struct tb_dpop_want want = {.token = x->token, .nonce = tb_dpop_asks()};
    tb_err err = tb_dpop_check(&x->run.req, &want, out_jkt);
    if (err == NULL && out_jkt->at == NULL)
        return tb_fail_at(&x->run.req, TB_E_DPOP_PROOF, "dpop:", "there is no DPoP header");
    if (tb_is(err, TB_E_INVALID_DPOP_PROOF))
        return TB_E_DPOP_PROOF;
    return tb_is(err, TB_E_USE_DPOP_NONCE) ? TB_E_DPOP_NONCE : err;
}

tb_err tb_stage_constrain(struct tb_exchange *x)
{
    struct tb_presented presented = {
        .dpop_scheme = x->dpop_scheme,
        .cert = x->in.certificate_thumbprint,
    };
    if (x->grant == NULL)
        return NULL;
    if (x->dpop_scheme && x->grant->dpop.n > 0)
        TB_TRY(read_proof(x, &presented.dpop));
    const char *cause = tb_token_misused(x->grant, &presented);
    x->run.caller.proven = cause == NULL;
    if (cause == NULL)
        return NULL;
    x->run.caller.cause = cause;
    if (tb_gateway_parts(x->gateway)->config->sandbox)
        return tb_fail_at(&x->run.req, TB_E_TOKEN_INVALID,
                          "authorization:", "the access token is %s", cause);
    return tb_fail_at(&x->run.req, TB_E_TOKEN_INVALID, "authorization:", "%s",
                      TB_E_TOKEN_INVALID->title);
}
