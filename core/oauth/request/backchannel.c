/* The endpoint that takes requests without a browser, and the client's side of their life. */
#include "oauth/request/backchannel.h"
#include "base/json.h"
#include "base/text.h"
#include "oauth/client/auth.h"
#include "oauth/errors.h"
#include "oauth/handle.h"
#include "oauth/request/hint.h"
#include "oauth/request/ping.h"
#include "oauth/request/request.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <tongbao/plugin.h>

enum {
    MESSAGE_CHARS_MAX = 64,
    TOKEN_MAX = 1024, /* CIBA Core §7.1 */
};

static const char SQL_OPEN[] =
    "select oauth.backchannel_open($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

static const char SQL_POLL[] = "select state, grant_id from oauth.backchannel_poll($1, $2, $3)";

/** A request under judgement. */
struct ask {
    struct tb_req *req;
    struct tb_oauth_client *client;
    struct tb_form form;
    json_t *params;
    struct tb_hinted hinted;
    struct tb_str token; /**< client_notification_token; absent in poll mode */
    int64_t life_s;
};

/* ---- the parameters ---- */

/* Something must let the customer tell this request from another: a message, which both devices
 * show, or details of what is to be authorized (FAPI CIBA §5.2.2). */
static tb_err judge_message(struct ask *ask)
{
    struct tb_str message = tb_form_get(&ask->form, "binding_message");
    if (message.at == NULL && json_object_get(ask->params, "authorization_details") == NULL)
        return tb_fail(ask->req, TB_E_INVALID_BINDING_MESSAGE,
                       "send a binding_message or authorization_details");
    char room[TB_TEXT_WHY_BYTES];
    const char *why = message.at == NULL ? NULL
                                         : tb_text_name_wrong(message, MESSAGE_CHARS_MAX, room);
    if (why != NULL) /* what a customer compares must not be able to look like something else */
        return tb_fail(ask->req, TB_E_INVALID_BINDING_MESSAGE, "binding_message %s", why);
    return tb_request_put(ask->req, ask->params, "binding_message", message);
}

/* Whether `text` may stand behind "Bearer" (RFC 6750 §2.1). */
static bool is_token(struct tb_str text)
{
    size_t n = 0;
    while (n < text.n &&
           (strchr("-._~+/", text.at[n]) != NULL || (text.at[n] >= '0' && text.at[n] <= '9') ||
            (text.at[n] >= 'A' && text.at[n] <= 'Z') || (text.at[n] >= 'a' && text.at[n] <= 'z')))
        n++;
    size_t body = n;
    while (n < text.n && text.at[n] == '=')
        n++;
    return body > 0 && n == text.n && n <= TOKEN_MAX;
}

static tb_err judge_notification(struct ask *ask)
{
    const json_t *metadata = ask->client->metadata;
    if (!tb_str_eq(tb_json_str(metadata, "backchannel_token_delivery_mode"), TB_STR("ping")))
        return NULL;
    ask->token = tb_form_get(&ask->form, "client_notification_token");
    if (ask->token.at == NULL)
        return tb_fail(ask->req, TB_E_INVALID_REQUEST,
                       "client_notification_token is missing: this client is notified");
    if (!is_token(ask->token))
        return tb_fail(ask->req, TB_E_INVALID_REQUEST,
                       "client_notification_token must be a bearer token of at most %d characters",
                       TOKEN_MAX);
    return NULL;
}

/* A client that asks for longer than we keep requests gets what we give: the answer says it. */
static tb_err judge_expiry(struct ask *ask)
{
    struct tb_str text = tb_form_get(&ask->form, "requested_expiry");
    ask->life_s = TB_BACKCHANNEL_LIFE_S;
    if (text.at == NULL)
        return NULL;
    if (!tb_text_to_int(text, &ask->life_s) || ask->life_s < 1)
        return tb_fail(ask->req, TB_E_INVALID_REQUEST,
                       "requested_expiry must be a positive whole number of seconds");
    if (ask->life_s > TB_BACKCHANNEL_LIFE_MAX_S)
        ask->life_s = TB_BACKCHANNEL_LIFE_MAX_S;
    return NULL;
}

static tb_err judge_scope(struct ask *ask)
{
    if (!tb_scope_has(tb_form_get(&ask->form, "scope"), TB_STR("openid")))
        return tb_fail(ask->req, TB_E_INVALID_SCOPE, "scope must contain openid");
    return tb_request_scope(ask->req, ask->client, &ask->form, ask->params);
}

static tb_err check_request(struct ask *ask)
{
    TB_TRY(tb_request_details(ask->req, ask->client, &ask->form, ask->params));
    TB_TRY(judge_scope(ask));
    TB_TRY(judge_message(ask));
    TB_TRY(judge_notification(ask));
    TB_TRY(judge_expiry(ask));
    return tb_request_acr(ask->req, ask->client, &ask->form, ask->params);
}

/* ---- keeping it ---- */

static tb_err TB_SUSPENDS store_request(struct ask *ask)
{
    struct tb_req *req = ask->req;
    struct tb_arena *arena = tb_run_of(req)->arena;
    int64_t now_ms = tb_loop_wall_ms(tb_run_of(req)->loop);
    struct tb_handle handle;
    struct tb_rows *rows;
    struct tb_str params = tb_request_json(req, ask->params), sealed = TB_STR_NONE;
    bool full = !tb_handle_make(arena, &handle) || params.at == NULL;
    if (!full && ask->token.at != NULL) {
        sealed = tb_ping_seal(arena, handle.digest, handle.text, ask->token);
        full = sealed.at == NULL;
    }
    if (full)
        return tb_fail(req, TB_E_INTERNAL, "no memory left for the request");
    TB_TRY(tb_query(req, &rows, SQL_OPEN, TB_TEXT(handle.digest), TB_TEXT(ask->client->id),
                    TB_INT(ask->hinted.book), TB_TEXT(ask->hinted.user), TB_TEXT(params),
                    TB_INT(TB_BACKCHANNEL_INTERVAL_S), TB_TEXT(sealed), TB_TIME(now_ms),
                    TB_TIME(now_ms + ask->life_s * 1000), TB_INT(TB_BACKCHANNEL_PENDING_MAX)));
    if (!tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t")))
        return tb_fail(req, TB_E_RATE_LIMITED,
                       "%d requests of this client wait for the customer already",
                       TB_BACKCHANNEL_PENDING_MAX);
    return tb_reply(
        req, 200,
        tb_arena_format(arena, "{\"auth_req_id\":\"%s\",\"expires_in\":%lld,\"interval\":%d}",
                        handle.text.at, (long long)ask->life_s, TB_BACKCHANNEL_INTERVAL_S));
}

tb_err TB_SUSPENDS tb_backchannel_post(struct tb_req *req)
{
    struct ask ask = {.req = req, .params = tb_request_params(req)};
    struct tb_form sent;
    TB_TRY(tb_form_read(req, &sent));
    TB_TRY(tb_client_authenticate(req, &sent, &ask.client));
    if (!tb_oauth_client_may(ask.client, TB_CIBA_GRANT_TYPE))
        return tb_fail(req, TB_E_UNAUTHORIZED_CLIENT,
                       "this client is not registered for " TB_CIBA_GRANT_TYPE);
    TB_TRY(tb_request_open(req, ask.client, &sent, TB_JAR_BACKCHANNEL, &ask.form));
    TB_TRY(check_request(&ask));
    TB_TRY(tb_hint_find(req, ask.client, &ask.form, &ask.hinted));
    return store_request(&ask);
}

/* ---- polling ---- */

/* The words of oauth.backchannel_poll; what is none of them is gone. */
static const struct {
    const char *word;
    enum tb_polled state;
} STATES[] = {
    {"approved", TB_POLLED_APPROVED},   {"pending", TB_POLLED_PENDING},
    {"slow_down", TB_POLLED_SLOW_DOWN}, {"denied", TB_POLLED_DENIED},
    {"expired", TB_POLLED_EXPIRED},
};

tb_err TB_SUSPENDS tb_backchannel_poll(struct tb_req *req, struct tb_str client,
                                       struct tb_str auth_req_id, struct tb_poll *out)
{
    struct tb_run *run = tb_run_of(req);
    struct tb_rows *rows;
    *out = (struct tb_poll){.state = TB_POLLED_GONE};
    struct tb_str digest = tb_handle_digest(run->arena, auth_req_id);
    if (digest.at == NULL)
        return tb_fail(req, TB_E_INTERNAL, "no memory left");
    TB_TRY(tb_query(req, &rows, SQL_POLL, TB_TEXT(digest), TB_TEXT(client),
                    TB_TIME(tb_loop_wall_ms(run->loop))));
    for (size_t i = 0; i < TB_COUNT(STATES); i++)
        if (tb_str_eq(tb_cell(rows, 0, 0), tb_str(STATES[i].word)))
            out->state = STATES[i].state;
    out->grant_id = tb_cell(rows, 0, 1);
    return NULL;
}

tb_err tb_polled_error(enum tb_polled state)
{
    switch (state) {
    case TB_POLLED_APPROVED:
        return NULL;
    case TB_POLLED_PENDING:
        return TB_E_AUTHORIZATION_PENDING;
    case TB_POLLED_SLOW_DOWN:
        return TB_E_SLOW_DOWN;
    case TB_POLLED_DENIED:
        return TB_E_ACCESS_DENIED;
    case TB_POLLED_EXPIRED:
        return TB_E_EXPIRED_TOKEN;
    case TB_POLLED_GONE:
        break;
    }
    return TB_E_INVALID_GRANT;
}

void tb_backchannel_open(void)
{
    tb_ping_open();
}
