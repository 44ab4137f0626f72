/* The rules a product's tables must satisfy, in the order in which they can be believed: identity
 * first, then each table on its own. Schemas and duplicates between products are the registry's. */
#include "base/text.h"
#include "product/registry.h"
#include <stdio.h>

struct check {
    const struct tb_plugin *plugin;
    bool builtin;
    char *why;
    size_t why_bytes;
};

static const char *TB_PRINTF(2, 3) refuse_plugin(const struct check *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->why, c->why_bytes, format, args);
    va_end(args);
    return c->why;
}

/* A lower-case word of letters, digits and the given joining characters, beginning with a letter.
 */
static bool word(const char *text, const char *joints, size_t max)
{
    size_t n = text == NULL ? 0 : strlen(text);
    if (n == 0 || n > max || text[0] < 'a' || text[0] > 'z')
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && strchr(joints, c) == NULL)
            return false;
    }
    return true;
}

static const char *check_identity(const struct check *c)
{
    const struct tb_plugin *p = c->plugin;
    unsigned major, minor, patch;
    int used = 0;
    if (!word(p->name, "-", 40))
        return refuse_plugin(c, "its name must be lower-case letters, digits and '-', at most 40");
    if (p->version == NULL ||
        sscanf(p->version, "%u.%u.%u%n", &major, &minor, &patch, &used) != 3 ||
        p->version[used] != '\0')
        return refuse_plugin(c, "%s: its version must be MAJOR.MINOR.PATCH, as in \"1.0.0\"",
                             p->name);
    if (p->title == NULL || p->title[0] == '\0')
        return refuse_plugin(c, "%s: it has no title", p->name);
    return NULL;
}

static const char *check_scope(const struct check *c, const struct tb_route *route)
{
    const char *name = c->plugin->name;
    size_t n = strlen(name);
    if (c->builtin && route->scope != NULL && strcmp(route->scope, "openid") == 0)
        return NULL; /* OpenID Connect's own */
    if (route->scope == NULL)
        return c->builtin ? NULL
                          : refuse_plugin(c, "%s: route %s %s has no scope", name, route->method,
                                          route->path);
    if (strncmp(route->scope, name, n) == 0 &&
        (strcmp(route->scope + n, ":read") == 0 || strcmp(route->scope + n, ":write") == 0))
        return NULL;
    return refuse_plugin(
        c, "%s: route %s %s has the unknown scope \"%s\"; scopes are %s:read and %s:write", name,
        route->method, route->path, route->scope, name, name);
}

static const char *check_path(const struct check *c, const struct tb_route *route)
{
    const char *name = c->plugin->name;
    size_t n = strlen(name);
    if (c->builtin)
        return NULL;
    if (route->path[0] == '/' && strncmp(route->path + 1, name, n) == 0 &&
        strncmp(route->path + 1 + n, "/v", 2) == 0 && route->path[n + 3] >= '1' &&
        route->path[n + 3] <= '9')
        return NULL;
    return refuse_plugin(c, "%s: the path %s must begin with /%s/v1/ (or a later version)", name,
                         route->path, name);
}

static const char *check_query(const struct check *c, const struct tb_route *route)
{
    for (const struct tb_query_param *q = route->query; q != NULL && q->name != NULL; q++) {
        bool needs_values = q->kind == TB_Q_ENUM || q->kind == TB_Q_ID;
        if (q->kind > (c->builtin ? TB_Q_CONSENT_TYPE : TB_Q_DATE) ||
            (needs_values && (q->values == NULL || q->values[0] == '\0')))
            return refuse_plugin(c, "%s: query parameter %s of %s lacks its values",
                                 c->plugin->name, q->name, route->path);
        if (q->kind == TB_Q_TEXT && (q->max <= 0 || q->min > q->max))
            return refuse_plugin(c, "%s: query parameter %s of %s needs a length of at least 1",
                                 c->plugin->name, q->name, route->path);
    }
    return NULL;
}

/* What only the host may do: read what was not judged, answer in a shape of its own. And whose
 * consents open a route: words joined by '|'. */
static const char *check_reach(const struct check *c, const struct tb_route *route)
{
    const uint32_t known = TB_R_KEY | TB_R_FINISH | TB_R_PAGE;
    if (!c->builtin && (route->flags & ~known) != 0)
        return refuse_plugin(c, "%s: route %s %s has a flag that is for built-in products",
                             c->plugin->name, route->method, route->path);
    if (route->consent != NULL && !word(route->consent, "_|", 120))
        return refuse_plugin(c, "%s: route %s %s must name consents as in \"one_type|other\"",
                             c->plugin->name, route->method, route->path);
    return NULL;
}

static const char *check_route(const struct check *c, const struct tb_route *route)
{
    const char *name = c->plugin->name, *why;
    if (route->method == NULL || route->path == NULL)
        return refuse_plugin(c, "%s: a route lacks its method or path", name);
    if (route->handler == NULL)
        return refuse_plugin(c, "%s: route %s %s has no handler", name, route->method, route->path);
    if (route->level != TB_A1 && route->level != TB_A2 && !c->builtin)
        return refuse_plugin(c, "%s: route %s %s has no interface level (TB_A1, TB_A2)", name,
                             route->method, route->path);
    if ((why = check_scope(c, route)) != NULL || (why = check_path(c, route)) != NULL)
        return why;
    if ((route->flags & TB_R_KEY) != 0 && strcmp(route->method, "POST") != 0)
        return refuse_plugin(c, "%s: only POST takes an Idempotency-Key, not %s %s", name,
                             route->method, route->path);
    if ((why = check_reach(c, route)) != NULL)
        return why;
    return check_query(c, route);
}

static bool listed(const char *const *list, const char *text)
{
    for (; *list != NULL; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

static const char *check_states(const struct check *c, const struct tb_lifecycle *life)
{
    const char *name = c->plugin->name;
    if (life->resource == NULL || life->states == NULL || life->states[0] == NULL ||
        life->terminal == NULL || life->edges == NULL)
        return refuse_plugin(c, "%s: a state machine lacks its resource, states or edges", name);
    for (const char *const *t = life->terminal; *t != NULL; t++)
        if (!listed(life->states, *t))
            return refuse_plugin(c, "%s: terminal state %s of %s is not among its states", name, *t,
                                 life->resource);
    for (const struct tb_edge *e = life->edges; e->from != NULL; e++) {
        if (e->to == NULL || !listed(life->states, e->from) || !listed(life->states, e->to))
            return refuse_plugin(c, "%s: edge %s -> %s of %s names an unknown state", name, e->from,
                                 e->to == NULL ? "?" : e->to, life->resource);
        if (listed(life->terminal, e->from))
            return refuse_plugin(c, "%s: %s of %s is terminal but has a way out", name, e->from,
                                 life->resource);
    }
    return NULL;
}

/* "schema.function", the schema being the product's own: its name with '_' for '-'. */
static const char *check_call(const struct check *c, const struct tb_call *call)
{
    const char *name = c->plugin->name;
    const char *dot = call->function == NULL ? NULL : strchr(call->function, '.');
    bool own = dot != NULL && strlen(name) == (size_t)(dot - call->function);
    for (size_t i = 0; own && name[i] != '\0'; i++)
        own = call->function[i] == (name[i] == '-' ? '_' : name[i]);
    if (own && word(dot + 1, "_", 60))
        return NULL;
    return refuse_plugin(c, "%s: the call %s must be a function of the product's own SQL schema",
                         name, call->function == NULL ? "?" : call->function);
}

static const char *check_migrations(const struct check *c)
{
    const struct tb_migration *m = c->plugin->migrations;
    for (uint32_t i = 1; m != NULL && m->number != 0; i++, m++)
        if (m->number != i || m->sql == NULL || m->name == NULL)
            return refuse_plugin(
                c, "%s: its migrations must be numbered 1, 2, 3 without gaps; found %u",
                c->plugin->name, m->number);
    return NULL;
}

static const char *check_errors(const struct check *c)
{
    const struct tb_plugin *p = c->plugin;
    for (size_t i = 0; i < p->errors_n; i++) {
        const struct tb_error *e = p->errors[i];
        if (e == NULL || !word(e->code, "_", 60) || e->title == NULL || e->remedy == NULL)
            return refuse_plugin(c, "%s: error %zu lacks its code, title or remedy", p->name, i);
        if (e->status < 400 || e->status > 599)
            return refuse_plugin(c, "%s: error %s has status %u, which is no error", p->name,
                                 e->code, e->status);
    }
    return NULL;
}

static bool worded(struct tb_words words)
{
    return words.zh != NULL && words.zh[0] != '\0' && words.en != NULL && words.en[0] != '\0';
}

/* Whether a scope is the product's: "{product}:…". */
static bool own_scope(const struct check *c, const char *scope)
{
    size_t n = strlen(c->plugin->name);
    return strncmp(scope, c->plugin->name, n) == 0 && scope[n] == ':';
}

static bool own_scopes(const struct check *c, const char *scopes)
{
    struct tb_str rest = tb_str(scopes), scope;
    bool any = false;
    for (; tb_str_next(&rest, ' ', &scope); any = true)
        if (!own_scope(c, scope.at))
            return false;
    return any;
}

static const char *check_consents(const struct check *c)
{
    const struct tb_plugin *p = c->plugin;
    for (size_t i = 0; i < p->scopes_n; i++)
        if (p->scopes[i].name == NULL || !own_scope(c, p->scopes[i].name) ||
            !worded(p->scopes[i].words))
            return refuse_plugin(c, "%s: scope %zu lacks its name of the product or its words",
                                 p->name, i);
    for (size_t i = 0; i < p->detail_types_n; i++) {
        const struct tb_detail_type *type = &p->detail_types[i];
        if (!word(type->name, "_", 60) || type->schema == NULL || !worded(type->title) ||
            !worded(type->question))
            return refuse_plugin(c, "%s: detail type %zu lacks its name, schema, title or question",
                                 p->name, i);
        if (type->scope == NULL || !own_scopes(c, type->scope))
            return refuse_plugin(c, "%s: the detail type %s must imply scopes of the product",
                                 p->name, type->name);
        for (const struct tb_detail_term *t = type->terms; t != NULL && t->member != NULL; t++)
            if (t->kind > TB_TERM_TIME || !worded(t->label))
                return refuse_plugin(c, "%s: term %s of the detail type %s lacks its kind or label",
                                     p->name, t->member, type->name);
    }
    return NULL;
}

static const char *check_small_tables(const struct check *c)
{
    const struct tb_plugin *p = c->plugin;
    for (size_t i = 0; i < p->config_n; i++)
        if (!word(p->config[i].key, "_.", 60) || p->config[i].default_text == NULL ||
            p->config[i].doc == NULL)
            return refuse_plugin(c, "%s: configuration key %zu lacks its name, default or doc",
                                 p->name, i);
    for (size_t i = 0; i < p->events_n; i++)
        if (!word(p->events[i].type, "_.", 60))
            return refuse_plugin(c, "%s: event type %zu has no proper name", p->name, i);
    for (size_t i = 0; i < p->jobs_n; i++)
        if (!word(p->jobs[i].name, "_", 60) || p->jobs[i].run == NULL ||
            p->jobs[i].every_ms < TB_JOB_EVERY_MS_MIN)
            return refuse_plugin(
                c, "%s: job %zu lacks its name, function or interval of at least %d ms", p->name, i,
                TB_JOB_EVERY_MS_MIN);
    return NULL;
}

const char *tb_plugin_check(const struct tb_plugin *plugin, bool builtin, char *why,
                            size_t why_bytes)
{
    struct check c = {plugin, builtin, why, why_bytes};
    const char *bad = check_identity(&c);
    for (size_t i = 0; bad == NULL && i < plugin->routes_n; i++)
        bad = check_route(&c, &plugin->routes[i]);
    for (size_t i = 0; bad == NULL && i < plugin->states_n; i++)
        bad = check_states(&c, &plugin->states[i]);
    for (size_t i = 0; bad == NULL && i < plugin->calls_n; i++)
        bad = check_call(&c, plugin->calls[i]);
    if (bad == NULL)
        bad = check_migrations(&c);
    if (bad == NULL)
        bad = check_errors(&c);
    if (bad == NULL)
        bad = check_consents(&c);
    return bad != NULL ? bad : check_small_tables(&c);
}
