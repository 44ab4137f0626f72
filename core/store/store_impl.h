/* Types common to the files of this room: operations, connections, the pool, the batch engine. The
 * store is the work of one thread; everything here happens between two waits of the loop.
 *
 * An operation (tb_op) is one statement on its way: submitted to a connection, sent, answered. Each
 * stands before a sync of its own, so it is a transaction of its own unless a transaction is open.
 */
#ifndef TB_STORE_STORE_IMPL_H
#define TB_STORE_STORE_IMPL_H

#include "runtime/fiber.h"
#include "store/batch.h"
#include "store/pool.h"
#include "store/query.h"

struct pg_conn;
struct pg_result;
struct tb_batcher;
struct tb_conn;
struct tb_group;

enum {
    TB_STATEMENTS_MAX = 4096, /**< known texts; any more are sent unprepared, which is logged */
    TB_STATEMENT_BUCKETS = 256,
    TB_PIPELINE_MAX = 16, /**< statements on their way on one shared connection */
    TB_SQLSTATE = 6,      /**< five characters and NUL */
    TB_TROUBLE_BYTES = 256,
};

/** A text that is prepared on connections: its number is its place in their bitmaps. */
struct tb_statement {
    const char *address; /**< of the text as it was first seen */
    char *sql;
    char name[24];
    uint32_t number;
    struct tb_statement *next; /**< same bucket */
};

struct tb_statements {
    struct tb_statement *buckets[TB_STATEMENT_BUCKETS]; /**< by address */
    uint32_t n;
    bool full; /**< a text found no room, and that was logged */
};

/** The statement of `sql`, known from now on. NULL when there are too many: send it unprepared. */
struct tb_statement *tb_statement_of(struct tb_statements *known, const char *sql);
void tb_statements_free(struct tb_statements *known);

/** How an operation ended. */
enum tb_op_end {
    TB_OP_RUNNING,
    TB_OP_DONE,   /**< `result` says */
    TB_OP_RAISED, /**< the server refused it: `sqlstate`, `message`; it had no effect */
    TB_OP_LOST,   /**< the connection went before the answer */
    TB_OP_UNSENT, /**< it never left */
    TB_OP_LATE,   /**< it waited too long for a connection and never left */
};

enum tb_op_kind {
    TB_OP_STATEMENT, /**< `statement`, or `sql` unprepared, with parameters */
    TB_OP_SCRIPT,    /**< `sql` as several statements; alone on its connection */
};

struct tb_op {
    struct tb_op *next;
    enum tb_op_kind kind;
    const struct tb_statement *statement; /**< NULL: unprepared */
    const char *sql;
    const char *const *params; /**< NUL-terminated; must live until the operation is sent */
    int params_n;
    void (*ended)(struct tb_op *op); /**< called once; may submit again */

    enum tb_op_end end;
    struct pg_result
        *result; /**< tuples or a command's tag; taken by `ended` or cleared after it */
    char sqlstate[TB_SQLSTATE];
    char message[256]; /**< the server's first line */
    int position;      /**< character of `sql` it complains about, from 1; 0: none */
    bool preparing;    /**< the answer to its PREPARE comes first */
    bool patient;      /**< may take as long as it likes */
    bool hold_sync;    /**< send no sync before the result has come: a fault of the tests */
    int64_t queued_ms; /**< loop clock */
};

enum tb_conn_state {
    TB_CONN_DOWN,       /**< waits for its next attempt */
    TB_CONN_CONNECTING, /**< libpq shakes hands */
    TB_CONN_SETTING_UP, /**< session settings are on their way */
    TB_CONN_READY,
};

/** What a connection is for. */
enum tb_conn_role { TB_FOR_READS, TB_FOR_BATCHES };

struct tb_conn {
    struct tb_store *store;
    enum tb_conn_role role;
    enum tb_conn_state state;
    struct pg_conn *pg; /**< NULL when down */
    struct tb_watch watch;
    struct tb_timer timer; /**< next attempt, or end of this one */
    unsigned failures;     /**< attempts failed since it was last up */

    struct tb_op *first, **last; /**< sent, in order; the first is being answered */
    size_t in_flight;
    int64_t busy_since_ms; /**< since when the first is waited for */
    bool ended_command;    /**< the last thing read was the end of a command */

    bool exclusive;   /**< belongs to a transaction, also when the session it began in is lost */
    uint64_t session; /**< counts sessions: a transaction lives in one */
    bool draining;    /**< takes no new reads: promised to a transaction */
    bool retiring;    /**< to be replaced once idle: its plans are out of date */
    uint64_t prepared[TB_STATEMENTS_MAX / 64];
    struct tb_op setup;
};

/** A transaction waiting for a connection. */
struct tb_tx_wait {
    struct tb_tx_wait *next;
    struct tb_wake wake;
    struct tb_conn *conn; /**< given */
    enum tb_op_end end;   /**< TB_OP_UNSENT or TB_OP_LATE when refused; TB_OP_DONE with `conn` */
    int64_t queued_ms;
};

struct tb_store {
    struct tb_loop *loop;
    struct tb_store_options options;
    char *dsn, *application;
    bool closing;
    struct tb_conn *conns; /**< reads first, then batches */
    int reads_n, conns_n;
    struct tb_statements statements;

    struct tb_op *queue, **queue_last; /**< reads without a connection */
    struct tb_tx_wait *tx_queue, **tx_queue_last;
    size_t queue_n, tx_queue_n;
    struct tb_timer sweep; /**< runs while anything waits or is on its way */
    struct tb_read *idle_reads;

    struct tb_hook hook;
    struct tb_batcher *batcher;
    struct tb_store_stats stats;
    char trouble[TB_TROUBLE_BYTES]; /**< why a connection was last lost or did not come up */
};

/* ---- connection.c ---- */

void tb_conn_init(struct tb_conn *conn, struct tb_store *store, enum tb_conn_role role);

/** Begin to connect, now. */
void tb_conn_open(struct tb_conn *conn);

/** Close for good; what is on its way ends as TB_OP_LOST. */
void tb_conn_close(struct tb_conn *conn);

/** Give up the session and connect anew; what is on its way ends as TB_OP_LOST. */
void tb_conn_drop(struct tb_conn *conn, const char *why);

/** Send; ends as TB_OP_LOST, at once, if the connection breaks at that. */
void tb_conn_submit(struct tb_conn *conn, struct tb_op *op);

/** Send the sync that the operation sent last has held back. */
void tb_conn_sync(struct tb_conn *conn);

/* ---- pipeline.c ---- */

/** Put the operation on the wire. False when the connection broke. */
bool tb_pipeline_send(struct tb_conn *conn, struct tb_op *op);

/** Read what has come and end the operations that are answered. False when the connection broke. */
bool tb_pipeline_read(struct tb_conn *conn);

void tb_op_clear(struct tb_op *op);

/** Whether the server refused because of the state of the session: a plan it does not have or no
 *  longer allows, or it has become a replica. It had no effect and is worth a second try. */
bool tb_op_misplaced(const struct tb_op *op);

/* ---- pool.c ---- */

/** Something changed: hand out connections to what waits. */
void tb_pool_serve(struct tb_store *store);

/** A connection came up, went, or failed to come up. */
void tb_pool_conn_changed(struct tb_conn *conn);

/** Send on the best shared connection, or queue. @return NULL; TB_E_STORE; TB_E_OVERLOAD */
tb_err TB_NODISCARD tb_pool_submit(struct tb_store *store, struct tb_op *op);

/** Take a queued operation back. False when it is not in the queue any more. */
bool tb_pool_withdraw(struct tb_store *store, struct tb_op *op);

/** Wait in line for a connection of one's own. @return NULL; TB_E_STORE; TB_E_OVERLOAD */
tb_err TB_NODISCARD tb_pool_reserve(struct tb_store *store, struct tb_tx_wait *wait);
void tb_pool_unreserve(struct tb_store *store, struct tb_tx_wait *wait);

/** Give an exclusive connection back. */
void tb_pool_release(struct tb_conn *conn);

/** Whether a connection of this kind is up, or being made for the first time since it was. */
bool tb_pool_hopeful(const struct tb_store *store, enum tb_conn_role role);
bool tb_pool_up(const struct tb_store *store, enum tb_conn_role role);

/** Keep the sweep running while there is something to watch. */
void tb_pool_watch(struct tb_store *store);

/* ---- query.c ---- */

/** Parameters as text in `arena`; NULL when it is full. */
const char *const *tb_params_encode(struct tb_arena *arena, const struct tb_param *params,
                                    size_t params_n);

/** The rows of `result` in the request's arena. */
tb_err TB_NODISCARD tb_rows_copy(struct tb_req *req, const struct pg_result *result,
                                 struct tb_rows **out_rows);

/** Say why a read or a statement of a transaction gave nothing. */
tb_err tb_op_failure(struct tb_req *req, const struct tb_op *op);

/** Keep what the server said of a statement it failed, for the request's problem. */
void tb_op_note(struct tb_req *req, const struct tb_op *op);

/** The error for "no connection", with its Retry-After. */
tb_err tb_store_unavailable(struct tb_req *req, tb_err err);

void tb_reads_free(struct tb_store *store);

/* ---- call.c ---- */

/** A call on its way. It outlives the fiber that made it: once sent, it must come to an end. */
struct tb_pending {
    struct tb_pending *next; /**< in its group, while it waits there */
    struct tb_req *req;      /**< NULL once nobody waits for it */
    struct tb_wake wake;
    struct tb_group *group; /**< NULL once it has left for a batch */
    bool lost; /**< an attempt went unanswered: only an answer can tell what happened */
    bool over; /**< `err` and `answer` are final */
    int64_t queued_ms;
    tb_err err;
    struct tb_answer answer; /**< in the request's arena, as are the texts of a refusal: */
    struct tb_str detail, pointer, extra;
    size_t text_n;
    char text[]; /**< of the call object, from behind `{"n":0,` */
};

/** A call object of tb.call's members but for `n`. NULL when the arena is full. */
struct tb_pending *tb_pending_new(struct tb_req *req, const struct tb_call_context *context);

/** Read the answer in row `row` of a batch's result into the arena of the call's request. */
void tb_pending_answer(struct tb_pending *call, const struct tb_store *store,
                       const struct pg_result *result, int row);

/** For the fiber: the outcome, with the problem recorded. */
tb_err tb_pending_outcome(struct tb_req *req, const struct tb_pending *call,
                          struct tb_answer *out_answer);

/* ---- batch.c ---- */

struct tb_batcher *tb_batcher_new(struct tb_store *store);
void tb_batcher_free(struct tb_batcher *batcher);

/** End of turn: send what piled up, as far as connections are free. */
void tb_batcher_turn(struct tb_batcher *batcher);

/** No connection for calls is up or hoped for: what was never sent will not be. */
void tb_batcher_down(struct tb_batcher *batcher);

/** Refuse the calls that have waited too long. */
void tb_batcher_sweep(struct tb_batcher *batcher, int64_t queued_before_ms);
bool tb_batcher_idle(const struct tb_batcher *batcher);
void tb_batcher_count(const struct tb_batcher *batcher, struct tb_store_stats *stats);

#endif
