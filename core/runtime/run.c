/* Runs: what is kept for everything on a fiber, the services that need no gateway, and jobs without
 * a client. */
#include "runtime/run.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/loop_impl.h"
#include <stdio.h>

void *tb_run_alloc(struct tb_req *req, size_t n)
{
    return tb_arena_alloc(tb_run_of(req)->arena, n);
}

/* Of the body unless it says otherwise: "?name" is a parameter, "name:" a header field. */
static void add_place(struct tb_run *run, tb_err err, const char *where, struct tb_str detail)
{
    struct tb_problem *problem = &run->problem;
    size_t n = strlen(where);
    problem->places_total++;
    if (problem->places_n == TB_RUN_ERRORS)
        return;
    struct tb_place *place = &problem->places[problem->places_n];
    *place = (struct tb_place){.code = err->code, .detail = detail.at};
    if (n > 0 && where[0] == '?')
        place->parameter = tb_arena_text(run->arena, where + 1, n - 1);
    else if (n > 0 && where[0] != '/' && where[n - 1] == ':')
        place->header = tb_arena_text(run->arena, where, n - 1);
    else
        place->pointer = tb_arena_text(run->arena, where, n);
    if (place->pointer != NULL || place->parameter != NULL || place->header != NULL)
        problem->places_n++;
}

tb_err tb_run_fail(struct tb_req *req, tb_err err, const char *pointer, const char *format,
                   va_list args)
{
    struct tb_run *run = tb_run_of(req);
    TB_ASSERT(err != NULL);
    struct tb_str detail = tb_arena_vformat(run->arena, format, args);
    if (pointer != NULL)
        add_place(run, err, pointer, detail);
    if (run->problem.detail.at == NULL)
        run->problem.detail = detail;
    return tb_arena_overflowed(run->arena) ? TB_E_INTERNAL : err;
}

void tb_run_log(struct tb_req *req, enum tb_log_level level, const char *format, va_list args)
{
    char buffer[1024];
    if (!tb_log_enabled(level))
        return;
    int n = vsnprintf(buffer, sizeof(buffer), format, args);
    size_t kept = n < 0 ? 0 : (size_t)n < sizeof(buffer) ? (size_t)n : sizeof(buffer) - 1;
    tb_log_with(level, "note", TB_F_CSTR("run", tb_run_of(req)->label),
                TB_F_TEXT("message", ((struct tb_str){buffer, kept})));
}

int64_t tb_run_now(struct tb_req *req)
{
    return tb_loop_wall_ms(tb_run_of(req)->loop);
}

const struct tb_host tb_run_host = {
    .size = sizeof(struct tb_host),
    .alloc = tb_run_alloc,
    .refuse = tb_run_fail,
    .log = tb_run_log,
    .now = tb_run_now,
};

void tb_run_init(struct tb_run *run, struct tb_loop *loop, struct tb_arena *arena)
{
    *run = (struct tb_run){.req = {&tb_run_host}, .loop = loop, .arena = arena};
}

void tb_run_begin(struct tb_run *run)
{
    tb_fiber_bind(run);
    run->fiber = tb_fiber_self();
}

void tb_run_end(struct tb_run *run)
{
    TB_ASSERT(run->fiber == tb_fiber_self() && !run->in_transaction);
    tb_fiber_bind(NULL);
    run->fiber = NULL;
}

void tb_run_cancel(struct tb_run *run)
{
    run->gone = true;
    if (run->fiber != NULL && !run->finish)
        tb_fiber_cancel(run->fiber);
}

int64_t tb_run_left_ms(const struct tb_run *run, int64_t unlimited)
{
    if (run->deadline_ms == 0)
        return unlimited;
    int64_t left_ms = run->deadline_ms - tb_loop_now_ms(run->loop);
    return left_ms > 0 ? left_ms : 0;
}

/* ---- jobs ---- */

struct job {
    struct tb_run run;
    tb_err (*main)(struct tb_req *, void *);
    void *arg;
    bool waited_for, ended; /* waited_for: its starter takes the outcome and frees it */
    tb_err outcome;
};

static void free_job(struct job *job)
{
    tb_arena_free(job->run.arena);
    tb_mem_free(job);
}

static void TB_SUSPENDS job_main(void *arg)
{
    struct job *job = arg;
    struct tb_run *run = &job->run;
    tb_run_begin(run);
    job->outcome = job->main(&run->req, job->arg);
    if (job->outcome != NULL) {
        tb_log_with(TB_LOG_ERROR, "job_failed", TB_F_CSTR("run", run->label),
                    TB_F_CSTR("error", job->outcome->code),
                    TB_F_TEXT("detail", run->problem.detail));
    }
    tb_run_end(run);
    job->ended = true;
    if (!job->waited_for)
        free_job(job);
}

static struct job *new_job(struct tb_loop *loop, const char *label,
                           tb_err (*main)(struct tb_req *, void *), void *arg, int64_t within_ms)
{
    struct job *job = tb_mem(sizeof(*job));
    tb_run_init(&job->run, loop, tb_arena_new(TB_ARENA_CAP));
    job->run.label = label;
    job->run.deadline_ms = within_ms == 0 ? 0 : tb_loop_now_ms(loop) + within_ms;
    job->main = main;
    job->arg = arg;
    return job;
}

tb_err tb_run_to_end(struct tb_loop *loop, tb_err (*main)(struct tb_req *, void *), void *arg,
                     int64_t within_ms)
{
    struct job *job = new_job(loop, "job", main, arg, within_ms);
    job->waited_for = true;
    tb_err err = tb_fiber_start(loop, job_main, job);
    if (err == NULL) {
        while (!job->ended)
            tb_loop_turn(loop, INT32_MAX);
        err = job->outcome;
    }
    free_job(job);
    return err;
}

tb_err tb_run_detached(struct tb_loop *loop, const char *label,
                       tb_err (*main)(struct tb_req *, void *), void *arg, int64_t within_ms)
{
    struct job *job = new_job(loop, label, main, arg, within_ms);
    tb_err err = tb_fiber_start(loop, job_main, job);
    if (err != NULL)
        free_job(job);
    return err;
}
