/* Due work of partners' scripts: recordings and dry runs are forgotten. */
#include "ledger/due.h"
#include <stddef.h>

const struct tb_due tb_hooks_due[] = {
    {"forget_recordings", 10 * TB_DUE_TURN_MS, NULL, "select script.forget_recordings($1, 20000)",
     false},
    {"forget_dry_runs", 3600 * TB_DUE_TURN_MS, NULL, "select script.forget_dry_runs($1)", false},
    {0},
};
