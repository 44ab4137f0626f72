/* tongbao plugin check, doc and new: what a product team needs before a gateway is involved. */
#include "cli/command.h"
#include "cli/print.h"
#include "product/document.h"
#include "product/registry.h"
#include "product/scaffold.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct tb_option schema_options[] = {
    {"schemas", "DIRECTORY", "where the JSON Schemas are (default ./schemas)"},
    {.name = NULL},
};

static struct tb_registry *new_registry(const struct tb_cli *cli)
{
    const char *schemas = tb_cli_option(cli, "schemas");
    return tb_registry_new(schemas == NULL ? "schemas" : schemas);
}

/* ---- check ---- */

static json_t *result_json(const char *file, const char *why, const struct tb_product *product)
{
    json_t *result = json_pack("{s:s, s:b}", "file", file, "ok", why == NULL);
    if (why != NULL)
        json_object_set_new(result, "why", json_string(why));
    else
        json_object_update_new(result, json_pack("{s:s, s:s, s:i}", "name", product->plugin->name,
                                                 "version", product->plugin->version, "routes",
                                                 (int)product->plugin->routes_n));
    return result;
}

static void print_result(const char *file, const char *why, const struct tb_product *product)
{
    if (why != NULL)
        tb_print("refused: %s\n", why);
    else
        tb_print("ok: %s: %s %s, %zu routes\n", file, product->plugin->name,
                 product->plugin->version, product->plugin->routes_n);
}

static int check(struct tb_cli *cli)
{
    struct tb_registry *registry = new_registry(cli);
    json_t *results = json_array();
    int exit_code = TB_EXIT_OK;
    for (size_t i = 0; i < cli->arguments_n; i++) {
        const char *file = cli->arguments[i], *why = NULL;
        size_t n;
        if (!tb_registry_open(registry, file, &why))
            exit_code = TB_EXIT_FOUND;
        const struct tb_product *products = tb_registry_products(registry, &n);
        const struct tb_product *product = why == NULL ? &products[n - 1] : NULL;
        if (cli->json)
            json_array_append_new(results, result_json(file, why, product));
        else
            print_result(file, why, product);
    }
    if (cli->json) {
        tb_print_json(results, JSON_INDENT(2));
    }
    json_decref(results);
    tb_registry_free(registry);
    return exit_code;
}

const struct tb_command tb_command_plugin_check = {
    .name = "plugin check",
    .summary = "check plugins as the gateway would, without serving them",
    .arguments = "FILE.so...",
    .arguments_min = 1,
    .arguments_max = TB_ARGUMENTS_MAX,
    .options = schema_options,
    .about = "Opens each file, checks its ABI and its tables, and compiles its schemas. Nothing\n"
             "of the plugin is run.",
    .example = "tongbao plugin check build/plugins/example.so",
    .run = check,
};

/* ---- doc ---- */

static int doc(struct tb_cli *cli)
{
    struct tb_registry *registry = new_registry(cli);
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    const char *why;
    int exit_code = TB_EXIT_OK;
    if (tb_registry_open(registry, cli->arguments[0], &why)) {
        struct tb_text text;
        size_t n;
        tb_text_init(&text, arena);
        tb_plugin_document(&text, tb_registry_products(registry, &n)[0].plugin);
        struct tb_str page = tb_text_end(&text);
        fwrite(page.at, 1, page.n, stdout);
    } else {
        exit_code = tb_cli_fail(cli, TB_EXIT_FOUND, "%s", why);
    }
    tb_arena_free(arena);
    tb_registry_free(registry);
    return exit_code;
}

const struct tb_command tb_command_plugin_doc = {
    .name = "plugin doc",
    .summary = "print the page of a product, from its tables, as Markdown",
    .arguments = "FILE.so",
    .arguments_min = 1,
    .arguments_max = 1,
    .options = schema_options,
    .example = "tongbao plugin doc build/plugins/e_payment.so",
    .run = doc,
};

/* ---- new ---- */

static void wrote(const char *path)
{
    tb_print("wrote %s\n", path);
}

static int new_plugin(struct tb_cli *cli)
{
    char why[600];
    const char *root = tb_cli_option(cli, "root");
    if (!tb_plugin_scaffold(root == NULL ? "." : root, cli->arguments[0], wrote, why, sizeof(why)))
        return tb_cli_fail(cli, TB_EXIT_FOUND, "%s", why);
    tb_print(
        "next: cmake --build build, then add the name to plugins.load; docs/plugin-guide.md goes "
        "on from here\n");
    return TB_EXIT_OK;
}

static const struct tb_option new_options[] = {
    {"root", "DIRECTORY", "the source tree (default the current directory)"},
    {.name = NULL},
};

const struct tb_command tb_command_plugin_new = {
    .name = "plugin new",
    .summary = "write the beginning of a new product",
    .arguments = "NAME",
    .arguments_min = 1,
    .arguments_max = 1,
    .options = new_options,
    .about = "Copies plugins/example and schemas/example under the new name.",
    .example = "tongbao plugin new gift-card",
    .run = new_plugin,
};
