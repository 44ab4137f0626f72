/* tongbao script record: whether a partner's requests are kept for dry runs. Off until somebody
 * asks, and only until the time they name. */
#include "base/id.h"
#include "base/time.h"
#include "cli/cmd_script.h"
#include "hooks/redact.h"
#include "runtime/run.h"
#include "store/tx.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_MS = 24 * 60 * 60 * 1000, DAYS_MAX = 30 };

struct work {
    struct tb_cli *cli;
    struct tb_script_place place;
    int64_t days;  /* 0: nothing is begun */
    bool off;      /* it ends */
    char *redact;  /* JSON array, to be freed */
    json_t *state; /* how it stands afterwards */
};

static const char SQL_START[] = "select script.start_recording($1, $2, $3, $4, $5::jsonb, $6, $7)";
static const char SQL_STOP[] = "select script.stop_recording($1, $2, $3, $4, $5)";
static const char SQL_STATE[] = "select script.named($1, script.recording_json($1, $2, $3))";

#define PLACE(place) TB_INT((place).book), TB_TEXT(tb_str((place).partner))

static tb_err TB_SUSPENDS start(struct tb_req *req, struct tb_tx *tx, const struct work *work,
                                struct tb_str who)
{
    struct tb_rows *rows;
    char fresh[TB_ID_ROOM];
    int64_t now_ms = tb_wall_ms();
    tb_id_make(fresh, "scr", work->place.book, now_ms);
    const struct tb_param params[] = {PLACE(work->place),
                                      TB_TEXT(tb_str(fresh)),
                                      TB_TIME(now_ms + work->days * DAY_MS),
                                      TB_TEXT(tb_str(work->redact)),
                                      TB_TEXT(who),
                                      TB_TIME(now_ms)};
    (void)req;
    return tb_tx_query(tx, &rows, SQL_START, params, TB_COUNT(params));
}

static tb_err TB_SUSPENDS act(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    const struct work *work = arg;
    char who[TB_OPERATOR_BYTES];
    struct tb_rows *rows;
    tb_command_operator(who);
    if (!work->off)
        return start(req, tx, work, tb_str(who));
    bool forget = tb_cli_option(work->cli, "forget") != NULL;
    const struct tb_param params[] = {PLACE(work->place),
                                      TB_TEXT(forget ? TB_STR("t") : TB_STR("f")),
                                      TB_TEXT(tb_str(who)), TB_TIME(tb_wall_ms())};
    TB_TRY(tb_tx_query(tx, &rows, SQL_STOP, params, TB_COUNT(params)));
    if (tb_cell(rows, 0, 0).at == NULL)
        return tb_fail(req, TB_E_NOT_FOUND, "nothing of partner %s was ever recorded",
                       work->place.partner);
    return NULL;
}

static tb_err TB_SUSPENDS record(struct tb_req *req, struct tb_command_job *job)
{
    struct work *work = job->mine;
    struct tb_rows *rows;
    TB_TRY(tb_script_place_find(req, work->cli, &work->place));
    if (work->off || work->days > 0)
        TB_TRY(tb_tx_run(req, job->store, act, work));
    const struct tb_param params[] = {PLACE(work->place), TB_TIME(tb_wall_ms())};
    TB_TRY(tb_query_params(req, &rows, SQL_STATE, params, TB_COUNT(params)));
    struct tb_str text = tb_cell(rows, 0, 0);
    work->state = json_loadb(text.at, text.n, 0, NULL);
    return NULL;
}

/* "/a,/b/c" as a JSON array, judged; false after a message. */
static bool read_redact(struct work *work)
{
    const char *text = tb_cli_option(work->cli, "redact");
    char why[256];
    json_t *list = json_array();
    for (const char *at = text; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, ",");
        (void)json_array_append_new(list, json_stringn(at, n));
        at += at[n] == ',' ? n + 1 : n;
    }
    struct tb_redaction *redaction = tb_redaction_new(list, why, sizeof(why));
    if (redaction == NULL)
        tb_cli_fail(work->cli, TB_EXIT_USAGE, "%s", why);
    work->redact = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    tb_redaction_free(redaction);
    return redaction != NULL && work->redact != NULL;
}

static int run(struct tb_cli *cli)
{
    struct work work = {.cli = cli};
    if (!tb_script_place_given(cli) || !tb_cli_int(cli, "days", 1, DAYS_MAX, 0, &work.days))
        return TB_EXIT_USAGE;
    work.off = tb_cli_option(cli, "off") != NULL || tb_cli_option(cli, "forget") != NULL;
    if (work.off && work.days > 0)
        return tb_cli_fail(cli, TB_EXIT_USAGE, "--days begins a recording, --off ends it");
    int exit_code = TB_EXIT_USAGE;
    if (read_redact(&work))
        exit_code = tb_command_job_run(cli, record, &work);
    if (exit_code == TB_EXIT_OK)
        tb_admin_print_one(cli, work.state);
    free(work.redact);
    return exit_code;
}

static const struct tb_option options[] = {
    TB_SCRIPT_PLACE_OPTIONS,
    {"days", "N", "record from now on for so many days, 1 to 30"},
    {"redact", "LIST", "leave these members of bodies out: JSON pointers, comma between them"},
    {"off", NULL, "stop recording; what there is stays for dry runs"},
    {"forget", NULL, "stop recording and delete what there is"},
    {.name = NULL},
};

const struct tb_command tb_command_script_record = {
    .name = "script record",
    .summary = "record a partner's requests for dry runs, or show whether they are",
    .options = options,
    .about =
        "What is recorded of a request is what its script is given: no tokens, no keys, and nothing\n"
        "that the products' schemas mark as sensitive; --redact names what else is to be left out.\n"
        "Texts are cut at 512 bytes. In a pointer, \"*\" stands for every member or element.\n"
        "Recordings are kept for script.recording_days; 100,000 and 64 MiB of a partner at most.",
    .example = "tongbao script record --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3 --days 7 "
               "--redact /creditor/name,/metadata/*",
    .run = run,
};
