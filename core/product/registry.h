/* The products a worker serves. A plugin is opened, its tables are checked from the ABI outwards,
 * its schemas compiled and its routes added to the router; only then its `init` runs. Anything
 * wrong refuses the whole generation with one sentence that says what to do. Plugins are never
 * unloaded: a new version is a new generation of workers.
 *
 *     struct tb_registry *registry = tb_registry_new("schemas");
 *     if (!tb_registry_load(registry, config, &why))
 *         … why says what is wrong …
 *     …
 *     tb_registry_free(registry); // or only tb_registry_stop: the process ends
 */
#ifndef TB_PRODUCT_REGISTRY_H
#define TB_PRODUCT_REGISTRY_H

#include "base/error_words.h"
#include "config/config.h"
#include "product/router.h"
#include <tongbao/plugin.h>

struct tb_registry;

/** A product that has passed every check. */
struct tb_product {
    const struct tb_plugin *plugin; /**< the host's copy, complete even for an older plugin */
    const char *file;               /**< where it came from, "built in" */
    struct tb_operation *operations;
    size_t operations_n;
    bool started; /**< its init has run, its fini has not */
};

/** A type of authorization details, of a product that is loaded. */
struct tb_detail {
    const struct tb_detail_type *type;
    const struct tb_plugin *plugin;
    const struct tb_schema *schema;
};

/** An empty registry that compiles schemas from below `schemas_directory`. */
struct tb_registry *tb_registry_new(const char *schemas_directory);

/** Run the `fini` of all products whose `init` ran, the last first, each once. */
void tb_registry_stop(struct tb_registry *registry);

/** Stop, and free what the registry made. The shared objects stay mapped. */
void tb_registry_free(struct tb_registry *registry);

/** Open the shared object `file` and add its product.
 *  @return false with a sentence in *out_why, valid as long as the registry */
bool TB_NODISCARD tb_registry_open(struct tb_registry *registry, const char *file,
                                   const char **out_why);

/** Add a product that is part of the program. The same checks apply, but its paths are free. */
bool TB_NODISCARD tb_registry_add(struct tb_registry *registry, const struct tb_plugin *plugin,
                                  const char **out_why);

/** Open every plugin the configuration names, in its order, and run their `init`. */
bool TB_NODISCARD tb_registry_load(struct tb_registry *registry, const struct tb_config *config,
                                   const char **out_why);

/** Ask every product's `health`.
 *  @param out_product  set to the name of the first one that is not well
 *  @return its error; NULL when all are well or have nothing to say */
tb_err TB_NODISCARD tb_registry_health(const struct tb_registry *registry,
                                       const struct tb_config *config, const char **out_product);

const struct tb_product *tb_registry_products(const struct tb_registry *registry, size_t *out_n);
const struct tb_router *tb_registry_router(const struct tb_registry *registry);

/** All operations by their index. */
struct tb_operation *const *tb_registry_operations(const struct tb_registry *registry,
                                                   size_t *out_n);

/** The detail types of all products, in the order of loading. */
const struct tb_detail *tb_registry_details(const struct tb_registry *registry, size_t *out_n);

/** The detail type of this name; NULL when no product declares it. */
const struct tb_detail *tb_registry_detail(const struct tb_registry *registry, struct tb_str name);

/** What a scope allows, in words; NULL when its product has none. */
const struct tb_words *tb_registry_scope_words(const struct tb_registry *registry,
                                               struct tb_str scope);

/** The error with this code, of the core or of any product; NULL when there is none. */
tb_err tb_registry_error(const struct tb_registry *registry, struct tb_str code);

/** Title and remedy of an error of the core or of a product; NULL for English, and where the
 * product has none in this language. */
const struct tb_error_words *tb_registry_words(const struct tb_registry *registry, const char *code,
                                               enum tb_lang lang);

/** What is wrong with the tables of a plugin, NULL when nothing is. `why` gives the sentence room.
 *  `builtin` frees it from the rules about paths and scopes. */
const char *tb_plugin_check(const struct tb_plugin *plugin, bool builtin, char *why,
                            size_t why_bytes);

#endif
