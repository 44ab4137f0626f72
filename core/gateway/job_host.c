/* The host table of jobs: what needs no client, and the books. */
#include "gateway/job_host.h"
#include "runtime/run.h"
#include "store/query.h"

static tb_err TB_SUSPENDS query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                                const struct tb_param *params, size_t params_n)
{
    return tb_store_query(req, tb_run_of(req)->services, out_rows, sql, params, params_n);
}

void tb_job_equip(struct tb_req *req, struct tb_store *store)
{
    static const struct tb_host host = {
        .size = sizeof(struct tb_host),
        .alloc = tb_run_alloc,
        .refuse = tb_run_fail,
        .log = tb_run_log,
        .now = tb_run_now,
        .query = query,
    };
    req->host = &host;
    tb_run_of(req)->services = store;
}
