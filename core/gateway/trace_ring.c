/* Shares, chunks and records. Records are written by one worker and read by any: a version around
 * each (a seqlock) lets a reader notice that the writer passed by, without either ever waiting for
 * the other. Who holds which chunk is known to the writer alone; a successor reads it off the
 * records that it finds. */
#include "gateway/trace_ring.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <strings.h>
#include <unistd.h>

enum { INDEX = 2 * TB_TRACE_CHUNKS /* places of the hash table, at most half of them taken */ };

struct share {
    uint64_t key;
    uint32_t chunks_n;
    uint16_t current; /* the chunk it writes to */
    uint16_t filled;  /* records in that; TB_TRACE_CHUNK: it needs another */
};

struct chunk {
    uint64_t born; /* chunks taken later have greater ones; 0: never taken */
    uint16_t share;
};

struct tb_traces {
    struct tb_trace_ring *rings, *own; /* own: NULL, nothing is kept */
    size_t rings_n;
    uint64_t births;
    struct chunk chunks[TB_TRACE_CHUNKS];
    size_t chunks_n; /* ever taken */
    struct share
        shares[TB_TRACE_CHUNKS + 1]; /* one more than have a chunk: who is getting its first */
    size_t shares_n;
    uint16_t index[INDEX]; /* of `shares`, plus 1; 0: free */
};

/* ---- which share ---- */

uint64_t tb_trace_share(const char partner[TB_TRACE_PARTNER_BYTES], bool refused)
{
    uint64_t words[TB_TRACE_PARTNER_BYTES / sizeof(uint64_t)] = {0}, hash = 0;
    memcpy(words, partner, strnlen(partner, TB_TRACE_PARTNER_BYTES));
    for (size_t i = 0; i < TB_COUNT(words); i++)
        hash = tb_hash_word(hash, words[i]);
    return (hash | 1u << 8) << 1 | refused; /* never one of a stranger's */
}

/* The part of an address that one customer of a network provider has: three bytes of IPv4, three
 * groups of IPv6. */
static size_t network_n(const char *peer)
{
    size_t colons = 0;
    const char *dot = strrchr(peer, '.');
    if (dot != NULL)
        return (size_t)(dot - peer);
    for (size_t i = 0; peer[i] != '\0'; i++)
        if (peer[i] == ':' && ++colons == 3)
            return i;
    return strlen(peer);
}

uint64_t tb_trace_share_of_stranger(const char *peer, bool refused)
{
    uint64_t hash = 0;
    for (size_t i = 0, n = network_n(peer); i < n; i++)
        hash = tb_hash_word(hash, (unsigned char)peer[i]);
    return hash % TB_TRACE_STRANGERS << 1 | refused;
}

/* ---- the writer's account of who has what ---- */

static size_t index_of_key(const struct tb_traces *traces, uint64_t key)
{
    size_t at = tb_hash_word(0, key) % INDEX;
    while (traces->index[at] != 0 && traces->shares[traces->index[at] - 1].key != key)
        at = (at + 1) % INDEX;
    return at;
}

static size_t share_of(struct tb_traces *traces, uint64_t key)
{
    size_t at = index_of_key(traces, key);
    if (traces->index[at] == 0) {
        traces->shares[traces->shares_n] = (struct share){.key = key, .filled = TB_TRACE_CHUNK};
        traces->index[at] = (uint16_t)++traces->shares_n;
    }
    return (size_t)traces->index[at] - 1;
}

/* The last share takes the place of the one that goes. */
static void forget_share(struct tb_traces *traces, size_t gone)
{
    size_t last = --traces->shares_n;
    traces->shares[gone] = traces->shares[last];
    for (size_t c = 0; c < traces->chunks_n; c++)
        if (traces->chunks[c].share == last)
            traces->chunks[c].share = (uint16_t)gone;
    memset(traces->index, 0, sizeof(traces->index));
    for (size_t i = 0; i < traces->shares_n; i++)
        traces->index[index_of_key(traces, traces->shares[i].key)] = (uint16_t)(i + 1);
}

/* The oldest chunk of the share that has most; the oldest of all such when several have. */
static size_t chunk_to_give(const struct tb_traces *traces)
{
    size_t best = 0;
    for (size_t c = 1; c < traces->chunks_n; c++) {
        uint32_t most = traces->shares[traces->chunks[best].share].chunks_n;
        uint32_t has = traces->shares[traces->chunks[c].share].chunks_n;
        if (has > most || (has == most && traces->chunks[c].born < traces->chunks[best].born))
            best = c;
    }
    return best;
}

/* A chunk for the share `key`: one that was never taken, or one that another share gives up. */
static struct share *take_chunk(struct tb_traces *traces, uint64_t key)
{
    size_t c = traces->chunks_n, mine;
    if (c < TB_TRACE_CHUNKS) {
        traces->chunks_n++;
    } else {
        c = chunk_to_give(traces);
        size_t giver = traces->chunks[c].share;
        struct share *gives = &traces->shares[giver];
        if (gives->current == c)
            gives->filled = TB_TRACE_CHUNK;
        if (--gives->chunks_n == 0 && gives->key != key)
            forget_share(traces, giver);
    }
    mine = share_of(traces, key);
    traces->chunks[c] = (struct chunk){.born = ++traces->births, .share = (uint16_t)mine};
    struct share *share = &traces->shares[mine];
    share->chunks_n++;
    share->current = (uint16_t)c;
    share->filled = 0;
    return share;
}

/* ---- opening ---- */

static bool is_alive(uint64_t owner)
{
    return kill((pid_t)owner, 0) == 0 || errno != ESRCH;
}

static struct tb_trace_ring *ring_take(struct tb_trace_ring *rings, size_t rings_n)
{
    for (size_t i = 0; i < rings_n; i++) {
        uint64_t owner = atomic_load_explicit(&rings[i].owner, memory_order_relaxed);
        if ((owner == 0 || !is_alive(owner)) &&
            atomic_compare_exchange_strong(&rings[i].owner, &owner, (uint64_t)getpid()))
            return &rings[i];
    }
    return NULL;
}

/* A chunk belongs to whose record in it is the newest. False: it was never taken. */
static bool read_chunk(struct tb_traces *traces, size_t c)
{
    const struct tb_trace *newest = NULL;
    for (size_t i = 0; i < TB_TRACE_CHUNK; i++) {
        struct tb_trace_slot *slot = &traces->own->slots[c * TB_TRACE_CHUNK + i];
        if ((atomic_load_explicit(&slot->version, memory_order_acquire) & 1) != 0)
            atomic_fetch_add(&slot->version, 1); /* its writer died in the middle */
        if (slot->trace.at_ms != 0 && (newest == NULL || slot->trace.order > newest->order))
            newest = &slot->trace;
    }
    if (newest == NULL)
        return false;
    size_t mine = share_of(traces, newest->share);
    traces->shares[mine].chunks_n++;
    traces->chunks[c] = (struct chunk){.born = newest->order, .share = (uint16_t)mine};
    traces->chunks_n = c + 1;
    if (traces->births < (uint64_t)newest->order)
        traces->births = newest->order;
    return true;
}

struct tb_traces *tb_traces_open(struct tb_trace_ring *rings, size_t rings_n)
{
    struct tb_traces *traces = tb_mem(sizeof(*traces));
    traces->rings = rings;
    traces->rings_n = rings_n;
    traces->own = ring_take(rings, rings_n);
    if (traces->own == NULL)
        tb_log_with(TB_LOG_WARN, "no_trace_ring", TB_F_INT("rings", (int64_t)rings_n));
    for (size_t c = 0; traces->own != NULL && c < TB_TRACE_CHUNKS && read_chunk(traces, c); c++)
        ;
    return traces;
}

struct tb_traces *tb_traces_view(const struct tb_trace_ring *rings, size_t rings_n)
{
    struct tb_traces *traces = tb_mem(sizeof(*traces));
    traces->rings = (struct tb_trace_ring *)(uintptr_t)rings; /* it is only read */
    traces->rings_n = rings_n;
    return traces;
}

void tb_traces_close(struct tb_traces *traces)
{
    if (traces != NULL && traces->own != NULL)
        atomic_store_explicit(&traces->own->owner, 0, memory_order_release);
    tb_mem_free(traces);
}

/* ---- writing ---- */

/* Most of a record is what scripts said, and most requests meet none. */
static void copy(struct tb_trace *to, const struct tb_trace *from)
{
    memcpy(to, from, offsetof(struct tb_trace, scripts));
    for (size_t i = 0; i < TB_TRACE_SCRIPTS; i++) {
        if (from->scripts[i].verdict[0] == '\0')
            to->scripts[i].verdict[0] = '\0';
        else
            to->scripts[i] = from->scripts[i];
    }
}

void tb_trace_keep(struct tb_traces *traces, const struct tb_trace *trace)
{
    if (traces->own == NULL)
        return;
    struct share *share = &traces->shares[share_of(traces, trace->share)];
    if (share->filled == TB_TRACE_CHUNK)
        share = take_chunk(traces, trace->share);
    struct tb_trace_slot *slot =
        &traces->own->slots[share->current * TB_TRACE_CHUNK + share->filled++];
    uint32_t version = atomic_load_explicit(&slot->version, memory_order_relaxed);
    atomic_store_explicit(&slot->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    copy(&slot->trace, trace);
    atomic_store_explicit(&slot->version, version + 2, memory_order_release);
}

/* ---- reading ---- */

static bool fits(const struct tb_trace *trace, const struct tb_trace_query *query)
{
    if (query->request_id.at != NULL &&
        strncasecmp(trace->request_id, query->request_id.at, TB_UUID_CHARS) != 0)
        return false;
    return query->partner.at == NULL ||
           tb_str_eq(
               query->partner,
               (struct tb_str){trace->partner, strnlen(trace->partner, TB_TRACE_PARTNER_BYTES)});
}

/* A whole copy, or false: the writer was there. */
static bool read_slot(struct tb_trace_slot *slot, uint32_t before, struct tb_trace *out_trace)
{
    *out_trace = slot->trace;
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&slot->version, memory_order_relaxed) == before;
}

/* The version of a slot that has a record; 0: it has none, or is being written. */
static uint32_t version_of(struct tb_trace_slot *slot)
{
    uint32_t version = atomic_load_explicit(&slot->version, memory_order_acquire);
    return (version & 1) != 0 || slot->trace.at_ms == 0 ? 0 : version;
}

bool tb_trace_find(const struct tb_traces *traces, struct tb_str id, struct tb_trace *out_trace)
{
    if (id.n != TB_UUID_CHARS)
        return false;
    for (size_t r = 0; r < traces->rings_n; r++)
        for (size_t i = 0; i < TB_TRACE_RING; i++) {
            struct tb_trace_slot *slot = &traces->rings[r].slots[i];
            uint32_t version = version_of(slot);
            if (version != 0 && strncasecmp(slot->trace.id, id.at, TB_UUID_CHARS) == 0 &&
                read_slot(slot, version, out_trace))
                return true;
        }
    return false;
}

/* Put it where it belongs among the `n` newest so far. */
static void insert(struct tb_trace *out, size_t n, size_t most, const struct tb_trace *trace)
{
    size_t at = n < most ? n : most;
    while (at > 0 && out[at - 1].order < trace->order)
        at--;
    if (at == most)
        return;
    size_t behind = (n < most ? n : most - 1) - at;
    memmove(&out[at + 1], &out[at], behind * sizeof(*out));
    out[at] = *trace;
}

size_t tb_trace_search(const struct tb_traces *traces, const struct tb_trace_query *query,
                       struct tb_trace *out, size_t most)
{
    struct tb_trace trace;
    size_t n = 0;
    if (query->request_id.at != NULL && query->request_id.n != TB_UUID_CHARS)
        return 0;
    for (size_t r = 0; r < traces->rings_n; r++)
        for (size_t i = 0; i < TB_TRACE_RING; i++) {
            struct tb_trace_slot *slot = &traces->rings[r].slots[i];
            uint32_t version = version_of(slot);
            if (version == 0 || !fits(&slot->trace, query) || !read_slot(slot, version, &trace))
                continue;
            insert(out, n, most, &trace);
            n++;
        }
    return n;
}
