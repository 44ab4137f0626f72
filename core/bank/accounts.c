/* Reads only: accounts are opened by the bank, and money moves by products. */
#include "bank/accounts.h"

static const char SQL_ACCOUNT[] = "select bank.read_account($1, $2, $3)";
static const char SQL_ACCOUNTS[] =
    "select data, has_more, first, last from bank.list_accounts($1, $2, $3, $4, $5)";
static const char SQL_ENTRIES[] =
    "select data, has_more, first, last from bank.list_entries($1, $2, $3, $4, $5, $6)";

static tb_err not_found(struct tb_req *req)
{
    struct tb_str id = tb_path(req, "account_id");
    return tb_fail(req, TB_E_NOT_FOUND, "no account %.*s", (int)id.n, id.at);
}

/* GET /accounts/v1/accounts/{account_id} */
static tb_err TB_SUSPENDS get_account(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_ACCOUNT, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "account_id")));
    return rows->n == 0 ? not_found(req) : tb_reply_row(req, 200, rows, 0);
}

/* GET /accounts/v1/accounts */
static tb_err TB_SUSPENDS list_accounts(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_ACCOUNTS, TB_BOOK(req), TB_PARTNER(req), TB_TEXT(page.after),
                    TB_TEXT(page.before), TB_INT(page.limit)));
    return tb_reply_page(req, &page, rows);
}

/* GET /accounts/v1/accounts/{account_id}/entries */
static tb_err TB_SUSPENDS list_entries(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_ENTRIES, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "account_id"), TB_TEXT(page.after), TB_TEXT(page.before),
                    TB_INT(page.limit)));
    return rows->n == 0 ? not_found(req) : tb_reply_page(req, &page, rows);
}

static const struct tb_route routes[] = {
    {.method = "GET",
     .path = "/accounts/v1/accounts",
     .scope = "accounts:read",
     .level = TB_A2,
     .reply_schema = "accounts",
     .flags = TB_R_PAGE,
     .handler = list_accounts,
     .summary = "Accounts you have access to, newest first."},
    {.method = "GET",
     .path = "/accounts/v1/accounts/{account_id:acc}",
     .scope = "accounts:read",
     .level = TB_A2,
     .reply_schema = "account",
     .handler = get_account,
     .summary = "One account with its balances."},
    {.method = "GET",
     .path = "/accounts/v1/accounts/{account_id:acc}/entries",
     .scope = "accounts:read",
     .level = TB_A2,
     .reply_schema = "entries",
     .flags = TB_R_PAGE,
     .handler = list_entries,
     .summary = "Entries of an account, newest first."},
};

const struct tb_plugin tb_accounts_product = {
    TB_PLUGIN_HEAD,      .name = "accounts",       .version = "1.0.0",
    .title = "Accounts", TB_TABLE(routes, routes),
};
