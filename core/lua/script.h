/* Partner scripts: Lua that others write, run inside a worker without being able to hurt it. A
 * script sees copies of JSON values and returns one; it has no I/O, no clock of its own and no
 * memory of the call before. What it may spend is bounded, and no construct of the language lets it
 * catch the end of its budget.
 *
 *     struct tb_script *script = tb_script_new(&tb_script_limits, source, why, sizeof why);
 *     struct tb_script_call call = {.hook = "on_request", .input = request, .now_ms = now, …};
 *     struct tb_script_result result;
 *     tb_err err = tb_script_run(req, script, &call, &result);
 *
 * A script is text that returns a table of hooks:
 *
 *     return {
 *         on_request = function(request)
 *             if request.body.amount.amount > 5000000 then
 *                 return { deny = { code = "above_limit", detail = "at most 50,000.00" } }
 *             end
 *         end,
 *     }
 *
 * The text runs anew for every call, in an environment of its own, so nothing a call leaves behind
 * is seen by the next. One `struct tb_script` belongs to one worker. */
#ifndef TB_LUA_SCRIPT_H
#define TB_LUA_SCRIPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tongbao/req.h>

enum {
    TB_SCRIPT_SOURCE_BYTES = 64 * 1024, /**< of a script's text */
    TB_SCRIPT_WHY_BYTES = 512,          /**< of what is said about a failure */
    TB_SCRIPT_HOOK_BYTES = 32,
    TB_SCRIPT_LOOKUPS = 16,   /**< of one call: each is a query */
    TB_SCRIPT_SHORT_US = 200, /**< computing so long at a stretch holds nobody up */
};

/** What one state may take and one call may spend. */
struct tb_script_limits {
    size_t memory_bytes; /**< of the state with all its calls */
    size_t object_bytes; /**< of one string, table part or stack */
    int64_t cpu_us;      /**< of one call, without its waits */
    int64_t turn_us;     /**< at a stretch; then others on this thread have their turn, and again
                              after every fifth of it */
    int64_t wall_ms;     /**< of one call, with its waits */
    uint32_t calls;      /**< a state is worn after so many */
};

/** 4 MiB, 320 KiB, 5 ms, 50 us, 1 s, 100,000 calls. The size of an object bounds a script's own Lua
 * stack, too: to leave 5,000 calls of xpcall that stand in each other would take longer than the
 * budget.
 */
extern const struct tb_script_limits tb_script_limits;

struct tb_script;

/** Make a state and read the text in it.
 *  @param limits  borrowed, outlives the script
 *  @param why     on refusal where and why, for the script's author
 *  @return NULL when the text is not acceptable: too long, compiled, not Lua, or running it does
 *          not give a table of functions
 *  Waits: no; 15 us, and 5 for each namespace of the library that the text asks for. */
struct tb_script *tb_script_new(const struct tb_script_limits *limits, struct tb_str source,
                                char *why, size_t why_bytes);

/** No call may be under way. */
void tb_script_free(struct tb_script *script);

/** Whether the script has a hook of this name. */
bool tb_script_has(const struct tb_script *script, const char *hook);

/** The name of the function at `place`, from 0, in the table that the text returned; NULL: there
 * are no more. */
const char *tb_script_function(const struct tb_script *script, size_t place);

/** A state that has run out of memory once, was left with less than half of it (garbage that the
 * next call would pay for), or has served its number of calls is not used again: free it when idle
 * and make another. */
bool tb_script_worn(const struct tb_script *script);
bool tb_script_idle(const struct tb_script *script);

/** What the state's values and patterns take now. Up to 64 KiB beside it wait for small values to
 * come. */
size_t tb_script_bytes(const struct tb_script *script);

/** One entry of the partner's own tables: JSON, with a reference for the caller; NULL: none. */
typedef tb_err (*tb_script_lookup)(struct tb_req *req, void *arg, struct tb_str table,
                                   struct tb_str key, json_t **out);

/** A member of a hook's argument that is told without making JSON of it first. Exactly one of text,
 *  json and members is there; members make a table, or a list when they have no names. */
struct tb_script_member {
    const char *name;
    struct tb_str text;
    const json_t *json;
    const struct tb_script_member *members;
    size_t members_n;
};

struct tb_script_call {
    const char *hook;
    const json_t *input; /**< the hook's first argument; NULL: it is told by `members` */
    const struct tb_script_member *members;
    size_t members_n;
    const json_t *second; /**< its second, or NULL */
    int64_t now_ms;       /**< what tb.now() says */
    uint64_t seed;        /**< what tb.random() begins with: the same request, the same numbers */
    tb_script_lookup lookup; /**< NULL: tb.lookup is refused */
    void *lookup_arg;
};

/** How a call ended: TB_SCRIPT_END(name, word for metrics and traces). */
#define TB_SCRIPT_ENDS(END)                                                                        \
    END(DONE, "done")     /* with a decision, or with none */                                      \
    END(ERROR, "error")   /* the script's own */                                                   \
    END(BUDGET, "budget") /* processor or wall clock used up */                                    \
    END(MEMORY, "memory") /* memory used up */                                                     \
    END(ANSWER, "answer") /* what it returned cannot be told as JSON */                            \
    END(ENDED, "ended")   /* the request ended while the script waited */

enum tb_script_end {
#define TB_SCRIPT_END(name, word) TB_SCRIPT_##name,
    TB_SCRIPT_ENDS(TB_SCRIPT_END)
#undef TB_SCRIPT_END
};

struct tb_script_result {
    enum tb_script_end end;
    json_t *decision; /**< what the hook returned, in the request's arena; NULL: nothing */
    char why[TB_SCRIPT_WHY_BYTES]; /**< how it failed, with the script's line; "" otherwise */
    int64_t cpu_ns;
    int64_t held_ns; /**< of it, what held up others: beyond TB_SCRIPT_SHORT_US at a stretch */
    uint32_t lookups;
};

const char *tb_script_end_word(enum tb_script_end end);

/** Run a hook, which the script must have.
 *  @return NULL, with everything about the script in *out, whatever it did; an error only where
 *          the request itself cannot go on (TB_E_CANCELLED, TB_E_DEADLINE while it waits;
 *          TB_E_INTERNAL: the arena is full)
 *  Waits: in tb.lookup, and after every turn_us of computing, except within a function of the
 *  host's that calls the script back (tostring with a __tostring). Other calls may run in the same
 *  state meanwhile. */
tb_err TB_NODISCARD TB_SUSPENDS tb_script_run(struct tb_req *req, struct tb_script *script,
                                              const struct tb_script_call *call,
                                              struct tb_script_result *out);

#endif
