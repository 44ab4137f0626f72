/* What tokens are bound to, and whether a customer fits the claims that were asked for. */
#include "../unit.h"

#include "base/json.h"
#include "oauth/token/binding.h"
#include "oauth/token/claims.h"
#include "oauth/token/dpop.h"
#include "oauth_fixture.h"
#include <string.h>

#define THUMB "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static struct fixture fixture;

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

/* ---- binding ---- */

struct binding {
    struct visit visit; /* first */
    struct tb_oauth_client client;
    bool by_certificate;
};

static tb_err act(struct visit *visit)
{
    struct binding *binding = (struct binding *)visit;
    struct tb_binding out;
    tb_err err = tb_binding_read(&visit->run.req, &binding->client, &out);
    assert_null(out.dpop.at);
    assert_true(err == NULL || out.cert.at == NULL);
    binding->by_certificate = out.cert.at != NULL;
    return err;
}

static void binds_a_client_to_what_it_must_have(void **state)
{
    (void)state;
    static const struct {
        bool dpop, certificate, plain; /* as the client is registered */
        bool shown;                    /* the connection has a certificate */
        const char *code;
        bool bound;
    } rows[] = {
        {false, false, false, true, "ok", true},
        {false, false, false, false, "invalid_dpop_proof", false},
        {false, false, true, true, "ok", false},
        {false, false, true, false, "ok", false},
        {false, true, true, true, "ok", true},
        {false, true, true, false, "invalid_request", false},
        {false, true, false, true, "ok", true},
        {false, true, false, false, "invalid_request", false},
        {true, false, true, true, "invalid_dpop_proof", false},
        {true, true, true, true, "invalid_dpop_proof", false},
        {true, false, false, false, "invalid_dpop_proof", false},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        struct binding binding = {.client = {.dpop_bound = rows[i].dpop,
                                             .certificate_bound = rows[i].certificate,
                                             .plain_tokens = rows[i].plain}};
        if (rows[i].shown)
            binding.visit.in.certificate_thumbprint = TB_STR(THUMB);
        const char *code = fixture_do(&fixture, &binding.visit, act);
        if (strcmp(code, rows[i].code) != 0 || binding.by_certificate != rows[i].bound)
            fail_msg("row %zu: %s", i, code);
    }
}

static void tells_of_plain_tokens_in_a_sandbox_only(void **state)
{
    (void)state;
    for (int sandbox = 0; sandbox < 2; sandbox++) {
        struct binding binding = {.by_certificate = false};
        fixture.settings.sandbox = sandbox;
        assert_string_equal(fixture_do(&fixture, &binding.visit, act), "invalid_dpop_proof");
        assert_int_equal(strstr(binding.visit.detail, "plain_bearer_tokens") != NULL, sandbox);
    }
}

/* ---- claims ---- */

static void a_customer_fits_the_claims_that_were_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *claims, *place; /* NULL: it fits */
        bool essential_only;
    } rows[] = {
        {"{}", NULL, false},
        {"{\"id_token\":{\"acr\":null}}", NULL, false},
        {"{\"id_token\":{\"sub\":{\"value\":\"usr_2\"}}}", NULL, false},
        {"{\"id_token\":{\"acr\":{\"value\":\"a\"}}}", NULL, false},
        {"{\"id_token\":{\"acr\":{\"value\":\"b\"}}}", "id_token", false},
        {"{\"userinfo\":{\"acr\":{\"value\":\"b\"}}}", "userinfo", false},
        {"{\"userinfo\":{\"acr\":{\"values\":[7,\"b\",\"a\"]}}}", NULL, false},
        {"{\"userinfo\":{\"acr\":{\"values\":[7,\"b\"]}}}", "userinfo", false},
        {"{\"userinfo\":{\"acr\":{\"values\":[]}}}", "userinfo", false},
        {"{\"userinfo\":{\"acr\":{\"values\":\"b\"}}}", NULL, false},
        {"{\"userinfo\":{\"acr\":{\"essential\":true,\"values\":[\"b\"]}}}", "userinfo", true},
        {"{\"userinfo\":{\"acr\":{\"essential\":false,\"values\":[\"b\"]}}}", NULL, true},
        {"{\"userinfo\":{\"acr\":{\"essential\":1,\"values\":[\"b\"]}}}", NULL, true},
        {"{\"userinfo\":{\"acr\":{\"values\":[\"b\"]}}}", NULL, true},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        json_t *claims = json_loads(rows[i].claims, 0, NULL);
        const char *place = NULL;
        bool fits = tb_claims_fit(claims, "acr", rows[i].essential_only, TB_STR("a"), &place);
        json_decref(claims);
        if (fits != (rows[i].place == NULL) || (!fits && strcmp(place, rows[i].place) != 0))
            fail_msg("%s: %s", rows[i].claims, fits ? "fits" : place);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(binds_a_client_to_what_it_must_have),
    cmocka_unit_test(tells_of_plain_tokens_in_a_sandbox_only),
    cmocka_unit_test(a_customer_fits_the_claims_that_were_asked_for),
};
TEST_GROUP(tests, set_up, tear_down);
