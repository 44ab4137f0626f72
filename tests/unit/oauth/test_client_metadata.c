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

/* Names of certificates, by the member that they stand in. */
static void takes_one_name_of_a_certificate_in_its_form(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *name;
        bool good;
    } rows[] = {
        {"san_dns", "a.example", true},
        {"san_dns", "*.a.example", true},
        {"san_dns", "*.", false},
        {"san_dns", "a..example", false},
        {"san_dns", "a.example:443", false},
        {"san_dns", "a b", false},
        {"san_uri", "urn:a", true},
        {"san_uri", "https://a.example/%41", true},
        {"san_uri", "a", false},
        {"san_uri", ":a", false},
        {"san_uri", "a:", false},
        {"san_uri", "1:a", false},
        {"san_uri", "a:b c", false},
        {"san_uri", "a:%4", false},
        {"san_uri", "a:%4x", false},
        {"san_uri", "a:%x4", false},
        {"san_ip", "192.0.2.7", true},
        {"san_ip", "2001:db8::7", true},
        {"san_ip", "192.0.2", false},
        {"san_ip", "a.example", false},
        {"san_ip", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", false},
        {"san_email", "a@b.example", true},
        {"san_email", "@b.example", false},
        {"san_email", "b.example", false},
        {"san_email", "a@b@c", false},
        {"subject_dn", "CN=a", true},
        {"subject_dn", "a", false},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        char text[256];
        struct judging j;
        snprintf(
            text, sizeof(text),
            "{\"token_endpoint_auth_method\":\"tls_client_auth\",\"tls_client_auth_%s\":\"%s\"}",
            rows[i].kind, rows[i].name);
        const char *code = judged(text, true, &j);
        if (strcmp(code, rows[i].good ? "ok" : "invalid_client_metadata") != 0)
            fail_msg("%s: %s", text, code);
    }
}

static void takes_origins_as_browsers_send_them(void **state)
{
    (void)state;
    static const struct {
        const char *origin;
        bool sandbox, live;
    } rows[] = {
        {"https://a.example", true, true},
        {"https://a.example:8443", true, true},
        {"https://a-b.example:1", true, true},
        {"https://[2001:db8::1]", true, true},
        {"https://[2001:db8::1]:8443", true, true},
        {"http://localhost:3000", true, false},
        {"http://127.0.0.1", true, false},
        {"http://[::1]:3000", true, false},
        {"http://a.example", false, false},
        {"http://localhost.example", false, false},
        {"https://", false, false},
        {"https://a.example/", false, false},
        {"https://a.example:443", false, false},
        {"http://localhost:80", false, false},
        {"https://a.example:", false, false},
        {"https://a.example:08443", false, false},
        {"https://a.example:65536", false, false},
        {"https://a.example:123456", false, false},
        {"https://a.example:8x", false, false},
        {"https://A.example", false, false},
        {"https://-a.example", false, false},
        {"https://a.example-:8443", false, false},
        {"https://a..example", false, false},
        {"https://*.example", false, false},
        {"https://[]", false, false},
        {"https://[::1", false, false},
        {"https://[::x]", false, false},
        {"null", false, false},
        {"*", false, false},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        char text[512];
        struct judging j;
        snprintf(text, sizeof(text), "{" BY_KEY ",\"web_origins\":[\"%s\"]}", rows[i].origin);
        bool sandbox = strcmp(judged(text, true, &j), "ok") == 0;
        bool live = strcmp(judged(text, false, &j), "ok") == 0;
        if (sandbox != rows[i].sandbox || live != rows[i].live)
            fail_msg("%s: %s in a sandbox, %s live", rows[i].origin, sandbox ? "taken" : "refused",
                     live ? "taken" : "refused");
    }
}

static void refuses_what_does_not_go_together(void **state)
{
    (void)state;
    static const char ANY[] = "invalid_client_metadata", REDIRECT[] = "invalid_redirect_uri";
    static const struct {
        const char *asked, *code;
    } rows[] = {
        {"{\"contacts\":7}", ANY},
        {"{\"contacts\":[\"a\",\"a\"]}", ANY},
        {"{\"contacts\":[\"\"]}", ANY},
        {"{\"contacts\":[7]}", ANY},
        {"{\"client_name\":7}", ANY},
        {"{\"client_uri\":\"http://a.example\"}", ANY},
        {"{\"application_type\":\"desktop\"}", ANY},
        {"{\"dpop_bound_access_tokens\":\"true\"}", ANY},
        {"{\"default_max_age\":-1}", ANY},
        {"{\"default_max_age\":\"60\"}", ANY},
        {"{\"default_max_age\":60}", "ok"},
        {"{\"jwks\":7}", ANY},
        {"{\"jwks\":{}}", ANY},
        {"{\"jwks\":{\"keys\":[]}}", ANY},
        {"{\"jwks\":{\"keys\":[7]}}", ANY},
        {"{\"jwks\":{\"keys\":[{\"kty\":\"oct\"}]}}", ANY},
        {"{\"jwks\":{\"keys\":[" KEY("k") ",{\"kty\":\"oct\",\"k\":\"AAAA\"}]}}", ANY},
        {"{\"token_endpoint_auth_method\":\"private_key_jwt\"}", ANY},
        {"{\"token_endpoint_auth_method\":\"self_signed_tls_client_auth\"}", ANY},
        {"{\"token_endpoint_auth_method\":\"tls_client_auth\"}", ANY},
        {"{\"tls_client_auth_san_dns\":\"a.example\"}", ANY},
        {"{\"plain_bearer_tokens\":true,\"dpop_bound_access_tokens\":true}", ANY},
        {"{" URI ",\"response_types\":[]}", ANY},
        {"{\"grant_types\":[\"refresh_token\"]}", ANY},
        {"{" URI ",\"require_pushed_authorization_requests\":false}", ANY},
        {"{" CIBA ",\"backchannel_user_code_parameter\":true}", ANY},
        {"{\"redirect_uris\":[\"https://a.example/cb?code=1\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"https://a.example/cb?a=b&%73tate\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"https://a.example/cb?codes=1\"]}", "ok"},
        {"{\"redirect_uris\":[\"https://a.example:0/cb\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"https://a.example:/cb\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"https://a.example:65536/cb\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"https://a..example/cb\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"https://x@a.example/cb\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"https://a.example/%4\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"https://[::1/cb\"]}", REDIRECT},
        {"{\"redirect_uris\":[\"http://127.0.0.1.evil.example/\"],\"application_type\":\"native\"}",
         REDIRECT},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct judging j;
        const char *code = judged(rows[i].asked, true, &j);
        if (strcmp(code, rows[i].code) != 0)
            fail_msg("%s: %s", rows[i].asked, code);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_what_it_knows_and_says_what_counts_for_the_rest),
    cmocka_unit_test(leaves_out_what_it_does_not_know),
    cmocka_unit_test(refuses_by_the_place_where_it_is_used),
    cmocka_unit_test(takes_one_name_of_a_certificate_in_its_form),
    cmocka_unit_test(takes_origins_as_browsers_send_them),
    cmocka_unit_test(refuses_what_does_not_go_together),
};
TEST_GROUP(tests, set_up, tear_down);
