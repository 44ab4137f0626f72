/* The authorization response: what goes back to the client through the customer's browser, in the
 * query of its redirect URI or, where it asked for response_mode=jwt, in one signed JWT (JARM). */
#ifndef TB_OAUTH_INTERACTION_AUTHORIZATION_RESPONSE_H
#define TB_OAUTH_INTERACTION_AUTHORIZATION_RESPONSE_H

#include "base/text.h"
#include "oauth/interaction/pending_request.h"

/** Answer with a code: 303 to the redirect URI with code, state (where it was sent) and iss.
 *  @return NULL; TB_E_INTERNAL (arena full, no response key) */
tb_err TB_NODISCARD tb_authz_response_code(struct tb_req *req, const struct tb_authz_request *asked,
                                           struct tb_str code);

/** Answer with an error: error, state and iss.
 *  Source: RFC 6749 §4.1.2.1, RFC 9207 §2, JARM §2.3. */
tb_err TB_NODISCARD tb_authz_response_error(struct tb_req *req,
                                            const struct tb_authz_request *asked, tb_err err);

/** Add `value` as it may stand in a query: unreserved characters as they are, the rest escaped. */
void tb_url_add(struct tb_text *text, struct tb_str value);

#endif
