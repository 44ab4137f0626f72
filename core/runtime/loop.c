/* The turn of the loop, and its clocks. What happens in a turn is ordered so that work piles up
 * before it goes out: descriptors wake fibers, fibers make calls, hooks send the calls together. */
#include "runtime/loop.h"

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/loop_impl.h"
#include <time.h>

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t tb_loop_us(void)
{
    return monotonic_us();
}

/* h2o reads its (wall) clock when its wait ends, before it calls anybody back. Reading ours when
 * its has moved gives every callback a time that is not older than its event, for one read per
 * turn. */
int64_t tb_loop_now_ms(struct tb_loop *loop)
{
    uint64_t h2o_time = h2o_now(loop->h2o);
    if (h2o_time != loop->h2o_now) {
        loop->h2o_now = h2o_time;
        loop->now_ms = monotonic_us() / 1000;
    }
    return loop->now_ms;
}

int64_t tb_loop_wall_ms(struct tb_loop *loop)
{
    return (int64_t)h2o_now(loop->h2o);
}

struct tb_loop *tb_loop_new(void)
{
    struct tb_loop *loop = tb_mem(sizeof(*loop));
    loop->h2o = h2o_evloop_create();
    loop->now_ms = monotonic_us() / 1000;
    loop->h2o_now = h2o_now(loop->h2o);
    tb_watches_open(loop);
    tb_posts_open(loop);
    loop->fibers = tb_fibers_new(loop);
    return loop;
}

void tb_loop_free(struct tb_loop *loop)
{
    TB_ASSERT(tb_fiber_self() == NULL);
    if (loop->helpers != NULL)
        tb_helpers_free(loop->helpers);
    tb_fibers_free(loop->fibers);
    tb_posts_close(loop);
    tb_watches_close(loop);
    tb_mem_free(loop->timers.heap);
    h2o_evloop_destroy(loop->h2o);
    tb_mem_free(loop);
}

static int32_t wait_ms(struct tb_loop *loop, int32_t max_wait_ms)
{
    /* A write that h2o finished at once is reported by its next turn only. */
    bool h2o_pending = loop->h2o->_pending_as_client != NULL ||
                       loop->h2o->_pending_as_server != NULL;
    if (loop->stopping || loop->touched || h2o_pending || tb_fibers_ready(loop->fibers))
        return 0;
    if (loop->timers.n == 0)
        return max_wait_ms;
    int64_t left_ms = loop->timers.heap[1]->due_ms - monotonic_us() / 1000;
    if (left_ms <= 0)
        return 0;
    return left_ms < max_wait_ms ? (int32_t)left_ms : max_wait_ms;
}

void tb_loop_turn(struct tb_loop *loop, int32_t max_wait_ms)
{
    TB_ASSERT(tb_fiber_self() == NULL && !loop->turning);
    int32_t wait = wait_ms(loop, max_wait_ms);
    loop->turning = true;
    loop->touched = false;
    /* -1 means a signal ended the wait: a turn in which nothing was ready. */
    (void)h2o_evloop_run(loop->h2o, wait);
    loop->now_ms = monotonic_us() / 1000;
    loop->h2o_now = h2o_now(loop->h2o);
    tb_timers_run(loop);
    tb_fibers_run(loop->fibers);
    for (struct tb_hook *hook = loop->hooks, *next; hook != NULL; hook = next) {
        next = hook->next;
        hook->turn(hook);
    }
    loop->turning = false;
}

void tb_loop_run(struct tb_loop *loop)
{
    loop->stopping = false;
    while (!loop->stopping)
        tb_loop_turn(loop, INT32_MAX);
}

void tb_loop_stop(struct tb_loop *loop)
{
    loop->stopping = true;
}

void *tb_loop_h2o(struct tb_loop *loop)
{
    return loop->h2o;
}

void tb_hook_add(struct tb_loop *loop, struct tb_hook *hook)
{
    struct tb_hook **at = &loop->hooks;
    while (*at != NULL)
        at = &(*at)->next;
    hook->next = NULL;
    *at = hook;
}

void tb_hook_remove(struct tb_loop *loop, struct tb_hook *hook)
{
    for (struct tb_hook **at = &loop->hooks; *at != NULL; at = &(*at)->next)
        if (*at == hook) {
            *at = hook->next;
            return;
        }
}
