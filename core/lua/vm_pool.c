/* A table of chains by version, and a list of all by the time of their last call. */
#include "lua/vm_pool.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "lua/state.h"
#include <string.h>

struct slot {
    struct tb_script *script;
    struct slot *chain;         /* of one bucket */
    struct slot *newer, *older; /* by last call */
    size_t bytes;               /* when it was last given back */
    uint32_t held;
    bool listed; /* false: replaced or evicted, and freed with its last release */
    size_t version_n;
    char version[TB_VM_POOL_VERSION_BYTES];
};

struct tb_vm_pool {
    const struct tb_script_limits *limits;
    size_t most, most_bytes;
    struct slot **buckets;
    size_t buckets_n; /* a power of two */
    struct slot *newest, *oldest;
    struct tb_vm_pool_stats stats;
};

struct tb_vm_pool *tb_vm_pool_new(const struct tb_script_limits *limits, size_t most,
                                  size_t most_bytes)
{
    struct tb_vm_pool *states = tb_mem(sizeof(*states));
    states->limits = limits;
    states->most = most;
    states->most_bytes = most_bytes;
    states->buckets_n = 64;
    while (states->buckets_n < most)
        states->buckets_n *= 2;
    states->buckets = tb_mem_array(states->buckets_n, sizeof(*states->buckets));
    return states;
}

/* Versions are named by us, so nobody looks for those that meet. Every request with a script asks:
 * hence eight bytes at a time. */
static struct slot **bucket_of(struct tb_vm_pool *states, struct tb_str version)
{
    uint64_t hash = version.n;
    for (size_t i = 0; i < version.n; i += sizeof(hash)) {
        uint64_t word = 0;
        size_t left = version.n - i;
        memcpy(&word, version.at + i, left < sizeof(word) ? left : sizeof(word));
        hash = tb_hash_word(hash, word);
    }
    return &states->buckets[hash & (states->buckets_n - 1)];
}

static struct tb_str version_of(const struct slot *slot)
{
    return (struct tb_str){slot->version, slot->version_n};
}

/* ---- the list ---- */

static void leave_list(struct tb_vm_pool *states, struct slot *slot)
{
    *(slot->newer == NULL ? &states->newest : &slot->newer->older) = slot->older;
    *(slot->older == NULL ? &states->oldest : &slot->older->newer) = slot->newer;
    slot->newer = slot->older = NULL;
}

static void join_as_newest(struct tb_vm_pool *states, struct slot *slot)
{
    slot->older = states->newest;
    *(states->newest == NULL ? &states->oldest : &states->newest->newer) = slot;
    states->newest = slot;
}

static void end(struct slot *slot)
{
    tb_script_free(slot->script);
    tb_mem_free(slot);
}

/* Nobody finds it any more; it is freed now, or when its last call ends. */
static void drop_slot(struct tb_vm_pool *states, struct slot *slot)
{
    struct slot **at = bucket_of(states, version_of(slot));
    while (*at != slot)
        at = &(*at)->chain;
    *at = slot->chain;
    leave_list(states, slot);
    states->stats.states--;
    states->stats.bytes -= slot->bytes;
    slot->listed = false;
    if (slot->held == 0)
        end(slot);
}

static bool too_many(const struct tb_vm_pool *states)
{
    return states->stats.states > states->most || states->stats.bytes > states->most_bytes;
}

static void make_room(struct tb_vm_pool *states)
{
    struct slot *slot = states->oldest;
    while (slot != NULL && too_many(states)) {
        struct slot *newer = slot->newer;
        if (slot->held == 0) {
            drop_slot(states, slot);
            states->stats.evicted++;
        }
        slot = newer;
    }
}

/* ---- taking and giving back ---- */

static void weigh(struct tb_vm_pool *states, struct slot *slot)
{
    size_t bytes = tb_script_bytes(slot->script);
    states->stats.bytes += bytes - slot->bytes;
    slot->bytes = bytes;
}

static struct tb_script *hold(struct tb_vm_pool *states, struct slot *slot)
{
    slot->held++;
    leave_list(states, slot);
    join_as_newest(states, slot);
    return slot->script;
}

static struct slot *find_slot(struct tb_vm_pool *states, struct tb_str version)
{
    struct slot *slot = *bucket_of(states, version);
    while (slot != NULL && !tb_str_eq(version_of(slot), version))
        slot = slot->chain;
    return slot;
}

struct tb_script *tb_vm_pool_find(struct tb_vm_pool *states, struct tb_str version)
{
    struct slot *slot = find_slot(states, version);
    return slot == NULL || tb_script_worn(slot->script) ? NULL : hold(states, slot);
}

struct tb_script *tb_vm_pool_add(struct tb_vm_pool *states, struct tb_str version,
                                 struct tb_str text, char *why, size_t why_bytes)
{
    TB_ASSERT(version.n > 0 && version.n <= TB_VM_POOL_VERSION_BYTES);
    struct slot *slot = find_slot(states, version), **bucket = bucket_of(states, version);
    if (slot != NULL && !tb_script_worn(slot->script))
        return hold(states, slot);
    if (slot != NULL) {
        states->stats.worn++;
        drop_slot(states, slot);
    }
    struct tb_script *script = tb_script_new(states->limits, text, why, why_bytes);
    if (script == NULL)
        return NULL;
    slot = tb_mem(sizeof(*slot));
    slot->script = script;
    slot->listed = true;
    slot->version_n = version.n;
    memcpy(slot->version, version.at, version.n);
    slot->chain = *bucket;
    *bucket = slot;
    join_as_newest(states, slot);
    script->owner = slot;
    states->stats.states++;
    states->stats.made++;
    weigh(states, slot);
    hold(states, slot);
    make_room(states);
    return script;
}

void tb_vm_pool_release(struct tb_vm_pool *states, struct tb_script *script)
{
    struct slot *slot = script->owner;
    TB_ASSERT(slot->held > 0);
    slot->held--;
    if (slot->listed) {
        weigh(states, slot);
        make_room(states);
    } else if (slot->held == 0) {
        end(slot);
    }
}

struct tb_vm_pool_stats tb_vm_pool_stats(const struct tb_vm_pool *states)
{
    return states->stats;
}

void tb_vm_pool_free(struct tb_vm_pool *states)
{
    if (states == NULL)
        return;
    while (states->newest != NULL) {
        TB_ASSERT(states->newest->held == 0);
        drop_slot(states, states->newest);
    }
    tb_mem_free(states->buckets);
    tb_mem_free(states);
}
