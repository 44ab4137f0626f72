/* Building text, integers in decimal, JSON strings, UTF-8. */
#include "base/text.h"
#include "test.h"

static struct tb_arena *arena;

static int open_arena(void **state)
{
    (void)state;
    arena = tb_arena_new(TB_ARENA_CAP);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    tb_arena_free(arena);
    return 0;
}

static void grows_piece_by_piece(void **state)
{
    (void)state;
    struct tb_text text;
    tb_text_init(&text, arena);
    for (int i = 0; i < 10000; i++)
        tb_text_add_char(&text, (char)('a' + i % 26));
    tb_text_add(&text, TB_STR("-"));
    tb_text_add_int(&text, INT64_MIN);
    tb_text_add_format(&text, "|%5d|%s", 42, "end");
    struct tb_str out = tb_text_end(&text);
    assert_int_equal(out.n, 10000 + 1 + 20 + 7 + 3);
    assert_int_equal(out.at[out.n], '\0');
    for (int i = 0; i < 10000; i++)
        assert_int_equal(out.at[i], 'a' + i % 26);
    assert_string_equal(out.at + 10000, "--9223372036854775808|   42|end");
}

static void is_there_and_empty_when_nothing_was_added(void **state)
{
    (void)state;
    struct tb_text text;
    tb_text_init(&text, arena);
    assert_text(tb_text_end(&text), "");
}

static void is_absent_when_the_arena_overflows(void **state)
{
    (void)state;
    struct tb_arena *small = tb_arena_new(256);
    struct tb_text text;
    tb_text_init(&text, small);
    for (int i = 0; i < 1000; i++)
        tb_text_add_format(&text, "%d", i);
    assert_null(tb_text_end(&text).at);
    tb_arena_free(small);
}

static void fills_a_fixed_buffer_to_the_last_byte_and_no_further(void **state)
{
    (void)state;
    char buffer[8] = "#######";
    struct tb_text text;
    tb_text_init_fixed(&text, buffer, 6);
    tb_text_add(&text, TB_STR("12345"));
    assert_text(tb_text_end(&text), "12345");
    tb_text_add_char(&text, '6');
    assert_null(tb_text_end(&text).at);
    tb_text_cut(&text, 3);
    tb_text_add_json(&text, TB_STR("ab")); /* four characters: whole or not at all */
    assert_int_equal(text.n, 3);
    tb_text_cut(&text, 3);
    assert_text(tb_text_end(&text), "123");
    assert_int_equal(buffer[6], '#');
}

static void escapes_json_strings(void **state)
{
    (void)state;
    static const struct {
        struct tb_str in;
        const char *out;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"a\"b\\c/d", 7}, "\"a\\\"b\\\\c/d\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"\xE9\x80\x9A\xE5\xAE\x9D", 6}, "\"\xE9\x80\x9A\xE5\xAE\x9D\""},
        {{"a\xFFz", 3}, "\"a\xEF\xBF\xBDz\""},
        {{"\xC3", 1}, "\"\xEF\xBF\xBD\""},
        {{"\xC3\"", 2}, "\"\xEF\xBF\xBD\\\"\""},
        {{"\xED\xA0\x80", 3}, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_text text;
        tb_text_init(&text, arena);
        tb_text_add_json(&text, cases[i].in);
        assert_text(tb_text_end(&text), cases[i].out);
    }
}

static void writes_and_reads_every_border_of_int64(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-1, "-1"},
        {10, "10"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char digits[21];
        int64_t back = 7;
        struct tb_str text = {digits, tb_text_int(digits, cases[i].value)};
        assert_text(text, cases[i].text);
        assert_true(tb_text_to_int(text, &back));
        assert_int_equal(back, cases[i].value);
    }
}

static void refuses_integers_in_any_other_form(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "-",
        "+1",
        "01",
        "-0",
        "-01",
        "00",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "0x1",
        "--1",
        "1-",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t out = 7;
        if (tb_text_to_int(tb_str(cases[i]), &out))
            fail_msg("took \"%s\"", cases[i]);
        assert_int_equal(out, 7);
    }
}

static void tells_utf8_from_what_only_looks_like_it(void **state)
{
    (void)state;
    static const struct {
        struct tb_str text;
        bool valid;
    } cases[] = {
        {{"", 0}, true},
        {{"a\0b", 3}, true},
        {{"\xC2\x80", 2}, true},
        {{"\xDF\xBF", 2}, true},
        {{"\xE0\xA0\x80", 3}, true},
        {{"\xED\x9F\xBF", 3}, true},
        {{"\xEE\x80\x80", 3}, true},
        {{"\xF0\x90\x80\x80", 4}, true},
        {{"\xF4\x8F\xBF\xBF", 4}, true},
        {{"\x80", 1}, false},             /* continuation alone */
        {{"\xC0\xAF", 2}, false},         /* overlong */
        {{"\xC1\xBF", 2}, false},         /* overlong */
        {{"\xE0\x9F\xBF", 3}, false},     /* overlong */
        {{"\xF0\x8F\xBF\xBF", 4}, false}, /* overlong */
        {{"\xED\xA0\x80", 3}, false},     /* surrogate */
        {{"\xED\xBF\xBF", 3}, false},     /* surrogate */
        {{"\xF4\x90\x80\x80", 4}, false}, /* beyond U+10FFFF */
        {{"\xF5\x80\x80\x80", 4}, false},
        {{"\xFE", 1}, false},
        {{"\xC3", 1}, false}, /* cut short */
        {{"\xE5\xAE", 2}, false},
        {{"\xF0\x90\x80", 3}, false},
        {{"\xC3(", 2}, false},
        {{"\xE5\xAE(", 3}, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (tb_utf8_valid(cases[i].text) != cases[i].valid)
            fail_msg("case %zu", i);
}

/* ---- what people read ---- */

static void tells_what_shows_itself_from_what_does_not(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t visible;
    } rows[] = {
        {"", 0},
        {"Jiangnan Fintech", 16},
        {"江南 é🍐", 13},
        {"a\u0301b", 4},
        {"a\tb", 1},
        {"a\nb", 1},
        {"a\x1b[2J", 1},
        {"a\x7f", 1},
        {"a\xc2\x80", 1},
        {"a\xc2\x9b", 1},
        {"a\u00a0b", 4},
        {"a\u00ad", 1},
        {"a\u061c", 1},
        {"a\u180e", 1},
        {"a\u200b", 1},
        {"a\u200f", 1},
        {"a\u2010", 4},
        {"a\u2027", 4},
        {"a\u2028", 1},
        {"a\u202e", 1},
        {"a\u202f", 4},
        {"a\u2060", 1},
        {"a\u2065", 4},
        {"a\u2069", 1},
        {"a\u2070", 4},
        {"a\u3164", 1},
        {"a\ufe0f", 4},
        {"a\ufeff", 1},
        {"a\U000e0041", 1},
        {"a\U000e0100", 5},
        {"a\xff"
         "b",
         1},
        {"a\xe2\x80", 1},
        {"a\xed\xa0\x80", 1},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        if (tb_text_visible(tb_str(rows[i].text)) != rows[i].visible)
            fail_msg("row %zu: %zu of \"%s\"", i, tb_text_visible(tb_str(rows[i].text)),
                     rows[i].text);
}

static void says_what_is_wrong_with_a_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why; /* NULL: nothing */
    } rows[] = {
        {"Li Hua", NULL},
        {"é漢🍐x", NULL},
        {"é漢🍐xy", NULL},
        {"é漢🍐xyz", "has more than 5 characters"},
        {"", "is empty"},
        {" ", "is empty"},
        {"\u3000\u00a0", "is empty"},
        {" x", NULL},
        {"x\u202e", "holds U+202E, which is not visible"},
        {"\x01", "holds U+0001, which is not visible"},
        {"x\xff", "is not UTF-8"},
        {"\xff", "is not UTF-8"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        char room[TB_TEXT_WHY_BYTES];
        const char *why = tb_text_name_wrong(tb_str(rows[i].text), i == 0 ? 6 : 5, room);
        if (rows[i].why == NULL)
            assert_null(why);
        else
            assert_string_equal(why, rows[i].why);
    }
}

static const char *made_of(void (*add)(struct tb_text *, struct tb_str), const char *from)
{
    static char room[256];
    struct tb_text text;
    tb_text_init_fixed(&text, room, sizeof(room));
    add(&text, tb_str(from));
    return tb_text_end(&text).at;
}

static void add_lines(struct tb_text *text, struct tb_str piece)
{
    tb_text_add_visible(text, piece, true);
}

static void add_line(struct tb_text *text, struct tb_str piece)
{
    tb_text_add_visible(text, piece, false);
}

static void escapes_what_does_not_show_itself(void **state)
{
    (void)state;
    static const char from[] = "é\n\x1b\u202e\xff\U000e0041\xe2\x80|";
    assert_string_equal(made_of(add_lines, from),
                        "é\n\\u{001b}\\u{202e}\\x{ff}\\u{e0041}\\x{e2}\\x{80}|");
    assert_string_equal(made_of(add_line, from),
                        "é\\u{000a}\\u{001b}\\u{202e}\\x{ff}\\u{e0041}\\x{e2}\\x{80}|");
    assert_string_equal(made_of(tb_text_add_json_visible, "é\n\xc2\x9b\u202e\U000e0041\x7f\xff\"x"),
                        "\"é\\n\\u009b\\u202e\\udb40\\udc41\\u007f\xEF\xBF\xBD\\\"x\"");
    assert_string_equal(made_of(tb_text_add_json, "é\u202e\x7f"), "\"é\u202e\x7f\"");
    assert_string_equal(made_of(tb_text_add_document, "{\n  \"é\": \"\u2028\x7f\"\n}"),
                        "{\n  \"é\": \"\\u2028\\u007f\"\n}");
}

struct drained {
    char text[8192];
    size_t n, pieces;
};

static void keep(void *to, struct tb_str piece)
{
    struct drained *drained = to;
    memcpy(drained->text + drained->n, piece.at, piece.n);
    drained->n += piece.n;
    drained->pieces++;
}

static void drains_what_its_buffer_cannot_hold(void **state)
{
    static const char long_text[] = "0123456789\"0123456789\n0123456789\xff";
    (void)state;
    for (size_t room = 24; room < 200; room++) {
        static struct drained drained;
        char buffer[200];
        struct tb_text drain, plain;
        tb_arena_reset(arena);
        drained = (struct drained){.n = 0};
        tb_text_init_drain(&drain, NULL, buffer, room, keep, &drained);
        tb_text_init(&plain, arena);
        struct tb_text *both[] = {&drain, &plain};
        for (size_t i = 0; i < 2; i++) {
            for (int64_t n = 1; n < 40; n++) {
                tb_text_add_json(both[i], tb_str(long_text));
                tb_text_add_char(both[i], ',');
                tb_text_add_int(both[i], n * n * n * n * n * n);
            }
            tb_text_add_format(both[i], "%d %s", 17, "end");
        }
        struct tb_str rest = tb_text_end(&drain), whole = tb_text_end(&plain);
        assert_true(rest.at != NULL && drained.pieces > 0);
        keep(&drained, rest);
        assert_int_equal(drained.n, whole.n);
        assert_memory_equal(drained.text, whole.at, whole.n);
    }
    char small[4];
    struct tb_text text;
    struct drained nothing = {.n = 0};
    tb_text_init_drain(&text, NULL, small, sizeof(small), keep, &nothing);
    tb_text_add_format(&text, "%s", "longer than the buffer");
    assert_null(tb_text_end(&text).at);
}

static void takes_texts_apart_at_a_joint(void **state)
{
    (void)state;
    struct tb_str rest = TB_STR("||a|bc|||d|"), part;
    static const char *const parts[] = {"a", "bc", "d"};
    for (size_t i = 0; i < TB_COUNT(parts); i++) {
        assert_true(tb_str_next(&rest, '|', &part));
        assert_true(tb_str_eq(part, tb_str(parts[i])));
    }
    assert_false(tb_str_next(&rest, '|', &part));
    assert_null(part.at);
    rest = TB_STR_NONE;
    assert_false(tb_str_next(&rest, '|', &part));
    assert_true(tb_str_among(TB_STR("bc"), '|', TB_STR("a|bc")));
    assert_false(tb_str_among(TB_STR("b"), '|', TB_STR("a|bc")));
    assert_false(tb_str_among(TB_STR(""), '|', TB_STR("a||bc")));
    assert_false(tb_str_among(TB_STR("a"), '|', TB_STR_NONE));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(drains_what_its_buffer_cannot_hold),
    cmocka_unit_test(grows_piece_by_piece),
    cmocka_unit_test(is_there_and_empty_when_nothing_was_added),
    cmocka_unit_test(is_absent_when_the_arena_overflows),
    cmocka_unit_test(fills_a_fixed_buffer_to_the_last_byte_and_no_further),
    cmocka_unit_test(escapes_json_strings),
    cmocka_unit_test(writes_and_reads_every_border_of_int64),
    cmocka_unit_test(refuses_integers_in_any_other_form),
    cmocka_unit_test(tells_utf8_from_what_only_looks_like_it),
    cmocka_unit_test(tells_what_shows_itself_from_what_does_not),
    cmocka_unit_test(says_what_is_wrong_with_a_name),
    cmocka_unit_test(escapes_what_does_not_show_itself),
    cmocka_unit_test(takes_texts_apart_at_a_joint),
};
TEST_GROUP(tests, open_arena, close_arena);
