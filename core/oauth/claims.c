/* The request's `claims`, stored with the grant, and the one claim that must be looked up. */
#include "oauth/claims.h"
#include "base/json.h"
#include "runtime/run.h"

static const char SQL_NAME[] = "select name from oauth.user_account where id = $1";

bool tb_claims_ask(struct tb_req *req, struct tb_str claims, const char *place, const char *name)
{
    json_t *json;
    if (claims.at == NULL ||
        tb_json_parse(tb_run_of(req)->arena, claims, &tb_json_limits, &json, NULL) != NULL)
        return false;
    return json_object_get(tb_json_object(json, place), name) != NULL;
}

tb_err TB_SUSPENDS tb_claims_name(struct tb_req *req, struct tb_str subject, struct tb_str *out)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_NAME, TB_TEXT(subject)));
    *out = rows->n == 1 ? tb_cell(rows, 0, 0) : TB_STR_NONE;
    return NULL;
}
