/* Hashes of bytes for tables, not digests (those are crypto/digest.h). Which one is a question of
 * who chooses the keys and what a collision costs.
 *
 * tb_hash, tb_hash_word: unkeyed. Whoever chooses the keys can make as many of them collide as he
 * likes, so they are for keys of ours (ids, names of operations, versions), and for tables where a
 * collision costs a fixed amount: a direct-mapped one, where keys displace each other, or one whose
 * comparisons the caller pays for.
 *
 * tb_siphash: keyed. For tables whose keys strangers choose and whose chains have no bound; the
 * table draws its key from tb_random_u64. Also where two requests of one hash must not be found. */
#ifndef TB_BASE_HASH_H
#define TB_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- unkeyed ---- */

/** The hash of no bytes, with which tb_hash_add begins. */
#define TB_HASH_START UINT64_C(14695981039346656037)

/** FNV-1a of 64 bits (Fowler, Noll, Vo), going on from `hash`: of two texts behind each other it is
 *  the hash of the whole, so a text whose end matters is followed by a byte that is in none. */
static inline uint64_t tb_hash_add(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *at = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return hash;
}

/** FNV-1a of 64 bits. */
static inline uint64_t tb_hash(const void *data, size_t n)
{
    return tb_hash_add(TB_HASH_START, data, n);
}

/** One word into `hash` (0 to begin with): eight bytes at a time, by Fibonacci's multiplier (Knuth,
 *  TAOCP 6.4) with the high half folded onto the low one. */
static inline uint64_t tb_hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/** 32 bits of a hash, to which both halves have given: for tables of up to 2^32 places, and to be
 *  read by people. */
static inline uint32_t tb_hash_fold(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

/* ---- keyed: SipHash-2-4 (Aumasson, Bernstein 2012) ---- */

struct tb_siphash_key {
    uint64_t k0, k1;
};

struct tb_siphash_state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t tb_siphash_rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void tb_siphash_round(struct tb_siphash_state *s)
{
    s->v0 += s->v1;
    s->v1 = tb_siphash_rotate(s->v1, 13) ^ s->v0;
    s->v0 = tb_siphash_rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = tb_siphash_rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = tb_siphash_rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = tb_siphash_rotate(s->v1, 17) ^ s->v2;
    s->v2 = tb_siphash_rotate(s->v2, 32);
}

static inline struct tb_siphash_state tb_siphash_start(struct tb_siphash_key key)
{
    return (struct tb_siphash_state){
        UINT64_C(0x736f6d6570736575) ^ key.k0, UINT64_C(0x646f72616e646f6d) ^ key.k1,
        UINT64_C(0x6c7967656e657261) ^ key.k0, UINT64_C(0x7465646279746573) ^ key.k1};
}

static inline void tb_siphash_word(struct tb_siphash_state *s, uint64_t word)
{
    s->v3 ^= word;
    tb_siphash_round(s);
    tb_siphash_round(s);
    s->v0 ^= word;
}

static inline uint64_t tb_siphash_end(struct tb_siphash_state *s)
{
    for (int i = 0; i < 4; i++)
        tb_siphash_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/** 64 bits of `n` bytes under `key`, as the authors' reference gives them on a little-endian
 *  machine. Touches no memory but its arguments. */
static inline uint64_t tb_siphash(struct tb_siphash_key key, const void *data, size_t n)
{
    const unsigned char *at = data;
    struct tb_siphash_state s = tb_siphash_start(key);
    uint64_t last = (uint64_t)n << 56;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        tb_siphash_word(&s, word);
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)at[i] << (8 * i);
    tb_siphash_word(&s, last);
    s.v2 ^= 0xff;
    return tb_siphash_end(&s);
}

#endif
