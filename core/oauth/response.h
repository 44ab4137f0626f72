/* Signed responses of the authorization server: ID tokens, authorization responses,
 * introspection responses. Signed with the keys of responses, never with those of access tokens. */
#ifndef TB_OAUTH_RESPONSE_H
#define TB_OAUTH_RESPONSE_H

#include <tongbao/req.h>

/** Sign claims with the active key of responses (ES256).
 *  @param type    of the header: "JWT", "token-introspection+jwt"
 *  @param claims  JSON text of an object; absent counts as a full arena
 *  @return NULL, with the compact JWS in the request's arena; TB_E_STORE (no key is here yet);
 *          TB_E_INTERNAL (arena full). Waits: no; some 25 us. */
tb_err TB_NODISCARD tb_response_sign(struct tb_req *req, const char *type, struct tb_str claims,
                                     struct tb_str *out);

#endif
