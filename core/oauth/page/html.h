/* HTML, written piece by piece. Templates are constants of ours; whatever else goes in, goes in
 * through a `$` of the template and is escaped there, so that there is no way to write a value that
 * is not. Every sentence comes from the table messages.def, in the page's language.
 *
 *     struct tb_html html;
 *     tb_html_init(&html, arena, TB_LANG_EN);
 *     tb_html(&html, "<p class=\"$\">$</p>\n", TB_STR("note"), tb_msg(&html, TB_MSG_WELCOME));
 *     struct tb_str page = tb_text_end(&html.text);
 */
#ifndef TB_OAUTH_PAGE_HTML_H
#define TB_OAUTH_PAGE_HTML_H

#include "base/lang.h"
#include "base/text.h"

enum tb_msg {
#define TB_MSG(name, zh, en) TB_MSG_##name,
#include "oauth/page/messages.def"
#undef TB_MSG
    TB_MSGS_N
};

struct tb_html {
    struct tb_text text;
    enum tb_lang lang;
};

void tb_html_init(struct tb_html *html, struct tb_arena *arena, enum tb_lang lang);

/** Add a template with as many values as it has `$`; an absent value is empty. Escaped so that it
 *  is one piece of text between tags and within a quoted attribute alike: & < > " ' become
 *  references; control characters, those that turn the direction of writing, and bytes that are no
 *  UTF-8 become U+FFFD, so that what a partner calls itself cannot rearrange a sentence. */
void tb_html_write(struct tb_html *html, const char *template, const struct tb_str *values,
                   size_t values_n);

#define tb_html(html, template, ...)                                                               \
    tb_html_write((html), (template), (const struct tb_str[]){__VA_ARGS__},                        \
                  sizeof((const struct tb_str[]){__VA_ARGS__}) / sizeof(struct tb_str))

/** Add a template without values. */
void tb_html_raw(struct tb_html *html, const char *template);

/** A word or sentence in the page's language. Constant. */
struct tb_str tb_msg(const struct tb_html *html, enum tb_msg word);
struct tb_str tb_msg_in(enum tb_lang lang, enum tb_msg word);

/** A sentence with its one `$` replaced by a value (not escaped yet): in the arena. */
struct tb_str tb_msg_with(const struct tb_html *html, enum tb_msg word, struct tb_str value);

#endif
