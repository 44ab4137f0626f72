/* Access grant, what a verified access token allows: parsed once, shared by all requests that carry
 * the token, never changed. A grant is counted; whoever keeps one over a wait holds a count of it.
 *
 *     struct tb_grant *grant = tb_token_cache_find(cache, token, now_s);
 *     tb_arena_defer(arena, tb_grant_drop_any, grant); // the request's count ends with its arena
 */
#ifndef TB_CRYPTO_GRANT_H
#define TB_CRYPTO_GRANT_H

#include <stdbool.h>
#include <stdint.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

enum { TB_GRANT_SCOPES_MAX = 64 };

enum tb_env { TB_ENV_SANDBOX, TB_ENV_LIVE };

struct tb_grant {
    struct tb_str partner; /**< "ptr_…" */
    struct tb_str app;     /**< "app_…", the OAuth client */
    struct tb_str subject; /**< whom the token speaks for; the app itself when nobody consented */
    struct tb_str jti;
    struct tb_str family;  /**< "grn_…", what the customer granted; absent: client credentials */
    struct tb_str consent; /**< "cns_…" whose rules each use is held against, or absent */
    struct tb_str details; /**< authorization_details as JSON text (RFC 9396), or absent */
    enum tb_env env;
    int32_t book;       /**< of the world it may enter, 1..65535 */
    int64_t exp_s;      /**< first second at which it no longer counts */
    struct tb_str cert; /**< cnf x5t#S256 (RFC 8705): bound to this client certificate, or absent */
    struct tb_str dpop; /**< cnf jkt (RFC 9449): bound to this proof key, or absent */
    const struct tb_str *scopes;
    size_t scopes_n;

    size_t bytes;  /**< memory it takes, set by tb_grant_new */
    uint32_t refs; /**< not atomic: a grant stays in the worker that made it */
};

/** A copy of `from` with all its texts, in one piece of memory and with one count, the caller's. */
struct tb_grant *tb_grant_new(const struct tb_grant *from);

/** One more count; one less. The last one frees. */
struct tb_grant *tb_grant_keep(struct tb_grant *grant);
void tb_grant_drop(struct tb_grant *grant);

/** tb_grant_drop in the shape of an arena's cleanup. */
void tb_grant_drop_any(void *grant);

/** Whether `scope` is one of the grant's, compared whole and exactly. */
bool tb_grant_allows(const struct tb_grant *grant, struct tb_str scope);

#endif
