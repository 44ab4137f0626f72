/* The HTTP server of a worker: libh2o on the worker's loop behind TLS, with the guard in front. It
 * knows nothing of routes: it fills a `struct tb_incoming` that its owner provides and hands it
 * over; the owner answers with tb_http_reply, then or later, from any fiber of the same loop.
 *
 * Life of an incoming request: `begin` (owner gives the struct and its arena) → `request` → owner
 * replies → `gone`, exactly once, when libh2o lets go of the request: after the answer was handed
 * to the connection, or because the client left. After `gone`, replies are swallowed. Everything
 * the struct points to is in the owner's arena or constant, so it stays readable after `gone`. When
 * the owner's own work for the request has ended, before or after `gone`, it calls tb_http_done,
 * once.
 *
 * Requests that no owner should see are answered here with a problem: a foreign authority (421), a
 * target that is not a clean path (400, 414), no room (503, 413, 431). */
#ifndef TB_HTTP_SERVER_H
#define TB_HTTP_SERVER_H

#include "base/arena.h"
#include "runtime/loop.h"
#include <tongbao/error.h>
#include <tongbao/types.h>

struct tb_config;
struct tb_guard_counters;
struct tb_guard_limits;

struct tb_header {
    struct tb_str name; /**< lower case */
    struct tb_str value;
};

/** One request from a client. */
struct tb_incoming {
    struct tb_arena *arena; /**< set by the owner in `begin`; the server sets all the rest */
    struct tb_str method;
    struct tb_str path;      /**< decoded once and checked; begins with "/" */
    struct tb_str raw_path;  /**< as it was sent */
    struct tb_str raw_query; /**< behind "?", not decoded; absent when there is none */
    struct tb_str authority; /**< the configured host it is for, as configured */
    const struct tb_header *headers;
    size_t headers_n;
    struct tb_str authorization; /**< the usual fields, found once; absent when not sent */
    struct tb_str content_type;
    struct tb_str content_encoding; /**< the first that is not "identity" */
    struct tb_str idempotency_key;  /**< idempotency-key, else x-idempotency-key */
    struct tb_str request_id;       /**< x-request-id, else x-fapi-interaction-id; not checked */
    struct tb_str interaction_id;   /**< x-fapi-interaction-id; not checked */
    struct tb_str traceparent;
    struct tb_str origin; /**< what a browser says of the page the request is of */
    struct tb_str body;
    struct tb_str client_certificate;     /**< DER of the TLS client certificate, verified or not */
    struct tb_str certificate_thumbprint; /**< its x5t#S256 (RFC 8705 §3.1); absent without one */
    bool client_verified;                 /**< it chains to the configured CA */
    char peer[48];                        /**< numeric address, no port */
    uint16_t http_version;                /**< 0x100, 0x101, 0x200 */
    const char *repeated; /**< a field that came again although it must be single: authorization,
                               content-type, idempotency-key (both names count as one); constant */
    void *link;           /**< the server's side; NULL once gone */
    void *work;           /**< the guard's count of backend work; NULL once done */
};

/** The owner's side. All are called on the loop, outside any fiber. */
struct tb_http_owner {
    /** A struct for a request that is arriving, with its arena; NULL refuses with 503. */
    struct tb_incoming *(*begin)(void *owner);
    /** The request is complete. Not called for one that was refused after `begin`. */
    void (*request)(void *owner, struct tb_incoming *in);
    void (*gone)(void *owner, struct tb_incoming *in);
};

/** What a server needs to know; tb_server_new takes it from the configuration. */
struct tb_http_setup {
    const char *const *hosts;      /**< served authorities, "host" or "host:port", lower case */
    size_t hosts_n;                /**< at least 1 */
    const char *certificate, *key; /**< PEM files; NULL: no TLS listener is allowed */
    const char *client_ca;         /**< PEM file: whose certificates count as verified; or NULL */
    bool plain_h2;                 /**< HTTP/2 by prior knowledge on plain listeners */
    size_t body_bytes;             /**< largest request body */
    int64_t handshake_ms;          /**< from accept to the end of the TLS handshake */
    int64_t head_ms;               /**< HTTP/1: for a whole request to arrive, and between two */
    int64_t idle_ms;               /**< HTTP/2 without a request */
    struct tb_str problem_base;    /**< see struct tb_problem_of */
    struct tb_guard_limits *guard; /**< budgets of the guard; NULL: its defaults */
};

struct tb_server;

/** Make a server on the loop. Ignores SIGPIPE for the process. One server a process: the guard is
 * one.
 *  @param setup     borrowed during the call
 *  @param counters  in memory shared by the workers; borrowed
 *  @param out_why   gets a sentence when it refuses: a TLS file cannot be used, or the guard is not
 * in force (tb_guard_check)
 *  @return the server or NULL */
struct tb_server *tb_server_open(struct tb_loop *loop, const struct tb_http_setup *setup,
                                 const struct tb_http_owner *calls, void *owner,
                                 struct tb_guard_counters *counters, const char **out_why);

/** The same from the configuration (TLS files, limits, hosts, guard budgets). */
struct tb_server *tb_server_new(struct tb_loop *loop, const struct tb_config *config,
                                const struct tb_http_owner *calls, void *owner,
                                struct tb_guard_counters *counters, const char **out_why);

/** How a listener receives its clients. Sessions of one kind cannot be resumed at another. */
enum tb_listener_kind {
    TB_LISTENER_TLS,  /**< asks no client for a certificate */
    TB_LISTENER_MTLS, /**< asks each for one, which it may decline and which need not be verified */
    TB_LISTENER_PLAIN, /**< HTTP/1.1 without TLS, for a loopback listener only */
};

/** Begin to accept on a listening, non-blocking socket (borrowed). Connections of all workers share
 * it. */
void tb_server_listen(struct tb_server *server, int fd, enum tb_listener_kind door);

/** Stop accepting, send GOAWAY / `connection: close`, and call `drained` once the last connection
 * is closed or the grace time is over; what is open then has been cut. */
void tb_server_drain(struct tb_server *server, int64_t grace_ms, void (*drained)(void *owner));

/** Free a server whose connections are all closed and whose work is done (after `drained`). */
void tb_server_free(struct tb_server *server);

/** Load certificate, key and client_ca again from the configured files; keeps the old ones on
 * error.
 */
bool TB_NODISCARD tb_server_reload_tls(struct tb_server *server, const char **out_why);

/** Answer. `body` and the headers' bytes must live until `gone` (the arena does). `content-length`
 *  and `date` are added; a HEAD request gets the length without the body. Swallowed when the client
 * is gone. Once per request.
 *  @param headers  names in lower case; no connection, date or content-length among them */
void tb_http_reply(struct tb_incoming *in, int status, const struct tb_header *headers,
                   size_t headers_n, struct tb_str body);

/** The owner's work for this request has ended: it no longer counts against its connection. */
void tb_http_done(struct tb_incoming *in);

/** The value of a header field, name in lower case; the first when sent again; absent when not
 * sent. */
struct tb_str tb_http_header(const struct tb_incoming *in, struct tb_str name);

struct tb_http_stats {
    uint64_t accepted; /**< connections */
    uint64_t refused;  /**< connections closed at accept: too many */
    uint64_t starved;  /**< times accepting paused for want of descriptors or memory */
    uint64_t requests; /**< requests that reached the owner */
    uint64_t rejected; /**< requests answered here with a problem */
    size_t connections, requests_open;
};
struct tb_http_stats tb_server_stats(const struct tb_server *server);

#endif
