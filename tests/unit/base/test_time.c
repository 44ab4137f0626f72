/* Instants, dates and world time. */
#include "base/time.h"
#include "test.h"

static void reads_and_writes_instants(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t ms;
        const char *out;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"},
        {"1969-12-31T23:59:59.999Z", -1, "1969-12-31T23:59:59.999Z"},
        {"2026-02-28T17:30:00+08:00", 1772271000000, "2026-02-28T09:30:00.000Z"},
        {"2026-02-28t09:30:00.5z", 1772271000500, "2026-02-28T09:30:00.500Z"},
        {"2026-02-28T09:30:00.123456789-00:00", 1772271000123, "2026-02-28T09:30:00.123Z"},
        {"2024-02-29T00:00:00-15:59", 1709222340000, "2024-02-29T15:59:00.000Z"},
        {"2000-02-29T12:00:00Z", 951825600000, "2000-02-29T12:00:00.000Z"},
        {"0001-01-01T00:00:00Z", TB_TIME_MIN, "0001-01-01T00:00:00.000Z"},
        {"9999-12-31T23:59:59.999Z", TB_TIME_MAX, "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = 7;
        char out[TB_TIME_CHARS + 1];
        if (!tb_time_parse(tb_str(cases[i].in), &ms) || ms != cases[i].ms)
            fail_msg("%s gives %lld", cases[i].in, (long long)ms);
        tb_time_format(ms, out);
        assert_string_equal(out, cases[i].out);
    }
}

static void refuses_what_is_not_an_instant(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2026-02-28",
        "2026-02-28T09:30:00",
        "2026-02-28 09:30:00Z",
        "2026-02-28T09:30Z",
        "2026-02-29T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-13-10T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-02-28T24:00:00Z",
        "2026-02-28T09:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-02-28T09:30:00.Z",
        "2026-02-28T09:30:00,5Z",
        "2026-02-28T09:30:00+0800",
        "2026-02-28T09:30:00+24:00",
        "2026-02-28T09:30:00+16:00",
        "2026-02-28T09:30:00-23:59",
        "2026-02-28T09:30:00.1234567890Z",
        "2026-02-28T09:30:00+08:60",
        "2026-02-28T09:30:00+8:00",
        "2026-02-28T09:30:00Z ",
        " 2026-02-28T09:30:00Z",
        "2026-02-28T09:30:00ZZ",
        "2026-2-28T09:30:00Z",
        "-026-02-28T09:30:00Z",
        "2026-02-28T-9:30:00Z",
        "2026-02-28T09:30:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-02-28T09:30:00.5",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = 7;
        if (tb_time_parse(tb_str(cases[i]), &ms))
            fail_msg("took \"%s\"", cases[i]);
        assert_int_equal(ms, 7);
    }
}

static void shows_instants_beyond_the_calendar_as_its_borders(void **state)
{
    (void)state;
    char out[TB_TIME_CHARS + 1];
    tb_time_format(INT64_MAX, out);
    assert_string_equal(out, "9999-12-31T23:59:59.999Z");
    tb_time_format(INT64_MIN, out);
    assert_string_equal(out, "0001-01-01T00:00:00.000Z");
}

static void counts_days_in_step_with_the_calendar(void **state)
{
    (void)state;
    struct tb_date date = {1, 1, 1};
    int64_t days = tb_date_to_days(date);
    assert_int_equal(days, TB_TIME_MIN / TB_DAY_MS);
    int32_t weekday = 1; /* 0001-01-01 was a Monday */
    for (; date.year < 2800; days++) {
        struct tb_date back = tb_date_from_days(days);
        if (tb_date_to_days(date) != days || tb_date_compare(back, date) != 0 ||
            tb_date_weekday(date) != weekday || !tb_date_valid(date))
            fail_msg("%d-%d-%d", (int)date.year, (int)date.month, (int)date.day);
        weekday = weekday % 7 + 1;
        if (++date.day > tb_days_in_month(date.year, date.month)) {
            date.day = 1;
            if (++date.month > 12) {
                date.month = 1;
                date.year++;
            }
        }
    }
}

static void adds_months_by_the_rule_for_their_ends(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        int32_t months;
        enum tb_month_end rule;
        const char *to;
    } cases[] = {
        {"2026-01-31", 1, TB_MONTH_CLAMP, "2026-02-28"},
        {"2024-01-31", 1, TB_MONTH_CLAMP, "2024-02-29"},
        {"2026-02-28", 1, TB_MONTH_CLAMP, "2026-03-28"},
        {"2026-02-28", 1, TB_MONTH_STICK, "2026-03-31"},
        {"2024-02-28", 1, TB_MONTH_STICK, "2024-03-28"},
        {"2026-01-30", 1, TB_MONTH_STICK, "2026-02-28"},
        {"2026-12-15", 1, TB_MONTH_CLAMP, "2027-01-15"},
        {"2026-01-15", -1, TB_MONTH_CLAMP, "2025-12-15"},
        {"2026-03-31", -1, TB_MONTH_CLAMP, "2026-02-28"},
        {"2024-02-29", 12, TB_MONTH_CLAMP, "2025-02-28"},
        {"2024-02-29", 48, TB_MONTH_CLAMP, "2028-02-29"},
        {"2026-05-05", 0, TB_MONTH_STICK, "2026-05-05"},
        {"9999-12-31", 1, TB_MONTH_CLAMP, NULL},
        {"0001-01-31", -1, TB_MONTH_CLAMP, NULL},
        {"2026-01-31", INT32_MAX, TB_MONTH_CLAMP, NULL},
        {"2026-01-31", INT32_MIN, TB_MONTH_CLAMP, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_date from, to;
        char out[TB_DATE_CHARS + 1];
        assert_true(tb_date_parse(tb_str(cases[i].from), &from));
        bool there = tb_date_add_months(from, cases[i].months, cases[i].rule, &to);
        assert_int_equal(there, cases[i].to != NULL);
        if (!there)
            continue;
        tb_date_format(to, out);
        assert_string_equal(out, cases[i].to);
    }
}

static void adds_days_within_the_calendar(void **state)
{
    (void)state;
    struct tb_date date = {2024, 2, 28}, sum = {0};
    assert_true(tb_date_add_days(date, 2, &sum));
    assert_int_equal(tb_date_compare(sum, (struct tb_date){2024, 3, 1}), 0);
    assert_true(tb_date_add_days(date, -59, &sum));
    assert_int_equal(tb_date_compare(sum, (struct tb_date){2023, 12, 31}), 0);
    assert_false(tb_date_add_days((struct tb_date){9999, 12, 31}, 1, &sum));
    assert_false(tb_date_add_days((struct tb_date){1, 1, 1}, -1, &sum));
    assert_false(tb_date_add_days(date, INT64_MAX, &sum));
    assert_false(tb_date_add_days(date, INT64_MIN, &sum));
}

static void refuses_dates_that_do_not_exist(void **state)
{
    (void)state;
    static const char *const cases[] = {"",           "2026-02-29",  "2026-2-28",  "20260228",
                                        "2026/02/28", "2026-02-28 ", "0000-01-01", "2026-13-01",
                                        "2026-01-32", "2026-0a-01"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_date date;
        if (tb_date_parse(tb_str(cases[i]), &date))
            fail_msg("took \"%s\"", cases[i]);
    }
}

static void knows_the_date_on_the_wall_of_another_zone(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_true(tb_time_parse(TB_STR("2026-02-28T16:00:00Z"), &ms));
    assert_int_equal(tb_date_compare(tb_date_at(ms, 480), (struct tb_date){2026, 3, 1}), 0);
    assert_int_equal(tb_date_compare(tb_date_at(ms - 1, 480), (struct tb_date){2026, 2, 28}), 0);
    assert_int_equal(tb_date_compare(tb_date_at(-1, 0), (struct tb_date){1969, 12, 31}), 0);
    assert_int_equal(tb_date_compare(tb_date_at(INT64_MIN, -60), (struct tb_date){1, 1, 1}), 0);
}

static void keeps_world_time_within_the_calendar(void **state)
{
    (void)state;
    struct tb_world_clock live = {0}, ahead = {.offset_ms = 5}, broken = {.offset_ms = INT64_MAX},
                          behind = {.offset_ms = INT64_MIN};
    assert_int_equal(tb_world_now(&live, 1000), 1000);
    assert_int_equal(tb_world_now(&ahead, 1000), 1005);
    assert_int_equal(tb_world_now(&broken, 1000), TB_TIME_MAX);
    assert_int_equal(tb_world_now(&behind, -1000), TB_TIME_MIN);
}

static void reads_clocks_that_move(void **state)
{
    (void)state;
    int64_t us = tb_monotonic_us(), ms = tb_monotonic_ms();
    assert_in_range(ms - us / 1000, 0, 1000);
    assert_true(tb_monotonic_us() >= us);
    assert_true(tb_wall_ms() > INT64_C(1600000000000) && tb_wall_ms() < TB_TIME_MAX);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_and_writes_instants),
    cmocka_unit_test(refuses_what_is_not_an_instant),
    cmocka_unit_test(shows_instants_beyond_the_calendar_as_its_borders),
    cmocka_unit_test(counts_days_in_step_with_the_calendar),
    cmocka_unit_test(adds_months_by_the_rule_for_their_ends),
    cmocka_unit_test(adds_days_within_the_calendar),
    cmocka_unit_test(refuses_dates_that_do_not_exist),
    cmocka_unit_test(knows_the_date_on_the_wall_of_another_zone),
    cmocka_unit_test(keeps_world_time_within_the_calendar),
    cmocka_unit_test(reads_clocks_that_move),
};
TEST_GROUP(tests, NULL, NULL);
