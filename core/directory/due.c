/* Due work of the directory: quotas of days and months that are over are forgotten. */
#include "ledger/due.h"
#include <stddef.h>

const struct tb_due tb_directory_due[] = {
    {"forget_quotas", 3600 * TB_DUE_TURN_MS, NULL, "select bank.forget_quotas($1, 100000)", false},
    {0},
};
