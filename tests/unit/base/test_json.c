/* JSON from outside: what is refused and where it says so; members, pointers, canonical form. */
#include "../yardstick.h"
#include "base/json.h"
#include "test.h"

static struct tb_arena *arena;

static int open_arena(void **state)
{
    (void)state;
    arena = tb_arena_new((size_t)64 * TB_ARENA_CAP);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    tb_arena_free(arena);
    return 0;
}

static json_t *parse(const char *text)
{
    json_t *json = NULL;
    struct tb_json_error error;
    tb_err err = tb_json_parse(arena, tb_str(text), &tb_json_limits, &json, &error);
    if (err != NULL)
        fail_msg("%s: %s at %zu", text, error.reason, error.offset);
    return json;
}

static void takes_ordinary_json(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{}",
        "[]",
        "0",
        "null",
        "\"x\"",
        " { \"a\" : [ 1 , -2 , true , false , null ] } \r\n\t",
        "{\"a\":{\"a\":{\"a\":[]}}}",
        "[9223372036854775807,-9223372036854775808]",
        "{\"\":\"\",\"\\u00e9\":\"\\ud83d\\ude00\"}",
        "\"\xF0\x9F\x98\x80\"",
        "[\"[{\",\"}]\"]",
        "\"\\\"\\\\\"",
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_non_null(parse(cases[i]));
}

#define BEYOND "number beyond -9223372036854775808 to 9223372036854775807"

static void refuses_bad_json_and_says_where(void **state)
{
    (void)state;
    static const struct {
        struct tb_str text;
        const char *reason;
        size_t offset;
        uint32_t line, column;
        const char *pointer;
        tb_err err; /* TB_E_BAD_JSON where NULL */
    } cases[] = {
        {BYTES("{\"a\":1,\"a\":2}"), "duplicate member name", 10, 1, 11, "/a", NULL},
        {BYTES("{\"a\":{\"b\":1,\n \"b\":2}}"), "duplicate member name", 17, 2, 5, "/a/b", NULL},
        {BYTES("{\"a\":[1,2,3.5]}"), "number that is not written as an integer", 10, 1, 11, "/a/2",
         TB_E_BAD_NUMBER},
        {BYTES("{\"a/b\":{\"~\":1e3}}"), "number that is not written as an integer", 12, 1, 13,
         "/a~1b/~0", TB_E_BAD_NUMBER},
        {BYTES("1E2"), "number that is not written as an integer", 0, 1, 1, "", TB_E_BAD_NUMBER},
        {BYTES("[1,\n9223372036854775808]"), BEYOND, 4, 2, 1, "/1", TB_E_BAD_NUMBER},
        {BYTES("[-9223372036854775809]"), BEYOND, 1, 1, 2, "/0", TB_E_BAD_NUMBER},
        {BYTES("{} {}"), "something follows the value", 4, 1, 5, "", NULL},
        {BYTES("{}x"), "something follows the value", 3, 1, 4, "", NULL},
        {BYTES("{\"a\":\"\xFF\"}"), "not UTF-8", 6, 1, 7, "/a", TB_E_BAD_ENCODING},
        {BYTES("{\"\xC3\":1}"), "not UTF-8", 2, 1, 3, "", TB_E_BAD_ENCODING},
        {BYTES("[\"a\nb\"]"), "control character in a string", 3, 1, 4, "/0", NULL},
        {BYTES("[\"a\0b\"]"), "control character in a string", 3, 1, 4, "/0", NULL},
        {BYTES("{\"a\":\"b\\u0000\"}"), "\\u0000 in a string", 14, 1, 15, "/a", NULL},
        {BYTES("{\"a\":\"b"), "string without end", 5, 1, 6, "/a", NULL},
        {BYTES("{\"a\":\"b\\"), "string without end", 5, 1, 6, "/a", NULL},
        {BYTES("{\"a\":1"), "ends too early", 6, 1, 7, "/a", NULL},
        {BYTES(""), "ends too early", 0, 1, 1, "", NULL},
        {BYTES("[1,2}"), "unexpected closing bracket", 4, 1, 5, "/1", NULL},
        {BYTES("]"), "unexpected closing bracket", 0, 1, 1, "", NULL},
        {BYTES("[1,]"), "not JSON", 4, 1, 5, "", NULL},
        {BYTES("[01]"), "not JSON", 2, 1, 3, "/0", NULL},
        {BYTES("{'a':1}"), "not JSON", 2, 1, 3, "", NULL},
        {BYTES("[NaN]"), "not JSON", 4, 1, 5, "/0", NULL},
        {BYTES("\xEF\xBB\xBF{}"), "byte order mark before the text", 0, 1, 1, "",
         TB_E_BAD_ENCODING},
        {BYTES("\xFF\xFE{\0}\0"), "UTF-16 instead of UTF-8", 0, 1, 1, "", TB_E_BAD_ENCODING},
        {BYTES("\xFE\xFF\0{\0}"), "UTF-16 instead of UTF-8", 0, 1, 1, "", TB_E_BAD_ENCODING},
        {BYTES("{\0}\0"), "UTF-16 instead of UTF-8", 0, 1, 1, "", TB_E_BAD_ENCODING},
        {BYTES("\0{\0}"), "UTF-16 instead of UTF-8", 0, 1, 1, "", TB_E_BAD_ENCODING},
        {BYTES("\x1F\x8B\x08\0"), "gzip instead of text", 0, 1, 1, "", TB_E_BAD_ENCODING},
        {BYTES("[\"\\ud800\"]"), "half a surrogate pair in a string", 0, 0, 0, NULL, NULL},
        {BYTES("[\"\\udc00\\ud800\"]"), "half a surrogate pair in a string", 0, 0, 0, NULL, NULL},
        {BYTES("[\"\\x\"]"), "not JSON", 0, 0, 0, NULL, NULL},
        {BYTES("[1 2]"), "not JSON", 0, 0, 0, NULL, NULL},
        {BYTES("{\"a\" 1}"), "not JSON", 0, 0, 0, NULL, NULL},
        {BYTES("[+1]"), "not JSON", 0, 0, 0, NULL, NULL},
        {BYTES("[-]"), "not JSON", 0, 0, 0, NULL, NULL},
        {BYTES("// x\n1"), "not JSON", 0, 0, 0, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *json = NULL;
        struct tb_json_error error = {.reason = "unset"};
        tb_err err = tb_json_parse(arena, cases[i].text, &tb_json_limits, &json, &error);
        tb_err expected = cases[i].err == NULL ? TB_E_BAD_JSON : cases[i].err;
        assert_err(err, expected);
        assert_null(json);
        if (strcmp(error.reason, cases[i].reason) != 0 ||
            (cases[i].pointer != NULL &&
             (error.offset != cases[i].offset || error.line != cases[i].line ||
              error.column != cases[i].column || strcmp(error.pointer, cases[i].pointer) != 0)))
            fail_msg("case %zu: %s at %zu, %u:%u, \"%s\"", i, error.reason, error.offset,
                     error.line, error.column, error.pointer);
        assert_err(tb_json_parse(arena, cases[i].text, &tb_json_limits, &json, NULL), expected);
    }
}

static void allows_reals_only_when_asked(void **state)
{
    (void)state;
    struct tb_json_limits limits = tb_json_limits;
    assert_err(tb_json_check(TB_STR("[1.5,2E-3]"), &limits, NULL), TB_E_BAD_NUMBER);
    limits.reals = true;
    assert_err(tb_json_check(TB_STR("[1.5,2E-3]"), &limits, NULL), NULL);
}

static void counts_depth_members_and_bytes_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t depth, members;
    } cases[] = {
        {"1", 0, 0},         {"[]", 1, 0},          {"{}", 1, 0},
        {"[1]", 1, 1},       {"[1,2,3]", 1, 3},     {"{\"a\":1,\"b\":2}", 1, 2},
        {"[[],[]]", 2, 2},   {"[[1],[2,3]]", 2, 5}, {"{\"a\":{\"b\":[{}]}}", 4, 3},
        {"[ \"x\" ]", 1, 1}, {"[true,null]", 1, 2}, {"[\"[[[,,,\"]", 1, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_str text = tb_str(cases[i].text);
        struct tb_json_limits limits = {
            .bytes = text.n,
            .depth = cases[i].depth == 0 ? 1 : cases[i].depth,
            .members = cases[i].members,
        };
        assert_err(tb_json_check(text, &limits, NULL), NULL);
        limits.bytes--;
        assert_err(tb_json_check(text, &limits, NULL), TB_E_TOO_LARGE);
        limits.bytes++;
        if (cases[i].members > 0) {
            limits.members--;
            assert_err(tb_json_check(text, &limits, NULL), TB_E_BAD_JSON);
            limits.members++;
        }
        if (cases[i].depth > 1) {
            limits.depth--;
            assert_err(tb_json_check(text, &limits, NULL), TB_E_BAD_JSON);
        }
    }
}

/* A million brackets, or a million names, cost one walk over the bytes. */
static void refuses_huge_bodies_in_linear_time(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct tb_json_limits wide = {
        .bytes = 4 * N, .depth = TB_JSON_DEPTH_MAX, .members = UINT32_MAX, .reals = true};
    static char text[2 * N];
    struct tb_json_error error;
    memset(text, '[', sizeof(text));
    int64_t began = thread_cpu_ms();
    assert_err(tb_json_check((struct tb_str){text, N}, &wide, &error), TB_E_BAD_JSON);
    assert_string_equal(error.reason, "nested too deep");
    assert_int_equal(error.offset, TB_JSON_DEPTH_MAX);
    for (size_t i = 0; i < sizeof(text); i += 2)
        memcpy(text + i, "1,", 2);
    text[0] = '[';
    assert_err(tb_json_check((struct tb_str){text, sizeof(text)}, &wide, &error), NULL);
    assert_err(tb_json_check((struct tb_str){text, N}, &tb_json_limits, &error), TB_E_BAD_JSON);
    assert_string_equal(error.reason, "too many members");
    assert_true(thread_cpu_ms() - began < 2000);
}

static void drops_the_value_with_the_arena_or_leaves_it_to_the_caller(void **state)
{
    (void)state;
    struct tb_arena *own = tb_arena_new(TB_ARENA_CAP);
    json_t *json;
    assert_null(tb_json_parse(own, TB_STR("[1]"), &tb_json_limits, &json, NULL));
    json_incref(json);
    tb_arena_free(own);
    assert_int_equal(json->refcount, 1);
    json_decref(json);
    assert_null(tb_json_parse(NULL, TB_STR("[1]"), &tb_json_limits, &json, NULL));
    assert_int_equal(json->refcount, 1);
    json_decref(json);
    struct tb_arena *full = tb_arena_new(0);
    assert_err(tb_json_parse(full, TB_STR("[1]"), &tb_json_limits, &json, NULL), TB_E_INTERNAL);
    tb_arena_free(full);
}

static void reads_members_by_type(void **state)
{
    (void)state;
    json_t *json = parse("{\"s\":\"x\",\"i\":-3,\"b\":true,\"o\":{},\"a\":[],\"n\":null}");
    int64_t i = 7;
    bool b = false;
    assert_text(tb_json_str(json, "s"), "x");
    assert_null(tb_json_str(json, "i").at);
    assert_null(tb_json_str(json, "missing").at);
    assert_null(tb_json_str(NULL, "s").at);
    assert_true(tb_json_int(json, "i", &i) && i == -3);
    assert_false(tb_json_int(json, "s", &i) || tb_json_int(json, "n", &i));
    assert_true(tb_json_bool(json, "b", &b) && b);
    assert_false(tb_json_bool(json, "i", &b));
    assert_non_null(tb_json_object(json, "o"));
    assert_null(tb_json_object(json, "a"));
    assert_non_null(tb_json_array(json, "a"));
    assert_null(tb_json_array(json, "o"));
}

/* The examples of RFC 6901 §5, and what is not a pointer. */
static void follows_pointers(void **state)
{
    (void)state;
    json_t *json = parse("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                         "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}");
    static const struct {
        const char *pointer;
        int64_t value;
    } cases[] = {
        {"/", 0},     {"/a~1b", 1}, {"/c%d", 2}, {"/e^f", 3},  {"/g|h", 4},
        {"/i\\j", 5}, {"/k\"l", 6}, {"/ ", 7},   {"/m~0n", 8},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(json_integer_value(tb_json_at(json, tb_str(cases[i].pointer))),
                         cases[i].value);
    assert_ptr_equal(tb_json_at(json, TB_STR("")), json);
    assert_string_equal(json_string_value(tb_json_at(json, TB_STR("/foo/1"))), "baz");
    static const char *const refused[] = {"foo",     "/foo/2",   "/foo/01", "/foo/-",
                                          "/foo/-1", "/foo/0/x", "/m~n",    "/m~2n",
                                          "/m~",     "/nothing", "/foo/"};
    for (size_t i = 0; i < COUNT(refused); i++)
        if (tb_json_at(json, tb_str(refused[i])) != NULL)
            fail_msg("%s", refused[i]);
}

/* RFC 7396, appendix A, and what it says of nulls in a new object. */
static void merges_patches(void **state)
{
    (void)state;
    static const struct {
        const char *target, *patch, *merged;
    } cases[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"a\":1}", "{}", "{\"a\":1}"},
        {"{\"a\":1}", "{\"a\":{\"b\":{\"c\":2}},\"d\":3}", "{\"a\":{\"b\":{\"c\":2}},\"d\":3}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *target = parse(cases[i].target);
        assert_true(tb_json_merge(target, parse(cases[i].patch)));
        if (!json_equal(target, parse(cases[i].merged)))
            fail_msg("%s with %s is not %s", cases[i].target, cases[i].patch, cases[i].merged);
    }
}

static void refuses_a_patch_that_is_too_deep(void **state)
{
    (void)state;
    json_t *target = json_object(), *patch = json_object();
    for (int i = 0; i < TB_JSON_DEPTH_MAX; i++) {
        json_t *outer = json_object();
        json_object_set_new(outer, "a", patch);
        patch = outer;
    }
    assert_false(tb_json_merge(target, patch));
    assert_true(tb_json_merge(target, json_object_get(patch, "a")));
    json_decref(target);
    json_decref(patch);
}

static void builds_pointers(void **state)
{
    (void)state;
    struct tb_text pointer;
    tb_text_init(&pointer, arena);
    tb_json_pointer_name(&pointer, TB_STR("a/b~c"));
    tb_json_pointer_index(&pointer, 12);
    tb_json_pointer_name(&pointer, TB_STR(""));
    assert_text(tb_text_end(&pointer), "/a~1b~0c/12/");
}

static void writes_equal_values_in_one_way(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {" { \"b\" : 1 , \"a\" : [ true , null ] } ", "{\"a\":[true,null],\"b\":1}"},
        {"{\"a\":{},\"A\":[],\"aa\":false}", "{\"A\":[],\"a\":{},\"aa\":false}"},
        {"\"\\u0041\\/\\u00e9\\u0001\"", "\"A/\xC3\xA9\\u0001\""},
        {"[-0,10]", "[0,10]"},
        {"[[[[]]],{\"x\":[{}]}]", "[[[[]]],{\"x\":[{}]}]"},
        {"7", "7"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_text text;
        tb_text_init(&text, arena);
        tb_json_canonical(&text, parse(cases[i].in));
        assert_text(tb_text_end(&text), cases[i].out);
    }
}

static void fails_the_text_of_a_value_that_is_too_deep(void **state)
{
    (void)state;
    for (size_t depth = TB_JSON_DEPTH_MAX; depth <= TB_JSON_DEPTH_MAX + 1; depth++) {
        json_t *json = json_integer(1);
        for (size_t i = 0; i < depth; i++) {
            json_t *outer = json_array();
            json_array_append_new(outer, json);
            json = outer;
        }
        struct tb_text text;
        tb_text_init(&text, arena);
        tb_json_canonical(&text, json);
        assert_int_equal(tb_text_end(&text).at != NULL, depth == TB_JSON_DEPTH_MAX);
        json_decref(json);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_ordinary_json),
    cmocka_unit_test(refuses_bad_json_and_says_where),
    cmocka_unit_test(allows_reals_only_when_asked),
    cmocka_unit_test(counts_depth_members_and_bytes_exactly),
    cmocka_unit_test(refuses_huge_bodies_in_linear_time),
    cmocka_unit_test(drops_the_value_with_the_arena_or_leaves_it_to_the_caller),
    cmocka_unit_test(reads_members_by_type),
    cmocka_unit_test(follows_pointers),
    cmocka_unit_test(merges_patches),
    cmocka_unit_test(refuses_a_patch_that_is_too_deep),
    cmocka_unit_test(builds_pointers),
    cmocka_unit_test(writes_equal_values_in_one_way),
    cmocka_unit_test(fails_the_text_of_a_value_that_is_too_deep),
};
TEST_GROUP(tests, open_arena, close_arena);
