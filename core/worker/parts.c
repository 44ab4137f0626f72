/* Each part is made from the configuration in one place, so that a command sees the same products,
 * the same books and the same keys as a worker. */
#include "worker/parts.h"
#include "base/assert.h"
#include "consent/consent.h"
#include "gateway/platform.h"
#include "hooks/script_life.h"
#include "ledger/accounts.h"
#include "oauth/endpoint/product.h"
#include "oauth/page/page.h"
#include "oauth/registration/register.h"
#include "oauth/request/par.h"
#include "oauth/token/dpop.h"
#include "oauth/token/token.h"
#include <stdio.h>

enum { SCOPES_BYTES = 8192 };

extern const struct tb_migration tb_consent_migrations[];
extern const struct tb_migration tb_directory_migrations[];
extern const struct tb_migration tb_ledger_migrations[];
extern const struct tb_migration tb_outbox_migrations[];
extern const struct tb_migration tb_hooks_migrations[];

/* The store maps codes to errors with a plain function; there is one registry in a process. */
static const struct tb_registry *the_registry;

tb_err tb_parts_error(struct tb_str code)
{
    return tb_registry_error(the_registry, code);
}

const struct tb_error_words *tb_parts_words(const char *code, enum tb_lang lang)
{
    return tb_registry_words(the_registry, code, lang);
}

void tb_parts_address(const struct tb_config *config, int64_t port, char out[TB_ADDRESS_ROOM])
{
    bool v6 = strchr(config->listen_host, ':') != NULL;
    snprintf(out, TB_ADDRESS_ROOM, v6 ? "[%s]:%d" : "%s:%d", config->listen_host, (int)port);
}

/* Served by every gateway, before the products that the configuration names. */
static const struct tb_plugin *const BUILT_IN[] = {
    &tb_platform_product,       &tb_traces_product,      &tb_accounts_product,
    &tb_consents_product,       &tb_oauth_product,       &tb_oauth_par_product,
    &tb_oauth_register_product, &tb_oauth_pages_product, &tb_scripts_product,
};

struct tb_registry *tb_parts_registry(const struct tb_config *config, char *why, size_t why_bytes)
{
    struct tb_registry *registry = tb_registry_new(config->schemas_directory);
    const char *sentence = NULL;
    bool added = true;
    for (size_t i = 0; i < TB_COUNT(BUILT_IN) && added; i++)
        added = tb_registry_add(registry, BUILT_IN[i], &sentence);
    if (added && tb_registry_load(registry, config, &sentence))
        return registry;
    snprintf(why, why_bytes, "%s", sentence);
    tb_registry_free(registry);
    return NULL;
}

struct tb_store *tb_parts_store(struct tb_loop *loop, const struct tb_config *config,
                                const struct tb_registry *registry, const char *application)
{
    the_registry = registry;
    struct tb_store_options options = {
        .dsn = config->store_dsn,
        .application = application,
        .connections = (int)config->store_connections,
        .batch_connections = (int)config->store_batch_connections,
        .batch_size = (int)config->store_batch_size,
        .queue = (size_t)config->store_queue,
        .wait_ms = config->store_wait_ms,
        .statement_ms = config->limits_request_deadline_ms,
        .error_by_code = registry == NULL ? NULL : tb_parts_error,
    };
    return tb_store_open(loop, &options);
}

size_t tb_parts_migrations(const struct tb_registry *registry, struct tb_migration_set *out)
{
    size_t n = 0, products_n;
    out[n++] = (struct tb_migration_set){"store", tb_store_migrations};
    out[n++] = (struct tb_migration_set){"bank", tb_ledger_migrations};
    out[n++] = (struct tb_migration_set){"event", tb_outbox_migrations};
    out[n++] = (struct tb_migration_set){"oauth", tb_oauth_migrations};
    out[n++] = (struct tb_migration_set){"consent", tb_consent_migrations};
    out[n++] = (struct tb_migration_set){"directory", tb_directory_migrations};
    out[n++] = (struct tb_migration_set){"script", tb_hooks_migrations};
    const struct tb_product *products = tb_registry_products(registry, &products_n);
    TB_ASSERT(n + products_n <= TB_SETS_MAX);
    for (size_t i = 0; i < products_n; i++)
        if (products[i].plugin->migrations != NULL)
            out[n++] = (struct tb_migration_set){products[i].plugin->name,
                                                 products[i].plugin->migrations};
    return n;
}

bool tb_parts_secret(const struct tb_config *config, struct tb_secret *out, char *why,
                     size_t why_bytes)
{
    const char *bad = "is not set; put 32 random bytes in a file and name it there";
    if (config->secret_file[0] != '\0')
        bad = tb_secret_read(out, config->secret_file);
    if (bad == NULL && out->n < TB_KEYSTORE_MASTER_BYTES)
        bad = "has fewer than 32 bytes";
    if (bad != NULL)
        snprintf(why, why_bytes, "secret.file %s: %s", config->secret_file, bad);
    return bad == NULL;
}

static bool asked_before(struct tb_operation *const *operations, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (operations[i]->route->scope != NULL &&
            strcmp(operations[i]->route->scope, operations[at]->route->scope) == 0)
            return true;
    return false;
}

void tb_parts_scopes(const struct tb_registry *registry, struct tb_text *out)
{
    size_t n;
    struct tb_operation *const *operations = tb_registry_operations(registry, &n);
    tb_text_add(out, TB_STR("openid"));
    for (size_t i = 0; i < n; i++) {
        const char *scope = operations[i]->route->scope;
        if (scope == NULL || strcmp(scope, "openid") == 0 || asked_before(operations, i))
            continue;
        tb_text_add_char(out, ' ');
        tb_text_add(out, tb_str(scope));
    }
}

void tb_parts_oauth(const struct tb_registry *registry, const struct tb_oauth_parts *own)
{
    static char scopes[SCOPES_BYTES];
    struct tb_oauth_parts parts = *own;
    struct tb_text text;
    tb_text_init_fixed(&text, scopes, sizeof(scopes));
    tb_parts_scopes(registry, &text);
    parts.registry = registry;
    parts.scopes = tb_text_end(&text);
    TB_ASSERT(parts.scopes.at != NULL);
    tb_oauth_open(&parts);
    tb_dpop_open(&parts.master);
}

struct tb_token_rules tb_parts_token_rules(const struct tb_config *config, struct tb_keystore *keys,
                                           const struct tb_jti_set *revoked)
{
    return (struct tb_token_rules){
        .issuer = tb_str(config->issuer),
        .audience = tb_str(config->issuer),
        .env = config->sandbox ? TB_ENV_SANDBOX : TB_ENV_LIVE,
        .keys = keys,
        .revoked = revoked,
        .cache_entries = 16384,
        .cache_bytes = 32u << 20,
    };
}
