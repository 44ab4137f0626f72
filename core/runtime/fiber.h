/* Fibers: functions that wait without blocking the worker. Each has a stack of its own (256 KiB and
 * a guard page, pooled); a switch is a dozen instructions.
 *
 * Waiting is in two steps, so that a wake that comes first is not lost and one that comes late is
 * dropped and counted:
 *
 *     struct tb_wake wake = tb_fiber_token();       // for the wait that follows
 *     start_something(wake);                        // keeps the token, calls tb_fiber_wake(wake)
 *     TB_TRY(tb_wait(req));                         // NULL, TB_E_CANCELLED or TB_E_DEADLINE
 */
#ifndef TB_RUNTIME_FIBER_H
#define TB_RUNTIME_FIBER_H

#include "runtime/loop.h"
#include <stddef.h>
#include <tongbao/error.h>

struct tb_fiber;
struct tb_req;
struct tb_run;

enum {
    TB_FIBER_STACK = 256 * 1024,
    TB_FIBERS_MAX = 4096, /**< live fibers of one loop unless tb_fiber_limit says otherwise */
};

/** The right to wake one wait of one fiber, once. */
struct tb_wake {
    struct tb_fiber *fiber;
    uint64_t generation;
};

/** Run `main(arg)` on a fiber of its own, now, until it first waits or ends. May be called on a
 * fiber.
 *  @return NULL; TB_E_OVERLOAD (too many live fibers, or no memory for another stack) */
tb_err TB_NODISCARD tb_fiber_start(struct tb_loop *loop, void (*main)(void *arg), void *arg);

/** How many fibers of `loop` may be alive at once; those beyond are refused, not ended. */
void tb_fiber_limit(struct tb_loop *loop, size_t most);

/** The running fiber, NULL outside any. */
struct tb_fiber *tb_fiber_self(void);

/** The run that the running fiber executes (see tb_run_begin), or NULL. For crash records: safe in
 * a signal handler. */
const struct tb_run *tb_fiber_run(void);

/** A token for the next wait of the running fiber. Earlier tokens become void. */
struct tb_wake tb_fiber_token(void);

/** Make the fiber runnable; it continues at the end of this turn, in order. A token that is void
 * (its wait is over) is dropped and counted. Same thread only. */
void tb_fiber_wake(struct tb_wake wake);

/** Wait until the token is woken, the run's deadline passes, or the run is cancelled (runs with
 *  `finish` set are not cancelled by a lost client). A wake that came before wins over both. After
 * an error the token is void.
 *  @return NULL; TB_E_DEADLINE; TB_E_CANCELLED */
tb_err TB_NODISCARD TB_SUSPENDS tb_wait(struct tb_req *req);

/** As tb_wait, but neither deadline nor cancellation ends it: for waits whose owner must hear the
 * end. */
void TB_SUSPENDS tb_wait_always(struct tb_req *req);

/** Wait `ms` milliseconds.
 *  @return NULL; TB_E_DEADLINE; TB_E_CANCELLED */
tb_err TB_NODISCARD TB_SUSPENDS tb_sleep(struct tb_req *req, int64_t ms);

/** Run `work(arg)` on a helper thread and wait for its end: for what blocks (name resolution,
 * files, password hashing). Waits to the end even when cancelled, so `arg` may live on the stack.
 *  @return NULL; TB_E_OVERLOAD (the queue of 256 is full) */
tb_err TB_NODISCARD TB_SUSPENDS tb_offload(struct tb_req *req, void (*work)(void *arg), void *arg);

struct tb_fiber_stats {
    size_t live, pooled, high_water; /**< fibers alive; idle stacks; most alive at once */
    size_t deepest_stack_bytes;      /**< watermark over the fibers ended so far */
    uint64_t started, late_wakes;
    uint64_t slow_slices; /**< more than 20 ms of CPU between two waits; each is logged */
};

/** Looks at the stacks used since the last call: microseconds each, 32 of them at most. */
struct tb_fiber_stats tb_fiber_stats(struct tb_loop *loop);

#endif
