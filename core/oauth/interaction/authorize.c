/* GET and POST /oauth/authorize: the customer's browser arrives from the partner with nothing but a
 * client_id and a request_uri. Opening the page changes nothing: it may be a preview of the link,
 * and may be opened again until the customer has decided. */
#include "base/json.h"
#include "oauth/errors.h"
#include "oauth/interaction/authorization_response.h"
#include "oauth/interaction/consent_page.h"
#include "oauth/interaction/login.h"
#include "oauth/server.h"

tb_err TB_SUSPENDS tb_authorize_get(struct tb_req *req)
{
    struct tb_form query;
    struct tb_authz_request asked;
    struct tb_session session;
    tb_err refusal;
    TB_TRY(tb_form_query(req, &query));
    TB_TRY(tb_authz_request_pushed(req, tb_form_get(&query, "client_id"),
                                   tb_form_get(&query, "request_uri"), &asked));
    TB_TRY(tb_session_find(req, &session));
    enum tb_lang lang = tb_page_lang(req, tb_form_get(&query, "lang"),
                                     tb_json_str(asked.params, "ui_locales"));
    switch (tb_authz_request_judge(&asked, &session, tb_oauth_now_s(req), &refusal)) {
    case TB_AUTHZ_LOGIN:
        return tb_login_reply(req,
                              &(struct tb_login){.asked = &asked,
                                                 .session = &session,
                                                 .lang = lang,
                                                 .login = tb_json_str(asked.params, "login_hint")});
    case TB_AUTHZ_CODE:
        return tb_login_reply(
            req, &(struct tb_login){
                     .asked = &asked, .session = &session, .lang = lang, .wants_code = true});
    case TB_AUTHZ_DECIDE:
        return tb_consent_page_reply(
            req, &(struct tb_consent_page){
                     .asked = &asked, .session = &session, .lang = lang, .status = 200});
    case TB_AUTHZ_REFUSED:
        break;
    }
    return tb_authz_response_error(req, &asked, refusal);
}

/* A form of the partner's page comes across sites, so the browser leaves our cookie out, and a new
 * one would end the session it has. The redirect leads it to the page by GET, where it shows the
 * cookie again, and leaves no form to send twice. */
tb_err TB_SUSPENDS tb_authorize_post(struct tb_req *req)
{
    struct tb_form form, query;
    struct tb_authz_request asked;
    TB_TRY(tb_form_read(req, &form));
    TB_TRY(tb_form_query(req, &query));
    if (query.n > 0)
        return tb_fail(req, TB_E_INVALID_REQUEST,
                       "send the parameters in the body or in the URL, not in both");
    TB_TRY(tb_authz_request_pushed(req, tb_form_get(&form, "client_id"),
                                   tb_form_get(&form, "request_uri"), &asked));
    enum tb_lang lang = tb_page_lang(req, tb_form_get(&form, "lang"),
                                     tb_json_str(asked.params, "ui_locales"));
    return tb_login_go_on(req, &(struct tb_login){.asked = &asked, .lang = lang});
}
