/* Rules that look at one value: strings, numbers, constants, and the sizes of arrays and objects.
 */
#include "base/hash.h"
#include "schema/check.h"
#include <math.h>
#include <stdlib.h>

/* ---- values without members or items ---- */

static size_t code_points(const char *at, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)at[i] & 0xc0) != 0x80;
    return count;
}

enum tb_check_verdict tb_rule_search(struct tb_check *m, const struct tb_regex *regex,
                                     struct tb_str text)
{
    if (!tb_check_spend(m, 4 + text.n / 32))
        return TB_FAULTY;
    switch (tb_regex_search(regex, text)) {
    case TB_REGEX_YES:
        return TB_FITS;
    case TB_REGEX_NO:
        return TB_FAULTY;
    default:
        return tb_check_stop(m);
    }
}

enum tb_check_verdict tb_rule_string(struct tb_check *m, const struct tb_string_rules *rules,
                                     struct tb_str text, bool quiet)
{
    enum tb_check_verdict verdict = TB_FITS;
    /* There are at most as many characters as bytes, and at least a quarter as many. */
    if (text.n > rules->max || (text.n + 3) / 4 < rules->min) {
        size_t n = code_points(text.at, text.n);
        if (n > rules->max)
            verdict = tb_check_fault(m, quiet, TB_FAULT_MAX_LENGTH, (int64_t)rules->max, NULL);
        if (n < rules->min)
            verdict = tb_check_fault(m, quiet, TB_FAULT_MIN_LENGTH, (int64_t)rules->min, NULL);
        if (!tb_check_spend(m, text.n / 64))
            return TB_FAULTY;
    }
    if (rules->pattern != NULL && tb_rule_search(m, rules->pattern, text) == TB_FAULTY &&
        !m->stopped)
        verdict = tb_check_fault(m, quiet, TB_FAULT_PATTERN, 0, rules->pattern_words);
    if (rules->format.check != NULL && !rules->format.check(text, rules->format.argument))
        verdict = tb_check_fault(m, quiet, TB_FAULT_FORMAT, 0, rules->format.words);
    return verdict;
}

/* How `value` compares with `bound`: exactly, also where a double cannot hold the bound. */
static int compare(json_t *value, int64_t bound)
{
    if (json_is_integer(value)) {
        json_int_t integer = json_integer_value(value);
        return integer < bound ? -1 : integer > bound;
    }
    double real = json_real_value(value);
    if (real >= 0x1p63)
        return 1;
    if (real < -0x1p63)
        return -1;
    int64_t whole = (int64_t)real; /* towards zero */
    if (whole != bound)
        return whole < bound ? -1 : 1;
    double rest = real - (double)whole;
    return rest < 0 ? -1 : rest > 0;
}

static bool is_multiple(json_t *value, int64_t of)
{
    if (json_is_integer(value))
        return json_integer_value(value) % of == 0;
    double real = json_real_value(value);
    if (real != trunc(real))
        return false;
    return real >= -0x1p63 && real < 0x1p63 ? (int64_t)real % of == 0 : fmod(real, (double)of) == 0;
}

enum tb_check_verdict tb_rule_number(struct tb_check *m, const struct tb_number_rules *rules,
                                     json_t *value, bool quiet)
{
    enum tb_check_verdict verdict = TB_FITS;
    if (rules->has_minimum && compare(value, rules->minimum) < 0)
        verdict = tb_check_fault(m, quiet, TB_FAULT_MINIMUM, rules->minimum, NULL);
    if (rules->has_over && compare(value, rules->over) <= 0)
        verdict = tb_check_fault(m, quiet, TB_FAULT_EXCLUSIVE_MINIMUM, rules->over, NULL);
    if (rules->has_maximum && compare(value, rules->maximum) > 0)
        verdict = tb_check_fault(m, quiet, TB_FAULT_MAXIMUM, rules->maximum, NULL);
    if (rules->has_under && compare(value, rules->under) >= 0)
        verdict = tb_check_fault(m, quiet, TB_FAULT_EXCLUSIVE_MAXIMUM, rules->under, NULL);
    if (rules->multiple != 0 && !is_multiple(value, rules->multiple))
        verdict = tb_check_fault(m, quiet, TB_FAULT_MULTIPLE_OF, rules->multiple, NULL);
    return verdict;
}

/* Comparing costs what the constant of the schema costs, whatever was sent. */
bool tb_rule_among(const struct tb_value_rules *rules, json_t *value)
{
    if (json_is_string(value)) {
        size_t n = json_string_length(value), low = 0, high = rules->texts_n;
        const char *at = json_string_value(value);
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            const struct tb_str *text = &rules->texts[middle];
            int order = text->n != n ? (text->n < n ? -1 : 1) : memcmp(text->at, at, n);
            if (order == 0)
                return true;
            if (order < 0)
                low = middle + 1;
            else
                high = middle;
        }
        return false;
    }
    for (size_t i = 0; i < rules->others_n; i++) {
        if (json_equal(rules->others[i], value))
            return true;
    }
    return false;
}

/* ---- arrays and objects as a whole ---- */

struct keyed {
    uint64_t key;
    json_t *value;
};

static int by_key(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    return a->key < b->key ? -1 : a->key > b->key;
}

/* A number with a fraction of zero, which is the integer (JSON Schema core 4.2.1) where items are
 * compared with each other. Nothing takes it for one elsewhere. */
static bool is_whole(const json_t *value, int64_t *out)
{
    double real = json_real_value(value);
    if (!json_is_real(value) || !(real >= -0x1p63 && real < 0x1p63) ||
        real != (double)(int64_t)real)
        return false;
    *out = (int64_t)real;
    return true;
}

static bool same(const json_t *a, const json_t *b)
{
    int64_t whole;
    if (json_is_integer(a) && is_whole(b, &whole))
        return json_integer_value(a) == whole;
    if (json_is_integer(b) && is_whole(a, &whole))
        return json_integer_value(b) == whole;
    return json_equal(a, b);
}

/* Equal values have equal keys; of most unequal ones they differ. */
static uint64_t key_of(json_t *value)
{
    int64_t integer = json_integer_value(value);
    bool whole = json_is_integer(value) || is_whole(value, &integer);
    uint64_t key = (uint64_t)(whole ? JSON_INTEGER : json_typeof(value)) + 1;
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    key = tb_hash_add(key, text, n);
    double real = whole ? 0 : json_real_value(value);
    uint64_t bits = 0;
    if (real != 0) /* both zeros are one */
        memcpy(&bits, &real, sizeof(bits));
    bits += (uint64_t)integer + json_array_size(value) + json_object_size(value);
    return tb_hash_word(key, bits);
}

/* Sorted by key, only items of one key need comparing. Whoever makes keys collide pays in steps. */
static bool has_twins(struct tb_check *m, json_t *array)
{
    struct keyed items[TB_SCHEMA_UNIQUE / 8], *sorted = items;
    size_t n = json_array_size(array);
    if (n > TB_COUNT(items))
        sorted = tb_arena_raw(m->arena, n * sizeof(*sorted));
    if (sorted == NULL) {
        tb_check_stop(m);
        return true;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct keyed){key_of(json_array_get(array, i)), json_array_get(array, i)};
    qsort(sorted, n, sizeof(*sorted), by_key);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n && sorted[k].key == sorted[i].key; k++) {
            size_t size = json_array_size(sorted[i].value) + json_object_size(sorted[i].value);
            if (!tb_check_spend(m, 1 + size) || same(sorted[i].value, sorted[k].value))
                return true;
        }
    }
    return false;
}

enum tb_check_verdict tb_rule_array(struct tb_check *m, const struct tb_array_rules *rules,
                                    json_t *value, bool quiet)
{
    enum tb_check_verdict verdict = TB_FITS;
    size_t n = json_array_size(value);
    if (n < rules->min)
        verdict = tb_check_fault(m, quiet, TB_FAULT_MIN_ITEMS, (int64_t)rules->min, NULL);
    if (n > rules->max)
        verdict = tb_check_fault(m, quiet, TB_FAULT_MAX_ITEMS, (int64_t)rules->max, NULL);
    else if (rules->unique && has_twins(m, value) && !m->stopped)
        verdict = tb_check_fault(m, quiet, TB_FAULT_UNIQUE_ITEMS, 0, NULL);
    return verdict;
}

enum tb_check_verdict tb_rule_object(struct tb_check *m, const struct tb_object_rules *rules,
                                     json_t *value, bool quiet)
{
    enum tb_check_verdict verdict = TB_FITS;
    size_t n = json_object_size(value);
    if (n < rules->min)
        verdict = tb_check_fault(m, quiet, TB_FAULT_MIN_PROPERTIES, (int64_t)rules->min, NULL);
    if (n > rules->max)
        verdict = tb_check_fault(m, quiet, TB_FAULT_MAX_PROPERTIES, (int64_t)rules->max, NULL);
    return verdict;
}
