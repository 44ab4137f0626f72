/* One request on its way through the gateway, from the bytes that came in to the answer that goes
 * out. It is a run (runtime/run.h), so everything that takes a `struct tb_req *` takes an exchange;
 * the stages of pipeline.c fill it in, in order. Exchanges are pooled by the gateway of each
 * worker. */
#ifndef TB_GATEWAY_EXCHANGE_H
#define TB_GATEWAY_EXCHANGE_H

#include "gateway/trace.h"
#include "http/server.h"
#include "oauth/token/token.h"
#include "product/router.h"
#include "runtime/run.h"

struct tb_gateway;
struct tb_limit_set;
struct tb_limit_verdict;
struct tb_script_row;

enum {
    TB_QUERY_MAX = 16,         /**< query parameters of one request */
    TB_REPLY_HEADERS_MAX = 24, /**< header fields of one answer */
    TB_KEY_MAX = 255,          /**< bytes of an Idempotency-Key */
};

struct tb_query_value {
    struct tb_str name, value; /**< decoded */
};

struct tb_exchange {
    struct tb_run run; /**< first: an exchange is a run, a run is a request */
    struct tb_incoming in;
    struct tb_gateway *gateway;

    struct tb_match match;
    struct tb_str token;               /**< as it was sent */
    bool dpop_scheme;                  /**< it came as "Authorization: DPoP", not as Bearer */
    const struct tb_grant *grant;      /**< whose token it is; NULL on open routes */
    int64_t world_offset_ms;           /**< world time minus wall time */
    const struct tb_limit_set *limits; /**< of the app, from stage "entitle" to "limit" */
    json_t *json;                      /**< the body, freed with the arena */
    struct tb_str body;                /**< as handlers see it; what came is in.body */
    struct tb_query_value query[TB_QUERY_MAX];
    size_t query_n;

    struct tb_str key;    /**< Idempotency-Key, unquoted; absent */
    char fingerprint[65]; /**< hex, with the key */

    struct tb_script_row *script; /**< of the partner; NULL: it has none, or not for this route */
    int32_t script_version;       /**< that this request meets; 0: none */
    bool script_shapes;           /**< that version may have an on_response */
    json_t *script_input;         /**< what its hooks are given, once made */
    json_t *sent_body;            /**< the body as it came, where the script has changed it */
    const json_t *routed;         /**< what the script decided about the route, or NULL */
    bool replays; /**< idempotency replay: the stored answer is sent, the handler skipped */

    int status;
    struct tb_str reply;
    struct tb_header reply_headers[TB_REPLY_HEADERS_MAX];
    size_t reply_headers_n;
    size_t own_headers_n; /**< of these the gateway set before the handler ran */

    char trace_id[37];   /**< the server's own, the key of the trace */
    char request_id[37]; /**< the client's; where it sent none, as trace_id */
    char traceparent[56];
    struct tb_trace trace;
    int64_t started_ms; /**< loop clock */
    uint64_t started_ticks;
    bool ended; /**< its fiber is through */
    bool gone;  /**< libh2o has let go of it */
    struct tb_exchange *next_free;
};

static inline struct tb_exchange *tb_exchange_of(struct tb_req *req)
{
    return (struct tb_exchange *)req;
}

/** A stage: NULL lets the request pass, an error refuses it (with tb_fail's words). */
typedef tb_err (*tb_stage)(struct tb_exchange *x);

tb_err tb_stage_admit(struct tb_exchange *x);
tb_err tb_stage_route(struct tb_exchange *x);
tb_err tb_stage_authenticate(struct tb_exchange *x);
tb_err tb_stage_constrain(struct tb_exchange *x);
tb_err TB_SUSPENDS tb_stage_entitle(struct tb_exchange *x);
tb_err tb_stage_limit(struct tb_exchange *x);
tb_err tb_stage_query(struct tb_exchange *x);
tb_err tb_stage_body(struct tb_exchange *x);
tb_err TB_SUSPENDS tb_stage_script_before(struct tb_exchange *x);
tb_err TB_SUSPENDS tb_stage_schema(struct tb_exchange *x);
tb_err TB_SUSPENDS tb_stage_consent(struct tb_exchange *x);
tb_err tb_stage_idempotency(struct tb_exchange *x);
tb_err TB_SUSPENDS tb_stage_handler(struct tb_exchange *x);
tb_err TB_SUSPENDS tb_stage_script_after(struct tb_exchange *x);
tb_err tb_stage_reply_schema(struct tb_exchange *x);

/** Give the exchange its trace id, its request id (the client's, when it is a UUID) and its trace
 * context, and put the headers that every answer carries. Source: RFC 9562; W3C Trace Context. */
void tb_exchange_name(struct tb_exchange *x);

/** Turn the failure `err` into the answer: a problem document, or what the route's flags ask for,
 * and its headers. */
void tb_exchange_refuse(struct tb_exchange *x, tb_err err);

/** Add the WWW-Authenticate that goes with `err`, if any does. */
void tb_exchange_challenge(struct tb_exchange *x, tb_err err);

/** Set the answer; `type` and `body` are borrowed and live as long as the request. An absent body,
 *  unless the status is 204 or 303, means that memory ran out. */
tb_err TB_NODISCARD tb_exchange_reply(struct tb_exchange *x, int status, struct tb_str type,
                                      struct tb_str body);

/** Read the request's Idempotency-Key into x->key.
 *  @return NULL; TB_E_KEY_INVALID. There must be one. */
tb_err TB_NODISCARD tb_exchange_key(struct tb_exchange *x);

/** Refuse for a limit: the problem says which, and how long to wait. */
tb_err TB_NODISCARD tb_exchange_limited(struct tb_exchange *x,
                                        const struct tb_limit_verdict *verdict);

/** Add a header to the answer; name and value are borrowed. False when there are too many, and when
 *  the value is absent because memory ran out. */
bool tb_exchange_header(struct tb_exchange *x, struct tb_str name, struct tb_str value);

/** Pages: read limit and cursor, and write a list with signed cursors (cursor.c). */
tb_err TB_NODISCARD tb_exchange_page(struct tb_req *req, struct tb_page *out_page);
tb_err TB_NODISCARD tb_exchange_reply_page(struct tb_req *req, const struct tb_page *page,
                                           const struct tb_rows *rows);

#endif
