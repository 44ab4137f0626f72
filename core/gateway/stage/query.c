/* Stage "query": the parameters of the path and those behind the "?" are of the type the route
 * declares. An unknown one is refused rather than ignored: a misspelt filter must not widen a list.
 * A time reaches the handler in one form, so that no database reads another into it. Routes with
 * TB_R_RAW read theirs themselves, by the rules of another standard. */
#include "base/id.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/time.h"
#include "gateway/gateway.h"
#include "oauth/form.h"
#include "oauth/request/details.h"
#include "oauth/server.h"
#include "product/registry.h"
#include <stdio.h>

enum { VALUE_SHOWN = 40 /* bytes */ };

static const struct tb_query_param PAGE_PARAMS[] = {
    {"limit", TB_Q_INT, 1, 0, NULL,
     "Most objects to answer with; the configuration says how many."},
    {"starting_after", TB_Q_TEXT, 1, 512, NULL, "Cursor: the page after it."},
    {"ending_before", TB_Q_TEXT, 1, 512, NULL, "Cursor: the page before it."},
    {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
};

static tb_err refuse_parameter(struct tb_exchange *x, struct tb_str name, const char *why)
{
    struct tb_problem *problem = &x->run.problem;
    char *copy = tb_arena_text(x->run.arena, name.at, name.n);
    problem->places[0] = (struct tb_place){
        .parameter = copy, .code = "bad_parameter", .detail = why};
    problem->places_n = problem->places_total = 1;
    return tb_fail(&x->run.req, TB_E_BAD_PARAMETER, "query parameter %s: %s", copy, why);
}

static const struct tb_query_param *declared(const struct tb_route *route, struct tb_str name)
{
    for (const struct tb_query_param *p = route->query; p != NULL && p->name != NULL; p++)
        if (tb_str_eq(name, tb_str(p->name)))
            return p;
    if ((route->flags & TB_R_PAGE) == 0)
        return NULL;
    for (const struct tb_query_param *p = PAGE_PARAMS; p->name != NULL; p++)
        if (tb_str_eq(name, tb_str(p->name)))
            return p;
    return NULL;
}

/* An unknown name, and the one that may have been meant. */
static tb_err refuse_unknown(struct tb_exchange *x, struct tb_str name)
{
    const struct tb_route *route = x->match.operation->route;
    struct tb_nearest nearest = {.word = name};
    for (const struct tb_query_param *p = route->query; p != NULL && p->name != NULL; p++)
        tb_nearest_try(&nearest, tb_str(p->name));
    if ((route->flags & TB_R_PAGE) != 0)
        for (const struct tb_query_param *p = PAGE_PARAMS; p->name != NULL; p++)
            tb_nearest_try(&nearest, tb_str(p->name));
    if (nearest.name.at == NULL)
        return refuse_parameter(x, name, "is not a parameter of this operation");
    return refuse_parameter(
        x, name,
        tb_arena_format(x->run.arena, "is not a parameter of this operation; did you mean %.*s?",
                        (int)nearest.name.n, nearest.name.at)
            .at);
}

/* The largest number a parameter takes. */
static int64_t largest(struct tb_exchange *x, const struct tb_query_param *param)
{
    return param == PAGE_PARAMS ? tb_gateway_parts(x->gateway)->config->limits_page : param->max;
}

/* The time `ms` in the form of the answers. */
static struct tb_str canonical(struct tb_exchange *x, int64_t ms)
{
    char text[TB_TIME_CHARS + 1];
    tb_time_format(ms, text);
    return (struct tb_str){tb_arena_text(x->run.arena, text, TB_TIME_CHARS), TB_TIME_CHARS};
}

/* "identity" is the consent to a login, which asks for no detail. */
static const char *wrong_type(struct tb_exchange *x, struct tb_str value)
{
    if (tb_str_eq(value, TB_STR("identity")) ||
        tb_registry_detail(tb_oauth()->registry, value) != NULL)
        return NULL;
    struct tb_str types = tb_details_types(x->run.arena, "|");
    return tb_arena_format(x->run.arena, "must be one of %.*s|identity", (int)types.n,
                           types.at == NULL ? "" : types.at)
        .at;
}

/* NULL when the value fits the declaration, otherwise what it must be. A time is made canonical. */
static const char *wrong(struct tb_exchange *x, const struct tb_query_param *param,
                         struct tb_str *inout_value)
{
    struct tb_str value = *inout_value;
    struct tb_date date;
    int64_t number;
    switch (param->kind) {
    case TB_Q_INT:
        if (tb_text_to_int(value, &number) && number >= param->min && number <= largest(x, param))
            return NULL;
        return tb_arena_format(x->run.arena, "must be an integer from %lld to %lld",
                               (long long)param->min, (long long)largest(x, param))
            .at;
    case TB_Q_TIME:
        if (!tb_time_parse(value, &number))
            return "must be an RFC 3339 time such as 2026-02-28T09:30:00Z";
        *inout_value = canonical(x, number);
        return inout_value->at == NULL ? "needs too much memory" : NULL;
    case TB_Q_DATE:
        return tb_date_parse(value, &date) ? NULL : "must be a date that exists, as 2026-02-28";
    case TB_Q_ENUM:
        if (tb_str_among(value, '|', tb_str(param->values)))
            return NULL;
        return tb_arena_format(x->run.arena, "must be one of %s", param->values).at;
    case TB_Q_CONSENT_TYPE:
        return wrong_type(x, value);
    case TB_Q_ID:
        if (tb_id_check(value, param->values))
            return NULL;
        return tb_arena_format(x->run.arena, "must be an id: %s_ and %d characters", param->values,
                               TB_ID_DIGITS)
            .at;
    case TB_Q_TEXT:
        if (value.n >= (size_t)param->min && value.n <= (size_t)param->max)
            return NULL;
        if (param->min == param->max)
            return tb_arena_format(x->run.arena, "must have %lld bytes", (long long)param->min).at;
        return tb_arena_format(x->run.arena, "must have %lld to %lld bytes", (long long)param->min,
                               (long long)param->max)
            .at;
    }
    return "is of no known kind";
}

static tb_err add_parameter(struct tb_exchange *x, struct tb_str pair)
{
    const char *equals = memchr(pair.at, '=', pair.n);
    struct tb_str raw_name = {pair.at, equals != NULL ? (size_t)(equals - pair.at) : pair.n};
    struct tb_str raw_value = TB_STR("");
    struct tb_str name, value;
    if (equals != NULL)
        raw_value = (struct tb_str){equals + 1, pair.n - raw_name.n - 1};
    if (!tb_form_decode(&x->run.req, raw_name, &name) ||
        !tb_form_decode(&x->run.req, raw_value, &value))
        return tb_fail(&x->run.req, TB_E_BAD_PARAMETER,
                       "the query is not percent-encoded UTF-8 without NUL");
    const struct tb_query_param *param = declared(x->match.operation->route, name);
    if (param == NULL)
        return refuse_unknown(x, name);
    for (size_t i = 0; i < x->query_n; i++)
        if (tb_str_eq(x->query[i].name, name))
            return refuse_parameter(x, name, "is given twice");
    const char *why = wrong(x, param, &value);
    if (why != NULL)
        return refuse_parameter(x, name, why);
    if (x->query_n == TB_QUERY_MAX)
        return tb_fail(&x->run.req, TB_E_BAD_PARAMETER, "more than %d query parameters",
                       TB_QUERY_MAX);
    x->query[x->query_n++] = (struct tb_query_value){name, value};
    return NULL;
}

/* A parameter of the path that is no id of its type names nothing: 404, as for an id unknown. */
static tb_err check_path(struct tb_exchange *x)
{
    char what[TB_ROUTE_KEY_BYTES], where[TB_ROUTE_KEY_BYTES];
    if (x->match.wrong == NULL)
        return NULL;
    struct tb_str value = tb_path(&x->run.req, x->match.wrong);
    size_t n = value.n < VALUE_SHOWN ? value.n : VALUE_SHOWN;
    while (n < value.n && n > 0 && ((unsigned char)value.at[n] & 0xc0) == 0x80)
        n--;
    snprintf(where, sizeof(where), "?%s", x->match.wrong);
    snprintf(what, sizeof(what), "%s", x->match.wrong);
    for (char *c = what; *c != '\0'; c++)
        if (*c == '_')
            *c = ' '; /* payment_id: a payment id */
    return tb_fail_at(&x->run.req, TB_E_NOT_FOUND, where,
                      "%.*s%s is not %s %s: %s_ and %d characters", (int)n, value.at,
                      n < value.n ? "..." : "", strchr("aeiou", what[0]) != NULL ? "an" : "a", what,
                      x->match.wrong_prefix, TB_ID_DIGITS);
}

tb_err tb_stage_query(struct tb_exchange *x)
{
    struct tb_str rest = x->in.raw_query;
    TB_TRY(check_path(x));
    if ((x->match.flags & TB_R_RAW) != 0)
        return NULL;
    while (rest.n > 0) {
        const char *amp = memchr(rest.at, '&', rest.n);
        struct tb_str pair = {rest.at, amp != NULL ? (size_t)(amp - rest.at) : rest.n};
        if (pair.n > 0)
            TB_TRY(add_parameter(x, pair));
        size_t used = pair.n + (amp != NULL);
        rest = (struct tb_str){rest.at + used, rest.n - used};
    }
    return NULL;
}
