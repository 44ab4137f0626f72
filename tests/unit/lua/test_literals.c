/* LuaJIT's literals of 64-bit and complex numbers open its FFI: no text with one becomes a script,
 * and no other text is refused for looking like it. */
#include "lua/state.h"
#include "lua_fixture.h"
#include <lualib.h>

static const struct {
    const char *text, *why; /* NULL: it is a script */
} TEXTS[] = {
    {"return { f = function() return 1LL end }", "script:1: 1LL is no number"},
    {"\n\nlocal x = 1ULL\nreturn {}", "script:3: 1ULL is no number"},
    {"\r\n\r\nlocal x = 1ull\r\nreturn {}", "script:3: 1ull is no number"},
    {"local x = 1uLl return {}", "script:1: 1uLl is no number"},
    {"local x = 1llu return {}", "script:1: 1llu is no number"},
    {"local x = 0xffLL return {}", "script:1: 0xffLL is no number"},
    {"local x = 0XFFull return {}", "script:1: 0XFFull is no number"},
    {"local x = 0b1LL return {}", "script:1: 0b1LL is no number"},
    {"local x = 0x1p4LL return {}", "script:1: 0x1p4LL is no number"},
    {"local x = 0x1p-4i return {}", "script:1: 0x1p-4i is no number"},
    {"local x = 1i return {}", "script:1: 1i is no number"},
    {"local x = 1.5I return {}", "script:1: 1.5I is no number"},
    {"local x = .5i return {}", "script:1: .5i is no number"},
    {"local x = 1e3i return {}", "script:1: 1e3i is no number"},
    {"local x = 1e+3i return {}", "script:1: 1e+3i is no number"},
    {"local x = -1E-3i return {}", "script:1: 1E-3i is no number"},
    {"local x = 'a'..1LL return {}", "script:1: .1LL is no number"},
    {"if false then local x = 1LL end return {}", "script:1: 1LL is no number"},
    {"local x = { [1LL] = 1LL } return {}", "script:1: 1LL is no number"},
    {"for i = 1, 2LL do end return {}", "script:1: 2LL is no number"},
    {"return {}, 1LL", "script:1: 1LL is no number"},
    {"#'\nlocal x = 1LL --'\nreturn {}", "script:2: 1LL is no number"},
    {"\xEF\xBB\xBF#[[\nlocal x = 1LL --]]\nreturn {}", "script:2: 1LL is no number"},
    {"--[==\nlocal x = 1LL --]==]\nreturn {}", "script:2: 1LL is no number"},
    {"--[=[ ]] ]==] ]=]local x = 1LL\nreturn {}", "script:1: 1LL is no number"},
    {"--[[\n]]local x = 1LL return {}", "script:2: 1LL is no number"},
    {"-- comment\rlocal x = 1LL\nreturn {}", "script:2: 1LL is no number"},
    {"local x = [[\n]] local y = 1LL return {}", "script:2: 1LL is no number"},
    {"local x = [=[ ]=]local y = 1LL return {}", "script:1: 1LL is no number"},
    {"local x = '\\'' local y = 1LL --'\nreturn {}", "script:1: 1LL is no number"},
    {"local x = \"\\\\\" local y = 1LL --\"\nreturn {}", "script:1: 1LL is no number"},
    {"local x = '\\\n' local y = 1LL --'\nreturn {}", "script:2: 1LL is no number"},
    {"local x = '\\z \n ' local y = 1LL --'\nreturn {}", "script:2: 1LL is no number"},
    {"local t = {} local x = t[1LL] return {}", "script:1: 1LL is no number"},
    {"local t = {{}} local x = t[t[1]] local y = 1LL return {}", "script:1: 1LL is no number"},
    {"local x = '1LL' return {}", NULL},
    {"local x = \"it's 1LL\" return {}", NULL},
    {"local x = 'a \\' 1LL' return {}", NULL},
    {"local x = [[ 1LL ]] return {}", NULL},
    {"local x = [==[ ]] 1LL ]=] 1i ]==] return {}", NULL},
    {"-- 1LL\nreturn {}", NULL},
    {"return {} -- 1LL", NULL},
    {"--[[ 1LL\n1i ]] return {}", NULL},
    {"--[==[ ]] 1LL ]==] return {}", NULL},
    {"#!/usr/bin/lua 1LL\nreturn {}", NULL},
    {"local x1LL, _1i = 1, 2 return {}", NULL},
    {"local t = { LL = 1, i = 2 } local x = t.LL + t.i return {}", NULL},
    {"local x = 0x1p4 + 0xB + 1e3 + .5 + 3. + 0xfi_ return {}", "malformed number"},
    {"local x = 0x1p4 + 0xB + 1e3 + .5 + 3. return {}", NULL},
    {"local x = 1 ..'LL' return {}", NULL},
    {"local l, i = 1, 2 local x = 1 -l local y = 1+i return {}", NULL},
};

static void refuses_literals_of_the_ffi_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(TEXTS); i++) {
        char why[TB_SCRIPT_WHY_BYTES];
        struct tb_script *script = tb_script_new(stage_limits(), tb_str(TEXTS[i].text), why,
                                                 sizeof(why));
        if ((script != NULL) != (TEXTS[i].why == NULL) ||
            (script == NULL && strstr(why, TEXTS[i].why) == NULL))
            fail_msg("%s\n%s", TEXTS[i].text, script == NULL ? why : "is a script");
        tb_script_free(script);
    }
}

/* What is computed from texts is a plain number or none, and no value is a cdata. */
static void makes_no_such_number_while_it_runs(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "return tonumber('1LL') == nil and tonumber('1i') == nil and tonumber('1ULL') == nil",
        "return tonumber('0x1LL') == nil and tonumber(' 1ll ') == nil and tonumber('1LL', 10) == nil",
        "return type(tonumber('1LL', 36)) == 'number'", /* digits of that base */
        "return not pcall(function() return '1LL' + 0 end)",
        "return not pcall(function() return -'1i' end)",
        "return not pcall(function() return 2 ^ '1ULL' end)",
        "return not pcall(function() for i = '1LL', 2 do end end)",
        "return not pcall(string.rep, 'a', '1LL') and not pcall(string.char, '65LL')",
        "return not pcall(string.format, '%d', '1LL')",
        "return not pcall(math.floor, '1LL') and not pcall(math.max, 1, '2i')",
        "return request.big == '1LL' and type(request.n) == 'number'",
        "return type(money.of(1, 'CNY').amount) == 'number'",
        "return type(tb.now()) == 'number' and type(tb.random(5)) == 'number'",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct stage stage;
        stage_begin(&stage, stage_hook(bodies[i]), "{\"big\": \"1LL\", \"n\": 9007199254740991}");
        stage_run(&stage);
        if (stage.decision == NULL || strcmp(stage.decision, "true") != 0)
            fail_msg("%s: %s %s", bodies[i], stage.decision, stage.result.why);
        stage_end(&stage);
    }
}

/* ---- against the lexer itself ---- */

/* Random texts are made of what the scan tells apart. */
static const char *const PIECES[] = {
    "1",     "0x", "0b1", "LL",           "ull", "i",  "I",  ".",   "..",      "e",
    "p",     "-",  "+",   "--",           "[",   "[[", "]]", "[=[", "]=]",     "=",
    "]",     "'",  "\"",  "\\",           "\\z", "\n", "\r", " ",   "a",       "_",
    "\xC3",  "#",  ";",   "\xEF\xBB\xBF", "x=",  "{",  "}",  ",",   "return ", "1LL",
    " 1LL ", "2i", "x='", "x=[[",         "--[["};

static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* @return whether LuaJIT reads the text; *out_ffi: whether it opened its FFI */
static bool read_by_luajit(struct tb_str text, bool *out_ffi)
{
    lua_State *lua = luaL_newstate();
    assert_non_null(lua);
    lua_createtable(lua, 0, 0);
    lua_setfield(lua, LUA_REGISTRYINDEX, "_LOADED");
    bool good = luaL_loadbufferx(lua, text.at, text.n, "=text", "t") == 0;
    lua_getfield(lua, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(lua, -1, "ffi");
    *out_ffi = !lua_isnil(lua, -1);
    lua_close(lua);
    return good;
}

static void sees_in_random_texts_what_luajit_sees(void **state)
{
    (void)state;
    uint64_t random = 7;
    uint32_t opened = 0, clean = 0;
    for (int round = 0; round < (RUNNING_ON_VALGRIND ? 2000 : 100000); round++) {
        char text[128];
        size_t n = 0;
        for (uint32_t pieces = 1 + next_random(&random) % 12; pieces > 0; pieces--) {
            const char *piece = PIECES[next_random(&random) % COUNT(PIECES)];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        bool ffi, good = read_by_luajit((struct tb_str){text, n}, &ffi);
        bool seen = tb_script_ffi_literal((struct tb_str){text, n}).at != NULL;
        if ((ffi && !seen) || (good && !ffi && seen))
            fail_msg("LuaJIT %s its FFI for:\n%.*s", ffi ? "opens" : "does not open", (int)n, text);
        opened += ffi;
        clean += good && !ffi;
    }
    assert_true(opened > 100 && clean > 100); /* both were met */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(refuses_literals_of_the_ffi_and_nothing_else),
    cmocka_unit_test(makes_no_such_number_while_it_runs),
    cmocka_unit_test(sees_in_random_texts_what_luajit_sees),
};
TEST_GROUP(tests, NULL, NULL);
