/* Transactions of a fiber, on a connection of its own. Giving up on a statement means giving up the
 * connection: the server rolls back when it is gone, and nothing of ours can be mistaken for the
 * answer to a later statement. */
#include "store/tx.h"

#include "base/assert.h"
#include "base/random.h"
#include "store/store_impl.h"
#include <libpq-fe.h>
#include <string.h>

struct tb_tx {
    struct tb_req *req;
    struct tb_store *store;
    struct tb_conn *conn;
    uint64_t session;
    bool failed; /* only rollback is left */
    char sqlstate[TB_SQLSTATE];
    char message[256];
    int position;
    struct tb_op op;
    struct tb_wake wake;
};

static void op_ended(struct tb_op *op)
{
    tb_fiber_wake(TB_OWNER(op, struct tb_tx, op)->wake);
}

static bool same_session(const struct tb_tx *tx)
{
    return tx->conn->session == tx->session && tx->conn->state == TB_CONN_READY;
}

/* Send `op` and wait for its end, or for the deadline if `bounded`. */
static tb_err TB_SUSPENDS do_op(struct tb_tx *tx, struct tb_op op, bool bounded)
{
    struct tb_run *run = tb_run_of(tx->req);
    if (!same_session(tx)) {
        tx->op.end = TB_OP_LOST;
        return NULL;
    }
    tb_op_clear(&tx->op);
    tx->op = op;
    tx->op.ended = op_ended;
    tx->wake = tb_fiber_token();
    tb_conn_submit(tx->conn, &tx->op);
    if (!bounded) {
        tb_wait_always(tx->req);
        return NULL;
    }
    bool finish = run->finish;
    run->finish = true; /* a lost client does not tear a transaction */
    tb_err err = tb_wait(tx->req);
    run->finish = finish;
    if (err != NULL && tx->op.end == TB_OP_RUNNING)
        tb_conn_drop(tx->conn, "a transaction passed its deadline");
    return err;
}

static tb_err fail(struct tb_tx *tx, tb_err err)
{
    tx->failed = true;
    if (tx->op.end == TB_OP_RAISED) {
        memcpy(tx->sqlstate, tx->op.sqlstate, sizeof(tx->sqlstate));
        memcpy(tx->message, tx->op.message, sizeof(tx->message));
        tx->position = tx->op.position;
    }
    return err;
}

static tb_err TB_SUSPENDS run_op(struct tb_tx *tx, struct tb_op op)
{
    TB_ASSERT(tb_run_of(tx->req)->in_transaction && !tx->failed);
    tb_err err = do_op(tx, op, true);
    if (err == NULL && tx->op.end != TB_OP_DONE)
        err = tb_op_failure(tx->req, &tx->op);
    return err == NULL ? NULL : fail(tx, err);
}

tb_err TB_SUSPENDS tb_tx_query(struct tb_tx *tx, struct tb_rows **out_rows, const char *sql,
                               const struct tb_param *params, size_t params_n)
{
    const char *const *texts = tb_params_encode(tb_run_of(tx->req)->arena, params, params_n);
    if (texts == NULL)
        return fail(tx, tb_fail(tx->req, TB_E_INTERNAL, "the request needs too much memory"));
    TB_TRY(run_op(tx, (struct tb_op){.statement = tb_statement_of(&tx->store->statements, sql),
                                     .sql = sql,
                                     .params = texts,
                                     .params_n = (int)params_n}));
    tb_err err = tb_rows_copy(tx->req, tx->op.result, out_rows);
    return err == NULL ? NULL : fail(tx, err);
}

tb_err TB_SUSPENDS tb_tx_script(struct tb_tx *tx, const char *sql)
{
    return run_op(tx, (struct tb_op){.kind = TB_OP_SCRIPT, .sql = sql, .patient = true});
}

static tb_err TB_SUSPENDS get_connection(struct tb_req *req, struct tb_tx *tx)
{
    struct tb_tx_wait wait = {.wake = tb_fiber_token()};
    tb_err err = tb_pool_reserve(tx->store, &wait);
    if (err != NULL)
        return tb_store_unavailable(req, err);
    err = tb_wait(req);
    if (err != NULL) {
        tb_pool_unreserve(tx->store, &wait);
        return err;
    }
    if (wait.conn == NULL)
        return tb_store_unavailable(req, wait.end == TB_OP_LATE ? TB_E_OVERLOAD : TB_E_STORE);
    tx->conn = wait.conn;
    tx->session = wait.conn->session;
    return NULL;
}

static void end_transaction(struct tb_tx *tx)
{
    tb_op_clear(&tx->op);
    tb_run_of(tx->req)->in_transaction = false;
    tb_pool_release(tx->conn);
    tx->conn = NULL;
}

tb_err TB_SUSPENDS tb_tx_begin(struct tb_req *req, struct tb_store *store, struct tb_tx **out_tx)
{
    struct tb_run *run = tb_run_of(req);
    TB_ASSERT(!run->in_transaction);
    struct tb_tx *tx = tb_arena_alloc(run->arena, sizeof(*tx));
    if (tx == NULL)
        return tb_fail(req, TB_E_INTERNAL, "the request needs too much memory");
    tx->req = req;
    tx->store = store;
    TB_TRY(get_connection(req, tx));
    run->in_transaction = true;
    store->stats.transactions++;
    /* The script leaves the pipeline for one round trip and takes the limit along with the begin.
     */
    int64_t most_ms = store->options.statement_ms, limit_ms = tb_run_left_ms(run, most_ms);
    limit_ms = limit_ms < 1 ? 1 : limit_ms < most_ms ? limit_ms : most_ms;
    struct tb_str begin = tb_arena_format(run->arena, "begin; set local statement_timeout = %lld",
                                          (long long)limit_ms);
    tb_err err = begin.at == NULL
                     ? TB_E_INTERNAL
                     : run_op(tx, (struct tb_op){.kind = TB_OP_SCRIPT, .sql = begin.at});
    if (err != NULL) {
        tb_tx_rollback(tx);
        return err;
    }
    *out_tx = tx;
    return NULL;
}

static bool committed(const struct tb_op *op)
{
    return strcmp(PQcmdStatus(op->result), "COMMIT") == 0;
}

tb_err TB_SUSPENDS tb_tx_commit(struct tb_tx *tx)
{
    struct tb_run *run = tb_run_of(tx->req);
    TB_ASSERT(run->in_transaction && !tx->failed);
    if (!same_session(tx)) { /* lost before it could be asked to commit */
        end_transaction(tx);
        return tb_store_unavailable(tx->req, TB_E_STORE);
    }
    tb_err err = do_op(tx, (struct tb_op){.sql = "commit"}, false);
    TB_ASSERT(err == NULL);
    switch (tx->op.end) {
    case TB_OP_DONE:
        err = committed(&tx->op) ? NULL : TB_E_INTERNAL;
        break;
    case TB_OP_LOST:
        tx->store->stats.in_doubt++;
        err = TB_E_IN_DOUBT;
        break;
    default:
        err = fail(tx, tb_op_failure(tx->req, &tx->op));
    }
    end_transaction(tx);
    return err;
}

void TB_SUSPENDS tb_tx_rollback(struct tb_tx *tx)
{
    TB_ASSERT(tb_run_of(tx->req)->in_transaction);
    if (same_session(tx)) {
        tb_err err = do_op(tx, (struct tb_op){.sql = "rollback"}, false);
        TB_ASSERT(err == NULL);
        if (tx->op.end != TB_OP_DONE && same_session(tx))
            tb_conn_drop(tx->conn, "a rollback failed");
    }
    end_transaction(tx);
}

const char *tb_tx_sqlstate(const struct tb_tx *tx)
{
    return tx->sqlstate;
}

const char *tb_tx_message(const struct tb_tx *tx, int *out_position)
{
    *out_position = tx->position;
    return tx->message;
}

static bool is_conflict(const struct tb_tx *tx)
{
    return strcmp(tx->sqlstate, "40001") == 0 || strcmp(tx->sqlstate, "40P01") == 0;
}

tb_err TB_SUSPENDS tb_tx_run(struct tb_req *req, struct tb_store *store,
                             tb_err (*work)(struct tb_req *, struct tb_tx *, void *), void *arg)
{
    for (int tries = 1;; tries++) {
        struct tb_tx *tx;
        TB_TRY(tb_tx_begin(req, store, &tx));
        tb_err err = work(req, tx, arg);
        if (err == NULL)
            err = tb_tx_commit(tx);
        else
            tb_tx_rollback(tx);
        if (err == NULL || tries == TB_TX_TRIES || !is_conflict(tx))
            return err;
        store->stats.conflicts++;
        /* Two that met once meet again unless one of them is later. */
        TB_TRY(tb_sleep(req, 1 + (int64_t)(tb_random_u64() % (8u << tries))));
    }
}
