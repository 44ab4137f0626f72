/* The end of every grant type: mint an access token and answer with it (RFC 6749 §5.1).
 *
 *     struct tb_issue issue = {.client = client, .granted = &granted, .binding = binding,
 *                              .scope = granted.scope, .details = granted.details};
 *     return tb_issue(req, &issue);
 */
#ifndef TB_OAUTH_TOKEN_ISSUE_H
#define TB_OAUTH_TOKEN_ISSUE_H

#include "oauth/token/binding.h"
#include "oauth/token/grant_row.h"

enum {
    TB_ACCESS_LIFE_S = 300, /**< of an access token, and of an ID token */
};

/** What to issue. Texts are borrowed. */
struct tb_issue {
    const struct tb_oauth_client *client;
    const struct tb_grant_row *granted; /**< NULL: the token stands for the client itself */
    struct tb_binding binding;
    struct tb_str scope;         /**< of this token: within what was granted */
    struct tb_str details;       /**< the same of authorization_details, JSON text; or absent */
    struct tb_str refresh_token; /**< to tell with it, or absent */
    struct tb_str nonce;         /**< for the ID token, or absent */
};

/** Mint and answer: an ID token goes with a scope that has `openid`.
 *  @return NULL; TB_E_INVALID_SCOPE, TB_E_INVALID_AUTHORIZATION_DETAILS (too large for a token);
 *          TB_E_STORE (no key is here yet); errors of tb_query
 *  Waits: only for the claims of an ID token that ask for the customer's name. */
tb_err TB_NODISCARD TB_SUSPENDS tb_issue(struct tb_req *req, const struct tb_issue *issue);

#endif
