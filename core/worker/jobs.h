/* The jobs that products declare, run by the clerk on their period: each on a fiber of its own, for
 * a bounded time, in one process of all machines at a time (tb.take_job). One that fails is logged
 * and counted, and comes again with its next period.
 *
 *     struct tb_jobs *jobs = tb_jobs_new(&parts);
 *     tb_jobs_turn(jobs);                      // every so often: starts those that are due
 *     if (tb_jobs_running(jobs) == 0) …        // after the last one parts.idle is called
 */
#ifndef TB_WORKER_JOBS_H
#define TB_WORKER_JOBS_H

#include "base/metrics.h"
#include "product/registry.h"
#include "store/pool.h"

enum { TB_JOB_MS = 60 * 1000 /**< a run that waits longer is ended with TB_E_DEADLINE */ };

struct tb_jobs;

/** All borrowed, all outlive the jobs. */
struct tb_jobs_parts {
    struct tb_loop *loop;
    struct tb_store *store;
    struct tb_metrics *metrics;
    const struct tb_registry *registry;
    void (*idle)(void *owner); /**< the last run has ended */
    void *owner;
};

struct tb_jobs *tb_jobs_new(const struct tb_jobs_parts *parts);

/** Start what is due and does not run. Waits: no. */
void tb_jobs_turn(struct tb_jobs *jobs);

/** How many run now. */
size_t tb_jobs_running(const struct tb_jobs *jobs);

#endif
