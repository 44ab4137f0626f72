/* A script's life: the state with its library, and the text, read once and run to see which hooks
 * there are.
 *
 * Memory can end at any allocation, and outside a protected call Lua then ends the process. So
 * nothing in this room allocates in a state except under lua_cpcall, lua_pcall and lua_resume; what
 * is to be called so lies ready in the registry. */
#include "lua/script.h"
#include "base/assert.h"
#include "base/mem.h"
#include "lua/state.h"
#include <luajit.h>
#include <stdio.h>
#include <string.h>

static const char CHUNK_NAME[] = "=script";

enum {
    LOST_BYTES = 64,
    PIECE_BYTES = 512,
    JUMPS = 1000,
    LITERAL_BYTES = 32, /**< of one, in what is said about it */
    FIRST_PAUSE = 300   /* percent */
};

const struct tb_script_limits tb_script_limits = {.memory_bytes = 4u << 20,
                                                  .object_bytes = 320u << 10,
                                                  .cpu_us = 5000,
                                                  .turn_us = 50,
                                                  .wall_ms = 1000,
                                                  .calls = 100000};

/* Metatables that all calls share. What an environment lacks is looked for in the library. */
static void make_marks(lua_State *lua)
{
    lua_createtable(lua, 0, 1);
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_rawseti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_ARRAY);
    lua_createtable(lua, 0, 2);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_GLOBALS);
    lua_setfield(lua, -2, "__index");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_rawseti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_ENVIRONMENT);
}

/* Nothing of the library is garbage: the collector sleeps while it is made, and until it has grown
 * three times as large, which leaves room for all that scripts ask for later. */
static int furnish(lua_State *lua)
{
    lua_gc(lua, LUA_GCSTOP, 0);
    if (luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF) != 1)
        return luaL_error(lua, "the compiler cannot be turned off");
    for (int place = TB_SCRIPT_GLOBALS; place < TB_SCRIPT_PLACES_END; place++) {
        lua_pushboolean(lua, 0); /* so that there is room for it */
        lua_rawseti(lua, LUA_REGISTRYINDEX, place);
    }
    tb_script_library(lua);
    make_marks(lua);
    tb_script_open_calls(lua);
    int usual = lua_gc(lua, LUA_GCSETPAUSE, FIRST_PAUSE);
    lua_gc(lua, LUA_GCRESTART, -1);
    lua_gc(lua, LUA_GCSETPAUSE, usual);
    return 0;
}

static int on_panic(lua_State *lua)
{
    TB_ASSERT(lua == NULL); /* an error outside a protected call: LuaJIT would exit silently */
    return 0;
}

void tb_script_run_text(lua_State *lua)
{
    lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_TEXT);
    lua_createtable(lua, 0, 0);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_ENVIRONMENT);
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

/* LuaJIT enters its FFI in the table of loaded modules when the parser opens it. */
static bool opened_ffi(lua_State *lua)
{
    lua_getfield(lua, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(lua, -1, "ffi");
    bool opened = !lua_isnil(lua, -1);
    lua_pop(lua, 2);
    return opened;
}

/* Read the text and remember which hooks there are: the functions, by name, of the table that it
 * returns. */
static int read_hooks(lua_State *lua)
{
    struct tb_script *script = tb_script_of(lua);
    struct tb_str *source = lua_touserdata(lua, 1);
    if (lua_loadx(lua, next_piece, source, CHUNK_NAME, "t") != 0)
        return lua_error(lua);
    if (opened_ffi(lua)) /* by a literal that literal.c does not know: another LuaJIT */
        return luaL_error(lua, "a script has no literals of LuaJIT's FFI");
    lua_rawseti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_TEXT);
    tb_script_run_text(lua);
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

void tb_script_say(char *why, size_t why_bytes, const char *words)
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

static unsigned line_of(struct tb_str source, const char *at)
{
    unsigned line = 1;
    for (const char *c = source.at; c < at; c++)
        line += *c == '\n' || (*c == '\r' && c[1] != '\n');
    return line;
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
    struct tb_str literal = tb_script_ffi_literal(source);
    if (literal.at != NULL) {
        snprintf(why, why_bytes,
                 "%s:%u: %.*s is no number of a script's (LuaJIT's FFI is not there)",
                 CHUNK_NAME + 1, line_of(source, literal.at),
                 (int)(literal.n < LITERAL_BYTES ? literal.n : LITERAL_BYTES), literal.at);
        return false;
    }
    tb_script_slice(script, &spend);
    bool good = lua_cpcall(script->lua, read_hooks, &source) == 0;
    tb_script_slice_end(script);
    if (!good) {
        tb_script_say(why, why_bytes,
                      lua_type(script->lua, -1) == LUA_TSTRING ? lua_tostring(script->lua, -1)
                                                               : NULL);
        lua_settop(script->lua, 0);
    }
    return good;
}

struct tb_script *tb_script_new(const struct tb_script_limits *limits, struct tb_str source,
                                char *why, size_t why_bytes)
{
    struct tb_script *script = tb_mem(sizeof(*script));
    script->limits = limits;
    tb_script_front_open(&script->front);
    script->lua = lua_newstate(tb_script_allocate, script);
    why[0] = '\0';
    if (script->lua != NULL)
        lua_atpanic(script->lua, on_panic);
    if (script->lua == NULL || lua_cpcall(script->lua, furnish, NULL) != 0) {
        tb_script_say(why, why_bytes, "the library does not fit in the script's memory");
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
    tb_script_front_close(&script->front);
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
