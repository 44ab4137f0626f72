/* Parts that worker, clerk and commands are made of alike: configuration, products, books and keys.
 */
#ifndef TB_WORKER_PARTS_H
#define TB_WORKER_PARTS_H

#include "config/config.h"
#include "oauth/server.h"
#include "oauth/token/keys.h"
#include "oauth/token/token.h"
#include "product/registry.h"
#include "store/migrate.h"
#include "store/pool.h"

enum {
    TB_ADDRESS_ROOM = 72,               /**< an address to listen on, with its NUL */
    TB_SETS_MAX = TB_PRODUCTS_MAX + 16, /**< sets of migrations: rooms and plugins */
    TB_WHY_BYTES = 640,
};

/** Write "host:port" of the configured host, "[v6]:port" where it is one of those. */
void tb_parts_address(const struct tb_config *config, int64_t port, char out[TB_ADDRESS_ROOM]);

/** Products, built in and loaded, with their `init` run.
 *  @return NULL with a sentence in `why` */
struct tb_registry *tb_parts_registry(const struct tb_config *config, char *why, size_t why_bytes);

/** Open the books; connects in the background. */
struct tb_store *tb_parts_store(struct tb_loop *loop, const struct tb_config *config,
                                const struct tb_registry *registry, const char *application);

/** The error with this code, of the core or of a product; NULL when there is none. Knows the
 * products of the registry that tb_parts_store was given. */
tb_err tb_parts_error(struct tb_str code);

/** The words of an error of the core or of a product in a language; NULL for English. */
const struct tb_error_words *tb_parts_words(const char *code, enum tb_lang lang);

/** All sets of migrations in the order they apply. Returns their number, at most TB_SETS_MAX. */
size_t tb_parts_migrations(const struct tb_registry *registry, struct tb_migration_set *out);

/** The bytes of secret.file.
 *  @return false with a sentence when it cannot be read, is too short or readable by others */
bool TB_NODISCARD tb_parts_secret(const struct tb_config *config, struct tb_secret *out, char *why,
                                  size_t why_bytes);

/** Every scope that the products ask for, once, blank-separated, and "openid". */
void tb_parts_scopes(const struct tb_registry *registry, struct tb_text *out);

/** Open the authorization server of this process: everything behind core/oauth works from here on.
 *  @param own  what the process has; `registry` and `scopes` are filled in here; a command may
 * leave `outbound`, `tokens`, `proofs` and `revocations` NULL when it runs nothing that asks for
 * them */
void tb_parts_oauth(const struct tb_registry *registry, const struct tb_oauth_parts *own);

/** The rules of access tokens as the configuration gives them. */
struct tb_token_rules tb_parts_token_rules(const struct tb_config *config, struct tb_keystore *keys,
                                           const struct tb_jti_set *revoked);

#endif
