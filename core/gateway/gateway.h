/* The gateway of one worker: it owns the exchanges, knows the operations, and carries every request
 * through the stages (gateway/stage/pipeline.c).
 *
 *     struct tb_gateway *gateway = tb_gateway_new(&parts);
 *     server = tb_server_new(loop, config, tb_gateway_calls(), gateway, …);
 */
#ifndef TB_GATEWAY_GATEWAY_H
#define TB_GATEWAY_GATEWAY_H

#include "base/error_words.h"
#include "config/config.h"
#include "gateway/exchange.h"

struct tb_apps;
struct tb_guard_counters;
struct tb_hmac;
struct tb_keystore;
struct tb_limiter;
struct tb_metrics;
struct tb_scripts;
struct tb_sink;
struct tb_store;
struct tb_token_checker;
struct tb_traces;
struct tb_worlds;

/** What a gateway is made of; all borrowed, all outlive it. */
struct tb_gateway_parts {
    struct tb_loop *loop;
    const struct tb_config *config;
    const struct tb_host *host; /**< services for handlers; core/gateway/host.c */
    struct tb_store *store;
    struct tb_token_checker *tokens;
    struct tb_keystore *keys;
    struct tb_worlds *worlds;
    struct tb_apps *apps;
    struct tb_limiter *limiter;
    struct tb_scripts *scripts; /**< NULL: no partner has one */
    struct tb_metrics *metrics;
    const struct tb_guard_counters *guard;
    struct tb_sink *access_log;
    const struct tb_router *router;
    struct tb_operation *const *operations;
    size_t operations_n;
    struct tb_traces *traces;
    struct tb_hmac *cursor_key;
    tb_err (*error_by_code)(struct tb_str code); /**< NULL when there is no such error */
    const struct tb_error_words *(*error_words)(const char *code, enum tb_lang lang);
    /** Whether the products are well; else *out_product is not. NULL: they are not asked. */
    tb_err (*health)(void *owner, const char **out_product);
    /** Carries an exchange through its stages, on its fiber: tb_pipeline_run. Waits. */
    tb_err (*run)(struct tb_exchange *x);
    const char *const *stage_names; /**< in order, ends with NULL */
    /** Told of each exchange when it is recorded and before it is answered; NULL: nobody is. */
    void (*ended)(struct tb_exchange *x);
    bool (*quarantined)(void *owner,
                        const struct tb_exchange *x); /**< twice brought a worker down */
    void *owner;
};

struct tb_gateway;

struct tb_gateway *tb_gateway_new(const struct tb_gateway_parts *parts);
const struct tb_gateway_parts *tb_gateway_parts(const struct tb_gateway *gateway);

/** What the server calls; the owner is the gateway. */
const struct tb_http_owner *tb_gateway_calls(void);

/** Requests that have not ended. */
size_t tb_gateway_open(const struct tb_gateway *gateway);

#endif
