/* Strings and tables for scripts: what can grow is bounded, what loops in C is charged, and there
 * are no Lua patterns, one of which can run for hours inside a single call: tb.match and its like
 * have PCRE2's instead. */
#include "lua/state.h"
#include <string.h>

enum {
    RESULT_BYTES = 256 * 1024, /**< of rep, format and concat */
    FORMAT_ITEMS = 64,
    BYTES = 250, /**< string.byte */
};

/*** # string
 *  Texts have these as methods, too: `("x"):rep(3)`. There are no Lua patterns; `tb.match`,
 * `tb.find` and `tb.replace` have PCRE2's. Nothing gives more than 256 KiB. */

/*** string.char(byte, ...) → text
 *  string.len(text) → number
 *  string.lower(text) → text
 *  string.reverse(text) → text
 *  string.sub(text, from[, to]) → text
 *  string.upper(text) → text
 *  As in Lua 5.1: in bytes, and letters are those of ASCII. */

/* Originals that give one string, in one pass. */
static const char *const ORIGINALS[] = {"char", "lower", "reverse", "sub", "upper", NULL};

static size_t length(lua_State *lua, int index)
{
    size_t n;
    luaL_checklstring(lua, index, &n);
    return n;
}

static int call_original(lua_State *lua, int results)
{
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, results);
    return lua_gettop(lua);
}

/* LuaJIT has these in assembly, which does not say where the stack ends: when memory does, the
 * error is written over frames that are in use. Called from C they have it right. */
static int original(lua_State *lua)
{
    return call_original(lua, 1);
}

/*** string.rep(text, times[, separator]) → text */
static int rep(lua_State *lua)
{
    size_t n = length(lua, 1), separator = lua_isnoneornil(lua, 3) ? 0 : length(lua, 3);
    lua_Integer times = luaL_checkinteger(lua, 2);
    if (times > 0 && (n + separator) > RESULT_BYTES / (size_t)times)
        return luaL_error(lua, "string.rep gives at most %d bytes", RESULT_BYTES);
    return call_original(lua, 1);
}

/*** string.byte(text[, from[, to]]) → bytes
 *  At most 250. */
static int byte(lua_State *lua)
{
    lua_Integer n = (lua_Integer)length(lua, 1);
    lua_Integer from = luaL_optinteger(lua, 2, 1);
    lua_Integer to = luaL_optinteger(lua, 3, from);
    from = from < 0 ? n + from + 1 : from;
    to = to < 0 ? n + to + 1 : to;
    from = from > 1 ? from : 1;
    to = to < n ? to : n;
    if (to >= from && to - from >= BYTES)
        return luaL_error(lua, "string.byte gives at most %d values", BYTES);
    return call_original(lua, LUA_MULTRET);
}

/*** string.find(text, wanted[, from]) → first byte, last byte; or nil
 *  Searches for plain text. */

/* Plain search only; the fourth argument of the original is accepted when it says so. */
static int string_find(lua_State *lua)
{
    size_t n, wanted_n;
    const char *text = luaL_checklstring(lua, 1, &n),
               *wanted = luaL_checklstring(lua, 2, &wanted_n);
    lua_Integer from = luaL_optinteger(lua, 3, 1);
    if (!lua_isnoneornil(lua, 4) && !lua_toboolean(lua, 4))
        return luaL_error(lua,
                          "string.find searches for plain text; for patterns there is tb.find");
    from = from < 0 ? (lua_Integer)n + from + 1 : from;
    size_t at = from > 1 ? (size_t)from - 1 : 0;
    tb_script_charge(lua, (n + wanted_n) / 64);
    const char *found = at > n ? NULL : memmem(text + at, n - at, wanted, wanted_n);
    if (found == NULL)
        return lua_pushnil(lua), 1;
    lua_pushinteger(lua, found - text + 1);
    lua_pushinteger(lua, found - text + (lua_Integer)wanted_n);
    return 2;
}

/*** string.format(format, ...) → text
 *  Takes texts, numbers and booleans, at most 64. `%d` writes whole numbers as far as
 *  amounts go, where `..` turns those from 10^15 up into `1e+15`. */

/* Whether an item of the format is %p, which tells where a value lies in the host's memory. */
static bool asks_for_addresses(const char *format)
{
    while ((format = strchr(format, '%')) != NULL) {
        format += 1 + strspn(format + 1, "-+ #0123456789.");
        if (*format == 'p')
            return true;
        format += *format != '\0';
    }
    return false;
}

/* The original refuses widths of more than two digits; %s without a width may be long. */
static int format(lua_State *lua)
{
    size_t n = length(lua, 1);
    int items = lua_gettop(lua);
    const char *from = lua_tostring(lua, 1), *end = from + n;
    tb_script_charge(lua, n);
    for (; from < end; from += strlen(from) + 1)
        if (asks_for_addresses(from))
            return luaL_error(lua, "string.format tells no addresses");
    if (items > FORMAT_ITEMS)
        return luaL_error(lua, "string.format takes at most %d values", FORMAT_ITEMS);
    for (int i = 2; i <= items; i++)
        n += lua_type(lua, i) == LUA_TSTRING ? 4 * lua_objlen(lua, i) : 512; /* %q quadruples */
    if (n > RESULT_BYTES)
        return luaL_error(lua, "string.format gives at most %d bytes", RESULT_BYTES);
    for (int i = 2; i <= items; i++)
        if (lua_type(lua, i) > LUA_TSTRING || lua_type(lua, i) == LUA_TLIGHTUSERDATA)
            return luaL_error(lua,
                              "string.format takes strings, numbers and booleans; use tostring");
    return call_original(lua, 1);
}

static void wrap(lua_State *lua, int originals, const char *name, lua_CFunction wrapper)
{
    lua_getfield(lua, originals, name);
    lua_pushcclosure(lua, wrapper, 1);
    lua_setfield(lua, -2, name);
}

/* A text's methods are those of the namespace: its metatable leads there and nowhere else. */
static void lead_methods_here(lua_State *lua)
{
    lua_pushliteral(lua, "");
    lua_createtable(lua, 0, 2);
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -2, "__index");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_pop(lua, 1);
}

void tb_script_open_string(lua_State *lua)
{
    lua_getglobal(lua, "string");
    int originals = lua_gettop(lua);
    lua_createtable(lua, 0, 12);
    lua_getfield(lua, originals, "len");
    lua_setfield(lua, -2, "len");
    for (const char *const *name = ORIGINALS; *name != NULL; name++)
        wrap(lua, originals, *name, original);
    wrap(lua, originals, "rep", rep);
    wrap(lua, originals, "byte", byte);
    wrap(lua, originals, "format", format);
    lua_pushcfunction(lua, string_find);
    lua_setfield(lua, -2, "find");
    lead_methods_here(lua);
    tb_script_namespace(lua, "string");
    lua_pop(lua, 1);
}

/* ---- table ---- */

/*** # table */

static int place(lua_State *lua, int n)
{
    lua_Integer at = luaL_checkinteger(lua, 2);
    if (at < 1 || at > n)
        luaL_error(lua, "no place %d in a table of %d", (int)at, n);
    return (int)at;
}

/*** table.insert(list[, place], value) */
static int insert(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    int n = (int)lua_objlen(lua, 1) + 1, at = n;
    if (lua_gettop(lua) == 3) {
        at = place(lua, n);
        tb_script_charge(lua, (size_t)(n - at) + 1);
        for (int i = n; i > at; i--) {
            lua_rawgeti(lua, 1, i - 1);
            lua_rawseti(lua, 1, i);
        }
    } else if (lua_gettop(lua) != 2) {
        return luaL_error(lua, "table.insert takes a table, a place if wanted, and a value");
    }
    lua_rawseti(lua, 1, at);
    return 0;
}

/*** table.remove(list[, place]) → value
 *  The last one when there is no place. */
static int take_codepoints(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    int n = (int)lua_objlen(lua, 1), at = n;
    if (n == 0)
        return lua_pushnil(lua), 1;
    if (!lua_isnoneornil(lua, 2))
        at = place(lua, n);
    tb_script_charge(lua, (size_t)(n - at) + 1);
    lua_rawgeti(lua, 1, at);
    for (; at < n; at++) {
        lua_rawgeti(lua, 1, at + 1);
        lua_rawseti(lua, 1, at);
    }
    lua_pushnil(lua);
    lua_rawseti(lua, 1, n);
    return 1;
}

/*** table.concat(list[, separator[, from[, to]]]) → text */
static int concat(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    size_t separator = lua_isnoneornil(lua, 2) ? 0 : length(lua, 2), bytes = 0;
    lua_Integer from = luaL_optinteger(lua, 3, 1);
    lua_Integer to = luaL_optinteger(lua, 4, (lua_Integer)lua_objlen(lua, 1));
    if (from < 0 || from > INT32_MAX || to > INT32_MAX)
        return luaL_error(lua, "table.concat takes places from 0 up");
    for (lua_Integer i = from; i <= to; i++) {
        lua_rawgeti(lua, 1, (int)i);
        bytes += separator + (lua_type(lua, -1) == LUA_TSTRING ? lua_objlen(lua, -1) : 32);
        lua_pop(lua, 1);
        tb_script_charge(lua, 1);
        if (bytes > RESULT_BYTES)
            return luaL_error(lua, "table.concat gives at most %d bytes", RESULT_BYTES);
    }
    return call_original(lua, 1);
}

/*** table.sort(list[, before])
 *  Equal values keep their order. */
void tb_script_open_table(lua_State *lua)
{
    static const luaL_Reg own[] = {{"insert", insert}, {"remove", take_codepoints}, {NULL, NULL}};
    lua_getglobal(lua, "table");
    int originals = lua_gettop(lua);
    lua_createtable(lua, 0, 5);
    for (const luaL_Reg *one = own; one->name != NULL; one++) {
        lua_pushcfunction(lua, one->func);
        lua_setfield(lua, -2, one->name);
    }
    wrap(lua, originals, "concat", concat);
    tb_script_lua(lua, "sort", 1);
    lua_setfield(lua, -2, "sort");
    tb_script_namespace(lua, "table");
    lua_pop(lua, 1);
}
