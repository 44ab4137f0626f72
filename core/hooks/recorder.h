/* Recordings of one worker: requests of partners that asked for it, kept so that another version of
 * their script can be tried on them. What is kept of a request is what its script was given. It is
 * redacted and written by a fiber of its own, at most four times a second in small batches; what
 * finds no room is dropped and counted. Losing recordings never harms a request.
 *
 *     tb_recorder_open(&parts);                                  // once a worker
 *     struct tb_gateway_parts gateway = {…, .ended = tb_recorder_keep};
 */
#ifndef TB_HOOKS_RECORDER_H
#define TB_HOOKS_RECORDER_H

#include "gateway/exchange.h"

struct tb_metrics;
struct tb_store;

enum {
    TB_RECORDER_MS = 250,                      /**< between batches */
    TB_RECORDER_QUEUE = 512,                   /**< requests that wait to be written */
    TB_RECORDER_QUEUE_BYTES = 4 * 1024 * 1024, /**< of their bodies */
    TB_RECORDER_TEXT_BYTES = 96 * 1024,        /**< longer recordings are dropped */
};

struct tb_recorder_parts {
    struct tb_loop *loop; /**< borrowed, as all */
    struct tb_store *store;
    struct tb_metrics *metrics;
    int64_t days;        /**< recordings are kept so long */
    const char *schemas; /**< directory of the products' schemas */
};

void tb_recorder_open(const struct tb_recorder_parts *parts);

/** Keep an ended request if its script's row has `recording`. From here on its JSON is the
 * recorder's: nobody else may read it. Waits: no; takes a microsecond. */
void tb_recorder_keep(struct tb_exchange *x);

#endif
