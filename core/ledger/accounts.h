/* The accounts product: what a partner may see of the accounts it has access to, and agreements of
 * their owners about them. Part of the program, because every product names accounts. */
#ifndef TB_LEDGER_ACCOUNTS_H
#define TB_LEDGER_ACCOUNTS_H

#include <tongbao/plugin.h>

/** GET /accounts/v1/accounts, /{account_id}, /{account_id}/entries; POST, GET and DELETE of
 *  /{account_id}/agreements. */
extern const struct tb_plugin tb_accounts_product;

#endif
