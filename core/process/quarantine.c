/* The quarantine table. One writer (the master, after a crash), many readers (workers, per request,
 * only while the table holds a convict). Readers may see an entry half written; the worst that
 * follows is one request more or less refused at that very moment.
 *
 * The hash is keyed with a secret of the service, so nobody can craft a request that shares the
 * hash of somebody else's: SipHash-2-4 (base/hash.h) with the 128-bit output of the reference
 * implementation. */
#include "process/quarantine.h"

#include "base/assert.h"
#include "base/hash.h"
#include <string.h>
#include <sys/random.h>

/* A message that comes in parts, of which SipHash takes eight bytes at a time. */
struct message {
    struct tb_siphash_state state;
    uint64_t word; /**< bytes not yet taken, little end first */
    uint64_t length;
};

static void add(struct message *m, const void *at, size_t n)
{
    const unsigned char *p = at;
    for (size_t i = 0; i < n; i++) {
        m->word |= (uint64_t)p[i] << (8 * (m->length % 8));
        if (++m->length % 8 == 0) {
            tb_siphash_word(&m->state, m->word);
            m->word = 0;
        }
    }
}

static void end(struct message *m, unsigned char out[TB_CRASH_HASH])
{
    tb_siphash_word(&m->state, m->word | m->length << 56);
    m->state.v2 ^= 0xee;
    for (int half = 0; half < 2; half++) {
        uint64_t h = tb_siphash_end(&m->state);
        for (int i = 0; i < 8; i++)
            out[half * 8 + i] = (unsigned char)(h >> (8 * i));
        m->state.v1 ^= 0xdd;
    }
}

void tb_request_hash(const struct tb_quarantine *q, const struct tb_str *parts, size_t parts_n,
                     unsigned char out_hash[TB_CRASH_HASH])
{
    struct message m = {.state = tb_siphash_start((struct tb_siphash_key){q->key[0], q->key[1]})};
    m.state.v1 ^= 0xee; /* 128 bits */
    for (size_t i = 0; i < parts_n; i++) {
        uint64_t n = parts[i].n;
        unsigned char length[8];
        for (int b = 0; b < 8; b++)
            length[b] = (unsigned char)(n >> (8 * b));
        add(&m, length, sizeof(length));
        add(&m, parts[i].at, parts[i].n);
    }
    end(&m, out_hash);
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
