/* Fibers: starting, waiting, waking, ending. Control blocks live as long as the loop, so a token
 * may be kept past the end of its fiber; stacks come from a pool that shrinks to what recent load
 * needed. */
#include "runtime/fiber.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/context.h"
#include "runtime/loop_impl.h"
#include "runtime/run.h"
#include "runtime/sanitize.h"
#include "runtime/stack.h"
#include "runtime/ticks.h"
#include <signal.h>

enum {
    POOL_KEEP = 16,           /* idle stacks never given back */
    POOL_TRIM_MS = 10 * 1000, /* how often the pool is fitted to the load */
    POOL_LOOK = 32,           /* stacks one call of tb_fiber_stats measures */
    COLOURS = 32,             /* stack tops are offset, or hot frames would alias in the L1 cache */
    COLOUR_BYTES = 128,
    SLICE_MS = TB_SLOW_TOOLS ? 500 : 20,
};

enum state { IDLE, RUNNING, WAITING, READY, ENDED };

struct tb_fiber {
    struct tb_context context;
    struct tb_fibers *home;
    struct tb_fiber *next;    /* in the ready queue, or among the idle */
    struct tb_fiber *resumer; /* continues when this one waits or ends */
    enum state state;
    bool woken;   /* the token was used before the wait began */
    bool may_end; /* deadline and cancellation end this wait */
    bool unseen;  /* the stack was used since it was last measured */
    uint64_t generation;
    tb_err outcome; /* of the wait */
    void (*main)(void *arg);
    void *arg;
    struct tb_run *run;
    const char *label;    /* of the last run, for the report of its last slice */
    uint64_t inner_ticks; /* spent in fibers that this one started during its slice */
    struct tb_timer deadline;
    struct tb_stack stack;
    size_t colour;
    struct tb_fiber *sibling; /* all fibers of the loop */
#ifdef TB_HAS_ASAN
    void *fake_stack;
    const void *asan_low;
    size_t asan_n;
#endif
#ifdef TB_HAS_TSAN
    void *tsan;
#endif
};

struct tb_fibers {
    struct tb_loop *loop;
    struct tb_fiber root; /* the thread's own stack, between fibers */
    struct tb_fiber *ready, **ready_last;
    struct tb_fiber *pooled; /* idle, with a stack */
    struct tb_fiber *bare;   /* idle, without */
    struct tb_fiber *all;
    size_t all_n, most;
    size_t peak; /* most alive since the pool was last trimmed */
    struct tb_timer trim;
    struct tb_fiber_stats stats;
    struct tb_tick_origin origin;
};

static _Thread_local struct tb_fiber *current;

struct tb_fiber *tb_fiber_self(void)
{
    return current;
}

const struct tb_run *tb_fiber_run(void)
{
    return current == NULL ? NULL : current->run;
}

/* ---- changing stacks ---- */

/* Only this function and `body` see a change of stacks; nothing of the caller may be kept in places
 * the compiler believes unchanged, hence no inlining. */
__attribute__((noinline)) static void switch_to(struct tb_fiber *from, struct tb_fiber *to)
{
    current = to == &to->home->root ? NULL : to;
#ifdef TB_HAS_ASAN
    /* Without a place to keep it, the stack of fake frames is freed. */
    __sanitizer_start_switch_fiber(from->state == ENDED ? NULL : &from->fake_stack, to->asan_low,
                                   to->asan_n);
#endif
#ifdef TB_HAS_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    tb_context_switch(&from->context, &to->context);
#ifdef TB_HAS_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

static void body(void *arg)
{
    struct tb_fiber *self = arg;
#ifdef TB_HAS_ASAN
    __sanitizer_finish_switch_fiber(NULL, &self->resumer->asan_low, &self->resumer->asan_n);
#endif
    self->main(self->arg);
    TB_ASSERT(self->run == NULL);
    self->state = ENDED;
    switch_to(self, self->resumer);
    TB_ASSERT(self->state != ENDED); /* nobody continues an ended fiber */
}

static void report_slice(struct tb_fiber *fiber, uint64_t ticks)
{
    struct tb_fibers *home = fiber->home;
    int64_t ms = tb_ticks_ms(&home->origin, ticks);
    if (ms < SLICE_MS)
        return;
    home->stats.slow_slices++;
    const char *label = fiber->run != NULL ? fiber->run->label : fiber->label;
    tb_log_with(TB_LOG_WARN, "slow_slice", TB_F_CSTR("run", label), TB_F_INT("ms", ms));
}

static void recycle(struct tb_fiber *fiber)
{
    struct tb_fibers *home = fiber->home;
    if (fiber->deadline.slot != 0)
        tb_timer_stop(home->loop, &fiber->deadline);
#ifdef TB_HAS_TSAN
    __tsan_destroy_fiber(fiber->tsan);
#endif
    fiber->generation++;
    fiber->state = IDLE;
    fiber->label = NULL;
    fiber->next = home->pooled;
    home->pooled = fiber;
    home->stats.live--;
    if (++home->stats.pooled > POOL_KEEP && home->trim.slot == 0)
        tb_timer_start(home->loop, &home->trim, POOL_TRIM_MS);
}

/* Continue `fiber` until it waits or ends. */
static void resume(struct tb_fiber *fiber)
{
    struct tb_loop *loop = fiber->home->loop;
    struct tb_fiber *from = current == NULL ? &fiber->home->root : current;
    loop->touched |= !loop->turning;
    fiber->resumer = from;
    fiber->state = RUNNING;
    uint64_t began = tb_ticks();
    switch_to(from, fiber);
    uint64_t took = tb_ticks() - began;
    uint64_t own = took - fiber->inner_ticks;
    fiber->inner_ticks = 0;
    from->inner_ticks += took;
    if (own > TB_TICKS_SUSPICIOUS)
        report_slice(fiber, own);
    if (fiber->state == ENDED)
        recycle(fiber);
}

/* ---- the pool ---- */

static void look_at_stack(struct tb_fiber *fiber)
{
    struct tb_fiber_stats *stats = &fiber->home->stats;
    size_t used = tb_stack_used(&fiber->stack);
    if (used > stats->deepest_stack_bytes)
        stats->deepest_stack_bytes = used;
    fiber->unseen = false;
}

static void drop_stack(struct tb_fibers *fibers)
{
    struct tb_fiber *fiber = fibers->pooled;
    fibers->pooled = fiber->next;
    fibers->stats.pooled--;
    if (fiber->unseen)
        look_at_stack(fiber);
    tb_stack_unmap(&fiber->stack);
    fiber->next = fibers->bare;
    fibers->bare = fiber;
}

/* Keep as many stacks as were in use at once since the last time. */
static void trim_pool(struct tb_timer *timer)
{
    struct tb_fibers *fibers = TB_OWNER(timer, struct tb_fibers, trim);
    size_t keep = fibers->peak > POOL_KEEP ? fibers->peak : POOL_KEEP;
    while (fibers->stats.pooled > 0 && fibers->stats.pooled + fibers->stats.live > keep)
        drop_stack(fibers);
    fibers->peak = fibers->stats.live;
    if (fibers->stats.pooled > POOL_KEEP)
        tb_timer_start(fibers->loop, &fibers->trim, POOL_TRIM_MS);
}

static void deadline_passed(struct tb_timer *timer);

static struct tb_fiber *new_fiber(struct tb_fibers *fibers)
{
    struct tb_fiber *fiber = fibers->bare;
    if (fiber == NULL) {
        fiber = tb_mem(sizeof(*fiber));
        fiber->home = fibers;
        fiber->deadline.fired = deadline_passed;
        fiber->colour = fibers->all_n++ % COLOURS * COLOUR_BYTES;
        fiber->sibling = fibers->all;
        fibers->all = fiber;
        fibers->bare = fiber;
    }
    if (!tb_stack_map(&fiber->stack))
        return NULL;
    fibers->bare = fiber->next;
#ifdef TB_HAS_ASAN
    fiber->asan_low = fiber->stack.low;
    fiber->asan_n = TB_FIBER_STACK;
#endif
    return fiber;
}

static struct tb_fiber *idle_fiber(struct tb_fibers *fibers)
{
    struct tb_fiber *fiber = fibers->pooled;
    if (fiber == NULL)
        return new_fiber(fibers);
    fibers->pooled = fiber->next;
    fibers->stats.pooled--;
    return fiber;
}

tb_err tb_fiber_start(struct tb_loop *loop, void (*main)(void *arg), void *arg)
{
    struct tb_fibers *fibers = loop->fibers;
    struct tb_fiber_stats *stats = &fibers->stats;
    if (stats->live >= fibers->most)
        return TB_E_OVERLOAD;
    struct tb_fiber *fiber = idle_fiber(fibers);
    if (fiber == NULL)
        return TB_E_OVERLOAD;
    stats->started++;
    if (++stats->live > stats->high_water)
        stats->high_water = stats->live;
    if (stats->live > fibers->peak)
        fibers->peak = stats->live;
    fiber->main = main;
    fiber->arg = arg;
    fiber->unseen = true;
    fiber->woken = false;
    tb_context_make(&fiber->context, fiber->stack.low, TB_FIBER_STACK - fiber->colour, body, fiber);
#ifdef TB_HAS_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    resume(fiber);
    return NULL;
}

void tb_fiber_limit(struct tb_loop *loop, size_t most)
{
    loop->fibers->most = most;
}

/* ---- waiting ---- */

struct tb_wake tb_fiber_token(void)
{
    TB_ASSERT(current != NULL);
    current->woken = false;
    return (struct tb_wake){current, ++current->generation};
}

static void end_wait(struct tb_fiber *fiber, tb_err outcome)
{
    struct tb_fibers *home = fiber->home;
    fiber->generation++;
    fiber->outcome = outcome;
    fiber->state = READY;
    fiber->next = NULL;
    *home->ready_last = fiber;
    home->ready_last = &fiber->next;
}

void tb_fiber_wake(struct tb_wake wake)
{
    struct tb_fiber *fiber = wake.fiber;
    if (wake.generation != fiber->generation) {
        fiber->home->stats.late_wakes++;
    } else if (fiber->state == WAITING) {
        end_wait(fiber, NULL);
    } else {
        fiber->generation++;
        fiber->woken = true;
    }
}

void tb_fiber_cancel(struct tb_fiber *fiber)
{
    if (fiber->state == WAITING && fiber->may_end)
        end_wait(fiber, TB_E_CANCELLED);
}

/* The timer stays in the heap from wait to wait of a run; so it may fire when nobody waits, or too
 * early when the deadline has moved. */
static void deadline_passed(struct tb_timer *timer)
{
    struct tb_fiber *fiber = TB_OWNER(timer, struct tb_fiber, deadline);
    if (fiber->state == WAITING && fiber->may_end && fiber->run->deadline_ms != 0 &&
        fiber->run->deadline_ms <= tb_loop_now_ms(fiber->home->loop))
        end_wait(fiber, TB_E_DEADLINE);
}

static void arm_deadline(struct tb_fiber *self, int64_t deadline_ms, int64_t now_ms)
{
    if (self->deadline.slot == 0 || self->deadline.due_ms != deadline_ms)
        tb_timer_start(self->home->loop, &self->deadline, deadline_ms - now_ms);
}

static tb_err TB_SUSPENDS wait(struct tb_req *req, bool may_end)
{
    struct tb_fiber *self = current;
    struct tb_run *run = tb_run_of(req);
    TB_ASSERT(self != NULL && run->fiber == self);
    if (self->woken) {
        self->woken = false;
        return NULL;
    }
    if (may_end && run->gone && !run->finish) {
        self->generation++;
        return TB_E_CANCELLED;
    }
    if (may_end && run->deadline_ms != 0) {
        int64_t now_ms = tb_loop_now_ms(self->home->loop);
        if (run->deadline_ms <= now_ms) {
            self->generation++;
            return TB_E_DEADLINE;
        }
        arm_deadline(self, run->deadline_ms, now_ms);
    }
    self->may_end = may_end;
    self->state = WAITING;
    switch_to(self, self->resumer);
    return self->outcome;
}

tb_err TB_SUSPENDS tb_wait(struct tb_req *req)
{
    return wait(req, true);
}

void TB_SUSPENDS tb_wait_always(struct tb_req *req)
{
    tb_err err = wait(req, false);
    TB_ASSERT(err == NULL);
}

struct nap {
    struct tb_timer timer;
    struct tb_wake wake;
};

static void nap_over(struct tb_timer *timer)
{
    tb_fiber_wake(TB_OWNER(timer, struct nap, timer)->wake);
}

tb_err TB_SUSPENDS tb_sleep(struct tb_req *req, int64_t ms)
{
    struct tb_run *run = tb_run_of(req);
    TB_ASSERT(!run->in_transaction);
    struct nap nap = {.timer = {.fired = nap_over}, .wake = tb_fiber_token()};
    tb_timer_start(run->loop, &nap.timer, ms);
    tb_err err = tb_wait(req);
    tb_timer_stop(run->loop, &nap.timer);
    return err;
}

void tb_fiber_bind(struct tb_run *run)
{
    TB_ASSERT(current != NULL && (run == NULL) != (current->run == NULL));
    if (run == NULL)
        current->label = current->run->label;
    current->run = run;
}

/* ---- the loop's side ---- */

bool tb_fibers_ready(const struct tb_fibers *fibers)
{
    return fibers->ready != NULL;
}

/* Those woken while these run continue in the next turn, after its descriptors: two fibers that
 * keep waking each other must not starve the rest. */
void tb_fibers_run(struct tb_fibers *fibers)
{
    struct tb_fiber *fiber = fibers->ready;
    fibers->ready = NULL;
    fibers->ready_last = &fibers->ready;
    while (fiber != NULL) {
        struct tb_fiber *next = fiber->next;
        resume(fiber);
        fiber = next;
    }
}

struct tb_fibers *tb_fibers_new(struct tb_loop *loop)
{
    struct tb_fibers *fibers = tb_mem(sizeof(*fibers));
    fibers->loop = loop;
    fibers->root.home = fibers;
    fibers->ready_last = &fibers->ready;
    fibers->trim.fired = trim_pool;
    fibers->most = TB_FIBERS_MAX;
    tb_tick_origin_set(&fibers->origin);
#ifdef TB_HAS_TSAN
    fibers->root.tsan = __tsan_get_current_fiber();
#endif
    return fibers;
}

void tb_fibers_free(struct tb_fibers *fibers)
{
    TB_ASSERT(fibers->stats.live == 0);
    tb_timer_stop(fibers->loop, &fibers->trim);
    while (fibers->pooled != NULL)
        drop_stack(fibers);
    for (struct tb_fiber *fiber = fibers->all, *next; fiber != NULL; fiber = next) {
        next = fiber->sibling;
        tb_mem_free(fiber);
    }
    tb_mem_free(fibers);
}

struct tb_fiber_stats tb_fiber_stats(struct tb_loop *loop)
{
    struct tb_fibers *fibers = loop->fibers;
    size_t looks = POOL_LOOK;
    for (struct tb_fiber *fiber = fibers->pooled; fiber != NULL && looks > 0; fiber = fiber->next)
        if (fiber->unseen) {
            look_at_stack(fiber);
            looks--;
        }
    return fibers->stats;
}
