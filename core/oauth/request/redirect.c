/* A byte by byte comparison, and its one exception: a native app asks its system for a free port
 * when it is about to be redirected to, so the port of a loopback address says nothing. */
#include "oauth/request/redirect.h"
#include "base/json.h"
#include "base/text.h"
#include <ctype.h>
#include <tongbao/plugin.h>

/** A URI on the loopback address, in parts. */
struct loopback {
    struct tb_str host; /**< "http://127.0.0.1" */
    struct tb_str rest; /**< from the path on; "" when there is none */
};

static bool begins(struct tb_str text, struct tb_str head)
{
    return text.n >= head.n && memcmp(text.at, head.at, head.n) == 0;
}

/* Take a loopback URI apart and leave its port out; false when it is none. */
static bool read_loopback(struct tb_str uri, struct loopback *out)
{
    static const char *const HOSTS[] = {"http://127.0.0.1", "http://[::1]", "http://localhost"};
    for (size_t i = 0; i < TB_COUNT(HOSTS); i++) {
        struct tb_str host = tb_str(HOSTS[i]);
        if (!begins(uri, host))
            continue;
        size_t at = host.n;
        if (at < uri.n && uri.at[at] == ':') {
            size_t first = ++at;
            int64_t port;
            while (at < uri.n && isdigit((unsigned char)uri.at[at]))
                at++;
            if (!tb_text_to_int((struct tb_str){uri.at + first, at - first}, &port) || port < 1 ||
                port > UINT16_MAX)
                return false;
        }
        *out = (struct loopback){host, {uri.at + at, uri.n - at}};
        return at == uri.n || uri.at[at] == '/' || uri.at[at] == '?';
    }
    return false;
}

bool tb_redirect_registered(const struct tb_oauth_client *client, struct tb_str uri)
{
    struct loopback asked, known;
    const json_t *one;
    size_t i;
    if (begins(uri, TB_STR("https://")))
        return tb_oauth_client_has(client, "redirect_uris", uri);
    if (!tb_str_eq(tb_json_str(client->metadata, "application_type"), TB_STR("native")) ||
        !read_loopback(uri, &asked))
        return false;
    json_array_foreach(json_object_get(client->metadata, "redirect_uris"), i,
                       one) if (read_loopback(tb_str(json_string_value(one)), &known) &&
                                tb_str_eq(asked.host, known.host) &&
                                tb_str_eq(asked.rest, known.rest)) return true;
    return false;
}
