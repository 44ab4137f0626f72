/* Egress policy for URLs that clients registered: the public internet by https at port 443, and
 * anywhere only in a sandbox that says so (oauth.private_addresses). */
#ifndef TB_OAUTH_EGRESS_H
#define TB_OAUTH_EGRESS_H

#include "http/outbound/outbound.h"

enum { TB_EGRESS_PORTS = 2 };

/** What a call to `url` may reach.
 *  @param ports  room that the result points to
 *  Source: OWASP API7:2023. */
struct tb_egress tb_oauth_reach(const char *url, uint16_t ports[TB_EGRESS_PORTS]);

#endif
