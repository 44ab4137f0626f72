/* Types common to the server's files: the server and its connections. Private to core/http/. */
#ifndef TB_HTTP_CONNECTION_H
#define TB_HTTP_CONNECTION_H

#include "crypto/digest.h"
#include "http/guard/guard.h"
#include "http/server.h"
#include "http/tls.h"
#include <h2o.h>

/** An open connection of a client. */
struct connection {
    struct tb_server *server;
    struct connection *next, **link; /**< the server's list */
    h2o_socket_t *socket;
    int fd;
    size_t requests_open;
    struct tb_str authority; /**< the host its last request named; absent before the first */
    bool tls;
    bool certificate_read; /**< the next three are filled */
    bool client_verified;
    struct tb_str certificate;            /**< DER, owned; absent when the client showed none */
    char thumbprint[TB_SHA256_BASE64URL]; /**< of the certificate, when there is one */
    char peer[48];
};

/** A listening socket. */
struct listener {
    struct listener *next;
    struct tb_server *server;
    struct tb_watch watch;
    int fd;
    enum tb_listener_kind door;
};

/** Accepting and leaving. */
struct doors {
    struct listener *listeners;
    struct connection *connections;
    struct connection **by_fd; /**< open connections by descriptor */
    size_t by_fd_n;
    struct tb_timer rest; /**< runs while accepting pauses */
    bool paused;          /**< the listeners are not watched */
    bool draining;
    int64_t leave_ms, grace_over_ms, cut_over_ms; /**< loop clock: idle connections are cut, all are
                                                       cut, nobody is waited for any more */
    struct tb_timer sweep;                        /**< runs while draining */
    void (*drained)(void *owner);
};

struct tb_server {
    struct tb_loop *loop;
    const struct tb_http_owner *calls;
    void *owner;
    h2o_globalconf_t global;
    h2o_context_t context;
    h2o_accept_ctx_t accept[TB_LISTENER_PLAIN + 1]; /**< by kind of door */
    struct tb_tls *tls[TB_LISTENER_PLAIN];          /**< the same, where there is a certificate */
    h2o_iovec_t *hosts;
    size_t hosts_n;
    struct tb_str problem_base;
    size_t connections_most;
    struct doors doors;
    struct tb_http_stats stats;
};

/** The connection a request came on. */
static inline struct connection *connection_of(const struct tb_server *server, h2o_req_t *req)
{
    int fd = h2o_socket_get_fd(req->conn->callbacks->get_socket(req->conn));
    return server->doors.by_fd[fd];
}

/** The handler of every request. */
struct handler {
    h2o_handler_t super;
    struct tb_server *server;
};
int tb_server_on_request(h2o_handler_t *self, h2o_req_t *req);

/** Called by libh2o when it is about to forget a request. */
struct farewell {
    h2o_logger_t super;
    struct tb_server *server;
};
void tb_server_on_farewell(h2o_logger_t *self, h2o_req_t *req);

/** The accept side, listener.c. */
void tb_listeners_close(struct tb_server *server);

#endif
