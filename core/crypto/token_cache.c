/* Buckets of eight tokens. The hash (keyed at random for each worker) covers the last 64 bytes of a
 * token and its length: these are signature, which an issuer of tokens cannot steer and a forger
 * cannot place in the table, because only what verified gets in. The bytes decide: a token is
 * recognised when all of it is equal.
 *
 * Room is made by the clock: a hand goes round over the entries, passes over those used since its
 * last visit and takes the first that was not. */
#include "crypto/token_cache.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include <string.h>

enum { WAYS = 8, HASHED = 64 };

#define NEVER UINT64_MAX /* generation at which nothing was asked yet */

struct entry {
    struct tb_grant *grant;
    uint64_t generation; /**< of the revoked set when it was last asked about this token */
    size_t bytes;        /**< of entry and grant */
    bool used;           /**< since the hand passed */
    size_t token_n;
    char token[];
};

struct bucket {
    _Alignas(64) uint64_t tags[WAYS]; /**< hash with the lowest bit set; 0: free */
    struct entry *entries[WAYS];
};

struct tb_token_cache {
    struct bucket *buckets;
    size_t mask;
    size_t hand; /**< number of an entry: bucket * WAYS + way */
    struct tb_siphash_key key;
    size_t entries_max, bytes_max;
    const struct tb_jti_set *revoked;
    struct tb_token_cache_stats stats;
    void *memory; /**< what `buckets` is aligned in */
};

struct tb_token_cache *tb_token_cache_new(size_t entries_max, size_t bytes_max,
                                          const struct tb_jti_set *revoked)
{
    struct tb_token_cache *cache = tb_mem(sizeof(*cache));
    size_t buckets = 1;
    while (buckets * WAYS < 2 * entries_max) /* half empty, so that a bucket rarely overflows */
        buckets *= 2;
    cache->memory = tb_mem_array(buckets + 1, sizeof(struct bucket));
    uintptr_t at = (uintptr_t)cache->memory + _Alignof(struct bucket) - 1;
    cache->buckets = (struct bucket *)(at - at % _Alignof(struct bucket));
    cache->mask = buckets - 1;
    cache->key = (struct tb_siphash_key){tb_random_u64(), tb_random_u64()};
    cache->entries_max = entries_max;
    cache->bytes_max = bytes_max;
    cache->revoked = revoked;
    return cache;
}

void tb_token_cache_free(struct tb_token_cache *cache)
{
    if (cache == NULL)
        return;
    tb_token_cache_clear(cache);
    tb_mem_free(cache->memory);
    tb_mem_free(cache);
}

static uint64_t hash_of(const struct tb_token_cache *cache, struct tb_str token)
{
    size_t n = token.n < HASHED ? token.n : HASHED;
    const char *tail = token.n == 0 ? "" : token.at + (token.n - n);
    return tb_siphash(cache->key, tail, n) ^ token.n * UINT64_C(0x9e3779b97f4a7c15);
}

static void remove_entry(struct tb_token_cache *cache, struct bucket *bucket, size_t way)
{
    struct entry *entry = bucket->entries[way];
    cache->stats.entries--;
    cache->stats.bytes -= entry->bytes;
    bucket->tags[way] = 0;
    bucket->entries[way] = NULL;
    tb_grant_drop(entry->grant);
    tb_mem_free(entry);
}

/* The way `token` is in, WAYS when it is in none. */
static size_t way_of(const struct bucket *bucket, uint64_t hash, struct tb_str token)
{
    for (size_t way = 0; way < WAYS; way++) {
        if (bucket->tags[way] != (hash | 1))
            continue;
        const struct entry *entry = bucket->entries[way];
        if (entry->token_n == token.n && memcmp(entry->token, token.at, token.n) == 0)
            return way;
    }
    return WAYS;
}

/* Whether a token is revoked: itself, with all that came of its grant, or with its app; asked only
 * when the set has changed since `*asked`. The generation is read before the question, so that what
 * is revoked meanwhile is asked about next time. */
static bool revoked_since(const struct tb_token_cache *cache, const struct tb_grant *grant,
                          int64_t now_s, uint64_t *asked)
{
    uint64_t generation = cache->revoked == NULL ? 0 : tb_jti_set_generation(cache->revoked);
    if (*asked == generation)
        return false;
    *asked = generation;
    if (generation == 0)
        return false;
    return tb_jti_set_has(cache->revoked, &grant->jti, 1, now_s) ||
           tb_jti_set_has(cache->revoked, &grant->app, 1, now_s) ||
           (grant->family.n > 0 && tb_jti_set_has(cache->revoked, &grant->family, 1, now_s));
}

struct tb_grant *tb_token_cache_find(struct tb_token_cache *cache, struct tb_str token,
                                     int64_t now_s)
{
    uint64_t hash = hash_of(cache, token);
    struct bucket *bucket = &cache->buckets[hash >> 1 & cache->mask];
    size_t way = way_of(bucket, hash, token);
    if (way == WAYS) {
        cache->stats.misses++;
        return NULL;
    }
    struct entry *entry = bucket->entries[way];
    if (entry->grant->exp_s <= now_s ||
        revoked_since(cache, entry->grant, now_s, &entry->generation)) {
        remove_entry(cache, bucket, way);
        cache->stats.dropped++;
        cache->stats.misses++;
        return NULL;
    }
    entry->used = true;
    cache->stats.hits++;
    return tb_grant_keep(entry->grant);
}

/* ---- making room ---- */

/* Let the hand pass over one place; true when it took what was there. */
static bool pass(struct tb_token_cache *cache, struct bucket *bucket, size_t way)
{
    struct entry *entry = bucket->entries[way];
    if (entry == NULL)
        return false;
    if (entry->used) {
        entry->used = false;
        return false;
    }
    remove_entry(cache, bucket, way);
    cache->stats.evicted++;
    return true;
}

static void make_room(struct tb_token_cache *cache, size_t bytes)
{
    size_t places = (cache->mask + 1) * WAYS;
    while (cache->stats.entries >= cache->entries_max ||
           cache->stats.bytes + bytes > cache->bytes_max) {
        pass(cache, &cache->buckets[cache->hand / WAYS], cache->hand % WAYS);
        cache->hand = (cache->hand + 1) % places;
    }
}

static size_t free_way(struct tb_token_cache *cache, struct bucket *bucket)
{
    for (size_t way = 0; way < WAYS; way++)
        if (bucket->tags[way] == 0)
            return way;
    size_t way = cache->hand % WAYS;
    while (!pass(cache, bucket, way))
        way = (way + 1) % WAYS;
    return way;
}

bool tb_token_cache_add(struct tb_token_cache *cache, struct tb_str token, struct tb_grant *grant,
                        int64_t now_s)
{
    uint64_t hash = hash_of(cache, token), generation = NEVER;
    if (revoked_since(cache, grant, now_s, &generation))
        return false;
    struct bucket *bucket = &cache->buckets[hash >> 1 & cache->mask];
    size_t way = way_of(bucket, hash, token);
    if (way != WAYS)
        remove_entry(cache, bucket, way);
    size_t bytes = sizeof(struct entry) + token.n + grant->bytes;
    if (bytes > cache->bytes_max || cache->entries_max == 0)
        return true;
    make_room(cache, bytes);
    way = free_way(cache, bucket);

    struct entry *entry = tb_mem(sizeof(*entry) + token.n);
    entry->grant = tb_grant_keep(grant);
    entry->generation = generation;
    entry->bytes = bytes;
    entry->token_n = token.n;
    memcpy(entry->token, token.at, token.n);
    bucket->tags[way] = hash | 1;
    bucket->entries[way] = entry;
    cache->stats.entries++;
    cache->stats.bytes += bytes;
    return true;
}

void tb_token_cache_clear(struct tb_token_cache *cache)
{
    for (size_t i = 0; i <= cache->mask; i++)
        for (size_t way = 0; way < WAYS; way++)
            if (cache->buckets[i].tags[way] != 0)
                remove_entry(cache, &cache->buckets[i], way);
}

struct tb_token_cache_stats tb_token_cache_stats(const struct tb_token_cache *cache)
{
    return cache->stats;
}
