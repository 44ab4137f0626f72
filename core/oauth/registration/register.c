/* Where a stranger becomes a client. All that a registration makes, it makes in one transaction. */
#include "oauth/registration/register.h"
#include "base/id.h"
#include "base/json.h"
#include "http/server.h"
#include "oauth/client/certificate.h"
#include "oauth/errors.h"
#include "oauth/handle.h"
#include "oauth/registration/demo.h"
#include "oauth/registration/registration.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <tongbao/plugin.h>

enum { BODY_BYTES = 64 * 1024, STRANGERS_COMPANIES = 3 };

static const char SQL_ADMIT[] = "select oauth.admit_registration($1, $2, $3, interval '1 hour')";
static const char SQL_CLIENT[] = "select oauth.make_client($1, $2::jsonb, $3, $4, $5)";
static const char SQL_ACCOUNTS[] =
    "select coalesce(json_agg(json_build_object('id', a.id, 'currency', a.currency, 'name', a.name, "
    "'company', a.party, 'can_debit', x.can_debit, 'balance', json_build_object('amount', a.balance, "
    "'currency', a.currency)) order by a.id), '[]')::text from bank.account_access x "
    "join bank.account a on a.book = x.book and a.id = x.account "
    "where x.book = $1 and x.partner = $2";
static const char SQL_LIVE_WORLD[] =
    "select w.id, min(b.book) from bank.world w join bank.book b on b.world = w.id "
    "where w.kind = 'live' group by w.id, w.created_at order by w.created_at limit 1";
static const char SQL_FIND_PARTNER[] =
    "select d.partner, p.state from oauth.directory_partner d join bank.partner p on p.id = d.partner "
    "where d.issuer = $1 and d.organisation = $2";
static const char SQL_MAKE_PARTNER[] = "select directory.make_partner($1, $2, $3, $4)";
static const char SQL_NAME_PARTNER[] =
    "insert into oauth.directory_partner (issuer, organisation, partner) values ($1, $2, $3)";
static const char SQL_KIN[] = "select partner, world, book from oauth.kin($1)";
static const char SQL_JOIN[] = "select oauth.join_world($1, $2, $3, $4, $5)";
static const char SQL_PENDING_APP[] = "insert into bank.app (id, partner, world, name, state, "
                                      "created_at) values ($1, $2, $3, $4, 'pending', $5)";

/* ---- who may ---- */

/* What an address is counted by: an IPv6 subscriber has a whole /64 to choose from. */
static void counted_address(const char *peer, char out[INET6_ADDRSTRLEN])
{
    struct in6_addr six;
    snprintf(out, INET6_ADDRSTRLEN, "%.45s", peer);
    if (inet_pton(AF_INET6, peer, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six))
        return;
    memset(six.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &six, out, INET6_ADDRSTRLEN);
}

static tb_err TB_SUSPENDS admit(struct tb_req *req)
{
    int64_t quota = tb_oauth()->config->registration_per_hour;
    char address[INET6_ADDRSTRLEN];
    struct tb_rows *rows;
    if (quota == 0)
        return tb_fail(req, TB_E_STOPPED, "registration is closed");
    counted_address(tb_run_of(req)->in->peer, address);
    TB_TRY(tb_query(req, &rows, SQL_ADMIT, TB_TEXT(tb_str(address)),
                    TB_TIME(tb_oauth_now_s(req) * 1000), TB_INT(quota)));
    int64_t wait_s = tb_cell_int(rows, 0, 0);
    if (wait_s == 0)
        return NULL;
    tb_run_of(req)->problem.retry_after_s = wait_s;
    return tb_fail(req, TB_E_RATE_LIMITED, "too many registrations from this address; wait %lld s",
                   (long long)wait_s);
}

/* ---- what is made ---- */

struct making {
    struct tb_judged judged;
    struct tb_seed seed; /* its `app` is the client's id */
    struct tb_demo_users users;
    char token[TB_CLIENT_SECRET_CHARS + 1], token_digest[TB_CLIENT_SECRET_CHARS + 1];
    struct tb_str secret;
    struct tb_str accounts; /* JSON */
    int64_t now_ms;
};

/* The client of the app that is there now, and its secret. */
static tb_err TB_SUSPENDS make_client(struct tb_req *req, struct tb_tx *tx, struct making *m)
{
    struct tb_str app = tb_str(m->seed.app);
    struct tb_rows *rows;
    struct tb_str who = tb_arena_format(tb_run_of(req)->arena, "client:%s", m->seed.app);
    const struct tb_param params[] = {TB_TEXT(app), TB_TEXT(m->judged.text),
                                      TB_TEXT(tb_str(m->token_digest)), TB_TEXT(who),
                                      TB_TIME(m->now_ms)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_CLIENT, params, TB_COUNT(params)));
    TB_TRY(tb_certificates_keep(req, tx, app, m->judged.metadata));
    m->secret = TB_STR_NONE;
    return m->judged.secret ? tb_registration_secret(req, tx, app, &m->secret) : NULL;
}

static struct tb_str name_of(const struct making *m, const char *otherwise)
{
    struct tb_str name = tb_json_str(m->judged.metadata, "client_name");
    return name.at == NULL ? tb_str(otherwise) : name;
}

static tb_err TB_SUSPENDS list_accounts(struct tb_tx *tx, struct making *m)
{
    struct tb_rows *rows;
    const struct tb_param whose[] = {TB_INT(m->seed.book), TB_TEXT(tb_str(m->seed.partner))};
    TB_TRY(tb_tx_query(tx, &rows, SQL_ACCOUNTS, whose, TB_COUNT(whose)));
    m->accounts = tb_cell(rows, 0, 0);
    return NULL;
}

/* A world of its own, with everything in it. */
static tb_err TB_SUSPENDS make_stranger(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct making *m = arg;
    const struct tb_seed_order order = {
        .world = TB_STR("Sandbox"),
        .partner = name_of(m, "Sandbox partner"),
        .app = name_of(m, "Sandbox app"),
        .companies_n = STRANGERS_COMPANIES,
    };
    TB_TRY(tb_seed_world(req, tx, &order, &m->seed));
    TB_TRY(make_client(req, tx, m));
    TB_TRY(tb_demo_users(req, tx, &m->seed, &m->users));
    return list_accounts(tx, m);
}

/* Find the partner of the software statement's organisation; create it on first sight. */
static tb_err TB_SUSPENDS find_partner(struct tb_req *req, struct tb_tx *tx, struct making *m)
{
    const struct tb_software *vouched = &m->judged.vouched;
    struct tb_rows *rows;
    struct tb_param named[3] = {TB_TEXT(vouched->issuer), TB_TEXT(vouched->organisation)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_FIND_PARTNER, named, 2));
    if (rows->n > 0 && tb_str_eq(tb_cell(rows, 0, 1), TB_STR("revoked")))
        return tb_fail(req, TB_E_UNAPPROVED_SOFTWARE_STATEMENT,
                       "the organisation is no partner of the bank any more");
    if (rows->n > 0) {
        struct tb_str id = tb_cell(rows, 0, 0);
        snprintf(m->seed.partner, sizeof(m->seed.partner), "%.*s", (int)id.n, id.at);
        return NULL;
    }
    tb_id_make(m->seed.partner, "ptr", m->seed.book, m->now_ms);
    named[2] = TB_TEXT(tb_str(m->seed.partner));
    const struct tb_param made[] = {named[2], TB_TEXT(vouched->name), TB_TEXT(TB_STR("clerk")),
                                    TB_TIME(m->now_ms)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_MAKE_PARTNER, made, TB_COUNT(made)));
    return tb_tx_query(tx, &rows, SQL_NAME_PARTNER, named, 3);
}

/* An app in the live world that may not do anything until the bank has approved it. */
static tb_err TB_SUSPENDS make_applicant(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct making *m = arg;
    struct tb_rows *rows;
    TB_TRY(tb_tx_query(tx, &rows, SQL_LIVE_WORLD, NULL, 0));
    if (rows->n == 0)
        return tb_fail(req, TB_E_OVERLOAD, "there is no live world yet");
    struct tb_str world = tb_cell(rows, 0, 0);
    m->seed.book = (int32_t)tb_cell_int(rows, 0, 1);
    TB_TRY(find_partner(req, tx, m));
    tb_id_make(m->seed.app, "app", m->seed.book, m->now_ms);
    const struct tb_param app[] = {TB_TEXT(tb_str(m->seed.app)), TB_TEXT(tb_str(m->seed.partner)),
                                   TB_TEXT(world), TB_TEXT(name_of(m, "App")), TB_TIME(m->now_ms)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_PENDING_APP, app, TB_COUNT(app)));
    return make_client(req, tx, m);
}

/* Another app beside the client whose registration token came as an initial access token. */
static tb_err TB_SUSPENDS make_sibling(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct making *m = arg;
    struct tb_rows *rows;
    struct tb_str token = tb_registration_token(req);
    const struct tb_param whose[] = {TB_TEXT(tb_handle_digest(tb_run_of(req)->arena, token))};
    TB_TRY(tb_tx_query(tx, &rows, SQL_KIN, whose, TB_COUNT(whose)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_INVALID_REGISTRATION_TOKEN, "%s",
                       TB_E_INVALID_REGISTRATION_TOKEN->title);
    struct tb_str partner = tb_cell(rows, 0, 0), world = tb_cell(rows, 0, 1);
    snprintf(m->seed.partner, sizeof(m->seed.partner), "%.*s", (int)partner.n, partner.at);
    snprintf(m->seed.world, sizeof(m->seed.world), "%.*s", (int)world.n, world.at);
    m->seed.book = (int32_t)tb_cell_int(rows, 0, 2);
    tb_id_make(m->seed.app, "app", m->seed.book, m->now_ms);
    const struct tb_param app[] = {TB_TEXT(tb_str(m->seed.app)), TB_TEXT(partner), TB_TEXT(world),
                                   TB_TEXT(name_of(m, "App")), TB_TIME(m->now_ms)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_JOIN, app, TB_COUNT(app)));
    TB_TRY(make_client(req, tx, m));
    return list_accounts(tx, m);
}

/* ---- what is told ---- */

/* All a stranger needs: where its money is and who can log in. */
static json_t *tell_sandbox(const struct making *m, bool kin)
{
    json_t *world = json_pack("{s:s, s:i, s:s, s:o}", "world", m->seed.world, "book", m->seed.book,
                              "partner", m->seed.partner, "accounts",
                              json_loadb(m->accounts.at, m->accounts.n, 0, NULL));
    if (kin) /* who can log in there was told before, and nothing here remembers a password */
        return world;
    json_t *users = json_array();
    for (size_t i = 0; i < TB_DEMO_USERS; i++) {
        const struct tb_demo_user *user = &m->users.users[i];
        json_array_append_new(users, json_pack("{s:s, s:s, s:s, s:s, s:s}", "login", user->login,
                                               "name", user->name, "role", user->role, "password",
                                               m->users.password, "totp_secret", user->totp));
    }
    json_object_set_new(world, "company", json_string(m->seed.company));
    json_object_set_new(world, "users", users);
    return world;
}

static tb_err TB_SUSPENDS register_client(struct tb_req *req)
{
    bool sandbox = tb_oauth()->config->sandbox;
    struct making *m = tb_alloc(req, sizeof(*m));
    json_t *requested;
    if (m == NULL)
        return TB_E_INTERNAL;
    TB_TRY(tb_registration_read(req, &requested));
    TB_TRY(tb_registration_judge(req, requested, &m->judged));
    TB_TRY(admit(req));
    m->now_ms = tb_oauth_now_s(req) * 1000;
    tb_client_secret_make(m->token, m->token_digest);
    bool kin = sandbox && tb_registration_token(req).at != NULL;
    if (sandbox && !kin)
        TB_TRY(tb_demo_invent(req, &m->users));
    TB_TRY(tb_tx_run(req, tb_oauth()->store,
                     kin       ? make_sibling
                     : sandbox ? make_stranger
                               : make_applicant,
                     m));
    const struct tb_registered client = {
        .app = tb_str(m->seed.app),
        .metadata = m->judged.metadata,
        .issued_s = m->now_ms / 1000,
        .token = tb_str(m->token),
        .secret = m->secret,
        .sandbox = sandbox ? tell_sandbox(m, kin) : NULL,
    };
    return tb_registration_answer(req, 201, &client);
}

/* ---- the product ---- */

#define REGISTRATION(method_, path_, handler_, summary_, standard_)                                \
    {                                                                                              \
        .method = (method_), .path = (path_), .level = TB_A1,                                      \
        .flags = TB_R_RAW | TB_R_OAUTH | TB_R_FINISH, .body_bytes = BODY_BYTES,                    \
        .handler = (handler_), .summary = (summary_), .standard = (standard_)                      \
    }

#define CLIENT_PATH "/oauth/register/{client_id:app}"

static const struct tb_route routes[] = {
    REGISTRATION("POST", "/oauth/register", register_client,
                 "Register a client; in the sandbox it gets a world of its own.", "RFC 7591"),
    REGISTRATION("GET", CLIENT_PATH, tb_registration_get, "Read what is registered.", "RFC 7592"),
    REGISTRATION("PUT", CLIENT_PATH, tb_registration_put, "Replace what is registered.",
                 "RFC 7592"),
    REGISTRATION("DELETE", CLIENT_PATH, tb_registration_delete,
                 "End the client, and with it every token and grant it has.", "RFC 7592"),
};

static const struct tb_event_type events[] = {
    {"client.certificate_expiring",
     "A certificate that the client authenticates with ends in 60, 30, 7 or 1 days."},
};

const struct tb_plugin tb_oauth_register_product = {
    TB_PLUGIN_HEAD,           .name = "oauth-register",
    .version = "1.0.0",       .title = "Registration of clients",
    TB_TABLE(routes, routes), TB_TABLE(events, events),
};
