/* Batched calls: requests for the same SQL function in the same book travel together as one array,
 * in one statement, one transaction, one fsync. There is no timer: while the batch connections are
 * busy calls pile up, and when one is free all that came in the meantime go at once. So a lone call
 * goes at once, and under load the size of batches grows with the load.
 *
 * A batch that raises is cut in two and tried again until the call to blame is alone; it fails, the
 * others do not. Conflicts with other transactions are tried again, a bounded number of times. When
 * a connection is lost before the answer, calls with an idempotency key are sent again: the
 * database answers with what happened, or it happens now, but never twice. Source:
 * docs/decisions/0004. */
#ifndef TB_STORE_BATCH_H
#define TB_STORE_BATCH_H

#include "store/pool.h"
#include <tongbao/req.h>

/** A parameter of the route's path; `value` is borrowed. */
struct tb_path_param {
    const char *name;
    struct tb_str value;
};

/** What goes with a call: the request as the SQL function sees it (type tb.call). All texts are
 *  borrowed until tb_store_call returns. */
struct tb_call_context {
    int32_t book;
    struct tb_str partner, app; /**< ids */
    int64_t now_ms;             /**< the time of the book's world, ms since 1970 */
    struct tb_str route;        /**< method and template: "POST /e-payment/v1/payments" */
    struct tb_str key;          /**< Idempotency-Key; absent: the call may be done at most once */
    struct tb_str fingerprint;  /**< of the request, 64 hexadecimal digits; with a key only */
    const struct tb_path_param *path;
    size_t path_n;
    struct tb_str body;    /**< JSON text, already checked; absent: null */
    struct tb_str consent; /**< that the effect is bound to; absent: the partner acts for itself */
    struct tb_str details; /**< of the token under that consent, JSON text; absent: the consent's */
    struct tb_str request; /**< id of the request, kept with its key and in a consent's receipt */
    struct tb_str routed;  /**< what the partner's script decided about its way, JSON text of an
                                object; absent: nothing */
};

enum {
    TB_BATCH_MAX = 1024,              /**< most calls in one batch, whatever the options say */
    TB_BATCH_BYTES_MAX = 1024 * 1024, /**< a batch takes no more calls once it is this large */
    TB_BATCH_CONFLICTS = 3,           /**< times a whole batch is tried again after a conflict */
};

/** Do `call` once. Of a refusal *out_answer says nothing.
 *  @return NULL with a success in *out_answer; the function's own refusal, with its detail, pointer
 *          and link recorded; TB_E_KEY_REUSED; TB_E_STORE, TB_E_OVERLOAD, TB_E_DEADLINE (nothing
 *          happened); TB_E_IN_DOUBT (it may have happened, or may still: repeat with the same key);
 *          TB_E_INTERNAL (the function raised: nothing happened, logged with its SQLSTATE)
 *  Waits: yes, until the answer or the deadline; a lost client does not end it.
 *  Memory: *out_answer in the request's arena. Not inside a transaction. */
tb_err TB_NODISCARD TB_SUSPENDS tb_store_call(struct tb_req *req, struct tb_store *store,
                                              struct tb_answer *out_answer,
                                              const struct tb_call *call,
                                              const struct tb_call_context *context);

#endif
