/* A run: what the core keeps for everything that executes on a fiber, be it a client's request or a
 * job of the clerk. `struct tb_req` is its first member, so code that gets a request finds the run
 * by a cast (tb_run_of). The gateway's exchange begins with a run in the same way. */
#ifndef TB_RUNTIME_RUN_H
#define TB_RUNTIME_RUN_H

#include "base/arena.h"
#include "runtime/fiber.h"
#include <tongbao/req.h>

enum { TB_RUN_ERRORS = 16 }; /**< most places a problem lists */

/** One place in the request that is wrong. */
struct tb_place {
    const char *pointer; /**< RFC 6901, "" is the whole body */
    const char *parameter;
    const char *code;
    const char *detail;
};

/** Why a run failed, in words for the partner. */
struct tb_problem {
    struct tb_str detail;
    struct tb_place places[TB_RUN_ERRORS];
    size_t places_n, places_total;
    struct tb_str link;    /**< path of a related resource for a Link header, or absent */
    int64_t retry_after_s; /**< 0: none */
    const char *decline_code;
};

struct tb_run {
    struct tb_req req; /**< first: a run is a request */
    struct tb_loop *loop;
    struct tb_arena *arena;
    int64_t deadline_ms; /**< loop clock; 0: none */
    bool finish;         /**< a lost client does not cancel it */
    bool gone;           /**< the client is gone */
    bool in_transaction; /**< only database calls may wait */
    struct tb_fiber *fiber; /**< that runs it, NULL before it starts and after it ends */
    struct tb_problem problem;
    const char *label;   /**< for logs and crash records: route or job name */
};

static inline struct tb_run *tb_run_of(struct tb_req *req)
{
    return (struct tb_run *)req;
}

/** A table that has what needs no gateway (alloc, fail, log, now by the wall clock): for jobs, for the
 *  command line and for tests of the floors below. */
extern const struct tb_host tb_run_host;

/** Prepare `run` on `loop` with the arena and tb_run_host. */
void tb_run_init(struct tb_run *run, struct tb_loop *loop, struct tb_arena *arena);

/** The client is gone: end the run's wait with TB_E_CANCELLED, unless it must finish. */
void tb_run_cancel(struct tb_run *run);

/** Milliseconds left until the deadline, at least 0; `unlimited` when there is none. */
int64_t tb_run_left_ms(const struct tb_run *run, int64_t unlimited);

/** Run `job` with a client-less request on a fresh fiber and arena, both ended after it; for the
 *  command line: drives the loop until the job ends and returns its error. */
tb_err TB_NODISCARD tb_run_to_end(struct tb_loop *loop, tb_err (*job)(struct tb_req *, void *),
                                  void *arg, int64_t deadline_ms);

/** The same, started and left to itself (its error is logged). */
tb_err TB_NODISCARD tb_run_detached(struct tb_loop *loop, const char *label,
                                    tb_err (*job)(struct tb_req *, void *), void *arg,
                                    int64_t deadline_ms);

#endif
