/* Handles that travel as text and rest as digests: authorization codes, refresh tokens and what
 * else must be guessed by nobody and stolen from no table. Whoever lets a customer decide makes the
 * code and hands its digest to SQL oauth.put_code; the token endpoint takes it back, once.
 *
 *     struct tb_handle code;
 *     if (!tb_handle_make(arena, &code))
 *         ...                                        // code.text to the client, code.digest to SQL
 */
#ifndef TB_OAUTH_CODE_H
#define TB_OAUTH_CODE_H

#include "base/arena.h"
#include "oauth/granted.h"

enum {
    TB_HANDLE_BYTES = 32, /**< of randomness */
    TB_HANDLE_CHARS = 43, /**< of its base64url text, and of a digest's */
};

struct tb_handle {
    struct tb_str text;   /**< secret; in the arena */
    struct tb_str digest; /**< base64url of its SHA-256; in the arena */
};

/** A new handle. @return false when the arena is full */
bool TB_NODISCARD tb_handle_make(struct tb_arena *arena, struct tb_handle *out);

/** The digest that the text of a handle is kept under; absent when the arena is full. Any text may
 * come: one that is no handle has a digest that is nowhere. */
struct tb_str tb_handle_digest(struct tb_arena *arena, struct tb_str text);

/** Use an authorization code up. Of many who take it at once one gets it, and whoever takes it
 * again ends its grant with all tokens, on this machine before this returns.
 *  @param client       who sends it
 *  @param out_refresh  gets the grant's refresh token, kept in the same transaction; NULL: none
 *  @return NULL; TB_E_INVALID_GRANT (unknown, expired, used, another client's, or its grant has
 *          ended: one answer for all); errors of tb_query, after which it may be used up
 *  Waits: yes. Source: RFC 6749 §4.1.2, RFC 9700 §2.1.1. */
tb_err TB_NODISCARD TB_SUSPENDS tb_code_take(struct tb_req *req, struct tb_str code,
                                             struct tb_str client, struct tb_str *out_refresh,
                                             struct tb_granted *out);

#endif
