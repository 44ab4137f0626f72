/* The table as data, and finding a key in it: exactly, or the one that was probably meant. */
#include "config/config_impl.h"
#include <string.h>

static const struct tb_config_row rows[] = {
#define ROW(type_, member, key_, default_, min_, max_, words_, flags_, doc_)                       \
    {.key = (key_),                                                                                \
     .type = TB_CONFIG_TYPE_##type_,                                                               \
     .offset = offsetof(struct tb_config, member),                                                 \
     .default_text = (default_),                                                                   \
     .min = (min_),                                                                                \
     .max = (max_),                                                                                \
     .words = (words_),                                                                            \
     .flags = (flags_),                                                                            \
     .doc = (doc_)},
#define TB_CONFIG_INT(member, key, value, min, max, flags, doc)                                    \
    ROW(INT, member, key, value, min, max, NULL, flags, doc)
#define TB_CONFIG_DURATION(member, key, value, min, max, flags, doc)                               \
    ROW(DURATION, member, key, value, min, max, NULL, flags, doc)
#define TB_CONFIG_BYTES(member, key, value, min, max, flags, doc)                                  \
    ROW(BYTES, member, key, value, min, max, NULL, flags, doc)
#define TB_CONFIG_BOOL(member, key, value, flags, doc)                                             \
    ROW(BOOL, member, key, value, 0, 1, NULL, flags, doc)
#define TB_CONFIG_ENUM(member, key, value, words, flags, doc)                                      \
    ROW(ENUM, member, key, value, 0, 0, words, flags, doc)
#define TB_CONFIG_TEXT(member, key, value, longest, flags, doc)                                    \
    ROW(TEXT, member, key, value, 0, longest, NULL, flags, doc)
#define TB_CONFIG_LIST(member, key, value, most, flags, doc)                                       \
    ROW(LIST, member, key, value, 0, most, NULL, flags, doc)
#include "config/config.def"
#undef ROW
};

enum { ROWS = TB_COUNT(rows) };

const struct tb_config_row *tb_config_rows(size_t *out_n)
{
    *out_n = ROWS;
    return rows;
}

const struct tb_config_row *tb_config_row(struct tb_str key)
{
    for (size_t i = 0; i < ROWS; i++)
        if (tb_str_eq(key, tb_str(rows[i].key)))
            return &rows[i];
    return NULL;
}

static bool is_below(const char *key, struct tb_str section)
{
    return strncmp(key, section.at, section.n) == 0 && key[section.n] == '.';
}

bool tb_config_is_section(struct tb_str path)
{
    if (tb_str_eq(path, TB_STR("plugins")) || is_below(path.at, TB_STR("plugins")))
        return true;
    for (size_t i = 0; i < ROWS; i++)
        if (is_below(rows[i].key, path))
            return true;
    return false;
}

void tb_config_variable(const char *key, struct tb_text *out)
{
    tb_text_add(out, TB_STR("TB_"));
    for (; *key != '\0'; key++) {
        bool small = *key >= 'a' && *key <= 'z';
        bool kept = (*key >= '0' && *key <= '9') || (*key >= 'A' && *key <= 'Z');
        tb_text_add_char(out, small ? (char)(*key - 'a' + 'A') : kept ? *key : '_');
    }
}

/* ---- the nearest key ---- */

/* Levenshtein's distance, row by row. Both texts are at most TB_CONFIG_KEY_MAX long. */
static size_t distance(struct tb_str a, struct tb_str b)
{
    uint8_t line[TB_CONFIG_KEY_MAX + 1];
    for (size_t j = 0; j <= b.n; j++)
        line[j] = (uint8_t)j;
    for (size_t i = 1; i <= a.n; i++) {
        uint8_t diagonal = line[0];
        line[0] = (uint8_t)i;
        for (size_t j = 1; j <= b.n; j++) {
            uint8_t replace = (uint8_t)(diagonal + (a.at[i - 1] != b.at[j - 1]));
            uint8_t skip = (uint8_t)((line[j] < line[j - 1] ? line[j] : line[j - 1]) + 1);
            diagonal = line[j];
            line[j] = replace < skip ? replace : skip;
        }
    }
    return line[b.n];
}

/* What stands behind the last '.'. */
static struct tb_str leaf(struct tb_str key)
{
    const char *dot = key.n == 0 ? NULL : memrchr(key.at, '.', key.n);
    size_t skipped = dot == NULL ? 0 : (size_t)(dot + 1 - key.at);
    return (struct tb_str){key.at + skipped, key.n - skipped};
}

struct tb_str tb_config_most_like(struct tb_str key, const struct tb_str *candidates, size_t n)
{
    struct tb_str best = TB_STR_NONE;
    size_t nearest = 1 + key.n / 4; /* further away it is another word */
    if (key.n > TB_CONFIG_KEY_MAX)
        return best;
    for (size_t i = 0; i < n; i++) {
        if (candidates[i].n > TB_CONFIG_KEY_MAX)
            continue;
        size_t apart = distance(key, candidates[i]);
        if (apart > 1 && tb_str_eq(leaf(key), leaf(candidates[i])))
            apart = 1; /* the right name in the wrong section */
        if (apart < nearest || (apart == nearest && best.at == NULL)) {
            nearest = apart;
            best = candidates[i];
        }
    }
    return best;
}

/* The first part of a key that has as many sections as `model`. */
static struct tb_str cut_like(struct tb_str model, const char *key)
{
    size_t dots = 0, n = 0;
    for (size_t i = 0; i < model.n; i++)
        dots += model.at[i] == '.';
    for (; key[n] != '\0' && (key[n] != '.' || dots > 0); n++)
        dots -= key[n] == '.';
    return (struct tb_str){key, n};
}

struct tb_str tb_config_nearest(struct tb_str key)
{
    struct tb_str candidates[2 * ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        candidates[i] = tb_str(rows[i].key);
        candidates[ROWS + i] = cut_like(key, rows[i].key);
    }
    return tb_config_most_like(key, candidates, 2 * ROWS);
}
