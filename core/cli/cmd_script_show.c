/* tongbao script list, show: which scripts there are, what runs, and what was pushed by whom. */
#include "base/time.h"
#include "cli/cmd_script.h"

static const char SQL_SCRIPT[] =
    "select (script.named($1, script.script_json(s, $3))::jsonb || jsonb_build_object('partner', s.partner, "
    "'versions', (select jsonb_agg(jsonb_build_object('version', v.version, 'state', v.state, "
    "'author', v.author, 'reviewer', v.reviewer, 'note', v.note, 'created_at', "
    "tb.rfc3339(v.created_at)) order by v.version) from script.version v where v.book = s.book "
    "and v.script = s.id)))::text from script.script s where s.book = $1 and s.id = $2";
static const char SQL_VERSION[] =
    "select (script.version_json(v, false)::jsonb || jsonb_build_object('author', v.author, "
    "'reviewer', v.reviewer, 'source', v.source))::text from script.version v "
    "where v.book = $1 and v.script = $2 and v.version::text = $3";

struct showing {
    struct tb_cli *cli;
    json_t *found;
};

static tb_err TB_SUSPENDS show_in(struct tb_req *req, struct tb_command_job *job)
{
    struct showing *showing = job->mine;
    struct tb_script_place place;
    struct tb_rows *rows;
    TB_TRY(tb_script_place_find(req, showing->cli, &place));
    if (showing->cli->arguments_n == 0)
        TB_TRY(tb_query(req, &rows, SQL_SCRIPT, TB_INT(place.book), TB_TEXT(tb_str(place.id)),
                        TB_TIME(tb_wall_ms())));
    else
        TB_TRY(tb_query(req, &rows, SQL_VERSION, TB_INT(place.book), TB_TEXT(tb_str(place.id)),
                        TB_TEXT(tb_str(showing->cli->arguments[0]))));
    if (rows->n == 0 && showing->cli->arguments_n == 0)
        return tb_script_none(req, &place);
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND,
                       "partner %s has no version %s; `tongbao script show` "
                       "lists what there is",
                       place.partner, showing->cli->arguments[0]);
    struct tb_str text = tb_cell(rows, 0, 0);
    showing->found = json_loadb(text.at, text.n, 0, NULL);
    return NULL;
}

static int show(struct tb_cli *cli)
{
    struct showing showing = {.cli = cli};
    if (!tb_script_place_given(cli))
        return TB_EXIT_USAGE;
    int exit_code = tb_command_job_run(cli, show_in, &showing);
    if (exit_code == TB_EXIT_OK)
        tb_admin_print_one(cli, showing.found);
    return exit_code;
}

static const struct tb_option show_options[] = {
    TB_SCRIPT_PLACE_OPTIONS,
    {.name = NULL},
};

const struct tb_command tb_command_script_show = {
    .name = "script show",
    .summary = "show a partner's script with its versions and last failures, or one version",
    .arguments = "[VERSION]",
    .arguments_max = 1,
    .options = show_options,
    .example = "tongbao script show --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3\n"
               "tongbao script show 2 --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3 --json",
    .run = show,
};
