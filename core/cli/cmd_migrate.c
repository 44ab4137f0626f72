/* tongbao migrate: bring the database's schemas to what this program and its products need. */
#include "cli/job.h"
#include "cli/print.h"
#include "runtime/run.h"
#include <jansson.h>
#include <stdio.h>

static void print_step(const struct tb_migration_step *step, void *arg)
{
    json_t *steps = arg;
    if (steps != NULL)
        json_array_append_new(steps,
                              json_pack("{s:s, s:i, s:s, s:b, s:I}", "set", step->set, "number",
                                        (int)step->number, "name", step->name, "applied",
                                        step->applied, "elapsed_ms", (json_int_t)step->elapsed_ms));
    else if (step->applied)
        tb_print("applied %s/%04u_%s in %lld ms\n", step->set, step->number, step->name,
                 (long long)step->elapsed_ms);
}

static tb_err TB_SUSPENDS apply(struct tb_req *req, struct tb_command_job *job)
{
    struct tb_migration_set sets[TB_SETS_MAX];
    size_t n = tb_parts_migrations(job->registry, sets);
    if (tb_cli_option(job->cli, "check") != NULL)
        return tb_migrate_check(req, job->store, sets, n);
    json_t *steps = job->cli->json ? json_array() : NULL;
    tb_err err = tb_migrate(req, job->store, sets, n, print_step, steps);
    if (steps != NULL && err == NULL) {
        tb_print_json(steps, JSON_INDENT(2));
    }
    json_decref(steps);
    if (err == NULL && !job->cli->json)
        tb_print("the database is up to date\n");
    return err;
}

static int migrate(struct tb_cli *cli)
{
    return tb_command_job_run(cli, apply, NULL);
}

static const struct tb_option options[] = {
    {"check", NULL, "only say whether this program can run on the database as it is"},
    {.name = NULL},
};

const struct tb_command tb_command_migrate = {
    .name = "migrate",
    .summary = "apply the migrations the database lacks",
    .options = options,
    .about =
        "Forward only, each in one transaction, under a lock: several may run at once. A migration\n"
        "that was changed after it was applied is refused.",
    .example = "tongbao migrate --config /etc/tongbao.yaml",
    .run = migrate,
};
