/* The product by which a partner sees the consents it was given, what it did with them, and gives
 * them back. It asks with a token of its own; another partner's consents are not found. */
#include "consent/consent.h"

static const char SQL_CONSENT[] = "select consent.read($1, $2, $3, $4)";
static const char SQL_CONSENTS[] =
    "select data, has_more, first, last from consent.list($1, $2, $3, $4, $5, $6, $7, $8)";
static const char SQL_RECEIPTS[] =
    "select data, has_more, first, last from consent.list_receipts($1, $2, $3, $4, $5, $6)";

static tb_err no_consent(struct tb_req *req)
{
    struct tb_str id = tb_path(req, "consent_id");
    return tb_fail(req, TB_E_NOT_FOUND, "no consent %.*s", (int)id.n, id.at);
}

/* GET /consents/v1/consents */
static tb_err TB_SUSPENDS list_consents(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_CONSENTS, TB_BOOK(req), TB_PARTNER(req),
                    TB_QUERY(req, "status"), TB_QUERY(req, "type"), TB_TEXT(page.after),
                    TB_TEXT(page.before), TB_INT(page.limit), TB_TIME(tb_now(req))));
    return tb_reply_page(req, &page, rows);
}

/* GET /consents/v1/consents/{consent_id} */
static tb_err TB_SUSPENDS get_consent(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_CONSENT, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "consent_id"), TB_TIME(tb_now(req))));
    return rows->n == 0 ? no_consent(req) : tb_reply_row(req, 200, rows, 0);
}

/* DELETE /consents/v1/consents/{consent_id} */
static tb_err TB_SUSPENDS delete_consent(struct tb_req *req)
{
    TB_TRY(tb_consent_revoke(req, tb_book(req), tb_path(req, "consent_id"), "partner",
                             tb_partner(req)));
    return tb_reply(req, 204, TB_STR_NONE);
}

/* GET /consents/v1/consents/{consent_id}/receipts */
static tb_err TB_SUSPENDS list_receipts(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_RECEIPTS, TB_BOOK(req), TB_PARTNER(req),
                    TB_PATH(req, "consent_id"), TB_TEXT(page.after), TB_TEXT(page.before),
                    TB_INT(page.limit)));
    return rows->n == 0 ? no_consent(req) : tb_reply_page(req, &page, rows);
}

/* ---- tables ---- */

static const struct tb_query_param filters[] = {
    {"status", TB_Q_ENUM, 0, 0, "AWAU|AWAF|AUTH|RJCT|COND|CANC|EXPD", "Only consents with it."},
    {"type", TB_Q_CONSENT_TYPE, 0, 0, NULL, "Only consents to this."},
    {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
};

static const struct tb_route routes[] = {
    {.method = "GET",
     .path = "/consents/v1/consents",
     .scope = "consents:read",
     .level = TB_A2,
     .reply_schema = "consents",
     .query = filters,
     .flags = TB_R_PAGE | TB_R_EVERY_APP,
     .handler = list_consents,
     .summary = "Consents that customers were asked for by you, newest first.",
     .standard = "UK Open Banking v4 consent statuses"},
    {.method = "GET",
     .path = "/consents/v1/consents/{consent_id:cns}",
     .scope = "consents:read",
     .level = TB_A2,
     .reply_schema = "consent",
     .flags = TB_R_EVERY_APP,
     .handler = get_consent,
     .summary = "One consent as it is now.",
     .standard = "UK Open Banking v4 consent statuses"},
    {.method = "DELETE",
     .path = "/consents/v1/consents/{consent_id:cns}",
     .scope = "consents:write",
     .level = TB_A2,
     .flags = TB_R_FINISH | TB_R_EVERY_APP,
     .handler = delete_consent,
     .summary = "Give a consent back; its tokens count no more."},
    {.method = "GET",
     .path = "/consents/v1/consents/{consent_id:cns}/receipts",
     .scope = "consents:read",
     .level = TB_A2,
     .reply_schema = "receipts",
     .flags = TB_R_PAGE | TB_R_EVERY_APP,
     .handler = list_receipts,
     .summary = "What was done under a consent, newest first."},
};

/* The same as the tables consent.status and consent.edge, for the documents. */
static const char *const statuses[] = {"AWAU", "AWAF", "AUTH", "RJCT",
                                       "COND", "CANC", "EXPD", NULL};
static const char *const terminal[] = {"RJCT", "COND", "CANC", "EXPD", NULL};
static const struct tb_edge edges[] = {
    {"AWAU", "AUTH", "customer"}, {"AWAU", "AWAF", "customer"}, {"AWAU", "RJCT", "customer"},
    {"AWAU", "CANC", "customer"}, {"AWAU", "CANC", "bank"},     {"AWAU", "CANC", "partner"},
    {"AWAU", "EXPD", "time"},     {"AWAF", "AUTH", "customer"}, {"AWAF", "RJCT", "customer"},
    {"AWAF", "CANC", "customer"}, {"AWAF", "CANC", "bank"},     {"AWAF", "CANC", "partner"},
    {"AWAF", "EXPD", "time"},     {"AUTH", "AWAF", "customer"}, {"AUTH", "COND", "use"},
    {"AUTH", "CANC", "customer"}, {"AUTH", "CANC", "bank"},     {"AUTH", "CANC", "partner"},
    {"AUTH", "EXPD", "time"},     {NULL, NULL, NULL},
};
static const struct tb_lifecycle lives[] = {{"consent", statuses, terminal, edges}};

const struct tb_plugin tb_consents_product = {
    TB_PLUGIN_HEAD,           .name = "consents",
    .version = "1.0.0",       .title = "Customers' consents",
    TB_TABLE(routes, routes), TB_TABLE(states, lives),
};
