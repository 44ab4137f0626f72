/* The clerk: what is due by time rather than by a request. For each book it lets holds and consents
 * expire, seals the ledger and forgets old idempotency keys. Each task is one statement, a
 * transaction of its own, safe to run twice and by several clerks. */
#include "base/log.h"
#include "main/master.h"
#include "main/parts.h"
#include "plugin/job.h"
#include "runtime/run.h"
#include <stdio.h>

enum {
    TURN_MS = 1000,
    TASK_MS = 60 * 1000, /* a task that takes longer is given up and tried again */
};

/* Parameters of each statement: book, wall clock. World time is computed from the world's offset.
 * A statement for all books at once has the wall clock alone. */
#define WORLD_TIME                                                                                  \
    "($2::timestamptz + (select w.clock_offset_ms from bank.world w join bank.book b on b.world = " \
    "w.id where b.book = $1) * interval '1 ms')"

static const struct task {
    const char *name;
    int64_t every_ms;
    const char *sql;
    bool all_books;
} TASKS[] = {
    {"expire_holds", TURN_MS, "select count(*) from bank.expire_holds($1, " WORLD_TIME ", 10000)",
     false},
    {"expire_consents", TURN_MS, "select consent.expire($1, $2, 1000)", false},
    {"seal", TURN_MS, "select bank.seal($1, $2)", false},
    {"forget_keys", 60 * TURN_MS,
     "select tb.forget_keys($1, " WORLD_TIME " - interval '72 hours', 10000)", false},
    {"forget_requests", 60 * TURN_MS, "select oauth.forget_requests($1, interval '1 day', 10000)",
     true},
    {"forget_sessions", 10 * TURN_MS, "select oauth.forget_sessions($1, 10000)", true},
    {"forget_grants", 60 * TURN_MS, "select oauth.forget_grants($1, 10000)", true},
    {"forget_expired", 10 * TURN_MS, "select oauth.forget_expired($1, 50000)", true},
};

struct clerk {
    struct tb_seat *seat;
    struct tb_loop *loop;
    struct tb_registry *registry;
    struct tb_store *store;
    struct tb_timer turn;
    int64_t due_ms[TB_COUNT(TASKS)];
    bool working, draining;
};

static const char SQL_BOOKS[] = "select book from bank.book order by book limit 4096";

/* A book whose task fails does not keep the others waiting. */
static void TB_SUSPENDS do_task(struct tb_req *req, const struct task *task, int64_t book)
{
    const struct tb_param params[] = {TB_INT(book), TB_TIME(tb_now(req))};
    struct tb_rows *rows;
    size_t from = task->all_books ? 1 : 0;
    tb_err err = tb_query_params(req, &rows, task->sql, params + from, TB_COUNT(params) - from);
    if (err != NULL)
        tb_log_with(TB_LOG_WARN, "task_failed", TB_F_CSTR("task", task->name),
                    TB_F_INT("book", book), TB_F_CSTR("error", err->code));
}

static tb_err TB_SUSPENDS work(struct tb_req *req, void *arg)
{
    struct clerk *clerk = arg;
    struct tb_rows *books;
    tb_job_equip(req, clerk->store);
    tb_err err = tb_query_params(req, &books, SQL_BOOKS, NULL, 0);
    for (size_t t = 0; err == NULL && t < TB_COUNT(TASKS); t++) {
        int64_t now_ms = tb_loop_now_ms(clerk->loop);
        if (now_ms < clerk->due_ms[t])
            continue;
        clerk->due_ms[t] = now_ms + TASKS[t].every_ms;
        size_t times = TASKS[t].all_books ? 1 : books->n;
        for (size_t b = 0; b < times && !clerk->draining; b++)
            do_task(req, &TASKS[t], TASKS[t].all_books ? 0 : tb_cell_int(books, b, 0));
    }
    clerk->working = false;
    if (clerk->draining)
        tb_seat_drained(clerk->seat);
    return err;
}

static void turn(struct tb_timer *timer)
{
    struct clerk *clerk = (struct clerk *)((char *)timer - offsetof(struct clerk, turn));
    tb_log_flush();
    tb_timer_start(clerk->loop, timer, TURN_MS);
    if (clerk->working || clerk->draining || !tb_store_ready(clerk->store))
        return;
    clerk->working = true;
    if (tb_run_detached(clerk->loop, "clerk", work, clerk, TASK_MS) != NULL)
        clerk->working = false;
}

static void go(void *owner)
{
    struct clerk *clerk = owner;
    clerk->turn.fired = turn;
    tb_timer_start(clerk->loop, &clerk->turn, TURN_MS);
}

static void drain(void *owner, int64_t grace_ms)
{
    (void)grace_ms; /* a task is one statement; the master ends us if it outlasts the grace */
    struct clerk *clerk = owner;
    clerk->draining = true;
    if (!clerk->working)
        tb_seat_drained(clerk->seat);
}

int tb_clerk_main(struct tb_seat *seat)
{
    static const struct tb_seat_calls calls = {.go = go, .drain = drain};
    static struct clerk clerk;
    char why[TB_WHY_BYTES];
    clerk.seat = seat;
    clerk.loop = tb_loop_new();
    tb_fiber_signal_stack();
    tb_crash_install(&seat->slot->crash, NULL);
    clerk.registry = tb_parts_registry(seat->config, why, sizeof(why));
    if (clerk.registry == NULL)
        return tb_seat_refuse(seat, "%s", why);
    clerk.store = tb_parts_store(clerk.loop, seat->config, clerk.registry, "tongbao clerk");
    tb_seat_attach(seat, clerk.loop, &calls, &clerk);
    tb_seat_ready(seat);
    tb_loop_run(clerk.loop);
    return 0;
}
