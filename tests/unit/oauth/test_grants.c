/* What the endpoints of tokens do with a customer's grant, and that none of them answers by halves
 * where memory ends or the database fails. */
#include "../unit.h"

#include "base/time.h"
#include "oauth/endpoint/product.h"
#include "oauth/handle.h"
#include "oauth/token/dpop.h"
#include "oauth/token/issue.h"
#include "oauth/token/revoke.h"
#include "oauth/token/token.h"
#include "par_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAcode"
#define REFRESH  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAArefresh"
#define POLLED   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAApolled"
#define VERIFIER "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAverifier"
#define READING  "[{\"type\":\"account_information\",\"permissions\":[\"balances\",\"entries\"]}]"
#define LESS     "[{\"type\":\"account_information\",\"permissions\":[\"balances\"]}]"
#define MEMBERS                                                                                    \
    ",\"scope\":\"openid accounts:read\",\"redirect_uris\":[\"https://client.example/cb\"],"       \
    "\"grant_types\":[\"authorization_code\",\"refresh_token\",\"client_credentials\","            \
    "\"urn:openid:params:grant-type:ciba\"]"

#define BY_CODE    "grant_type=authorization_code&code=" CODE "&code_verifier=" VERIFIER
#define BY_REFRESH "grant_type=refresh_token&refresh_token=" REFRESH
#define BY_POLL    "grant_type=urn:openid:params:grant-type:ciba&auth_req_id=" POLLED

enum { STEP_BYTES = 500, QUERIES_MAX = 16 };

static const struct tb_key_schedule schedule = {TB_ALG_ES256, 90 * 86400, 86400, 32 * 86400};

static struct scene scene;
static struct tb_keystore *keys, *no_keys;
static struct tb_revocations revocations;
static struct tb_str access_token;
static size_t set_bytes;

static void open_with(struct tb_keystore *token_keys, struct tb_keystore *response_keys)
{
    struct tb_oauth_parts *parts = &scene.fixture.parts;
    const struct tb_token_rules rules = {.issuer = TB_STR(FIXTURE_ISSUER),
                                         .audience = TB_STR(FIXTURE_ISSUER),
                                         .env = TB_ENV_SANDBOX,
                                         .keys = token_keys,
                                         .revoked = revocations.set,
                                         .cache_entries = 100,
                                         .cache_bytes = 1024 * 1024};
    tb_token_checker_free(parts->tokens);
    parts->tokens = tb_token_checker_new(&rules);
    parts->token_keys = token_keys;
    parts->response_keys = response_keys;
    parts->revocations = &revocations;
    tb_oauth_open(parts);
    tb_dpop_open(&parts->master);
}

static int set_up(void **state)
{
    (void)state;
    struct tb_key_row row;
    int64_t now_s = tb_wall_ms() / 1000;
    scene_open(&scene);
    set_bytes = tb_jti_set_bytes(1);
    revocations.set = aligned_alloc(64, (set_bytes + 63) / 64 * 64);
    keys = tb_keystore_new(&scene.fixture.parts.master);
    no_keys = tb_keystore_new(&scene.fixture.parts.master);
    assert_true(tb_keystore_make(keys, &schedule, now_s, scene.arena, &row));
    assert_null(tb_keystore_load(keys, &row, 1, now_s));
    pg_do(&scene.fixture.pg, "update bank.app set plain_tokens = true");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_token_checker_free(scene.fixture.parts.tokens);
    tb_keystore_free(keys);
    tb_keystore_free(no_keys);
    free(revocations.set);
    scene_close(&scene);
    return 0;
}

static const char *digest(const char *text)
{
    return tb_handle_digest(scene.arena, tb_str(text)).at;
}

/* The grant grn_1, its code, its refresh token, and the request without a browser that led to it:
 * none of them used. */
static void grant_anew(void)
{
    memset((void *)revocations.set, 0, set_bytes);
    tb_jti_set_init(revocations.set, set_bytes);
    pg_do(&scene.fixture.pg,
          tb_arena_format(
              scene.arena,
              "delete from oauth.revoked_token; delete from oauth.refresh; delete from oauth.code;"
              "delete from oauth.grants; delete from oauth.backchannel;"
              "select oauth.open_grant('grn_1', 7, '" CLIENT "', 'ptr_1', '" CUSTOMER
              "', 'openid accounts:read', '" READING "', null,"
              " '{\"id_token\":{\"name\":null},\"userinfo\":{\"acr\":null}}',"
              " 'n-1', 'urn:x', now(), now());"
              "select oauth.put_code('%s', 'grn_1', '" CLIENT
              "', 'https://client.example/cb', '%s', null, now());"
              "select oauth.put_refresh('%s', 'grn_1', '" CLIENT "', now());"
              "insert into oauth.backchannel (digest, client, book, world, user_id, params, state,"
              " grant_id, interval_s, created_at, expires_at, decided_at) values ('%s', '" CLIENT
              "', 7, 'wld_1', '" CUSTOMER "', '{}', 'approved', 'grn_1', 5, now(),"
              " now() + interval '5 min', now())",
              digest(CODE), digest(VERIFIER), digest(REFRESH), digest(POLLED))
              .at);
}

static int grant_to_client(void **state)
{
    (void)state;
    const struct tb_token_order order = {.partner = TB_STR("ptr_1"),
                                         .app = TB_STR(CLIENT),
                                         .subject = TB_STR(CUSTOMER),
                                         .family = TB_STR("grn_1"),
                                         .scope = TB_STR("openid accounts:read"),
                                         .details = TB_STR(READING),
                                         .book = 7,
                                         .life_s = 300};
    struct tb_minted minted;
    scene_client(&scene, MEMBERS);
    open_with(keys, keys);
    grant_anew();
    assert_null(tb_token_mint(scene.fixture.parts.tokens, &order, tb_wall_ms() / 1000, scene.arena,
                              &minted));
    access_token = minted.token;
    return 0;
}

static long long number(const char *sql)
{
    return pg_number(&scene.fixture.pg, sql);
}

/* ---- requests ---- */

static struct {
    size_t n, failing; /* statements so far; the one that fails, 0: none */
} statements;
static tb_err (*usual_query)(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                             const struct tb_param *params, size_t params_n);

static tb_err query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                    const struct tb_param *params, size_t params_n)
{
    if (++statements.n == statements.failing)
        return tb_fail(req, TB_E_STORE, "the database is away");
    return usual_query(req, out_rows, sql, params, params_n);
}

static struct answered answer;

/* As the gateway does it: a body that found no room is no answer. */
static tb_err reply(struct tb_req *req, int status, struct tb_str body)
{
    if (body.at == NULL)
        return tb_fail(req, TB_E_INTERNAL, "the answer needs too much memory");
    answer.status = status;
    snprintf(answer.body, sizeof(answer.body), "%.*s", (int)body.n, body.at);
    return NULL;
}

static struct tb_str no_header(struct tb_req *req, const char *name)
{
    (void)req;
    (void)name;
    return TB_STR_NONE;
}

static struct tb_str customer(struct tb_req *req)
{
    (void)req;
    return TB_STR(CUSTOMER);
}

static tb_err act(struct visit *visit)
{
    static struct tb_host host;
    const struct tb_plugin *product = &tb_oauth_product;
    host = *visit->run.req.host;
    usual_query = host.query;
    host.query = query;
    host.reply = reply;
    host.header = no_header;
    host.subject = customer;
    visit->run.req.host = &host;
    for (size_t i = 0; i < product->routes_n; i++)
        if (tb_str_eq(visit->in.path, tb_str(product->routes[i].path)))
            return product->routes[i].handler(&visit->run.req);
    fail_msg("there is no such route");
    return NULL;
}

/* One request of an endpoint that is answered in full. */
struct asking {
    const char *path, *form; /* %s: the access token */
    const char *says;        /* of a full answer's body */
    const char *done;        /* SQL: 1 once it is answered; NULL: nothing changes */
};

/* Post it with so much memory (0: as much as usual) and with the statement of that number failing
 * (0: none). The code of its error, or "ok", and then the whole answer is there. */
static const char *ask(const struct asking *asking, size_t bytes, size_t failing)
{
    bool bearer = strcmp(asking->path, "/oauth/userinfo") == 0;
    const char *form = strstr(asking->form, "%s") == NULL
                           ? asking->form
                           : tb_arena_format(scene.arena, "token=%s", access_token.at).at;
    answer = (struct answered){
        .visit.in = {
            .method = TB_STR("POST"),
            .path = tb_str(asking->path),
            .raw_path = tb_str(asking->path),
            .content_type = TB_STR("application/x-www-form-urlencoded"),
            .authorization = bearer ? tb_arena_format(scene.arena, "Bearer %s", access_token.at)
                                    : scene_basic(&scene),
            .body = tb_str(form)}};
    if (bytes > 0)
        answer.visit.run.arena = tb_arena_new(bytes);
    statements.n = 0;
    statements.failing = failing;
    answer.code = fixture_do(&scene.fixture, &answer.visit, act);
    if (strcmp(answer.code, "ok") != 0) {
        assert_int_equal(answer.status, 0);
        return answer.code;
    }
    if (answer.status != 200 || strstr(answer.body, asking->says) == NULL)
        fail_msg("%s %s: %s", asking->path, form, answer.body);
    if (asking->done != NULL)
        assert_int_equal(number(asking->done), 1);
    return "ok";
}

static const char *ask_for(const char *form)
{
    return ask(&(struct asking){"/oauth/token", form, "\"access_token\":\"", NULL}, 0, 0);
}

/* ---- nothing by halves ---- */

#define NAMED "\"id_token\":\""
#define ENDED "select count(*) from oauth.revoked_token where jti = 'grn_1'"

static const struct asking ASKINGS[] = {
    {"/oauth/token", BY_CODE, NAMED, "select count(*) from oauth.code where used_at is not null"},
    {"/oauth/token", BY_REFRESH, NAMED, NULL},
    {"/oauth/token", BY_REFRESH "&scope=accounts:read&authorization_details=" LESS,
     "\"authorization_details\":"
     "[{\"permissions\":[\"balances\"],\"type\":\"account_information\"}]",
     NULL},
    {"/oauth/token", BY_POLL, NAMED, "select count(*) from oauth.backchannel where state = 'used'"},
    {"/oauth/token", "grant_type=client_credentials", "\"scope\":\"accounts:read\"", NULL},
    {"/oauth/introspect", "%s", "\"active\":true", NULL},
    {"/oauth/introspect", "token=" REFRESH, "\"active\":true", NULL},
    {"/oauth/revoke", "%s", "{}", "select count(*) from oauth.revoked_token"},
    {"/oauth/revoke", "token=" REFRESH, "{}", ENDED},
    {"/oauth/userinfo", "", "\"acr\":\"urn:x\"", NULL},
};

static void answers_in_full_or_not_at_all_when_memory_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < TB_COUNT(ASKINGS); i++) {
        const char *code = "";
        size_t refused = 0;
        grant_anew();
        for (size_t bytes = 1; strcmp(code, "ok") != 0; bytes += STEP_BYTES) {
            assert_true(bytes < TB_ARENA_CAP);
            if (ASKINGS[i].done != NULL && bytes > 1)
                grant_anew();
            code = ask(&ASKINGS[i], bytes, 0);
            if (strcmp(code, "ok") == 0)
                continue;
            refused++;
            if (answer.visit.err->status < 500)
                fail_msg("%s %s, %zu bytes: %s", ASKINGS[i].path, ASKINGS[i].form, bytes, code);
        }
        assert_true(refused > 0);
    }
}

static void answers_in_full_or_not_at_all_when_a_statement_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < TB_COUNT(ASKINGS); i++) {
        size_t failing = 0;
        const char *code;
        do {
            assert_true(++failing < QUERIES_MAX);
            grant_anew();
            code = ask(&ASKINGS[i], 0, failing);
            if (strcmp(code, "ok") != 0)
                assert_string_equal(code, TB_E_STORE->code);
        } while (statements.n >= failing);
        assert_string_equal(code, "ok");
        assert_true(failing > 1);
    }
}

/* ---- what a grant leads to ---- */

static bool token_counts(void)
{
    struct tb_grant *grant;
    const char *why;
    if (tb_token_check(scene.fixture.parts.tokens, access_token, tb_wall_ms() / 1000, &grant,
                       &why) != NULL)
        return false;
    tb_grant_drop(grant);
    return true;
}

static void a_code_that_is_used_again_ends_its_grant_here_at_once(void **state)
{
    (void)state;
    assert_string_equal(ask_for(BY_CODE), "ok");
    assert_true(token_counts());
    assert_string_equal(ask_for(BY_CODE), "invalid_grant");
    assert_false(token_counts());
    assert_string_equal(ask_for(BY_REFRESH), "invalid_grant");
}

static void a_code_that_does_not_fit_ends_its_grant_here_at_once(void **state)
{
    (void)state;
    static const char *const forms[] = {BY_CODE "x", BY_CODE "&redirect_uri=https://x.example/cb"};
    for (size_t i = 0; i < TB_COUNT(forms); i++) {
        grant_anew();
        assert_true(token_counts());
        assert_string_equal(ask_for(forms[i]), "invalid_grant");
        assert_false(token_counts());
        assert_int_equal(
            number("select count(*) from oauth.grants where ended_by = 'code refused'"), 1);
    }
    pg_do(&scene.fixture.pg, "update oauth.client set metadata = metadata - 'redirect_uris'");
    grant_anew();
    assert_string_equal(ask_for(BY_CODE), "invalid_grant");
    assert_false(token_counts());
}

static void an_attempt_without_a_verifier_leaves_the_code(void **state)
{
    (void)state;
    assert_string_equal(ask_for("grant_type=authorization_code&code=" CODE), "invalid_grant");
    assert_string_equal(ask_for("grant_type=authorization_code&code=" CODE "&code_verifier=short"),
                        "invalid_grant");
    assert_string_equal(ask_for(BY_CODE "!"), "invalid_grant");
    assert_string_equal(ask_for(BY_CODE), "ok");
}

static void nothing_comes_of_a_grant_that_has_ended(void **state)
{
    (void)state;
    static const char *const forms[] = {BY_CODE, BY_REFRESH, BY_POLL};
    for (size_t i = 0; i < TB_COUNT(forms); i++) {
        grant_anew();
        pg_do(&scene.fixture.pg, "update oauth.grants set ended_at = now()");
        assert_string_equal(ask_for(forms[i]), "invalid_grant");
    }
    static const struct asking shown = {"/oauth/introspect", "token=" REFRESH, "{\"active\":false}",
                                        NULL};
    assert_string_equal(ask(&shown, 0, 0), "ok");
}

static void a_client_without_refresh_tokens_gets_none(void **state)
{
    (void)state;
    scene_client(&scene, ",\"scope\":\"openid accounts:read\","
                         "\"redirect_uris\":[\"https://client.example/cb\"],\"grant_types\":"
                         "[\"authorization_code\",\"urn:openid:params:grant-type:ciba\"]");
    static const char *const forms[] = {BY_CODE, BY_POLL};
    for (size_t i = 0; i < TB_COUNT(forms); i++) {
        grant_anew();
        assert_string_equal(ask_for(forms[i]), "ok");
        assert_null(strstr(answer.body, "refresh_token"));
        grant_anew();
        pg_do(&scene.fixture.pg, "update oauth.grants set ended_at = now()");
        assert_string_equal(ask_for(forms[i]), "invalid_grant");
    }
}

/* Leave no room among what is revoked. */
static void fill_the_set(void)
{
    char jti[16];
    int64_t now_s = tb_wall_ms() / 1000;
    enum tb_jti added = TB_JTI_NEW;
    for (int i = 0; i < 4096; i++) {
        snprintf(jti, sizeof(jti), "jti-%d", i);
        struct tb_str part = tb_str(jti);
        added = tb_jti_set_add(revocations.set, &part, 1, now_s + 900, now_s);
    }
    assert_int_equal(added, TB_JTI_FULL);
}

static void says_so_when_a_grant_cannot_be_withdrawn(void **state)
{
    (void)state;
    static const char *const paths[] = {"/oauth/revoke", "/oauth/revoke", "/oauth/token"};
    static const char *const forms[] = {"%s", "token=" REFRESH, BY_CODE};
    for (size_t i = 0; i < TB_COUNT(paths); i++) {
        grant_anew();
        pg_do(&scene.fixture.pg, "update oauth.code set used_at = now()");
        fill_the_set();
        assert_string_equal(ask(&(struct asking){paths[i], forms[i], "", NULL}, 0, 0),
                            "overloaded");
    }
}

static void issues_nothing_before_the_keys_are_here(void **state)
{
    (void)state;
    open_with(no_keys, keys);
    assert_string_equal(ask_for("grant_type=client_credentials"), TB_E_STORE->code);
    open_with(keys, no_keys);
    assert_string_equal(ask_for(BY_REFRESH), TB_E_STORE->code);
    assert_string_equal(ask_for("grant_type=client_credentials"), "ok");
}

static void issues_no_token_that_would_be_refused_for_its_length(void **state)
{
    (void)state;
    pg_do(&scene.fixture.pg, "update oauth.grants set details = jsonb_set(details, '{0,purpose}', "
                             "to_jsonb(repeat('x', 8192)))");
    assert_string_equal(ask_for(BY_REFRESH), "invalid_authorization_details");
}

static void a_refresh_asks_for_what_was_granted_or_less(void **state)
{
    (void)state;
    static const struct {
        const char *more, *code;
    } rows[] = {
        {"&scope=accounts:read", "ok"},
        {"&scope=accounts:read+openid", "ok"},
        {"&scope=accounts:read++openid", "invalid_scope"},
        {"&scope=e-payment:write", "invalid_scope"},
        {"&authorization_details=" READING, "ok"},
        {"&authorization_details=" LESS, "ok"},
        {"&authorization_details=[", "invalid_authorization_details"},
        {"&authorization_details=[]", "invalid_authorization_details"},
        {"&authorization_details=[{\"type\":\"account_information\",\"permissions\":[\"balances\","
         "\"accounts\"]}]",
         "invalid_authorization_details"},
        {"&resource=" FIXTURE_ISSUER, "ok"},
        {"&resource=https://other.example", "invalid_target"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        const char *code = ask_for(tb_arena_format(scene.arena, BY_REFRESH "%s", rows[i].more).at);
        if (strcmp(code, rows[i].code) != 0)
            fail_msg("%s: %s", rows[i].more, code);
    }
    pg_do(&scene.fixture.pg, "update oauth.grants set details = null");
    assert_string_equal(ask_for(BY_REFRESH "&authorization_details=" LESS),
                        "invalid_authorization_details");
}

static void a_grant_loses_what_its_client_is_registered_for_no_more(void **state)
{
    (void)state;
    static const struct {
        const char *members, *says;
    } rows[] = {
        {"\"scope\":\"openid accounts:read e-payment:read e-payment:write\"", "\"payment\""},
        {"\"scope\":\"openid accounts:read e-payment:read e-payment:write\","
         "\"authorization_details_types\":[7,\"payment\"]",
         "\"payment\""},
        {"\"scope\":\"openid accounts:read e-payment:read e-payment:write\","
         "\"authorization_details_types\":[\"mandate\"]",
         "\"scope\":\"openid accounts:read\""},
        {"\"scope\":\"openid accounts:read\"", "\"scope\":\"openid accounts:read\""},
        {"\"scope\":\"accounts:write\"", NULL},
    };
    pg_do(&scene.fixture.pg,
          "update oauth.grants set scope = 'openid accounts:read e-payment:read e-payment:write', "
          "details = '[{\"type\":\"payment\"}]'");
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        scene_client(&scene, tb_arena_format(scene.arena, ",%s,\"grant_types\":[\"refresh_token\"]",
                                             rows[i].members)
                                 .at);
        const char *code = ask_for(BY_REFRESH);
        if (rows[i].says == NULL)
            assert_string_equal(code, "invalid_grant");
        else if (strcmp(code, "ok") != 0 || strstr(answer.body, rows[i].says) == NULL)
            fail_msg("%s: %s %s", rows[i].members, code, answer.body);
        if (i > 1)
            assert_null(strstr(answer.body, "\"payment\""));
    }
}

static void what_a_client_asks_for_itself_is_within_its_scope(void **state)
{
    (void)state;
    static const struct {
        const char *more, *code;
    } rows[] = {
        {"", "ok"},
        {"&scope=accounts:read", "ok"},
        {"&scope=openid", "invalid_scope"},
        {"&scope=e-payment:write", "invalid_scope"},
        {"&scope=%22", "invalid_scope"},
        {"&authorization_details=" LESS, "invalid_authorization_details"},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        const char *code = ask_for(
            tb_arena_format(scene.arena, "grant_type=client_credentials%s", rows[i].more).at);
        if (strcmp(code, rows[i].code) != 0)
            fail_msg("%s: %s", rows[i].more, code);
    }
    scene_client(&scene, ",\"scope\":\"openid\",\"grant_types\":[\"client_credentials\"]");
    assert_string_equal(ask_for("grant_type=client_credentials"), "invalid_scope");
    assert_string_equal(ask_for(BY_REFRESH), "unauthorized_client");
    assert_string_equal(ask_for("grant_type=password"), "unsupported_grant_type");
    assert_string_equal(ask_for("scope=openid"), "invalid_request");
}

#define TEST(name) cmocka_unit_test_setup(name, grant_to_client)

static const struct CMUnitTest tests[] = {
    TEST(answers_in_full_or_not_at_all_when_memory_ends),
    TEST(answers_in_full_or_not_at_all_when_a_statement_fails),
    TEST(a_code_that_is_used_again_ends_its_grant_here_at_once),
    TEST(a_code_that_does_not_fit_ends_its_grant_here_at_once),
    TEST(an_attempt_without_a_verifier_leaves_the_code),
    TEST(nothing_comes_of_a_grant_that_has_ended),
    TEST(a_client_without_refresh_tokens_gets_none),
    TEST(says_so_when_a_grant_cannot_be_withdrawn),
    TEST(issues_nothing_before_the_keys_are_here),
    TEST(issues_no_token_that_would_be_refused_for_its_length),
    TEST(a_refresh_asks_for_what_was_granted_or_less),
    TEST(a_grant_loses_what_its_client_is_registered_for_no_more),
    TEST(what_a_client_asks_for_itself_is_within_its_scope),
};
TEST_GROUP(tests, set_up, tear_down);
