/* Access tokens from minting to checking: what they say, who may show them, and when they end. */
#include "../unit.h"

#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "oauth/token/token.h"
#include <stdlib.h>
#include <string.h>

enum { NOW = 1700000000 };

#define THUMB_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define THUMB_B "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"

static const struct tb_key_schedule schedule = {TB_ALG_ES256, 90 * 86400, 86400, 32 * 86400};

static struct tb_arena *arena;
static struct tb_keystore *keys;
static struct tb_jti_set *revoked;
static struct tb_token_checker *sandbox, *live;

static struct tb_token_rules rules_of(enum tb_env env)
{
    return (struct tb_token_rules){.issuer = TB_STR("https://bank.example"),
                                   .audience = TB_STR("https://bank.example/api"),
                                   .env = env,
                                   .keys = keys,
                                   .revoked = revoked,
                                   .cache_entries = 100,
                                   .cache_bytes = 1024 * 1024};
}

static int set_up(void **state)
{
    (void)state;
    struct tb_secret master = {0};
    struct tb_key_row row;
    size_t bytes = tb_jti_set_bytes(64);
    arena = tb_arena_new(TB_ARENA_CAP);
    revoked = aligned_alloc(64, bytes);
    memset(revoked, 0, bytes);
    tb_jti_set_init(revoked, bytes);
    tb_secret_set(&master, "0123456789abcdef0123456789abcdef", 32);
    keys = tb_keystore_new(&master);
    tb_secret_wipe(&master);
    assert_true(tb_keystore_make(keys, &schedule, NOW, arena, &row));
    assert_null(tb_keystore_load(keys, &row, 1, NOW));
    struct tb_token_rules rules = rules_of(TB_ENV_SANDBOX);
    sandbox = tb_token_checker_new(&rules);
    rules = rules_of(TB_ENV_LIVE);
    live = tb_token_checker_new(&rules);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_token_checker_free(sandbox);
    tb_token_checker_free(live);
    tb_keystore_free(keys);
    free(revoked);
    tb_arena_free(arena);
    return 0;
}

static struct tb_token_order usual_order(void)
{
    return (struct tb_token_order){.partner = TB_STR("ptr_1"),
                                   .app = TB_STR("app_1"),
                                   .scope = TB_STR("accounts:read e-payment:write"),
                                   .book = 7,
                                   .life_s = 300};
}

static struct tb_minted mint(struct tb_token_checker *checker, const struct tb_token_order *order)
{
    struct tb_minted out;
    assert_null(tb_token_mint(checker, order, NOW, arena, &out));
    return out;
}

/* A token as a request shows it. */
struct shown {
    struct tb_str token, cert, dpop;
    bool dpop_scheme;
};

/* The error's code, "misused", or "ok"; and nothing is granted or explained where it should not be.
 */
static const char *check(struct tb_token_checker *checker, struct shown shown, int64_t now_s)
{
    struct tb_grant *grant;
    const char *why;
    tb_err err = tb_token_check(checker, shown.token, now_s, &grant, &why);
    assert_true((err == NULL) == (grant != NULL));
    assert_true((err == NULL) == (why == NULL));
    if (err != NULL)
        return err->code;
    struct tb_presented presented = {shown.dpop_scheme, shown.cert, shown.dpop};
    why = tb_token_misused(grant, &presented);
    tb_grant_drop(grant);
    return why == NULL ? "ok" : "misused";
}

static void a_minted_token_grants_what_was_ordered(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    struct tb_minted minted = mint(sandbox, &order);
    struct tb_grant *grant;
    const char *why;
    for (int again = 0; again < 2; again++) { /* verified, then remembered */
        assert_null(tb_token_check(sandbox, minted.token, NOW, &grant, &why));
        assert_true(tb_str_eq(grant->partner, TB_STR("ptr_1")));
        assert_true(tb_str_eq(grant->app, TB_STR("app_1")));
        assert_true(tb_str_eq(grant->subject, TB_STR("app_1")));
        assert_true(tb_str_eq(grant->jti, tb_str(minted.jti)));
        assert_int_equal(grant->book, 7);
        assert_int_equal(grant->env, TB_ENV_SANDBOX);
        assert_int_equal(grant->exp_s, NOW + 300);
        assert_int_equal(grant->exp_s, minted.exp_s);
        assert_int_equal(grant->scopes_n, 2);
        assert_true(tb_grant_allows(grant, TB_STR("accounts:read")));
        assert_true(tb_grant_allows(grant, TB_STR("e-payment:write")));
        assert_false(tb_grant_allows(grant, TB_STR("e-payment")));
        tb_grant_drop(grant);
    }
    assert_int_equal(tb_token_checker_stats(sandbox).hits, 1);
    assert_int_equal(tb_token_checker_stats(sandbox).misses, 1);
}

static void follows_rfc_9068(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    order.subject = TB_STR("usr_1");
    struct tb_minted minted = mint(sandbox, &order);
    unsigned char text[2048];
    size_t n;
    const char *dot = strchr(minted.token.at, '.'), *last = strrchr(minted.token.at, '.');
    assert_true(tb_base64url_read((struct tb_str){minted.token.at, (size_t)(dot - minted.token.at)},
                                  text, &n));
    json_t *header = json_loadb((char *)text, n, JSON_REJECT_DUPLICATES, NULL);
    assert_true(tb_base64url_read((struct tb_str){dot + 1, (size_t)(last - dot - 1)}, text, &n));
    json_t *claims = json_loadb((char *)text, n, JSON_REJECT_DUPLICATES, NULL);
    assert_true(tb_str_eq(tb_json_str(header, "typ"), TB_STR("at+jwt")));
    assert_true(tb_str_eq(tb_json_str(header, "alg"), TB_STR("ES256")));
    assert_int_equal(tb_json_str(header, "kid").n, 43);
    static const char *const texts[][2] = {
        {"iss", "https://bank.example"},
        {"aud", "https://bank.example/api"},
        {"sub", "usr_1"},
        {"client_id", "app_1"},
        {"partner", "ptr_1"},
        {"env", "sandbox"},
        {"scope", "accounts:read e-payment:write"},
    };
    for (size_t i = 0; i < TB_COUNT(texts); i++)
        assert_true(tb_str_eq(tb_json_str(claims, texts[i][0]), tb_str(texts[i][1])));
    int64_t iat, exp;
    assert_true(tb_json_int(claims, "iat", &iat) && iat == NOW);
    assert_true(tb_json_int(claims, "exp", &exp) && exp == NOW + 300);
    assert_true(tb_json_str(claims, "jti").n > 20);
    assert_null(json_object_get(claims, "cnf"));
    json_decref(header);
    json_decref(claims);
}

static void ends_at_its_second(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    struct shown shown = {.token = mint(sandbox, &order).token};
    assert_string_equal(check(sandbox, shown, NOW + 299), "ok");
    assert_string_equal(check(sandbox, shown, NOW + 300), "token_invalid");
    assert_string_equal(check(sandbox, shown, NOW + 301), "token_invalid");
    assert_string_equal(check(sandbox, shown, NOW - 11), "token_invalid"); /* not issued yet */
    assert_string_equal(check(sandbox, shown, NOW - 10), "ok");
}

static void plain_bearer_counts_in_the_sandbox_only(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    struct tb_minted minted;
    assert_string_equal(check(sandbox, (struct shown){.token = mint(sandbox, &order).token}, NOW),
                        "ok");
    assert_true(tb_is(tb_token_mint(live, &order, NOW, arena, &minted), TB_E_BAD_REQUEST));

    /* Even one that was minted somehow: signed with the right key, bound to nobody. */
    struct tb_str claims = TB_STR(
        "{\"iss\":\"https://bank.example\",\"aud\":\"https://bank.example/api\",\"sub\":\"a\","
        "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"env\":\"live\",\"scope\":\"x\","
        "\"jti\":\"1\",\"iat\":1700000000,\"exp\":1700000100}");
    struct tb_str token = tb_jose_sign(tb_keystore_signer(keys, NOW), "at+jwt", claims, arena);
    assert_string_equal(check(live, (struct shown){.token = token}, NOW), "misused");
    assert_string_equal(check(live, (struct shown){.token = token}, NOW), "misused");
}

static void a_bound_token_counts_for_its_holder_alone(void **state)
{
    (void)state;
    struct tb_token_checker *const checkers[] = {sandbox, live};
    for (size_t i = 0; i < 2; i++) {
        struct tb_token_order by_cert = usual_order(), by_dpop = usual_order();
        by_cert.cert = TB_STR(THUMB_A);
        by_dpop.dpop = TB_STR(THUMB_A);
        struct tb_str cert = mint(checkers[i], &by_cert).token;
        struct tb_str dpop = mint(checkers[i], &by_dpop).token;
        const struct {
            struct shown shown;
            const char *expected;
        } rows[] = {
            {{cert, TB_STR(THUMB_A), TB_STR_NONE, false}, "ok"},
            {{cert, TB_STR(THUMB_A), TB_STR(THUMB_B), false}, "ok"},
            {{cert, TB_STR(THUMB_B), TB_STR_NONE, false}, "misused"},
            {{cert, TB_STR_NONE, TB_STR_NONE, false}, "misused"},
            {{cert, TB_STR_NONE, TB_STR(THUMB_A), false}, "misused"},
            {{cert, TB_STR(THUMB_A), TB_STR(THUMB_A), true}, "misused"},
            {{dpop, TB_STR_NONE, TB_STR(THUMB_A), true}, "ok"},
            {{dpop, TB_STR_NONE, TB_STR(THUMB_A), false}, "misused"},
            {{dpop, TB_STR_NONE, TB_STR(THUMB_B), true}, "misused"},
            {{dpop, TB_STR_NONE, TB_STR_NONE, true}, "misused"},
            {{dpop, TB_STR(THUMB_A), TB_STR_NONE, true}, "misused"},
            {{cert, TB_STR(THUMB_A), TB_STR_NONE, false}, "ok"},
        };
        for (size_t j = 0; j < TB_COUNT(rows); j++)
            if (strcmp(check(checkers[i], rows[j].shown, NOW), rows[j].expected) != 0)
                fail_msg("checker %zu, row %zu", i, j);
    }
}

static void a_token_of_the_other_environment_is_told_so(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    order.cert = TB_STR(THUMB_A);
    struct shown from_live = {.token = mint(live, &order).token, .cert = TB_STR(THUMB_A)};
    struct shown from_sandbox = {.token = mint(sandbox, &order).token, .cert = TB_STR(THUMB_A)};
    for (int again = 0; again < 2; again++) {
        assert_string_equal(check(sandbox, from_live, NOW), "environment_mismatch");
        assert_string_equal(check(live, from_sandbox, NOW), "environment_mismatch");
    }
    assert_string_equal(check(live, from_live, NOW), "ok");
}

static void a_revoked_token_ends_at_once(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    struct tb_minted one = mint(sandbox, &order), other = mint(sandbox, &order);
    struct shown shown = {.token = one.token};
    assert_string_equal(check(sandbox, shown, NOW), "ok");
    struct tb_str jti = tb_str(one.jti);
    assert_int_equal(tb_jti_set_add(revoked, &jti, 1, one.exp_s, NOW), TB_JTI_NEW);
    assert_string_equal(check(sandbox, shown, NOW), "token_invalid");
    assert_string_equal(check(sandbox, shown, NOW), "token_invalid");
    assert_string_equal(check(sandbox, (struct shown){.token = other.token}, NOW), "ok");
}

static struct tb_token_order customers_order(const char *family)
{
    struct tb_token_order order = usual_order();
    order.subject = TB_STR("usr_1");
    order.family = tb_str(family);
    order.consent = TB_STR("cns_1");
    order.details = TB_STR("[{\"type\":\"payment\",\"amount\":1}]");
    order.acr = TB_STR("urn:bank:sca");
    order.auth_time_s = NOW - 60;
    return order;
}

static void a_customers_token_says_what_was_granted(void **state)
{
    (void)state;
    struct tb_token_order order = customers_order("grn_1");
    struct tb_str token = mint(sandbox, &order).token;
    struct tb_grant *grant;
    const char *why;
    for (int again = 0; again < 2; again++) {
        assert_null(tb_token_check(sandbox, token, NOW, &grant, &why));
        assert_true(tb_str_eq(grant->subject, TB_STR("usr_1")));
        assert_true(tb_str_eq(grant->family, TB_STR("grn_1")));
        assert_true(tb_str_eq(grant->consent, TB_STR("cns_1")));
        assert_true(tb_str_eq(grant->details, /* in canonical form */
                              TB_STR("[{\"amount\":1,\"type\":\"payment\"}]")));
        tb_grant_drop(grant);
    }
    order = usual_order();
    token = mint(sandbox, &order).token;
    assert_null(tb_token_check(sandbox, token, NOW, &grant, &why));
    assert_null(grant->family.at);
    assert_null(grant->consent.at);
    assert_null(grant->details.at);
    tb_grant_drop(grant);
}

static void all_tokens_of_a_grant_end_with_it(void **state)
{
    (void)state;
    struct tb_token_order order = customers_order("grn_1"), others = customers_order("grn_2");
    struct shown seen = {.token = mint(sandbox, &order).token};
    struct shown unseen = {.token = mint(sandbox, &order).token};
    struct shown other = {.token = mint(sandbox, &others).token};
    assert_string_equal(check(sandbox, seen, NOW), "ok");
    assert_string_equal(check(sandbox, other, NOW), "ok");
    assert_int_equal(tb_jti_set_add(revoked, &TB_STR("grn_1"), 1, NOW + 600, NOW), TB_JTI_NEW);
    assert_string_equal(check(sandbox, seen, NOW), "token_invalid");
    assert_string_equal(check(sandbox, unseen, NOW), "token_invalid");
    assert_string_equal(check(sandbox, other, NOW), "ok");
}

static void a_withdrawn_key_takes_its_tokens_along(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    struct shown shown = {.token = mint(sandbox, &order).token};
    struct tb_minted minted;
    assert_string_equal(check(sandbox, shown, NOW), "ok");
    assert_null(tb_keystore_load(keys, NULL, 0, NOW));
    assert_string_equal(check(sandbox, shown, NOW), "token_invalid");
    assert_true(tb_is(tb_token_mint(sandbox, &order, NOW, arena, &minted), TB_E_STORE));
}

/* Claims signed with the right key that no mint would write. */
static void refuses_claims_by_table(void **state)
{
    (void)state;
#define HEAD "{\"iss\":\"https://bank.example\",\"aud\":\"https://bank.example/api\",\"sub\":\"a\","
#define TAIL "\"jti\":\"1\",\"iat\":1700000000,\"exp\":1700000100}"
#define GOOD "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"env\":\"sandbox\",\"scope\":\"x\","
    static const char *const good[] = {
        HEAD GOOD TAIL,
        HEAD GOOD "\"cnf\":{\"jkt\":\"" THUMB_A "\"}," TAIL,
    };
    static const char *const bad[] = {
        "{\"iss\":\"https://bank.example/\",\"aud\":\"https://bank.example/api\",\"sub\":\"a\"," GOOD
            TAIL,
        "{\"iss\":\"https://bank.example\",\"aud\":\"https://bank.example\",\"sub\":\"a\"," GOOD
            TAIL,
        "{\"iss\":\"https://bank.example\",\"aud\":[\"https://bank.example/api\"],\"sub\":\"a\"," GOOD
            TAIL,
        "{\"iss\":\"https://bank.example\",\"aud\":\"https://bank.example/api\"," GOOD TAIL,
        HEAD GOOD "\"iat\":1700000000,\"exp\":1700000100}",
        HEAD GOOD "\"jti\":\"1\",\"exp\":1700000100}",
        HEAD GOOD "\"jti\":\"1\",\"iat\":1700000000}",
        HEAD GOOD "\"jti\":\"1\",\"iat\":1700000000,\"exp\":1800000000}", /* far too long */
        HEAD "\"partner\":\"p\",\"book\":1,\"env\":\"sandbox\",\"scope\":\"x\"," TAIL,
        HEAD "\"client_id\":\"a\",\"book\":1,\"env\":\"sandbox\",\"scope\":\"x\"," TAIL,
        HEAD "\"client_id\":\"a\",\"partner\":\"p\",\"env\":\"sandbox\",\"scope\":\"x\"," TAIL,
        HEAD "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"scope\":\"x\"," TAIL,
        HEAD "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"env\":\"sandbox\"," TAIL,
        HEAD
        "\"client_id\":\"\",\"partner\":\"p\",\"book\":1,\"env\":\"sandbox\",\"scope\":\"x\"," TAIL,
        HEAD
        "\"client_id\":\"a\",\"partner\":7,\"book\":1,\"env\":\"sandbox\",\"scope\":\"x\"," TAIL,
        HEAD
        "\"client_id\":\"a\",\"partner\":\"p\",\"book\":0,\"env\":\"sandbox\",\"scope\":\"x\"," TAIL,
        HEAD
        "\"client_id\":\"a\",\"partner\":\"p\",\"book\":65536,\"env\":\"sandbox\",\"scope\":\"x\"," TAIL,
        HEAD "\"client_id\":\"a\",\"partner\":\"p\",\"book\":\"1\",\"env\":\"sandbox\","
             "\"scope\":\"x\"," TAIL,
        HEAD
        "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"env\":\"test\",\"scope\":\"x\"," TAIL,
        HEAD
        "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"env\":\"sandbox\",\"scope\":\"\"," TAIL,
        HEAD
        "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"env\":\"sandbox\",\"scope\":\"x  y\"," TAIL,
        HEAD
        "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"env\":\"sandbox\",\"scope\":\" x\"," TAIL,
        HEAD
        "\"client_id\":\"a\",\"partner\":\"p\",\"book\":1,\"env\":\"sandbox\",\"scope\":[\"x\"]," TAIL,
        HEAD GOOD "\"grant\":7," TAIL,
        HEAD GOOD "\"grant\":\"\"," TAIL,
        HEAD GOOD "\"consent\":null," TAIL,
        HEAD GOOD "\"authorization_details\":{}," TAIL,
        HEAD GOOD "\"cnf\":{}," TAIL,
        HEAD GOOD "\"cnf\":null," TAIL,
        HEAD GOOD "\"cnf\":\"" THUMB_A "\"," TAIL,
        HEAD GOOD "\"cnf\":{\"jkt\":\"short\"}," TAIL,
        HEAD GOOD "\"cnf\":{\"jwk\":{}}," TAIL,
        HEAD GOOD "\"cnf\":{\"jkt\":\"" THUMB_A "\",\"x5t#S256\":\"" THUMB_A "\"}," TAIL,
        HEAD GOOD "\"cnf\":{\"jkt\":\"" THUMB_A "\",\"kid\":\"1\"}," TAIL,
    };
    struct tb_key *key = tb_keystore_signer(keys, NOW);
    for (size_t i = 0; i < 2; i++) {
        struct tb_str token = tb_jose_sign(key, "at+jwt", tb_str(good[i]), arena);
        struct shown shown = {token, TB_STR_NONE, TB_STR(THUMB_A), i == 1};
        assert_string_equal(check(sandbox, shown, NOW), "ok");
        token = tb_jose_sign(key, "JWT", tb_str(good[i]), arena);
        assert_string_equal(check(sandbox, (struct shown){.token = token}, NOW), "token_invalid");
    }
    for (size_t i = 0; i < TB_COUNT(bad); i++) {
        struct tb_str token = tb_jose_sign(key, "at+jwt", tb_str(bad[i]), arena);
        if (strcmp(check(sandbox, (struct shown){.token = token}, NOW), "token_invalid") != 0)
            fail_msg("accepted: %s", bad[i]);
    }
#undef HEAD
#undef TAIL
#undef GOOD
}

static void refuses_a_token_of_another_key(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    struct tb_minted minted = mint(sandbox, &order);
    struct tb_key *stranger = tb_key_make(TB_ALG_ES256);
    unsigned char text[2048];
    size_t n;
    const char *dot = strchr(minted.token.at, '.'), *last = strrchr(minted.token.at, '.');
    assert_true(tb_base64url_read((struct tb_str){dot + 1, (size_t)(last - dot - 1)}, text, &n));
    struct tb_str token = tb_jose_sign(stranger, "at+jwt", TB_BYTES(text, n), arena);
    assert_string_equal(check(sandbox, (struct shown){.token = token}, NOW), "token_invalid");
    assert_string_equal(check(sandbox, (struct shown){.token = TB_STR_NONE}, NOW), "token_invalid");
    assert_string_equal(check(sandbox, (struct shown){.token = TB_STR("sesame")}, NOW),
                        "token_invalid");
    tb_key_free(stranger);
}

static void refuses_orders_out_of_range(void **state)
{
    (void)state;
    struct tb_token_order good = usual_order(), bad[12];
    struct tb_minted out;
    for (size_t i = 0; i < 12; i++)
        bad[i] = good;
    bad[0].partner = TB_STR_NONE;
    bad[1].app = TB_STR("");
    bad[2].book = 0;
    bad[3].book = 65536;
    bad[4].life_s = 0;
    bad[5].life_s = TB_TOKEN_LIFE_MAX_S + 1;
    bad[6].scope = TB_STR_NONE;
    bad[7].scope = TB_STR("a\"b");
    bad[8].cert = TB_STR("short");
    bad[9].dpop = TB_STR("short");
    bad[10].cert = bad[10].dpop = TB_STR(THUMB_A);
    char many[2 * (TB_GRANT_SCOPES_MAX + 1)];
    memset(many, 'a', sizeof(many));
    for (size_t i = 1; i < sizeof(many); i += 2)
        many[i] = ' ';
    bad[11].scope = (struct tb_str){many, sizeof(many) - 1};
    for (size_t i = 0; i < 12; i++)
        if (!tb_is(tb_token_mint(sandbox, &bad[i], NOW, arena, &out), TB_E_BAD_REQUEST))
            fail_msg("order %zu was minted", i);
    good.scope = (struct tb_str){many, sizeof(many) - 3};
    good.life_s = TB_TOKEN_LIFE_MAX_S;
    assert_string_equal(check(sandbox, (struct shown){.token = mint(sandbox, &good).token}, NOW),
                        "ok");
    good.cert = TB_STR(THUMB_A);
    assert_true(tb_is(tb_token_mint(live, &good, NOW, arena, &out), TB_E_BAD_REQUEST));
    good.life_s = TB_TOKEN_LIFE_LIVE_S;
    assert_null(tb_token_mint(live, &good, NOW, arena, &out));
}

static void says_when_the_arena_is_full(void **state)
{
    (void)state;
    struct tb_token_order order = usual_order();
    bool minted = false;
    for (size_t cap = 0; cap < 8192; cap += 64) {
        struct tb_minted out;
        struct tb_arena *small = tb_arena_new(cap);
        tb_err err = tb_token_mint(sandbox, &order, NOW, small, &out);
        assert_true(err == NULL || tb_is(err, TB_E_INTERNAL));
        minted = err == NULL;
        tb_arena_free(small);
    }
    assert_true(minted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_minted_token_grants_what_was_ordered),
    TEST(follows_rfc_9068),
    TEST(ends_at_its_second),
    TEST(plain_bearer_counts_in_the_sandbox_only),
    TEST(a_bound_token_counts_for_its_holder_alone),
    TEST(a_token_of_the_other_environment_is_told_so),
    TEST(a_revoked_token_ends_at_once),
    TEST(a_customers_token_says_what_was_granted),
    TEST(all_tokens_of_a_grant_end_with_it),
    TEST(a_withdrawn_key_takes_its_tokens_along),
    TEST(refuses_claims_by_table),
    TEST(refuses_a_token_of_another_key),
    TEST(refuses_orders_out_of_range),
    TEST(says_when_the_arena_is_full),
};
TEST_GROUP(tests, NULL, NULL);
