/* The part of the library that is written in Lua. Its texts are in the binary; each is compiled
 * once a process, and a state takes the bytecode. The namespaces of lua/tongbao enter a state when
 * a script first asks for them: most scripts want one or two, and each takes as long to load as a
 * third of everything else. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/money.h"
#include "lua/state.h"
#include <lualib.h>
#include <string.h>

enum { TEXTS = 16 };

struct bytecode {
    char *at;
    size_t n;
};

static struct bytecode compiled[TEXTS]; /* by place in tb_script_texts; they stay */

/* ---- compiling ---- */

static int add_bytecode(lua_State *lua, const void *part, size_t n, void *arg)
{
    struct bytecode *bytecode = arg;
    (void)lua;
    bytecode->at = tb_mem_resize(bytecode->at, bytecode->n + n);
    memcpy(bytecode->at + bytecode->n, part, n);
    bytecode->n += n;
    return 0;
}

static void compile(const struct tb_script_text *text, struct bytecode *out)
{
    char name[TB_SCRIPT_HOOK_BYTES + 1] = "=";
    lua_State *lua = luaL_newstate();
    TB_ASSERT(lua != NULL && strlen(text->name) < TB_SCRIPT_HOOK_BYTES);
    memcpy(name + 1, text->name, strlen(text->name) + 1);
    TB_ASSERT(luaL_loadbufferx(lua, text->at, text->n, name, "t") == 0);
    TB_ASSERT(lua_dump(lua, add_bytecode, out) == 0);
    lua_close(lua);
}

/* With the first state, so that no call pays for it. */
static void compile_all(void)
{
    for (size_t i = 0; tb_script_texts[i].name != NULL; i++) {
        TB_ASSERT(i < TEXTS);
        compile(&tb_script_texts[i], &compiled[i]);
    }
}

/* The place of a text; -1: there is none of that name. */
static int index_of_text(const char *name)
{
    for (int i = 0; tb_script_texts[i].name != NULL; i++)
        if (strcmp(tb_script_texts[i].name, name) == 0)
            return i;
    return -1;
}

static void load(lua_State *lua, int place)
{
    TB_ASSERT(place >= 0 && place < TEXTS);
    const struct bytecode *bytecode = &compiled[place];
    if (bytecode->n == 0)
        compile_all();
    if (luaL_loadbufferx(lua, bytecode->at, bytecode->n, tb_script_texts[place].name, "b") != 0)
        lua_error(lua);
}

void tb_script_lua(lua_State *lua, const char *name, int results)
{
    load(lua, index_of_text(name));
    lua_call(lua, 0, results);
}

/* ---- what only the library may ask the host ---- */

static int exponent(lua_State *lua)
{
    size_t n;
    const char *code = luaL_checklstring(lua, 1, &n);
    const struct tb_currency *currency = tb_currency((struct tb_str){code, n});
    if (currency == NULL)
        return 0;
    lua_pushinteger(lua, currency->exponent);
    return 1;
}

static void push_host(lua_State *lua)
{
    lua_createtable(lua, 0, 1);
    lua_pushcfunction(lua, exponent);
    lua_setfield(lua, -2, "exponent");
}

/* ---- namespaces on demand ---- */

/* The library lacks a name (its __index): it may be one that was not asked for yet. The text runs
 * in an environment like a script's. */
static int find_namespace(lua_State *lua)
{
    const char *name = lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "";
    int place = index_of_text(name);
    if (place < 0 || !tb_script_texts[place].is_namespace)
        return 0;
    load(lua, place);
    lua_createtable(lua, 0, 0);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_ENVIRONMENT);
    lua_setmetatable(lua, -2);
    lua_setfenv(lua, -2);
    push_host(lua);
    lua_call(lua, 1, 1);
    tb_script_namespace(lua, name);
    lua_pushvalue(lua, 2);
    lua_rawget(lua, 1);
    return 1;
}

void tb_script_open_namespaces(lua_State *lua)
{
    lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_GLOBALS);
    lua_createtable(lua, 0, 1);
    lua_pushcfunction(lua, find_namespace);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
    lua_pop(lua, 1);
}
