/* Listening sockets. The master opens them once and every worker of every generation accepts from
 * the same ones: the queue of connections belongs to the socket, so none is lost when workers come
 * and go. */
#include "process/master_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/** Split "host:port" or "[v6]:port". False when it is neither. */
static bool split(const char *address, char host[64], char port[8])
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || strlen(colon + 1) == 0 || strlen(colon + 1) >= 8)
        return false;
    const char *from = address;
    size_t n = (size_t)(colon - address);
    if (from[0] == '[' && from[n - 1] == ']') {
        from++;
        n -= 2;
    }
    if (n == 0 || n >= 64)
        return false;
    memcpy(host, from, n);
    host[n] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

/** A listening socket or -1 with errno. */
static int open_one(const struct addrinfo *at)
{
    const int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool open_address(struct tb_master *m, const char *address, char *why, size_t why_bytes)
{
    char host[64], port[8];
    if (!split(address, host, port)) {
        snprintf(why, why_bytes, "cannot listen on \"%s\": write host:port or [v6]:port", address);
        return false;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) {
        snprintf(why, why_bytes, "cannot listen on \"%s\": %s", address, gai_strerror(failed));
        return false;
    }
    int fd = open_one(found);
    int error = errno;
    freeaddrinfo(found);
    if (fd < 0) {
        snprintf(why, why_bytes, "cannot listen on %s: %s", address, strerrordesc_np(error));
        return false;
    }
    struct tb_listener *l = &m->listeners[m->listeners_n++];
    l->fd = fd;
    snprintf(l->address, sizeof(l->address), "%s", address);
    return true;
}

static bool is_open(const struct tb_master *m, const char *address)
{
    for (size_t i = 0; i < m->listeners_n; i++) {
        if (strcmp(m->listeners[i].address, address) == 0)
            return true;
    }
    return false;
}

bool tb_listeners_open(struct tb_master *m, const struct tb_plan *plan, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < plan->listen_n; i++) {
        if (is_open(m, plan->listen[i]))
            continue;
        if (m->listeners_n == TB_LISTENERS_MAX) {
            snprintf(why, why_bytes, "more than %d addresses to listen on", TB_LISTENERS_MAX);
            return false;
        }
        if (!open_address(m, plan->listen[i], why, why_bytes))
            return false;
    }
    return true;
}

void tb_listeners_prune(struct tb_master *m, const struct tb_plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->listeners_n; i++) {
        bool wanted = false;
        for (size_t j = 0; j < plan->listen_n; j++)
            wanted |= strcmp(m->listeners[i].address, plan->listen[j]) == 0;
        if (wanted)
            m->listeners[kept++] = m->listeners[i];
        else
            close(m->listeners[i].fd);
    }
    m->listeners_n = kept;
}
