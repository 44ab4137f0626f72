/* tongbao app: the apps of partners, which are the OAuth clients, and their secrets. */
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/admin.h"
#include "oauth/client/client.h"
#include "oauth/client/client_metadata.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include "store/tx.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { METADATA_BYTES_MAX = 64 * 1024, OVERLAP_HOURS = 24, OVERLAP_HOURS_MOST = 30 * 24 };

/* ---- create ---- */

struct creating {
    struct tb_cli *cli;
    struct tb_str metadata; /* effective, JSON; absent: it is no OAuth client yet */
    bool with_secret;
    char who[TB_OPERATOR_BYTES], id[TB_ID_ROOM], world[64];
    char secret[TB_CLIENT_SECRET_CHARS + 1], digest[TB_CLIENT_SECRET_CHARS + 1];
};

static const char SQL_WORLD[] = "select w.id, b.book, w.kind = 'sandbox' from bank.world w join "
                                "bank.book b on b.world = w.id where w.id = $1 order by b.book "
                                "limit 1";
static const char SQL_APP[] = "select directory.make_app($1, $2, $3, $4, $5, $6)";
static const char SQL_CLIENT[] = "select oauth.make_client($1, $2::jsonb, null, $3, $4)";
static const char SQL_SECRET[] = "select oauth.add_secret($1, $2, $3, null)";

static struct tb_str read_file(struct tb_req *req, const char *path)
{
    char *at = tb_alloc(req, METADATA_BYTES_MAX);
    int fd = at == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, at, METADATA_BYTES_MAX);
    if (fd >= 0)
        close(fd);
    return n < 0 ? TB_STR_NONE : (struct tb_str){at, (size_t)n};
}

/* What the file registers, judged as if the app had registered itself. */
static tb_err read_metadata(struct tb_req *req, struct creating *c, bool sandbox)
{
    const char *path = tb_cli_option(c->cli, "metadata");
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_json_error where;
    json_t *asked, *effective;
    struct tb_text text;
    if (path == NULL)
        return NULL;
    struct tb_str file = read_file(req, path);
    if (file.at == NULL)
        return tb_fail(req, TB_E_NOT_FOUND, "%s cannot be read", path);
    tb_err err = tb_json_parse(arena, file, &tb_json_limits, &asked, &where);
    if (err != NULL)
        return tb_fail(req, err, "%s: %s at line %u", path, where.reason, where.line);
    if (!json_is_object(asked))
        return tb_fail(req, TB_E_BAD_JSON, "%s: is no object", path);
    const struct tb_metadata_rules rules = {.sandbox = sandbox, .scopes = tb_oauth()->scopes};
    TB_TRY(tb_client_metadata(req, asked, &rules, &effective));
    c->with_secret = tb_str_eq(tb_json_str(effective, "token_endpoint_auth_method"),
                               TB_STR("client_secret_basic"));
    tb_text_init(&text, arena);
    tb_json_canonical(&text, effective);
    c->metadata = tb_text_end(&text);
    return c->metadata.at == NULL ? TB_E_INTERNAL : NULL;
}

static tb_err TB_SUSPENDS make_app(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct creating *c = arg;
    struct tb_rows *rows;
    struct tb_str id = tb_str(c->id);
    const char *partner = tb_cli_option(c->cli, "partner");
    const struct tb_param now = TB_TIME(tb_wall_ms()), who = TB_TEXT(tb_str(c->who));
    const struct tb_param app[] = {TB_TEXT(id),
                                   TB_TEXT(tb_str(partner)),
                                   TB_TEXT(tb_str(c->world)),
                                   TB_TEXT(tb_str(c->cli->arguments[0])),
                                   who,
                                   now};
    const struct tb_param client[] = {TB_TEXT(id), TB_TEXT(c->metadata), who, now};
    const struct tb_param secret[] = {TB_TEXT(id), TB_TEXT(tb_str(c->digest)), now};
    TB_TRY(tb_tx_query(tx, &rows, SQL_APP, app, TB_COUNT(app)));
    if (tb_cell(rows, 0, 0).at == NULL)
        return tb_fail(req, TB_E_NOT_FOUND, "no partner %s that may have apps", partner);
    if (c->metadata.at == NULL)
        return NULL;
    TB_TRY(tb_tx_query(tx, &rows, SQL_CLIENT, client, TB_COUNT(client)));
    if (!c->with_secret)
        return NULL;
    return tb_tx_query(tx, &rows, SQL_SECRET, secret, TB_COUNT(secret));
}

static tb_err TB_SUSPENDS create(struct tb_req *req, struct tb_command_job *job)
{
    struct creating *c = job->mine;
    const char *world = tb_cli_option(c->cli, "world");
    struct tb_rows *rows;
    TB_TRY(tb_command_oauth(req, job));
    TB_TRY(tb_query(req, &rows, SQL_WORLD, TB_TEXT(tb_str(world))));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "no world %s", world);
    snprintf(c->world, sizeof(c->world), "%s", world);
    TB_TRY(read_metadata(req, c, tb_str_eq(tb_cell(rows, 0, 2), TB_STR("t"))));
    tb_id_make(c->id, "app", (int32_t)tb_cell_int(rows, 0, 1), tb_wall_ms());
    tb_client_secret_make(c->secret, c->digest);
    tb_command_operator(c->who);
    return tb_tx_run(req, job->store, make_app, c);
}

static int create_app(struct tb_cli *cli)
{
    struct creating c = {.cli = cli};
    if (tb_cli_option(cli, "partner") == NULL || tb_cli_option(cli, "world") == NULL)
        return tb_cli_fail(cli, TB_EXIT_USAGE, "--partner and --world are needed");
    if (!tb_cli_name(cli, "NAME", cli->arguments[0], TB_NAME_CHARS_MAX))
        return TB_EXIT_USAGE;
    int exit_code = tb_command_job_run(cli, create, &c);
    if (exit_code != TB_EXIT_OK)
        return exit_code;
    json_t *made = json_pack("{s:s, s:s}", "id", c.id, "state", "active");
    if (c.with_secret)
        json_object_set_new(made, "client_secret", json_string(c.secret));
    tb_admin_print_one(cli, made);
    return TB_EXIT_OK;
}

/* ---- secret ---- */

static const char SQL_ROTATE[] = "select oauth.rotate_secret($1, $2, $3, $4, $5)";

struct rotating {
    struct tb_cli *cli;
    int64_t hours;
    char secret[TB_CLIENT_SECRET_CHARS + 1];
};

static tb_err TB_SUSPENDS rotate_in(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct rotating *r = arg;
    char who[TB_OPERATOR_BYTES], digest[TB_CLIENT_SECRET_CHARS + 1];
    int64_t now_ms = tb_wall_ms();
    int64_t until_s = now_ms / 1000 + r->hours * 3600; /* they are judged by whole seconds */
    struct tb_rows *rows;
    tb_command_operator(who);
    tb_client_secret_make(r->secret, digest);
    const struct tb_param params[] = {TB_TEXT(tb_str(r->cli->arguments[0])),
                                      TB_TEXT(tb_str(digest)), TB_TIME(until_s * 1000),
                                      TB_TEXT(tb_str(who)), TB_TIME(now_ms)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_ROTATE, params, TB_COUNT(params)));
    if (tb_cell(rows, 0, 0).at == NULL)
        return tb_fail(req, TB_E_NOT_FOUND, "no app %s that authenticates by secrets",
                       r->cli->arguments[0]);
    return NULL;
}

static tb_err TB_SUSPENDS rotate(struct tb_req *req, struct tb_command_job *job)
{
    return tb_tx_run(req, job->store, rotate_in, job->mine);
}

static int rotate_secret(struct tb_cli *cli)
{
    struct rotating r = {.cli = cli};
    if (!tb_cli_int(cli, "overlap", 0, OVERLAP_HOURS_MOST, OVERLAP_HOURS, &r.hours))
        return TB_EXIT_USAGE;
    int exit_code = tb_command_job_run(cli, rotate, &r);
    if (exit_code == TB_EXIT_OK)
        tb_admin_print_one(
            cli, json_pack("{s:s, s:s}", "id", cli->arguments[0], "client_secret", r.secret));
    return exit_code;
}

/* ---- the commands ---- */

static const struct tb_option create_options[] = {
    {"partner", "PARTNER", "whose app it is"},
    {"world", "WORLD", "the live world, or a sandbox"},
    {"metadata", "FILE", "what it registers as an OAuth client (RFC 7591), JSON"},
    {.name = NULL},
};

const struct tb_command tb_command_app_create = {
    .name = "app create",
    .summary = "make an app for a partner; what it may use is for `entitlement grant` to say",
    .arguments = "NAME",
    .arguments_min = 1,
    .arguments_max = 1,
    .options = create_options,
    .about = "A client secret, if it authenticates by one, is shown this once.",
    .example =
        "tongbao app create 'Treasury' --metadata treasury.json \\\n"
        "    --partner ptr_01k9x3m5n7p9q1r3s5t7v9w1x3 --world wld_01k9x3m5n7p9q1r3s5t7v9w1x3",
    .run = create_app,
};

static const struct tb_option secret_options[] = {
    {"overlap", "HOURS", "how long the secret before stays good (0 to 720, default 24)"},
    {.name = NULL},
};

const struct tb_command tb_command_app_secret = {
    .name = "app secret",
    .summary = "give an app another client secret; two are good at a time",
    .about = "The new secret is shown this once. Of two that were good the older one ends now.",
    .options = secret_options,
    .example = "tongbao app secret app_01k9x3m5n7p9q1r3s5t7v9w1x3 --overlap 48",
    .arguments = "APP",
    .arguments_min = 1,
    .arguments_max = 1,
    .run = rotate_secret,
};
