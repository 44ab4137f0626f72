/* Stage "limit": not more often than agreed, over all workers. The headers say how much is left on
 * every answer, refusals included.
 * Source: draft-ietf-httpapi-ratelimit-headers-10. */
#include "limit/limit.h"
#include "base/metrics.h"
#include "base/time.h"
#include "gateway/gateway.h"

static void add_headers(struct tb_exchange *x, const struct tb_limit_verdict *verdict)
{
    char *header = tb_arena_raw(x->run.arena, TB_LIMIT_HEADER_BYTES);
    char *policy = tb_arena_text(x->run.arena, verdict->set->policy, verdict->set->policy_n);
    if (header == NULL || policy == NULL)
        return;
    size_t n = tb_limit_header(verdict, header);
    tb_exchange_header(x, TB_STR("ratelimit-policy"),
                       (struct tb_str){policy, verdict->set->policy_n});
    tb_exchange_header(x, TB_STR("ratelimit"), (struct tb_str){header, n});
}

/* Which policies refused, under the member that the problem type is registered with. */
static struct tb_str violated(struct tb_exchange *x, const struct tb_limit_verdict *verdict)
{
    struct tb_text text;
    tb_text_init(&text, x->run.arena);
    tb_text_add(&text, TB_STR("{\"violated-policies\":"));
    tb_limit_violated(verdict, &text);
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}

tb_err tb_exchange_limited(struct tb_exchange *x, const struct tb_limit_verdict *verdict)
{
    tb_count(tb_gateway_parts(x->gateway)->metrics, TB_M_RATE_LIMITED, 1);
    x->run.problem.retry_after_s = verdict->retry_after_s;
    x->run.problem.extra = violated(x, verdict);
    return tb_fail(&x->run.req, TB_E_RATE_LIMITED, "the limit \"%s\" is used up; wait %lld s",
                   verdict->set->rules[verdict->tightest].name, (long long)verdict->retry_after_s);
}

tb_err tb_stage_limit(struct tb_exchange *x)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    const struct tb_operation *operation = x->match.operation;
    struct tb_limit_verdict verdict;
    if (x->limits == NULL) /* open to everybody: counted by address, if at all */
        return NULL;
    struct tb_limit_subject subject = {
        .app = x->grant->app,
        .product = tb_str(operation->plugin->name),
        .route = {operation->key, operation->key_n},
    };
    uint32_t cost = operation->route->cost > 0 ? operation->route->cost : 1;
    tb_limiter_date(parts->limiter, tb_loop_wall_ms(x->run.loop));
    bool admitted = tb_limit_take(parts->limiter, x->limits, &subject, cost,
                                  tb_loop_now_ms(x->run.loop) * 1000000, &verdict);
    add_headers(x, &verdict);
    return admitted ? NULL : tb_exchange_limited(x, &verdict);
}
