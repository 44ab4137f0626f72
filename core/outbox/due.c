/* Due work of the outbox: events end with their retention. */
#include "ledger/due.h"
#include <stddef.h>

const struct tb_due tb_outbox_due[] = {
    {"forget_events", 10 * TB_DUE_TURN_MS,
     TB_DUE_BOOKS
     "(select e.at from event.outbox e where e.book = b.book order by e.id limit 1) < " TB_DUE_BOOKS_TIME
     " - $3::bigint * interval '1 ms'" TB_DUE_PAGE,
     "select event.forget($1, " TB_DUE_WORLD_TIME " - $3::bigint * interval '1 ms', 50000)", true},
    {0},
};
