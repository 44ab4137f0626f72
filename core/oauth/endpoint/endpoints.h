/* The handlers of the product "oauth", each in a file of its own; product.c is their table. */
#ifndef TB_OAUTH_ENDPOINT_ENDPOINTS_H
#define TB_OAUTH_ENDPOINT_ENDPOINTS_H

#include <tongbao/req.h>

/** POST /oauth/token: endpoint_token.c */
tb_err TB_SUSPENDS tb_oauth_token(struct tb_req *req);

/** POST /oauth/introspect: introspect.c */
tb_err TB_SUSPENDS tb_oauth_introspect(struct tb_req *req);

/** POST /oauth/revoke: revocation.c */
tb_err TB_SUSPENDS tb_oauth_revoke(struct tb_req *req);

/** GET and POST /oauth/userinfo: userinfo.c */
tb_err TB_SUSPENDS tb_oauth_userinfo(struct tb_req *req);

/** GET /.well-known/oauth-authorization-server and /.well-known/openid-configuration: metadata.c */
tb_err tb_oauth_metadata(struct tb_req *req);

/** GET /oauth/jwks: jwks_endpoint.c */
tb_err tb_oauth_jwks(struct tb_req *req);

#endif
