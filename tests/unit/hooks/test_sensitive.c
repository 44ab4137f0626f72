/* Which members a schema marks as sensitive. */
#include "../lua/lua_fixture.h"

#include "hooks/sensitive.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/tb-sensitive-XXXXXX";

static void write_file(const char *path, const char *text)
{
    char name[256];
    snprintf(name, sizeof(name), "%s/%s", directory, path);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make(void **state)
{
    char name[256];
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(name, sizeof(name), "%s/pay", directory);
    mkdir(name, 0700);
    snprintf(name, sizeof(name), "%s/common", directory);
    mkdir(name, 0700);
    write_file("common/party.json",
               "{\"$defs\":{\"name\":{\"x-sensitive\":true},\"party\":{\"properties\":{"
               "\"name\":{\"$ref\":\"#/$defs/name\"},\"country\":{}}}}}");
    write_file("pay/plain.json", "{\"properties\":{\"a\":{\"type\":\"string\"},"
                                 "\"b\":{\"x-sensitive\":false}}}");
    write_file("pay/one.json",
               "{\"properties\":{\"a/b\":{\"x-sensitive\":true},"
               "\"debtor\":{\"$ref\":\"../common/party.json#/$defs/party\"},"
               "\"rows\":{\"items\":{\"properties\":{\"iban\":{\"x-sensitive\":true}}}},"
               "\"tags\":{\"additionalProperties\":{\"x-sensitive\":true}}},"
               "\"anyOf\":[{\"properties\":{\"c\":{\"x-sensitive\":true}}}]}");
    write_file("pay/other.json", "{\"$ref\":\"one.json\"}");
    write_file("pay/endless.json", "{\"properties\":{\"a\":{\"x-sensitive\":true},"
                                   "\"next\":{\"$ref\":\"#\"},\"prev\":{\"$ref\":\"#\"}}}");
    write_file("pay/broken.json", "{\"$ref\":\"nowhere.json\"}");
    return 0;
}

static int clear(void **state)
{
    static const char *const names[] = {
        "common/party.json",
        "pay/plain.json",
        "pay/one.json",
        "pay/other.json",
        "pay/endless.json",
        "pay/broken.json",
        "pay",
        "common",
        "",
    };
    char name[256];
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(name, sizeof(name), "%s/%s", directory, names[i]);
        remove(name);
    }
    return 0;
}

static void expect(const char *path, const char *wanted)
{
    json_t *found = tb_sensitive_members(directory, path);
    char *text = found == NULL ? NULL : json_dumps(found, JSON_COMPACT);
    if (wanted == NULL ? text != NULL : text == NULL || strcmp(text, wanted) != 0)
        fail_msg("%s: %s", path, text);
    free(text);
    json_decref(found);
}

static void lists_what_is_marked_wherever_it_is_said(void **state)
{
    (void)state;
    expect("pay/plain.json", "[]");
    expect("pay/one.json", "[\"/a~1b\",\"/tags/*\",\"/c\",\"/rows/*/iban\",\"/debtor/name\"]");
    expect("pay/other.json", "[\"/a~1b\",\"/tags/*\",\"/c\",\"/rows/*/iban\",\"/debtor/name\"]");
}

/* Nothing may be kept where it is not known what to leave out. */
static void gives_up_rather_than_tell_half(void **state)
{
    (void)state;
    expect("pay/endless.json", NULL);
    expect("pay/broken.json", NULL);
    expect("pay/none.json", NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lists_what_is_marked_wherever_it_is_said),
    cmocka_unit_test(gives_up_rather_than_tell_half),
};
TEST_GROUP(tests, make, clear);
