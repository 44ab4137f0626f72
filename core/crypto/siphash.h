/* SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash for tables whose keys strangers choose.
 * Without the key nobody can make keys that collide. Not a digest: for those, crypto/digest.h. */
#ifndef TB_CRYPTO_SIPHASH_H
#define TB_CRYPTO_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

static inline void tb_siphash_word(struct tb_siphash_state *s, uint64_t word)
{
    s->v3 ^= word;
    tb_siphash_round(s);
    tb_siphash_round(s);
    s->v0 ^= word;
}

/** Hash of `n` bytes under `key`, as the authors' reference gives it on a little-endian machine. */
static inline uint64_t tb_siphash(struct tb_siphash_key key, const void *data, size_t n)
{
    const unsigned char *at = data;
    struct tb_siphash_state s = {
        UINT64_C(0x736f6d6570736575) ^ key.k0, UINT64_C(0x646f72616e646f6d) ^ key.k1,
        UINT64_C(0x6c7967656e657261) ^ key.k0, UINT64_C(0x7465646279746573) ^ key.k1};
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
    for (int i = 0; i < 4; i++)
        tb_siphash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
