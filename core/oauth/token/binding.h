/* Whom a new token will be bound to, read off the request that asks for it: the key of a DPoP proof
 * (RFC 9449 §5) or the certificate of the connection (RFC 8705 §3).
 *
 *     struct tb_binding binding;
 *     TB_TRY(tb_binding_read(req, client, &binding));
 */
#ifndef TB_OAUTH_TOKEN_BINDING_H
#define TB_OAUTH_TOKEN_BINDING_H

#include "oauth/client/client.h"

/** At most one of the two. */
struct tb_binding {
    struct tb_str dpop; /**< thumbprint of the proof's key, or absent */
    struct tb_str cert; /**< x5t#S256 of the connection's certificate, or absent */
};

/** What the client's tokens are bound to by this request. A proof comes first; a client registered
 * for DPoP must send one, one registered for certificates must have one. Bound to nobody is for
 * clients of a sandbox that are allowed it.
 *  @return NULL; TB_E_INVALID_DPOP_PROOF, TB_E_USE_DPOP_NONCE; TB_E_INVALID_REQUEST (there is no
 *          certificate); TB_E_OVERLOAD
 *  Waits: no. Source: FAPI 2.0 Security Profile §5.3.2.1. */
tb_err TB_NODISCARD tb_binding_read(struct tb_req *req, const struct tb_oauth_client *client,
                                    struct tb_binding *out);

#endif
