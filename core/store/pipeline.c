/* The wire: libpq's pipeline mode. Every statement is followed by a sync, so the server treats each
 * as a transaction of its own, and its answer counts only when the answer to the sync has come: the
 * commit happens between the two. */
#include "base/assert.h"
#include "runtime/fault.h"
#include "store/store_impl.h"
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tb_op_clear(struct tb_op *op)
{
    PQclear(op->result);
    op->result = NULL;
}

static bool has_state(const struct tb_op *op, const char *sqlstate)
{
    return op->end == TB_OP_RAISED && strcmp(op->sqlstate, sqlstate) == 0;
}

/* The session cannot do this any more: a plan's result has changed (after a migration), or the
 * server has become a replica. */
static bool needs_fresh_session(const struct tb_op *op)
{
    return has_state(op, "0A000") || has_state(op, "25006");
}

bool tb_op_misplaced(const struct tb_op *op)
{
    return op->kind == TB_OP_STATEMENT &&
           (needs_fresh_session(op) || has_state(op, "26000") || has_state(op, "42P05"));
}

static bool is_prepared(const struct tb_conn *conn, const struct tb_statement *statement)
{
    return (conn->prepared[statement->number / 64] >> statement->number % 64 & 1) != 0;
}

static void set_prepared(struct tb_conn *conn, const struct tb_statement *statement, bool prepared)
{
    uint64_t bit = UINT64_C(1) << statement->number % 64;
    if (prepared)
        conn->prepared[statement->number / 64] |= bit;
    else
        conn->prepared[statement->number / 64] &= ~bit;
}

static bool send_prepared(struct tb_conn *conn, struct tb_op *op)
{
    const struct tb_statement *statement = op->statement;
    op->preparing = !is_prepared(conn, statement);
    if (op->preparing) {
        if (!PQsendPrepare(conn->pg, statement->name, statement->sql, 0, NULL))
            return false;
        set_prepared(conn, statement, true);
    }
    return PQsendQueryPrepared(conn->pg, statement->name, op->params_n, op->params, NULL, NULL,
                               0) == 1;
}

static bool send_statement(struct tb_conn *conn, struct tb_op *op)
{
    bool sent = op->statement != NULL ? send_prepared(conn, op)
                                      : PQsendQueryParams(conn->pg, op->sql, op->params_n, NULL,
                                                          op->params, NULL, NULL, 0) == 1;
    if (sent && op->hold_sync)
        return PQsendFlushRequest(conn->pg) == 1;
    return sent && PQpipelineSync(conn->pg) == 1;
}

/* Several statements in one text need the simple protocol, for which the pipeline is left. */
static bool send_script(struct tb_conn *conn, struct tb_op *op)
{
    TB_ASSERT(conn->first == op && op->next == NULL);
    return PQexitPipelineMode(conn->pg) == 1 && PQsendQuery(conn->pg, op->sql) == 1;
}

bool tb_pipeline_send(struct tb_conn *conn, struct tb_op *op)
{
    op->preparing = false;
    conn->store->stats.statements++;
    return op->kind == TB_OP_SCRIPT ? send_script(conn, op) : send_statement(conn, op);
}

/* What the error says about the statement being prepared: 26000 the server has forgotten it, or
 * never took the PREPARE this one relied on; 42P05 it has it already. */
static void learn_prepared(struct tb_conn *conn, const struct tb_op *op)
{
    if (op->statement == NULL)
        return;
    if (has_state(op, "42P05"))
        set_prepared(conn, op->statement, true);
    else if (op->preparing || has_state(op, "26000"))
        set_prepared(conn, op->statement, false);
}

static void note_error(struct tb_conn *conn, struct tb_op *op, const PGresult *result)
{
    if (op->end == TB_OP_RAISED)
        return;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    op->end = TB_OP_RAISED;
    snprintf(op->sqlstate, sizeof(op->sqlstate), "%s", sqlstate == NULL ? "" : sqlstate);
    snprintf(op->message, sizeof(op->message), "%s", message == NULL ? "" : message);
    op->position = position == NULL ? 0 : (int)strtol(position, NULL, 10);
    learn_prepared(conn, op);
    conn->retiring |= op->kind == TB_OP_STATEMENT && needs_fresh_session(op);
    conn->store->stats.reprepared += tb_op_misplaced(op);
}

static void end_first(struct tb_conn *conn)
{
    struct tb_op *op = conn->first;
    conn->first = op->next;
    if (conn->first == NULL)
        conn->last = &conn->first;
    op->next = NULL;
    conn->in_flight--;
    conn->busy_since_ms = tb_loop_now_ms(conn->store->loop);
    if (op->end == TB_OP_RUNNING)
        op->end = TB_OP_DONE;
    else
        tb_op_clear(op);
    op->ended(op);
}

/* The statement is done and its transaction still open: where a test may want to see us die. */
static void release_sync(struct tb_conn *conn, struct tb_op *op)
{
    if (!op->hold_sync)
        return;
    op->hold_sync = false;
    (void)TB_FAULT("key_claimed");
    tb_conn_sync(conn);
}

static bool end_script(struct tb_conn *conn)
{
    if (PQstatus(conn->pg) != CONNECTION_OK || PQenterPipelineMode(conn->pg) != 1)
        return false;
    end_first(conn);
    return true;
}

/* One result of the operation that is being answered; NULL is the end of a command's results.
 * False when client and server no longer agree about what is being answered. */
static bool take_result(struct tb_conn *conn, PGresult *result)
{
    struct tb_op *op = conn->first;
    if (result == NULL) {
        if (op->kind == TB_OP_SCRIPT)
            return end_script(conn);
        bool twice = conn->ended_command;
        conn->ended_command = true;
        return !twice;
    }
    conn->ended_command = false;
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        end_first(conn);
        return true;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (op->preparing) {
            op->preparing = false;
            PQclear(result);
            return true;
        }
        PQclear(op->result);
        op->result = result;
        release_sync(conn, op);
        return true;
    case PGRES_FATAL_ERROR:
        note_error(conn, op, result);
        PQclear(result);
        release_sync(conn, op);
        return true;
    case PGRES_PIPELINE_ABORTED:
    case PGRES_EMPTY_QUERY:
        PQclear(result);
        return true;
    default: /* COPY, and what a pipeline cannot have */
        PQclear(result);
        return false;
    }
}

bool tb_pipeline_read(struct tb_conn *conn)
{
    /* At the end of the stream there may still be answers in libpq's buffer. */
    bool open = PQconsumeInput(conn->pg) == 1;
    while (conn->pg != NULL && conn->first != NULL && !PQisBusy(conn->pg))
        if (!take_result(conn, PQgetResult(conn->pg)))
            return false;
    return conn->pg == NULL || (open && PQstatus(conn->pg) == CONNECTION_OK);
}
