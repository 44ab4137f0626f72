/* The signing keys in the database (schema `oauth`), those of access tokens apart from those of
 * responses, each purpose with a key store of its own. Every process that signs or checks refreshes
 * its stores at its start and every few seconds from then on; whichever comes first when the next
 * key is due makes it.
 *
 *     TB_TRY(tb_oauth_keys_refresh(req, keys, TB_KEYS_OF_TOKENS, &tb_oauth_schedule, now_s));
 */
#ifndef TB_OAUTH_TOKEN_KEYS_H
#define TB_OAUTH_TOKEN_KEYS_H

#include "crypto/keystore.h"
#include <tongbao/plugin.h>
#include <tongbao/req.h>

/** What the keys of a store sign. */
enum tb_key_purpose {
    TB_KEYS_OF_TOKENS,    /**< access tokens */
    TB_KEYS_OF_RESPONSES, /**< what clients verify: ID tokens, authorization and introspection
                               responses */
};

/** A purpose as the database and the command line call it: "token", "response". */
const char *tb_key_purpose_name(enum tb_key_purpose purpose);

/** ES256; signs for 90 days, is published 2 days before, and counts for 32 days after, which is
 * longer than any token lives. */
extern const struct tb_key_schedule tb_oauth_schedule;

/** Migrations of this room, up to number 0. */
extern const struct tb_migration tb_oauth_migrations[];

/** Take the purpose's keys of the database into `keys`, and make the next one if it is due.
 *  @return NULL; TB_E_INTERNAL with a sentence for the operator (rows that do not open under this
 *          master secret: the store keeps what it had); errors of tb_query
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_oauth_keys_refresh(struct tb_req *req, struct tb_keystore *keys,
                                                      enum tb_key_purpose purpose,
                                                      const struct tb_key_schedule *schedule,
                                                      int64_t now_s);

/** Let the next key sign from `from_s` on, ahead of the schedule: the one that is published
 * already, or a new one. Until then the present key signs; both are in the JWK Set until what the
 * present one signed has expired. Repeating it within the same second changes nothing.
 *  @param who     for the record of acts: "operator:lan"
 *  @param from_s  far enough ahead for every verifier to read the JWK Set again
 *  @return NULL, with the keys as they are now in `keys`; TB_E_CONFLICT (so many are live that a
 *          store could not hold one more); else as tb_oauth_keys_refresh
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_oauth_keys_rotate(struct tb_req *req, struct tb_keystore *keys,
                                                     enum tb_key_purpose purpose,
                                                     const struct tb_key_schedule *schedule,
                                                     const char *who, int64_t from_s,
                                                     int64_t now_s);

#endif
