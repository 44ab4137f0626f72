/* Match of a redirect_uri against those of a client: compared byte by byte, but for the port of
 * native apps, which listen on the loopback address at whatever port they were given. */
#ifndef TB_OAUTH_REQUEST_REDIRECT_H
#define TB_OAUTH_REQUEST_REDIRECT_H

#include "oauth/client/client.h"

/** Whether `uri` is registered for the client. http is for native apps and the loopback address
 *  only, whatever is registered.
 *  Waits: no. Source: FAPI 2.0 Security Profile §5.3.2.2, RFC 8252 §7.3, RFC 9700 §2.1. */
bool tb_redirect_registered(const struct tb_oauth_client *client, struct tb_str uri);

#endif
