/* Counters of a dry run: verdicts of both versions, changes between them with a few ids of
 * each kind, what the calls cost, and the differences that were not written down yet. */
#ifndef TB_HOOKS_DRY_COUNT_H
#define TB_HOOKS_DRY_COUNT_H

#include "hooks/dry_verdict.h"

/** The version that is tried, and what it is held against. */
enum { TB_DRY_AFTER, TB_DRY_BEFORE, TB_DRY_SIDES };

struct tb_dry_request {
    json_t *json; /**< as it was recorded; NULL: unreadable */
    struct tb_str id;
    int64_t world_ms;
    int status; /**< of its answer then */
};

struct tb_dry_side_count {
    int64_t kinds[TB_DRY_KINDS_N];
    int64_t calls, cpu_ns, slowest_ns;
};

struct tb_dry_count {
    int64_t recordings, replayed;
    struct tb_dry_side_count sides[TB_DRY_SIDES];
    int64_t changed; /**< requests with any change */
    int64_t changes[TB_DRY_KINDS_N];
    json_t *samples[TB_DRY_KINDS_N]; /**< arrays of request ids */
    json_t *lines;                   /**< differences to be told, as texts */
    size_t lines_bytes;
    int64_t lines_told;
};

void tb_dry_count_open(struct tb_dry_count *count);
void tb_dry_count_close(struct tb_dry_count *count);

/** One call of a version. */
void tb_dry_count_call(struct tb_dry_count *count, size_t side, int64_t cpu_ns);

/** One request with what both said of it. */
void tb_dry_count_request(struct tb_dry_count *count, const struct tb_dry_request *request,
                          const struct tb_dry_verdict verdicts[TB_DRY_SIDES]);

/** The lines have been written down. */
void tb_dry_count_told(struct tb_dry_count *count);

int64_t tb_dry_count_cpu_ns(const struct tb_dry_count *count);

/** All of it but the lines, as the books and the API have it. With a reference for the caller. */
json_t *tb_dry_count_json(const struct tb_dry_count *count);

#endif
