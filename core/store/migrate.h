/* Migrations: numbered SQL files, applied forward only, each in one transaction with the row that
 * remembers it. Names and SHA-256 sums are kept in tb.migration, so a file that was changed after
 * it was applied is refused, and so is a database that has seen a file this program does not know.
 *
 * A newer database is accepted by an older program (the previous generation, while it drains)
 * unless a newer file says otherwise: a line `-- breaks: N` at its head means that programs which
 * know fewer than N migrations of the set cannot run any more. */
#ifndef TB_STORE_MIGRATE_H
#define TB_STORE_MIGRATE_H

#include "store/pool.h"
#include <tongbao/plugin.h>

/** The migrations of a room or plugin. */
struct tb_migration_set {
    const char *name;                      /**< "store", "bank", …, or the plugin's name */
    const struct tb_migration *migrations; /**< ends with number 0 */
};

/** The store's own: the schema `tb` of batched calls and idempotency keys. Goes first. */
extern const struct tb_migration tb_store_migrations[];

/** How one file fared. For the command line to print. */
struct tb_migration_step {
    const char *set;
    uint32_t number;
    const char *name;
    bool applied;       /**< false: was there already */
    int64_t elapsed_ms; /**< 0 unless applied */
};

/** Apply what is missing, set by set in the order given (store, bank, oauth, event, then plugins).
 *  Others that migrate at the same time wait (advisory lock). Nothing is applied if a file of any
 * set is refused.
 *  @param step  called for each file, in order; may be NULL
 *  @return NULL; TB_E_CONFLICT with a sentence (a changed, missing or unknown file); TB_E_INTERNAL
 *          with the server's words (a file failed; those before it stay); TB_E_STORE
 *  Waits: yes, as long as it takes: no statement_timeout. */
tb_err TB_NODISCARD TB_SUSPENDS tb_migrate(struct tb_req *req, struct tb_store *store,
                                           const struct tb_migration_set *sets, size_t sets_n,
                                           void (*step)(const struct tb_migration_step *, void *),
                                           void *arg);

/** Whether this program may run on the database as it is: everything it knows is applied unchanged,
 *  and nothing newer breaks it. For `serve`, before the first request.
 *  @return NULL; TB_E_CONFLICT with a sentence that says what to do; TB_E_STORE */
tb_err TB_NODISCARD TB_SUSPENDS tb_migrate_check(struct tb_req *req, struct tb_store *store,
                                                 const struct tb_migration_set *sets,
                                                 size_t sets_n);

#endif
