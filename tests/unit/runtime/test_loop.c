/* The loop: timers in order, descriptors by level, messages from threads, hooks after fibers. */
#include "../unit.h"

#include "runtime/fiber.h"
#include "runtime/loop.h"
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static char order[64];

static void note(char c)
{
    size_t n = strlen(order);
    assert_true(n + 1 < sizeof(order));
    order[n] = c;
    order[n + 1] = '\0';
}

static int set_up(void **state)
{
    *state = tb_loop_new();
    memset(order, 0, sizeof(order));
    return 0;
}

static int tear_down(void **state)
{
    tb_loop_free(*state);
    return 0;
}

struct named_timer {
    struct tb_timer timer;
    char name;
};

static void fired(struct tb_timer *timer)
{
    note(((struct named_timer *)timer)->name);
}

static void turn_until(struct tb_loop *loop, size_t notes)
{
    for (int i = 0; i < 200 && strlen(order) < notes; i++)
        tb_loop_turn(loop, 10);
}

static void fires_timers_in_order_of_their_due_time(void **state)
{
    struct tb_loop *loop = *state;
    static const int delays[] = {30, 5, 20, 1, 25, 10, 15, 0};
    struct named_timer timers[8] = {0};
    for (int i = 0; i < 8; i++) {
        timers[i] = (struct named_timer){{.fired = fired}, (char)('a' + i)};
        tb_timer_start(loop, &timers[i].timer, delays[i]);
    }
    turn_until(loop, 8);
    assert_string_equal(order, "hdbfgcea");
}

static void does_not_fire_a_stopped_timer(void **state)
{
    struct tb_loop *loop = *state;
    struct named_timer timers[64] = {0};
    for (int i = 0; i < 64; i++) {
        timers[i] = (struct named_timer){{.fired = fired}, '.'};
        tb_timer_start(loop, &timers[i].timer, (i * 37) % 19);
    }
    for (int i = 0; i < 64; i++)
        if (i % 8 != 0)
            tb_timer_stop(loop, &timers[i].timer);
    tb_timer_stop(loop, &timers[1].timer); /* twice is harmless */
    for (int i = 0; i < 5; i++)
        tb_loop_turn(loop, 10);
    turn_until(loop, 8);
    assert_int_equal(strlen(order), 8);
    for (int i = 0; i < 64; i++)
        assert_int_equal(timers[i].timer.slot, 0);
}

static void moves_a_timer_that_is_started_again(void **state)
{
    struct tb_loop *loop = *state;
    struct named_timer a = {{.fired = fired}, 'a'}, b = {{.fired = fired}, 'b'};
    tb_timer_start(loop, &a.timer, 2);
    tb_timer_start(loop, &b.timer, 8);
    tb_timer_start(loop, &a.timer, 20);
    turn_until(loop, 2);
    assert_string_equal(order, "ba");
}

static struct tb_loop *spinning;

static void spin(struct tb_timer *timer)
{
    tb_timer_start(spinning, timer, 0);
}

static void ends_its_turn_though_a_timer_keeps_starting_itself(void **state)
{
    struct tb_timer timer = {.fired = spin};
    spinning = *state;
    tb_timer_start(spinning, &timer, 0);
    tb_loop_turn(spinning, 10);
    tb_loop_turn(spinning, 10);
    tb_timer_stop(spinning, &timer);
}

static void waits_no_longer_than_the_next_timer(void **state)
{
    struct tb_loop *loop = *state;
    struct named_timer timer = {{.fired = fired}, 'x'};
    int64_t began_us = tb_loop_us();
    tb_timer_start(loop, &timer.timer, 20);
    while (strlen(order) == 0)
        tb_loop_turn(loop, 60000);
    int64_t took_us = tb_loop_us() - began_us;
    assert_in_range(took_us, 18000, 59000000); /* not a whole turn */
}

struct pipe_watch {
    struct tb_watch watch;
    int fds[2];
    int reads, writes;
    struct tb_watch *close_also;
};

static void pipe_ready(struct tb_watch *watch, bool readable, bool writable)
{
    struct pipe_watch *p = (struct pipe_watch *)watch;
    p->reads += readable;
    p->writes += writable;
    if (p->close_also != NULL) {
        tb_watch_close(p->close_also);
        memset(p->close_also, 0xff, sizeof(*p->close_also)); /* its owner may be gone by now */
    }
}

static void open_pipe(struct tb_loop *loop, struct pipe_watch *p, int end)
{
    *p = (struct pipe_watch){.watch = {.ready = pipe_ready}};
    assert_int_equal(pipe2(p->fds, O_CLOEXEC | O_NONBLOCK), 0);
    tb_watch_open(loop, &p->watch, p->fds[end]);
}

static void close_pipe(struct pipe_watch *p)
{
    tb_watch_close(&p->watch);
    close(p->fds[0]);
    close(p->fds[1]);
}

static void reports_readiness_every_turn_until_it_is_used_up(void **state)
{
    struct pipe_watch p;
    open_pipe(*state, &p, 0);
    tb_watch_want(&p.watch, true, false);
    tb_loop_turn(*state, 0);
    assert_int_equal(p.reads, 0);
    assert_int_equal(write(p.fds[1], "x", 1), 1);
    for (int i = 0; i < 3; i++)
        tb_loop_turn(*state, 100);
    assert_int_equal(p.reads, 3);
    char c;
    assert_int_equal(read(p.fds[0], &c, 1), 1);
    tb_loop_turn(*state, 0);
    assert_int_equal(p.reads, 3);
    close_pipe(&p);
}

static void reports_only_what_is_wanted(void **state)
{
    struct pipe_watch p;
    open_pipe(*state, &p, 1);
    tb_loop_turn(*state, 0);
    assert_int_equal(p.writes, 0);
    tb_watch_want(&p.watch, false, true);
    tb_loop_turn(*state, 100);
    assert_int_equal(p.writes, 1);
    tb_watch_want(&p.watch, false, false);
    tb_loop_turn(*state, 0);
    assert_int_equal(p.writes, 1);
    tb_watch_want(&p.watch, false, true);
    close(p.fds[0]); /* a broken pipe is reported as writable: the write will tell */
    tb_loop_turn(*state, 100);
    assert_int_equal(p.writes, 2);
    p.fds[0] = dup(p.fds[1]);
    close_pipe(&p);
}

static void drops_the_report_of_a_watch_closed_in_the_same_turn(void **state)
{
    struct pipe_watch p[2];
    for (int i = 0; i < 2; i++) {
        open_pipe(*state, &p[i], 0);
        tb_watch_want(&p[i].watch, true, false);
        assert_int_equal(write(p[i].fds[1], "x", 1), 1);
    }
    p[0].close_also = &p[1].watch;
    p[1].close_also = &p[0].watch;
    tb_loop_turn(*state, 100);
    assert_int_equal(p[0].reads + p[1].reads, 1);
    for (int i = 0; i < 2; i++) {
        if (p[i].reads == 1)
            tb_watch_close(&p[i].watch);
        close(p[i].fds[0]);
        close(p[i].fds[1]);
    }
}

static void forgives_a_descriptor_closed_before_its_watch(void **state)
{
    struct pipe_watch p;
    open_pipe(*state, &p, 0);
    tb_watch_want(&p.watch, true, false);
    close(p.fds[0]);
    tb_watch_close(&p.watch);
    close(p.fds[1]);
    tb_loop_turn(*state, 0);
}

enum { POSTS = 1000 };
static int posted;

static void count_post(void *data)
{
    (void)data;
    posted++;
}

static void *post_many(void *loop)
{
    for (int i = 0; i < POSTS; i++)
        tb_loop_post(loop, count_post, NULL);
    return NULL;
}

static void takes_messages_from_other_threads(void **state)
{
    pthread_t threads[3];
    posted = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, *state), 0);
    for (int i = 0; i < 1000 && posted < 3 * POSTS; i++)
        tb_loop_turn(*state, 100);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(posted, 3 * POSTS);
}

static void hook_turn(struct tb_hook *hook)
{
    (void)hook;
    note('h');
}

static struct tb_wake pending_wake;

static void wait_once(void *arg);

static void post_wake(void *data)
{
    (void)data;
    note('p');
    tb_fiber_wake(pending_wake);
}

#include "runtime/run.h"

static void wait_once(void *arg)
{
    struct tb_run run;
    tb_run_init(&run, arg, NULL);
    tb_run_begin(&run);
    pending_wake = tb_fiber_token();
    tb_wait_always(&run.req);
    note('f');
    tb_run_end(&run);
}

static void runs_descriptors_then_timers_then_fibers_then_hooks(void **state)
{
    struct tb_loop *loop = *state;
    struct tb_hook hook = {.turn = hook_turn};
    struct named_timer timer = {{.fired = fired}, 't'};
    tb_hook_add(loop, &hook);
    assert_null(tb_fiber_start(loop, wait_once, loop));
    tb_timer_start(loop, &timer.timer, 0);
    tb_loop_post(loop, post_wake, NULL);
    tb_loop_turn(loop, 100);
    tb_hook_remove(loop, &hook);
    tb_loop_turn(loop, 0);
    assert_string_equal(order, "ptfh");
}

static void keeps_a_clock_that_is_not_older_than_the_event(void **state)
{
    struct tb_loop *loop = *state;
    int64_t before_ms = tb_loop_now_ms(loop);
    struct named_timer timer = {{.fired = fired}, 'x'};
    tb_timer_start(loop, &timer.timer, 30);
    turn_until(loop, 1);
    assert_in_range(tb_loop_now_ms(loop) - before_ms, 30, 1000);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t wall_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
    assert_in_range(wall_ms - tb_loop_wall_ms(loop) + 1000, 990, 2000);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(fires_timers_in_order_of_their_due_time),
    CASE(does_not_fire_a_stopped_timer),
    CASE(moves_a_timer_that_is_started_again),
    CASE(ends_its_turn_though_a_timer_keeps_starting_itself),
    CASE(waits_no_longer_than_the_next_timer),
    CASE(reports_readiness_every_turn_until_it_is_used_up),
    CASE(reports_only_what_is_wanted),
    CASE(drops_the_report_of_a_watch_closed_in_the_same_turn),
    CASE(forgives_a_descriptor_closed_before_its_watch),
    CASE(takes_messages_from_other_threads),
    CASE(runs_descriptors_then_timers_then_fibers_then_hooks),
    CASE(keeps_a_clock_that_is_not_older_than_the_event),
};
TEST_GROUP(tests, NULL, NULL);
