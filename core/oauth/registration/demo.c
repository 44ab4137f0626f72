/* Secrets of the demo world come from the master secret by a label each. Whoever can read them here
 * could read them from the master's file as well, and `tongbao world seed` can tell them again. */
#include "oauth/registration/demo.h"
#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/seal.h"
#include "oauth/client/client_metadata.h"
#include "oauth/handle.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <stdio.h>

static const struct tb_demo_user PEOPLE[TB_DEMO_USERS] = {
    {.role = "initiator", .name = "Wei Chen", .login = "wei"},
    {.role = "approver", .name = "Lan Zhou", .login = "lan"},
};

/* What the demo's client registers; what is missing is assumed as for anyone. */
static const char METADATA[] =
    "{\"client_name\":\"Demo app\",\"client_name#zh\":\"演示应用\","
    "\"redirect_uris\":[\"https://client.example/callback\",\"http://127.0.0.1/callback\"],"
    "\"application_type\":\"native\",\"plain_bearer_tokens\":true,"
    "\"token_endpoint_auth_method\":\"client_secret_basic\","
    "\"grant_types\":[\"authorization_code\",\"refresh_token\",\"client_credentials\","
    "\"urn:openid:params:grant-type:ciba\"]}";

static const char SQL_CLIENT[] = "select c.metadata ->> 'scope' = $2::jsonb ->> 'scope' from "
                                 "oauth.client c where c.app = $1";
static const char SQL_MAKE_CLIENT[] =
    "select oauth.make_client($1, $2::jsonb, null, 'operator:seed', $3)";
/* Products may have come since it was made, and gone. */
static const char SQL_RENEW_SCOPE[] =
    "select oauth.replace_client($1, c.metadata || jsonb_build_object('scope', $2::jsonb -> "
    "'scope'), 'operator:seed', $3) from oauth.client c where c.app = $1";
static const char SQL_HAS_SECRET[] =
    "select from oauth.client_secret where app = $1 and digest = $2";
static const char SQL_KEEP_SECRET[] = "select oauth.rotate_secret($1, $2, $3, 'operator:seed', $3)";
static const char SQL_HAS_USERS[] = "select from oauth.user_account where book = $1";

/* ---- users ---- */

tb_err TB_SUSPENDS tb_demo_invent(struct tb_req *req, struct tb_demo_users *out_users)
{
    char digest[TB_CLIENT_SECRET_CHARS + 1];
    tb_client_secret_make(out_users->password, digest);
    out_users->totp_key = NULL;
    return tb_user_password(req, tb_str(out_users->password), &out_users->hash);
}

/* A user's second factor from the world's key; it does not tell the key. */
static void derive_totp(const unsigned char *key, const char *login, unsigned char *out)
{
    struct tb_hmac *hmac = tb_hmac_new(TB_BYTES(key, TB_SHA256_BYTES));
    struct tb_str name = tb_str(login);
    tb_hmac_sha256(hmac, &name, 1, out);
    tb_hmac_free(hmac);
}

static void name_users(const struct tb_seed *seed, struct tb_demo_users *users)
{
    for (size_t i = 0; i < TB_DEMO_USERS; i++) {
        users->users[i] = PEOPLE[i];
        snprintf(users->users[i].login, TB_DEMO_LOGIN_BYTES, "%.16s@w%d", PEOPLE[i].login,
                 seed->book);
    }
}

tb_err TB_SUSPENDS tb_demo_users(struct tb_req *req, struct tb_tx *tx, const struct tb_seed *seed,
                                 struct tb_demo_users *users)
{
    name_users(seed, users);
    for (size_t i = 0; i < TB_DEMO_USERS; i++) {
        struct tb_demo_user *user = &users->users[i];
        unsigned char totp[TB_SHA256_BYTES];
        struct tb_user_made made;
        struct tb_user_order order = {
            .book = seed->book,
            .login = tb_str(user->login),
            .name = tb_str(user->name),
            .company = tb_str(seed->company),
            .role = tb_str(user->role),
            .hash = users->hash,
        };
        if (users->totp_key != NULL) {
            derive_totp(users->totp_key, user->login, totp);
            order.totp = TB_BYTES(totp, TB_OTP_SECRET_BYTES);
        }
        TB_TRY(tb_user_make(req, tx, &order, &made));
        snprintf(user->totp, sizeof(user->totp), "%s", made.secret);
    }
    return NULL;
}

/* ---- the demo world ---- */

struct making {
    struct tb_demo *demo;
    struct tb_str metadata, digest;
    int64_t now_ms;
};

static tb_err TB_SUSPENDS make_client(struct tb_tx *tx, const struct making *m)
{
    struct tb_rows *rows;
    struct tb_str app = tb_str(m->demo->seed.app);
    const struct tb_param client[] = {TB_TEXT(app), TB_TEXT(m->metadata), TB_TIME(m->now_ms)};
    const struct tb_param secret[] = {TB_TEXT(app), TB_TEXT(m->digest), TB_TIME(m->now_ms)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_CLIENT, client, 2));
    if (rows->n == 0)
        TB_TRY(tb_tx_query(tx, &rows, SQL_MAKE_CLIENT, client, TB_COUNT(client)));
    else if (!tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t")))
        TB_TRY(tb_tx_query(tx, &rows, SQL_RENEW_SCOPE, client, TB_COUNT(client)));
    TB_TRY(tb_tx_query(tx, &rows, SQL_HAS_SECRET, secret, 2));
    if (rows->n > 0)
        return NULL;
    return tb_tx_query(tx, &rows, SQL_KEEP_SECRET, secret, TB_COUNT(secret));
}

static tb_err TB_SUSPENDS make_demo(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct making *m = arg;
    TB_TRY(make_client(tx, m));
    if (m->demo->users.hash.at == NULL) /* they are there already */
        return NULL;
    return tb_demo_users(req, tx, &m->demo->seed, &m->demo->users);
}

/* A secret of the demo world as text; its digest for the database. */
static struct tb_str derive_text(struct tb_req *req, const char *label,
                                 char out[TB_CLIENT_SECRET_CHARS + 1])
{
    struct tb_secret derived = {NULL, 0};
    tb_secret_derive(&derived, &tb_oauth()->master, label);
    out[tb_base64url_write(out, TB_BYTES(derived.at, derived.n))] = '\0';
    tb_secret_wipe(&derived);
    return tb_handle_digest(tb_run_of(req)->arena, tb_str(out));
}

/* What the users' second factors are, for who finds them made already. */
static void tell_totp(struct tb_demo_users *users)
{
    for (size_t i = 0; i < TB_DEMO_USERS; i++) {
        unsigned char totp[TB_SHA256_BYTES];
        derive_totp(users->totp_key, users->users[i].login, totp);
        users->users[i].totp[tb_base32_write(users->users[i].totp,
                                             TB_BYTES(totp, TB_OTP_SECRET_BYTES))] = '\0';
    }
}

static tb_err read_metadata(struct tb_req *req, struct tb_str *out)
{
    json_t *requested = json_loads(METADATA, 0, NULL), *effective;
    const struct tb_metadata_rules rules = {.sandbox = true, .scopes = tb_oauth()->scopes};
    tb_err err = requested == NULL ? TB_E_INTERNAL
                                   : tb_client_metadata(req, requested, &rules, &effective);
    json_decref(requested);
    if (err != NULL)
        return err;
    struct tb_text text;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_json_canonical(&text, effective);
    *out = tb_text_end(&text);
    return out->at == NULL ? TB_E_INTERNAL : NULL;
}

tb_err TB_SUSPENDS tb_demo_make(struct tb_req *req, struct tb_store *store,
                                struct tb_demo *out_demo)
{
    struct tb_demo_users *users = &out_demo->users;
    struct tb_secret key = {NULL, 0};
    struct tb_rows *rows;
    struct making m = {.demo = out_demo, .now_ms = tb_oauth_now_s(req) * 1000};
    TB_TRY(tb_seed_demo(req, store, &out_demo->seed));
    TB_TRY(read_metadata(req, &m.metadata));
    m.digest = derive_text(req, "tongbao demo client 1", out_demo->secret);
    derive_text(req, "tongbao demo users 1", users->password);
    tb_secret_derive(&key, &tb_oauth()->master, "tongbao demo second factors 1");
    users->totp_key = key.at;
    users->hash = TB_STR_NONE;
    name_users(&out_demo->seed, users);
    tell_totp(users);
    const struct tb_param book = TB_INT(out_demo->seed.book);
    tb_err err = tb_store_query(req, store, &rows, SQL_HAS_USERS, &book, 1);
    if (err == NULL && rows->n == 0)
        err = tb_user_password(req, tb_str(users->password), &users->hash);
    if (err == NULL)
        err = tb_tx_run(req, store, make_demo, &m);
    users->totp_key = NULL;
    tb_secret_wipe(&key);
    return err;
}
