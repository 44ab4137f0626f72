#include "../unit.h"

#include "proxy.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAIRS = 32, BUFFER = 256 * 1024 };

struct pair {
    int client, server; /* 0: unused */
    bool deaf;          /* the answer on its way will be lost */
};

struct proxy {
    char dir[64], dsn[160], upstream[64];
    int listener;
    pthread_t thread;
    atomic_bool ending, frozen;
    pthread_mutex_t lock;
    char text[64];
    int times;
    struct pair pairs[PAIRS];
    char *buffer;
};

static struct sockaddr_un address_in(const char *dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", dir);
    return address;
}

static void cut(struct pair *pair)
{
    close(pair->client);
    close(pair->server);
    *pair = (struct pair){0};
}

static void accept_one(struct proxy *proxy)
{
    int client = accept(proxy->listener, NULL, NULL);
    struct sockaddr_un address = address_in(proxy->upstream);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    if (client < 0 || connect(server, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(client);
        close(server);
        return;
    }
    for (int i = 0; i < PAIRS; i++)
        if (proxy->pairs[i].client == 0) {
            proxy->pairs[i] = (struct pair){.client = client, .server = server};
            return;
        }
    close(client);
    close(server);
}

static bool is_marked(struct proxy *proxy, size_t n)
{
    bool marked = false;
    pthread_mutex_lock(&proxy->lock);
    if (proxy->times > 0 && memmem(proxy->buffer, n, proxy->text, strlen(proxy->text)) != NULL) {
        proxy->times--;
        marked = true;
    }
    pthread_mutex_unlock(&proxy->lock);
    return marked;
}

static void pass(struct proxy *proxy, struct pair *pair, bool from_client)
{
    int from = from_client ? pair->client : pair->server;
    int to = from_client ? pair->server : pair->client;
    ssize_t n = read(from, proxy->buffer, BUFFER);
    if (n > 0 && from_client)
        pair->deaf |= is_marked(proxy, (size_t)n);
    /* 'Z' begins ReadyForQuery: the transaction has ended before the wire is cut. */
    bool lost = !from_client && pair->deaf;
    if (lost && n > 0 && memchr(proxy->buffer, 'Z', (size_t)n) == NULL)
        return;
    if (n <= 0 || lost || write(to, proxy->buffer, (size_t)n) != n)
        cut(pair);
}

static void turn(struct proxy *proxy)
{
    struct pollfd fds[1 + 2 * PAIRS];
    struct pair *owners[1 + 2 * PAIRS] = {0};
    nfds_t n = 1;
    fds[0] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (int i = 0; i < PAIRS; i++) {
        struct pair *pair = &proxy->pairs[i];
        if (pair->client == 0)
            continue;
        owners[n] = owners[n + 1] = pair;
        fds[n++] = (struct pollfd){.fd = pair->client, .events = POLLIN};
        fds[n++] = (struct pollfd){.fd = pair->server, .events = POLLIN};
    }
    if (poll(fds, n, 20) <= 0 || atomic_load(&proxy->frozen))
        return;
    for (nfds_t i = 1; i < n; i++)
        if (fds[i].revents != 0 && owners[i]->client != 0)
            pass(proxy, owners[i], fds[i].fd == owners[i]->client);
    if (fds[0].revents != 0)
        accept_one(proxy);
}

static void *serve(void *arg)
{
    struct proxy *proxy = arg;
    while (!atomic_load(&proxy->ending))
        turn(proxy);
    return NULL;
}

struct proxy *proxy_new(const struct pg *pg)
{
    struct proxy *proxy = test_calloc(1, sizeof(*proxy));
    proxy->buffer = test_calloc(1, BUFFER);
    snprintf(proxy->dir, sizeof(proxy->dir), "/tmp/tb-proxy-XXXXXX");
    assert_non_null(mkdtemp(proxy->dir));
    snprintf(proxy->upstream, sizeof(proxy->upstream), "%s", pg->dir);
    snprintf(proxy->dsn, sizeof(proxy->dsn), "host=%s user=tongbao dbname=postgres", proxy->dir);
    struct sockaddr_un address = address_in(proxy->dir);
    proxy->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(proxy->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(proxy->listener, 64), 0);
    pthread_mutex_init(&proxy->lock, NULL);
    assert_int_equal(pthread_create(&proxy->thread, NULL, serve, proxy), 0);
    return proxy;
}

void proxy_free(struct proxy *proxy)
{
    struct sockaddr_un address = address_in(proxy->dir);
    atomic_store(&proxy->ending, true);
    pthread_join(proxy->thread, NULL);
    for (int i = 0; i < PAIRS; i++)
        if (proxy->pairs[i].client != 0)
            cut(&proxy->pairs[i]);
    close(proxy->listener);
    unlink(address.sun_path);
    rmdir(proxy->dir);
    test_free(proxy->buffer);
    test_free(proxy);
}

const char *proxy_dsn(const struct proxy *proxy)
{
    return proxy->dsn;
}

void proxy_lose_answer(struct proxy *proxy, const char *text, int times)
{
    pthread_mutex_lock(&proxy->lock);
    snprintf(proxy->text, sizeof(proxy->text), "%s", text);
    proxy->times = times;
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_freeze(struct proxy *proxy, bool frozen)
{
    atomic_store(&proxy->frozen, frozen);
}
