/* Inside of a script: the Lua state, what it has taken and what the running call has spent. */
#ifndef TB_LUA_STATE_H
#define TB_LUA_STATE_H

#include "lua/script.h"
#include "runtime/fiber.h"
#include <lauxlib.h>
#include <lua.h>

enum {
    TB_SCRIPT_PACE = 100,    /**< instructions between two looks at the clock */
    TB_SCRIPT_SLOW_PACE = 8, /**< the same while large objects are about: one instruction may then
                                  take half a millisecond */
    TB_SCRIPT_LARGE = 64 * 1024,
    TB_SCRIPT_CHURN = 256 * 1024, /**< bytes allocated until the clock is looked at out of turn */
    TB_SCRIPT_PATTERNS = 32,      /**< compiled ones a state remembers */
    TB_SCRIPT_HOOKS = 8,
    TB_SCRIPT_CLASSES = 33, /**< of small blocks, by 16 bytes: up to 512 */
};

/** Places in the registry: what every call needs is found by number. */
enum tb_script_place {
    TB_SCRIPT_GLOBALS = 1, /**< what the library gives to scripts */
    TB_SCRIPT_TEXT,        /**< the script's own, read */
    TB_SCRIPT_ENVIRONMENT, /**< metatable of the environments that texts run in */
    TB_SCRIPT_ARRAY,       /**< metatable of tables that are arrays even when they are empty */
    TB_SCRIPT_BEGIN,       /**< functions of the runner's */
    TB_SCRIPT_PUSH_ENTRY,
    TB_SCRIPT_READ_ANSWER,
    TB_SCRIPT_PLACES_END
};

struct tb_pattern;

/** What one call of a hook has spent. It lives in the runner's frame. */
struct tb_script_spend {
    int64_t cpu_left_ns;  /**< of the budget, at the beginning of this slice */
    int64_t cpu_from_ns;  /**< the thread's clock at the beginning of this slice, about */
    int64_t held_ns;      /**< of all slices, what was beyond TB_SCRIPT_SHORT_US */
    uint64_t slice_ticks; /**< the counter at the slice's beginning */
    uint64_t turn_ticks;  /**< after so many a slice gives way to others */
    int64_t wall_until_ms;
    uint64_t ticks_from, ticks_sure; /**< within so many ticks no clock needs to be asked */
    uint64_t random;                 /**< state of tb.random */
    int64_t now_ms;
    bool spent;
    bool raised; /**< the script was told */
    bool paused; /**< it yielded to let others have their turn, and asks for nothing */
};

/** A call's place in the line of those that have more to compute. It lives in the runner's frame,
 *  zeroed at first. */
struct tb_script_spot {
    struct tb_script_spot *next;
    struct tb_wake wake;
    bool in_line;
};

/** Where small blocks come from. */
struct tb_script_front {
    char *at;
    size_t bytes, used;             /**< what is used may be free again */
    void *freed[TB_SCRIPT_CLASSES]; /**< each holds the next one of its size */
};

struct tb_script {
    const struct tb_script_limits *limits;
    lua_State *lua;
    struct tb_script_front front;
    size_t bytes; /**< of all blocks, as they were asked for */
    size_t churn;
    uint32_t large; /**< objects above TB_SCRIPT_LARGE */
    uint32_t calls; /**< so far */
    uint32_t running;
    uint32_t tostrings; /**< within each other */
    bool starved;       /**< memory was refused: the state is not to be trusted with another call */
    struct tb_script_spend *spend; /**< of the call whose slice it is; NULL between slices */
    struct tb_pattern *patterns[TB_SCRIPT_PATTERNS];
    uint32_t patterns_n;
    char hooks[TB_SCRIPT_HOOKS][TB_SCRIPT_HOOK_BYTES];
    uint32_t hooks_n;
    void *handed;     /**< what the runner gives the function of its own that it calls */
    lua_State *spare; /**< a thread for the next call; NULL: none */
    int spare_anchor; /**< its place in the registry */
    void *owner;      /**< of the table that keeps it (vm_pool.c) */
};

struct tb_script *tb_script_of(lua_State *lua);

/* ---- memory.c ---- */

/** Take the memory of a front, which is zeroed; without it all blocks come from the heap. To close
 *  it, all of them must have been given back. */
void tb_script_front_open(struct tb_script_front *front);
void tb_script_front_close(struct tb_script_front *front);

/** lua_Alloc: counts, and refuses what is above the limits. */
void *tb_script_allocate(void *script, void *at, size_t old_n, size_t n);

/* ---- budget.c ---- */

/** Begin a slice of a call on this thread, and end it. */
void tb_script_slice(struct tb_script *script, struct tb_script_spend *spend);
void tb_script_slice_end(struct tb_script *script);

/** Whether the call must end: its budget is used up, or memory was refused. Raises nothing. */
bool tb_script_spent(struct tb_script *script);

/** Have the clock looked at before the next instruction. Raises nothing. */
void tb_script_look_soon(struct tb_script *script);

/** Raise when the call must end. */
void tb_script_check(lua_State *lua);

/** Work that was done in one go beside the instructions, in units of about 10 ns: raises when the
 *  budget is used up. For library functions that loop. */
void tb_script_charge(lua_State *lua, size_t units);

/* ---- script.c ---- */

/** Run the script's text in an environment of its own and push the table of hooks it returns.
 *  Raises what the script raises. */
void tb_script_run_text(lua_State *lua);

/** What is said about a failure; `words` NULL: it was no text. */
void tb_script_say(char *why, size_t why_bytes, const char *words);

/* ---- literal.c ---- */

/** The first number literal of the text that LuaJIT makes into a value of its FFI; absent: there is
 *  none. It lies in the source. */
struct tb_str tb_script_ffi_literal(struct tb_str source);

/* ---- call.c ---- */

/** Lay ready in the registry what calls are made of. Raises for want of memory. */
void tb_script_open_calls(lua_State *lua);

/* ---- turns.c ---- */

/** Wait until all others on this worker had their turn, and the calls ahead in the line a slice.
 *  @return NULL; TB_E_DEADLINE or TB_E_CANCELLED: it is in the line no more */
tb_err TB_NODISCARD TB_SUSPENDS tb_script_next_turn(struct tb_req *req,
                                                    struct tb_script_spot *spot);

/** Let the next go on. It may not have been in the line. */
void tb_script_leave_line(struct tb_script_spot *spot);

/* ---- library ---- */

/** Leave in the state what a script may use and nothing else. Raises only for want of memory. */
void tb_script_library(lua_State *lua);

/** Register functions as the namespace `name`: a value that can be indexed but neither changed nor
 *  listed. They must be on the stack as a table, which is taken. */
void tb_script_namespace(lua_State *lua, const char *name);

void tb_script_open_string(lua_State *lua);
void tb_script_open_table(lua_State *lua);
void tb_script_open_tb(lua_State *lua);
void tb_script_open_namespaces(lua_State *lua);

/** The library's Lua, as it stands in core/lua/lua and lua/tongbao; a row without name ends it.
 */
struct tb_script_text {
    const char *name;
    bool is_namespace; /**< scripts find it under its name */
    const char *at;
    size_t n;
};
extern const struct tb_script_text tb_script_texts[];

/** Run a text of the library and push so many `results` of it. */
void tb_script_lua(lua_State *lua, const char *name, int results);

/* ---- pattern.c ---- */

void tb_script_patterns_free(struct tb_script *script);
int tb_script_match(lua_State *lua);
int tb_script_find(lua_State *lua);
int tb_script_replace(lua_State *lua);

/* ---- convert.c ---- */

/** Push `json` as plain Lua values: raises for want of memory. */
void tb_script_push(lua_State *lua, const json_t *json);

/** Push members as a table, or as a list when they have no names. Raises for want of memory. */
void tb_script_push_members(lua_State *lua, const struct tb_script_member *members, size_t n);

/** A value as JSON. */
struct tb_script_answer {
    json_t *json;    /**< with a reference for the caller; nil gives NULL with no reason */
    const char *why; /**< it cannot be told so; NULL: it can */
};

/** Read the value at `index`. Raises for want of memory or of the budget: then, too, what is in
 * *out is the caller's. */
void tb_script_read(lua_State *lua, int index, struct tb_script_answer *out);

/** Mark the table at `index`: an array even when it is empty. */
void tb_script_mark_array(lua_State *lua, int index);

/** What stands for null. */
extern const char tb_script_null;

#endif
