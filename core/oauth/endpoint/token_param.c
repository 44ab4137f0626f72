/* Shared prologue of /introspect and /revoke: authenticates the client and reads `token`. */
#include "oauth/endpoint/token_param.h"
#include "oauth/client/auth.h"
#include "oauth/errors.h"

tb_err TB_SUSPENDS tb_token_param_read(struct tb_req *req, struct tb_token_param *out)
{
    struct tb_form form;
    *out = (struct tb_token_param){.client = NULL};
    TB_TRY(tb_form_read(req, &form));
    TB_TRY(tb_client_authenticate(req, &form, &out->client));
    out->token = tb_form_get(&form, "token");
    if (out->token.at == NULL)
        return tb_fail(req, TB_E_INVALID_REQUEST, "token is missing");
    out->is_refresh = memchr(out->token.at, '.', out->token.n) == NULL;
    return NULL;
}
