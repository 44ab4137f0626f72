/* CIDR match of an address, for allow lists in the configuration. */
#ifndef TB_HTTP_NETWORK_H
#define TB_HTTP_NETWORK_H

#include <stdbool.h>

/** Whether the numeric address lies in `network`: "10.0.0.0/8", "2001:db8::/32", or an address
 * alone. An IPv4-mapped IPv6 address counts as the IPv4 address. False for text that is neither. */
bool tb_network_has(const char *network, const char *numeric);

#endif
