/* The endpoint of pushed requests. Everything that can be judged without the customer is judged
 * here, before a browser is sent anywhere; the authorization endpoint later meets only requests
 * that are good. */
#include "oauth/request/par.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "oauth/client/auth.h"
#include "oauth/errors.h"
#include "oauth/handle.h"
#include "oauth/request/backchannel.h"
#include "oauth/request/hint.h"
#include "oauth/request/redirect.h"
#include "oauth/request/request.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "oauth/token/dpop.h"
#include "runtime/run.h"

enum {
    FORM_BYTES = 64 * 1024,
    STATE_MAX = 4096, /* it travels back in a Location header */
    NONCE_MAX = 512,
    HINT_MAX = 256,
    LOCALES_MAX = 512,
};

static const char SQL_KEEP[] =
    "insert into oauth.pushed_request (digest, client, book, params, created_at, expires_at) "
    "values ($1, $2, $3, $4, $5, $6)";

static const char SQL_FIND[] = "select params from oauth.pushed_request "
                               "where digest = $1 and client = $2 and used_at is null and "
                               "expires_at > $3";

/** A request under judgement. */
struct push {
    struct tb_req *req;
    struct tb_oauth_client *client;
    struct tb_form form; /**< the parameters that count */
    json_t *params;
};

static tb_err invalid(const struct push *push, const char *what)
{
    return tb_fail(push->req, TB_E_INVALID_REQUEST, "%s", what);
}

/* ---- the parameters, one after another ---- */

static tb_err judge_response_type(struct push *push)
{
    struct tb_str type = tb_form_get(&push->form, "response_type");
    if (type.at == NULL)
        return invalid(push, "response_type is missing");
    if (!tb_str_eq(type, TB_STR("code")))
        return tb_fail(push->req, TB_E_UNSUPPORTED_RESPONSE_TYPE, "response_type must be code");
    return NULL;
}

static tb_err judge_redirect_uri(struct push *push)
{
    struct tb_str uri = tb_form_get(&push->form, "redirect_uri");
    if (uri.at == NULL)
        return invalid(push, "redirect_uri is missing");
    if (!tb_redirect_registered(push->client, uri))
        return invalid(push, "redirect_uri is not one the client has registered");
    return tb_request_put(push->req, push->params, "redirect_uri", uri);
}

/* base64url of a SHA-256, which a code_challenge, a thumbprint of a key and nothing else is. */
static bool is_sha256(struct tb_str text)
{
    unsigned char digest[TB_SHA256_BYTES + 1];
    size_t n;
    return text.n == TB_SHA256_BASE64URL && tb_base64url_read(text, digest, &n);
}

/* RFC 7636. A method that is not sent means `plain`, which FAPI does not know. */
static tb_err judge_challenge(struct push *push)
{
    struct tb_str challenge = tb_form_get(&push->form, "code_challenge");
    if (challenge.at == NULL)
        return invalid(push, "code_challenge is missing: PKCE is required");
    if (!tb_str_eq(tb_form_get(&push->form, "code_challenge_method"), TB_STR("S256")))
        return invalid(push, "code_challenge_method must be S256");
    if (!is_sha256(challenge))
        return invalid(push, "code_challenge must be the base64url of a SHA-256");
    return tb_request_put(push->req, push->params, "code_challenge", challenge);
}

/* "jwt" stands for the usual mode of the response type, which is "query" (JARM §2.3). */
static tb_err judge_response_mode(struct push *push)
{
    struct tb_str mode = tb_form_get(&push->form, "response_mode");
    if (mode.at == NULL)
        mode = TB_STR("query");
    if (tb_str_eq(mode, TB_STR("query.jwt")))
        mode = TB_STR("jwt");
    if (!tb_str_eq(mode, TB_STR("query")) && !tb_str_eq(mode, TB_STR("jwt")))
        return invalid(push, "response_mode must be query or jwt");
    if (json_object_get(push->client->metadata, "response_modes") != NULL &&
        !tb_oauth_client_has(push->client, "response_modes", mode))
        return invalid(push, "response_mode is not one the client has registered");
    return tb_request_put(push->req, push->params, "response_mode", mode);
}

static tb_err judge_prompt(struct push *push)
{
    struct tb_str prompt = tb_form_get(&push->form, "prompt"), rest = prompt, word;
    bool none = false, login = false, consent = false;
    if (prompt.at == NULL)
        return NULL;
    while (tb_scope_next(&rest, &word)) {
        if (tb_str_eq(word, TB_STR("none")))
            none = true;
        else if (tb_str_eq(word, TB_STR("login")))
            login = true;
        else if (tb_str_eq(word, TB_STR("consent")))
            consent = true;
        else
            return invalid(push, "prompt must be none, or login and consent");
    }
    if (none && (login || consent))
        return invalid(push, "prompt=none admits no other value");
    return tb_request_put(push->req, push->params, "prompt",
                          none               ? TB_STR("none")
                          : login && consent ? TB_STR("login consent")
                          : login            ? TB_STR("login")
                          : consent          ? TB_STR("consent")
                                             : TB_STR_NONE);
}

/* RFC 8707: tokens are for this API and no other. */
static tb_err judge_resource(struct push *push)
{
    struct tb_str resource = tb_form_get(&push->form, "resource");
    if (resource.at != NULL && !tb_str_eq(resource, tb_str(tb_oauth()->config->issuer)))
        return tb_fail(push->req, TB_E_INVALID_TARGET, "resource must be the issuer");
    return NULL;
}

static tb_err judge_texts(struct push *push)
{
    static const struct {
        const char *name;
        size_t max;
        bool ascii;
    } TEXTS[] = {
        {"state", STATE_MAX, true},
        {"nonce", NONCE_MAX, true},
        {"ui_locales", LOCALES_MAX, true},
        {"login_hint", HINT_MAX, false},
    };
    for (size_t i = 0; i < TB_COUNT(TEXTS); i++)
        TB_TRY(tb_request_text(push->req, &push->form, TEXTS[i].name, TEXTS[i].max, TEXTS[i].ascii,
                               push->params));
    return NULL;
}

/* OpenID Connect Core §3.1.2.1: the request is for the customer whom this token is about. */
static tb_err judge_hint(struct push *push)
{
    struct tb_str token = tb_form_get(&push->form, "id_token_hint"), subject;
    if (token.at == NULL)
        return NULL;
    TB_TRY(tb_hint_read(push->req, push->client, token, &subject));
    return tb_request_put(push->req, push->params, "subject", subject);
}

/* Seconds; not sent, what the client registered as default_max_age. */
static tb_err judge_max_age(struct push *push)
{
    json_t *usual = json_object_get(push->client->metadata, "default_max_age");
    TB_TRY(tb_request_number(push->req, &push->form, "max_age", 0, INT32_MAX, push->params));
    if (json_is_integer(usual) && json_object_get(push->params, "max_age") == NULL)
        json_object_set(push->params, "max_age", usual);
    return NULL;
}

static tb_err check_params(struct push *push)
{
    TB_TRY(judge_response_type(push));
    TB_TRY(judge_redirect_uri(push));
    TB_TRY(judge_challenge(push));
    TB_TRY(judge_response_mode(push));
    TB_TRY(judge_prompt(push));
    TB_TRY(judge_resource(push));
    TB_TRY(judge_texts(push));
    TB_TRY(judge_hint(push));
    TB_TRY(judge_max_age(push));
    TB_TRY(tb_request_acr(push->req, push->client, &push->form, push->params));
    TB_TRY(tb_request_claims(push->req, &push->form, push->params));
    TB_TRY(tb_request_details(push->req, push->client, &push->form, push->params));
    return tb_request_scope(push->req, push->client, &push->form, push->params);
}

/* The key that the code's token will have to be bound to: named, or shown by a proof that comes
 * with this request (RFC 9449 §10). */
static tb_err bind_to_key(struct push *push)
{
    struct tb_str named = tb_form_get(&push->form, "dpop_jkt"), proven;
    TB_TRY(tb_dpop_check(push->req, &(struct tb_dpop_want){.nonce = tb_dpop_asks()}, &proven));
    if (named.at != NULL && !is_sha256(named))
        return invalid(push, "dpop_jkt must be the SHA-256 thumbprint of a key");
    if (named.at != NULL && proven.at != NULL && !tb_str_eq(named, proven))
        return invalid(push, "dpop_jkt is another key than the DPoP proof's");
    return tb_request_put(push->req, push->params, "dpop_jkt", proven.at != NULL ? proven : named);
}

/* ---- keeping it ---- */

static tb_err TB_SUSPENDS store_request(struct push *push)
{
    struct tb_arena *arena = tb_run_of(push->req)->arena;
    int64_t now_ms = tb_oauth_now_s(push->req) * 1000;
    struct tb_handle handle;
    struct tb_rows *rows;
    struct tb_str params = tb_request_json(push->req, push->params);
    if (!tb_handle_make(arena, &handle) || params.at == NULL)
        return tb_fail(push->req, TB_E_INTERNAL, "no memory left for the request");
    struct tb_str uri = tb_arena_format(arena, TB_PUSHED_PREFIX "%s", handle.text.at);
    TB_TRY(tb_query(push->req, &rows, SQL_KEEP, TB_TEXT(tb_handle_digest(arena, uri)),
                    TB_TEXT(push->client->id), TB_INT(push->client->book), TB_TEXT(params),
                    TB_TIME(now_ms), TB_TIME(now_ms + TB_PUSHED_LIFE_S * INT64_C(1000))));
    return tb_reply(push->req, 201,
                    tb_arena_format(arena, "{\"request_uri\":\"%s\",\"expires_in\":%d}", uri.at,
                                    TB_PUSHED_LIFE_S));
}

/* POST /oauth/par */
static tb_err TB_SUSPENDS post_par(struct tb_req *req)
{
    struct push push = {.req = req, .params = tb_request_params(req)};
    struct tb_form sent;
    TB_TRY(tb_form_read(req, &sent));
    TB_TRY(tb_client_authenticate(req, &sent, &push.client));
    if (!tb_oauth_client_may(push.client, "authorization_code"))
        return tb_fail(req, TB_E_UNAUTHORIZED_CLIENT,
                       "this client is not registered for authorization_code");
    TB_TRY(tb_request_open(req, push.client, &sent, TB_JAR_PUSHED, &push.form));
    TB_TRY(check_params(&push));
    TB_TRY(bind_to_key(&push));
    return store_request(&push);
}

/* ---- finding it again ---- */

tb_err TB_SUSPENDS tb_pushed_find(struct tb_req *req, struct tb_str client_id,
                                  struct tb_str request_uri, struct tb_pushed *out)
{
    static const struct tb_json_limits stored = {.bytes = FORM_BYTES, .depth = 16, .members = 2048};
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_rows *rows;
    *out = (struct tb_pushed){.client = client_id, .digest = tb_handle_digest(arena, request_uri)};
    TB_TRY(tb_query(req, &rows, SQL_FIND, TB_TEXT(out->digest), TB_TEXT(client_id),
                    TB_TIME(tb_oauth_now_s(req) * 1000)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_INVALID_REQUEST_URI,
                       "the request_uri is unknown, used, expired or another client's");
    return tb_json_parse(arena, tb_cell(rows, 0, 0), &stored, &out->params, NULL);
}

static const struct tb_route routes[] = {
    {.method = "POST",
     .path = "/oauth/par",
     .level = TB_A1,
     .flags = TB_R_RAW | TB_R_OAUTH | TB_R_APP_ORIGINS,
     .body_bytes = FORM_BYTES,
     .handler = post_par,
     .summary = "Push a request for authorization.",
     .standard = "RFC 9126, FAPI 2.0 Security Profile"},
    {.method = "POST",
     .path = "/oauth/backchannel",
     .level = TB_A1,
     .flags = TB_R_RAW | TB_R_OAUTH | TB_R_APP_ORIGINS,
     .body_bytes = FORM_BYTES,
     .handler = tb_backchannel_post,
     .summary = "Ask a customer for authorization without a browser.",
     .standard = "OpenID CIBA Core 1.0, FAPI CIBA"},
};

const struct tb_plugin tb_oauth_par_product = {
    TB_PLUGIN_HEAD,           .name = "oauth-par",
    .version = "1.0.0",       .title = "Requests for authorization",
    TB_TABLE(routes, routes),
};
