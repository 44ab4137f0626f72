/* Calls: each is a coroutine of the state, in an environment of its own. A call that must wait, or
 * has computed for long, yields to the runner here, which waits on the fiber and resumes it: fibers
 * are never switched inside Lua's own frames. Outside protected calls nothing here may allocate in
 * the state (see script.c). */
#include "base/assert.h"
#include "base/json.h"
#include "lua/state.h"
#include "runtime/run.h"
#include <stdio.h>
#include <string.h>

const char *tb_script_end_word(enum tb_script_end end)
{
    static const char *const words[] = {
#define TB_SCRIPT_END(name, word) word,
        TB_SCRIPT_ENDS(TB_SCRIPT_END)
#undef TB_SCRIPT_END
    };
    return words[end];
}

struct running {
    struct tb_script *script;
    const struct tb_script_call *call;
    struct tb_script_result *out;
    struct tb_script_spend spend;
    struct tb_script_spot spot;
    lua_State *thread;
    int anchor;          /* in the registry: keeps the thread from the collector */
    const char *refused; /* why the host went on no further; NULL: it did */
    struct tb_script_answer answer;
};

/* Leaves the hook's function and its arguments on the stack. */
static int begin(lua_State *lua)
{
    const struct tb_script_call *call = tb_script_of(lua)->handed;
    tb_script_run_text(lua);
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

void tb_script_open_calls(lua_State *lua)
{
    lua_pushcfunction(lua, begin);
    lua_rawseti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_BEGIN);
    lua_pushcfunction(lua, push_entry);
    lua_rawseti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_PUSH_ENTRY);
    lua_pushcfunction(lua, read_answer);
    lua_rawseti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_READ_ANSWER);
}

_Static_assert(TB_SCRIPT_LOOKUPS == 16, "what answer_lookup tells the script's author");

/* The script's line that a lookup waits for; 0: it was the last call of its function, which leaves
 * none. Asking takes no memory. */
static int waiting_line(lua_State *thread)
{
    lua_Debug at;
    for (int level = 0; lua_getstack(thread, level, &at) != 0; level++)
        if (lua_getinfo(thread, "Sl", &at) != 0 && at.currentline > 0 &&
            strcmp(at.short_src, "script") == 0)
            return at.currentline;
    return 0;
}

static void fail(struct running *running, int status)
{
    struct tb_script_result *out = running->out;
    lua_State *thread = running->thread;
    out->end = running->spend.spent                               ? TB_SCRIPT_BUDGET
               : running->script->starved || status == LUA_ERRMEM ? TB_SCRIPT_MEMORY
                                                                  : TB_SCRIPT_ERROR;
    int line = running->refused == NULL ? 0 : waiting_line(thread);
    if (line > 0)
        snprintf(out->why, sizeof(out->why), "script:%d: %s", line, running->refused);
    else
        tb_script_say(out->why, sizeof(out->why),
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
    lua_rawgeti(thread, LUA_REGISTRYINDEX, TB_SCRIPT_BEGIN);
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
        lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_PUSH_ENTRY);
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

/* Whether a call that has waited may go on. */
static bool in_time(struct tb_req *req, struct running *running)
{
    running->spend.spent = tb_loop_now_ms(tb_run_of(req)->loop) > running->spend.wall_until_ms;
    if (running->spend.spent)
        running->refused = "the call has taken too long";
    return !running->spend.spent;
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
                                                : "a call has at most 16 lookups";
        return NULL;
    }
    tb_script_leave_line(&running->spot);
    tb_err err = call->lookup(req, call->lookup_arg, table, key, &entry);
    if (err != NULL)
        return err;
    if (in_time(req, running) && (*out_status = hand_over(running, entry)) == 0)
        *out_status = resume(running, 1);
    json_decref(entry);
    return NULL;
}

/* The script has computed for long: others have their turn before it goes on. */
static tb_err TB_SUSPENDS give_way(struct tb_req *req, struct running *running, int *out_status)
{
    TB_TRY(tb_script_next_turn(req, &running->spot));
    *out_status = in_time(req, running) ? resume(running, 0) : LUA_ERRRUN;
    return NULL;
}

/* What the hook returned, as JSON. The call pays for this, too: a table can have thousands of
 * places with nothing in them, and stand in a list thousands of times. */
static int read_result(struct running *running)
{
    lua_State *thread = running->thread;
    lua_settop(thread, 1);
    lua_rawgeti(thread, LUA_REGISTRYINDEX, TB_SCRIPT_READ_ANSWER);
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
        snprintf(out->why, sizeof(out->why), "what the hook returned is not JSON: %s", answer->why);
    }
    out->decision = answer->json;
    if (out->decision != NULL && !tb_json_defer(tb_run_of(req)->arena, out->decision))
        return TB_E_INTERNAL;
    return NULL;
}

static tb_err TB_SUSPENDS run_to_end(struct tb_req *req, struct running *running)
{
    int status = start(running);
    while (status == LUA_YIELD)
        TB_TRY(running->spend.paused ? give_way(req, running, &status)
                                     : answer_lookup(req, running, &status));
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
        tb_script_say(out->why, sizeof(out->why), "not enough memory");
        return NULL;
    }
    script->running++;
    script->calls++;
    tb_err err = run_to_end(req, &running);
    tb_script_leave_line(&running.spot);
    script->running--;
    if (err != NULL)
        out->end = TB_SCRIPT_ENDED;
    out->cpu_ns = script->limits->cpu_us * 1000 - running.spend.cpu_left_ns;
    out->held_ns = running.spend.held_ns;
    close_thread(&running);
    return err;
}
