/* Sets of names that are compared anew: nothing here is remembered. */
#include "oauth/request/standing.h"
#include "base/json.h"
#include "base/text.h"
#include "oauth/errors.h"
#include "oauth/request/details.h"
#include "oauth/scope.h"
#include "oauth/server.h"

struct tb_standing tb_standing_of(const struct tb_oauth_client *client)
{
    return (struct tb_standing){
        .scope = client->scope,
        .types = tb_json_array(client->metadata, "authorization_details_types"),
    };
}

bool tb_standing_type(const struct tb_standing *now, struct tb_str type)
{
    const json_t *one;
    size_t i;
    json_array_foreach(now->types, i,
                       one) if (json_is_string(one) &&
                                tb_str_eq(tb_str(json_string_value(one)), type)) return true;
    return now->types == NULL;
}

/* Details that a scope alone may have led to need no registered type. */
static bool details_covered(const struct tb_standing *now, const json_t *details,
                            struct tb_str scope)
{
    struct tb_str type = tb_details_type(details), implied = tb_details_scope(details);
    return implied.at != NULL && tb_scope_within(implied, scope) &&
           (tb_standing_type(now, type) || tb_details_is_from_scope(type));
}

/* `scope` without the names of `without`. */
static struct tb_str scope_less(struct tb_arena *arena, struct tb_str scope, struct tb_str without)
{
    struct tb_text text;
    struct tb_str name;
    tb_text_init(&text, arena);
    while (tb_scope_next(&scope, &name)) {
        if (tb_scope_has(without, name))
            continue;
        if (text.n > 0)
            tb_text_add_char(&text, ' ');
        tb_text_add(&text, name);
    }
    return tb_text_end(&text);
}

bool tb_standing_narrow(struct tb_arena *arena, const struct tb_standing *now, struct tb_str *scope,
                        struct tb_str *details)
{
    json_t *granted;
    *scope = tb_scope_common(arena, *scope, now->scope);
    *scope = tb_scope_common(arena, *scope, tb_oauth()->scopes);
    if (scope->n == 0 || details->at == NULL)
        return scope->n > 0;
    if (tb_json_parse(arena, *details, &tb_json_limits, &granted, NULL) != NULL)
        return false;
    if (details_covered(now, granted, *scope))
        return true;
    struct tb_str implied = tb_details_scope(granted);
    *details = TB_STR_NONE;
    *scope = scope_less(arena, *scope, implied.at == NULL ? TB_STR("") : implied);
    return scope->n > 0;
}

tb_err tb_standing_request(const struct tb_oauth_client *client, const json_t *params,
                           const char *grant_type)
{
    struct tb_standing now = tb_standing_of(client);
    struct tb_str scope = tb_json_str(params, "scope");
    struct tb_str mode = tb_json_str(params, "response_mode");
    const json_t *details = tb_json_array(params, "authorization_details");
    if (!tb_oauth_client_may(client, grant_type))
        return TB_E_UNAUTHORIZED_CLIENT;
    if (!tb_scope_within(scope, now.scope) || !tb_scope_within(scope, tb_oauth()->scopes))
        return TB_E_INVALID_SCOPE;
    if (details != NULL && !tb_standing_type(&now, tb_details_type(details)))
        return TB_E_INVALID_AUTHORIZATION_DETAILS;
    if (mode.at != NULL && tb_json_array(client->metadata, "response_modes") != NULL &&
        !tb_oauth_client_has(client, "response_modes", mode))
        return TB_E_INVALID_REQUEST;
    return NULL;
}
