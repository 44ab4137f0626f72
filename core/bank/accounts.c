/* Reads only: accounts are opened by the bank, and money moves by products. */
#include "bank/accounts.h"

static const char SQL_ACCOUNT[] = "select bank.read_account($1, $2, $3, $4, $5)";
static const char SQL_ACCOUNTS[] =
    "select data, has_more, first, last from bank.list_accounts($1, $2, $3, $4, $5, $6, $7)";
static const char SQL_ENTRIES[] =
    "select data, has_more, first, last from bank.list_entries($1, $2, $3, $4, $5, $6, $7, $8)";
static const char SQL_CLOSED[] =
    "select from bank.opened($1, $2, $3) c where c.account = $4 and not c.can_read_entries";

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
};

const struct tb_plugin tb_accounts_product = {
    TB_PLUGIN_HEAD,      .name = "accounts",       .version = "1.0.0",
    .title = "Accounts", TB_TABLE(routes, routes),
};
