/* See script_case.h. */
#include "cli/script_case.h"
#include "base/json.h"
#include "base/time.h"
#include "runtime/run.h"
#include <stdio.h>
#include <string.h>

static struct tb_schema *request_schema, *response_schema;

bool tb_script_cases_open(const char *directory, char *why, size_t why_bytes)
{
    if (request_schema == NULL)
        request_schema = tb_schema_load(directory, "script/request.json", why, why_bytes);
    if (response_schema == NULL && request_schema != NULL)
        response_schema = tb_schema_load(directory, "script/response.json", why, why_bytes);
    return response_schema != NULL;
}

/* ---- its members ---- */

static const struct {
    const char *name;
    json_type type;
    const char *takes;
} MEMBERS[] = {
    {"name", JSON_STRING, "a text"},
    {"request", JSON_OBJECT, "a record"},
    {"response", JSON_OBJECT, "a record"},
    {"expect", JSON_OBJECT, "a record"},
    {"expect_error", JSON_STRING, "a text"},
    {"now", JSON_STRING, "a text like \"2026-01-05T10:00:00+08:00\""},
    {"tables", JSON_OBJECT, "a record of records"},
    {"seed", JSON_INTEGER, "a whole number"},
};

enum { MEMBERS_N = TB_COUNT(MEMBERS) };

static bool is_member(const char *name, const json_t *value, char *why, size_t why_bytes)
{
    size_t i = 0;
    while (i < MEMBERS_N && strcmp(MEMBERS[i].name, name) != 0)
        i++;
    if (i < MEMBERS_N && json_typeof(value) == MEMBERS[i].type)
        return true;
    if (i < MEMBERS_N)
        snprintf(why, why_bytes, "a test's \"%s\" is %s", name, MEMBERS[i].takes);
    else
        snprintf(why, why_bytes,
                 "a test has no member \"%s\"; it has name, request, response, expect, "
                 "expect_error, now, tables and seed",
                 name);
    return false;
}

/* An empty table is as good as none. */
static bool has_members(json_t *test, char *why, size_t why_bytes)
{
    const char *name;
    json_t *value;
    if (!json_is_object(test) || json_object_get(test, "name") == NULL) {
        snprintf(why, why_bytes, "a test is a record with a name");
        return false;
    }
    json_object_foreach(test, name,
                        value) if (!is_member(name, value, why, why_bytes)) return false;
    return true;
}

static bool are_tables(const json_t *tables, char *why, size_t why_bytes)
{
    const char *name;
    json_t *entries;
    json_object_foreach((json_t *)(uintptr_t)tables, name, entries)
    {
        if (json_is_object(entries))
            continue;
        snprintf(why, why_bytes, "a test's tables are records: %s is none", name);
        return false;
    }
    return true;
}

/* ---- what a hook is given ---- */

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

/* The usual members with the test's own over them, if the gateway could give that to a hook. */
static const json_t *fill_in(struct tb_req *req, const char *what, const struct tb_schema *schema,
                             json_t *usual, const json_t *own, char *why, size_t why_bytes)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_schema_error error = {.pointer = NULL};
    size_t total = 0;
    if (!tb_json_defer(arena, usual)) {
        snprintf(why, why_bytes, "out of memory");
        return NULL;
    }
    json_object_update(usual, (json_t *)(uintptr_t)own);
    const json_t *scopes = json_object_get(usual, "scopes");
    if (json_is_object(scopes) && json_object_size(scopes) == 0) /* `{}` is either in Lua */
        json_object_set_new(usual, "scopes", json_array());
    if (tb_schema_check(schema, usual, arena, &error, 1, &total) == NULL)
        return usual;
    snprintf(why, why_bytes, "no hook is given such a %s: %s %s", what,
             total == 0 || error.pointer[0] == '\0' ? "it" : error.pointer,
             total == 0 ? "could not be checked" : error.detail);
    return NULL;
}

/* ---- the whole ---- */

bool tb_script_case_read(struct tb_req *req, json_t *test, struct tb_script_case *out, char *why,
                         size_t why_bytes)
{
    char shown[TB_TIME_CHARS + 1];
    int64_t seed = 1;
    if (!has_members(test, why, why_bytes))
        return false;
    struct tb_str now = tb_json_str(test, "now");
    if (!tb_time_parse(now.at == NULL ? TB_STR("2026-01-05T10:00:00+08:00") : now, &out->now_ms)) {
        snprintf(why, why_bytes, "\"now\" is written like \"2026-01-05T10:00:00+08:00\"");
        return false;
    }
    (void)tb_json_int(test, "seed", &seed);
    tb_time_format(out->now_ms, shown);
    const json_t *response = tb_json_object(test, "response");
    out->hook = response == NULL ? TB_HOOK_ON_REQUEST : TB_HOOK_ON_RESPONSE;
    out->request = fill_in(req, "request", request_schema, usual_request(shown),
                           tb_json_object(test, "request"), why, why_bytes);
    out->response = response == NULL || out->request == NULL
                        ? NULL
                        : fill_in(req, "response", response_schema,
                                  json_pack("{s:i}", "status", 200), response, why, why_bytes);
    out->expect = tb_json_object(test, "expect");
    out->expect_error = tb_json_str(test, "expect_error");
    out->tables = tb_json_object(test, "tables");
    out->seed = (uint64_t)seed;
    return out->request != NULL && (response == NULL || out->response != NULL) &&
           are_tables(out->tables, why, why_bytes);
}
