/* Keys on OpenSSL's EVP: making, checking, signing, verifying. Two habits of the library shape the
 * code. Preparing an operation costs as much as a tenth of it, so each key keeps a prepared
 * context. And a failure leaves a record in the thread's error queue, where TLS would later take it
 * for its own: every function that can fail empties the queue. */
#include "crypto/key.h"
#include "base/assert.h"
#include "base/mem.h"
#include "crypto/key_parts.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

enum { HALF = 32, ES256_BYTES = 2 * HALF, ED25519_BYTES = 64, DER_MAX = 2 + 2 * (2 + 1 + HALF) };

/* ---- names ---- */

struct tb_str tb_alg_name(enum tb_alg alg)
{
    switch (alg) {
    case TB_ALG_ES256:
        return TB_STR("ES256");
    case TB_ALG_PS256:
        return TB_STR("PS256");
    case TB_ALG_ED25519:
        return TB_STR("Ed25519");
    }
    return TB_STR_NONE;
}

unsigned tb_alg_read(struct tb_str name)
{
    if (tb_str_eq(name, TB_STR("ES256")))
        return TB_ALG_ES256;
    if (tb_str_eq(name, TB_STR("PS256")))
        return TB_ALG_PS256;
    if (tb_str_eq(name, TB_STR("EdDSA")) || tb_str_eq(name, TB_STR("Ed25519")))
        return TB_ALG_ED25519;
    return 0;
}

enum tb_alg tb_key_alg(const struct tb_key *key)
{
    return key->alg;
}

bool tb_key_is_private(const struct tb_key *key)
{
    return key->is_private;
}

bool tb_key_named(const struct tb_key *key)
{
    return key->kid != NULL;
}

struct tb_str tb_key_kid(const struct tb_key *key)
{
    return tb_str(key->kid == NULL ? key->thumbprint : key->kid);
}

struct tb_str tb_key_thumbprint(const struct tb_key *key)
{
    return (struct tb_str){key->thumbprint, TB_SHA256_BASE64URL};
}

/* ---- making and checking ---- */

/* A public exponent below 2^16 is forbidden by FIPS 186-5; one of many bits only makes us work. The
 * library's own check of a public key is left out: it looks for small factors and primality of the
 * modulus, milliseconds for a stranger's key that can harm nobody but its owner. */
static bool good_rsa(const EVP_PKEY *pkey)
{
    BIGNUM *n = NULL, *e = NULL;
    bool good = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(n) &&
                BN_num_bits(n) >= TB_KEY_RSA_BITS_MIN && BN_num_bits(n) <= TB_KEY_RSA_BITS_MAX &&
                BN_is_odd(e) && BN_num_bits(e) > 16 && BN_num_bits(e) <= 32;
    BN_free(n);
    BN_free(e);
    return good;
}

/* The quick check of a point (in range, on the curve) is whole on a curve of cofactor 1. */
static bool good_ec(EVP_PKEY *pkey, EVP_PKEY_CTX *context)
{
    char name[32];
    size_t n;
    return EVP_PKEY_get_group_name(pkey, name, sizeof(name), &n) == 1 &&
           strcmp(name, "prime256v1") == 0 && EVP_PKEY_public_check_quick(context) == 1;
}

static bool good_pkey(enum tb_alg alg, EVP_PKEY *pkey, bool is_private)
{
    if (alg == TB_ALG_ED25519)
        return EVP_PKEY_is_a(pkey, "ED25519"); /* any 32 bytes will do, and the pair is derived */
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    TB_ASSERT(context != NULL);
    bool good = alg == TB_ALG_ES256 ? EVP_PKEY_is_a(pkey, "EC") && good_ec(pkey, context)
                                    : EVP_PKEY_is_a(pkey, "RSA") && good_rsa(pkey);
    good = good && (!is_private || EVP_PKEY_pairwise_check(context) == 1);
    EVP_PKEY_CTX_free(context);
    return good;
}

struct tb_key *tb_key_wrap(enum tb_alg alg, EVP_PKEY *pkey, bool is_private)
{
    if (pkey == NULL || !good_pkey(alg, pkey, is_private)) {
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return NULL;
    }
    struct tb_key *key = tb_mem(sizeof(*key));
    key->alg = alg;
    key->pkey = pkey;
    key->is_private = is_private;
    key->members = tb_key_members(alg, pkey);
    unsigned char digest[TB_SHA256_BYTES];
    tb_sha256((struct tb_str[]){TB_STR("{"), tb_str(key->members), TB_STR("}")}, 3, digest);
    tb_base64url_write(key->thumbprint, TB_BYTES(digest, sizeof(digest)));
    return key;
}

struct tb_key *tb_key_make(enum tb_alg alg)
{
    EVP_PKEY *pkey = NULL;
    switch (alg) {
    case TB_ALG_ES256:
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        break;
    case TB_ALG_PS256:
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)TB_KEY_RSA_BITS_MIN);
        break;
    case TB_ALG_ED25519:
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    }
    struct tb_key *key = tb_key_wrap(alg, pkey, true);
    TB_ASSERT(key != NULL);
    return key;
}

void tb_key_free(struct tb_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_CTX_free(key->verifier);
    EVP_PKEY_CTX_free(key->signer);
    EVP_PKEY_free(key->pkey);
    tb_mem_free(key->members);
    tb_mem_free(key->kid);
    tb_mem_free(key);
}

/* ---- PKCS #8 ---- */

struct tb_key *tb_key_read_der(enum tb_alg alg, const struct tb_secret *der)
{
    const unsigned char *at = der->at;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der->n);
    EVP_PKEY *pkey = NULL;
    if (info != NULL && at == der->at + der->n)
        pkey = EVP_PKCS82PKEY(info);
    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_clear_error();
    return tb_key_wrap(alg, pkey, true);
}

void tb_key_write_der(const struct tb_key *key, struct tb_secret *out)
{
    unsigned char *der = NULL;
    TB_ASSERT(key->is_private);
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
    TB_ASSERT(info != NULL);
    int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    TB_ASSERT(n > 0);
    PKCS8_PRIV_KEY_INFO_free(info);
    tb_secret_set(out, der, (size_t)n);
    OPENSSL_clear_free(der, (size_t)n);
}

/* ---- signing and verifying ---- */

static bool set_pss(EVP_PKEY_CTX *context)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, TB_SHA256_BYTES) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

/* A context that takes SHA-256 digests, prepared by `init` (for signing or for verifying). */
static EVP_PKEY_CTX *prepare(const struct tb_key *key, int (*init)(EVP_PKEY_CTX *))
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    TB_ASSERT(context != NULL && init(context) == 1);
    TB_ASSERT(key->alg != TB_ALG_PS256 || set_pss(context));
    TB_ASSERT(EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1);
    return context;
}

/* The order n of the group of P-256 (SEC 2 §2.4.2). */
static const unsigned char order[HALF] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* Write the scalar at `half` as an ASN.1 INTEGER; NULL unless 0 < scalar < n. */
static unsigned char *scalar_to_der(const unsigned char *half, unsigned char *out)
{
    size_t zeros = 0;
    while (zeros < HALF && half[zeros] == 0)
        zeros++;
    if (zeros == HALF || memcmp(half, order, HALF) >= 0)
        return NULL;
    bool pad = half[zeros] >= 0x80; /* or it would read as negative */
    *out++ = 0x02;
    *out++ = (unsigned char)(HALF - zeros + pad);
    if (pad)
        *out++ = 0;
    memcpy(out, half + zeros, HALF - zeros);
    return out + (HALF - zeros);
}

/* From r and s of JOSE to the SEQUENCE OpenSSL takes. Returns its length, 0 when out of range. */
static size_t raw_to_der(const unsigned char *raw, unsigned char out[DER_MAX])
{
    unsigned char *end = scalar_to_der(raw, out + 2);
    if (end != NULL)
        end = scalar_to_der(raw + HALF, end);
    if (end == NULL)
        return 0;
    out[0] = 0x30;
    out[1] = (unsigned char)(end - out - 2);
    return (size_t)(end - out);
}

static void der_to_raw(const unsigned char *der, size_t n, unsigned char *out)
{
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)n);
    TB_ASSERT(signature != NULL);
    TB_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, HALF) == HALF);
    TB_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + HALF, HALF) == HALF);
    ECDSA_SIG_free(signature);
}

static size_t sign_ed25519(struct tb_key *key, struct tb_str message, unsigned char *out)
{
    size_t n = ED25519_BYTES;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    TB_ASSERT(context != NULL);
    TB_ASSERT(EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1);
    TB_ASSERT(EVP_DigestSign(context, out, &n, (const unsigned char *)message.at, message.n) == 1);
    EVP_MD_CTX_free(context);
    return n;
}

size_t tb_key_sign(struct tb_key *key, struct tb_str message, unsigned char *out)
{
    TB_ASSERT(key->is_private);
    if (key->alg == TB_ALG_ED25519)
        return sign_ed25519(key, message, out);
    if (key->signer == NULL)
        key->signer = prepare(key, EVP_PKEY_sign_init);
    unsigned char digest[TB_SHA256_BYTES], der[DER_MAX];
    tb_sha256(&message, 1, digest);
    bool ecdsa = key->alg == TB_ALG_ES256;
    size_t n = ecdsa ? sizeof(der) : TB_KEY_SIGNATURE_MAX;
    TB_ASSERT(EVP_PKEY_sign(key->signer, ecdsa ? der : out, &n, digest, sizeof(digest)) == 1);
    if (!ecdsa)
        return n;
    der_to_raw(der, n, out);
    return ES256_BYTES;
}

static bool verify_ed25519(struct tb_key *key, struct tb_str message, struct tb_str signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    TB_ASSERT(context != NULL);
    TB_ASSERT(EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pkey) == 1);
    int genuine = EVP_DigestVerify(context, (const unsigned char *)signature.at, signature.n,
                                   (const unsigned char *)message.at, message.n);
    EVP_MD_CTX_free(context);
    return genuine == 1;
}

/* ES256 and PS256, over the digest. */
static bool verify_digest(struct tb_key *key, struct tb_str message, struct tb_str signature)
{
    unsigned char digest[TB_SHA256_BYTES], der[DER_MAX];
    const unsigned char *at = (const unsigned char *)signature.at;
    size_t n = signature.n;
    if (key->alg == TB_ALG_ES256) {
        n = raw_to_der(at, der);
        at = der;
        if (n == 0)
            return false;
    }
    if (key->verifier == NULL)
        key->verifier = prepare(key, EVP_PKEY_verify_init);
    tb_sha256(&message, 1, digest);
    return EVP_PKEY_verify(key->verifier, at, n, digest, sizeof(digest)) == 1;
}

bool tb_key_verify(struct tb_key *key, struct tb_str message, struct tb_str signature)
{
    size_t expected = ES256_BYTES;
    if (key->alg == TB_ALG_ED25519)
        expected = ED25519_BYTES;
    else if (key->alg == TB_ALG_PS256)
        expected = (size_t)EVP_PKEY_get_size(key->pkey);
    if (signature.n != expected)
        return false;
    bool genuine = key->alg == TB_ALG_ED25519 ? verify_ed25519(key, message, signature)
                                              : verify_digest(key, message, signature);
    if (!genuine)
        ERR_clear_error();
    return genuine;
}
