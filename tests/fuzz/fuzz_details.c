/* Authorization details under arbitrary JSON. Two documents, a record separator (0x1e) between
 * them: what was granted and what is asked for. Whatever comes in, the judgement ends, is the same
 * for the same value, and points into it; details are within themselves, and what is left after a
 * narrowing is within what was granted and does not change when it is asked for again. */
#include "../unit/oauth/products.h"
#include "base/assert.h"
#include "base/json.h"
#include "oauth/errors.h"
#include "oauth/request/details.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tb_json_limits limits = {.bytes = 1 << 16, .depth = 8, .members = 512};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct tb_config config;
    (void)argc, (void)argv;
    tb_oauth_open(&(struct tb_oauth_parts){.config = &config, .registry = products_open()});
    return 0;
}

/* Whether the details are accepted; what is said otherwise begins with a pointer or names them. */
static bool judge(struct tb_arena *arena, json_t *details)
{
    struct tb_run run;
    tb_run_init(&run, NULL, arena);
    tb_err err = tb_details_check(&run.req, details);
    struct tb_str said = run.problem.detail;
    if (err == NULL)
        return true;
    TB_ASSERT(tb_is(err, TB_E_INVALID_AUTHORIZATION_DETAILS));
    TB_ASSERT(said.n > 3 &&
              (memcmp(said.at, "/0", 2) == 0 || memcmp(said.at, "authorization_details", 21) == 0));
    return false;
}

/* What is left of `granted` when `asked` is asked for; judged on the way. */
static void narrow(const json_t *granted, const json_t *asked)
{
    json_t *kept = tb_details_within(granted, asked);
    if (kept == NULL)
        return;
    json_t *again = tb_details_within(granted, kept);
    TB_ASSERT(json_equal(again, kept));
    json_decref(again);
    again = tb_details_within(kept, kept);
    TB_ASSERT(json_equal(again, kept));
    json_decref(again);
    json_decref(kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_str text = {(const char *)data, size};
    const char *end = size == 0 ? NULL : memchr(text.at, 0x1e, size);
    struct tb_str first = {text.at, end == NULL ? size : (size_t)(end - text.at)};
    struct tb_str second = {end == NULL ? "" : end + 1, end == NULL ? 0 : size - first.n - 1};
    json_t *granted, *asked;
    if (first.n > 0 && tb_json_parse(arena, first, &limits, &granted, NULL) == NULL) {
        bool good = judge(arena, granted);
        TB_ASSERT(good == judge(arena, granted));
        if (good) {
            TB_ASSERT(tb_details_scope(granted).n > 0 && tb_details_type(granted).n > 0);
            narrow(granted, granted);
        }
        if (good && second.n > 0 && tb_json_parse(arena, second, &limits, &asked, NULL) == NULL &&
            judge(arena, asked))
            narrow(granted, asked);
    }
    tb_arena_free(arena);
    return 0;
}
