/* Calls to URLs that clients have registered: their key sets, their notification endpoints. Such a
 * URL must not lead inside the bank, so what it may reach is decided here, once. */
#ifndef TB_OAUTH_OUTBOUND_H
#define TB_OAUTH_OUTBOUND_H

#include "http/client.h"

/** Do the exchange `out`, whose `reach` and `ca` are filled in by the configuration (oauth.*):
 * https to public addresses at port 443, or, with oauth.private_addresses, to any.
 *  @param out  `url` and the rest as for tb_client_call
 *  @return as tb_client_call; the request's problem stays as it was: that a client's server is not
 *          well is no failure of the request, and goes to the log
 *  Waits: yes. Source: OWASP API7:2023. */
tb_err TB_NODISCARD TB_SUSPENDS tb_oauth_call_out(struct tb_req *req, struct tb_outgoing *out,
                                                  struct tb_reply *reply);

#endif
