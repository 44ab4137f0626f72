/* Pages: what a client may ask for, and that a cursor opens only the list it was made by. */
#include "exchange_fixture.h"

#include "crypto/digest.h"
#include <stdio.h>

static struct fixture f;

static const struct tb_query_param filters[] = {
    {"state", TB_Q_TEXT, 1, 40, NULL, NULL},
    {"reference", TB_Q_TEXT, 1, 40, NULL, NULL},
    {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
};

static struct tb_grant grant;

static int open_all(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

/* What a list is asked by. */
struct list {
    const char *path, *partner;
    int32_t book;
    const char *state, *reference; /* filters; NULL: not sent */
};

static const struct list LIST = {"/shop/v1/things", "ptr_a", 1, "open", NULL};

static void add(const char *name, const char *value)
{
    if (value != NULL)
        f.x->query[f.x->query_n++] = (struct tb_query_value){tb_str(name), tb_str(value)};
}

static struct tb_exchange *ask(const struct list *list)
{
    struct tb_exchange *x = fixture_request(&f, "GET", list->path);
    fixture_flags(&f, TB_R_PAGE);
    f.route.query = filters;
    grant = (struct tb_grant){.partner = tb_str(list->partner), .book = list->book};
    x->grant = &grant;
    add("state", list->state);
    add("reference", list->reference);
    return x;
}

static struct tb_page page;

static tb_err read_page(struct tb_exchange *x)
{
    return tb_exchange_page(&x->run.req, &page);
}

/* The cursor that `list` gives at `place`. */
static const char *cursor_of(const struct list *list, const char *place)
{
    static char cursor[1024];
    const struct tb_str cells[] = {TB_STR("[]"), TB_STR("t"), TB_STR("first"), tb_str(place)};
    const struct tb_rows rows = {1, 4, cells};
    struct tb_exchange *x = ask(list);
    assert_string_equal(fixture_stage(&f, read_page), "ok");
    assert_null(tb_exchange_reply_page(&x->run.req, &page, &rows));
    const char *at = strstr(fixture_reply(&f), "\"next_cursor\":\"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"next_cursor\":\"%1023[^\"]\"", cursor), 1);
    return cursor;
}

/* ---- what is asked for ---- */

static void gives_twenty_unless_another_number_is_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *limit;
        int64_t most, gives;
    } cases[] = {
        {NULL, 100, 20}, {NULL, 20, 20}, {NULL, 19, 19},    {NULL, 1, 1},
        {"1", 100, 1},   {"9", 100, 9},  {"100", 100, 100}, {"21", 100, 21},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        f.settings.limits_page = cases[i].most;
        ask(&LIST);
        add("limit", cases[i].limit);
        assert_string_equal(fixture_stage(&f, read_page), "ok");
        assert_int_equal(page.limit, cases[i].gives);
        assert_null(page.after.at);
        assert_null(page.before.at);
    }
    f.settings.limits_page = f.config->limits_page;
}

static void opens_its_own_cursor_in_either_direction(void **state)
{
    (void)state;
    static const char *const places[] = {"", "x", "2026-02-28T09:30:00.000Z pay_1", "\xe6\xac\xbe"};
    for (size_t i = 0; i < TB_COUNT(places); i++) {
        const char *cursor = cursor_of(&LIST, places[i]);
        ask(&LIST);
        add("starting_after", cursor);
        assert_string_equal(fixture_stage(&f, read_page), "ok");
        assert_true(tb_str_eq(page.after, tb_str(places[i])));
        assert_null(page.before.at);
        ask(&LIST);
        add("ending_before", cursor);
        add("limit", "5"); /* how many is no part of the list */
        assert_string_equal(fixture_stage(&f, read_page), "ok");
        assert_true(tb_str_eq(page.before, tb_str(places[i])));
        assert_null(page.after.at);
    }
}

static void pages_a_list_without_filters(void **state)
{
    (void)state;
    static const struct list bare = {"/shop/v1/things", "ptr_a", 1, NULL, NULL};
    const char *cursor = cursor_of(&bare, "x");
    (void)ask(&bare);
    f.route.query = NULL;
    add("starting_after", cursor);
    assert_string_equal(fixture_stage(&f, read_page), "ok");
    assert_true(tb_str_eq(page.after, TB_STR("x")));
}

static void refuses_both_directions_at_once(void **state)
{
    (void)state;
    const char *cursor = cursor_of(&LIST, "x");
    ask(&LIST);
    add("starting_after", cursor);
    add("ending_before", cursor);
    assert_string_equal(fixture_stage(&f, read_page), "bad_parameter");
    assert_string_equal(fixture_place(&f), "?ending_before");
}

static void refuses_a_cursor_of_another_list(void **state)
{
    (void)state;
    static const struct list others[] = {
        {"/shop/v1/others", "ptr_a", 1, "open", NULL},
        {"/shop/v1/things", "ptr_b", 1, "open", NULL},
        {"/shop/v1/things", "ptr_a", 2, "open", NULL},
        {"/shop/v1/things", "ptr_a", 11, "open", NULL},
        {"/shop/v1/things", "ptr_a", 1, "closed", NULL},
        {"/shop/v1/things", "ptr_a", 1, NULL, NULL},
        {"/shop/v1/things", "ptr_a", 1, NULL, "open"},
        {"/shop/v1/things", "ptr_a", 1, "open", "a"},
        {"/shop/v1/things", "ptr_a", 1, "open\nreference=1:a", NULL},
        {"/shop/v1/things", "ptr_", 1, "open", NULL},
    };
    for (size_t i = 0; i < TB_COUNT(others); i++) {
        const char *cursor = cursor_of(&others[i], "x");
        ask(&others[i]);
        add("starting_after", cursor);
        assert_string_equal(fixture_stage(&f, read_page), "ok");
        ask(&LIST);
        add("starting_after", cursor);
        const char *code = fixture_stage(&f, read_page);
        if (strcmp(code, "bad_cursor") != 0)
            fail_msg("list %zu: %s", i, code);
        assert_string_equal(fixture_place(&f), "?starting_after");
        ask(&LIST);
        add("ending_before", cursor);
        assert_string_equal(fixture_stage(&f, read_page), "bad_cursor");
        assert_string_equal(fixture_place(&f), "?ending_before");
    }
}

/* The value of a filter that pretends to be another filter, too. */
static void tells_a_filter_from_one_within_a_value(void **state)
{
    (void)state;
    static const struct list two = {"/shop/v1/things", "ptr_a", 1, "a", "b"};
    static const struct list ones[] = {
        {"/shop/v1/things", "ptr_a", 1, "a\nreference=1:b", NULL},
        {"/shop/v1/things", "ptr_a", 1, "a\nreference=b", NULL},
    };
    for (size_t i = 0; i < TB_COUNT(ones); i++) {
        const char *cursor = cursor_of(&two, "x");
        ask(&ones[i]);
        add("starting_after", cursor);
        assert_string_equal(fixture_stage(&f, read_page), "bad_cursor");
    }
}

static void refuses_what_was_forged(void **state)
{
    (void)state;
    char good[256];
    snprintf(good, sizeof(good), "%s", cursor_of(&LIST, "place"));
    size_t n = strlen(good);
    for (size_t i = 0; i < n; i++) { /* each character in turn */
        char bad[256];
        memcpy(bad, good, n + 1);
        bad[i] = bad[i] == 'B' ? 'C' : 'B';
        ask(&LIST);
        add("starting_after", bad);
        const char *code = fixture_stage(&f, read_page);
        if (strcmp(code, "bad_cursor") != 0)
            fail_msg("%s: %s", bad, code);
        memcpy(bad, good, n + 1); /* and each length */
        bad[i] = '\0';
        ask(&LIST);
        add("starting_after", bad);
        assert_string_equal(fixture_stage(&f, read_page), "bad_cursor");
    }
    static const char *const cases[] = {
        "v1",
        "v1.",
        "v1..",
        "v1.cGxhY2U",
        "v1.cGxhY2U.",
        "v1..cGxhY2U",
        "v2.cGxhY2U.AAAA",
        "v1.cGxhY2U.AAAAAAAAAAAAAAAAAAAAAA",
        "v1.cGxhY2U=.AAAAAAAAAAAAAAAAAAAAAA",
        "v1.c!xhY2U.AAAAAAAAAAAAAAAAAAAAAA",
        "v1.A.AAAAAAAAAAAAAAAAAAAAAA",
        "x",
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        ask(&LIST);
        add("ending_before", cases[i]);
        assert_string_equal(fixture_stage(&f, read_page), "bad_cursor");
    }
}

static void refuses_the_place_of_one_cursor_under_the_mac_of_another(void **state)
{
    (void)state;
    char one[256], other[256], mixed[512];
    snprintf(one, sizeof(one), "%s", cursor_of(&LIST, "one"));
    snprintf(other, sizeof(other), "%s", cursor_of(&LIST, "two"));
    snprintf(mixed, sizeof(mixed), "%.*s%s", (int)(strrchr(one, '.') - one), one,
             strrchr(other, '.'));
    ask(&LIST);
    add("starting_after", mixed);
    assert_string_equal(fixture_stage(&f, read_page), "bad_cursor");
    snprintf(mixed, sizeof(mixed), "%sAAAA", one); /* more of the MAC than there should be */
    ask(&LIST);
    add("starting_after", mixed);
    assert_string_equal(fixture_stage(&f, read_page), "bad_cursor");
}

/* Even one that was rightly signed, by a list whose places are that long. */
static void refuses_a_cursor_longer_than_512_characters(void **state)
{
    (void)state;
    size_t longest = 0;
    for (size_t n = 350; n < 380; n++) {
        char place[400];
        memset(place, 'p', n);
        place[n] = '\0';
        const char *cursor = cursor_of(&LIST, place);
        size_t length = strlen(cursor);
        ask(&LIST);
        add("starting_after", cursor);
        assert_string_equal(fixture_stage(&f, read_page), length <= 512 ? "ok" : "bad_cursor");
        if (length <= 512)
            longest = length;
    }
    assert_in_range(longest, 510, 512);
}

/* ---- what is answered ---- */

static void writes_a_list_with_the_cursor_of_its_direction(void **state)
{
    (void)state;
    static const struct {
        const char *more; /* the cell; NULL: SQL's null */
        bool backwards;
        const char *place; /* that the cursor stands at; NULL: there is none */
    } cases[] = {
        {"t", false, "last"}, {"t", true, "first"}, {"f", false, NULL},
        {"f", true, NULL},    {NULL, false, NULL},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        const struct tb_str cells[] = {TB_STR("[{\"id\":1}]"), tb_str(cases[i].more),
                                       TB_STR("first"), TB_STR("last")};
        const struct tb_rows rows = {1, 4, cells};
        char cursor[256];
        snprintf(cursor, sizeof(cursor), "%s", cursor_of(&LIST, "here"));
        struct tb_exchange *x = ask(&LIST);
        if (cases[i].backwards)
            add("ending_before", cursor);
        assert_string_equal(fixture_stage(&f, read_page), "ok");
        assert_null(tb_exchange_reply_page(&x->run.req, &page, &rows));
        assert_int_equal(x->status, 200);
        assert_string_equal(fixture_reply_header(&f, "content-type"), "application/json");
        const char *reply = fixture_reply(&f);
        if (cases[i].place == NULL) {
            assert_string_equal(reply, "{\"object\":\"list\",\"data\":[{\"id\":1}],"
                                       "\"has_more\":false,\"next_cursor\":null}");
            continue;
        }
        static const char head[] = "{\"object\":\"list\",\"data\":[{\"id\":1}],"
                                   "\"has_more\":true,\"next_cursor\":\"";
        assert_memory_equal(reply, head, sizeof(head) - 1);
        assert_int_equal(sscanf(reply + sizeof(head) - 1, "%255[^\"]", cursor), 1);
        ask(&LIST);
        add("starting_after", cursor);
        assert_string_equal(fixture_stage(&f, read_page), "ok");
        assert_true(tb_str_eq(page.after, tb_str(cases[i].place)));
    }
}

static void says_that_what_a_cursor_stands_at_is_gone(void **state)
{
    (void)state;
    const struct tb_rows none = {0, 4, NULL};
    for (int backwards = 0; backwards < 2; backwards++) {
        char cursor[256];
        snprintf(cursor, sizeof(cursor), "%s", cursor_of(&LIST, "here"));
        struct tb_exchange *x = ask(&LIST);
        add(backwards ? "ending_before" : "starting_after", cursor);
        assert_string_equal(fixture_stage(&f, read_page), "ok");
        assert_true(tb_is(tb_exchange_reply_page(&x->run.req, &page, &none), TB_E_BAD_CURSOR));
        assert_string_equal(fixture_place(&f), backwards ? "?ending_before" : "?starting_after");
        assert_int_equal(x->status, 0);
    }
}

/* ---- memory ---- */

static char known_cursor[256];

static bool read_with(struct fixture *fixture, size_t cap)
{
    (void)fixture;
    ask(&LIST);
    add("starting_after", known_cursor);
    fixture_starve(&f, cap);
    const char *code = fixture_stage(&f, read_page);
    if (strcmp(code, "ok") == 0) {
        assert_true(tb_str_eq(page.after, TB_STR("here")));
        return true;
    }
    assert_string_equal(code, "internal");
    return false;
}

static bool write_with(struct fixture *fixture, size_t cap)
{
    (void)fixture;
    const struct tb_str cells[] = {TB_STR("[]"), TB_STR("t"), TB_STR("first"), TB_STR("here")};
    const struct tb_rows rows = {1, 4, cells};
    struct tb_exchange *x = ask(&LIST);
    fixture_starve(&f, cap);
    tb_err err = read_page(x);
    if (err == NULL)
        err = tb_exchange_reply_page(&x->run.req, &page, &rows);
    if (err == NULL && tb_arena_overflowed(x->run.arena)) /* as the gateway ends it */
        err = TB_E_INTERNAL;
    if (err == NULL) {
        assert_non_null(strstr(fixture_reply(&f), known_cursor));
        return true;
    }
    assert_true(tb_is(err, TB_E_INTERNAL));
    return false;
}

static void neither_opens_nor_signs_when_memory_ends(void **state)
{
    (void)state;
    snprintf(known_cursor, sizeof(known_cursor), "%s", cursor_of(&LIST, "here"));
    fixture_famine(&f, read_with);
    fixture_famine(&f, write_with);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gives_twenty_unless_another_number_is_asked_for),
    cmocka_unit_test(opens_its_own_cursor_in_either_direction),
    cmocka_unit_test(pages_a_list_without_filters),
    cmocka_unit_test(refuses_both_directions_at_once),
    cmocka_unit_test(refuses_a_cursor_of_another_list),
    cmocka_unit_test(tells_a_filter_from_one_within_a_value),
    cmocka_unit_test(refuses_what_was_forged),
    cmocka_unit_test(refuses_the_place_of_one_cursor_under_the_mac_of_another),
    cmocka_unit_test(refuses_a_cursor_longer_than_512_characters),
    cmocka_unit_test(writes_a_list_with_the_cursor_of_its_direction),
    cmocka_unit_test(says_that_what_a_cursor_stands_at_is_gone),
    cmocka_unit_test(neither_opens_nor_signs_when_memory_ends),
};
TEST_GROUP(tests, open_all, close_all);
