/* Stage "reply": the answer has the shape that the operation declares. It costs a parse of every
 * answer, so it runs where products are tested and in sandboxes that ask for it. */
#include "base/json.h"
#include "gateway/gateway.h"
#include "schema/schema.h"

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
