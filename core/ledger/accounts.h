/* The accounts product: what a partner may see of the accounts it has access to. Part of the
 * program, because every product names accounts. */
#ifndef TB_LEDGER_ACCOUNTS_H
#define TB_LEDGER_ACCOUNTS_H

#include <tongbao/plugin.h>

/** GET /accounts/v1/accounts, /{account_id} and /{account_id}/entries. */
extern const struct tb_plugin tb_accounts_product;

#endif
