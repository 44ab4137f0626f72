/* Authorization details: what is accepted, where the finger points when not, and what narrows what.
 */
#include "../unit.h"

#include "base/json.h"
#include "oauth/request/details.h"
#include "oauth_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A    "\"acc_01k9x3m6h0g00801v9r5t2n8qd\""
#define B    "\"acc_01k9x3m6h0g00801c4w7e3k6zj\""
#define C    "\"acc_01k9x3m6h0g00801c4w7e3k6zk\""
#define CNY5 "{\"amount\":500,\"currency\":\"CNY\"}"
#define CNY9 "{\"amount\":900,\"currency\":\"CNY\"}"
#define JPY5 "{\"amount\":500,\"currency\":\"JPY\"}"
#define XXX5 "{\"amount\":500,\"currency\":\"XXX\"}"

#define LIMIT(type, alignment, amount)                                                             \
    "{\"period_type\":\"" type "\",\"period_alignment\":\"" alignment "\",\"amount\":" amount "}"
#define PAYMENT(more) "{\"type\":\"payment\",\"creditor_account\":" A ",\"amount\":" CNY5 more "}"
#define MANDATE(each, limits, more)                                                                \
    "{\"type\":\"mandate\",\"maximum_individual_amount\":" each ",\"periodic_limits\":[" limits    \
    "]" more "}"
#define MONTHLY LIMIT("Month", "Calendar", CNY9)
#define READING(more)                                                                              \
    "{\"type\":\"account_information\",\"permissions\":[\"balances\",\"entries\"]" more "}"

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_open(&fixture, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (json == NULL)
        fail_msg("not JSON: %s", text);
    return json;
}

static tb_err check(struct visit *visit)
{
    json_t *details = parse(visit->arg);
    tb_err err = tb_details_check(&visit->run.req, details);
    json_decref(details);
    return err;
}

/* What is said about `details`: "ok", or the description. */
static const char *said(const char *details)
{
    static struct visit visit;
    visit = (struct visit){.arg = (void *)(uintptr_t)details};
    const char *code = fixture_do(&fixture, &visit, check);
    if (strcmp(code, "ok") != 0)
        assert_string_equal(code, "invalid_authorization_details");
    return strcmp(code, "ok") == 0 ? "ok" : visit.detail;
}

struct wrong {
    const char *details, *said;
};

static void judge(const struct wrong *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(said(cases[i].details), cases[i].said) != said(cases[i].details))
            fail_msg("%s\n  said: %s\n  not:  %s", cases[i].details, said(cases[i].details),
                     cases[i].said);
}

static void accepts_each_type_with_all_its_members(void **state)
{
    (void)state;
    static const struct wrong cases[] = {
        {"[" PAYMENT("") "]", "ok"},
        {"[" PAYMENT(",\"debtor_account\":" B ",\"reference\":\"INV-1\",\"purpose\":\"货款\"") "]",
         "ok"},
        {"[" MANDATE(CNY5, MONTHLY, "") "]", "ok"},
        {"[" MANDATE(
             CNY5, MONTHLY "," LIMIT("Month", "Consent", CNY9),
             ",\"debtor_account\":" A ",\"creditor_accounts\":[" B "," C "]"
             ",\"valid_from\":\"2027-01-01T00:00:00Z\",\"valid_to\":\"2028-01-01T00:00:00Z\""
             ",\"allowed_hours\":{\"from\":\"00:00\",\"to\":\"24:00\"},\"purpose\":\"rent\"") "]",
         "ok"},
        {"[" READING("") "]", "ok"},
        {"[" READING(",\"accounts\":[" A "],\"valid_to\":\"2027-01-01T08:00:00+08:00\","
                     "\"frequency_per_day\":4") "]",
         "ok"},
    };
    judge(cases, TB_COUNT(cases));
}

static void points_at_what_the_schema_refuses(void **state)
{
    (void)state;
    static const struct wrong cases[] = {
        {"{}", "authorization_details must be an array"},
        {"\"payment\"", "authorization_details must be an array"},
        {"[]", "authorization_details must hold exactly one detail"},
        {"[" PAYMENT("") "," READING("") "]", "authorization_details must hold exactly one detail"},
        {"[7]", "/0/type must be one of"},
        {"[{}]", "/0/type must be one of"},
        {"[{\"type\":7}]", "/0/type must be one of"},
        {"[{\"type\":\"Payment\"}]", "/0/type must be one of"},
        {"[{\"type\":\"payment_initiation\"}]", "/0/type must be one of"},
        {"[" PAYMENT(",\"colour\":\"red\"") "]", "/0/colour is not a member known here"},
        {"[{\"type\":\"payment\",\"amount\":" CNY5 "}]", "/0/creditor_account is missing"},
        {"[{\"type\":\"payment\",\"creditor_account\":\"acc_1\",\"amount\":" CNY5 "}]",
         "/0/creditor_account must be an id: acc_ and 26 characters"},
        {"[{\"type\":\"payment\",\"creditor_account\":" A
         ",\"amount\":{\"amount\":0,\"currency\":\"CNY\"}}]",
         "/0/amount/amount must be at least 1"},
        {"[{\"type\":\"payment\",\"creditor_account\":" A
         ",\"amount\":{\"amount\":\"500\",\"currency\":\"CNY\"}}]",
         "/0/amount/amount must be an integer"},
        {"[" PAYMENT(",\"purpose\":\"a\\u0007b\"") "]", "/0/purpose must be one line"},
        {"[{\"type\":\"account_information\",\"permissions\":[]}]", "/0/permissions must have"},
        {"[{\"type\":\"account_information\",\"permissions\":[\"payments\"]}]",
         "/0/permissions/0 must be one of"},
        {"[" READING(",\"frequency_per_day\":0") "]", "/0/frequency_per_day must be at least 1"},
        {"[" MANDATE(CNY5, LIMIT("Decade", "Calendar", CNY9), "") "]",
         "/0/periodic_limits/0/period_type must be one of"},
        {"[" MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"8:00\",\"to\":\"20:00\"}") "]",
         "/0/allowed_hours/from must be a time of day"},
        {"[" MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"24:00\",\"to\":\"24:00\"}") "]",
         "/0/allowed_hours/from must be a time of day"},
        {"[" MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"08:00\",\"to\":\"24:01\"}") "]",
         "/0/allowed_hours/to must be a time of day"},
    };
    judge(cases, TB_COUNT(cases));
}

static void points_at_what_no_schema_can_say(void **state)
{
    (void)state;
    static const struct wrong cases[] = {
        {"[{\"type\":\"payment\",\"creditor_account\":" A ",\"amount\":" XXX5 "}]",
         "/0/amount/currency is not an active ISO 4217 code"},
        {"[" PAYMENT(",\"debtor_account\":" A) "]",
         "/0/creditor_account must be another account than the debtor's"},
        {"[" MANDATE(XXX5, MONTHLY, "") "]",
         "/0/maximum_individual_amount/currency is not an active"},
        {"[" MANDATE(CNY5, LIMIT("Month", "Calendar", XXX5), "") "]",
         "/0/periodic_limits/0/amount/currency is not an active"},
        {"[" MANDATE(CNY5, MONTHLY "," LIMIT("Day", "Calendar", JPY5), "") "]",
         "/0/periodic_limits/1/amount must have the currency of"},
        {"[" MANDATE(CNY5, MONTHLY "," MONTHLY, "") "]",
         "/0/periodic_limits/1 limits the same kind of period again"},
        {"[" MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"20:00\",\"to\":\"20:00\"}") "]",
         "/0/allowed_hours/to must be later than from"},
        {"[" MANDATE(CNY5, MONTHLY,
                     ",\"valid_from\":\"2027-01-01T08:00:00+08:00\","
                     "\"valid_to\":\"2027-01-01T00:00:00Z\"") "]",
         "/0/valid_to must be later than valid_from"},
    };
    judge(cases, TB_COUNT(cases));
}

static void says_what_scopes_a_detail_implies(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[" PAYMENT("") "]", "e-payment:read e-payment:write"},
        {"[" MANDATE(CNY5, MONTHLY, "") "]", "e-payment:read e-payment:write"},
        {"[" READING("") "]", "accounts:read"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        json_t *details = parse(cases[i][0]);
        assert_true(tb_str_eq(tb_details_scope(details), tb_str(cases[i][1])));
        json_decref(details);
    }
    assert_null(tb_details_scope(NULL).at);
    assert_null(tb_details_type(NULL).at);
}

struct narrowing {
    const char *granted, *asked, *kept; /* kept NULL: refused */
};

static void narrows_and_never_widens(void **state)
{
    (void)state;
    static const struct narrowing cases[] = {
        /* the same, and what was asked for before the customer chose an account */
        {PAYMENT(",\"debtor_account\":" B), PAYMENT(",\"debtor_account\":" B),
         PAYMENT(",\"debtor_account\":" B)},
        {PAYMENT(",\"debtor_account\":" B), PAYMENT(""), PAYMENT(",\"debtor_account\":" B)},
        {PAYMENT(",\"debtor_account\":" B), PAYMENT(",\"debtor_account\":" C), NULL},
        {PAYMENT(""), "{\"type\":\"payment\",\"creditor_account\":" A ",\"amount\":" CNY9 "}",
         NULL},
        {PAYMENT(""), "{\"type\":\"payment\",\"creditor_account\":" B ",\"amount\":" CNY5 "}",
         NULL},
        {PAYMENT(""), READING(""), NULL},
        {PAYMENT(",\"purpose\":\"rent\""), PAYMENT(",\"purpose\":\"gift\""), NULL},
        {PAYMENT(""), PAYMENT(",\"purpose\":\"gift\""), NULL},
        /* subsets */
        {READING(",\"accounts\":[" A "," B "]"), READING(",\"accounts\":[" B "]"),
         READING(",\"accounts\":[" B "]")},
        {READING(",\"accounts\":[" A "," B "]"), READING(",\"accounts\":[" B "," C "]"), NULL},
        {READING(""), READING(",\"accounts\":[" C "]"), READING(",\"accounts\":[" C "]")},
        {READING(""), "{\"type\":\"account_information\",\"permissions\":[\"entries\"]}",
         "{\"type\":\"account_information\",\"permissions\":[\"entries\"]}"},
        {READING(""), "{\"type\":\"account_information\",\"permissions\":[\"details\"]}", NULL},
        /* numbers and times */
        {READING(",\"frequency_per_day\":4"), READING(",\"frequency_per_day\":3"),
         READING(",\"frequency_per_day\":3")},
        {READING(",\"frequency_per_day\":4"), READING(",\"frequency_per_day\":5"), NULL},
        {READING(",\"valid_to\":\"2027-01-01T00:00:00Z\""),
         READING(",\"valid_to\":\"2027-01-01T09:00:00+08:00\""), NULL},
        {READING(",\"valid_to\":\"2027-01-01T00:00:00Z\""),
         READING(",\"valid_to\":\"2027-01-01T07:00:00+08:00\""),
         READING(",\"valid_to\":\"2027-01-01T07:00:00+08:00\"")},
        /* limits of a mandate */
        {MANDATE(CNY9, MONTHLY, ""), MANDATE(CNY5, MONTHLY, ""), MANDATE(CNY5, MONTHLY, "")},
        {MANDATE(CNY5, MONTHLY, ""), MANDATE(CNY9, MONTHLY, ""), NULL},
        {MANDATE(CNY5, MONTHLY, ""), MANDATE(JPY5, MONTHLY, ""), NULL},
        {MANDATE(CNY5, MONTHLY, ""), MANDATE(CNY5, LIMIT("Month", "Calendar", CNY5), ""),
         MANDATE(CNY5, LIMIT("Month", "Calendar", CNY5), "")},
        {MANDATE(CNY5, LIMIT("Month", "Calendar", CNY5), ""), MANDATE(CNY5, MONTHLY, ""), NULL},
        {MANDATE(CNY5, MONTHLY, ""), MANDATE(CNY5, LIMIT("Day", "Consent", CNY5), ""),
         MANDATE(CNY5, MONTHLY "," LIMIT("Day", "Consent", CNY5), "")},
        {MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"08:00\",\"to\":\"20:00\"}"),
         MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"09:00\",\"to\":\"20:00\"}"),
         MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"09:00\",\"to\":\"20:00\"}")},
        {MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"08:00\",\"to\":\"20:00\"}"),
         MANDATE(CNY5, MONTHLY, ",\"allowed_hours\":{\"from\":\"08:00\",\"to\":\"20:01\"}"), NULL},
        {MANDATE(CNY5, MONTHLY, ",\"valid_from\":\"2027-01-01T00:00:00Z\""),
         MANDATE(CNY5, MONTHLY, ",\"valid_from\":\"2026-12-31T00:00:00Z\""), NULL},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        json_t *granted = json_pack("[o]", parse(cases[i].granted));
        json_t *asked = json_pack("[o]", parse(cases[i].asked));
        json_t *before = json_deep_copy(granted);
        json_t *kept = tb_details_within(granted, asked);
        json_t *wanted = cases[i].kept == NULL ? NULL : json_pack("[o]", parse(cases[i].kept));
        if (wanted == NULL ? kept != NULL : !json_equal(kept, wanted))
            fail_msg("case %zu: %s asked of %s", i, cases[i].asked, cases[i].granted);
        assert_true(json_equal(granted, before));
        json_decref(wanted);
        json_decref(kept);
        json_decref(before);
        json_decref(asked);
        json_decref(granted);
    }
}

static void finds_nothing_within_no_grant(void **state)
{
    (void)state;
    json_t *asked = parse("[" PAYMENT("") "]");
    assert_null(tb_details_within(NULL, asked));
    json_decref(asked);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(accepts_each_type_with_all_its_members),
    cmocka_unit_test(points_at_what_the_schema_refuses),
    cmocka_unit_test(points_at_what_no_schema_can_say),
    cmocka_unit_test(says_what_scopes_a_detail_implies),
    cmocka_unit_test(narrows_and_never_widens),
    cmocka_unit_test(finds_nothing_within_no_grant),
};
TEST_GROUP(tests, set_up, tear_down);
