/* Store of decision traces: rings in shared memory, each written by one worker and read by
 * any. A ring is divided by demand: whoever needs room takes it from the share that holds most, so
 * a flood pushes out its own records, and those of a share that holds little stay. A partner has a
 * share for what was refused and one for what was served, so that it cannot bury its refusals
 * under successes either; whoever did not prove who it is shares a few with all such.
 *
 *     struct tb_traces *traces = tb_traces_open(region, rings_n);   // once in each process
 *     trace.share = tb_trace_share(trace.partner, refused);
 *     tb_trace_keep(traces, &trace);
 *     if (tb_trace_find(traces, id, &trace)) ...
 */
#ifndef TB_GATEWAY_TRACE_RING_H
#define TB_GATEWAY_TRACE_RING_H

#include "gateway/trace.h"
#include <stdbool.h>
#include <tongbao/plugin.h>

_Static_assert(TB_OPERATIONS_MAX < UINT16_MAX, "a trace has room for the number of any operation");

enum {
    TB_TRACE_RING = 4096, /**< records of a ring */
    TB_TRACE_CHUNK = 16,  /**< records that a share takes at a time */
    TB_TRACE_CHUNKS = TB_TRACE_RING / TB_TRACE_CHUNK,
    TB_TRACE_STRANGERS = 8,  /**< shares of those who are not known, by their network */
    TB_TRACE_RINGS_EACH = 2, /**< rings for each worker: two generations may overlap */
    TB_TRACE_LAYOUT = 3,     /**< of the shared memory */
};

/** A record and its version: odd while the owner writes, so a reader knows a torn copy. */
struct tb_trace_slot {
    _Atomic uint32_t version;
    struct tb_trace trace;
};

/** In shared memory; zero-filled it is empty. One writer, many readers. */
struct tb_trace_ring {
    _Atomic uint64_t owner; /**< process id of the writer; 0: none. Its records outlive it */
    struct tb_trace_slot slots[TB_TRACE_RING];
};

struct tb_traces;

/** Use the rings and take one to write to: one that is free or whose process is gone. When there
 *  is none (a third generation while two still drain), nothing is kept, and that is logged.
 *  @return never NULL. To be called after fork. */
struct tb_traces *tb_traces_open(struct tb_trace_ring *rings, size_t rings_n);
void tb_traces_close(struct tb_traces *traces);

/** Use the rings for reading alone: they may be mapped so. */
struct tb_traces *tb_traces_view(const struct tb_trace_ring *rings, size_t rings_n);

/** The share of a partner that has proved who it is. */
uint64_t tb_trace_share(const char partner[TB_TRACE_PARTNER_BYTES], bool refused);

/** The share of whoever has not, by the network of its address. */
uint64_t tb_trace_share_of_stranger(const char *peer, bool refused);

/** Keep a copy of the finished trace; its share, id and time are set. Waits: no; allocates
 * nothing. */
void tb_trace_keep(struct tb_traces *traces, const struct tb_trace *trace);

/** Find a record by the id that the server made.
 *  @return false when it is not (or no longer) there */
bool tb_trace_find(const struct tb_traces *traces, struct tb_str id, struct tb_trace *out_trace);

/** What is looked for; what is absent is not asked for. */
struct tb_trace_query {
    struct tb_str request_id; /**< as the client sent it, in any case */
    struct tb_str partner;
};

/** The newest records that fit, newest first.
 *  @param out  room for `most`
 *  @return how many there are; more than `most`: the older ones are left out */
size_t tb_trace_search(const struct tb_traces *traces, const struct tb_trace_query *query,
                       struct tb_trace *out, size_t most);

#endif
