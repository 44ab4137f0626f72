/* State common to the guard's files: the state of a guarded connection and of the guard itself.
 * Private to core/http/guard/. */
#ifndef TB_HTTP_GUARD_GUARD_CONN_H
#define TB_HTTP_GUARD_GUARD_CONN_H

#include "http/guard/guard.h"
#include "http/guard/guard_h2o.h"
#include <stdatomic.h>

/* Why a request is answered by the owner's handler without being served. */
enum guard_refusal {
    GUARD_REFUSE_SYNTAX,
    GUARD_REFUSE_CHARACTERS,
    GUARD_REFUSE_MALFORMED,
    GUARD_REFUSE_CHUNKS,
    GUARD_REFUSE_SLOW_BODY,
    GUARD_REFUSE_BODY,
    GUARD_REFUSE_EXPECTATION,
    GUARD_REFUSE_FIELDS,
    GUARD_REFUSE_BYTES,
    GUARD_REFUSE_MEMORY,
    GUARD_REFUSAL_N
};
struct refusal;

enum {
    GUARD_EARLY_N = 16,
    GUARD_PSEUDO_EXPECTED = 1 | 2 | 4, /* the library's marks for :method, :scheme and :path */
    GUARD_COST_RESET = 1000,           /* thousandths of a token */
};

/* Thousandths of a token, so that a refill of some per second works on milliseconds. */
struct guard_bucket {
    uint32_t tokens;
    uint64_t filled_ms;
};

/* A stream that was answered before its body had come. */
struct guard_early {
    uint32_t stream_id; /* 0: none, or its client has come to the end */
    uint32_t dropped_bytes;
    bool answered; /* the answer is on its way as a whole, and the library has forgotten the stream
                    */
    bool enough;   /* the client is to stop, or has been asked to */
};

struct guard_peer {
    struct guard_peer *next;
    uint8_t address[16]; /* IPv4 mapped into IPv6; of IPv6 only the first 64 bits */
    uint32_t connections;
};

/* One accepted connection. Outlives its socket while backend work that it began still runs. */
struct guarded {
    h2o_socket_t *sock;     /* NULL once closed */
    h2o_http2_conn_t *conn; /* the library's object while HTTP/2 is spoken and it lives */
    struct guard_peer *peer;
    h2o_linklist_t link; /* in the guard's list of open connections */
    struct guarded *next_free;
    struct {
        void (*cb)(void *data);
        void *data;
    } owner_on_close;

    struct guard_bucket frames, resets;
    size_t bytes_credited; /* of sock->bytes_written, turned into tokens */
    size_t body_bytes;     /* upper bound of the request bodies in memory */
    uint32_t works, orphans;
    uint32_t busy; /* callbacks of the library running for this connection */
    uint8_t continuations;

    struct guard_early early[GUARD_EARLY_N]; /* a ring of the last */
    uint32_t early_n;
    uint32_t data_stream; /* whose DATA the library reads now; or 0 */
    bool data_ends;       /* that is the last of it */
    bool overrun;         /* with it the body is too large */
    size_t dropped_bytes; /* of DATA, not yet given back to the connection's window */

    uint64_t accepted_ms, useful_ms; /* useful: the last sign of a request */
    uint64_t partial_ms, headers_ms; /* since when a frame, a header block is incomplete; or 0 */
    uint64_t left_ms;                /* when it was asked to leave; or 0 */
    uint64_t cut_ms;                 /* when to cut the connection; or 0 */
    bool spoke, executed;            /* had a frame; what it is condemned for was done */
    bool lingers; /* HTTP/1: it has refused a request that may still be arriving */
    bool careful; /* its dynamic table may hold `host` or `content-length` */
    bool tainted; /* its dynamic table may hold a field that was not judged, or is malformed */
    enum tb_guard_kind_index condemned; /* why it must go; TB_GUARD_KIND_N: it need not */
};

struct guard {
    h2o_context_t *ctx; /* NULL: not started, everything passes through */
    struct tb_guard_limits limits;
    struct tb_guard_counters *counters;
    struct guarded *current; /* whose input the library reads now; NULL outside */
    h2o_socket_cb
        http2_read; /* the library's read callback of HTTP/2, learnt at the first accept */
    bool in_accept;
    const struct refusal *refused_head; /* what the handler answers next, of HTTP/1; or NULL */

    h2o_linklist_t open;
    struct guarded *states, *free_states;
    struct guard_peer *peers, *free_peers, **peer_heads;
    uint64_t peer_seed;
    uint32_t peer_mask;
    size_t connections_n;
    struct tb_guard_work *works, *free_works;

    h2o_timeout_t sweep_timeout;
    h2o_timeout_entry_t sweep_entry;
    uint64_t swept_ms, swept_steady_ms; /* of the last sweep: loop clock, monotonic clock */
    uint64_t stepped_ms;                /* when the wall clock last jumped; or 0 */
};

extern struct guard tb_guard_self;
extern struct guard_original tb_guard_original;

static inline void guard_count(enum tb_guard_kind_index kind)
{
    atomic_fetch_add_explicit(&tb_guard_self.counters->of[kind], 1, memory_order_relaxed);
}

static inline uint64_t guard_now(void)
{
    return h2o_now(tb_guard_self.ctx->loop);
}

/* The state of a socket that tb_guard_accept has seen; NULL for others. */
struct guarded *tb_guard_of(const h2o_socket_t *sock);

/* Hold and release around calls that may close the connection. */
void tb_guard_hold(struct guarded *g);
void tb_guard_release(struct guarded *g);

/* Take `cost` thousandths of a token. */
bool tb_guard_take(struct guard_bucket *bucket, uint32_t cost, uint32_t burst, uint32_t per_s);
/* Give back, up to the burst. */
static inline void guard_give(struct guard_bucket *bucket, uint32_t amount, uint32_t burst)
{
    uint32_t missing = burst * 1000 - bucket->tokens;
    bucket->tokens += missing < amount ? missing : amount;
}

/* Note that the connection must go; counted once. It is closed as soon as the library's callback
 * has returned, or by the sweep. */
void tb_guard_condemn(struct guarded *g, enum tb_guard_kind_index kind);

/* GOAWAY with `code`, then closed by the library when nothing runs, or cut after `grace_ms`. */
void tb_guard_dismiss(struct guarded *g, int code, const char *why, uint32_t grace_ms);

/* Close what was condemned. */
void tb_guard_execute(struct guarded *g);

/* Put the words of the refusals together. */
void tb_guard_refusals_init(const struct guard *guard);

/* Note that `req`, or with NULL the HTTP/1 request whose head was just read, is refused. */
void tb_guard_refuse(h2o_req_t *req, enum guard_refusal reason);

/* The same for an HTTP/2 request whose header block was just read: the library hands it over as one
 * without a body. */
void tb_guard_refuse_head(struct guarded *g, h2o_req_t *req, enum guard_refusal reason);

/* Answer a stream whose body is arriving; `complete`: no more of it will. The stream may be gone
 * afterwards. */
void tb_guard_refuse_body(struct guarded *g, h2o_http2_stream_t *stream, enum guard_refusal reason,
                          bool complete);

/* Whether the stream was answered before its body had come, and its DATA must be dropped. */
bool tb_guard_is_early(struct guarded *g, uint32_t stream_id);
void tb_guard_drop_data(struct guarded *g, const h2o_http2_frame_t *frame);

/* Decode, for the sake of the table, the trailers of such a stream. @return 0 or the error */
ssize_t tb_guard_drop_trailers(struct guarded *g, const h2o_http2_frame_t *frame,
                               const char **err_desc);

/* Whether the closing of this HTTP/1 connection was taken over. */
bool tb_guard_linger(struct guarded *g);

/* The sweep of all deadlines, twice a second. */
void tb_guard_sweep(h2o_timeout_entry_t *entry);
enum { GUARD_SWEEP_MS = 500 };

/* A cookie in the request's pool tells when the request is gone. */
void tb_guard_works_init(struct guard *guard);

/* Whether the library's structures are those of guard_h2o.h; asked once in a process. */
bool tb_guard_probe(char *why, size_t why_bytes);

/* Fill in tb_guard_original. @return false: a name is missing. */
bool tb_guard_resolve(void);

#endif
