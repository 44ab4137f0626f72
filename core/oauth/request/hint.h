/* Whom a request without a browser is for (CIBA Core §7.1): a customer named by login, or by an ID
 * token that this server once issued to the same client. */
#ifndef TB_OAUTH_REQUEST_HINT_H
#define TB_OAUTH_REQUEST_HINT_H

#include "oauth/client/client.h"
#include "oauth/form.h"

struct tb_hinted {
    struct tb_str user; /**< "usr_…" */
    int32_t book;       /**< the customer's, in the client's world */
};

/** Whom an ID token is about that this server issued to the client; one that has expired still says
 *  it.
 *  @return NULL; TB_E_INVALID_REQUEST (it is no such token). Waits: no. */
tb_err TB_NODISCARD tb_hint_read(struct tb_req *req, const struct tb_oauth_client *client,
                                 struct tb_str id_token, struct tb_str *out_user);

/** The customer that the one hint of the form names.
 *  @return NULL; TB_E_INVALID_REQUEST (no hint, several, a login_hint_token, or an ID token that is
 *          not ours or was issued to another); TB_E_UNKNOWN_USER_ID (nobody of the client's world,
 *          or one who may not log in); TB_E_RATE_LIMITED (too many of the client's hints named
 * nobody); errors of tb_query Waits: yes. Memory: the request's arena. */
tb_err TB_NODISCARD TB_SUSPENDS tb_hint_find(struct tb_req *req,
                                             const struct tb_oauth_client *client,
                                             const struct tb_form *form, struct tb_hinted *out);

#endif
