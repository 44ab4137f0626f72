/* What a script finds: the harmless part of Lua's base library, namespaces of functions, and
 * nothing else. It is an allow-list: the originals are opened, the listed ones kept, the rest
 * forgotten. Namespaces are opaque values, so no script can put anything into them that a later
 * call would find. */
#include "lua/state.h"
#include <lualib.h>
#include <string.h>

/*** # The language
 *  Lua 5.1 with the additions of LuaJIT that are syntax (`goto`, `\z`, `0x1p4`), but not its 64-bit
 *  and complex numbers: a text with `1LL`, `1ULL` or `1i` is refused. A script is text; it runs
 * anew for every call, in an environment of its own. There are no modules, files, clocks,
 * coroutines, metatables of texts to change, or anything else that is not on this page. */

/*** assert(value[, message]) → value
 *  error(message[, level])
 *  getmetatable(value) → table, false for what is protected, or nil
 *  ipairs(list) → iterator
 *  next(table[, key]) → key, value
 *  pairs(table) → iterator
 *  pcall(f, ...) → true and results, or false and the error
 *  select(n, ...) → values
 *  setmetatable(table, metatable) → table
 *  type(value) → text
 *  As in Lua 5.1. The end of a call's budget cannot be caught: pcall meets it again. `pairs` knows
 *  no order; `tables.keys` does. */

/* No load or loadstring (bytecode, other environments), no getfenv, setfenv, rawget, rawset,
 * rawequal (they reach behind what is protected), no collectgarbage, print, newproxy or coroutine:
 * a call is a coroutine of the host's, and its waits are not the script's to catch. */
static const char *const BASE[] = {"assert", "error",  "getmetatable", "ipairs", "next",
                                   "pairs",  "select", "setmetatable", "type",   NULL};

/* ---- what differs from the originals ---- */

enum { NUMBER_CHARS = 64, UNPACKED = 250, TOSTRINGS = 16 };

/*** tonumber(value[, base]) → number or nil
 *  Texts of more than 64 bytes are no numbers. */

/* The text of a number is short; the original reads as many digits as there are. */
static int to_number(lua_State *lua)
{
    if (lua_type(lua, 1) == LUA_TSTRING && lua_objlen(lua, 1) > NUMBER_CHARS)
        return lua_pushnil(lua), 1;
    lua_settop(lua, lua_isnoneornil(lua, 2) ? 1 : 2);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 1);
    return 1;
}

/*** tostring(value) → text
 *  A table is told as `table`, a function as `function`: no addresses. */

/* Call the function on top for the value at 1. It runs on the host's stack, and may come here
 * again: how often is bounded, and counted whichever way it ends. */
static void call_own_tostring(lua_State *lua)
{
    struct tb_script *script = tb_script_of(lua);
    if (script->tostrings == TOSTRINGS)
        luaL_error(lua, "__tostring asks for itself");
    script->tostrings++;
    lua_pushvalue(lua, 1);
    int status = lua_pcall(lua, 1, 1, 0);
    script->tostrings--;
    if (status != 0)
        lua_error(lua);
}

/* An address would tell where things lie in the host's memory. */
static int to_string(lua_State *lua)
{
    luaL_checkany(lua, 1);
    if (luaL_getmetafield(lua, 1, "__tostring")) {
        call_own_tostring(lua);
        return lua_isstring(lua, -1) ? 1 : luaL_error(lua, "__tostring must return a string");
    }
    switch (lua_type(lua, 1)) {
    case LUA_TNUMBER:
        lua_pushvalue(lua, 1);
        lua_tostring(lua, -1);
        break;
    case LUA_TSTRING:
        lua_pushvalue(lua, 1);
        break;
    case LUA_TBOOLEAN:
        lua_pushstring(lua, lua_toboolean(lua, 1) ? "true" : "false");
        break;
    case LUA_TNIL:
        lua_pushliteral(lua, "nil");
        break;
    case LUA_TLIGHTUSERDATA:
        lua_pushliteral(lua, "null");
        break;
    default:
        lua_pushstring(lua, luaL_typename(lua, 1));
        break;
    }
    return 1;
}

/*** unpack(list[, from[, to]]) → values
 *  At most 250. */
static int unpack_few(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_Integer from = luaL_optinteger(lua, 2, 1);
    lua_Integer to = lua_isnoneornil(lua, 3) ? (lua_Integer)lua_objlen(lua, 1)
                                             : luaL_checkinteger(lua, 3);
    if (from < 0 || from > INT32_MAX || to > INT32_MAX)
        return luaL_error(lua, "unpack takes places from 0 up");
    if (to < from)
        return 0;
    if (to - from >= UNPACKED)
        return luaL_error(lua, "unpack gives at most %d values", UNPACKED);
    luaL_checkstack(lua, (int)(to - from) + 1, "too many values");
    for (lua_Integer i = from; i <= to; i++)
        lua_rawgeti(lua, 1, (int)i);
    return (int)(to - from) + 1;
}

/* ---- namespaces ---- */

static int refuse_change(lua_State *lua)
{
    return luaL_error(lua, "the library cannot be changed");
}

/* The table of functions on top of the stack becomes a value that can only be indexed. */
static void seal(lua_State *lua)
{
    lua_newuserdata(lua, 1);
    lua_createtable(lua, 0, 3);
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse_change);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_remove(lua, -2);
}

void tb_script_namespace(lua_State *lua, const char *name)
{
    seal(lua);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_GLOBALS);
    lua_insert(lua, -2);
    lua_setfield(lua, -2, name);
    lua_pop(lua, 1);
}

/* ---- putting it together ---- */

static void open(lua_State *lua, lua_CFunction library, const char *name)
{
    lua_pushcfunction(lua, library);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
}

/* Copy the named members of the table at `from` into the table on top. */
static void keep_fields(lua_State *lua, int from, const char *const *names)
{
    for (; *names != NULL; names++) {
        lua_getfield(lua, from, *names);
        lua_setfield(lua, -2, *names);
    }
}

/*** xpcall(f, handler, ...) → true and results, or false and what the handler gave
 *  The handler runs when all is unwound. */
static void keep_base(lua_State *lua)
{
    keep_fields(lua, LUA_GLOBALSINDEX, BASE);
    lua_getglobal(lua, "tonumber");
    lua_pushcclosure(lua, to_number, 1);
    lua_setfield(lua, -2, "tonumber");
    lua_pushcfunction(lua, to_string);
    lua_setfield(lua, -2, "tostring");
    lua_pushcfunction(lua, unpack_few);
    lua_setfield(lua, -2, "unpack");
    tb_script_lua(lua, "protect", 2);
    lua_setfield(lua, -3, "xpcall");
    lua_setfield(lua, -2, "pcall");
}

/*** # math */

/*** math.abs(x) → number
 *  math.ceil(x) → number
 *  math.floor(x) → number
 *  math.fmod(x, y) → number
 *  math.huge → number
 *  math.max(x, ...) → number
 *  math.min(x, ...) → number
 *  As in Lua 5.1. Numbers are doubles: whole ones are exact to 2^53, which is as far as amounts go;
 *  whole numbers beyond that come to a script as texts. */

/* No random: tb.random gives each request its own. */
static const char *const MATH[] = {"abs", "ceil", "floor", "fmod", "huge", "max", "min", NULL};

static void keep_math(lua_State *lua)
{
    lua_getglobal(lua, "math");
    lua_createtable(lua, 0, 8);
    keep_fields(lua, lua_gettop(lua) - 1, MATH);
    tb_script_namespace(lua, "math");
    lua_pop(lua, 1);
}

/* Everything the libraries left where a script could come by it. An empty table of loaded modules
 * stays: script.c sees there whether a text has opened one. */
static void forget_originals(lua_State *lua)
{
    static const char *const places[] = {"_PRELOAD", "_CLIBS", NULL};
    lua_createtable(lua, 0, 0);
    lua_replace(lua, LUA_GLOBALSINDEX);
    for (const char *const *place = places; *place != NULL; place++) {
        lua_pushnil(lua);
        lua_setfield(lua, LUA_REGISTRYINDEX, *place);
    }
    lua_createtable(lua, 0, 0);
    lua_setfield(lua, LUA_REGISTRYINDEX, "_LOADED");
}

void tb_script_library(lua_State *lua)
{
    open(lua, luaopen_base, "");
    open(lua, luaopen_string, LUA_STRLIBNAME);
    open(lua, luaopen_table, LUA_TABLIBNAME);
    open(lua, luaopen_math, LUA_MATHLIBNAME);
    lua_settop(lua, 0);
    lua_createtable(lua, 0, 24);
    lua_pushvalue(lua, -1);
    lua_rawseti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_GLOBALS);
    keep_base(lua);
    keep_math(lua);
    tb_script_open_string(lua);
    tb_script_open_table(lua);
    tb_script_open_tb(lua);
    tb_script_open_namespaces(lua);
    lua_settop(lua, 0);
    forget_originals(lua);
}
