/* One decision, in the order of its cases. */
#include "oauth/token/binding.h"
#include "http/server.h"
#include "oauth/errors.h"
#include "oauth/server.h"
#include "oauth/token/dpop.h"
#include "runtime/run.h"

/* How a client without a key goes on, where it may. */
static const char *way_out(void)
{
    return tb_oauth()->config->sandbox ? "; to begin without keys in a sandbox, register with "
                                         "plain_bearer_tokens: true"
                                       : "";
}

tb_err tb_binding_read(struct tb_req *req, const struct tb_oauth_client *client,
                       struct tb_binding *out)
{
    const struct tb_dpop_want want = {.nonce = tb_dpop_asks()};
    struct tb_str cert = tb_run_of(req)->in->certificate_thumbprint;
    *out = (struct tb_binding){.dpop = TB_STR_NONE};
    TB_TRY(tb_dpop_check(req, &want, &out->dpop));
    if (out->dpop.at != NULL)
        return NULL;
    if (client->dpop_bound)
        return tb_fail(req, TB_E_INVALID_DPOP_PROOF, "this client's tokens need a DPoP proof%s",
                       way_out());
    if (client->plain_tokens && !client->certificate_bound)
        return NULL;
    if (cert.at != NULL) {
        out->cert = cert;
        return NULL;
    }
    if (client->certificate_bound)
        return tb_fail(req, TB_E_INVALID_REQUEST,
                       "this client's tokens need a connection with its certificate");
    return tb_fail(req, TB_E_INVALID_DPOP_PROOF,
                   "tokens are bound to a key: send a DPoP proof, or come with a certificate%s",
                   way_out());
}
