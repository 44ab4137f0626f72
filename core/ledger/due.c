/* Due work of the ledger: holds expire, blocks are sealed, keys of answers are forgotten. */
#include "ledger/due.h"
#include <stddef.h>

const struct tb_due tb_ledger_due[] = {
    {"expire_holds", TB_DUE_TURN_MS,
     TB_DUE_BOOKS "exists (select from bank.hold h where h.book = b.book and h.state = 'open' "
                  "and h.expires_at <= " TB_DUE_BOOKS_TIME ")" TB_DUE_PAGE,
     "select count(*) from bank.expire_holds($1, " TB_DUE_WORLD_TIME ", 10000)", false},
    {"seal", TB_DUE_TURN_MS,
     TB_DUE_BOOKS "$1::timestamptz is not null and (exists (select from bank.transfer t where "
                  "t.book = b.book and t.block = b.block) or (b.block > 1 and not exists (select "
                  "from bank.seal s where s.book = b.book and s.block = b.block - 1)))" TB_DUE_PAGE,
     "select bank.seal($1, $2)", false},
    {"forget_keys", 60 * TB_DUE_TURN_MS, TB_DUE_BOOKS "$1::timestamptz is not null" TB_DUE_PAGE,
     "select tb.forget_keys($1, " TB_DUE_WORLD_TIME " - interval '72 hours', 10000)", false},
    {0},
};
