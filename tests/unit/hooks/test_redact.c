/* What is left out of recorded requests. */
#include "../lua/lua_fixture.h"

#include "hooks/redact.h"

static json_t *json_of(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json == NULL)
        fail_msg("%s is not JSON", text);
    return json;
}

static void expect(const char *list, const char *request, const char *wanted)
{
    char why[256];
    json_t *pointers = json_of(list), *got = json_of(request), *want = json_of(wanted);
    struct tb_redaction *redaction = tb_redaction_new(pointers, why, sizeof(why));
    assert_non_null(redaction);
    assert_true(tb_redact(redaction, got));
    if (!json_equal(got, want)) {
        char *text = json_dumps(got, JSON_COMPACT);
        fail_msg("%s of %s gave %s", list, request, text);
    }
    tb_redaction_free(redaction);
    json_decref(pointers);
    json_decref(got);
    json_decref(want);
}

static void leaves_out_what_is_named_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *list, *request, *wanted;
    } cases[] = {
        {"[]", "{'body':{'a':'x','n':1}}", "{'body':{'a':'x','n':1}}"},
        {"['/a']", "{'body':{'a':'x','b':'y'}}", "{'body':{'a':'[redacted]','b':'y'}}"},
        {"['/a']", "{'a':'x','body':{'b':{'a':'y'}}}", "{'a':'x','body':{'b':{'a':'y'}}}"},
        {"['/a/b']", "{'body':{'a':{'b':'x','c':'y'},'b':'z'}}",
         "{'body':{'a':{'b':'[redacted]','c':'y'},'b':'z'}}"},
        {"['/a','/b']", "{'body':{'a':7,'b':true,'c':null}}",
         "{'body':{'a':0,'b':false,'c':null}}"},
        {"['/a']", "{'body':{'a':{'b':'x','c':[1,{'d':'y'}]},'e':'z'}}",
         "{'body':{'a':{'b':'[redacted]','c':[0,{'d':'[redacted]'}]},'e':'z'}}"},
        {"['/rows/*/name']", "{'body':{'rows':[{'name':'x','n':1},{'name':'y','n':2}]}}",
         "{'body':{'rows':[{'name':'[redacted]','n':1},{'name':'[redacted]','n':2}]}}"},
        {"['/rows/1']", "{'body':{'rows':['x','y','z']}}",
         "{'body':{'rows':['x','[redacted]','z']}}"},
        {"['/*/name']", "{'body':{'debtor':{'name':'x'},'creditor':{'name':'y'},'name':'z'}}",
         "{'body':{'debtor':{'name':'[redacted]'},'creditor':{'name':'[redacted]'},'name':'z'}}"},
        {"['/a~1b','/c~0d']", "{'body':{'a/b':'x','c~d':'y','a':'z'}}",
         "{'body':{'a/b':'[redacted]','c~d':'[redacted]','a':'z'}}"},
        {"['/a/b/c']", "{'body':{'a':{'b':'x'}}}", "{'body':{'a':{'b':'x'}}}"},
        {"['/a','/a/b']", "{'body':{'a':{'b':'x','c':'y'}}}",
         "{'body':{'a':{'b':'[redacted]','c':'[redacted]'}}}"},
        {"['/a']", "{'body':['x']}", "{'body':['x']}"},
        {"['/a']", "{'method':'GET'}", "{'method':'GET'}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char texts[3][512];
        const char *from[3] = {cases[i].list, cases[i].request, cases[i].wanted};
        for (size_t t = 0; t < 3; t++) {
            size_t n = strlen(from[t]);
            for (size_t at = 0; at <= n; at++)
                texts[t][at] = from[t][at] == '\'' ? '"' : from[t][at];
        }
        expect(texts[0], texts[1], texts[2]);
    }
}

static void takes_as_many_pointers_as_it_says(void **state)
{
    (void)state;
    char why[256], name[16];
    json_t *list = json_array(), *request = json_of("{\"body\":{}}");
    json_t *body = json_object_get(request, "body");
    for (int i = 0; i < TB_REDACT_POINTERS; i++) {
        snprintf(name, sizeof(name), "/m%d", i);
        json_array_append_new(list, json_string(name));
        json_object_set_new(body, name + 1, json_integer(7));
    }
    struct tb_redaction *redaction = tb_redaction_new(list, why, sizeof(why));
    assert_non_null(redaction);
    assert_true(tb_redact(redaction, request));
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value)
    {
        assert_int_equal(json_integer_value(value), 0);
    }
    tb_redaction_free(redaction);
    json_array_append_new(list, json_string("/more"));
    assert_null(tb_redaction_new(list, why, sizeof(why)));
    json_decref(list);
    json_decref(request);
}

static void refuses_what_is_no_list_of_pointers(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{}",      "\"/a\"",    "[1]",        "[\"\"]", "[\"a\"]",
        "[\"/\"]", "[\"/a~\"]", "[\"/a~2\"]", "[null]", "[\"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q\"]",
    };
    char why[256];
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *list = json_of(cases[i]);
        why[0] = '\0';
        if (tb_redaction_new(list, why, sizeof(why)) != NULL || why[0] == '\0')
            fail_msg("%s was taken", cases[i]);
        json_decref(list);
    }
}

/* Whole characters, everywhere in the request, not only in its body. */
static void cuts_long_texts_between_characters(void **state)
{
    (void)state;
    enum { LONG = 2000 };
    char ascii[LONG + 1], wide[LONG + 1], why[256];
    for (size_t i = 0; i < LONG; i++)
        ascii[i] = 'a';
    ascii[LONG] = wide[LONG - 2] = '\0';
    for (size_t i = 0; i + 3 <= LONG - 2; i += 3)
        memcpy(wide + i, "\xe9\x80\x9a", 3);
    wide[LONG - 2] = '\0';
    json_t *list = json_array();
    json_t *request = json_pack("{s:{s:s}, s:{s:[s, s]}}", "query", "q", ascii, "body", "texts",
                                ascii, wide);
    struct tb_redaction *redaction = tb_redaction_new(list, why, sizeof(why));
    assert_non_null(request);
    assert_true(tb_redact(redaction, request));
    json_t *texts = json_object_get(json_object_get(request, "body"), "texts");
    assert_int_equal(json_string_length(json_object_get(json_object_get(request, "query"), "q")),
                     512);
    assert_int_equal(json_string_length(json_array_get(texts, 0)), 512);
    assert_int_equal(json_string_length(json_array_get(texts, 1)), 510);
    char *text = json_dumps(request, 0); /* NULL when it is not UTF-8 */
    assert_non_null(text);
    free(text);
    tb_redaction_free(redaction);
    json_decref(request);
    json_decref(list);
}

static void gives_up_on_what_is_too_deep(void **state)
{
    (void)state;
    char why[256];
    json_t *list = json_array(), *value = json_string("x");
    for (int i = 0; i < 100; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    json_t *request = json_pack("{s:o}", "body", value);
    struct tb_redaction *redaction = tb_redaction_new(list, why, sizeof(why));
    assert_false(tb_redact(redaction, request));
    tb_redaction_free(redaction);
    json_decref(request);
    json_decref(list);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(leaves_out_what_is_named_and_nothing_else),
    cmocka_unit_test(takes_as_many_pointers_as_it_says),
    cmocka_unit_test(refuses_what_is_no_list_of_pointers),
    cmocka_unit_test(cuts_long_texts_between_characters),
    cmocka_unit_test(gives_up_on_what_is_too_deep),
};
TEST_GROUP(tests, NULL, NULL);
