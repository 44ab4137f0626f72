/* The stages every request passes, in order (pipeline.c holds the list). */
#ifndef TB_GATEWAY_STAGE_PIPELINE_H
#define TB_GATEWAY_STAGE_PIPELINE_H

#include "gateway/exchange.h"

/** Carry the exchange through the stages until one refuses or all have passed, writing one line of
 *  the decision trace for each.
 *  @return NULL with an answer in the exchange, or the refusal
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_pipeline_run(struct tb_exchange *x);

/** Names of the stages in order, ends with NULL. */
const char *const *tb_pipeline_names(void);

#endif
