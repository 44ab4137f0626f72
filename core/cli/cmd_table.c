/* tongbao table: the tables that a partner's script looks things up in, by the bank's hand. What it
 * writes is on record, unlike what partners write to tables of their own. */
#include "base/json.h"
#include "base/time.h"
#include "cli/cmd_script.h"
#include "runtime/run.h"

struct work {
    struct tb_cli *cli;
    struct tb_str value; /* absent: the entry goes */
    bool refused;
    char why[256];
    json_t *found;
};

/* ---- reading ---- */

static const char SQL_TABLES[] =
    "select json_build_object('table', c.table_name, 'entries', c.entries)::text "
    "from script.entry_count c where c.book = $1 and c.partner = $2 order by c.table_name";
static const char SQL_ENTRIES[] =
    "select json_build_object('key', e.key, 'updated_at', tb.rfc3339(e.updated_at), 'by', e.by)"
    "::text from script.entry e where e.book = $1 and e.partner = $2 and e.table_name = $3 "
    "order by e.key limit 1000";
static const char SQL_ENTRY[] =
    "select e.value::text from script.entry e where e.book = $1 and e.partner = $2 and "
    "e.table_name = $3 and e.key = $4";

static tb_err TB_SUSPENDS list_in(struct tb_req *req, struct tb_command_job *job)
{
    struct work *work = job->mine;
    struct tb_script_place place;
    struct tb_rows *rows;
    TB_TRY(tb_script_place_find(req, work->cli, &place));
    if (work->cli->arguments_n == 0)
        TB_TRY(
            tb_query(req, &rows, SQL_TABLES, TB_INT(place.book), TB_TEXT(tb_str(place.partner))));
    else
        TB_TRY(tb_query(req, &rows, SQL_ENTRIES, TB_INT(place.book), TB_TEXT(tb_str(place.partner)),
                        TB_TEXT(tb_str(work->cli->arguments[0]))));
    for (size_t i = 0; i < rows->n; i++) {
        struct tb_str text = tb_cell(rows, i, 0);
        json_array_append_new(work->found, json_loadb(text.at, text.n, 0, NULL));
    }
    return NULL;
}

static tb_err TB_SUSPENDS get_in(struct tb_req *req, struct tb_command_job *job)
{
    struct work *work = job->mine;
    struct tb_script_place place;
    struct tb_rows *rows;
    const char *table = work->cli->arguments[0], *key = work->cli->arguments[1];
    TB_TRY(tb_script_place_find(req, work->cli, &place));
    TB_TRY(tb_query(req, &rows, SQL_ENTRY, TB_INT(place.book), TB_TEXT(tb_str(place.partner)),
                    TB_TEXT(tb_str(table)), TB_TEXT(tb_str(key))));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "table %s has no key %s", table, key);
    struct tb_str text = tb_cell(rows, 0, 0);
    work->found = json_loadb(text.at, text.n, JSON_DECODE_ANY, NULL);
    return NULL;
}

static int list(struct tb_cli *cli)
{
    struct work work = {.cli = cli};
    if (!tb_script_place_given(cli))
        return TB_EXIT_USAGE;
    work.found = json_array();
    int exit_code = tb_command_job_run(cli, list_in, &work);
    if (exit_code == TB_EXIT_OK)
        tb_admin_print(cli, json_incref(work.found));
    json_decref(work.found);
    return exit_code;
}

static int get(struct tb_cli *cli)
{
    struct work work = {.cli = cli};
    if (!tb_script_place_given(cli))
        return TB_EXIT_USAGE;
    int exit_code = tb_command_job_run(cli, get_in, &work);
    if (exit_code == TB_EXIT_OK)
        tb_admin_print_one(cli,
                           json_pack("{s:s, s:O}", "key", cli->arguments[1], "value", work.found));
    json_decref(work.found);
    return exit_code;
}

/* ---- writing ---- */

static const char SQL_WRITE[] = "select a.status, a.detail, a.body from "
                                "script.admin_entry($1, $2, $3, $4, $5, $6, $7) a";

static tb_err TB_SUSPENDS write_in(struct tb_req *req, struct tb_command_job *job)
{
    struct work *work = job->mine;
    struct tb_script_place place;
    struct tb_json_error where;
    char who[TB_OPERATOR_BYTES];
    json_t *value;
    if (work->value.at != NULL) {
        tb_err err = tb_json_parse(tb_run_of(req)->arena, work->value, &tb_json_limits, &value,
                                   &where);
        if (err != NULL)
            return tb_fail(req, err, "%s at column %u", where.reason, where.column);
    }
    TB_TRY(tb_script_place_find(req, work->cli, &place));
    tb_command_operator(who);
    const struct tb_param params[] = {TB_INT(place.book),
                                      TB_TEXT(tb_str(place.partner)),
                                      TB_TEXT(tb_str(work->cli->arguments[0])),
                                      TB_TEXT(tb_str(work->cli->arguments[1])),
                                      TB_TEXT(work->value),
                                      TB_TEXT(tb_str(who)),
                                      TB_TIME(tb_wall_ms())};
    struct tb_script_act act = {
        .place = &place, .sql = SQL_WRITE, .params = params, .params_n = TB_COUNT(params)};
    TB_TRY(tb_script_act_run(req, job->store, &act));
    work->refused = act.refused;
    memcpy(work->why, act.why, sizeof(work->why));
    json_decref(act.made);
    return NULL;
}

static int write_entry(struct tb_cli *cli, struct tb_str value, const char *done)
{
    struct work work = {.cli = cli, .value = value};
    if (!tb_script_place_given(cli))
        return TB_EXIT_USAGE;
    int exit_code = tb_command_job_run(cli, write_in, &work);
    if (exit_code == TB_EXIT_OK && work.refused)
        exit_code = tb_cli_fail(cli, TB_EXIT_FOUND, "%s", work.why);
    if (exit_code == TB_EXIT_OK)
        tb_admin_print_one(cli, json_pack("{s:s, s:s, s:s}", "table", cli->arguments[0], "key",
                                          cli->arguments[1], "state", done));
    return exit_code;
}

static int put(struct tb_cli *cli)
{
    return write_entry(cli, tb_str(cli->arguments[2]), "written");
}

static int delete_entry(struct tb_cli *cli)
{
    return write_entry(cli, TB_STR_NONE, "deleted");
}

/* ---- the commands ---- */

static const struct tb_option options[] = {
    TB_SCRIPT_PLACE_OPTIONS,
    {.name = NULL},
};

const struct tb_command tb_command_table_list = {
    .name = "table list",
    .summary = "list the tables of a partner's script, or the first 1000 keys of one",
    .arguments = "[TABLE]",
    .arguments_max = 1,
    .options = options,
    .example = "tongbao table list payees --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = list,
};

const struct tb_command tb_command_table_get = {
    .name = "table get",
    .summary = "show what a key has",
    .arguments = "TABLE KEY",
    .arguments_min = 2,
    .arguments_max = 2,
    .options = options,
    .example = "tongbao table get payees acc_01k9x3m6h0g00801v9r5t2n8qd \\\n"
               "    --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = get,
};

const struct tb_command tb_command_table_put = {
    .name = "table put",
    .summary = "write an entry; the first makes the table",
    .arguments = "TABLE KEY VALUE",
    .arguments_min = 3,
    .arguments_max = 3,
    .raw = 3,
    .options = options,
    .about =
        "VALUE is JSON of at most 4096 bytes. There are at most 20 tables with 10,000 entries\n"
        "together.",
    .example = "tongbao table put limits batch '{\"amount\": 500000}' \\\n"
               "    --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = put,
};

const struct tb_command tb_command_table_delete = {
    .name = "table delete",
    .summary = "take an entry away; the last takes the table along",
    .arguments = "TABLE KEY",
    .arguments_min = 2,
    .arguments_max = 2,
    .options = options,
    .example = "tongbao table delete limits batch --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = delete_entry,
};
