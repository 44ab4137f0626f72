/* The bank's own pages: HTML without a script, in Chinese or English, under headers that let
 * nothing else in. Here is what they share, and the page of a failure, which the gateway answers
 * routes with TB_R_HTML by. The pages themselves are in authorize.c, login.c, decide.c,
 * dashboard.c and agreements.c.
 *
 *     struct tb_html html;
 *     struct tb_page_head head = {.title = …, .here = …, .session = session};
 *     tb_page_begin(req, &html, lang, &head);
 *     tb_html(&html, "<p>$</p>\n", …);
 *     return tb_page_reply(req, 200, &html, TB_STR_NONE);
 */
#ifndef TB_OAUTH_PAGE_PAGE_H
#define TB_OAUTH_PAGE_PAGE_H

#include "http/server.h"
#include "oauth/form.h"
#include "oauth/page/html.h"
#include "oauth/user/session.h"
#include <tongbao/plugin.h>
#include <tongbao/req.h>

/** The product that serves the pages. */
extern const struct tb_plugin tb_oauth_pages_product;

/* ---- for the gateway ---- */

#define TB_PAGE_TYPE "text/html; charset=utf-8"

/** Whether answers may bind a browser to https (RFC 6797): not in a sandbox on this very machine,
 *  where everything else on localhost would be bound with it. */
bool tb_page_is_strict(struct tb_req *req);

/** The fields every page carries besides content-type and cache-control: content security policy,
 * no frames, no sniffing, no referrer, transport security. Constant. */
const struct tb_header *tb_page_headers(struct tb_req *req, size_t *out_n);

/** The page that tells a person that something went wrong: what, in their language (the request's
 * Accept-Language), what they can do, and the request's id. Says nothing of the inside: the run's
 * detail is not shown. Goes out with the error's status and tb_page_headers.
 *  @return HTML in the request's arena; absent when it is full */
struct tb_str tb_page_error(struct tb_req *req, tb_err err, struct tb_str request_id);

/* ---- for the pages ---- */

/** The language to answer in: `chosen` ("en", of the page's own links and forms), else the client's
 *  `ui_locales`, else Accept-Language, else Chinese. Each may be absent. */
enum tb_lang tb_page_lang(struct tb_req *req, struct tb_str chosen, struct tb_str ui_locales);

struct tb_page_head {
    struct tb_str title;
    bool failed;                      /**< the title begins with "Error:" */
    struct tb_str here;               /**< this page's path and query up to the language:
                                           "/oauth/dashboard?"; absent: no link to the other language */
    const struct tb_session *session; /**< whose name and log-out button to show, or NULL */
};

/** Begin a page, up to its heading. */
void tb_page_begin(struct tb_req *req, struct tb_html *html, enum tb_lang lang,
                   const struct tb_page_head *head);

/** The box above a form that was not accepted: a sentence that leads to the field to correct.
 *  @param field  id of the field; absent: no link */
void tb_page_problem(struct tb_html *html, struct tb_str sentence, struct tb_str field);

/** The hidden fields every form of ours has: the token of the session and the language. */
void tb_page_form_fields(struct tb_html *html, const struct tb_session *session);

/** Read a form that a page of ours sent; whether its sender is still logged in, the session says.
 *  @return NULL; errors of tb_form_read, tb_session_find and tb_session_check. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_page_form(struct tb_req *req, struct tb_form *out_form,
                                             struct tb_session *out_session,
                                             enum tb_lang *out_lang);

/** End the page and answer with it.
 *  @param origin  where a form of the page may end up besides here ("https://shop.example"), since
 *                 browsers hold redirects of a form to its policy, too; absent: nowhere */
tb_err TB_NODISCARD tb_page_reply(struct tb_req *req, int status, struct tb_html *html,
                                  struct tb_str origin);

/** Answer with 303 See Other: never 307, which would send the form on to where it leads. */
tb_err TB_NODISCARD tb_page_redirect(struct tb_req *req, struct tb_str location);

/* ---- routes, each in the file of its name ---- */

tb_err TB_SUSPENDS tb_authorize_get(struct tb_req *req);
tb_err TB_SUSPENDS tb_authorize_post(struct tb_req *req);
tb_err TB_SUSPENDS tb_login_post(struct tb_req *req);
tb_err TB_SUSPENDS tb_logout_post(struct tb_req *req);
tb_err TB_SUSPENDS tb_decide_post(struct tb_req *req);
tb_err TB_SUSPENDS tb_dashboard_get(struct tb_req *req);
tb_err TB_SUSPENDS tb_dashboard_decide(struct tb_req *req);
tb_err TB_SUSPENDS tb_dashboard_revoke(struct tb_req *req);
tb_err TB_SUSPENDS tb_dashboard_request(struct tb_req *req);
tb_err TB_SUSPENDS tb_agreements_get(struct tb_req *req);
tb_err TB_SUSPENDS tb_agreements_post(struct tb_req *req);
tb_err TB_SUSPENDS tb_agreements_end(struct tb_req *req);

#endif
