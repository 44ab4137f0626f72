/* Stage "handler": the product's own code. */
#include "gateway/gateway.h"

/* The stored answer of a key, and no more: the body was not checked, so the product does not see
 * it.
 */
static tb_err TB_SUSPENDS answer_again(struct tb_exchange *x)
{
    static const struct tb_call call = {"script.answer_again"};
    struct tb_answer answer;
    TB_TRY(tb_call(&x->run.req, &answer, &call));
    return tb_reply_answer(&x->run.req, &answer);
}

tb_err TB_SUSPENDS tb_stage_handler(struct tb_exchange *x)
{
    x->own_headers_n = x->reply_headers_n;
    TB_TRY(x->replays ? answer_again(x) : x->match.operation->route->handler(&x->run.req));
    if (x->status == 0)
        return tb_fail(&x->run.req, TB_E_INTERNAL, "the operation gave no answer");
    return NULL;
}
