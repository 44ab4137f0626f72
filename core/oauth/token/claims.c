/* The request's `claims`, stored with the grant, and the one claim that must be looked up. */
#include "oauth/token/claims.h"
#include "base/json.h"
#include "runtime/run.h"
#include <tongbao/plugin.h>

static const char SQL_NAME[] = "select name from oauth.user_account where id = $1";

bool tb_claims_ask(struct tb_req *req, struct tb_str claims, const char *place, const char *name)
{
    json_t *json;
    if (claims.at == NULL ||
        tb_json_parse(tb_run_of(req)->arena, claims, &tb_json_limits, &json, NULL) != NULL)
        return false;
    return json_object_get(tb_json_object(json, place), name) != NULL;
}

static bool is_one_of(struct tb_str value, const json_t *one, const json_t *list)
{
    if (json_is_string(one))
        return tb_str_eq(value, tb_str(json_string_value(one)));
    if (!json_is_array(list))
        return true;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (json_is_string(item) && tb_str_eq(value, tb_str(json_string_value(item))))
            return true;
    }
    return false;
}

bool tb_claims_fit(const json_t *claims, const char *name, bool essential_only, struct tb_str value,
                   const char **out_place)
{
    static const char *const places[] = {"id_token", "userinfo"};
    for (size_t i = 0; i < TB_COUNT(places); i++) {
        const json_t *wanted = tb_json_object(tb_json_object(claims, places[i]), name);
        bool essential = false;
        if (wanted == NULL ||
            (essential_only && (!tb_json_bool(wanted, "essential", &essential) || !essential)))
            continue;
        if (is_one_of(value, json_object_get(wanted, "value"), json_object_get(wanted, "values")))
            continue;
        if (out_place != NULL)
            *out_place = places[i];
        return false;
    }
    return true;
}

tb_err TB_SUSPENDS tb_claims_name(struct tb_req *req, struct tb_str subject, struct tb_str *out)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_NAME, TB_TEXT(subject)));
    *out = rows->n == 1 ? tb_cell(rows, 0, 0) : TB_STR_NONE;
    return NULL;
}
