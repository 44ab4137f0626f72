/* The switch itself, without loop or fibers, so that it can be built for another processor and run
 * under an emulator:
 *
 *     aarch64-linux-gnu-gcc -static -Icore test_context.c context.c context_aarch64.S … */
#include "../unit.h"

#include "runtime/context.h"
#include <fenv.h>
#include <stdlib.h>

enum { STACK = 64 * 1024, SWITCHES = 200 * 1000 };

static struct tb_context home, counter, rounder;
static double halves;
static long sum;

/* Values that the compiler keeps in registers that a call preserves. */
static void count(void *arg)
{
    double half = 0.5;
    long n = (long)arg;
    for (int i = 0; i < SWITCHES; i++) {
        tb_context_switch(&counter, &rounder);
        halves += half;
        sum += n + i;
    }
    tb_context_switch(&counter, &home);
    abort();
}

static void round_upward(void *arg)
{
    (void)arg;
    fesetround(FE_UPWARD);
    while (fegetround() == FE_UPWARD)
        tb_context_switch(&rounder, &counter);
    abort();
}

static void keeps_registers_and_rounding_of_each_context(void **state)
{
    (void)state;
    char *stacks = aligned_alloc(16, 2 * STACK);
    tb_context_make(&counter, stacks, STACK, count, (void *)7);
    tb_context_make(&rounder, stacks + STACK, STACK, round_upward, NULL);
    tb_context_switch(&home, &counter);
    assert_true(halves == SWITCHES / 2.0);
    assert_true(sum == 7L * SWITCHES + (long)SWITCHES * (SWITCHES - 1) / 2);
    assert_int_equal(fegetround(), FE_TONEAREST);
    free(stacks);
}

static uintptr_t frame;

static void look_at_stack(void *arg)
{
    (void)arg;
    frame = (uintptr_t)__builtin_frame_address(0);
    tb_context_switch(&counter, &home);
    abort();
}

static void begins_on_an_aligned_stack(void **state)
{
    (void)state;
    char *stack = aligned_alloc(16, STACK);
    tb_context_make(&counter, stack, STACK, look_at_stack, NULL);
    tb_context_switch(&home, &counter);
    assert_int_equal(frame % 16, 0);
    assert_in_range(frame, (uintptr_t)stack, (uintptr_t)stack + STACK);
    free(stack);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(keeps_registers_and_rounding_of_each_context),
    cmocka_unit_test(begins_on_an_aligned_stack),
};
TEST_GROUP(tests, NULL, NULL);
