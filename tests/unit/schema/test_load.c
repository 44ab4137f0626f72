/* What the compiler refuses, and the sentence it says; references between files. */
#include "../unit.h"

#include "helper.h"
#include <stdint.h>
#include <stdio.h>

/* One schema that must be refused, with what the sentence must contain after the directory. */
static void refuses(const char *text, const char *sentence)
{
    char why[512];
    struct schema_file file = {"main.json", text};
    struct tb_schema *schema = load_files(&file, 1, why, sizeof(why));
    if (schema != NULL || strstr(why, sentence) == NULL)
        fail_msg("%s: expected \"%s\", found \"%s\"", text, sentence, why);
}

static void refuses_what_it_does_not_know_with_its_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{'maxLenght':3}", "/main.json#/maxLenght: is not a keyword known here"},
        {"{'properties':{'a/b':{'dependentRequired':{}}}}",
         "/main.json#/properties/a~1b/dependentRequired: is not a keyword"},
        {"{'format':'ipv4'}", "#/format: must be date-time"},
        {"{'$id':'https://example.com/x'}", "#/$id: is not a keyword"},
        {"{'$schema':'http://json-schema.org/draft-07/schema#'}", "#/$schema: must be https"},
        {"{'$defs':{'never_used':{'typ':'string'}}}", "#/$defs/never_used/typ: is not"},
        {"{'items':[{'type':'string'}]}", "#/items: a schema is an object or a boolean"},
        {"[]", "a schema is an object or a boolean"},
        {"{'a':}", "main.json, line 1:"},
        {"{'title':1,'title':2}", "duplicate"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        refuses(cases[i][0], cases[i][1]);
}

static void refuses_values_a_keyword_cannot_have(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{'type':'text'}", "#/type: is not one of the seven"},
        {"{'type':[]}", "#/type: "},
        {"{'type':1}", "#/type: "},
        {"{'type':['string',1]}", "#/type: "},
        {"{'enum':[]}", "#/enum: must be a list"},
        {"{'enum':'a'}", "#/enum: must be a list"},
        {"{'maxLength':-1}", "#/maxLength: must be a whole number from 0"},
        {"{'maxLength':1.0}", "#/maxLength: must be a whole number"},
        {"{'minimum':0.5}", "#/minimum: must be a whole number"},
        {"{'multipleOf':0}", "#/multipleOf: must be a whole number from 1"},
        {"{'pattern':'('}", "#/pattern: \"(\" is not a regular expression"},
        {"{'pattern':'(a)\\\\1'}", "#/pattern: "},
        {"{'pattern':3}", "#/pattern: must be a regular expression"},
        {"{'patternProperties':{'[':{}}}", "#/patternProperties: \"[\" is not a regular"},
        {"{'patternProperties':[]}", "#/patternProperties: must be an object"},
        {"{'uniqueItems':1,'maxItems':1}", "#/uniqueItems: must be true or false"},
        {"{'uniqueItems':true}", "uniqueItems needs maxItems of at most 1024"},
        {"{'uniqueItems':true,'maxItems':1025}", "uniqueItems needs maxItems"},
        {"{'properties':[]}", "#/properties: must be an object of schemas"},
        {"{'properties':{'a':1}}", "#/properties: a schema is an object or a boolean"},
        {"{'required':'a'}", "#/required: must be a list of names"},
        {"{'required':[1]}", "#/required: must be a list of names"},
        {"{'required':['a','a']}", "#/required: names \"a\" twice"},
        {"{'allOf':[]}", "#/allOf: must be a list of 1 to 64 schemas"},
        {"{'allOf':{}}", "#/allOf: must be a list"},
        {"{'not':1}", "#/not: a schema is"},
        {"{'then':{}}", "has then or else without if"},
        {"{'propertyNames':{'enum':['a']}}", "#/propertyNames: may say only"},
        {"{'propertyNames':false}", "#/propertyNames: may say only"},
        {"{'$defs':[]}", "#/$defs: must be an object of schemas"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        refuses(cases[i][0], cases[i][1]);
}

static void refuses_references_that_lead_nowhere(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{'$ref':'#/$defs/a'}", "leads nowhere"},
        {"{'allOf':[{'$ref':'#/allOf/1'}]}", "leads nowhere"},
        {"{'allOf':[{'$ref':'#/allOf/x'}]}", "leads nowhere"},
        {"{'$ref':'#a'}", "has a fragment that is not a pointer"},
        {"{'$ref':'other.json'}", "there is no file other.json"},
        {"{'$ref':'../secret.json'}", "leads out of the schemas directory"},
        {"{'$ref':'a/../../secret.json'}", "leads out of the schemas directory"},
        {"{'$ref':'/etc/passwd'}", "leads out of the schemas directory"},
        {"{'$ref':'https://example.com/x.json'}", "is not a relative path"},
        {"{'$ref':'#/%24defs'}", "is not a relative path and a plain pointer"},
        {"{'$ref':7}", "#/$ref: must be a reference"},
        {"{'$ref':'#/title','title':'x'}", "a schema is an object or a boolean"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        refuses(cases[i][0], cases[i][1]);
}

static void refuses_schemas_that_never_reach_a_value(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{'$ref':'#'}", "leads in a circle"},
        {"{'$defs':{'a':{'$ref':'#/$defs/b'},'b':{'$ref':'#/$defs/a'}}}", "leads in a circle"},
        {"{'allOf':[{'$ref':'#'}]}", "refers to itself for the same value"},
        {"{'properties':{'a':{'anyOf':[{'type':'null'},{'not':{'$ref':'#/properties/a'}}]}}}",
         "#/properties/a: refers to itself"},
        {"{'$defs':{'a':{'$ref':'#/$defs/b','title':'x','minimum':1},"
         "'b':{'if':{'$ref':'#/$defs/a'}}}}",
         "refers to itself"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        refuses(cases[i][0], cases[i][1]);
}

static void follows_references_between_files(void **state)
{
    (void)state;
    static const struct schema_file files[] = {
        {"main.json", "{'properties':{'m':{'$ref':'common/money.json'},"
                      "'c':{'$ref':'common/money.json#/properties/currency'}}}"},
        {"common/money.json", "{'required':['amount'],'properties':{"
                              "'amount':{'$ref':'./types.json#/$defs/minor'},"
                              "'currency':{'$ref':'../shared/currency.json'}}}"},
        {"common/types.json", "{'$defs':{'minor':{'type':'integer'}}}"},
        {"shared/currency.json", "{'enum':['CNY'],'$comment':'x'}"},
    };
    char why[512], found[256];
    struct tb_schema *schema = load_files(files, 4, why, sizeof(why));
    assert_string_equal(why, "");
    assert_non_null(schema);
    json_t *value = json_of("{'m':{'amount':'1','currency':'USD'},'c':1}");
    verdict(schema, value, found, sizeof(found));
    assert_string_equal(found, "/m/amount type,/m/currency enum,/c enum");
    json_decref(value);
    tb_schema_free(schema);
}

static void names_the_file_a_mistake_is_in(void **state)
{
    (void)state;
    static const struct schema_file files[] = {
        {"main.json", "{'properties':{'m':{'$ref':'common/money.json#/$defs/m'}}}"},
        {"common/money.json", "{'$defs':{'m':{'properties':{'a':{'tipe':1}}}}}"},
    };
    char why[512];
    assert_null(load_files(files, 2, why, sizeof(why)));
    assert_non_null(strstr(why, "/common/money.json#/$defs/m/properties/a/tipe: is not a keyword"));
}

static void allows_annotations(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'title':'t','description':'d','examples':[1],'default':2,'deprecated':true,"
         "'readOnly':true,'writeOnly':true,'$comment':'c','x-sensitive':true,"
         "'$schema':'https://json-schema.org/draft/2020-12/schema'}",
         "1", ""},
        {"{'$ref':'#/$defs/a','x-sensitive':true,'$defs':{'a':{'type':'null'}}}", "1", " type"},
    };
    CHECK_CASES(cases);
}

static void refuses_paths_outside_the_directory(void **state)
{
    (void)state;
    char why[256];
    static const char *const paths[] = {"../schemas/common/money.json", "/etc/passwd", "", "common",
                                        "common/none.json"};
    for (size_t i = 0; i < TB_COUNT(paths); i++) {
        why[0] = '\0';
        assert_null(tb_schema_load(TB_SOURCE_DIR "/schemas", paths[i], why, sizeof(why)));
        assert_true(strlen(why) > 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(refuses_what_it_does_not_know_with_its_place),
    cmocka_unit_test(refuses_values_a_keyword_cannot_have),
    cmocka_unit_test(refuses_references_that_lead_nowhere),
    cmocka_unit_test(refuses_schemas_that_never_reach_a_value),
    cmocka_unit_test(follows_references_between_files),
    cmocka_unit_test(names_the_file_a_mistake_is_in),
    cmocka_unit_test(allows_annotations),
    cmocka_unit_test(refuses_paths_outside_the_directory),
};
TEST_GROUP(tests, NULL, NULL);
