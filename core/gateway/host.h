/* The table of services handed to plugins: the SDK's promises, kept by the rooms below. */
#ifndef TB_GATEWAY_HOST_H
#define TB_GATEWAY_HOST_H

#include <tongbao/req.h>

/** The services of a request of the gateway. Constant. */
const struct tb_host *tb_plugin_host(void);

#endif
