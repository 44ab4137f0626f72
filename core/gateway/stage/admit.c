/* Stage "admit": requests that are known to end a worker, and heads that cannot be read in one way
 * only, get no further. */
#include "gateway/gateway.h"

tb_err tb_stage_admit(struct tb_exchange *x)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    if (parts->quarantined(parts->owner, x))
        return tb_fail(&x->run.req, TB_E_QUARANTINED, "this request has twice ended a worker");
    if (x->in.repeated != NULL)
        return tb_fail_at(&x->run.req, TB_E_BAD_REQUEST,
                          tb_arena_format(x->run.arena, "%s:", x->in.repeated).at,
                          "the header field %s is sent more than once", x->in.repeated);
    return NULL;
}
