/* Requests without a browser: what the endpoint takes and refuses, and how polls are answered until
 * the customer has decided and after. */
#include "../unit.h"

#include "base/time.h"
#include "oauth/request/backchannel.h"
#include "oauth/token/dpop.h"
#include "par_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RACERS = 64 };

#define PATH    "/oauth/backchannel"
#define TYPE    "oauth-authz-req+jwt"
#define READING "[{\"type\":\"account_information\",\"permissions\":[\"balances\"]}]"
#define MEMBERS                                                                                    \
    ",\"grant_types\":[\"urn:openid:params:grant-type:ciba\"]"                                     \
    ",\"scope\":\"openid accounts:read\""
#define PING                                                                                       \
    MEMBERS ",\"backchannel_token_delivery_mode\":\"ping\","                                       \
            "\"backchannel_client_notification_endpoint\":\"https://client.example/cb\""

static const struct tb_key_schedule schedule = {TB_ALG_ES256, 90 * 86400, 86400, 32 * 86400};

static struct scene scene;
static struct tb_keystore *responses;

static const struct param USUAL[] = {
    {"scope", "openid accounts:read"},
    {"login_hint", "wei@w7"},
    {"binding_message", "W4SCT"},
    {NULL, NULL},
};

static int set_up(void **state)
{
    (void)state;
    struct tb_key_row row;
    int64_t now_s = tb_wall_ms() / 1000;
    scene_open(&scene);
    responses = tb_keystore_new(&scene.fixture.parts.master);
    assert_true(tb_keystore_make(responses, &schedule, now_s, scene.arena, &row));
    assert_null(tb_keystore_load(responses, &row, 1, now_s));
    scene.fixture.parts.response_keys = responses;
    tb_oauth_open(&scene.fixture.parts);
    tb_dpop_open(&scene.fixture.parts.master);
    tb_backchannel_open();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scene_close(&scene);
    tb_keystore_free(responses);
    return 0;
}

static const struct answered *ask(const struct param *other)
{
    return post(&scene, PATH, form_text(&scene, USUAL, other), NULL);
}

static const struct answered *ask_signed(struct tb_key *key, const struct param *other,
                                         const char *claims)
{
    struct tb_str object = object_of(&scene, key, TYPE, members_of(USUAL, other), claims);
    return post(&scene, PATH,
                tb_arena_format(scene.arena, "request=%.*s", (int)object.n, object.at).at, NULL);
}

static const char *id_of(const struct answered *answered)
{
    const char *id = json_string_value(json_object_get(answered->json, "auth_req_id"));
    return id == NULL ? NULL : tb_arena_text(scene.arena, id, strlen(id));
}

static long long kept(const char *condition)
{
    return pg_number(
        &scene.fixture.pg,
        tb_arena_format(scene.arena, "select count(*) from oauth.backchannel where %s", condition)
            .at);
}

/* ---- asking ---- */

static void answers_with_an_id_for_the_request(void **state)
{
    (void)state;
    const struct param details[] = {
        {"authorization_details", READING}, {"binding_message", NULL}, {NULL, NULL}};
    scene_client(&scene, MEMBERS);
    const struct answered *answered = ask(NULL);
    expect(answered, "ok", "", "the usual request");
    assert_int_equal(answered->status, 200);
    assert_int_equal(strlen(id_of(answered)), 43);
    assert_int_equal(json_integer_value(json_object_get(answered->json, "expires_in")), 300);
    assert_int_equal(json_integer_value(json_object_get(answered->json, "interval")), 5);
    assert_int_equal(kept("client = '" CLIENT "' and user_id = '" CUSTOMER "' and book = 7 and "
                          "state = 'pending' and notification is null and "
                          "params = '{\"scope\":\"openid accounts:read\","
                          "\"binding_message\":\"W4SCT\"}'"),
                     1);
    expect(ask(details), "ok", "", "details instead of a message");
    assert_int_equal(kept("params ? 'authorization_details'"), 1);
}

static void gives_the_time_that_is_asked_for_within_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *asked;
        json_int_t given;
    } cases[] = {{"1", 1}, {"600", 600}, {"1800", 1800}, {"86400", 1800}};
    scene_client(&scene, MEMBERS);
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        const struct param other[] = {{"requested_expiry", cases[i].asked}, {NULL, NULL}};
        const struct answered *answered = ask(other);
        assert_int_equal(json_integer_value(json_object_get(answered->json, "expires_in")),
                         cases[i].given);
    }
}

struct refusal {
    const char *name, *value, *code, *words;
};

static void refuse_each(const struct refusal *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct param other[] = {{cases[i].name, cases[i].value}, {NULL, NULL}};
        char context[300];
        snprintf(context, sizeof(context), "%s=%s", cases[i].name,
                 cases[i].value == NULL ? "(not sent)" : cases[i].value);
        expect(ask(other), cases[i].code, cases[i].words, context);
    }
    assert_int_equal(kept("true"), 0);
}

static void refuses_what_is_missing_or_beyond_the_client(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"scope", NULL, "invalid_scope", "must contain openid"},
        {"scope", "accounts:read", "invalid_scope", "must contain openid"},
        {"scope", "openid e-payment:write", "invalid_scope", "beyond what the client"},
        {"login_hint", NULL, "invalid_request", "exactly one of"},
        {"id_token_hint", "x.y.z", "invalid_request", "exactly one of"},
        {"login_hint_token", "x.y.z", "invalid_request", "exactly one of"},
        {"login_hint", "nobody@w7", "unknown_user_id", "names no customer"},
        {"login_hint", "locked@w7", "unknown_user_id", "names no customer"},
        {"login_hint", "far@w8", "unknown_user_id", "names no customer"},
        {"binding_message", NULL, "invalid_binding_message", "send a binding_message"},
        {"requested_expiry", "0", "invalid_request", "positive whole number"},
        {"requested_expiry", "soon", "invalid_request", "positive whole number"},
        {"request_uri", "urn:x", "invalid_request", "request_uri is not accepted"},
        {"authorization_details", "[{}]", "invalid_authorization_details", "/0/type"},
    };
    scene_client(&scene, MEMBERS);
    refuse_each(cases, TB_COUNT(cases));
    const struct param token[] = {
        {"login_hint", NULL}, {"login_hint_token", "x.y.z"}, {NULL, NULL}};
    expect(ask(token), "invalid_request", "login_hint_token is not supported", "a hint token");
    scene_client(&scene, "");
    expect(ask(NULL), "unauthorized_client", "not registered", "without the grant type");
}

static void refuses_messages_that_could_deceive(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"binding_message", "0123456789012345678901234567890123456789012345678901234567890123x",
         "invalid_binding_message", "more than 64"},
        {"binding_message", "a\nb", "invalid_binding_message", "not visible"},
        {"binding_message",
         "a\xc2\x85"
         "b",
         "invalid_binding_message", "not visible"},
        {"binding_message",
         "a\xe2\x80\xae"
         "b",
         "invalid_binding_message", "not visible"}, /* RLO */
        {"binding_message",
         "a\xe2\x80\x8b"
         "b",
         "invalid_binding_message", "not visible"}, /* ZWSP */
        {"binding_message",
         "a\xe2\x81\xa6"
         "b",
         "invalid_binding_message", "not visible"}, /* LRI */
        {"binding_message",
         "\xef\xbb\xbf"
         "a",
         "invalid_binding_message", "not visible"}, /* BOM */
    };
    const struct param chinese[] = {{"binding_message", "向“示例公司”付款 ¥123.45 — ok"},
                                    {NULL, NULL}};
    scene_client(&scene, MEMBERS);
    refuse_each(cases, TB_COUNT(cases));
    expect(ask(chinese), "ok", "", "Chinese");
}

static void wants_a_token_of_clients_that_are_notified(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"client_notification_token", NULL, "invalid_request", "is missing"},
        {"client_notification_token", "a b", "invalid_request", "must be a bearer token"},
        {"client_notification_token", "=", "invalid_request", "must be a bearer token"},
        {"client_notification_token", "a\r\nb", "invalid_request", "must be a bearer token"},
    };
    const struct param token[] = {{"client_notification_token", "8d67dc78-7faa-4d41"},
                                  {NULL, NULL}};
    scene_client(&scene, PING);
    refuse_each(cases, TB_COUNT(cases));
    expect(ask(token), "ok", "", "with a token");
    assert_int_equal(kept("notification is not null and notify_at is null"), 1);
    assert_int_equal(kept("notification like '%8d67dc78%' or params::text like '%8d67dc78%'"), 0);
}

static void lets_no_client_wear_a_customer_down(void **state)
{
    (void)state;
    scene_client(&scene, MEMBERS);
    for (int i = 0; i < TB_BACKCHANNEL_PENDING_MAX; i++)
        expect(ask(NULL), "ok", "", "one of eight");
    expect(ask(NULL), "rate_limited", "wait for the customer already", "one too many");
    pg_do(&scene.fixture.pg, "update oauth.backchannel set expires_at = now() - interval '1 s'");
    expect(ask(NULL), "ok", "", "after they have expired");
}

/* ---- naming the customer by an ID token ---- */

static const struct answered *ask_with_id_token(struct tb_key *key, const char *type,
                                                const char *issuer, const char *audience,
                                                const char *subject, int life_s)
{
    long long now_s = tb_wall_ms() / 1000;
    struct tb_str claims = tb_arena_format(
        scene.arena, "{\"iss\":\"%s\",\"aud\":\"%s\",\"sub\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
        issuer, audience, subject, now_s - 3600, now_s + life_s);
    const struct param other[] = {
        {"login_hint", NULL},
        {"id_token_hint", tb_jose_sign(key, type, claims, scene.arena).at},
        {NULL, NULL}};
    return ask(other);
}

static void knows_a_customer_by_an_id_token_of_ours(void **state)
{
    (void)state;
    struct tb_key *ours = tb_keystore_signer(responses, tb_wall_ms() / 1000);
    const struct {
        struct tb_key *key;
        const char *type, *issuer, *audience, *subject;
        int life_s;
        const char *code, *words;
    } cases[] = {
        {ours, "JWT", FIXTURE_ISSUER, CLIENT, CUSTOMER, 300, "ok", ""},
        {ours, "JWT", FIXTURE_ISSUER, CLIENT, CUSTOMER, -300, "ok", ""}, /* it has expired since */
        {ours, "JWT", FIXTURE_ISSUER, OTHER, CUSTOMER, 300, "invalid_request", "audience"},
        {ours, "JWT", "https://other.example", CLIENT, CUSTOMER, 300, "invalid_request", "another"},
        {ours, "at+jwt", FIXTURE_ISSUER, CLIENT, CUSTOMER, 300, "invalid_request", "typ is not"},
        {scene.stranger, "JWT", FIXTURE_ISSUER, CLIENT, CUSTOMER, 300, "invalid_request", "no key"},
        {ours, "JWT", FIXTURE_ISSUER, CLIENT, "usr_nobody", 300, "unknown_user_id", "no customer"},
        {ours, "JWT", FIXTURE_ISSUER, CLIENT, "usr_3", 300, "unknown_user_id", "no customer"},
    };
    scene_client(&scene, MEMBERS);
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        expect(ask_with_id_token(cases[i].key, cases[i].type, cases[i].issuer, cases[i].audience,
                                 cases[i].subject, cases[i].life_s),
               cases[i].code, cases[i].words, cases[i].subject);
    assert_int_equal(kept("user_id = '" CUSTOMER "'"), 2);
}

/* ---- asking in signed form ---- */

static const char *at(const char *format, long long offset_s)
{
    return tb_arena_format(scene.arena, format, tb_wall_ms() / 1000 + offset_s).at;
}

static void takes_signed_requests_with_all_their_claims(void **state)
{
    (void)state;
    const struct {
        const char *claims, *words;
    } cases[] = {
        {"{\"aud\":null}", "audience"},
        {"{\"aud\":\"https://other.example\"}", "audience"},
        {"{\"iss\":null}", "issued by another"},
        {"{\"iss\":\"" OTHER "\"}", "issued by another"},
        {"{\"iat\":null}", "missing or of the wrong form"},
        {"{\"exp\":null}", "missing or of the wrong form"},
        {"{\"nbf\":null}", "missing or of the wrong form"},
        {"{\"jti\":null}", "missing or of the wrong form"},
        {at("{\"exp\":%lld}", -1), "expired"},
        {at("{\"exp\":%lld}", 70 * 60), "exp is more than 60 minutes after nbf"},
        {at("{\"nbf\":%lld}", -70 * 60), "nbf is more than 60 minutes ago"},
        {at("{\"nbf\":%lld}", 10 * 60), "from the future"},
    };
    const struct param hints[] = {{"id_token_hint", "x"}, {NULL, NULL}};
    scene_client(&scene, MEMBERS);
    expect(ask_signed(scene.key, NULL, "{}"), "ok", "", "signed");
    expect(ask_signed(scene.key, NULL, "{\"client_id\":null,\"requested_expiry\":120}"), "ok", "",
           "without client_id inside");
    assert_int_equal(kept("expires_at - created_at = interval '120 s'"), 1);
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        expect(ask_signed(scene.key, NULL, cases[i].claims), "invalid_request", cases[i].words,
               cases[i].claims);
    expect(ask_signed(scene.stranger, NULL, "{}"), "invalid_request", "no key", "a stranger's key");
    expect(ask_signed(scene.stranger, NULL, "{\"jti\":\"one\"}"), "invalid_request", "no key",
           "a stranger who knows the jti");
    expect(ask_signed(scene.key, NULL, "{\"jti\":\"one\"}"), "ok", "", "the client with it");
    expect(ask_signed(scene.key, NULL, "{\"jti\":\"one\"}"), "invalid_request", "used before",
           "the client again");
    expect(ask_signed(scene.key, hints, "{}"), "invalid_request", "exactly one of", "two hints");
    scene_client(&scene, MEMBERS ",\"backchannel_authentication_request_signing_alg\":\"ES256\"");
    expect(ask(NULL), "invalid_request", "must send its requests signed", "unsigned");
}

/* ---- polling ---- */

struct polling {
    struct visit visit; /* first */
    const char *client, *id;
    struct tb_poll poll;
    char grant_id[64];
};

static tb_err TB_SUSPENDS poll(struct visit *visit)
{
    struct polling *polling = (struct polling *)visit;
    tb_err err = tb_backchannel_poll(&visit->run.req, tb_str(polling->client), tb_str(polling->id),
                                     &polling->poll);
    snprintf(polling->grant_id, sizeof(polling->grant_id), "%.*s", (int)polling->poll.grant_id.n,
             polling->poll.grant_id.at == NULL ? "" : polling->poll.grant_id.at);
    return err;
}

/* What the token endpoint would answer. */
static const char *polled(const char *client, const char *id)
{
    struct polling polling = {.client = client, .id = id};
    assert_string_equal(fixture_do(&scene.fixture, &polling.visit, poll), "ok");
    tb_err err = tb_polled_error(polling.poll.state);
    assert_true((err == NULL) == (strcmp(polling.grant_id, "grn_1") == 0));
    return err == NULL ? "ok" : err->code;
}

static void decide(bool approve)
{
    pg_do(&scene.fixture.pg,
          approve ? "select oauth.backchannel_decide(digest, '" CUSTOMER "', true, 'grn_1', now()) "
                    "from oauth.backchannel"
                  : "select oauth.backchannel_decide(digest, '" CUSTOMER "', false, null, now()) "
                    "from oauth.backchannel");
}

static void rest(int seconds)
{
    pg_do(&scene.fixture.pg, tb_arena_format(scene.arena,
                                             "update oauth.backchannel set polled_at = polled_at - "
                                             "interval '%d s'",
                                             seconds)
                                 .at);
}

static void slows_a_client_down_that_asks_too_often(void **state)
{
    (void)state;
    scene_client(&scene, MEMBERS);
    const char *id = id_of(ask(NULL));
    assert_string_equal(polled(CLIENT, id), "authorization_pending");
    assert_string_equal(polled(CLIENT, id), "slow_down"); /* interval is 10 s now */
    rest(6);
    assert_string_equal(polled(CLIENT, id), "slow_down"); /* 15 s */
    rest(15);
    assert_string_equal(polled(CLIENT, id), "authorization_pending");
    assert_int_equal(kept("interval_s = 15"), 1);
    decide(true); /* the outcome is given however soon it is asked for */
    assert_string_equal(polled(CLIENT, id), "ok");
}

static void gives_the_grant_once_and_to_its_client_only(void **state)
{
    (void)state;
    scene_client(&scene, MEMBERS);
    const char *id = id_of(ask(NULL));
    decide(true);
    assert_string_equal(polled(OTHER, id), "invalid_grant");
    assert_string_equal(polled(CLIENT, "nonsense"), "invalid_grant");
    assert_string_equal(polled(CLIENT, id), "ok");
    assert_string_equal(polled(CLIENT, id), "invalid_grant");
}

static void tells_of_refusal_and_of_expiry(void **state)
{
    (void)state;
    scene_client(&scene, MEMBERS);
    const char *id = id_of(ask(NULL));
    decide(false);
    assert_string_equal(polled(CLIENT, id), "access_denied");
    assert_string_equal(polled(CLIENT, id), "access_denied");
    scene_client(&scene, MEMBERS);
    id = id_of(ask(NULL));
    pg_do(&scene.fixture.pg, "update oauth.backchannel set expires_at = now() - interval '1 s'");
    assert_string_equal(polled(CLIENT, id), "expired_token");
    scene_client(&scene, MEMBERS);
    id = id_of(ask(NULL));
    decide(true);
    pg_do(&scene.fixture.pg, "update oauth.backchannel set expires_at = now() - interval '1 s'");
    assert_string_equal(polled(CLIENT, id), "expired_token");
}

static void gives_the_grant_to_one_of_many_at_once(void **state)
{
    (void)state;
    static struct polling racers[RACERS];
    scene_client(&scene, MEMBERS);
    const char *id = id_of(ask(NULL));
    decide(true);
    int approved = 0, gone = 0;
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct polling){.client = CLIENT, .id = id};
        fixture_start(&scene.fixture, &racers[i].visit, poll);
    }
    for (size_t i = 0; i < RACERS; i++) {
        fixture_wait(&scene.fixture, &racers[i].visit, 1);
        approved += racers[i].poll.state == TB_POLLED_APPROVED;
        gone += racers[i].poll.state == TB_POLLED_GONE;
    }
    assert_int_equal(approved, 1);
    assert_int_equal(gone, RACERS - 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(answers_with_an_id_for_the_request),
    cmocka_unit_test(gives_the_time_that_is_asked_for_within_bounds),
    cmocka_unit_test(refuses_what_is_missing_or_beyond_the_client),
    cmocka_unit_test(refuses_messages_that_could_deceive),
    cmocka_unit_test(wants_a_token_of_clients_that_are_notified),
    cmocka_unit_test(lets_no_client_wear_a_customer_down),
    cmocka_unit_test(knows_a_customer_by_an_id_token_of_ours),
    cmocka_unit_test(takes_signed_requests_with_all_their_claims),
    cmocka_unit_test(slows_a_client_down_that_asks_too_often),
    cmocka_unit_test(gives_the_grant_once_and_to_its_client_only),
    cmocka_unit_test(tells_of_refusal_and_of_expiry),
    cmocka_unit_test(gives_the_grant_to_one_of_many_at_once),
};
TEST_GROUP(tests, set_up, tear_down);
