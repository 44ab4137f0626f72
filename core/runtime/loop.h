/* The event loop of a worker: libh2o's evloop with timers, descriptors and end-of-turn hooks of our
 * own. One loop per thread; nothing here is thread-safe except where said.
 *
 *     struct tb_loop *loop = tb_loop_new();
 *     tb_fiber_start(loop, serve, data);
 *     tb_loop_run(loop);                        // until tb_loop_stop
 */
#ifndef TB_RUNTIME_LOOP_H
#define TB_RUNTIME_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tb_loop;

/** The structure whose member `member` is at `at`: a callback's way from a timer to its owner. */
#define TB_OWNER(at, type, member) ((type *)(void *)((char *)(at)-offsetof(type, member)))

/** A timer, embedded in its owner. Zero-initialise. Fires once. */
struct tb_timer {
    void (*fired)(struct tb_timer *timer);
    int64_t due_ms; /**< loop clock; set by tb_timer_start */
    uint32_t slot;  /**< place in the loop's heap; 0: not running */
};

/** A descriptor being watched, embedded in its owner. Zero-initialise and set `ready`; the rest is
 *  the loop's. Errors and hang-ups are reported as whatever was asked for: the next call tells. */
struct tb_watch {
    void (*ready)(struct tb_watch *watch, bool readable, bool writable);
    struct tb_loop *loop; /**< NULL when closed */
    int fd;
    uint32_t events; /**< epoll bits asked for; 0: none, and not registered */
};

/** A function run at the end of every turn of the loop, before it sleeps: where work that piled up
 *  during the turn goes out together. Embedded in its owner. */
struct tb_hook {
    void (*turn)(struct tb_hook *hook);
    struct tb_hook *next;
};

/** A loop for this thread. Never NULL. */
struct tb_loop *tb_loop_new(void);

/** End the loop. No fiber may be alive; timers and watches still open are forgotten. The h2o loop
 *  below ends only when all its sockets and timeouts have been closed before. */
void tb_loop_free(struct tb_loop *loop);

/** Take turns until tb_loop_stop. A turn is: wait for and report what is ready, fire the timers
 * that are due, continue the fibers that were woken (in the order of their wakes), run the hooks.
 */
void tb_loop_run(struct tb_loop *loop);

/** One turn, waiting at most `max_wait_ms`. For tests and orderly shutdown. */
void tb_loop_turn(struct tb_loop *loop, int32_t max_wait_ms);

/** Let tb_loop_run return after this turn. From other threads: by tb_loop_post. */
void tb_loop_stop(struct tb_loop *loop);

/** The underlying h2o_loop_t, for core/http. */
void *tb_loop_h2o(struct tb_loop *loop);

/** Monotonic ms and wall-clock ms since 1970, both read once per turn, after the wait. */
int64_t tb_loop_now_ms(struct tb_loop *loop);
int64_t tb_loop_wall_ms(struct tb_loop *loop);

/** Monotonic microseconds, read now (not cached): for measuring. */
int64_t tb_loop_us(void);

/** Fire `delay_ms` from now, at the end of a turn. A timer that runs is set anew. */
void tb_timer_start(struct tb_loop *loop, struct tb_timer *timer, int64_t delay_ms);

/** Nothing happens if the timer is not running. */
void tb_timer_stop(struct tb_loop *loop, struct tb_timer *timer);

/** Watch `fd` (borrowed: closing it stays the caller's business, after tb_watch_close). Reports
 *  nothing before tb_watch_want. */
void tb_watch_open(struct tb_loop *loop, struct tb_watch *watch, int fd);

/** Ask for what the next turns report. Level-triggered: asked-for readiness is reported every turn.
 */
void tb_watch_want(struct tb_watch *watch, bool read, bool write);

/** No report comes after this, not even of this turn. */
void tb_watch_close(struct tb_watch *watch);

void tb_hook_add(struct tb_loop *loop, struct tb_hook *hook);
void tb_hook_remove(struct tb_loop *loop, struct tb_hook *hook);

/** Call `wake(data)` on the loop's thread, from any thread. */
void tb_loop_post(struct tb_loop *loop, void (*wake)(void *data), void *data);

#endif
