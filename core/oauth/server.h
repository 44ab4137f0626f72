/* The authorization server of a process: what its endpoints are made of. There is one in each
 * worker, opened before the first request is served; everything in this room finds it here instead
 * of being handed it.
 *
 *     tb_oauth_open(&parts);                               // the worker, once
 *     ... tb_oauth()->config->issuer ...                   // any handler
 */
#ifndef TB_OAUTH_SERVER_H
#define TB_OAUTH_SERVER_H

#include "base/secret.h"
#include "config/config.h"
#include "crypto/jti_set.h"
#include "crypto/keystore.h"
#include "http/outbound/outbound.h"
#include "runtime/loop.h"
#include "store/pool.h"

struct tb_revocations;
struct tb_registry;
struct tb_token_checker;

/** All borrowed; all outlive the process's last request. */
struct tb_oauth_parts {
    struct tb_loop *loop;
    const struct tb_config *config;
    struct tb_store *store;
    struct tb_http_client *outbound;   /**< for clients' jwks_uri and notifications */
    struct tb_keystore *token_keys;    /**< sign access tokens, which the bank's own edge reads */
    struct tb_keystore *response_keys; /**< sign what clients read: id tokens, JARM, and the like */
    struct tb_token_checker *tokens;   /**< mints and checks access tokens */
    struct tb_jti_set *proofs;         /**< DPoP proofs seen, shared by the workers */
    struct tb_revocations *revocations; /**< access tokens and grants withdrawn */
    struct tb_secret master;            /**< keys of other purposes are derived from it */
    const struct tb_registry *registry; /**< the products: their detail types and scopes */
    struct tb_str scopes;               /**< all that are served, blank-separated, and "openid" */
};

/** Keep a copy of `parts` and make what this room derives from them. Called again, it replaces
 *  them. */
void tb_oauth_open(const struct tb_oauth_parts *parts);

/** The parts. Opened before, or the process ends. */
const struct tb_oauth_parts *tb_oauth(void);

/** Seconds since 1970 by the wall clock as of this turn of the loop: tokens, codes and proofs live
 *  by it, not by the time of a world. */
int64_t tb_oauth_now_s(struct tb_req *req);

#endif
