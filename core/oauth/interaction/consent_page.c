#include "oauth/interaction/consent_page.h"
#include "base/id.h"
#include "base/json.h"
#include "base/money.h"
#include "oauth/interaction/payees.h"
#include "oauth/request/details.h"
#include "runtime/run.h"

/* The customer's accounts that could be meant: of the currency, and of those the request names. */
static const char SQL_ACCOUNTS[] =
    "select a.id, a.name, a.currency, a.balance - a.held from bank.account a "
    "where a.book = $1 and a.party = $2 and a.state = 'open' and ($3::text is null or a.currency = $3) "
    "and ($4::text[] is null or a.id = any ($4)) and a.id is distinct from $5 order by a.id limit 50";

/* Whether this user's approval is not enough. */
static const char SQL_OTHERS[] =
    "select coalesce((select r.approvals from consent.rule r "
    "where r.book = $1 and r.company = $2 and r.type = $3), 1) > 1 "
    "or (exists (select from consent.role_limit l where l.book = $1 and l.company = $2) "
    "and $5::bigint > 0 and not exists (select from consent.role_limit l where l.book = $1 and "
    "l.company = $2 and l.role = $4 and l.currency = $6 and l.amount >= $5))";

/* ---- what the request says ---- */

static const json_t *detail_of(const struct tb_authz_request *asked)
{
    return json_array_get(asked->details, 0);
}

bool tb_consent_page_wants_account(const struct tb_authz_request *asked)
{
    return tb_details_kind(detail_of(asked)) != TB_DETAIL_PLAIN;
}

/* "{acc_…,acc_…}" of one id or a list of them; absent for neither. */
static struct tb_str array_of(struct tb_req *req, struct tb_str one, const json_t *list)
{
    struct tb_text text;
    if (one.at == NULL && list == NULL)
        return TB_STR_NONE;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_text_add_char(&text, '{');
    tb_account_ids_add(&text, one, list);
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}

/* The most that can leave at once or in one period, and its currency; 0 when no money is asked. */
static int64_t exposure(const json_t *detail, struct tb_str *out_currency)
{
    struct tb_money money = {0, ""};
    const json_t *first = json_object_get(detail, "amount");
    if (first == NULL)
        first = json_object_get(detail, "maximum_individual_amount");
    *out_currency = TB_STR_NONE;
    if (first == NULL || tb_money_parse(first, &money) != NULL)
        return 0;
    *out_currency = tb_json_str(first, "currency");
    int64_t most = money.minor;
    const json_t *limits = tb_json_array(detail, "periodic_limits");
    for (size_t i = 0; i < json_array_size(limits); i++)
        if (tb_money_parse(json_object_get(json_array_get(limits, i), "amount"), &money) == NULL &&
            money.minor > most)
            most = money.minor;
    return most;
}

/* ---- reading what is shown ---- */

struct shown {
    struct tb_rows *accounts; /* NULL: none are to be chosen */
    struct tb_consent_terms facts;
    bool others_too;
};

static tb_err TB_SUSPENDS read_shown(struct tb_req *req, const struct tb_consent_page *ask,
                                     struct shown *out)
{
    const struct tb_user *user = ask->session->user;
    const json_t *detail = detail_of(ask->asked);
    struct tb_str currency;
    struct tb_rows *rows;
    int64_t most = exposure(detail, &currency);
    *out = (struct shown){
        .accounts = NULL,
        .facts = {.detail = detail, .scope = ask->asked->scope, .zone_s = ask->session->zone_s}};
    TB_TRY(tb_payees_read(req, user->book, &detail, 1, &out->facts.payees, &out->facts.payees_n));
    if (tb_consent_page_wants_account(ask->asked))
        TB_TRY(tb_query(req, &out->accounts, SQL_ACCOUNTS, TB_INT(user->book),
                        TB_TEXT(user->company), TB_TEXT(currency),
                        TB_TEXT(array_of(req, tb_json_str(detail, "debtor_account"),
                                         tb_json_array(detail, "accounts"))),
                        TB_TEXT(tb_json_str(detail, "creditor_account"))));
    struct tb_str type = detail == NULL ? TB_STR("identity") : ask->asked->type;
    TB_TRY(tb_query(req, &rows, SQL_OTHERS, TB_INT(user->book), TB_TEXT(user->company),
                    TB_TEXT(type), TB_TEXT(user->role), TB_INT(most), TB_TEXT(currency)));
    out->others_too = tb_str_eq(tb_cell(rows, 0, 0), TB_STR("t"));
    return NULL;
}

/* ---- writing ---- */

static void add_facts(struct tb_html *html, const struct tb_consent_page *ask,
                      const struct shown *shown)
{
    const struct tb_authz_request *asked = ask->asked;
    tb_consent_terms_begin(html);
    tb_fact(html, TB_MSG_MESSAGE, tb_json_str(asked->params, "binding_message"));
    tb_consent_terms_write(html, &shown->facts);
    tb_fact(html, TB_MSG_APP, asked->client->name);
    tb_fact(html, TB_MSG_PARTNER, asked->partner_name);
    tb_fact(html, TB_MSG_ON_BEHALF, ask->session->user->company_name);
    tb_fact(html, TB_MSG_RETURNS_TO, asked->origin);
    tb_consent_terms_end(html);
}

static struct tb_str available(struct tb_html *html, const struct tb_rows *accounts, size_t i)
{
    struct tb_money money = {tb_cell_int(accounts, i, 3), ""};
    struct tb_str currency = tb_cell(accounts, i, 2);
    memcpy(money.currency, currency.at, currency.n < 3 ? currency.n : 3);
    return tb_fact_sum(html, money);
}

/* One account to pay from is a choice among buttons, accounts to read are boxes, none of them
 * ticked: what is given is given on purpose. A box is called like its account, so that no name
 * comes twice.
 */
static void add_accounts(struct tb_html *html, const struct tb_consent_page *ask,
                         const struct tb_rows *rows)
{
    bool many = tb_details_kind(detail_of(ask->asked)) == TB_DETAIL_READS;
    bool single = !many && rows->n == 1;
    tb_html(html, "<fieldset id=\"accounts\">\n<legend>$</legend>\n",
            tb_msg(html, many ? TB_MSG_CHOOSE_ACCOUNTS : TB_MSG_CHOOSE_ACCOUNT));
    for (size_t i = 0; i < rows->n; i++) {
        struct tb_str id = tb_cell(rows, i, 0);
        if (many)
            tb_html(html,
                    "<div class=\"choice\"><input type=\"checkbox\" id=\"$\" name=\"$\" "
                    "value=\"1\">\n",
                    id, id);
        else
            tb_html(html,
                    "<div class=\"choice\"><input type=\"radio\" id=\"$\" name=\"account\" "
                    "value=\"$\"",
                    id, id);
        if (!many)
            tb_html_raw(html, single ? " checked>\n" : ">\n");
        tb_html(html, "<label for=\"$\">$ <small><code>$</code><br>$ $</small></label></div>\n", id,
                tb_cell(rows, i, 1), id, tb_msg(html, TB_MSG_ACCOUNT_LABEL_AVAILABLE),
                available(html, rows, i));
    }
    tb_html_raw(html, "</fieldset>\n");
}

static void add_form(struct tb_html *html, const struct tb_consent_page *ask,
                     const struct shown *shown)
{
    const struct tb_authz_request *asked = ask->asked;
    bool pushed = asked->request_uri.at != NULL;
    tb_html(html, "<form method=\"post\" action=\"$\">\n",
            pushed ? TB_STR("/oauth/decide") : TB_STR("/oauth/dashboard/request"));
    tb_page_form_fields(html, ask->session);
    tb_authz_request_fields(html, asked);
    if (shown->accounts != NULL && shown->accounts->n > 0)
        add_accounts(html, ask, shown->accounts);
    else if (shown->accounts != NULL)
        tb_html(html, "<p class=\"problem\">$</p>\n", tb_msg(html, TB_MSG_NO_ACCOUNTS));
    if (shown->others_too)
        tb_html(html, "<p>$</p>\n", tb_msg(html, TB_MSG_OTHERS_TOO));
    tb_html_raw(html, "<div class=\"buttons\">\n");
    if (shown->accounts == NULL || shown->accounts->n > 0)
        tb_html(html, "<button name=\"decision\" value=\"approve\">$</button>\n",
                tb_msg(html, TB_MSG_APPROVE));
    tb_html(html,
            "<button class=\"second\" name=\"decision\" value=\"refuse\">$</button>\n</div>\n"
            "</form>\n<p class=\"note\">$</p>\n",
            tb_msg(html, TB_MSG_REFUSE), tb_msg(html, TB_MSG_DECIDE_NOTE));
}

/* Where the customer can do something about a problem. */
static struct tb_str first_account(const struct shown *shown)
{
    bool none = shown->accounts == NULL || shown->accounts->n == 0;
    return none ? TB_STR_NONE : tb_cell(shown->accounts, 0, 0);
}

tb_err TB_SUSPENDS tb_consent_page_reply(struct tb_req *req, const struct tb_consent_page *ask)
{
    struct tb_html html;
    struct shown shown;
    TB_TRY(read_shown(req, ask, &shown));
    tb_html_init(&html, tb_run_of(req)->arena, ask->lang);
    struct tb_page_head head = {
        .title = tb_msg_with(&html, TB_MSG_DECIDE_TITLE, ask->asked->client->name),
        .failed = ask->has_problem,
        .here = ask->asked->here,
        .session = ask->session,
    };
    tb_page_begin(req, &html, ask->lang, &head);
    if (ask->has_problem)
        tb_page_problem(&html, tb_msg(&html, ask->problem), first_account(&shown));
    tb_html(&html, "<p>$</p>\n", tb_consent_question(&html, ask->asked->type));
    add_facts(&html, ask, &shown);
    add_form(&html, ask, &shown);
    return tb_page_reply(req, ask->status, &html, ask->asked->origin);
}

/* ---- what comes back ---- */

struct tb_str tb_consent_page_chosen(struct tb_req *req, const struct tb_form *form)
{
    struct tb_str one = tb_form_get(form, "account");
    struct tb_text text;
    tb_text_init(&text, tb_run_of(req)->arena);
    tb_text_add_char(&text, '{');
    if (tb_id_check(one, "acc"))
        tb_text_add(&text, one);
    for (size_t i = 0; i < form->n; i++) {
        if (!tb_id_check(form->pairs[i].name, "acc"))
            continue;
        if (text.n > 1)
            tb_text_add_char(&text, ',');
        tb_text_add(&text, form->pairs[i].name);
    }
    tb_text_add_char(&text, '}');
    struct tb_str chosen = tb_text_end(&text);
    return chosen.n == 2 ? TB_STR_NONE : chosen;
}
