/* Clients that sign assertions, against a real PostgreSQL: what counts, what does not, and that it
 * counts once. */
#include "../unit.h"

#include "../crypto/forge.h"
#include "base/time.h"
#include "crypto/jose.h"
#include "token_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RACERS = 64 };

#define TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

static struct tb_key *es256, *ed25519, *ps256, *stranger;

static int set_up(void **state)
{
    es256 = tb_key_make(TB_ALG_ES256);
    ed25519 = tb_key_make(TB_ALG_ED25519);
    ps256 = tb_key_make(TB_ALG_PS256);
    stranger = tb_key_make(TB_ALG_ES256);
    return counter_open(state);
}

static int tear_down(void **state)
{
    tb_key_free(es256);
    tb_key_free(ed25519);
    tb_key_free(ps256);
    tb_key_free(stranger);
    return counter_close(state);
}

/* A client with all three keys and what is said besides. */
static void add_signing_client(const char *more)
{
    struct tb_key *keys[] = {es256, ed25519, ps256};
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_text_add(&text, TB_STR("{\"token_endpoint_auth_method\":\"private_key_jwt\",\"jwks\":"
                              "{\"keys\":["));
    for (size_t i = 0; i < 3; i++) {
        tb_text_add(&text, i == 0 ? TB_STR("") : TB_STR(","));
        tb_text_add(&text, tb_key_write_jwk(keys[i], TB_JWK_PUBLIC, arena));
    }
    tb_text_add_format(&text, "]}%s}", more);
    add_client(tb_text_end(&text).at);
}

/* ---- assertions ---- */

static int64_t now_s(void)
{
    return tb_wall_ms() / 1000;
}

/* Claims as they should be, but for what `more` says instead: members of JSON, the first of a name
 * counts. */
static struct tb_str claims_of(const char *id, const char *more)
{
    static int serial;
    struct tb_text text;
    int64_t now = now_s();
    const struct {
        const char *name, *value;
    } usual[] = {
        {"iss", tb_arena_format(arena, "\"%s\"", id).at},
        {"sub", tb_arena_format(arena, "\"%s\"", id).at},
        {"aud", "\"" FIXTURE_ISSUER "\""},
        {"jti", tb_arena_format(arena, "\"jti-%d\"", ++serial).at},
        {"iat", tb_arena_format(arena, "%lld", (long long)now).at},
        {"exp", tb_arena_format(arena, "%lld", (long long)now + 60).at},
    };
    tb_text_init(&text, arena);
    tb_text_add_format(&text, "{%s", more);
    for (size_t i = 0; i < TB_COUNT(usual); i++) {
        struct tb_str member = tb_arena_format(arena, "\"%s\":", usual[i].name);
        if (strstr(more, member.at) == NULL)
            tb_text_add_format(&text, "%s%s%s", text.n > 1 ? "," : "", member.at, usual[i].value);
    }
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}

static struct tb_str assertion_of(struct tb_key *key, const char *id, const char *more)
{
    return tb_jose_sign(key, "JWT", claims_of(id, more), arena);
}

static struct tb_str form_of(struct tb_str assertion, const char *more)
{
    return tb_arena_format(arena, "client_assertion_type=" TYPE "&client_assertion=%.*s%s",
                           (int)assertion.n, assertion.at, more);
}

/* ---- private_key_jwt ---- */

static void takes_assertions_of_each_algorithm(void **state)
{
    (void)state;
    add_signing_client("");
    struct tb_key *keys[] = {es256, ed25519, ps256};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(ask_with(form_of(assertion_of(keys[i], CLIENT, ""), "")), "ok");
        assert_string_equal(
            ask_with(form_of(assertion_of(keys[i], CLIENT, ""), "&client_id=" CLIENT)), "ok");
    }
    /* the old name of Ed25519, and a header without kid */
    struct tb_str token = forge(arena, ed25519, TB_STR("{\"alg\":\"EdDSA\"}"),
                                claims_of(CLIENT, ""));
    assert_string_equal(ask_with(form_of(token, "")), "ok");
    assert_string_equal(ask_with(form_of(assertion_of(stranger, CLIENT, ""), "")),
                        "invalid_client");
    assert_int_equal(pg_number(&fixture.pg, "select count(*) from oauth.used_jti"), 7);
}

static void takes_only_the_registered_algorithm(void **state)
{
    (void)state;
    add_signing_client(",\"token_endpoint_auth_signing_alg\":\"EdDSA\"");
    assert_string_equal(ask_with(form_of(assertion_of(ed25519, CLIENT, ""), "")), "ok");
    assert_string_equal(ask_with(form_of(assertion_of(es256, CLIENT, ""), "")), "invalid_client");
    assert_string_equal(ask_with(form_of(assertion_of(ps256, CLIENT, ""), "")), "invalid_client");
}

static void judges_claims_by_table(void **state)
{
    (void)state;
    long long now = now_s();
    const struct {
        const char *more, *outcome;
    } rows[] = {
        {"", "ok"},
        {"\"sub\":\"" NOBODY "\"", "invalid_client"},
        {"\"iss\":\"" NOBODY "\"", "invalid_client"},
        {"\"sub\":null", "invalid_client"},
        {"\"iss\":null", "invalid_client"},
        {"\"aud\":null", "invalid_client"},
        {"\"aud\":\"" FIXTURE_ISSUER "/\"", "invalid_client"},
        {"\"aud\":\"" FIXTURE_ISSUER "/oauth/token\"", "invalid_client"},
        {"\"aud\":\"" FIXTURE_ISSUER "/oauth/par\"", "invalid_client"},
        {"\"aud\":[\"" FIXTURE_ISSUER "\"]", "invalid_client"},
        {"\"aud\":[\"" FIXTURE_ISSUER "\",\"x\"]", "invalid_client"},
        {"\"aud\":\"https://BANK.example\"", "invalid_client"},
        {"\"jti\":null", "invalid_client"},
        {"\"jti\":\"\"", "invalid_client"},
        {"\"jti\":7", "invalid_client"},
        {"\"exp\":null", "invalid_client"},
        {"\"exp\":\"1800000000\"", "invalid_client"},
        {tb_arena_format(arena, "\"exp\":%lld", now - 300).at, "invalid_client"},
        {tb_arena_format(arena, "\"exp\":%lld", now - 1).at, "invalid_client"},
        {tb_arena_format(arena, "\"exp\":%lld", now + 300).at, "ok"},
        {tb_arena_format(arena, "\"exp\":%lld", now + 330).at, "invalid_client"},
        {tb_arena_format(arena, "\"exp\":%lld", now + 86400).at, "invalid_client"},
        {tb_arena_format(arena, "\"nbf\":%lld", now + 8).at, "ok"},
        {tb_arena_format(arena, "\"nbf\":%lld", now + 65).at, "invalid_client"},
        {tb_arena_format(arena, "\"nbf\":%lld", now - 600).at, "ok"},
        {tb_arena_format(arena, "\"iat\":%lld", now + 8).at, "ok"},
        {tb_arena_format(arena, "\"iat\":%lld", now + 65).at, "invalid_client"},
        {"\"iat\":null", "invalid_client"},
        {"\"nbf\":\"soon\"", "invalid_client"},
    };
    add_signing_client("");
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        const char *more = tb_arena_format(arena, "%s", rows[i].more).at;
        const char *outcome = ask_with(form_of(assertion_of(es256, CLIENT, more), ""));
        if (strcmp(outcome, rows[i].outcome) != 0)
            fail_msg("%s: %s", rows[i].more, outcome);
    }
    /* a claim that is not there at all, rather than null */
    struct tb_str bare = tb_arena_format(
        arena, "{\"iss\":\"" CLIENT "\",\"aud\":\"" FIXTURE_ISSUER "\",\"jti\":\"b\",\"exp\":%lld}",
        now + 60);
    struct tb_str token = tb_jose_sign(es256, "JWT", bare, arena);
    assert_string_equal(ask_with(form_of(token, "&client_id=" CLIENT)), "invalid_client");
    assert_string_equal(ask_with(form_of(token, "")), "invalid_client");
}

static void judges_headers_by_table(void **state)
{
    (void)state;
    static const struct {
        const char *header, *outcome;
    } rows[] = {
        {"{\"alg\":\"ES256\"}", "ok"},
        {"{\"alg\":\"ES256\",\"typ\":\"JWT\"}", "ok"},
        {"{\"alg\":\"ES256\",\"typ\":\"client-authentication+jwt\"}", "ok"},
        {"{\"alg\":\"ES256\",\"typ\":\"jwt\"}", "invalid_client"},
        {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", "invalid_client"},
        {"{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\"}", "invalid_client"},
        {"{\"alg\":\"ES256\",\"typ\":\"oauth-authz-req+jwt\"}", "invalid_client"},
        {"{\"alg\":\"none\"}", "invalid_client"},
        {"{\"alg\":\"RS256\"}", "invalid_client"},
        {"{\"alg\":\"HS256\"}", "invalid_client"},
        {"{\"alg\":\"PS256\"}", "invalid_client"},
        {"{\"alg\":\"ES256\",\"kid\":\"another\"}", "invalid_client"},
        {"{\"alg\":\"ES256\",\"crit\":[\"exp\"]}", "invalid_client"},
        {"{\"alg\":\"ES256\",\"jku\":\"https://x.example\"}", "invalid_client"},
        {"{\"alg\":\"ES256\",\"jwk\":{}}", "invalid_client"},
        {"{}", "invalid_client"},
    };
    add_signing_client("");
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct tb_str token = forge(arena, es256, tb_str(rows[i].header), claims_of(CLIENT, ""));
        const char *outcome = ask_with(form_of(token, ""));
        if (strcmp(outcome, rows[i].outcome) != 0)
            fail_msg("%s: %s", rows[i].header, outcome);
    }
}

static void a_request_uses_one_method_and_uses_it_whole(void **state)
{
    (void)state;
    add_signing_client("");
    struct tb_str good = assertion_of(es256, CLIENT, "");
    const struct tb_str bodies[] = {
        TB_STR(""),
        TB_STR("client_id=" CLIENT),
        TB_STR("client_id=" CLIENT "&client_assertion_type=" TYPE),
        TB_STR("client_assertion_type=" TYPE "&client_assertion="),
        tb_arena_format(arena, "client_assertion=%s", good.at),
        tb_arena_format(arena, "client_assertion_type=jwt-bearer&client_assertion=%s", good.at),
        form_of(good, "&client_id=" NOBODY),
        form_of(good, "&client_secret=x"),
        form_of(TB_STR("not-a-jwt"), ""),
        form_of(TB_STR("not.a.jwt"), "&client_id=" CLIENT),
        form_of((struct tb_str){good.at, good.n - 8}, ""),
    };
    for (size_t i = 0; i < TB_COUNT(bodies); i++)
        if (strcmp(ask_with(bodies[i]), "invalid_client") != 0)
            fail_msg("accepted: %s", bodies[i].at);
    struct asking two = asking_of(form_of(good, ""));
    two.visit.in.authorization = TB_STR("Basic eDp5");
    assert_string_equal(ask(&two), "invalid_client");
    assert_string_equal(ask_with(form_of(good, "&client_assertion=x")), "invalid_request");
    /* a certificate beside an assertion is no method: it binds tokens */
    struct asking bound = asking_of(form_of(good, ""));
    bound.visit.in.client_certificate = fixture_certificate(arena, "x", NULL, 1);
    assert_string_equal(ask(&bound), "ok");
}

static void an_assertion_counts_once(void **state)
{
    (void)state;
    add_signing_client("");
    struct tb_str good = assertion_of(es256, CLIENT, "");
    assert_string_equal(ask_with(form_of(good, "")), "ok");
    assert_string_equal(ask_with(form_of(good, "")), "invalid_client");
    /* the jti it is that counts, not the bytes */
    assert_string_equal(ask_with(form_of(assertion_of(es256, CLIENT, "\"jti\":\"same\""), "")),
                        "ok");
    assert_string_equal(ask_with(form_of(assertion_of(ed25519, CLIENT, "\"jti\":\"same\""), "")),
                        "invalid_client");
}

static void of_sixty_four_who_send_one_assertion_one_gets_in(void **state)
{
    (void)state;
    static struct asking askings[RACERS];
    int let_in = 0;
    add_signing_client("");
    struct tb_str body = form_of(assertion_of(es256, CLIENT, ""), "");
    for (int i = 0; i < RACERS; i++) {
        askings[i] = asking_of(body);
        ask_start(&askings[i]);
    }
    for (int i = 0; i < RACERS; i++) {
        fixture_wait(&fixture, &askings[i].visit, 1);
        let_in += askings[i].visit.err == NULL;
        assert_true(askings[i].visit.err == NULL ||
                    strcmp(askings[i].visit.err->code, "invalid_client") == 0);
    }
    assert_int_equal(let_in, 1);
}

static void without_the_books_nobody_gets_in(void **state)
{
    (void)state;
    add_signing_client("");
    struct tb_str body = form_of(assertion_of(es256, CLIENT, ""), "");
    pg_kill(&fixture.pg);
    assert_string_equal(ask_with(body), "store_unavailable");
    pg_start(&fixture.pg);
    const char *outcome = "store_unavailable";
    for (int i = 0; i < 100 && strcmp(outcome, "store_unavailable") == 0; i++) {
        struct asking asking = asking_of(body);
        outcome = ask(&asking);
        for (int turn = 0; turn < 10; turn++)
            tb_loop_turn(fixture.loop, 10);
    }
    assert_string_equal(outcome, "ok");
    assert_string_equal(ask_with(body), "invalid_client");
}

static void what_has_expired_is_forgotten(void **state)
{
    (void)state;
    add_signing_client("");
    assert_string_equal(ask_with(form_of(assertion_of(es256, CLIENT, ""), "")), "ok");
    pg_do(&fixture.pg,
          "insert into oauth.client_secret values ('" CLIENT "', repeat('a', 43), now(), "
          "now() + interval '30 s'), ('" CLIENT "', repeat('b', 43), now(), null);"
          "insert into oauth.jwks values ('https://a', null, null, now() - "
          "interval '23 h', false)");
    assert_int_equal(pg_number(&fixture.pg, "select oauth.forget_expired(now(), 100)"), 0);
    assert_int_equal(
        pg_number(&fixture.pg, "select oauth.forget_expired(now() + interval '59 s', 100)"), 1);
    assert_int_equal(
        pg_number(&fixture.pg, "select oauth.forget_expired(now() + interval '90 s', 100)"), 0);
    assert_int_equal(
        pg_number(&fixture.pg, "select oauth.forget_expired(now() + interval '122 s', 100)"), 1);
    assert_int_equal(
        pg_number(&fixture.pg, "select oauth.forget_expired(now() + interval '2 h', 100)"), 1);
    assert_int_equal(pg_number(&fixture.pg, "select count(*) from oauth.client_secret"), 1);
}

/* ---- standing ---- */

static void a_suspended_client_is_as_one_that_does_not_exist(void **state)
{
    (void)state;
    add_signing_client("");
    pg_do(&fixture.pg, "update bank.app set state = 'suspended'");
    assert_string_equal(ask_with(form_of(assertion_of(es256, CLIENT, ""), "")), "invalid_client");
    pg_do(&fixture.pg, "update bank.app set state = 'active'; "
                       "update bank.partner set state = 'suspended'");
    assert_string_equal(ask_with(form_of(assertion_of(es256, CLIENT, ""), "")), "invalid_client");
    pg_do(&fixture.pg, "update bank.partner set state = 'active'");
    assert_string_equal(ask_with(form_of(assertion_of(es256, CLIENT, ""), "")), "ok");
    assert_string_equal(ask_with(form_of(assertion_of(es256, NOBODY, ""), "")), "invalid_client");
    assert_int_equal(pg_number(&fixture.pg, "select count(*) from oauth.used_jti"), 1);
}

static int by_time(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

/* Microseconds of refusing an assertion of `id` that it did not sign. */
static int64_t refusal_us(const char *id)
{
    struct asking asking = asking_of(form_of(assertion_of(stranger, id, ""), ""));
    assert_string_equal(ask(&asking), "invalid_client");
    return asking.visit.took_us;
}

/* The medians of many refusals, in turns, so that what slows the machine for a while slows both. */
static bool refused_alike(void)
{
    enum { TRIES = 501, MIDDLE = TRIES / 2 };
    int64_t known_us[TRIES], unknown_us[TRIES];
    for (int i = 0; i < TRIES; i++) {
        known_us[i] = refusal_us(CLIENT);
        unknown_us[i] = refusal_us(NOBODY);
    }
    qsort(known_us, TRIES, sizeof(*known_us), by_time);
    qsort(unknown_us, TRIES, sizeof(*unknown_us), by_time);
    int64_t known = known_us[MIDDLE], unknown = unknown_us[MIDDLE];
    print_message("refused: %lld us known, %lld us unknown\n", (long long)known,
                  (long long)unknown);
    return known <= unknown + unknown / 3 && unknown <= known + known / 3;
}

static void refusing_takes_as_long_for_a_client_that_does_not_exist(void **state)
{
    (void)state;
    add_signing_client("");
    refusal_us(CLIENT);
    refusal_us(NOBODY);
    int tries = 5; /* what else the machine does may fall on one of the two only */
    while (!refused_alike())
        assert_true(--tries > 0);
}

#define TEST(name) cmocka_unit_test_setup(name, counter_empty)

static const struct CMUnitTest tests[] = {
    TEST(takes_assertions_of_each_algorithm),
    TEST(takes_only_the_registered_algorithm),
    TEST(judges_claims_by_table),
    TEST(judges_headers_by_table),
    TEST(a_request_uses_one_method_and_uses_it_whole),
    TEST(an_assertion_counts_once),
    TEST(of_sixty_four_who_send_one_assertion_one_gets_in),
    TEST(without_the_books_nobody_gets_in),
    TEST(what_has_expired_is_forgotten),
    TEST(a_suspended_client_is_as_one_that_does_not_exist),
    TEST(refusing_takes_as_long_for_a_client_that_does_not_exist),
};
TEST_GROUP(tests, set_up, tear_down);
