/* What compiled patterns take is the state's: counted, bounded and given back. */
#include "lua_fixture.h"

/* A script whose hook uses patterns of 25 bytes that compile to 19 KiB each. */
static void begin(struct stage *stage, const struct tb_script_limits *limits, int patterns)
{
    char body[256], why[TB_SCRIPT_WHY_BYTES];
    snprintf(body, sizeof(body),
             "for i = 1, %d do tb.match('x', 'x' .. i .. '(?:[^a-f]{9}q){300}y') end return 1",
             patterns);
    stage_begin(stage, stage_hook("return 1"), "{}");
    tb_script_free(stage->script);
    stage->script = tb_script_new(limits, tb_str(stage_hook(body)), why, sizeof(why));
    assert_non_null(stage->script);
}

static struct tb_script_limits patient(size_t memory_bytes)
{
    struct tb_script_limits limits = tb_script_limits;
    limits.cpu_us = 10000000; /* so that memory is what ends it, on a slow machine, too */
    limits.memory_bytes = memory_bytes;
    return limits;
}

static void counts_what_patterns_take(void **state)
{
    (void)state;
    struct tb_script_limits limits = patient(4u << 20);
    struct stage stage;
    begin(&stage, &limits, 20);
    size_t before = tb_script_bytes(stage.script);
    stage_run(&stage);
    assert_string_equal(stage.decision, "1");
    assert_true(tb_script_bytes(stage.script) - before > (size_t)20 * 10000);
    stage_end(&stage);
}

static void ends_a_call_whose_patterns_fill_the_memory(void **state)
{
    (void)state;
    struct tb_script_limits limits = patient(300000);
    struct stage stage;
    begin(&stage, &limits, 30);
    stage_run(&stage);
    assert_int_equal(stage.result.end, TB_SCRIPT_MEMORY);
    if (strstr(stage.result.why, "not enough memory") == NULL)
        fail_msg("%s", stage.result.why);
    assert_true(tb_script_bytes(stage.script) <= limits.memory_bytes);
    assert_true(tb_script_worn(stage.script));
    stage_end(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(counts_what_patterns_take),
    cmocka_unit_test(ends_a_call_whose_patterns_fill_the_memory),
};
TEST_GROUP(tests, NULL, NULL);
