/* Authorization codes. Whoever lets a customer decide makes a handle and gives its digest to SQL
 * oauth.put_code; the token endpoint uses the code up, once. */
#ifndef TB_OAUTH_TOKEN_AUTHORIZATION_CODE_H
#define TB_OAUTH_TOKEN_AUTHORIZATION_CODE_H

#include "oauth/token/grant_row.h"

/** Use an authorization code up. Of many who take it at once one gets it, and whoever takes it
 * again ends its grant with all tokens, on this machine before this returns.
 *  @param client       who sends it
 *  @param out_refresh  gets the grant's refresh token, kept in the same transaction; NULL: none
 *  @return NULL; TB_E_INVALID_GRANT (unknown, expired, used, another client's, or its grant has
 *          ended: one answer for all); errors of tb_query, after which it may be used up
 *  Waits: yes. Source: RFC 6749 §4.1.2, RFC 9700 §2.1.1. */
tb_err TB_NODISCARD TB_SUSPENDS tb_code_take(struct tb_req *req, struct tb_str code,
                                             struct tb_str client, struct tb_str *out_refresh,
                                             struct tb_grant_row *out);

#endif
