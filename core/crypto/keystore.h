/* The bank's own signing keys and their life. A key is published before it signs, so that every
 * verifier has it in time, and stays published until the last token it signed has expired. Its
 * state follows from four times and the clock alone: nothing has to be written when a key comes
 * into use, and all nodes change at the same second.
 *
 *        next          active            retired
 *     ├─────────┼────────────────────┼──────────────┤
 *     made   signs_from          signs_until    valid_until
 *
 * Private keys rest sealed (AES-256-GCM) under a master secret that never enters the database:
 *
 *     struct tb_keystore *keys = tb_keystore_new(&master);
 *     tb_keystore_load(keys, rows, rows_n, now_s);                  // what the database holds
 *     if (tb_keystore_due(keys, &schedule, now_s))                  // make the next one in time
 *         tb_keystore_make(keys, &schedule, now_s, arena, &row);    // then store `row` and load
 * again struct tb_key *key = tb_keystore_signer(keys, now_s);
 */
#ifndef TB_CRYPTO_KEYSTORE_H
#define TB_CRYPTO_KEYSTORE_H

#include "base/secret.h"
#include "crypto/key.h"
#include <stdint.h>

enum {
    TB_KEYSTORE_MASTER_BYTES = 32, /**< at least */
    TB_KEYSTORE_SKEW_S = 60, /**< the first key signs from so long ago: clocks of nodes differ */
    TB_KEYSTORE_KEYS_MAX =
        8, /**< live at once: next, active, and retired ones of short schedules */
};

enum tb_key_state {
    TB_KEY_NEXT,    /**< published, does not sign yet */
    TB_KEY_ACTIVE,  /**< signs; at most one at any time */
    TB_KEY_RETIRED, /**< signs no more, what it signed still counts */
    TB_KEY_ENDED,   /**< no longer published */
};

/** How keys follow each other. */
struct tb_key_schedule {
    enum tb_alg alg;
    int64_t period_s;  /**< how long each signs */
    int64_t lead_s;    /**< how long before that it is published */
    int64_t overlap_s; /**< how long after that it still counts: at least the life of a token */
};

/** A key as it is stored. */
struct tb_key_row {
    struct tb_str kid; /**< thumbprint */
    struct tb_str alg; /**< tb_alg_name */
    int64_t signs_from_s, signs_until_s, valid_until_s;
    struct tb_str sealed; /**< base64url; says nothing without the master secret */
};

struct tb_keystore;

/** An empty store, whose sealing key is derived from `master`.
 *  @return NULL when the master has fewer than TB_KEYSTORE_MASTER_BYTES */
struct tb_keystore *tb_keystore_new(const struct tb_secret *master);
void tb_keystore_free(struct tb_keystore *keys);

/** Replace the content by `rows`. Keys already held stay as they are; those no longer among the
 * rows, and those that have ended, go. All or nothing: on refusal the store is unchanged.
 *  @return NULL, or why not: a row that does not open under the master secret, whose key has
 * another kid or algorithm, whose times are out of order or overlap another's, or too many rows */
const char *tb_keystore_load(struct tb_keystore *keys, const struct tb_key_row *rows, size_t rows_n,
                             int64_t now_s);

/** Changes whenever a key leaves the store: what was verified before must be verified again. */
uint64_t tb_keystore_generation(const struct tb_keystore *keys);

/** Whether it is time to make the next key. */
bool tb_keystore_due(const struct tb_keystore *keys, const struct tb_key_schedule *schedule,
                     int64_t now_s);

/** Make the key that follows the last one (or signs from now on, when there is none), without
 * taking it in: store the row first, then load.
 *  @param out_row  texts in the arena
 *  @return false when the arena is full */
bool TB_NODISCARD tb_keystore_make(const struct tb_keystore *keys,
                                   const struct tb_key_schedule *schedule, int64_t now_s,
                                   struct tb_arena *arena, struct tb_key_row *out_row);

/** The active key; NULL when there is none. Borrowed until the next load. */
struct tb_key *tb_keystore_signer(struct tb_keystore *keys, int64_t now_s);

/** The key a token names, if it has not ended; NULL otherwise. Borrowed until the next load. */
struct tb_key *tb_keystore_find(struct tb_keystore *keys, struct tb_str kid, enum tb_alg alg,
                                int64_t now_s);

/** What can be said of the keys: for the command line and the metrics. */
struct tb_key_status {
    struct tb_str kid;
    enum tb_alg alg;
    enum tb_key_state state;
    int64_t signs_from_s, signs_until_s, valid_until_s;
};
size_t tb_keystore_status(const struct tb_keystore *keys, int64_t now_s,
                          struct tb_key_status out[TB_KEYSTORE_KEYS_MAX]);

/** The public keys that have not ended, as a JWK Set (RFC 7517 §5) in the arena; absent when it is
 *  full. */
struct tb_str tb_keystore_jwks(const struct tb_keystore *keys, int64_t now_s,
                               struct tb_arena *arena);

#endif
