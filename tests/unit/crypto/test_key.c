/* Keys: published vectors, strict reading, and what each algorithm refuses. */
#include "../unit.h"

#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "vectors.h"
#include <stdio.h>
#include <string.h>

static struct tb_key *read_jwk(const char *members, enum tb_jwk_part part)
{
    char text[8192];
    snprintf(text, sizeof(text), "{%s}", members);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    struct tb_key *key = tb_key_read_jwk(json, part);
    json_decref(json);
    return key;
}

static struct tb_str decode(const char *text, unsigned char *out)
{
    size_t n;
    assert_true(tb_base64url_read(tb_str(text), out, &n));
    return TB_BYTES(out, n);
}

/* The signature behind the last dot of a token, and what it signs. */
static bool verifies(struct tb_key *key, const char *token)
{
    unsigned char signature[TB_KEY_SIGNATURE_MAX];
    const char *dot = strrchr(token, '.');
    return tb_key_verify(key, (struct tb_str){token, (size_t)(dot - token)},
                         decode(dot + 1, signature));
}

static void verifies_the_published_signatures(void **state)
{
    (void)state;
    struct tb_key *key = read_jwk(A3_PUBLIC, TB_JWK_PUBLIC);
    assert_true(verifies(key, A3_TOKEN));
    assert_true(verifies(key, A3_TOKEN)); /* the prepared context serves again */
    assert_false(verifies(key, "x" A3_TOKEN));
    assert_true(verifies(key, A3_TOKEN));
    tb_key_free(key);
    key = read_jwk(ED_PUBLIC, TB_JWK_PUBLIC);
    assert_true(verifies(key, ED_SIGNED "." ED_SIGNATURE));
    assert_false(verifies(key, "x" ED_SIGNED "." ED_SIGNATURE));
    tb_key_free(key);
    key = read_jwk(BILBO_PUBLIC, TB_JWK_PUBLIC);
    assert_true(verifies(key, BILBO_PS256_TOKEN));
    assert_false(verifies(key, BILBO_RS256_TOKEN)); /* a true PKCS #1 v1.5 signature */
    assert_true(verifies(key, BILBO_PS256_TOKEN));
    tb_key_free(key);
}

static void refuses_rsa_signatures_of_other_parameters(void **state)
{
    (void)state;
    static const char *const signatures[] = {PSS_SALT_0, PSS_SALT_20, PSS_SALT_64, PSS_MGF1_SHA1,
                                             RSA_V15};
    static const char token[] = BILBO_PS256_TOKEN;
    struct tb_key *key = read_jwk(BILBO_PUBLIC, TB_JWK_PUBLIC);
    struct tb_str text = {token, (size_t)(strrchr(token, '.') - token)};
    unsigned char signature[TB_KEY_SIGNATURE_MAX];
    for (size_t i = 0; i < TB_COUNT(signatures); i++)
        if (tb_key_verify(key, text, decode(signatures[i], signature)))
            fail_msg("signature %zu verifies", i);
    assert_true(tb_key_verify(key, text, decode(strrchr(token, '.') + 1, signature)));
    tb_key_free(key);
}

static void signs_ed25519_to_the_published_bytes(void **state)
{
    (void)state;
    unsigned char signature[TB_KEY_SIGNATURE_MAX], expected[TB_KEY_SIGNATURE_MAX];
    struct tb_key *key = read_jwk(ED_PUBLIC "," ED_D, TB_JWK_PRIVATE);
    struct tb_str published = decode(ED_SIGNATURE, expected);
    assert_int_equal(tb_key_sign(key, TB_STR(ED_SIGNED), signature), published.n);
    assert_memory_equal(signature, published.at, published.n);
    tb_key_free(key);
}

static void gives_the_published_thumbprints(void **state)
{
    (void)state;
    static const struct {
        const char *jwk, *thumbprint;
    } rows[] = {{RSA_7638, THUMBPRINT_7638}, {ED_PUBLIC, ED_THUMBPRINT}};
    for (size_t i = 0; i < 2; i++) {
        struct tb_key *key = read_jwk(rows[i].jwk, TB_JWK_PUBLIC);
        assert_string_equal(tb_key_thumbprint(key).at, rows[i].thumbprint);
        assert_string_equal(tb_key_kid(key).at, rows[i].thumbprint);
        tb_key_free(key);
    }
    struct tb_key *bilbo = read_jwk(BILBO_PUBLIC, TB_JWK_PUBLIC);
    assert_string_equal(tb_key_kid(bilbo).at, "bilbo.baggins@hobbiton.example");
    tb_key_free(bilbo);
}

static void every_algorithm_signs_what_it_verifies(void **state)
{
    (void)state;
    static const enum tb_alg algs[] = {TB_ALG_ES256, TB_ALG_PS256, TB_ALG_ED25519};
    static const size_t sizes[] = {64, 256, 64};
    unsigned char signature[TB_KEY_SIGNATURE_MAX + 1];
    for (size_t i = 0; i < 3; i++) {
        struct tb_key *key = tb_key_make(algs[i]), *other = tb_key_make(algs[i]);
        for (int round = 0; round < 50; round++) { /* r and s with leading zeros come along */
            char text[16];
            struct tb_str message = {text, (size_t)snprintf(text, sizeof(text), "%d", round)};
            size_t n = tb_key_sign(key, message, signature);
            assert_int_equal(n, sizes[i]);
            assert_true(tb_key_verify(key, message, TB_BYTES(signature, n)));
            assert_false(tb_key_verify(other, message, TB_BYTES(signature, n)));
            assert_false(tb_key_verify(key, TB_STR("?"), TB_BYTES(signature, n)));
            assert_false(tb_key_verify(key, message, TB_BYTES(signature, n - 1)));
            signature[n] = 0;
            assert_false(tb_key_verify(key, message, TB_BYTES(signature, n + 1)));
            signature[(size_t)round % n] ^= 1;
            assert_false(tb_key_verify(key, message, TB_BYTES(signature, n)));
        }
        assert_false(tb_key_verify(key, TB_STR("?"), TB_STR_NONE));
        tb_key_free(key);
        tb_key_free(other);
    }
}

static const char ORDER[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

static void refuses_es256_scalars_out_of_range(void **state)
{
    (void)state;
    struct tb_key *key = tb_key_make(TB_ALG_ES256);
    unsigned char good[64], bad[64], zero[32] = {0}, order[32], most[32];
    assert_true(tb_hex_read(tb_str(ORDER), order));
    memset(most, 0xff, sizeof(most));
    tb_key_sign(key, TB_STR("m"), good);
    const unsigned char *const wrong[] = {zero, order, most};
    for (size_t i = 0; i < 3; i++)
        for (size_t half = 0; half < 2; half++) {
            memcpy(bad, good, sizeof(bad));
            memcpy(bad + 32 * half, wrong[i], 32);
            assert_false(tb_key_verify(key, TB_STR("m"), TB_BYTES(bad, sizeof(bad))));
        }
    memset(bad, 0, sizeof(bad));
    assert_false(tb_key_verify(key, TB_STR("m"), TB_BYTES(bad, sizeof(bad))));
    tb_key_free(key);
}

static void accepts_both_signatures_that_differ_in_the_sign_of_s(void **state)
{
    (void)state;
    struct tb_key *key = tb_key_make(TB_ALG_ES256);
    unsigned char signature[64], order[32];
    assert_true(tb_hex_read(tb_str(ORDER), order));
    tb_key_sign(key, TB_STR("m"), signature);
    int borrow = 0;
    for (int i = 31; i >= 0; i--) { /* s := n - s */
        int digit = order[i] - signature[32 + i] - borrow;
        borrow = digit < 0;
        signature[32 + i] = (unsigned char)(digit + 256 * borrow);
    }
    assert_true(tb_key_verify(key, TB_STR("m"), TB_BYTES(signature, 64)));
    tb_key_free(key);
}

static void jwk_and_der_bring_a_key_back(void **state)
{
    (void)state;
    static const enum tb_alg algs[] = {TB_ALG_ES256, TB_ALG_PS256, TB_ALG_ED25519};
    unsigned char signature[TB_KEY_SIGNATURE_MAX];
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    for (size_t i = 0; i < 3; i++) {
        struct tb_key *key = tb_key_make(algs[i]);
        struct tb_str open = tb_key_write_jwk(key, TB_JWK_PUBLIC, arena);
        struct tb_str secret = tb_key_write_jwk(key, TB_JWK_PRIVATE, arena);
        assert_null(strstr(open.at, "\"d\":"));
        json_t *open_json = json_loadb(open.at, open.n, JSON_REJECT_DUPLICATES, NULL);
        json_t *secret_json = json_loadb(secret.at, secret.n, JSON_REJECT_DUPLICATES, NULL);
        struct tb_secret der = {0};
        tb_key_write_der(key, &der);
        struct tb_key *back[] = {tb_key_read_jwk(secret_json, TB_JWK_PRIVATE),
                                 tb_key_read_der(algs[i], &der)};
        struct tb_key *verifier = tb_key_read_jwk(open_json, TB_JWK_PUBLIC);
        assert_false(tb_key_is_private(verifier));
        assert_string_equal(tb_key_thumbprint(verifier).at, tb_key_thumbprint(key).at);
        for (size_t j = 0; j < 2; j++) {
            assert_true(tb_key_is_private(back[j]));
            size_t n = tb_key_sign(back[j], TB_STR("m"), signature);
            assert_true(tb_key_verify(verifier, TB_STR("m"), TB_BYTES(signature, n)));
            tb_key_free(back[j]);
        }
        assert_null(tb_key_read_jwk(secret_json, TB_JWK_PUBLIC)); /* its owner has leaked it */
        assert_null(tb_key_read_jwk(open_json, TB_JWK_PRIVATE));
        assert_null(tb_key_read_der(algs[(i + 1) % 3], &der));
        der.n--;
        assert_null(tb_key_read_der(algs[i], &der));
        der.n++;
        tb_secret_wipe(&der);
        json_decref(open_json);
        json_decref(secret_json);
        tb_key_free(verifier);
        tb_key_free(key);
    }
    tb_arena_free(arena);
}

#define EC_X "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define EC_Y "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define EC   "\"kty\":\"EC\",\"crv\":\"P-256\","

static void refuses_jwks_that_are_not_exact(void **state)
{
    (void)state;
    static const struct {
        const char *what, *members;
    } rows[] = {
        {"empty", ""},
        {"no type", "\"crv\":\"P-256\"," EC_X "," EC_Y},
        {"symmetric", "\"kty\":\"oct\",\"k\":\"AAAA\""},
        {"type in other case", "\"kty\":\"ec\",\"crv\":\"P-256\"," EC_X "," EC_Y},
        {"type not a text", "\"kty\":1,\"crv\":\"P-256\"," EC_X "," EC_Y},
        {"curve P-521", P521_PUBLIC},
        {"curve P-384", "\"kty\":\"EC\",\"crv\":\"P-384\"," EC_X "," EC_Y},
        {"curve secp256k1", "\"kty\":\"EC\",\"crv\":\"secp256k1\"," EC_X "," EC_Y},
        {"no y", EC EC_X},
        {"x not a text", EC "\"x\":7," EC_Y},
        {"x too short", EC "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVE\"," EC_Y},
        {"x too long", EC "\"x\":\"AAf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," EC_Y},
        {"x with padding", EC "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU=\"," EC_Y},
        {"x with spare bits", EC "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEV\"," EC_Y},
        {"not on the curve", EC "\"x\":\"g83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," EC_Y},
        {"the point (0, 0)", EC "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                                "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},
        {"x beyond the field", EC "\"x\":\"__________________________________________8\"," EC_Y},
        {"other alg", A3_PUBLIC ",\"alg\":\"PS256\""},
        {"alg of the unsafe kind", A3_PUBLIC ",\"alg\":\"HS256\""},
        {"alg not a text", A3_PUBLIC ",\"alg\":null"},
        {"for encryption", A3_PUBLIC ",\"use\":\"enc\""},
        {"use not a text", A3_PUBLIC ",\"use\":[\"sig\"]"},
        {"kid not a text", A3_PUBLIC ",\"kid\":1"},
        {"kid empty", A3_PUBLIC ",\"kid\":\"\""},
        {"private", A3_PUBLIC "," A3_D},
        {"private, d not a text", A3_PUBLIC ",\"d\":null"},
        {"symmetric too", A3_PUBLIC ",\"k\":\"AAAA\""},
        {"X25519", "\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIa"
                   "aPcHURo\""},
        {"Ed448", "\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaP"
                  "cHURo\""},
        {"Ed25519 short", "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQ\""},
        {"RSA 256 bits", "\"kty\":\"RSA\",\"e\":\"AQAB\","
                         "\"n\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""},
        {"RSA without e", "\"kty\":\"RSA\",\"n\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct tb_key *key = read_jwk(rows[i].members, TB_JWK_PUBLIC);
        if (key != NULL)
            fail_msg("a JWK was read: %s", rows[i].what);
    }
    char long_kid[512];
    snprintf(long_kid, sizeof(long_kid), "%s,\"kid\":\"%0*d\"", A3_PUBLIC, TB_KEY_KID_MAX, 7);
    struct tb_key *key = read_jwk(long_kid, TB_JWK_PUBLIC);
    assert_non_null(key);
    tb_key_free(key);
    snprintf(long_kid, sizeof(long_kid), "%s,\"kid\":\"%0*d\"", A3_PUBLIC, TB_KEY_KID_MAX + 1, 7);
    assert_null(read_jwk(long_kid, TB_JWK_PUBLIC));
}

/* RSA_7638 with another modulus or exponent: `n_edit` says how to change the bytes of n. */
static struct tb_key *read_rsa(size_t n_bytes, bool even, const char *e)
{
    unsigned char n[1024];
    char text[2048], encoded[TB_BASE64URL_CHARS(sizeof(n)) + 1];
    memset(n, 0xc5, sizeof(n));
    if (even)
        n[n_bytes - 1] = 0xc4;
    encoded[tb_base64url_write(encoded, TB_BYTES(n, n_bytes))] = '\0';
    snprintf(text, sizeof(text), "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", encoded, e);
    return read_jwk(text, TB_JWK_PUBLIC);
}

static void bounds_rsa_keys(void **state)
{
    (void)state;
    struct tb_key *key = read_rsa(256, false, "AQAB");
    assert_non_null(key);
    tb_key_free(key);
    key = read_rsa(512, false, "AQAB");
    assert_non_null(key);
    tb_key_free(key);
    assert_null(read_rsa(255, false, "AQAB"));
    assert_null(read_rsa(513, false, "AQAB"));
    assert_null(read_rsa(1024, false, "AQAB"));
    assert_null(read_rsa(256, true, "AQAB"));
    assert_null(read_rsa(256, false, "Aw"));          /* 3 */
    assert_null(read_rsa(256, false, "AQAA"));        /* 65536 */
    assert_null(read_rsa(256, false, "AAEAAQ"));      /* 65537 with a leading zero */
    assert_null(read_rsa(256, false, "AQAAAAAAAAE")); /* more than 32 bits */
    assert_null(read_rsa(256, false, ""));
}

static void refuses_private_keys_that_do_not_match(void **state)
{
    (void)state;
    struct tb_key *key = read_jwk(BILBO_PUBLIC "," BILBO_PRIVATE, TB_JWK_PRIVATE);
    assert_non_null(key);
    tb_key_free(key);
    assert_null(read_jwk(RSA_7638 "," BILBO_PRIVATE, TB_JWK_PRIVATE));
    assert_null(read_jwk(BILBO_PUBLIC "," BILBO_PRIVATE ",\"oth\":[]", TB_JWK_PRIVATE));
    assert_null(read_jwk(BILBO_PUBLIC ",\"d\":\"AQ\"", TB_JWK_PRIVATE));
    assert_null(read_jwk(A3_PUBLIC ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"",
                         TB_JWK_PRIVATE));
    assert_null(read_jwk(ED_PUBLIC ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"",
                         TB_JWK_PRIVATE));
    assert_null(read_jwk(A3_PUBLIC, TB_JWK_PRIVATE));
    assert_null(read_jwk(ED_PUBLIC, TB_JWK_PRIVATE));
    assert_null(read_jwk(BILBO_PUBLIC, TB_JWK_PRIVATE));
}

static void names_algorithms_with_their_case(void **state)
{
    (void)state;
    assert_int_equal(tb_alg_read(TB_STR("ES256")), TB_ALG_ES256);
    assert_int_equal(tb_alg_read(TB_STR("PS256")), TB_ALG_PS256);
    assert_int_equal(tb_alg_read(TB_STR("EdDSA")), TB_ALG_ED25519);
    assert_int_equal(tb_alg_read(TB_STR("Ed25519")), TB_ALG_ED25519);
    static const char *const others[] = {"",      "none",  "None",   "HS256", "RS256", "RS384",
                                         "ES384", "es256", "ES256 ", "PS384", "eddsa", "ES256K"};
    for (size_t i = 0; i < TB_COUNT(others); i++)
        assert_int_equal(tb_alg_read(tb_str(others[i])), 0);
    assert_int_equal(tb_alg_read(TB_STR_NONE), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(verifies_the_published_signatures),
    cmocka_unit_test(refuses_rsa_signatures_of_other_parameters),
    cmocka_unit_test(signs_ed25519_to_the_published_bytes),
    cmocka_unit_test(gives_the_published_thumbprints),
    cmocka_unit_test(every_algorithm_signs_what_it_verifies),
    cmocka_unit_test(refuses_es256_scalars_out_of_range),
    cmocka_unit_test(accepts_both_signatures_that_differ_in_the_sign_of_s),
    cmocka_unit_test(jwk_and_der_bring_a_key_back),
    cmocka_unit_test(refuses_jwks_that_are_not_exact),
    cmocka_unit_test(bounds_rsa_keys),
    cmocka_unit_test(refuses_private_keys_that_do_not_match),
    cmocka_unit_test(names_algorithms_with_their_case),
};
TEST_GROUP(tests, NULL, NULL);
