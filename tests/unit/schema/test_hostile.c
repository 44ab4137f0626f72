/* Values and schemas made to hurt: each must end soon, and as a refusal. */
#include "../unit.h"

#include "../yardstick.h"
#include "helper.h"
#include <stdint.h>
#include <stdio.h>

enum { MAX_MS = 500 }; /**< of the processor; generous: sanitizers */

static void ends_soon(const struct tb_schema *schema, json_t *value, const char *expected)
{
    char found[2048];
    int64_t before = thread_cpu_ms();
    verdict(schema, value, found, sizeof(found));
    assert_true(thread_cpu_ms() - before < MAX_MS);
    if (strstr(found, expected) == NULL)
        fail_msg("expected \"%s\", found \"%s\"", expected, found);
}

static void gives_up_on_catastrophic_expressions(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{'pattern':'^(a+)+$'}",         "{'pattern':'^(a|a)*$'}",
        "{'pattern':'^(a|aa)+$'}",       "{'pattern':'^(([a-z])+.)+[A-Z]?$'}",
        "{'not':{'pattern':'^(a+)+$'}}", "{'anyOf':[{'pattern':'^(a+)+$'},true]}",
        "{'if':{'pattern':'^(a+)+$'}}",
    };
    char text[4096];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 2] = '!';
    text[sizeof(text) - 1] = '\0';
    for (size_t i = 0; i < TB_COUNT(schemas); i++) {
        struct tb_schema *schema = load_text(schemas[i]);
        json_t *value = json_string(text);
        ends_soon(schema, value, " too_complex");
        json_decref(value);
        tb_schema_free(schema);
    }
}

static void gives_up_on_names_that_make_patterns_run(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 2] = '!';
    name[sizeof(name) - 1] = '\0';
    static const char *const schemas[] = {
        "{'patternProperties':{'^(a+)+$':true}}",
        "{'propertyNames':{'pattern':'^(a+)+$'}}",
    };
    for (size_t i = 0; i < TB_COUNT(schemas); i++) {
        struct tb_schema *schema = load_text(schemas[i]);
        json_t *value = json_pack("{s:i}", name, 1);
        ends_soon(schema, value, "/");
        ends_soon(schema, value, " too_complex");
        json_decref(value);
        tb_schema_free(schema);
    }
}

static void refuses_expressions_that_are_too_large(void **state)
{
    (void)state;
    char why[512], text[1024] = "{'pattern':'";
    memset(text + strlen(text), 'a', 513);
    strcat(text, "'}");
    struct schema_file file = {"main.json", text};
    assert_null(load_files(&file, 1, why, sizeof(why)));
    assert_non_null(strstr(why, "is longer than 512 bytes"));
    file.text = "{'pattern':'((([a-z]{1,60}){1,60}){1,60}){1,60}'}";
    assert_null(load_files(&file, 1, why, sizeof(why)));
    assert_non_null(strstr(why, "#/pattern:"));
}

static void ends_on_arrays_of_any_size(void **state)
{
    (void)state;
    struct tb_schema *schema = load_text("{'items':{'anyOf':[{'type':'string'},{'minimum':0}]}}");
    json_t *value = json_array();
    for (int i = 0; i < 300000; i++)
        json_array_append_new(value, json_integer(i));
    ends_soon(schema, value, " too_complex");
    json_decref(value);
    tb_schema_free(schema);
}

static void compares_many_alike_items_within_the_limit(void **state)
{
    (void)state;
    struct tb_schema *schema = load_text("{'uniqueItems':true,'maxItems':1024}");
    json_t *value = json_array();
    for (int i = 0; i < 1024; i++) /* one key for all: containers of one size */
        json_array_append_new(value, json_pack("[i]", i));
    ends_soon(schema, value, "too_complex");
    json_decref(value);

    value = json_array();
    for (int i = 0; i < 1024; i++)
        json_array_append_new(value, json_integer(i));
    ends_soon(schema, value, "");
    json_array_set_new(value, 1023, json_integer(511));
    ends_soon(schema, value, " unique_items");
    json_decref(value);
    tb_schema_free(schema);
}

/* Arrays within arrays, `depth` of them. */
static json_t *nested(int depth)
{
    json_t *value = json_array();
    for (int i = 1; i < depth; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    return value;
}

static void does_not_miss_what_it_did_not_look_at(void **state)
{
    (void)state;
    struct tb_schema *schema = load_text(
        "{'properties':{'a':{'pattern':'^(a+)+$'}},'required':['a','b']}");
    json_t *value = json_of("{'a':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!','b':1}");
    char found[256];
    verdict(schema, value, found, sizeof(found));
    assert_string_equal(found, "/a too_complex");
    json_decref(value);
    tb_schema_free(schema);
}

static void bounds_depth_not_by_the_stack(void **state)
{
    (void)state;
    struct tb_schema *schema = load_text("{'type':'array','items':{'$ref':'#'}}");
    char found[64];
    json_t *value = nested(64);
    assert_int_equal(verdict(schema, value, found, sizeof(found)), 0);
    json_decref(value);

    value = nested(1000);
    ends_soon(schema, value, "/0/0/0");
    ends_soon(schema, value, " too_complex");
    json_decref(value);
    tb_schema_free(schema);
}

static void bounds_branching_through_references(void **state)
{
    (void)state;
    /* Each level tries both branches: 2^60 without a bound on steps. */
    struct tb_schema *schema = load_text("{'$defs':{'t':{'oneOf':[{'type':'array','items':{'$ref':"
                                         "'#/$defs/t'}},{'type':'array','items':{'$ref':"
                                         "'#/$defs/t'},'maxItems':9}]}},'$ref':'#/$defs/t'}");
    json_t *value = nested(40);
    ends_soon(schema, value, "too_complex");
    json_decref(value);
    tb_schema_free(schema);
}

static void refuses_schemas_without_measure(void **state)
{
    (void)state;
    static char text[600000];
    char why[512];
    struct schema_file file = {"main.json", text};

    strcpy(text, "{'$defs':{");
    for (int i = 0; i < 5000; i++)
        snprintf(text + strlen(text), 64, "%s'd%d':{'type':'null'}", i == 0 ? "" : ",", i);
    strcat(text, "}}");
    assert_null(load_files(&file, 1, why, sizeof(why)));
    assert_non_null(strstr(why, "more than 4096 subschemas"));

    strcpy(text, "{'required':[");
    for (int i = 0; i < 65; i++)
        snprintf(text + strlen(text), 64, "%s'd%d'", i == 0 ? "" : ",", i);
    strcat(text, "]}");
    assert_null(load_files(&file, 1, why, sizeof(why)));
    assert_non_null(strstr(why, "names more than 64 members"));

    memset(text, ' ', 300000);
    strcpy(text + 300000, "{}");
    assert_null(load_files(&file, 1, why, sizeof(why)));
    assert_non_null(strstr(why, "is larger than 262144 bytes"));
}

static void keeps_its_memory_small_whatever_is_wrong(void **state)
{
    (void)state;
    struct tb_schema *schema = load_text("{'items':{'type':'string'}}");
    json_t *value = json_array();
    for (int i = 0; i < 100000; i++)
        json_array_append_new(value, json_integer(i));
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_schema_error errors[TB_SCHEMA_ERRORS];
    size_t total;
    assert_true(tb_is(tb_schema_check(schema, value, arena, errors, TB_SCHEMA_ERRORS, &total),
                      TB_E_INVALID));
    assert_int_equal(total, 100000);
    assert_true(tb_arena_used(arena) < 32 * 1024);
    tb_arena_free(arena);

    arena = tb_arena_new(64); /* and refuses properly where there is none */
    assert_true(tb_is(tb_schema_check(schema, value, arena, errors, TB_SCHEMA_ERRORS, &total),
                      TB_E_INVALID));
    assert_true(tb_arena_overflowed(arena));
    for (size_t i = 0; i < TB_SCHEMA_ERRORS; i++)
        assert_string_equal(errors[i].code, "not_described");
    tb_arena_free(arena);
    json_decref(value);
    tb_schema_free(schema);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gives_up_on_catastrophic_expressions),
    cmocka_unit_test(gives_up_on_names_that_make_patterns_run),
    cmocka_unit_test(refuses_expressions_that_are_too_large),
    cmocka_unit_test(ends_on_arrays_of_any_size),
    cmocka_unit_test(compares_many_alike_items_within_the_limit),
    cmocka_unit_test(does_not_miss_what_it_did_not_look_at),
    cmocka_unit_test(bounds_depth_not_by_the_stack),
    cmocka_unit_test(bounds_branching_through_references),
    cmocka_unit_test(refuses_schemas_without_measure),
    cmocka_unit_test(keeps_its_memory_small_whatever_is_wrong),
};
TEST_GROUP(tests, NULL, NULL);
