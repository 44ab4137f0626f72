/* The configuration file. Whatever the bytes: reading ends, a refusal says why in lines of bounded
 * number, and what is taken can be explained as JSON. */
#include "base/assert.h"
#include "config/config.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tb_config_key keys[] = {{"cut_off", "17:00", "When the day ends."}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tb_arena *arena = tb_arena_new((size_t)16 * TB_ARENA_CAP);
    struct tb_text errors, told;
    tb_text_init(&errors, arena);
    tb_text_init(&told, arena);
    struct tb_str yaml = {(const char *)data, size};
    struct tb_config *config = tb_config_parse("fuzz.yaml", yaml, &errors);
    if (config == NULL) {
        size_t lines = 0;
        struct tb_str text = tb_text_end(&errors);
        for (size_t i = 0; i < text.n; i++)
            lines += text.at[i] == '\n';
        TB_ASSERT(lines >= 1 && lines <= 64);
    } else {
        bool known = tb_config_declare(config, "e-payment", keys, 1, &errors);
        bool whole = tb_config_declared(config, &errors);
        TB_ASSERT(tb_config_plugin(config, "e-payment", "cut_off").at != NULL);
        TB_ASSERT((known && whole) == (tb_text_end(&errors).n == 0));
        tb_config_explain(config, false, &told);
        tb_text_init(&told, arena);
        tb_config_explain(config, true, &told);
        json_t *json = json_loads(tb_text_end(&told).at, JSON_REJECT_DUPLICATES, NULL);
        TB_ASSERT(json != NULL);
        json_decref(json);
    }
    tb_config_free(config);
    tb_arena_free(arena);
    return 0;
}
