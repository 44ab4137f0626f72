/* What the files of the product share: its handlers, which e_payment.c puts into the table of
 * routes, and what they have in common. */
#ifndef E_PAYMENT_H
#define E_PAYMENT_H

#include <tongbao/tongbao.h>

/** The SQL functions that move money, called in batches, exactly once for each Idempotency-Key. */
extern const struct tb_call e_payment_pay, e_payment_refund;

/* Each waits for the database, and fails with what tb_call or tb_query fails with. */
tb_err TB_SUSPENDS e_payment_create_payment(struct tb_req *req);
tb_err TB_SUSPENDS e_payment_get_payment(struct tb_req *req);
tb_err TB_SUSPENDS e_payment_list_payments(struct tb_req *req);
tb_err TB_SUSPENDS e_payment_create_refund(struct tb_req *req);
tb_err TB_SUSPENDS e_payment_get_refund(struct tb_req *req);
tb_err TB_SUSPENDS e_payment_list_refunds(struct tb_req *req);

/** The consent that the token stands for, whose payments and refunds alone it may see, as far as
 * the token's own details go; NULL for all of the partner's. */
#define CONSENT(req) TB_TEXT(tb_consent(req)), TB_TEXT(tb_details(req))

static inline tb_err e_payment_no_payment(struct tb_req *req)
{
    struct tb_str id = tb_path(req, "payment_id");
    return tb_fail_at(req, TB_E_NOT_FOUND, "?payment_id", "no payment %.*s", (int)id.n, id.at);
}

/** The stored answer of an earlier request, with the object as it is now (a row of it, if it is
 *  there) for who prefers that. */
static inline tb_err e_payment_reply_replayed(struct tb_req *req, struct tb_answer *answer,
                                              const struct tb_rows *now)
{
    if (now->n == 1) {
        answer->body = tb_cell(now, 0, 0);
        TB_TRY(tb_set_header(req, "preference-applied", TB_STR("current")));
    }
    return tb_reply_answer(req, answer);
}

#endif
