/* The buckets of the rate limits in shared memory: a hash table whose places are never emptied,
 * only given to another key once their bucket is full again, which loses nothing. A bucket is one
 * 64-bit word moved by compare-and-swap. Nobody waits for a lock: a process killed at any point
 * stops nobody. */
#ifndef TB_GATEWAY_LIMIT_TABLE_H
#define TB_GATEWAY_LIMIT_TABLE_H

#include "gateway/limit.h"
#include <stdatomic.h>

/** The clock of the buckets ticks 16 times a ns, so that large quotas have whole intervals, too. */
#define TB_LIMIT_TICKS_PER_S (INT64_C(16) * 1000000000)

/** Which bucket; neither half is 0. */
struct tb_limit_key {
    uint64_t low, high;
};

/** When a bucket will be full again, in ticks: the theoretical arrival time of GCRA. Negative while
 * it is being given to another key, and then to be looked up again. */
typedef _Atomic int64_t tb_limit_cell;

/** Where a key's bucket is. */
struct tb_limit_place {
    tb_limit_cell *cell;
    const struct tb_limit_slot *slot; /**< NULL: a shared bucket */
};

/** Find or make the bucket of `key`. When all places around are busy it is a bucket shared by keys
 * of windows of about the same length.
 *  @param depth  ticks of the window's whole quota
 *  @param now    ticks */
struct tb_limit_place tb_limit_place_find(struct tb_limiter *limiter, struct tb_limit_key key,
                                          int64_t depth, int64_t now);

/** The shared bucket of `key`. */
struct tb_limit_place tb_limit_place_shared(struct tb_limiter *limiter, struct tb_limit_key key,
                                            int64_t depth);

/** Whether the place is still the key's own. Shared buckets are anyone's. */
bool tb_limit_place_holds(struct tb_limit_place place, struct tb_limit_key key);

#endif
