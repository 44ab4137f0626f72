/* The states of a worker: found again, bounded, replaced when worn, never taken from under a call.
 */
#include "lua_fixture.h"

#include "lua/vm_pool.h"

enum { MUCH = 64 * 1024 * 1024 };

static const char TEXT[] = "return { on_request = function() end }";

static struct tb_script *add(struct tb_vm_pool *states, const char *version)
{
    char why[TB_SCRIPT_WHY_BYTES];
    struct tb_script *script = tb_vm_pool_add(states, tb_str(version), tb_str(TEXT), why,
                                              sizeof(why));
    assert_non_null(script);
    return script;
}

static void is_found_again_under_its_version(void **state)
{
    (void)state;
    struct tb_vm_pool *states = tb_vm_pool_new(&tb_script_limits, 4, MUCH);
    assert_null(tb_vm_pool_find(states, TB_STR("scr_a/1")));
    struct tb_script *script = add(states, "scr_a/1");
    assert_ptr_equal(tb_vm_pool_find(states, TB_STR("scr_a/1")), script);
    assert_ptr_equal(add(states, "scr_a/1"), script);
    assert_null(tb_vm_pool_find(states, TB_STR("scr_a/2")));
    for (int i = 0; i < 3; i++)
        tb_vm_pool_release(states, script);
    assert_int_equal(tb_vm_pool_stats(states).made, 1);
    tb_vm_pool_free(states);
}

static void keeps_the_bound_and_what_was_called_last(void **state)
{
    (void)state;
    struct tb_vm_pool *states = tb_vm_pool_new(&tb_script_limits, 3, MUCH);
    char version[32];
    for (int i = 0; i < 100; i++) {
        snprintf(version, sizeof(version), "scr_%d/1", i);
        tb_vm_pool_release(states, add(states, version));
        assert_true(tb_vm_pool_stats(states).states <= 3);
        struct tb_script *first = tb_vm_pool_find(states,
                                                  TB_STR("scr_0/1")); /* called all the time */
        assert_non_null(first);
        tb_vm_pool_release(states, first);
    }
    assert_null(tb_vm_pool_find(states, TB_STR("scr_50/1")));
    assert_int_equal(tb_vm_pool_stats(states).evicted, 97);
    assert_true(tb_vm_pool_stats(states).bytes < (size_t)3 * 64 * 1024);
    tb_vm_pool_free(states);
}

/* The text keeps half a megabyte of names. */
static const char FAT[] =
    "local t = {} for i = 1, 4000 do t['name of an entry ' .. i] = ('x'):rep(60) .. i end\n"
    "return { on_request = function() return t end }";

static void keeps_no_more_than_its_memory(void **state)
{
    (void)state;
    enum { ROOM = 4 * 1024 * 1024 };
    struct tb_vm_pool *states = tb_vm_pool_new(stage_limits(), 1000, ROOM);
    char version[32], why[TB_SCRIPT_WHY_BYTES];
    struct tb_script *held[10];
    for (int i = 0; i < 50; i++) {
        snprintf(version, sizeof(version), "scr_%d/1", i);
        struct tb_script *script = tb_vm_pool_add(states, tb_str(version), tb_str(FAT), why,
                                                  sizeof(why));
        assert_non_null(script);
        assert_true(tb_script_bytes(script) > 400 * 1024);
        tb_vm_pool_release(states, script);
        assert_true(tb_vm_pool_stats(states).bytes <= ROOM);
    }
    assert_in_range(tb_vm_pool_stats(states).states, 4, 9);
    for (int i = 0; i < 10; i++) { /* what is in a call stays */
        snprintf(version, sizeof(version), "held_%d/1", i);
        held[i] = tb_vm_pool_add(states, tb_str(version), tb_str(FAT), why, sizeof(why));
    }
    assert_int_equal(tb_vm_pool_stats(states).states, 10);
    for (int i = 0; i < 10; i++)
        tb_vm_pool_release(states, held[i]);
    assert_true(tb_vm_pool_stats(states).bytes <= ROOM);
    assert_in_range(tb_vm_pool_stats(states).states, 4, 9);
    tb_vm_pool_free(states);
}

static void never_gives_up_what_is_in_a_call(void **state)
{
    (void)state;
    struct tb_vm_pool *states = tb_vm_pool_new(&tb_script_limits, 1, MUCH);
    struct tb_script *held[3] = {add(states, "a/1"), add(states, "b/1"), add(states, "c/1")};
    assert_int_equal(tb_vm_pool_stats(states).states, 3);
    for (int i = 0; i < 3; i++)
        tb_vm_pool_release(states, held[i]);
    assert_int_equal(tb_vm_pool_stats(states).states, 1);
    tb_vm_pool_free(states);
}

static void replaces_a_state_that_is_worn(void **state)
{
    (void)state;
    struct stage stage = {.loop = tb_loop_new()};
    struct tb_script_limits limits = tb_script_limits;
    limits.calls = 2;
    struct tb_vm_pool *states = tb_vm_pool_new(&limits, 4, MUCH);
    stage.script = add(states, "a/1");
    stage.call = (struct tb_script_call){.hook = "on_request", .input = json_object()};
    for (int i = 0; i < 2; i++)
        stage_run(&stage);
    assert_null(tb_vm_pool_find(states, TB_STR("a/1")));
    struct tb_script *other = add(states, "a/1"); /* while the first is still held */
    assert_ptr_not_equal(other, stage.script);
    tb_vm_pool_release(states, stage.script);
    tb_vm_pool_release(states, other);
    assert_int_equal(tb_vm_pool_stats(states).worn, 1);
    assert_int_equal(tb_vm_pool_stats(states).states, 1);
    json_decref((json_t *)(uintptr_t)stage.call.input);
    tb_vm_pool_free(states);
    tb_loop_free(stage.loop);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(is_found_again_under_its_version),
    cmocka_unit_test(keeps_the_bound_and_what_was_called_last),
    cmocka_unit_test(keeps_no_more_than_its_memory),
    cmocka_unit_test(never_gives_up_what_is_in_a_call),
    cmocka_unit_test(replaces_a_state_that_is_worn),
};
TEST_GROUP(tests, NULL, NULL);
