/* Failures say the same whatever was wrong, and cost the same whether the login exists or not. A
 * login of another world than the app's is one of them. The fields are called `login`, `password`
 * and `code`. */
#include "oauth/interaction/login.h"
#include "oauth/server.h"
#include "oauth/user/throttle.h"
#include "runtime/run.h"

/* ---- the page ---- */

static void add_password_fields(struct tb_html *html, const struct tb_login *login)
{
    struct tb_str invalid = login->failed ? TB_STR("true") : TB_STR("false");
    tb_html(html,
            "<label for=\"login\">$</label>\n<input type=\"text\" id=\"login\" name=\"login\" "
            "value=\"$\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" "
            "maxlength=\"64\" required aria-invalid=\"$\">\n",
            tb_msg(html, TB_MSG_LOGIN), login->login, invalid);
    tb_html(html,
            "<label for=\"password\">$</label>\n<input type=\"password\" id=\"password\" "
            "name=\"password\" autocomplete=\"current-password\" maxlength=\"256\" required "
            "aria-invalid=\"$\">\n",
            tb_msg(html, TB_MSG_PASSWORD), invalid);
}

static void add_code_field(struct tb_html *html, const struct tb_login *login)
{
    tb_html(html,
            "<label for=\"code\">$</label>\n<p class=\"hint\" id=\"code-hint\">$</p>\n"
            "<input type=\"text\" id=\"code\" name=\"code\" inputmode=\"numeric\" "
            "autocomplete=\"one-time-code\" maxlength=\"16\" required "
            "aria-describedby=\"code-hint\" aria-invalid=\"$\">\n",
            tb_msg(html, TB_MSG_CODE), tb_msg(html, TB_MSG_CODE_HINT),
            login->failed ? TB_STR("true") : TB_STR("false"));
}

static void add_problem(struct tb_html *html, const struct tb_login *login)
{
    struct tb_arena *arena = html->text.arena;
    if (login->wait_s > 0) {
        struct tb_str minutes = tb_arena_format(arena, "%lld",
                                                (long long)((login->wait_s + 59) / 60));
        tb_page_problem(html, tb_msg_with(html, TB_MSG_LOGIN_SLOWED, minutes), TB_STR_NONE);
    } else if (login->failed && login->wants_code) {
        tb_page_problem(html, tb_msg(html, TB_MSG_CODE_WRONG), TB_STR("code"));
    } else if (login->failed) {
        tb_page_problem(html, tb_msg(html, TB_MSG_LOGIN_WRONG), TB_STR("login"));
    }
}

static void add_login_form(struct tb_html *html, const struct tb_login *login)
{
    tb_html_raw(html, "<form method=\"post\" action=\"/oauth/login\">\n");
    tb_page_form_fields(html, login->session);
    if (login->asked != NULL)
        tb_authz_request_fields(html, login->asked);
    if (login->wants_code)
        add_code_field(html, login);
    else
        add_password_fields(html, login);
    tb_html(html, "<div class=\"buttons\"><button>$</button></div>\n</form>\n",
            tb_msg(html, TB_MSG_CONTINUE));
}

/* The way back: to another login, or to the app without one. */
static void add_ways_out(struct tb_html *html, const struct tb_login *login)
{
    if (login->wants_code) {
        tb_html_raw(html, "<form method=\"post\" action=\"/oauth/logout\">\n");
        tb_page_form_fields(html, login->session);
        if (login->asked != NULL)
            tb_authz_request_fields(html, login->asked);
        tb_html(html, "<button class=\"second\">$</button>\n</form>\n",
                tb_msg(html, TB_MSG_START_AGAIN));
    } else if (login->asked != NULL) {
        tb_html_raw(html, "<form method=\"post\" action=\"/oauth/decide\">\n");
        tb_page_form_fields(html, login->session);
        tb_authz_request_fields(html, login->asked);
        tb_html(html,
                "<button class=\"second\" name=\"decision\" value=\"refuse\">$</button>\n</form>\n",
                tb_msg_with(html, TB_MSG_CANCEL_REQUEST, login->asked->client->name));
    }
}

tb_err tb_login_reply(struct tb_req *req, const struct tb_login *login)
{
    struct tb_html html;
    struct tb_page_head head = {
        .title = tb_msg_in(login->lang, login->wants_code ? TB_MSG_CODE_TITLE : TB_MSG_LOGIN_TITLE),
        .failed = login->failed || login->wait_s > 0,
        .here = login->asked == NULL ? TB_STR("/oauth/dashboard?") : login->asked->here,
        .session = login->session,
    };
    tb_page_begin(req, &html, login->lang, &head);
    add_problem(&html, login);
    if (login->asked != NULL && !login->wants_code)
        tb_html(&html, "<p>$</p>\n",
                tb_msg_with(&html, TB_MSG_LOGIN_FOR, login->asked->client->name));
    add_login_form(&html, login);
    add_ways_out(&html, login);
    if (login->wait_s > 0)
        TB_TRY(tb_set_header(
            req, "retry-after",
            tb_arena_format(tb_run_of(req)->arena, "%lld", (long long)login->wait_s)));
    int status = login->wait_s > 0 ? 429 : login->failed ? 400 : 200;
    return tb_page_reply(req, status, &html,
                         login->asked == NULL ? TB_STR_NONE : login->asked->origin);
}

/* ---- what is sent ---- */

tb_err tb_login_go_on(struct tb_req *req, const struct tb_login *login)
{
    struct tb_str here = login->asked == NULL ? TB_STR("/oauth/dashboard?") : login->asked->here;
    struct tb_str lang = tb_lang_tag(login->lang);
    return tb_page_redirect(req, tb_arena_format(tb_run_of(req)->arena, "%.*slang=%.*s",
                                                 (int)here.n, here.at, (int)lang.n, lang.at));
}

static tb_err TB_SUSPENDS take_password(struct tb_req *req, struct tb_login *login,
                                        const struct tb_form *form, struct tb_session *session)
{
    struct tb_user *user;
    struct tb_str password = tb_form_get(form, "password");
    login->login = tb_form_get(form, "login");
    TB_TRY(tb_throttle_attempt(req, TB_THROTTLE_PASSWORD, login->login, &login->wait_s));
    if (login->wait_s > 0)
        return tb_login_reply(req, login);
    TB_TRY(tb_user_login(req, login->login, password, &user));
    if (user == NULL || (login->asked != NULL && !tb_authz_request_of_world(login->asked, user))) {
        login->failed = true;
        return tb_login_reply(req, login);
    }
    TB_TRY(tb_throttle_success(req, TB_THROTTLE_PASSWORD, login->login));
    TB_TRY(tb_user_challenge(req, user));
    TB_TRY(tb_session_open(req, session, user, false));
    return tb_login_go_on(req, login);
}

static tb_err TB_SUSPENDS take_code(struct tb_req *req, struct tb_login *login,
                                    const struct tb_form *form, struct tb_session *session)
{
    bool right;
    struct tb_str name = session->user->login;
    login->wants_code = true;
    TB_TRY(tb_throttle_attempt(req, TB_THROTTLE_CODE, name, &login->wait_s));
    if (login->wait_s > 0)
        return tb_login_reply(req, login);
    TB_TRY(tb_user_factor(req, session->user, tb_form_get(form, "code"), &right));
    if (!right) {
        login->failed = true;
        return tb_login_reply(req, login);
    }
    TB_TRY(tb_throttle_success(req, TB_THROTTLE_CODE, name));
    TB_TRY(tb_session_open(req, session, session->user, true));
    return tb_login_go_on(req, login);
}

/* A form of ours: in this browser, and for the request it names, if it names one. */
static tb_err TB_SUSPENDS read_form(struct tb_req *req, struct tb_form *form,
                                    struct tb_session *session, struct tb_authz_request *asked,
                                    struct tb_login *out)
{
    TB_TRY(tb_form_read(req, form));
    TB_TRY(tb_session_find(req, session));
    TB_TRY(tb_session_check(req, session, form));
    *out = (struct tb_login){
        .session = session,
        .lang = tb_page_lang(req, tb_form_get(form, "lang"), TB_STR_NONE),
    };
    if (tb_form_get(form, "request_uri").at == NULL)
        return NULL;
    out->asked = asked;
    return tb_authz_request_pushed(req, tb_form_get(form, "client_id"),
                                   tb_form_get(form, "request_uri"), asked);
}

tb_err TB_SUSPENDS tb_login_post(struct tb_req *req)
{
    struct tb_form form;
    struct tb_session session;
    struct tb_authz_request asked;
    struct tb_login login;
    TB_TRY(read_form(req, &form, &session, &asked, &login));
    if (tb_form_get(&form, "login").at != NULL)
        return take_password(req, &login, &form, &session);
    if (session.half &&
        (login.asked == NULL || tb_authz_request_of_world(login.asked, session.user)))
        return take_code(req, &login, &form, &session);
    /* The code came too late or for somebody of another world, or nothing was filled in. */
    return tb_login_go_on(req, &login);
}

tb_err TB_SUSPENDS tb_logout_post(struct tb_req *req)
{
    struct tb_form form;
    struct tb_session session;
    struct tb_authz_request asked;
    struct tb_login login;
    TB_TRY(read_form(req, &form, &session, &asked, &login));
    bool half = session.half;
    TB_TRY(tb_session_close(req, &session));
    if (half)
        return tb_login_go_on(req, &login);
    return tb_page_redirect(req, tb_arena_format(tb_run_of(req)->arena,
                                                 "/oauth/dashboard?done=out&lang=%s",
                                                 tb_lang_tag(login.lang).at));
}
