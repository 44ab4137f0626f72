/* Requests for authorization without a browser (OpenID CIBA Core, poll and ping modes, under the
 * FAPI CIBA profile): the client names a customer, who finds the request on the dashboard and
 * decides there, while the client polls the token endpoint or waits to be told.
 *
 * A request's life is in SQL (0003_requests.sql):
 *     oauth.backchannel_of_user(user, at)                            the dashboard's list
 *     oauth.backchannel_decide(digest, user, approve, grant_id, at)  in the decision's transaction
 *     oauth.backchannel_poll(digest, client, at)                     the token endpoint */
#ifndef TB_OAUTH_REQUEST_BACKCHANNEL_H
#define TB_OAUTH_REQUEST_BACKCHANNEL_H

#include <tongbao/plugin.h>
#include <tongbao/req.h>

enum {
    TB_BACKCHANNEL_LIFE_S = 300,      /**< of a request that does not say how long it wants */
    TB_BACKCHANNEL_LIFE_MAX_S = 1800, /**< most a client may ask for by requested_expiry */
    TB_BACKCHANNEL_INTERVAL_S = 5,    /**< least between two polls */
    TB_BACKCHANNEL_PENDING_MAX = 8,   /**< requests of one client that wait for one customer */
};

/** As clients register it and send it to the token endpoint. */
#define TB_CIBA_GRANT_TYPE "urn:openid:params:grant-type:ciba"

/** How a poll was answered. */
enum tb_polled {
    TB_POLLED_APPROVED,
    TB_POLLED_PENDING,
    TB_POLLED_SLOW_DOWN,
    TB_POLLED_DENIED,
    TB_POLLED_EXPIRED,
    TB_POLLED_GONE, /**< used, unknown, or another client's */
};

struct tb_poll {
    enum tb_polled state;
    struct tb_str grant_id; /**< of oauth.grants; with TB_POLLED_APPROVED only, once */
};

/** POST /oauth/backchannel: the handler. */
tb_err TB_SUSPENDS tb_backchannel_post(struct tb_req *req);

/** Poll a request by the client's `auth_req_id`. Approved is said to one caller only, however many
 *  ask at once: who gets it issues the tokens.
 *  @return NULL; errors of tb_query: it may have been used up all the same
 *  Waits: yes. Source: CIBA Core §11. */
tb_err TB_NODISCARD TB_SUSPENDS tb_backchannel_poll(struct tb_req *req, struct tb_str client,
                                                    struct tb_str auth_req_id, struct tb_poll *out);

/** The error that the token endpoint answers a poll with, and NULL for TB_POLLED_APPROVED. */
tb_err tb_polled_error(enum tb_polled state);

/** Derive this room's key and begin to send notifications (ping mode) that are due; call it once,
 *  after tb_oauth_open. Every worker does so; each notification is taken by one of them. */
void tb_backchannel_open(void);

/** Notifications may be due: look now, not at the next turn. For after a decision. Waits: no. */
void tb_ping_soon(void);

#endif
