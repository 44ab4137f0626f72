/* The namespace `tb`: what the host gives a script. The comments above the functions are what
 * lua/api.md is made of. */
#include "lua/state.h"

/* The longest names an entry can have; what is looked up is kept in the request's memory. */
enum { TABLE_BYTES = 40, KEY_BYTES = 512 /* 128 characters */ };

/*** # tb
 *  What the host gives. */

/*** tb.now() → number
 *  The time of the partner's world in milliseconds since 1970-01-01T00:00Z. It does not move during
 *  a call. */
static int now(lua_State *lua)
{
    lua_pushnumber(lua, (lua_Number)tb_script_of(lua)->spend->now_ms);
    return 1;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(struct tb_script_spend *spend)
{
    uint64_t z = spend->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/*** tb.random(n) → number
 *  A whole number from 1 to n. The same request draws the same numbers, so that a dry run takes the
 *  same way. Not for secrets. */
static int draw_number(lua_State *lua)
{
    lua_Number most = luaL_checknumber(lua, 1);
    if (!(most >= 1 && most <= 2147483647.0))
        return luaL_error(lua, "tb.random takes 1 to 2147483647");
    uint64_t drawn = draw(tb_script_of(lua)->spend) >> 32;
    lua_pushnumber(lua, (lua_Number)(drawn * (uint64_t)most >> 32) + 1);
    return 1;
}

/*** tb.null
 *  What null is in JSON: a member that is null is there and is tb.null, not nil. */

/*** tb.array(list) → list
 *  The same table, told as a JSON array even when it is empty. */
static int array(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 1);
    tb_script_mark_array(lua, 1);
    return 1;
}

/*** tb.lookup(table, key) → value or nil
 *  An entry of the partner's own tables. The call waits for it; at most 16 in one call, and
 *  none while the text is read. */
static int lookup(lua_State *lua)
{
    size_t table_n, key_n;
    luaL_checklstring(lua, 1, &table_n);
    luaL_checklstring(lua, 2, &key_n);
    if (table_n > TABLE_BYTES || key_n > KEY_BYTES) { /* no entry has such a name */
        lua_pushnil(lua);
        return 1;
    }
    lua_settop(lua, 2);
    return lua_yield(lua, 2);
}

/*** tb.match(text, pattern[, from]) → groups, the whole match when there are none, or nil
 *  tb.find(text, pattern[, from]) → first byte, last byte, groups; or nil
 *  tb.replace(text, pattern, with[, times]) → text, number of replacements
 *  Patterns are PCRE2's, in UTF-8: a dot is a character, `\\d` and `\\w` are those of ASCII, and
 *  `\\p{Han}` is a Chinese character. `tb.match(text, "^.{0,20}")` is the first 20 characters.
 * `with` may name groups as $1; $$ is a dollar. */
void tb_script_open_tb(lua_State *lua)
{
    static const luaL_Reg functions[] = {{"now", now},
                                         {"random", draw_number},
                                         {"array", array},
                                         {"lookup", lookup},
                                         {"match", tb_script_match},
                                         {"find", tb_script_find},
                                         {"replace", tb_script_replace}};
    lua_createtable(lua, 0, 8);
    for (size_t i = 0; i < TB_COUNT(functions); i++) {
        lua_pushcfunction(lua, functions[i].func);
        lua_setfield(lua, -2, functions[i].name);
    }
    lua_pushlightuserdata(lua, (void *)(uintptr_t)&tb_script_null);
    lua_setfield(lua, -2, "null");
    tb_script_namespace(lua, "tb");
}
