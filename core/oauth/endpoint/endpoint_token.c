/* POST /oauth/token (RFC 6749 §3.2): who asks, what for, bound to whom; then one function for each
 * grant type. The client and the sender constraint are settled before a code or a CIBA request is
 * used up, so that a client without its proof or nonce can try again. */
#include "base/json.h"
#include "crypto/digest.h"
#include "oauth/client/auth.h"
#include "oauth/endpoint/endpoints.h"
#include "oauth/errors.h"
#include "oauth/request/backchannel.h"
#include "oauth/request/details.h"
#include "oauth/request/redirect.h"
#include "oauth/request/standing.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "oauth/token/authorization_code.h"
#include "oauth/token/issue.h"
#include "oauth/token/refresh.h"
#include "oauth/token/revoke.h"
#include "runtime/run.h"

/* A request whose client is known. */
struct token_request {
    struct tb_req *req;
    struct tb_form form;
    struct tb_oauth_client *client;
    struct tb_binding binding;
};

/* Everything that is issued for a customer's grant. */
static struct tb_issue issue_of(const struct token_request *request,
                                const struct tb_grant_row *granted)
{
    return (struct tb_issue){.client = request->client,
                             .granted = granted,
                             .binding = request->binding,
                             .scope = granted->scope,
                             .details = granted->details,
                             .nonce = granted->nonce};
}

/* The first tokens after a request without a browser: with a refresh token, if the client may use
 * one. */
static tb_err TB_SUSPENDS issue_first(struct token_request *request,
                                      const struct tb_grant_row *granted)
{
    struct tb_issue issue = issue_of(request, granted);
    if (tb_oauth_client_may(request->client, "refresh_token"))
        TB_TRY(
            tb_refresh_make(request->req, granted->id, request->client->id, &issue.refresh_token));
    return tb_issue(request->req, &issue);
}

/* Leave of a grant what the client's registration still covers. */
static tb_err narrow(const struct token_request *request, struct tb_grant_row *granted)
{
    const struct tb_standing now = tb_standing_of(request->client);
    if (tb_standing_narrow(tb_run_of(request->req)->arena, &now, &granted->scope,
                           &granted->details))
        return NULL;
    return tb_fail(request->req, TB_E_INVALID_GRANT,
                   "nothing of the grant is within what the client has registered now");
}

static tb_err need(const struct token_request *request, const char *name, struct tb_str *out)
{
    *out = tb_form_get(&request->form, name);
    return out->at != NULL ? NULL
                           : tb_fail(request->req, TB_E_INVALID_REQUEST, "%s is missing", name);
}

/* ---- authorization_code (RFC 6749 §4.1.3, RFC 7636 §4.5) ---- */

/* Whether `c` may stand in a code verifier. */
static bool unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static bool verifier_good(struct tb_str verifier)
{
    for (size_t i = 0; i < verifier.n; i++)
        if (!unreserved(verifier.at[i]))
            return false;
    return verifier.n >= 43 && verifier.n <= 128;
}

static bool verifies(struct tb_str verifier, struct tb_str challenge)
{
    unsigned char digest[TB_SHA256_BYTES];
    char text[TB_SHA256_BASE64URL];
    tb_sha256(&verifier, 1, digest);
    tb_base64url_write(text, TB_BYTES(digest, sizeof(digest)));
    return tb_same_secret((struct tb_str){text, sizeof(text)}, challenge);
}

/* Why the request does not fit the one that the code came of; NULL when it does. */
static const char *unfit(const struct token_request *request, struct tb_str verifier,
                         const struct tb_grant_row *granted)
{
    struct tb_str redirect_uri = tb_form_get(&request->form, "redirect_uri");
    if (redirect_uri.at != NULL && !tb_str_eq(redirect_uri, granted->redirect_uri))
        return "redirect_uri is not the request's";
    if (!tb_redirect_registered(request->client, granted->redirect_uri))
        return "the request's redirect_uri is not registered any more";
    if (!verifies(verifier, granted->challenge))
        return "code_verifier does not fit the request";
    if (granted->dpop_jkt.at != NULL && !tb_str_eq(granted->dpop_jkt, request->binding.dpop))
        return "the code is bound to another DPoP key";
    return NULL;
}

/* What does not fit is as likely a code that was stolen as a mistake: nothing may come of the grant
 * any more. */
static tb_err TB_SUSPENDS by_code(struct token_request *request)
{
    struct tb_str code, verifier = tb_form_get(&request->form, "code_verifier");
    struct tb_str refresh = TB_STR_NONE;
    struct tb_grant_row granted;
    bool refreshes = tb_oauth_client_may(request->client, "refresh_token");
    TB_TRY(need(request, "code", &code));
    if (!verifier_good(verifier))
        return tb_fail(request->req, TB_E_INVALID_GRANT, "code_verifier is missing or malformed");
    TB_TRY(tb_code_take(request->req, code, request->client->id, refreshes ? &refresh : NULL,
                        &granted));
    const char *why = unfit(request, verifier, &granted);
    if (why != NULL) {
        TB_TRY(tb_grant_end(request->req, granted.id, "code refused"));
        return tb_fail(request->req, TB_E_INVALID_GRANT, "%s", why);
    }
    TB_TRY(narrow(request, &granted));
    struct tb_issue issue = issue_of(request, &granted);
    issue.refresh_token = refresh;
    return tb_issue(request->req, &issue);
}

/* ---- client_credentials (RFC 6749 §4.4) ---- */

/* The scope asked for, or all the client has. `openid` speaks of a customer, and there is none. */
static tb_err own_scope(const struct token_request *request, struct tb_str *out)
{
    struct tb_str requested = tb_form_get(&request->form, "scope"), rest = request->client->scope,
                  name;
    struct tb_text text;
    if (requested.at != NULL) {
        *out = requested;
        if (!tb_scope_good(requested) || tb_scope_has(requested, TB_STR("openid")) ||
            !tb_scope_within(requested, request->client->scope))
            return tb_fail(request->req, TB_E_INVALID_SCOPE, "more than this client may ask for");
        return NULL;
    }
    tb_text_init(&text, tb_run_of(request->req)->arena);
    while (tb_scope_next(&rest, &name)) {
        if (tb_str_eq(name, TB_STR("openid")))
            continue;
        if (text.n > 0)
            tb_text_add_char(&text, ' ');
        tb_text_add(&text, name);
    }
    *out = tb_text_end(&text);
    return NULL;
}

static tb_err TB_SUSPENDS by_credentials(struct token_request *request)
{
    struct tb_issue issue = {.client = request->client, .binding = request->binding};
    if (tb_form_get(&request->form, "authorization_details").at != NULL)
        return tb_fail(request->req, TB_E_INVALID_AUTHORIZATION_DETAILS,
                       "details are granted by a customer, and this grant type has none");
    TB_TRY(own_scope(request, &issue.scope));
    return tb_issue(request->req, &issue);
}

/* ---- refresh_token (RFC 6749 §6) ---- */

static tb_err read_details(struct tb_req *req, struct tb_str text, json_t **out)
{
    *out = NULL;
    if (text.at == NULL)
        return NULL;
    if (tb_json_parse(tb_run_of(req)->arena, text, &tb_json_limits, out, NULL) != NULL)
        return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS, "not JSON");
    return NULL;
}

/* What a refresh asks for of the granted details (RFC 9396 §6.1): the same, or less. */
static tb_err narrow_details(struct tb_req *req, struct tb_str text, struct tb_issue *issue)
{
    json_t *requested, *granted;
    struct tb_text out;
    if (text.at == NULL)
        return NULL;
    TB_TRY(read_details(req, text, &requested));
    TB_TRY(read_details(req, issue->details, &granted));
    TB_TRY(tb_details_check(req, requested));
    json_t *kept = tb_details_within(granted, requested);
    if (kept == NULL)
        return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS, "more than was granted");
    tb_text_init(&out, tb_run_of(req)->arena);
    tb_json_canonical(&out, kept);
    json_decref(kept);
    issue->details = tb_text_end(&out);
    return issue->details.at == NULL ? tb_fail(req, TB_E_INTERNAL, "no memory left") : NULL;
}

static tb_err TB_SUSPENDS by_refresh(struct token_request *request)
{
    struct tb_str token, scope = tb_form_get(&request->form, "scope");
    struct tb_grant_row granted;
    TB_TRY(need(request, "refresh_token", &token));
    TB_TRY(tb_refresh_use(request->req, token, request->client->id, &granted));
    TB_TRY(narrow(request, &granted));
    struct tb_issue issue = issue_of(request, &granted);
    issue.nonce = TB_STR_NONE; /* it belonged to the first ID token (OpenID Connect Core §12.2) */
    if (scope.at != NULL) {
        if (!tb_scope_good(scope) || !tb_scope_within(scope, granted.scope))
            return tb_fail(request->req, TB_E_INVALID_SCOPE, "more than was granted");
        issue.scope = scope;
    }
    TB_TRY(
        narrow_details(request->req, tb_form_get(&request->form, "authorization_details"), &issue));
    return tb_issue(request->req, &issue);
}

/* ---- CIBA (OpenID CIBA Core §10.1) ---- */

static tb_err TB_SUSPENDS by_backchannel(struct token_request *request)
{
    struct tb_str id;
    struct tb_poll poll;
    struct tb_grant_row granted;
    TB_TRY(need(request, "auth_req_id", &id));
    TB_TRY(tb_backchannel_poll(request->req, request->client->id, id, &poll));
    tb_err err = tb_polled_error(poll.state);
    if (err != NULL)
        return tb_fail(request->req, err, "%s", err->title);
    TB_TRY(tb_grant_row_find(request->req, poll.grant_id, &granted));
    TB_TRY(narrow(request, &granted));
    return issue_first(request, &granted);
}

/* ---- the endpoint ---- */

static const struct {
    const char *name;
    tb_err (*run)(struct token_request *request);
} TYPES[] = {
    {"authorization_code", by_code},
    {"client_credentials", by_credentials},
    {"refresh_token", by_refresh},
    {TB_CIBA_GRANT_TYPE, by_backchannel},
};

/* RFC 8707: tokens are for this API alone. */
static tb_err check_target(const struct token_request *request)
{
    struct tb_str resource = tb_form_get(&request->form, "resource");
    if (resource.at == NULL || tb_str_eq(resource, tb_str(tb_oauth()->config->issuer)))
        return NULL;
    return tb_fail(request->req, TB_E_INVALID_TARGET, "tokens are issued for this API alone");
}

tb_err TB_SUSPENDS tb_oauth_token(struct tb_req *req)
{
    struct token_request request = {.req = req};
    struct tb_str type;
    TB_TRY(tb_form_read(req, &request.form));
    TB_TRY(tb_client_authenticate(req, &request.form, &request.client));
    TB_TRY(need(&request, "grant_type", &type));
    for (size_t i = 0; i < TB_COUNT(TYPES); i++) {
        if (!tb_str_eq(type, tb_str(TYPES[i].name)))
            continue;
        if (!tb_oauth_client_may(request.client, TYPES[i].name))
            return tb_fail(req, TB_E_UNAUTHORIZED_CLIENT,
                           "this client is not registered for the grant type");
        TB_TRY(check_target(&request));
        TB_TRY(tb_binding_read(req, request.client, &request.binding));
        return TYPES[i].run(&request);
    }
    return tb_fail(req, TB_E_UNSUPPORTED_GRANT_TYPE, "there is no such grant type here");
}
