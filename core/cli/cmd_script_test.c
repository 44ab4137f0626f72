/* tongbao script test: runs a partner's tests of scripts on any machine and tells in the lines of
 * TAP how they went, where a decision is not as expected, and what it cost. */
#include "base/log.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/script_test.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char SCRIPT_END[] = ".lua", TESTS_END[] = "_test.lua";

enum { PATH_BYTES = 1024 };

/* What a run has told so far. */
struct report {
    struct tb_cli *cli;
    json_t *files; /* for --json; NULL: lines */
    size_t passed, failed;
    int64_t slowest_ns;
    char slowest[TB_TEST_NAME_BYTES];
    size_t largest_bytes;
};

/* ---- the two files ---- */

struct pair {
    char script[PATH_BYTES], tests[PATH_BYTES];
};

static bool ends_in(struct tb_str text, struct tb_str end)
{
    return text.n > end.n && memcmp(text.at + text.n - end.n, end.at, end.n) == 0;
}

/* night.lua has its tests beside it, in night_test.lua; either may be given. */
static bool find_pair(const struct tb_cli *cli, const char *given, struct pair *out)
{
    const char *script = tb_cli_option(cli, "script");
    struct tb_str path = tb_str(given);
    bool is_tests = ends_in(path, TB_STR(TESTS_END));
    if (!is_tests && !ends_in(path, TB_STR(SCRIPT_END)))
        return false;
    size_t stem = path.n - (is_tests ? sizeof(TESTS_END) - 1 : sizeof(SCRIPT_END) - 1);
    if (path.n + sizeof(TESTS_END) > PATH_BYTES || (script != NULL && strlen(script) >= PATH_BYTES))
        return false;
    snprintf(out->tests, PATH_BYTES, "%.*s%s", (int)stem, given, TESTS_END);
    snprintf(out->script, PATH_BYTES, "%.*s%s", (int)stem, given, SCRIPT_END);
    if (script != NULL)
        snprintf(out->script, PATH_BYTES, "%s", script);
    return true;
}

/* A file's text, at most a script's and one byte; false with errno. */
static bool read_file(const char *path, char *buffer, struct tb_str *out)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    *out = (struct tb_str){buffer, fread(buffer, 1, TB_SCRIPT_SOURCE_BYTES + 1, file)};
    bool good = ferror(file) == 0;
    fclose(file);
    return good;
}

/* ---- telling ---- */

static void say_difference(json_t *difference)
{
    static const char *const sides[] = {"expected", "decided"};
    const char *at = json_string_value(json_object_get(difference, "at"));
    tb_print("#   %s: ", at[0] == '\0' ? "the decision" : at);
    for (size_t i = 0; i < 2; i++) {
        json_t *value = json_object_get(difference, sides[i]);
        tb_print("%s%s ", i == 0 ? "" : ", ", sides[i]);
        if (value == NULL)
            tb_print("nothing");
        else
            tb_print_value(value, JSON_SORT_KEYS);
    }
    putchar('\n');
}

static void say_verdict(const struct report *report, const struct pair *pair,
                        const struct tb_script_verdict *v)
{
    size_t i;
    json_t *difference;
    tb_print("%s %zu - %s", v->good ? "ok" : "not ok", report->passed + report->failed, v->name);
    if (v->called)
        tb_print(" (%.3f ms, %zu KiB", (double)v->cpu_ns / 1e6, v->bytes / 1024);
    if (v->called && v->lookups > 0)
        tb_print(", %u %s", v->lookups, v->lookups == 1 ? "lookup" : "lookups");
    tb_print(v->called ? ")\n" : "\n");
    if (v->good)
        return;
    if (v->line > 0)
        tb_print("#   %s:%zu\n", pair->tests, v->line);
    if (v->differences == NULL)
        tb_print("#   %s\n", v->why);
    json_array_foreach(v->differences, i, difference) say_difference(difference);
}

static json_t *verdict_json(const struct tb_script_verdict *v)
{
    json_t *json = json_pack("{s:s, s:b}", "name", v->name, "ok", v->good);
    if (v->line > 0)
        json_object_set_new(json, "line", json_integer((json_int_t)v->line));
    if (v->called)
        json_object_update_new(json,
                               json_pack("{s:s, s:f, s:I, s:i}", "end", tb_script_end_word(v->end),
                                         "cpu_ms", (double)v->cpu_ns / 1e6, "bytes",
                                         (json_int_t)v->bytes, "lookups", (int)v->lookups));
    if (!v->good && v->differences == NULL)
        json_object_set_new(json, "why", json_string(v->why));
    if (v->differences != NULL)
        json_object_set(json, "differences", v->differences);
    return json;
}

/* Count a test and tell it; takes its differences. */
static void report_pair(struct report *report, const struct pair *pair, json_t *tests,
                        struct tb_script_verdict *v)
{
    *(v->good ? &report->passed : &report->failed) += 1;
    if (v->cpu_ns > report->slowest_ns) {
        report->slowest_ns = v->cpu_ns;
        memcpy(report->slowest, v->name, sizeof(report->slowest));
    }
    report->largest_bytes = v->bytes > report->largest_bytes ? v->bytes : report->largest_bytes;
    if (tests == NULL)
        say_verdict(report, pair, v);
    else
        json_array_append_new(tests, verdict_json(v));
    json_decref(v->differences);
}

/* Hooks the script has, and no test asked. */
static void tell_uncalled(const struct tb_script_suite *suite, json_t *file)
{
    json_t *names = json_array();
    for (enum tb_script_hook hook = 0; hook < TB_HOOKS_N; hook++) {
        if (!tb_script_suite_leaves(suite, hook))
            continue;
        json_array_append_new(names, json_string(tb_script_hook_row(hook)->name));
        if (file == NULL)
            tb_print("# no test calls %s\n", tb_script_hook_row(hook)->name);
    }
    if (file != NULL)
        json_object_set(file, "uncalled", names);
    json_decref(names);
}

static void tell_end(struct report *report)
{
    const struct tb_script_limits *limits = &tb_script_limits;
    double slowest_ms = (double)report->slowest_ns / 1e6, budget_ms = (double)limits->cpu_us / 1e3;
    if (report->files == NULL) {
        tb_print("1..%zu\n# %zu passed, %zu failed", report->passed + report->failed,
                 report->passed, report->failed);
        if (report->slowest_ns > 0)
            tb_print("; the slowest took %.3f of %.0f ms (%.1f %%: %s), the largest %zu of %zu KiB",
                     slowest_ms, budget_ms, slowest_ms / budget_ms * 100, report->slowest,
                     report->largest_bytes / 1024, limits->memory_bytes / 1024);
        putchar('\n');
        return;
    }
    json_t *all = json_pack("{s:o, s:I, s:I, s:s, s:f, s:f}", "files", report->files, "passed",
                            (json_int_t)report->passed, "failed", (json_int_t)report->failed,
                            "slowest", report->slowest, "slowest_ms", slowest_ms, "budget_ms",
                            budget_ms);
    tb_print_json(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(all);
}

/* ---- running ---- */

/* Run the tests of a script whose two texts have been read. */
static void run_texts(struct report *report, struct tb_loop *loop, const struct pair *pair,
                      struct tb_str script, struct tb_str tests)
{
    struct tb_script_verdict verdict = {.name = "can be read"};
    json_t *list = report->files == NULL ? NULL : json_array(), *file = NULL;
    if (list == NULL) {
        tb_print("# %s\n", pair->script);
    } else {
        file = json_pack("{s:s, s:s, s:o}", "script", pair->script, "tests_file", pair->tests,
                         "tests", list);
        json_array_append_new(report->files, file);
    }
    struct tb_script_suite *suite = tb_script_suite_new(loop, script, tests, pair->tests,
                                                        verdict.why, sizeof(verdict.why));
    if (suite == NULL) {
        report_pair(report, pair, list, &verdict);
        return;
    }
    for (size_t i = 0; i < tb_script_suite_n(suite); i++) {
        tb_script_suite_run(suite, i, &verdict);
        report_pair(report, pair, list, &verdict);
    }
    tell_uncalled(suite, file);
    tb_script_suite_free(suite);
}

static int run_pair(struct report *report, struct tb_loop *loop, const struct pair *pair)
{
    static char script[TB_SCRIPT_SOURCE_BYTES + 1], tests[TB_SCRIPT_SOURCE_BYTES + 1];
    struct tb_str script_text, tests_text;
    const char *missing = !read_file(pair->script, script, &script_text) ? pair->script
                          : !read_file(pair->tests, tests, &tests_text)  ? pair->tests
                                                                         : NULL;
    if (missing != NULL)
        return tb_cli_fail(report->cli, TB_EXIT_ENVIRONMENT, "%s: %s", missing,
                           strerrordesc_np(errno));
    run_texts(report, loop, pair, script_text, tests_text);
    return TB_EXIT_OK;
}

/* Those given, else those of the directory, else those of the checkout this program was built in.
 */
static bool open_schemas(const struct tb_cli *cli, char *why, size_t why_bytes)
{
    const char *given = tb_cli_option(cli, "schemas");
    char beside[PATH_BYTES + sizeof("/../schemas")];
    if (given == NULL && access("schemas/script", R_OK) != 0) {
        ssize_t n = readlink("/proc/self/exe", beside, PATH_BYTES);
        while (n > 0 && beside[n - 1] != '/')
            n--;
        if (n > 0) {
            memcpy(beside + n, "../schemas", sizeof("../schemas"));
            given = beside;
        }
    }
    return tb_script_tests_open(given == NULL ? "schemas" : given, why, why_bytes);
}

/* Both files of a pair may have been given, by all files of a folder, say. */
static bool is_among(const struct pair *pairs, size_t n, const struct pair *pair)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i].script, pair->script) == 0 && strcmp(pairs[i].tests, pair->tests) == 0)
            return true;
    return false;
}

static int test(struct tb_cli *cli)
{
    char why[512];
    struct pair pairs[TB_ARGUMENTS_MAX];
    size_t pairs_n = 0;
    struct report report = {.cli = cli};
    for (size_t i = 0; i < cli->arguments_n; i++) {
        if (!find_pair(cli, cli->arguments[i], &pairs[pairs_n]))
            return tb_cli_fail(cli, TB_EXIT_USAGE, "%s is no Lua file", cli->arguments[i]);
        pairs_n += !is_among(pairs, pairs_n, &pairs[pairs_n]);
    }
    if (!open_schemas(cli, why, sizeof(why)))
        return tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "%s; --schemas says where they are", why);
    tb_log_set_level(TB_LOG_ERROR); /* a loop that a script keeps waiting is nobody's here */
    struct tb_loop *loop = tb_loop_new();
    int exit_code = TB_EXIT_OK;
    report.files = cli->json ? json_array() : NULL;
    if (!cli->json)
        tb_print("TAP version 13\n");
    for (size_t i = 0; i < pairs_n && exit_code == TB_EXIT_OK; i++)
        exit_code = run_pair(&report, loop, &pairs[i]);
    tb_loop_free(loop);
    if (exit_code != TB_EXIT_OK) {
        json_decref(report.files);
        return exit_code;
    }
    tell_end(&report);
    return report.failed == 0 ? TB_EXIT_OK : TB_EXIT_FOUND;
}

static const struct tb_option options[] = {
    {"script", "FILE", "test this script instead of the one beside the tests"},
    {"schemas", "DIRECTORY", "JSON Schemas (default ./schemas, else the checkout's)"},
    {.name = NULL},
};

const struct tb_command tb_command_script_test = {
    .name = "script test",
    .summary = "run the tests of scripts here, without gateway and database",
    .arguments = "FILE.lua...",
    .arguments_min = 1,
    .arguments_max = TB_ARGUMENTS_MAX,
    .options = options,
    .about =
        "night.lua has its tests beside it in night_test.lua; either may be given. The script runs\n"
        "in the sandbox of the gateway, with its budget, and the clock and tables of the test:\n"
        "\n"
        "  return {\n"
        "      {\n"
        "          name = \"nobody pays at night\",\n"
        "          now = \"2026-11-23T23:30:00+08:00\",\n"
        "          request = { body = { amount = { amount = 100, currency = \"CNY\" } } },\n"
        "          tables = { payees = { acc_1 = { name = \"Wei\" } } },\n"
        "          expect = { deny = { code = \"night\" } },\n"
        "      },\n"
        "  }\n"
        "\n"
        "What a request leaves out is a payment's. Without `expect` nothing must be decided;\n"
        "`expect_error` is a part of what a failure says, `response` = { body = ... } makes it a\n"
        "test of on_response, `seed` is for tb.random. docs/script-guide.md takes you further.\n"
        "Exit codes: 0 all passed, 1 some failed, 2 no Lua file, 3 a file or the schemas are not\n"
        "there.",
    .example =
        "tongbao script test lua/examples/night_approval.lua\n"
        "  tongbao script test --json lua/examples/payee_list.lua lua/examples/map_erp.lua\n"
        "  tongbao script test lua/examples/map_erp_test.lua --script lua/examples/map_erp.lua",
    .run = test,
};
