/* e-payment: payments between accounts, and their refunds. The rules about money are in sql/; here
 * are the tables a partner and the host read, and handlers that hand each request to its SQL
 * function.
 *
 * A decline (no funds, closed account, limit) is a payment in state `failed` with a code. Refusals
 * are for requests that make no sense: an account the partner does not know, a reference used
 * before. */
#include <tongbao/tongbao.h>

/* ---- payments ---- */

static const struct tb_call PAY = {"e_payment.pay"};
static const struct tb_call REFUND = {"e_payment.refund"};

static const char SQL_PAYMENT[] = "select e_payment.read_payment($1, $2, $3, $4, $5)";
static const char SQL_PAYMENTS[] =
    "select data, has_more, first, last from e_payment.list_payments($1, $2, $3, $4, $5, $6, $7, "
    "$8, $9, $10, $11)";
static const char SQL_REFUND[] = "select e_payment.read_refund($1, $2, $3, $4, $5, $6)";
static const char SQL_REFUNDS[] =
    "select data, has_more, first, last from e_payment.list_refunds($1, $2, $3, $4, $5, $6, $7, $8)";

/* The consent that the token stands for, whose payments and refunds alone it may see, as far as the
 * token's own details go; NULL for all of the partner's. */
#define CONSENT(req) TB_TEXT(tb_consent(req)), TB_TEXT(tb_details(req))

static tb_err no_payment(struct tb_req *req)
{
    struct tb_str id = tb_path(req, "payment_id");
    return tb_fail_at(req, TB_E_NOT_FOUND, "?payment_id", "no payment %.*s", (int)id.n, id.at);
}

/* The stored answer of an earlier request, with the object as it is now for who prefers that. */
static tb_err reply_replayed(struct tb_req *req, struct tb_answer *answer,
                             const struct tb_rows *now)
{
    if (now->n == 1) {
        answer->body = tb_cell(now, 0, 0);
        TB_TRY(tb_set_header(req, "preference-applied", TB_STR("current")));
    }
    return tb_reply_answer(req, answer);
}

/* POST /e-payment/v1/payments */
static tb_err TB_SUSPENDS create_payment(struct tb_req *req)
{
    struct tb_answer answer;
    struct tb_rows *now;
    TB_TRY(tb_call(req, &answer, &PAY));
    if (!answer.replayed || !tb_prefers_current(req))
        return tb_reply_answer(req, &answer);
    TB_TRY(tb_query(req, &now, SQL_PAYMENT, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_TEXT(tb_last_segment(answer.location))));
    return reply_replayed(req, &answer, now);
}

/* GET /e-payment/v1/payments/{payment_id} */
static tb_err TB_SUSPENDS get_payment(struct tb_req *req)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_PAYMENT, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "payment_id")));
    return rows->n == 0 ? no_payment(req) : tb_reply_row(req, 200, rows, 0);
}

/* GET /e-payment/v1/payments */
static tb_err TB_SUSPENDS list_payments(struct tb_req *req)
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

/* ---- refunds ---- */

/* POST /e-payment/v1/payments/{payment_id}/refunds */
static tb_err TB_SUSPENDS create_refund(struct tb_req *req)
{
    struct tb_answer answer;
    struct tb_rows *now;
    TB_TRY(tb_call(req, &answer, &REFUND));
    if (!answer.replayed || !tb_prefers_current(req))
        return tb_reply_answer(req, &answer);
    TB_TRY(tb_query(req, &now, SQL_REFUND, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "payment_id"), TB_TEXT(tb_last_segment(answer.location))));
    return reply_replayed(req, &answer, now);
}

/* GET /e-payment/v1/payments/{payment_id}/refunds/{refund_id} */
static tb_err TB_SUSPENDS get_refund(struct tb_req *req)
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
static tb_err TB_SUSPENDS list_refunds(struct tb_req *req)
{
    struct tb_rows *rows;
    struct tb_page page;
    TB_TRY(tb_page(req, &page));
    TB_TRY(tb_query(req, &rows, SQL_REFUNDS, TB_BOOK(req), TB_PARTNER(req), CONSENT(req),
                    TB_PATH(req, "payment_id"), TB_TEXT(page.after), TB_TEXT(page.before),
                    TB_INT(page.limit)));
    bool from_start = page.after.at == NULL && page.before.at == NULL;
    return rows->n == 0 && from_start ? no_payment(req) : tb_reply_page(req, &page, rows);
}

/* ---- tables ---- */

static const struct tb_query_param payment_filters[] = {
    {"state", TB_Q_ENUM, 0, 0, "processing|succeeded|failed", "Only payments in this state."},
    {"reference", TB_Q_TEXT, 1, 64, NULL, "Only the payment with this reference."},
    {"created[gte]", TB_Q_TIME, 0, 0, NULL, "Only payments made at or after this time."},
    {"created[lt]", TB_Q_TIME, 0, 0, NULL, "Only payments made before this time."},
    {NULL, TB_Q_TEXT, 0, 0, NULL, NULL},
};

static const struct tb_route routes[] = {
    {.method = "POST",
     .path = "/e-payment/v1/payments",
     .scope = "e-payment:write",
     .level = TB_A2,
     .body_schema = "payment_create",
     .reply_schema = "payment",
     .flags = TB_R_KEY | TB_R_FINISH,
     .handler = create_payment,
     .summary = "Pay from one account to another, at once.",
     .standard = "ISO 20022 pacs.008, synchronous",
     .consent = "payment|mandate"},
    {.method = "GET",
     .path = "/e-payment/v1/payments",
     .scope = "e-payment:read",
     .level = TB_A2,
     .reply_schema = "payments",
     .query = payment_filters,
     .flags = TB_R_PAGE,
     .handler = list_payments,
     .summary = "Your payments, newest first.",
     .consent = "payment|mandate"},
    {.method = "GET",
     .path = "/e-payment/v1/payments/{payment_id:pay}",
     .scope = "e-payment:read",
     .level = TB_A2,
     .reply_schema = "payment",
     .handler = get_payment,
     .summary = "One payment as it is now.",
     .consent = "payment|mandate"},
    {.method = "POST",
     .path = "/e-payment/v1/payments/{payment_id:pay}/refunds",
     .scope = "e-payment:write",
     .level = TB_A2,
     .body_schema = "refund_create",
     .reply_schema = "refund",
     .flags = TB_R_KEY | TB_R_FINISH,
     .handler = create_refund,
     .summary = "Give a payment back, in part or whole.",
     .consent = "payment|mandate"},
    {.method = "GET",
     .path = "/e-payment/v1/payments/{payment_id:pay}/refunds",
     .scope = "e-payment:read",
     .level = TB_A2,
     .reply_schema = "refunds",
     .flags = TB_R_PAGE,
     .handler = list_refunds,
     .summary = "The refunds of a payment, newest first.",
     .consent = "payment|mandate"},
    {.method = "GET",
     .path = "/e-payment/v1/payments/{payment_id:pay}/refunds/{refund_id:rfd}",
     .scope = "e-payment:read",
     .level = TB_A2,
     .reply_schema = "refund",
     .handler = get_refund,
     .summary = "One refund.",
     .consent = "payment|mandate"},
};

static const char *const states[] = {"processing", "succeeded", "failed", NULL};
static const char *const terminal[] = {"succeeded", "failed", NULL};
static const struct tb_edge edges[] = {
    {"processing", "succeeded", "bank"},
    {"processing", "failed", "bank"},
    {NULL, NULL, NULL},
};
static const struct tb_lifecycle lives[] = {
    {"payment", states, terminal, edges},
    {"refund", states, terminal, edges},
};

TB_ERROR_DEFINE(NOT_REFUNDABLE, 409, "payment_not_refundable", false,
                "The payment is in a state that cannot be refunded.",
                "Only payments in state succeeded can be refunded.")
TB_ERROR_DEFINE(REFUND_EXCEEDS, 409, "refund_exceeds_payment", false,
                "The refund is larger than what is left of the payment.",
                "`remaining` says what is left; leave the amount out to refund all of it.")
TB_ERROR_DEFINE(
    NOT_AUTHORISED, 409, "refund_not_authorised", false,
    "The refund would debit an account that you have no right to debit.",
    "Ask the account's owner for an agreement about refunds, or for a consent to debit the "
    "account; `detail` says what is missing.")
TB_ERROR_DEFINE(SAME_ACCOUNT, 422, "same_account", false,
                "Debtor and creditor are the same account.", "Pay another account.")
static const struct tb_error_words words[] = {
    {"payment_not_refundable", "zh", "付款当前的状态不能退款。",
     "只有状态为 succeeded 的付款可以退款。"},
    {"refund_exceeds_payment", "zh", "退款金额超过付款的剩余金额。",
     "`remaining` 是剩余金额；不填金额则退还全部剩余金额。"},
    {"refund_not_authorised", "zh", "退款将扣划您无权扣划的账户。",
     "请取得账户所有人的退款授权，或其扣款授权；`detail` 说明缺少什么。"},
    {"same_account", "zh", "付款账户与收款账户相同。", "请付款至另一个账户。"},
};
static const struct tb_error *const errors[] = {
    TB_E_NOT_REFUNDABLE,
    TB_E_REFUND_EXCEEDS,
    TB_E_NOT_AUTHORISED,
    TB_E_SAME_ACCOUNT,
};

/* The same as e_payment.failure_json. */
static const struct tb_decline declines[] = {
    {"insufficient_funds", "The account to be debited has less available than the amount."},
    {"debtor_account_closed", "The debtor account of the payment is closed."},
    {"creditor_account_closed", "The creditor account of the payment is closed."},
    {"single_limit_exceeded",
     "The amount is above the limit of the account to be debited for one debit."},
    {"day_limit_exceeded", "The limit of the account to be debited for the day would be exceeded."},
    {"balance_limit_exceeded", "The account to be credited cannot hold that much."},
};

static const struct tb_event_type events[] = {
    {"payment.succeeded", "The money has moved."},
    {"payment.failed", "The payment was declined; `failure` says why."},
    {"refund.succeeded", "The money went back."},
    {"refund.failed", "The refund was declined; `failure` says why."},
};

static const struct tb_scope scopes[] = {
    {"e-payment:write", {"发起获得授权的付款", "Make the payments that you approve"}},
    {"e-payment:read", {"查询其发起的付款", "See the payments that it made"}},
};

static const struct tb_detail_type detail_types[] = {
    {.name = "payment",
     .schema = "authorization_details/payment",
     .scope = "e-payment:read e-payment:write",
     .title = {"一笔付款", "One payment"},
     .question =
         {"您将授权下面这一笔付款。授权后由该应用发起，只能使用一次。",
          "You are about to approve the one payment below. The app may then make it, once."}},
    {.name = "mandate",
     .schema = "authorization_details/mandate",
     .scope = "e-payment:read e-payment:write",
     .title = {"自动付款", "Repeated payments"},
     .question =
         {"您将允许该应用在下列限额内多次从您的账户付款，付款时不再询问您。",
          "You are about to let the app pay from your account within the limits below, more "
          "than once and without asking again."}},
};

static const struct tb_call *const calls[] = {&PAY, &REFUND};

TB_PLUGIN = {
    TB_PLUGIN_HEAD,
    .name = "e-payment",
    .version = "1.0.0",
    .title = "Corporate payments",
    TB_TABLE(routes, routes),
    TB_TABLE(states, lives),
    TB_TABLE(errors, errors),
    TB_TABLE(events, events),
    TB_TABLE(calls, calls),
    TB_TABLE(words, words),
    TB_TABLE(declines, declines),
    TB_TABLE(scopes, scopes),
    TB_TABLE(detail_types, detail_types),
    .migrations = tb_migrations,
};
