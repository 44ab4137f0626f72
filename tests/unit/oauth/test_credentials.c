/* Clients that show a certificate or a secret, and what is read of a client. */
#include "../unit.h"

#include "crypto/digest.h"
#include "token_fixture.h"
#include <string.h>

/* ---- certificates ---- */

static const char *ask_by(struct tb_str der, bool verified, const char *id)
{
    unsigned char digest[TB_SHA256_BYTES];
    struct asking asking = asking_of(tb_arena_format(arena, "client_id=%s", id));
    tb_sha256(&der, 1, digest);
    asking.visit.in.client_certificate = der;
    asking.visit.in.client_verified = verified;
    asking.visit.in.certificate_thumbprint = tb_base64url(arena, TB_BYTES(digest, sizeof(digest)));
    return ask(&asking);
}

static void knows_a_certificate_by_one_of_five_subjects(void **state)
{
    (void)state;
    struct tb_str der = fixture_certificate(
        arena, "client one",
        "DNS:client.example,URI:https://client.example/id,IP:192.0.2.7,IP:2001:db8::7,"
        "email:ops@client.example",
        1);
    static const struct {
        const char *members;
        bool fits;
    } rows[] = {
        {"\"tls_client_auth_subject_dn\":\"CN=client one\"", true},
        {"\"tls_client_auth_subject_dn\":\"CN=client two\"", false},
        {"\"tls_client_auth_subject_dn\":\"2.5.4.3 = Client  One\"", true},
        {"\"tls_client_auth_subject_dn\":\"commonName=#0C0A636C69656E74206F6E65\"", true},
        {"\"tls_client_auth_subject_dn\":\"client one\"", false},
        {"\"tls_client_auth_san_dns\":\"client.example\"", true},
        {"\"tls_client_auth_san_dns\":\"Client.Example\"", true},
        {"\"tls_client_auth_san_dns\":\"lient.example\"", false},
        {"\"tls_client_auth_san_dns\":\"https://client.example/id\"", false},
        {"\"tls_client_auth_san_uri\":\"https://client.example/id\"", true},
        {"\"tls_client_auth_san_uri\":\"HTTPS://Client.example/id\"", true},
        {"\"tls_client_auth_san_uri\":\"https://client.example/ID\"", false},
        {"\"tls_client_auth_san_ip\":\"192.0.2.7\"", true},
        {"\"tls_client_auth_san_ip\":\"192.0.2.8\"", false},
        {"\"tls_client_auth_san_ip\":\"2001:db8::7\"", true},
        {"\"tls_client_auth_san_ip\":\"2001:0DB8:0:0:0:0:0:7\"", true},
        {"\"tls_client_auth_san_ip\":\"::ffff:192.0.2.7\"", false},
        {"\"tls_client_auth_san_email\":\"ops@client.example\"", true},
        {"\"tls_client_auth_san_email\":\"ops@Client.Example\"", true},
        {"\"tls_client_auth_san_email\":\"Ops@client.example\"", false},
        {"\"tls_client_auth_san_email\":\"client.example\"", false},
        {"\"x\":1", false},
        {"\"tls_client_auth_subject_dn\":\"\"", false},
        {"\"tls_client_auth_subject_dn\":\"CN=client one\","
         "\"tls_client_auth_san_dns\":\"client.example\"",
         false},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        counter_empty(NULL);
        add_client(tb_arena_format(arena, "{\"token_endpoint_auth_method\":\"tls_client_auth\",%s}",
                                   rows[i].members)
                       .at);
        if ((strcmp(ask_by(der, true, CLIENT), "ok") == 0) != rows[i].fits)
            fail_msg("%s", rows[i].members);
        assert_string_equal(ask_by(der, false, CLIENT), "invalid_client");
    }
}

static void a_certificate_counts_in_its_time_and_for_its_client(void **state)
{
    (void)state;
    struct tb_str der = fixture_certificate(arena, "one", NULL, 1);
    struct tb_str old = fixture_certificate(arena, "one", NULL, -1);
    add_client("{\"token_endpoint_auth_method\":\"tls_client_auth\","
               "\"tls_client_auth_subject_dn\":\"CN=one\"}");
    assert_string_equal(ask_by(der, true, CLIENT), "ok");
    assert_string_equal(ask_by(der, true, NOBODY), "invalid_client");
    assert_string_equal(ask_by(old, true, CLIENT), "invalid_client");
    assert_string_equal(ask_by(TB_STR("no certificate"), true, CLIENT), "invalid_client");
    assert_string_equal(ask_by(TB_STR_NONE, false, CLIENT), "invalid_client");
    struct asking nameless = asking_of(TB_STR(""));
    nameless.visit.in.client_certificate = der;
    nameless.visit.in.client_verified = true;
    assert_string_equal(ask(&nameless), "invalid_client");
}

/* Standard base64, which x5c has. */
static const char *base64(struct tb_str bytes)
{
    char *text = tb_arena_alloc(arena, bytes.n * 2 + 4);
    size_t n = tb_base64url_write(text, bytes);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    while (n % 4 != 0)
        text[n++] = '=';
    return text;
}

static void knows_a_certificate_of_its_own_by_its_bytes(void **state)
{
    (void)state;
    struct tb_str one = fixture_certificate(arena, "one", NULL, 1);
    struct tb_str two = fixture_certificate(arena, "one", NULL, 1);
    struct tb_str third = fixture_certificate(arena, "one", NULL, 1);
    struct tb_str old = fixture_certificate(arena, "one", NULL, -1);
    add_client(tb_arena_format(
                   arena,
                   "{\"token_endpoint_auth_method\":\"self_signed_tls_client_auth\",\"jwks\":"
                   "{\"keys\":[{\"kty\":\"EC\",\"x5c\":[\"%s\"]},{\"kty\":\"EC\",\"x5c\":[\"%s\","
                   "\"%s\"]},{\"x5c\":[]},{\"x5c\":[7]},{\"x5c\":[\"%s\"]}]},"
                   "\"tls_client_auth_subject_dn\":\"CN=one\"}",
                   base64(one), base64(two), base64(third), base64(old))
                   .at);
    assert_string_equal(ask_by(one, false, CLIENT), "ok");
    assert_string_equal(ask_by(two, true, CLIENT), "ok");
    assert_string_equal(ask_by(third, true, CLIENT),
                        "invalid_client"); /* of a chain: not its own */
    assert_string_equal(ask_by(old, true, CLIENT), "invalid_client");
    assert_string_equal(ask_by(fixture_certificate(arena, "one", NULL, 1), true, CLIENT),
                        "invalid_client");
}

/* ---- secrets ---- */

static const char *ask_basic(const char *credentials, const char *body)
{
    struct asking asking = asking_of(tb_str(body));
    asking.visit.in.authorization = tb_arena_format(arena, "Basic %s", base64(tb_str(credentials)));
    return ask(&asking);
}

static long long add_secret(const char *digest, const char *expires_at)
{
    return pg_number(&fixture.pg, tb_arena_format(arena,
                                                  "select count(oauth.add_secret('" CLIENT
                                                  "', '%s', now(), %s))",
                                                  digest, expires_at)
                                      .at);
}

static void a_secret_counts_in_the_sandbox(void **state)
{
    (void)state;
    char one[TB_CLIENT_SECRET_CHARS + 1], two[TB_CLIENT_SECRET_CHARS + 1];
    char digest[TB_CLIENT_SECRET_CHARS + 1];
    add_client("{\"token_endpoint_auth_method\":\"client_secret_basic\"}");
    assert_string_equal(ask_basic(CLIENT ":", ""), "invalid_client");
    tb_client_secret_make(one, digest);
    assert_int_equal(add_secret(digest, "null"), 1);
    tb_client_secret_make(two, digest);
    assert_int_equal(add_secret(digest, "now() + interval '1 hour'"), 1);
    tb_client_secret_make(digest, digest);
    assert_int_equal(add_secret(digest, "null"), 0);
    const char *good[] = {tb_arena_format(arena, CLIENT ":%s", one).at,
                          tb_arena_format(arena, CLIENT ":%s", two).at,
                          tb_arena_format(arena, "%%61pp%%5F%s:%s", &CLIENT[4], one).at};
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(ask_basic(good[i], ""), "ok");
    assert_string_equal(ask_basic(good[0], "client_id=" CLIENT), "ok");
    assert_string_equal(ask_basic(good[0], "client_id=" NOBODY), "invalid_client");
    assert_string_equal(ask_basic(good[0], tb_arena_format(arena, "client_secret=%s", one).at),
                        "invalid_client");
    const char *bad[] = {
        tb_arena_format(arena, NOBODY ":%s", one).at,
        tb_arena_format(arena, CLIENT ":%s ", one).at,
        tb_arena_format(arena, CLIENT ":%.42s", one).at,
        CLIENT ":",
        CLIENT,
        ":",
        "",
        CLIENT ":%zz",
        CLIENT ":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < TB_COUNT(bad); i++)
        assert_string_equal(ask_basic(bad[i], ""), "invalid_client");
    struct asking asking = asking_of(TB_STR(""));
    asking.visit.in.authorization = TB_STR("Bearer x");
    assert_string_equal(ask(&asking), "invalid_client");
    asking = asking_of(TB_STR(""));
    asking.visit.in.authorization = TB_STR("Basic !!!");
    assert_string_equal(ask(&asking), "invalid_client");
    pg_do(&fixture.pg, "update oauth.client_secret set expires_at = now() - interval '1 s'");
    assert_string_equal(ask_basic(good[0], ""), "invalid_client");
}

static void a_secret_does_not_count_elsewhere(void **state)
{
    (void)state;
    char secret[TB_CLIENT_SECRET_CHARS + 1], digest[TB_CLIENT_SECRET_CHARS + 1];
    add_client_in("wld_2", "{\"token_endpoint_auth_method\":\"client_secret_basic\"}");
    tb_client_secret_make(secret, digest);
    assert_int_equal(add_secret(digest, "null"), 1);
    const char *credentials = tb_arena_format(arena, CLIENT ":%s", secret).at;
    assert_string_equal(ask_basic(credentials, ""), "invalid_client");
    pg_do(&fixture.pg, "update bank.app set world = 'wld_1'; update oauth.client set metadata = "
                       "metadata || '{\"token_endpoint_auth_method\":\"private_key_jwt\"}'");
    assert_string_equal(ask_basic(credentials, ""), "invalid_client");
}

/* ---- what is read of a client ---- */

static tb_err TB_SUSPENDS look(struct visit *visit)
{
    struct tb_oauth_client *client;
    struct tb_req *req = &visit->run.req;
    TB_TRY(tb_oauth_client_find(req, TB_STR(CLIENT), &client));
    assert_string_equal(client->partner.at, "ptr_1");
    assert_string_equal(client->world.at, "wld_1");
    assert_string_equal(client->name.at, "app");
    assert_int_equal(client->book, 7);
    assert_true(client->active && client->sandbox && client->dpop_bound);
    assert_true(client->certificate_bound && client->signed_requests && client->resource_server);
    assert_false(client->plain_tokens);
    assert_int_equal(client->auth, TB_AUTH_TLS);
    assert_int_equal(client->request_alg, TB_ALG_PS256);
    assert_int_equal(client->response_alg, TB_ALG_ED25519);
    assert_int_equal(client->assertion_alg, 0);
    assert_true(tb_str_eq(client->scope, TB_STR("a b")));
    assert_true(tb_str_eq(client->jwks_uri, TB_STR("https://x.example/keys")));
    assert_null(client->fetched.at);
    assert_true(tb_oauth_client_has(client, "redirect_uris", TB_STR("https://x.example/cb")));
    assert_false(tb_oauth_client_has(client, "redirect_uris", TB_STR("https://x.example/cb/")));
    assert_false(tb_oauth_client_has(client, "absent", TB_STR("x")));
    assert_true(tb_oauth_client_may(client, "client_credentials"));
    assert_false(tb_oauth_client_may(client, "authorization_code"));
    return NULL;
}

static void reads_what_a_client_registered(void **state)
{
    (void)state;
    struct visit visit = {0};
    assert_string_equal(fixture_do(&fixture, &visit, look), "invalid_client");
    add_client("{\"token_endpoint_auth_method\":\"tls_client_auth\",\"scope\":\"a b\","
               "\"dpop_bound_access_tokens\":true,\"require_signed_request_object\":true,"
               "\"tls_client_certificate_bound_access_tokens\":true,"
               "\"request_object_signing_alg\":\"PS256\",\"jwks_uri\":\"https://x.example/keys\","
               "\"authorization_signed_response_alg\":\"EdDSA\",\"grant_types\":"
               "[\"client_credentials\"],\"redirect_uris\":[\"https://x.example/cb\"]}");
    pg_do(&fixture.pg, "update oauth.client set resource_server = true");
    visit = (struct visit){0};
    assert_string_equal(fixture_do(&fixture, &visit, look), "ok");
}

static tb_err TB_SUSPENDS look_at_plain(struct visit *visit)
{
    struct tb_oauth_client *client;
    TB_TRY(tb_oauth_client_find(&visit->run.req, TB_STR(CLIENT), &client));
    *(bool *)visit->arg = client->plain_tokens;
    return NULL;
}

static void plain_tokens_are_for_clients_of_a_sandbox(void **state)
{
    (void)state;
    static const char *const worlds[] = {"wld_1", "wld_2"};
    for (size_t i = 0; i < 2; i++) {
        bool plain = false;
        struct visit visit = {.arg = &plain};
        counter_empty(NULL);
        add_client_in(worlds[i], "{}");
        pg_do(&fixture.pg, "update bank.app set plain_tokens = true");
        assert_string_equal(fixture_do(&fixture, &visit, look_at_plain), "ok");
        assert_int_equal(plain, i == 0);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, counter_empty)

static const struct CMUnitTest tests[] = {
    TEST(knows_a_certificate_by_one_of_five_subjects),
    TEST(a_certificate_counts_in_its_time_and_for_its_client),
    TEST(knows_a_certificate_of_its_own_by_its_bytes),
    TEST(a_secret_counts_in_the_sandbox),
    TEST(a_secret_does_not_count_elsewhere),
    TEST(reads_what_a_client_registered),
    TEST(plain_tokens_are_for_clients_of_a_sandbox),
};
TEST_GROUP(tests, counter_open, counter_close);
