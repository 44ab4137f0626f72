/* Digests and the texts they travel in: SHA-256, HMAC-SHA256, comparison in constant time,
 * base64url and hexadecimal. Nothing here waits or fails but the decoders, which refuse what is not
 * exact.
 *
 *     unsigned char digest[TB_SHA256_BYTES];
 *     tb_sha256((struct tb_str[]){method, TB_STR("\n"), path}, 3, digest);
 */
#ifndef TB_CRYPTO_DIGEST_H
#define TB_CRYPTO_DIGEST_H

#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

enum { TB_SHA256_BYTES = 32 };

/** Characters that the base64url text (without padding) of `n` bytes takes. */
#define TB_BASE64URL_CHARS(n) (((n)*4 + 2) / 3)

enum { TB_SHA256_BASE64URL = TB_BASE64URL_CHARS(TB_SHA256_BYTES) }; /**< 43 */

/** Bytes as a tb_str: digests, signatures and DER are passed as such. */
#define TB_BYTES(at, n) ((struct tb_str){(const char *)(at), (n)})

/* ---- SHA-256 (FIPS 180-4) ---- */

/** Digest of the concatenation of `n` parts. */
void tb_sha256(const struct tb_str *parts, size_t n, unsigned char out[TB_SHA256_BYTES]);

/** The same over data that arrives bit by bit; tb_sha256_end writes the digest and frees. */
struct tb_sha256;
struct tb_sha256 *tb_sha256_begin(void);
void tb_sha256_add(struct tb_sha256 *hash, struct tb_str piece);
void tb_sha256_end(struct tb_sha256 *hash, unsigned char out[TB_SHA256_BYTES]);

/* ---- HMAC-SHA256 (RFC 2104) ---- */

/** A key made ready once, for many codes. One thread at a time. */
struct tb_hmac;
struct tb_hmac *tb_hmac_new(struct tb_str key);
void tb_hmac_free(struct tb_hmac *hmac);

/** The code of the concatenation of `n` parts. Compare it with tb_same_secret only. */
void tb_hmac_sha256(struct tb_hmac *hmac, const struct tb_str *parts, size_t n,
                    unsigned char out[TB_SHA256_BYTES]);

/** Whether `a` and `b` are equal, in a time that depends on their lengths alone. */
bool tb_same_secret(struct tb_str a, struct tb_str b);

/* ---- base64url without padding (RFC 4648 §5) and hexadecimal ---- */

/** Write TB_BASE64URL_CHARS(data.n) characters, no NUL; returns their number. */
size_t tb_base64url_write(char *out, struct tb_str data);

/** The same in the arena, NUL-terminated; absent when the arena is full. */
struct tb_str tb_base64url(struct tb_arena *arena, struct tb_str data);

/** Decode. Exact: no padding, no white space, no character outside the alphabet, and the bits
 * behind the last byte are zero, so that each value has one text only.
 *  @param out      room for text.n * 3 / 4 bytes
 *  @param out_n    their number
 *  @return false when refused; `out` may then hold a part */
bool TB_NODISCARD tb_base64url_read(struct tb_str text, unsigned char *out, size_t *out_n);

/** The same of standard base64 with its padding (RFC 4648 §4), as HTTP Basic and x5c have it. */
bool TB_NODISCARD tb_base64_read(struct tb_str text, unsigned char *out, size_t *out_n);

/** Write 2 * data.n lower-case digits, no NUL. */
void tb_hex_write(char *out, struct tb_str data);

/** Decode digits of either case. @param out room for text.n / 2 bytes. @return false when refused
 */
bool TB_NODISCARD tb_hex_read(struct tb_str text, unsigned char *out);

#endif
