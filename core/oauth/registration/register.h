/* Dynamic registration (RFC 7591) and its management (RFC 7592). In a sandbox anyone may register
 * and gets an app of a fresh partner in a world of its own, with accounts to move money between and
 * users to log in as. Elsewhere a software statement of a configured directory is required, and the
 * new app waits for the bank's approval. */
#ifndef TB_OAUTH_REGISTRATION_REGISTER_H
#define TB_OAUTH_REGISTRATION_REGISTER_H

#include "oauth/client/client.h"
#include "store/tx.h"
#include <tongbao/plugin.h>

/** POST /oauth/register; GET, PUT, DELETE /oauth/register/{client_id}. */
extern const struct tb_plugin tb_oauth_register_product;

#endif
