/* Payments: each request is handed to its SQL function, where the rules about money are. */
#include "e_payment.h"

const struct tb_call e_payment_pay = {"e_payment.pay"};

static const char SQL_PAYMENT[] = "select e_payment.read_payment($1, $2, $3, $4, $5)";
static const char SQL_PAYMENTS[] =
    "select data, has_more, first, last from e_payment.list_payments($1, $2, $3, $4, $5, $6, $7, "
    "$8, $9, $10, $11)";

/* POST /e-payment/v1/payments */
tb_err TB_SUSPENDS e_payment_create_payment(struct tb_req *req)
{
    struct tb_answer answer;
    struct tb_rows *now;
    TB_TRY(tb_call(req, &answer, &e_payment_pay));
    if (!answer.replayed || !tb_prefers_current(req))
        return tb_reply_answer(req, &answer);
    TB_TRY(tb_query(req, &now, SQL_PAYMENT, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_TEXT(tb_last_segment(answer.location))));
    return e_payment_reply_replayed(req, &answer, now);
}

/* GET /e-payment/v1/payments/{payment_id} */
tb_err TB_SUSPENDS e_payment_get_payment(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_PAYMENT, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "payment_id")));
    return rows->n == 0 ? e_payment_no_payment(req) : tb_reply_row(req, 200, rows, 0);
}

/* GET /e-payment/v1/payments */
tb_err TB_SUSPENDS e_payment_list_payments(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_PAYMENTS, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_QUERY(req, "state"), TB_QUERY(req, "reference"),
                    TB_QUERY(req, "created[gte]"), TB_QUERY(req, "created[lt]"),
                    TB_TEXT(page.after), TB_TEXT(page.before), TB_INT(page.limit)));
    return tb_reply_page(req, &page, rows);
}
