/* Accounting of every request after its answer is decided: the decision trace, metrics, and a
 * line of the access log. */
#ifndef TB_GATEWAY_RECORD_H
#define TB_GATEWAY_RECORD_H

#include "gateway/exchange.h"

/** Record the exchange; `err` is why it was refused, or NULL. */
void tb_record(struct tb_exchange *x, tb_err err);

#endif
