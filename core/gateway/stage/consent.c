/* Stage "consent": a token that stands for a customer opens only what the customer consented to.
 * The rules are core/consent's; here is what the request wants of them. */
#include "consent/consent.h"
#include "base/id.h"
#include "gateway/gateway.h"

/* The account the path names, or absent. */
static struct tb_str account_of(const struct tb_match *match)
{
    for (size_t i = 0; i < match->params_n; i++)
        if (tb_id_check(match->params[i].value, "acc"))
            return match->params[i].value;
    return TB_STR_NONE;
}

tb_err TB_SUSPENDS tb_stage_consent(struct tb_exchange *x)
{
    const struct tb_operation *operation = x->match.operation;
    if (x->grant == NULL || (x->grant->family.at == NULL && x->grant->consent.at == NULL))
        return NULL;
    const struct tb_consent_use use = {
        .operation = {operation->key, operation->key_n},
        .types = operation->route->consent,
        .writes = operation->writes,
        .any = (operation->route->flags & TB_R_ANY_CONSENT) != 0,
        .account = account_of(&x->match),
        .request = {x->request_id, sizeof(x->request_id) - 1},
    };
    return tb_consent_stage(&x->run.req, x->grant, &use);
}
