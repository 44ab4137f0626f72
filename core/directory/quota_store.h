/* Quotas beyond the life of the service: what is counted in shared memory is added to the books,
 * and what the books know is read back. One process does it, the clerk, every second:
 *
 *     struct tb_quota_reading reading = {0};
 *     while (!reading.done)
 *         TB_TRY(tb_quotas_read(req, limiter, &reading));   // one page; before the first request
 *     ...
 *     TB_TRY(tb_quotas_save(req, limiter, &from));
 *
 * The answer of saving says what all machines have used, and the count here takes it over: so with
 * several machines a quota is exceeded at most by what they admit until they hear of each other. */
#ifndef TB_DIRECTORY_QUOTA_STORE_H
#define TB_DIRECTORY_QUOTA_STORE_H

#include "limit/limit.h"
#include <tongbao/req.h>

/** How far the reading has come. Zero-filled it begins. */
struct tb_quota_reading {
    bool done;
    bool begun;
    int64_t low, high, end_day; /**< of the last row */
};

/** Take over a page of what the books know. What was counted since adds to it.
 *  @return NULL; errors of tb_query. Waits: yes. To be repeated until reading->done. */
tb_err TB_NODISCARD TB_SUSPENDS tb_quotas_read(struct tb_req *req, struct tb_limiter *limiter,
                                               struct tb_quota_reading *reading);

/** Add to the books what is new since the last time, and take over what others added. What could
 *  not be added is new the next time.
 *  @param from  where it goes on, kept by the caller; 0 at first
 *  @return NULL; errors of tb_query. Waits: yes, unless nothing is new. */
tb_err TB_NODISCARD TB_SUSPENDS tb_quotas_save(struct tb_req *req, struct tb_limiter *limiter,
                                               size_t *from);

#endif
