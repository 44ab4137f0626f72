/* See script_test.h. The test file is a script, too: it is wrapped into a hook that gives one test
 * as JSON, so that all that is compared is JSON. */
#include "cli/script_test.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/json_diff.h"
#include "cli/script_case.h"
#include "runtime/run.h"
#include <stdio.h>
#include <string.h>

/* On one line with the file's first, so that lines keep their numbers. */
static const char WRAP_HEAD[] = "return { tests = function(place) local list = (function() ";
static const char WRAP_TAIL[] =
    "\nend)()\n"
    "if type(list) ~= 'table' then error('a test file returns a list of tests', 0) end\n"
    "return place == 0 and #list or list[place] end }";

/* A test file may take its time, which is all of its tests' together: its text runs for each. */
static const struct tb_script_limits file_limits = {.memory_bytes = 64u << 20,
                                                    .object_bytes = 16u << 20,
                                                    .cpu_us = 1000 * 1000,
                                                    .turn_us = 50,
                                                    .wall_ms = 10 * 1000,
                                                    .calls = 100000};
static const int64_t FILE_CPU_NS = 5 * INT64_C(1000000000);

struct tb_script_suite {
    struct tb_loop *loop;
    struct tb_arena *arena; /* of the test file's text */
    struct tb_str script_text, tests_text, wrapped_text;
    const char *tests_name;
    struct tb_script *script, *tests;
    size_t n;
    size_t looked_to; /* byte of the test file behind the last name that was found */
    int64_t file_cpu_ns;
    bool called[TB_HOOKS_N];
};

/* One piece of work on a fiber. */
struct job {
    struct tb_script_suite *suite;
    size_t place; /* of the test, from 1; 0: how many are there? */
    struct tb_script_verdict *out;
    size_t n;
};

bool tb_script_tests_open(const char *directory, char *why, size_t why_bytes)
{
    return tb_hooks_open(directory, why, why_bytes) &&
           tb_script_cases_open(directory, why, why_bytes);
}

/* Words of somebody else's, fit for one line of any output. */
static void keep_words(char *out, size_t room, const char *words)
{
    size_t n = strnlen(words, room - 1), at = 0, span;
    while (at < n && (span = tb_utf8_span(words + at, n - at)) > 0) {
        memmove(out + at, words + at, span);
        if ((unsigned char)out[at] < ' ' || out[at] == 0x7f)
            out[at] = ' ';
        at += span;
    }
    out[at] = '\0';
}

/* ---- the test file ---- */

/* Messages name the script's line; what they mean is the test file's. */
static void say_of_file(const struct tb_script_suite *suite, const char *said, char *why,
                        size_t why_bytes)
{
    static const char prefix[] = "script:";
    const char *rest = strncmp(said, prefix, sizeof(prefix) - 1) == 0 ? said + sizeof(prefix) - 1
                                                                      : NULL;
    if (rest != NULL)
        snprintf(why, why_bytes, "%s:%.400s", suite->tests_name, rest);
    else
        snprintf(why, why_bytes, "%s: %.400s", suite->tests_name, said);
}

/* What the file gives for `place`, in the run's arena; NULL with a reason. */
static tb_err TB_SUSPENDS ask_file(struct tb_req *req, struct job *job, json_t **out)
{
    struct tb_script_suite *suite = job->suite;
    struct tb_script_result result;
    json_t *place = json_integer((json_int_t)job->place);
    struct tb_script_call call = {.hook = "tests", .input = place};
    tb_err err = tb_script_run(req, suite->tests, &call, &result);
    json_decref(place);
    *out = result.decision;
    suite->file_cpu_ns += result.cpu_ns;
    const char *reason = result.end == TB_SCRIPT_ANSWER ? strchr(result.why, ':') : NULL;
    if (reason != NULL)
        snprintf(job->out->why, sizeof(job->out->why), "this test cannot be read%.300s", reason);
    else if (err == NULL && result.end != TB_SCRIPT_DONE)
        say_of_file(suite, result.why, job->out->why, sizeof(job->out->why));
    return err;
}

static tb_err TB_SUSPENDS count_tests(struct tb_req *req, void *arg)
{
    struct job *job = arg;
    json_t *n = NULL;
    TB_TRY(ask_file(req, job, &n));
    job->n = (size_t)json_integer_value(n);
    if (job->n > TB_TESTS_MAX)
        snprintf(job->out->why, sizeof(job->out->why), "%s: there are more than %d tests in it",
                 job->suite->tests_name, TB_TESTS_MAX);
    else if (job->n == 0 && job->out->why[0] == '\0')
        snprintf(job->out->why, sizeof(job->out->why), "%s: there are no tests in it",
                 job->suite->tests_name);
    return NULL;
}

static struct tb_str wrap(struct tb_arena *arena, struct tb_str text)
{
    struct tb_text wrapped;
    tb_text_init(&wrapped, arena);
    tb_text_add(&wrapped, tb_str(WRAP_HEAD));
    tb_text_add(&wrapped, text);
    tb_text_add(&wrapped, tb_str(WRAP_TAIL));
    return tb_text_end(&wrapped);
}

static bool read_tests(struct tb_script_suite *suite, char *why, size_t why_bytes)
{
    char said[TB_SCRIPT_WHY_BYTES];
    tb_script_free(suite->tests);
    suite->tests = tb_script_new(&file_limits, suite->wrapped_text, said, sizeof(said));
    if (suite->tests == NULL)
        say_of_file(suite, said, why, why_bytes);
    return suite->tests != NULL;
}

static bool read_script(struct tb_script_suite *suite, char *why, size_t why_bytes)
{
    tb_script_free(suite->script);
    suite->script = tb_script_new(&tb_script_limits, suite->script_text, why, why_bytes);
    return suite->script != NULL && tb_script_hooks_good(suite->script, why, why_bytes);
}

struct tb_script_suite *tb_script_suite_new(struct tb_loop *loop, struct tb_str script_text,
                                            struct tb_str tests_text, const char *tests_name,
                                            char *why, size_t why_bytes)
{
    struct tb_script_suite *suite = tb_mem(sizeof(*suite));
    struct tb_script_verdict verdict = {.good = false};
    struct job job = {.suite = suite, .out = &verdict};
    *suite = (struct tb_script_suite){.loop = loop,
                                      .arena = tb_arena_new(TB_ARENA_CAP),
                                      .script_text = script_text,
                                      .tests_text = tests_text,
                                      .tests_name = tests_name};
    suite->wrapped_text = wrap(suite->arena, tests_text);
    if (read_script(suite, verdict.why, sizeof(verdict.why)) &&
        read_tests(suite, verdict.why, sizeof(verdict.why)) &&
        tb_run_to_end(loop, count_tests, &job, 0) == NULL && verdict.why[0] == '\0') {
        suite->n = job.n;
        return suite;
    }
    keep_words(why, why_bytes, verdict.why);
    tb_script_suite_free(suite);
    return NULL;
}

void tb_script_suite_free(struct tb_script_suite *suite)
{
    if (suite == NULL)
        return;
    tb_script_free(suite->script);
    tb_script_free(suite->tests);
    tb_arena_free(suite->arena);
    tb_mem_free(suite);
}

size_t tb_script_suite_n(const struct tb_script_suite *suite)
{
    return suite->n;
}

/* ---- running one ---- */

static tb_err find_entry(struct tb_req *req, void *arg, struct tb_str table, struct tb_str key,
                         json_t **out)
{
    const json_t *tables = arg;
    (void)req;
    *out = json_incref(
        json_object_getn(json_object_getn(tables, table.at, table.n), key.at, key.n));
    return NULL;
}

static void judge_failure(const struct tb_script_case *test, const struct tb_script_result *result,
                          struct tb_script_verdict *out)
{
    if (test->expect_error.at != NULL && strstr(result->why, test->expect_error.at) != NULL)
        out->good = true;
    else if (test->expect_error.at != NULL)
        snprintf(out->why, sizeof(out->why), "it failed otherwise: %.400s", result->why);
    else
        snprintf(out->why, sizeof(out->why), "it failed (%s): %.440s",
                 tb_script_end_word(result->end), result->why);
}

static void judge_decision(struct tb_req *req, const struct tb_script_case *test, json_t *decision,
                           struct tb_script_verdict *out)
{
    if (decision != NULL && !tb_script_decision_good(test->hook, decision, tb_run_of(req)->arena,
                                                     out->why, sizeof(out->why))) {
        out->good = test->expect_error.at != NULL &&
                    strstr(out->why, test->expect_error.at) != NULL;
        return;
    }
    if (test->expect_error.at != NULL) {
        snprintf(out->why, sizeof(out->why), "it did not fail with \"%.300s\"",
                 test->expect_error.at);
        return;
    }
    out->differences = tb_json_differences(test->expect, decision, TB_TEST_DIFFERENCES);
    out->good = out->differences == NULL;
}

static tb_err TB_SUSPENDS run_hook(struct tb_req *req, struct tb_script_suite *suite,
                                   const struct tb_script_case *test, struct tb_script_verdict *out)
{
    const char *hook = tb_script_hook_row(test->hook)->name;
    struct tb_script_result result;
    struct tb_script_call call = {.hook = hook,
                                  .input = test->request,
                                  .second = test->response,
                                  .now_ms = test->now_ms,
                                  .seed = test->seed,
                                  .lookup = find_entry,
                                  .lookup_arg = (void *)(uintptr_t)test->tables};
    if (!tb_script_has(suite->script, hook)) {
        snprintf(out->why, sizeof(out->why), "the script has no %s", hook);
        return NULL;
    }
    suite->called[test->hook] = true;
    TB_TRY(tb_script_run(req, suite->script, &call, &result));
    out->called = true;
    out->end = result.end;
    out->cpu_ns = result.cpu_ns;
    out->lookups = result.lookups;
    out->bytes = tb_script_bytes(suite->script);
    if (result.end == TB_SCRIPT_DONE)
        judge_decision(req, test, result.decision, out);
    else
        judge_failure(test, &result, out);
    return NULL;
}

/* The line that has the name between quotes, looked for behind the test before it; 0: none. */
static size_t line_of(struct tb_script_suite *suite, struct tb_str name)
{
    const char *begin = suite->tests_text.at, *end = begin + suite->tests_text.n;
    const char *from = begin + suite->looked_to, *at;
    size_t line = 1;
    if (name.n == 0)
        return 0;
    while ((at = memmem(from, (size_t)(end - from), name.at, name.n)) != NULL) {
        from = at + 1;
        if (at > begin && at + name.n < end && (at[-1] == '"' || at[-1] == '\'') &&
            at[name.n] == at[-1])
            break;
    }
    if (at == NULL)
        return 0;
    suite->looked_to = (size_t)(at - begin) + name.n;
    for (const char *c = begin; c < at; c++)
        line += *c == '\n';
    return line;
}

static tb_err TB_SUSPENDS run_test(struct tb_req *req, void *arg)
{
    struct job *job = arg;
    struct tb_script_verdict *out = job->out;
    struct tb_script_case test = {.request = NULL};
    json_t *json = NULL;
    TB_TRY(ask_file(req, job, &json));
    if (out->why[0] != '\0')
        return NULL;
    struct tb_str name = tb_json_str(json, "name");
    if (name.at != NULL) {
        keep_words(out->name, sizeof(out->name), name.at);
        out->line = line_of(job->suite, name);
    }
    if (!tb_script_case_read(req, json, &test, out->why, sizeof(out->why)))
        return NULL;
    return run_hook(req, job->suite, &test, out);
}

/* Both states as if no test had run before, unless that is as good as new anyway. */
static bool make_ready(struct tb_script_suite *suite, char *why, size_t why_bytes)
{
    if (suite->file_cpu_ns > FILE_CPU_NS) {
        snprintf(why, why_bytes, "%s: it has used up its %d s of processor time", suite->tests_name,
                 (int)(FILE_CPU_NS / 1000000000));
        return false;
    }
    if ((suite->script == NULL || tb_script_worn(suite->script)) &&
        !read_script(suite, why, why_bytes))
        return false;
    return (suite->tests != NULL && !tb_script_worn(suite->tests)) ||
           read_tests(suite, why, why_bytes);
}

void tb_script_suite_run(struct tb_script_suite *suite, size_t place, struct tb_script_verdict *out)
{
    struct job job = {.suite = suite, .place = place + 1, .out = out};
    *out = (struct tb_script_verdict){.good = false};
    snprintf(out->name, sizeof(out->name), "test %zu", place + 1);
    if (!make_ready(suite, out->why, sizeof(out->why)))
        return;
    tb_err err = tb_run_to_end(suite->loop, run_test, &job, 0);
    if (err != NULL) {
        out->good = false;
        snprintf(out->why, sizeof(out->why), "it could not be run: %s", err->title);
    }
    keep_words(out->why, sizeof(out->why), out->why);
}

bool tb_script_suite_leaves(const struct tb_script_suite *suite, enum tb_script_hook hook)
{
    return suite->script != NULL && !suite->called[hook] &&
           tb_script_has(suite->script, tb_script_hook_row(hook)->name);
}
