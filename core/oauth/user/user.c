/* Logins are ASCII in lower case: one person, one spelling. What the second factor keeps is sealed
 * under a key of its own for the user's id, so that a row copied to another user does not open. */
#include "oauth/user/user.h"
#include "base/text.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "crypto/password.h"
#include "crypto/seal.h"
#include "oauth/server.h"
#include "runtime/run.h"

static const char SQL_MAKE[] =
    "insert into oauth.user_account (id, book, login, name, company, role, password, secret, created_at) "
    "values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (login) do nothing returning id";

static const char SQL_FIND[] = "select id from oauth.user_account where login = $1 for update";
static const char SQL_RESET[] = "select oauth.reset_user($1, $2, $3, $4, $5)";

static const char SQL_LOGIN[] = "select " TB_USER_COLUMNS ", u.password from " TB_USER_TABLES
                                " where u.login = $1 and u.state = 'active'";

static void sealing_key(struct tb_secret *out)
{
    tb_secret_derive(out, &tb_oauth()->master, "tongbao second factors 1");
}

/* ---- making ---- */

struct hashing {
    struct tb_str password;
    char hash[TB_PASSWORD_HASH_ROOM];
    bool done;
};

static void hash(void *arg)
{
    struct hashing *hashing = arg;
    hashing->done = tb_password_hash(hashing->password, hashing->hash);
}

tb_err TB_SUSPENDS tb_user_password(struct tb_req *req, struct tb_str password,
                                    struct tb_str *out_hash)
{
    struct hashing hashing = {.password = password};
    if (password.n < TB_PASSWORD_BYTES_MIN || password.n > TB_PASSWORD_BYTES_MAX)
        return tb_fail(req, TB_E_INVALID, "a password has %d to %d bytes", TB_PASSWORD_BYTES_MIN,
                       TB_PASSWORD_BYTES_MAX);
    TB_TRY(tb_offload(req, hash, &hashing));
    if (!hashing.done)
        return tb_fail(req, TB_E_OVERLOAD, "no memory left to hash a password");
    *out_hash = tb_arena_format(tb_run_of(req)->arena, "%s", hashing.hash);
    return out_hash->at == NULL ? TB_E_INTERNAL : NULL;
}

/* In lower case; absent when it is no login. */
static struct tb_str spell(struct tb_req *req, struct tb_str login)
{
    char *out = tb_alloc(req, login.n + 1);
    if (out == NULL || login.n == 0 || login.n > TB_USER_LOGIN_MAX)
        return TB_STR_NONE;
    for (size_t i = 0; i < login.n; i++) {
        char c = login.at[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        bool letter = (out[i] >= 'a' && out[i] <= 'z') || (out[i] >= '0' && out[i] <= '9');
        if (!letter && (out[i] == '\0' || strchr("._-@", out[i]) == NULL))
            return TB_STR_NONE;
    }
    return (struct tb_str){out, login.n};
}

/* What is stored of a secret, given or fresh, and what the user is told of it. */
static struct tb_str enroll(struct tb_req *req, struct tb_str given, struct tb_user_made *made)
{
    struct tb_secret key = {NULL, 0}, secret = {NULL, 0};
    if (given.at != NULL)
        tb_secret_set(&secret, given.at, given.n);
    else
        tb_totp.enroll(&secret);
    struct tb_str plain = TB_BYTES(secret.at, secret.n);
    sealing_key(&key);
    struct tb_str sealed = tb_seal(&key, tb_str(made->id), plain, tb_run_of(req)->arena);
    made->secret[tb_base32_write(made->secret, plain)] = '\0';
    tb_secret_wipe(&key);
    tb_secret_wipe(&secret);
    return sealed;
}

tb_err TB_SUSPENDS tb_user_make(struct tb_req *req, struct tb_tx *tx,
                                const struct tb_user_order *order, struct tb_user_made *out_made)
{
    struct tb_rows *rows;
    struct tb_str login = spell(req, order->login);
    if (login.at == NULL)
        return tb_fail(req, TB_E_INVALID, "a login has 1 to %d letters, digits or . _ - @",
                       TB_USER_LOGIN_MAX);
    if (order->name.n == 0 || order->name.n > TB_USER_NAME_MAX || !tb_utf8_valid(order->name))
        return tb_fail(req, TB_E_INVALID, "a name has 1 to %d bytes of UTF-8", TB_USER_NAME_MAX);
    if (order->totp.at != NULL && order->totp.n != TB_OTP_SECRET_BYTES)
        return tb_fail(req, TB_E_INVALID, "the secret of TOTP has %d bytes", TB_OTP_SECRET_BYTES);
    tb_id_make(out_made->id, "usr", order->book, tb_wall_ms());
    struct tb_str sealed = enroll(req, order->totp, out_made);
    const struct tb_param params[] = {
        TB_TEXT(tb_str(out_made->id)), TB_INT(order->book),     TB_TEXT(login),
        TB_TEXT(order->name),          TB_TEXT(order->company), TB_TEXT(order->role),
        TB_TEXT(order->hash),          TB_TEXT(sealed),         TB_TIME(tb_wall_ms())};
    TB_TRY(tb_tx_query(tx, &rows, SQL_MAKE, params, TB_COUNT(params)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_CONFLICT, "the login %.*s is taken", (int)login.n, login.at);
    return NULL;
}

tb_err TB_SUSPENDS tb_user_reset(struct tb_req *req, struct tb_tx *tx, struct tb_str login,
                                 struct tb_str hash, struct tb_str who,
                                 struct tb_user_made *out_made)
{
    struct tb_rows *rows;
    struct tb_str spelled = spell(req, login);
    const struct tb_param finding[] = {TB_TEXT(spelled.at == NULL ? TB_STR("") : spelled)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_FIND, finding, TB_COUNT(finding)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_NOT_FOUND, "nobody has the login %.*s", (int)login.n, login.at);
    struct tb_str id = tb_cell(rows, 0, 0);
    memcpy(out_made->id, id.at, id.n);
    out_made->id[id.n] = '\0';
    struct tb_str sealed = enroll(req, TB_STR_NONE, out_made);
    const struct tb_param params[] = {TB_TEXT(id), TB_TEXT(hash), TB_TEXT(sealed), TB_TEXT(who),
                                      TB_TIME(tb_wall_ms())};
    return tb_tx_query(tx, &rows, SQL_RESET, params, TB_COUNT(params));
}

/* ---- logging in ---- */

tb_err tb_user_of_row(struct tb_req *req, const struct tb_rows *rows, size_t column,
                      struct tb_user **out_user)
{
    struct tb_user *user = tb_alloc(req, sizeof(*user));
    if (user == NULL)
        return TB_E_INTERNAL;
    *user = (struct tb_user){
        .id = tb_cell(rows, 0, column),
        .login = tb_cell(rows, 0, column + 1),
        .name = tb_cell(rows, 0, column + 2),
        .role = tb_cell(rows, 0, column + 3),
        .company = tb_cell(rows, 0, column + 4),
        .company_name = tb_cell(rows, 0, column + 5),
        .book = (int32_t)tb_cell_int(rows, 0, column + 6),
        .world_offset_ms = tb_cell_int(rows, 0, column + 7),
        .factor = tb_second_factor(tb_cell(rows, 0, column + 8)),
        .sealed = tb_cell(rows, 0, column + 9),
        .world = tb_cell(rows, 0, column + 10),
    };
    if (user->factor == NULL)
        return tb_fail(req, TB_E_INTERNAL, "a user has a second factor that is not built in");
    *out_user = user;
    return NULL;
}

struct checking {
    struct tb_str password, hash;
    bool right;
};

static void check(void *arg)
{
    struct checking *checking = arg;
    checking->right = tb_password_check(checking->password, checking->hash);
}

tb_err TB_SUSPENDS tb_user_login(struct tb_req *req, struct tb_str login, struct tb_str password,
                                 struct tb_user **out_user)
{
    struct tb_rows *rows;
    struct checking checking = {.password = password, .hash = TB_STR_NONE};
    struct tb_str spelled = spell(req, login);
    *out_user = NULL;
    if (password.at == NULL)
        checking.password = TB_STR("");
    if (spelled.at == NULL)
        spelled = TB_STR(""); /* of nobody: looked up and checked like any other */
    TB_TRY(tb_query(req, &rows, SQL_LOGIN, TB_TEXT(spelled)));
    if (rows->n > 0)
        checking.hash = tb_cell(rows, 0, TB_USER_COLUMNS_N);
    TB_TRY(tb_offload(req, check, &checking));
    return checking.right ? tb_user_of_row(req, rows, 0, out_user) : NULL;
}

/* What the user's second factor keeps, opened. To be wiped. */
static tb_err open_secret(struct tb_req *req, const struct tb_user *user, struct tb_secret *out)
{
    struct tb_secret key = {NULL, 0};
    sealing_key(&key);
    bool opened = tb_unseal(&key, user->id, user->sealed, out);
    tb_secret_wipe(&key);
    if (!opened)
        return tb_fail(req, TB_E_INTERNAL, "a second factor does not open under this secret");
    return NULL;
}

tb_err TB_SUSPENDS tb_user_challenge(struct tb_req *req, const struct tb_user *user)
{
    struct tb_secret secret = {NULL, 0};
    if (user->factor->challenge == NULL)
        return NULL;
    TB_TRY(open_secret(req, user, &secret));
    struct tb_factor_case of = {.user = user->id, .book = user->book, .secret = &secret};
    tb_err err = user->factor->challenge(req, &of);
    tb_secret_wipe(&secret);
    return err;
}

tb_err TB_SUSPENDS tb_user_factor(struct tb_req *req, const struct tb_user *user,
                                  struct tb_str answer, bool *out_right)
{
    struct tb_secret secret = {NULL, 0};
    TB_TRY(open_secret(req, user, &secret));
    struct tb_factor_case of = {.user = user->id, .book = user->book, .secret = &secret};
    tb_err err = user->factor->verify(req, &of, answer, out_right);
    tb_secret_wipe(&secret);
    return err;
}
