/* From the configuration to the server's set-up. */
#include "config/config.h"
#include "http/guard/guard.h"
#include "http/server.h"

enum {
    /* the library's timer is the second line behind the guard's, which sees what a client does */
    IDLE_BEHIND_GUARD_MS = 5000,
};

static const char *or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct tb_guard_limits budgets(const struct tb_config *config)
{
    /* a row of the guard's table without its key does not compile */
    return (struct tb_guard_limits){
#define X(name, ...) .name = (uint32_t)config->guard_##name,
        TB_GUARD_LIMITS(X)
#undef X
    };
}

struct tb_server *tb_server_new(struct tb_loop *loop, const struct tb_config *config,
                                const struct tb_http_owner *calls, void *owner,
                                struct tb_guard_counters *counters, const char **out_why)
{
    if (config->hosts.n == 0) {
        *out_why = "hosts: no host is configured";
        return NULL;
    }
    struct tb_guard_limits guard = budgets(config);
    const struct tb_http_setup setup = {
        .hosts = config->hosts.items,
        .hosts_n = config->hosts.n,
        .certificate = or_null(config->tls_certificate),
        .key = or_null(config->tls_key),
        .client_ca = or_null(config->tls_client_ca),
        .body_bytes = (size_t)config->limits_body_max_bytes,
        .handshake_ms = config->guard_opening_ms,
        .head_ms = later(config->guard_header_ms, config->guard_body_ms),
        .idle_ms = config->guard_idle_ms + IDLE_BEHIND_GUARD_MS,
        .problem_base = tb_str(config->problem_base),
        .guard = &guard,
    };
    return tb_server_open(loop, &setup, calls, owner, counters, out_why);
}
