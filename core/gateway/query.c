/* Stage "query": the parameters behind the "?" are those the route declares, each of its type. An
 * unknown one is refused rather than ignored: a misspelt filter must not widen a list. Routes with
 * TB_R_RAW read theirs themselves, by the rules of another standard. */
#include "base/id.h"
#include "base/json.h"
#include "base/time.h"
#include "gateway/gateway.h"
#include "oauth/form.h"

static const struct tb_query_param PAGE_PARAMS[] = {
    {"limit", TB_Q_INT, 1, 0, NULL,
     "Most objects to answer with; the configuration says how many."},
    {"starting_after", TB_Q_TEXT, 1, 512, NULL, "Cursor: the page after it."},
    {"ending_before", TB_Q_TEXT, 1, 512, NULL, "Cursor: the page before it."},
    {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
};

static tb_err refuse(struct tb_exchange *x, struct tb_str name, const char *why)
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

static bool one_of(struct tb_str value, const char *values)
{
    for (const char *at = values; *at != '\0';) {
        size_t n = strcspn(at, "|");
        if (value.n == n && memcmp(value.at, at, n) == 0)
            return true;
        at += n + (at[n] == '|');
    }
    return false;
}

/* The largest number a parameter takes. */
static int64_t largest(struct tb_exchange *x, const struct tb_query_param *param)
{
    return param == PAGE_PARAMS ? tb_gateway_parts(x->gateway)->config->limits_page : param->max;
}

/* NULL when the value fits the declaration, otherwise what it must be. */
static const char *wrong(struct tb_exchange *x, const struct tb_query_param *param,
                         struct tb_str value)
{
    int64_t number;
    switch (param->kind) {
    case TB_Q_INT:
        if (tb_text_to_int(value, &number) && number >= param->min && number <= largest(x, param))
            return NULL;
        return tb_arena_format(x->run.arena, "must be an integer from %lld to %lld",
                               (long long)param->min, (long long)largest(x, param))
            .at;
    case TB_Q_TIME:
        return tb_time_parse(value, &number) ? NULL : "must be an RFC 3339 time";
    case TB_Q_ENUM:
        if (one_of(value, param->values))
            return NULL;
        return tb_arena_format(x->run.arena, "must be one of %s", param->values).at;
    case TB_Q_ID:
        if (tb_id_check(value, param->values))
            return NULL;
        return tb_arena_format(x->run.arena, "must be an id that begins with %s_", param->values)
            .at;
    case TB_Q_TEXT:
        if (value.n >= (size_t)param->min && value.n <= (size_t)param->max)
            return NULL;
        return tb_arena_format(x->run.arena, "must have %lld to %lld bytes", (long long)param->min,
                               (long long)param->max)
            .at;
    }
    return "is of no known kind";
}

static tb_err take(struct tb_exchange *x, struct tb_str pair)
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
                       "the query is not valid percent-encoded UTF-8");
    const struct tb_query_param *param = declared(x->match.operation->route, name);
    if (param == NULL)
        return refuse(x, name, "is not a parameter of this operation");
    for (size_t i = 0; i < x->query_n; i++)
        if (tb_str_eq(x->query[i].name, name))
            return refuse(x, name, "is given twice");
    const char *why = wrong(x, param, value);
    if (why != NULL)
        return refuse(x, name, why);
    if (x->query_n == TB_QUERY_MAX)
        return tb_fail(&x->run.req, TB_E_BAD_PARAMETER, "more than %d query parameters",
                       TB_QUERY_MAX);
    x->query[x->query_n++] = (struct tb_query_value){name, value};
    return NULL;
}

tb_err tb_stage_query(struct tb_exchange *x)
{
    struct tb_str rest = x->in.raw_query;
    if ((x->match.flags & TB_R_RAW) != 0)
        return NULL;
    while (rest.n > 0) {
        const char *amp = memchr(rest.at, '&', rest.n);
        struct tb_str pair = {rest.at, amp != NULL ? (size_t)(amp - rest.at) : rest.n};
        if (pair.n > 0)
            TB_TRY(take(x, pair));
        size_t used = pair.n + (amp != NULL);
        rest = (struct tb_str){rest.at + used, rest.n - used};
    }
    return NULL;
}
