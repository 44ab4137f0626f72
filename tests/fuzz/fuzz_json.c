/* JSON from a client. Whatever the bytes: parsing ends, an error lies within the text, and what is
 * taken has a canonical form that parses back to itself. */
#include "base/assert.h"
#include "base/json.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tb_str canonical(struct tb_arena *arena, const json_t *json)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_json_canonical(&text, json);
    return tb_text_end(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tb_arena *arena = tb_arena_new((size_t)64 * TB_ARENA_CAP);
    struct tb_str text = {(const char *)data, size};
    struct tb_json_error error = {.reason = NULL};
    json_t *json = NULL;
    if (tb_json_parse(arena, text, &tb_json_limits, &json, &error) != NULL) {
        TB_ASSERT(error.reason != NULL && error.offset <= size && error.line >= 1);
        TB_ASSERT(tb_utf8_valid(tb_str(error.reason)) && strlen(error.pointer) < 128);
        struct tb_str pointer = tb_str(error.pointer);
        TB_ASSERT(pointer.n == 0 || pointer.at[0] == '/');
    } else {
        json_t *again = NULL;
        struct tb_str first = canonical(arena, json);
        struct tb_json_limits limits = tb_json_limits;
        limits.bytes = SIZE_MAX; /* an escape may take six bytes for one */
        TB_ASSERT(first.at != NULL);
        TB_ASSERT(tb_json_parse(arena, first, &limits, &again, &error) == NULL);
        TB_ASSERT(json_equal(json, again) == 1);
        TB_ASSERT(tb_str_eq(first, canonical(arena, again)));
    }
    tb_arena_free(arena);
    return 0;
}
