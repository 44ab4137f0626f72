/* A server in the test's own process: the test's thread turns the loop, clients run on a second
 * one. The owner behind it ("butler") answers by path:
 *
 *     /echo…   what it was told, a line for each thing
 *     /slow    after 1 to 4 ms on a fiber
 *     /wait    when server_release is called
 *     /204     no content
 *     /many    ten header fields and 200,000 bytes
 *     else     404 */
#ifndef TB_TESTS_HOUSE_H
#define TB_TESTS_HOUSE_H

#include "certs.h"
#include "http/guard/guard.h"
#include "http/server.h"
#include "runtime/loop.h"
#include "runtime/run.h"
#include <stdatomic.h>

struct server_fixture {
    struct tb_loop *loop;
    struct tb_server *server;
    struct tb_guard_counters counters;
    struct certs certs; /**< of the server, for "localhost" */
    struct certs ca;    /**< that may issue certificates of clients */
    int tls_fd, plain_fd;
    uint16_t tls_port, plain_port;
    char tls_host[32], plain_host[32]; /**< "localhost:4711" */
    bool full;                         /**< `begin` refuses */
    size_t begun, freed;               /**< exchanges */
    struct exchange *waiting;          /**< at /wait */
    struct exchange *spare;
    bool draining, drained;
};

struct server_kind {
    bool ask_for_certificate;
    bool trusts_ca;                            /**< verify them against server_fixture->ca */
    uint32_t connections, address_connections; /**< 0: default */
};

void server_open(struct server_fixture *server_fixture, const struct server_kind *kind);

/** Drain unless that has begun, check that nothing is left, free. */
void server_close(struct server_fixture *server_fixture);

/** Run `work(arg)` on a thread; then turn the loop until it returns. One at a time. */
void server_start(void (*work)(void *arg), void *arg);
void server_join(struct server_fixture *server_fixture);

/** Drain; server_fixture->drained tells when it is over. */
void server_drain(struct server_fixture *server_fixture, int64_t grace_ms);

/** Turn the loop until `*flag`, at most a minute. */
void server_until(struct server_fixture *server_fixture, const bool *flag);

/** Turn the loop for `ms`, or more, so that it has its turns on a busy machine, too. */
void server_turn(struct server_fixture *server_fixture, int64_t ms);

/** Answer what waits at /wait. */
void server_release(struct server_fixture *server_fixture);

/** A blocking TCP connection to the server, made without its help. */
int server_dial(uint16_t port);

#endif
