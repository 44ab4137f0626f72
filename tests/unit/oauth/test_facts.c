/* What a person reads of a consent: sums, times, limits. */
#include "../unit.h"

#include "oauth/interaction/consent_terms.h"
#include "oauth/server.h"
#include "products.h"
#include <string.h>

static struct tb_arena *arena;
static struct tb_registry *registry;
static struct tb_html html;

static int set_up(void **state)
{
    (void)state;
    static const struct tb_config config;
    arena = tb_arena_new(TB_ARENA_CAP);
    registry = products_open();
    tb_oauth_open(&(struct tb_oauth_parts){.config = &config, .registry = registry});
    tb_html_init(&html, arena, TB_LANG_EN);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_arena_free(arena);
    tb_registry_free(registry);
    return 0;
}

static void groups_the_digits_of_a_sum(void **state)
{
    (void)state;
    static const struct {
        struct tb_money money;
        const char *text;
    } rows[] = {
        {{1, "CNY"}, "CNY 0.01"},
        {{12345, "CNY"}, "CNY 123.45"},
        {{123456, "CNY"}, "CNY 1,234.56"},
        {{100000000, "CNY"}, "CNY 1,000,000.00"},
        {{999, "JPY"}, "JPY 999"},
        {{1000, "JPY"}, "JPY 1,000"},
        {{123456789, "KWD"}, "KWD 123,456.789"},
        {{-12345678, "CNY"}, "CNY -123,456.78"},
        {{INT64_MAX, "JPY"}, "JPY 9,223,372,036,854,775,807"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        assert_string_equal(tb_fact_sum(&html, rows[i].money).at, rows[i].text);
}

static void shows_times_as_the_clocks_of_the_world_do(void **state)
{
    (void)state;
    struct tb_str at = TB_STR("2027-01-14T17:30:00Z");
    assert_string_equal(tb_fact_time(&html, at, 8 * 3600).at, "2027-01-15 01:30 (UTC+08:00)");
    assert_string_equal(tb_fact_time(&html, at, 0).at, "2027-01-14 17:30 (UTC+00:00)");
    assert_string_equal(tb_fact_time(&html, at, -(3 * 3600 + 1800)).at,
                        "2027-01-14 14:00 (UTC-03:30)");
    assert_null(tb_fact_time(&html, TB_STR("soon"), 0).at);
    assert_null(tb_fact_time(&html, TB_STR_NONE, 0).at);
}

static const char *facts_of(const char *detail_text, const char *scope)
{
    json_t *detail = json_loads(detail_text, 0, NULL);
    const struct tb_payee payees[] = {{TB_STR("acc_1"), TB_STR("Blue <River>")}};
    struct tb_consent_terms facts = {.detail = detail,
                                     .scope = tb_str(scope),
                                     .payees = payees,
                                     .payees_n = 1,
                                     .zone_s = 8 * 3600};
    tb_html_init(&html, arena, TB_LANG_EN);
    tb_consent_terms_write(&html, &facts);
    json_decref(detail);
    return tb_text_end(&html.text).at;
}

static void says_amount_and_payee_of_a_payment(void **state)
{
    (void)state;
    const char *said = facts_of("{\"type\":\"payment\",\"creditor_account\":\"acc_1\",\"amount\":"
                                "{\"amount\":12345,\"currency\":\"CNY\"},\"reference\":\"INV-1\","
                                "\"purpose\":\"<i>goods\"}",
                                "openid e-payment:write");
    assert_non_null(strstr(said, "<dd class=\"amount\">CNY 123.45</dd>"));
    assert_non_null(strstr(said, "Blue &lt;River&gt;<br><code>acc_1</code>"));
    assert_non_null(strstr(said, "INV-1"));
    assert_non_null(strstr(said, "&lt;i&gt;goods"));
    assert_non_null(strstr(said, "This one payment"));
    assert_non_null(strstr(said, "Make the payments that you approve"));
}

static void says_every_limit_of_a_mandate(void **state)
{
    (void)state;
    const char *said = facts_of(
        "{\"type\":\"mandate\",\"maximum_individual_amount\":{\"amount\":50000,\"currency\":\"CNY\"},"
        "\"periodic_limits\":[{\"period_type\":\"Month\",\"period_alignment\":\"Calendar\",\"amount\":"
        "{\"amount\":200000,\"currency\":\"CNY\"}},{\"period_type\":\"Half-year\",\"period_alignment\":"
        "\"Consent\",\"amount\":{\"amount\":900000,\"currency\":\"CNY\"}}],\"allowed_hours\":{\"from\":"
        "\"08:00\",\"to\":\"20:00\"},\"valid_to\":\"2027-01-15T00:00:00Z\"}",
        "e-payment:write");
    assert_non_null(strstr(said, "<dd class=\"amount\">CNY 500.00</dd>"));
    assert_non_null(strstr(said, "CNY 2,000.00 a month <span class=\"note\">(by the calendar)"));
    assert_non_null(strstr(said, "CNY 9,000.00 half a year <span class=\"note\">(from the day"));
    assert_non_null(strstr(said, "Payees</dt><dd>Any"));
    assert_non_null(strstr(said, "08:00 – 20:00"));
    assert_non_null(strstr(said, "2027-01-15 08:00 (UTC+08:00)"));
}

static void says_what_may_be_read_once(void **state)
{
    (void)state;
    const char *said = facts_of("{\"type\":\"account_information\",\"permissions\":[\"balances\"],"
                                "\"frequency_per_day\":4}",
                                "accounts:read bills:read");
    assert_non_null(strstr(said, "See the balances"));
    assert_null(strstr(said, "See the entries"));
    assert_null(strstr(said, "Read the accounts that you choose")); /* said by the permissions */
    assert_non_null(strstr(said, "<li>bills:read</li>")); /* better its name than nothing */
    assert_non_null(strstr(said, "<dd>4</dd>"));
    assert_non_null(strstr(said, "Until you take it back"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(groups_the_digits_of_a_sum),
    cmocka_unit_test(shows_times_as_the_clocks_of_the_world_do),
    cmocka_unit_test(says_amount_and_payee_of_a_payment),
    cmocka_unit_test(says_every_limit_of_a_mandate),
    cmocka_unit_test(says_what_may_be_read_once),
};
TEST_GROUP(tests, set_up, tear_down);
