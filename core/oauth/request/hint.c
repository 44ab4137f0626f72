/* A customer is somebody of the client's own world, or nobody: logins of other worlds are answered
 * like logins that do not exist. */
#include "oauth/request/hint.h"
#include "base/json.h"
#include "crypto/jose.h"
#include "oauth/client/jwks.h"
#include "oauth/errors.h"
#include "oauth/server.h"
#include "oauth/user/throttle.h"
#include "runtime/run.h"

static const char SQL_BY_LOGIN[] =
    "select u.id, u.book from oauth.user_account u join bank.book b on b.book = u.book "
    "where u.login = lower($1) and b.world = $2 and u.state = 'active'";

static const char SQL_BY_ID[] =
    "select u.id, u.book from oauth.user_account u join bank.book b on b.book = u.book "
    "where u.id = $1 and b.world = $2 and u.state = 'active'";

/** The key store, and the time by which its keys are looked up. */
struct signer {
    struct tb_keystore *keys;
    int64_t now_s;
};

static struct tb_key *find_key(void *arg, struct tb_str kid, enum tb_alg alg)
{
    const struct signer *signer = arg;
    return tb_keystore_find(signer->keys, kid, alg, signer->now_s);
}

/* An ID token that has expired still says who it was about, so it is verified as of just before;
 * that it is not too old is for the life of our keys to say. */
tb_err tb_hint_read(struct tb_req *req, const struct tb_oauth_client *client, struct tb_str token,
                    struct tb_str *out_user)
{
    static const char *const types[] = {"JWT", "", NULL};
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct signer signer = {tb_oauth()->response_keys, tb_oauth_now_s(req)};
    struct tb_jose out;
    int64_t exp_s, at_s = signer.now_s;
    if (tb_json_int(tb_jws_peek(arena, token, 1), "exp", &exp_s) && exp_s > 0 && exp_s <= at_s)
        at_s = exp_s - 1;
    const struct tb_jose_policy policy = {
        .types = types,
        .algs = TB_ALG_ES256,
        .bytes_max = TB_JOSE_BYTES_MAX,
        .find = find_key,
        .find_arg = &signer,
        .issuer = tb_str(tb_oauth()->config->issuer),
        .audience = client->id,
        .audience_list = true,
        .required = TB_CLAIM_EXP | TB_CLAIM_IAT | TB_CLAIM_SUB,
        .ahead_s = TB_JOSE_AHEAD_S,
    };
    if (tb_jose_verify(&policy, token, at_s, arena, &out) != NULL)
        return tb_fail(req, TB_E_INVALID_REQUEST, "id_token_hint: %s",
                       tb_jose_reason_words(out.reason));
    *out_user = tb_json_str(out.claims, "sub");
    return NULL;
}

static tb_err TB_SUSPENDS find_user(struct tb_req *req, const struct tb_oauth_client *client,
                                    const char *sql, struct tb_str name, struct tb_hinted *out)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, sql, TB_TEXT(name), TB_TEXT(client->world)));
    TB_TRY(tb_throttle_hint(req, client, rows->n > 0));
    if (rows->n == 0)
        return tb_fail(req, TB_E_UNKNOWN_USER_ID, "the hint names no customer");
    out->user = tb_cell(rows, 0, 0);
    out->book = (int32_t)tb_cell_int(rows, 0, 1);
    return NULL;
}

tb_err TB_SUSPENDS tb_hint_find(struct tb_req *req, const struct tb_oauth_client *client,
                                const struct tb_form *form, struct tb_hinted *out)
{
    struct tb_str login = tb_form_get(form, "login_hint");
    struct tb_str token = tb_form_get(form, "login_hint_token");
    struct tb_str id_token = tb_form_get(form, "id_token_hint");
    int hints = (login.at != NULL) + (token.at != NULL) + (id_token.at != NULL);
    struct tb_str user;
    if (hints != 1)
        return tb_fail(req, TB_E_INVALID_REQUEST,
                       "send exactly one of login_hint and id_token_hint");
    if (token.at != NULL)
        return tb_fail(req, TB_E_INVALID_REQUEST,
                       "login_hint_token is not supported; send a login_hint");
    if (login.at != NULL)
        return find_user(req, client, SQL_BY_LOGIN, login, out);
    TB_TRY(tb_hint_read(req, client, id_token, &user));
    return find_user(req, client, SQL_BY_ID, user, out);
}
