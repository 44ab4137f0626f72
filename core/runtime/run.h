/* A run: what the core keeps for everything that executes on a fiber, be it a client's request or a
 * job of the clerk. `struct tb_req` is its first member, so code that gets a request finds the run
 * by a cast (tb_run_of). The gateway's exchange begins with a run in the same way. */
#ifndef TB_RUNTIME_RUN_H
#define TB_RUNTIME_RUN_H

#include "base/arena.h"
#include "runtime/fiber.h"
#include <tongbao/req.h>

struct tb_incoming;

enum { TB_RUN_ERRORS = 16 }; /**< most places a problem lists */

/** One place in the request that is wrong. */
struct tb_place {
    const char *pointer;   /**< RFC 6901, "" is the whole body */
    const char *parameter; /**< of the query or the path */
    const char *header;    /**< a field's name in lower case */
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
    struct tb_str sqlstate, cause; /**< what PostgreSQL said of a statement it failed, or absent:
                                        for who owns the world, in a sandbox */
    struct tb_str extra; /**< JSON object with members to add to the document, or absent */
};

/** Whose request it is, as far as the code that runs has found out: for the decision trace. */
struct tb_caller {
    struct tb_str partner, app; /**< absent: not known */
    bool proven;                /**< authenticated; otherwise it is only what the request says */
    const char *cause;          /**< why it was refused, for the operator alone; NULL: no more than
                                     the problem says. Static storage */
};

struct tb_run {
    struct tb_req req; /**< first: a run is a request */
    struct tb_loop *loop;
    struct tb_arena *arena;
    const struct tb_incoming *in; /**< the client's request (http/server.h); NULL: a job */
    int64_t deadline_ms;          /**< loop clock; 0: none */
    bool finish;                  /**< a lost client does not cancel it */
    bool gone;                    /**< the client is gone */
    bool in_transaction;          /**< only database calls may wait */
    struct tb_fiber *fiber;       /**< that runs it, between tb_run_begin and tb_run_end */
    struct tb_problem problem;
    struct tb_caller caller;
    struct tb_str origin; /**< the web origin that may read the answer; absent: none */
    void *services; /**< what the services of its host table work with, where that is not the run */
    const char *label; /**< for logs and crash records: route or job name; static storage */
};

static inline struct tb_run *tb_run_of(struct tb_req *req)
{
    return (struct tb_run *)req;
}

/** Let the run take its memory from `arena`, for an answer that is larger than a request may hold
 * or that is soon done with.
 *  @return the arena it had, to be put back the same way before the run goes on */
static inline struct tb_arena *tb_run_borrow(struct tb_req *req, struct tb_arena *arena)
{
    struct tb_arena *own = tb_run_of(req)->arena;
    tb_run_of(req)->arena = arena;
    return own;
}

/** A table that has what needs no gateway: the four services below and nothing else. For jobs, for
 *  the command line and for tests of the floors below. Other tables use the same four. */
extern const struct tb_host tb_run_host;

/** From the run's arena. */
void *tb_run_alloc(struct tb_req *req, size_t n);

/** Record the problem: the first detail stays, each `pointer` adds a place (tb_fail_at has its
 * forms).
 *  @return `err`; TB_E_INTERNAL when the arena is used up, for then nothing said of the request can
 *  be trusted to be whole */
tb_err tb_run_fail(struct tb_req *req, tb_err err, const char *pointer, const char *format,
                   va_list args) TB_PRINTF(4, 0);

/** One line with the run's label. */
void tb_run_log(struct tb_req *req, enum tb_log_level level, const char *format, va_list args)
    TB_PRINTF(3, 0);

/** The wall clock: right for the live world, which has no other. */
int64_t tb_run_now(struct tb_req *req);

/** Prepare `run` on `loop` with the arena and tb_run_host. */
void tb_run_init(struct tb_run *run, struct tb_loop *loop, struct tb_arena *arena);

/** The running fiber executes `run` from here to tb_run_end: it may wait, and slow slices and
 * crashes carry its label. */
void tb_run_begin(struct tb_run *run);
void tb_run_end(struct tb_run *run);

/** The client is gone: end the run's wait with TB_E_CANCELLED, unless it must finish. */
void tb_run_cancel(struct tb_run *run);

/** Milliseconds left until the deadline, at least 0; `unlimited` when there is none. */
int64_t tb_run_left_ms(const struct tb_run *run, int64_t unlimited);

/** Run `job` with a client-less request on a fresh fiber and arena, both ended after it, and take
 *  turns of the loop until it has: for the command line and tests.
 *  @param within_ms  from now to the run's deadline; 0: none
 *  @return the job's error (its detail is logged), or TB_E_OVERLOAD */
tb_err TB_NODISCARD tb_run_to_end(struct tb_loop *loop, tb_err (*job)(struct tb_req *, void *),
                                  void *arg, int64_t within_ms);

/** The same, started and left to itself; an error of the job is logged.
 *  @param label  static storage
 *  @return NULL; TB_E_OVERLOAD (it did not start) */
tb_err TB_NODISCARD tb_run_detached(struct tb_loop *loop, const char *label,
                                    tb_err (*job)(struct tb_req *, void *), void *arg,
                                    int64_t within_ms);

#endif
