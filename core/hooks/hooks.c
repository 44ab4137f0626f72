/* See hooks.h. */
#include "hooks/hooks.h"
#include <stdio.h>
#include <string.h>

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
    char path[TB_SCRIPT_HOOK_BYTES + sizeof("script/.json")];
    for (size_t i = 0; i < TB_HOOKS_N; i++) {
        snprintf(path, sizeof(path), "script/%s.json", ROWS[i].name);
        if (decisions[i] == NULL &&
            (decisions[i] = tb_schema_load(directory, path, why, why_bytes)) == NULL)
            return false;
    }
    return true;
}

static bool is_hook(const char *name)
{
    for (size_t i = 0; i < TB_HOOKS_N; i++)
        if (strcmp(ROWS[i].name, name) == 0)
            return true;
    return false;
}

bool tb_script_hooks_good(const struct tb_script *script, char *why, size_t why_bytes)
{
    const char *name = tb_script_function(script, 0);
    if (name == NULL) {
        snprintf(why, why_bytes, "the table it returns has no hook; %s is one", ROWS[0].name);
        return false;
    }
    for (size_t i = 0; (name = tb_script_function(script, i)) != NULL; i++) {
        if (is_hook(name))
            continue;
        snprintf(why, why_bytes, "the table it returns has %s, which is no hook; %s is one", name,
                 ROWS[0].name);
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
