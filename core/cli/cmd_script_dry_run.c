/* tongbao script dry-run: what a version would do with the requests recorded lately. Runs here, not
 * in a worker, so it takes all the processor it can get. */
#include "base/id.h"
#include "base/time.h"
#include "cli/cmd_script.h"
#include "cli/print.h"
#include "hooks/dry_run.h"
#include "hooks/scripts.h"
#include "runtime/run.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { DAY_MS = 24 * 60 * 60 * 1000, VERSION_MAX = 1000, PAGE_BYTES = 512 * 1024, COUNT_ROOM = 32 };

struct work {
    struct tb_cli *cli;
    int64_t version, against, days, limit;
    bool against_active;
    FILE *differences; /* NULL: not asked for */
    char id[TB_ID_ROOM];
    json_t *result; /* as the API has it */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_n)
{
    (void)signal_n;
    interrupted = 1;
}

static bool stop(void *arg)
{
    (void)arg;
    return interrupted != 0;
}

static void print_progress(void *arg, int64_t replayed, int64_t recordings)
{
    (void)arg;
    tb_print_to(stderr, "%lld of %lld replayed\n", (long long)replayed, (long long)recordings);
}

/* ---- the work ---- */

static const char SQL_READ[] =
    "select script.named(d.book, script.dry_run_json(d, $3)) from script.dry_run d where d.book = $1 and d.id = $2";
static const char SQL_LINES[] = "select text, last, more from script.differences($1, $2, $3, $4)";

static tb_err TB_SUSPENDS write_page(struct tb_req *req, const struct work *work, int32_t book,
                                     int64_t *after, bool *out_more)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_LINES, TB_INT(book), TB_TEXT(tb_str(work->id)), TB_INT(*after),
                    TB_INT(PAGE_BYTES)));
    *out_more = rows->n > 0 && tb_str_eq(tb_cell(rows, 0, 2), TB_STR("t"));
    if (rows->n == 0)
        return NULL;
    struct tb_str text = tb_cell(rows, 0, 0);
    *after = tb_cell_int(rows, 0, 1);
    if (fwrite(text.at, 1, text.n, work->differences) != text.n)
        return tb_fail(req, TB_E_CONFLICT, "the differences cannot be written");
    return NULL;
}

static void free_arena(void *arena)
{
    tb_arena_free(arena);
}

/* The pages are larger than a request's memory together, so each leaves it as it was; the words of
 * a failure stay. */
static tb_err TB_SUSPENDS write_differences(struct tb_req *req, const struct work *work,
                                            int32_t book)
{
    struct tb_run *run = tb_run_of(req);
    struct tb_arena *own = run->arena, *page = tb_arena_new(TB_ARENA_CAP);
    int64_t after = 0;
    bool more = true;
    if (!tb_arena_defer(own, free_arena, page))
        return TB_E_INTERNAL;
    while (more) {
        run->arena = page;
        tb_err err = write_page(req, work, book, &after, &more);
        run->arena = own;
        if (err != NULL)
            return err;
        tb_arena_reset(page);
    }
    return NULL;
}

static tb_err TB_SUSPENDS read_result(struct tb_req *req, struct work *work, int32_t book)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_READ, TB_INT(book), TB_TEXT(tb_str(work->id)),
                    TB_TIME(tb_wall_ms())));
    struct tb_str text = rows->n == 0 ? TB_STR("{}") : tb_cell(rows, 0, 0);
    work->result = json_loadb(text.at, text.n, 0, NULL);
    return NULL;
}

static tb_err TB_SUSPENDS dry_run(struct tb_req *req, struct tb_command_job *job)
{
    struct work *work = job->mine;
    struct tb_script_place place;
    struct tb_dry_run *run;
    char who[TB_OPERATOR_BYTES], why[TB_WHY_BYTES];
    if (!tb_hooks_open(job->config->schemas_directory, why, sizeof(why)))
        return tb_fail(req, TB_E_CONFLICT, "%s", why);
    TB_TRY(tb_script_place_find(req, work->cli, &place));
    if (place.id[0] == '\0')
        return tb_script_none(req, &place);
    tb_id_make(work->id, "dry", place.book, tb_wall_ms());
    tb_command_operator(who);
    const struct tb_dry_run_ask ask = {
        .book = place.book,
        .partner = tb_str(place.partner),
        .id = tb_str(work->id),
        .by = tb_str(who),
        .version = (int32_t)work->version,
        .against = (int32_t)work->against,
        .against_active = work->against_active,
        .since_ms = work->days == 0 ? 0 : tb_wall_ms() - work->days * DAY_MS,
        .most = work->limit,
        .limits = tb_script_limits_of(job->config),
        .alone = true,
        .told = print_progress,
        .stop = stop,
    };
    TB_TRY(tb_dry_run_begin(req, job->store, &ask, &run));
    tb_err err = tb_dry_run_replay(req, run);
    tb_dry_run_free(run);
    if (err == NULL)
        err = read_result(req, work, place.book);
    if (err == NULL && work->differences != NULL)
        err = write_differences(req, work, place.book);
    return err;
}

/* ---- in words ---- */

static int64_t count_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* "9,210" */
static const char *grouped(char out[COUNT_ROOM], int64_t n)
{
    char digits[COUNT_ROOM];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)n);
    size_t at = 0;
    for (int i = 0; i < len; i++) {
        out[at++] = digits[i];
        if ((len - i) % 3 == 1 && i + 1 < len)
            out[at++] = ',';
    }
    out[at] = '\0';
    return out;
}

/* "would route 120 elsewhere: …" */
static void say_change(const json_t *counts, const char *const words[3])
{
    char n[COUNT_ROOM];
    const json_t *ids = json_object_get(json_object_get(counts, "samples"), words[0]);
    int64_t count = count_of(json_object_get(counts, "changes"), words[0]);
    if (count == 0)
        return;
    tb_print("  would %s %s%s:", words[1], grouped(n, count), words[2]);
    for (size_t i = 0; i < json_array_size(ids); i++)
        tb_print(" %s", json_string_value(json_array_get(ids, i)));
    puts((size_t)count > json_array_size(ids) ? " …" : "");
}

static void print_result(const json_t *result)
{
    static const char *const kinds[][3] = {
        {"deny", "deny", ""},
        {"error", "fail on", ""},
        {"allow", "no longer refuse", ""},
        {"route", "route", " elsewhere"},
        {"set", "change", " in another way"},
        {"limit", "limit", " in another way"},
        {"approvals", "ask other approvals of", ""},
        {"words", "say something else of", ""},
    };
    const json_t *counts = json_object_get(result, "counts"),
                 *after = json_object_get(counts, "after");
    int64_t against = count_of(result, "against");
    char n[COUNT_ROOM], changed[COUNT_ROOM];
    tb_print("%s: version %lld on %s recorded requests, against ",
             json_string_value(json_object_get(result, "id")),
             (long long)count_of(result, "version"), grouped(n, count_of(counts, "replayed")));
    if (against == 0)
        tb_print("no script");
    else
        tb_print("version %lld", (long long)against);
    tb_print(": %s would go another way\n", grouped(changed, count_of(counts, "changed")));
    for (size_t i = 0; i < TB_COUNT(kinds); i++)
        say_change(counts, kinds[i]);
    if (count_of(counts, "replayed") == 0)
        puts("  nothing was recorded; `tongbao script record --days N` begins");
    tb_print("  slowest %.3f ms, mean %.4f ms\n", (double)count_of(after, "slowest_ns") / 1e6,
             (double)count_of(after, "mean_ns") / 1e6);
    tb_print("  %s\n", json_string_value(json_object_get(result, "lookups")));
}

static int report(const struct tb_cli *cli, json_t *result)
{
    const char *status = json_string_value(json_object_get(result, "status"));
    const char *why = json_string_value(json_object_get(result, "why"));
    bool done = status != NULL && strcmp(status, "done") == 0;
    if (cli->json)
        tb_admin_print_one(cli, json_incref(result));
    else
        print_result(result);
    if (done)
        return TB_EXIT_OK;
    return tb_cli_fail(cli, TB_EXIT_FOUND, "the dry run ended early: %s%s%s",
                       status == NULL ? "unknown" : status, why == NULL ? "" : ", ",
                       why == NULL ? "" : why);
}

/* ---- the command ---- */

/* A number, "active" (also when left out) or "none". */
static bool read_against(struct work *work)
{
    const char *text = tb_cli_option(work->cli, "against");
    work->against_active = text == NULL || strcmp(text, "active") == 0;
    if (work->against_active || strcmp(text, "none") == 0)
        return true;
    return tb_cli_int(work->cli, "against", 1, VERSION_MAX, 0, &work->against);
}

static bool open_differences(struct work *work)
{
    const char *path = tb_cli_option(work->cli, "differences");
    if (path != NULL && (work->differences = fopen(path, "w")) == NULL)
        tb_cli_fail(work->cli, TB_EXIT_ENVIRONMENT, "cannot write %s", path);
    return path == NULL || work->differences != NULL;
}

static int run(struct tb_cli *cli)
{
    struct work work = {.cli = cli};
    const struct sigaction gently = {.sa_handler = interrupt};
    if (!tb_script_place_given(cli) ||
        !tb_cli_int(cli, "version", 1, VERSION_MAX, 0, &work.version) || !read_against(&work) ||
        !tb_cli_int(cli, "days", 1, 30, 0, &work.days) ||
        !tb_cli_int(cli, "limit", 1, TB_DRY_RUN_MOST, TB_DRY_RUN_MOST, &work.limit))
        return TB_EXIT_USAGE;
    if (work.version == 0)
        return tb_cli_fail(cli, TB_EXIT_USAGE, "--version is needed");
    if (!open_differences(&work))
        return TB_EXIT_ENVIRONMENT;
    (void)sigaction(SIGINT, &gently, NULL);
    int exit_code = tb_command_job_run(cli, dry_run, &work);
    if (work.differences != NULL && fclose(work.differences) != 0 && exit_code == TB_EXIT_OK)
        exit_code = tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "the differences cannot be written");
    if (exit_code == TB_EXIT_OK)
        exit_code = report(cli, work.result);
    json_decref(work.result);
    return exit_code;
}

static const struct tb_option options[] = {
    TB_SCRIPT_PLACE_OPTIONS,
    {"version", "N", "the version to try; it need not be reviewed"},
    {"against", "M", "hold it against this version, \"active\" (default) or \"none\""},
    {"days", "N", "only what was recorded in the last N days"},
    {"limit", "N", "only the newest N requests"},
    {"differences", "FILE", "write every difference to a file, a JSON object a line"},
    {.name = NULL},
};

const struct tb_command tb_command_script_dry_run = {
    .name = "script dry-run",
    .summary = "try a version of a script on recorded requests",
    .options = options,
    .about =
        "Replays what `tongbao script record` has recorded, with the clock and the random numbers\n"
        "of each request, and tells what would change. tb.lookup reads the partner's tables as they\n"
        "are now. Only on_request is tried. Interrupt it to end it; what it has counted stays.",
    .example = "tongbao script dry-run --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3 --version 3 "
               "--differences changes.jsonl",
    .run = run,
};
