/* Inside of a key, for key.c and jwk.c alone. */
#ifndef TB_CRYPTO_KEY_PARTS_H
#define TB_CRYPTO_KEY_PARTS_H

#include "crypto/digest.h"
#include "crypto/key.h"
#include <openssl/evp.h>

struct tb_key {
    enum tb_alg alg;
    bool is_private;
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *verifier, *signer; /**< prepared at first use; ES256 and PS256 */
    char *members; /**< required JWK members in order, without braces (RFC 7638 §3) */
    char thumbprint[TB_SHA256_BASE64URL + 1];
    char *kid; /**< NULL: the thumbprint */
};

/** A key around `pkey`, which it owns from now on, also when refused.
 *  @return NULL when pkey is not of `alg` or fails the checks of tb_key_read_jwk */
struct tb_key *tb_key_wrap(enum tb_alg alg, EVP_PKEY *pkey, bool is_private);

/** The members of RFC 7638 §3 of `pkey`, NUL-terminated; freed with tb_mem_free. */
char *tb_key_members(enum tb_alg alg, const EVP_PKEY *pkey);

#endif
