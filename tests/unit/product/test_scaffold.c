/* `tongbao plugin new`: names, files, and what is refused. */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "product/scaffold.h"
#include <tongbao/types.h>

static size_t written;

static void wrote(const char *path)
{
    (void)path;
    written++;
}

/* A tree with what the scaffold copies. */
static void make_tree(char *root)
{
    static const char *const folders[] = {"plugins", "schemas", "plugins/example",
                                          "schemas/example"};
    static const char *const files[][2] = {
        {"plugins/example/CMakeLists.txt", "tb_plugin(example SOURCES example.c)\n"},
        {"plugins/example/example.c",
         "/* Example */\n.path = \"/example/v1/ping\", .scope = \"example:read\", .name = \"example\"\n"},
        {"schemas/example/pong.json", "{\"title\": \"Example\", \"examples\": []}\n"},
    };
    char path[256];
    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", root, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", root, files[i][0]);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(files[i][1], file);
        fclose(file);
    }
}

static void says(const char *root, const char *file, const char *text)
{
    char path[256], content[1024] = "";
    snprintf(path, sizeof(path), "%s/%s", root, file);
    FILE *from = fopen(path, "r");
    if (from == NULL)
        fail_msg("%s is not there", path);
    content[fread(content, 1, sizeof(content) - 1, from)] = '\0';
    fclose(from);
    assert_string_equal(content, text);
}

static void writes_a_product_under_its_own_name(void **state)
{
    (void)state;
    char root[] = "/tmp/tongbao-scaffold-XXXXXX", why[600];
    make_tree(root);
    written = 0;
    if (!tb_plugin_scaffold(root, "gift-card", wrote, why, sizeof(why)))
        fail_msg("%s", why);
    assert_int_equal(written, 3);
    says(root, "plugins/gift_card/CMakeLists.txt", "tb_plugin(gift_card SOURCES gift_card.c)\n");
    says(root, "plugins/gift_card/gift_card.c",
         "/* Gift card */\n.path = \"/gift-card/v1/ping\", .scope = \"gift-card:read\", .name = "
         "\"gift-card\"\n");
    says(root, "schemas/gift_card/pong.json", "{\"title\": \"Gift card\", \"examples\": []}\n");
    assert_false(tb_plugin_scaffold(root, "gift-card", wrote, why, sizeof(why)));
    assert_non_null(strstr(why, "is there already"));
}

static void refuses_names_that_are_no_names(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "Gift",
                                        "1card",
                                        "gift_card",
                                        "gift/card",
                                        "../x",
                                        "a-name-that-is-longer-than-forty-characters"};
    char root[] = "/tmp/tongbao-scaffold-XXXXXX", why[600];
    make_tree(root);
    for (size_t i = 0; i < TB_COUNT(names); i++) {
        assert_false(tb_plugin_scaffold(root, names[i], wrote, why, sizeof(why)));
        assert_non_null(strstr(why, "lower-case letters"));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(writes_a_product_under_its_own_name),
    cmocka_unit_test(refuses_names_that_are_no_names),
};
TEST_GROUP(tests, NULL, NULL);
