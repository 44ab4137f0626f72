/* What tests of the authorization server stand on: a loop, its parts, a PostgreSQL with the books
 * when they are wanted, and visits: requests made by hand, each on a fiber of its own. */
#ifndef TB_TESTS_DESK_H
#define TB_TESTS_DESK_H

#include "../store/pg.h"
#include "http/server.h"
#include "oauth/server.h"
#include "runtime/run.h"

enum { FIXTURE_HEADERS_MAX = 8 };

#define FIXTURE_ISSUER      "https://bank.example"
#define FIXTURE_MTLS_ORIGIN "https://mtls.bank.example:8444"

struct fixture {
    struct pg pg;
    struct tb_loop *loop;
    struct tb_config *config;
    struct tb_config settings; /**< `config` with what a test changed; what the parts point to */
    struct tb_registry *registry;
    struct tb_oauth_parts parts;
    bool books;
};

/** @param books  with a PostgreSQL that has the migrations of store, bank and oauth */
void fixture_open(struct fixture *fixture, bool books);
void fixture_close(struct fixture *fixture);

/** One request. Set what it brings in `in` before; keep it until it has ended. */
struct visit {
    struct tb_run run;
    struct tb_incoming in;
    struct tb_header headers[FIXTURE_HEADERS_MAX];
    tb_err (*act)(struct visit *visit);
    void *arg; /**< for `act` */
    tb_err err;
    char detail[256]; /**< of the problem */
    bool ended;
    int64_t took_us;
};

static inline struct visit *visit_of(struct tb_req *req)
{
    return (struct visit *)req;
}

/** Add a header field. */
void visit_header(struct visit *visit, const char *name, struct tb_str value);

/** Start `visit` on a fiber. `run.arena` is there already if the test made one. */
void fixture_start(struct fixture *fixture, struct visit *visit,
                   tb_err (*act)(struct visit *visit));

/** Take turns until these have ended, 20 s at most. */
void fixture_wait(struct fixture *fixture, const struct visit *visits, size_t n);

/** Start one and wait for it. @return the code of its error, or "ok" */
const char *fixture_do(struct fixture *fixture, struct visit *visit,
                       tb_err (*act)(struct visit *visit));

/** DER of a certificate with a key of its own, in `arena`.
 *  @param subject  its common name
 *  @param names    alternative names as OpenSSL's configuration writes them; NULL: none
 *  @param days     from now to its end; negative: it has ended */
struct tb_str fixture_certificate(struct tb_arena *arena, const char *subject, const char *names,
                                  int days);

#endif
