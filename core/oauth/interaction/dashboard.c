/* The customer's own page: what waits for a decision, what was given, and the buttons that take it
 * back. It shows the consents of the user's company, whoever of the company gave them. */
#include "base/json.h"
#include "consent/consent.h"
#include "oauth/errors.h"
#include "oauth/interaction/consent_page.h"
#include "oauth/interaction/decision.h"
#include "oauth/interaction/login.h"
#include "oauth/interaction/payees.h"
#include "oauth/server.h"
#include "runtime/run.h"

static const char SQL_CONSENTS[] = "select consent.of_user($1, $2, $3)";

static const char SQL_REQUESTS[] =
    "select b.digest, a.name, b.params->>'binding_message' from oauth.backchannel_of_user($1, $2) b "
    "join bank.app a on a.id = b.client";

static const char SQL_DECIDE[] =
    "select d.status, d.refusal from consent.decide($1, $2, $3, $4, null, $5) d";

/* consent.of_user lists 200 consents of a few hundred bytes each. */
static const struct tb_json_limits LIST_LIMITS = {
    .bytes = 768 * 1024, .depth = 16, .members = 60000};

enum { TAIL = 4 }; /* characters of an account's number by which its holder knows it */

/* What the lists are made of. */
struct lists {
    const struct tb_session *session;
    const struct tb_rows *requests;
    const json_t *consents;
    const struct tb_payee *payees;
    size_t payees_n;
};

/* ---- one consent ---- */

static enum tb_msg status_word(struct tb_str status)
{
    static const struct {
        const char *status;
        enum tb_msg word;
    } known[] = {
        {"AWAU", TB_MSG_STATUS_AWAU}, {"AWAF", TB_MSG_STATUS_AWAF}, {"AUTH", TB_MSG_STATUS_AUTH},
        {"RJCT", TB_MSG_STATUS_RJCT}, {"COND", TB_MSG_STATUS_COND}, {"CANC", TB_MSG_STATUS_CANC},
    };
    for (size_t i = 0; i < TB_COUNT(known); i++)
        if (tb_str_eq(status, tb_str(known[i].status)))
            return known[i].word;
    return TB_MSG_STATUS_EXPD;
}

static void add_used_accounts(struct tb_html *html, const json_t *accounts)
{
    if (json_array_size(accounts) == 0)
        return;
    tb_html(html, "<dt>$</dt><dd>", tb_msg(html, TB_MSG_ACCOUNTS));
    for (size_t i = 0; i < json_array_size(accounts); i++) {
        const json_t *account = json_array_get(accounts, i);
        if (i > 0)
            tb_html_raw(html, "<br>");
        struct tb_str id = tb_json_str(account, "id");
        size_t hidden_n = id.n < TAIL ? 0 : id.n - TAIL;
        tb_html(html, "$ <code>…$</code>", tb_json_str(account, "name"),
                (struct tb_str){id.at + hidden_n, id.n - hidden_n});
    }
    tb_html_raw(html, "</dd>\n");
}

static void add_consent_facts(struct tb_html *html, const struct lists *lists,
                              const json_t *consent)
{
    int64_t uses = 0, zone_s = lists->session->zone_s;
    struct tb_consent_terms facts = {.detail = tb_json_object(consent, "details"),
                                     .scope = tb_json_str(consent, "scope"),
                                     .payees = lists->payees,
                                     .payees_n = lists->payees_n,
                                     .zone_s = zone_s};
    tb_consent_terms_begin(html);
    tb_fact(html, TB_MSG_STATUS, tb_msg(html, status_word(tb_json_str(consent, "status"))));
    tb_consent_terms_write(html, &facts);
    add_used_accounts(html, tb_json_array(consent, "accounts"));
    tb_fact(html, TB_MSG_PARTNER, tb_json_str(consent, "partner_name"));
    tb_fact(html, TB_MSG_GIVEN_AT,
            tb_fact_time(html, tb_json_str(consent, "authorised_at"), zone_s));
    if (tb_json_int(consent, "uses_n", &uses))
        tb_fact(html, TB_MSG_USES, tb_arena_format(html->text.arena, "%lld", (long long)uses));
    tb_fact(html, TB_MSG_LAST_USE,
            tb_fact_time(html, tb_json_str(consent, "last_used_at"), zone_s));
    tb_consent_terms_end(html);
}

static void add_button_form(struct tb_html *html, const struct tb_session *session,
                            struct tb_str action, const json_t *consent)
{
    tb_html(html, "<form method=\"post\" action=\"/oauth/dashboard/$\">\n", action);
    tb_page_form_fields(html, session);
    tb_html(html, "<input type=\"hidden\" name=\"consent\" value=\"$\">\n<div class=\"buttons\">\n",
            tb_json_str(consent, "id"));
}

static void add_consent(struct tb_html *html, const struct lists *lists, const json_t *consent)
{
    struct tb_str app = tb_json_str(consent, "app_name");
    bool may_approve = false, may_revoke = false;
    struct tb_str title = tb_consent_title(html, tb_json_str(consent, "type"));
    tb_html(html, "<article class=\"card\">\n<h3>$ · $</h3>\n", app, title);
    add_consent_facts(html, lists, consent);
    if (tb_json_bool(consent, "may_approve", &may_approve) && may_approve) {
        add_button_form(html, lists->session, TB_STR("decide"), consent);
        tb_html(html,
                "<button name=\"decision\" value=\"approve\">$</button>\n"
                "<button class=\"second\" name=\"decision\" value=\"refuse\">$</button>\n"
                "</div>\n</form>\n",
                tb_msg_with(html, TB_MSG_APPROVE_FOR, app),
                tb_msg_with(html, TB_MSG_REFUSE_FOR, app));
    } else if (tb_json_bool(consent, "may_revoke", &may_revoke) && may_revoke) {
        add_button_form(html, lists->session, TB_STR("revoke"), consent);
        tb_html(html, "<button class=\"second\">$</button>\n</div>\n</form>\n",
                tb_msg_with(html, TB_MSG_REVOKE_FOR, app));
    }
    tb_html_raw(html, "</article>\n");
}

/* ---- the page ---- */

static bool waits(const json_t *consent)
{
    bool may_approve = false;
    return tb_json_bool(consent, "may_approve", &may_approve) && may_approve;
}

static void add_pending(struct tb_html *html, const struct lists *lists)
{
    const struct tb_rows *requests = lists->requests;
    const json_t *consents = lists->consents;
    size_t n = requests->n;
    for (size_t i = 0; i < json_array_size(consents); i++)
        n += waits(json_array_get(consents, i));
    if (n == 0)
        return;
    tb_html(html, "<section aria-labelledby=\"pending\">\n<h2 id=\"pending\">$</h2>\n",
            tb_msg(html, TB_MSG_PENDING_TITLE));
    for (size_t i = 0; i < requests->n; i++) {
        struct tb_str app = tb_cell(requests, i, 1);
        tb_html(html, "<article class=\"card\">\n<h3>$</h3>\n",
                tb_msg_with(html, TB_MSG_REQUEST_FROM, app));
        tb_consent_terms_begin(html);
        tb_fact(html, TB_MSG_APP, app);
        tb_fact(html, TB_MSG_MESSAGE, tb_cell(requests, i, 2));
        tb_consent_terms_end(html);
        tb_html(html,
                "<p><a href=\"/oauth/dashboard?request=$&amp;lang=$\">$</a></p>\n</article>\n",
                tb_cell(requests, i, 0), tb_lang_tag(html->lang),
                tb_msg_with(html, TB_MSG_LOOK_AT, app));
    }
    for (size_t i = 0; i < json_array_size(consents); i++)
        if (waits(json_array_get(consents, i)))
            add_consent(html, lists, json_array_get(consents, i));
    tb_html_raw(html, "</section>\n");
}

static void add_given(struct tb_html *html, const struct lists *lists)
{
    const json_t *consents = lists->consents;
    size_t n = 0;
    tb_html(html, "<section aria-labelledby=\"given\">\n<h2 id=\"given\">$</h2>\n",
            tb_msg(html, TB_MSG_GIVEN_TITLE));
    for (size_t i = 0; i < json_array_size(consents); i++) {
        if (waits(json_array_get(consents, i)))
            continue;
        add_consent(html, lists, json_array_get(consents, i));
        n++;
    }
    if (n == 0)
        tb_html(html, "<p>$</p>\n", tb_msg(html, TB_MSG_NOTHING_GIVEN));
    tb_html_raw(html, "</section>\n");
}

/* What the last form did: said once, after the redirect from it. */
static void add_done(struct tb_html *html, struct tb_str done)
{
    static const struct {
        const char *done;
        enum tb_msg word;
    } known[] = {
        {"approved", TB_MSG_DONE_APPROVED},
        {"waiting", TB_MSG_DONE_WAITING},
        {"refused", TB_MSG_DONE_REFUSED},
        {"revoked", TB_MSG_DONE_REVOKED},
    };
    for (size_t i = 0; i < TB_COUNT(known); i++)
        if (tb_str_eq(done, tb_str(known[i].done)))
            tb_html(html, "<div class=\"done\" role=\"status\"><p>$</p></div>\n",
                    tb_msg(html, known[i].word));
}

/* What the page says beside the lists. */
struct note {
    struct tb_str done;
    enum tb_msg problem;
    bool has_problem;
};

static tb_err TB_SUSPENDS read_lists(struct tb_req *req, const struct tb_session *session,
                                     struct lists *out)
{
    const struct tb_user *user = session->user;
    int64_t now_ms = tb_oauth_now_s(req) * 1000;
    struct tb_rows *requests, *rows;
    json_t *consents;
    TB_TRY(tb_query(req, &requests, SQL_REQUESTS, TB_TEXT(user->id), TB_TIME(now_ms)));
    TB_TRY(
        tb_query(req, &rows, SQL_CONSENTS, TB_INT(user->book), TB_TEXT(user->id), TB_TIME(now_ms)));
    TB_TRY(
        tb_json_parse(tb_run_of(req)->arena, tb_cell(rows, 0, 0), &LIST_LIMITS, &consents, NULL));
    *out = (struct lists){.session = session, .requests = requests, .consents = consents};
    size_t n = json_array_size(consents);
    const json_t **details = tb_alloc(req, (n + 1) * sizeof(*details));
    if (details == NULL)
        return TB_E_INTERNAL;
    for (size_t i = 0; i < n; i++)
        details[i] = tb_json_object(json_array_get(consents, i), "details");
    return tb_payees_read(req, user->book, details, n, &out->payees, &out->payees_n);
}

static tb_err TB_SUSPENDS reply_lists(struct tb_req *req, const struct tb_session *session,
                                      enum tb_lang lang, const struct note *note)
{
    struct tb_html html;
    struct lists lists;
    struct tb_page_head head = {.title = tb_msg_in(lang, TB_MSG_DASHBOARD_TITLE),
                                .failed = note->has_problem,
                                .here = TB_STR("/oauth/dashboard?"),
                                .session = session};
    TB_TRY(read_lists(req, session, &lists));
    tb_page_begin(req, &html, lang, &head);
    if (note->has_problem)
        tb_page_problem(&html, tb_msg(&html, note->problem), TB_STR_NONE);
    add_done(&html, note->done);
    tb_html(&html, "<p>$</p>\n<p><a href=\"/oauth/dashboard/agreements?lang=$\">$</a></p>\n",
            tb_msg(&html, TB_MSG_DASHBOARD_TEXT), tb_lang_tag(lang),
            tb_msg(&html, TB_MSG_AGREEMENTS_TITLE));
    add_pending(&html, &lists);
    add_given(&html, &lists);
    return tb_page_reply(req, note->has_problem ? 400 : 200, &html, TB_STR_NONE);
}

static tb_err reply_logged_out(struct tb_req *req, enum tb_lang lang)
{
    struct tb_html html;
    struct tb_page_head head = {.title = tb_msg_in(lang, TB_MSG_LOGGED_OUT_TITLE),
                                .here = TB_STR("/oauth/dashboard?done=out&")};
    tb_page_begin(req, &html, lang, &head);
    tb_html(&html, "<p>$</p>\n<p><a href=\"/oauth/dashboard?lang=$\">$</a></p>\n",
            tb_msg(&html, TB_MSG_LOGGED_OUT_TEXT), tb_lang_tag(lang),
            tb_msg(&html, TB_MSG_LOGIN_TITLE));
    return tb_page_reply(req, 200, &html, TB_STR_NONE);
}

static tb_err TB_SUSPENDS reply_request(struct tb_req *req, const struct tb_session *session,
                                        enum tb_lang lang, struct tb_str digest)
{
    struct tb_authz_request asked;
    tb_err refusal;
    TB_TRY(tb_authz_request_backchannel(req, digest, session->user, &asked));
    if (tb_authz_request_judge(&asked, session, tb_oauth_now_s(req), &refusal) == TB_AUTHZ_REFUSED)
        return tb_fail(req, refusal, "the request cannot be approved by anybody");
    return tb_consent_page_reply(
        req, &(struct tb_consent_page){
                 .asked = &asked, .session = session, .lang = lang, .status = 200});
}

tb_err TB_SUSPENDS tb_dashboard_get(struct tb_req *req)
{
    struct tb_form query;
    struct tb_session session;
    TB_TRY(tb_form_query(req, &query));
    TB_TRY(tb_session_find(req, &session));
    enum tb_lang lang = tb_page_lang(req, tb_form_get(&query, "lang"), TB_STR_NONE);
    struct note note = {.done = tb_form_get(&query, "done")};
    struct tb_str request = tb_form_get(&query, "request");
    if (!session.whole && tb_str_eq(note.done, TB_STR("out")))
        return reply_logged_out(req, lang);
    if (!session.whole)
        return tb_login_reply(
            req, &(struct tb_login){.session = &session, .lang = lang, .wants_code = session.half});
    if (request.at != NULL)
        return reply_request(req, &session, lang, request);
    return reply_lists(req, &session, lang, &note);
}

/* ---- what is sent ---- */

static tb_err reply_done(struct tb_req *req, enum tb_lang lang, const char *done)
{
    return tb_page_redirect(req, tb_arena_format(tb_run_of(req)->arena,
                                                 "/oauth/dashboard?done=%s&lang=%s", done,
                                                 tb_lang_tag(lang).at));
}

struct colleague {
    const struct tb_user *user;
    struct tb_str consent, status, refusal;
    bool approve;
};

static tb_err TB_SUSPENDS write_approval(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct colleague *mine = arg;
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(mine->user->book), TB_TEXT(mine->consent),
                                      TB_TEXT(mine->user->id), TB_BOOL(mine->approve),
                                      TB_TIME(tb_oauth_now_s(req) * 1000)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_DECIDE, params, TB_COUNT(params)));
    mine->status = tb_cell(rows, 0, 0);
    mine->refusal = tb_cell(rows, 0, 1);
    return NULL;
}

static const char *done_by(struct tb_str status)
{
    return tb_str_eq(status, TB_STR("AWAF")) ? "waiting" : "approved";
}

tb_err TB_SUSPENDS tb_dashboard_decide(struct tb_req *req)
{
    struct tb_form form;
    struct tb_session session;
    enum tb_lang lang;
    TB_TRY(tb_page_form(req, &form, &session, &lang));
    if (!session.whole)
        return tb_login_go_on(req, &(struct tb_login){.lang = lang});
    struct tb_str choice = tb_form_get(&form, "decision");
    struct colleague mine = {.user = session.user,
                             .consent = tb_form_get(&form, "consent"),
                             .approve = tb_str_eq(choice, TB_STR("approve"))};
    if (!mine.approve && !tb_str_eq(choice, TB_STR("refuse")))
        return tb_fail(req, TB_E_INVALID_REQUEST, "the form says neither approve nor refuse");
    TB_TRY(tb_tx_run(req, tb_oauth()->store, write_approval, &mine));
    if (mine.refusal.at != NULL)
        return reply_lists(
            req, &session, lang,
            &(struct note){.problem = tb_refusal_word(mine.refusal), .has_problem = true});
    return reply_done(req, lang, mine.approve ? done_by(mine.status) : "refused");
}

tb_err TB_SUSPENDS tb_dashboard_revoke(struct tb_req *req)
{
    struct tb_form form;
    struct tb_session session;
    enum tb_lang lang;
    TB_TRY(tb_page_form(req, &form, &session, &lang));
    if (!session.whole)
        return tb_login_go_on(req, &(struct tb_login){.lang = lang});
    TB_TRY(tb_consent_revoke(req, session.user->book, tb_form_get(&form, "consent"), "customer",
                             session.user->id));
    return reply_done(req, lang, "revoked");
}

tb_err TB_SUSPENDS tb_dashboard_request(struct tb_req *req)
{
    struct tb_form form;
    struct tb_session session;
    struct tb_authz_request asked;
    enum tb_lang lang;
    tb_err refusal;
    TB_TRY(tb_page_form(req, &form, &session, &lang));
    if (!session.whole)
        return tb_login_go_on(req, &(struct tb_login){.lang = lang});
    TB_TRY(tb_authz_request_backchannel(req, tb_form_get(&form, "request"), session.user, &asked));
    struct tb_str choice = tb_form_get(&form, "decision");
    struct tb_decision decision = {.asked = &asked,
                                   .session = &session,
                                   .approve = tb_str_eq(choice, TB_STR("approve")),
                                   .accounts = tb_consent_page_chosen(req, &form)};
    struct tb_consent_page again = {.asked = &asked,
                                    .session = &session,
                                    .lang = lang,
                                    .status = 400,
                                    .has_problem = true,
                                    .problem = TB_MSG_CHOOSE_ONE_ERROR};
    if (!decision.approve && !tb_str_eq(choice, TB_STR("refuse")))
        return tb_fail(req, TB_E_INVALID_REQUEST, "the form says neither approve nor refuse");
    if (decision.approve &&
        tb_authz_request_judge(&asked, &session, tb_oauth_now_s(req), &refusal) == TB_AUTHZ_REFUSED)
        return tb_fail(req, refusal, "the request cannot be approved by anybody");
    if (decision.approve && tb_consent_page_wants_account(&asked) && decision.accounts.at == NULL)
        return tb_consent_page_reply(req, &again);
    TB_TRY(tb_decide(req, &decision));
    if (decision.refusal.at != NULL) {
        again.problem = tb_refusal_word(decision.refusal);
        return tb_consent_page_reply(req, &again);
    }
    return reply_done(req, lang, decision.approve ? done_by(decision.status) : "refused");
}
