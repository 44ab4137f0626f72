/* One request at a time in the hands of a gateway that has everything but a network and tokens, and
 * a database where the test has one: a loop, a configuration, metrics, traces, an access log, and
 * one operation whose route, schemas and handler the test sets. Stages are called by hand, one or
 * all.
 *
 *     fixture_open(&f);
 *     struct tb_exchange *x = fixture_request(&f, "POST", "/shop/v1/things");
 *     x->in.body = TB_STR("{}");
 *     assert_string_equal(fixture_stage(&f, tb_stage_body), "ok");
 *     fixture_close(&f);
 */
#ifndef TB_TESTS_EXCHANGE_FIXTURE_H
#define TB_TESTS_EXCHANGE_FIXTURE_H

#include "../unit.h"

#include <stdint.h>

#include "gateway/gateway.h"

enum { FIXTURE_HEADERS = 8 };

struct fixture {
    struct tb_loop *loop;
    struct tb_config *config;
    struct tb_config settings; /**< `config` with what a test changed; what the gateway reads */
    struct tb_host host;       /**< of products; a test replaces `query` and `call` */
    struct tb_gateway_parts parts;
    struct tb_gateway *gateway;
    struct tb_exchange *x; /**< the request; NULL before the first */
    struct tb_header headers[FIXTURE_HEADERS];
    bool quarantined;

    struct tb_plugin plugin;       /**< "shop" */
    struct tb_route route;         /**< of the operation; renewed with each request */
    struct tb_operation operation; /**< "POST /shop/v1/things" until the test says otherwise */

    struct tb_arena *own; /**< of the exchange, while it has a smaller one */
    void *metrics_memory, *traces_memory;
    int access_fd;
};

void fixture_open(struct fixture *f);

/** The same with a store on the database of this connection string, and it is up. */
void fixture_open_on(struct fixture *f, const char *dsn);
void fixture_close(struct fixture *f);

/** What the gateway is made of, to be changed between two requests. */
struct tb_gateway_parts *fixture_parts(struct fixture *f);

/** A request that has arrived and met the route: method and path as they came. What the request
 * before it left is gone, as it is in a worker. */
struct tb_exchange *fixture_request(struct fixture *f, const char *method, const char *path);

/** Give the operation these flags. */
void fixture_flags(struct fixture *f, uint32_t flags);

/** Add a header field; texts are borrowed. */
void fixture_header(struct fixture *f, const char *name, const char *value);

/** Let the request have no more memory than `cap` bytes, until the next request. */
void fixture_starve(struct fixture *f, size_t cap);

/** One stage. @return the code it refused with, or "ok" */
const char *fixture_stage(struct fixture *f, tb_stage stage);

/** The same on a fiber, for what waits. */
const char *fixture_wait(struct fixture *f, tb_stage stage);

/** The detail of the problem, "" for none. */
const char *fixture_detail(const struct fixture *f);

/** The first place of the problem as tb_fail_at writes places: "/amount", "?limit", "if-match:";
 *  "none" when there is none. Valid until the next call. */
const char *fixture_place(const struct fixture *f);

/** The value of a header of the answer, the last of that name; NULL: it is not there. Valid until
 *  the next call. */
const char *fixture_reply_header(const struct fixture *f, const char *name);

/** The body of the answer as text. Valid until the next call. */
const char *fixture_reply(const struct fixture *f);

/** What the access log has got since the last call. Valid until the next. */
const char *fixture_access_log(struct fixture *f);

/** Call `once` with less and less memory than it needs, down to none, each time for a new request.
 *  @param once  makes its request by fixture_request, calls fixture_starve(f, cap) and judges:
 *               true: as well as with all memory; false: refused for want of it
 *  Fails unless with all memory it is good, with none it is not. */
void fixture_famine(struct fixture *f, bool (*once)(struct fixture *f, size_t cap));

#endif
