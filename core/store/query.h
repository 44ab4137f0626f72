/* Single statements: prepared once for each connection, parameters typed and in text form, answers
 * in the request's arena. Statements of several requests are on the way together on one connection,
 * each a transaction of its own: one that fails does not disturb the others. */
#ifndef TB_STORE_QUERY_H
#define TB_STORE_QUERY_H

#include "store/pool.h"
#include <tongbao/req.h>

enum {
    TB_QUERY_PARAMS_MAX = 32,
};

/** Run one statement, meant for reads.
 *
 *  Its time limit costs nothing per statement: the session has a fixed statement_timeout (options),
 *  and a request whose deadline comes first stops waiting; the answer is dropped when it arrives.
 *  A statement that writes may therefore have taken effect though TB_E_DEADLINE, TB_E_CANCELLED or
 *  TB_E_STORE was returned: write by a batched call or in a transaction, or so that repeating it is
 *  harmless.
 *
 *  @param sql  constant text: found again by its address, prepared once for each connection
 *  @param params  no NUL bytes in texts
 *  @return NULL; TB_E_STORE (no connection, or lost before the answer; retry_after 1 s);
 *          TB_E_OVERLOAD (queue full, or waited too long); TB_E_DEADLINE; TB_E_CANCELLED;
 *          TB_E_INTERNAL (the server refused the statement, logged; or an answer of more than three
 *          quarters of what the request's arena may hold)
 *  Waits: yes. Memory: *out_rows in the request's arena. Not inside a transaction. */
tb_err TB_NODISCARD TB_SUSPENDS tb_store_query(struct tb_req *req, struct tb_store *store,
                                               struct tb_rows **out_rows, const char *sql,
                                               const struct tb_param *params, size_t params_n);

#endif
