/* Worlds to try things in: a demo world with companies, accounts and a partner, more accounts for
 * loads, and small fresh worlds for strangers. Everything goes in through the same functions as
 * real business, so `tongbao audit` holds. */
#ifndef TB_LEDGER_SEED_H
#define TB_LEDGER_SEED_H

#include "store/tx.h"

enum {
    TB_SEED_COMPANIES = 20,
    TB_SEED_ACCOUNTS = 100, /**< five a company: CNY, CNY, USD, JPY, KWD */
    TB_SEED_ID_BYTES = 40,
};

/** What the demo world has to offer. Ids, NUL-terminated. */
struct tb_seed {
    int32_t book;
    char world[TB_SEED_ID_BYTES], partner[TB_SEED_ID_BYTES], app[TB_SEED_ID_BYTES];
    char debtor[TB_SEED_ID_BYTES], creditor[TB_SEED_ID_BYTES]; /**< CNY accounts with ample funds */
    char company[TB_SEED_ID_BYTES];                            /**< the debtor's holder, a party */
};

/** What a fresh world is to have. Texts are borrowed. */
struct tb_seed_order {
    struct tb_str world, partner, app; /**< names for people */
    size_t companies_n;                /**< 1..TB_SEED_COMPANIES, five accounts each */
    bool plain_tokens;                 /**< the app may use tokens bound to nobody */
};

/** Make a sandbox world with a book of its own, a partner, and an app that may use every product,
 *  inside the caller's transaction. With one company debtor and creditor are both its accounts.
 *  @return NULL; TB_E_OVERLOAD (all books are taken); errors of tb_tx_query
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_seed_world(struct tb_req *req, struct tb_tx *tx,
                                              const struct tb_seed_order *order,
                                              struct tb_seed *out_seed);

/** Make the demo world, or find the one that is there.
 *  @return NULL; errors of tb_tx_run
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_seed_demo(struct tb_req *req, struct tb_store *store,
                                             struct tb_seed *out_seed);

/** Open `accounts_n` more funded CNY accounts in the demo world, for its partner to debit, and give
 *  each id to `opened`.
 *  @return NULL; errors of tb_tx_run */
tb_err TB_NODISCARD TB_SUSPENDS tb_seed_fill(struct tb_req *req, struct tb_store *store,
                                             const struct tb_seed *seed, int64_t accounts_n,
                                             void (*opened)(const char *account, void *arg),
                                             void *arg);

#endif
