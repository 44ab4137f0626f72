/* tongbao user: who of the bank's customers may log in at its own pages. Passwords and second
 * factors are made here and shown once. */
#include "base/id.h"
#include "base/random.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/admin.h"
#include "crypto/digest.h"
#include "oauth/user/user.h"
#include "runtime/run.h"

enum { PASSWORD_BYTES = 15 /* 20 characters */ };

struct making {
    struct tb_cli *cli;
    bool add; /* else reset */
    struct tb_user_order order;
    struct tb_user_made made;
    char password[TB_BASE64URL_CHARS(PASSWORD_BYTES) + 1];
    char who[TB_OPERATOR_BYTES];
};

static const char SQL_RECORD[] = "select oauth.user_made($1, $2, $3)";

static void make_password(struct making *making)
{
    unsigned char bytes[PASSWORD_BYTES];
    tb_random_bytes(bytes, sizeof(bytes));
    making->password[tb_base64url_write(making->password, TB_BYTES(bytes, sizeof(bytes)))] = '\0';
    explicit_bzero(bytes, sizeof(bytes));
}

static tb_err TB_SUSPENDS write_user(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct making *making = arg;
    struct tb_rows *rows;
    struct tb_str who = tb_str(making->who);
    if (!making->add)
        return tb_user_reset(req, tx, making->order.login, making->order.hash, who, &making->made);
    TB_TRY(tb_user_make(req, tx, &making->order, &making->made));
    const struct tb_param params[] = {TB_TEXT(tb_str(making->made.id)), TB_TEXT(who),
                                      TB_TIME(tb_wall_ms())};
    return tb_tx_query(tx, &rows, SQL_RECORD, params, TB_COUNT(params));
}

static tb_err TB_SUSPENDS make(struct tb_req *req, struct tb_command_job *job)
{
    struct making *making = job->mine;
    TB_TRY(tb_command_oauth(req, job));
    make_password(making);
    TB_TRY(tb_user_password(req, tb_str(making->password), &making->order.hash));
    return tb_tx_run(req, job->store, write_user, making);
}

static void print_made(const struct tb_cli *cli, const struct making *making)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CHUNK);
    struct tb_str login = making->order.login;
    struct tb_str uri = tb_arena_format(arena,
                                        "otpauth://totp/Tongbao:%.*s?secret=%s&issuer=Tongbao",
                                        (int)login.n, login.at, making->made.secret);
    tb_admin_print_one(cli,
                       json_pack("{s:s, s:s%, s:s, s:s, s:s%}", "id", making->made.id, "login",
                                 login.at, login.n, "password", making->password, "totp_secret",
                                 making->made.secret, "totp_uri", uri.at, uri.n));
    tb_arena_free(arena);
}

static int make_and_print(struct tb_cli *cli, struct making *making)
{
    making->order.login = tb_str(cli->arguments[0]);
    tb_command_operator(making->who);
    int exit_code = tb_command_job_run(cli, make, making);
    if (exit_code == TB_EXIT_OK)
        print_made(cli, making);
    explicit_bzero(making, sizeof(*making));
    return exit_code;
}

static int add(struct tb_cli *cli)
{
    const char *role = tb_cli_option(cli, "role");
    struct tb_str company = tb_str(cli->arguments[1]);
    struct making making = {.add = true};
    if (!tb_id_check(company, "pty"))
        return tb_cli_fail(cli, TB_EXIT_USAGE, "COMPANY is the id of a party, pty_…");
    if (!tb_cli_name(cli, "LOGIN", cli->arguments[0], TB_NAME_CHARS_MAX) ||
        !tb_cli_name(cli, "NAME", cli->arguments[2], TB_NAME_CHARS_MAX) ||
        (role != NULL && !tb_cli_name(cli, "--role", role, TB_NAME_CHARS_MAX)))
        return TB_EXIT_USAGE;
    making.order = (struct tb_user_order){.book = tb_id_book(company),
                                          .name = tb_str(cli->arguments[2]),
                                          .company = company,
                                          .role = tb_str(role == NULL ? "initiator" : role)};
    return make_and_print(cli, &making);
}

static int reset(struct tb_cli *cli)
{
    struct making making = {.add = false};
    return make_and_print(cli, &making);
}

/* ---- the commands ---- */

static const struct tb_option add_options[] = {
    {"role", "ROLE", "what limits of the company's rules go by (default initiator)"},
    {.name = NULL},
};

const struct tb_command tb_command_user_add = {
    .name = "user add",
    .summary = "make a user of a company, with a password and a second factor",
    .arguments = "LOGIN COMPANY NAME",
    .arguments_min = 3,
    .arguments_max = 3,
    .options = add_options,
    .about =
        "Prints the password and the secret of the authenticator app. Neither is shown again:\n"
        "what is kept is a hash and a sealed text.",
    .example = "tongbao user add wang@jiangnan pty_01k9x3m6h0g00801c4w7e3k6zj 'Wang Min' "
               "--role approver",
    .run = add,
};

const struct tb_command tb_command_user_reset = {
    .name = "user reset",
    .summary = "give a user a new password and a new second factor; sessions end",
    .arguments = "LOGIN",
    .arguments_min = 1,
    .arguments_max = 1,
    .example = "tongbao user reset wang@jiangnan",
    .run = reset,
};
