/* The guard: defence of Debian's libh2o-evloop 2.2.5 against clients that cost more than they pay.
 * The executable carries functions with the library's own names; the library's calls to itself go
 * through its jump table and land here first. The owner of the accept loop calls, in this order:
 *
 *     tb_guard_check(why, sizeof(why))            at start-up; refuse to serve when it is false
 *     tb_guard_start(ctx, &limits, counters)      once per worker process, after h2o_context_init
 *     if (!tb_guard_accept(sock)) h2o_socket_close(sock);      for each accepted socket
 *     tb_guard_work_begin / tb_guard_work_end     around the backend work of each request
 *     tb_guard_drain()                            before the worker ends
 *     tb_guard_stop()                             after the last connection is closed
 *
 * What the guard cannot do for the owner: ignore SIGPIPE; set SSL_OP_NO_RENEGOTIATION and leave
 * 0-RTT off; bound the body (max_request_entity_size), the handshake and the HTTP/1 head (their
 * timeouts run from the first byte to the last); answer 421 (tb_guard_authority helps).
 * Single-threaded, like the loop it serves. */
#ifndef TB_HTTP_GUARD_GUARD_H
#define TB_HTTP_GUARD_GUARD_H

#include "http/guard/guard_tables.h"
#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>
#include <tongbao/error.h>

_Static_assert(H2O_USE_LIBUV == 0, "the structures differ under libuv; set H2O_USE_LIBUV=0");

/** One field per row of TB_GUARD_LIMITS; units are in the rows. */
struct tb_guard_limits {
#define X(name, unit, value, min, max, reason) uint32_t name;
    TB_GUARD_LIMITS(X)
#undef X
};

/** A row of the limits as data: for the configuration, `tongbao config` and the manual. */
struct tb_guard_limit {
    const char *name;
    const char *unit;
    const char *reason;
    uint32_t value, min, max; /**< default and bounds */
    size_t offset;            /**< of the field in struct tb_guard_limits */
};
extern const struct tb_guard_limit tb_guard_limit_rows[TB_GUARD_LIMIT_N];

/** Fill in the defaults. */
void tb_guard_limits_init(struct tb_guard_limits *limits);

/** Set one limit by name. @return false for an unknown name or a value out of its bounds. */
bool tb_guard_limits_set(struct tb_guard_limits *limits, const char *name, uint32_t value);

/** What was refused or noticed, by kind. Lies in shared memory: all workers add to the same cells.
 */
struct tb_guard_counters {
    _Atomic uint64_t of[TB_GUARD_KIND_N];
};

/** The name of a kind ("frame_budget") and its line of help, for the metrics page. */
struct tb_guard_kind {
    const char *name;
    const char *help;
};
extern const struct tb_guard_kind tb_guard_kinds[TB_GUARD_KIND_N];

/** Whether every replaced function is the one the library calls, and the library's private
 *  structures are those that this code knows: h2o 2.2.x, whoever built it. Needs no guard started.
 *  @param why  gets a sentence when the answer is false */
bool tb_guard_check(char *why, size_t why_bytes);

/** Begin to guard the connections of `ctx`. `limits` is copied; `counters` is borrowed. Ends the
 *  process if a guard already runs. Memory: one block sized by `connections` and `works`. */
void tb_guard_start(h2o_context_t *ctx, const struct tb_guard_limits *limits,
                    struct tb_guard_counters *counters);

/** End the guarding. All connections must be closed. Work that still runs may end later; its memory
 *  is then kept until the process ends. */
void tb_guard_stop(void);

/** Count a connection in, from its accept on. Takes sock->on_close; a callback that was already
 * there is called after the guard's own. Sockets the guard never saw are served unguarded.
 *  @return false: too many, from this address or in all; the caller closes the socket */
bool tb_guard_accept(h2o_socket_t *sock);

/** Connections counted: open ones, and closed ones whose backend work still runs. */
size_t tb_guard_connections(void);

/** Backend work of one request. Valid until tb_guard_work_end, also when request and connection are
 *  long gone: that is what it is for. */
struct tb_guard_work;

/** Work for `req` begins.
 *  @return NULL: this worker has no room, answer 503 and do not begin */
struct tb_guard_work *tb_guard_work_begin(h2o_req_t *req);

/** The work has ended. NULL is ignored. */
void tb_guard_work_end(struct tb_guard_work *work);

/** Ask every client to go: GOAWAY at once, closed as soon as its last request is answered, or by
 *  `drain_ms`. Unlike the library's own shutdown it does not drop bodies that are still arriving.
 */
void tb_guard_drain(void);

/** Whether the guard has let this request through only to be answered, with `*out_err` and the
 *  sentence `*out_why`. The handler of every request asks this first and once. */
bool tb_guard_refusal(h2o_req_t *req, tb_err *out_err, const char **out_why);

/** Whether the request's authority is one of `names` (host or host:port, any case). When it is not,
 *  the answer is 421 Misdirected Request; counted. */
bool tb_guard_authority(const h2o_req_t *req, const h2o_iovec_t *names, size_t names_n);

#endif
