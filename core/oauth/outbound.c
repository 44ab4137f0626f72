#include "oauth/outbound.h"
#include "base/text.h"
#include "oauth/server.h"
#include "runtime/run.h"

enum { HTTPS_PORT = 443 };

/* The port a URL names; the port of https for anything that the caller of a URL will refuse. */
static uint16_t port_in(const char *url)
{
    int64_t port;
    const char *slashes = strstr(url, "://");
    if (slashes == NULL)
        return HTTPS_PORT;
    const char *host = slashes + 3, *end = host + strcspn(host, "/?#");
    const char *colon = memrchr(host, ':', (size_t)(end - host));
    if (colon == NULL ||
        !tb_text_to_int((struct tb_str){colon + 1, (size_t)(end - colon - 1)}, &port) || port < 1 ||
        port > UINT16_MAX)
        return HTTPS_PORT;
    return (uint16_t)port;
}

tb_err TB_SUSPENDS tb_oauth_call_out(struct tb_req *req, struct tb_outgoing *out,
                                     struct tb_reply *reply)
{
    const struct tb_config *config = tb_oauth()->config;
    struct tb_run *run = tb_run_of(req);
    const struct tb_problem before = run->problem;
    const uint16_t ports[] = {config->oauth_private_addresses ? port_in(out->url) : HTTPS_PORT, 0};
    out->reach = (struct tb_reach){.private_addresses = config->oauth_private_addresses,
                                   .ports = ports};
    out->ca = config->oauth_ca[0] == '\0' ? NULL : config->oauth_ca;
    tb_err err = tb_client_call(req, tb_oauth()->outbound, out, reply);
    if (err != NULL) {
        struct tb_str why = run->problem.detail;
        tb_log(req, TB_LOG_WARN, "calling %s failed: %.*s", out->url, (int)why.n,
               why.at == NULL ? "" : why.at);
        run->problem = before;
    }
    return err;
}
