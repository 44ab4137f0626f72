/* Second look at a client's registration. A request that was pushed, a code, a grant and a
 * token may each outlive what the client has registered (RFC 7592 §2.2: a replacement replaces
 * everything), so each of their uses is decided again by the registration as it is then. Nothing
 * that was granted is changed by that: what is registered again counts again.
 *
 *     struct tb_standing now = tb_standing_of(client);
 *     if (!tb_standing_narrow(arena, &now, &granted.scope, &granted.details))
 *         return tb_fail(...);
 */
#ifndef TB_OAUTH_REQUEST_STANDING_H
#define TB_OAUTH_REQUEST_STANDING_H

#include "base/arena.h"
#include "oauth/client/client.h"

/** What may be asked for and held. Borrowed. */
struct tb_standing {
    struct tb_str scope; /**< blank-separated; absent: nothing */
    const json_t *types; /**< of authorization details, an array; NULL: all */
};

/** By the registration alone; what is not served any more is not covered. */
struct tb_standing tb_standing_of(const struct tb_oauth_client *client);

/** Whether details of this type are covered. */
bool tb_standing_type(const struct tb_standing *now, struct tb_str type);

/** Leave of a scope and of details what is covered. Details count with their type and all the
 *  scopes they imply, or not at all; without them none of these scopes counts.
 *  @param details  JSON text, as granted; or absent
 *  @return false when nothing is left of the scope, or the arena is full
 *  Waits: no. Memory: the arena. */
bool TB_NODISCARD tb_standing_narrow(struct tb_arena *arena, const struct tb_standing *now,
                                     struct tb_str *scope, struct tb_str *details);

/** Why a stored request (par.h, of a browser's or the back channel's) is not one that the client
 *  could make now.
 *  @param grant_type  that it leads to
 *  @return NULL: it could; TB_E_UNAUTHORIZED_CLIENT, TB_E_INVALID_SCOPE,
 *          TB_E_INVALID_AUTHORIZATION_DETAILS, TB_E_INVALID_REQUEST (its response_mode)
 *  Waits: no. */
tb_err tb_standing_request(const struct tb_oauth_client *client, const json_t *params,
                           const char *grant_type);

#endif
