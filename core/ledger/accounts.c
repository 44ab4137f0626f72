/* Accounts are opened by the bank and money moves by products: here they are read, and a partner
 * that may debit one gives, in its owner's name, agreements to others. */
#include "ledger/accounts.h"

static const char SQL_ACCOUNT[] = "select bank.read_account($1, $2, $3, $4, $5)";
static const char SQL_ACCOUNTS[] =
    "select data, has_more, first, last from bank.list_accounts($1, $2, $3, $4, $5, $6, $7)";
static const char SQL_ENTRIES[] =
    "select data, has_more, first, last from bank.list_entries($1, $2, $3, $4, $5, $6, $7, $8)";
static const char SQL_CLOSED[] =
    "select from bank.opened($1, $2, $3) c where c.account = $4 and not c.can_read_entries";

static const struct tb_call AGREE = {"bank.agree"};
static const char SQL_AGREEMENT[] = "select bank.read_agreement($1, $2, $3, $4, $5)";
static const char SQL_AGREEMENTS[] =
    "select data, has_more, first, last from bank.list_agreements($1, $2, $3, $4, $5, $6, $7)";
static const char SQL_END[] = "select bank.end_seen_agreement($1, $2, $3, $4, $5)";

/* The consent that the token stands for and what the token says of it; NULL for the partner's own
 * access. */
#define CONSENT(req) TB_TEXT(tb_consent(req)), TB_TEXT(tb_details(req))

static tb_err not_found(struct tb_req *req)
{
    struct tb_str id = tb_path(req, "account_id");
    return tb_fail(req, TB_E_NOT_FOUND, "no account %.*s", (int)id.n, id.at);
}

/* GET /accounts/v1/accounts/{account_id} */
static tb_err TB_SUSPENDS get_account(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_ACCOUNT, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "account_id")));
    return rows->n == 0 ? not_found(req) : tb_reply_row(req, 200, rows, 0);
}

/* GET /accounts/v1/accounts */
static tb_err TB_SUSPENDS list_accounts(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_ACCOUNTS, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_TEXT(page.after), TB_TEXT(page.before), TB_INT(page.limit)));
    return tb_reply_page(req, &page, rows);
}

/* Why there are none: the account is not one of theirs, or the consent opens it without them. */
static tb_err TB_SUSPENDS no_entries(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(
        tb_query(req, &rows, SQL_CLOSED, TB_BOOK(req), CONSENT(req), TB_PATH(req, "account_id")));
    if (rows->n > 0)
        return tb_fail(req, TB_E_CONSENT_MISMATCH, "the consent does not open entries");
    return not_found(req);
}

/* GET /accounts/v1/accounts/{account_id}/entries */
static tb_err TB_SUSPENDS list_entries(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_ENTRIES, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "account_id"), TB_TEXT(page.after), TB_TEXT(page.before),
                    TB_INT(page.limit)));
    return rows->n == 0 ? no_entries(req) : tb_reply_page(req, &page, rows);
}

/* ---- agreements ---- */

static tb_err no_agreement(struct tb_req *req)
{
    struct tb_str id = tb_path(req, "agreement_id");
    return tb_fail(req, TB_E_NOT_FOUND, "no agreement %.*s", (int)id.n, id.at);
}

/* POST /accounts/v1/accounts/{account_id}/agreements */
static tb_err TB_SUSPENDS create_agreement(struct tb_req *req)
{
    struct tb_answer answer;
    TB_TRY(tb_call(req, &answer, &AGREE));
    return tb_reply_answer(req, &answer);
}

/* GET /accounts/v1/accounts/{account_id}/agreements */
static tb_err TB_SUSPENDS list_agreements(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_AGREEMENTS, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "account_id"), TB_TEXT(page.after), TB_TEXT(page.before),
                    TB_INT(page.limit), TB_TIME(tb_now(req))));
    return rows->n == 0 ? not_found(req) : tb_reply_page(req, &page, rows);
}

/* GET /accounts/v1/accounts/{account_id}/agreements/{agreement_id} */
static tb_err TB_SUSPENDS get_agreement(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_AGREEMENT, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "account_id"), TB_PATH(req, "agreement_id"),
                    TB_TIME(tb_now(req))));
    return rows->n == 0 ? no_agreement(req) : tb_reply_row(req, 200, rows, 0);
}

/* DELETE /accounts/v1/accounts/{account_id}/agreements/{agreement_id} */
static tb_err TB_SUSPENDS delete_agreement(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_END, TB_BOOK(req), TB_PARTNER(req), TB_PATH(req, "account_id"),
                    TB_PATH(req, "agreement_id"), TB_TIME(tb_now(req))));
    return rows->n == 0 ? no_agreement(req) : tb_reply(req, 204, TB_STR_NONE);
}

/* ---- tables ---- */

static const struct tb_route routes[] = {
    {.method = "GET",
     .path = "/accounts/v1/accounts",
     .scope = "accounts:read",
     .level = TB_A2,
     .reply_schema = "accounts",
     .flags = TB_R_PAGE,
     .handler = list_accounts,
     .summary = "Accounts you have access to, newest first.",
     .consent = "account_information"},
    {.method = "GET",
     .path = "/accounts/v1/accounts/{account_id:acc}",
     .scope = "accounts:read",
     .level = TB_A2,
     .reply_schema = "account",
     .handler = get_account,
     .summary = "One account with its balances.",
     .consent = "account_information"},
    {.method = "GET",
     .path = "/accounts/v1/accounts/{account_id:acc}/entries",
     .scope = "accounts:read",
     .level = TB_A2,
     .reply_schema = "entries",
     .flags = TB_R_PAGE,
     .handler = list_entries,
     .summary = "Entries of an account, newest first.",
     .consent = "account_information"},
    {.method = "POST",
     .path = "/accounts/v1/accounts/{account_id:acc}/agreements",
     .scope = "accounts:write",
     .level = TB_A2,
     .body_schema = "agreement_create",
     .reply_schema = "agreement",
     .flags = TB_R_KEY | TB_R_FINISH,
     .handler = create_agreement,
     .summary = "Agree, for the owner, to what another partner may take from the account."},
    {.method = "GET",
     .path = "/accounts/v1/accounts/{account_id:acc}/agreements",
     .scope = "accounts:read",
     .level = TB_A2,
     .reply_schema = "agreements",
     .flags = TB_R_PAGE,
     .handler = list_agreements,
     .summary = "Agreements about an account, newest first: all, or those with you."},
    {.method = "GET",
     .path = "/accounts/v1/accounts/{account_id:acc}/agreements/{agreement_id:agr}",
     .scope = "accounts:read",
     .level = TB_A2,
     .reply_schema = "agreement",
     .handler = get_agreement,
     .summary = "One agreement as it is now."},
    {.method = "DELETE",
     .path = "/accounts/v1/accounts/{account_id:acc}/agreements/{agreement_id:agr}",
     .scope = "accounts:write",
     .level = TB_A2,
     .flags = TB_R_FINISH,
     .handler = delete_agreement,
     .summary = "End an agreement; from then on it covers nothing."},
};

TB_ERROR_DEFINE(UNKNOWN_PARTNER, 422, "unknown_partner", false,
                "There is no such partner to agree with.",
                "Name another partner that has an app in this world by its id, `ptr_…`.")
TB_ERROR_DEFINE(AGREEMENT_EXISTS, 409, "agreement_exists", false,
                "An agreement of this kind with the partner is in force.",
                "Follow the Link header to it; end it before you make another one.")
static const struct tb_error_words words[] = {
    {"unknown_partner", "zh", "没有可与之约定的这家机构。",
     "请以 `ptr_…` 标识填写此环境中另一家有应用的机构。"},
    {"agreement_exists", "zh", "与该机构的同类授权已经有效。",
     "Link 响应头指向该授权；请先终止它，再设立新的。"},
};
static const struct tb_error *const errors[] = {
    TB_E_UNKNOWN_PARTNER,
    TB_E_AGREEMENT_EXISTS,
};

static const struct tb_scope scopes[] = {
    {"accounts:read", {"查询您选择的账户", "Read the accounts that you choose"}},
};

static const struct tb_detail_type detail_types[] = {
    {.name = "account_information",
     .schema = "authorization_details/account_information",
     .scope = "accounts:read",
     .title = {"账户信息", "Account information"},
     .question = {"您将允许该应用查询下列账户信息。",
                  "You are about to let the app read the account information below."},
     .from_scope = "{\"type\":\"account_information\","
                   "\"permissions\":[\"balances\",\"entries\",\"details\"]}"},
};

const struct tb_plugin tb_accounts_product = {
    TB_PLUGIN_HEAD,         .name = "accounts",       .version = "1.0.0",
    .title = "Accounts",    TB_TABLE(routes, routes), TB_TABLE(errors, errors),
    TB_TABLE(words, words), TB_TABLE(scopes, scopes), TB_TABLE(detail_types, detail_types),
};
