/* The endpoint of pushed requests, from form to row: what it keeps, what it refuses and in which
 * words, and who finds what was pushed. */
#include "../unit.h"

#include "../crypto/forge.h"
#include "base/time.h"
#include "oauth/request/par.h"
#include "par_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH      "/oauth/par"
#define BACK      "https://client.example/back"
#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
#define ACCOUNT   "acc_01k9x3m6h0g00801v9r5t2n8qd"
#define PAYMENT                                                                                    \
    "[{\"type\":\"payment\",\"creditor_account\":\"" ACCOUNT                                       \
    "\",\"amount\":{\"amount\":500,\"currency\":\"CNY\"}}]"
#define READING "[{\"type\":\"account_information\",\"permissions\":[\"balances\"]}]"
#define CLIENT_MEMBERS                                                                             \
    ",\"redirect_uris\":[\"" BACK "\",\"https://client.example/other\"]"                           \
    ",\"scope\":\"openid accounts:read e-payment:read e-payment:write\""

static struct scene scene;

static const struct param USUAL[] = {
    {"response_type", "code"},
    {"client_id", CLIENT},
    {"redirect_uri", BACK},
    {"scope", "openid accounts:read"},
    {"code_challenge", CHALLENGE},
    {"code_challenge_method", "S256"},
    {"state", "xyz"},
    {"nonce", "n-1"},
    {NULL, NULL},
};

static int set_up(void **state)
{
    (void)state;
    scene_open(&scene);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scene_close(&scene);
    return 0;
}

static const struct answered *push(const struct param *other)
{
    return post(&scene, PATH, form_text(&scene, USUAL, other), NULL);
}

/* ---- finding ---- */

struct finding {
    struct visit visit; /* first */
    const char *client, *uri;
    json_t *params;
};

static tb_err TB_SUSPENDS find(struct visit *visit)
{
    struct finding *finding = (struct finding *)visit;
    struct tb_pushed pushed;
    TB_TRY(tb_pushed_find(&visit->run.req, tb_str(finding->client), tb_str(finding->uri), &pushed));
    finding->params = json_incref(pushed.params);
    return NULL;
}

static const char *found(const char *client, const char *uri, json_t **out_params)
{
    struct finding finding = {.client = client, .uri = uri};
    const char *code = fixture_do(&scene.fixture, &finding.visit, find);
    if (out_params != NULL)
        *out_params = finding.params;
    else
        json_decref(finding.params);
    return code;
}

static const char *uri_of(const struct answered *answered)
{
    return json_string_value(json_object_get(answered->json, "request_uri"));
}

/* What was kept of the request that was just pushed, as canonical JSON. */
static const char *kept(const struct answered *answered)
{
    static char out[4096];
    json_t *params;
    expect(answered, "ok", "", "pushing");
    assert_string_equal(found(CLIENT, uri_of(answered), &params), "ok");
    char *text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
    snprintf(out, sizeof(out), "%s", text);
    free(text);
    json_decref(params);
    return out;
}

/* ---- what is kept ---- */

static void answers_with_a_uri_for_the_request(void **state)
{
    (void)state;
    scene_client(&scene, CLIENT_MEMBERS);
    const struct answered *answered = push(NULL);
    expect(answered, "ok", "", "the usual request");
    assert_int_equal(answered->status, 201);
    assert_int_equal(json_object_size(answered->json), 2);
    assert_int_equal(json_integer_value(json_object_get(answered->json, "expires_in")), 300);
    assert_int_equal(strncmp(uri_of(answered), TB_PUSHED_PREFIX, strlen(TB_PUSHED_PREFIX)), 0);
    assert_int_equal(strlen(uri_of(answered)), strlen(TB_PUSHED_PREFIX) + 43);
    assert_string_equal(
        kept(answered),
        "{\"code_challenge\":\"" CHALLENGE "\",\"nonce\":\"n-1\",\"redirect_uri\":\"" BACK
        "\",\"response_mode\":\"query\",\"scope\":\"openid accounts:read\",\"state\":"
        "\"xyz\"}");
}

static void keeps_every_parameter_in_normal_form(void **state)
{
    (void)state;
    scene_client(&scene, CLIENT_MEMBERS);
    const struct param other[] = {
        {"response_mode", "query.jwt"},
        {"prompt", "consent login consent"},
        {"max_age", "0"},
        {"acr_values", "urn:a urn:b"},
        {"ui_locales", "zh-CN en"},
        {"login_hint", "张伟"},
        {"dpop_jkt", CHALLENGE},
        {"resource", FIXTURE_ISSUER},
        {"claims", "{\"id_token\":{\"acr\":{\"essential\":true,\"values\":[\"urn:a\","
                   "\"urn:openbanking:psd2:sca\"]}},\"userinfo\":{\"name\":null},\"other\":7}"},
        {"authorization_details", PAYMENT},
        {"scope", "openid"},
        {"unheard_of", "ignored"},
        {NULL, NULL},
    };
    assert_string_equal(
        kept(push(other)),
        "{\"acr_values\":\"urn:a urn:b\",\"authorization_details\":[{\"amount\":{\"amount\":500,"
        "\"currency\":\"CNY\"},\"creditor_account\":\"" ACCOUNT
        "\",\"type\":\"payment\"}],\"claims\":{"
        "\"id_token\":{\"acr\":{\"essential\":true,\"values\":[\"urn:a\","
        "\"urn:openbanking:psd2:sca\"]}},\"userinfo\":{\"name\":null"
        "}},\"code_challenge\":\"" CHALLENGE "\",\"dpop_jkt\":\"" CHALLENGE
        "\",\"login_hint\":\"张伟\","
        "\"max_age\":0,\"nonce\":\"n-1\",\"prompt\":\"login consent\",\"redirect_uri\":\"" BACK
        "\","
        "\"response_mode\":\"jwt\",\"scope\":\"openid e-payment:read e-payment:write\",\"state\":\"xyz\""
        ",\"ui_locales\":\"zh-CN en\"}");
}

static void keeps_long_states_and_nonces_whole(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t good, bad;
    } cases[] = {{"state", 4096, 4097}, {"nonce", 64, 513}, {"nonce", 384, 513}};
    scene_client(&scene, CLIENT_MEMBERS);
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        json_t *params;
        char *text = tb_arena_alloc(scene.arena, cases[i].bad + 1);
        memset(text, 'a', cases[i].bad);
        const struct param other[] = {{cases[i].name, text}, {NULL, NULL}};
        expect(push(other), "invalid_request", "is longer than", cases[i].name);
        text[cases[i].good] = '\0';
        assert_string_equal(found(CLIENT, uri_of(push(other)), &params), "ok");
        assert_string_equal(json_string_value(json_object_get(params, cases[i].name)), text);
        json_decref(params);
    }
}

static void does_without_state_nonce_and_scope(void **state)
{
    (void)state;
    scene_client(&scene, CLIENT_MEMBERS);
    const struct param bare[] = {{"state", NULL},
                                 {"nonce", ""},
                                 {"scope", NULL},
                                 {"client_id", NULL},
                                 {"authorization_details", READING},
                                 {NULL, NULL}};
    assert_string_equal(kept(push(bare)),
                        "{\"authorization_details\":[{\"permissions\":[\"balances\"],\"type\":"
                        "\"account_information\"}],\"code_challenge\":\"" CHALLENGE
                        "\",\"redirect_uri\":\"" BACK
                        "\",\"response_mode\":\"query\",\"scope\":\"accounts:read\"}");
}

static void takes_what_is_not_sent_from_what_was_registered(void **state)
{
    (void)state;
    json_t *params;
    const struct param sent[] = {{"max_age", "5"}, {"acr_values", "urn:c"}, {NULL, NULL}};
    scene_client(&scene, CLIENT_MEMBERS
                 ",\"default_max_age\":60,\"default_acr_values\":[\"urn:a\",\"urn:b\"]");
    for (int i = 0; i < 2; i++) {
        assert_string_equal(found(CLIENT, uri_of(push(i == 0 ? NULL : sent)), &params), "ok");
        assert_int_equal(json_integer_value(json_object_get(params, "max_age")), i == 0 ? 60 : 5);
        assert_string_equal(json_string_value(json_object_get(params, "acr_values")),
                            i == 0 ? "urn:a urn:b" : "urn:c");
        json_decref(params);
    }
}

/* ---- what is refused ---- */

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
        expect(push(other), cases[i].code, cases[i].words, context);
    }
}

static void refuses_what_the_profile_does_not_allow(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"response_type", NULL, "invalid_request", "response_type is missing"},
        {"response_type", "token", "unsupported_response_type", "must be code"},
        {"response_type", "code id_token", "unsupported_response_type", "must be code"},
        {"client_id", OTHER, "invalid_client", ""},
        {"request_uri", "urn:x", "invalid_request", "request_uri is not accepted"},
        {"redirect_uri", NULL, "invalid_request", "redirect_uri is missing"},
        {"redirect_uri", BACK "/", "invalid_request", "not one the client has registered"},
        {"redirect_uri", BACK "?a=b", "invalid_request", "not one the client has registered"},
        {"redirect_uri", "https://CLIENT.example/back", "invalid_request", "not one the client"},
        {"redirect_uri", "http://client.example/back", "invalid_request", "not one the client"},
        {"code_challenge", NULL, "invalid_request", "PKCE is required"},
        {"code_challenge", "short", "invalid_request", "base64url of a SHA-256"},
        {"code_challenge", CHALLENGE "A", "invalid_request", "base64url of a SHA-256"},
        {"code_challenge_method", NULL, "invalid_request", "must be S256"},
        {"code_challenge_method", "plain", "invalid_request", "must be S256"},
        {"code_challenge_method", "s256", "invalid_request", "must be S256"},
        {"response_mode", "fragment", "invalid_request", "response_mode must be"},
        {"response_mode", "form_post", "invalid_request", "response_mode must be"},
        {"response_mode", "fragment.jwt", "invalid_request", "response_mode must be"},
        {"prompt", "create", "invalid_request", "prompt must be"},
        {"prompt", "none login", "invalid_request", "prompt=none admits no other"},
        {"max_age", "-1", "invalid_request", "max_age must be"},
        {"max_age", "1.5", "invalid_request", "max_age must be"},
        {"max_age", "4294967296", "invalid_request", "max_age must be"},
        {"state", "a\nb", "invalid_request", "state has a character"},
        {"nonce", "é", "invalid_request", "nonce has a character"},
        {"resource", "https://other.example", "invalid_target", "must be the issuer"},
        {"dpop_jkt", "abc", "invalid_request", "dpop_jkt must be"},
    };
    scene_client(&scene, CLIENT_MEMBERS);
    refuse_each(cases, TB_COUNT(cases));
}

static void refuses_scopes_and_details_beyond_the_client(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"scope", NULL, "invalid_scope", "scope is missing"},
        {"scope", "openid  accounts:read", "invalid_scope", "one space between"},
        {"scope", "openid e-payment:write", "invalid_scope", "beyond what the client"},
        {"scope", "openid admin", "invalid_scope", "beyond what the client"},
        {"authorization_details", PAYMENT, "invalid_authorization_details",
         "/0/type is not one that the client has registered"},
        {"authorization_details", "[{", "invalid_authorization_details", "not acceptable JSON"},
        {"authorization_details", "[{\"type\":\"x\"}]", "invalid_authorization_details",
         "/0/type must be one of"},
        {"authorization_details",
         "[{\"type\":\"account_information\",\"permissions\":[\"balances\"],"
         "\"valid_to\":\"2024-01-01T00:00:00Z\"}]",
         "invalid_authorization_details", "/0/valid_to is in the past"},
    };
    scene_client(&scene, ",\"redirect_uris\":[\"" BACK "\"],\"scope\":\"openid accounts:read\","
                         "\"authorization_details_types\":[\"account_information\"]");
    refuse_each(cases, TB_COUNT(cases));
    scene_client(&scene, ",\"redirect_uris\":[\"" BACK "\"],\"scope\":\"openid accounts:read\"");
    const struct param implied[] = {{"authorization_details", PAYMENT}, {NULL, NULL}};
    expect(push(implied), "invalid_scope", "what the authorization details imply", "implied scope");
    const struct param reading[] = {
        {"scope", "openid e-payment:write"}, {"authorization_details", READING}, {NULL, NULL}};
    scene_client(&scene, CLIENT_MEMBERS);
    expect(push(reading), "invalid_scope",
           "e-payment:write needs authorization_details of type payment or mandate", "reading");
}

static void refuses_claims_that_name_nothing(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"claims", "[]", "invalid_request", "claims is not an acceptable JSON object"},
        {"claims", "{\"id_token\":{\"a\":1,\"a\":2}}", "invalid_request", "claims is not"},
        {"claims", "{\"id_token\":[]}", "invalid_request", "claims: id_token must"},
        {"claims", "{\"userinfo\":{\"name\":true}}", "invalid_request", "claims: userinfo must"},
        {"claims", "{\"id_token\":{\"acr\":{\"essential\":1}}}", "invalid_request",
         "id_token must"},
        {"claims", "{\"id_token\":{\"acr\":{\"values\":[]}}}", "invalid_request", "id_token must"},
        {"claims", "{\"id_token\":{\"acr\":{\"values\":\"x\"}}}", "invalid_request",
         "id_token must"},
        {"claims", "{\"id_token\":{\"sub\":{\"values\":[7]}}}", "invalid_request",
         "id_token: sub must be compared with texts"},
        {"claims", "{\"userinfo\":{\"acr\":{\"essential\":true,\"value\":\"urn:a\"}}}",
         "unmet_authentication_requirements", "userinfo: acr can only be"},
        {"id_token_hint", "x.y.z", "invalid_request", "id_token_hint:"},
    };
    scene_client(&scene, CLIENT_MEMBERS);
    refuse_each(cases, TB_COUNT(cases));
}

static void refuses_a_parameter_that_comes_twice(void **state)
{
    (void)state;
    scene_client(&scene, CLIENT_MEMBERS);
    struct tb_str form = tb_arena_format(scene.arena, "%s&state=again",
                                         form_text(&scene, USUAL, NULL));
    expect(post(&scene, PATH, form.at, NULL), "invalid_request", "more than once", "state twice");
}

static void holds_a_client_to_what_it_registered(void **state)
{
    (void)state;
    const struct param jwt[] = {{"response_mode", "jwt"}, {NULL, NULL}};
    scene_client(&scene, CLIENT_MEMBERS ",\"response_modes\":[\"jwt\"]");
    expect(push(NULL), "invalid_request", "response_mode is not one",
           "query when jwt is registered");
    expect(push(jwt), "ok", "", "jwt when jwt is registered");
    scene_client(&scene, CLIENT_MEMBERS ",\"grant_types\":[\"client_credentials\"]");
    expect(push(NULL), "unauthorized_client", "authorization_code", "another grant type");
    scene_client(&scene, CLIENT_MEMBERS ",\"require_signed_request_object\":true");
    expect(push(NULL), "invalid_request_object", "must send its requests signed", "unsigned");
}

/* ---- the key it is bound to ---- */

static const char *proof_of(struct tb_key *key)
{
    static int serial;
    struct tb_str header = tb_arena_format(scene.arena,
                                           "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":%s}",
                                           tb_key_write_jwk(key, TB_JWK_PUBLIC, scene.arena).at);
    struct tb_str claims = tb_arena_format(scene.arena,
                                           "{\"htm\":\"POST\",\"htu\":\"" FIXTURE_ISSUER PATH
                                           "\",\"iat\":%lld,\"jti\":\"p-%d\"}",
                                           (long long)(tb_wall_ms() / 1000), ++serial);
    return forge(scene.arena, key, header, claims).at;
}

static void binds_the_request_to_the_key_of_a_proof(void **state)
{
    (void)state;
    json_t *params;
    scene_client(&scene, CLIENT_MEMBERS);
    struct tb_str jkt = tb_key_thumbprint(scene.stranger);
    const char *named = tb_arena_format(scene.arena, "%.*s", (int)jkt.n, jkt.at).at;
    const struct param same[] = {{"dpop_jkt", named}, {NULL, NULL}};
    const struct param another[] = {{"dpop_jkt", CHALLENGE}, {NULL, NULL}};
    const char *forms[] = {form_text(&scene, USUAL, NULL), form_text(&scene, USUAL, same)};
    for (size_t i = 0; i < 2; i++) {
        const struct answered *answered = post(&scene, PATH, forms[i], proof_of(scene.stranger));
        assert_string_equal(found(CLIENT, uri_of(answered), &params), "ok");
        assert_string_equal(json_string_value(json_object_get(params, "dpop_jkt")), named);
        json_decref(params);
    }
    expect(post(&scene, PATH, form_text(&scene, USUAL, another), proof_of(scene.stranger)),
           "invalid_request", "another key than the DPoP proof's", "two keys");
    expect(post(&scene, PATH, forms[0], "nonsense"), "invalid_dpop_proof", "", "no proof at all");
}

/* ---- who finds it ---- */

static void is_found_by_its_client_until_it_is_used_or_expires(void **state)
{
    (void)state;
    scene_client(&scene, CLIENT_MEMBERS);
    const char *uri = tb_arena_format(scene.arena, "%s", uri_of(push(NULL))).at;
    const char *longer = tb_arena_format(scene.arena, "%sA", uri).at;
    assert_string_equal(found(CLIENT, uri, NULL), "ok");
    assert_string_equal(found(CLIENT, uri, NULL), "ok"); /* looking uses nothing up */
    assert_string_equal(found(OTHER, uri, NULL), "invalid_request_uri");
    assert_string_equal(found(CLIENT, longer, NULL), "invalid_request_uri");
    assert_string_equal(found(CLIENT, "", NULL), "invalid_request_uri");
    pg_do(&scene.fixture.pg, "update oauth.pushed_request set used_at = now()");
    assert_string_equal(found(CLIENT, uri, NULL), "invalid_request_uri");
    pg_do(&scene.fixture.pg,
          "update oauth.pushed_request set used_at = null, expires_at = now() - interval '1 s'");
    assert_string_equal(found(CLIENT, uri, NULL), "invalid_request_uri");
    assert_int_equal(pg_number(&scene.fixture.pg, "select count(*) from oauth.pushed_request where "
                                                  "params::text like '%urn:ietf%'"),
                     0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(answers_with_a_uri_for_the_request),
    cmocka_unit_test(keeps_every_parameter_in_normal_form),
    cmocka_unit_test(keeps_long_states_and_nonces_whole),
    cmocka_unit_test(does_without_state_nonce_and_scope),
    cmocka_unit_test(takes_what_is_not_sent_from_what_was_registered),
    cmocka_unit_test(refuses_what_the_profile_does_not_allow),
    cmocka_unit_test(refuses_scopes_and_details_beyond_the_client),
    cmocka_unit_test(refuses_claims_that_name_nothing),
    cmocka_unit_test(refuses_a_parameter_that_comes_twice),
    cmocka_unit_test(holds_a_client_to_what_it_registered),
    cmocka_unit_test(binds_the_request_to_the_key_of_a_proof),
    cmocka_unit_test(is_found_by_its_client_until_it_is_used_or_expires),
};
TEST_GROUP(tests, set_up, tear_down);
