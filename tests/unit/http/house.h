/* A server in the test's own process: the test's thread turns the loop, clients run on a second
 * one. The owner behind it ("butler") answers by path:
 *
 *     /echo…   what it was told, a line for each thing
 *     /slow    after 1 to 4 ms on a fiber
 *     /wait    when house_release is called
 *     /204     no content
 *     /many    ten header fields and 200,000 bytes
 *     else     404 */
#ifndef TB_TESTS_HOUSE_H
#define TB_TESTS_HOUSE_H

#include "http/guard/guard.h"
#include "http/server.h"
#include "paper.h"
#include "runtime/loop.h"
#include "runtime/run.h"
#include <stdatomic.h>

struct house {
    struct tb_loop *loop;
    struct tb_server *server;
    struct tb_guard_counters counters;
    struct paper paper; /**< of the server, for "localhost" */
    struct paper ca;    /**< that may issue certificates of clients */
    int tls_fd, plain_fd;
    uint16_t tls_port, plain_port;
    char tls_host[32], plain_host[32]; /**< "localhost:4711" */
    bool full;                         /**< `begin` refuses */
    size_t begun, freed;               /**< exchanges */
    struct exchange *waiting;          /**< at /wait */
    struct exchange *spare;
    bool draining, drained;
};

struct house_kind {
    bool ask_for_certificate;
    bool trusts_ca;                            /**< verify them against house->ca */
    uint32_t connections, address_connections; /**< 0: default */
};

void house_open(struct house *house, const struct house_kind *kind);

/** Drain unless that has begun, check that nothing is left, free. */
void house_close(struct house *house);

/** Run `work(arg)` on a thread; then turn the loop until it returns. One at a time. */
void house_start(void (*work)(void *arg), void *arg);
void house_join(struct house *house);

/** Drain; house->drained tells when it is over. */
void house_drain(struct house *house, int64_t grace_ms);

/** Turn the loop until `*flag`, at most a minute. */
void house_until(struct house *house, const bool *flag);

/** Turn the loop for `ms`, or more, so that it has its turns on a busy machine, too. */
void house_turn(struct house *house, int64_t ms);

/** Answer what waits at /wait. */
void house_release(struct house *house);

/** A blocking TCP connection to the server, made without its help. */
int house_dial(uint16_t port);

#endif
