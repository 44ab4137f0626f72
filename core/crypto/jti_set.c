/* A hash table of 64-bit words, each a whole entry: 44 bits of digest and 20 bits of expiry in
 * units of 16 s, so that one compare-and-swap writes it and no reader ever sees half of one. An id
 * has two buckets of one cache line each to live in and takes the emptier, which keeps them evenly
 * filled.
 *
 * That only one adder hears NEW rests on the order of its steps: write first, then look through
 * both buckets again. Of two adders that use different words, the later writer must see the
 * earlier; if they write at once, both see each other and both give way. */
#include "crypto/jti_set.h"
#include "base/assert.h"
#include "base/random.h"
#include "crypto/digest.h"
#include <stdatomic.h>
#include <string.h>

enum {
    WAYS = 8,
    PROMISED = 5, /**< of eight words; by simulation ids begin to find no room at six */
    EXPIRY_BITS = 20,
    UNIT_S = 16,
    TRIES = 64, /**< lost races before giving up */
};

#define EXPIRY_MASK ((UINT64_C(1) << EXPIRY_BITS) - 1)

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "entries must be lock-free between processes");

struct bucket {
    _Alignas(64) _Atomic uint64_t words[WAYS];
};

struct tb_jti_set {
    unsigned char key[16];
    uint64_t mask; /**< number of buckets - 1 */
    _Alignas(64) _Atomic uint64_t generation;
    struct bucket buckets[];
};

/* An id in the table: what its words look like and where they may be. */
struct place {
    uint64_t print; /**< digest part of the word, never 0: a zero word is a free one */
    size_t at[2];   /**< buckets; may be the same */
};

size_t tb_jti_set_bytes(size_t entries)
{
    size_t buckets = 2;
    while (buckets * PROMISED < entries)
        buckets *= 2;
    return sizeof(struct tb_jti_set) + buckets * sizeof(struct bucket);
}

struct tb_jti_set *tb_jti_set_init(void *memory, size_t bytes)
{
    struct tb_jti_set *set = memory;
    size_t room = (bytes - sizeof(*set)) / sizeof(struct bucket), buckets = 2;
    TB_ASSERT((uintptr_t)memory % _Alignof(struct tb_jti_set) == 0 && room >= buckets);
    while (buckets * 2 <= room)
        buckets *= 2;
    set->mask = buckets - 1;
    tb_random_bytes(set->key, sizeof(set->key));
    return set;
}

static struct place slot_of_jti(const struct tb_jti_set *set, const struct tb_str *parts, size_t n)
{
    enum { PARTS_MAX = 4 };
    struct tb_str pieces[1 + 2 * PARTS_MAX];
    uint64_t lengths[PARTS_MAX], words[4];
    TB_ASSERT(n <= PARTS_MAX);
    pieces[0] = TB_BYTES(set->key, sizeof(set->key));
    for (size_t i = 0; i < n; i++) { /* with its length, or parts could trade bytes */
        lengths[i] = parts[i].n;
        pieces[1 + 2 * i] = TB_BYTES(&lengths[i], sizeof(lengths[i]));
        pieces[2 + 2 * i] = parts[i];
    }
    unsigned char digest[TB_SHA256_BYTES];
    tb_sha256(pieces, 1 + 2 * n, digest);
    memcpy(words, digest, sizeof(words));
    struct place place = {words[0] & ~EXPIRY_MASK,
                          {(size_t)(words[1] & set->mask), (size_t)(words[2] & set->mask)}};
    if (place.print == 0)
        place.print = EXPIRY_MASK + 1;
    return place;
}

/* ---- expiry ---- */

static uint64_t unit_of(int64_t s)
{
    return (uint64_t)(s / UNIT_S) & EXPIRY_MASK;
}

/* Units wrap after 194 days: the nearer half of the circle is the future. */
static bool alive(uint64_t word, uint64_t now_unit)
{
    uint64_t ahead = ((word & EXPIRY_MASK) - now_unit) & EXPIRY_MASK;
    return word != 0 && ahead != 0 && ahead <= EXPIRY_MASK / 2;
}

/* ---- the table ---- */

static _Atomic uint64_t *word_at(const struct tb_jti_set *set, const struct place *place, size_t i)
{
    return (_Atomic uint64_t *)&set->buckets[place->at[i / WAYS]].words[i % WAYS];
}

static bool matches(uint64_t word, const struct place *place, uint64_t now_unit)
{
    return (word & ~EXPIRY_MASK) == place->print && alive(word, now_unit);
}

bool tb_jti_set_has(const struct tb_jti_set *set, const struct tb_str *parts, size_t n,
                    int64_t now_s)
{
    struct place place = slot_of_jti(set, parts, n);
    uint64_t now_unit = unit_of(now_s);
    for (size_t i = 0; i < 2 * WAYS; i++)
        if (matches(atomic_load(word_at(set, &place, i)), &place, now_unit))
            return true;
    return false;
}

/* What a look through both buckets finds. */
struct look {
    bool seen;
    _Atomic uint64_t *free; /**< in the emptier bucket, or NULL */
    uint64_t observed;      /**< what `free` held: 0 or an expired entry */
};

static struct look look_through(struct tb_jti_set *set, const struct place *place,
                                uint64_t now_unit)
{
    struct look look = {0};
    size_t most = 0;
    for (size_t b = 0; b < 2; b++) {
        _Atomic uint64_t *free = NULL;
        uint64_t observed = 0;
        size_t free_n = 0;
        for (size_t i = 0; i < WAYS; i++) {
            _Atomic uint64_t *at = word_at(set, place, b * WAYS + i);
            uint64_t word = atomic_load(at);
            if (matches(word, place, now_unit))
                look.seen = true;
            if (!alive(word, now_unit)) {
                free = at;
                observed = word;
                free_n++;
            }
        }
        if (free_n > most) {
            most = free_n;
            look.free = free;
            look.observed = observed;
        }
    }
    return look;
}

/* Whether another word than `mine` holds the id. */
static bool held_elsewhere(struct tb_jti_set *set, const struct place *place,
                           const _Atomic uint64_t *mine, uint64_t now_unit)
{
    for (size_t i = 0; i < 2 * WAYS; i++) {
        _Atomic uint64_t *at = word_at(set, place, i);
        if (at != mine && matches(atomic_load(at), place, now_unit))
            return true;
    }
    return false;
}

enum tb_jti tb_jti_set_add(struct tb_jti_set *set, const struct tb_str *parts, size_t n,
                           int64_t expires_s, int64_t now_s)
{
    if (expires_s > now_s + TB_JTI_LIFE_MAX_S)
        return TB_JTI_FULL;
    struct place place = slot_of_jti(set, parts, n);
    uint64_t now_unit = unit_of(now_s);
    uint64_t word = place.print | unit_of((expires_s > now_s ? expires_s : now_s) + UNIT_S);
    for (int tries = 0; tries < TRIES; tries++) {
        struct look look = look_through(set, &place, now_unit);
        if (look.seen)
            return TB_JTI_SEEN;
        if (look.free == NULL)
            return TB_JTI_FULL;
        if (!atomic_compare_exchange_strong(look.free, &look.observed, word))
            continue;
        bool lost = held_elsewhere(set, &place, look.free, now_unit);
        atomic_fetch_add(&set->generation, 1);
        return lost ? TB_JTI_SEEN : TB_JTI_NEW;
    }
    return TB_JTI_FULL;
}

uint64_t tb_jti_set_generation(const struct tb_jti_set *set)
{
    return atomic_load_explicit(&set->generation, memory_order_acquire);
}
