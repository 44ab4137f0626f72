/* The signing keys of access tokens in the database (schema `oauth`). Every process that mints or
 * checks tokens refreshes its key store at its start and every TB_OAUTH_REFRESH_S from then on;
 * whichever comes first when the next key is due makes it.
 *
 *     TB_TRY(tb_oauth_keys_refresh(req, keys, &tb_oauth_schedule, now_s));
 */
#ifndef TB_OAUTH_KEYS_H
#define TB_OAUTH_KEYS_H

#include "crypto/keystore.h"
#include <tongbao/plugin.h>
#include <tongbao/req.h>

enum { TB_OAUTH_REFRESH_S = 30 };

/** ES256; signs for 90 days, is published 2 days before, and counts for 32 days after, which is
 * longer than any token lives. */
extern const struct tb_key_schedule tb_oauth_schedule;

/** Migrations of this room, up to number 0. */
extern const struct tb_migration tb_oauth_migrations[];

/** Take the keys of the database into `keys`, and make the next one if it is due.
 *  @return NULL; TB_E_INTERNAL with a sentence for the operator (rows that do not open under this
 *          master secret: the store keeps what it had); errors of tb_query
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_oauth_keys_refresh(struct tb_req *req, struct tb_keystore *keys,
                                                      const struct tb_key_schedule *schedule,
                                                      int64_t now_s);

#endif
