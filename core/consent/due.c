/* Due work of consents: they expire by the clock of their world. */
#include "ledger/due.h"
#include <stddef.h>

const struct tb_due tb_consent_due[] = {
    {"expire_consents", TB_DUE_TURN_MS,
     TB_DUE_BOOKS "exists (select from consent.consent c where c.book = b.book and c.status in "
                  "('AWAU', 'AWAF', 'AUTH') and c.ends_at <= " TB_DUE_BOOKS_TIME ")" TB_DUE_PAGE,
     "select consent.expire($1, $2, 1000)", false},
    {0},
};
