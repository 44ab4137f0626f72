/* Pushed requests as request objects: whose signature counts, for how long, and that nothing beside
 * the object does. */
#include "../unit.h"

#include "../crypto/forge.h"
#include "base/time.h"
#include "par_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH      "/oauth/par"
#define BACK      "https://client.example/back"
#define TYPE      "oauth-authz-req+jwt"
#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
#define MEMBERS   ",\"redirect_uris\":[\"" BACK "\"],\"scope\":\"openid accounts:read\""

static struct scene scene;

static const struct param USUAL[] = {
    {"response_type", "code"},
    {"redirect_uri", BACK},
    {"scope", "openid accounts:read"},
    {"code_challenge", CHALLENGE},
    {"code_challenge_method", "S256"},
    {"state", "inside"},
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

/* Push `object` with these parameters beside it. */
static const struct answered *push(struct tb_str object, const struct param *beside)
{
    static const struct param none[] = {{NULL, NULL}};
    const char *form = form_text(&scene, beside == NULL ? none : beside, NULL);
    return post(&scene, PATH,
                tb_arena_format(scene.arena, "request=%.*s&%s", (int)object.n, object.at, form).at,
                NULL);
}

static struct tb_str signed_by(struct tb_key *key, const char *type, const struct param *other,
                               const char *claims)
{
    return object_of(&scene, key, type, members_of(USUAL, other), claims);
}

static const char *at(const char *format, long long offset_s)
{
    return tb_arena_format(scene.arena, format, tb_wall_ms() / 1000 + offset_s).at;
}

static long long kept(const char *condition)
{
    return pg_number(&scene.fixture.pg,
                     tb_arena_format(scene.arena,
                                     "select count(*) from oauth.pushed_request where %s",
                                     condition)
                         .at);
}

static void takes_objects_of_its_keys_and_types(void **state)
{
    (void)state;
    static const char *const types[] = {TYPE, "JWT"};
    scene_client(&scene, MEMBERS ",\"require_signed_request_object\":true");
    for (size_t i = 0; i < 2; i++) {
        expect(push(signed_by(scene.key, types[i], NULL, "{}"), NULL), "ok", "", types[i]);
        expect(push(signed_by(scene.rsa, types[i], NULL, "{}"), NULL), "ok", "", types[i]);
    }
}

/* A header without typ, which RFC 9101 §10.8 recommends but does not require. */
static void takes_an_object_without_a_type(void **state)
{
    (void)state;
    scene_client(&scene, MEMBERS);
    json_t *claims = members_of(USUAL, NULL);
    json_int_t now_s = tb_wall_ms() / 1000;
    json_object_update_new(claims, json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", CLIENT, "aud",
                                             FIXTURE_ISSUER, "client_id", CLIENT, "nbf", now_s,
                                             "exp", now_s + 60));
    char *text = json_dumps(claims, 0);
    struct tb_str header = TB_STR("{\"alg\":\"ES256\"}");
    expect(push(forge(scene.arena, scene.key, header, tb_str(text)), NULL), "ok", "", "no typ");
    free(text);
    json_decref(claims);
}

static void takes_parameters_that_are_json(void **state)
{
    (void)state;
    const struct param other[] = {
        {"authorization_details",
         "[{\"type\":\"account_information\",\"permissions\":[\"balances\"]}]"},
        {"claims", "{\"userinfo\":{\"name\":null}}"},
        {NULL, NULL}};
    scene_client(&scene, MEMBERS);
    expect(push(signed_by(scene.key, TYPE, other, "{\"max_age\":60}"), NULL), "ok", "", "JSON");
    assert_int_equal(kept("params @> '{\"max_age\":60,\"claims\":{\"userinfo\":{\"name\":null}},"
                          "\"authorization_details\":[{\"permissions\":[\"balances\"]}]}'"),
                     1);
    assert_int_equal(kept("params ?| array['iss', 'aud', 'exp', 'nbf', 'iat', 'jti', 'client_id']"),
                     0);
}

static void counts_only_what_is_inside(void **state)
{
    (void)state;
    const struct param beside[] = {{"state", "outside"},
                                   {"nonce", "outside"},
                                   {"redirect_uri", "https://evil.example"},
                                   {"response_mode", "jwt"},
                                   {NULL, NULL}};
    const struct param without[] = {{"redirect_uri", NULL}, {NULL, NULL}};
    scene_client(&scene, MEMBERS);
    expect(push(signed_by(scene.key, TYPE, NULL, "{}"), beside), "ok", "", "with others outside");
    assert_int_equal(kept("params::text like '%outside%' or params::text like '%evil%'"), 0);
    assert_int_equal(kept("params->>'state' = 'inside' and params->>'response_mode' = 'query'"), 1);
    const struct param back[] = {{"redirect_uri", BACK}, {NULL, NULL}};
    expect(push(signed_by(scene.key, TYPE, without, "{}"), back), "invalid_request",
           "redirect_uri is missing", "only outside");
}

static void refuses_what_is_not_this_clients_request_to_us_now(void **state)
{
    (void)state;
    const struct {
        const char *claims, *words;
    } cases[] = {
        {"{\"aud\":\"https://other.example\"}", "meant for another audience"},
        {"{\"aud\":[\"https://other.example\"]}", "meant for another audience"},
        {"{\"aud\":null}", "meant for another audience"},
        {"{\"aud\":\"" FIXTURE_ISSUER "/oauth/par\"}", "meant for another audience"},
        {"{\"iss\":\"" OTHER "\"}", "issued by another"},
        {"{\"iss\":null}", "issued by another"},
        {"{\"client_id\":\"" OTHER "\"}", "client_id is another"},
        {"{\"client_id\":7}", "client_id is"},
        {"{\"client_id\":null}", "client_id is missing"},
        {"{\"sub\":\"" CLIENT "\"}", "sub must not be the client_id"},
        {"{\"exp\":null}", "missing or of the wrong form"},
        {"{\"nbf\":null}", "missing or of the wrong form"},
        {"{\"nbf\":\"now\"}", "missing or of the wrong form"},
        {at("{\"exp\":%lld}", -1), "expired"},
        {at("{\"exp\":%lld}", 3605), "exp is more than 60 minutes after nbf"},
        {at("{\"nbf\":%lld}", -3605), "nbf is more than 60 minutes ago"},
        {at("{\"nbf\":%lld}", 70), "from the future"},
        {at("{\"iat\":%lld}", 70), "from the future"},
        {"{\"request\":\"x\"}", "have no place inside"},
        {"{\"request_uri\":\"urn:x\"}", "have no place inside"},
    };
    scene_client(&scene, MEMBERS);
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        expect(push(signed_by(scene.key, TYPE, NULL, cases[i].claims), NULL),
               "invalid_request_object", cases[i].words, cases[i].claims);
    assert_int_equal(kept("true"), 0);
}

static void takes_what_is_within_the_tolerances(void **state)
{
    (void)state;
    const char *claims[] = {
        "{\"aud\":[\"https://other.example\",\"" FIXTURE_ISSUER "\"]}",
        "{\"jti\":null,\"iat\":null}",
        "{\"sub\":\"somebody\"}",
        at("{\"nbf\":%lld}", 8),
        at("{\"nbf\":%lld}", -3500 + 230), /* the clock goes on while claims are made */
        at("{\"exp\":%lld}", 3595),
    };
    scene_client(&scene, MEMBERS);
    for (size_t i = 0; i < TB_COUNT(claims); i++)
        expect(push(signed_by(scene.key, TYPE, NULL, claims[i]), NULL), "ok", "", claims[i]);
}

static void refuses_signatures_that_are_not_the_clients(void **state)
{
    (void)state;
    scene_client(&scene, MEMBERS);
    struct tb_str good = signed_by(scene.key, TYPE, NULL, "{}");
    char *bent = tb_arena_text(scene.arena, good.at, good.n);
    bent[good.n - 10] = bent[good.n - 10] == 'A' ? 'B' : 'A';
    struct tb_str none = forge_with(scene.arena, TB_STR("{\"alg\":\"none\"}"), TB_STR("{}"),
                                    TB_STR(""));
    struct tb_str rs256 = forge_with(scene.arena, TB_STR("{\"alg\":\"RS256\"}"), TB_STR("{}"),
                                     TB_STR("AAAA"));
    const struct {
        struct tb_str object;
        const char *words;
    } cases[] = {
        {signed_by(scene.stranger, TYPE, NULL, "{}"), "no key with this kid"},
        {{bent, good.n}, "signature does not verify"},
        {none, ""},
        {rs256, "algorithm is not allowed"},
        {signed_by(scene.key, "at+jwt", NULL, "{}"), "typ is not the one"},
        {signed_by(scene.key, "dpop+jwt", NULL, "{}"), "typ is not the one"},
        {TB_STR("nonsense"), "not three segments"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        expect(push(cases[i].object, NULL), "invalid_request_object", cases[i].words,
               cases[i].words);
    scene_client(&scene, MEMBERS ",\"request_object_signing_alg\":\"PS256\"");
    expect(push(signed_by(scene.key, TYPE, NULL, "{}"), NULL), "invalid_request_object",
           "algorithm is not allowed", "ES256 where PS256 is registered");
    expect(push(signed_by(scene.rsa, TYPE, NULL, "{}"), NULL), "ok", "", "PS256");
}

static void refuses_request_uri_beside_an_object(void **state)
{
    (void)state;
    const struct param beside[] = {{"request_uri", "urn:x"}, {NULL, NULL}};
    scene_client(&scene, MEMBERS);
    expect(push(signed_by(scene.key, TYPE, NULL, "{}"), beside), "invalid_request",
           "request_uri is not accepted", "both");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_objects_of_its_keys_and_types),
    cmocka_unit_test(takes_an_object_without_a_type),
    cmocka_unit_test(takes_parameters_that_are_json),
    cmocka_unit_test(counts_only_what_is_inside),
    cmocka_unit_test(refuses_what_is_not_this_clients_request_to_us_now),
    cmocka_unit_test(takes_what_is_within_the_tolerances),
    cmocka_unit_test(refuses_signatures_that_are_not_the_clients),
    cmocka_unit_test(refuses_request_uri_beside_an_object),
};
TEST_GROUP(tests, set_up, tear_down);
