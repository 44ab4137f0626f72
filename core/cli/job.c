/* The frame around a command that works on the books. */
#include "cli/job.h"
#include "cli/print.h"
#include "gateway/job_host.h"
#include "runtime/run.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ERRORS_CAP = 256 * 1024, BOOKS_MS = 5000 };

struct work {
    struct tb_command_job job;
    tb_err (*main)(struct tb_req *req, struct tb_command_job *job);
    tb_err err; /* what it ended with; the command says so, no log does */
    char why[512];
};

struct tb_config *tb_command_config(const struct tb_cli *cli)
{
    struct tb_arena *arena = tb_arena_new(ERRORS_CAP);
    struct tb_text errors;
    tb_text_init(&errors, arena);
    struct tb_config *config = tb_config_load(cli->config_path, &errors);
    if (config == NULL)
        tb_print_to(stderr, "%s", tb_text_end(&errors).at);
    tb_arena_free(arena);
    return config;
}

static tb_err TB_SUSPENDS run(struct tb_req *req, void *arg)
{
    struct work *work = arg;
    struct tb_str *detail = &tb_run_of(req)->problem.detail;
    tb_job_equip(req, work->job.store);
    tb_err err = tb_store_await(req, work->job.store, BOOKS_MS);
    if (err != NULL)
        snprintf(work->why, sizeof(work->why), "%s %s", err->title,
                 tb_store_trouble(work->job.store));
    else if ((err = work->main(req, &work->job)) != NULL)
        snprintf(work->why, sizeof(work->why), "%s%s%.*s", err->title, detail->n > 0 ? " " : "",
                 (int)detail->n, detail->n > 0 ? detail->at : "");
    work->err = err;
    return NULL;
}

/* The work itself, between opening and closing the books. */
static int run_with_books(struct work *work)
{
    struct tb_cli *cli = work->job.cli;
    struct tb_loop *loop = tb_loop_new();
    work->job.store = tb_parts_store(loop, work->job.config, work->job.registry, "tongbao command");
    tb_err err = tb_run_to_end(loop, run, work, 0);
    tb_store_close(work->job.store);
    tb_loop_turn(loop, 0);
    tb_loop_free(loop);
    if (err == NULL)
        err = work->err;
    if (err == NULL)
        return work->job.exit_code;
    enum tb_exit exit_code = tb_is(err, TB_E_STORE) ? TB_EXIT_ENVIRONMENT : TB_EXIT_FOUND;
    return tb_cli_fail(cli, exit_code, "%s", work->why);
}

int tb_command_job_run(struct tb_cli *cli,
                       tb_err (*main)(struct tb_req *req, struct tb_command_job *job), void *mine)
{
    struct work work = {.job = {.cli = cli, .mine = mine}, .main = main};
    char why[TB_WHY_BYTES];
    work.job.config = tb_command_config(cli);
    if (work.job.config == NULL)
        return TB_EXIT_ENVIRONMENT;
    work.job.registry = tb_parts_registry(work.job.config, why, sizeof(why));
    int exit_code = work.job.registry == NULL ? tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "%s", why)
                                              : run_with_books(&work);
    tb_registry_free(work.job.registry);
    tb_config_free(work.job.config);
    return exit_code;
}

void tb_command_operator(char out[TB_OPERATOR_BYTES])
{
    const char *name = getenv("SUDO_USER");
    const struct passwd *user = name == NULL ? getpwuid(getuid()) : NULL;
    if (user != NULL)
        name = user->pw_name;
    snprintf(out, TB_OPERATOR_BYTES, "operator:%s", name == NULL ? "unknown" : name);
}

tb_err tb_command_oauth(struct tb_req *req, const struct tb_command_job *job)
{
    static struct tb_secret secret; /* for as long as the process, as the room wants it */
    char why[TB_WHY_BYTES];
    if (!tb_parts_secret(job->config, &secret, why, sizeof(why)))
        return tb_fail(req, TB_E_CONFLICT, "%s", why);
    const struct tb_oauth_parts parts = {
        .loop = tb_run_of(req)->loop,
        .config = job->config,
        .store = job->store,
        .master = secret,
    };
    tb_parts_oauth(job->registry, &parts);
    return NULL;
}
