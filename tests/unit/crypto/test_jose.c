/* Tokens that are right, the policies they are held against, and the claims. */
#include "../unit.h"

#include "base/json.h"
#include "forge.h"
#include "vectors.h"
#include <string.h>

enum { NOW = 1700000000 };

static const char *const no_type[] = {"", NULL};
static const char *const at_jwt[] = {"at+jwt", NULL};

static struct tb_arena *arena;
static struct tb_key *key;

static int set_up(void **state)
{
    (void)state;
    arena = tb_arena_new(TB_ARENA_CAP);
    key = tb_key_make(TB_ALG_ES256);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_arena_free(arena);
    tb_key_free(key);
    return 0;
}

static struct tb_jose_policy plain_policy(struct tb_key *only)
{
    return (struct tb_jose_policy){.types = at_jwt,
                                   .algs = TB_ALG_ES256 | TB_ALG_PS256 | TB_ALG_ED25519,
                                   .bytes_max = TB_JOSE_BYTES_MAX,
                                   .find = find_only,
                                   .find_arg = only,
                                   .ahead_s = TB_JOSE_AHEAD_S};
}

static enum tb_jose_reason reason(const struct tb_jose_policy *policy, struct tb_str token,
                                  int64_t now_s)
{
    struct tb_jose out;
    tb_err err = tb_jose_verify(policy, token, now_s, arena, &out);
    assert_int_equal(err == NULL, out.reason == TB_JOSE_OK);
    return out.reason;
}

static void verifies_the_published_tokens(void **state)
{
    (void)state;
    struct {
        struct tb_key *key;
        struct tb_str token;
        const char *const types[2];
    } rows[] = {
        {key_of(A3_PUBLIC, TB_JWK_PUBLIC), TB_STR(A3_TOKEN), {"", NULL}},
        {key_of(BILBO_PUBLIC, TB_JWK_PUBLIC), TB_STR(BILBO_PS256_TOKEN), {"JWT", NULL}},
    };
    for (size_t i = 0; i < 2; i++) {
        struct tb_jose out;
        struct tb_jose_policy policy = plain_policy(rows[i].key);
        policy.types = rows[i].types;
        policy.issuer = TB_STR("joe");
        policy.required = TB_CLAIM_EXP;
        assert_null(tb_jose_verify(&policy, rows[i].token, A3_EXP - 1, arena, &out));
        assert_ptr_equal(out.key, rows[i].key);
        assert_true(tb_str_eq(tb_json_str(out.claims, "iss"), TB_STR("joe")));
        assert_int_equal(out.payload.at[0], '{');
        assert_int_equal(reason(&policy, rows[i].token, A3_EXP), TB_JOSE_EXPIRED);
        tb_key_free(rows[i].key);
    }
}

static void verifies_what_it_signed(void **state)
{
    (void)state;
    static const enum tb_alg algs[] = {TB_ALG_ES256, TB_ALG_PS256, TB_ALG_ED25519};
    for (size_t i = 0; i < 3; i++) {
        struct tb_key *one = tb_key_make(algs[i]);
        struct tb_jose out;
        struct tb_jose_policy policy = plain_policy(one);
        struct tb_str claims = TB_STR("{\"sub\":\"m\303\274ller\",\"n\":[1,2.5,{\"x\":null}]}");
        struct tb_str token = tb_jose_sign(one, "at+jwt", claims, arena);
        assert_null(tb_jose_verify(&policy, token, NOW, arena, &out));
        assert_true(tb_str_eq(out.payload, claims));
        policy.algs &= ~(unsigned)algs[i];
        assert_int_equal(reason(&policy, token, NOW), TB_JOSE_ALGORITHM);
        tb_key_free(one);
    }
}

static void accepts_both_names_of_ed25519(void **state)
{
    (void)state;
    struct tb_key *one = tb_key_make(TB_ALG_ED25519);
    struct tb_jose_policy policy = plain_policy(one);
    assert_int_equal(
        reason(&policy,
               forge(arena, one, TB_STR("{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}"), TB_STR("{}")),
               NOW),
        TB_JOSE_OK);
    assert_int_equal(
        reason(&policy,
               forge(arena, one, TB_STR("{\"alg\":\"Ed25519\",\"typ\":\"at+jwt\"}"), TB_STR("{}")),
               NOW),
        TB_JOSE_OK);
    tb_key_free(one);
}

static void compares_typ_exactly(void **state)
{
    (void)state;
    static const char *const assertion[] = {"JWT", "client-authentication+jwt", "", NULL};
    static const struct {
        const char *const *types;
        const char *header;
        enum tb_jose_reason expected;
    } rows[] = {
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", TB_JOSE_OK},
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":\"AT+JWT\"}", TB_JOSE_TYPE},
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":\"at+jwt \"}", TB_JOSE_TYPE},
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":\"at+jw\"}", TB_JOSE_TYPE},
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", TB_JOSE_TYPE},
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\"}", TB_JOSE_TYPE},
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":\"\"}", TB_JOSE_TYPE},
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":null}", TB_JOSE_TYPE},
        {at_jwt, "{\"alg\":\"ES256\",\"typ\":[\"at+jwt\"]}", TB_JOSE_TYPE},
        {at_jwt, "{\"alg\":\"ES256\"}", TB_JOSE_TYPE},
        {no_type, "{\"alg\":\"ES256\"}", TB_JOSE_OK},
        {no_type, "{\"alg\":\"ES256\",\"typ\":\"\"}", TB_JOSE_TYPE},
        {assertion, "{\"alg\":\"ES256\"}", TB_JOSE_OK},
        {assertion, "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", TB_JOSE_OK},
        {assertion, "{\"alg\":\"ES256\",\"typ\":\"client-authentication+jwt\"}", TB_JOSE_OK},
        {assertion, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", TB_JOSE_TYPE},
        {assertion, "{\"alg\":\"ES256\",\"typ\":0}", TB_JOSE_TYPE},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct tb_jose_policy policy = plain_policy(key);
        policy.types = rows[i].types;
        struct tb_str token = forge(arena, key, tb_str(rows[i].header), TB_STR("{}"));
        if (reason(&policy, token, NOW) != rows[i].expected)
            fail_msg("row %zu: %s", i, rows[i].header);
    }
}

/* What a policy that checks everything thinks of claims, at NOW. */
static void holds_claims_against_the_policy(void **state)
{
    (void)state;
    static const struct {
        const char *claims;
        enum tb_jose_reason expected;
    } rows[] = {
#define REST ",\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\",\"aud\":\"a\"}"
        {"{\"exp\":1700000001,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_OK},
        {"{\"exp\":1700000000,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_EXPIRED},
        {"{\"exp\":0,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_EXPIRED},
        {"{\"exp\":1700000300,\"iat\":1700000010,\"nbf\":1700000010" REST, TB_JOSE_OK},
        {"{\"exp\":1700000300,\"iat\":1700000011,\"nbf\":1700000010" REST, TB_JOSE_NOT_YET},
        {"{\"exp\":1700000300,\"iat\":1700000010,\"nbf\":1700000011" REST, TB_JOSE_NOT_YET},
        {"{\"exp\":1700000301,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_TOO_LONG},
        {"{\"exp\":1700000001,\"iat\":1699999940,\"nbf\":1700000000" REST, TB_JOSE_OK},
        {"{\"exp\":1700000001,\"iat\":1699999939,\"nbf\":1700000000" REST, TB_JOSE_TOO_OLD},
        {"{\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":1700000001,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":1700000001,\"iat\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":\"1700000001\",\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":1700000001.0,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":17e8,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":true,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":null,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":-1,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":253402300800,\"iat\":1700000000,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":9223372036854775807,\"iat\":0,\"nbf\":0" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":9223372036854775808,\"iat\":0,\"nbf\":0" REST, TB_JOSE_CLAIMS},
        {"{\"exp\":1700000001,\"iat\":-1,\"nbf\":1700000000" REST, TB_JOSE_CLAIM_FORM},
        {"{\"exp\":1700000001,\"exp\":1700000001,\"iat\":1700000000,\"nbf\":1700000000" REST,
         TB_JOSE_CLAIMS},
#undef REST
#define REST "{\"exp\":1700000001,\"iat\":1700000000,\"nbf\":1700000000,"
        {REST "\"iss\":\"x\",\"sub\":\"s\",\"jti\":\"j\",\"aud\":\"a\"}", TB_JOSE_ISSUER},
        {REST "\"iss\":\"i/\",\"sub\":\"s\",\"jti\":\"j\",\"aud\":\"a\"}", TB_JOSE_ISSUER},
        {REST "\"iss\":[\"i\"],\"sub\":\"s\",\"jti\":\"j\",\"aud\":\"a\"}", TB_JOSE_ISSUER},
        {REST "\"sub\":\"s\",\"jti\":\"j\",\"aud\":\"a\"}", TB_JOSE_ISSUER},
        {REST "\"iss\":\"i\",\"sub\":\"x\",\"jti\":\"j\",\"aud\":\"a\"}", TB_JOSE_SUBJECT},
        {REST "\"iss\":\"i\",\"sub\":\"\",\"jti\":\"j\",\"aud\":\"a\"}", TB_JOSE_CLAIM_FORM},
        {REST "\"iss\":\"i\",\"sub\":1,\"jti\":\"j\",\"aud\":\"a\"}", TB_JOSE_CLAIM_FORM},
        {REST "\"iss\":\"i\",\"jti\":\"j\",\"aud\":\"a\"}", TB_JOSE_CLAIM_FORM},
        {REST "\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\"}", TB_JOSE_CLAIM_FORM},
        {REST "\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"\",\"aud\":\"a\"}", TB_JOSE_CLAIM_FORM},
        {REST "\"iss\":\"i\",\"sub\":\"s\",\"jti\":7,\"aud\":\"a\"}", TB_JOSE_CLAIM_FORM},
        {REST "\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\"}", TB_JOSE_AUDIENCE},
        {REST "\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\",\"aud\":\"A\"}", TB_JOSE_AUDIENCE},
        {REST "\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\",\"aud\":null}", TB_JOSE_AUDIENCE},
        {REST "\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\",\"aud\":[\"a\"]}", TB_JOSE_AUDIENCE},
        {REST "\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\",\"aud\":{\"a\":1}}", TB_JOSE_AUDIENCE},
#undef REST
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct tb_jose_policy policy = plain_policy(key);
        policy.issuer = TB_STR("i");
        policy.subject = TB_STR("s");
        policy.audience = TB_STR("a");
        policy.required = TB_CLAIM_EXP | TB_CLAIM_IAT | TB_CLAIM_NBF | TB_CLAIM_JTI | TB_CLAIM_SUB;
        policy.life_max_s = 300;
        policy.age_max_s = 60;
        struct tb_str token = tb_jose_sign(key, "at+jwt", tb_str(rows[i].claims), arena);
        enum tb_jose_reason got = reason(&policy, token, NOW);
        if (got != rows[i].expected)
            fail_msg("%s: %s", rows[i].claims, tb_jose_reason_words(got));
    }
}

static void takes_an_audience_from_a_list_when_the_policy_says_so(void **state)
{
    (void)state;
    struct tb_jose_policy policy = plain_policy(key);
    policy.audience = TB_STR("a");
    policy.audience_list = true;
    static const struct {
        const char *claims;
        enum tb_jose_reason expected;
    } rows[] = {
        {"{\"aud\":\"a\"}", TB_JOSE_OK},
        {"{\"aud\":[\"x\",\"a\"]}", TB_JOSE_OK},
        {"{\"aud\":[]}", TB_JOSE_AUDIENCE},
        {"{\"aud\":[\"x\",1,null,[\"a\"]]}", TB_JOSE_AUDIENCE},
        {"{\"aud\":[\"aa\"]}", TB_JOSE_AUDIENCE},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        assert_int_equal(
            reason(&policy, tb_jose_sign(key, "at+jwt", tb_str(rows[i].claims), arena), NOW),
            rows[i].expected);
}

/* A DPoP proof as RFC 9449 §4.2 has it, of a key that only the proof itself names. */
static void takes_an_embedded_key_under_its_policy_alone(void **state)
{
    (void)state;
    static const char *const dpop[] = {"dpop+jwt", NULL};
    struct tb_jose out;
    struct tb_jose_policy proof = {.types = dpop,
                                   .algs = TB_ALG_ES256,
                                   .bytes_max = TB_JOSE_PROOF_BYTES_MAX,
                                   .embedded_key = true,
                                   .required = TB_CLAIM_IAT | TB_CLAIM_JTI,
                                   .ahead_s = TB_JOSE_AHEAD_S,
                                   .age_max_s = 60};
    struct tb_str open = tb_key_write_jwk(key, TB_JWK_PUBLIC, arena);
    struct tb_str secret = tb_key_write_jwk(key, TB_JWK_PRIVATE, arena);
    struct tb_str claims = TB_STR("{\"jti\":\"1\",\"iat\":1700000000,\"htm\":\"GET\"}");
    const char *form = "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":%s}";

    struct tb_str token = forge(arena, key, tb_arena_format(arena, form, open.at), claims);
    assert_null(tb_jose_verify(&proof, token, NOW, arena, &out));
    assert_true(tb_str_eq(tb_key_thumbprint(out.key), tb_key_thumbprint(key)));
    struct tb_jose_policy keyed = proof;
    keyed.embedded_key = false;
    keyed.find = find_only;
    keyed.find_arg = key;
    assert_int_equal(reason(&keyed, token, NOW), TB_JOSE_KEY_EMBEDDED);

    struct tb_key *other = tb_key_make(TB_ALG_ES256), *ed = tb_key_make(TB_ALG_ED25519);
    token = forge(arena, other, tb_arena_format(arena, form, open.at), claims);
    assert_int_equal(reason(&proof, token, NOW), TB_JOSE_SIGNATURE);
    token = forge(arena, key, tb_arena_format(arena, form, secret.at), claims);
    assert_int_equal(reason(&proof, token, NOW), TB_JOSE_KEY_EMBEDDED);
    token = forge(arena, ed,
                  tb_arena_format(arena, form, tb_key_write_jwk(ed, TB_JWK_PUBLIC, arena).at),
                  claims);
    assert_int_equal(reason(&proof, token, NOW), TB_JOSE_KEY_EMBEDDED);
    token = forge(arena, key, tb_arena_format(arena, form, "\"text\""), claims);
    assert_int_equal(reason(&proof, token, NOW), TB_JOSE_KEY_EMBEDDED);
    token = forge(arena, key, tb_arena_format(arena, form, "null"), claims);
    assert_int_equal(reason(&proof, token, NOW), TB_JOSE_KEY_EMBEDDED);
    token = forge(arena, key, TB_STR("{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\"}"), claims);
    assert_int_equal(reason(&proof, token, NOW), TB_JOSE_KEY_EMBEDDED);
    tb_key_free(other);
    tb_key_free(ed);
}

/* A proof by `signer` whose head names the key `named`. */
static struct tb_str proof_of(struct tb_key *named, struct tb_key *signer, const char *jti)
{
    const char *form = "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":%s}";
    struct tb_str open = tb_key_write_jwk(named, TB_JWK_PUBLIC, arena);
    const char *claims = tb_arena_format(arena, "{\"jti\":\"%s\",\"iat\":%d}", jti, NOW).at;
    return forge(arena, signer, tb_arena_format(arena, form, open.at), tb_str(claims));
}

static void keeps_the_key_of_a_head_that_verified_and_checks_all_the_rest(void **state)
{
    (void)state;
    static const char *const dpop[] = {"dpop+jwt", NULL};
    struct tb_head_memo *memo = tb_head_memo_new(1); /* each displaces the other */
    struct tb_jose_policy policy = {.types = dpop,
                                    .algs = TB_ALG_ES256,
                                    .bytes_max = TB_JOSE_PROOF_BYTES_MAX,
                                    .embedded_key = true,
                                    .heads = memo,
                                    .ahead_s = TB_JOSE_AHEAD_S,
                                    .age_max_s = 60};
    struct tb_key *clients[] = {tb_key_make(TB_ALG_ES256), tb_key_make(TB_ALG_ES256)};
    struct tb_jose out;
    for (int i = 0; i < 12; i++) {
        struct tb_key *client = clients[i / 3 % 2], *other = clients[1 - i / 3 % 2];
        struct tb_str stolen = proof_of(client, other, "s");
        assert_int_equal(reason(&policy, stolen, NOW), TB_JOSE_SIGNATURE);
        struct tb_str head = {stolen.at, (size_t)(strchr(stolen.at, '.') - stolen.at)};
        assert_true((tb_head_memo_find(memo, head) != NULL) == (i % 3 > 0)); /* kept: not by it */
        assert_null(tb_jose_verify(&policy, proof_of(client, client, "g"), NOW, arena, &out));
        assert_true(tb_str_eq(tb_key_thumbprint(out.key), tb_key_thumbprint(client)));
        assert_int_equal(reason(&policy, proof_of(client, client, "g"), NOW + 61), TB_JOSE_TOO_OLD);
        head.n--;
        assert_null(tb_head_memo_find(memo, head));
    }
    tb_head_memo_free(memo);
    tb_key_free(clients[0]);
    tb_key_free(clients[1]);
}

/* Two keys under one kid: the algorithm tells them apart. */
struct pair {
    struct tb_key *keys[2];
    char kid[8];
};

static struct tb_key *find_in_pair(void *arg, struct tb_str kid, enum tb_alg alg)
{
    struct pair *pair = arg;
    assert_true(tb_str_eq(kid, tb_str(pair->kid)));
    for (size_t i = 0; i < 2; i++)
        if (tb_key_alg(pair->keys[i]) == alg)
            return pair->keys[i];
    return NULL;
}

static void chooses_by_algorithm_among_keys_of_one_kid(void **state)
{
    (void)state;
    struct pair pair = {{key, tb_key_make(TB_ALG_ED25519)}, "k1"};
    struct tb_jose_policy policy = plain_policy(NULL);
    policy.find = find_in_pair;
    policy.find_arg = &pair;
    for (size_t i = 0; i < 2; i++) {
        struct tb_str header = tb_arena_format(arena,
                                               "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
                                               tb_alg_name(tb_key_alg(pair.keys[i])).at);
        assert_int_equal(reason(&policy, forge(arena, pair.keys[i], header, TB_STR("{}")), NOW),
                         TB_JOSE_OK);
    }
    struct tb_str header = TB_STR("{\"alg\":\"PS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}");
    assert_int_equal(reason(&policy, forge(arena, key, header, TB_STR("{}")), NOW),
                     TB_JOSE_KEY_UNKNOWN);
    tb_key_free(pair.keys[1]);
}

static void refuses_when_memory_ends(void **state)
{
    (void)state;
    struct tb_str claims = TB_STR("{\"sub\":\"somebody\",\"exp\":1800000000}");
    struct tb_str token = tb_jose_sign(key, "at+jwt", claims, arena);
    struct tb_jose_policy policy = plain_policy(key);
    bool passed = false;
    for (size_t cap = 0; cap < 4096; cap += 16) {
        struct tb_jose out;
        struct tb_arena *small = tb_arena_new(cap);
        tb_err err = tb_jose_verify(&policy, token, NOW, small, &out);
        assert_true(err == NULL ? !tb_arena_overflowed(small) : tb_is(err, TB_E_TOKEN_INVALID));
        assert_true(err == NULL || !passed); /* once it fits it always fits */
        passed = err == NULL;
        struct tb_str signed_ = tb_jose_sign(key, "at+jwt", claims, small);
        assert_true(signed_.at != NULL || tb_arena_overflowed(small));
        tb_arena_free(small);
    }
    assert_true(passed);
}

static void words_every_reason(void **state)
{
    (void)state;
    for (int i = TB_JOSE_OK; i <= TB_JOSE_MEMORY; i++)
        assert_true(strlen(tb_jose_reason_words((enum tb_jose_reason)i)) > 6);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(verifies_the_published_tokens),
    cmocka_unit_test(verifies_what_it_signed),
    cmocka_unit_test(accepts_both_names_of_ed25519),
    cmocka_unit_test(compares_typ_exactly),
    cmocka_unit_test(holds_claims_against_the_policy),
    cmocka_unit_test(takes_an_audience_from_a_list_when_the_policy_says_so),
    cmocka_unit_test(takes_an_embedded_key_under_its_policy_alone),
    cmocka_unit_test(keeps_the_key_of_a_head_that_verified_and_checks_all_the_rest),
    cmocka_unit_test(chooses_by_algorithm_among_keys_of_one_kid),
    cmocka_unit_test(refuses_when_memory_ends),
    cmocka_unit_test(words_every_reason),
};
TEST_GROUP(tests, set_up, tear_down);
