/* `tongbao serve`: the master with the configuration behind it. */
#include "base/mem.h"
#include "cli/command.h"
#include "config/config.h"
#include "http/tls.h"
#include "process/master.h"
#include "worker/parts.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ERRORS_CAP = 64 * 1024 };

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (unsigned)n;
}

/** Copy the errors of the configuration as one sentence. */
static void first_words(struct tb_text *errors, char *why, size_t why_bytes)
{
    struct tb_str text = tb_text_end(errors);
    while (text.n > 0 && text.at[text.n - 1] == '\n')
        text.n--;
    snprintf(why, why_bytes, "%.*s", (int)(text.n < INT_MAX ? text.n : INT_MAX), text.at);
}

/** Copied; to be freed. */
static char *address(const struct tb_config *config, int64_t port)
{
    char text[TB_ADDRESS_ROOM];
    tb_parts_address(config, port, text);
    return tb_mem_text(text, strlen(text));
}

static bool ports_fit(const struct tb_config *config, char *why, size_t why_bytes)
{
    bool same = config->listen_mtls_port != 0 && config->listen_mtls_port == config->listen_port;
    if (same)
        snprintf(why, why_bytes, "listen.mtls_port: must be another than listen.port");
    return !same;
}

static bool plan(const char *config_path, struct tb_plan *out, char *why, size_t why_bytes)
{
    struct tb_arena *arena = tb_arena_new(ERRORS_CAP);
    struct tb_text errors;
    tb_text_init(&errors, arena);
    struct tb_config *config = tb_config_load(config_path, &errors);
    if (config == NULL)
        first_words(&errors, why, why_bytes);
    tb_arena_free(arena);
    if (config == NULL)
        return false;

    if (!ports_fit(config, why, why_bytes)) {
        tb_config_free(config);
        return false;
    }
    unsigned workers = config->workers == 0 ? cores() : (unsigned)config->workers;
    *out = (struct tb_plan){
        .count = {[TB_PROCESS_WORKER] = workers, [TB_PROCESS_CLERK] = 1},
        .listen = {address(config, config->listen_port)},
        .listen_n = 1,
        .start_ms = config->start_timeout_ms,
        .grace_ms = config->shutdown_grace_ms,
        .hung_ms = config->watchdog_timeout_ms,
        .log_level = (enum tb_log_level)config->log_level,
        .run_dir = config->run_directory,
        .config = config,
    };
    if (config->listen_mtls_port != 0)
        out->listen[out->listen_n++] = address(config, config->listen_mtls_port);
    out->regions_n = tb_worker_regions(config, workers, out->regions);
    return true;
}

static void forget(struct tb_plan *p)
{
    if (p->config == NULL)
        return;
    for (size_t i = 0; i < p->listen_n; i++)
        tb_mem_free((char *)(uintptr_t)p->listen[i]);
    tb_config_free((struct tb_config *)(uintptr_t)p->config);
    p->config = NULL;
}

static int check(const struct tb_cli *cli)
{
    struct tb_plan p;
    char why[TB_PROCESS_WHY_BYTES];
    if (!plan(cli->config_path, &p, why, sizeof(why)))
        return tb_cli_fail(cli, TB_EXIT_FOUND, "%s", why);
    forget(&p);
    return TB_EXIT_OK;
}

static int serve(struct tb_cli *cli)
{
    if (tb_cli_option(cli, "check") != NULL)
        return check(cli);
    char config_path[PATH_MAX]; /* absolute, so that a new binary finds it from anywhere */
    if (realpath(cli->config_path, config_path) == NULL)
        return tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "cannot read the configuration %s",
                           cli->config_path);
    char *const argv[] = {(char *)(uintptr_t)cli->program, (char *)(uintptr_t) "serve",
                          (char *)(uintptr_t) "--config", config_path, NULL};
    const struct tb_master_setup setup = {
        .config_path = config_path,
        .argv = argv,
        .plan = plan,
        .forget = forget,
        .main = {[TB_PROCESS_WORKER] = tb_worker_main, [TB_PROCESS_CLERK] = tb_clerk_main},
    };
    tb_tls_ticket_seed(); /* before any fork: a client may resume with whichever worker it meets */
    return tb_master_run(&setup);
}

static const struct tb_option options[] = {
    {.name = "check", .doc = "check the configuration and exit"},
    {.name = NULL},
};

const struct tb_command tb_command_serve = {
    .name = "serve",
    .summary = "run the gateway",
    .options = options,
    .about = "Runs in the foreground and logs to standard error. Signals:\n"
             "  SIGHUP   load configuration and products again, in new processes\n"
             "  SIGUSR2  the same with the binary that now lies at our path\n"
             "  SIGTERM  finish what is begun and end (SIGINT too; a second one ends at once)\n"
             "  SIGQUIT  end at once",
    .example = "tongbao serve --config /etc/tongbao.yaml",
    .run = serve,
};
