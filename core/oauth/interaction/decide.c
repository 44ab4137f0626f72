/* POST /oauth/decide: the customer's answer to what was pushed. What the form says is checked
 * against the request as it was pushed, not against what the page happened to show. */
#include "oauth/errors.h"
#include "oauth/interaction/authorization_response.h"
#include "oauth/interaction/consent_page.h"
#include "oauth/interaction/decision.h"
#include "oauth/interaction/login.h"
#include "oauth/server.h"

static tb_err TB_SUSPENDS approve(struct tb_req *req, const struct tb_authz_request *asked,
                                  const struct tb_session *session, const struct tb_form *form,
                                  enum tb_lang lang)
{
    struct tb_decision decision = {.asked = asked,
                                   .session = session,
                                   .approve = true,
                                   .accounts = tb_consent_page_chosen(req, form)};
    struct tb_consent_page again = {.asked = asked,
                                    .session = session,
                                    .lang = lang,
                                    .status = 400,
                                    .has_problem = true,
                                    .problem = TB_MSG_CHOOSE_ONE_ERROR};
    if (tb_consent_page_wants_account(asked) && decision.accounts.at == NULL)
        return tb_consent_page_reply(req, &again);
    TB_TRY(tb_decide(req, &decision));
    if (decision.refusal.at != NULL) {
        again.problem = tb_refusal_word(decision.refusal);
        return tb_consent_page_reply(req, &again);
    }
    return tb_authz_response_code(req, asked, decision.code.text);
}

/* Also without a login: whoever has the request's page may go back to the app. */
static tb_err TB_SUSPENDS deny_consent(struct tb_req *req, const struct tb_authz_request *asked,
                                       const struct tb_session *session)
{
    bool theirs = session->whole && tb_authz_request_of_world(asked, session->user);
    struct tb_decision decision = {.asked = asked, .session = theirs ? session : NULL};
    TB_TRY(tb_decide(req, &decision));
    return tb_authz_response_error(req, asked, TB_E_ACCESS_DENIED);
}

tb_err TB_SUSPENDS tb_decide_post(struct tb_req *req)
{
    struct tb_form form;
    struct tb_authz_request asked;
    struct tb_session session;
    tb_err refusal;
    TB_TRY(tb_form_read(req, &form));
    TB_TRY(tb_session_find(req, &session));
    TB_TRY(tb_session_check(req, &session, &form));
    TB_TRY(tb_authz_request_pushed(req, tb_form_get(&form, "client_id"),
                                   tb_form_get(&form, "request_uri"), &asked));
    enum tb_lang lang = tb_page_lang(req, tb_form_get(&form, "lang"), TB_STR_NONE);
    struct tb_str choice = tb_form_get(&form, "decision");
    if (tb_str_eq(choice, TB_STR("refuse")))
        return deny_consent(req, &asked, &session);
    if (!tb_str_eq(choice, TB_STR("approve")))
        return tb_fail(req, TB_E_INVALID_REQUEST, "the form says neither approve nor refuse");
    switch (tb_authz_request_judge(&asked, &session, tb_oauth_now_s(req), &refusal)) {
    case TB_AUTHZ_DECIDE:
        return approve(req, &asked, &session, &form, lang);
    case TB_AUTHZ_REFUSED:
        return tb_authz_response_error(req, &asked, refusal);
    default: /* the session ended meanwhile */
        return tb_login_go_on(req, &(struct tb_login){.asked = &asked, .lang = lang});
    }
}
