#include "oauth/page/html.h"
#include "base/assert.h"

static const struct tb_str WORDS[TB_MSGS_N][TB_LANGS] = {
#define TB_MSG(name, zh, en) {{(zh), sizeof(zh) - 1}, {(en), sizeof(en) - 1}},
#include "oauth/page/messages.def"
#undef TB_MSG
};

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

struct tb_str tb_msg_in(enum tb_lang lang, enum tb_msg word)
{
    return WORDS[word][lang];
}

struct tb_str tb_msg(const struct tb_html *html, enum tb_msg word)
{
    return tb_msg_in(html->lang, word);
}

struct tb_str tb_msg_with(const struct tb_html *html, enum tb_msg word, struct tb_str value)
{
    struct tb_str sentence = tb_msg(html, word);
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
