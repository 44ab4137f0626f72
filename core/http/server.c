/* The server's life: from its set-up to the last connection. listener.c accepts and drains,
 * request.c answers, guard.c defends. */
#include "http/server.h"
#include "base/assert.h"
#include "base/mem.h"
#include "http/connection.h"
#include <signal.h>
#include <string.h>

/* Every knob libh2o has, set on purpose; its defaults are for a web server. */
static void set_limits(h2o_globalconf_t *global, const struct tb_http_setup *setup,
                       const struct tb_guard_limits *guard)
{
    global->server_name = (h2o_iovec_t){NULL, 0};
    global->max_request_entity_size = setup->body_bytes;
    global->max_delegations = 0;
    global->handshake_timeout = (uint64_t)setup->handshake_ms;
    global->http1.req_timeout = (uint64_t)setup->head_ms;
    global->http1.upgrade_to_http2 = setup->plain_h2;
    global->http2.idle_timeout = (uint64_t)setup->idle_ms;
    global->http2.graceful_shutdown_timeout = guard->drain_ms;
    global->http2.max_concurrent_requests_per_connection = guard->streams;
    global->http2.max_streams_for_priority = 16;
    /* trades throughput for the first byte of pages with images; answers here are small */
    global->http2.latency_optimization.min_rtt = UINT32_MAX;
    global->filecache.capacity = 0;
    global->proxy.emit_x_forwarded_headers = 0;
    global->proxy.emit_via_header = 0;
}

/* One host configuration of libh2o serves all hosts: with several, the library would parse and
 * lower-case the authority of every request, only to fall back to the first when none fits. Which
 * hosts are ours is decided in request.c. */
static void set_handlers(struct tb_server *server, const struct tb_http_setup *setup)
{
    h2o_iovec_t first = h2o_iovec_init(setup->hosts[0], strlen(setup->hosts[0]));
    h2o_hostconf_t *host = h2o_config_register_host(&server->global, first, 65535);
    host->http2.push_preload = 0;
    host->http2.reprioritize_blocking_assets = 0;
    host->fallback_path.error_log.emit_request_errors = 0;
    struct handler *handler = (struct handler *)h2o_create_handler(&host->fallback_path,
                                                                   sizeof(*handler));
    handler->super.on_req = tb_server_on_request;
    handler->server = server;
    struct farewell *farewell = (struct farewell *)h2o_create_logger(&host->fallback_path,
                                                                     sizeof(*farewell));
    farewell->super.log_access = tb_server_on_farewell;
    farewell->server = server;
}

static void copy_hosts(struct tb_server *server, const struct tb_http_setup *setup)
{
    server->hosts_n = setup->hosts_n;
    server->hosts = tb_mem_array(setup->hosts_n, sizeof(*server->hosts));
    for (size_t i = 0; i < setup->hosts_n; i++) {
        size_t n = strlen(setup->hosts[i]);
        server->hosts[i] = h2o_iovec_init(tb_mem_text(setup->hosts[i], n), n);
    }
    struct tb_str base = setup->problem_base;
    if (base.at != NULL)
        server->problem_base = (struct tb_str){tb_mem_text(base.at, base.n), base.n};
}

static bool open_tls(struct tb_server *server, const struct tb_http_setup *setup,
                     const char **out_why)
{
    if (setup->certificate == NULL)
        return true;
    for (enum tb_listener_kind door = TB_LISTENER_TLS; door < TB_LISTENER_PLAIN; door++) {
        const struct tb_tls_files files = {
            .certificate = setup->certificate,
            .key = setup->key,
            .client_ca = door == TB_LISTENER_MTLS ? setup->client_ca : NULL,
            .ask_for_certificate = door == TB_LISTENER_MTLS,
        };
        server->tls[door] = tb_tls_new(&files, out_why);
        if (server->tls[door] == NULL)
            return false;
    }
    return true;
}

static void close_tls(struct tb_server *server)
{
    for (enum tb_listener_kind door = TB_LISTENER_TLS; door < TB_LISTENER_PLAIN; door++)
        tb_tls_free(server->tls[door]);
}

static void open_doors(struct tb_server *server)
{
    for (enum tb_listener_kind door = TB_LISTENER_TLS; door <= TB_LISTENER_PLAIN; door++) {
        server->accept[door] = (h2o_accept_ctx_t){.ctx = &server->context,
                                                  .hosts = server->global.hosts};
        if (door != TB_LISTENER_PLAIN && server->tls[door] != NULL)
            server->accept[door].ssl_ctx = tb_tls_context(server->tls[door]);
    }
}

struct tb_server *tb_server_open(struct tb_loop *loop, const struct tb_http_setup *setup,
                                 const struct tb_http_owner *calls, void *owner,
                                 struct tb_guard_counters *counters, const char **out_why)
{
    static char why[256];
    *out_why = why;
    if (!tb_guard_check(why, sizeof(why)))
        return NULL;
    struct tb_server *server = tb_mem(sizeof(*server));
    if (!open_tls(server, setup, out_why)) {
        close_tls(server);
        tb_mem_free(server);
        return NULL;
    }
    signal(SIGPIPE,
           SIG_IGN); /* a client that left is an error of write(2), not the end of a worker */
    struct tb_guard_limits limits;
    tb_guard_limits_init(&limits);
    if (setup->guard != NULL)
        limits = *setup->guard;
    server->loop = loop;
    server->calls = calls;
    server->owner = owner;
    server->connections_most = limits.connections;
    copy_hosts(server, setup);
    h2o_config_init(&server->global);
    set_limits(&server->global, setup, &limits);
    set_handlers(server, setup);
    h2o_context_init(&server->context, tb_loop_h2o(loop), &server->global);
    tb_guard_start(&server->context, &limits, counters);
    open_doors(server);
    return server;
}

void tb_server_free(struct tb_server *server)
{
    if (server == NULL)
        return;
    tb_listeners_close(server);
    tb_guard_stop();
    h2o_context_dispose(&server->context);
    h2o_config_dispose(&server->global);
    close_tls(server);
    for (size_t i = 0; i < server->hosts_n; i++)
        tb_mem_free(server->hosts[i].base);
    tb_mem_free(server->hosts);
    tb_mem_free((void *)(uintptr_t)server->problem_base.at);
    tb_mem_free(server);
}

bool tb_server_reload_tls(struct tb_server *server, const char **out_why)
{
    *out_why = "no TLS is configured";
    bool reloaded = server->tls[TB_LISTENER_TLS] != NULL;
    for (enum tb_listener_kind door = TB_LISTENER_TLS; door < TB_LISTENER_PLAIN && reloaded; door++)
        reloaded = tb_tls_reload(server->tls[door], out_why);
    return reloaded;
}

struct tb_http_stats tb_server_stats(const struct tb_server *server)
{
    return server->stats;
}
