/* tongbao trace: the decision traces of everybody, read straight from the shared memory of the
 * service that runs, so that they can be read while its workers are busy or hang. The memory has no
 * name in the file system; the kernel shows it among the descriptors of the master, to the user
 * that the service runs as. */
#include "base/mem.h"
#include "base/metrics.h"
#include "cli/admin.h"
#include "cli/print.h"
#include "gateway/stage/pipeline.h"
#include "gateway/trace_ring.h"
#include "process/process.h"
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRACES_DEFAULT = 20, TRACES_MOST = 1000, TRACE_BYTES = 64 * 1024, PATH_BYTES = 320 };

/* What of the service's memory is read. */
struct view {
    struct tb_traces *traces;
    struct tb_metrics *metrics; /* NULL: of another version; operations have no names then */
    void *at[2];
    size_t bytes[2];
};

/* Map the memory file that a descriptor of the process leads to; NULL when it is another. */
static void *map_descriptor(pid_t pid, const char *descriptor, const char *wanted,
                            size_t *out_bytes)
{
    char path[PATH_BYTES], target[PATH_BYTES];
    struct stat about;
    snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, descriptor);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return NULL;
    target[n] = '\0';
    if (strcmp(target, wanted) != 0)
        return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &about) == 0 && about.st_size > 0)
        at = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    *out_bytes = at == MAP_FAILED ? 0 : (size_t)about.st_size;
    return at == MAP_FAILED ? NULL : at;
}

static void *map_region(pid_t pid, const char *name, uint32_t layout, size_t *out_bytes)
{
    char path[64], wanted[96];
    void *found = NULL;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    snprintf(wanted, sizeof(wanted), "/memfd:" TB_REGION_FILE " (deleted)", name, layout);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return NULL;
    for (struct dirent *entry = readdir(directory); entry != NULL && found == NULL;
         entry = readdir(directory))
        found = map_descriptor(pid, entry->d_name, wanted, out_bytes);
    closedir(directory);
    return found;
}

static bool view_open(struct view *view, pid_t pid)
{
    view->at[0] = map_region(pid, "traces", TB_TRACE_LAYOUT, &view->bytes[0]);
    view->at[1] = map_region(pid, "metrics", tb_metrics_layout(), &view->bytes[1]);
    if (view->at[0] == NULL)
        return false;
    view->traces = tb_traces_view(view->at[0], view->bytes[0] / sizeof(struct tb_trace_ring));
    if (view->at[1] != NULL && view->bytes[1] == tb_metrics_bytes())
        view->metrics = tb_metrics_view(view->at[1]);
    return true;
}

static void view_close(struct view *view)
{
    tb_traces_close(view->traces);
    tb_metrics_view_close(view->metrics);
    for (size_t i = 0; i < TB_COUNT(view->at); i++)
        if (view->at[i] != NULL)
            munmap(view->at[i], view->bytes[i]);
}

static json_t *json_of(const struct view *view, const struct tb_trace *trace)
{
    struct tb_arena *arena = tb_arena_new(TRACE_BYTES);
    struct tb_text text;
    const char *operation = view->metrics == NULL
                                ? NULL
                                : tb_metrics_operation_key(view->metrics, trace->operation);
    tb_text_init(&text, arena);
    tb_trace_write(&text, trace, tb_pipeline_names(), operation, true);
    struct tb_str out = tb_text_end(&text);
    json_t *json = out.at == NULL ? NULL : json_loadb(out.at, out.n, 0, NULL);
    tb_arena_free(arena);
    return json;
}

/* A line of a table: what tells one trace from another, and why it was refused. */
static json_t *line_of(json_t *trace)
{
    static const char *const members[] = {"at",      "id",         "status", "operation",
                                          "partner", "refused_by", "why",    "cause"};
    json_t *line = json_object();
    for (size_t i = 0; i < TB_COUNT(members); i++) {
        json_t *value = json_object_get(trace, members[i]);
        json_object_set(line, members[i], value);
        if (value == NULL)
            json_object_set_new(line, members[i], json_string(""));
    }
    json_decref(trace);
    return line;
}

static int show_one(struct tb_cli *cli, const struct view *view, const char *id)
{
    struct tb_trace trace;
    if (!tb_trace_find(view->traces, tb_str(id), &trace))
        return tb_cli_fail(cli, TB_EXIT_FOUND, "no trace of this id is kept: %s", id);
    tb_admin_print_one(cli, json_of(view, &trace));
    return TB_EXIT_OK;
}

static int show_list(struct tb_cli *cli, const struct view *view, size_t most)
{
    const struct tb_trace_query query = {.request_id = tb_str(tb_cli_option(cli, "correlation")),
                                         .partner = tb_str(tb_cli_option(cli, "partner"))};
    struct tb_trace *traces = tb_mem_array(most, sizeof(*traces));
    json_t *list = json_array();
    size_t n = tb_trace_search(view->traces, &query, traces, most);
    for (size_t i = 0; i < n && i < most; i++) {
        json_t *trace = json_of(view, &traces[i]);
        json_array_append_new(list, cli->json ? trace : line_of(trace));
    }
    tb_admin_print(cli, list);
    if (n > most)
        tb_print_to(stderr, "%zu older ones are left out (--limit)\n", n - most);
    tb_mem_free(traces);
    return TB_EXIT_OK;
}

static int run(struct tb_cli *cli)
{
    struct view view = {.traces = NULL};
    int64_t most;
    if (!tb_cli_int(cli, "limit", 1, TRACES_MOST, TRACES_DEFAULT, &most))
        return TB_EXIT_USAGE;
    pid_t pid = tb_command_service(cli);
    if (pid == 0)
        return TB_EXIT_ENVIRONMENT;
    if (!view_open(&view, pid)) {
        view_close(&view);
        return tb_cli_fail(
            cli, TB_EXIT_ENVIRONMENT,
            "the memory of process %d cannot be read: run this as its user, and with "
            "the program that it runs",
            (int)pid);
    }
    int exit_code = cli->arguments_n > 0 ? show_one(cli, &view, cli->arguments[0])
                                         : show_list(cli, &view, (size_t)most);
    view_close(&view);
    return exit_code;
}

static const struct tb_option options[] = {
    {"correlation", "ID", "only those that were sent under this X-Request-Id"},
    {"partner", "PARTNER", "only those of a partner"},
    {"limit", "N", "how many to list (default 20)"},
    {.name = NULL},
};

const struct tb_command tb_command_trace = {
    .name = "trace",
    .summary = "show a decision trace, or list the newest",
    .arguments = "[ID]",
    .arguments_max = 1,
    .options = options,
    .about =
        "ID is that of `Tongbao-Trace-Id`, which every answer carries. It is run on the machine of\n"
        "the service, as its user.",
    .example = "tongbao trace --correlation 0b1e2f0c-4a3d-4e5f-8a9b-0c1d2e3f4a5b",
    .run = run,
};
