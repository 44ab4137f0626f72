/* Cookies and forms: which bytes of a request name a session, and which forms belong to it. */
#include "../unit.h"

#include "oauth/token/dpop.h"
#include "oauth/user/session.c"

static struct tb_arena *arena;
static struct tb_loop *loop;
static struct tb_run run;
static struct tb_incoming in;
static struct tb_config config;
static struct tb_header headers[8];

static struct tb_str header(struct tb_req *req, const char *name)
{
    (void)req;
    for (size_t i = 0; i < in.headers_n; i++)
        if (tb_str_eq(headers[i].name, tb_str(name)))
            return headers[i].value;
    return TB_STR_NONE;
}

static struct tb_host host;

static int set_up(void **state)
{
    (void)state;
    struct tb_oauth_parts parts = {.config = &config};
    config.issuer = "https://bank.example";
    tb_secret_set(&parts.master, "0123456789abcdef0123456789abcdef", 32);
    arena = tb_arena_new(TB_ARENA_CAP);
    loop = tb_loop_new();
    parts.loop = loop;
    tb_oauth_open(&parts);
    tb_dpop_open(&parts.master);
    host = tb_run_host;
    host.header = header;
    tb_run_init(&run, loop, arena);
    run.req.host = &host;
    in.headers = headers;
    run.in = &in;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_loop_free(loop);
    tb_arena_free(arena);
    return 0;
}

static void with_headers(const char *const *pairs)
{
    in.headers_n = 0;
    for (; pairs[0] != NULL; pairs += 2)
        headers[in.headers_n++] = (struct tb_header){tb_str(pairs[0]), tb_str(pairs[1])};
}

#define ID    "DRd3iJb_aJkTZDmZeRgcWlLSe3fDMb4NRWFNhUTS0Lk"
#define OTHER "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void finds_the_cookie_wherever_it_stands(void **state)
{
    (void)state;
    static const struct {
        const char *fields[6];
        const char *id;
    } rows[] = {
        {{NULL}, NULL},
        {{"cookie", TB_SESSION_COOKIE "=" ID, NULL}, ID},
        {{"cookie", "a=b; " TB_SESSION_COOKIE "=" ID "; c=d", NULL}, ID},
        {{"cookie", "a=b", "cookie", TB_SESSION_COOKIE "=" ID, NULL}, ID},
        {{"cookie", "x" TB_SESSION_COOKIE "=" ID, NULL}, NULL},
        {{"cookie", "a=" TB_SESSION_COOKIE "=" ID, NULL}, NULL},
        {{"cookie", TB_SESSION_COOKIE "=", NULL}, NULL},
        {{"cookie", TB_SESSION_COOKIE "=" ID "x", NULL}, NULL},
        {{"cookie", TB_SESSION_COOKIE "=\"" ID "\"", NULL}, NULL},
        {{"cookie", TB_SESSION_COOKIE "=../../../../../../../../../../../etc/passwd..", NULL},
         NULL},
        {{"authorization", TB_SESSION_COOKIE "=" ID, NULL}, NULL},
        {{"cookie", TB_SESSION_COOKIE "=" ID "; " TB_SESSION_COOKIE "=" OTHER, NULL}, ID},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        with_headers(rows[i].fields);
        struct tb_str id = sent(&run.req);
        assert_true(tb_str_eq(id, tb_str(rows[i].id)));
    }
}

static tb_err check(const struct tb_session *session, struct tb_str token)
{
    struct tb_form_pair pair = {TB_STR("csrf"), token};
    struct tb_form form = {&pair, token.at == NULL ? 0 : 1};
    return tb_session_check(&run.req, session, &form);
}

static void takes_forms_of_the_same_browser_only(void **state)
{
    (void)state;
    struct tb_session session = {.id = TB_STR(ID)}, other = {.id = TB_STR(OTHER)};
    struct tb_session fresh = {.id = TB_STR(ID), .fresh = true};
    struct tb_str token = tb_session_token(arena, &session);
    with_headers((const char *[]){NULL});
    assert_int_equal(token.n, 43);
    assert_null(check(&session, token));
    assert_true(tb_is(check(&other, token), TB_E_FORM_FOREIGN));
    assert_true(tb_is(check(&fresh, token), TB_E_FORM_FOREIGN)); /* it sent no cookie */
    assert_true(tb_is(check(&session, TB_STR_NONE), TB_E_FORM_FOREIGN));
    assert_true(tb_is(check(&session, TB_STR("")), TB_E_FORM_FOREIGN));
    assert_true(tb_is(check(&session, TB_STR(ID)), TB_E_FORM_FOREIGN));
    assert_true(tb_is(check(&session, (struct tb_str){token.at, 42}), TB_E_FORM_FOREIGN));
}

static void takes_forms_of_our_own_pages_only(void **state)
{
    (void)state;
    static const struct {
        const char *fields[6];
        bool taken;
    } rows[] = {
        {{NULL}, true}, /* a browser that says nothing: the token decides */
        {{"origin", "https://bank.example", NULL}, true},
        {{"origin", "null", NULL}, true}, /* what no-referrer makes of it */
        {{"origin", "null", "sec-fetch-site", "same-origin", NULL}, true},
        {{"sec-fetch-site", "same-origin", NULL}, true},
        {{"origin", "https://evil.example", NULL}, false},
        {{"origin", "https://bank.example.evil.example", NULL}, false},
        {{"origin", "http://bank.example", NULL}, false},
        {{"origin", "null", "sec-fetch-site", "cross-site", NULL}, false},
        {{"origin", "https://bank.example", "sec-fetch-site", "cross-site", NULL}, false},
        {{"sec-fetch-site", "same-site", NULL}, false},
        {{"sec-fetch-site", "none", NULL}, false},
    };
    struct tb_session session = {.id = TB_STR(ID)};
    struct tb_str token = tb_session_token(arena, &session);
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        with_headers(rows[i].fields);
        assert_int_equal(check(&session, token) == NULL, rows[i].taken);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(finds_the_cookie_wherever_it_stands),
    cmocka_unit_test(takes_forms_of_the_same_browser_only),
    cmocka_unit_test(takes_forms_of_our_own_pages_only),
};
TEST_GROUP(tests, set_up, tear_down);
