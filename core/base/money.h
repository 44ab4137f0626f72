/* Money: whole minor units of an ISO 4217 currency, in 64 bits. There is no floating point here or
 * anywhere near money; whatever does not come out even is rounded by a rule with a name. */
#ifndef TB_BASE_MONEY_H
#define TB_BASE_MONEY_H

#include "base/text.h"
#include <jansson.h>
#include <stdbool.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

/** Largest integer that every JSON reader keeps exactly (RFC 8259 §6): 2^53 - 1. Beyond it an
 * amount travels as a string. */
#define TB_MONEY_JSON_MAX INT64_C(9007199254740991)

/* ---- currencies ---- */

struct tb_currency {
    char code[4];    /**< three letters and NUL */
    int16_t number;  /**< ISO 4217 numeric code */
    int8_t exponent; /**< decimals of the minor unit, 0..4 */
    const char *name;
};

/** The row of `code`; NULL when it is not an active currency. */
const struct tb_currency *tb_currency(struct tb_str code);

/** All rows, sorted by code. */
const struct tb_currency *tb_currencies(size_t *out_n);

/* ---- JSON ---- */

/** Read {"amount": 12345, "currency": "CNY"}. The amount is an integer of at most 2^53 - 1 either
 * way, or any 64-bit integer as a string of decimal digits.
 *  @param json borrowed, may be NULL
 *  @return NULL; TB_E_INVALID (other shape, unknown member); TB_E_AMOUNT_RANGE;
 * TB_E_UNKNOWN_CURRENCY */
tb_err TB_NODISCARD tb_money_parse(const json_t *json, struct tb_money *out);

/** Add {"amount":12345,"currency":"CNY"}, in the form tb_money_parse reads back. */
void tb_money_write(struct tb_text *text, struct tb_money money);

/** Add the amount in major units, "-123.45" or "1000" (JPY): for people, not for programs.
 *  An unknown currency is shown without decimals. */
void tb_money_write_major(struct tb_text *text, struct tb_money money);

/* ---- arithmetic: false (and *out unchanged) on overflow or on two currencies ---- */

bool TB_NODISCARD tb_money_add(struct tb_money a, struct tb_money b, struct tb_money *out);
bool TB_NODISCARD tb_money_subtract(struct tb_money a, struct tb_money b, struct tb_money *out);
bool TB_NODISCARD tb_money_multiply(struct tb_money a, int64_t factor, struct tb_money *out);

/* ---- division ---- */

enum { TB_SPLIT_MAX = 512 /**< parts of one split */ };

/** Split `total_minor` in proportion to `weights` by the method of the largest remainder: parts
 * differ from their exact share by less than one unit and sum to the total exactly. Equal
 * remainders are served in the order of the list. A negative total is split as its absolute value.
 *  @param weights   each >= 0, their sum within 1..INT64_MAX
 *  @param n         1..TB_SPLIT_MAX
 *  @param out_parts room for `n`
 *  @return false when the weights or `n` are not as said */
bool TB_NODISCARD tb_money_split(int64_t total_minor, const int64_t *weights, size_t n,
                                 int64_t *out_parts);

enum tb_rounding {
    TB_ROUND_HALF_EVEN, /**< to the nearest, a half to the even neighbour (ISO 80000-1) */
    TB_ROUND_HALF_UP,   /**< to the nearest, a half away from zero */
    TB_ROUND_DOWN,      /**< towards zero */
    TB_ROUND_UP,        /**< away from zero */
};

/** The rule called `name`: half_even, half_up, down, up. @return false for any other */
bool TB_NODISCARD tb_rounding_parse(struct tb_str name, enum tb_rounding *out);

/** A rate as it was written: `digits` / 10^`scale`, so 7.1234 is {71234, 4}. Not negative. */
struct tb_rate {
    int64_t digits;
    int32_t scale; /**< 0..TB_RATE_SCALE_MAX */
};

enum { TB_RATE_SCALE_MAX = 18 };

/** Read "7.1234": digits, at most one point with digits on both sides, no sign, no exponent. */
bool TB_NODISCARD tb_rate_parse(struct tb_str text, struct tb_rate *out);

/** `minor` times `rate` in the same currency: fees, interest, tax.
 *  @return false when the result does not fit; *out_minor is then unchanged */
bool TB_NODISCARD tb_rate_apply(int64_t minor, struct tb_rate rate, enum tb_rounding rounding,
                                int64_t *out_minor);

/** Convert into currency `to`, where `rate` is the price of one major unit of the money's currency
 * in major units of `to`. The two currencies' exponents are taken into account.
 *  @return false for an unknown currency or when the result does not fit */
bool TB_NODISCARD tb_money_convert(struct tb_money money, struct tb_str to, struct tb_rate rate,
                                   enum tb_rounding rounding, struct tb_money *out);

#endif
