/* HTML: whatever a value says, it stays text; sentences are there in every language. */
#include "../unit.h"

#include "oauth/page/html.h"
#include <string.h>

static struct tb_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = tb_arena_new(TB_ARENA_CAP);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_arena_free(arena);
    return 0;
}

static struct tb_str written(struct tb_str value)
{
    struct tb_html html;
    tb_html_init(&html, arena, TB_LANG_EN);
    tb_html(&html, "$", value);
    return tb_text_end(&html.text);
}

static void escapes_what_could_end_a_text_or_an_attribute(void **state)
{
    (void)state;
    static const struct {
        const char *value, *html;
    } rows[] = {
        {"", ""},
        {"Jiangnan 江南", "Jiangnan 江南"},
        {"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
        {"\" onfocus=\"x", "&quot; onfocus=&quot;x"},
        {"' onfocus='x", "&#39; onfocus=&#39;x"},
        {"&lt;", "&amp;lt;"},
        {"a$b", "a$b"},
        {"one\ntwo\tthree", "one\ntwo\tthree"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        assert_string_equal(written(tb_str(rows[i].value)).at, rows[i].html);
}

#define STRANGE "\xef\xbf\xbd"

static void shows_what_cannot_be_seen(void **state)
{
    (void)state;
    static const struct {
        const char *value, *html;
    } rows[] = {
        {"\x01", STRANGE},
        {"a\x7f", "a" STRANGE},
        {"\xc2\x85", STRANGE},                              /* C1: next line */
        {"pay\xe2\x80\xaelive", "pay" STRANGE "live"},      /* right-to-left override */
        {"\xe2\x81\xa6x\xe2\x81\xa9", STRANGE "x" STRANGE}, /* isolates */
        {"\xd8\x9c", STRANGE},                              /* Arabic letter mark */
        {"\xe2\x80\xa8", STRANGE},                          /* line separator */
        {"\xff", STRANGE},                                  /* no UTF-8 */
        {"\xc0\xbc", STRANGE STRANGE},                      /* an overlong "<" */
        {"\xed\xa0\x80", STRANGE STRANGE STRANGE},          /* a surrogate */
        {"\xe4\xb8", STRANGE STRANGE},                      /* cut in two */
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        assert_string_equal(written(tb_str(rows[i].value)).at, rows[i].html);
}

static void puts_values_where_the_template_says(void **state)
{
    (void)state;
    struct tb_html html;
    tb_html_init(&html, arena, TB_LANG_EN);
    tb_html_raw(&html, "<ul>");
    tb_html(&html, "<li class=\"$\">$</li>", TB_STR("a&b"), TB_STR_NONE);
    tb_html_raw(&html, "</ul>");
    assert_string_equal(tb_text_end(&html.text).at, "<ul><li class=\"a&amp;b\"></li></ul>");
}

static size_t marks(struct tb_str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.at[i] == '$';
    return n;
}

static void says_everything_in_both_languages(void **state)
{
    (void)state;
    for (int word = 0; word < TB_MSGS_N; word++) {
        struct tb_str zh = tb_msg_in(TB_LANG_ZH, (enum tb_msg)word);
        struct tb_str en = tb_msg_in(TB_LANG_EN, (enum tb_msg)word);
        assert_true(zh.n > 0 && en.n > 0);
        assert_true(tb_utf8_valid(zh) && tb_utf8_valid(en));
        assert_int_equal(marks(zh), marks(en));
        assert_true(marks(zh) <= 1);
    }
}

static void puts_a_value_into_a_sentence_unescaped_once(void **state)
{
    (void)state;
    struct tb_html html;
    tb_html_init(&html, arena, TB_LANG_EN);
    struct tb_str sentence = tb_msg_with(&html, TB_MSG_DECIDE_TITLE, TB_STR("<b> $ Co"));
    tb_html(&html, "$", sentence);
    assert_string_equal(tb_text_end(&html.text).at, "&lt;b&gt; $ Co asks for your approval");
}

static void chooses_the_language_that_is_preferred(void **state)
{
    (void)state;
    static const struct {
        const char *tags;
        int lang; /* -1: none of ours */
    } rows[] = {
        {"", -1},
        {"fr", -1},
        {"en", TB_LANG_EN},
        {"zh", TB_LANG_ZH},
        {"zh-CN", TB_LANG_ZH},
        {"ZH-hans-cn", TB_LANG_ZH},
        {"eng", -1},
        {"en-GB,en;q=0.9,zh;q=0.8", TB_LANG_EN},
        {"fr-FR, zh;q=0.3, en;q=0.7", TB_LANG_EN},
        {"en;q=0.1,zh-TW;q=0.2", TB_LANG_ZH},
        {"en;q=0", -1},
        {"en;q=0,zh;q=0.001", TB_LANG_ZH},
        {"en;q=1.0;x=y,zh", TB_LANG_EN},
        {"fr-CA zh-CN en", TB_LANG_ZH},
        {",;,;;q=", -1},
        {"*", -1},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        enum tb_lang lang = TB_LANG_ZH;
        bool found = tb_lang_choose(tb_str(rows[i].tags), &lang);
        assert_int_equal(found ? (int)lang : -1, rows[i].lang);
    }
    enum tb_lang kept = TB_LANG_EN;
    assert_false(tb_lang_choose(TB_STR_NONE, &kept));
    assert_int_equal(kept, TB_LANG_EN);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(escapes_what_could_end_a_text_or_an_attribute),
    cmocka_unit_test(shows_what_cannot_be_seen),
    cmocka_unit_test(puts_values_where_the_template_says),
    cmocka_unit_test(says_everything_in_both_languages),
    cmocka_unit_test(puts_a_value_into_a_sentence_unescaped_once),
    cmocka_unit_test(chooses_the_language_that_is_preferred),
};
TEST_GROUP(tests, set_up, tear_down);
