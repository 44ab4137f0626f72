/* The accept side of the server: listeners, connections from accept to close, and the drain. */
#include "base/assert.h"
#include "base/mem.h"
#include "http/connection.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 2, /**< few, so that workers woken together share a burst */
    REST_MS = 100,        /**< pause when the system is out of descriptors or memory */
    SWEEP_MS = 50,
    IDLE_LEAVE_MS = 1500, /**< an idle connection that was asked to leave and stayed is cut */
    CUT_MS = 500,         /**< for connections that were cut to be gone */
};

/* ---- connections ---- */

static void watch_listeners(struct tb_server *server, bool want)
{
    server->doors.paused = !want;
    for (struct listener *at = server->doors.listeners; at != NULL; at = at->next)
        tb_watch_want(&at->watch, want, false);
}

static void connection_closed(void *data)
{
    struct connection *conn = data;
    struct tb_server *server = conn->server;
    *conn->link = conn->next;
    if (conn->next != NULL)
        conn->next->link = conn->link;
    server->doors.by_fd[conn->fd] = NULL;
    server->stats.connections--;
    tb_mem_free((void *)(uintptr_t)conn->certificate.at);
    tb_mem_free(conn);
    if (server->doors.paused && !server->doors.draining && server->doors.rest.slot == 0)
        watch_listeners(server, true);
}

static void write_peer(char out[48], const struct sockaddr_storage *address)
{
    const void *bytes = &((const struct sockaddr_in *)address)->sin_addr;
    int family = address->ss_family;
    if (family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        bytes = six;
        if (IN6_IS_ADDR_V4MAPPED(six)) {
            family = AF_INET;
            bytes = six->s6_addr + 12;
        }
    }
    if ((family != AF_INET && family != AF_INET6) || inet_ntop(family, bytes, out, 48) == NULL)
        out[0] = '\0';
}

static struct connection *connection_new(struct tb_server *server, h2o_socket_t *socket, int fd)
{
    struct doors *doors = &server->doors;
    if ((size_t)fd >= doors->by_fd_n) {
        size_t n = doors->by_fd_n == 0 ? 256 : doors->by_fd_n;
        while ((size_t)fd >= n)
            n *= 2;
        doors->by_fd = tb_mem_resize(doors->by_fd, n * sizeof(*doors->by_fd));
        memset(doors->by_fd + doors->by_fd_n, 0, (n - doors->by_fd_n) * sizeof(*doors->by_fd));
        doors->by_fd_n = n;
    }
    struct connection *conn = tb_mem(sizeof(*conn));
    conn->server = server;
    conn->socket = socket;
    conn->fd = fd;
    conn->next = doors->connections;
    conn->link = &doors->connections;
    if (conn->next != NULL)
        conn->next->link = &conn->next;
    doors->connections = conn;
    doors->by_fd[fd] = conn;
    server->stats.connections++;
    socket->on_close.cb = connection_closed;
    socket->on_close.data = conn;
    return conn;
}

static void admit(struct listener *listener, int fd, const struct sockaddr_storage *address)
{
    struct tb_server *server = listener->server;
    static const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    h2o_socket_t *socket = h2o_evloop_socket_create(server->context.loop, fd,
                                                    H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    struct connection *conn = connection_new(server, socket, fd);
    conn->tls = listener->door != TB_LISTENER_PLAIN;
    write_peer(conn->peer, address);
    if (!tb_guard_accept(socket)) {
        server->stats.refused++;
        h2o_socket_close(socket);
        return;
    }
    server->stats.accepted++;
    h2o_accept(&server->accept[listener->door], socket);
}

/* ---- accepting ---- */

static void rest_over(struct tb_timer *timer)
{
    struct tb_server *server = TB_CONTAINER(struct tb_server, doors.rest, timer);
    if (!server->doors.draining)
        watch_listeners(server, true);
}

/* A descriptor that cannot be had now stays in the backlog; without a pause the loop would spin on
 * it. */
static void rest(struct tb_server *server)
{
    server->stats.starved++;
    watch_listeners(server, false);
    server->doors.rest.fired = rest_over;
    tb_timer_start(server->loop, &server->doors.rest, REST_MS);
}

static void on_listener(struct tb_watch *watch, bool readable, bool writable)
{
    struct listener *listener = TB_CONTAINER(struct listener, watch, watch);
    struct tb_server *server = listener->server;
    (void)readable;
    (void)writable;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (server->stats.connections >= server->connections_most) {
            watch_listeners(server, false); /* until one closes; the other workers go on */
            return;
        }
        struct sockaddr_storage address;
        socklen_t n = sizeof(address);
        int fd = accept4(listener->fd, (struct sockaddr *)&address, &n,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(listener, fd, &address);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            rest(server);
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

void tb_server_listen(struct tb_server *server, int fd, enum tb_listener_kind door)
{
    TB_ASSERT(door == TB_LISTENER_PLAIN || server->tls[door] != NULL);
    struct listener *listener = tb_mem(sizeof(*listener));
    listener->server = server;
    listener->fd = fd;
    listener->door = door;
    listener->watch.ready = on_listener;
    listener->next = server->doors.listeners;
    server->doors.listeners = listener;
    tb_watch_open(server->loop, &listener->watch, fd);
    tb_watch_want(&listener->watch, true, false);
}

static void close_listeners(struct tb_server *server)
{
    while (server->doors.listeners != NULL) {
        struct listener *listener = server->doors.listeners;
        server->doors.listeners = listener->next;
        tb_watch_close(&listener->watch);
        tb_mem_free(listener);
    }
}

/* ---- leaving ---- */

/* Ends the conversation from outside the library: it sees the end of the stream, as when a client
 * leaves, and closes. */
static void cut(struct connection *conn)
{
    shutdown(conn->fd, SHUT_RDWR);
}

static void drain_sweep(struct tb_timer *timer)
{
    struct tb_server *server = TB_CONTAINER(struct tb_server, doors.sweep, timer);
    struct doors *doors = &server->doors;
    int64_t now = tb_loop_now_ms(server->loop);
    if (doors->connections == NULL || now >= doors->cut_over_ms) {
        if (doors->drained != NULL)
            doors->drained(server->owner);
        return;
    }
    for (struct connection *at = doors->connections; at != NULL; at = at->next)
        if (now >= doors->grace_over_ms || (at->requests_open == 0 && now >= doors->leave_ms))
            cut(at);
    tb_timer_start(server->loop, &doors->sweep, SWEEP_MS);
}

void tb_server_drain(struct tb_server *server, int64_t grace_ms, void (*drained)(void *owner))
{
    struct doors *doors = &server->doors;
    TB_ASSERT(!doors->draining);
    int64_t now = tb_loop_now_ms(server->loop);
    doors->draining = true;
    doors->drained = drained;
    doors->grace_over_ms = now + grace_ms;
    doors->leave_ms = now + IDLE_LEAVE_MS;
    doors->cut_over_ms = doors->grace_over_ms + CUT_MS;
    tb_timer_stop(server->loop, &doors->rest);
    close_listeners(server);
    server->context.shutdown_requested = 1; /* HTTP/1 answers from now on say `connection: close` */
    tb_guard_drain();
    doors->sweep.fired = drain_sweep;
    tb_timer_start(server->loop, &doors->sweep, 0);
}

void tb_listeners_close(struct tb_server *server)
{
    TB_ASSERT(server->doors.connections == NULL);
    tb_timer_stop(server->loop, &server->doors.rest);
    tb_timer_stop(server->loop, &server->doors.sweep);
    close_listeners(server);
    tb_mem_free(server->doors.by_fd);
}
