/* Client authentication at the endpoints of the authorization server. Four methods, of which a
 * request uses exactly one, the one the client registered: a signed assertion (RFC 7523), a
 * certificate of an authority or one of its own (RFC 8705 §2), and in sandbox worlds a secret.
 *
 *     struct tb_form form;
 *     struct tb_oauth_client *client;
 *     TB_TRY(tb_form_read(req, &form));
 *     TB_TRY(tb_client_authenticate(req, &form, &client));
 */
#ifndef TB_OAUTH_CLIENT_AUTH_H
#define TB_OAUTH_CLIENT_AUTH_H

#include "oauth/client/client.h"
#include "oauth/form.h"

enum {
    TB_ASSERTION_LIFE_S = 300, /**< how far the exp of an assertion may lie ahead */
};

/** Authenticate the client of this request. The answer is the same, and takes the same work,
 *  whether the client does not exist, is suspended, or the proof is wrong; the cause goes to the
 *  log.
 *
 *  An assertion counts once, among all workers: its jti is kept in the database until it expires,
 *  and while that cannot be reached nobody is authenticated by one.
 *  @return NULL; TB_E_INVALID_CLIENT; errors of tb_query (retryable)
 *  Waits: yes. Memory: *out in the request's arena. Source: FAPI 2.0 Security Profile §5.3.2.1,
 *  RFC 7523 §3, RFC 8705 §2, RFC 6749 §2.3. */
tb_err TB_NODISCARD TB_SUSPENDS tb_client_authenticate(struct tb_req *req,
                                                       const struct tb_form *form,
                                                       struct tb_oauth_client **out);

#endif
