/* `tongbao status` and `tongbao reload`: the running service as its status file tells it. */
#include "base/time.h"
#include "cli/command.h"
#include "cli/print.h"
#include "config/config.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ERRORS_CAP = 64 * 1024,
    POLL_MS = 50,
};

/** Where the service of this configuration keeps its status file. False after a message. */
static bool status_path(const struct tb_cli *cli, char *out, size_t out_bytes)
{
    struct tb_arena *arena = tb_arena_new(ERRORS_CAP);
    struct tb_text errors;
    tb_text_init(&errors, arena);
    struct tb_config *config = tb_config_load(cli->config_path, &errors);
    if (config == NULL) {
        struct tb_str text = tb_text_end(&errors);
        tb_print_to(stderr, "%.*s", (int)text.n, text.at);
    } else {
        snprintf(out, out_bytes, "%s/status.json", config->run_directory);
    }
    bool ok = config != NULL;
    if (ok)
        tb_config_free(config);
    tb_arena_free(arena);
    return ok;
}

/** The status of the service that runs now, NULL when none does. */
static json_t *read_status(const char *path, pid_t *out_pid)
{
    json_t *status = json_load_file(path, 0, NULL);
    *out_pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
    if (status != NULL && *out_pid > 0 && (kill(*out_pid, 0) == 0 || errno == EPERM))
        return status;
    json_decref(status);
    return NULL;
}

pid_t tb_command_service(const struct tb_cli *cli)
{
    char path[4200];
    pid_t pid = 0;
    if (!status_path(cli, path, sizeof(path)))
        return 0;
    json_t *status = read_status(path, &pid);
    if (status == NULL)
        tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "no service runs here (%s)", path);
    json_decref(status);
    return status == NULL ? 0 : pid;
}

static void print_status(const json_t *status)
{
    size_t i;
    json_t *item;
    tb_print("%s: generation %d, pid %d", json_string_value(json_object_get(status, "state")),
             (int)json_integer_value(json_object_get(status, "generation")),
             (int)json_integer_value(json_object_get(status, "pid")));
    json_array_foreach(json_object_get(status, "listeners"), i, item)
    {
        tb_print(", on %s", json_string_value(item));
    }
    tb_print("\n");
    json_array_foreach(json_object_get(status, "processes"), i, item)
    {
        tb_print("  %-8s %3d  pid %-8d generation %-4d %s\n",
                 json_string_value(json_object_get(item, "kind")),
                 (int)json_integer_value(json_object_get(item, "index")),
                 (int)json_integer_value(json_object_get(item, "pid")),
                 (int)json_integer_value(json_object_get(item, "generation")),
                 json_string_value(json_object_get(item, "state")));
    }
    const json_t *last = json_object_get(status, "last_reload");
    if (json_is_object(last))
        tb_print("last load: %s at %s %s\n",
                 json_is_true(json_object_get(last, "ok")) ? "done" : "refused",
                 json_string_value(json_object_get(last, "at")),
                 json_string_value(json_object_get(last, "why")));
}

static int show_status(struct tb_cli *cli)
{
    char path[4200];
    pid_t pid;
    if (!status_path(cli, path, sizeof(path)))
        return TB_EXIT_ENVIRONMENT;
    json_t *status = read_status(path, &pid);
    if (status == NULL)
        return tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "no service runs here (%s)", path);
    if (cli->json) {
        tb_print_json(status, JSON_INDENT(1));
    } else {
        print_status(status);
    }
    const char *state = json_string_value(json_object_get(status, "state"));
    int exit_code = state != NULL && strcmp(state, "serving") == 0 ? TB_EXIT_OK : TB_EXIT_FOUND;
    json_decref(status);
    return exit_code;
}

static int64_t last_generation(const json_t *status)
{
    return json_integer_value(
        json_object_get(json_object_get(status, "last_reload"), "generation"));
}

/** Wait until the status tells of a load after the one numbered `before`, and tell its outcome. */
static int await_outcome(const struct tb_cli *cli, const char *path, int64_t before,
                         int64_t patience_ms)
{
    int64_t until = tb_monotonic_ms() + patience_ms;
    while (tb_monotonic_ms() < until) {
        pid_t pid;
        json_t *status = read_status(path, &pid);
        if (status == NULL)
            return tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "the service is gone");
        if (last_generation(status) > before) {
            const json_t *last = json_object_get(status, "last_reload");
            bool ok = json_is_true(json_object_get(last, "ok"));
            if (cli->json) {
                tb_print_json(last, JSON_INDENT(1));
            } else if (ok) {
                tb_print("generation %d serves\n", (int)last_generation(status));
            } else {
                tb_print_to(stderr, "refused, generation %d still serves: %s\n",
                            (int)json_integer_value(json_object_get(status, "generation")),
                            json_string_value(json_object_get(last, "why")));
            }
            json_decref(status);
            return ok ? TB_EXIT_OK : TB_EXIT_FOUND;
        }
        json_decref(status);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return tb_cli_fail(cli, TB_EXIT_FOUND, "no outcome yet; `tongbao status` will tell");
}

static int reload(struct tb_cli *cli)
{
    char path[4200];
    int64_t patience_s;
    pid_t pid;
    if (!tb_cli_int(cli, "wait", 0, 3600, 60, &patience_s))
        return TB_EXIT_USAGE;
    if (!status_path(cli, path, sizeof(path)))
        return TB_EXIT_FOUND;
    json_t *status = read_status(path, &pid);
    if (status == NULL)
        return tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "no service runs here (%s)", path);
    int64_t before = last_generation(status);
    json_decref(status);
    int signal = tb_cli_option(cli, "binary") != NULL ? SIGUSR2 : SIGHUP;
    if (kill(pid, signal) != 0)
        return tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "process %d takes no signal from us",
                           (int)pid);
    return await_outcome(cli, path, before, patience_s * 1000);
}

static const struct tb_option reload_options[] = {
    {.name = "binary", .doc = "change to the binary that now lies at the service's path, too"},
    {.name = "wait", .value = "SECONDS", .doc = "for the outcome (default 60)"},
    {.name = NULL},
};

const struct tb_command tb_command_reload = {
    .name = "reload",
    .summary = "load configuration and products again, without losing a request",
    .options = reload_options,
    .about = "New processes load everything; only when all of them are ready do they take over. If "
             "one refuses,\nthe reason is printed and the old ones go on serving.",
    .example = "tongbao reload --config /etc/tongbao.yaml",
    .run = reload,
};

const struct tb_command tb_command_status = {
    .name = "status",
    .summary = "show the processes of the running service",
    .example = "tongbao status --json",
    .run = show_status,
};
