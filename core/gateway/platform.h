/* The gateway's own routes: health for supervisors, metrics for Prometheus, decision traces
 * for partners. Products like any other, only built in. */
#ifndef TB_GATEWAY_PLATFORM_H
#define TB_GATEWAY_PLATFORM_H

#include <tongbao/plugin.h>

/** GET /healthz, /readyz and /metrics; open, metrics to the configured networks only. */
extern const struct tb_plugin tb_platform_product;

/** GET /traces/v1/traces/{request_id}: the partner's view of why a request went as it did. */
extern const struct tb_plugin tb_traces_product;

#endif
