/* Stage "schema": the body has the shape that the operation declares. It stands behind the
 * partner's script, so that no product sees what a script made without its being checked. */
#include "schema/schema.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "hooks/scripts.h"

static void note_places(struct tb_exchange *x, const struct tb_schema_error *errors, size_t n,
                        size_t total)
{
    struct tb_problem *problem = &x->run.problem;
    for (size_t i = 0; i < n && i < TB_RUN_ERRORS; i++)
        problem->places[i] = (struct tb_place){
            .pointer = errors[i].pointer, .code = errors[i].code, .detail = errors[i].detail};
    problem->places_n = n < TB_RUN_ERRORS ? n : TB_RUN_ERRORS;
    problem->places_total = total;
}

static tb_err check_shape(struct tb_exchange *x, const struct tb_schema *schema)
{
    struct tb_schema_error errors[TB_RUN_ERRORS];
    size_t total = 0;
    tb_err err = tb_schema_check(schema, x->json, x->run.arena, errors, TB_RUN_ERRORS, &total);
    if (err == NULL)
        return NULL;
    tb_count(tb_gateway_parts(x->gateway)->metrics, TB_M_INVALID, 1);
    note_places(x, errors, total < TB_RUN_ERRORS ? total : TB_RUN_ERRORS, total);
    if (total == 0)
        return tb_fail(&x->run.req, err, "the body could not be checked");
    const char *where = errors[0].pointer[0] == '\0' ? "the body" : errors[0].pointer;
    return tb_fail(&x->run.req, TB_E_INVALID, "%s %s", where, errors[0].detail);
}

/* What was answered before may have had another shape: the script that gave it one has changed.
 * Then nobody reads this body any more. */
tb_err TB_SUSPENDS tb_stage_schema(struct tb_exchange *x)
{
    const struct tb_schema *schema = x->match.operation->body_schema;
    if (schema == NULL || x->replays)
        return NULL;
    tb_err err = check_shape(x, schema);
    return err == NULL || x->script == NULL ? err : tb_script_refuse(x, err);
}
