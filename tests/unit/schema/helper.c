#include "../unit.h"

#include "base/mem.h"
#include "helper.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *with_double_quotes(const char *text)
{
    char *copy = tb_mem_text(text, strlen(text));
    for (char *c = copy; *c != '\0'; c++) {
        if (*c == '\'')
            *c = '"';
    }
    return copy;
}

json_t *json_of(const char *text)
{
    char *plain = with_double_quotes(text);
    json_error_t error;
    json_t *json = json_loads(plain, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        fail_msg("%s: %s", plain, error.text);
    tb_mem_free(plain);
    return json;
}

static void write_file(const char *directory, const struct schema_file *file)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", directory, file->path);
    for (char *slash = strchr(path + strlen(directory) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    char *plain = with_double_quotes(file->text);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(plain, out);
    fclose(out);
    tb_mem_free(plain);
}

static void remove_file(const char *directory, const struct schema_file *file)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", directory, file->path);
    unlink(path);
    for (char *slash = strrchr(path, '/'); slash > path + strlen(directory);
         slash = strrchr(path, '/')) {
        *slash = '\0';
        rmdir(path);
    }
}

struct tb_schema *load_files(const struct schema_file *files, size_t n, char *why, size_t why_bytes)
{
    char directory[] = "/tmp/tb-schema-XXXXXX";
    assert_non_null(mkdtemp(directory));
    for (size_t i = 0; i < n; i++)
        write_file(directory, &files[i]);
    why[0] = '\0';
    struct tb_schema *schema = tb_schema_load(directory, "main.json", why, why_bytes);
    for (size_t i = 0; i < n; i++)
        remove_file(directory, &files[i]);
    rmdir(directory);
    return schema;
}

struct tb_schema *load_text(const char *text)
{
    char why[512];
    struct schema_file file = {"main.json", text};
    struct tb_schema *schema = load_files(&file, 1, why, sizeof(why));
    if (schema == NULL)
        fail_msg("%s", why);
    return schema;
}

size_t verdict(const struct tb_schema *schema, json_t *value, char *out, size_t out_bytes)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_schema_error errors[TB_SCHEMA_ERRORS];
    size_t total = 0, n = 0;
    tb_err err = tb_schema_check(schema, value, arena, errors, TB_SCHEMA_ERRORS, &total);
    assert_true(err == NULL ? total == 0 : tb_is(err, TB_E_INVALID) && total > 0);
    out[0] = '\0';
    for (size_t i = 0; i < total && i < TB_SCHEMA_ERRORS; i++) {
        assert_non_null(errors[i].detail);
        int written = snprintf(out + n, out_bytes - n, "%s%s %s", i == 0 ? "" : ",",
                               errors[i].pointer, errors[i].code);
        assert_in_range(written, 1, out_bytes - n - 1);
        n += (size_t)written;
    }
    tb_arena_free(arena);
    return total;
}

void check_cases(const struct check_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char found[2048];
        struct tb_schema *schema = load_text(cases[i].schema);
        json_t *value = json_of(cases[i].value);
        verdict(schema, value, found, sizeof(found));
        if (strcmp(found, cases[i].errors) != 0)
            fail_msg("%s under %s: expected \"%s\", found \"%s\"", cases[i].value, cases[i].schema,
                     cases[i].errors, found);
        json_decref(value);
        tb_schema_free(schema);
    }
}
