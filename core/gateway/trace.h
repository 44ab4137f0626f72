/* The decision trace: which stage said what about a request, and how long it took. One fixed-size
 * record a request, kept in shared memory so that any worker can show it (trace_ring.h), and found
 * by an id that the server makes and every answer carries: nobody who is traced chooses it. The id
 * that the client sent stands beside it and leads to all requests that were sent under it. "Why was
 * I refused" is a look-up, never a ticket. */
#ifndef TB_GATEWAY_TRACE_H
#define TB_GATEWAY_TRACE_H

#include "base/random.h"
#include "base/text.h"
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
    char id[TB_UUID_CHARS];               /**< made by the server */
    char request_id[TB_UUID_CHARS];       /**< the client's; where it sent none, as `id` */
    char partner[TB_TRACE_PARTNER_BYTES]; /**< who may read it; empty: the operator alone */
    char app[TB_TRACE_PARTNER_BYTES];     /**< empty: not known */
    uint64_t share;                       /**< whose part of the memory it takes, trace_ring.h */
    uint16_t status;
    uint16_t operation; /**< its number in the metrics, UINT16_MAX when no route was found */
    uint8_t refused_by; /**< index of the stage that refused, UINT8_MAX for none */
    uint8_t stages_n;
    int64_t at_ms;  /**< wall clock when the request was answered; 0: unused record */
    uint64_t order; /**< processor ticks at that moment: which of two is the newer */
    uint8_t verdict[TB_TRACE_STAGES];
    uint64_t ticks[TB_TRACE_STAGES];  /**< processor ticks spent in the stage */
    char cause[TB_TRACE_CAUSE_BYTES]; /**< for the operator alone; empty: nothing to add */
    char why[TB_TRACE_WHY_BYTES];     /**< in the words of the problem's detail */
    struct tb_trace_script scripts[TB_TRACE_SCRIPTS]; /**< by hook */
};

/** The trace as JSON: stages with verdict and microseconds, the refusing stage and why. `whole`
 * adds what is the operator's alone: partner and app, the cause behind a refusal that says little
 * on purpose. */
void tb_trace_write(struct tb_text *out, const struct tb_trace *trace,
                    const char *const *stage_names, const char *operation, bool whole);

/** Processor ticks (runtime/ticks.h) in a microsecond; measured for two ms at the first call. */
double tb_ticks_per_us(void);

#endif
