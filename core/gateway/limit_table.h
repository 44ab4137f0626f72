/* The buckets in shared memory: a hash table that only grows, whose full buckets are given to
 * another key when it is crowded. A bucket is one 64-bit word, moved by compare-and-swap; no lock
 * is waited for, so a process that is killed at any point stops nobody. */
#ifndef TB_GATEWAY_LIMIT_TABLE_H
#define TB_GATEWAY_LIMIT_TABLE_H

#include "gateway/limit.h"
#include <stdatomic.h>

/** The clock of the buckets: 1/16 ns, so that also large quotas have whole intervals. */
#define TB_LIMIT_TICKS_PER_NS INT64_C(16)

/** Which bucket: never zero in either half. */
struct tb_limit_key {
    uint64_t low, high;
};

/** A bucket: when it will be full again (theoretical arrival time), in ticks. */
typedef _Atomic int64_t tb_limit_cell;

/** A bucket that is being given to another key; to be looked up again. Other negative values are
 * the same, at an earlier attempt. */
static inline bool tb_limit_moving(int64_t value)
{
    return value < 0;
}

struct tb_limit_place {
    tb_limit_cell *cell;
    struct tb_limit_slot *slot; /**< NULL: a shared bucket */
};

/** Find or make the bucket of `key`. Always finds one: in a crowded neighbourhood a shared bucket.
 */
struct tb_limit_place tb_limit_place_find(struct tb_limiter *limiter, struct tb_limit_key key,
                                          int64_t now);

/** Whether the place still belongs to `key`. */
bool tb_limit_place_holds(struct tb_limit_place place, struct tb_limit_key key);

#endif
