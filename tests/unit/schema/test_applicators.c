/* Subschemas applied to the same value (core §10.2), references, and the order of errors. */
#include "../unit.h"

#include "helper.h"
#include <stdint.h>
#include <stdio.h>

static void combines_schemas(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'allOf':[{'minimum':1},{'maximum':5}]}", "3", ""},
        {"{'allOf':[{'minimum':4},{'maximum':2}]}", "3", " minimum, maximum"},
        {"{'anyOf':[{'type':'string'},{'minimum':5}]}", "'a'", ""},
        {"{'anyOf':[{'type':'string'},{'minimum':5}]}", "7", ""},
        {"{'anyOf':[{'type':'string'},{'minimum':5}]}", "3", " any_of"},
        {"{'oneOf':[{'minimum':5},{'maximum':7}]}", "3", ""},
        {"{'oneOf':[{'minimum':5},{'maximum':7}]}", "6", " one_of"},
        {"{'oneOf':[{'type':'string'},{'type':'null'}]}", "6", " one_of"},
        {"{'not':{'type':'string'}}", "6", ""},
        {"{'not':{'type':'string'}}", "'a'", " not"},
        {"{'not':{}}", "1", " not"},
        {"{'not':{'not':{'type':'string'}}}", "'a'", ""},
        {"{'not':{'not':{'type':'string'}}}", "1", " not"},
        {"{'anyOf':[true,false]}", "1", ""},
        {"{'oneOf':[true,true]}", "1", " one_of"},
        {"{'not':{'properties':{'a':{'minimum':1}}}}", "{'a':1}", " not"},
        {"{'not':{'properties':{'a':{'minimum':1}}}}", "{'a':0}", ""},
        {"{'not':{'required':['a']}}", "{}", ""},
        {"{'not':{'items':{'minimum':0}}}", "[1,-1,2]", ""},
    };
    CHECK_CASES(cases);
}

static void follows_conditions(void **state)
{
    (void)state;
#define IF "'if':{'properties':{'k':{'const':1}},'required':['k']}"
    static const struct check_case cases[] = {
        {"{" IF ",'then':{'required':['a']},'else':{'required':['b']}}", "{'k':1,'a':1}", ""},
        {"{" IF ",'then':{'required':['a']},'else':{'required':['b']}}", "{'k':1}", "/a required"},
        {"{" IF ",'then':{'required':['a']},'else':{'required':['b']}}", "{'k':2}", "/b required"},
        {"{" IF ",'then':{'required':['a']}}", "{'k':2}", ""},
        {"{" IF ",'else':{'required':['b']}}", "{'k':1}", ""},
        {"{" IF "}", "{}", ""},
    };
#undef IF
    CHECK_CASES(cases);
}

static void keeps_rules_beside_a_reference(void **state)
{
    (void)state;
#define DEFS "'$defs':{'s':{'type':'string'},'a/b~c':{'const':1}}"
    static const struct check_case cases[] = {
        {"{" DEFS ",'properties':{'a':{'$ref':'#/$defs/s'}}}", "{'a':1}", "/a type"},
        {"{" DEFS ",'properties':{'a':{'$ref':'#/$defs/s','maxLength':1}}}", "{'a':'xy'}",
         "/a max_length"},
        {"{" DEFS ",'properties':{'a':{'$ref':'#/$defs/s','maxLength':1}}}", "{'a':1}", "/a type"},
        {"{" DEFS ",'$ref':'#/$defs/s'}", "1", " type"},
        {"{" DEFS ",'items':{'$ref':'#/$defs/a~1b~0c'}}", "[1,2]", "/1 const"},
        {"{'properties':{'a':{'minimum':3},'b':{'$ref':'#/properties/a'}}}", "{'b':1}",
         "/b minimum"},
        {"{'allOf':[{'minimum':3},{'$ref':'#/allOf/0'}]}", "1", " minimum, minimum"},
    };
#undef DEFS
    CHECK_CASES(cases);
}

static void follows_schemas_that_contain_themselves(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'properties':{'next':{'$ref':'#'},'v':{'type':'integer'}}}",
         "{'v':1,'next':{'v':2,'next':{'v':'3'}}}", "/next/next/v type"},
        {"{'type':'array','items':{'$ref':'#'}}", "[[],[[]],[[[1]]]]", "/2/0/0/0 type"},
        {"{'$defs':{'t':{'anyOf':[{'type':'integer'},{'items':{'$ref':'#/$defs/t'},"
         "'type':'array'}]}},'$ref':'#/$defs/t'}",
         "[1,[2,[3]]]", ""},
        {"{'$defs':{'t':{'anyOf':[{'type':'integer'},{'items':{'$ref':'#/$defs/t'},"
         "'type':'array'}]}},'$ref':'#/$defs/t'}",
         "[1,[2,['3']]]", " any_of"},
    };
    CHECK_CASES(cases);
}

static void reports_in_the_order_of_the_document(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        /* The schema's order is another one. */
        {"{'properties':{'c':{'type':'null'},'b':{'type':'null'},'a':{'type':'null'}}}",
         "{'a':1,'b':1,'c':1}", "/a type,/b type,/c type"},
        /* Missing members stand at the end of their object, before what follows it. */
        {"{'properties':{'a':{'required':['x','y']},'b':{'type':'null'}},'required':['z']}",
         "{'a':{'x':1},'b':1}", "/a/y required,/b type,/z required"},
        /* A later rule finds an earlier place. */
        {"{'properties':{'b':{'type':'null'}},'allOf':[{'properties':{'a':{'type':'null'}}}]}",
         "{'a':1,'b':1}", "/a type,/b type"},
        /* A value comes before what is in it. */
        {"{'properties':{'a':{'type':'null'}},'allOf':[{'minProperties':2}]}", "{'a':1}",
         " min_properties,/a type"},
        /* Names are escaped. */
        {"{'additionalProperties':{'items':{'type':'null'}}}", "{'a/b~c':[null,1],'':[1]}",
         "/a~1b~0c/1 type,//0 type"},
    };
    CHECK_CASES(cases);
}

static void keeps_the_first_sixteen_and_counts_all(void **state)
{
    (void)state;
    struct tb_schema *schema = load_text("{'items':{'type':'string','maxLength':1},'allOf':[{'items"
                                         "':{'properties':{'k':{'type':'null'}}}}]}");
    json_t *value = json_array();
    for (int i = 0; i < 40; i++)
        json_array_append_new(value, json_pack("{s:i}", "k", i));
    char found[2048], expected[2048] = "";
    assert_int_equal(verdict(schema, value, found, sizeof(found)), 80);
    for (int i = 0; i < 8; i++) {
        size_t n = strlen(expected);
        snprintf(expected + n, sizeof(expected) - n, "%s/%d type,/%d/k type", i == 0 ? "" : ",", i,
                 i);
    }
    assert_string_equal(found, expected);
    json_decref(value);
    tb_schema_free(schema);
}

static void says_the_rule_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *value, *detail;
    } cases[] = {
        {"{'type':['string','null']}", "1", "must be a string or null"},
        {"{'maxLength':64}", "'secretsecretsecretsecretsecretsecretsecretsecretsecretsecretsecret'",
         "must have at most 64 characters"},
        {"{'enum':['CNY','USD',3]}", "'X'", "must be one of \"CNY\", \"USD\", 3"},
        {"{'const':true}", "false", "must be true"},
        {"{'pattern':'^[A-Z]{3}$'}", "'x'", "must be what matches ^[A-Z]{3}$"},
        {"{'description':'three capital letters','pattern':'^[A-Z]{3}$'}", "'x'",
         "must be three capital letters"},
        {"{'format':'tb-id:acc'}", "'x'", "must be an id: acc_ and 26 characters"},
        {"{'minimum':-5}", "-6", "must be at least -5"},
        {"{'required':['a']}", "{}", "is missing"},
        {"{'properties':{'amount':{},'currency':{}},'additionalProperties':false}", "{'curency':1}",
         "is not a member known here; did you mean currency?"},
        {"{'properties':{'amount':{}},'additionalProperties':false}", "{'colour':1}",
         "is not a member known here"},
        {"{'oneOf':[true,true,false]}", "1", "must fit exactly one of the 3 alternatives"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_schema *schema = load_text(cases[i].schema);
        struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
        json_t *value = json_of(cases[i].value);
        struct tb_schema_error error;
        size_t total;
        assert_true(tb_is(tb_schema_check(schema, value, arena, &error, 1, &total), TB_E_INVALID));
        assert_string_equal(error.detail, cases[i].detail);
        json_decref(value);
        tb_arena_free(arena);
        tb_schema_free(schema);
    }
}

static void shortens_the_words_of_a_long_enumeration(void **state)
{
    (void)state;
    char text[4096] = "{'enum':['";
    for (int i = 0; i < 100; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n, "value-%03d%s", i, i == 99 ? "']}" : "','");
    }
    struct tb_schema *schema = load_text(text);
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    json_t *value = json_of("'value-098x'");
    struct tb_schema_error error;
    size_t total;
    assert_true(tb_is(tb_schema_check(schema, value, arena, &error, 1, &total), TB_E_INVALID));
    size_t n = strlen(error.detail);
    assert_in_range(n, 200, 300);
    assert_string_equal(error.detail + n - 3, "…");
    json_decref(value);
    tb_arena_free(arena);
    tb_schema_free(schema);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(combines_schemas),
    cmocka_unit_test(follows_conditions),
    cmocka_unit_test(keeps_rules_beside_a_reference),
    cmocka_unit_test(follows_schemas_that_contain_themselves),
    cmocka_unit_test(reports_in_the_order_of_the_document),
    cmocka_unit_test(keeps_the_first_sixteen_and_counts_all),
    cmocka_unit_test(says_the_rule_in_words),
    cmocka_unit_test(shortens_the_words_of_a_long_enumeration),
};
TEST_GROUP(tests, NULL, NULL);
