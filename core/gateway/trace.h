/* The decision trace: which stage said what about a request, and how long it took. One fixed-size
 * record a request, kept in a ring in shared memory so that any worker can show it, and found by
 * the request id that is on every answer. "Why was I refused" is a look-up, never a ticket. */
#ifndef TB_GATEWAY_TRACE_H
#define TB_GATEWAY_TRACE_H

#include "base/arena.h"
#include "runtime/ticks.h"
#include <stdint.h>
#include <tongbao/types.h>

enum {
    TB_TRACE_STAGES = 16,
    TB_TRACE_WHY_BYTES = 96,
    TB_TRACE_CAUSE_BYTES = 64,
    TB_TRACE_PARTNER_BYTES = 32,
    TB_TRACE_SCRIPTS = 2,
    TB_TRACE_WORD_BYTES = 16,
    TB_TRACE_RING = 4096, /**< records kept for each worker */
};

enum tb_verdict { TB_VERDICT_NONE, TB_VERDICT_PASS, TB_VERDICT_REFUSE };

/** What one hook of the partner's script did. */
struct tb_trace_script {
    char verdict[TB_TRACE_WORD_BYTES]; /**< "allow", "deny", …; empty: it was not asked */
    int32_t version;
    uint32_t cpu_us;
    uint32_t lookups;
    char note[TB_TRACE_WHY_BYTES]; /**< the script's own words */
    char why[TB_TRACE_WHY_BYTES];  /**< how it failed, with the line; "": it did not */
};

struct tb_trace {
    char request_id[36];
    char partner[TB_TRACE_PARTNER_BYTES]; /**< empty: not known */
    uint16_t status;
    uint16_t operation; /**< index of the operation, UINT16_MAX when no route was found */
    uint8_t refused_by; /**< index of the stage that refused, UINT8_MAX for none */
    uint8_t stages_n;
    int64_t at_ms; /**< wall clock when the request arrived; 0: unused record */
    uint8_t verdict[TB_TRACE_STAGES];
    uint32_t ticks[TB_TRACE_STAGES];  /**< processor ticks spent in the stage */
    char cause[TB_TRACE_CAUSE_BYTES]; /**< for the operator alone; empty: nothing to add */
    char why[TB_TRACE_WHY_BYTES];     /**< in the words of the problem's detail */
    struct tb_trace_script scripts[TB_TRACE_SCRIPTS]; /**< by hook */
};

/** A record and its version: odd while the owner writes, so a reader knows a torn copy. */
struct tb_trace_slot {
    _Atomic uint32_t version;
    struct tb_trace trace;
};

/** The ring of one worker, in shared memory; zero-filled it is empty. One writer, many readers. */
struct tb_trace_ring {
    _Atomic uint64_t next;
    struct tb_trace_slot slots[TB_TRACE_RING];
};

/** Keep a copy of the finished trace. */
void tb_trace_keep(struct tb_trace_ring *ring, const struct tb_trace *trace);

/** Find the newest record of a request in the rings of all workers.
 *  @return false when it is not (or no longer) there */
bool tb_trace_find(struct tb_trace_ring *const *rings, size_t rings_n, struct tb_str request_id,
                   struct tb_trace *out_trace);

/** The trace as JSON: stages with verdict and microseconds, the refusing stage and why. `whole`
 * adds what is the operator's alone: the partner, the cause behind a refusal that says little on
 * purpose. */
struct tb_str tb_trace_json(struct tb_arena *arena, const struct tb_trace *trace,
                            const char *const *stage_names, const char *operation, bool whole);

/** Processor ticks (runtime/ticks.h) in a microsecond; measured for two ms at the first call. */
double tb_ticks_per_us(void);

#endif
