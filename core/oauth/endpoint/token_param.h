/* A token that a client shows to the authorization server to have it looked at or revoked.
 *
 *     struct tb_token_param shown;
 *     TB_TRY(tb_token_param_read(req, &shown));
 */
#ifndef TB_OAUTH_ENDPOINT_TOKEN_PARAM_H
#define TB_OAUTH_ENDPOINT_TOKEN_PARAM_H

#include "oauth/client/client.h"

struct tb_token_param {
    struct tb_oauth_client *client; /**< who shows it */
    struct tb_str token;            /**< in the request's arena; nobody has looked at it yet */
    bool is_refresh; /**< it has the form of a refresh token, else of an access token */
};

/** Authenticate the client of this request and take the token from its form. token_type_hint is not
 *  needed: an access token has dots, a refresh token has none.
 *  @return NULL; TB_E_INVALID_REQUEST (no token); errors of tb_form_read, tb_client_authenticate
 *  Waits: yes. Source: RFC 7009 §2.1, RFC 7662 §2.1. */
tb_err TB_NODISCARD TB_SUSPENDS tb_token_param_read(struct tb_req *req, struct tb_token_param *out);

#endif
