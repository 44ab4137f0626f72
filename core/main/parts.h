/* What worker, clerk and commands are made of alike: configuration, products, books and keys. */
#ifndef TB_MAIN_PARTS_H
#define TB_MAIN_PARTS_H

#include "base/config.h"
#include "oauth/keys.h"
#include "oauth/token.h"
#include "plugin/registry.h"
#include "store/migrate.h"
#include "store/pool.h"

enum {
    TB_SETS_MAX = 80, /**< sets of migrations: rooms and plugins */
    TB_WHY_BYTES = 640,
};

/** Products, built in and loaded, with their `init` run.
 *  @return NULL with a sentence in `why` */
struct tb_registry *tb_parts_registry(const struct tb_config *config, char *why, size_t why_bytes);

/** Open the books; connects in the background. */
struct tb_store *tb_parts_store(struct tb_loop *loop, const struct tb_config *config,
                                const struct tb_registry *registry, const char *application);

/** The error with this code, of the core or of a product; NULL when there is none. Knows the
 * products of the registry that tb_parts_store was given. */
tb_err tb_parts_error(struct tb_str code);

/** All sets of migrations in the order they apply. Returns their number, at most TB_SETS_MAX. */
size_t tb_parts_migrations(const struct tb_registry *registry, struct tb_migration_set *out);

/** The bytes of secret.file.
 *  @return false with a sentence when it cannot be read, is too short or readable by others */
bool TB_NODISCARD tb_parts_secret(const struct tb_config *config, struct tb_secret *out, char *why,
                                  size_t why_bytes);

/** The rules of access tokens as the configuration gives them. */
struct tb_token_rules tb_parts_token_rules(const struct tb_config *config, struct tb_keystore *keys,
                                           const struct tb_jti_set *revoked);

#endif
