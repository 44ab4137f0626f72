/* A script's life is a few calls of SQL functions that judge and act; what a partner writes waits
 * for the lock of that partner there, so handlers only hand over. The functions are those of schema
 * script, which more than this product uses. */
#include "hooks/script_life.h"
#include "base/json.h"
#include "base/text.h"
#include "hooks/dry_runs.h"
#include "hooks/hooks.h"

enum { PUSH_BYTES = 2 * TB_SCRIPT_SOURCE_BYTES + 4096, ENTRY_BYTES = 16 * 1024 };

static const struct tb_call PUSH = {"script.push"};
static const struct tb_call REVIEW = {"script.review"};
static const struct tb_call ACTIVATE = {"script.activate"};
static const struct tb_call ROLL_BACK = {"script.roll_back"};
static const struct tb_call STOP = {"script.stop"};
static const struct tb_call PUT_ENTRY = {"script.put_entry"};
static const struct tb_call DELETE_ENTRY = {"script.delete_entry"};

static const char SQL_SCRIPT[] = "select script.read($1, $2, $3, $4)";
static const char SQL_SCRIPTS[] =
    "select data, has_more, first, last from script.list($1, $2, $3, $4, $5, $6)";
static const char SQL_VERSION[] = "select script.read_version($1, $2, $3, $4)";
static const char SQL_VERSIONS[] =
    "select data, has_more, first, last from script.list_versions($1, $2, $3, $4, $5, $6)";
static const char SQL_TABLES[] =
    "select data, has_more, first, last from script.list_tables($1, $2, $3, $4, $5)";
static const char SQL_ENTRY[] = "select script.read_entry($1, $2, $3, $4)";
static const char SQL_ENTRIES[] =
    "select data, has_more, first, last from script.list_entries($1, $2, $3, $4, $5, $6)";

TB_ERROR_DEFINE(SCRIPT_INVALID, 422, "script_invalid", false, "The text is not a script.",
                "`detail` names the line; `tongbao script test` runs it on your own machine.")
TB_ERROR_DEFINE(UNKNOWN_VERSION, 422, "unknown_version", false, "The script has no such version.",
                "List its versions.")
TB_ERROR_DEFINE(REVIEW_BY_AUTHOR, 403, "review_by_author", false,
                "A version is reviewed by another than its author.",
                "Review it with another of your apps, or ask the bank to.")
TB_ERROR_DEFINE(NOT_REVIEWED, 409, "not_reviewed", false, "The version was not approved.",
                "Have it reviewed; push another version where it was rejected.")
TB_ERROR_DEFINE(NOTHING_BEFORE, 409, "nothing_before", false, "There is no version to return to.",
                "Activate the version that should run, or stop the script.")
TB_ERROR_DEFINE(TABLE_QUOTA, 409, "table_quota_exceeded", false, "The tables are full.",
                "20 tables with 10,000 entries together are all there can be; delete some.")
TB_ERROR_DEFINE(ENTRY_TOO_LARGE, 422, "entry_too_large", false, "The value is too large.",
                "A value has at most 4096 bytes as JSON; spread it over several keys.")

/* ---- scripts and versions ---- */

bool tb_script_acceptable(struct tb_str source, char *why, size_t why_bytes)
{
    struct tb_script *script = tb_script_new(&tb_script_limits, source, why, why_bytes);
    if (script == NULL)
        return false;
    bool good = tb_script_hooks_good(script, why, why_bytes);
    tb_script_free(script);
    return good;
}

static tb_err no_script(struct tb_req *req)
{
    struct tb_str id = tb_path(req, "script_id");
    return tb_fail(req, TB_E_NOT_FOUND, "no script %.*s", (int)id.n, id.at);
}

static tb_err TB_SUSPENDS hand_over(struct tb_req *req, const struct tb_call *call)
{
    struct tb_answer answer;
    TB_TRY(tb_call(req, &answer, call));
    return tb_reply_answer(req, &answer);
}

/* POST /scripts/v1/scripts */
static tb_err TB_SUSPENDS push_version(struct tb_req *req)
{
    char why[TB_SCRIPT_WHY_BYTES];
    if (!tb_script_acceptable(tb_json_str(tb_json(req), "source"), why, sizeof(why)))
        return tb_fail_at(req, TB_E_SCRIPT_INVALID, "/source", "%s", why);
    return hand_over(req, &PUSH);
}

/* GET /scripts/v1/scripts */
static tb_err TB_SUSPENDS list_scripts(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_SCRIPTS, TB_BOOK(req), TB_PARTNER(req), TB_TEXT(page.after),
                    TB_TEXT(page.before), TB_INT(page.limit), TB_TIME(tb_now(req))));
    return tb_reply_page(req, &page, rows);
}

/* GET /scripts/v1/scripts/{script_id} */
static tb_err TB_SUSPENDS get_script(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_SCRIPT, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "script_id"), TB_TIME(tb_now(req))));
    return rows->n == 0 ? no_script(req) : tb_reply_row(req, 200, rows, 0);
}

/* GET /scripts/v1/scripts/{script_id}/versions */
static tb_err TB_SUSPENDS list_versions(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_VERSIONS, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "script_id"), TB_TEXT(page.after), TB_TEXT(page.before),
                    TB_INT(page.limit)));
    return rows->n == 0 ? no_script(req) : tb_reply_page(req, &page, rows);
}

/* GET /scripts/v1/scripts/{script_id}/versions/{version} */
static tb_err TB_SUSPENDS get_version(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_VERSION, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "script_id"), TB_PATH(req, "version")));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "no such version of such a script");
    return tb_reply_row(req, 200, rows, 0);
}

/* ---- what runs ---- */

/* POST /scripts/v1/scripts/{script_id}/reviews */
static tb_err TB_SUSPENDS review(struct tb_req *req)
{
    return hand_over(req, &REVIEW);
}

/* POST /scripts/v1/scripts/{script_id}/activations */
static tb_err TB_SUSPENDS activate(struct tb_req *req)
{
    return hand_over(req, &ACTIVATE);
}

/* POST /scripts/v1/scripts/{script_id}/rollbacks */
static tb_err TB_SUSPENDS roll_back(struct tb_req *req)
{
    return hand_over(req, &ROLL_BACK);
}

/* POST /scripts/v1/scripts/{script_id}/stops */
static tb_err TB_SUSPENDS stop(struct tb_req *req)
{
    return hand_over(req, &STOP);
}

/* ---- tables ---- */

static tb_err no_entry(struct tb_req *req)
{
    return tb_fail(req, TB_E_NOT_FOUND, "the table has no such key");
}

/* GET /scripts/v1/tables */
static tb_err TB_SUSPENDS list_tables(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_TABLES, TB_BOOK(req), TB_PARTNER(req), TB_TEXT(page.after),
                    TB_TEXT(page.before), TB_INT(page.limit)));
    return tb_reply_page(req, &page, rows);
}

/* GET /scripts/v1/tables/{table}/entries */
static tb_err TB_SUSPENDS list_entries(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_ENTRIES, TB_BOOK(req), TB_PARTNER(req), TB_PATH(req, "table"),
                    TB_TEXT(page.after), TB_TEXT(page.before), TB_INT(page.limit)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "no such table; one is there while it has entries");
    return tb_reply_page(req, &page, rows);
}

/* GET /scripts/v1/tables/{table}/entries/{key} */
static tb_err TB_SUSPENDS get_entry(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_ENTRY, TB_BOOK(req), TB_PARTNER(req), TB_PATH(req, "table"),
                    TB_PATH(req, "key")));
    return rows->n == 0 ? no_entry(req) : tb_reply_row(req, 200, rows, 0);
}

/* PUT /scripts/v1/tables/{table}/entries/{key} */
static tb_err TB_SUSPENDS put_entry(struct tb_req *req)
{
    struct tb_str key = tb_path(req, "key");
    if (tb_text_visible(key) < key.n)
        return tb_fail_at(req, TB_E_BAD_REQUEST, "?key",
                          "a key has visible characters only, and no slash");
    return hand_over(req, &PUT_ENTRY);
}

/* DELETE /scripts/v1/tables/{table}/entries/{key} */
static tb_err TB_SUSPENDS delete_entry(struct tb_req *req)
{
    return hand_over(req, &DELETE_ENTRY);
}

/* ---- the product ---- */

static const struct tb_route routes[] = {
    {.method = "POST",
     .path = "/scripts/v1/scripts",
     .scope = "scripts:write",
     .level = TB_A2,
     .body_schema = "push",
     .reply_schema = "version",
     .flags = TB_R_KEY | TB_R_FINISH | TB_R_UNSCRIPTED,
     .body_bytes = PUSH_BYTES,
     .handler = push_version,
     .summary = "Push a version of your script; the first makes the script."},
    {.method = "GET",
     .path = "/scripts/v1/scripts",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "scripts",
     .flags = TB_R_PAGE | TB_R_UNSCRIPTED,
     .handler = list_scripts,
     .summary = "Your script, if you have one."},
    {.method = "GET",
     .path = "/scripts/v1/scripts/{script_id:scr}",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "script",
     .flags = TB_R_UNSCRIPTED,
     .handler = get_script,
     .summary = "What runs, and how it has failed lately."},
    {.method = "GET",
     .path = "/scripts/v1/scripts/{script_id:scr}/versions",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "versions",
     .flags = TB_R_PAGE | TB_R_UNSCRIPTED,
     .handler = list_versions,
     .summary = "The versions of a script, newest first, without their texts."},
    {.method = "GET",
     .path = "/scripts/v1/scripts/{script_id:scr}/versions/{version}",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "version",
     .flags = TB_R_UNSCRIPTED,
     .handler = get_version,
     .summary = "One version with its text."},
    {.method = "POST",
     .path = "/scripts/v1/scripts/{script_id:scr}/reviews",
     .scope = "scripts:write",
     .level = TB_A2,
     .body_schema = "review",
     .reply_schema = "version",
     .flags = TB_R_KEY | TB_R_FINISH | TB_R_UNSCRIPTED,
     .handler = review,
     .summary = "Approve or reject a draft that another app has pushed."},
    {.method = "POST",
     .path = "/scripts/v1/scripts/{script_id:scr}/activations",
     .scope = "scripts:write",
     .level = TB_A2,
     .body_schema = "activate",
     .reply_schema = "activation",
     .flags = TB_R_KEY | TB_R_FINISH | TB_R_UNSCRIPTED,
     .handler = activate,
     .summary = "Let a reviewed version run, for all requests or a part of them."},
    {.method = "POST",
     .path = "/scripts/v1/scripts/{script_id:scr}/rollbacks",
     .scope = "scripts:write",
     .level = TB_A2,
     .reply_schema = "activation",
     .flags = TB_R_KEY | TB_R_FINISH | TB_R_UNSCRIPTED,
     .handler = roll_back,
     .summary = "Return to the version that ran before."},
    {.method = "POST",
     .path = "/scripts/v1/scripts/{script_id:scr}/stops",
     .scope = "scripts:write",
     .level = TB_A2,
     .reply_schema = "activation",
     .flags = TB_R_KEY | TB_R_FINISH | TB_R_UNSCRIPTED,
     .handler = stop,
     .summary = "Let no version run."},
    {.method = "GET",
     .path = "/scripts/v1/tables",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "tables",
     .flags = TB_R_PAGE | TB_R_UNSCRIPTED,
     .handler = list_tables,
     .summary = "The tables your script looks things up in."},
    {.method = "GET",
     .path = "/scripts/v1/tables/{table}/entries",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "entries",
     .flags = TB_R_PAGE | TB_R_UNSCRIPTED,
     .handler = list_entries,
     .summary = "The entries of a table, by key."},
    {.method = "GET",
     .path = "/scripts/v1/tables/{table}/entries/{key}",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "entry",
     .flags = TB_R_UNSCRIPTED,
     .handler = get_entry,
     .summary = "One entry."},
    {.method = "PUT",
     .path = "/scripts/v1/tables/{table}/entries/{key}",
     .scope = "scripts:write",
     .level = TB_A2,
     .body_schema = "entry_put",
     .reply_schema = "entry",
     .flags = TB_R_FINISH | TB_R_UNSCRIPTED,
     .body_bytes = ENTRY_BYTES,
     .handler = put_entry,
     .summary = "Write an entry; the first makes the table."},
    {.method = "DELETE",
     .path = "/scripts/v1/tables/{table}/entries/{key}",
     .scope = "scripts:write",
     .level = TB_A2,
     .flags = TB_R_FINISH | TB_R_UNSCRIPTED,
     .handler = delete_entry,
     .summary = "Take an entry away; the last takes the table along."},
    {.method = "GET",
     .path = "/scripts/v1/recording",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "recording",
     .flags = TB_R_UNSCRIPTED,
     .handler = tb_recording_get,
     .summary = "Whether your requests are recorded, until when, and what there is."},
    {.method = "PUT",
     .path = "/scripts/v1/recording",
     .scope = "scripts:write",
     .level = TB_A2,
     .body_schema = "recording_put",
     .reply_schema = "recording",
     .flags = TB_R_FINISH | TB_R_UNSCRIPTED,
     .handler = tb_recording_put,
     .summary = "Record your requests for some days, to try versions of your script on."},
    {.method = "DELETE",
     .path = "/scripts/v1/recording",
     .scope = "scripts:write",
     .level = TB_A2,
     .flags = TB_R_FINISH | TB_R_UNSCRIPTED,
     .handler = tb_recording_delete,
     .summary = "Stop recording, and forget what was recorded."},
    {.method = "POST",
     .path = "/scripts/v1/scripts/{script_id:scr}/dry-runs",
     .scope = "scripts:write",
     .level = TB_A2,
     .body_schema = "dry_run_post",
     .reply_schema = "dry_run",
     .flags = TB_R_FINISH | TB_R_UNSCRIPTED,
     .cost = 10,
     .handler = tb_dry_run_post,
     .summary = "Try a version on your recorded requests."},
    {.method = "GET",
     .path = "/scripts/v1/scripts/{script_id:scr}/dry-runs/{dry_run_id:dry}",
     .scope = "scripts:read",
     .level = TB_A2,
     .reply_schema = "dry_run",
     .flags = TB_R_UNSCRIPTED,
     .handler = tb_dry_run_get,
     .summary = "How far a dry run is, and what it has counted."},
    {.method = "DELETE",
     .path = "/scripts/v1/scripts/{script_id:scr}/dry-runs/{dry_run_id:dry}",
     .scope = "scripts:write",
     .level = TB_A2,
     .reply_schema = "dry_run",
     .flags = TB_R_FINISH | TB_R_UNSCRIPTED,
     .handler = tb_dry_run_cancel,
     .summary = "End a dry run early; what it has counted stays."},
    {.method = "GET",
     .path = "/scripts/v1/scripts/{script_id:scr}/dry-runs/{dry_run_id:dry}/differences",
     .scope = "scripts:read",
     .level = TB_A2,
     .query = tb_differences_query,
     .flags = TB_R_UNSCRIPTED,
     .handler = tb_dry_run_differences,
     .summary = "Requests that the two versions judge differently, one JSON object a line."},
};

static const char *const states[] = {"draft", "reviewed", "rejected", "active", "retired", NULL};
static const char *const terminal[] = {"rejected", NULL};
static const struct tb_edge edges[] = {
    {"draft", "reviewed", "partner"},
    {"draft", "reviewed", "bank"},
    {"draft", "rejected", "partner"},
    {"draft", "rejected", "bank"},
    {"reviewed", "active", "partner"},
    {"reviewed", "active", "bank"},
    {"active", "retired", "partner"},
    {"active", "retired", "bank"},
    {"retired", "active", "partner"},
    {"retired", "active", "bank"},
    {NULL, NULL, NULL},
};
static const struct tb_lifecycle lives[] = {{"script version", states, terminal, edges}};

static const struct tb_error *const errors[] = {
    TB_E_SCRIPT_INVALID, TB_E_UNKNOWN_VERSION, TB_E_REVIEW_BY_AUTHOR, TB_E_NOT_REVIEWED,
    TB_E_NOTHING_BEFORE, TB_E_TABLE_QUOTA,     TB_E_ENTRY_TOO_LARGE,
};

static const struct tb_error_words words[] = {
    {"script_invalid", "zh", "提交的文本不是脚本。",
     "`detail` 指出行号；可用 `tongbao script test` 在本机试运行。"},
    {"unknown_version", "zh", "脚本没有这个版本。", "请列出其版本。"},
    {"review_by_author", "zh", "版本须由作者以外的人审核。",
     "请用您的另一个应用审核，或请银行审核。"},
    {"not_reviewed", "zh", "该版本没有通过审核。", "请提交审核；如被拒绝，请提交新的版本。"},
    {"nothing_before", "zh", "没有可以返回的版本。", "请启用应当运行的版本，或停止脚本。"},
    {"table_quota_exceeded", "zh", "数据表已满。", "最多 20 个表，合计 10,000 条；请删除一部分。"},
    {"entry_too_large", "zh", "值过大。", "一个值作为 JSON 最多 4096 字节；请分存于多个键。"},
};

const struct tb_plugin tb_scripts_product = {
    TB_PLUGIN_HEAD,           .name = "scripts",
    .version = "1.0.0",       .title = "Partners' scripts",
    TB_TABLE(routes, routes), TB_TABLE(states, lives),
    TB_TABLE(errors, errors), TB_TABLE(words, words),
};
