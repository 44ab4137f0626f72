/* Stage "route": which operation serves this method and path. */
#include "gateway/gateway.h"

tb_err tb_stage_route(struct tb_exchange *x)
{
    const struct tb_router *router = tb_gateway_parts(x->gateway)->router;
    if (!tb_router_find(router, x->in.method, x->in.path, &x->match))
        return tb_fail(&x->run.req, TB_E_NO_ROUTE, "nothing is served at %.*s",
                       (int)(x->in.path.n < 200 ? x->in.path.n : 200), x->in.path.at);
    if (x->match.operation == NULL) {
        tb_exchange_header(x, TB_STR("allow"), tb_str(x->match.allow));
        return tb_fail(&x->run.req, TB_E_METHOD, "this path takes %s", x->match.allow);
    }
    const struct tb_route *route = x->match.operation->route;
    x->trace.operation = (uint16_t)x->match.operation->index;
    x->run.label = x->match.operation->key;
    x->run.finish = (route->flags & TB_R_FINISH) != 0;
    if (route->timeout_ms > 0)
        x->run.deadline_ms = tb_loop_now_ms(x->run.loop) + route->timeout_ms;
    return NULL;
}
