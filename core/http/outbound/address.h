/* Which addresses a call on behalf of a partner may reach: those of the public internet and no
 * other. Source: IANA special-purpose address registries (RFC 6890 and what was added since), RFC
 * 4291, RFC 6052, RFC 3056, RFC 5214; OWASP API7:2023 "server side request forgery". */
#ifndef TB_HTTP_OUTBOUND_ADDRESS_H
#define TB_HTTP_OUTBOUND_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/** Whether a numeric address may be reached: false for loopback, private, shared, link-local,
 * multicast, documentation, benchmark, unspecified and cloud-metadata addresses, for IPv6 forms
 * that embed such an IPv4 address (mapped, NAT64, 6to4, ISATAP), for tunnels whose far end cannot
 * be known (Teredo), and for anything that is not a canonical numeric address ("0x7f.1", "127.1",
 * "010.0.0.1", zones). */
bool tb_address_public(const char *numeric);

/** The same for an address as the kernel takes it. False for other families than IP. */
bool tb_sockaddr_public(const struct sockaddr *address);

#endif
