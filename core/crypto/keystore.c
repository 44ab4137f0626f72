/* A small array of keys in the order they sign in. Loading builds a new array and takes the keys
 * over that it already has, so that a key is unsealed and parsed once in the life of a worker. */
#include "crypto/keystore.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/seal.h"
#include <string.h>

struct slot {
    struct tb_key *key;
    int64_t signs_from_s, signs_until_s, valid_until_s;
};

struct tb_keystore {
    struct tb_secret sealing;
    struct slot slots[TB_KEYSTORE_KEYS_MAX];
    size_t n;
    uint64_t generation;
};

struct tb_keystore *tb_keystore_new(const struct tb_secret *master)
{
    if (master->n < TB_KEYSTORE_MASTER_BYTES)
        return NULL;
    struct tb_keystore *keys = tb_mem(sizeof(*keys));
    tb_secret_derive(&keys->sealing, master, "tongbao signing keys 1");
    return keys;
}

void tb_keystore_free(struct tb_keystore *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->n; i++)
        tb_key_free(keys->slots[i].key);
    tb_secret_wipe(&keys->sealing);
    tb_mem_free(keys);
}

static enum tb_key_state state_of(const struct slot *slot, int64_t now_s)
{
    if (now_s >= slot->valid_until_s)
        return TB_KEY_ENDED;
    if (now_s >= slot->signs_until_s)
        return TB_KEY_RETIRED;
    return now_s >= slot->signs_from_s ? TB_KEY_ACTIVE : TB_KEY_NEXT;
}

/* ---- loading ---- */

static struct tb_key *held_key(const struct tb_keystore *keys, struct tb_str kid)
{
    for (size_t i = 0; i < keys->n; i++)
        if (tb_str_eq(tb_key_thumbprint(keys->slots[i].key), kid))
            return keys->slots[i].key;
    return NULL;
}

/* That the key belongs to the kid needs no look: it was sealed for this name. */
static struct tb_key *open_key(const struct tb_keystore *keys, const struct tb_key_row *row)
{
    struct tb_secret der = {0};
    unsigned alg = tb_alg_read(row->alg);
    if (alg == 0 || !tb_unseal(&keys->sealing, row->kid, row->sealed, &der))
        return NULL;
    struct tb_key *key = tb_key_read_der((enum tb_alg)alg, &der);
    tb_secret_wipe(&der);
    return key;
}

/* Place the row's times in `next`, in the order of signing. Returns the slot, or NULL when the
 * times are out of order or overlap a neighbour's: two keys must never sign at once. */
static struct slot *place(struct tb_keystore *next, const struct tb_key_row *row)
{
    if (row->signs_from_s < 0 || row->signs_until_s <= row->signs_from_s ||
        row->valid_until_s < row->signs_until_s)
        return NULL;
    size_t at = next->n;
    while (at > 0 && next->slots[at - 1].signs_from_s > row->signs_from_s)
        at--;
    if ((at > 0 && next->slots[at - 1].signs_until_s > row->signs_from_s) ||
        (at < next->n && next->slots[at].signs_from_s < row->signs_until_s))
        return NULL;
    memmove(&next->slots[at + 1], &next->slots[at], (next->n - at) * sizeof(next->slots[0]));
    next->n++;
    next->slots[at] = (struct slot){.signs_from_s = row->signs_from_s,
                                    .signs_until_s = row->signs_until_s,
                                    .valid_until_s = row->valid_until_s};
    return &next->slots[at];
}

/* Take one row into `next`; why not, or NULL. */
static const char *take_row(const struct tb_keystore *keys, struct tb_keystore *next,
                            const struct tb_key_row *row)
{
    if (next->n == TB_KEYSTORE_KEYS_MAX)
        return "there are more live signing keys than the store holds";
    struct slot *slot = place(next, row);
    if (slot == NULL)
        return "the times of the signing keys are out of order or overlap";
    slot->key = held_key(keys, row->kid);
    if (slot->key == NULL)
        slot->key = open_key(keys, row);
    if (slot->key == NULL)
        return "a signing key does not open under the master secret";
    if (tb_alg_read(row->alg) != tb_key_alg(slot->key))
        return "a signing key has another algorithm than its row says";
    return NULL;
}

/* Free the keys of `from` that `kept` does not have; whether there were any. */
static bool free_others(struct tb_keystore *from, const struct tb_keystore *kept)
{
    bool any = false;
    for (size_t i = 0; i < from->n; i++) {
        struct tb_key *key = from->slots[i].key;
        if (key == NULL || held_key(kept, tb_key_thumbprint(key)) == key)
            continue;
        tb_key_free(key);
        any = true;
    }
    return any;
}

const char *tb_keystore_load(struct tb_keystore *keys, const struct tb_key_row *rows, size_t rows_n,
                             int64_t now_s)
{
    struct tb_keystore next = {0};
    const char *why = NULL;
    for (size_t i = 0; i < rows_n && why == NULL; i++)
        if (rows[i].valid_until_s > now_s)
            why = take_row(keys, &next, &rows[i]);
    if (why != NULL) {
        free_others(&next, keys);
        return why;
    }
    if (free_others(keys, &next))
        keys->generation++;
    memcpy(keys->slots, next.slots, sizeof(keys->slots));
    keys->n = next.n;
    return NULL;
}

uint64_t tb_keystore_generation(const struct tb_keystore *keys)
{
    return keys->generation;
}

/* ---- rotation ---- */

static int64_t covered_until(const struct tb_keystore *keys)
{
    return keys->n == 0 ? 0 : keys->slots[keys->n - 1].signs_until_s;
}

bool tb_keystore_due(const struct tb_keystore *keys, const struct tb_key_schedule *schedule,
                     int64_t now_s)
{
    return covered_until(keys) - schedule->lead_s <= now_s;
}

bool tb_keystore_make(const struct tb_keystore *keys, const struct tb_key_schedule *schedule,
                      int64_t now_s, struct tb_arena *arena, struct tb_key_row *out_row)
{
    TB_ASSERT(schedule->period_s > schedule->lead_s && schedule->lead_s >= 0 &&
              schedule->overlap_s >= 0);
    struct tb_key *key = tb_key_make(schedule->alg);
    struct tb_str thumbprint = tb_key_thumbprint(key);
    struct tb_secret der = {0};
    tb_key_write_der(key, &der);
    int64_t covered = covered_until(keys), from = now_s - TB_KEYSTORE_SKEW_S;
    if (covered > from)
        from = covered;
    char *kid = tb_arena_text(arena, thumbprint.at, thumbprint.n);
    *out_row = (struct tb_key_row){
        .kid = {kid, kid == NULL ? 0 : thumbprint.n},
        .alg = tb_alg_name(schedule->alg),
        .signs_from_s = from,
        .signs_until_s = from + schedule->period_s,
        .valid_until_s = from + schedule->period_s + schedule->overlap_s,
        .sealed = tb_seal(&keys->sealing, thumbprint, TB_BYTES(der.at, der.n), arena),
    };
    tb_secret_wipe(&der);
    tb_key_free(key);
    return kid != NULL && out_row->sealed.at != NULL;
}

/* ---- use ---- */

struct tb_key *tb_keystore_signer(struct tb_keystore *keys, int64_t now_s)
{
    for (size_t i = 0; i < keys->n; i++)
        if (state_of(&keys->slots[i], now_s) == TB_KEY_ACTIVE)
            return keys->slots[i].key;
    return NULL;
}

struct tb_key *tb_keystore_find(struct tb_keystore *keys, struct tb_str kid, enum tb_alg alg,
                                int64_t now_s)
{
    for (size_t i = 0; i < keys->n; i++) {
        struct tb_key *key = keys->slots[i].key;
        if (tb_str_eq(tb_key_thumbprint(key), kid))
            return tb_key_alg(key) == alg && state_of(&keys->slots[i], now_s) != TB_KEY_ENDED
                       ? key
                       : NULL;
    }
    return NULL;
}

size_t tb_keystore_status(const struct tb_keystore *keys, int64_t now_s,
                          struct tb_key_status out[TB_KEYSTORE_KEYS_MAX])
{
    for (size_t i = 0; i < keys->n; i++) {
        const struct slot *slot = &keys->slots[i];
        out[i] = (struct tb_key_status){.kid = tb_key_thumbprint(slot->key),
                                        .alg = tb_key_alg(slot->key),
                                        .state = state_of(slot, now_s),
                                        .signs_from_s = slot->signs_from_s,
                                        .signs_until_s = slot->signs_until_s,
                                        .valid_until_s = slot->valid_until_s};
    }
    return keys->n;
}

struct tb_str tb_keystore_jwks(const struct tb_keystore *keys, int64_t now_s,
                               struct tb_arena *arena)
{
    struct tb_text text;
    bool first = true;
    tb_text_init(&text, arena);
    tb_text_add(&text, TB_STR("{\"keys\":["));
    for (size_t i = 0; i < keys->n; i++) {
        if (state_of(&keys->slots[i], now_s) == TB_KEY_ENDED)
            continue;
        struct tb_str jwk = tb_key_write_jwk(keys->slots[i].key, TB_JWK_PUBLIC, arena);
        if (jwk.at == NULL)
            return TB_STR_NONE;
        if (!first)
            tb_text_add_char(&text, ',');
        first = false;
        tb_text_add(&text, jwk);
    }
    tb_text_add(&text, TB_STR("]}"));
    return tb_text_end(&text);
}
