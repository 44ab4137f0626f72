/* What a script's hooks are given: a copy of the request without tokens, keys or anything of
 * another partner. schemas/script/request.json says the same in words. */
#include "base/time.h"
#include "crypto/grant.h"
#include "gateway/gateway.h"
#include "gateway/scripts.h"

static json_t *text_of(struct tb_str text)
{
    return json_stringn(text.at, text.n);
}

/* What is not UTF-8 is left out. */
static void put(json_t *into, const char *name, struct tb_str text)
{
    if (text.at != NULL)
        (void)json_object_set_new_nocheck(into, name, text_of(text));
}

/* Most requests have no parameters; what is never changed can be shared. */
static json_t *nothing(void)
{
    static json_t *empty;
    if (empty == NULL)
        empty = json_object();
    return json_incref(empty);
}

static json_t *params_of(const struct tb_exchange *x)
{
    if (x->match.params_n == 0)
        return nothing();
    json_t *params = json_object();
    for (size_t i = 0; i < x->match.params_n; i++)
        put(params, x->match.params[i].name, x->match.params[i].value);
    return params;
}

static json_t *query_of(const struct tb_exchange *x)
{
    if (x->query_n == 0)
        return nothing();
    json_t *query = json_object();
    for (size_t i = 0; i < x->query_n; i++)
        (void)json_object_setn_new(query, x->query[i].name.at, x->query[i].name.n,
                                   text_of(x->query[i].value));
    return query;
}

static json_t *headers_of(const struct tb_exchange *x)
{
    static const char *const allowed[] = {"content-type", "accept-language", "prefer"};
    json_t *headers = json_object();
    for (size_t i = 0; i < TB_COUNT(allowed); i++)
        put(headers, allowed[i], tb_http_header(&x->in, tb_str(allowed[i])));
    return headers;
}

static json_t *scopes_of(const struct tb_grant *grant)
{
    json_t *scopes = json_array();
    for (size_t i = 0; i < grant->scopes_n; i++)
        (void)json_array_append_new(scopes, text_of(grant->scopes[i]));
    return scopes;
}

static void drop(void *json)
{
    json_decref(json);
}

json_t *tb_script_request(struct tb_exchange *x)
{
    if (x->script_input != NULL)
        return x->script_input;
    char now[TB_TIME_CHARS + 1];
    const struct tb_operation *operation = x->match.operation;
    json_t *request = json_object();
    tb_time_format(tb_now(&x->run.req), now);
    put(request, "id", (struct tb_str){x->request_id, sizeof(x->request_id) - 1});
    put(request, "method", x->in.method);
    put(request, "path", x->in.path);
    put(request, "route", (struct tb_str){operation->key, operation->key_n});
    put(request, "product", tb_str(operation->plugin->name));
    (void)json_object_set_new_nocheck(request, "params", params_of(x));
    (void)json_object_set_new_nocheck(request, "query", query_of(x));
    (void)json_object_set_new_nocheck(request, "headers", headers_of(x));
    /* What the partner sent; the script's own changes are made in a copy. */
    if (x->json != NULL)
        (void)json_object_set_nocheck(request, "body", x->sent != NULL ? x->sent : x->json);
    put(request, "partner", x->grant->partner);
    put(request, "app", x->grant->app);
    put(request, "environment", x->grant->env == TB_ENV_LIVE ? TB_STR("live") : TB_STR("sandbox"));
    (void)json_object_set_new_nocheck(request, "scopes", scopes_of(x->grant));
    put(request, "consent", x->grant->consent);
    put(request, "world_time", (struct tb_str){now, TB_TIME_CHARS});
    if (!tb_arena_defer(x->run.arena, drop, request))
        return NULL;
    return x->script_input = request;
}
