/* The guard's counters on the page of metrics, for rooms that must not see libh2o's types. */
#ifndef TB_HTTP_GUARD_GUARD_METRICS_H
#define TB_HTTP_GUARD_GUARD_METRICS_H

#include "base/text.h"

struct tb_guard_counters;

/** Add the family `tongbao_guard_total`, one sample for each kind of thing the guard refused. */
void tb_guard_metrics_write(struct tb_text *out, const struct tb_guard_counters *counters);

#endif
