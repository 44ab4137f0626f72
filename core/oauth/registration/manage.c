/* Management of a registration by the token it was answered with (RFC 7592). The token is kept as a
 * digest, so the answers give back the one that was sent. */
#include "base/json.h"
#include "crypto/digest.h"
#include "http/server.h"
#include "oauth/client/certificate.h"
#include "oauth/errors.h"
#include "oauth/handle.h"
#include "oauth/registration/registration.h"
#include "oauth/server.h"
#include "oauth/token/revoke.h"
#include "oauth/token/token.h"
#include "runtime/run.h"
#include <tongbao/plugin.h>

static const char SQL_FIND[] =
    "select c.registration_digest, c.metadata::text, extract(epoch from c.created_at)::bigint, "
    "a.state = 'suspended' or p.state = 'suspended', a.partner, "
    "(select string_agg(s.digest, ' ') from oauth.client_secret s where s.app = c.app and "
    "(s.expires_at is null or s.expires_at > $2)) from oauth.client c "
    "join bank.app a on a.id = c.app join bank.partner p on p.id = a.partner "
    "where c.app = $1 and a.state <> 'revoked' and p.state <> 'revoked'";
static const char SQL_REPLACE[] = "select oauth.replace_client($1, $2::jsonb, $3, $4)";
static const char SQL_VOUCHED[] = "select from oauth.directory_partner where issuer = $1 and "
                                  "organisation = $2 and partner = $3";
static const char SQL_END[] = "select consent.end_app($1, 'client', $2, $3)";

struct managed {
    struct tb_registered client;
    struct tb_str partner;
    struct tb_str secrets; /* digests of those that count, blank-separated; absent: none */
    struct tb_str who;     /* for the record of acts */
    bool suspended;
};

/* The client of the path, if the token is the one that manages it. Whoever has not the token is
 * told nothing: not whether there is such a client. */
static tb_err TB_SUSPENDS find_managed(struct tb_req *req, struct managed *out)
{
    static const char NOBODYS[] = "0000000000000000000000000000000000000000000";
    struct tb_str app = tb_path(req, "client_id"), token = tb_registration_token(req);
    struct tb_rows *rows;
    struct tb_json_error where;
    static const struct tb_json_limits limits = {TB_ARENA_CAP, 32, 10000, true};
    TB_TRY(tb_query(req, &rows, SQL_FIND, TB_TEXT(app), TB_TIME(tb_oauth_now_s(req) * 1000)));
    struct tb_str kept = rows->n > 0 ? tb_cell(rows, 0, 0) : TB_STR_NONE;
    struct tb_str shown = tb_handle_digest(tb_run_of(req)->arena,
                                           token.at == NULL ? TB_STR("") : token);
    bool same = tb_same_secret(shown, kept.at == NULL ? TB_STR(NOBODYS) : kept);
    if (!same || token.at == NULL || kept.at == NULL)
        return tb_fail(req, TB_E_INVALID_REGISTRATION_TOKEN, "%s",
                       TB_E_INVALID_REGISTRATION_TOKEN->title);
    *out = (struct managed){
        .client = {.app = app, .token = token, .issued_s = tb_cell_int(rows, 0, 2)},
        .suspended = tb_str_eq(tb_cell(rows, 0, 3), TB_STR("t")),
        .partner = tb_cell(rows, 0, 4),
        .secrets = tb_cell(rows, 0, 5),
        .who = tb_arena_format(tb_run_of(req)->arena, "client:%.*s", (int)app.n, app.at),
    };
    return tb_json_parse(tb_run_of(req)->arena, tb_cell(rows, 0, 1), &limits, &out->client.metadata,
                         &where);
}

tb_err TB_SUSPENDS tb_registration_get(struct tb_req *req)
{
    struct managed m;
    TB_TRY(find_managed(req, &m));
    return tb_registration_answer(req, 200, &m.client);
}

/* ---- replacing ---- */

/* A request replaces everything, names the client it is for, and must not try to set what is ours
 * (RFC 7592 §2.2). */
static tb_err check_names(struct tb_req *req, const struct managed *m, const json_t *requested)
{
    static const char *const OURS[] = {"registration_access_token", "registration_client_uri",
                                       "client_secret_expires_at", "client_id_issued_at"};
    for (size_t i = 0; i < TB_COUNT(OURS); i++)
        if (json_object_get(requested, OURS[i]) != NULL)
            return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "%s must not be sent", OURS[i]);
    if (!tb_str_eq(tb_json_str(requested, "client_id"), m->client.app))
        return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "client_id must be the client's");
    if (json_object_get(requested, "client_secret") == NULL)
        return NULL;
    struct tb_str digest = tb_handle_digest(tb_run_of(req)->arena,
                                            tb_json_str(requested, "client_secret"));
    for (struct tb_str rest = m->secrets; rest.n >= digest.n && digest.at != NULL;) {
        if (tb_same_secret((struct tb_str){rest.at, digest.n}, digest))
            return NULL;
        size_t step = rest.n > digest.n ? digest.n + 1 : digest.n;
        rest = (struct tb_str){rest.at + step, rest.n - step};
    }
    return tb_fail(req, TB_E_INVALID_CLIENT_METADATA, "client_secret must be the client's");
}

struct replacing {
    struct managed *managed;
    struct tb_judged judged;
};

/* Another organisation's statement does not speak for this client. */
static tb_err TB_SUSPENDS check_vouched(struct tb_req *req, struct tb_tx *tx,
                                        const struct replacing *r)
{
    const struct tb_software *vouched = &r->judged.vouched;
    struct tb_rows *rows;
    if (vouched->claims == NULL || tb_oauth()->config->sandbox)
        return NULL;
    const struct tb_param params[] = {TB_TEXT(vouched->issuer), TB_TEXT(vouched->organisation),
                                      TB_TEXT(r->managed->partner)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_VOUCHED, params, TB_COUNT(params)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_INVALID_SOFTWARE_STATEMENT,
                       "the software statement is of another organisation");
    return NULL;
}

static tb_err TB_SUSPENDS replace(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct replacing *r = arg;
    struct tb_registered *client = &r->managed->client;
    struct tb_rows *rows;
    TB_TRY(check_vouched(req, tx, r));
    const struct tb_param params[] = {TB_TEXT(client->app), TB_TEXT(r->judged.text),
                                      TB_TEXT(r->managed->who),
                                      TB_TIME(tb_oauth_now_s(req) * 1000)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_REPLACE, params, TB_COUNT(params)));
    if (!tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t"))) /* deleted since it was found */
        return tb_fail(req, TB_E_INVALID_REGISTRATION_TOKEN, "%s",
                       TB_E_INVALID_REGISTRATION_TOKEN->title);
    TB_TRY(tb_certificates_keep(req, tx, client->app, r->judged.metadata));
    client->secret = TB_STR_NONE;
    if (!r->judged.secret || r->managed->secrets.at != NULL)
        return NULL;
    return tb_registration_secret(req, tx, client->app, &client->secret);
}

tb_err TB_SUSPENDS tb_registration_put(struct tb_req *req)
{
    struct managed m;
    struct replacing r = {.managed = &m};
    json_t *requested;
    TB_TRY(find_managed(req, &m));
    if (m.suspended)
        return tb_fail(req, TB_E_STOPPED, "the client is suspended");
    TB_TRY(tb_registration_read(req, &requested));
    TB_TRY(check_names(req, &m, requested));
    TB_TRY(tb_registration_judge(req, requested, &r.judged));
    TB_TRY(tb_tx_run(req, tb_oauth()->store, replace, &r));
    m.client.metadata = r.judged.metadata;
    return tb_registration_answer(req, 200, &m.client);
}

/* ---- ending ---- */

struct ending {
    const struct managed *managed;
    struct tb_rows *grants; /* that have ended */
};

static tb_err TB_SUSPENDS end(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct ending *e = arg;
    const struct tb_param params[] = {TB_TEXT(e->managed->client.app), TB_TEXT(e->managed->who),
                                      TB_TIME(tb_oauth_now_s(req) * 1000)};
    return tb_tx_query(tx, &e->grants, SQL_END, params, TB_COUNT(params));
}

tb_err TB_SUSPENDS tb_registration_delete(struct tb_req *req)
{
    struct managed m;
    struct ending e = {.managed = &m};
    TB_TRY(find_managed(req, &m));
    TB_TRY(tb_tx_run(req, tb_oauth()->store, end, &e));
    /* The database says so already; telling this machine's memory makes it so at once. */
    int64_t now_s = tb_oauth_now_s(req);
    TB_TRY(tb_token_revoke(req, tb_oauth()->revocations, m.client.app,
                           now_s + 2 * TB_TOKEN_LIFE_LIVE_S, now_s));
    for (size_t i = 0; i < e.grants->n; i++)
        TB_TRY(tb_token_revoke(req, tb_oauth()->revocations, tb_cell(e.grants, i, 0),
                               now_s + 2 * TB_TOKEN_LIFE_LIVE_S, now_s));
    return tb_reply_as(req, 204, NULL, TB_STR_NONE);
}
