/* Refunds of payments, handed to SQL as payments are. */
#include "e_payment.h"

const struct tb_call e_payment_refund = {"e_payment.refund"};

static const char SQL_REFUND[] = "select e_payment.read_refund($1, $2, $3, $4, $5, $6)";
static const char SQL_REFUNDS[] =
    "select data, has_more, first, last from e_payment.list_refunds($1, $2, $3, $4, $5, $6, $7, $8)";

/* POST /e-payment/v1/payments/{payment_id}/refunds */
tb_err TB_SUSPENDS e_payment_create_refund(struct tb_req *req)
{
    struct tb_answer answer;
    struct tb_rows *now;
    TB_TRY(tb_call(req, &answer, &e_payment_refund));
    if (!answer.replayed || !tb_prefers_current(req))
        return tb_reply_answer(req, &answer);
    TB_TRY(tb_query(req, &now, SQL_REFUND, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "payment_id"), TB_TEXT(tb_last_segment(answer.location))));
    return e_payment_reply_replayed(req, &answer, now);
}

/* GET /e-payment/v1/payments/{payment_id}/refunds/{refund_id} */
tb_err TB_SUSPENDS e_payment_get_refund(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_REFUND, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "payment_id"), TB_PATH(req, "refund_id")));
    struct tb_str id = tb_path(req, "refund_id");
    if (rows->n == 0)
        return tb_fail_at(req, TB_E_NOT_FOUND, "?refund_id", "no refund %.*s", (int)id.n, id.at);
    return tb_reply_row(req, 200, rows, 0);
}

/* GET /e-payment/v1/payments/{payment_id}/refunds */
tb_err TB_SUSPENDS e_payment_list_refunds(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_REFUNDS, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "payment_id"), TB_TEXT(page.after), TB_TEXT(page.before),
                    TB_INT(page.limit)));
    bool from_start = page.after.at == NULL && page.before.at == NULL;
    return rows->n == 0 && from_start ? e_payment_no_payment(req) : tb_reply_page(req, &page, rows);
}
