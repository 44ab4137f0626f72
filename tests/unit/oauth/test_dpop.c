/* DPoP proofs: each of the checks of RFC 9449 §4.3, good and bad, and that a proof counts once. */
#include "../unit.h"

#include "../crypto/forge.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "oauth/token/dpop.h"
#include "oauth_fixture.h"
#include <stdio.h>
#include <string.h>

static struct fixture fixture;
static struct tb_arena *arena;
static struct tb_key *es256, *ed25519, *ps256;

static int set_up(void **state)
{
    (void)state;
    fixture_open(&fixture, false);
    arena = tb_arena_new(TB_ARENA_CAP * 16);
    es256 = tb_key_make(TB_ALG_ES256);
    ed25519 = tb_key_make(TB_ALG_ED25519);
    ps256 = tb_key_make(TB_ALG_PS256);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_key_free(es256);
    tb_key_free(ed25519);
    tb_key_free(ps256);
    tb_arena_free(arena);
    fixture_close(&fixture);
    return 0;
}

/* ---- proofs ---- */

static int64_t now_s(void)
{
    return tb_wall_ms() / 1000;
}

/* An object of JSON: `more`, then those of `usual` that `more` does not name. `more` may leave a
 * member out by "-name". */
static struct tb_str object_of(const char *more, const char *const (*usual)[2], size_t n)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_text_add_format(&text, "{%s", more[0] == '-' ? "" : more);
    for (size_t i = 0; i < n; i++) {
        const char *name = tb_arena_format(arena, "\"%s\":", usual[i][0]).at;
        if (strstr(more, name) == NULL && !(more[0] == '-' && strcmp(more + 1, usual[i][0]) == 0))
            tb_text_add_format(&text, "%s%s%s", text.n > 1 ? "," : "", name, usual[i][1]);
    }
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}

static struct tb_str header_of(struct tb_key *key, const char *more)
{
    const char *const usual[][2] = {
        {"typ", "\"dpop+jwt\""},
        {"alg", tb_arena_format(arena, "\"%s\"", tb_alg_name(tb_key_alg(key)).at).at},
        {"jwk", tb_key_write_jwk(key, TB_JWK_PUBLIC, arena).at},
    };
    return object_of(more, usual, 3);
}

static struct tb_str claims_of(const char *more)
{
    static int serial;
    const char *const usual[][2] = {
        {"jti", tb_arena_format(arena, "\"jti-%d\"", ++serial).at},
        {"htm", "\"POST\""},
        {"htu", "\"" FIXTURE_ISSUER "/oauth/token\""},
        {"iat", tb_arena_format(arena, "%lld", (long long)now_s()).at},
    };
    return object_of(more, usual, 4);
}

static struct tb_str proof_of(struct tb_key *key, const char *header, const char *claims)
{
    return forge(arena, key, header_of(key, header), claims_of(claims));
}

/* ---- showing them ---- */

struct showing {
    struct visit visit; /* first */
    struct tb_dpop_want want;
    char jkt[64]; /* "" when there is none */
};

static tb_err act(struct visit *visit)
{
    struct showing *showing = (struct showing *)visit;
    struct tb_str jkt;
    tb_err err = tb_dpop_check(&visit->run.req, &showing->want, &jkt);
    assert_true(err == NULL || jkt.at == NULL);
    snprintf(showing->jkt, sizeof(showing->jkt), "%s", jkt.at == NULL ? "" : jkt.at);
    return err;
}

static struct showing showing_of(struct tb_str proof)
{
    struct showing showing = {.visit.in = {.method = TB_STR("POST"),
                                           .path = TB_STR("/oauth/token"),
                                           .raw_path = TB_STR("/oauth/token")}};
    if (proof.at != NULL)
        visit_header(&showing.visit, "dpop", proof);
    return showing;
}

static const char *show(struct tb_str proof)
{
    struct showing showing = showing_of(proof);
    return fixture_do(&fixture, &showing.visit, act);
}

static void says_whose_key_it_is(void **state)
{
    (void)state;
    struct tb_key *keys[] = {es256, ed25519, ps256};
    for (size_t i = 0; i < 3; i++) {
        struct showing showing = showing_of(proof_of(keys[i], "", ""));
        assert_string_equal(fixture_do(&fixture, &showing.visit, act), "ok");
        assert_string_equal(showing.jkt, tb_key_thumbprint(keys[i]).at);
    }
    struct showing none = showing_of(TB_STR_NONE);
    assert_string_equal(fixture_do(&fixture, &none.visit, act), "ok");
    assert_string_equal(none.jkt, "");
    assert_string_equal(show(proof_of(ed25519, "\"alg\":\"EdDSA\"", "")), "ok");
}

static void there_is_one_header_or_none(void **state)
{
    (void)state;
    struct showing two = showing_of(proof_of(es256, "", ""));
    visit_header(&two.visit, "dpop", proof_of(es256, "", ""));
    assert_string_equal(fixture_do(&fixture, &two.visit, act), "invalid_dpop_proof");
    assert_string_equal(show(TB_STR("")), "invalid_dpop_proof");
    assert_string_equal(show(TB_STR("not a JWT")), "invalid_dpop_proof");
    assert_string_equal(show(TB_STR("a.b.c")), "invalid_dpop_proof");
    struct tb_str good = proof_of(es256, "", "");
    assert_string_equal(show(tb_arena_format(arena, "%s,%s", good.at, good.at)),
                        "invalid_dpop_proof");
}

static void judges_headers_by_table(void **state)
{
    (void)state;
    const struct {
        const char *more, *outcome;
    } rows[] = {
        {"", "ok"},
        {"\"kid\":\"of no account\"", "ok"},
        {"-typ", "invalid_dpop_proof"},
        {"-alg", "invalid_dpop_proof"},
        {"-jwk", "invalid_dpop_proof"},
        {"\"typ\":\"JWT\"", "invalid_dpop_proof"},
        {"\"typ\":\"DPOP+JWT\"", "invalid_dpop_proof"},
        {"\"alg\":\"none\"", "invalid_dpop_proof"},
        {"\"alg\":\"RS256\"", "invalid_dpop_proof"},
        {"\"alg\":\"HS256\"", "invalid_dpop_proof"},
        {"\"alg\":\"PS256\"", "invalid_dpop_proof"},
        {"\"jwk\":{}", "invalid_dpop_proof"},
        {"\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}", "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"jwk\":%s", tb_key_write_jwk(es256, TB_JWK_PRIVATE, arena).at).at,
         "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"jwk\":%s", tb_key_write_jwk(ps256, TB_JWK_PUBLIC, arena).at).at,
         "invalid_dpop_proof"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        const char *outcome = show(proof_of(es256, rows[i].more, ""));
        if (strcmp(outcome, rows[i].outcome) != 0)
            fail_msg("%s: %s", rows[i].more, outcome);
    }
    struct tb_key *other = tb_key_make(TB_ALG_ES256);
    assert_string_equal(show(forge(arena, other, header_of(es256, ""), claims_of(""))),
                        "invalid_dpop_proof");
    tb_key_free(other);
}

static void judges_claims_by_table(void **state)
{
    (void)state;
    long long now = now_s();
#define HTU(rest) "\"htu\":\"" rest "\""
    const struct {
        const char *more, *outcome;
    } rows[] = {
        {"-jti", "invalid_dpop_proof"},
        {"-htm", "invalid_dpop_proof"},
        {"-htu", "invalid_dpop_proof"},
        {"-iat", "invalid_dpop_proof"},
        {"\"jti\":\"\"", "invalid_dpop_proof"},
        {"\"jti\":1", "invalid_dpop_proof"},
        {"\"iat\":\"now\"", "invalid_dpop_proof"},
        {"\"htm\":\"GET\"", "invalid_dpop_proof"},
        {"\"htm\":\"post\"", "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"iat\":%lld", now - 10).at, "ok"},
        {tb_arena_format(arena, "\"iat\":%lld", now + 10).at, "ok"},
        {tb_arena_format(arena, "\"iat\":%lld", now - 55).at, "ok"},
        {tb_arena_format(arena, "\"iat\":%lld", now - 65).at, "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"iat\":%lld", now + 60).at, "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"iat\":%lld", now - 3600).at, "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"iat\":%lld", now + 3600).at, "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"exp\":%lld", now - 5).at, "invalid_dpop_proof"},
        {"\"ath\":\"of no account here\"", "ok"},
        {HTU("https://bank.example/oauth/token?a=b"), "ok"},
        {HTU("https://bank.example/oauth/token#x"), "ok"},
        {HTU("https://bank.example/oauth/token?a=/#?"), "ok"},
        {HTU("HTTPS://BANK.example:443/oauth/token"), "ok"},
        {HTU("https://bank.example/oauth/%74oken"), "ok"},
        {HTU("https://bank.example/%6fauth/%74oken"), "ok"},
        {HTU("https://bank.example/oauth%2Ftoken"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/token%zz"), "invalid_dpop_proof"},
        {HTU("https:bank.example/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/token?\x7f"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/ token"), "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"htu\":\"https://bank.example/oauth/token?%0*d\"", 2048, 0).at,
         "invalid_dpop_proof"},
        {HTU("https://bank.example%2Foauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth%2ftoken"), "invalid_dpop_proof"},
        {HTU("https://mtls.bank.example:8444/oauth/token"), "ok"},
        {HTU("https://mtls.bank.example/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example:8444/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example:/oauth/token"), "ok"},
        {HTU("https://bank.example:80/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://mtls.bank.example:8444:443/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://[bank.example]/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/token/"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/toke"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/Token"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/token%"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/token%2"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/../oauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example//oauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example/"), "invalid_dpop_proof"},
        {HTU("https://bank.example"), "invalid_dpop_proof"},
        {HTU("http://bank.example/oauth/token"), "invalid_dpop_proof"},
        {HTU("http://bank.example:443/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example.evil.example/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://bank.example@evil.example/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://x@bank.example/oauth/token"), "invalid_dpop_proof"},
        {HTU("https://evil.example/https://bank.example/oauth/token"), "invalid_dpop_proof"},
        {HTU("//bank.example/oauth/token"), "invalid_dpop_proof"},
        {HTU("/oauth/token"), "invalid_dpop_proof"},
        {HTU("https:///oauth/token"), "invalid_dpop_proof"},
        {HTU(""), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/token#\\t"), "invalid_dpop_proof"},
        {HTU("https://bank.example/oauth/token?\xc3\xa9"), "invalid_dpop_proof"},
        {"\"htu\":[\"" FIXTURE_ISSUER "/oauth/token\"]", "invalid_dpop_proof"},
    };
#undef HTU
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        const char *outcome = show(proof_of(es256, "", rows[i].more));
        if (strcmp(outcome, rows[i].outcome) != 0)
            fail_msg("%s: %s", rows[i].more, outcome);
    }
}

static void a_root_without_a_slash_is_the_root(void **state)
{
    (void)state;
    struct showing root = showing_of(proof_of(es256, "", "\"htu\":\"" FIXTURE_ISSUER "\""));
    root.visit.in.path = root.visit.in.raw_path = TB_STR("/");
    assert_string_equal(fixture_do(&fixture, &root.visit, act), "ok");
}

static void an_escape_of_a_plain_character_is_that_character(void **state)
{
    (void)state;
    struct showing showing = showing_of(
        proof_of(es256, "", "\"htu\":\"" FIXTURE_ISSUER "/a%2Db%2Ec%5Fd%7Ee%21\""));
    showing.visit.in.path = showing.visit.in.raw_path = TB_STR("/a-b.c_d~e%21");
    assert_string_equal(fixture_do(&fixture, &showing.visit, act), "ok");
    showing = showing_of(proof_of(es256, "", "\"htu\":\"" FIXTURE_ISSUER "/a%21\""));
    showing.visit.in.path = showing.visit.in.raw_path = TB_STR("/a!");
    assert_string_equal(fixture_do(&fixture, &showing.visit, act), "invalid_dpop_proof");
}

static void a_proof_counts_once(void **state)
{
    (void)state;
    struct tb_str proof = proof_of(es256, "", "\"jti\":\"once\"");
    assert_string_equal(show(proof), "ok");
    assert_string_equal(show(proof), "invalid_dpop_proof");
    /* what counts is the id for a key and a place, not the bytes */
    assert_string_equal(show(proof_of(es256, "", "\"jti\":\"once\"")), "invalid_dpop_proof");
    assert_string_equal(show(proof_of(ed25519, "", "\"jti\":\"once\"")), "ok");
    struct showing elsewhere = showing_of(
        proof_of(es256, "", "\"jti\":\"once\",\"htu\":\"" FIXTURE_ISSUER "/oauth/par\""));
    elsewhere.visit.in.path = elsewhere.visit.in.raw_path = TB_STR("/oauth/par");
    assert_string_equal(fixture_do(&fixture, &elsewhere.visit, act), "ok");
}

static void a_refused_proof_is_not_used_up(void **state)
{
    (void)state;
    assert_string_equal(show(proof_of(es256, "", "\"jti\":\"kept\",\"htm\":\"GET\"")),
                        "invalid_dpop_proof");
    assert_string_equal(show(proof_of(es256, "", "\"jti\":\"kept\"")), "ok");
}

static void goes_with_its_token(void **state)
{
    (void)state;
    const struct tb_str token = TB_STR("an.access.token");
    unsigned char digest[TB_SHA256_BYTES];
    tb_sha256(&token, 1, digest);
    const char *ath = tb_base64url(arena, TB_BYTES(digest, sizeof(digest))).at;
    const struct {
        const char *more, *outcome;
    } rows[] = {
        {tb_arena_format(arena, "\"ath\":\"%s\"", ath).at, "ok"},
        {"", "invalid_dpop_proof"},
        {"\"ath\":\"\"", "invalid_dpop_proof"},
        {"\"ath\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", "invalid_dpop_proof"},
        {tb_arena_format(arena, "\"ath\":\"%s=\"", ath).at, "invalid_dpop_proof"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct showing showing = showing_of(proof_of(es256, "", rows[i].more));
        showing.want.token = token;
        assert_string_equal(fixture_do(&fixture, &showing.visit, act), rows[i].outcome);
    }
}

static const char *show_nonce(int64_t at_s)
{
    char nonce[TB_DPOP_NONCE_ROOM];
    tb_dpop_nonce(at_s, nonce);
    const char *claim = tb_arena_format(arena, "\"nonce\":\"%s\"", nonce).at;
    struct showing showing = showing_of(proof_of(es256, "", claim));
    showing.want.nonce = true;
    return fixture_do(&fixture, &showing.visit, act);
}

static void carries_a_nonce_when_one_is_asked_for(void **state)
{
    (void)state;
    assert_string_equal(show_nonce(now_s()), "ok");
    assert_string_equal(show_nonce(now_s() - 145), "ok");
    assert_string_equal(show_nonce(now_s() - 301), "use_dpop_nonce");
    assert_string_equal(show_nonce(now_s() + 301), "use_dpop_nonce");
    const char *bad[] = {"", "\"nonce\":\"\"", "\"nonce\":\"x\"", "\"nonce\":7"};
    for (size_t i = 0; i < TB_COUNT(bad); i++) {
        struct showing showing = showing_of(proof_of(es256, "", bad[i]));
        showing.want.nonce = true;
        assert_string_equal(fixture_do(&fixture, &showing.visit, act), "use_dpop_nonce");
    }
    assert_string_equal(show(proof_of(es256, "", "\"nonce\":\"of somebody else\"")), "ok");
    assert_false(tb_dpop_asks());
    fixture.settings.dpop_nonce = true;
    assert_true(tb_dpop_asks());
    fixture.settings.dpop_nonce = false;
}

static void when_no_more_can_be_remembered_none_is_taken(void **state)
{
    (void)state;
    struct tb_jti_set *usual = fixture.parts.proofs;
    static _Alignas(4096) unsigned char memory[16 * 4096];
    size_t bytes = tb_jti_set_bytes(1);
    int full = 0;
    assert_true(bytes <= sizeof(memory));
    fixture.parts.proofs = tb_jti_set_init(memory, bytes);
    tb_oauth_open(&fixture.parts);
    tb_dpop_open(&fixture.parts.master);
    for (int i = 0; i < 64; i++) {
        const char *outcome = show(proof_of(es256, "", ""));
        full += strcmp(outcome, "overloaded") == 0;
        assert_true(strcmp(outcome, "ok") == 0 || strcmp(outcome, "overloaded") == 0);
    }
    assert_true(full > 0);
    fixture.parts.proofs = usual;
    tb_oauth_open(&fixture.parts);
    tb_dpop_open(&fixture.parts.master);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(says_whose_key_it_is),
    cmocka_unit_test(there_is_one_header_or_none),
    cmocka_unit_test(judges_headers_by_table),
    cmocka_unit_test(judges_claims_by_table),
    cmocka_unit_test(a_root_without_a_slash_is_the_root),
    cmocka_unit_test(an_escape_of_a_plain_character_is_that_character),
    cmocka_unit_test(a_proof_counts_once),
    cmocka_unit_test(a_refused_proof_is_not_used_up),
    cmocka_unit_test(goes_with_its_token),
    cmocka_unit_test(carries_a_nonce_when_one_is_asked_for),
    cmocka_unit_test(when_no_more_can_be_remembered_none_is_taken),
};
TEST_GROUP(tests, set_up, tear_down);
