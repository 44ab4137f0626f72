/* What a script's hooks are given: a copy of the request without tokens, keys or anything of
 * another partner. schemas/script/request.json says the same in words. */
#include "base/time.h"
#include "crypto/grant.h"
#include "gateway/gateway.h"
#include "gateway/scripts.h"

static const char *const HEADERS[] = {"content-type", "accept-language", "prefer"};

static struct tb_str environment_of(const struct tb_grant *grant)
{
    return grant->env == TB_ENV_LIVE ? TB_STR("live") : TB_STR("sandbox");
}

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
    json_t *headers = json_object();
    for (size_t i = 0; i < TB_COUNT(HEADERS); i++)
        put(headers, HEADERS[i], tb_http_header(&x->in, tb_str(HEADERS[i])));
    return headers;
}

static json_t *scopes_of(const struct tb_grant *grant)
{
    json_t *scopes = json_array();
    for (size_t i = 0; i < grant->scopes_n; i++)
        (void)json_array_append_new(scopes, text_of(grant->scopes[i]));
    return scopes;
}

/* ---- the same as it is pushed into Lua, which needs no JSON between ---- */

struct told {
    struct tb_script_member params[TB_ROUTE_PARAMS_MAX], query[TB_QUERY_MAX], headers[3], all[16];
    char now[TB_TIME_CHARS + 1];
    struct tb_script_member scopes[];
};

static bool is_utf8(struct tb_str text)
{
    size_t at = 0, character = 1;
    while (at < text.n && character > 0) {
        character = (signed char)text.at[at] > 0 ? 1 : tb_utf8_span(text.at + at, text.n - at);
        at += character;
    }
    return at == text.n;
}

/* What is ours. */
static void tell(struct tb_script_member *list, size_t *n, const char *name, struct tb_str text)
{
    list[(*n)++] = (struct tb_script_member){.name = name, .text = text};
}

/* What a client sent; what is not UTF-8 is left out. */
static void tell_sent(struct tb_script_member *list, size_t *n, const char *name,
                      struct tb_str text)
{
    if (name != NULL && text.at != NULL && is_utf8(text))
        tell(list, n, name, text);
}

static void tell_all(struct tb_script_member *list, size_t *n, const char *name,
                     const struct tb_script_member *members, size_t members_n)
{
    list[(*n)++] = (struct tb_script_member){
        .name = name, .members = members, .members_n = members_n};
}

static void tell_parts(const struct tb_exchange *x, struct told *told, size_t *n)
{
    size_t params_n = 0, query_n = 0, headers_n = 0;
    for (size_t i = 0; i < x->match.params_n; i++)
        tell_sent(told->params, &params_n, x->match.params[i].name, x->match.params[i].value);
    for (size_t i = 0; i < x->query_n; i++)
        tell_sent(told->query, &query_n,
                  tb_arena_text(x->run.arena, x->query[i].name.at, x->query[i].name.n),
                  x->query[i].value);
    for (size_t i = 0; i < TB_COUNT(HEADERS); i++)
        tell_sent(told->headers, &headers_n, HEADERS[i],
                  tb_http_header(&x->in, tb_str(HEADERS[i])));
    for (size_t i = 0; i < x->grant->scopes_n; i++)
        told->scopes[i] = (struct tb_script_member){.text = x->grant->scopes[i]};
    tell_all(told->all, n, "params", told->params, params_n);
    tell_all(told->all, n, "query", told->query, query_n);
    tell_all(told->all, n, "headers", told->headers, headers_n);
    tell_all(told->all, n, "scopes", told->scopes, x->grant->scopes_n);
}

const struct tb_script_member *tb_script_members(struct tb_exchange *x, size_t *out_n)
{
    const struct tb_operation *operation = x->match.operation;
    struct told *told = tb_arena_raw(x->run.arena,
                                     sizeof(*told) + x->grant->scopes_n * sizeof(told->scopes[0]));
    if (told == NULL)
        return NULL;
    size_t *n = out_n;
    *n = 0;
    tb_time_format(tb_now(&x->run.req), told->now);
    tell(told->all, n, "id", (struct tb_str){x->request_id, sizeof(x->request_id) - 1});
    tell_sent(told->all, n, "method", x->in.method);
    tell_sent(told->all, n, "path", x->in.path);
    tell(told->all, n, "route", (struct tb_str){operation->key, operation->key_n});
    tell(told->all, n, "product", tb_str(operation->plugin->name));
    tell(told->all, n, "partner", x->grant->partner);
    tell(told->all, n, "app", x->grant->app);
    tell(told->all, n, "environment", environment_of(x->grant));
    if (x->grant->consent.at != NULL)
        tell(told->all, n, "consent", x->grant->consent);
    tell(told->all, n, "world_time", (struct tb_str){told->now, TB_TIME_CHARS});
    if (x->json != NULL)
        told->all[(*n)++] = (struct tb_script_member){.name = "body",
                                                      .json = x->sent != NULL ? x->sent : x->json};
    tell_parts(x, told, n);
    return told->all;
}

/* ---- as JSON, for the recorder ---- */

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
    put(request, "environment", environment_of(x->grant));
    (void)json_object_set_new_nocheck(request, "scopes", scopes_of(x->grant));
    put(request, "consent", x->grant->consent);
    put(request, "world_time", (struct tb_str){now, TB_TIME_CHARS});
    if (!tb_arena_defer(x->run.arena, drop, request))
        return NULL;
    return x->script_input = request;
}
