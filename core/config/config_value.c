/* One value: from text to the member of struct tb_config, within the row's type and bounds, and
 * back. */
#include "config/config_impl.h"
#include <string.h>

struct unit {
    const char *name;
    int64_t size;
};

/* Largest first; the last has size 1. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};

enum { DURATIONS = TB_COUNT(durations), SIZES = TB_COUNT(sizes) };

static const struct unit *units_of(enum tb_config_type type, size_t *out_n)
{
    *out_n = type == TB_CONFIG_TYPE_DURATION ? DURATIONS : SIZES;
    return type == TB_CONFIG_TYPE_DURATION ? durations : sizes;
}

static void *member(const struct tb_config *config, const struct tb_config_row *row)
{
    return (char *)config + row->offset;
}

/* ---- from text ---- */

/* "5s": a whole number and a unit; 0 needs none. */
static bool parse_with_unit(enum tb_config_type type, struct tb_str text, int64_t *out)
{
    size_t digits = 0, units_n;
    while (digits < text.n && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    struct tb_str unit = {text.at + digits, text.n - digits};
    if (!tb_text_to_int((struct tb_str){text.at, digits}, out))
        return false;
    if (unit.n == 0)
        return *out == 0;
    const struct unit *units = units_of(type, &units_n);
    for (size_t i = 0; i < units_n; i++)
        if (tb_str_eq(unit, tb_str(units[i].name)))
            return !__builtin_mul_overflow(*out, units[i].size, out);
    return false;
}

/* The place of `text` among "a|b|c"; -1 when it is none of them. */
static int32_t find_word(const char *words, struct tb_str text)
{
    struct tb_str rest = tb_str(words), word;
    for (int32_t place = 0; tb_str_next(&rest, '|', &word); place++)
        if (tb_str_eq(text, word))
            return place;
    return -1;
}

static bool set_number(struct tb_config *config, const struct tb_config_row *row,
                       struct tb_str text)
{
    int64_t value;
    bool number = row->type == TB_CONFIG_TYPE_INT ? tb_text_to_int(text, &value)
                                                  : parse_with_unit(row->type, text, &value);
    if (!number || value < row->min || value > row->max)
        return false;
    *(int64_t *)member(config, row) = value;
    return true;
}

static const char *keep_text(struct tb_config *config, struct tb_str text)
{
    if (text.n > 0 && memchr(text.at, '\0', text.n) != NULL)
        return NULL; /* would be cut short by whoever uses it */
    return tb_arena_text(config->more->arena, text.at, text.n);
}

static bool set_text(struct tb_config *config, const struct tb_config_row *row, struct tb_str text)
{
    const char *kept = (int64_t)text.n <= row->max ? keep_text(config, text) : NULL;
    if (kept == NULL)
        return false;
    *(const char **)member(config, row) = kept;
    return true;
}

bool tb_config_set_list(struct tb_config *config, const struct tb_config_row *row,
                        const struct tb_str *items, size_t n)
{
    if (n > (size_t)row->max)
        return false;
    const char **kept = tb_arena_alloc(config->more->arena, n * sizeof(*kept));
    if (kept == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if (items[i].n == 0 || (kept[i] = keep_text(config, items[i])) == NULL)
            return false;
    *(struct tb_config_list *)member(config, row) = (struct tb_config_list){kept, n};
    return true;
}

static bool set_joined(struct tb_config *config, const struct tb_config_row *row,
                       struct tb_str text)
{
    struct tb_str *items;
    size_t n = text.n > 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.at[i] == ',';
    if (n > (size_t)row->max ||
        (items = tb_arena_alloc(config->more->arena, n * sizeof(*items))) == NULL)
        return false;
    size_t first = 0;
    for (size_t i = 0; i < n; i++) {
        const char *comma = memchr(text.at + first, ',', text.n - first);
        size_t end = comma == NULL ? text.n : (size_t)(comma - text.at);
        while (first < end && text.at[first] == ' ')
            first++;
        items[i] = (struct tb_str){text.at + first, end - first};
        first = end + 1;
    }
    return tb_config_set_list(config, row, items, n);
}

bool tb_config_set(struct tb_config *config, const struct tb_config_row *row, struct tb_str text)
{
    int32_t place;
    switch (row->type) {
    case TB_CONFIG_TYPE_INT:
    case TB_CONFIG_TYPE_DURATION:
    case TB_CONFIG_TYPE_BYTES:
        return set_number(config, row, text);
    case TB_CONFIG_TYPE_BOOL:
        place = find_word("false|true", text);
        if (place >= 0)
            *(bool *)member(config, row) = place == 1;
        return place >= 0;
    case TB_CONFIG_TYPE_ENUM:
        place = find_word(row->words, text);
        if (place >= 0)
            *(int32_t *)member(config, row) = place;
        return place >= 0;
    case TB_CONFIG_TYPE_TEXT:
        return set_text(config, row, text);
    case TB_CONFIG_TYPE_LIST:
        return set_joined(config, row, text);
    }
    return false;
}

/* ---- to text ---- */

static void show_number(enum tb_config_type type, int64_t value, struct tb_text *out)
{
    size_t units_n, i = 0;
    const struct unit *units = units_of(type, &units_n);
    if (type == TB_CONFIG_TYPE_INT || value == 0) {
        tb_text_add_int(out, value);
        return;
    }
    while (value % units[i].size != 0)
        i++;
    tb_text_add_int(out, value / units[i].size);
    tb_text_add(out, tb_str(units[i].name));
}

/* Add "a, b, c" for "a|b|c". */
static void show_words(const char *words, struct tb_text *out)
{
    struct tb_str rest = tb_str(words), word;
    for (const char *joint = ""; tb_str_next(&rest, '|', &word); joint = ", ") {
        tb_text_add(out, tb_str(joint));
        tb_text_add(out, word);
    }
}

static void show_bounds(const struct tb_config_row *row, struct tb_text *out)
{
    tb_text_add(out, TB_STR(" from "));
    show_number(row->type, row->min, out);
    tb_text_add(out, TB_STR(" to "));
    show_number(row->type, row->max, out);
}

void tb_config_expects(const struct tb_config_row *row, struct tb_text *out)
{
    switch (row->type) {
    case TB_CONFIG_TYPE_INT:
        tb_text_add(out, TB_STR("a whole number"));
        show_bounds(row, out);
        return;
    case TB_CONFIG_TYPE_DURATION:
        tb_text_add(out, TB_STR("a duration such as 5s (ms, s, min, h, d)"));
        show_bounds(row, out);
        return;
    case TB_CONFIG_TYPE_BYTES:
        tb_text_add(out, TB_STR("a size such as 64KiB (B, KiB, MiB, GiB)"));
        show_bounds(row, out);
        return;
    case TB_CONFIG_TYPE_BOOL:
        tb_text_add(out, TB_STR("true or false"));
        return;
    case TB_CONFIG_TYPE_ENUM:
        tb_text_add(out, TB_STR("one of "));
        show_words(row->words, out);
        return;
    case TB_CONFIG_TYPE_TEXT:
        tb_text_add_format(out, "text of at most %lld bytes", (long long)row->max);
        return;
    case TB_CONFIG_TYPE_LIST:
        tb_text_add_format(out, "a list of at most %lld texts, none empty", (long long)row->max);
    }
}

static void show_word(const char *words, int32_t place, struct tb_text *out)
{
    struct tb_str rest = tb_str(words), word;
    while (tb_str_next(&rest, '|', &word) && place > 0)
        place--;
    tb_text_add(out, word);
}

void tb_config_show(const struct tb_config *config, const struct tb_config_row *row,
                    struct tb_text *out)
{
    const void *value = member(config, row);
    const struct tb_config_list *list = value;
    switch (row->type) {
    case TB_CONFIG_TYPE_INT:
    case TB_CONFIG_TYPE_DURATION:
    case TB_CONFIG_TYPE_BYTES:
        show_number(row->type, *(const int64_t *)value, out);
        return;
    case TB_CONFIG_TYPE_BOOL:
        tb_text_add(out, *(const bool *)value ? TB_STR("true") : TB_STR("false"));
        return;
    case TB_CONFIG_TYPE_ENUM:
        show_word(row->words, *(const int32_t *)value, out);
        return;
    case TB_CONFIG_TYPE_TEXT:
        tb_text_add(out, tb_str(*(const char *const *)value));
        return;
    case TB_CONFIG_TYPE_LIST:
        for (size_t i = 0; i < list->n; i++) {
            if (i > 0)
                tb_text_add(out, TB_STR(", "));
            tb_text_add(out, tb_str(list->items[i]));
        }
    }
}
