/* Configuration: every row holds by its own rules, every mistake is told with its place. */
#include "../base/test.h"
#include "config/config.h"
#include "config/config_impl.h"
#include <unistd.h>

static struct tb_arena *arena;
static struct tb_text errors;

static int set_up(void **state)
{
    (void)state;
    arena = tb_arena_new((size_t)16 * TB_ARENA_CAP);
    tb_text_init(&errors, arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_arena_free(arena);
    return 0;
}

static struct tb_config *load(const char *yaml)
{
    struct tb_config *config = tb_config_parse("t.yaml", tb_str(yaml), &errors);
    if (config == NULL)
        fail_msg("%s", tb_text_end(&errors).at);
    return config;
}

/* The errors of a text that must be refused. */
static const char *refused(const char *yaml)
{
    tb_text_init(&errors, arena);
    struct tb_config *config = tb_config_parse("t.yaml", tb_str(yaml), &errors);
    if (config != NULL)
        fail_msg("taken: %s", yaml);
    return tb_text_end(&errors).at;
}

/* ---- the table ---- */

static void has_defaults_that_its_own_bounds_allow(void **state)
{
    (void)state;
    struct tb_config *config = load("");
    assert_int_equal(config->listen_port, 8443);
    assert_int_equal(config->limits_body_bytes, 64 * 1024);
    assert_int_equal(config->limits_request_deadline_ms, 10000);
    assert_int_equal(config->guard_age_ms, 600000);
    assert_false(config->sandbox);
    assert_int_equal(config->log_access, TB_ACCESS_ALL);
    assert_string_equal(config->tls_key, "");
    assert_int_equal(config->plugins_load.n, 0);
    assert_int_equal(config->metrics_allow.n, 2);
    assert_string_equal(config->metrics_allow.items[1], "::1/128");
    tb_config_free(config);
}

static void has_keys_and_variables_that_are_all_different(void **state)
{
    (void)state;
    size_t n;
    const struct tb_config_row *rows = tb_config_rows(&n);
    for (size_t i = 0; i < n; i++) {
        struct tb_text mine;
        tb_text_init(&mine, arena);
        tb_config_variable(rows[i].key, &mine);
        assert_true(strspn(rows[i].key, "abcdefghijklmnopqrstuvwxyz0123456789._") ==
                    strlen(rows[i].key));
        assert_true(strlen(rows[i].doc) > 10 && rows[i].doc[strlen(rows[i].doc) - 1] == '.');
        assert_null(strchr(rows[i].doc, '|')); /* the table of docs/configuration.md */
        for (size_t j = 0; j < i; j++) {
            struct tb_text other;
            tb_text_init(&other, arena);
            tb_config_variable(rows[j].key, &other);
            assert_false(tb_str_eq(tb_text_end(&mine), tb_text_end(&other)));
            assert_true(rows[i].offset != rows[j].offset);
            size_t shorter = strlen(rows[j].key);
            assert_false(strncmp(rows[i].key, rows[j].key, shorter) == 0 &&
                         rows[i].key[shorter] == '.'); /* a key is not also a section */
        }
    }
}

static void shows_every_default_in_a_form_that_it_reads_back(void **state)
{
    (void)state;
    size_t n;
    const struct tb_config_row *rows = tb_config_rows(&n);
    struct tb_config *config = load("");
    for (size_t i = 0; i < n; i++) {
        struct tb_text first, second;
        tb_text_init(&first, arena);
        tb_text_init(&second, arena);
        tb_config_show(config, &rows[i], &first);
        struct tb_str shown = tb_text_end(&first);
        if (!tb_config_set(config, &rows[i], shown))
            fail_msg("%s: %s", rows[i].key, shown.at);
        tb_config_show(config, &rows[i], &second);
        assert_text(tb_text_end(&second), shown.at);
    }
    tb_config_free(config);
}

/* ---- files ---- */

static void reads_every_type_nested_or_dotted(void **state)
{
    (void)state;
    struct tb_config *config = load("# comment\n"
                                    "listen: {host: '::1', port: 0}\n"
                                    "hosts:\n"
                                    "  - bank.example\n"
                                    "  - \"bank.example:8443\"\n"
                                    "sandbox: true\n"
                                    "limits.body: 1MiB\n"
                                    "limits:\n"
                                    "  request_deadline: 90s\n"
                                    "  connection_age: 1d\n"
                                    "store:\n"
                                    "  dsn: host=/run dbname=x\n"
                                    "log: {level: warn, access: none}\n"
                                    "plugins:\n"
                                    "  load: []\n"
                                    "metrics.allow: []\n"
                                    "workers: 2\n");
    assert_string_equal(config->listen_host, "::1");
    assert_int_equal(config->listen_port, 0);
    assert_int_equal(config->hosts.n, 2);
    assert_string_equal(config->hosts.items[1], "bank.example:8443");
    assert_true(config->sandbox);
    assert_int_equal(config->limits_body_bytes, 1024 * 1024);
    assert_int_equal(config->limits_request_deadline_ms, 90000);
    assert_int_equal(config->guard_age_ms, 86400000);
    assert_string_equal(config->store_dsn, "host=/run dbname=x");
    assert_int_equal(config->log_level, TB_LOG_WARN);
    assert_int_equal(config->log_access, TB_ACCESS_NONE);
    assert_int_equal(config->metrics_allow.n, 0);
    tb_config_free(config);
}

static void takes_an_empty_file_for_all_defaults(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "\n", "# nothing\n", "---\n{}\n", "{}"};
    for (size_t i = 0; i < COUNT(cases); i++)
        tb_config_free(load(cases[i]));
}

static void says_where_and_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *error;
    } cases[] = {
        {"listen:\n  prot: 1\n",
         "t.yaml:2:3: unknown key \"listen.prot\"; did you mean \"listen.port\"?\n"},
        {"limts:\n  body: 1KiB\n",
         "t.yaml:1:1: unknown section \"limts\"; did you mean \"limits\"?\n"},
        {"port: 1\n", "t.yaml:1:1: unknown key \"port\"; did you mean \"listen.port\"?\n"},
        {"something_else: 1\n", "t.yaml:1:1: unknown key \"something_else\"\n"},
        {"listen: 1\n", "t.yaml:1:1: this is a section: its keys stand below it\n"},
        {"listen: {port: 65536}\n",
         "t.yaml:1:16: \"listen.port\" takes a whole number from 0 to 65535, not \"65536\"\n"},
        {"listen: {port: 99999999999999999999}\n", "from 0 to 65535"},
        {"listen: {port: '1'}\n", "takes a whole number from 0 to 65535, not \"1\""},
        {"listen: {port: 1.5}\n", "takes a whole number"},
        {"listen: {port: 0x10}\n", "takes a whole number"},
        {"listen: {port: }\n", "not \"nothing\""},
        {"listen: {port: ~}\n", "not \"nothing\""},
        {"listen: {port: [1]}\n", "takes a whole number"},
        {"listen: {port: {a: 1}}\n", "\"listen.port\" takes a whole number from 0 to 65535\n"},
        {"sandbox: yes\n", "\"sandbox\" takes true or false, not \"yes\""},
        {"sandbox: 'true'\n", "takes true or false"},
        {"log: {level: fatal}\n", "takes one of debug, info, warn, error, not \"fatal\""},
        {"limits: {body: 64}\n", "takes a size such as 64KiB"},
        {"limits: {body: 64KB}\n", "takes a size such as 64KiB"},
        {"limits: {body: 1023B}\n", "from 1KiB to 1MiB, not \"1023B\""},
        {"limits: {body: 2MiB}\n", "from 1KiB to 1MiB, not \"2MiB\""},
        {"limits: {body: 9999999999999GiB}\n", "from 1KiB to 1MiB"},
        {"limits: {request_deadline: 10}\n", "takes a duration such as 5s"},
        {"limits: {request_deadline: -1s}\n", "takes a duration such as 5s"},
        {"limits: {request_deadline: 9223372036854775807h}\n", "from 10ms to 10min"},
        {"hosts: one\n", "takes a list of at most 64 texts"},
        {"hosts: [a, [b]]\n", "t.yaml:1:12: a list holds texts only\n"},
        {"hosts: [a, {b: c}]\n", "a list holds texts only"},
        {"hosts: [a, '']\n", "\"hosts\" takes a list"},
        {"tls: {key: \"a\\0b\"}\n", "\"tls.key\" takes text"},
        {"workers: 1\nworkers: 2\n", "t.yaml:2:1: \"workers\" is set twice, first on line 1\n"},
        {"limits.body: 1KiB\nlimits: {body: 1KiB}\n", "t.yaml:2:10: \"limits.body\" is set twice"},
        {"log: {level: info}\nlog: {access: all}\n", "t.yaml:2:1: the section is there twice"},
        {"a: &x 1\n", "anchors, aliases and tags are not accepted"},
        {"workers: *x\n", "t.yaml:1:10:"},
        {"workers: !!int 1\n", "anchors, aliases and tags are not accepted"},
        {"!!map {workers: 1}\n", "the file must be one mapping"},
        {"&a {workers: 1}\n", "the file must be one mapping"},
        {"hosts: [&a x, *a]\n", "anchor or tag"},
        {"<<: {workers: 1}\n", "unknown section \"<<\""},
        {"? [a]\n: 1\n", "a key is plain text"},
        {"? {a: 1}\n: 1\n", "a key is plain text"},
        {"- a\n", "the file must be one mapping"},
        {"text\n", "the file must be one mapping"},
        {"workers: 1\n---\nworkers: 1\n", "a second document"},
        {"workers: [1\n", "t.yaml:2:1: "},
        {"workers: 1\n\tsandbox: true\n", "t.yaml:"},
        {"workers: \x01\n", "t.yaml:"},
        {"workers: \xFF\n", "t.yaml:"},
        {"'': 1\n", "a key is empty or too long"},
        {"plugins: {e-payment: 1}\n", "t.yaml:1:11: this is a section"},
        {"a: {b: {c: {d: {e: {f: {g: {h: {i: {j: 1}}}}}}}}}\n", "nested too deep"},
        {"plugins: {b: {c: {d: {e: {f: {g: {h: {i: {j: 1}}}}}}}}}\n", "nested too deep"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *said = refused(cases[i].yaml);
        if (strstr(said, cases[i].error) == NULL)
            fail_msg("case %zu: %s", i, said);
    }
}

static void refuses_settings_that_others_make_void(void **state)
{
    static const struct {
        const char *yaml, *why; /* NULL: they go together */
    } cases[] = {
        {"limits.body: 1MiB\nlimits.body_max: 1MiB\n", NULL},
        {"limits.body: 16KiB\nlimits.body_max: 16KiB\n", NULL},
        {"limits.body_max: 16KiB\n", "limits.body must not be larger than limits.body_max\n"},
        {"limits.body_max: 16MiB\nguard.connection_body: 8MiB\n",
         "guard.connection_body must have room for a body of limits.body_max\n"},
    };
    (void)state;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        tb_text_init(&errors, arena);
        struct tb_config *config = tb_config_parse("t", tb_str(cases[i].yaml), &errors);
        assert_int_equal(config != NULL, cases[i].why == NULL);
        if (cases[i].why != NULL)
            assert_string_equal(tb_text_end(&errors).at, cases[i].why);
        tb_config_free(config);
    }
}

static void refuses_a_key_behind_a_section_that_fills_the_bound(void **state)
{
    (void)state;
    for (int letters = 118; letters <= 122; letters++) { /* "plugins." and they: 126 to 130 */
        struct tb_text yaml;
        tb_text_init(&yaml, arena);
        tb_text_add(&yaml, TB_STR("plugins:\n  "));
        for (int i = 0; i < letters; i++)
            tb_text_add_char(&yaml, 'v');
        tb_text_add(&yaml, TB_STR(":\n    ab: 1\n"));
        const char *said = refused(tb_text_end(&yaml).at);
        assert_non_null(strstr(said, "a key is empty or too long"));
    }
}

static void tells_of_all_mistakes_at_once_up_to_a_bound(void **state)
{
    (void)state;
    const char *said = refused("workers: x\nlisten: {port: y}\nunknown: z\n");
    assert_non_null(strstr(said, "t.yaml:1:10:"));
    assert_non_null(strstr(said, "t.yaml:2:16:"));
    assert_non_null(strstr(said, "t.yaml:3:1:"));
    struct tb_text many;
    tb_text_init(&many, arena);
    for (int i = 0; i < 1000; i++)
        tb_text_add_format(&many, "unknown%d: 1\n", i);
    said = refused(tb_text_end(&many).at);
    size_t lines = 0;
    for (; *said != '\0'; said++)
        lines += *said == '\n';
    assert_int_equal(lines, TB_CONFIG_ERRORS);
}

static void never_shows_a_secret(void **state)
{
    (void)state;
    struct tb_config *config = load("store: {dsn: 'password=hunter2'}\n");
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_config_explain(config, false, &text);
    tb_config_explain(config, true, &text);
    assert_null(strstr(tb_text_end(&text).at, "hunter2"));
    tb_config_free(config);
    assert_null(strstr(refused("store: {dsn: \"hunter2\\0\"}\n"), "hunter2"));
}

static void says_why_a_file_cannot_be_read(void **state)
{
    (void)state;
    assert_null(tb_config_load("/nonexistent/t.yaml", &errors));
    assert_text(tb_text_end(&errors), "/nonexistent/t.yaml: there is no such file\n");
    tb_text_init(&errors, arena);
    assert_null(tb_config_load("/tmp", &errors));
    assert_text(tb_text_end(&errors), "/tmp: cannot be read\n");
    char path[] = "/tmp/tb-config-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "workers: 3\n", 11), 11);
    tb_text_init(&errors, arena);
    struct tb_config *config = tb_config_load(path, &errors);
    assert_non_null(config);
    assert_int_equal(config->workers, 3);
    tb_config_free(config);
    assert_int_equal(ftruncate(fd, 2 << 20), 0);
    assert_null(tb_config_load(path, &errors));
    assert_non_null(strstr(tb_text_end(&errors).at, ": larger than 1 MiB\n"));
    unlink(path);
    close(fd);
}

static void stays_small_under_a_file_made_to_grow(void **state)
{
    (void)state;
    static const char bomb[] = "a: &a [x,x,x,x,x,x,x,x,x]\n"
                               "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                               "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
    assert_non_null(strstr(refused(bomb), "anchors, aliases and tags are not accepted"));
    static const char pieces[] = "[{(-?&";
    for (const char *piece = pieces; *piece != '\0'; piece++) {
        char *deep = tb_arena_raw(arena, 100001);
        memset(deep, *piece, 100000);
        deep[100000] = '\0';
        refused(deep);
        if (tb_arena_used(arena) > (size_t)8 * TB_ARENA_CAP)
            tb_arena_reset(arena);
    }
}

/* ---- environment ---- */

static void lets_the_environment_win_over_the_file(void **state)
{
    (void)state;
    setenv("TB_LISTEN_PORT", "7000", 1);
    setenv("TB_HOSTS", "a.example, b.example", 1);
    setenv("TB_PLUGINS_LOAD", "", 1);
    struct tb_config *config = load("listen: {port: 1}\nplugins: {load: [x]}\n");
    assert_int_equal(config->listen_port, 7000);
    assert_int_equal(config->hosts.n, 2);
    assert_string_equal(config->hosts.items[1], "b.example");
    assert_int_equal(config->plugins_load.n, 0);
    struct tb_text told;
    tb_text_init(&told, arena);
    tb_config_explain(config, false, &told);
    assert_non_null(strstr(tb_text_end(&told).at, "listen.port: 7000   (environment)\n"));
    tb_config_free(config);
    setenv("TB_LISTEN_PORT", "70000", 1);
    assert_string_equal(refused(""), "TB_LISTEN_PORT in the environment must be a whole number "
                                     "from 0 to 65535\n");
    unsetenv("TB_LISTEN_PORT");
    unsetenv("TB_HOSTS");
    unsetenv("TB_PLUGINS_LOAD");
}

/* ---- plugins ---- */

static const struct tb_config_key keys[] = {
    {"cut_off", "17:00", "When the day ends."},
    {"clearing.host", "localhost", "Where the clearing house is."},
};

static void checks_keys_of_plugins_once_they_declare_them(void **state)
{
    (void)state;
    struct tb_config *config = load("plugins:\n"
                                    "  e-payment:\n"
                                    "    cut_off: '18:00'\n"
                                    "    clearing: {host: clear.example}\n");
    assert_false(tb_config_declared(config, &errors));
    assert_non_null(strstr(tb_text_end(&errors).at,
                           "\"plugins.e-payment.cut_off\" belongs to a plugin that is not loaded"));
    assert_true(tb_config_declare(config, "e-payment", keys, COUNT(keys), &errors));
    assert_true(tb_config_declared(config, &errors));
    assert_text(tb_config_plugin(config, "e-payment", "cut_off"), "18:00");
    assert_text(tb_config_plugin(config, "e-payment", "clearing.host"), "clear.example");
    assert_null(tb_config_plugin(config, "e-payment", "cut_of").at);
    assert_null(tb_config_plugin(config, "e", "cut_off").at);
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_config_explain(config, false, &text);
    assert_non_null(strstr(tb_text_end(&text).at, "plugins.e-payment.cut_off: 18:00\n"));
    tb_config_free(config);
}

static void gives_defaults_and_environment_to_plugins_too(void **state)
{
    (void)state;
    setenv("TB_PLUGINS_E_PAYMENT_CUT_OFF", "12:00", 1);
    struct tb_config *config = load("plugins: {e-payment: {cut_off: '18:00'}}\n");
    assert_true(tb_config_declare(config, "e-payment", keys, COUNT(keys), &errors));
    unsetenv("TB_PLUGINS_E_PAYMENT_CUT_OFF");
    assert_text(tb_config_plugin(config, "e-payment", "cut_off"), "12:00");
    assert_text(tb_config_plugin(config, "e-payment", "clearing.host"), "localhost");
    tb_config_free(config);
}

static void refuses_keys_and_names_a_plugin_cannot_have(void **state)
{
    (void)state;
    struct tb_config *config = load("plugins:\n  pay:\n    cutoff: '18:00'\n");
    assert_false(tb_config_declare(config, "pay", keys, COUNT(keys), &errors));
    assert_text(tb_text_end(&errors), "t.yaml:3:5: unknown key \"plugins.pay.cutoff\"; did you "
                                      "mean \"cut_off\"?\n");
    assert_false(tb_config_declare(config, "pay", keys, 0, &errors));
    assert_false(tb_config_declare(config, "load", keys, 0, &errors));
    assert_false(tb_config_declare(config, "directory", keys, 0, &errors));
    tb_config_free(config);
    assert_non_null(strstr(refused("plugins: {p: {a: 1, a: 2}}\n"),
                           "t.yaml:1:21: \"plugins.p.a\" is set twice"));
}

/* ---- telling ---- */

static void explains_as_text_and_as_json(void **state)
{
    (void)state;
    struct tb_config *config = load("workers: 2\nlog: {access: writes}\n");
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_config_explain(config, false, &text);
    struct tb_str out = tb_text_end(&text);
    assert_non_null(strstr(out.at, "workers: 2   (file line 1)\n"));
    assert_non_null(strstr(out.at, "log.access: writes   (file line 2)\n"));
    assert_non_null(strstr(out.at, "listen.port: 8443   (default)\n"));
    assert_non_null(strstr(out.at, "TB_LISTEN_PORT"));
    tb_text_init(&text, arena);
    tb_config_explain(config, true, &text);
    json_t *json = json_loads(tb_text_end(&text).at, JSON_REJECT_DUPLICATES, NULL);
    size_t n;
    tb_config_rows(&n);
    assert_int_equal(json_array_size(json), n);
    json_decref(json);
    tb_text_init(&text, arena);
    tb_config_explain(NULL, true, &text);
    json = json_loads(tb_text_end(&text).at, JSON_REJECT_DUPLICATES, NULL);
    assert_null(json_object_get(json_array_get(json, 0), "value"));
    json_decref(json);
    tb_config_free(config);
}

static void guesses_only_what_is_near(void **state)
{
    (void)state;
    static const struct {
        const char *key, *nearest;
    } cases[] = {
        {"listen.prot", "listen.port"},
        {"lisen.port", "listen.port"},
        {"store.batchsize", "store.batch_size"},
        {"worker", "workers"},
        {"limit", "limits"},
        {"store.level", "log.level"},
        {"zzz", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tb_str nearest = tb_config_nearest(tb_str(cases[i].key));
        if (cases[i].nearest == NULL)
            assert_null(nearest.at);
        else
            assert_text(nearest, cases[i].nearest);
    }
    char huge[1000];
    memset(huge, 'x', sizeof(huge));
    assert_null(tb_config_nearest((struct tb_str){huge, sizeof(huge)}).at);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(has_defaults_that_its_own_bounds_allow),
    TEST(has_keys_and_variables_that_are_all_different),
    TEST(shows_every_default_in_a_form_that_it_reads_back),
    TEST(reads_every_type_nested_or_dotted),
    TEST(takes_an_empty_file_for_all_defaults),
    TEST(says_where_and_what_is_wrong),
    TEST(refuses_settings_that_others_make_void),
    TEST(refuses_a_key_behind_a_section_that_fills_the_bound),
    TEST(tells_of_all_mistakes_at_once_up_to_a_bound),
    TEST(never_shows_a_secret),
    TEST(says_why_a_file_cannot_be_read),
    TEST(stays_small_under_a_file_made_to_grow),
    TEST(lets_the_environment_win_over_the_file),
    TEST(checks_keys_of_plugins_once_they_declare_them),
    TEST(gives_defaults_and_environment_to_plugins_too),
    TEST(refuses_keys_and_names_a_plugin_cannot_have),
    TEST(explains_as_text_and_as_json),
    TEST(guesses_only_what_is_near),
};
TEST_GROUP(tests, NULL, NULL);
