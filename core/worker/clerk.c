/* The clerk: maintenance by time rather than by a request: the due work of each room that has
 * tables (ledger/due.h), the quotas, and the jobs of products (jobs.c). */
#include "base/assert.h"
#include "base/log.h"
#include "base/time.h"
#include "directory/quota_store.h"
#include "gateway/job_host.h"
#include "ledger/due.h"
#include "process/master.h"
#include "runtime/run.h"
#include "worker/jobs.h"
#include "worker/parts.h"
#include <stdio.h>

enum {
    TASK_MS = 60 * 1000, /* a task that takes longer is given up and tried again */
    DUE_MAX = 64,        /* rows of all rooms */
    QUOTAS_MS = 3000,    /* a start waits so long for the books before it goes on without */
};

extern const struct tb_due tb_ledger_due[], tb_outbox_due[], tb_oauth_due[], tb_consent_due[],
    tb_directory_due[], tb_hooks_due[];

static const struct tb_due *const DUE[] = {tb_ledger_due,  tb_outbox_due,    tb_oauth_due,
                                           tb_consent_due, tb_directory_due, tb_hooks_due};

struct clerk {
    struct tb_process *process;
    struct tb_loop *loop;
    struct tb_registry *registry;
    struct tb_store *store;
    struct tb_jobs *jobs;
    struct tb_timer turn;
    struct tb_limiter *limiter;
    struct tb_quota_reading quotas;
    size_t quotas_from;
    int64_t due_ms[DUE_MAX];
    bool working, draining;
};

static void complain(const struct tb_due *task, int64_t book, tb_err err)
{
    tb_log_with(TB_LOG_WARN, "task_failed", TB_F_CSTR("task", task->name), TB_F_INT("book", book),
                TB_F_CSTR("error", err->code));
}

static struct tb_param retention(const struct clerk *clerk)
{
    return TB_INT(clerk->process->config->events_retention_ms);
}

/* Do what the task does for each book of a page. A book whose task fails does not keep the others
 * waiting, and no book's answer takes memory from the next. */
static void TB_SUSPENDS do_books(struct tb_req *req, const struct tb_due *task,
                                 const struct clerk *clerk, const struct tb_rows *books)
{
    struct tb_param params[] = {TB_NULL, TB_TIME(tb_now(req)), retention(clerk)};
    size_t params_n = task->retention ? 3 : 2;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    for (size_t b = 0; b < books->n && !clerk->draining; b++) {
        struct tb_rows *rows;
        params[0] = TB_INT(tb_cell_int(books, b, 0));
        tb_arena_reset(arena);
        struct tb_arena *own = tb_run_borrow(req, arena);
        tb_err err = tb_query_params(req, &rows, task->sql, params, params_n);
        (void)tb_run_borrow(req, own);
        tb_run_of(req)->problem = (struct tb_problem){0};
        if (err != NULL)
            complain(task, params[0].integer, err);
    }
    tb_arena_free(arena);
}

static void TB_SUSPENDS do_task(struct tb_req *req, const struct tb_due *task,
                                const struct clerk *clerk)
{
    struct tb_param params[] = {TB_TIME(tb_now(req)), TB_INT(0), retention(clerk)};
    size_t params_n = task->retention ? 3 : 2;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_rows *rows;
    tb_err err = NULL;
    bool more = true;
    while (err == NULL && more && !clerk->draining) {
        tb_arena_reset(arena);
        struct tb_arena *own = tb_run_borrow(req, arena);
        err = task->books == NULL ? tb_query_params(req, &rows, task->sql, params, 1)
                                  : tb_query_params(req, &rows, task->books, params, params_n);
        (void)tb_run_borrow(req, own);
        tb_run_of(req)->problem = (struct tb_problem){0};
        more = err == NULL && task->books != NULL && rows->n == TB_DUE_BOOKS_MAX;
        if (err != NULL || task->books == NULL)
            break;
        do_books(req, task, clerk, rows);
        if (more)
            params[1] = TB_INT(tb_cell_int(rows, rows->n - 1, 0));
    }
    if (err != NULL)
        complain(task, 0, err);
    tb_arena_free(arena);
}

static void end_if_drained(void *owner)
{
    struct clerk *clerk = owner;
    if (clerk->draining && !clerk->working && tb_jobs_running(clerk->jobs) == 0)
        tb_process_drained(clerk->process);
}

/* What of the quotas is used is read once, a page at a time, and then added to every turn. */
static tb_err TB_SUSPENDS keep_quotas(struct tb_req *req, struct clerk *clerk)
{
    tb_limiter_date(clerk->limiter, tb_wall_ms());
    if (!clerk->quotas.done)
        return tb_quotas_read(req, clerk->limiter, &clerk->quotas);
    return tb_quotas_save(req, clerk->limiter, &clerk->quotas_from);
}

static tb_err TB_SUSPENDS read_quotas(struct tb_req *req, void *arg)
{
    struct clerk *clerk = arg;
    tb_job_equip(req, clerk->store);
    TB_TRY(tb_store_await(req, clerk->store, QUOTAS_MS));
    return keep_quotas(req, clerk);
}

/* The rows of one room; *at counts those of all. */
static void TB_SUSPENDS do_room(struct tb_req *req, struct clerk *clerk, const struct tb_due *due,
                                size_t *at)
{
    for (; due->name != NULL && !clerk->draining; due++, (*at)++) {
        int64_t now_ms = tb_loop_now_ms(clerk->loop);
        TB_ASSERT(*at < DUE_MAX);
        if (now_ms < clerk->due_ms[*at])
            continue;
        clerk->due_ms[*at] = now_ms + due->every_ms;
        do_task(req, due, clerk);
    }
}

static tb_err TB_SUSPENDS work(struct tb_req *req, void *arg)
{
    struct clerk *clerk = arg;
    tb_job_equip(req, clerk->store);
    size_t at = 0;
    for (size_t room = 0; room < TB_COUNT(DUE) && !clerk->draining; room++)
        do_room(req, clerk, DUE[room], &at);
    tb_err err = keep_quotas(req, clerk);
    if (err != NULL)
        tb_log_with(TB_LOG_WARN, "quotas_not_saved", TB_F_CSTR("error", err->code));
    clerk->working = false;
    end_if_drained(clerk);
    return NULL;
}

static void begin_work(struct clerk *clerk)
{
    if (clerk->working)
        return;
    clerk->working = true; /* before: it may be through at once */
    if (tb_run_detached(clerk->loop, "clerk", work, clerk, TASK_MS) != NULL)
        clerk->working = false;
}

static void turn(struct tb_timer *timer)
{
    struct clerk *clerk = TB_CONTAINER(struct clerk, turn, timer);
    tb_log_flush();
    tb_timer_start(clerk->loop, timer, TB_DUE_TURN_MS);
    if (clerk->draining || !tb_store_ready(clerk->store))
        return;
    tb_jobs_turn(clerk->jobs);
    begin_work(clerk);
}

static void go(void *owner)
{
    struct clerk *clerk = owner;
    clerk->turn.fired = turn;
    tb_timer_start(clerk->loop, &clerk->turn, TB_DUE_TURN_MS);
}

static void drain(void *owner, int64_t grace_ms)
{
    (void)grace_ms; /* a task is one statement, a job has its time; the master ends us if it
                       outlasts the grace */
    struct clerk *clerk = owner;
    clerk->draining = true;
    if (tb_store_ready(clerk->store))
        begin_work(clerk); /* the quotas once more */
    end_if_drained(clerk);
}

static void make_jobs(struct clerk *clerk)
{
    size_t bytes;
    void *memory = tb_process_region(clerk->process, "metrics", &bytes);
    const struct tb_jobs_parts parts = {
        .loop = clerk->loop,
        .store = clerk->store,
        .metrics = tb_metrics_open(memory, bytes),
        .registry = clerk->registry,
        .idle = end_if_drained,
        .owner = clerk,
    };
    clerk->jobs = tb_jobs_new(&parts);
}

/* Before the first request, so that nothing is used twice. */
static void make_quotas(struct clerk *clerk)
{
    size_t bytes;
    void *memory = tb_process_region(clerk->process, "limits", &bytes);
    tb_err err = NULL;
    clerk->limiter = tb_limiter_open(memory, bytes);
    while (!clerk->quotas.done && err == NULL)
        err = tb_run_to_end(clerk->loop, read_quotas, clerk, QUOTAS_MS + 2000);
    if (err != NULL)
        tb_log_with(TB_LOG_WARN, "starting_without_quotas", TB_F_CSTR("error", err->code));
}

int tb_clerk_main(struct tb_process *process)
{
    static const struct tb_process_calls calls = {.go = go, .drain = drain};
    static struct clerk clerk;
    char why[TB_WHY_BYTES];
    clerk.process = process;
    clerk.loop = tb_loop_new();
    tb_crash_install(&process->slot->crash, NULL);
    clerk.registry = tb_parts_registry(process->config, why, sizeof(why));
    if (clerk.registry == NULL)
        return tb_process_refuse(process, "%s", why);
    clerk.store = tb_parts_store(clerk.loop, process->config, clerk.registry, "tongbao clerk");
    make_jobs(&clerk);
    make_quotas(&clerk);
    tb_process_attach(process, clerk.loop, &calls, &clerk);
    tb_process_ready(process);
    tb_loop_run(clerk.loop);
    tb_registry_stop(clerk.registry);
    return 0;
}
