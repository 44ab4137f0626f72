/* Token ids in shared memory, each until its token expires. One set says which tokens are revoked,
 * another which one-use tokens (DPoP proofs, client assertions) have been seen. All workers read
 * and write without locks, so that one that is killed leaves nothing locked.
 *
 *     struct tb_jti_set *seen = tb_jti_set_init(memory, tb_jti_set_bytes(65536));     // the master
 *     if (tb_jti_set_add(seen, (struct tb_str[]){client, jti}, 2, exp_s, now_s) != TB_JTI_NEW)
 *         return tb_fail(...);                                                        // a worker
 *
 * A set keeps 44 bits of a keyed digest of each id. So it can take one id for another, with a
 * chance of 1 in 10^12 for each question, and errs on the safe side: it refuses. */
#ifndef TB_CRYPTO_JTI_SET_H
#define TB_CRYPTO_JTI_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

#define TB_JTI_LIFE_MAX_S (INT64_C(90) * 86400) /**< farthest expiry a set can express */

struct tb_jti_set;

/** Bytes to map for a set of at least `entries`. */
size_t tb_jti_set_bytes(size_t entries);

/** Make `memory` (zeroed, shared, aligned to a page) an empty set with a random key. */
struct tb_jti_set *tb_jti_set_init(void *memory, size_t bytes);

enum tb_jti {
    TB_JTI_NEW,  /**< it was not in the set and now is */
    TB_JTI_SEEN, /**< it was already there; of several who add it at once at most one hears NEW */
    TB_JTI_FULL, /**< no room, or it expires too late to be kept: treat it as a refusal */
};

/** Add an id made of `n` parts (client and jti, say) until `expires_s`. An id whose time has passed
 * is forgotten within 16 s. */
enum tb_jti TB_NODISCARD tb_jti_set_add(struct tb_jti_set *set, const struct tb_str *parts,
                                        size_t n, int64_t expires_s, int64_t now_s);

/** Whether an id is in the set. */
bool tb_jti_set_has(const struct tb_jti_set *set, const struct tb_str *parts, size_t n,
                    int64_t now_s);

/** Changes whenever an id is added: who has asked at one generation need not ask again before the
 *  next. */
uint64_t tb_jti_set_generation(const struct tb_jti_set *set);

#endif
