/* The customer's page of agreements: what partners may take from the accounts of the user's company
 * that they may not debit otherwise, a form to agree to more, and buttons that end it. */
#include "base/json.h"
#include "oauth/interaction/consent_terms.h"
#include "oauth/interaction/login.h"
#include "oauth/server.h"
#include "runtime/run.h"

static const char SQL_LISTS[] = "select consent.agreements_of_user($1, $2, $3)";
static const char SQL_AGREE[] = "select consent.customer_agree($1, $2, $3, $4, $5, $6, $7)";
static const char SQL_END[] = "select consent.customer_end_agreement($1, $2, $3, $4)";

/* consent.agreements_of_user lists 200 accounts and 200 agreements of a few hundred bytes each. */
static const struct tb_json_limits LIST_LIMITS = {
    .bytes = 384 * 1024, .depth = 8, .members = 20000};

static const char HERE[] = "/oauth/dashboard/agreements";

/* What the page says beside the lists, and what was in the form that it says it about. */
struct note {
    struct tb_str done;
    struct tb_str field; /* id of the field to correct */
    enum tb_msg problem;
    bool has_problem;
    struct tb_str account, partner, each;
};

/* ---- what there is ---- */

static enum tb_msg state_word(struct tb_str state)
{
    return tb_str_eq(state, TB_STR("active"))  ? TB_MSG_STATUS_AUTH
           : tb_str_eq(state, TB_STR("ended")) ? TB_MSG_STATUS_ENDED
                                               : TB_MSG_STATUS_EXPD;
}

static enum tb_msg maker_word(struct tb_str made_by)
{
    return tb_str_eq(made_by, TB_STR("customer"))  ? TB_MSG_BY_CUSTOMER
           : tb_str_eq(made_by, TB_STR("partner")) ? TB_MSG_BY_PARTNER
                                                   : TB_MSG_BY_BANK;
}

static struct tb_str number_of(struct tb_html *html, const json_t *object, const char *name)
{
    int64_t number = 0;
    if (!tb_json_int(object, name, &number))
        return TB_STR_NONE;
    return tb_arena_format(html->text.arena, "%lld", (long long)number);
}

static void add_agreement(struct tb_html *html, const struct tb_session *session,
                          const json_t *agreement)
{
    struct tb_str partner = tb_json_str(agreement, "partner_name");
    struct tb_str state = tb_json_str(agreement, "state");
    const json_t *used = tb_json_object(agreement, "used");
    tb_html(html, "<article class=\"card\">\n<h3>$ · $</h3>\n", partner,
            tb_json_str(agreement, "account_name"));
    tb_consent_terms_begin(html);
    tb_fact(html, TB_MSG_STATUS, tb_msg(html, state_word(state)));
    tb_fact(html, TB_MSG_ACCOUNT, tb_json_str(agreement, "account"));
    tb_fact(html, TB_MSG_AGREEMENT_EACH,
            tb_fact_money(html, tb_json_object(agreement, "maximum_individual_amount")));
    tb_fact(
        html, TB_MSG_PERIOD_LIMIT,
        tb_fact_money(html, tb_json_object(tb_json_object(agreement, "periodic_limit"), "amount")));
    tb_fact(html, TB_MSG_AGREEMENT_DAYS, number_of(html, agreement, "days"));
    tb_fact(html, TB_MSG_VALID_TO,
            tb_fact_time(html, tb_json_str(agreement, "valid_to"), session->zone_s));
    tb_fact(html, TB_MSG_AGREEMENT_MADE_BY,
            tb_msg(html, maker_word(tb_json_str(agreement, "made_by"))));
    tb_fact(html, TB_MSG_AGREEMENT_MADE_AT,
            tb_fact_time(html, tb_json_str(agreement, "created_at"), session->zone_s));
    tb_fact(html, TB_MSG_AGREEMENT_COUNT, number_of(html, used, "count"));
    tb_fact(html, TB_MSG_AGREEMENT_SUM, tb_fact_money(html, tb_json_object(used, "amount")));
    tb_consent_terms_end(html);
    if (tb_str_eq(state, TB_STR("active"))) {
        tb_html(html, "<form method=\"post\" action=\"$/end\">\n", tb_str(HERE));
        tb_page_form_fields(html, session);
        tb_html(html,
                "<input type=\"hidden\" name=\"agreement\" value=\"$\">\n<div class=\"buttons\">\n"
                "<button class=\"second\">$</button>\n</div>\n</form>\n",
                tb_json_str(agreement, "id"), tb_msg_with(html, TB_MSG_AGREEMENT_END_FOR, partner));
    }
    tb_html_raw(html, "</article>\n");
}

static void add_agreements(struct tb_html *html, const struct tb_session *session,
                           const json_t *agreements)
{
    tb_html(html, "<section aria-labelledby=\"given\">\n<h2 id=\"given\">$</h2>\n",
            tb_msg(html, TB_MSG_AGREEMENTS_GIVEN));
    for (size_t i = 0; i < json_array_size(agreements); i++)
        add_agreement(html, session, json_array_get(agreements, i));
    if (json_array_size(agreements) == 0)
        tb_html(html, "<p>$</p>\n", tb_msg(html, TB_MSG_NOTHING_GIVEN));
    tb_html_raw(html, "</section>\n");
}

/* ---- the form ---- */

static void add_choice(struct tb_html *html, const json_t *account, struct tb_str chosen)
{
    struct tb_str id = tb_json_str(account, "id");
    tb_html(html,
            "<div class=\"choice\"><input type=\"radio\" id=\"$\" name=\"account\" value=\"$\"", id,
            id);
    tb_html_raw(html, tb_str_eq(id, chosen) ? " checked>\n" : ">\n");
    tb_html(html, "<label for=\"$\">$ <small><code>$</code><br>$</small></label></div>\n", id,
            tb_json_str(account, "name"), id, tb_json_str(account, "currency"));
}

static void add_field(struct tb_html *html, const char *name, enum tb_msg label, enum tb_msg hint,
                      struct tb_str value, const struct note *note)
{
    struct tb_str id = tb_str(name);
    tb_html(html,
            "<label for=\"$\">$</label>\n<p class=\"hint\" id=\"$-hint\">$</p>\n"
            "<input type=\"text\" id=\"$\" name=\"$\" value=\"$\" autocomplete=\"off\" "
            "spellcheck=\"false\" aria-describedby=\"$-hint\"",
            id, tb_msg(html, label), id, tb_msg(html, hint), id, id, value, id);
    tb_html_raw(html, note->has_problem && tb_str_eq(note->field, id) ? " aria-invalid=\"true\">\n"
                                                                      : ">\n");
}

static void add_form(struct tb_html *html, const struct tb_session *session, const json_t *accounts,
                     const struct note *note)
{
    tb_html(html, "<section aria-labelledby=\"new\">\n<h2 id=\"new\">$</h2>\n",
            tb_msg(html, TB_MSG_AGREEMENT_NEW));
    if (json_array_size(accounts) == 0) {
        tb_html(html, "<p>$</p>\n</section>\n", tb_msg(html, TB_MSG_NO_ACCOUNTS));
        return;
    }
    tb_html(html, "<form method=\"post\" action=\"$\">\n", tb_str(HERE));
    tb_page_form_fields(html, session);
    tb_html(html, "<fieldset id=\"accounts\">\n<legend>$</legend>\n",
            tb_msg(html, TB_MSG_AGREEMENT_ACCOUNT));
    for (size_t i = 0; i < json_array_size(accounts); i++)
        add_choice(html, json_array_get(accounts, i), note->account);
    tb_html_raw(html, "</fieldset>\n");
    add_field(html, "partner", TB_MSG_AGREEMENT_PARTNER, TB_MSG_AGREEMENT_PARTNER_HINT,
              note->partner, note);
    add_field(html, "each", TB_MSG_AGREEMENT_EACH, TB_MSG_AGREEMENT_EACH_HINT, note->each, note);
    tb_html(html, "<div class=\"buttons\">\n<button>$</button>\n</div>\n</form>\n</section>\n",
            tb_msg(html, TB_MSG_AGREEMENT_GIVE));
}

/* ---- the page ---- */

static tb_err TB_SUSPENDS read_lists(struct tb_req *req, const struct tb_session *session,
                                     json_t **out_lists)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_LISTS, TB_INT(session->user->book), TB_TEXT(session->user->id),
                    TB_TIME(tb_oauth_now_s(req) * 1000)));
    return tb_json_parse(tb_run_of(req)->arena, tb_cell(rows, 0, 0), &LIST_LIMITS, out_lists, NULL);
}

static void add_done(struct tb_html *html, struct tb_str done)
{
    bool agreed = tb_str_eq(done, TB_STR("agreed"));
    if (agreed || tb_str_eq(done, TB_STR("ended")))
        tb_html(html, "<div class=\"done\" role=\"status\"><p>$</p></div>\n",
                tb_msg(html, agreed ? TB_MSG_DONE_AGREED : TB_MSG_DONE_ENDED));
}

static tb_err TB_SUSPENDS reply_lists(struct tb_req *req, const struct tb_session *session,
                                      enum tb_lang lang, const json_t *lists,
                                      const struct note *note)
{
    struct tb_html html;
    struct tb_page_head head = {.title = tb_msg_in(lang, TB_MSG_AGREEMENTS_TITLE),
                                .failed = note->has_problem,
                                .here = TB_STR("/oauth/dashboard/agreements?"),
                                .session = session};
    tb_page_begin(req, &html, lang, &head);
    if (note->has_problem)
        tb_page_problem(&html, tb_msg(&html, note->problem), note->field);
    add_done(&html, note->done);
    tb_html(&html, "<p>$</p>\n<p><a href=\"/oauth/dashboard?lang=$\">$</a></p>\n",
            tb_msg(&html, TB_MSG_AGREEMENTS_TEXT), tb_lang_tag(lang),
            tb_msg(&html, TB_MSG_DASHBOARD_TITLE));
    add_agreements(&html, session, tb_json_array(lists, "agreements"));
    add_form(&html, session, tb_json_array(lists, "accounts"), note);
    return tb_page_reply(req, note->has_problem ? 400 : 200, &html, TB_STR_NONE);
}

/* GET /oauth/dashboard/agreements */
tb_err TB_SUSPENDS tb_agreements_get(struct tb_req *req)
{
    struct tb_form query;
    struct tb_session session;
    json_t *lists;
    TB_TRY(tb_form_query(req, &query));
    TB_TRY(tb_session_find(req, &session));
    enum tb_lang lang = tb_page_lang(req, tb_form_get(&query, "lang"), TB_STR_NONE);
    if (!session.whole)
        return tb_login_reply(
            req, &(struct tb_login){.session = &session, .lang = lang, .wants_code = session.half});
    TB_TRY(read_lists(req, &session, &lists));
    return reply_lists(req, &session, lang, lists,
                       &(struct note){.done = tb_form_get(&query, "done")});
}

/* ---- what is sent ---- */

static tb_err reply_done(struct tb_req *req, enum tb_lang lang, const char *done)
{
    return tb_page_redirect(req, tb_arena_format(tb_run_of(req)->arena, "%s?done=%s&lang=%s", HERE,
                                                 done, tb_lang_tag(lang).at));
}

static const json_t *account_of(const json_t *lists, struct tb_str id)
{
    const json_t *accounts = tb_json_array(lists, "accounts");
    for (size_t i = 0; i < json_array_size(accounts); i++)
        if (tb_str_eq(tb_json_str(json_array_get(accounts, i), "id"), id))
            return json_array_get(accounts, i);
    return NULL;
}

/* "500.00" in the account's currency as minor units: above zero, with no digit finer than the
 * smallest unit. */
static bool read_sum(struct tb_str text, struct tb_str currency, int64_t *out_minor)
{
    const struct tb_currency *known = tb_currency(currency);
    struct tb_rate sum;
    if (known == NULL || !tb_rate_parse(text, &sum) || sum.scale > known->exponent)
        return false;
    for (int32_t i = sum.scale; i < known->exponent; i++)
        if (__builtin_mul_overflow(sum.digits, 10, &sum.digits))
            return false;
    *out_minor = sum.digits;
    return sum.digits > 0 && sum.digits <= TB_MONEY_JSON_MAX;
}

/* Why an agreement was not made, and the field to correct. */
static void explain(struct tb_str code, struct note *note)
{
    static const struct {
        const char *code, *field;
        enum tb_msg word;
    } known[] = {
        {"unknown_partner", "partner", TB_MSG_AGREEMENT_NO_PARTNER},
        {"agreement_exists", "partner", TB_MSG_AGREEMENT_EXISTS},
        {"others_too", NULL, TB_MSG_AGREEMENT_OTHERS},
        {"over_limit", "each", TB_MSG_AGREEMENT_OVER_LIMIT},
    };
    note->has_problem = true;
    note->problem = TB_MSG_WRONG_ACCOUNT;
    for (size_t i = 0; i < TB_COUNT(known); i++)
        if (tb_str_eq(code, tb_str(known[i].code))) {
            note->problem = known[i].word;
            note->field = tb_str(known[i].field);
        }
}

struct agreeing {
    const struct tb_user *user;
    const struct note *form;
    int64_t each_minor; /* 0: what a payment brought */
    struct tb_str code; /* why it was not made; absent: it was */
};

static tb_err TB_SUSPENDS write_agreement(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct agreeing *a = arg;
    struct tb_rows *rows;
    char id[TB_ID_ROOM];
    int64_t now_ms = tb_oauth_now_s(req) * 1000;
    size_t id_n = tb_id_make(id, "agr", a->user->book, now_ms);
    const struct tb_param params[] = {TB_INT(a->user->book),
                                      TB_TEXT(((struct tb_str){id, id_n})),
                                      TB_TEXT(a->user->id),
                                      TB_TEXT(a->form->account),
                                      TB_TEXT(a->form->partner),
                                      a->each_minor > 0 ? TB_INT(a->each_minor) : TB_NULL,
                                      TB_TIME(now_ms)};
    TB_TRY(tb_tx_query(tx, &rows, SQL_AGREE, params, TB_COUNT(params)));
    a->code = tb_cell(rows, 0, 0);
    return NULL;
}

/* POST /oauth/dashboard/agreements */
tb_err TB_SUSPENDS tb_agreements_post(struct tb_req *req)
{
    struct tb_form form;
    struct tb_session session;
    enum tb_lang lang;
    json_t *lists;
    TB_TRY(tb_page_form(req, &form, &session, &lang));
    if (!session.whole)
        return tb_login_go_on(req, &(struct tb_login){.lang = lang});
    TB_TRY(read_lists(req, &session, &lists));
    struct note note = {.account = tb_form_get(&form, "account"),
                        .partner = tb_form_get(&form, "partner"),
                        .each = tb_form_get(&form, "each")};
    struct agreeing agreeing = {.user = session.user, .form = &note};
    const json_t *account = account_of(lists, note.account);
    if (account == NULL) {
        note.has_problem = true;
        note.problem = TB_MSG_CHOOSE_ONE_ERROR;
        note.field = TB_STR("accounts");
    } else if (note.each.at != NULL &&
               !read_sum(note.each, tb_json_str(account, "currency"), &agreeing.each_minor)) {
        note.has_problem = true;
        note.problem = TB_MSG_AGREEMENT_BAD_SUM;
        note.field = TB_STR("each");
    } else {
        TB_TRY(tb_tx_run(req, tb_oauth()->store, write_agreement, &agreeing));
        if (agreeing.code.at != NULL)
            explain(agreeing.code, &note);
    }
    return note.has_problem ? reply_lists(req, &session, lang, lists, &note)
                            : reply_done(req, lang, "agreed");
}

/* POST /oauth/dashboard/agreements/end */
tb_err TB_SUSPENDS tb_agreements_end(struct tb_req *req)
{
    struct tb_form form;
    struct tb_session session;
    enum tb_lang lang;
    struct tb_rows *rows;
    TB_TRY(tb_page_form(req, &form, &session, &lang));
    if (!session.whole)
        return tb_login_go_on(req, &(struct tb_login){.lang = lang});
    struct tb_str id = tb_form_get(&form, "agreement");
    TB_TRY(tb_query(req, &rows, SQL_END, TB_INT(session.user->book), TB_TEXT(id),
                    TB_TEXT(session.user->id), TB_TIME(tb_oauth_now_s(req) * 1000)));
    if (!tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t")))
        return tb_fail(req, TB_E_NOT_FOUND, "no agreement %.*s", (int)id.n, id.at);
    return reply_done(req, lang, "ended");
}
