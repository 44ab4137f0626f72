/* A key that signs or verifies: ES256, PS256 or Ed25519 and nothing else. Its algorithm is part of
 * the key, so that no token can choose another. A key comes from tb_key_make, from a JWK (RFC 7517)
 * or from the sealed form the key store keeps.
 *
 *     struct tb_key *key = tb_key_make(TB_ALG_ES256);
 *     size_t n = tb_key_sign(key, message, signature);
 *     bool genuine = tb_key_verify(key, message, TB_BYTES(signature, n));
 *     tb_key_free(key);
 *
 * A key keeps its prepared contexts, so one thread at a time may use it. Nothing here waits; making
 * a PS256 key takes about 100 ms of processor. */
#ifndef TB_CRYPTO_KEY_H
#define TB_CRYPTO_KEY_H

#include "base/arena.h"
#include "base/secret.h"
#include <jansson.h>
#include <stdbool.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

/** Algorithms by their JOSE meaning (RFC 7518, 8037, 9864); bits, so that a policy can hold a set.
 */
enum tb_alg {
    TB_ALG_ES256 = 1u << 0,   /**< ECDSA on P-256 with SHA-256 */
    TB_ALG_PS256 = 1u << 1,   /**< RSASSA-PSS, SHA-256, MGF1 with SHA-256, salt of 32 bytes */
    TB_ALG_ED25519 = 1u << 2, /**< written "Ed25519", read also as "EdDSA" */
};

/** All of them, and the names they are read by, as metadata and challenges list them. */
#define TB_ALGS      ((unsigned)TB_ALG_ES256 | (unsigned)TB_ALG_PS256 | (unsigned)TB_ALG_ED25519)
#define TB_ALG_NAMES "PS256 ES256 EdDSA Ed25519"

enum {
    TB_KEY_RSA_BITS_MIN = 2048,
    TB_KEY_RSA_BITS_MAX = 4096, /**< bounds the work a stranger's key can ask for */
    TB_KEY_SIGNATURE_MAX = TB_KEY_RSA_BITS_MAX / 8, /**< bytes */
    TB_KEY_KID_MAX = 128,                           /**< characters */
};

struct tb_key;

/** A new key pair. Never NULL. */
struct tb_key *tb_key_make(enum tb_alg alg);

/** Whether a JWK must be, or must not be, private. */
enum tb_jwk_part { TB_JWK_PUBLIC, TB_JWK_PRIVATE };

/** Read a JWK. Refused: other key types and curves, points not on the curve, RSA outside
 *  TB_KEY_RSA_BITS_*, integers with leading zeros, an `alg` or `use` that does not fit, private
 * members in a key that should be public (its owner has published a secret), a pair that does not
 * match.
 *  @return the key, or NULL when refused */
struct tb_key *tb_key_read_jwk(const json_t *jwk, enum tb_jwk_part part);

/** Write a JWK: the public members, `alg`, `use` and `kid`, and the private ones only when asked
 * for.
 *  @return JSON text in the arena; absent when the arena is full. A private one is secret, and the
 *          arena does not wipe itself. */
struct tb_str tb_key_write_jwk(const struct tb_key *key, enum tb_jwk_part part,
                               struct tb_arena *arena);

/** Read the DER of PKCS #8 (RFC 5208), and write it. Reading gives NULL when the bytes are not a
 * key of `alg`, or more than one. */
struct tb_key *tb_key_read_der(enum tb_alg alg, const struct tb_secret *der);
void tb_key_write_der(const struct tb_key *key, struct tb_secret *out);

void tb_key_free(struct tb_key *key);

enum tb_alg tb_key_alg(const struct tb_key *key);
bool tb_key_is_private(const struct tb_key *key);

/** Whether its JWK gave a `kid`. */
bool tb_key_named(const struct tb_key *key);

/** The `kid` its JWK gave, or else the thumbprint. */
struct tb_str tb_key_kid(const struct tb_key *key);

/** base64url of the SHA-256 thumbprint (RFC 7638): the `jkt` of a DPoP-bound token. */
struct tb_str tb_key_thumbprint(const struct tb_key *key);

/** Sign with a private key, in the form of JOSE (ES256: r and s, 32 bytes each).
 *  @param out  room for TB_KEY_SIGNATURE_MAX
 *  @return bytes written */
size_t tb_key_sign(struct tb_key *key, struct tb_str message, unsigned char *out);

/** Whether `signature` is one of `message`, of exactly the form and length of the algorithm. ES256:
 *  0 < r, s < n; both s and n - s are accepted, as RFC 7515 does, so a signature's text identifies
 *  nothing. */
bool tb_key_verify(struct tb_key *key, struct tb_str message, struct tb_str signature);

/** The name of an algorithm in a header we write; and the algorithm of a name, 0 when not one of
 * ours. Names are compared exactly, with their case. */
struct tb_str tb_alg_name(enum tb_alg alg);
unsigned tb_alg_read(struct tb_str name);

#endif
