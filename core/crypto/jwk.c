/* Keys as JSON (RFC 7517, 7518 §6, 8037) and their thumbprint (RFC 7638). Reading is strict,
 * because a JWK comes from strangers: in a DPoP proof from anybody. */
#include "base/assert.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/key_parts.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>
#include <string.h>

enum { COORDINATE = 32, NUMBER_MAX = TB_KEY_SIGNATURE_MAX };

/* RSA's private members (RFC 7518 §6.3.2) by their names in OpenSSL. All are required: a key
 * without its primes signs slower and cannot be checked. */
static const struct rsa_member {
    const char *jwk, *param;
} rsa_private[] = {
    {"d", OSSL_PKEY_PARAM_RSA_D},          {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
    {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
    {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
};
enum { RSA_PRIVATE_N = TB_COUNT(rsa_private) };

/* Members that only a private or symmetric key has, of any type. */
static const char *const secret_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

static bool member_is(const json_t *object, const char *name, const char *expected)
{
    return tb_str_eq(tb_json_str(object, name), tb_str(expected));
}

/* ---- reading ---- */

/* Decode a member of exactly `n` bytes. */
static bool read_fixed(const json_t *jwk, const char *name, unsigned char *out, size_t n)
{
    struct tb_str text = tb_json_str(jwk, name);
    size_t got;
    return text.n == TB_BASE64URL_CHARS(n) && tb_base64url_read(text, out, &got) && got == n;
}

/* Decode an integer: at least one byte, no leading zero (RFC 7518 §2), so that equal keys have
 * equal texts. NULL when refused. */
static BIGNUM *read_number(const json_t *jwk, const char *name)
{
    unsigned char bytes[NUMBER_MAX];
    struct tb_str text = tb_json_str(jwk, name);
    size_t n;
    if (text.n == 0 || text.n > TB_BASE64URL_CHARS(NUMBER_MAX) ||
        !tb_base64url_read(text, bytes, &n) || bytes[0] == 0)
        return NULL;
    BIGNUM *number = BN_secure_new();
    TB_ASSERT(number != NULL && BN_bin2bn(bytes, (int)n, number) != NULL);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return number;
}

static EVP_PKEY *pkey_from(const char *type, int selection, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    TB_ASSERT(params != NULL && context != NULL && EVP_PKEY_fromdata_init(context) == 1);
    if (EVP_PKEY_fromdata(context, &pkey, selection, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *read_ec(const json_t *jwk, bool is_private)
{
    unsigned char point[1 + 2 * COORDINATE] = {0x04}; /* uncompressed */
    BIGNUM *d = NULL;
    if (!member_is(jwk, "crv", "P-256") || !read_fixed(jwk, "x", point + 1, COORDINATE) ||
        !read_fixed(jwk, "y", point + 1 + COORDINATE, COORDINATE))
        return NULL;
    if (is_private) {
        unsigned char secret[COORDINATE];
        if (!read_fixed(jwk, "d", secret, sizeof(secret)))
            return NULL;
        d = BN_secure_new();
        TB_ASSERT(d != NULL && BN_bin2bn(secret, sizeof(secret), d) != NULL);
        OPENSSL_cleanse(secret, sizeof(secret));
    }
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    TB_ASSERT(builder != NULL &&
              OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1",
                                              0) == 1 &&
              OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                               sizeof(point)) == 1);
    TB_ASSERT(d == NULL || OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1);
    EVP_PKEY *pkey = pkey_from("EC", is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, builder);
    OSSL_PARAM_BLD_free(builder);
    BN_clear_free(d);
    return pkey;
}

static EVP_PKEY *read_rsa(const json_t *jwk, bool is_private)
{
    BIGNUM *numbers[2 + RSA_PRIVATE_N] = {read_number(jwk, "n"), read_number(jwk, "e")};
    const char *names[2 + RSA_PRIVATE_N] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E};
    size_t n = is_private ? 2 + RSA_PRIVATE_N : 2;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    TB_ASSERT(builder != NULL);
    bool whole = json_object_get(jwk, "oth") == NULL; /* more than two primes */
    for (size_t i = 0; i < n; i++) {
        if (i >= 2) {
            numbers[i] = read_number(jwk, rsa_private[i - 2].jwk);
            names[i] = rsa_private[i - 2].param;
        }
        whole = whole && numbers[i] != NULL;
        TB_ASSERT(!whole || OSSL_PARAM_BLD_push_BN(builder, names[i], numbers[i]) == 1);
    }
    EVP_PKEY *pkey = NULL;
    if (whole && BN_num_bits(numbers[0]) <= TB_KEY_RSA_BITS_MAX)
        pkey = pkey_from("RSA", is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, builder);
    OSSL_PARAM_BLD_free(builder);
    for (size_t i = 0; i < n; i++)
        BN_clear_free(numbers[i]);
    return pkey;
}

static EVP_PKEY *read_ed25519(const json_t *jwk, bool is_private)
{
    unsigned char secret[COORDINATE], open[COORDINATE], derived[COORDINATE];
    size_t n = sizeof(derived);
    if (!member_is(jwk, "crv", "Ed25519") || !read_fixed(jwk, "x", open, sizeof(open)))
        return NULL;
    if (!is_private)
        return EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, open, sizeof(open));
    if (!read_fixed(jwk, "d", secret, sizeof(secret)))
        return NULL;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, secret, sizeof(secret));
    OPENSSL_cleanse(secret, sizeof(secret));
    if (pkey != NULL && (EVP_PKEY_get_raw_public_key(pkey, derived, &n) != 1 ||
                         memcmp(derived, open, sizeof(open)) != 0)) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    return pkey;
}

struct tb_key *tb_key_read_jwk(const json_t *jwk, enum tb_jwk_part part)
{
    bool is_private = part == TB_JWK_PRIVATE;
    enum tb_alg alg;
    EVP_PKEY *(*read)(const json_t *, bool);
    if (member_is(jwk, "kty", "EC"))
        alg = TB_ALG_ES256, read = read_ec;
    else if (member_is(jwk, "kty", "RSA"))
        alg = TB_ALG_PS256, read = read_rsa;
    else if (member_is(jwk, "kty", "OKP"))
        alg = TB_ALG_ED25519, read = read_ed25519;
    else
        return NULL;
    if (json_object_get(jwk, "alg") != NULL && tb_alg_read(tb_json_str(jwk, "alg")) != alg)
        return NULL;
    if (json_object_get(jwk, "use") != NULL && !member_is(jwk, "use", "sig"))
        return NULL;
    for (size_t i = 0; !is_private && i < TB_COUNT(secret_members); i++)
        if (json_object_get(jwk, secret_members[i]) != NULL)
            return NULL;
    struct tb_str kid = tb_json_str(jwk, "kid");
    if (json_object_get(jwk, "kid") != NULL && (kid.n == 0 || kid.n > TB_KEY_KID_MAX))
        return NULL;
    struct tb_key *key = tb_key_wrap(alg, read(jwk, is_private), is_private);
    if (key != NULL && kid.at != NULL)
        key->kid = tb_mem_text(kid.at, kid.n);
    return key;
}

/* ---- writing ---- */

/* Write `before`, the bytes in base64url and a quotation mark. Returns the new end. */
static char *put(char *to, struct tb_str before, const unsigned char *bytes, size_t n)
{
    memcpy(to, before.at, before.n);
    to += before.n;
    to += tb_base64url_write(to, TB_BYTES(bytes, n));
    *to++ = '"';
    *to = '\0';
    return to;
}

char *tb_key_members(enum tb_alg alg, const EVP_PKEY *pkey)
{
    unsigned char bytes[NUMBER_MAX];
    size_t n = sizeof(bytes);
    char *out = tb_mem(64 + 2 * TB_BASE64URL_CHARS(NUMBER_MAX)), *to = out;
    BIGNUM *number = NULL;
    switch (alg) {
    case TB_ALG_ES256:
        TB_ASSERT(EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, bytes,
                                                  sizeof(bytes), &n) == 1);
        TB_ASSERT(n == 1 + 2 * COORDINATE && bytes[0] == 0x04);
        to = put(to, TB_STR("\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\""), bytes + 1, COORDINATE);
        put(to, TB_STR(",\"y\":\""), bytes + 1 + COORDINATE, COORDINATE);
        break;
    case TB_ALG_PS256:
        TB_ASSERT(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &number) == 1);
        to = put(to, TB_STR("\"e\":\""), bytes, (size_t)BN_bn2bin(number, bytes));
        TB_ASSERT(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &number) == 1);
        put(to, TB_STR(",\"kty\":\"RSA\",\"n\":\""), bytes, (size_t)BN_bn2bin(number, bytes));
        BN_free(number);
        break;
    case TB_ALG_ED25519:
        TB_ASSERT(EVP_PKEY_get_raw_public_key(pkey, bytes, &n) == 1);
        put(to, TB_STR("\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\""), bytes, n);
        break;
    }
    return out;
}

static void add_bytes(struct tb_text *text, const char *name, struct tb_str bytes)
{
    char encoded[TB_BASE64URL_CHARS(NUMBER_MAX)];
    size_t n = tb_base64url_write(encoded, bytes);
    tb_text_add_format(text, ",\"%s\":\"", name);
    tb_text_add(text, (struct tb_str){encoded, n});
    tb_text_add_char(text, '"');
    OPENSSL_cleanse(encoded, sizeof(encoded));
}

/* `bytes_n` 0: as many as the number needs. */
static void add_number(struct tb_text *text, const struct tb_key *key, const char *name,
                       const char *param, size_t bytes_n)
{
    unsigned char bytes[NUMBER_MAX];
    BIGNUM *number = NULL;
    TB_ASSERT(EVP_PKEY_get_bn_param(key->pkey, param, &number) == 1);
    if (bytes_n == 0)
        bytes_n = (size_t)BN_num_bytes(number);
    TB_ASSERT(BN_bn2binpad(number, bytes, (int)bytes_n) == (int)bytes_n);
    add_bytes(text, name, TB_BYTES(bytes, bytes_n));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    BN_clear_free(number);
}

static void add_private(struct tb_text *text, const struct tb_key *key)
{
    unsigned char secret[COORDINATE];
    size_t n = sizeof(secret);
    switch (key->alg) {
    case TB_ALG_ES256:
        add_number(text, key, "d", OSSL_PKEY_PARAM_PRIV_KEY, COORDINATE);
        break;
    case TB_ALG_PS256:
        for (size_t i = 0; i < RSA_PRIVATE_N; i++)
            add_number(text, key, rsa_private[i].jwk, rsa_private[i].param, 0);
        break;
    case TB_ALG_ED25519:
        TB_ASSERT(EVP_PKEY_get_raw_private_key(key->pkey, secret, &n) == 1);
        add_bytes(text, "d", TB_BYTES(secret, n));
        OPENSSL_cleanse(secret, sizeof(secret));
        break;
    }
}

struct tb_str tb_key_write_jwk(const struct tb_key *key, enum tb_jwk_part part,
                               struct tb_arena *arena)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_text_add_char(&text, '{');
    tb_text_add(&text, tb_str(key->members));
    if (part == TB_JWK_PRIVATE) {
        TB_ASSERT(key->is_private);
        add_private(&text, key);
    }
    tb_text_add(&text, TB_STR(",\"alg\":\""));
    tb_text_add(&text, tb_alg_name(key->alg));
    tb_text_add(&text, TB_STR("\",\"use\":\"sig\",\"kid\":"));
    tb_text_add_json(&text, tb_key_kid(key));
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}
