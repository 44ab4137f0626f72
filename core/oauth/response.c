/* The one place that signs with the keys of responses. */
#include "oauth/response.h"
#include "crypto/jose.h"
#include "oauth/server.h"
#include "runtime/run.h"

tb_err tb_response_sign(struct tb_req *req, const char *type, struct tb_str claims,
                        struct tb_str *out)
{
    struct tb_key *key = tb_keystore_signer(tb_oauth()->response_keys, tb_oauth_now_s(req));
    if (key == NULL)
        return tb_fail(req, TB_E_STORE, "the keys that responses are signed with are not here yet");
    *out = claims.at == NULL ? TB_STR_NONE : tb_jose_sign(key, type, claims, tb_run_of(req)->arena);
    return out->at == NULL ? tb_fail(req, TB_E_INTERNAL, "no memory left") : NULL;
}
