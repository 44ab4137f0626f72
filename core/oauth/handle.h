/* Handles that travel as text and rest as digests: authorization codes, refresh tokens and what
 * else must be guessed by nobody and stolen from no table.
 *
 *     struct tb_handle code;
 *     if (!tb_handle_make(arena, &code))
 *         ...                                        // code.text to the client, code.digest to SQL
 */
#ifndef TB_OAUTH_HANDLE_H
#define TB_OAUTH_HANDLE_H

#include "base/arena.h"

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

#endif
