/* Stage "constrain": a token counts only in the hands it was made for. One bound to a certificate
 * goes with that certificate's connection, one bound to a key with a fresh proof of that key for
 * this very request; bound to nobody it goes in a sandbox alone.
 * Source: RFC 8705 §3; RFC 9449 §7. */
#include "gateway/gateway.h"
#include <stdio.h>

tb_err tb_stage_constrain(struct tb_exchange *x)
{
    struct tb_presented presented = {
        .dpop_scheme = x->dpop_scheme,
        .cert = x->in.certificate_thumbprint,
    };
    if (x->grant == NULL)
        return NULL;
    const char *cause = tb_token_misused(x->grant, &presented);
    if (cause == NULL)
        return NULL;
    snprintf(x->trace.cause, sizeof(x->trace.cause), "%s", cause);
    return tb_fail(&x->run.req, TB_E_TOKEN_INVALID, "%s", TB_E_TOKEN_INVALID->title);
}
