/* Transactions: a connection to oneself from begin to the end. Between them only the statements
 * below may wait, so that rows are never locked while somebody else is asked something.
 *
 *     static tb_err move(struct tb_req *req, struct tb_tx *tx, void *arg)
 *     {
 *         TB_TRY(tb_tx_query(tx, &rows, SQL_LOCK, params, 1));
 *         return tb_tx_query(tx, &rows, SQL_WRITE, params, 2);
 *     }
 *     TB_TRY(tb_tx_run(req, store, move, arg));      // commits, or rolls back what failed
 */
#ifndef TB_STORE_TX_H
#define TB_STORE_TX_H

#include "store/query.h"

struct tb_tx;

enum { TB_TX_TRIES = 4 }; /**< runs of one transaction before a conflict is reported */

/** Run `work` in a transaction: commit if it returns NULL, else roll back. After a serialization
 *  failure or a deadlock it is run again from the start, so it must not keep anything elsewhere.
 *  @return what `work` returned; else as tb_tx_begin and tb_tx_commit
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_tx_run(struct tb_req *req, struct tb_store *store,
                                          tb_err (*work)(struct tb_req *, struct tb_tx *, void *),
                                          void *arg);

/** Begin. The server ends a statement that would outlast the request's deadline.
 *  @return NULL; TB_E_STORE, TB_E_OVERLOAD, TB_E_DEADLINE, TB_E_CANCELLED
 *  Waits: yes, for a connection. Memory: *out_tx in the request's arena; ends with commit or
 *  rollback, one of which must be called. */
tb_err TB_NODISCARD TB_SUSPENDS tb_tx_begin(struct tb_req *req, struct tb_store *store,
                                            struct tb_tx **out_tx);

/** One statement inside. As tb_store_query; after any error only rollback is left. Ends early with
 *  the deadline, not with the client. */
tb_err TB_NODISCARD TB_SUSPENDS tb_tx_query(struct tb_tx *tx, struct tb_rows **out_rows,
                                            const char *sql, const struct tb_param *params,
                                            size_t params_n);

/** Several statements without parameters, as a script; no rows. For migrations and tests. */
tb_err TB_NODISCARD TB_SUSPENDS tb_tx_script(struct tb_tx *tx, const char *sql);

/** @return NULL: everything is done; TB_E_IN_DOUBT: the connection was lost before the answer;
 *          any other: nothing was done
 *  Waits: yes, to the answer: neither deadline nor client end it. */
tb_err TB_NODISCARD TB_SUSPENDS tb_tx_commit(struct tb_tx *tx);

/** Undo. Waits: yes, to the answer. */
void TB_SUSPENDS tb_tx_rollback(struct tb_tx *tx);

/** SQLSTATE of the last error in the transaction, five characters; "" when there was none. Lets
 *  core tell a unique violation (23505) from the rest. */
const char *tb_tx_sqlstate(const struct tb_tx *tx);

/** What the server said about it, for operators; *out_position is the character of the text it
 *  complains about, from 1, or 0. */
const char *tb_tx_message(const struct tb_tx *tx, int *out_position);

#endif
