/* Stages "handler" and "reply": the product's own code, and whether what it answered has the shape
 * it declares. The second costs a parse of every answer, so it runs where products are tested and
 * in sandboxes that ask for it. */
#include "base/json.h"
#include "gateway/gateway.h"
#include "schema/schema.h"

/* The stored answer of a key, and no more: the body was not checked, so the product does not see
 * it.
 */
static tb_err TB_SUSPENDS answer_again(struct tb_exchange *x)
{
    static const struct tb_call call = {"script.answer_again"};
    struct tb_answer answer;
    TB_TRY(tb_call(&x->run.req, &answer, &call));
    return tb_reply_answer(&x->run.req, &answer);
}

tb_err TB_SUSPENDS tb_stage_handler(struct tb_exchange *x)
{
    x->own_headers_n = x->reply_headers_n;
    TB_TRY(x->answered ? answer_again(x) : x->match.operation->route->handler(&x->run.req));
    if (x->status == 0)
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the operation gave no answer");
    return NULL;
}

tb_err tb_stage_reply_schema(struct tb_exchange *x)
{
    const struct tb_schema *schema = x->match.operation->reply_schema;
    const struct tb_json_limits limits = {
        .bytes = x->reply.n, .depth = TB_JSON_DEPTH_MAX, .members = UINT32_MAX};
    struct tb_schema_error errors[1];
    struct tb_json_error where;
    size_t total = 0;
    json_t *json;
    if (schema == NULL || !tb_gateway_parts(x->gateway)->config->check_replies)
        return NULL;
    tb_err err = tb_json_parse(x->run.arena, x->reply, &limits, &json, &where);
    if (err != NULL)
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the answer is not JSON: %s", where.reason);
    if (tb_schema_check(schema, json, x->run.arena, errors, 1, &total) != NULL)
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the answer breaks its schema at \"%s\": %s",
                       errors[0].pointer, errors[0].detail);
    return NULL;
}
