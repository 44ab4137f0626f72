/* Refresh tokens. They are not rotated (FAPI 2.0 Security Profile §5.3.2.1): one belongs to a grant
 * and counts, for its own client, until thirty days after its last use or until the grant ends. */
#ifndef TB_OAUTH_TOKEN_REFRESH_H
#define TB_OAUTH_TOKEN_REFRESH_H

#include "oauth/token/grant_row.h"

/** Make the refresh token of a grant.
 *  @return NULL with the token in *out_token; TB_E_INVALID_GRANT (the grant has ended); errors of
 *          tb_query: then a row may be left that nobody has the token of
 *  Waits: yes. Memory: the request's arena. */
tb_err TB_NODISCARD TB_SUSPENDS tb_refresh_make(struct tb_req *req, struct tb_str grant_id,
                                                struct tb_str client, struct tb_str *out_token);

/** The grant of a refresh token, which from now on counts for thirty days more.
 *  @return NULL; TB_E_INVALID_GRANT (unknown, expired, another client's, or its grant has ended);
 *          errors of tb_query
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_refresh_use(struct tb_req *req, struct tb_str token,
                                               struct tb_str client, struct tb_grant_row *out);

/** Revoke a refresh token of the client's own, and with it the grant and all its access tokens.
 *  @return NULL, with whether there was one in *out_found; errors of tb_query and tb_grant_ended
 *  Waits: yes. Source: RFC 7009 §2.1. */
tb_err TB_NODISCARD TB_SUSPENDS tb_refresh_revoke(struct tb_req *req, struct tb_str token,
                                                  struct tb_str client, bool *out_found);

/** What introspection says of a refresh token: its grant and when it ends, without using it.
 *  @return NULL, with whether it counts in *out_found; errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_refresh_look(struct tb_req *req, struct tb_str token,
                                                struct tb_str client, bool *out_found,
                                                struct tb_grant_row *out, int64_t *out_exp_s);

#endif
