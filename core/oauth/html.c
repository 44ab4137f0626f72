#include "oauth/html.h"
#include "base/assert.h"
#include <strings.h>

static const struct tb_str WORDS[TB_WORDS_N][TB_LANGS] = {
#define TB_WORD(name, zh, en) {{(zh), sizeof(zh) - 1}, {(en), sizeof(en) - 1}},
#include "oauth/words.def"
#undef TB_WORD
};

static const struct tb_str TAGS[TB_LANGS] = {{"zh-CN", 5}, {"en", 2}};

void tb_html_init(struct tb_html *html, struct tb_arena *arena, enum tb_lang lang)
{
    tb_text_init(&html->text, arena);
    html->lang = lang;
}

/* ---- escaping ---- */

/* Whether a well-formed sequence may not be shown: C0 and C1 controls but tab and newline, and the
 * characters that turn the direction of what follows (Unicode TR 9). */
static bool is_hidden(const unsigned char *at, size_t n)
{
    if (n == 1)
        return (at[0] < 0x20 && at[0] != '\t' && at[0] != '\n') || at[0] == 0x7f;
    if (n == 2)
        return (at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xd8 && at[1] == 0x9c);
    if (n == 3 && at[0] == 0xe2 && at[1] == 0x80)
        return at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae);
    return n == 3 && at[0] == 0xe2 && at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9;
}

static void add_escaped(struct tb_text *text, struct tb_str value)
{
    for (size_t i = 0; i < value.n;) {
        size_t span = tb_utf8_span(value.at + i, value.n - i);
        const char *at = value.at + i;
        i += span == 0 ? 1 : span;
        if (span == 0 || is_hidden((const unsigned char *)at, span))
            tb_text_add(text, TB_STR("\xef\xbf\xbd"));
        else if (*at == '&')
            tb_text_add(text, TB_STR("&amp;"));
        else if (*at == '<')
            tb_text_add(text, TB_STR("&lt;"));
        else if (*at == '>')
            tb_text_add(text, TB_STR("&gt;"));
        else if (*at == '"')
            tb_text_add(text, TB_STR("&quot;"));
        else if (*at == '\'')
            tb_text_add(text, TB_STR("&#39;"));
        else
            tb_text_add(text, (struct tb_str){at, span});
    }
}

/* ---- templates ---- */

void tb_html_write(struct tb_html *html, const char *template, const struct tb_str *values,
                   size_t values_n)
{
    size_t used = 0;
    for (const char *from = template;;) {
        const char *mark = strchr(from, '$');
        size_t n = mark == NULL ? strlen(from) : (size_t)(mark - from);
        tb_text_add(&html->text, (struct tb_str){from, n});
        if (mark == NULL)
            break;
        TB_ASSERT(used < values_n);
        add_escaped(&html->text, values[used++]);
        from = mark + 1;
    }
    TB_ASSERT(used == values_n);
}

void tb_html_raw(struct tb_html *html, const char *template)
{
    tb_html_write(html, template, NULL, 0);
}

/* ---- languages ---- */

struct tb_str tb_word_in(enum tb_lang lang, enum tb_word word)
{
    return WORDS[word][lang];
}

struct tb_str tb_word(const struct tb_html *html, enum tb_word word)
{
    return tb_word_in(html->lang, word);
}

struct tb_str tb_word_with(const struct tb_html *html, enum tb_word word, struct tb_str value)
{
    struct tb_str sentence = tb_word(html, word);
    const char *mark = memchr(sentence.at, '$', sentence.n);
    struct tb_text text;
    TB_ASSERT(mark != NULL);
    size_t before = (size_t)(mark - sentence.at);
    tb_text_init(&text, html->text.arena);
    tb_text_add(&text, (struct tb_str){sentence.at, before});
    tb_text_add(&text, value);
    tb_text_add(&text, (struct tb_str){mark + 1, sentence.n - before - 1});
    return tb_text_end(&text);
}

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
