/* The HTTP server of a worker: libh2o on the worker's loop behind TLS, with the guard in front. It
 * knows nothing of routes: it fills a `struct tb_incoming` that its owner provides and hands it over;
 * the owner answers with tb_http_reply, then or later, from any fiber of the same loop.
 *
 * Life of an incoming request: `begin` (owner gives the struct and its arena) → `request` → owner
 * replies → `gone`, exactly once, when libh2o lets go of the request: after the answer was handed to
 * the connection, or because the client left. After `gone`, replies are swallowed. Everything the
 * struct points to is in the owner's arena, so it stays readable after `gone`. */
#ifndef TB_HTTP_SERVER_H
#define TB_HTTP_SERVER_H

#include "base/arena.h"
#include "base/config.h"
#include "runtime/loop.h"
#include <tongbao/error.h>
#include <tongbao/types.h>

struct tb_header {
    struct tb_str name; /**< lower case */
    struct tb_str value;
};

/** One request from a client. */
struct tb_incoming {
    struct tb_arena *arena;
    struct tb_str method;
    struct tb_str path;      /**< decoded once and normalised; begins with "/" */
    struct tb_str raw_query; /**< behind "?", not decoded; absent when there is none */
    struct tb_str authority; /**< one of the configured hosts, port included if it was sent */
    const struct tb_header *headers;
    size_t headers_n;
    struct tb_str authorization; /**< the usual fields, found once; absent when not sent */
    struct tb_str content_type;
    struct tb_str idempotency_key;
    struct tb_str request_id;   /**< x-request-id, else x-fapi-interaction-id */
    struct tb_str traceparent;
    struct tb_str body;
    struct tb_str client_certificate; /**< DER of the verified or self-signed TLS client certificate */
    bool client_verified;             /**< it chains to the configured CA */
    char peer[48];                    /**< numeric address, no port */
    uint16_t http_version;            /**< 0x101, 0x200 */
    uint8_t refused; /**< how many of these fields came twice although they must not */
    void *link;      /**< the server's side; NULL once gone */
    void *work;      /**< the guard's count of backend work */
};

/** The owner's side. All are called on the loop, outside any fiber. */
struct tb_http_owner {
    /** A struct for a request that is arriving, with its arena; NULL refuses with 503. */
    struct tb_incoming *(*begin)(void *owner);
    void (*request)(void *owner, struct tb_incoming *in);
    void (*gone)(void *owner, struct tb_incoming *in);
};

struct tb_server;

/** Make a server on the loop from the configuration (TLS files, limits, hosts, guard budgets).
 *  `guard_counters` lies in shared memory. *out_why gets a sentence when it refuses.
 *  @return the server or NULL */
struct tb_server *tb_server_new(struct tb_loop *loop, const struct tb_config *config,
                                const struct tb_http_owner *calls, void *owner,
                                void *guard_counters, const char **out_why);

/** Begin to accept on a listening socket (borrowed). Connections of all workers share it. */
void tb_server_listen(struct tb_server *server, int fd);

/** Stop accepting, send GOAWAY / `connection: close`, and call `drained` once the last connection is
 *  closed or the grace time is over. */
void tb_server_drain(struct tb_server *server, int64_t grace_ms, void (*drained)(void *owner));

/** Load certificate and key again from the configured files; keeps the old ones on error. */
tb_err TB_NODISCARD tb_server_reload_tls(struct tb_server *server, const char **out_why);

/** Answer. `body` and the headers' bytes must live until `gone` (the arena does). `content-length`
 *  and `date` are added. Swallowed when the client is gone. */
void tb_http_reply(struct tb_incoming *in, int status, const struct tb_header *headers,
                   size_t headers_n, struct tb_str body);

/** The value of a header field, name in lower case; absent when not sent. */
struct tb_str tb_http_header(const struct tb_incoming *in, struct tb_str name);

struct tb_http_stats {
    uint64_t accepted, refused, requests;
    size_t connections, requests_open;
};
struct tb_http_stats tb_server_stats(const struct tb_server *server);

#endif
