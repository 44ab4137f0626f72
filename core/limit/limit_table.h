/* The buckets of the rate limits in shared memory: a hash table whose places are never emptied,
 * only given to another key once their bucket is full again, or its day or month is over, which
 * loses nothing. A bucket is one 64-bit word moved by compare-and-swap. Nobody waits for a lock: a
 * process killed at any point stops nobody. */
#ifndef TB_LIMIT_LIMIT_TABLE_H
#define TB_LIMIT_LIMIT_TABLE_H

#include "limit/limit.h"
#include <stdatomic.h>
#include <stdbool.h>

/** The clock of the buckets ticks 16 times a ns, so that large quotas have whole intervals, too. */
#define TB_LIMIT_TICKS_PER_S (INT64_C(16) * 1000000000)

/** Which bucket; neither half is 0. */
struct tb_limit_key {
    uint64_t low, high;
};

/** Of a rolling window: when its bucket will be full again, in ticks, the theoretical arrival time
 * of GCRA. Of a quota: its day or month and what was used of it, see TB_QUOTA. Negative while it is
 * being given to another key, and then to be looked up again. */
typedef _Atomic int64_t tb_limit_cell;

/* What a cell of a quota holds: the day, counted since 1970, at whose begin (UTC) the window is
 * over, and the units used in it. The bit tells it from ticks, which reach it after nine years. */
enum { TB_QUOTA_UNITS_BITS = 40, TB_QUOTA_DAY_BITS = 22 };
#define TB_QUOTA           (INT64_C(1) << 62)
#define TB_QUOTA_UNITS_MAX ((INT64_C(1) << TB_QUOTA_UNITS_BITS) - 1)

static inline int64_t tb_quota_cell(int64_t end_day, int64_t units)
{
    return TB_QUOTA | end_day << TB_QUOTA_UNITS_BITS | units;
}

static inline int64_t tb_quota_end_day(int64_t cell)
{
    return (cell & ~TB_QUOTA) >> TB_QUOTA_UNITS_BITS;
}

static inline int64_t tb_quota_units(int64_t cell)
{
    return cell & TB_QUOTA_UNITS_MAX;
}

/** A quota's bucket as it was seen, and how many of its units the books know of. */
struct tb_quota_count {
    struct tb_limit_key key;
    int64_t end_day;
    int64_t units, saved;
};

/** Buckets of days and months that go on, with units that the books do not know of. Shared ones are
 *  left out: whose they are is not known.
 *  @param from  the place to begin at, moved behind the last one looked at
 *  @return how many; 0: there are no more */
size_t tb_quota_news(struct tb_limiter *limiter, size_t *from, struct tb_quota_count *out,
                     size_t most);

/** The books know of `total` units, among them those of `count`: others' are added to the bucket.
 *  @return false when the key has no bucket and none is free */
bool tb_quota_known(struct tb_limiter *limiter, const struct tb_quota_count *count, int64_t total);

/** The wall clock of the process, as days of UTC. */
struct tb_limit_date {
    int64_t wall_ms;
    int64_t today;     /**< days since 1970 */
    int64_t month_end; /**< the first day of the next month */
};
const struct tb_limit_date *tb_limiter_date_of(const struct tb_limiter *limiter);

/** Where a key's bucket is. */
struct tb_limit_place {
    tb_limit_cell *cell;
    const struct tb_limit_slot *slot; /**< NULL: a shared bucket */
};

enum { TB_LIMIT_LIKES = 3 * 64 /**< periods, and lengths or quotas by power of two */ };

/** Find or make the bucket of `key`. When all places around are busy it is a bucket shared by keys
 * of windows that are much alike.
 *  @param like  which windows are: below TB_LIMIT_LIKES
 *  @param now   ticks */
struct tb_limit_place tb_limit_place_find(struct tb_limiter *limiter, struct tb_limit_key key,
                                          size_t like, int64_t now);

/** The shared bucket of `key`. */
struct tb_limit_place tb_limit_place_shared(struct tb_limiter *limiter, struct tb_limit_key key,
                                            size_t like);

/** Whether the place is still the key's own. Shared buckets are anyone's. */
bool tb_limit_place_holds(struct tb_limit_place place, struct tb_limit_key key);

#endif
