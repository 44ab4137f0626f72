/* The clerk: what is due by time rather than by a request: the core's own tasks, and the jobs of
 * products (jobs.c). It lets holds and consents expire, seals the ledger, writes events of
 * certificates that end, and forgets what is over. Each task is one statement, a transaction of its
 * own, safe to run twice and by several clerks. A sandbox has thousands of books and few in which
 * something is due, so a task first asks which those are. */
#include "base/log.h"
#include "base/time.h"
#include "directory/quota_store.h"
#include "gateway/job_host.h"
#include "process/master.h"
#include "runtime/run.h"
#include "worker/jobs.h"
#include "worker/parts.h"
#include <stdio.h>

enum {
    TURN_MS = 1000,
    TASK_MS = 60 * 1000, /* a task that takes longer is given up and tried again */
    BOOKS_PAGE = 4096,   /* books of one query */
    QUOTAS_MS = 3000,    /* a start waits so long for the books before it goes on without */
};

/* Parameters of each statement: book, wall clock; of `books`: the wall clock, and the book behind
 * which to go on; of a statement without it, which is for all books at once: the wall clock alone.
 * World time is computed from the world's offset.
 */
#define WORLD_TIME                                                                                  \
    "($2::timestamptz + (select w.clock_offset_ms from bank.world w join bank.book b on b.world = " \
    "w.id where b.book = $1) * interval '1 ms')"

#define BOOKS_WHERE "select b.book from bank.book b join bank.world w on w.id = b.world where "
#define BOOKS_TIME  "$1::timestamptz + w.clock_offset_ms * interval '1 ms'"
#define BOOKS_MOST  " and b.book > $2 order by b.book limit 4096" /* BOOKS_PAGE */

static const struct task {
    const char *name;
    int64_t every_ms;
    const char *books; /* those it is due for; NULL: one statement is for all */
    const char *sql;
    bool retention; /* $3 of both is events.retention in ms */
} TASKS[] = {
    {"expire_holds", TURN_MS,
     BOOKS_WHERE "exists (select from bank.hold h where h.book = b.book and h.state = 'open' "
                 "and h.expires_at <= " BOOKS_TIME ")" BOOKS_MOST,
     "select count(*) from bank.expire_holds($1, " WORLD_TIME ", 10000)", false},
    {"expire_consents", TURN_MS,
     BOOKS_WHERE "exists (select from consent.consent c where c.book = b.book and c.status in "
                 "('AWAU', 'AWAF', 'AUTH') and c.ends_at <= " BOOKS_TIME ")" BOOKS_MOST,
     "select consent.expire($1, $2, 1000)", false},
    {"seal", TURN_MS,
     BOOKS_WHERE "$1::timestamptz is not null and (exists (select from bank.transfer t where "
                 "t.book = b.book and t.block = b.block) or (b.block > 1 and not exists (select "
                 "from bank.seal s where s.book = b.book and s.block = b.block - 1)))" BOOKS_MOST,
     "select bank.seal($1, $2)", false},
    {"forget_keys", 60 * TURN_MS, BOOKS_WHERE "$1::timestamptz is not null" BOOKS_MOST,
     "select tb.forget_keys($1, " WORLD_TIME " - interval '72 hours', 10000)", false},
    {"forget_events", 10 * TURN_MS,
     BOOKS_WHERE
     "(select e.at from event.outbox e where e.book = b.book order by e.id limit 1) < " BOOKS_TIME
     " - $3::bigint * interval '1 ms'" BOOKS_MOST,
     "select event.forget($1, " WORLD_TIME " - $3::bigint * interval '1 ms', 50000)", true},
    {"tell_certificates", 3600 * TURN_MS,
     BOOKS_WHERE "exists (select from oauth.certificate c join bank.app a on a.id = c.client where "
                 "a.world = b.world and c.expires_at between $1::timestamptz and "
                 "$1::timestamptz + interval '60 days')" BOOKS_MOST,
     "select oauth.tell_certificates($1, $2)", false},
    {"forget_requests", 60 * TURN_MS, NULL,
     "select oauth.forget_requests($1, interval '1 day', 10000)", false},
    {"forget_sessions", 10 * TURN_MS, NULL, "select oauth.forget_sessions($1, 10000)", false},
    {"forget_grants", 60 * TURN_MS, NULL, "select oauth.forget_grants($1, 10000)", false},
    {"forget_expired", 10 * TURN_MS, NULL, "select oauth.forget_expired($1, 50000)", false},
    {"forget_recordings", 10 * TURN_MS, NULL, "select script.forget_recordings($1, 20000)", false},
    {"forget_dry_runs", 3600 * TURN_MS, NULL, "select script.forget_dry_runs($1)", false},
    {"forget_quotas", 3600 * TURN_MS, NULL, "select bank.forget_quotas($1, 100000)", false},
    {"forget_registrations", 600 * TURN_MS, NULL, "select oauth.forget_registrations($1)", false},
};

struct clerk {
    struct tb_process *seat;
    struct tb_loop *loop;
    struct tb_registry *registry;
    struct tb_store *store;
    struct tb_jobs *jobs;
    struct tb_timer turn;
    struct tb_limiter *limiter;
    struct tb_quota_reading quotas;
    size_t quotas_from;
    int64_t due_ms[TB_COUNT(TASKS)];
    bool working, draining;
};

static void complain(const struct task *task, int64_t book, tb_err err)
{
    tb_log_with(TB_LOG_WARN, "task_failed", TB_F_CSTR("task", task->name), TB_F_INT("book", book),
                TB_F_CSTR("error", err->code));
}

static struct tb_param retention(const struct clerk *clerk)
{
    return TB_INT(clerk->seat->config->events_retention_ms);
}

/* Do what the task does for each book of a page. A book whose task fails does not keep the others
 * waiting, and no book's answer takes memory from the next. */
static void TB_SUSPENDS do_books(struct tb_req *req, const struct task *task,
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

static void TB_SUSPENDS do_task(struct tb_req *req, const struct task *task,
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
        more = err == NULL && task->books != NULL && rows->n == BOOKS_PAGE;
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
        tb_process_drained(clerk->seat);
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

static tb_err TB_SUSPENDS work(struct tb_req *req, void *arg)
{
    struct clerk *clerk = arg;
    tb_job_equip(req, clerk->store);
    for (size_t t = 0; t < TB_COUNT(TASKS) && !clerk->draining; t++) {
        int64_t now_ms = tb_loop_now_ms(clerk->loop);
        if (now_ms < clerk->due_ms[t])
            continue;
        clerk->due_ms[t] = now_ms + TASKS[t].every_ms;
        do_task(req, &TASKS[t], clerk);
    }
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
    tb_timer_start(clerk->loop, timer, TURN_MS);
    if (clerk->draining || !tb_store_ready(clerk->store))
        return;
    tb_jobs_turn(clerk->jobs);
    begin_work(clerk);
}

static void go(void *owner)
{
    struct clerk *clerk = owner;
    clerk->turn.fired = turn;
    tb_timer_start(clerk->loop, &clerk->turn, TURN_MS);
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
    void *memory = tb_process_region(clerk->seat, "metrics", &bytes);
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
    void *memory = tb_process_region(clerk->seat, "limits", &bytes);
    tb_err err = NULL;
    clerk->limiter = tb_limiter_open(memory, bytes);
    while (!clerk->quotas.done && err == NULL)
        err = tb_run_to_end(clerk->loop, read_quotas, clerk, QUOTAS_MS + 2000);
    if (err != NULL)
        tb_log_with(TB_LOG_WARN, "starting_without_quotas", TB_F_CSTR("error", err->code));
}

int tb_clerk_main(struct tb_process *seat)
{
    static const struct tb_process_calls calls = {.go = go, .drain = drain};
    static struct clerk clerk;
    char why[TB_WHY_BYTES];
    clerk.seat = seat;
    clerk.loop = tb_loop_new();
    tb_crash_install(&seat->slot->crash, NULL);
    clerk.registry = tb_parts_registry(seat->config, why, sizeof(why));
    if (clerk.registry == NULL)
        return tb_process_refuse(seat, "%s", why);
    clerk.store = tb_parts_store(clerk.loop, seat->config, clerk.registry, "tongbao clerk");
    make_jobs(&clerk);
    make_quotas(&clerk);
    tb_process_attach(seat, clerk.loop, &calls, &clerk);
    tb_process_ready(seat);
    tb_loop_run(clerk.loop);
    tb_registry_stop(clerk.registry);
    return 0;
}
