/* tongbao script push, review, activate, rollback, stop: the life of a partner's script by the
 * bank's hand. The same functions of the books as the API's; whoever runs the command is on record,
 * whatever name --as gives for the author or the reviewer. */
#include "cli/cmd_script.h"
#include "base/id.h"
#include "base/time.h"
#include "hooks/script_life.h"
#include "lua/script.h"
#include "runtime/run.h"
#include "store/tx.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { VERSION_MAX = 1000, NAME_CHARS = 60 };

/* So that no two names look alike and are not. */
#define NAME_OF "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-"

/* ---- where ---- */

static const char SQL_PLACE[] =
    "select b.book, s.id from script.books($1, $2) b (book) "
    "left join script.script s on s.book = b.book and s.partner = $1 order by b.book";
static const char SQL_LOCK[] = "select from script.lock($1, array[$2::text])";

bool tb_script_place_given(const struct tb_cli *cli)
{
    if (tb_cli_option(cli, "partner") != NULL)
        return true;
    tb_cli_fail(cli, TB_EXIT_USAGE, "--partner is needed");
    return false;
}

tb_err TB_SUSPENDS tb_script_place_find(struct tb_req *req, const struct tb_cli *cli,
                                        struct tb_script_place *out)
{
    const char *partner = tb_cli_option(cli, "partner"), *world = tb_cli_option(cli, "world");
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_PLACE, TB_TEXT(tb_str(partner)),
                    world == NULL ? TB_NULL : TB_TEXT(tb_str(world))));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "partner %s has no app%s%s", partner,
                       world == NULL ? "" : " in ", world == NULL ? "" : world);
    if (rows->n > 1)
        return tb_fail(req, TB_E_CONFLICT, "partner %s has apps in %zu worlds; --world says which",
                       partner, rows->n);
    struct tb_str id = tb_cell(rows, 0, 1);
    *out = (struct tb_script_place){.partner = partner, .book = (int32_t)tb_cell_int(rows, 0, 0)};
    snprintf(out->id, sizeof(out->id), "%.*s", (int)id.n, id.at == NULL ? "" : id.at);
    return NULL;
}

tb_err tb_script_none(struct tb_req *req, const struct tb_script_place *place)
{
    return tb_fail(req, TB_E_NOT_FOUND, "partner %s has no script; `tongbao script push` makes one",
                   place->partner);
}

/* ---- acts ---- */

static tb_err TB_SUSPENDS act_in(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct tb_script_act *act = arg;
    const struct tb_param lock[] = {TB_INT(act->place->book), TB_TEXT(tb_str(act->place->partner))};
    struct tb_rows *rows;
    (void)req;
    TB_TRY(tb_tx_query(tx, &rows, SQL_LOCK, lock, TB_COUNT(lock)));
    TB_TRY(tb_tx_query(tx, &rows, act->sql, act->params, act->params_n));
    struct tb_str detail = tb_cell(rows, 0, 1), body = tb_cell(rows, 0, 2);
    act->refused = tb_cell_int(rows, 0, 0) >= 300;
    snprintf(act->why, sizeof(act->why), "%.*s", (int)detail.n, detail.at == NULL ? "" : detail.at);
    json_decref(act->made);
    act->made = body.at == NULL ? NULL : json_loadb(body.at, body.n, 0, NULL);
    return NULL;
}

tb_err TB_SUSPENDS tb_script_act_run(struct tb_req *req, struct tb_store *store,
                                     struct tb_script_act *act)
{
    return tb_tx_run(req, store, act_in, act);
}

/* ---- the five of them ---- */

struct step {
    struct tb_cli *cli;
    const char *sql;
    struct tb_str source; /* of push */
    int64_t version, canary;
    char who[TB_OPERATOR_BYTES]; /* runs the command */
    char as[TB_OPERATOR_BYTES];  /* wrote or reviewed */
    bool refused;
    char why[256];
    json_t *made;
};

static struct tb_param option(const struct tb_cli *cli, const char *name)
{
    const char *text = tb_cli_option(cli, name);
    return text == NULL ? TB_NULL : TB_TEXT(tb_str(text));
}

static tb_err TB_SUSPENDS run_step(struct tb_req *req, struct tb_command_job *job,
                                   const struct tb_script_place *place,
                                   const struct tb_param *params, size_t params_n)
{
    struct step *step = job->mine;
    struct tb_script_act act = {
        .place = place, .sql = step->sql, .params = params, .params_n = params_n};
    if (place->id[0] == '\0' && step->source.at == NULL)
        return tb_script_none(req, place);
    TB_TRY(tb_script_act_run(req, job->store, &act));
    step->refused = act.refused;
    memcpy(step->why, act.why, sizeof(step->why));
    step->made = act.made;
    return NULL;
}

/* Whose name goes with it: that of --as, or of the command's user. And what the note says. */
static bool read_names(struct step *step)
{
    const char *name = tb_cli_option(step->cli, "as"), *note = tb_cli_option(step->cli, "note");
    if (note != NULL && !tb_cli_name(step->cli, "--note", note, TB_NOTE_CHARS_MAX))
        return false;
    tb_command_operator(step->who);
    memcpy(step->as, step->who, sizeof(step->as));
    if (name == NULL)
        return true;
    if (name[0] == '\0' || strlen(name) > NAME_CHARS || name[strspn(name, NAME_OF)] != '\0') {
        tb_cli_fail(step->cli, TB_EXIT_USAGE,
                    "--as takes a name as one logs in with: 1 to %d letters, digits, '.', '_', '@' "
                    "and '-'",
                    NAME_CHARS);
        return false;
    }
    snprintf(step->as, sizeof(step->as), "operator:%s", name);
    return true;
}

static bool read_version(struct step *step)
{
    const char *text = step->cli->arguments[0];
    size_t n = strspn(text, "0123456789");
    for (size_t i = 0; i < n && step->version <= VERSION_MAX; i++)
        step->version = step->version * 10 + (text[i] - '0');
    if (n > 0 && text[n] == '\0' && step->version >= 1 && step->version <= VERSION_MAX)
        return true;
    tb_cli_fail(step->cli, TB_EXIT_USAGE, "a version is a number from 1 to %d, not \"%s\"",
                VERSION_MAX, text);
    return false;
}

static int do_step(struct step *step,
                   tb_err (*work)(struct tb_req *req, struct tb_command_job *job))
{
    int exit_code = tb_command_job_run(step->cli, work, step);
    if (exit_code == TB_EXIT_OK && step->refused)
        exit_code = tb_cli_fail(step->cli, TB_EXIT_FOUND, "%s", step->why);
    if (exit_code == TB_EXIT_OK)
        tb_admin_print_one(step->cli, json_incref(step->made));
    json_decref(step->made);
    return exit_code;
}

static const char SQL_PUSH[] =
    "select a.status, a.detail, script.named($1, a.body) from "
    "script.push_version($1, 0, $2, right($3, 26), $4, $5, $6, $7, $8) a";
static const char SQL_REVIEW[] = "select a.status, a.detail, script.named($1, a.body) from "
                                 "script.review_version($1, 0, $2, $3, $4, $5, $6, $7, $8, $9) a";
static const char SQL_ACTIVATE[] =
    "select a.status, a.detail, script.named($1, a.body) from script.activate_version($1, 0, $2, $3, $4, $5, "
    "coalesce($6, 'deny'), coalesce($7, 'skip'), $8, $9) a";
static const char SQL_ROLL_BACK[] =
    "select a.status, a.detail, script.named($1, a.body) from script.roll_back_version($1, 0, $2, $3, $4, $5) a";
static const char SQL_STOP[] =
    "select a.status, a.detail, script.named($1, a.body) from script.stop_script($1, 0, $2, $3, $4, $5) a";

#define PLACE(place) TB_INT((place).book), TB_TEXT(tb_str((place).partner))

static tb_err TB_SUSPENDS push_in(struct tb_req *req, struct tb_command_job *job)
{
    struct step *step = job->mine;
    struct tb_script_place place;
    char id[TB_ID_ROOM];
    TB_TRY(tb_script_place_find(req, step->cli, &place));
    tb_id_make(id, "scr", place.book, tb_wall_ms());
    const struct tb_param params[] = {PLACE(place),
                                      TB_TEXT(tb_str(id)),
                                      TB_TEXT(step->source),
                                      TB_TEXT(tb_str(step->as)),
                                      option(step->cli, "note"),
                                      TB_TEXT(tb_str(step->who)),
                                      TB_TIME(tb_wall_ms())};
    return run_step(req, job, &place, params, TB_COUNT(params));
}

static tb_err TB_SUSPENDS review_in(struct tb_req *req, struct tb_command_job *job)
{
    struct step *step = job->mine;
    struct tb_script_place place;
    const char *verdict = tb_cli_option(step->cli, "reject") == NULL ? "approve" : "reject";
    TB_TRY(tb_script_place_find(req, step->cli, &place));
    const struct tb_param params[] = {PLACE(place),
                                      TB_TEXT(tb_str(place.id)),
                                      TB_INT(step->version),
                                      TB_TEXT(tb_str(verdict)),
                                      TB_TEXT(tb_str(step->as)),
                                      option(step->cli, "note"),
                                      TB_TEXT(tb_str(step->who)),
                                      TB_TIME(tb_wall_ms())};
    return run_step(req, job, &place, params, TB_COUNT(params));
}

static tb_err TB_SUSPENDS activate_in(struct tb_req *req, struct tb_command_job *job)
{
    struct step *step = job->mine;
    struct tb_script_place place;
    TB_TRY(tb_script_place_find(req, step->cli, &place));
    const struct tb_param params[] = {PLACE(place),
                                      TB_TEXT(tb_str(place.id)),
                                      TB_INT(step->version),
                                      TB_INT(step->canary),
                                      option(step->cli, "on-request-failure"),
                                      option(step->cli, "on-response-failure"),
                                      TB_TEXT(tb_str(step->who)),
                                      TB_TIME(tb_wall_ms())};
    return run_step(req, job, &place, params, TB_COUNT(params));
}

/* Of rollback and stop. */
static tb_err TB_SUSPENDS turn_in(struct tb_req *req, struct tb_command_job *job)
{
    struct step *step = job->mine;
    struct tb_script_place place;
    TB_TRY(tb_script_place_find(req, step->cli, &place));
    const struct tb_param params[] = {PLACE(place), TB_TEXT(tb_str(place.id)),
                                      TB_TEXT(tb_str(step->who)), TB_TIME(tb_wall_ms())};
    return run_step(req, job, &place, params, TB_COUNT(params));
}

/* ---- commands ---- */

/* One byte more than a script can have, so that a longer one is told from one that fits. */
static bool read_source(struct tb_cli *cli, char text[TB_SCRIPT_SOURCE_BYTES + 1], size_t *out_n)
{
    const char *path = cli->arguments[0];
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    for (*out_n = 0; got > 0 && *out_n < TB_SCRIPT_SOURCE_BYTES + 1; *out_n += (size_t)got) {
        got = read(fd, text + *out_n, TB_SCRIPT_SOURCE_BYTES + 1 - *out_n);
        if (got < 0)
            break;
    }
    if (fd > STDIN_FILENO)
        close(fd);
    if (got < 0)
        tb_cli_fail(cli, TB_EXIT_ENVIRONMENT, "%s cannot be read", path);
    return got >= 0;
}

static int push(struct tb_cli *cli)
{
    static char text[TB_SCRIPT_SOURCE_BYTES + 1];
    struct step step = {.cli = cli, .sql = SQL_PUSH};
    char why[TB_SCRIPT_WHY_BYTES];
    size_t n;
    if (!tb_script_place_given(cli) || !read_names(&step))
        return TB_EXIT_USAGE;
    if (!read_source(cli, text, &n))
        return TB_EXIT_ENVIRONMENT;
    step.source = (struct tb_str){text, n};
    if (!tb_utf8_valid(step.source) || memchr(text, '\0', n) != NULL)
        return tb_cli_fail(cli, TB_EXIT_FOUND, "%s: is not text in UTF-8", cli->arguments[0]);
    if (!tb_script_acceptable(step.source, why, sizeof(why)))
        return tb_cli_fail(cli, TB_EXIT_FOUND, "%s: %s", cli->arguments[0], why);
    return do_step(&step, push_in);
}

static int review(struct tb_cli *cli)
{
    struct step step = {.cli = cli, .sql = SQL_REVIEW};
    if (!tb_script_place_given(cli) || !read_names(&step) || !read_version(&step))
        return TB_EXIT_USAGE;
    return do_step(&step, review_in);
}

/* Whether an option that was given is one of two words. */
static bool one_of(const struct tb_cli *cli, const char *name, const char *a, const char *b)
{
    const char *value = tb_cli_option(cli, name);
    if (value == NULL || strcmp(value, a) == 0 || strcmp(value, b) == 0)
        return true;
    tb_cli_fail(cli, TB_EXIT_USAGE, "--%s takes %s or %s, not \"%s\"", name, a, b, value);
    return false;
}

static int activate(struct tb_cli *cli)
{
    struct step step = {.cli = cli, .sql = SQL_ACTIVATE};
    tb_command_operator(step.who);
    if (!tb_script_place_given(cli) || !read_version(&step) ||
        !tb_cli_int(cli, "canary", 1, 100, 100, &step.canary) ||
        !one_of(cli, "on-request-failure", "deny", "allow") ||
        !one_of(cli, "on-response-failure", "skip", "withhold"))
        return TB_EXIT_USAGE;
    return do_step(&step, activate_in);
}

static int turn(struct tb_cli *cli, const char *sql)
{
    struct step step = {.cli = cli, .sql = sql};
    tb_command_operator(step.who);
    return tb_script_place_given(cli) ? do_step(&step, turn_in) : TB_EXIT_USAGE;
}

static int roll_back(struct tb_cli *cli)
{
    return turn(cli, SQL_ROLL_BACK);
}

static int stop(struct tb_cli *cli)
{
    return turn(cli, SQL_STOP);
}

#define ONE_VERSION .arguments = "VERSION", .arguments_min = 1, .arguments_max = 1

static const struct tb_option push_options[] = {
    TB_SCRIPT_PLACE_OPTIONS,
    {"note", "TEXT", "what changed and why, for the reviewer"},
    {"as", "NAME", "the author, where that is not you"},
    {.name = NULL},
};

const struct tb_command tb_command_script_push = {
    .name = "script push",
    .summary = "push a version of a partner's script; the first makes the script",
    .arguments = "FILE",
    .arguments_min = 1,
    .arguments_max = 1,
    .options = push_options,
    .about = "A text that does not load is refused with its line. A version is a draft until\n"
             "somebody else has reviewed it. FILE - is standard input.",
    .example = "tongbao script push rules.lua --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = push,
};

static const struct tb_option review_options[] = {
    TB_SCRIPT_PLACE_OPTIONS, {"reject", NULL, "it shall not run"},
    {"note", "TEXT", "why"}, {"as", "NAME", "the reviewer, where that is not you"},
    {.name = NULL},
};

const struct tb_command tb_command_script_review = {
    .name = "script review",
    .summary = "approve a version that somebody else has pushed, or reject it",
    .options = review_options,
    .example = "tongbao script review 2 --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = review,
    ONE_VERSION,
};

static const struct tb_option activate_options[] = {
    TB_SCRIPT_PLACE_OPTIONS,
    {"canary", "PERCENT", "of the requests meet it, 1 to 100 (default 100)"},
    {"on-request-failure", "WORD", "when it fails on a request: deny (default) or allow"},
    {"on-response-failure", "WORD", "when it fails on an answer: skip (default) or withhold"},
    {.name = NULL},
};

const struct tb_command tb_command_script_activate = {
    .name = "script activate",
    .summary = "let a reviewed version run",
    .options = activate_options,
    .about = "Every worker runs it within half a second. What a canary leaves meets the version\n"
             "that last ran for all.",
    .example = "tongbao script activate 2 --canary 10 --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = activate,
    ONE_VERSION,
};

static const struct tb_option place_options[] = {
    TB_SCRIPT_PLACE_OPTIONS,
    {.name = NULL},
};

const struct tb_command tb_command_script_rollback = {
    .name = "script rollback",
    .summary = "return to the version that ran before",
    .options = place_options,
    .example = "tongbao script rollback --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = roll_back,
};

const struct tb_command tb_command_script_stop = {
    .name = "script stop",
    .summary = "let no version run",
    .options = place_options,
    .example = "tongbao script stop --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = stop,
};
