/* The product "oauth": tokens and what is known of them. */
#ifndef TB_OAUTH_ENDPOINT_PRODUCT_H
#define TB_OAUTH_ENDPOINT_PRODUCT_H

#include <tongbao/plugin.h>

/** Metadata, JWK Set, token, introspection, revocation, userinfo; and all errors of the
 * authorization server. */
extern const struct tb_plugin tb_oauth_product;

#endif
