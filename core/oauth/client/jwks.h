/* JWK Sets of clients, and the parts of a JWS that may be looked at before it is verified. */
#ifndef TB_OAUTH_CLIENT_JWKS_H
#define TB_OAUTH_CLIENT_JWKS_H

#include "oauth/client/client.h"

enum {
    TB_JWKS_BYTES_MAX = 64 * 1024,
    TB_JWKS_KEYS_MAX = 32, /**< usable ones of a set; the rest is passed over */
};

/** The keys of a JWK Set, found again by the digest of its text in a cache of the worker. Keys that
 *  are not ours to use (other types, curves, algorithms, for encryption, private ones) are passed
 *  over.
 *  @param text  absent or not a JWK Set: no keys
 *  @return with a count for the caller; never NULL. Waits: no. */
struct tb_client_keys *tb_client_keys_read(struct tb_str text);

/** One count more. @param keys  NULL: nothing */
struct tb_client_keys *tb_client_keys_hold(struct tb_client_keys *keys);

/** One count less. The last one frees. */
void tb_client_keys_drop(struct tb_client_keys *keys);

/** Whether the set has a key with this kid, or one without any, of whatever algorithm. */
bool tb_client_keys_names(const struct tb_client_keys *keys, struct tb_str kid);

/** Whether `text` is a JSON object with an array `keys`. */
bool tb_jwks_formed(struct tb_str text);

/** A part of a compact JWS as JSON: 0 the header, 1 the claims. Nothing in it is to be believed: it
 *  only says what to look for. NULL when it is none. Memory: the arena. */
const json_t *tb_jws_peek(struct tb_arena *arena, struct tb_str token, int part);

#endif
