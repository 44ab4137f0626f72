/* Secrets at rest: keys derived from the one master secret, and AES-256-GCM under them. What is
 * sealed opens only with the same key and for the same name, and a changed bit does not open at
 * all.
 *
 *     struct tb_secret key = {0};
 *     tb_secret_derive(&key, &master, "tongbao signing keys 1");
 *     struct tb_str text = tb_seal(&key, kid, secret_bytes, arena);
 */
#ifndef TB_CRYPTO_SEAL_H
#define TB_CRYPTO_SEAL_H

#include "base/arena.h"
#include "base/secret.h"
#include <stdbool.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

enum { TB_SEAL_KEY_BYTES = 32, TB_SEAL_BYTES_MAX = 16 * 1024 };

/** Derive a key of TB_SEAL_KEY_BYTES for one purpose: HMAC-SHA256 of the label under the master.
 * Keys of different labels tell nothing of each other or of the master. */
void tb_secret_derive(struct tb_secret *out, const struct tb_secret *master, const char *label);

/** Seal `plain` under `key` for `name`, with a random nonce.
 *  @return base64url of version, nonce, ciphertext and tag, NUL-terminated, in the arena; absent
 * when the arena is full or plain.n > TB_SEAL_BYTES_MAX */
struct tb_str tb_seal(const struct tb_secret *key, struct tb_str name, struct tb_str plain,
                      struct tb_arena *arena);

/** Open what tb_seal gave for the same name.
 *  @return false when it does not open; *out is then unchanged */
bool TB_NODISCARD tb_unseal(const struct tb_secret *key, struct tb_str name, struct tb_str sealed,
                            struct tb_secret *out);

#endif
