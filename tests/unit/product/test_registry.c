/* The registry: what is served, and the sentence each bad plugin is refused with. */
#include "../unit.h"

#include <stdio.h>

#include "product/document.h"
#include "product/registry.h"

#define FIXTURE(name) TB_BINARY_DIR "/fixtures/plugins/" name ".so"

static const char SCHEMAS[] = TB_SOURCE_DIR "/schemas";

static void refuses_each_bad_plugin_with_a_useful_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const char *says[3]; /* parts of the sentence */
    } cases[] = {
        {FIXTURE("wrong_major"), {"ABI 2.0", "this host has 1.3", "rebuild"}},
        {FIXTURE("newer_minor"), {"needs ABI 1.4", "this host has 1.3", "update the host"}},
        {FIXTURE("short_struct"), {"has 64 bytes", "TB_PLUGIN_HEAD"}},
        {FIXTURE("foreign_build"), {"jansson/9", "rebuild"}},
        {FIXTURE("no_symbol"), {"exports no tongbao_plugin", "TB_PLUGIN"}},
        {FIXTURE("bad_name"), {"lower-case letters"}},
        {FIXTURE("duplicate_route"), {"GET /bad/v1/things", "twice"}},
        {FIXTURE("unknown_scope"), {"\"bad:admin\"", "bad:read and bad:write"}},
        {FIXTURE("foreign_path"), {"/e-payment/v1/payments", "must begin with /bad/v1/"}},
        {FIXTURE("missing_schema"), {"POST /bad/v1/things", "nowhere.json"}},
        {FIXTURE("taken_error"), {"not_found", "taken"}},
        {FIXTURE("foreign_call"), {"e_payment.pay", "own SQL schema"}},
        {FIXTURE("leaky_state"), {"closed of thing", "terminal"}},
        {FIXTURE("built_in_flag"), {"GET /bad/v1/things", "built-in products"}},
        {FIXTURE("bad_consent"), {"GET /bad/v1/things", "\"one_type|other\""}},
        {FIXTURE("foreign_type"), {"detail type borrowing", "scopes of the product"}},
        {FIXTURE("wordless_scope"), {"scope 0", "its words"}},
        {FIXTURE("mute_type"), {"detail type 0", "question"}},
        {FIXTURE("wrong_from_scope"), {"from_scope of the detail type reading"}},
        {FIXTURE("undefined_symbol"), {"cannot be opened", "somewhere_else"}},
        {FIXTURE("nowhere"), {"cannot be opened", "nowhere.so"}},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_registry *registry = tb_registry_new(SCHEMAS);
        const char *why = NULL;
        assert_false(tb_registry_open(registry, cases[i].file, &why));
        for (size_t s = 0; s < 3 && cases[i].says[s] != NULL; s++)
            if (strstr(why, cases[i].says[s]) == NULL)
                fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].file, why, cases[i].says[s]);
        tb_registry_free(registry);
    }
}

static void serves_a_plugin_of_an_older_abi(void **state)
{
    (void)state;
    struct tb_registry *registry = tb_registry_new(SCHEMAS);
    const char *why = NULL;
    size_t n;
    if (!tb_registry_open(registry, FIXTURE("older_minor"), &why))
        fail_msg("%s", why);
    struct tb_operation *const *operations = tb_registry_operations(registry, &n);
    assert_int_equal(n, 2);
    assert_string_equal(operations[1]->route->path, "/bad/v1/others");
    assert_string_equal(operations[1]->route->standard, "none");
    assert_null(operations[0]->route->consent);
    assert_null(operations[1]->route->consent);
    tb_registry_free(registry);
}

static struct tb_config *config_that_loads(const char *directory, const char *name)
{
    char yaml[1024];
    struct tb_arena *arena = tb_arena_new(64 * 1024);
    struct tb_text errors;
    tb_text_init(&errors, arena);
    snprintf(yaml, sizeof(yaml), "plugins:\n  directory: %s\n  load: [%s]\n", directory, name);
    struct tb_config *config = tb_config_parse("test", tb_str(yaml), &errors);
    if (config == NULL)
        fail_msg("%s", tb_text_end(&errors).at);
    tb_arena_free(arena);
    return config;
}

static void refuses_a_plugin_whose_init_fails(void **state)
{
    (void)state;
    struct tb_config *config = config_that_loads(TB_BINARY_DIR "/fixtures/plugins", "failing_init");
    struct tb_registry *registry = tb_registry_new(SCHEMAS);
    const char *why = NULL;
    assert_false(tb_registry_load(registry, config, &why));
    assert_non_null(strstr(why, "init failed with upstream_failed"));
    tb_registry_free(registry);
    tb_config_free(config);
}

static void refuses_a_plugin_named_by_a_path(void **state)
{
    (void)state;
    struct tb_config *config = config_that_loads("/", "tmp/x");
    struct tb_registry *registry = tb_registry_new(SCHEMAS);
    const char *why = NULL;
    assert_false(tb_registry_load(registry, config, &why));
    assert_non_null(strstr(why, "must be a name"));
    tb_registry_free(registry);
    tb_config_free(config);
}

static void serves_the_shipped_products(void **state)
{
    (void)state;
    struct tb_config *config = config_that_loads(TB_BINARY_DIR "/plugins", "example, e_payment");
    struct tb_registry *registry = tb_registry_new(SCHEMAS);
    const char *why = NULL;
    size_t n;
    if (!tb_registry_load(registry, config, &why))
        fail_msg("%s", why);
    const struct tb_product *products = tb_registry_products(registry, &n);
    assert_int_equal(n, 2);
    assert_string_equal(products[1].plugin->name, "e-payment");
    tb_registry_operations(registry, &n);
    assert_int_equal(n, 7);
    struct tb_match match;
    assert_true(tb_router_find(tb_registry_router(registry), TB_STR("GET"),
                               TB_STR("/example/v1/ping"), &match));
    assert_non_null(match.operation->reply_schema);
    tb_err err = tb_registry_error(registry, TB_STR("refund_exceeds_payment"));
    assert_non_null(err);
    assert_int_equal(err->status, 409);
    assert_null(tb_registry_error(registry, TB_STR("no_such_code")));
    tb_registry_free(registry);
    tb_config_free(config);
}

static void refuses_a_route_whose_consent_nobody_declares(void **state)
{
    (void)state;
    struct tb_config *config = config_that_loads(TB_BINARY_DIR "/fixtures/plugins", "lost_consent");
    struct tb_registry *registry = tb_registry_new(SCHEMAS);
    const char *why = NULL;
    assert_false(tb_registry_load(registry, config, &why));
    assert_non_null(strstr(why, "GET /bad/v1/things names the consent \"nowhere\""));
    tb_registry_free(registry);
    tb_config_free(config);
}

static void refuses_a_detail_type_that_is_taken(void **state)
{
    (void)state;
    struct tb_registry *registry = tb_registry_new(SCHEMAS);
    const char *why = NULL;
    assert_true(tb_registry_open(registry, TB_BINARY_DIR "/plugins/e_payment.so", &why));
    assert_false(tb_registry_open(registry, FIXTURE("taken_type"), &why));
    assert_non_null(strstr(why, "payment is declared already by e-payment"));
    tb_registry_free(registry);
}

static void refuses_two_products_of_one_name(void **state)
{
    (void)state;
    struct tb_registry *registry = tb_registry_new(SCHEMAS);
    const char *why = NULL;
    assert_true(tb_registry_open(registry, TB_BINARY_DIR "/plugins/example.so", &why));
    assert_false(tb_registry_open(registry, TB_BINARY_DIR "/plugins/example.so", &why));
    assert_non_null(strstr(why, "loaded already"));
    tb_registry_free(registry);
}

static void documents_a_product_from_its_tables(void **state)
{
    (void)state;
    struct tb_registry *registry = tb_registry_new(SCHEMAS);
    struct tb_arena *arena = tb_arena_new(1 << 20);
    struct tb_text text;
    const char *why = NULL;
    size_t n;
    assert_true(tb_registry_open(registry, TB_BINARY_DIR "/plugins/e_payment.so", &why));
    tb_text_init(&text, arena);
    tb_plugin_document(&text, tb_registry_products(registry, &n)[0].plugin);
    const char *page = tb_text_end(&text).at;
    static const char *const says[] = {
        "# Corporate payments (`e-payment` 1.0.0)",
        "`POST /e-payment/v1/payments`",
        "processing --> succeeded: bank",
        "`refund_exceeds_payment` | 409",
        "`payment.succeeded`",
        "`created[gte]`",
    };
    for (size_t i = 0; i < TB_COUNT(says); i++)
        if (strstr(page, says[i]) == NULL)
            fail_msg("the page does not say \"%s\"", says[i]);
    tb_arena_free(arena);
    tb_registry_free(registry);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(refuses_each_bad_plugin_with_a_useful_sentence),
    cmocka_unit_test(serves_a_plugin_of_an_older_abi),
    cmocka_unit_test(refuses_a_plugin_whose_init_fails),
    cmocka_unit_test(refuses_a_plugin_named_by_a_path),
    cmocka_unit_test(serves_the_shipped_products),
    cmocka_unit_test(refuses_a_route_whose_consent_nobody_declares),
    cmocka_unit_test(refuses_a_detail_type_that_is_taken),
    cmocka_unit_test(refuses_two_products_of_one_name),
    cmocka_unit_test(documents_a_product_from_its_tables),
};
TEST_GROUP(tests, NULL, NULL);
