/* A script's life: the state with its library, the text read once, and calls, each a coroutine in
 * an environment of its own. A call that must wait yields to the runner here, which waits on the
 * fiber and resumes it: fibers are never switched inside Lua's own frames.
 *
 * Memory can end at any allocation, and outside a protected call Lua then ends the process. So
 * nothing here allocates in a state except under lua_cpcall, lua_pcall and lua_resume; what is to
 * be called so lies ready in the registry. */
#include "script/script.h"
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/run.h"
#include "script/state.h"
#include <luajit.h>
#include <stdio.h>
#include <string.h>

static const char CHUNK_NAME[] = "=script";

enum { LOST_BYTES = 64, PIECE_BYTES = 512, JUMPS = 1000 };

const struct tb_script_limits tb_script_limits = {.memory_bytes = 4u << 20,
                                                  .object_bytes = 320u << 10,
                                                  .cpu_us = 5000,
                                                  .wall_ms = 1000,
                                                  .calls = 100000};

const char *tb_script_end_word(enum tb_script_end end)
{
    static const char *const words[] = {
#define TB_SCRIPT_END(name, word) word,
        TB_SCRIPT_ENDS(TB_SCRIPT_END)
#undef TB_SCRIPT_END
    };
    return words[end];
}

/* ---- making one ---- */

/* What the environments of calls have in common: whatever they lack is looked for in the library.
 */
static void make_marks(lua_State *lua)
{
    lua_createtable(lua, 0, 1);
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setfield(lua, LUA_REGISTRYINDEX, "array");
    lua_createtable(lua, 0, 2);
    lua_getfield(lua, LUA_REGISTRYINDEX, "globals");
    lua_setfield(lua, -2, "__index");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setfield(lua, LUA_REGISTRYINDEX, "environment");
    lua_pushboolean(lua, 0); /* so that there is room for it */
    lua_setfield(lua, LUA_REGISTRYINDEX, "text");
}

static int begin(lua_State *lua);
static int push_entry(lua_State *lua);
static int read_answer(lua_State *lua);

static int keep_ready(lua_State *lua, lua_CFunction function)
{
    lua_pushcfunction(lua, function);
    return luaL_ref(lua, LUA_REGISTRYINDEX);
}

static int furnish(lua_State *lua)
{
    if (luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF) != 1)
        return luaL_error(lua, "the compiler cannot be turned off");
    tb_script_library(lua);
    make_marks(lua);
    struct tb_script *script = tb_script_of(lua);
    script->begin = keep_ready(lua, begin);
    script->push_entry = keep_ready(lua, push_entry);
    script->read_answer = keep_ready(lua, read_answer);
    return 0;
}

static int on_panic(lua_State *lua)
{
    TB_ASSERT(lua == NULL); /* an error outside a protected call: LuaJIT would exit silently */
    return 0;
}

/* Run the text in a fresh environment; leaves the table it returns. */
static void run_text(lua_State *lua)
{
    lua_getfield(lua, LUA_REGISTRYINDEX, "text");
    lua_createtable(lua, 0, 0);
    lua_getfield(lua, LUA_REGISTRYINDEX, "environment");
    lua_setmetatable(lua, -2);
    lua_setfenv(lua, -2);
    lua_call(lua, 0, 1);
    if (!lua_istable(lua, -1))
        luaL_error(lua, "a script returns a table of hooks");
}

/* A piece of the text for Lua's parser. Some texts take it a time that grows with the square of
 * their length (chains of `or`, of `elseif`, of `break`), and no hook counts it: so the clock is
 * looked at before each piece. */
static const char *next_piece(lua_State *lua, void *arg, size_t *out_n)
{
    struct tb_str *rest = arg;
    const char *piece = rest->at;
    tb_script_check(lua);
    *out_n = rest->n < PIECE_BYTES ? rest->n : PIECE_BYTES;
    rest->at += *out_n;
    rest->n -= *out_n;
    return piece;
}

/* Read the text and remember which hooks there are: the functions, by name, of the table that it
 * returns. */
static int read_hooks(lua_State *lua)
{
    struct tb_script *script = tb_script_of(lua);
    struct tb_str *source = lua_touserdata(lua, 1);
    if (lua_loadx(lua, next_piece, source, CHUNK_NAME, "t") != 0)
        return lua_error(lua);
    lua_setfield(lua, LUA_REGISTRYINDEX, "text");
    run_text(lua);
    lua_pushnil(lua);
    while (lua_next(lua, -2) != 0) {
        size_t n = 0;
        const char *name = lua_type(lua, -2) == LUA_TSTRING ? lua_tolstring(lua, -2, &n) : NULL;
        if (name == NULL || n >= TB_SCRIPT_HOOK_BYTES || !lua_isfunction(lua, -1))
            return luaL_error(lua, "a script returns a table of functions named as hooks are");
        if (script->hooks_n == TB_SCRIPT_HOOKS)
            return luaL_error(lua, "a script has at most %d hooks", TB_SCRIPT_HOOKS);
        memcpy(script->hooks[script->hooks_n++], name, n + 1);
        lua_pop(lua, 1);
    }
    return 0;
}

static void say(char *why, size_t why_bytes, const char *words)
{
    snprintf(why, why_bytes, "%s", words == NULL ? "an error that is no text" : words);
}

static size_t times(struct tb_str text, const char *word)
{
    size_t n = 0, word_n = strlen(word);
    const char *at = text.at, *end = text.at + text.n;
    while ((at = memmem(at, (size_t)(end - at), word, word_n)) != NULL) {
        at += word_n;
        n++;
    }
    return n;
}

/* Under the budget of a call; false with the reason. */
static bool read_text(struct tb_script *script, struct tb_str source, char *why, size_t why_bytes)
{
    struct tb_script_spend spend = {.cpu_left_ns = script->limits->cpu_us * 1000};
    if (source.n > TB_SCRIPT_SOURCE_BYTES) {
        snprintf(why, why_bytes, "a script has at most %d bytes", TB_SCRIPT_SOURCE_BYTES);
        return false;
    }
    /* At a loop's end or a label the parser takes the square of how many lead there, in one go. */
    if (times(source, "break") + times(source, "goto") > JUMPS) {
        snprintf(why, why_bytes, "a script has at most %d times break and goto", JUMPS);
        return false;
    }
    tb_script_slice(script, &spend);
    bool good = lua_cpcall(script->lua, read_hooks, &source) == 0;
    tb_script_slice_end(script);
    if (!good) {
        say(why, why_bytes,
            lua_type(script->lua, -1) == LUA_TSTRING ? lua_tostring(script->lua, -1) : NULL);
        lua_settop(script->lua, 0);
    }
    return good;
}

struct tb_script *tb_script_new(const struct tb_script_limits *limits, struct tb_str source,
                                char *why, size_t why_bytes)
{
    struct tb_script *script = tb_mem(sizeof *script);
    script->limits = limits;
    script->lua = lua_newstate(tb_script_allocate, script);
    why[0] = '\0';
    if (script->lua != NULL)
        lua_atpanic(script->lua, on_panic);
    if (script->lua == NULL || lua_cpcall(script->lua, furnish, NULL) != 0) {
        say(why, why_bytes, "the library does not fit in the script's memory");
        tb_script_free(script);
        return NULL;
    }
    if (read_text(script, source, why, why_bytes))
        return script;
    tb_script_free(script);
    return NULL;
}

void tb_script_free(struct tb_script *script)
{
    if (script == NULL)
        return;
    TB_ASSERT(script->running == 0);
    tb_script_patterns_free(script);
    if (script->lua != NULL)
        lua_close(script->lua);
    /* LuaJIT forgets a vector of 8 bytes when memory ends early in a state's life. */
    TB_ASSERT(script->bytes == 0 || (script->starved && script->bytes <= LOST_BYTES));
    tb_mem_free(script);
}

bool tb_script_has(const struct tb_script *script, const char *hook)
{
    for (uint32_t i = 0; i < script->hooks_n; i++)
        if (strcmp(script->hooks[i], hook) == 0)
            return true;
    return false;
}

const char *tb_script_function(const struct tb_script *script, size_t place)
{
    return place < script->hooks_n ? script->hooks[place] : NULL;
}

bool tb_script_worn(const struct tb_script *script)
{
    return script->starved || script->calls >= script->limits->calls ||
           script->bytes > script->limits->memory_bytes / 2;
}

bool tb_script_idle(const struct tb_script *script)
{
    return script->running == 0;
}

size_t tb_script_bytes(const struct tb_script *script)
{
    return script->bytes;
}

/* ---- a call ---- */

struct running {
    struct tb_script *script;
    const struct tb_script_call *call;
    struct tb_script_result *out;
    struct tb_script_spend spend;
    lua_State *thread;
    int anchor;          /* in the registry: keeps the thread from the collector */
    const char *refused; /* why the host went on no further; NULL: it did */
    struct tb_script_answer answer;
};

/* Leaves the hook's function and its arguments on the stack. */
static int begin(lua_State *lua)
{
    const struct tb_script_call *call = tb_script_of(lua)->handed;
    run_text(lua);
    lua_getfield(lua, -1, call->hook);
    if (call->input != NULL)
        tb_script_push(lua, call->input);
    else
        tb_script_push_members(lua, call->members, call->members_n);
    if (call->second == NULL)
        lua_pushnil(lua);
    else
        tb_script_push(lua, call->second);
    return 3;
}

static int make_thread(lua_State *lua)
{
    struct running *running = lua_touserdata(lua, 1);
    running->thread = lua_newthread(lua);
    running->anchor = luaL_ref(lua, LUA_REGISTRYINDEX);
    return 0;
}

static int drop_thread(lua_State *lua)
{
    const struct running *running = lua_touserdata(lua, 1);
    luaL_unref(lua, LUA_REGISTRYINDEX, running->anchor);
    return 0;
}

static int push_entry(lua_State *lua)
{
    tb_script_push(lua, tb_script_of(lua)->handed);
    return 1;
}

static int read_answer(lua_State *lua)
{
    tb_script_read(lua, 1, tb_script_of(lua)->handed);
    return 0;
}

static void fail(struct running *running, int status)
{
    struct tb_script_result *out = running->out;
    lua_State *thread = running->thread;
    out->end = running->spend.spent                               ? TB_SCRIPT_BUDGET
               : running->script->starved || status == LUA_ERRMEM ? TB_SCRIPT_MEMORY
                                                                  : TB_SCRIPT_ERROR;
    say(out->why, sizeof out->why,
        running->refused != NULL              ? running->refused
        : lua_type(thread, -1) == LUA_TSTRING ? lua_tostring(thread, -1)
                                              : NULL);
}

/* Resume on this slice; what remains of the budget is less afterwards. */
static int resume(struct running *running, int arguments)
{
    tb_script_slice(running->script, &running->spend);
    int status = lua_resume(running->thread, arguments);
    tb_script_slice_end(running->script);
    return status;
}

/* lua_pcall for a function that lay ready. What the host hands it does not go over Lua's stack:
 * even to push a light userdata may take memory. */
static int call_ready(struct tb_script *script, lua_State *lua, int arguments, int results,
                      const void *handed)
{
    script->handed = (void *)(uintptr_t)handed;
    return lua_pcall(lua, arguments, results, 0);
}

/* Set the hook up and run it, in one slice. */
static int start(struct running *running)
{
    lua_State *thread = running->thread;
    tb_script_slice(running->script, &running->spend);
    lua_rawgeti(thread, LUA_REGISTRYINDEX, running->script->begin);
    int status = call_ready(running->script, thread, 0, 3, running->call);
    if (status == 0)
        status = lua_resume(thread, 2);
    tb_script_slice_end(running->script);
    return status;
}

/* Put what a lookup gave where the waiting script expects it. */
static int hand_over(struct running *running, const json_t *entry)
{
    lua_State *lua = running->script->lua;
    int status = 0;
    if (entry == NULL) {
        lua_pushnil(lua);
    } else {
        lua_rawgeti(lua, LUA_REGISTRYINDEX, running->script->push_entry);
        status = call_ready(running->script, lua, 0, 1, entry);
    }
    lua_xmove(lua, running->thread, 1); /* the value, or what was wrong with it */
    return status;
}

static struct tb_str copy_argument(struct tb_req *req, lua_State *thread, int index)
{
    size_t n;
    const char *text = lua_tolstring(thread, index, &n);
    return (struct tb_str){tb_arena_text(tb_run_of(req)->arena, text, n), n};
}

/* The script asked for an entry of its partner's tables: wait for it and go on. */
static tb_err TB_SUSPENDS answer_lookup(struct tb_req *req, struct running *running,
                                        int *out_status)
{
    const struct tb_script_call *call = running->call;
    struct tb_str table = copy_argument(req, running->thread, 1);
    struct tb_str key = copy_argument(req, running->thread, 2);
    json_t *entry = NULL;
    lua_settop(running->thread, 0);
    if (table.at == NULL || key.at == NULL)
        return TB_E_INTERNAL;
    *out_status = LUA_ERRRUN;
    if (call->lookup == NULL || running->out->lookups++ == TB_SCRIPT_LOOKUPS) {
        running->refused = call->lookup == NULL ? "there is nothing to look up here"
                                                : "too many lookups in one call";
        return NULL;
    }
    tb_err err = call->lookup(req, call->lookup_arg, table, key, &entry);
    if (err != NULL)
        return err;
    running->spend.spent = tb_loop_now_ms(tb_run_of(req)->loop) > running->spend.wall_until_ms;
    if (running->spend.spent)
        running->refused = "the call has taken too long";
    else if ((*out_status = hand_over(running, entry)) == 0)
        *out_status = resume(running, 1);
    json_decref(entry);
    return NULL;
}

static void free_json(void *json)
{
    json_decref(json);
}

/* What the hook returned, as JSON. The call pays for this, too: a table can have thousands of
 * places with nothing in them, and stand in a list thousands of times. */
static int read_result(struct running *running)
{
    lua_State *thread = running->thread;
    lua_settop(thread, 1);
    lua_rawgeti(thread, LUA_REGISTRYINDEX, running->script->read_answer);
    lua_insert(thread, 1);
    tb_script_slice(running->script, &running->spend);
    int status = call_ready(running->script, thread, 1, 0, &running->answer);
    tb_script_slice_end(running->script);
    return status;
}

static tb_err finish(struct tb_req *req, struct running *running)
{
    struct tb_script_result *out = running->out;
    struct tb_script_answer *answer = &running->answer;
    int status = LUA_ERRRUN; /* it may have caught the error in its last step */
    if (running->spend.spent || running->script->starved || (status = read_result(running)) != 0) {
        json_decref(answer->json);
        fail(running, status);
        return NULL;
    }
    if (answer->why != NULL) {
        out->end = TB_SCRIPT_ANSWER;
        snprintf(out->why, sizeof out->why, "what the hook returned is not JSON: %s", answer->why);
    }
    out->decision = answer->json;
    if (out->decision != NULL && !tb_arena_defer(tb_run_of(req)->arena, free_json, out->decision))
        return TB_E_INTERNAL;
    return NULL;
}

static tb_err TB_SUSPENDS run_to_end(struct tb_req *req, struct running *running)
{
    int status = start(running);
    while (status == LUA_YIELD)
        TB_TRY(answer_lookup(req, running, &status));
    if (status == 0)
        return finish(req, running);
    fail(running, status);
    return NULL;
}

/* A thread that ended well is used again: making one takes as long as a small hook. */
static bool open_thread(struct running *running)
{
    struct tb_script *script = running->script;
    if (script->spare == NULL)
        return lua_cpcall(script->lua, make_thread, running) == 0;
    running->thread = script->spare;
    running->anchor = script->spare_anchor;
    script->spare = NULL;
    return true;
}

static void close_thread(struct running *running)
{
    struct tb_script *script = running->script;
    if (running->out->end != TB_SCRIPT_DONE || script->spare != NULL) {
        if (lua_cpcall(script->lua, drop_thread, running) != 0)
            lua_settop(script->lua, 0); /* it stays until the state is freed, which is worn now */
        return;
    }
    lua_settop(running->thread, 0);
    script->spare = running->thread;
    script->spare_anchor = running->anchor;
}

tb_err TB_SUSPENDS tb_script_run(struct tb_req *req, struct tb_script *script,
                                 const struct tb_script_call *call, struct tb_script_result *out)
{
    struct running running = {.script = script, .call = call, .out = out};
    running.spend = (struct tb_script_spend){
        .cpu_left_ns = script->limits->cpu_us * 1000,
        .wall_until_ms = tb_loop_now_ms(tb_run_of(req)->loop) + script->limits->wall_ms,
        .random = call->seed,
        .now_ms = call->now_ms,
    };
    TB_ASSERT(tb_script_has(script, call->hook));
    *out = (struct tb_script_result){.end = TB_SCRIPT_DONE};
    if (!open_thread(&running)) {
        lua_settop(script->lua, 0);
        out->end = TB_SCRIPT_MEMORY;
        say(out->why, sizeof out->why, "not enough memory");
        return NULL;
    }
    script->running++;
    script->calls++;
    tb_err err = run_to_end(req, &running);
    script->running--;
    if (err != NULL)
        out->end = TB_SCRIPT_ENDED;
    out->cpu_ns = script->limits->cpu_us * 1000 - running.spend.cpu_left_ns;
    close_thread(&running);
    return err;
}
