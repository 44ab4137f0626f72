/* e-payment: payments between accounts, and their refunds. Here are the tables that a partner and
 * the host read; handlers are in payments.c and refunds.c, the rules about money in sql/.
 *
 * A decline (no funds, closed account, limit) is a payment in state `failed` with a code. Refusals
 * are for requests that make no sense: an account the partner does not know, a reference used
 * before. */
#include "e_payment.h"

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
     .handler = e_payment_create_payment,
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
     .handler = e_payment_list_payments,
     .summary = "Your payments, newest first.",
     .consent = "payment|mandate"},
    {.method = "GET",
     .path = "/e-payment/v1/payments/{payment_id:pay}",
     .scope = "e-payment:read",
     .level = TB_A2,
     .reply_schema = "payment",
     .handler = e_payment_get_payment,
     .summary = "One payment as it is now.",
     .consent = "payment|mandate"},
    {.method = "POST",
     .path = "/e-payment/v1/payments/{payment_id:pay}/refunds",
     .scope = "e-payment:write",
     .level = TB_A2,
     .body_schema = "refund_create",
     .reply_schema = "refund",
     .flags = TB_R_KEY | TB_R_FINISH,
     .handler = e_payment_create_refund,
     .summary = "Give a payment back, in part or whole.",
     .consent = "payment|mandate"},
    {.method = "GET",
     .path = "/e-payment/v1/payments/{payment_id:pay}/refunds",
     .scope = "e-payment:read",
     .level = TB_A2,
     .reply_schema = "refunds",
     .flags = TB_R_PAGE,
     .handler = e_payment_list_refunds,
     .summary = "The refunds of a payment, newest first.",
     .consent = "payment|mandate"},
    {.method = "GET",
     .path = "/e-payment/v1/payments/{payment_id:pay}/refunds/{refund_id:rfd}",
     .scope = "e-payment:read",
     .level = TB_A2,
     .reply_schema = "refund",
     .handler = e_payment_get_refund,
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

static const struct tb_call *const calls[] = {&e_payment_pay, &e_payment_refund};

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
