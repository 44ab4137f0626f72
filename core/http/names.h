/* The names of a request: its id, and its place in the trace of the client. Both are on every
 * answer, refusals included, so that a partner's log and the bank's can be laid side by side. */
#ifndef TB_HTTP_NAMES_H
#define TB_HTTP_NAMES_H

#include "base/random.h"
#include <tongbao/types.h>

enum { TB_TRACEPARENT_CHARS = 55 };

/** The header field with the id that the server makes for each request. */
#define TB_TRACE_HEADER "tongbao-trace-id"

/** The id the client sent, in lower case, when it is a UUID; otherwise a new one. NUL-terminated.
 *  @param sent  X-Request-Id or what stands for it, may be absent
 *  Source: RFC 9562. */
void tb_request_id_make(char out[TB_UUID_CHARS + 1], struct tb_str sent);

/** Whether an x-fapi-interaction-id, which may be absent, is a UUID and so comes back as it was
 * sent. Source: FAPI 1.0 Baseline §6.2.1. */
bool tb_interaction_id_fits(struct tb_str sent);

/** Our own span below the client's, or the head of a trace whose id is the request's.
 *  @param sent  the traceparent that came, may be absent or anything
 *  Source: W3C Trace Context, 3.2. */
void tb_traceparent_make(char out[TB_TRACEPARENT_CHARS + 1], struct tb_str sent,
                         const char request_id[TB_UUID_CHARS + 1]);

#endif
