/* See script_test.h. The test file is a script, too: it is wrapped into a hook that gives one test
 * as JSON, so that all that is compared is JSON. */
#include "main/script_test.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"
#include "main/json_diff.h"
#include "runtime/run.h"
#include "script/hooks.h"
#include <stdio.h>
#include <string.h>

/* On one line with the file's first, so that lines keep their numbers. */
static const char WRAP_HEAD[] = "return { tests = function(place) local list = (function() ";
static const char WRAP_TAIL[] =
    "\nend)()\n"
    "if type(list) ~= 'table' then error('a test file returns a list of tests', 0) end\n"
    "return place == 0 and #list or list[place] end }";

/* A test file may take its time. */
static const struct tb_script_limits file_limits = {.memory_bytes = 64u << 20,
                                                    .object_bytes = 16u << 20,
                                                    .cpu_us = 1000 * 1000,
                                                    .wall_ms = 10 * 1000,
                                                    .calls = 100000};

struct tb_script_suite {
    struct tb_loop *loop;
    struct tb_str script_text;
    const char *tests_name;
    struct tb_script *script, *tests;
    size_t n;
};

/* One piece of work on a fiber. */
struct job {
    struct tb_script_suite *suite;
    size_t place; /* of the test, from 1; 0: how many are there? */
    struct tb_script_verdict *out;
    size_t n;
};

/* ---- the test file ---- */

/* Messages name the script's line; what they mean is the test file's. */
static void say_of_file(const struct tb_script_suite *suite, const char *said, char *why,
                        size_t why_bytes)
{
    static const char prefix[] = "script:";
    const char *rest = strncmp(said, prefix, sizeof prefix - 1) == 0 ? said + sizeof prefix - 1
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
    if (err == NULL && result.end != TB_SCRIPT_DONE)
        say_of_file(suite, result.why, job->out->why, sizeof job->out->why);
    return err;
}

static tb_err TB_SUSPENDS count_tests(struct tb_req *req, void *arg)
{
    struct job *job = arg;
    json_t *n = NULL;
    TB_TRY(ask_file(req, job, &n));
    job->n = (size_t)json_integer_value(n);
    if (job->n == 0 && job->out->why[0] == '\0')
        snprintf(job->out->why, sizeof job->out->why, "%s: there are no tests in it",
                 job->suite->tests_name);
    return NULL;
}

static struct tb_script *read_tests(struct tb_script_suite *suite, struct tb_str text, char *why,
                                    size_t why_bytes)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text wrapped;
    char said[TB_SCRIPT_WHY_BYTES];
    tb_text_init(&wrapped, arena);
    tb_text_add(&wrapped, tb_str(WRAP_HEAD));
    tb_text_add(&wrapped, text);
    tb_text_add(&wrapped, tb_str(WRAP_TAIL));
    struct tb_script *tests = tb_script_new(&file_limits, tb_text_end(&wrapped), said, sizeof said);
    tb_arena_free(arena);
    if (tests == NULL)
        say_of_file(suite, said, why, why_bytes);
    return tests;
}

struct tb_script_suite *tb_script_suite_new(struct tb_loop *loop, struct tb_str script_text,
                                            struct tb_str tests_text, const char *tests_name,
                                            char *why, size_t why_bytes)
{
    struct tb_script_suite *suite = tb_mem(sizeof *suite);
    struct tb_script_verdict verdict = {.good = false};
    struct job job = {.suite = suite, .out = &verdict};
    *suite = (struct tb_script_suite){loop, script_text, tests_name, NULL, NULL, 0};
    suite->script = tb_script_new(&tb_script_limits, script_text, why, why_bytes);
    if (suite->script != NULL)
        suite->tests = read_tests(suite, tests_text, why, why_bytes);
    if (suite->tests != NULL && tb_run_to_end(loop, count_tests, &job, 0) == NULL &&
        (suite->n = job.n) > 0)
        return suite;
    if (suite->tests != NULL)
        snprintf(why, why_bytes, "%s", verdict.why);
    tb_script_suite_free(suite);
    return NULL;
}

void tb_script_suite_free(struct tb_script_suite *suite)
{
    if (suite == NULL)
        return;
    tb_script_free(suite->script);
    tb_script_free(suite->tests);
    tb_mem_free(suite);
}

size_t tb_script_suite_n(const struct tb_script_suite *suite)
{
    return suite->n;
}

/* ---- what a test says ---- */

struct test {
    enum tb_script_hook hook;
    int64_t now_ms;
    json_t *request; /* the test's own over what is filled in; the run's arena drops it */
    const json_t *response, *expect, *tables;
    struct tb_str expect_error;
    uint64_t seed;
};

/* Members a test may have, and their types. */
static const struct {
    const char *name;
    json_type type;
} MEMBERS[] = {
    {"name", JSON_STRING},   {"request", JSON_OBJECT},      {"response", JSON_OBJECT},
    {"expect", JSON_OBJECT}, {"expect_error", JSON_STRING}, {"now", JSON_STRING},
    {"tables", JSON_OBJECT}, {"seed", JSON_INTEGER},
};

enum { MEMBERS_N = sizeof MEMBERS / sizeof MEMBERS[0] };

/* Whether the test has only members it may have; an empty table is as good as none. */
static bool is_test(json_t *test, char *why, size_t why_bytes)
{
    const char *name;
    json_t *value;
    if (!json_is_object(test)) {
        snprintf(why, why_bytes, "a test is a table with a name");
        return false;
    }
    json_object_foreach(test, name, value)
    {
        size_t i = 0;
        while (i < MEMBERS_N && strcmp(MEMBERS[i].name, name) != 0)
            i++;
        if (i == MEMBERS_N)
            snprintf(why, why_bytes, "a test has no member \"%s\"", name);
        else if (json_typeof(value) != MEMBERS[i].type)
            snprintf(why, why_bytes, "\"%s\" is of another type", name);
        else
            continue;
        return false;
    }
    if (json_object_get(test, "name") != NULL)
        return true;
    snprintf(why, why_bytes, "a test has a name");
    return false;
}

static void drop(void *json)
{
    json_decref(json);
}

/* A payment on a Monday morning: what a test's request does not say. */
static json_t *usual_request(const char *now)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:{}, s:{}, s:{s:s}, s:{}, s:s, s:s, s:s, s:[s], "
                     "s:s}",
                     "id", "req_00000000000000000000000000", "method", "POST", "path",
                     "/e-payment/v1/payments", "route", "POST /e-payment/v1/payments", "product",
                     "e-payment", "params", "query", "headers", "content-type", "application/json",
                     "body", "partner", "par_00000000000000000000000000", "app",
                     "app_00000000000000000000000000", "environment", "sandbox", "scopes",
                     "e-payment:write", "world_time", now);
}

static bool understand(struct tb_req *req, json_t *json, struct test *out, char *why,
                       size_t why_bytes)
{
    static const char monday[] = "2026-01-05T10:00:00+08:00";
    char shown[TB_TIME_CHARS + 1];
    int64_t seed = 1;
    if (!is_test(json, why, why_bytes))
        return false;
    struct tb_str now = tb_json_str(json, "now");
    if (!tb_time_parse(now.at == NULL ? tb_str(monday) : now, &out->now_ms)) {
        snprintf(why, why_bytes, "\"now\" is written like \"%s\"", monday);
        return false;
    }
    (void)tb_json_int(json, "seed", &seed);
    tb_time_format(out->now_ms, shown);
    out->request = usual_request(shown);
    if (out->request == NULL || !tb_arena_defer(tb_run_of(req)->arena, drop, out->request)) {
        snprintf(why, why_bytes, "out of memory");
        return false;
    }
    json_object_update(out->request, tb_json_object(json, "request"));
    out->response = tb_json_object(json, "response");
    out->hook = out->response == NULL ? TB_HOOK_ON_REQUEST : TB_HOOK_ON_RESPONSE;
    out->expect = tb_json_object(json, "expect");
    out->expect_error = tb_json_str(json, "expect_error");
    out->tables = tb_json_object(json, "tables");
    out->seed = (uint64_t)seed;
    return true;
}

static tb_err find_entry(struct tb_req *req, void *arg, struct tb_str table, struct tb_str key,
                         json_t **out)
{
    const json_t *tables = arg;
    (void)req;
    *out = json_incref(
        json_object_getn(json_object_getn(tables, table.at, table.n), key.at, key.n));
    return NULL;
}

/* ---- running one ---- */

static void judge_failure(const struct test *test, const struct tb_script_result *result,
                          struct tb_script_verdict *out)
{
    if (test->expect_error.at != NULL && strstr(result->why, test->expect_error.at) != NULL)
        out->good = true;
    else if (test->expect_error.at != NULL)
        snprintf(out->why, sizeof out->why, "it failed otherwise: %.400s", result->why);
    else
        snprintf(out->why, sizeof out->why, "it failed (%s): %.440s",
                 tb_script_end_word(result->end), result->why);
}

static void judge_decision(struct tb_req *req, const struct test *test, json_t *decision,
                           struct tb_script_verdict *out)
{
    if (decision != NULL && !tb_script_decision_good(test->hook, decision, tb_run_of(req)->arena,
                                                     out->why, sizeof out->why)) {
        out->good = test->expect_error.at != NULL &&
                    strstr(out->why, test->expect_error.at) != NULL;
        return;
    }
    if (test->expect_error.at != NULL) {
        snprintf(out->why, sizeof out->why, "it did not fail with \"%.300s\"",
                 test->expect_error.at);
        return;
    }
    out->differences = tb_json_differences(test->expect, decision, TB_TEST_DIFFERENCES);
    out->good = out->differences == NULL;
}

static tb_err TB_SUSPENDS run_hook(struct tb_req *req, struct tb_script_suite *suite,
                                   const struct test *test, struct tb_script_verdict *out)
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
        snprintf(out->why, sizeof out->why, "the script has no %s", hook);
        return NULL;
    }
    TB_TRY(tb_script_run(req, suite->script, &call, &result));
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

static tb_err TB_SUSPENDS run_test(struct tb_req *req, void *arg)
{
    struct job *job = arg;
    struct tb_script_verdict *out = job->out;
    struct test test = {.request = NULL};
    json_t *json = NULL;
    TB_TRY(ask_file(req, job, &json));
    if (out->why[0] != '\0')
        return NULL;
    struct tb_str name = tb_json_str(json, "name");
    if (name.at != NULL)
        snprintf(out->name, sizeof out->name, "%s", name.at);
    if (!understand(req, json, &test, out->why, sizeof out->why))
        return NULL;
    return run_hook(req, job->suite, &test, out);
}

void tb_script_suite_run(struct tb_script_suite *suite, size_t place, struct tb_script_verdict *out)
{
    struct job job = {.suite = suite, .place = place + 1, .out = out};
    *out = (struct tb_script_verdict){.good = false};
    snprintf(out->name, sizeof out->name, "test %zu", place + 1);
    if (tb_script_worn(suite->script)) {
        tb_script_free(suite->script);
        suite->script = tb_script_new(&tb_script_limits, suite->script_text, out->why,
                                      sizeof out->why);
    }
    if (suite->script == NULL)
        return;
    tb_err err = tb_run_to_end(suite->loop, run_test, &job, 0);
    if (err != NULL) {
        out->good = false;
        snprintf(out->why, sizeof out->why, "it could not be run: %s", err->title);
    }
}
