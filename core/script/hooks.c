/* See hooks.h. */
#include "script/hooks.h"
#include <stdio.h>

static const struct tb_script_hook_row ROWS[] = {
#define TB_SCRIPT_HOOK(NAME, name, failure, doc) {name, failure, doc},
    TB_SCRIPT_HOOK_TABLE(TB_SCRIPT_HOOK)
#undef TB_SCRIPT_HOOK
};

static struct tb_schema *decisions[TB_HOOKS_N];

const struct tb_script_hook_row *tb_script_hook_row(enum tb_script_hook hook)
{
    return &ROWS[hook];
}

bool tb_hooks_open(const char *directory, char *why, size_t why_bytes)
{
    char path[TB_SCRIPT_HOOK_BYTES + sizeof "script/.json"];
    for (size_t i = 0; i < TB_HOOKS_N; i++) {
        snprintf(path, sizeof path, "script/%s.json", ROWS[i].name);
        if (decisions[i] == NULL &&
            (decisions[i] = tb_schema_load(directory, path, why, why_bytes)) == NULL)
            return false;
    }
    return true;
}

bool tb_script_decision_good(enum tb_script_hook hook, json_t *decision, struct tb_arena *arena,
                             char *why, size_t why_bytes)
{
    struct tb_schema_error error;
    size_t total;
    if (tb_schema_check(decisions[hook], decision, arena, &error, 1, &total) == NULL)
        return true;
    snprintf(why, why_bytes, "%s returned a decision whose %s %s", ROWS[hook].name,
             total == 0 || error.pointer[0] == '\0' ? "whole" : error.pointer,
             total == 0 ? "could not be checked" : error.detail);
    return false;
}
