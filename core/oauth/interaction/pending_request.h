/* Pending authorization request: one that was pushed or came by the back channel, whose it is, and
 * whether whoever sits in front of the page may be asked at all. Reading it uses nothing up.
 *
 *     struct tb_authz_request asked;
 *     TB_TRY(tb_authz_request_pushed(req, client_id, request_uri, &asked));
 *     switch (tb_authz_request_judge(&asked, &session, now_s, &err)) { … }
 */
#ifndef TB_OAUTH_INTERACTION_PENDING_REQUEST_H
#define TB_OAUTH_INTERACTION_PENDING_REQUEST_H

#include "oauth/client/client.h"
#include "oauth/page/html.h"
#include "oauth/user/session.h"

struct tb_authz_request {
    struct tb_oauth_client *client;
    struct tb_str partner_name;
    struct tb_str digest; /**< primary key of the request */
    int64_t created_s;    /**< when the client sent it */
    json_t *params;       /**< as par.h says; borrowed from the arena */

    json_t *details;    /**< array of the one detail; NULL: a login alone */
    struct tb_str type; /**< of it, absent for NULL */
    struct tb_str scope;
    struct tb_str here; /**< the page that asks: "/oauth/authorize?…&" or "/oauth/dashboard?…&" */

    tb_err lost; /**< why the client could not make the request now (standing.h); NULL: it could */

    struct tb_str request_uri;                 /**< of pushed ones; absent: the back channel's */
    struct tb_str redirect_uri, origin, state; /**< of pushed ones; origin: scheme and authority */
    bool jarm;                                 /**< response_mode=jwt */
};

/** Find what was pushed.
 *  @return NULL; TB_E_INVALID_REQUEST_URI (missing, unknown, expired, used, another client's, of a
 *          client that is none, is suspended or has given up its redirect URI); errors of tb_query.
 * Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_authz_request_pushed(struct tb_req *req, struct tb_str client_id,
                                                        struct tb_str request_uri,
                                                        struct tb_authz_request *out);

/** Find what waits for this user on the back channel.
 *  @return NULL; TB_E_INVALID_REQUEST_URI (none such); errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_authz_request_backchannel(struct tb_req *req,
                                                             struct tb_str digest,
                                                             const struct tb_user *user,
                                                             struct tb_authz_request *out);

/** Whether a user is one whom this client may ask anything: of its own world. To everybody else its
 *  requests are shown as to a browser in which nobody is logged in. */
bool tb_authz_request_of_world(const struct tb_authz_request *asked, const struct tb_user *user);

/** The hidden fields by which a form names the request. */
void tb_authz_request_fields(struct tb_html *html, const struct tb_authz_request *asked);

enum tb_authz_request_next {
    TB_AUTHZ_LOGIN,   /**< ask for the password */
    TB_AUTHZ_CODE,    /**< ask for the second factor */
    TB_AUTHZ_DECIDE,  /**< ask for the decision */
    TB_AUTHZ_REFUSED, /**< tell the client */
};

/** What comes next for a browser with this session. Looks at what the client still has registered,
 *  whom the request is for (id_token_hint, a value of the claim `sub`), prompt and max_age.
 * Somebody else who is logged in gets the login; who logs in for the request and is somebody else,
 * nothing.
 *  @param out_err  with TB_AUTHZ_REFUSED: why
 *  Waits: no. Source: OpenID Connect Core §3.1.2.1 and §5.5.1. */
enum tb_authz_request_next tb_authz_request_judge(const struct tb_authz_request *asked,
                                                  const struct tb_session *session, int64_t now_s,
                                                  tb_err *out_err);

#endif
