/* What a script's hooks are given: a copy of the request without tokens, keys or anything of
 * another partner. schemas/script/request.json says the same in words. */
#include "base/json.h"
#include "base/time.h"
#include "crypto/grant.h"
#include "gateway/gateway.h"
#include "hooks/scripts.h"

static const char *const HEADERS[] = {"content-type", "accept-language", "prefer"};

static struct tb_str environment_of(const struct tb_grant *grant)
{
    return grant->env == TB_ENV_LIVE ? TB_STR("live") : TB_STR("sandbox");
}

struct told {
    struct tb_script_member params[TB_ROUTE_PARAMS_MAX], query[TB_QUERY_MAX], headers[3], all[16];
    char now[TB_TIME_CHARS + 1];
    struct tb_script_member scopes[];
};

static void add_member(struct tb_script_member *list, size_t *n, const char *name,
                       struct tb_str text)
{
    list[(*n)++] = (struct tb_script_member){.name = name, .text = text};
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
        add_member(told->params, &params_n, x->match.params[i].name, x->match.params[i].value);
    for (size_t i = 0; i < x->query_n; i++)
        add_member(told->query, &query_n,
                   tb_arena_text(x->run.arena, x->query[i].name.at, x->query[i].name.n),
                   x->query[i].value);
    for (size_t i = 0; i < TB_COUNT(HEADERS); i++) {
        struct tb_str value = tb_http_header(&x->in, tb_str(HEADERS[i]));
        if (value.at != NULL && tb_utf8_valid(value)) /* paths and queries were checked before */
            add_member(told->headers, &headers_n, HEADERS[i], value);
    }
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
    add_member(told->all, n, "id", (struct tb_str){x->request_id, sizeof(x->request_id) - 1});
    add_member(told->all, n, "method", x->in.method);
    add_member(told->all, n, "path", x->in.path);
    add_member(told->all, n, "route", (struct tb_str){operation->key, operation->key_n});
    add_member(told->all, n, "product", tb_str(operation->plugin->name));
    add_member(told->all, n, "partner", x->grant->partner);
    add_member(told->all, n, "app", x->grant->app);
    add_member(told->all, n, "environment", environment_of(x->grant));
    if (x->grant->consent.at != NULL)
        add_member(told->all, n, "consent", x->grant->consent);
    add_member(told->all, n, "world_time", (struct tb_str){told->now, TB_TIME_CHARS});
    if (x->json != NULL)
        told->all[(*n)++] = (struct tb_script_member){
            .name = "body", .json = x->sent_body != NULL ? x->sent_body : x->json};
    tell_parts(x, told, n);
    return told->all;
}

/* ---- as JSON, for the recorder ---- */

static json_t *json_of(const struct tb_script_member *member);

/* A table, or a list when the members have no names. `scopes` is never empty. */
static json_t *json_of_all(const struct tb_script_member *members, size_t n)
{
    bool list = n > 0 && members[0].name == NULL;
    json_t *json = list ? json_array() : json_object();
    for (size_t i = 0; i < n; i++)
        (void)(list ? json_array_append_new(json, json_of(&members[i]))
                    : json_object_set_new_nocheck(json, members[i].name, json_of(&members[i])));
    return json;
}

/* As deep as what is told: two levels. */
static json_t *json_of(const struct tb_script_member *member)
{
    if (member->json != NULL)
        return json_incref((json_t *)(uintptr_t)member->json);
    if (member->text.at != NULL)
        return json_stringn(member->text.at, member->text.n);
    return json_of_all(member->members, member->members_n);
}

json_t *tb_script_request(struct tb_exchange *x)
{
    size_t n;
    if (x->script_input != NULL)
        return x->script_input;
    const struct tb_script_member *members = tb_script_members(x, &n);
    if (members == NULL)
        return NULL;
    json_t *request = json_of_all(members, n);
    if (!tb_json_defer(x->run.arena, request))
        return NULL;
    return x->script_input = request;
}
