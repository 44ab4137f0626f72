/* What on_response may make of an answer. */
#include "../unit.h"

#include "hooks/script_shape.h"
#include <string.h>
#include <tongbao/plugin.h>

#define ID "acc_01m849s3n8gj18003mh11pgfwc"

static const char ANSWER[] =
    "{\"id\":\"" ID "\",\"state\":\"open\",\"name\":\"Main\",\"closed\":false,\"note\":null,"
    "\"balance\":{\"amount\":5,\"currency\":\"CNY\"},\"metadata\":{\"a\":\"1\",\"b\":\"2\"},"
    "\"at\":\"2026-02-28T10:00:00.000Z\",\"due\":\"2026-02-28\","
    "\"data\":[{\"name\":\"x\",\"n\":1},{\"n\":2}]}";

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

/* The answer as the decision shapes it, to be freed; NULL: refused. */
static char *shape(const char *decision)
{
    char why[256] = "";
    json_t *answer = json_loads(ANSWER, 0, NULL), *decided = json_loads(decision, 0, NULL), *out;
    assert_non_null(answer);
    assert_non_null(decided);
    bool good = tb_script_shape(answer, decided, NULL, arena, &out, why, sizeof(why));
    assert_int_equal(good, why[0] == '\0');
    char *text = good ? json_dumps(out == NULL ? answer : out, JSON_COMPACT) : NULL;
    char *same = json_dumps(answer, JSON_COMPACT);
    assert_string_equal(same, ANSWER); /* the answer itself stays */
    free(same);
    json_decref(answer);
    json_decref(decided);
    return text;
}

static void changes_what_says_nothing_about_what_was_done(void **state)
{
    (void)state;
    static const struct {
        const char *decision, *there, *gone;
    } cases[] = {
        {"{}", ANSWER, NULL},
        {"{\"set\":{\"name\":\"Other\"}}", "\"name\":\"Other\",\"closed\"", "Main"},
        {"{\"set\":{\"name\":null}}", ",\"closed\":false", "Main"},
        {"{\"set\":{\"closed\":true,\"note\":\"new\"}}", "\"closed\":true,\"note\":\"new\"", NULL},
        {"{\"set\":{\"added\":{\"n\":7}}}", "\"added\":{\"n\":7}", NULL},
        {"{\"set\":{\"metadata\":{\"a\":null,\"c\":\"3\"}}}", "{\"b\":\"2\",\"c\":\"3\"}", NULL},
        {"{\"set\":{\"id\":\"" ID "\",\"balance\":{\"amount\":5}}}", ANSWER, NULL},
        {"{\"redact\":[\"/name\",\"/metadata/a\"]}", "\"metadata\":{\"b\":\"2\"}", "Main"},
        {"{\"redact\":[\"/data/*/name\"]}", "\"data\":[{\"n\":1},{\"n\":2}]", "\"x\""},
        {"{\"redact\":[\"/none\",\"/data/0/name\",\"/id/x\",\"/*/n\"]}", ANSWER, NULL},
        {"{\"redact\":[\"/balance\"]}", "\"note\":null,\"metadata\"", "CNY"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char *text = shape(cases[i].decision);
        if (text == NULL || strstr(text, cases[i].there) == NULL ||
            (cases[i].gone != NULL && strstr(text, cases[i].gone) != NULL))
            fail_msg("%s: %s", cases[i].decision, text == NULL ? "refused" : text);
        free(text);
    }
}

static void refuses_to_tell_otherwise_what_was_done(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{\"set\":{\"id\":\"acc_01m849s3n8gj18003mh11pgfwd\"}}",
        "{\"set\":{\"id\":null}}",
        "{\"set\":{\"state\":\"closed\"}}",
        "{\"set\":{\"balance\":{\"amount\":6}}}",
        "{\"set\":{\"balance\":{\"currency\":\"USD\"}}}",
        "{\"set\":{\"balance\":null}}",
        "{\"set\":{\"balance\":5}}",
        "{\"set\":{\"data\":[]}}",
        "{\"set\":{\"at\":\"2026-02-27T10:00:00.000Z\"}}",
        "{\"set\":{\"due\":\"2026-03-01\"}}",
        "{\"set\":{\"metadata\":\"none\"}}",
        "{\"set\":{\"name\":\"fine\",\"balance\":{\"amount\":\"5\"}}}",
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char *text = shape(cases[i]);
        if (text != NULL)
            fail_msg("%s gave %s", cases[i], text);
    }
}

static void keeps_the_shape_of_the_operation(void **state)
{
    (void)state;
    char why[256];
    struct tb_schema *schema = tb_schema_load(TB_SOURCE_DIR "/schemas",
                                              "e_payment/refund_create.json", why, sizeof(why));
    assert_non_null(schema);
    json_t *answer = json_loads("{\"reason\":\"late\"}", 0, NULL), *out;
    json_t *good = json_loads("{\"set\":{\"reason\":\"early\"}}", 0, NULL);
    json_t *bad = json_loads("{\"set\":{\"reason\":false}}", 0, NULL);
    assert_true(tb_script_shape(answer, good, schema, arena, &out, why, sizeof(why)));
    assert_non_null(out);
    assert_false(tb_script_shape(answer, bad, schema, arena, &out, why, sizeof(why)));
    assert_non_null(strstr(why, "/reason"));
    assert_null(out);
    json_decref(answer);
    json_decref(good);
    json_decref(bad);
    tb_schema_free(schema);
}

static void fails_when_memory_ends(void **state)
{
    (void)state;
    char why[256] = "";
    struct tb_arena *small = tb_arena_new(4096);
    json_t *answer = json_loads(ANSWER, 0, NULL), *out;
    json_t *decision = json_loads("{\"redact\":[\"/name\"]}", 0, NULL);
    assert_false(tb_script_shape(answer, decision, NULL, small, &out, why, sizeof(why)));
    assert_non_null(strstr(why, "memory"));
    json_decref(answer);
    json_decref(decision);
    tb_arena_free(small);
}

/* What is left in for want of room is told to whoever was not to see it. */
static void leaves_nothing_in_that_was_to_be_redacted(void **state)
{
    (void)state;
    static const size_t sizes[] = {1023, 1024, 1025, 3000};
    json_t *decision = json_loads("{\"redact\":[\"/data/*/name\"]}", 0, NULL);
    for (size_t i = 0; i < TB_COUNT(sizes); i++) {
        json_t *data = json_array(), *answer = json_pack("{s:o}", "data", data), *out = NULL;
        char why[256] = "";
        for (size_t n = 0; n < sizes[i]; n++)
            json_array_append_new(data, json_pack("{s:s, s:i}", "name", "x", "n", (int)n));
        bool good = tb_script_shape(answer, decision, NULL, arena, &out, why, sizeof(why));
        char *text = good ? json_dumps(out, JSON_COMPACT) : NULL;
        assert_int_equal(good, sizes[i] <= 1024);
        if (good)
            assert_null(strstr(text, "name"));
        else
            assert_non_null(strstr(why, "more than 1024 places"));
        free(text);
        json_decref(answer);
    }
    json_decref(decision);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(changes_what_says_nothing_about_what_was_done),
    cmocka_unit_test(refuses_to_tell_otherwise_what_was_done),
    cmocka_unit_test(keeps_the_shape_of_the_operation),
    cmocka_unit_test(leaves_nothing_in_that_was_to_be_redacted),
    cmocka_unit_test(fails_when_memory_ends),
};
TEST_GROUP(tests, open_arena, close_arena);
