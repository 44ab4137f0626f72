/* The part of product "scripts" by which a partner proves a version before it runs: whether its
 * requests are recorded, and dry runs on the recordings. */
#ifndef TB_HOOKS_DRY_RUNS_H
#define TB_HOOKS_DRY_RUNS_H

#include <tongbao/plugin.h>

tb_err TB_SUSPENDS tb_recording_get(struct tb_req *req);
tb_err TB_SUSPENDS tb_recording_put(struct tb_req *req);
tb_err TB_SUSPENDS tb_recording_delete(struct tb_req *req);
tb_err TB_SUSPENDS tb_dry_run_post(struct tb_req *req);
tb_err TB_SUSPENDS tb_dry_run_get(struct tb_req *req);
tb_err TB_SUSPENDS tb_dry_run_cancel(struct tb_req *req);
tb_err TB_SUSPENDS tb_dry_run_differences(struct tb_req *req);

extern const struct tb_query_param tb_differences_query[];

#endif
