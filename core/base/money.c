/* Currencies, checked arithmetic, division that adds up, rates in 128-bit integers. */
#include "base/money.h"
#include <string.h>

__extension__ typedef unsigned __int128 wide;

/* ---- currencies ---- */

static const struct tb_currency currencies[] = {
#define TB_CURRENCY(code, number, exponent, name) {#code, number, exponent, name},
#include "base/currency.def"
#undef TB_CURRENCY
};

enum { CURRENCIES = TB_COUNT(currencies) };

const struct tb_currency *tb_currencies(size_t *out_n)
{
    *out_n = CURRENCIES;
    return currencies;
}

const struct tb_currency *tb_currency(struct tb_str code)
{
    if (code.n != 3)
        return NULL;
    size_t low = 0, high = CURRENCIES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(code.at, currencies[middle].code, 3);
        if (order == 0)
            return &currencies[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static struct tb_str code_of(const struct tb_money *money)
{
    return (struct tb_str){money->currency, strnlen(money->currency, sizeof(money->currency))};
}

/* ---- JSON ---- */

static tb_err parse_amount(const json_t *json, int64_t *out_minor)
{
    if (json_is_string(json)) {
        struct tb_str text = {json_string_value(json), json_string_length(json)};
        if (tb_text_to_int(text, out_minor))
            return NULL;
        /* Twenty characters hold every int64; more digits are still a number, only too large. */
        return text.n > 0 && strspn(text.at + (text.at[0] == '-'), "0123456789") >= 19
                   ? TB_E_AMOUNT_RANGE
                   : TB_E_INVALID;
    }
    if (!json_is_integer(json))
        return TB_E_INVALID;
    *out_minor = json_integer_value(json);
    if (*out_minor < -TB_MONEY_JSON_MAX || *out_minor > TB_MONEY_JSON_MAX)
        return TB_E_AMOUNT_RANGE;
    return NULL;
}

tb_err tb_money_parse(const json_t *json, struct tb_money *out)
{
    if (!json_is_object(json) || json_object_size(json) != 2)
        return TB_E_INVALID;
    const json_t *amount = json_object_get(json, "amount");
    const json_t *currency = json_object_get(json, "currency");
    if (amount == NULL || !json_is_string(currency))
        return TB_E_INVALID;
    struct tb_money money = {0};
    TB_TRY(parse_amount(amount, &money.minor));
    const struct tb_currency *row = tb_currency(
        (struct tb_str){json_string_value(currency), json_string_length(currency)});
    if (row == NULL)
        return TB_E_UNKNOWN_CURRENCY;
    memcpy(money.currency, row->code, sizeof(money.currency));
    *out = money;
    return NULL;
}

void tb_money_write(struct tb_text *text, struct tb_money money)
{
    bool quoted = money.minor < -TB_MONEY_JSON_MAX || money.minor > TB_MONEY_JSON_MAX;
    tb_text_add(text, TB_STR("{\"amount\":"));
    if (quoted)
        tb_text_add_char(text, '"');
    tb_text_add_int(text, money.minor);
    if (quoted)
        tb_text_add_char(text, '"');
    tb_text_add(text, TB_STR(",\"currency\":"));
    tb_text_add_json(text, code_of(&money));
    tb_text_add_char(text, '}');
}

void tb_money_write_major(struct tb_text *text, struct tb_money money)
{
    const struct tb_currency *row = tb_currency(code_of(&money));
    size_t decimals = row == NULL ? 0 : (size_t)row->exponent;
    char digits[21];
    struct tb_str number = {digits, tb_text_int(digits, money.minor)};
    if (number.at[0] == '-') {
        tb_text_add_char(text, '-');
        number = (struct tb_str){number.at + 1, number.n - 1};
    }
    size_t whole = number.n > decimals ? number.n - decimals : 0;
    tb_text_add(text, whole > 0 ? (struct tb_str){number.at, whole} : TB_STR("0"));
    if (decimals == 0)
        return;
    tb_text_add_char(text, '.');
    for (size_t zeros = number.n - whole; zeros < decimals; zeros++)
        tb_text_add_char(text, '0');
    tb_text_add(text, (struct tb_str){number.at + whole, number.n - whole});
}

/* ---- arithmetic ---- */

bool tb_money_add(struct tb_money a, struct tb_money b, struct tb_money *out)
{
    int64_t sum;
    if (!tb_str_eq(code_of(&a), code_of(&b)) || __builtin_add_overflow(a.minor, b.minor, &sum))
        return false;
    *out = a;
    out->minor = sum;
    return true;
}

bool tb_money_subtract(struct tb_money a, struct tb_money b, struct tb_money *out)
{
    int64_t difference;
    if (!tb_str_eq(code_of(&a), code_of(&b)) ||
        __builtin_sub_overflow(a.minor, b.minor, &difference))
        return false;
    *out = a;
    out->minor = difference;
    return true;
}

bool tb_money_multiply(struct tb_money a, int64_t factor, struct tb_money *out)
{
    int64_t product;
    if (__builtin_mul_overflow(a.minor, factor, &product))
        return false;
    *out = a;
    out->minor = product;
    return true;
}

/* ---- division ---- */

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* The signed value of a magnitude; false when it does not fit. */
static bool with_sign(wide amount, bool negative, int64_t *out)
{
    if (amount > (wide)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - (uint64_t)amount) : (int64_t)amount;
    return true;
}

static bool sum_weights(const int64_t *weights, size_t n, int64_t *out_sum)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        if (weights[i] < 0 || __builtin_add_overflow(sum, weights[i], &sum))
            return false;
    *out_sum = sum;
    return sum > 0;
}

bool tb_money_split(int64_t total_minor, const int64_t *weights, size_t n, int64_t *out_parts)
{
    int64_t sum;
    if (n < 1 || n > TB_SPLIT_MAX || !sum_weights(weights, n, &sum))
        return false;
    bool negative = total_minor < 0;
    uint64_t total = magnitude(total_minor), parts[TB_SPLIT_MAX], remainders[TB_SPLIT_MAX];
    uint64_t left = total;
    for (size_t i = 0; i < n; i++) {
        wide share = (wide)total * (uint64_t)weights[i];
        parts[i] = (uint64_t)(share / (uint64_t)sum);
        remainders[i] = (uint64_t)(share % (uint64_t)sum);
        left -= parts[i];
    }
    /* Fewer than n units are left, and at least that many remainders are not zero. */
    for (; left > 0; left--) {
        size_t largest = 0;
        for (size_t i = 1; i < n; i++)
            if (remainders[i] > remainders[largest])
                largest = i;
        parts[largest]++;
        remainders[largest] = 0;
    }
    for (size_t i = 0; i < n; i++)
        if (!with_sign(parts[i], negative, &out_parts[i]))
            return false; /* cannot be: no part exceeds the total */
    return true;
}

bool tb_rounding_parse(struct tb_str name, enum tb_rounding *out)
{
    static const char *const names[] = {"half_even", "half_up", "down", "up"};
    for (size_t i = 0; i < TB_COUNT(names); i++) {
        if (tb_str_eq(name, tb_str(names[i]))) {
            *out = (enum tb_rounding)i;
            return true;
        }
    }
    return false;
}

bool tb_rate_parse(struct tb_str text, struct tb_rate *out)
{
    struct tb_rate rate = {0};
    bool point = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        if (c == '.' && !point && i > 0 && i + 1 < text.n) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || __builtin_mul_overflow(rate.digits, 10, &rate.digits) ||
            __builtin_add_overflow(rate.digits, c - '0', &rate.digits))
            return false;
        rate.scale += point;
    }
    if (text.n == 0 || rate.scale > TB_RATE_SCALE_MAX)
        return false;
    *out = rate;
    return true;
}

static wide power_of_ten(int32_t exponent)
{
    wide power = 1;
    for (int32_t i = 0; i < exponent; i++)
        power *= 10;
    return power;
}

static wide divide(wide number, wide by, enum tb_rounding rounding)
{
    wide quotient = number / by, rest = number % by;
    bool above_half = rest > by - rest, half = rest == by - rest;
    bool up = rounding == TB_ROUND_UP ? rest > 0
              : rounding == TB_ROUND_DOWN
                  ? false
                  : above_half || (half && (rounding == TB_ROUND_HALF_UP || quotient % 2 == 1));
    return quotient + up;
}

/* minor * rate * 10^shift, rounded. The product of two magnitudes takes at most 2^63 * 2^63; only
 * the shift (at most 4 more decimals) can leave 128 bits. */
static bool scale(int64_t minor, struct tb_rate rate, int32_t shift, enum tb_rounding rounding,
                  int64_t *out_minor)
{
    if (rate.digits < 0 || rate.scale < 0 || rate.scale > TB_RATE_SCALE_MAX)
        return false;
    wide number = (wide)magnitude(minor) * (uint64_t)rate.digits;
    int32_t decimals = rate.scale - shift;
    if (decimals < 0 && __builtin_mul_overflow(number, power_of_ten(-decimals), &number))
        return false;
    wide by = power_of_ten(decimals > 0 ? decimals : 0);
    return with_sign(divide(number, by, rounding), minor < 0, out_minor);
}

bool tb_rate_apply(int64_t minor, struct tb_rate rate, enum tb_rounding rounding,
                   int64_t *out_minor)
{
    return scale(minor, rate, 0, rounding, out_minor);
}

bool tb_money_convert(struct tb_money money, struct tb_str to, struct tb_rate rate,
                      enum tb_rounding rounding, struct tb_money *out)
{
    const struct tb_currency *from = tb_currency(code_of(&money)), *into = tb_currency(to);
    struct tb_money converted = {0};
    if (from == NULL || into == NULL ||
        !scale(money.minor, rate, into->exponent - from->exponent, rounding, &converted.minor))
        return false;
    memcpy(converted.currency, into->code, sizeof(converted.currency));
    *out = converted;
    return true;
}
