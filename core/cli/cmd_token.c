/* tongbao token: mint an access token for an app of a sandbox. */
#include "base/time.h"
#include "cli/job.h"
#include "cli/print.h"
#include "ledger/seed.h"
#include "runtime/run.h"
#include <stdio.h>

enum { DAYS_MOST = 31 };

static const char SQL_APP[] =
    "select a.partner, b.book, a.plain_tokens from bank.app a join bank.book b on b.world "
    "= a.world where a.id = $1 order by b.book limit 1";

/* All that is served, reading and writing; what a demo partner wants. Not `openid`: the token
 * stands for no customer. */
static struct tb_str every_scope(struct tb_req *req, const struct tb_registry *registry)
{
    struct tb_text text;
    size_t n;
    struct tb_operation *const *operations = tb_registry_operations(registry, &n);
    tb_text_init(&text, tb_run_of(req)->arena);
    for (size_t i = 0; i < n; i++) {
        const char *scope = operations[i]->route->scope;
        bool seen = scope == NULL || strcmp(scope, "openid") == 0;
        for (size_t j = 0; j < i && !seen; j++)
            seen = operations[j]->route->scope != NULL &&
                   strcmp(operations[j]->route->scope, scope) == 0;
        if (seen)
            continue;
        if (text.n > 0)
            tb_text_add_char(&text, ' ');
        tb_text_add(&text, tb_str(scope));
    }
    return tb_text_end(&text);
}

/* Partner and book of the app that was named, or of the demo app. */
static tb_err TB_SUSPENDS find_app(struct tb_req *req, struct tb_command_job *job,
                                   struct tb_token_order *order)
{
    const char *app = tb_cli_option(job->cli, "app");
    struct tb_rows *rows;
    if (app == NULL) {
        struct tb_seed *seed = tb_alloc(req, sizeof(*seed));
        if (seed == NULL)
            return TB_E_INTERNAL;
        TB_TRY(tb_seed_demo(req, job->store, seed));
        app = seed->app;
    }
    TB_TRY(tb_query(req, &rows, SQL_APP, TB_TEXT(tb_str(app))));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "no app %s", app);
    if (!tb_str_eq(tb_cell(rows, 0, 2), TB_STR("t")))
        return tb_fail(req, TB_E_CONFLICT, "%s may not use tokens bound to nobody", app);
    order->app = tb_str(app);
    order->partner = tb_cell(rows, 0, 0);
    order->book = (int32_t)tb_cell_int(rows, 0, 1);
    return NULL;
}

static void print_token(const struct tb_cli *cli, const struct tb_minted *minted,
                        struct tb_str scope, int64_t now_s)
{
    if (cli->json)
        tb_print("{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%lld,\"scope\":"
                 "\"%.*s\"}\n",
                 minted->token.at, (long long)(minted->exp_s - now_s), (int)scope.n, scope.at);
    else
        tb_print("%s\n", minted->token.at);
}

static tb_err TB_SUSPENDS mint_with(struct tb_req *req, struct tb_command_job *job,
                                    struct tb_keystore *keys)
{
    const char *scope = tb_cli_option(job->cli, "scope");
    int64_t now_s = tb_wall_ms() / 1000;
    struct tb_minted minted;
    TB_TRY(tb_oauth_keys_refresh(req, keys, TB_KEYS_OF_TOKENS, &tb_oauth_schedule, now_s));
    struct tb_token_order order = {
        .scope = scope == NULL ? every_scope(req, job->registry) : tb_str(scope),
        .life_s = *(int64_t *)job->mine * 86400,
    };
    TB_TRY(find_app(req, job, &order));
    struct tb_token_rules rules = tb_parts_token_rules(job->config, keys, NULL);
    struct tb_token_checker *checker = tb_token_checker_new(&rules);
    tb_err err = tb_token_mint(checker, &order, now_s, tb_run_of(req)->arena, &minted);
    tb_token_checker_free(checker);
    if (err == NULL)
        print_token(job->cli, &minted, order.scope, now_s);
    return err;
}

static tb_err TB_SUSPENDS mint(struct tb_req *req, struct tb_command_job *job)
{
    struct tb_secret secret = {NULL, 0};
    char why[TB_WHY_BYTES];
    if (!job->config->sandbox)
        return tb_fail(req, TB_E_CONFLICT, "plain tokens are for sandboxes only (sandbox: true)");
    if (!tb_parts_secret(job->config, &secret, why, sizeof(why)))
        return tb_fail(req, TB_E_CONFLICT, "%s", why);
    struct tb_keystore *keys = tb_keystore_new(&secret);
    tb_err err = mint_with(req, job, keys);
    tb_keystore_free(keys);
    tb_secret_wipe(&secret);
    return err;
}

static int token(struct tb_cli *cli)
{
    int64_t days;
    if (!tb_cli_int(cli, "days", 1, DAYS_MOST, 1, &days))
        return TB_EXIT_USAGE;
    return tb_command_job_run(cli, mint, &days);
}

static const struct tb_option options[] = {
    {"app", "ID", "the app it is for (default the demo app)"},
    {"scope", "SCOPES", "scopes, separated by blanks (default all that is served)"},
    {"days", "N", "how long it is valid (1 to 31, default 1)"},
    {.name = NULL},
};

const struct tb_command tb_command_token = {
    .name = "token",
    .summary = "mint a bearer token for an app of a sandbox",
    .options = options,
    .example = "tongbao token --scope 'accounts:read e-payment:write' --days 7",
    .run = token,
};
