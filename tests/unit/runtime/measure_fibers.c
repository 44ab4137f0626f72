/* What fibers cost: a start and end without a wait, a wait and its wake, a first stack, memory.
 * Prints one figure a line; the best of several rounds, because the machine is shared. */
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/run.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 7, STARTS = 200 * 1000, PAIR_TURNS = 100 * 1000, SLEEPERS = 1024 };

static size_t sink;

static void touch(void *arg)
{
    sink += (size_t)arg;
}

static void touch_run(void *arg)
{
    tb_run_begin(arg);
    tb_run_end(arg);
}

static int64_t start_and_end(struct tb_loop *loop, void (*main)(void *), void *arg)
{
    int64_t began_us = tb_loop_us();
    for (int i = 0; i < STARTS; i++)
        if (tb_fiber_start(loop, main, arg) != NULL)
            return -1;
    return (tb_loop_us() - began_us) * 1000 / STARTS;
}

struct waiter {
    struct tb_run run;
    struct tb_wake wake;
    int left;
};

static void TB_SUSPENDS wait_often(void *arg)
{
    struct waiter *waiter = arg;
    tb_run_begin(&waiter->run);
    while (waiter->left-- > 0) {
        waiter->wake = tb_fiber_token();
        tb_wait_always(&waiter->run.req);
    }
    tb_run_end(&waiter->run);
}

/* Waits and wakes of many fibers a turn, so that the turn itself hardly counts. */
static int64_t wait_and_wake(struct tb_loop *loop, int64_t deadline_ms)
{
    enum { MANY = 256 };
    static struct waiter waiters[MANY];
    for (int i = 0; i < MANY; i++) {
        tb_run_init(&waiters[i].run, loop, NULL);
        waiters[i].run.deadline_ms = deadline_ms;
        waiters[i].left = PAIR_TURNS / MANY;
        (void)!tb_fiber_start(loop, wait_often, &waiters[i]);
    }
    int64_t began_us = tb_loop_us();
    for (int turn = 0; turn < PAIR_TURNS / MANY; turn++) {
        for (int i = 0; i < MANY; i++)
            tb_fiber_wake(waiters[i].wake);
        tb_loop_turn(loop, 0);
    }
    return (tb_loop_us() - began_us) * 1000 / PAIR_TURNS;
}

static int64_t empty_turn(struct tb_loop *loop)
{
    enum { TURNS = 100 * 1000 };
    int64_t began_us = tb_loop_us();
    for (int i = 0; i < TURNS; i++)
        tb_loop_turn(loop, 0);
    return (tb_loop_us() - began_us) * 1000 / TURNS;
}

static long resident_kib(void)
{
    char line[256];
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL ||
        sscanf(line, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void memory_of_sleepers(struct tb_loop *loop)
{
    static struct waiter waiters[SLEEPERS];
    memset(waiters, 0, sizeof(waiters));
    long before = resident_kib();
    int64_t began_us = tb_loop_us();
    for (int i = 0; i < SLEEPERS; i++) {
        tb_run_init(&waiters[i].run, loop, NULL);
        waiters[i].left = 1;
        (void)!tb_fiber_start(loop, wait_often, &waiters[i]);
    }
    int64_t took_us = tb_loop_us() - began_us;
    printf("first start (maps a stack)      %6lld ns\n", (long long)(took_us * 1000 / SLEEPERS));
    printf("resident per waiting fiber      %6.1f KiB\n",
           (double)(resident_kib() - before) / SLEEPERS);
    for (int i = 0; i < SLEEPERS; i++)
        tb_fiber_wake(waiters[i].wake);
    tb_loop_turn(loop, 0);
}

#define BEST(expr)                                                                                 \
    __extension__({                                                                                \
        int64_t best_ = INT64_MAX;                                                                 \
        for (int round_ = 0; round_ < ROUNDS; round_++) {                                          \
            int64_t ns_ = (expr);                                                                  \
            best_ = ns_ < best_ ? ns_ : best_;                                                     \
        }                                                                                          \
        (long long)best_;                                                                          \
    })

int main(void)
{
    struct tb_loop *loop = tb_loop_new();
    struct tb_run run;
    tb_run_init(&run, loop, NULL);
    memory_of_sleepers(loop);
    printf("start and end, no wait          %6lld ns\n", BEST(start_and_end(loop, touch, loop)));
    printf("the same with a run             %6lld ns\n",
           BEST(start_and_end(loop, touch_run, &run)));
    printf("wait and wake                   %6lld ns\n", BEST(wait_and_wake(loop, 0)));
    printf("the same with a deadline        %6lld ns\n",
           BEST(wait_and_wake(loop, tb_loop_now_ms(loop) + 60000)));
    printf("turn with nothing ready         %6lld ns\n", BEST(empty_turn(loop)));
    tb_loop_free(loop);
    return sink == 0;
}
