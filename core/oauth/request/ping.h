/* Notifications of ping mode (CIBA Core §10.2): once a customer has decided, the client is told
 * that it may now come for the outcome. The row with its due time is written with the decision, so
 * that a crash in between delays a notification but does not lose it; it may then come twice. */
#ifndef TB_OAUTH_REQUEST_PING_H
#define TB_OAUTH_REQUEST_PING_H

#include "base/arena.h"
#include <tongbao/req.h>

/** Seal what a notification will need, for the column `notification`.
 *  @param digest       of the auth_req_id; what is sealed opens for it alone
 *  @param auth_req_id  what the body will name
 *  @param token        the client's client_notification_token
 *  @return text in the arena; absent when it is full */
struct tb_str tb_ping_seal(struct tb_arena *arena, struct tb_str digest, struct tb_str auth_req_id,
                           struct tb_str token);

/** Derive the key and start the timer. tb_backchannel_open calls it. */
void tb_ping_open(void);

#endif
