/* The rules for calls to addresses that strangers chose. */
#include "oauth/egress.h"
#include "base/text.h"
#include "oauth/server.h"

/* The port a URL names or implies; 0 when that cannot be told. */
static uint16_t port_in(const char *url)
{
    int64_t port;
    const char *host = strstr(url, "://");
    if (host == NULL)
        return 0;
    host += 3;
    size_t n = strcspn(host, "/?#");
    const char *colon = memrchr(host, ':', n);
    if (colon == NULL || memchr(colon, ']', n - (size_t)(colon - host)) != NULL)
        return url[4] == ':' ? 80 : 443; /* "http:" */
    struct tb_str text = {colon + 1, n - (size_t)(colon + 1 - host)};
    return tb_text_to_int(text, &port) && port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

struct tb_egress tb_oauth_reach(const char *url, uint16_t ports[TB_EGRESS_PORTS])
{
    if (!tb_oauth()->config->oauth_private_addresses)
        return (struct tb_egress){.ports = NULL};
    ports[0] = port_in(url);
    ports[1] = 0;
    return (struct tb_egress){.private_addresses = true, .plain_http = true, .ports = ports};
}
