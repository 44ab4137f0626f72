/* Verified tokens of one worker: a signature is checked once, then the token's bytes are
 * recognised. A hit means that exactly these bytes verified before, have not expired and are not
 * revoked.
 *
 *     struct tb_grant *grant = tb_token_cache_find(cache, token, now_s);
 *     if (grant == NULL) {
 *         ... verify, then ...
 *         if (!tb_token_cache_add(cache, token, grant, now_s))
 *             ... revoked ...
 *     }
 *
 * Refusals are never cached: what a stranger sends takes no room. Nothing here waits. */
#ifndef TB_CRYPTO_TOKEN_CACHE_H
#define TB_CRYPTO_TOKEN_CACHE_H

#include "crypto/grant.h"
#include "crypto/jti_set.h"

struct tb_token_cache;

struct tb_token_cache_stats {
    uint64_t hits, misses;
    uint64_t evicted; /**< for want of room */
    uint64_t dropped; /**< found, but expired or revoked */
    size_t entries, bytes;
};

/** @param entries_max  tokens it may hold
 *  @param bytes_max    memory of tokens and grants together
 *  @param revoked      ids of revoked tokens, of grants that have ended and of apps that are
 *                      gone, one part each;
 * borrowed; NULL: none ever is */
struct tb_token_cache *tb_token_cache_new(size_t entries_max, size_t bytes_max,
                                          const struct tb_jti_set *revoked);
void tb_token_cache_free(struct tb_token_cache *cache);

/** The grant of a token verified before, with a count for the caller; NULL when it must be
 * verified. */
struct tb_grant *tb_token_cache_find(struct tb_token_cache *cache, struct tb_str token,
                                     int64_t now_s);

/** Remember a token that has just been verified, unless it is revoked; the cache takes a count of
 * its own. What was not used lately gives way.
 *  @return false when the token is revoked: it must be refused */
bool TB_NODISCARD tb_token_cache_add(struct tb_token_cache *cache, struct tb_str token,
                                     struct tb_grant *grant, int64_t now_s);

/** Forget everything: keys or configuration have changed. */
void tb_token_cache_clear(struct tb_token_cache *cache);

struct tb_token_cache_stats tb_token_cache_stats(const struct tb_token_cache *cache);

#endif
