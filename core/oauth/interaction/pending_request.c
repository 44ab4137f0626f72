#include "oauth/interaction/pending_request.h"
#include "base/json.h"
#include "oauth/errors.h"
#include "oauth/interaction/authorization_response.h"
#include "oauth/request/backchannel.h"
#include "oauth/request/details.h"
#include "oauth/request/par.h"
#include "oauth/request/redirect.h"
#include "oauth/request/standing.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "oauth/token/claims.h"
#include "runtime/run.h"

static const char SQL_PUSHED[] = "select extract(epoch from r.created_at)::bigint, p.name "
                                 "from oauth.pushed_request r join bank.app a on a.id = r.client "
                                 "join bank.partner p on p.id = a.partner where r.digest = $1";

static const char SQL_BACKCHANNEL[] =
    "select extract(epoch from b.created_at)::bigint, p.name, b.client, b.params "
    "from oauth.backchannel_of_user($1, $2) b join bank.app a on a.id = b.client "
    "join bank.partner p on p.id = a.partner where b.digest = $3";

/* ---- reading ---- */

/* What a request with a scope and without details asks for. */
static tb_err details_of_scope(struct tb_req *req, struct tb_authz_request *asked)
{
    if (!tb_details_from_scope(asked->scope, &asked->details))
        return TB_E_INTERNAL;
    bool kept = asked->details == NULL || tb_json_defer(tb_run_of(req)->arena, asked->details);
    return kept ? NULL : TB_E_INTERNAL;
}

static tb_err read_params(struct tb_req *req, struct tb_authz_request *asked)
{
    asked->scope = tb_json_str(asked->params, "scope");
    asked->state = tb_json_str(asked->params, "state");
    asked->redirect_uri = tb_json_str(asked->params, "redirect_uri");
    asked->jarm = tb_str_eq(tb_json_str(asked->params, "response_mode"), TB_STR("jwt"));
    asked->details = tb_json_array(asked->params, "authorization_details");
    if (asked->details == NULL)
        TB_TRY(details_of_scope(req, asked));
    asked->type = tb_details_type(asked->details);
    return NULL;
}

/* "https://shop.example:8443" of "https://shop.example:8443/back?x=1". */
static struct tb_str origin_of(struct tb_str uri)
{
    size_t slashes = 0;
    for (size_t i = 0; i < uri.n; i++)
        if ((uri.at[i] == '/' && ++slashes == 3) || uri.at[i] == '?')
            return (struct tb_str){uri.at, i};
    return uri;
}

static struct tb_str here_of(struct tb_req *req, struct tb_str client_id, struct tb_str request_uri)
{
    struct tb_text url;
    tb_text_init(&url, tb_run_of(req)->arena);
    tb_text_add(&url, TB_STR("/oauth/authorize?client_id="));
    tb_url_add(&url, client_id);
    tb_text_add(&url, TB_STR("&request_uri="));
    tb_url_add(&url, request_uri);
    tb_text_add_char(&url, '&');
    return tb_text_end(&url);
}

tb_err TB_SUSPENDS tb_authz_request_pushed(struct tb_req *req, struct tb_str client_id,
                                           struct tb_str request_uri, struct tb_authz_request *out)
{
    struct tb_pushed pushed;
    struct tb_rows *rows;
    *out = (struct tb_authz_request){.details = NULL};
    if (client_id.at == NULL || request_uri.at == NULL)
        return tb_fail(req, TB_E_INVALID_REQUEST_URI, "client_id and request_uri are needed");
    TB_TRY(tb_pushed_find(req, client_id, request_uri, &pushed));
    tb_err err = tb_oauth_client_find(req, client_id, &out->client);
    if (tb_is(err, TB_E_INVALID_CLIENT))
        return tb_fail(req, TB_E_INVALID_REQUEST_URI, "the client is suspended");
    TB_TRY(err);
    TB_TRY(tb_query(req, &rows, SQL_PUSHED, TB_TEXT(pushed.digest)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_INVALID_REQUEST_URI, "the request is gone");
    out->digest = pushed.digest;
    out->params = pushed.params;
    out->created_s = tb_cell_int(rows, 0, 0);
    out->partner_name = tb_cell(rows, 0, 1);
    TB_TRY(read_params(req, out));
    if (!tb_redirect_registered(out->client, out->redirect_uri))
        return tb_fail(req, TB_E_INVALID_REQUEST_URI,
                       "the request's redirect_uri is not registered any more");
    out->lost = tb_standing_request(out->client, out->params, "authorization_code");
    out->origin = origin_of(out->redirect_uri);
    out->request_uri = request_uri;
    out->here = here_of(req, client_id, request_uri);
    return out->here.at == NULL ? TB_E_INTERNAL : NULL;
}

tb_err TB_SUSPENDS tb_authz_request_backchannel(struct tb_req *req, struct tb_str digest,
                                                const struct tb_user *user,
                                                struct tb_authz_request *out)
{
    struct tb_rows *rows;
    *out = (struct tb_authz_request){.digest = digest};
    TB_TRY(tb_query(req, &rows, SQL_BACKCHANNEL, TB_TEXT(user->id),
                    TB_TIME(tb_oauth_now_s(req) * 1000), TB_TEXT(digest)));
    if (rows->n == 0)
        return tb_fail(req, TB_E_INVALID_REQUEST_URI, "nothing of this name waits for a decision");
    out->created_s = tb_cell_int(rows, 0, 0);
    out->partner_name = tb_cell(rows, 0, 1);
    TB_TRY(tb_oauth_client_find(req, tb_cell(rows, 0, 2), &out->client));
    if (!tb_authz_request_of_world(out, user))
        return tb_fail(req, TB_E_INVALID_REQUEST_URI, "nothing of this name waits for a decision");
    TB_TRY(tb_json_parse(tb_run_of(req)->arena, tb_cell(rows, 0, 3), &tb_json_limits, &out->params,
                         NULL));
    out->lost = tb_standing_request(out->client, out->params, TB_CIBA_GRANT_TYPE);
    out->here = tb_arena_format(tb_run_of(req)->arena, "/oauth/dashboard?request=%.*s&",
                                (int)digest.n, digest.at);
    return out->here.at == NULL ? TB_E_INTERNAL : read_params(req, out);
}

void tb_authz_request_fields(struct tb_html *html, const struct tb_authz_request *asked)
{
    if (asked->request_uri.at == NULL)
        tb_html(html, "<input type=\"hidden\" name=\"request\" value=\"$\">\n", asked->digest);
    else
        tb_html(html,
                "<input type=\"hidden\" name=\"client_id\" value=\"$\">\n"
                "<input type=\"hidden\" name=\"request_uri\" value=\"$\">\n",
                asked->client->id, asked->request_uri);
}

/* ---- judging ---- */

bool tb_authz_request_of_world(const struct tb_authz_request *asked, const struct tb_user *user)
{
    return tb_str_eq(user->world, asked->client->world);
}

/* Whether this user is the one the request is for, where it is for one: by the ID token that came
 * with it, or by a value of the claim `sub`. */
static bool is_for(const struct tb_authz_request *asked, const struct tb_user *user)
{
    struct tb_str subject = tb_json_str(asked->params, "subject");
    return (subject.at == NULL || tb_str_eq(subject, user->id)) &&
           tb_claims_fit(tb_json_object(asked->params, "claims"), "sub", false, user->id, NULL);
}

/* Whether the login is too old for what the client asked. A login since the request came is never
 * too old: otherwise max_age=0 and prompt=login would ask for ever. */
static bool too_old(const struct tb_authz_request *asked, const struct tb_session *session,
                    int64_t now_s)
{
    int64_t max_age_s;
    if (session->auth_time_s >= asked->created_s)
        return false;
    if (tb_scope_has(tb_json_str(asked->params, "prompt"), TB_STR("login")))
        return true;
    return tb_json_int(asked->params, "max_age", &max_age_s) &&
           now_s - session->auth_time_s > max_age_s;
}

enum tb_authz_request_next tb_authz_request_judge(const struct tb_authz_request *asked,
                                                  const struct tb_session *session, int64_t now_s,
                                                  tb_err *out_err)
{
    bool silent = tb_str_eq(tb_json_str(asked->params, "prompt"), TB_STR("none"));
    bool foreign = session->user != NULL && !tb_authz_request_of_world(asked, session->user);
    bool known = session->whole && !foreign && !too_old(asked, session, now_s);
    bool stranger = session->user != NULL && !foreign && !is_for(asked, session->user);
    bool came_for_it = session->auth_time_s >= asked->created_s;
    *out_err = asked->lost;
    if (asked->lost == NULL && silent)
        *out_err = known && !stranger ? TB_E_CONSENT_REQUIRED : TB_E_LOGIN_REQUIRED;
    else if (asked->lost == NULL && known && stranger && came_for_it)
        *out_err = TB_E_LOGIN_REQUIRED;
    if (*out_err != NULL)
        return TB_AUTHZ_REFUSED;
    if (stranger && !came_for_it)
        return TB_AUTHZ_LOGIN;
    if (known)
        return TB_AUTHZ_DECIDE;
    return session->half && !foreign ? TB_AUTHZ_CODE : TB_AUTHZ_LOGIN;
}
