/* Tags of languages (RFC 5646), as far as they decide between two. */
#include "base/lang.h"
#include <string.h>
#include <strings.h>

static const struct tb_str TAGS[TB_LANGS] = {{"zh-CN", 5}, {"en", 2}};

struct tb_str tb_lang_tag(enum tb_lang lang)
{
    return TAGS[lang];
}

/* "zh", "zh-CN", "zh-Hans-CN", "en-GB": the primary subtag decides. */
static bool is_language(struct tb_str tag, enum tb_lang *out_lang)
{
    for (int lang = 0; lang < TB_LANGS; lang++)
        if (tag.n >= 2 && strncasecmp(tag.at, TAGS[lang].at, 2) == 0 &&
            (tag.n == 2 || tag.at[2] == '-')) {
            *out_lang = (enum tb_lang)lang;
            return true;
        }
    return false;
}

/* Thousandths of ";q=0.5" behind a tag; 1000 when there is none (RFC 9110 §12.4.2). */
static int weight_of(struct tb_str parameter)
{
    int weight = 0, unit = 1000;
    if (parameter.n < 3 || (parameter.at[0] | 0x20) != 'q' || parameter.at[1] != '=')
        return 1000;
    for (size_t i = 2; i < parameter.n && unit > 0; i++) {
        if (parameter.at[i] == '.')
            continue;
        if (parameter.at[i] < '0' || parameter.at[i] > '9')
            break;
        weight += (parameter.at[i] - '0') * unit;
        unit /= 10;
    }
    return weight > 1000 ? 1000 : weight;
}

/* The next run of characters other than blanks, commas and semicolons. */
static bool next_piece(struct tb_str tags, size_t *at, struct tb_str *out, bool *out_parameter)
{
    *out_parameter = false;
    for (; *at < tags.n && strchr(" \t,;", tags.at[*at]) != NULL; ++*at)
        *out_parameter = tags.at[*at] == ';' || (*out_parameter && tags.at[*at] != ',');
    size_t from = *at;
    while (*at < tags.n && strchr(" \t,;", tags.at[*at]) == NULL)
        ++*at;
    *out = (struct tb_str){tags.at + from, *at - from};
    return out->n > 0;
}

bool tb_lang_choose(struct tb_str tags, enum tb_lang *out_lang)
{
    struct tb_str piece;
    bool parameter, ours = false;
    int best = 0, weight = 0;
    enum tb_lang lang = TB_LANG_ZH;
    if (tags.at == NULL)
        return false;
    for (size_t at = 0; next_piece(tags, &at, &piece, &parameter);) {
        if (parameter) {
            weight = weight_of(piece);
        } else {
            if (ours && weight > best) {
                best = weight;
                *out_lang = lang;
            }
            ours = is_language(piece, &lang);
            weight = 1000;
        }
    }
    if (ours && weight > best) {
        best = weight;
        *out_lang = lang;
    }
    return best > 0;
}
