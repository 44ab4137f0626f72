/* Fibers: waits and wakes in every order, deadlines, cancellation, the pool and stacks. */
#include "../unit.h"

#include "runtime/fiber.h"
#include "runtime/run.h"
#include "runtime/sanitize.h"
#include <fenv.h>
#include <stdlib.h>
#include <string.h>

/* A fiber under test: what it is to do, and what became of it. */
struct probe {
    struct tb_loop *loop;
    struct tb_run run;
    void (*act)(struct probe *probe);
    struct tb_wake wake;
    tb_err outcome;
    int step;
    int64_t number;
};

static int set_up(void **state)
{
    *state = tb_loop_new();
    return 0;
}

static int tear_down(void **state)
{
    tb_loop_free(*state);
    return 0;
}

static void probe_main(void *arg)
{
    struct probe *probe = arg;
    tb_run_begin(&probe->run);
    probe->act(probe);
    tb_run_end(&probe->run);
    probe->step = 99;
}

static void start(struct tb_loop *loop, struct probe *probe, void (*act)(struct probe *probe))
{
    probe->loop = loop;
    probe->act = act;
    tb_run_init(&probe->run, loop, NULL);
    assert_null(tb_fiber_start(loop, probe_main, probe));
}

static void turns(struct tb_loop *loop, int n)
{
    while (n-- > 0)
        tb_loop_turn(loop, 0);
}

static void do_nothing(struct probe *probe)
{
    probe->step = 1;
}

static void wait_for_wake(struct probe *probe)
{
    probe->wake = tb_fiber_token();
    probe->outcome = tb_wait(&probe->run.req);
}

static void runs_at_once_until_it_waits_or_ends(void **state)
{
    struct probe a = {0}, b = {0};
    start(*state, &a, do_nothing);
    assert_int_equal(a.step, 99);
    start(*state, &b, wait_for_wake);
    assert_int_equal(b.step, 0);
    assert_int_equal(tb_fiber_stats(*state).live, 1);
    tb_fiber_wake(b.wake);
    assert_int_equal(b.step, 0); /* not before the end of the turn */
    turns(*state, 1);
    assert_int_equal(b.step, 99);
    assert_null(b.outcome);
    assert_int_equal(tb_fiber_stats(*state).live, 0);
}

static void wake_before_wait(struct probe *probe)
{
    probe->wake = tb_fiber_token();
    tb_fiber_wake(probe->wake);
    tb_fiber_wake(probe->wake);
    probe->outcome = tb_wait(&probe->run.req);
}

static void does_not_lose_a_wake_that_comes_first(void **state)
{
    struct probe a = {0};
    start(*state, &a, wake_before_wait);
    assert_int_equal(a.step, 99);
    assert_int_equal(tb_fiber_stats(*state).late_wakes, 1);
}

static void wait_twice(struct probe *probe)
{
    wait_for_wake(probe);
    probe->step = 1;
    probe->wake = tb_fiber_token();
    probe->outcome = tb_wait(&probe->run.req);
}

static void drops_and_counts_a_late_wake(void **state)
{
    struct probe a = {0};
    start(*state, &a, wait_twice);
    struct tb_wake first = a.wake;
    tb_fiber_wake(first);
    turns(*state, 1);
    assert_int_equal(a.step, 1);
    tb_fiber_wake(first); /* of the wait before */
    turns(*state, 2);
    assert_int_equal(a.step, 1);
    tb_fiber_wake(a.wake);
    turns(*state, 1);
    assert_int_equal(a.step, 99);
    tb_fiber_wake(a.wake); /* of a fiber that has ended */
    struct probe b = {0};
    start(*state, &b, wait_for_wake); /* on the same fiber */
    assert_ptr_equal(b.wake.fiber, first.fiber);
    tb_fiber_wake(a.wake);
    tb_fiber_wake(first);
    turns(*state, 2);
    assert_int_equal(b.step, 0);
    assert_int_equal(tb_fiber_stats(*state).late_wakes, 4);
    tb_fiber_wake(b.wake);
    turns(*state, 1);
    assert_int_equal(b.step, 99);
}

static int arrivals[8], arrivals_n;

static void wait_and_arrive(struct probe *probe)
{
    wait_for_wake(probe);
    arrivals[arrivals_n++] = (int)probe->number;
}

static void continues_fibers_in_the_order_of_their_wakes(void **state)
{
    struct probe probes[5] = {0};
    static const int wakes[] = {3, 0, 4, 1, 2};
    arrivals_n = 0;
    for (int i = 0; i < 5; i++) {
        probes[i].number = i;
        start(*state, &probes[i], wait_and_arrive);
    }
    for (int i = 0; i < 5; i++)
        tb_fiber_wake(probes[wakes[i]].wake);
    turns(*state, 1);
    assert_int_equal(arrivals_n, 5);
    assert_memory_equal(arrivals, wakes, sizeof(wakes));
}

static void sleep_long(struct probe *probe)
{
    probe->outcome = tb_sleep(&probe->run.req, 60000);
}

static void ends_a_wait_at_the_deadline(void **state)
{
    struct probe a = {0};
    tb_loop_turn(*state, 0);
    a.loop = *state;
    a.act = sleep_long;
    tb_run_init(&a.run, *state, NULL);
    a.run.deadline_ms = tb_loop_now_ms(*state) + 20;
    int64_t began_us = tb_loop_us();
    assert_null(tb_fiber_start(*state, probe_main, &a));
    while (a.step != 99)
        tb_loop_turn(*state, 1000);
    assert_true(tb_is(a.outcome, TB_E_DEADLINE));
    assert_in_range(tb_loop_us() - began_us, 18000, 59000000);
}

static void refuses_to_wait_when_the_deadline_has_passed(void **state)
{
    struct probe a = {0};
    a.loop = *state;
    a.act = sleep_long;
    tb_run_init(&a.run, *state, NULL);
    a.run.deadline_ms = tb_loop_now_ms(*state);
    assert_null(tb_fiber_start(*state, probe_main, &a));
    assert_int_equal(a.step, 99);
    assert_true(tb_is(a.outcome, TB_E_DEADLINE));
}

static void sleep_in_steps(struct probe *probe)
{
    for (int i = 0; i < 3 && probe->outcome == NULL; i++) {
        probe->outcome = tb_sleep(&probe->run.req, 2);
        probe->step++;
    }
    /* The timer armed for the old deadline fires in the next wait and must not end it. */
    probe->run.deadline_ms = tb_loop_now_ms(probe->loop) + 60000;
    if (probe->outcome == NULL)
        probe->outcome = tb_sleep(&probe->run.req, 350);
}

static void follows_a_deadline_that_is_moved(void **state)
{
    struct probe a = {0};
    a.loop = *state;
    a.act = sleep_in_steps;
    tb_run_init(&a.run, *state, NULL);
    a.run.deadline_ms = tb_loop_now_ms(*state) + 300;
    assert_null(tb_fiber_start(*state, probe_main, &a));
    while (a.step != 99)
        tb_loop_turn(*state, 1000);
    assert_null(a.outcome);
}

static void cancels_a_run_whose_client_is_gone(void **state)
{
    struct probe a = {0}, b = {0};
    start(*state, &a, wait_for_wake);
    tb_run_cancel(&a.run);
    tb_fiber_wake(a.wake); /* the completion comes too late */
    turns(*state, 1);
    assert_true(tb_is(a.outcome, TB_E_CANCELLED));
    assert_int_equal(tb_fiber_stats(*state).late_wakes, 1);

    b.loop = *state; /* gone before it waits */
    b.act = wait_for_wake;
    tb_run_init(&b.run, *state, NULL);
    tb_run_cancel(&b.run);
    assert_null(tb_fiber_start(*state, probe_main, &b));
    assert_true(tb_is(b.outcome, TB_E_CANCELLED));
}

static void must_finish(struct probe *probe)
{
    probe->run.finish = true;
    wait_for_wake(probe);
}

static void wait_to_the_end(struct probe *probe)
{
    probe->wake = tb_fiber_token();
    tb_wait_always(&probe->run.req);
}

static void lets_a_run_finish_that_must(void **state)
{
    static void (*const acts[])(struct probe *) = {must_finish, wait_to_the_end};
    for (size_t i = 0; i < 2; i++) {
        struct probe a = {0};
        start(*state, &a, acts[i]);
        tb_run_cancel(&a.run);
        turns(*state, 2);
        assert_int_equal(a.step, 0);
        tb_fiber_wake(a.wake);
        turns(*state, 1);
        assert_int_equal(a.step, 99);
        assert_null(a.outcome);
    }
}

static struct probe inner;

static void start_inner(struct probe *probe)
{
    struct tb_fiber *self = tb_fiber_self();
    start(probe->loop, &inner, wait_for_wake);
    assert_ptr_equal(tb_fiber_self(), self);
    assert_ptr_not_equal(inner.wake.fiber, self);
    assert_ptr_equal(tb_fiber_run(), &probe->run);
    tb_fiber_wake(inner.wake);
    probe->outcome = tb_sleep(&probe->run.req, 1);
}

static void starts_a_fiber_from_a_fiber(void **state)
{
    struct probe outer = {0};
    memset(&inner, 0, sizeof(inner));
    start(*state, &outer, start_inner);
    assert_null(tb_fiber_self());
    for (int i = 0; i < 100 && outer.step != 99; i++)
        tb_loop_turn(*state, 10);
    assert_int_equal(outer.step, 99);
    assert_int_equal(inner.step, 99);
}

static void compute_over_waits(struct probe *probe)
{
    double x = (double)probe->number;
    char text[256];
    memset(text, (int)('a' + probe->number % 26), sizeof(text));
    for (int i = 0; i < 20; i++) {
        assert_null(tb_sleep(&probe->run.req, probe->number % 3));
        x = x * 1.0000001 + 1;
        for (size_t j = 0; j < sizeof(text); j++)
            assert_int_equal(text[j], 'a' + probe->number % 26);
    }
    assert_int_equal((int)x, probe->number + 20);
}

static void keeps_each_stack_and_register_apart(void **state)
{
    enum { MANY = 300 };
    struct probe *probes = test_calloc(MANY, sizeof(*probes));
    for (int i = 0; i < MANY; i++) {
        probes[i].number = i;
        start(*state, &probes[i], compute_over_waits);
    }
    for (int i = 0; i < 2000 && tb_fiber_stats(*state).live > 0; i++)
        tb_loop_turn(*state, 10);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(probes[i].step, 99);
    assert_int_equal(tb_fiber_stats(*state).high_water, MANY);
    assert_int_equal(tb_fiber_stats(*state).pooled, MANY);
    test_free(probes);
}

static void round_upward(struct probe *probe)
{
    assert_int_equal(fegetround(), FE_TONEAREST);
    fesetround(FE_UPWARD);
    wait_for_wake(probe);
    probe->number = fegetround();
    fesetround(FE_TONEAREST);
}

static void keeps_the_rounding_mode_of_each_fiber(void **state)
{
    struct probe a = {0};
    start(*state, &a, round_upward);
    assert_int_equal(fegetround(), FE_TONEAREST);
    tb_fiber_wake(a.wake);
    turns(*state, 1);
    assert_int_equal(a.number, FE_UPWARD);
    assert_int_equal(fegetround(), FE_TONEAREST);
}

static void refuses_more_than_the_most_fibers(void **state)
{
    struct probe *probes = test_calloc(TB_FIBERS_MAX + 1, sizeof(*probes));
    for (int i = 0; i < TB_FIBERS_MAX; i++)
        start(*state, &probes[i], wait_for_wake);
    assert_true(tb_is(tb_fiber_start(*state, probe_main, &probes[TB_FIBERS_MAX]), TB_E_OVERLOAD));
    for (int i = 0; i < TB_FIBERS_MAX; i++)
        tb_fiber_wake(probes[i].wake);
    turns(*state, 1);
    assert_int_equal(tb_fiber_stats(*state).live, 0);
    start(*state, &probes[TB_FIBERS_MAX], do_nothing);
    tb_fiber_limit(*state, 0);
    assert_true(tb_is(tb_fiber_start(*state, probe_main, &probes[0]), TB_E_OVERLOAD));
    test_free(probes);
}

static void use_100_kib(struct probe *probe)
{
    volatile char big[100 * 1024];
    for (size_t i = 0; i < sizeof(big); i += 64)
        big[i] = 1;
    probe->number = big[64];
}

static void measures_the_deepest_stack(void **state)
{
    struct probe a = {0};
    start(*state, &a, do_nothing);
    size_t shallow = tb_fiber_stats(*state).deepest_stack_bytes;
    start(*state, &a, use_100_kib);
    size_t deep = tb_fiber_stats(*state).deepest_stack_bytes;
    if (deep == 0) /* valgrind: stacks are not looked at */
        skip();
    assert_in_range(shallow, 1, 32 * 1024);
    assert_in_range(deep, 99 * 1024, 160 * 1024);
}

static void burn(struct probe *probe)
{
    probe->run.label = "burner";
    int64_t until_us = tb_loop_us() + 60 * 1000;
    while (tb_loop_us() < until_us)
        probe->number++;
}

static void start_burner(struct probe *probe)
{
    start(probe->loop, &inner, burn);
}

static void counts_a_fiber_that_does_not_give_up_the_processor(void **state)
{
    if (TB_SLOW_TOOLS)
        skip();
    struct probe a = {0};
    memset(&inner, 0, sizeof(inner));
    start(*state, &a, do_nothing);
    assert_int_equal(tb_fiber_stats(*state).slow_slices, 0);
    start(*state, &a, start_burner); /* the burner is to blame, not its starter */
    assert_int_equal(tb_fiber_stats(*state).slow_slices, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(runs_at_once_until_it_waits_or_ends),
    CASE(does_not_lose_a_wake_that_comes_first),
    CASE(drops_and_counts_a_late_wake),
    CASE(continues_fibers_in_the_order_of_their_wakes),
    CASE(ends_a_wait_at_the_deadline),
    CASE(refuses_to_wait_when_the_deadline_has_passed),
    CASE(follows_a_deadline_that_is_moved),
    CASE(cancels_a_run_whose_client_is_gone),
    CASE(lets_a_run_finish_that_must),
    CASE(starts_a_fiber_from_a_fiber),
    CASE(keeps_each_stack_and_register_apart),
    CASE(keeps_the_rounding_mode_of_each_fiber),
    CASE(refuses_more_than_the_most_fibers),
    CASE(measures_the_deepest_stack),
    CASE(counts_a_fiber_that_does_not_give_up_the_processor),
};
TEST_GROUP(tests, NULL, NULL);
