/* Work without a client: jobs of the clerk, the worker's own upkeep, and commands. A job may ask
 * the books through the same calls as a handler (tb_query, tb_now, tb_fail, tb_log); what belongs
 * to a client (path, body, answer) it does not have.
 *
 *     static tb_err load(struct tb_req *req, void *arg)
 *     {
 *         tb_job_equip(req, arg);
 *         TB_TRY(tb_query(req, &rows, SQL, TB_INT(1)));
 *         …
 *     }
 *     err = tb_run_to_end(loop, load, store, 5000);
 */
#ifndef TB_GATEWAY_JOB_HOST_H
#define TB_GATEWAY_JOB_HOST_H

#include "store/pool.h"

/** Give the job of `req` the books. */
void tb_job_equip(struct tb_req *req, struct tb_store *store);

#endif
