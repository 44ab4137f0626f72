/* See jobs.h. The clerk's own clock says when to ask the books for a job; they say whether it is
 * due, since another machine's clerk may have run it. */
#include "worker/jobs.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/job_host.h"
#include "runtime/run.h"

enum {
    LEASE_MS = 2 * TB_JOB_MS, /* longer than a run can last: a process that hangs is ended sooner */
    BOOKS_MS = 5000,          /* to take a job, and to give it back */
    AGAIN_MS = 1000,          /* after the books were away */
};

struct job {
    struct tb_jobs *all;
    const char *product;
    const struct tb_job *job;
    int64_t due_ms; /* to ask the books again; loop clock */
    bool running;
};

struct tb_jobs {
    struct tb_jobs_parts parts;
    struct job *list;
    size_t n, running;
};

static const char SQL_TAKE[] = "select lease, wait_ms from tb.take_job($1, $2, $3, $4, $5)";
static const char SQL_END[] = "select tb.end_job($1, $2, $3, $4)";

struct tb_jobs *tb_jobs_new(const struct tb_jobs_parts *parts)
{
    struct tb_jobs *jobs = tb_mem(sizeof(*jobs));
    size_t products_n, n = 0;
    const struct tb_product *products = tb_registry_products(parts->registry, &products_n);
    jobs->parts = *parts;
    for (size_t p = 0; p < products_n; p++)
        n += products[p].plugin->jobs_n;
    jobs->list = tb_mem_array(n + 1, sizeof(*jobs->list));
    for (size_t p = 0; p < products_n; p++)
        for (size_t j = 0; j < products[p].plugin->jobs_n; j++)
            jobs->list[jobs->n++] = (struct job){.all = jobs,
                                                 .product = products[p].plugin->name,
                                                 .job = &products[p].plugin->jobs[j]};
    return jobs;
}

/* The lease in the request's arena; absent: not now, and job->due_ms says when to ask again. */
static tb_err TB_SUSPENDS take_lease(struct tb_req *req, struct job *job, struct tb_str *out_lease)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_TAKE, TB_TEXT(tb_str(job->product)),
                    TB_TEXT(tb_str(job->job->name)), TB_INT(job->job->every_ms), TB_INT(LEASE_MS),
                    TB_TIME(tb_now(req))));
    *out_lease = tb_cell(rows, 0, 0);
    int64_t wait_ms = out_lease->at != NULL ? (int64_t)job->job->every_ms : tb_cell_int(rows, 0, 1);
    job->due_ms = tb_loop_now_ms(job->all->parts.loop) + wait_ms;
    return NULL;
}

static void complain(const struct job *job, tb_err err, const struct tb_run *run)
{
    tb_log_with(TB_LOG_ERROR, "product_job_failed", TB_F_CSTR("product", job->product),
                TB_F_CSTR("job", job->job->name), TB_F_CSTR("error", err->code),
                TB_F_TEXT("detail", run->problem.detail));
}

/* Within its time; what it ended with is told in the books, for which it gets time of its own. */
static tb_err TB_SUSPENDS run_leased(struct tb_req *req, struct job *job, struct tb_str lease)
{
    struct tb_run *run = tb_run_of(req);
    const struct tb_jobs_parts *parts = &job->all->parts;
    struct tb_rows *rows;
    run->deadline_ms = tb_loop_now_ms(parts->loop) + TB_JOB_MS;
    tb_err failed = job->job->run(req);
    tb_count(parts->metrics, TB_M_JOBS, 1);
    if (failed != NULL) {
        tb_count(parts->metrics, TB_M_JOBS_FAILED, 1);
        complain(job, failed, run);
    }
    run->problem = (struct tb_problem){0};
    run->deadline_ms = tb_loop_now_ms(parts->loop) + BOOKS_MS;
    return tb_query(req, &rows, SQL_END, TB_TEXT(tb_str(job->product)),
                    TB_TEXT(tb_str(job->job->name)), TB_TEXT(lease),
                    failed == NULL ? TB_NULL : TB_TEXT(tb_str(failed->code)));
}

static tb_err TB_SUSPENDS work(struct tb_req *req, void *arg)
{
    struct job *job = arg;
    struct tb_jobs *all = job->all;
    struct tb_str lease = TB_STR_NONE;
    tb_job_equip(req, all->parts.store);
    job->due_ms = tb_loop_now_ms(all->parts.loop) + AGAIN_MS;
    tb_err err = take_lease(req, job, &lease);
    if (err == NULL && lease.at != NULL)
        err = run_leased(req, job, lease);
    job->running = false;
    if (--all->running == 0)
        all->parts.idle(all->parts.owner);
    return err;
}

void tb_jobs_turn(struct tb_jobs *jobs)
{
    int64_t now_ms = tb_loop_now_ms(jobs->parts.loop);
    for (size_t i = 0; i < jobs->n; i++) {
        struct job *job = &jobs->list[i];
        if (job->running || now_ms < job->due_ms)
            continue;
        job->running = true;
        jobs->running++;
        if (tb_run_detached(jobs->parts.loop, job->job->name, work, job, BOOKS_MS) != NULL) {
            job->running = false; /* no fiber is free: at the next turn */
            jobs->running--;
        }
    }
}

size_t tb_jobs_running(const struct tb_jobs *jobs)
{
    return jobs->running;
}
