/* POST /oauth/introspect (RFC 7662): whether a token counts, and for what. A client may ask about
 * its own tokens, a resource server about those of all apps of its world. Whatever else is asked
 * about is inactive, and that is all that is said. A resource server that accepts
 * application/token-introspection+jwt gets the answer signed (RFC 9701). */
#include "base/json.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "oauth/endpoint/endpoints.h"
#include "oauth/endpoint/token_param.h"
#include "oauth/errors.h"
#include "oauth/request/standing.h"
#include "oauth/response.h"
#include "oauth/server.h"
#include "oauth/token/refresh.h"
#include "oauth/token/token.h"
#include "runtime/run.h"

#define JWT_TYPE "token-introspection+jwt"

static const char SQL_STANDING[] =
    "select a.state = 'active' and p.state = 'active' and (a.plain_tokens or $2), "
    "oauth.standing_scope(a.id, $3), c.metadata -> 'authorization_details_types' from bank.app a "
    "join bank.partner p on p.id = a.partner left join oauth.client c on c.app = a.id "
    "where a.id = $1";

static const char SQL_IN_FORCE[] =
    "select d from consent.in_force($1, $2, $3, consent.world_time($1, $4)) d";

/* The claims of an access token that are told as they are, beside its scope and details; those left
 * out are for the bank's own edge. */
static const char *const TOLD[] = {"iss", "aud", "sub", "client_id", "exp", "iat",
                                   "jti", "cnf", "acr", "auth_time", NULL};

/* The claims of a token whose signature has been checked. */
static json_t *claims_of(struct tb_arena *arena, struct tb_str token)
{
    const char *first = memchr(token.at, '.', token.n);
    const char *last = memrchr(token.at, '.', token.n);
    struct tb_str payload = {first + 1, (size_t)(last - first - 1)};
    unsigned char *bytes = tb_arena_raw(arena, payload.n);
    size_t n;
    json_t *claims;
    if (bytes == NULL || !tb_base64url_read(payload, bytes, &n) ||
        tb_json_parse(arena, TB_BYTES(bytes, n), &tb_json_limits, &claims, NULL) != NULL)
        return NULL;
    return claims;
}

static bool may_ask(const struct tb_oauth_client *client, const struct tb_grant *grant)
{
    return tb_str_eq(grant->app, client->id) ||
           (client->resource_server && grant->book == client->book);
}

/* The last members of an answer. */
static void add_granted(struct tb_text *text, struct tb_str scope, struct tb_str details)
{
    tb_text_add(text, TB_STR(",\"scope\":"));
    tb_text_add_json(text, scope);
    if (details.at != NULL) {
        tb_text_add(text, TB_STR(",\"authorization_details\":"));
        tb_text_add(text, details);
    }
    tb_text_add_char(text, '}');
}

/* Leave of a token of this app what its registration and the bank still let it have; *out_active
 * tells whether it counts at all.
 *  @param bound  to a certificate or a key */
static tb_err TB_SUSPENDS narrow(struct tb_req *req, struct tb_str app, bool bound,
                                 struct tb_str *scope, struct tb_str *details, bool *out_active)
{
    struct tb_rows *rows;
    struct tb_standing now = {.types = NULL};
    json_t *types;
    TB_TRY(tb_query(req, &rows, SQL_STANDING, TB_TEXT(app), TB_BOOL(bound), TB_TEXT(*scope)));
    *out_active = rows->n > 0 && tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t"));
    if (!*out_active)
        return NULL;
    now.scope = tb_cell(rows, 0, 1);
    if (tb_cell(rows, 0, 2).at != NULL) {
        TB_TRY(tb_json_parse(tb_run_of(req)->arena, tb_cell(rows, 0, 2), &tb_json_limits, &types,
                             NULL));
        now.types = types;
    }
    *out_active = tb_standing_narrow(tb_run_of(req)->arena, &now, scope, details);
    return NULL;
}

/* What a customer's token may still do under its consent, which may have ended or lost accounts
 * since the token was issued. */
static tb_err TB_SUSPENDS look_at_consent(struct tb_req *req, const struct tb_grant *grant,
                                          struct tb_str *out_details, bool *out_active)
{
    struct tb_rows *rows;
    *out_details = grant->details;
    *out_active = true;
    if (grant->consent.at == NULL)
        return NULL;
    TB_TRY(tb_query(req, &rows, SQL_IN_FORCE, TB_INT(grant->book), TB_TEXT(grant->consent),
                    TB_TEXT(grant->details), TB_TIME(tb_oauth_now_s(req) * 1000)));
    *out_active = rows->n > 0;
    if (*out_active)
        *out_details = tb_cell(rows, 0, 0);
    return NULL;
}

/* *out stays absent when the token is not active, or not the caller's to know of. */
static tb_err TB_SUSPENDS look_at_access(struct tb_req *req, const struct tb_oauth_client *client,
                                         struct tb_str token, struct tb_str *out)
{
    struct tb_grant *grant;
    struct tb_text text;
    const char *why;
    bool active;
    struct tb_arena *arena = tb_run_of(req)->arena;
    if (tb_token_check(tb_oauth()->tokens, token, tb_oauth_now_s(req), &grant, &why) != NULL)
        return NULL;
    if (!tb_arena_defer(arena, tb_grant_drop_any, grant))
        return TB_E_INTERNAL;
    if (!may_ask(client, grant))
        return NULL;
    bool bound = grant->cert.at != NULL || grant->dpop.at != NULL;
    const json_t *claims = claims_of(arena, token);
    struct tb_str scope = tb_json_str(claims, "scope"), details;
    TB_TRY(look_at_consent(req, grant, &details, &active));
    if (!active)
        return NULL;
    TB_TRY(narrow(req, grant->app, bound, &scope, &details, &active));
    if (!active)
        return NULL;
    tb_text_init(&text, arena);
    tb_text_add_format(&text, "{\"active\":true,\"token_type\":\"%s\"",
                       grant->dpop.at != NULL ? "DPoP" : "Bearer");
    for (const char *const *name = TOLD; *name != NULL; name++) {
        const json_t *value = json_object_get(claims, *name);
        if (value == NULL)
            continue;
        tb_text_add_format(&text, ",\"%s\":", *name);
        tb_json_canonical(&text, value);
    }
    add_granted(&text, scope, details);
    *out = tb_text_end(&text);
    return out->at == NULL ? tb_fail(req, TB_E_INTERNAL, "no memory left") : NULL;
}

static tb_err TB_SUSPENDS look_at_refresh(struct tb_req *req, const struct tb_oauth_client *client,
                                          struct tb_str token, struct tb_str *out)
{
    struct tb_grant_row granted;
    struct tb_text text;
    int64_t exp_s;
    bool found, active;
    if (!tb_oauth_client_may(client, "refresh_token"))
        return NULL;
    TB_TRY(tb_refresh_look(req, token, client->id, &found, &granted, &exp_s));
    if (!found)
        return NULL;
    TB_TRY(narrow(req, client->id, true, &granted.scope, &granted.details, &active));
    if (!active)
        return NULL;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_text_add_format(&text, "{\"active\":true,\"exp\":%lld,\"client_id\":", (long long)exp_s);
    tb_text_add_json(&text, client->id);
    tb_text_add(&text, TB_STR(",\"sub\":"));
    tb_text_add_json(&text, granted.subject);
    add_granted(&text, granted.scope, granted.details);
    *out = tb_text_end(&text);
    return out->at == NULL ? tb_fail(req, TB_E_INTERNAL, "no memory left") : NULL;
}

static bool accepts_jwt(struct tb_req *req)
{
    static const char TYPE[] = "application/" JWT_TYPE;
    struct tb_str accept = tb_header(req, "accept");
    return accept.at != NULL && memmem(accept.at, accept.n, TYPE, sizeof(TYPE) - 1) != NULL;
}

static tb_err reply_signed(struct tb_req *req, const struct tb_oauth_client *client,
                           struct tb_str answer)
{
    struct tb_text text;
    struct tb_str jwt;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_text_add_format(&text, "{\"iat\":%lld,\"iss\":", (long long)tb_oauth_now_s(req));
    tb_text_add_json(&text, tb_str(tb_oauth()->config->issuer));
    tb_text_add(&text, TB_STR(",\"aud\":"));
    tb_text_add_json(&text, client->id);
    tb_text_add(&text, TB_STR(",\"token_introspection\":"));
    tb_text_add(&text, answer);
    tb_text_add_char(&text, '}');
    TB_TRY(tb_response_sign(req, JWT_TYPE, tb_text_end(&text), &jwt));
    return tb_reply_as(req, 200, "application/" JWT_TYPE, jwt);
}

tb_err TB_SUSPENDS tb_oauth_introspect(struct tb_req *req)
{
    struct tb_token_param shown;
    struct tb_str answer = TB_STR_NONE;
    TB_TRY(tb_token_param_read(req, &shown));
    if (shown.is_refresh)
        TB_TRY(look_at_refresh(req, shown.client, shown.token, &answer));
    else
        TB_TRY(look_at_access(req, shown.client, shown.token, &answer));
    if (answer.at == NULL && tb_arena_overflowed(tb_run_of(req)->arena))
        return tb_fail(req, TB_E_INTERNAL, "no memory left");
    if (answer.at == NULL)
        answer = TB_STR("{\"active\":false}");
    if (shown.client->resource_server && accepts_jwt(req))
        return reply_signed(req, shown.client, answer);
    return tb_reply(req, 200, answer);
}
