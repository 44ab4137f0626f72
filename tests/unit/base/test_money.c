/* Money: the currency table, JSON, checked arithmetic, splitting, rates. */
#include "base/money.h"
#include "test.h"

static struct tb_arena *arena;

static int open_arena(void **state)
{
    (void)state;
    arena = tb_arena_new(TB_ARENA_CAP);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    tb_arena_free(arena);
    return 0;
}

static struct tb_money money(int64_t minor, const char *currency)
{
    struct tb_money made = {.minor = minor};
    memcpy(made.currency, currency, 3);
    return made;
}

/* ---- currencies ---- */

static void knows_the_exponent_of_every_kind_of_currency(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        int exponent, number;
    } cases[] = {
        {"JPY", 0, 392}, {"KRW", 0, 410}, {"CNY", 2, 156}, {"USD", 2, 840}, {"KWD", 3, 414},
        {"BHD", 3, 48},  {"CLF", 4, 990}, {"UYW", 4, 927}, {"AED", 2, 784}, {"ZWG", 2, 924},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct tb_currency *row = tb_currency(tb_str(cases[i].code));
        assert_non_null(row);
        assert_int_equal(row->exponent, cases[i].exponent);
        assert_int_equal(row->number, cases[i].number);
    }
}

static void has_a_sorted_table_that_finds_each_of_its_rows(void **state)
{
    (void)state;
    size_t n;
    const struct tb_currency *rows = tb_currencies(&n);
    assert_in_range(n, 150, 200);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(tb_currency(tb_str(rows[i].code)), &rows[i]);
        assert_in_range(rows[i].exponent, 0, 4);
        assert_in_range(rows[i].number, 1, 999);
        assert_true(i == 0 || strcmp(rows[i - 1].code, rows[i].code) < 0);
    }
}

static void knows_no_codes_that_are_not_money(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "XXX", "XTS", "XAU", "cny", "CN", "CNYY", "BTC", "HRK"};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_null(tb_currency(tb_str(cases[i])));
    assert_null(tb_currency((struct tb_str){"CN\0", 3}));
}

/* ---- JSON ---- */

static void reads_money_from_json(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        tb_err err;
        int64_t minor;
    } cases[] = {
        {"{\"amount\":12345,\"currency\":\"CNY\"}", NULL, 12345},
        {"{\"currency\":\"JPY\",\"amount\":-1}", NULL, -1},
        {"{\"amount\":9007199254740991,\"currency\":\"CNY\"}", NULL, TB_MONEY_JSON_MAX},
        {"{\"amount\":-9007199254740991,\"currency\":\"CNY\"}", NULL, -TB_MONEY_JSON_MAX},
        {"{\"amount\":9007199254740992,\"currency\":\"CNY\"}", TB_E_AMOUNT_RANGE, 0},
        {"{\"amount\":-9007199254740992,\"currency\":\"CNY\"}", TB_E_AMOUNT_RANGE, 0},
        {"{\"amount\":\"9007199254740992\",\"currency\":\"CNY\"}", NULL, 9007199254740992},
        {"{\"amount\":\"9223372036854775807\",\"currency\":\"CNY\"}", NULL, INT64_MAX},
        {"{\"amount\":\"-9223372036854775808\",\"currency\":\"CNY\"}", NULL, INT64_MIN},
        {"{\"amount\":\"9223372036854775808\",\"currency\":\"CNY\"}", TB_E_AMOUNT_RANGE, 0},
        {"{\"amount\":\"-9223372036854775809\",\"currency\":\"CNY\"}", TB_E_AMOUNT_RANGE, 0},
        {"{\"amount\":\"99999999999999999999999\",\"currency\":\"CNY\"}", TB_E_AMOUNT_RANGE, 0},
        {"{\"amount\":\"1.00\",\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"{\"amount\":\"\",\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"{\"amount\":\"007\",\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"{\"amount\":\"1e3\",\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"{\"amount\":1.0,\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"{\"amount\":true,\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"{\"amount\":null,\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"{\"amount\":1,\"currency\":156}", TB_E_INVALID, 0},
        {"{\"amount\":1,\"currency\":\"XXX\"}", TB_E_UNKNOWN_CURRENCY, 0},
        {"{\"amount\":1,\"currency\":\"cny\"}", TB_E_UNKNOWN_CURRENCY, 0},
        {"{\"amount\":1}", TB_E_INVALID, 0},
        {"{\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"{\"amount\":1,\"currency\":\"CNY\",\"scale\":2}", TB_E_INVALID, 0},
        {"{\"value\":1,\"currency\":\"CNY\"}", TB_E_INVALID, 0},
        {"[1,\"CNY\"]", TB_E_INVALID, 0},
        {"12345", TB_E_INVALID, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_money out = {.minor = 0};
        json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        assert_non_null(json);
        tb_err err = tb_money_parse(json, &out);
        if (err != NULL ? !tb_is(err, cases[i].err) : cases[i].err != NULL)
            fail_msg("%s: %s", cases[i].json, err == NULL ? "taken" : err->code);
        assert_int_equal(out.minor, cases[i].minor);
        json_decref(json);
    }
    struct tb_money out;
    assert_err(tb_money_parse(NULL, &out), TB_E_INVALID);
}

static void writes_money_so_that_it_reads_it_back(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        const char *out;
    } cases[] = {
        {0, "{\"amount\":0,\"currency\":\"CNY\"}"},
        {-12345, "{\"amount\":-12345,\"currency\":\"CNY\"}"},
        {TB_MONEY_JSON_MAX, "{\"amount\":9007199254740991,\"currency\":\"CNY\"}"},
        {TB_MONEY_JSON_MAX + 1, "{\"amount\":\"9007199254740992\",\"currency\":\"CNY\"}"},
        {INT64_MIN, "{\"amount\":\"-9223372036854775808\",\"currency\":\"CNY\"}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_text text;
        struct tb_money back;
        tb_text_init(&text, arena);
        tb_money_write(&text, money(cases[i].minor, "CNY"));
        struct tb_str out = tb_text_end(&text);
        assert_text(out, cases[i].out);
        json_t *json = json_loads(out.at, 0, NULL);
        assert_null(tb_money_parse(json, &back));
        assert_int_equal(back.minor, cases[i].minor);
        json_decref(json);
    }
}

static void shows_amounts_with_the_decimals_of_their_currency(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        const char *currency, *out;
    } cases[] = {
        {12345, "CNY", "123.45"},
        {-5, "CNY", "-0.05"},
        {0, "CNY", "0.00"},
        {1000, "JPY", "1000"},
        {-1, "JPY", "-1"},
        {1, "KWD", "0.001"},
        {1234567, "KWD", "1234.567"},
        {1, "CLF", "0.0001"},
        {10000, "UYW", "1.0000"},
        {12, "???", "12"},
        {INT64_MIN, "USD", "-92233720368547758.08"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_text text;
        tb_text_init(&text, arena);
        tb_money_write_major(&text, money(cases[i].minor, cases[i].currency));
        assert_text(tb_text_end(&text), cases[i].out);
    }
}

/* ---- arithmetic ---- */

static void adds_and_subtracts_up_to_the_borders_and_no_further(void **state)
{
    (void)state;
    struct tb_money out = {.minor = 7};
    assert_true(tb_money_add(money(INT64_MAX - 1, "CNY"), money(1, "CNY"), &out));
    assert_int_equal(out.minor, INT64_MAX);
    assert_string_equal(out.currency, "CNY");
    assert_false(tb_money_add(money(INT64_MAX, "CNY"), money(1, "CNY"), &out));
    assert_false(tb_money_add(money(INT64_MIN, "CNY"), money(-1, "CNY"), &out));
    assert_int_equal(out.minor, INT64_MAX);
    assert_true(tb_money_subtract(money(-1, "CNY"), money(INT64_MAX, "CNY"), &out));
    assert_int_equal(out.minor, INT64_MIN);
    assert_false(tb_money_subtract(money(0, "CNY"), money(INT64_MIN, "CNY"), &out));
    assert_true(tb_money_multiply(money(INT64_MAX / 2, "CNY"), -2, &out));
    assert_int_equal(out.minor, -INT64_MAX + 1);
    assert_false(tb_money_multiply(money(INT64_MIN, "CNY"), -1, &out));
    assert_false(tb_money_multiply(money(INT64_MAX / 2 + 1, "CNY"), 2, &out));
}

static void never_mixes_two_currencies(void **state)
{
    (void)state;
    struct tb_money out = {.minor = 7};
    assert_false(tb_money_add(money(1, "CNY"), money(1, "USD"), &out));
    assert_false(tb_money_subtract(money(1, "CNY"), money(1, "CNH"), &out));
    assert_int_equal(out.minor, 7);
}

/* ---- splitting ---- */

static void splits_by_the_largest_remainder(void **state)
{
    (void)state;
    static const struct {
        int64_t total;
        int64_t weights[4];
        size_t n;
        int64_t parts[4];
    } cases[] = {
        {100, {1, 1, 1}, 3, {34, 33, 33}},
        {-100, {1, 1, 1}, 3, {-34, -33, -33}},
        {101, {1, 1, 1}, 3, {34, 34, 33}},
        {10, {1, 2, 3}, 3, {2, 3, 5}},
        {1, {0, 0, 5}, 3, {0, 0, 1}},
        {7, {3, 0, 3}, 3, {4, 0, 3}},
        {0, {1, 1}, 2, {0, 0}},
        {2, {1, 1, 1, 1}, 4, {1, 1, 0, 0}},
        {INT64_MAX, {1, 1}, 2, {INT64_MAX / 2 + 1, INT64_MAX / 2}},
        {INT64_MIN, {1}, 1, {INT64_MIN}},
        {INT64_MIN, {INT64_MAX - 1, 1}, 2, {INT64_MIN + 1, -1}},
        {INT64_MAX, {INT64_MAX}, 1, {INT64_MAX}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t parts[4];
        assert_true(tb_money_split(cases[i].total, cases[i].weights, cases[i].n, parts));
        for (size_t j = 0; j < cases[i].n; j++)
            if (parts[j] != cases[i].parts[j])
                fail_msg("case %zu part %zu: %lld", i, j, (long long)parts[j]);
    }
}

static void splits_into_parts_that_always_sum_to_the_whole(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int round = 0; round < 2000; round++) {
        int64_t weights[TB_SPLIT_MAX], parts[TB_SPLIT_MAX], sum = 0;
        size_t n = 1 + (size_t)round % TB_SPLIT_MAX;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            weights[i] = (int64_t)(seed >> (24 + round % 24));
            weights[i] /= (int64_t)n; /* keeps their sum within int64 */
        }
        weights[0]++;
        int64_t total = (int64_t)seed;
        assert_true(tb_money_split(total, weights, n, parts));
        for (size_t i = 0; i < n; i++) {
            assert_true(total >= 0 ? parts[i] >= 0 : parts[i] <= 0);
            assert_true(weights[i] > 0 || parts[i] == 0);
            assert_false(__builtin_add_overflow(sum, parts[i], &sum));
        }
        assert_int_equal(sum, total);
    }
}

static void refuses_weights_that_mean_nothing(void **state)
{
    (void)state;
    int64_t parts[TB_SPLIT_MAX + 1], many[TB_SPLIT_MAX + 1] = {1};
    assert_false(tb_money_split(1, (int64_t[]){0, 0}, 2, parts));
    assert_false(tb_money_split(1, (int64_t[]){2, -1}, 2, parts));
    assert_false(tb_money_split(1, (int64_t[]){INT64_MAX, 1}, 2, parts));
    assert_false(tb_money_split(1, many, 0, parts));
    assert_false(tb_money_split(1, many, TB_SPLIT_MAX + 1, parts));
}

/* ---- rates ---- */

static struct tb_rate rate(const char *text)
{
    struct tb_rate made;
    assert_true(tb_rate_parse(tb_str(text), &made));
    return made;
}

static void reads_rates_as_they_are_written(void **state)
{
    (void)state;
    struct tb_rate out = rate("7.1234");
    assert_int_equal(out.digits, 71234);
    assert_int_equal(out.scale, 4);
    assert_int_equal(rate("0.000000000000000001").scale, 18);
    assert_int_equal(rate("9223372036854775807").digits, INT64_MAX);
    static const char *const refused[] = {
        "",
        ".",
        ".5",
        "5.",
        "1..2",
        "1.2.3",
        "-1",
        "+1",
        "1e3",
        "1,5",
        " 1",
        "9223372036854775808",
        "0.0000000000000000001",
    };
    for (size_t i = 0; i < COUNT(refused); i++)
        if (tb_rate_parse(tb_str(refused[i]), &out))
            fail_msg("took \"%s\"", refused[i]);
}

static void rounds_by_the_named_rule(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        const char *rate;
        int64_t half_even, half_up, down, up;
    } cases[] = {
        {1, "0.5", 0, 1, 0, 1},
        {3, "0.5", 2, 2, 1, 2},
        {5, "0.5", 2, 3, 2, 3},
        {-1, "0.5", 0, -1, 0, -1},
        {-5, "0.5", -2, -3, -2, -3},
        {1, "0.49", 0, 0, 0, 1},
        {1, "0.51", 1, 1, 0, 1},
        {100, "0.01", 1, 1, 1, 1},
        {0, "0.5", 0, 0, 0, 0},
        {10, "0.25", 2, 3, 2, 3},
        {10, "0.35", 4, 4, 3, 4},
        {INT64_MAX, "1", INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
        {INT64_MIN, "1.000", INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const int64_t expected[] = {cases[i].half_even, cases[i].half_up, cases[i].down,
                                    cases[i].up};
        static const char *const names[] = {"half_even", "half_up", "down", "up"};
        for (size_t j = 0; j < COUNT(names); j++) {
            enum tb_rounding rounding;
            int64_t out;
            assert_true(tb_rounding_parse(tb_str(names[j]), &rounding));
            assert_true(tb_rate_apply(cases[i].minor, rate(cases[i].rate), rounding, &out));
            if (out != expected[j])
                fail_msg("%lld * %s %s: %lld", (long long)cases[i].minor, cases[i].rate, names[j],
                         (long long)out);
        }
    }
    enum tb_rounding rounding;
    assert_false(tb_rounding_parse(TB_STR("half"), &rounding));
}

static void refuses_products_that_do_not_fit(void **state)
{
    (void)state;
    int64_t out = 7;
    assert_false(tb_rate_apply(INT64_MAX, rate("1.000000001"), TB_ROUND_DOWN, &out));
    assert_false(tb_rate_apply(INT64_MIN, rate("1.1"), TB_ROUND_DOWN, &out));
    assert_false(tb_rate_apply(INT64_MIN, rate("9223372036854775807"), TB_ROUND_DOWN, &out));
    assert_false(tb_rate_apply(1, (struct tb_rate){1, 19}, TB_ROUND_DOWN, &out));
    assert_false(tb_rate_apply(1, (struct tb_rate){-1, 0}, TB_ROUND_DOWN, &out));
    assert_int_equal(out, 7);
    struct tb_money converted;
    assert_false(tb_money_convert(money(INT64_MIN, "JPY"), TB_STR("CLF"),
                                  rate("9223372036854775807"), TB_ROUND_DOWN, &converted));
}

static void converts_between_currencies_of_different_exponents(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        const char *from, *to, *rate;
        int64_t out;
    } cases[] = {
        {10000, "USD", "CNY", "7.1234", 71234},
        {10000, "USD", "JPY", "155.505", 15550},
        {10001, "USD", "JPY", "150", 15002},
        {15550, "JPY", "USD", "0.0064309", 10000},
        {1, "KWD", "JPY", "500", 0},
        {3, "KWD", "JPY", "500", 2},
        {1, "JPY", "KWD", "0.002", 2},
        {1, "JPY", "CLF", "1", 10000},
        {-10000, "USD", "CNY", "7.1234", -71234},
        {25, "USD", "JPY", "2", 0},
        {75, "USD", "JPY", "2", 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_money out;
        assert_true(tb_money_convert(money(cases[i].minor, cases[i].from), tb_str(cases[i].to),
                                     rate(cases[i].rate), TB_ROUND_HALF_EVEN, &out));
        assert_string_equal(out.currency, cases[i].to);
        if (out.minor != cases[i].out)
            fail_msg("case %zu: %lld", i, (long long)out.minor);
    }
    struct tb_money out;
    assert_false(tb_money_convert(money(1, "XXX"), TB_STR("CNY"), rate("1"), TB_ROUND_DOWN, &out));
    assert_false(tb_money_convert(money(1, "CNY"), TB_STR("XXX"), rate("1"), TB_ROUND_DOWN, &out));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(knows_the_exponent_of_every_kind_of_currency),
    cmocka_unit_test(has_a_sorted_table_that_finds_each_of_its_rows),
    cmocka_unit_test(knows_no_codes_that_are_not_money),
    cmocka_unit_test(reads_money_from_json),
    cmocka_unit_test(writes_money_so_that_it_reads_it_back),
    cmocka_unit_test(shows_amounts_with_the_decimals_of_their_currency),
    cmocka_unit_test(adds_and_subtracts_up_to_the_borders_and_no_further),
    cmocka_unit_test(never_mixes_two_currencies),
    cmocka_unit_test(splits_by_the_largest_remainder),
    cmocka_unit_test(splits_into_parts_that_always_sum_to_the_whole),
    cmocka_unit_test(refuses_weights_that_mean_nothing),
    cmocka_unit_test(reads_rates_as_they_are_written),
    cmocka_unit_test(rounds_by_the_named_rule),
    cmocka_unit_test(refuses_products_that_do_not_fit),
    cmocka_unit_test(converts_between_currencies_of_different_exponents),
};
TEST_GROUP(tests, open_arena, close_arena);
