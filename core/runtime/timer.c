/* Timers: a binary heap that knows each timer's place, so that stopping is as cheap as starting. */
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/loop_impl.h"

static void put(struct tb_timers *timers, uint32_t slot, struct tb_timer *timer)
{
    timers->heap[slot] = timer;
    timer->slot = slot;
}

/* Let `timer` rise from the free place `slot` past all that are due later. */
static void rise(struct tb_timers *timers, uint32_t slot, struct tb_timer *timer)
{
    while (slot > 1 && timers->heap[slot / 2]->due_ms > timer->due_ms) {
        put(timers, slot, timers->heap[slot / 2]);
        slot /= 2;
    }
    put(timers, slot, timer);
}

/* Let `timer` sink from the free place `slot` past all that are due earlier. */
static void sink(struct tb_timers *timers, uint32_t slot, struct tb_timer *timer)
{
    for (uint32_t child = slot * 2; child <= timers->n; child = slot * 2) {
        if (child < timers->n && timers->heap[child + 1]->due_ms < timers->heap[child]->due_ms)
            child++;
        if (timers->heap[child]->due_ms >= timer->due_ms)
            break;
        put(timers, slot, timers->heap[child]);
        slot = child;
    }
    put(timers, slot, timer);
}

void tb_timer_start(struct tb_loop *loop, struct tb_timer *timer, int64_t delay_ms)
{
    TB_ASSERT(timer->fired != NULL);
    struct tb_timers *timers = &loop->timers;
    tb_timer_stop(loop, timer);
    if (timers->n + 1 >= timers->room) {
        timers->room = timers->room == 0 ? 64 : timers->room * 2;
        timers->heap = tb_mem_resize(timers->heap, timers->room * sizeof(*timers->heap));
    }
    timer->due_ms = tb_loop_now_ms(loop) + (delay_ms > 0 ? delay_ms : 0);
    rise(timers, ++timers->n, timer);
}

void tb_timer_stop(struct tb_loop *loop, struct tb_timer *timer)
{
    struct tb_timers *timers = &loop->timers;
    uint32_t slot = timer->slot;
    if (slot == 0)
        return;
    TB_ASSERT(slot <= timers->n && timers->heap[slot] == timer);
    timer->slot = 0;
    struct tb_timer *last = timers->heap[timers->n--];
    if (last == timer)
        return;
    if (slot > 1 && timers->heap[slot / 2]->due_ms > last->due_ms)
        rise(timers, slot, last);
    else
        sink(timers, slot, last);
}

/* At most as many fire as were running at the start: one that always starts itself again with no
 * delay must not keep the turn from ending. */
void tb_timers_run(struct tb_loop *loop)
{
    struct tb_timers *timers = &loop->timers;
    for (uint32_t most = timers->n; most > 0 && timers->n > 0; most--) {
        struct tb_timer *timer = timers->heap[1];
        if (timer->due_ms > loop->now_ms)
            return;
        tb_timer_stop(loop, timer);
        timer->fired(timer);
    }
}
