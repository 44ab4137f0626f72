/* Stage "query": what each kind of parameter takes, and how the first wrong one is named. */
#include "exchange_fixture.h"

#include "base/id.h"
#include <stdio.h>

static struct fixture f;

static int open_all(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static const struct tb_query_param PARAMS[] = {
    {"n", TB_Q_INT, -5, 5, NULL, NULL},
    {"big", TB_Q_INT, INT64_MIN, INT64_MAX, NULL, NULL},
    {"text", TB_Q_TEXT, 1, 3, NULL, NULL},
    {"code", TB_Q_TEXT, 3, 3, NULL, NULL},
    {"state", TB_Q_ENUM, 0, 0, "open|closed|re-opened", NULL},
    {"account", TB_Q_ID, 0, 0, "acc", NULL},
    {"created[gte]", TB_Q_TIME, 0, 0, NULL, NULL},
    {"day", TB_Q_DATE, 0, 0, NULL, NULL},
    {"strange", (enum tb_query_kind)99, 0, 0, NULL, NULL},
    {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
};

static struct tb_exchange *ask(const struct tb_query_param *params, uint32_t flags,
                               const char *query)
{
    struct tb_exchange *x = fixture_request(&f, "GET", "/shop/v1/things");
    fixture_flags(&f, flags);
    f.route.query = params;
    x->in.raw_query = query == NULL ? TB_STR_NONE : tb_str(query);
    return x;
}

struct query_case {
    const char *query;
    const char *code;  /* "ok" or what it is refused with */
    const char *place; /* of the refusal; "none": it has none */
    const char *says;  /* part of the detail */
};

static void judge(const struct query_case *c, const struct tb_query_param *params, uint32_t flags)
{
    ask(params, flags, c->query);
    const char *code = fixture_stage(&f, tb_stage_query);
    if (strcmp(code, c->code) != 0)
        fail_msg("?%s: %s, %s", c->query, code, fixture_detail(&f));
    if (strcmp(code, "ok") == 0)
        return;
    if (strcmp(fixture_place(&f), c->place) != 0)
        fail_msg("?%s: at %s", c->query, fixture_place(&f));
    if (strstr(fixture_detail(&f), c->says) == NULL)
        fail_msg("?%s: %s", c->query, fixture_detail(&f));
}

#define OK(query)                                                                                  \
    {                                                                                              \
        query, "ok", NULL, NULL                                                                    \
    }
#define BAD(query, place, says)                                                                    \
    {                                                                                              \
        query, "bad_parameter", place, says                                                        \
    }

static void holds_each_parameter_against_its_declaration(void **state)
{
    (void)state;
    static const struct query_case cases[] = {
        OK(NULL),
        OK(""),
        OK("&"),
        OK("&&n=1&"),
        OK("n=-5"),
        OK("n=0"),
        OK("n=5"),
        BAD("n=-6", "?n", "must be an integer from -5 to 5"),
        BAD("n=6", "?n", "must be an integer from -5 to 5"),
        BAD("n=", "?n", "integer"),
        BAD("n", "?n", "integer"),
        BAD("n=05", "?n", "integer"),
        BAD("n=-0", "?n", "integer"),
        BAD("n=%2B5", "?n", "integer"),
        BAD("n=+5", "?n", "integer"),
        BAD("n=5.0", "?n", "integer"),
        BAD("n=1e1", "?n", "integer"),
        OK("big=9223372036854775807"),
        OK("big=-9223372036854775808"),
        BAD("big=9223372036854775808", "?big", "to 9223372036854775807"),
        BAD("big=-9223372036854775809", "?big", "from -9223372036854775808"),

        BAD("text=", "?text", "must have 1 to 3 bytes"),
        OK("text=a"),
        OK("text=abc"),
        OK("text=%e6%ac%be"),
        OK("text=a=b"),
        BAD("text=abcd", "?text", "must have 1 to 3 bytes"),
        BAD("text=%e6%ac%bea", "?text", "1 to 3"),
        OK("code=abc"),
        BAD("code=ab", "?code", "must have 3 bytes"),
        BAD("code=abcd", "?code", "must have 3 bytes"),

        OK("state=open"),
        OK("state=closed"),
        OK("state=re-opened"),
        BAD("state=", "?state", "must be one of open|closed|re-opened"),
        BAD("state=ope", "?state", "one of"),
        BAD("state=openn", "?state", "one of"),
        BAD("state=Open", "?state", "one of"),
        BAD("state=open|closed", "?state", "one of"),
        BAD("state=closed%7Cre-opened", "?state", "one of"),

        OK("created%5Bgte%5D=2026-02-28T09:30:00Z"),
        OK("created[gte]=2026-02-28T17:30:00%2B08:00"),
        BAD("created[gte]=2026-02-30T09:30:00Z", "?created[gte]", "must be an RFC 3339 time"),
        BAD("created[gte]=2026-02-28", "?created[gte]", "RFC 3339"),
        BAD("created[gte]=", "?created[gte]", "RFC 3339"),
        OK("day=2028-02-29"),
        BAD("day=2026-02-29", "?day", "a date that exists"),
        BAD("day=2026-2-28", "?day", "a date that exists"),
        BAD("strange=1", "?strange", "is of no known kind"),

        BAD("n=1&n=1", "?n", "is given twice"),
        BAD("text=a&n=1&%6e=2", "?n", "is given twice"),
        BAD("n=9&text=abcd", "?n", "must be"),
        BAD("other=1", "?other", "is not a parameter of this operation"),
        BAD("=1", "?", "is not a parameter"),
        BAD("stat=open", "?stat", "did you mean state?"),
        BAD("STATE=open", "?STATE", "did you mean state?"),
        BAD("created%5Bget%5D=x", "?created[get]", "did you mean created[gte]?"),
        BAD("limit=1", "?limit", "is not a parameter"),

        BAD("n=%", "none", "not percent-encoded UTF-8"),
        BAD("n=%4", "none", "not percent-encoded UTF-8"),
        BAD("n=%zz", "none", "not percent-encoded UTF-8"),
        BAD("n=%00", "none", "not percent-encoded UTF-8"),
        BAD("text=%ff", "none", "not percent-encoded UTF-8"),
        BAD("%ff=1", "none", "not percent-encoded UTF-8"),
        BAD("%e6%ac=1", "none", "not percent-encoded UTF-8"),
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        judge(&cases[i], PARAMS, 0);
}

static void takes_ids_of_the_declared_kind_alone(void **state)
{
    (void)state;
    char id[TB_ID_ROOM], other[TB_ID_ROOM], query[128];
    tb_id_make(id, "acc", 7, 1768464000000);
    tb_id_make(other, "pay", 7, 1768464000000);
    snprintf(query, sizeof(query), "account=%s", id);
    judge(&(struct query_case)OK(query), PARAMS, 0);
    snprintf(query, sizeof(query), "account=%s", other);
    judge(&(struct query_case)BAD(query, "?account", "must be an id: acc_ and 26"), PARAMS, 0);
    snprintf(query, sizeof(query), "account=%.*s", (int)strlen(id) - 1, id);
    judge(&(struct query_case)BAD(query, "?account", "must be an id: acc_ and 26"), PARAMS, 0);
}

static void gives_handlers_the_decoded_value_and_times_in_one_form(void **state)
{
    (void)state;
    struct tb_exchange *x = ask(PARAMS, 0,
                                "text=%61+b&created[gte]=2026-02-28T17:30:00%2B08:00&n=-3");
    assert_string_equal(fixture_stage(&f, tb_stage_query), "ok");
    assert_int_equal(x->query_n, 3);
    assert_true(tb_str_eq(tb_query_param(&x->run.req, "text"), TB_STR("a b")));
    assert_true(
        tb_str_eq(tb_query_param(&x->run.req, "created[gte]"), TB_STR("2026-02-28T09:30:00.000Z")));
    assert_true(tb_str_eq(tb_query_param(&x->run.req, "n"), TB_STR("-3")));
    assert_null(tb_query_param(&x->run.req, "state").at);
}

static void takes_limit_and_cursors_where_there_are_pages(void **state)
{
    (void)state;
    static const struct query_case cases[] = {
        OK("limit=1"),
        OK("limit=50"),
        BAD("limit=0", "?limit", "from 1 to 50"),
        BAD("limit=51", "?limit", "from 1 to 50"),
        BAD("limit=-1", "?limit", "from 1 to 50"),
        OK("starting_after=v1.a.b"),
        OK("ending_before=v1.a.b&n=1"),
        BAD("starting_after=", "?starting_after", "must have 1 to 512 bytes"),
        BAD("startin_after=a", "?startin_after", "did you mean starting_after?"),
        BAD("limits=1", "?limits", "did you mean limit?"),
        BAD("cursor=1", "?cursor", "is not a parameter"),
    };
    f.settings.limits_page = 50;
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        judge(&cases[i], PARAMS, TB_R_PAGE);
    judge(&cases[0], NULL, TB_R_PAGE); /* and nothing of its own */
    judge(&(struct query_case)BAD("limits=1", "?limits", "did you mean limit?"), NULL, TB_R_PAGE);
    judge(&(struct query_case)BAD("limits=1", "?limits", "is not a parameter"), NULL, 0);
    for (size_t n = 511; n <= 513; n++) {
        char query[600];
        int lead = snprintf(query, sizeof(query), "ending_before=");
        memset(query + lead, 'a', n);
        query[(size_t)lead + n] = '\0';
        ask(NULL, TB_R_PAGE, query);
        assert_string_equal(fixture_stage(&f, tb_stage_query), n <= 512 ? "ok" : "bad_parameter");
    }
    f.settings.limits_page = f.config->limits_page;
}

/* A route's own "limit" is its own. */
static void prefers_the_routes_own_declaration(void **state)
{
    (void)state;
    static const struct tb_query_param own[] = {
        {"limit", TB_Q_INT, 1, 7, NULL, NULL},
        {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
    };
    static const struct query_case cases[] = {
        OK("limit=7"),
        BAD("limit=8", "?limit", "from 1 to 7"),
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        judge(&cases[i], own, TB_R_PAGE);
}

static void takes_sixteen_parameters_and_no_more(void **state)
{
    (void)state;
    static char names[TB_QUERY_MAX + 1][8];
    static struct tb_query_param many[TB_QUERY_MAX + 2];
    char query[256] = "";
    for (size_t i = 0; i <= TB_QUERY_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "p%zu", i);
        many[i] = (struct tb_query_param){names[i], TB_Q_INT, 0, 9, NULL, NULL};
    }
    for (size_t i = 0; i <= TB_QUERY_MAX; i++) {
        size_t n = strlen(query);
        snprintf(query + n, sizeof(query) - n, "&p%zu=1", i);
        struct tb_exchange *x = ask(many, 0, query);
        const char *code = fixture_stage(&f, tb_stage_query);
        assert_string_equal(code, i < TB_QUERY_MAX ? "ok" : "bad_parameter");
        assert_int_equal(x->query_n, i < TB_QUERY_MAX ? i + 1 : TB_QUERY_MAX);
    }
    assert_string_equal(fixture_detail(&f), "more than 16 query parameters");
}

static void leaves_raw_routes_their_query(void **state)
{
    (void)state;
    struct tb_exchange *x = ask(PARAMS, TB_R_RAW, "n=%zz&other");
    assert_string_equal(fixture_stage(&f, tb_stage_query), "ok");
    assert_int_equal(x->query_n, 0);
}

/* ---- the path ---- */

static void finds_nothing_by_an_id_of_another_kind(void **state)
{
    (void)state;
    static const struct {
        const char *name, *prefix, *value, *detail;
    } cases[] = {
        {"payment_id", "pay", "acc_1", "acc_1 is not a payment id: pay_ and 26 characters"},
        {"account_id", "acc", "x", "x is not an account id: acc_ and 26 characters"},
        {"payment_id", "pay", "", " is not a payment id: pay_ and 26 characters"},
        {"payment_id", "pay", "0123456789012345678901234567890123456789",
         "0123456789012345678901234567890123456789 is not a payment id: pay_ and 26 characters"},
        {"payment_id", "pay", "0123456789012345678901234567890123456789x",
         "0123456789012345678901234567890123456789... is not a payment id: pay_ and 26 characters"},
        {"payment_id", "pay", "012345678901234567890123456789012345678\xe6\xac\xbe",
         "012345678901234567890123456789012345678... is not a payment id: pay_ and 26 characters"},
        {"payment_id", "pay", "0123456789012345678901234567890123456\xe6\xac\xbe\xe6\xac\xbe",
         "0123456789012345678901234567890123456\xe6\xac\xbe... is not a payment id: pay_ and 26 "
         "characters"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = ask(PARAMS, TB_R_RAW, "n=wrong, too");
        x->match.params[0] = (struct tb_path_param){cases[i].name, tb_str(cases[i].value)};
        x->match.params_n = 1;
        x->match.wrong = cases[i].name;
        x->match.wrong_prefix = cases[i].prefix;
        char place[64];
        snprintf(place, sizeof(place), "?%s", cases[i].name);
        assert_string_equal(fixture_stage(&f, tb_stage_query), "not_found");
        assert_string_equal(fixture_detail(&f), cases[i].detail);
        assert_string_equal(fixture_place(&f), place);
    }
}

/* ---- memory ---- */

static bool take_with(struct fixture *fixture, size_t cap)
{
    struct tb_exchange *x = ask(PARAMS, 0, "text=a&created[gte]=2026-02-28T17:30:00%2B08:00");
    fixture_starve(fixture, cap);
    tb_err err = tb_stage_query(x);
    if (err == NULL) {
        assert_int_equal(x->query_n, 2);
        return true;
    }
    assert_true(tb_is(err, TB_E_INTERNAL));
    return false;
}

static bool refuse_with(struct fixture *fixture, size_t cap)
{
    struct tb_exchange *x = ask(PARAMS, TB_R_PAGE, "created[get]=2026");
    fixture_starve(fixture, cap);
    tb_err err = tb_stage_query(x);
    assert_non_null(err);
    return tb_is(err, TB_E_BAD_PARAMETER);
}

static void passes_and_blames_nothing_when_memory_ends(void **state)
{
    (void)state;
    fixture_famine(&f, take_with);
    fixture_famine(&f, refuse_with);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(holds_each_parameter_against_its_declaration),
    cmocka_unit_test(takes_ids_of_the_declared_kind_alone),
    cmocka_unit_test(gives_handlers_the_decoded_value_and_times_in_one_form),
    cmocka_unit_test(takes_limit_and_cursors_where_there_are_pages),
    cmocka_unit_test(prefers_the_routes_own_declaration),
    cmocka_unit_test(takes_sixteen_parameters_and_no_more),
    cmocka_unit_test(leaves_raw_routes_their_query),
    cmocka_unit_test(finds_nothing_by_an_id_of_another_kind),
    cmocka_unit_test(passes_and_blames_nothing_when_memory_ends),
};
TEST_GROUP(tests, open_all, close_all);
