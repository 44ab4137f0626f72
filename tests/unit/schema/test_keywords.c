/* Assertions of JSON Schema 2020-12 validation §6, and where Tongbao is stricter. */
#include "../unit.h"

#include "helper.h"
#include <stdint.h>
#include <stdio.h>

static void knows_the_seven_types(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'type':'null'}", "null", ""},
        {"{'type':'null'}", "false", " type"},
        {"{'type':'boolean'}", "true", ""},
        {"{'type':'boolean'}", "false", ""},
        {"{'type':'boolean'}", "0", " type"},
        {"{'type':'object'}", "{}", ""},
        {"{'type':'object'}", "[]", " type"},
        {"{'type':'array'}", "[]", ""},
        {"{'type':'array'}", "{}", " type"},
        {"{'type':'number'}", "1", ""},
        {"{'type':'number'}", "1.5", ""},
        {"{'type':'number'}", "'1'", " type"},
        {"{'type':'string'}", "''", ""},
        {"{'type':'string'}", "1", " type"},
        {"{'type':'integer'}", "-3", ""},
        {"{'type':['string','null']}", "null", ""},
        {"{'type':['string','null']}", "'a'", ""},
        {"{'type':['string','null']}", "1", " type"},
        {"{}", "{'anything':[1,2.5,null]}", ""},
        {"true", "1", ""},
        {"false", "1", " not_allowed"},
    };
    CHECK_CASES(cases);
}

static void takes_no_fraction_for_an_integer(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'type':'integer'}", "1.0", " type"},
        {"{'type':'integer'}", "1e3", " type"},
        {"{'const':1}", "1.0", " const"},
    };
    CHECK_CASES(cases);
}

static void compares_constants_and_enumerations(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'const':'a'}", "'a'", ""},
        {"{'const':'a'}", "'b'", " const"},
        {"{'const':{'a':[1,null]}}", "{'a':[1,null]}", ""},
        {"{'const':{'a':1,'b':2}}", "{'b':2,'a':1}", ""},
        {"{'const':[1,2]}", "[2,1]", " const"},
        {"{'const':false}", "0", " const"},
        {"{'const':null}", "null", ""},
        {"{'enum':['CNY','USD','JPY','KWD','X','YY']}", "'KWD'", ""},
        {"{'enum':['CNY','USD','JPY','KWD','X','YY']}", "'X'", ""},
        {"{'enum':['CNY','USD','JPY','KWD','X','YY']}", "'CNy'", " enum"},
        {"{'enum':['CNY','USD','JPY','KWD','X','YY']}", "''", " enum"},
        {"{'enum':[1,'1',null,[]]}", "1", ""},
        {"{'enum':[1,'1',null,[]]}", "'1'", ""},
        {"{'enum':[1,'1',null,[]]}", "[]", ""},
        {"{'enum':[1,'1',null,[]]}", "true", " enum"},
        {"{'const':'a','enum':['b']}", "'a'", " enum"},
    };
    CHECK_CASES(cases);
}

static void counts_characters_not_bytes(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'maxLength':2}", "'ab'", ""},
        {"{'maxLength':2}", "'abc'", " max_length"},
        {"{'maxLength':2}", "'通宝'", ""},
        {"{'maxLength':1}", "'通宝'", " max_length"},
        {"{'maxLength':2}", "'💰💰'", ""},
        {"{'minLength':3}", "'💰💰'", " min_length"},
        {"{'minLength':2}", "'💰💰'", ""},
        {"{'minLength':2}", "'é'", " min_length"},
        {"{'minLength':1}", "''", " min_length"},
        {"{'minLength':0,'maxLength':0}", "''", ""},
        {"{'minLength':5}", "12", ""},
    };
    CHECK_CASES(cases);
}

static void searches_patterns_as_ecmascript_does(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'pattern':'b'}", "'abc'", ""},
        {"{'pattern':'^b'}", "'abc'", " pattern"},
        {"{'pattern':'^[A-Z]{3}$'}", "'CNY'", ""},
        {"{'pattern':'^[A-Z]{3}$'}", "'CNY\\n'", " pattern"},
        {"{'pattern':'^.$'}", "'\\n'", " pattern"},
        {"{'pattern':'^.$'}", "'宝'", ""},
        {"{'pattern':'^\\\\d$'}", "'5'", ""},
        {"{'pattern':'^\\\\d$'}", "'٥'", " pattern"},
        {"{'pattern':'^\\\\u5b9d$'}", "'宝'", ""},
        {"{'pattern':'^\\\\p{L}+$'}", "'通宝ab'", ""},
        {"{'pattern':'[]'}", "'a'", " pattern"},
        {"{'pattern':'a'}", "7", ""},
    };
    CHECK_CASES(cases);
}

static void compares_numbers_exactly(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'minimum':1}", "1", ""},
        {"{'minimum':1}", "0", " minimum"},
        {"{'minimum':1}", "0.999", " minimum"},
        {"{'minimum':-1}", "-1.5", " minimum"},
        {"{'minimum':-1}", "-0.5", ""},
        {"{'exclusiveMinimum':0}", "0", " exclusive_minimum"},
        {"{'exclusiveMinimum':0}", "0.0001", ""},
        {"{'maximum':10}", "10.0", ""},
        {"{'maximum':10}", "10.5", " maximum"},
        {"{'exclusiveMaximum':10}", "10", " exclusive_maximum"},
        {"{'exclusiveMaximum':10}", "9.99", ""},
        {"{'maximum':9007199254740992}", "9007199254740993", " maximum"},
        {"{'minimum':9223372036854775807}", "9223372036854775806", " minimum"},
        {"{'maximum':9223372036854775807}", "1e19", " maximum"},
        {"{'minimum':-9223372036854775807}", "-1e300", " minimum"},
        {"{'multipleOf':5}", "15", ""},
        {"{'multipleOf':5}", "-15", ""},
        {"{'multipleOf':5}", "0", ""},
        {"{'multipleOf':5}", "16", " multiple_of"},
        {"{'multipleOf':5}", "15.0", ""},
        {"{'multipleOf':5}", "15.5", " multiple_of"},
        {"{'multipleOf':7}", "1e300", " multiple_of"},
        {"{'multipleOf':4}", "1e300", ""},
        {"{'minimum':5,'multipleOf':2}", "3", " minimum, multiple_of"},
        {"{'minimum':5}", "'a'", ""},
    };
    CHECK_CASES(cases);
}

static void checks_items(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'items':{'type':'integer'}}", "[1,2,3]", ""},
        {"{'items':{'type':'integer'}}", "[1,'2',3,null]", "/1 type,/3 type"},
        {"{'items':false}", "[]", ""},
        {"{'items':false}", "[1]", "/0 not_allowed"},
        {"{'items':{'items':{'minimum':0}}}", "[[1],[2,-3],[-4]]", "/1/1 minimum,/2/0 minimum"},
        {"{'minItems':1}", "[]", " min_items"},
        {"{'maxItems':1}", "[1,2]", " max_items"},
        {"{'maxItems':1,'items':{'type':'string'}}", "[1,2]", " max_items,/0 type,/1 type"},
        {"{'minItems':1}", "{}", ""},
    };
    CHECK_CASES(cases);
}

static void finds_equal_items(void **state)
{
    (void)state;
#define UNIQUE "{'uniqueItems':true,'maxItems':100}"
    static const struct check_case cases[] = {
        {UNIQUE, "[]", ""},
        {UNIQUE, "[1,2,3]", ""},
        {UNIQUE, "[1,2,1]", " unique_items"},
        {UNIQUE, "['a','b','a']", " unique_items"},
        {UNIQUE, "['a','b','ab','']", ""},
        {UNIQUE, "[1,'1',true,null,[],{}]", ""},
        {UNIQUE, "[null,null]", " unique_items"},
        {UNIQUE, "[0,false]", ""},
        {UNIQUE, "[1.5,2.5]", ""},
        {UNIQUE, "[1.5,1.5]", " unique_items"},
        {UNIQUE, "[0.0,-0.0]", " unique_items"},
        {UNIQUE, "[{'a':1,'b':2},{'b':2,'a':1}]", " unique_items"},
        {UNIQUE, "[{'a':1},{'a':2}]", ""},
        {UNIQUE, "[[1],[2],[1]]", " unique_items"},
        {"{'uniqueItems':false}", "[1,1]", ""},
        {UNIQUE, "[1,'a',1.0]", " unique_items"},
        {UNIQUE, "[1,1.5,2]", ""},
        {"{'uniqueItems':true,'maxItems':2}", "[1,1,1]", " max_items"},
    };
#undef UNIQUE
    CHECK_CASES(cases);
}

static void checks_members(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{'properties':{'a':{'type':'string'}}}", "{'a':'x'}", ""},
        {"{'properties':{'a':{'type':'string'}}}", "{'a':1,'b':1}", "/a type"},
        {"{'properties':{'a':false}}", "{'a':1}", "/a not_allowed"},
        {"{'required':['a','b']}", "{'b':1}", "/a required"},
        {"{'required':['a','b']}", "{}", "/a required,/b required"},
        {"{'required':['a']}", "[]", ""},
        {"{'required':['']}", "{}", "/ required"},
        {"{'required':['a']}", "{'a':null}", ""},
        {"{'additionalProperties':false}", "{'a':1}", "/a additional_properties"},
        {"{'properties':{'a':true},'additionalProperties':false}", "{'a':1,'b':2,'c':3}",
         "/b additional_properties,/c additional_properties"},
        {"{'properties':{'a':true},'additionalProperties':{'type':'string'}}", "{'a':1,'b':2}",
         "/b type"},
        {"{'required':['a'],'additionalProperties':false}", "{'a':1}", "/a additional_properties"},
        {"{'minProperties':1}", "{}", " min_properties"},
        {"{'maxProperties':1}", "{'a':1,'b':1}", " max_properties"},
        {"{'propertyNames':{'maxLength':2}}", "{'ab':1,'abc':1}", "/abc property_names"},
        {"{'propertyNames':{'pattern':'^[a-z]+$'}}", "{'ab':1,'A':{'B':1}}", "/A property_names"},
    };
    CHECK_CASES(cases);
}

static void checks_members_by_pattern(void **state)
{
    (void)state;
#define P "'patternProperties':{'^n_':{'type':'integer'},'_s$':{'maxLength':2}}"
    static const struct check_case cases[] = {
        {"{" P "}", "{'n_a':1,'b_s':'ab','c':null}", ""},
        {"{" P "}", "{'n_a':'1','b_s':'abc'}", "/n_a type,/b_s max_length"},
        {"{" P "}", "{'n_s':'abc'}", "/n_s type,/n_s max_length"},
        {"{" P ",'additionalProperties':false}", "{'n_a':1,'x':1}", "/x additional_properties"},
        {"{" P ",'additionalProperties':false,'properties':{'x':{'type':'null'}}}",
         "{'n_a':1,'x':1}", "/x type"},
        {"{" P ",'properties':{'n_a':{'minimum':5}}}", "{'n_a':1}", "/n_a minimum"},
        {"{" P ",'properties':{'n_a':{'minimum':5}}}", "{'n_a':'1'}", "/n_a type"},
        {"{'patternProperties':{'a':false}}", "{'cat':1}", "/cat not_allowed"},
    };
#undef P
    CHECK_CASES(cases);
}

static void finds_each_of_many_members(void **state)
{
    (void)state;
    char schema[8192] = "{'additionalProperties':false,'properties':{", value[8192] = "{";
    for (int i = 0; i < 200; i++) {
        size_t n = strlen(schema), m = strlen(value);
        snprintf(schema + n, sizeof(schema) - n, "%s'm%d':{'const':%d}", i == 0 ? "" : ",", i, i);
        snprintf(value + m, sizeof(value) - m, "%s'm%d':%d", i == 0 ? "" : ",", i, i == 77 ? 0 : i);
    }
    strcat(schema, "}}");
    strcat(value, ",'m200':1}");
    struct check_case one = {schema, value, "/m77 const,/m200 additional_properties"};
    check_cases(&one, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(knows_the_seven_types),
    cmocka_unit_test(takes_no_fraction_for_an_integer),
    cmocka_unit_test(compares_constants_and_enumerations),
    cmocka_unit_test(counts_characters_not_bytes),
    cmocka_unit_test(searches_patterns_as_ecmascript_does),
    cmocka_unit_test(compares_numbers_exactly),
    cmocka_unit_test(checks_items),
    cmocka_unit_test(finds_equal_items),
    cmocka_unit_test(checks_members),
    cmocka_unit_test(checks_members_by_pattern),
    cmocka_unit_test(finds_each_of_many_members),
};
TEST_GROUP(tests, NULL, NULL);
