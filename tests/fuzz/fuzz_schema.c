/* The validator under arbitrary JSON: the first byte picks a schema, the rest is the body. Whatever
 * comes in, the check must end, say the same twice, and point at places that exist. */
#include "base/assert.h"
#include "base/json.h"
#include "base/time.h"
#include "schema/schema.h"
#include <stdio.h>
#include <stdlib.h>

static const char *const files[][2] = {
    {TB_SOURCE_DIR "/tests/fuzz/schemas", "every_keyword.json"},
    {TB_SOURCE_DIR "/schemas", "e_payment/payment_create.json"},
    {TB_SOURCE_DIR "/schemas", "e_payment/payments.json"},
    {TB_SOURCE_DIR "/schemas", "e_payment/refund_create.json"},
    {TB_SOURCE_DIR "/schemas", "accounts/entries.json"},
    {TB_SOURCE_DIR "/schemas", "common/problem.json"},
};

enum { SCHEMAS = TB_COUNT(files), MAX_MS = 2000 };

static struct tb_schema *schemas[SCHEMAS];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    for (size_t i = 0; i < SCHEMAS; i++) {
        char why[512];
        schemas[i] = tb_schema_load(files[i][0], files[i][1], why, sizeof(why));
        if (schemas[i] == NULL) {
            fprintf(stderr, "%s\n", why);
            exit(1);
        }
    }
    return 0;
}

/* Whether the pointer leads to a value of `json`, or to a member its last object lacks. */
static bool leads_somewhere(json_t *json, const char *pointer, bool missing)
{
    while (*pointer == '/') {
        char name[4096];
        size_t n = 0;
        for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
            TB_ASSERT(n + 1 < sizeof(name));
            name[n++] = *pointer;
            if (*pointer == '~')
                name[n - 1] = *++pointer == '0' ? '~' : '/';
        }
        name[n] = '\0';
        json_t *next = json_is_array(json) ? json_array_get(json, strtoul(name, NULL, 10))
                                           : json_object_getn(json, name, n);
        if (next == NULL)
            return missing && *pointer == '\0' && json_is_object(json);
        json = next;
    }
    return *pointer == '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tb_json_limits limits = {
        .bytes = 1 << 20, .depth = 64, .members = 100000, .reals = true};
    if (size < 1)
        return 0;
    const struct tb_schema *schema = schemas[data[0] % SCHEMAS];
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    json_t *json;
    struct tb_str text = {(const char *)data + 1, size - 1};
    if (tb_json_parse(arena, text, &limits, &json, NULL) == NULL) {
        struct tb_schema_error first[TB_SCHEMA_ERRORS], again[TB_SCHEMA_ERRORS];
        size_t total, total_again;
        int64_t began = tb_monotonic_ms();
        tb_err err = tb_schema_check(schema, json, arena, first, TB_SCHEMA_ERRORS, &total);
        TB_ASSERT(tb_monotonic_ms() - began < MAX_MS);
        TB_ASSERT((err == NULL) == (total == 0));
        tb_err same = tb_schema_check(schema, json, arena, again, TB_SCHEMA_ERRORS, &total_again);
        TB_ASSERT((err == NULL) == (same == NULL) && total == total_again);
        for (size_t i = 0; i < total && i < TB_SCHEMA_ERRORS; i++) {
            TB_ASSERT(strcmp(first[i].pointer, again[i].pointer) == 0);
            TB_ASSERT(strcmp(first[i].code, again[i].code) == 0);
            TB_ASSERT(
                leads_somewhere(json, first[i].pointer, strcmp(first[i].code, "required") == 0));
        }
    }
    tb_arena_free(arena);
    return 0;
}
