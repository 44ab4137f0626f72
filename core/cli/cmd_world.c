/* tongbao world seed and fill: something to try the service with. */
#include "cli/job.h"
#include "cli/print.h"
#include "ledger/seed.h"
#include "oauth/registration/demo.h"
#include <jansson.h>
#include <stdio.h>

enum { ACCOUNTS_MOST = 1000000 };

static tb_err refuse_live(struct tb_req *req, const struct tb_command_job *job)
{
    if (job->config->sandbox)
        return NULL;
    return tb_fail(req, TB_E_CONFLICT, "this installation is no sandbox (sandbox: true)");
}

/* ---- seed ---- */

static tb_err TB_SUSPENDS make_demo(struct tb_req *req, struct tb_command_job *job)
{
    TB_TRY(refuse_live(req, job));
    TB_TRY(tb_command_oauth(req, job));
    return tb_demo_make(req, job->store, job->mine);
}

static void print_demo_json(const struct tb_demo *demo)
{
    const struct tb_seed *seed = &demo->seed;
    json_t *users = json_array();
    for (size_t i = 0; i < TB_DEMO_USERS; i++)
        json_array_append_new(
            users, json_pack("{s:s, s:s, s:s, s:s}", "login", demo->users.users[i].login, "role",
                             demo->users.users[i].role, "password", demo->users.password,
                             "totp_secret", demo->users.users[i].totp));
    json_t *whole = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "world", seed->world,
                              "book", seed->book, "partner", seed->partner, "app", seed->app,
                              "debtor", seed->debtor, "creditor", seed->creditor, "client_id",
                              seed->app, "client_secret", demo->secret, "users", users);
    tb_print_json(whole, 0);
    json_decref(whole);
}

static void print_demo(const struct tb_demo *demo)
{
    const struct tb_seed *seed = &demo->seed;
    tb_print("world %s, book %d\npartner %s\napp %s\nCNY accounts %s and %s\n", seed->world,
             seed->book, seed->partner, seed->app, seed->debtor, seed->creditor);
    tb_print("client id %s\nclient secret %s\n", seed->app, demo->secret);
    for (size_t i = 0; i < TB_DEMO_USERS; i++)
        tb_print("user %s (%s), password %s, TOTP secret %s\n", demo->users.users[i].login,
                 demo->users.users[i].role, demo->users.password, demo->users.users[i].totp);
}

static int seed_world(struct tb_cli *cli)
{
    struct tb_demo demo = {.seed.book = 0};
    int exit_code = tb_command_job_run(cli, make_demo, &demo);
    if (exit_code != TB_EXIT_OK)
        return exit_code;
    if (cli->json)
        print_demo_json(&demo);
    else
        print_demo(&demo);
    return TB_EXIT_OK;
}

const struct tb_command tb_command_world_seed = {
    .name = "world seed",
    .summary = "make the demo world: 20 companies, 100 accounts, an OAuth client, two users",
    .about =
        "Sandbox only. The second time it finds the world that is there. Client secret, passwords\n"
        "and second factors are derived from secret.file, so they are told again each time.",
    .example = "tongbao world seed --json",
    .run = seed_world,
};

/* ---- fill ---- */

struct filling {
    int64_t accounts_n;
    json_t *ids; /* NULL: print them */
};

static void opened(const char *account, void *arg)
{
    struct filling *filling = arg;
    if (filling->ids != NULL)
        json_array_append_new(filling->ids, json_string(account));
    else
        puts(account);
}

static tb_err TB_SUSPENDS make_accounts(struct tb_req *req, struct tb_command_job *job)
{
    struct filling *filling = job->mine;
    struct tb_seed seed;
    TB_TRY(refuse_live(req, job));
    TB_TRY(tb_seed_demo(req, job->store, &seed));
    return tb_seed_fill(req, job->store, &seed, filling->accounts_n, opened, filling);
}

static int fill_world(struct tb_cli *cli)
{
    struct filling filling = {.ids = NULL};
    if (!tb_cli_int(cli, "accounts", 1, ACCOUNTS_MOST, 100, &filling.accounts_n))
        return TB_EXIT_USAGE;
    filling.ids = cli->json ? json_array() : NULL;
    int exit_code = tb_command_job_run(cli, make_accounts, &filling);
    if (filling.ids != NULL && exit_code == TB_EXIT_OK) {
        tb_print_json(filling.ids, JSON_INDENT(2));
    }
    json_decref(filling.ids);
    return exit_code;
}

static const struct tb_option fill_options[] = {
    {"accounts", "N", "how many to open (1 to 1000000, default 100)"},
    {.name = NULL},
};

const struct tb_command tb_command_world_fill = {
    .name = "world fill",
    .summary = "open more funded CNY accounts in the demo world and print their ids",
    .options = fill_options,
    .example = "tongbao world fill --accounts 1000 > accounts.txt",
    .run = fill_world,
};
