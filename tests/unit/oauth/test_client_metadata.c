/* What a client says of itself: what is taken, what is assumed, and what is refused, in a sandbox
 * and outside it. */
#include "../unit.h"

#include "base/json.h"
#include "oauth/client/client_metadata.h"
#include "oauth/errors.h"
#include "oauth_fixture.h"
#include <string.h>

#define URI  "\"redirect_uris\":[\"https://a.example/cb\"]"
#define CIBA "\"grant_types\":[\"urn:openid:params:grant-type:ciba\"]"

/* P-256, the base point doubled: as good a public key as any. */
#define KEY(kid)                                                                                   \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"" kid "\","                                       \
    "\"x\":\"fPJ7GI0DT36KUjgDBLUaw8CJaeJ38hs1pgtI_EdmmXg\","                                       \
    "\"y\":\"B3dVENuO0EApPZrGn3Qw27p9reY86YIpngS3nSJ4c9E\"}"
#define BY_KEY                                                                                     \
    "\"token_endpoint_auth_method\":\"private_key_jwt\",\"jwks\":{\"keys\":[" KEY("k") "]}"

static struct fixture fixture;

struct judging {
    const char *asked;
    struct tb_metadata_rules rules;
    char out[4096]; /* effective, canonical */
};

static tb_err judge(struct visit *visit)
{
    struct judging *j = visit->arg;
    json_t *asked = json_loads(j->asked, 0, NULL), *effective = NULL;
    assert_non_null(asked);
    tb_err err = tb_client_metadata(&visit->run.req, asked, &j->rules, &effective);
    json_decref(asked);
    if (err != NULL)
        return err;
    struct tb_text text;
    tb_text_init(&text, visit->run.arena);
    tb_json_canonical(&text, effective);
    snprintf(j->out, sizeof(j->out), "%s", tb_text_end(&text).at);
    return NULL;
}

/* The code of the error, or "ok" with the effective metadata in `out`. */
static const char *judged(const char *asked, bool sandbox, struct judging *j)
{
    struct visit visit = {.arg = j};
    *j = (struct judging){.asked = asked, .rules = {sandbox, TB_STR("openid accounts:read")}};
    return fixture_do(&fixture, &visit, judge);
}

static void takes_what_it_knows_and_says_what_counts_for_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *part;
    } rows[] = {
        {"{}", "\"grant_types\":[\"client_credentials\"]"},
        {"{}", "\"response_types\":[]"},
        {"{}", "\"scope\":\"openid accounts:read\""},
        {"{}", "\"token_endpoint_auth_method\":\"client_secret_basic\""},
        {"{}", "\"dpop_bound_access_tokens\":true"},
        {"{" URI "}", "\"grant_types\":[\"authorization_code\"]"},
        {"{" URI "}", "\"response_types\":[\"code\"]"},
        {"{\"scope\":\"openid\"}", "\"scope\":\"openid\""},
        {"{\"client_name#zh-Hans\":\"x\"}", "\"client_name#zh-Hans\":\"x\""},
        {"{\"contacts\":null}", "\"application_type\":\"web\""},
        {"{\"plain_bearer_tokens\":true}", "\"dpop_bound_access_tokens\":false"},
        {"{\"token_endpoint_auth_method\":\"tls_client_auth\",\"tls_client_auth_san_dns\":\"a\"}",
         "\"tls_client_certificate_bound_access_tokens\":true"},
        {"{" CIBA "}", "\"backchannel_token_delivery_mode\":\"poll\""},
        {"{" BY_KEY "}", "\"kid\":\"k\""},
        {"{\"response_modes\":[\"jwt\"]}", "\"authorization_signed_response_alg\":\"ES256\""},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct judging j;
        assert_string_equal(judged(rows[i].asked, true, &j), "ok");
        if (strstr(j.out, rows[i].part) == NULL)
            fail_msg("%s gave %s without %s", rows[i].asked, j.out, rows[i].part);
    }
}

static void leaves_out_what_it_does_not_know(void **state)
{
    (void)state;
    struct judging j;
    assert_string_equal(
        judged("{\"x\":{\"y\":[1.5]},\"contacts#zh\":[\"a\"],\"client_id\":\"app_x\","
               "\"client_secret\":\"s\",\"resource_server\":true}",
               true, &j),
        "ok");
    static const char *const gone[] = {"\"x\"", "contacts", "client_id", "client_secret\"",
                                       "resource_server"};
    for (size_t i = 0; i < TB_COUNT(gone); i++)
        assert_null(strstr(j.out, gone[i]));
}

static void refuses_by_the_place_where_it_is_used(void **state)
{
    (void)state;
    static const char ANY[] = "invalid_client_metadata", REDIRECT[] = "invalid_redirect_uri";
    static const struct {
        const char *asked, *sandbox, *live;
    } rows[] = {
        {"{" BY_KEY "}", "ok", "ok"},
        {"{}", "ok", ANY},
        {"{" BY_KEY ",\"plain_bearer_tokens\":true}", "ok", ANY},
        {"{" BY_KEY ",\"tongbao_resource_server\":true}", "ok", ANY},
        {"{" BY_KEY ",\"tongbao_resource_server\":false}", "ok", "ok"},
        {"{" BY_KEY ",\"jwks_uri\":\"https://a.example/\"}", ANY, ANY},
        {"{" BY_KEY "," URI "}", "ok", "ok"},
        {"{" BY_KEY ",\"redirect_uris\":[\"https://a.example/#\"]}", REDIRECT, REDIRECT},
        {"{" BY_KEY ",\"redirect_uris\":[\"http://a.example/\"]}", REDIRECT, REDIRECT},
        {"{" BY_KEY ",\"redirect_uris\":[\"http://127.0.0.1/\"]}", REDIRECT, REDIRECT},
        {"{" BY_KEY ",\"redirect_uris\":[\"http://127.0.0.1/\"],\"application_type\":\"native\"}",
         "ok", "ok"},
        {"{" BY_KEY ",\"grant_types\":[\"authorization_code\"]}", REDIRECT, REDIRECT},
        {"{" BY_KEY ",\"grant_types\":[]}", "ok", "ok"},
        {"{" BY_KEY "," CIBA ",\"backchannel_token_delivery_mode\":\"ping\"}", ANY, ANY},
        {"{" BY_KEY "," CIBA ",\"backchannel_token_delivery_mode\":\"ping\","
         "\"backchannel_client_notification_endpoint\":\"https://a.example/ping\"}",
         "ok", "ok"},
        {"{\"token_endpoint_auth_method\":\"private_key_jwt\",\"jwks\":{\"keys\":[" KEY(
             "k") "," KEY("l") "]}}",
         "ok", "ok"},
        {"{\"token_endpoint_auth_method\":\"private_key_jwt\",\"jwks\":{\"keys\":[" KEY(
             "k") "," KEY("k") "]}}",
         ANY, ANY},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct judging j;
        const char *in_sandbox = judged(rows[i].asked, true, &j);
        if (strcmp(in_sandbox, rows[i].sandbox) != 0)
            fail_msg("%s in a sandbox: %s", rows[i].asked, in_sandbox);
        const char *live = judged(rows[i].asked, false, &j);
        if (strcmp(live, rows[i].live) != 0)
            fail_msg("%s live: %s", rows[i].asked, live);
    }
}

static int set_up(void **state)
{
    (void)state;
    fixture_open(&fixture, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_what_it_knows_and_says_what_counts_for_the_rest),
    cmocka_unit_test(leaves_out_what_it_does_not_know),
    cmocka_unit_test(refuses_by_the_place_where_it_is_used),
};
TEST_GROUP(tests, set_up, tear_down);
