/* The names of a request, and the header fields of an answer. */
#include "gateway/exchange.h"
#include "http/names.h"

void tb_exchange_name(struct tb_exchange *x)
{
    tb_request_id_make(x->request_id, x->in.request_id);
    if (tb_interaction_id_fits(x->in.request_id))
        tb_uuid_make(x->trace_id);
    else /* it sent none, so there is one id for both */
        memcpy(x->trace_id, x->request_id, sizeof(x->trace_id));
    tb_traceparent_make(x->traceparent, x->in.traceparent, x->request_id);
    memcpy(x->trace.id, x->trace_id, TB_UUID_CHARS);
    memcpy(x->trace.request_id, x->request_id, TB_UUID_CHARS);
    tb_exchange_header(x, TB_STR(TB_TRACE_HEADER), (struct tb_str){x->trace_id, TB_UUID_CHARS});
    tb_exchange_header(x, TB_STR("x-request-id"), (struct tb_str){x->request_id, TB_UUID_CHARS});
    if (tb_interaction_id_fits(x->in.interaction_id))
        tb_exchange_header(x, TB_STR("x-fapi-interaction-id"), x->in.interaction_id);
    tb_exchange_header(x, TB_STR("traceparent"),
                       (struct tb_str){x->traceparent, TB_TRACEPARENT_CHARS});
}

bool tb_exchange_header(struct tb_exchange *x, struct tb_str name, struct tb_str value)
{
    if (value.at == NULL || x->reply_headers_n == TB_REPLY_HEADERS_MAX)
        return false;
    x->reply_headers[x->reply_headers_n++] = (struct tb_header){name, value};
    return true;
}
