/* See origin.h. Origins are compared byte by byte, so each is kept in the one form that it has. */
#include "oauth/client/origin.h"
#include "http/server.h"
#include "oauth/client/client.h"
#include "oauth/errors.h"
#include "runtime/run.h"
#include <ctype.h>
#include <tongbao/plugin.h>

enum { ORIGIN_BYTES = 255, PORT_DIGITS = 5, PORT_MAX = 65535 };

static bool begins(struct tb_str text, const char *head, struct tb_str *out_rest)
{
    size_t n = strlen(head);
    if (text.n <= n || memcmp(text.at, head, n) != 0)
        return false;
    *out_rest = (struct tb_str){text.at + n, text.n - n};
    return true;
}

/* Labels of lower-case letters, digits and hyphens with points between, or what stands in brackets.
 * @return bytes; 0 when it is no host */
static size_t host_span(struct tb_str text)
{
    size_t n = 0;
    if (text.at[0] == '[') {
        for (n = 1; n < text.n && text.at[n] != ']'; n++)
            if (!isxdigit((unsigned char)text.at[n]) && text.at[n] != ':' && text.at[n] != '.')
                return 0;
        return n < text.n && n > 1 ? n + 1 : 0;
    }
    for (; n < text.n && text.at[n] != ':'; n++) {
        char c = text.at[n];
        bool edge = n == 0 || n + 1 == text.n || text.at[n + 1] == ':';
        if (!islower((unsigned char)c) && !isdigit((unsigned char)c) &&
            (edge || (c != '-' && c != '.') || (c == '.' && text.at[n - 1] == '.')))
            return 0;
    }
    return n;
}

/* ":" and a port without leading zeros that is not `usual`; or nothing. */
static bool is_port(struct tb_str text, int usual)
{
    int port = 0;
    if (text.n == 0)
        return true;
    if (text.at[0] != ':' || text.n < 2 || text.n > 1 + PORT_DIGITS || text.at[1] == '0')
        return false;
    for (size_t i = 1; i < text.n; i++) {
        if (!isdigit((unsigned char)text.at[i]))
            return false;
        port = port * 10 + (text.at[i] - '0');
    }
    return port <= PORT_MAX && port != usual;
}

static bool is_here(struct tb_str host)
{
    return tb_str_eq(host, TB_STR("localhost")) || tb_str_eq(host, TB_STR("127.0.0.1")) ||
           tb_str_eq(host, TB_STR("[::1]"));
}

static bool is_origin(struct tb_str text, bool sandbox)
{
    struct tb_str rest = TB_STR_NONE;
    bool https = begins(text, "https://", &rest);
    if (text.n > ORIGIN_BYTES || (!https && !begins(text, "http://", &rest)))
        return false;
    struct tb_str host = {rest.at, host_span(rest)};
    return host.n > 0 && (https || (sandbox && is_here(host))) &&
           is_port((struct tb_str){rest.at + host.n, rest.n - host.n}, https ? 443 : 80);
}

tb_err tb_origins_check(struct tb_req *req, const json_t *metadata, bool sandbox)
{
    const json_t *origins = json_object_get(metadata, "web_origins");
    for (size_t i = 0; i < json_array_size(origins); i++) {
        const json_t *origin = json_array_get(origins, i);
        if (!is_origin((struct tb_str){json_string_value(origin), json_string_length(origin)},
                       sandbox))
            return tb_fail(req, TB_E_INVALID_CLIENT_METADATA,
                           "web_origins[%zu] must be an origin as browsers send it, such as "
                           "https://app.example or https://app.example:8443%s",
                           i, sandbox ? ", or http on localhost" : "");
    }
    return NULL;
}

void tb_origin_judge(struct tb_req *req, const struct tb_oauth_client *client)
{
    struct tb_str origin = tb_run_of(req)->in->origin;
    if (origin.at != NULL && tb_oauth_client_has(client, "web_origins", origin))
        tb_run_of(req)->origin = origin;
}
