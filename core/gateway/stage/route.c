/* Stage "route": which operation serves this method and path. */
#include "base/text.h"
#include "gateway/cors.h"
#include "gateway/gateway.h"

enum {
    PATH_SHOWN = 200,   /* bytes */
    SEGMENT_SHOWN = 37, /* bytes with its slash: a UUID; the bank's own ids have 30 */
};

/* The path as far as it may stand in a trace. A segment that is longer than any id may be a token
 * that somebody put into the wrong place. */
static struct tb_str shown(struct tb_exchange *x)
{
    struct tb_text text;
    struct tb_str rest = x->in.path;
    tb_text_init(&text, x->run.arena);
    while (rest.n > 0 && text.n < PATH_SHOWN) {
        const char *slash = memchr(rest.at + 1, '/', rest.n - 1);
        size_t n = slash != NULL ? (size_t)(slash - rest.at) : rest.n;
        tb_text_add(&text, n <= SEGMENT_SHOWN ? (struct tb_str){rest.at, n} : TB_STR("/..."));
        rest = (struct tb_str){rest.at + n, rest.n - n};
    }
    return tb_text_end(&text);
}

tb_err tb_stage_route(struct tb_exchange *x)
{
    const struct tb_router *router = tb_gateway_parts(x->gateway)->router;
    if (!tb_router_find(router, x->in.method, x->in.path, &x->match)) {
        struct tb_str path = shown(x);
        return tb_fail(&x->run.req, TB_E_NO_ROUTE, "nothing is served at %.*s", (int)path.n,
                       path.at == NULL ? "" : path.at);
    }
    if (x->match.operation == NULL) {
        tb_exchange_header(x, TB_STR("allow"), tb_str(x->match.allow));
        if (tb_cors_preflight(x))
            return NULL;
        return tb_fail(&x->run.req, TB_E_METHOD, "this path takes %s", x->match.allow);
    }
    const struct tb_route *route = x->match.operation->route;
    x->trace.operation = (uint16_t)x->match.operation->metric;
    x->run.label = x->match.operation->key;
    x->run.finish = (route->flags & TB_R_FINISH) != 0;
    if (route->timeout_ms > 0)
        x->run.deadline_ms = tb_loop_now_ms(x->run.loop) + route->timeout_ms;
    return NULL;
}
