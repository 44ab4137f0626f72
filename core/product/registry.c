/* Opening: the file, the symbol, the ABI, the tables, the schemas, the routes. The order matters:
 * nothing of a plugin is read before what stands left of it in this list was found to be good. */
#include "product/registry.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"
#include "schema/schema.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>

enum { WHY_BYTES = 640 };

/* What version 1.0 of the structs had: a plugin with less was built against something else. */
#define PLUGIN_SIZE_1_0 offsetof(struct tb_plugin, words)
#define ROUTE_SIZE_1_0  offsetof(struct tb_route, consent)

struct tb_registry {
    char *schemas;
    struct tb_product products[TB_PRODUCTS_MAX];
    size_t products_n;
    struct tb_operation *operations[TB_OPERATIONS_MAX];
    size_t operations_n;
    struct tb_detail details[TB_DETAIL_TYPES_MAX];
    size_t details_n;
    struct tb_router *router;
    char why[WHY_BYTES];
};

struct tb_registry *tb_registry_new(const char *schemas_directory)
{
    struct tb_registry *registry = tb_mem(sizeof(*registry));
    registry->schemas = tb_mem_text(schemas_directory, strlen(schemas_directory));
    registry->router = tb_router_new();
    return registry;
}

void tb_registry_stop(struct tb_registry *registry)
{
    for (size_t i = registry->products_n; i-- > 0;) {
        struct tb_product *product = &registry->products[i];
        if (product->started && product->plugin->fini != NULL)
            product->plugin->fini();
        product->started = false;
    }
}

void tb_registry_free(struct tb_registry *registry)
{
    if (registry == NULL)
        return;
    tb_registry_stop(registry);
    for (size_t i = 0; i < registry->operations_n; i++) {
        tb_schema_free((struct tb_schema *)registry->operations[i]->body_schema);
        tb_schema_free((struct tb_schema *)registry->operations[i]->reply_schema);
    }
    for (size_t i = 0; i < registry->details_n; i++)
        tb_schema_free((struct tb_schema *)registry->details[i].schema);
    for (size_t i = 0; i < registry->products_n; i++) {
        struct tb_product *product = &registry->products[i];
        tb_mem_free(product->operations);
        tb_mem_free((void *)product->plugin->routes);
        tb_mem_free((void *)product->plugin);
        tb_mem_free((void *)product->file);
    }
    tb_router_free(registry->router);
    tb_mem_free(registry->schemas);
    tb_mem_free(registry);
}

static bool TB_PRINTF(3, 4)
    refuse(struct tb_registry *registry, const char **out_why, const char *format, ...)
{
    char text[WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    memcpy(registry->why, text, sizeof(text));
    *out_why = registry->why;
    return false;
}

/* The host's own copy of the tables, with what an older plugin lacks left empty. */
static struct tb_plugin *copy(const struct tb_plugin *theirs)
{
    struct tb_plugin *plugin = tb_mem(sizeof(*plugin));
    memcpy(plugin, theirs, theirs->size < sizeof(*plugin) ? theirs->size : sizeof(*plugin));
    struct tb_route *routes = tb_mem_array(plugin->routes_n + 1, sizeof(*routes));
    size_t stride = theirs->route_size;
    for (size_t i = 0; i < plugin->routes_n; i++)
        memcpy(&routes[i], (const char *)theirs->routes + i * stride,
               stride < sizeof(*routes) ? stride : sizeof(*routes));
    plugin->routes = routes;
    return plugin;
}

static const struct tb_schema *compile(struct tb_registry *registry, const struct tb_plugin *plugin,
                                       const char *name, char *why, size_t why_bytes)
{
    char path[200];
    size_t n = (size_t)snprintf(path, sizeof(path), "%s/%s.json", plugin->name, name);
    if (n >= sizeof(path)) {
        snprintf(why, why_bytes, "the schema name is too long");
        return NULL;
    }
    for (char *c = path; *c != '/'; c++)
        if (*c == '-')
            *c = '_';
    return tb_schema_load(registry->schemas, path, why, why_bytes);
}

static bool add_operation(struct tb_registry *registry, struct tb_operation *operation,
                          const char **out_why)
{
    char why[400];
    const struct tb_route *route = operation->route;
    const struct tb_plugin *plugin = operation->plugin;
    if (registry->operations_n == TB_OPERATIONS_MAX)
        return refuse(registry, out_why,
                      "%s %s: all products together have more than %d operations", route->method,
                      route->path, TB_OPERATIONS_MAX);
    operation->index = (uint32_t)registry->operations_n;
    registry->operations[registry->operations_n++] = operation;
    if (route->body_schema != NULL) {
        operation->body_schema = compile(registry, plugin, route->body_schema, why, sizeof(why));
        if (operation->body_schema == NULL)
            return refuse(registry, out_why, "%s: body schema of %s %s: %s", plugin->name,
                          route->method, route->path, why);
    }
    if (route->reply_schema != NULL) {
        operation->reply_schema = compile(registry, plugin, route->reply_schema, why, sizeof(why));
        if (operation->reply_schema == NULL)
            return refuse(registry, out_why, "%s: reply schema of %s %s: %s", plugin->name,
                          route->method, route->path, why);
    }
    const char *bad = tb_router_add(registry->router, operation);
    return bad == NULL || refuse(registry, out_why, "%s: %s", plugin->name, bad);
}

/* Whether the detail that a scope alone leads to is one of its type. */
static bool good_from_scope(const struct tb_detail_type *type, const struct tb_schema *schema)
{
    json_t *detail = json_loads(type->from_scope, JSON_REJECT_DUPLICATES, NULL);
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_schema_error first;
    size_t total;
    const char *name = json_string_value(json_object_get(detail, "type"));
    bool good = name != NULL && strcmp(name, type->name) == 0 &&
                tb_schema_check(schema, detail, arena, &first, 1, &total) == NULL;
    tb_arena_free(arena);
    json_decref(detail);
    return good;
}

static bool add_detail(struct tb_registry *registry, const struct tb_plugin *plugin,
                       const struct tb_detail_type *type, const char **out_why)
{
    char why[400];
    const struct tb_detail *other = tb_registry_detail(registry, tb_str(type->name));
    if (other != NULL)
        return refuse(registry, out_why, "%s: the detail type %s is declared already by %s",
                      plugin->name, type->name, other->plugin->name);
    if (registry->details_n == TB_DETAIL_TYPES_MAX)
        return refuse(registry, out_why, "%s: all products together have more than %d detail types",
                      plugin->name, TB_DETAIL_TYPES_MAX);
    const struct tb_schema *schema = compile(registry, plugin, type->schema, why, sizeof(why));
    if (schema == NULL)
        return refuse(registry, out_why, "%s: schema of the detail type %s: %s", plugin->name,
                      type->name, why);
    registry->details[registry->details_n++] = (struct tb_detail){type, plugin, schema};
    return type->from_scope == NULL || good_from_scope(type, schema) ||
           refuse(registry, out_why, "%s: from_scope of the detail type %s is no detail of it",
                  plugin->name, type->name);
}

/* Whether every name in "payment|mandate" is a detail type; by now all of them are known. */
static bool check_consents(struct tb_registry *registry, const char **out_why)
{
    for (size_t i = 0; i < registry->operations_n; i++) {
        struct tb_str rest = tb_str(registry->operations[i]->route->consent), type;
        while (tb_str_next(&rest, '|', &type))
            if (tb_registry_detail(registry, type) == NULL)
                return refuse(registry, out_why,
                              "%s: %s names the consent \"%.*s\", which no "
                              "product declares in its detail_types",
                              registry->operations[i]->plugin->name, registry->operations[i]->key,
                              (int)type.n, type.at);
    }
    return true;
}

const struct tb_detail *tb_registry_details(const struct tb_registry *registry, size_t *out_n)
{
    *out_n = registry->details_n;
    return registry->details;
}

const struct tb_detail *tb_registry_detail(const struct tb_registry *registry, struct tb_str name)
{
    for (size_t i = 0; name.at != NULL && i < registry->details_n; i++)
        if (tb_str_eq(name, tb_str(registry->details[i].type->name)))
            return &registry->details[i];
    return NULL;
}

const struct tb_words *tb_registry_scope_words(const struct tb_registry *registry,
                                               struct tb_str scope)
{
    for (size_t i = 0; i < registry->products_n; i++) {
        const struct tb_plugin *plugin = registry->products[i].plugin;
        for (size_t k = 0; k < plugin->scopes_n; k++)
            if (tb_str_eq(scope, tb_str(plugin->scopes[k].name)))
                return &plugin->scopes[k].words;
    }
    return NULL;
}

static const struct tb_error *const CORE_ERRORS[] = {
#define TB_ERROR(name, ...) TB_E_##name,
#include <tongbao/errors.def>
#undef TB_ERROR
};

static tb_err find_error(const struct tb_error *const *errors, size_t n, struct tb_str code)
{
    for (size_t i = 0; i < n; i++)
        if (tb_str_eq(code, tb_str(errors[i]->code)))
            return errors[i];
    return NULL;
}

tb_err tb_registry_error(const struct tb_registry *registry, struct tb_str code)
{
    tb_err err = find_error(CORE_ERRORS, TB_COUNT(CORE_ERRORS), code);
    for (size_t i = 0; err == NULL && i < registry->products_n; i++)
        err = find_error(registry->products[i].plugin->errors,
                         registry->products[i].plugin->errors_n, code);
    return err;
}

const struct tb_error_words *tb_registry_words(const struct tb_registry *registry, const char *code,
                                               enum tb_lang lang)
{
    const struct tb_error_words *found = tb_error_words(code, lang);
    for (size_t i = 0; found == NULL && i < registry->products_n; i++) {
        const struct tb_plugin *plugin = registry->products[i].plugin;
        found = tb_error_words_find(plugin->words, plugin->words_n, code, lang);
    }
    return found;
}

static bool check_unique(struct tb_registry *registry, const struct tb_plugin *plugin,
                         const char **out_why)
{
    for (size_t i = 0; i < registry->products_n; i++)
        if (strcmp(registry->products[i].plugin->name, plugin->name) == 0)
            return refuse(registry, out_why, "%s: a product of this name is loaded already from %s",
                          plugin->name, registry->products[i].file);
    for (size_t i = 0; i < plugin->errors_n; i++)
        if (tb_registry_error(registry, tb_str(plugin->errors[i]->code)) != NULL)
            return refuse(registry, out_why, "%s: the error code %s is taken", plugin->name,
                          plugin->errors[i]->code);
    return true;
}

static bool add(struct tb_registry *registry, const struct tb_plugin *theirs, const char *file,
                bool builtin, const char **out_why)
{
    char why[400];
    struct tb_plugin *plugin = copy(theirs);
    const char *bad = tb_plugin_check(plugin, builtin, why, sizeof(why));
    if (bad == NULL && registry->products_n == TB_PRODUCTS_MAX) {
        snprintf(why, sizeof(why), "more than %d products", TB_PRODUCTS_MAX);
        bad = why;
    }
    if (bad != NULL || !check_unique(registry, plugin, out_why)) {
        if (bad != NULL)
            refuse(registry, out_why, "%s: %s", file, bad);
        tb_mem_free((void *)plugin->routes);
        tb_mem_free(plugin);
        return false;
    }
    struct tb_product *product = &registry->products[registry->products_n++];
    product->plugin = plugin;
    product->file = tb_mem_text(file, strlen(file));
    product->operations = tb_mem_array(plugin->routes_n + 1, sizeof(*product->operations));
    for (size_t i = 0; i < plugin->routes_n; i++) {
        product->operations[i].plugin = plugin;
        product->operations[i].route = &plugin->routes[i];
        if (!add_operation(registry, &product->operations[i], out_why))
            return false;
        product->operations_n++;
    }
    for (size_t i = 0; i < plugin->detail_types_n; i++)
        if (!add_detail(registry, plugin, &plugin->detail_types[i], out_why))
            return false;
    return true;
}

bool tb_registry_add(struct tb_registry *registry, const struct tb_plugin *plugin,
                     const char **out_why)
{
    return add(registry, plugin, "built in", true, out_why);
}

/* Whether the struct the symbol points to is one this host understands. */
static bool check_abi(struct tb_registry *registry, const char *file,
                      const struct tb_plugin *theirs, const char **out_why)
{
    if (theirs->abi_major != TB_ABI_MAJOR)
        return refuse(registry, out_why,
                      "%s: it was built for ABI %u.%u, this host has %d.%d; rebuild it against the "
                      "headers of this host",
                      file, theirs->abi_major, theirs->abi_minor, TB_ABI_MAJOR, TB_ABI_MINOR);
    if (theirs->abi_minor > TB_ABI_MINOR)
        return refuse(registry, out_why,
                      "%s: it needs ABI %u.%u, this host has %d.%d; update the host first", file,
                      theirs->abi_major, theirs->abi_minor, TB_ABI_MAJOR, TB_ABI_MINOR);
    if (theirs->size < PLUGIN_SIZE_1_0 || theirs->route_size < ROUTE_SIZE_1_0)
        return refuse(registry, out_why,
                      "%s: its struct tb_plugin has %zu bytes and its routes %zu, ABI %d.0 has %zu "
                      "and %zu; begin the struct with TB_PLUGIN_HEAD and rebuild",
                      file, theirs->size, theirs->route_size, TB_ABI_MAJOR, PLUGIN_SIZE_1_0,
                      ROUTE_SIZE_1_0);
    if (theirs->signature == NULL || strcmp(theirs->signature, TB_BUILD_SIGNATURE) != 0)
        return refuse(registry, out_why, "%s: build signature %s, this host has %s; rebuild it",
                      file, theirs->signature == NULL ? "(none)" : theirs->signature,
                      TB_BUILD_SIGNATURE);
    return true;
}

bool tb_registry_open(struct tb_registry *registry, const char *file, const char **out_why)
{
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL)
        return refuse(registry, out_why, "%s: cannot be opened: %s", file, dlerror());
    const struct tb_plugin *theirs = dlsym(handle, "tongbao_plugin");
    if (theirs == NULL)
        return refuse(registry, out_why,
                      "%s: exports no tongbao_plugin; declare it with TB_PLUGIN = { … }", file);
    return check_abi(registry, file, theirs, out_why) &&
           add(registry, theirs, file, false, out_why);
}

/* ---- configuration and init ---- */

/* What init and health are given: the SDK's part first, so that the config function finds the rest.
 */
struct setup {
    struct tb_setup sdk;
    const struct tb_config *config;
    const char *name;
};

static struct tb_str setup_config(const struct tb_setup *sdk, const char *key)
{
    const struct setup *setup = (const struct setup *)sdk;
    return tb_config_plugin(setup->config, setup->name, key);
}

static struct setup setup_for(const struct tb_product *product, const struct tb_config *config)
{
    return (struct setup){
        .sdk = {.size = sizeof(struct tb_setup), .config = setup_config},
        .config = config,
        .name = product->plugin->name,
    };
}

tb_err tb_registry_health(const struct tb_registry *registry, const struct tb_config *config,
                          const char **out_product)
{
    for (size_t i = 0; i < registry->products_n; i++) {
        const struct tb_plugin *plugin = registry->products[i].plugin;
        struct setup setup = setup_for(&registry->products[i], config);
        tb_err err = plugin->health == NULL ? NULL : plugin->health(&setup.sdk);
        if (err != NULL) {
            *out_product = plugin->name;
            return err;
        }
    }
    return NULL;
}

static bool declare_keys(struct tb_registry *registry, const struct tb_config *config,
                         const char **out_why)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text errors;
    bool good = true;
    tb_text_init(&errors, arena);
    for (size_t i = 0; i < registry->products_n; i++) {
        const struct tb_plugin *p = registry->products[i].plugin;
        good &= tb_config_declare(config, p->name, p->config, p->config_n, &errors);
    }
    good &= tb_config_declared(config, &errors);
    if (!good)
        refuse(registry, out_why, "%s", tb_text_end(&errors).at);
    tb_arena_free(arena);
    return good;
}

bool tb_registry_load(struct tb_registry *registry, const struct tb_config *config,
                      const char **out_why)
{
    char file[PATH_MAX];
    for (size_t i = 0; i < config->plugins_load.n; i++) {
        const char *name = config->plugins_load.items[i];
        if (strchr(name, '/') != NULL)
            return refuse(registry, out_why,
                          "plugins.load: \"%s\" must be a name; plugins.directory says where it is",
                          name);
        snprintf(file, sizeof(file), "%s/%s.so", config->plugins_directory, name);
        if (!tb_registry_open(registry, file, out_why))
            return false;
    }
    if (!declare_keys(registry, config, out_why) || !check_consents(registry, out_why))
        return false;
    for (size_t i = 0; i < registry->products_n; i++) {
        struct tb_product *product = &registry->products[i];
        struct setup setup = setup_for(product, config);
        tb_err err = product->plugin->init == NULL ? NULL : product->plugin->init(&setup.sdk);
        if (err != NULL)
            return refuse(registry, out_why, "%s: its init failed with %s: %s", product->file,
                          err->code, err->title);
        product->started = true;
    }
    return true;
}

const struct tb_product *tb_registry_products(const struct tb_registry *registry, size_t *out_n)
{
    *out_n = registry->products_n;
    return registry->products;
}

const struct tb_router *tb_registry_router(const struct tb_registry *registry)
{
    return registry->router;
}

struct tb_operation *const *tb_registry_operations(const struct tb_registry *registry,
                                                   size_t *out_n)
{
    *out_n = registry->operations_n;
    return registry->operations;
}
