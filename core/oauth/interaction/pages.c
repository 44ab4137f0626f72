/* Which paths the bank's pages have, and the style sheet they share. */
#include "oauth/page/page.h"

/* style.css, as the build embeds it. */
extern const char tb_page_style[];

/* GET /oauth/style.css */
static tb_err get_style(struct tb_req *req)
{
    TB_TRY(tb_set_header(req, "cache-control", TB_STR("public, max-age=3600")));
    TB_TRY(tb_set_header(req, "x-content-type-options", TB_STR("nosniff")));
    return tb_reply_as(req, 200, "text/css; charset=utf-8", tb_str(tb_page_style));
}

enum { FORM_BYTES = 32 * 1024, PAGE = TB_R_RAW | TB_R_HTML, ACT = PAGE | TB_R_FINISH };

static const struct tb_route routes[] = {
    {.method = "GET",
     .path = "/oauth/authorize",
     .level = TB_A1,
     .flags = PAGE,
     .handler = tb_authorize_get,
     .summary = "Ask the customer in the browser for what was pushed.",
     .standard = "RFC 9126 §4, FAPI 2.0 Security Profile §5.3.2.2"},
    {.method = "POST",
     .path = "/oauth/authorize",
     .level = TB_A1,
     .flags = PAGE,
     .body_bytes = FORM_BYTES,
     .handler = tb_authorize_post,
     .summary = "The same by a form of the partner's page.",
     .standard = "OpenID Connect Core §3.1.2.1, RFC 6749 §3.1"},
    {.method = "POST",
     .path = "/oauth/login",
     .level = TB_A1,
     .flags = PAGE,
     .body_bytes = FORM_BYTES,
     .handler = tb_login_post,
     .summary = "Log in: password, then second factor."},
    {.method = "POST",
     .path = "/oauth/decide",
     .level = TB_A1,
     .flags = ACT,
     .body_bytes = FORM_BYTES,
     .handler = tb_decide_post,
     .summary = "Approve or refuse what was pushed."},
    {.method = "GET",
     .path = "/oauth/dashboard",
     .level = TB_A1,
     .flags = PAGE,
     .handler = tb_dashboard_get,
     .summary = "A customer's approvals and what waits for a decision."},
    {.method = "POST",
     .path = "/oauth/dashboard/decide",
     .level = TB_A1,
     .flags = ACT,
     .body_bytes = FORM_BYTES,
     .handler = tb_dashboard_decide,
     .summary = "Approve or refuse what a colleague has approved."},
    {.method = "POST",
     .path = "/oauth/dashboard/request",
     .level = TB_A1,
     .flags = ACT,
     .body_bytes = FORM_BYTES,
     .handler = tb_dashboard_request,
     .summary = "Approve or refuse a request that came without a browser.",
     .standard = "OpenID CIBA Core §8"},
    {.method = "POST",
     .path = "/oauth/dashboard/revoke",
     .level = TB_A1,
     .flags = ACT,
     .body_bytes = FORM_BYTES,
     .handler = tb_dashboard_revoke,
     .summary = "Take an approval back."},
    {.method = "GET",
     .path = "/oauth/dashboard/agreements",
     .level = TB_A1,
     .flags = PAGE,
     .handler = tb_agreements_get,
     .summary = "What partners may take from a customer's accounts by agreement."},
    {.method = "POST",
     .path = "/oauth/dashboard/agreements",
     .level = TB_A1,
     .flags = ACT,
     .body_bytes = FORM_BYTES,
     .handler = tb_agreements_post,
     .summary = "Agree that a partner refunds from an account."},
    {.method = "POST",
     .path = "/oauth/dashboard/agreements/end",
     .level = TB_A1,
     .flags = ACT,
     .body_bytes = FORM_BYTES,
     .handler = tb_agreements_end,
     .summary = "End an agreement."},
    {.method = "POST",
     .path = "/oauth/logout",
     .level = TB_A1,
     .flags = ACT,
     .body_bytes = FORM_BYTES,
     .handler = tb_logout_post,
     .summary = "Log out."},
    {.method = "GET",
     .path = "/oauth/style.css",
     .level = TB_A1,
     .flags = PAGE,
     .handler = get_style,
     .summary = "How the pages look."},
};

static const struct tb_error *const errors[] = {TB_E_FORM_FOREIGN};
static const struct tb_error_words words[] = {
    {"form_not_accepted", "zh", "提交来自其他网站，或页面已失效。", "请返回重新开始。"},
};

const struct tb_plugin tb_oauth_pages_product = {
    TB_PLUGIN_HEAD,           .name = "oauth-pages",
    .version = "1.0.0",       .title = "Pages of the authorization server",
    TB_TABLE(routes, routes), TB_TABLE(errors, errors),
    TB_TABLE(words, words),
};
