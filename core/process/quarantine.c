/* The quarantine table. One writer (the master, after a crash), many readers (workers, per request,
 * only while the table holds a convict). Readers may see an entry half written; the worst that
 * follows is one request more or less refused at that very moment.
 *
 * The hash is keyed with a secret of the service, so nobody can craft a request that shares the
 * hash of somebody else's. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF"
 * (2012), with the 128-bit output of the reference implementation. */
#include "process/quarantine.h"

#include "base/assert.h"
#include <string.h>
#include <sys/random.h>

struct sip {
    uint64_t v0, v1, v2, v3;
    uint64_t word; /**< bytes not yet mixed, little end first */
    uint64_t length;
};

static uint64_t rotl(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static void sip_add(struct sip *s, const void *at, size_t n)
{
    const unsigned char *p = at;
    for (size_t i = 0; i < n; i++) {
        s->word |= (uint64_t)p[i] << (8 * (s->length % 8));
        if (++s->length % 8 == 0) {
            sip_word(s, s->word);
            s->word = 0;
        }
    }
}

static void sip_end(struct sip *s, unsigned char out[TB_CRASH_HASH])
{
    sip_word(s, s->word | s->length << 56);
    s->v2 ^= 0xee;
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 4; i++)
            sip_round(s);
        uint64_t h = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
        for (int i = 0; i < 8; i++)
            out[half * 8 + i] = (unsigned char)(h >> (8 * i));
        s->v1 ^= 0xdd;
    }
}

void tb_request_hash(const struct tb_quarantine *q, const struct tb_str *parts, size_t parts_n,
                     unsigned char out_hash[TB_CRASH_HASH])
{
    struct sip s = {.v0 = q->key[0] ^ 0x736f6d6570736575u,
                    .v1 = q->key[1] ^ 0x646f72616e646f6du ^ 0xee,
                    .v2 = q->key[0] ^ 0x6c7967656e657261u,
                    .v3 = q->key[1] ^ 0x7465646279746573u};
    for (size_t i = 0; i < parts_n; i++) {
        uint64_t n = parts[i].n;
        unsigned char length[8];
        for (int b = 0; b < 8; b++)
            length[b] = (unsigned char)(n >> (8 * b));
        sip_add(&s, length, sizeof(length));
        sip_add(&s, parts[i].at, parts[i].n);
    }
    sip_end(&s, out_hash);
}

void tb_quarantine_init(struct tb_quarantine *q)
{
    TB_ASSERT(getrandom(q->key, sizeof(q->key), 0) == (ssize_t)sizeof(q->key));
}

static struct tb_suspect *find_suspect(const struct tb_quarantine *q, const uint64_t want[2])
{
    for (size_t i = 0; i < TB_QUARANTINE_MAX; i++) {
        const struct tb_suspect *s = &q->suspects[i];
        if (atomic_load_explicit(&s->hash[0], memory_order_relaxed) == want[0] &&
            atomic_load_explicit(&s->hash[1], memory_order_relaxed) == want[1])
            return (struct tb_suspect *)s;
    }
    return NULL;
}

uint32_t tb_quarantine_note(struct tb_quarantine *q, const unsigned char hash[TB_CRASH_HASH])
{
    uint64_t want[2];
    memcpy(want, hash, sizeof(want));
    if (want[0] == 0 && want[1] == 0)
        return 0;
    struct tb_suspect *s = find_suspect(q, want);
    if (s == NULL) {
        s = &q->suspects[q->next];
        q->next = (q->next + 1) % TB_QUARANTINE_MAX;
        if (s->crashes >= TB_QUARANTINE_CRASHES)
            q->convicted_n--;
        s->crashes = 0;
        s->hash[0] = want[0];
        s->hash[1] = want[1];
    }
    uint32_t crashes = ++s->crashes;
    if (crashes == TB_QUARANTINE_CRASHES)
        q->convicted_n++;
    return crashes;
}

bool tb_quarantined(const struct tb_quarantine *q, const unsigned char hash[TB_CRASH_HASH])
{
    if (!tb_quarantine_any(q))
        return false;
    uint64_t want[2];
    memcpy(want, hash, sizeof(want));
    const struct tb_suspect *s = find_suspect(q, want);
    return s != NULL && s->crashes >= TB_QUARANTINE_CRASHES;
}
