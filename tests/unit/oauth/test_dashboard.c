/* Forms of the customers' pages from a browser in which nobody has logged in to the end. */
#include "../unit.h"

#include "oauth/handle.h"
#include "oauth/page/page.h"
#include "oauth/user/session.h"
#include "par_fixture.h"
#include <stdio.h>
#include <string.h>

#define ID "DRd3iJb_aJkTZDmZeRgcWlLSe3fDMb4NRWFNhUTS0Lk"

static struct scene scene;

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

static size_t statements_n;
static int status;
static char location[256];
static tb_err (*usual_query)(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                             const struct tb_param *params, size_t params_n);

static tb_err query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                    const struct tb_param *params, size_t params_n)
{
    statements_n++;
    return usual_query(req, out_rows, sql, params, params_n);
}

static struct tb_str header(struct tb_req *req, const char *name)
{
    (void)req;
    (void)name;
    return TB_STR_NONE;
}

static tb_err set_header(struct tb_req *req, const char *name, struct tb_str value)
{
    (void)req;
    if (strcmp(name, "location") == 0)
        snprintf(location, sizeof(location), "%.*s", (int)value.n, value.at);
    return NULL;
}

static tb_err reply_as(struct tb_req *req, int code, const char *media_type, struct tb_str body)
{
    (void)req;
    (void)media_type;
    (void)body;
    status = code;
    return NULL;
}

static tb_err act(struct visit *visit)
{
    static struct tb_host host;
    const struct tb_plugin *product = &tb_oauth_pages_product;
    host = *visit->run.req.host;
    usual_query = host.query;
    host.query = query;
    host.header = header;
    host.set_header = set_header;
    host.reply_as = reply_as;
    visit->run.req.host = &host;
    for (size_t i = 0; i < product->routes_n; i++)
        if (strcmp(product->routes[i].method, "POST") == 0 &&
            tb_str_eq(visit->in.path, tb_str(product->routes[i].path)))
            return product->routes[i].handler(&visit->run.req);
    return TB_E_NOT_FOUND;
}

static const char *const FORMS[][2] = {
    {"/oauth/dashboard/decide", "consent=cns_1&decision=approve"},
    {"/oauth/dashboard/request", "request=bcr_1&decision=approve"},
    {"/oauth/dashboard/revoke", "consent=cns_1"},
    {"/oauth/dashboard/agreements", "account=acc_1&partner=ptr_1"},
    {"/oauth/dashboard/agreements/end", "agreement=agr_1"},
};

/* Each form leads back to the page that shows the login, and nothing is asked of the database but
 * the session. */
static void lead_to_the_login(void)
{
    struct tb_session session = {.id = TB_STR(ID)};
    const char *token = tb_session_token(scene.arena, &session).at;
    for (size_t i = 0; i < TB_COUNT(FORMS); i++) {
        struct visit visit = {
            .in = {.method = TB_STR("POST"),
                   .path = tb_str(FORMS[i][0]),
                   .raw_path = tb_str(FORMS[i][0]),
                   .content_type = TB_STR("application/x-www-form-urlencoded"),
                   .body = tb_arena_format(scene.arena, "csrf=%s&%s", token, FORMS[i][1])}};
        visit_header(&visit, "cookie", TB_STR(TB_SESSION_COOKIE "=" ID));
        statements_n = 0;
        status = 0;
        location[0] = '\0';
        const char *code = fixture_do(&scene.fixture, &visit, act);
        if (strcmp(code, "ok") != 0 || status != 303 ||
            strcmp(location, "/oauth/dashboard?lang=zh-CN") != 0 || statements_n != 1)
            fail_msg("%s: %s, %d to %s after %zu statements", FORMS[i][0], code, status, location,
                     statements_n);
    }
}

static void nobody_decides_who_has_not_logged_in(void **state)
{
    (void)state;
    lead_to_the_login();
}

static void a_password_alone_decides_nothing(void **state)
{
    (void)state;
    pg_do(&scene.fixture.pg,
          tb_arena_format(scene.arena,
                          "insert into oauth.browser_session (digest, user_id, state, auth_time,"
                          " idle_until, expires_at) values ('%s', '" CUSTOMER "', 'half', now(),"
                          " now() + interval '5 min', now() + interval '5 min')",
                          tb_handle_digest(scene.arena, TB_STR(ID)).at)
              .at);
    lead_to_the_login();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nobody_decides_who_has_not_logged_in),
    cmocka_unit_test(a_password_alone_decides_nothing),
};
TEST_GROUP(tests, set_up, tear_down);
