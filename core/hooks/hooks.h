/* The hooks a script can have: what each may decide, and what becomes of a request when the script
 * fails. A table: products that come later add a row, and the host stays as it is. */
#ifndef TB_HOOKS_HOOKS_H
#define TB_HOOKS_HOOKS_H

#include "lua/script.h"
#include "schema/schema.h"

/** TB_SCRIPT_HOOK(NAME, name, kind of failure by default, what it is for) */
#define TB_SCRIPT_HOOK_TABLE(HOOK)                                                                 \
    HOOK(ON_REQUEST, "on_request", TB_FAILURE_CLOSED,                                              \
         "before a request is checked against its schema: deny, set, route, limit")                \
    HOOK(ON_RESPONSE, "on_response", TB_FAILURE_OPEN,                                              \
         "before a successful answer leaves: set, redact, links")

enum tb_script_hook {
#define TB_SCRIPT_HOOK(NAME, name, failure, doc) TB_HOOK_##NAME,
    TB_SCRIPT_HOOK_TABLE(TB_SCRIPT_HOOK)
#undef TB_SCRIPT_HOOK
        TB_HOOKS_N
};

/** When a script fails: the request goes on as if there were no script, or it does not. */
enum tb_failure { TB_FAILURE_OPEN, TB_FAILURE_CLOSED };

struct tb_script_hook_row {
    const char *name;
    enum tb_failure failure;
    const char *doc;
};

const struct tb_script_hook_row *tb_script_hook_row(enum tb_script_hook hook);

/** Compile the schemas of all hooks' decisions, below `directory`/script; once a process.
 *  @return false with a sentence in `why` */
bool TB_NODISCARD tb_hooks_open(const char *directory, char *why, size_t why_bytes);

/** Whether a script has a hook, and nothing that looks like one: a misspelt hook would never be
 *  called.
 *  @param why  gets what is wrong, for the script's author
 *  Waits: no. */
bool TB_NODISCARD tb_script_hooks_good(const struct tb_script *script, char *why, size_t why_bytes);

/** Whether a hook may decide so.
 *  @param why  gets the first place that is wrong, for the script's author
 *  Waits: no. */
bool TB_NODISCARD tb_script_decision_good(enum tb_script_hook hook, json_t *decision,
                                          struct tb_arena *arena, char *why, size_t why_bytes);

#endif
