/* Targets: the clean ones come through decoded, the ambiguous ones not at all. */
#include "../unit.h"

#include "http/path.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void splits_and_decodes_clean_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/", "/", NULL},
        {"/?", "/", ""},
        {"/a/b", "/a/b", NULL},
        {"/a/b/", "/a/b/", NULL},
        {"/a?b=c?d", "/a", "b=c?d"},
        {"/a?b=%2f%00%ZZ..", "/a", "b=%2f%00%ZZ.."},
        {"/%41%62", "/Ab", NULL},
        {"/%e2%82%ac?%e2", "/\xe2\x82\xac", "%e2"},
        {"/a.b/.c/..d/e./f..", "/a.b/.c/..d/e./f..", NULL},
        {"/a%20b;c=1@:!$&'()*+,~_-", "/a b;c=1@:!$&'()*+,~_-", NULL},
        {"/.%61", "/.a", NULL},
        {"/%25", "/%", NULL},
        {"/%252e%252e", "/%2e%2e", NULL},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_target target;
        const char *why = NULL;
        char text[64];
        if (tb_target_split(tb_str(cases[i].target), &target, &why) != NULL)
            fail_msg("%s: %s", cases[i].target, why);
        size_t n = tb_path_decode(target.path, text);
        assert_int_equal(target.encoded, strchr(cases[i].path, '%') != NULL || n != target.path.n);
        assert_int_equal(n, strlen(cases[i].path));
        assert_memory_equal(text, cases[i].path, n);
        if (cases[i].query == NULL) {
            assert_null(target.query.at);
        } else {
            assert_int_equal(target.query.n, strlen(cases[i].query));
            assert_memory_equal(target.query.at, cases[i].query, target.query.n);
        }
    }
}

static void refuses_targets_with_two_readings(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",          "*",       "a",         "?",          "http://h/", "//\\",      "/a b",
        "/a\tb",     "/a\x7f",  "/\xe2\x82", "/a#b",       "/a?b#c",    "/a?b c",    "/a?\xff",
        "/%",        "/%4",     "/%4?1",     "/%g0",       "/%00",      "/%0a",      "/%7f",
        "/%2f",      "/%2F",    "/a%5cb",    "/.",         "/..",       "/./",       "/../",
        "/a/.",      "/a/..",   "/a/./b",    "/a/../b",    "/%2e",      "/.%2e",     "/%2E%2e/",
        "/a/%2e%2E", "/%c0%af", "/%ff",      "/%ed%a0%80", "/%e2%82",   "/a\\..\\b", "/%e2/%82%ac",
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_target target;
        const char *why = NULL;
        tb_err err = tb_target_split(tb_str(cases[i]), &target, &why);
        if (!tb_is(err, TB_E_BAD_REQUEST))
            fail_msg("%s is accepted", cases[i]);
        assert_non_null(why);
    }
    struct tb_target target;
    const char *why = NULL;
    assert_true(
        tb_is(tb_target_split((struct tb_str){"/a\0b", 4}, &target, &why), TB_E_BAD_REQUEST));
}

static void refuses_targets_that_are_too_long(void **state)
{
    (void)state;
    static char text[TB_TARGET_BYTES + 2];
    struct tb_target target;
    const char *why = NULL;
    memset(text, 'a', sizeof(text));
    text[0] = '/';
    assert_null(tb_target_split((struct tb_str){text, TB_PATH_BYTES}, &target, &why));
    assert_true(tb_is(tb_target_split((struct tb_str){text, TB_PATH_BYTES + 1}, &target, &why),
                      TB_E_URI_TOO_LONG));
    text[TB_PATH_BYTES] = '?';
    assert_null(tb_target_split((struct tb_str){text, TB_TARGET_BYTES}, &target, &why));
    assert_true(tb_is(tb_target_split((struct tb_str){text, TB_TARGET_BYTES + 1}, &target, &why),
                      TB_E_URI_TOO_LONG));
    /* a path of the greatest length that decodes to itself, to its end */
    memcpy(text + TB_PATH_BYTES - 3, "%41", 3);
    assert_null(tb_target_split((struct tb_str){text, TB_PATH_BYTES}, &target, &why));
}

/* What is accepted decodes to a path on which nothing is left to interpret. */
static void accepts_nothing_ambiguous_among_random_targets(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "/",  ".", "..",  "%2e",       "%2f",  "%5c", "a", "%", "%4",  "%00", "%c3", "%bc",
        "\\", "?", "%25", "%E2%82%AC", "\xff", " ",   "#", "b", "%61", ";",   "0"};
    srandom(20260223);
    size_t accepted = 0;
    for (int i = 0; i < 300000; i++) {
        char text[128] = "/", path[128];
        for (long n = random() % 8; n > 0; n--)
            strncat(text, pieces[(size_t)random() % (TB_COUNT(pieces))], 10);
        struct tb_target target;
        const char *why;
        if (tb_target_split(tb_str(text), &target, &why) != NULL)
            continue;
        accepted++;
        size_t n = tb_path_decode(target.path, path + 1);
        path[0] = '^';
        path[n + 1] = '\0';
        assert_int_equal(path[1], '/');
        assert_int_equal(strlen(path), n + 1);
        assert_null(strchr(path, '\\'));
        assert_null(strstr(path, "/./"));
        assert_null(strstr(path, "/../"));
        assert_false(n >= 2 && strcmp(path + n - 1, "/.") == 0);
        assert_false(n >= 3 && strcmp(path + n - 2, "/..") == 0);
    }
    assert_true(accepted > 10000);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(splits_and_decodes_clean_targets),
    cmocka_unit_test(refuses_targets_with_two_readings),
    cmocka_unit_test(refuses_targets_that_are_too_long),
    cmocka_unit_test(accepts_nothing_ambiguous_among_random_targets),
};
TEST_GROUP(tests, NULL, NULL);
