/* Cross-origin reads by browsers: the CORS protocol of the Fetch standard. Metadata and keys are
 * for everybody. The API, the token endpoint and pushed requests are for the origins that an app
 * has registered (`web_origins`): a preflight, which says nothing of the app, passes for the origin
 * of any; an answer can be read only by an origin of the app whose token or client it is. Nothing
 * is said to others, and nothing ever where a customer's browser is logged in. */
#ifndef TB_GATEWAY_CORS_H
#define TB_GATEWAY_CORS_H

#include "gateway/exchange.h"

/** Whether the request, whose path is known and whose method is not, is a preflight: then it has an
 *  operation now, which answers it. */
bool tb_cors_preflight(struct tb_exchange *x);

/** Note whether the request's origin is one of its token's app.
 *  Waits: only where the request has an origin, and then as tb_query, once a second. */
void TB_SUSPENDS tb_cors_judge(struct tb_exchange *x);

/** Add the headers that let the request's origin read the answer. */
void tb_cors_headers(struct tb_exchange *x, uint32_t flags);

#endif
