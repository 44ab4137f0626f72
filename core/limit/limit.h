/* Rate limits and quotas, exact over all workers and generations: one word in shared memory for
 * each app, scope and window, moved by compare-and-swap.
 *
 *     struct tb_limiter *limiter = tb_limiter_open(region, bytes);   // once in each process
 *     struct tb_limit_set set;                                       // once for each agreement
 *     tb_limit_set_init(&set, windows, 2, why, sizeof why);
 *     ...
 *     struct tb_limit_verdict verdict;
 *     tb_limiter_date(limiter, wall_ms);
 *     if (!tb_limit_take(limiter, &set, &subject, cost, now_ns, &verdict))
 *         return tb_fail(...TB_E_RATE_LIMITED...);   // Retry-After: verdict.retry_after_s
 *     n = tb_limit_header(&verdict, out);            // RateLimit; RateLimit-Policy is set.policy
 *
 * A rolling window of quota q over w is a token bucket (GCRA, ITU-T I.371 annex A): it lets q units
 * through at once and returns them evenly over w. In any time d at most q + q*d/w units pass, so
 * within w up to 2q - 1 do: q at once, and each of the others as its unit is back. A quota of a day
 * or a month lets q units through in each day or month of UTC and none more, whenever they come.
 * All windows of a set are taken together or none is. Why so, and what it costs:
 * docs/decisions/0006-rate-limits.md. */
#ifndef TB_LIMIT_LIMIT_H
#define TB_LIMIT_LIMIT_H

#include "base/text.h"

enum {
    TB_LIMIT_WINDOWS = 4,        /**< most windows of a set */
    TB_LIMIT_NAME_BYTES = 16,    /**< most bytes of a window's name, with its NUL */
    TB_LIMIT_POLICY_BYTES = 256, /**< room for RateLimit-Policy */
    TB_LIMIT_HEADER_BYTES = 80,  /**< room for RateLimit */
    TB_LIMIT_LAYOUT = 2,         /**< of the shared memory */
    TB_LIMIT_BUCKETS = 65536,    /**< a good number to give tb_limiter_bytes: 2 MiB */
};

/** What shares one bucket: all an app does, what it does with one product, or with one operation.
 */
enum tb_limit_scope { TB_LIMIT_APP, TB_LIMIT_PRODUCT, TB_LIMIT_ROUTE };

/** When units come back: evenly, or all at once at the end of a day or a month of UTC. */
enum tb_limit_period { TB_LIMIT_ROLLING, TB_LIMIT_DAY, TB_LIMIT_MONTH };

/** One line of an agreement. The same name in two sets of an app is the same bucket. */
struct tb_limit_window {
    const char *name;  /**< lower-case letters, digits and '_' */
    int64_t quota;     /**< units, > 0 */
    int64_t window_ms; /**< of a rolling one: > 0, at most 366 days; otherwise not read */
    enum tb_limit_scope scope;
    enum tb_limit_period period;
};

/** Who asks for what. Absent parts are empty. */
struct tb_limit_subject {
    struct tb_str app;
    struct tb_str product;
    struct tb_str route; /**< template with method: one operation */
};

/** Windows made ready. Constant after tb_limit_set_init; needs no end. */
struct tb_limit_set {
    size_t n;
    struct tb_limit_rule {
        char name[TB_LIMIT_NAME_BYTES];
        size_t name_n;
        enum tb_limit_scope scope;
        enum tb_limit_period period;
        int64_t quota;
        int64_t per_unit; /**< rolling: ticks (1/16 ns) after which one unit is back */
        int64_t depth;    /**< rolling: ticks the whole quota is worth */
        size_t like;      /**< windows that are much alike have the same number */
        uint64_t seed;    /**< digest of name, scope and period */
    } rules[TB_LIMIT_WINDOWS];
    size_t policy_n;
    char policy[TB_LIMIT_POLICY_BYTES]; /**< the RateLimit-Policy header, NUL-terminated */
};

struct tb_limit_verdict {
    const struct tb_limit_set *set;
    bool admitted;
    uint8_t tightest;      /**< the rule with the least left; when refused, the one to wait for */
    uint8_t violated;      /**< bit i: rule i refused */
    int64_t remaining;     /**< units left of the tightest */
    int64_t reset_s;       /**< admitted: until it is whole again; refused: as retry_after_s;
                                of a quota always until its day or month ends */
    int64_t retry_after_s; /**< refused: when the same request would pass if nobody else came */
};

/** Bytes of shared memory for `buckets` (rounded up to a power of two). */
size_t tb_limiter_bytes(size_t buckets);

/** Use the shared memory: zero-filled when new, aligned to a cache line, of tb_limiter_bytes(…).
 *  @return a handle of this process, never NULL; tb_limiter_close frees it, not the memory */
struct tb_limiter *tb_limiter_open(void *memory, size_t bytes);
void tb_limiter_close(struct tb_limiter *limiter);

/** Set the wall clock that this process reads days and months from: before tb_limit_take, which
 * takes it for as it was set. Going back it never makes a quota whole again. */
void tb_limiter_date(struct tb_limiter *limiter, int64_t wall_ms);

/** Make windows ready. False with a sentence when one is out of range or a name comes twice. */
bool TB_NODISCARD tb_limit_set_init(struct tb_limit_set *set, const struct tb_limit_window *windows,
                                    size_t n, char *why, size_t why_bytes);

/** Take `cost` units from every window of the set, or none. Any process or thread, any time.
 *  @param cost    units, >= 0; more than a quota counts as the whole quota
 *  @param now_ns  CLOCK_MONOTONIC, which all processes share
 *  @return whether it is admitted; *out_verdict is filled in both cases
 *  Waits: no, and never for another process. */
bool TB_NODISCARD tb_limit_take(struct tb_limiter *limiter, const struct tb_limit_set *set,
                                const struct tb_limit_subject *subject, int64_t cost,
                                int64_t now_ns, struct tb_limit_verdict *out_verdict);

/** Write the RateLimit header, `"burst";r=50;t=30`. Returns its length; no NUL.
 *  Source: draft-ietf-httpapi-ratelimit-headers-10. */
size_t tb_limit_header(const struct tb_limit_verdict *verdict, char out[TB_LIMIT_HEADER_BYTES]);

/** Add the names of the violated policies as a JSON array: `violated-policies` of the problem type
 *  https://iana.org/assignments/http-problem-types#quota-exceeded. */
void tb_limit_violated(const struct tb_limit_verdict *verdict, struct tb_text *out);

/** What the limiter did since its memory is new, over all processes. */
struct tb_limiter_stats {
    size_t buckets;     /**< there are */
    uint64_t used;      /**< ever taken into use */
    uint64_t passed_on; /**< full ones given to another key */
    uint64_t shared;    /**< checks that had to share a bucket because none was free */
};
struct tb_limiter_stats tb_limiter_stats(const struct tb_limiter *limiter);

#endif
