/* Scripts that nobody would write. The input chooses, byte by byte, among the productions of a
 * grammar of Lua that is made of what has hurt other hosts; or it is a script's text itself.
 * Whatever runs: it ends soon, takes no more than its memory and gives all of it back, and the next
 * call of the same state finds a whole library and nothing that leads out. */
#include "base/assert.h"
#include "base/time.h"
#include "lua/script.h"
#include "runtime/loop.h"
#include "runtime/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { STRETCH = 40 };
#else
enum { STRETCH = 1 };
#endif
#endif

enum {
    CPU_US = 1000,
    OVER_US = 5000, /**< what one step beside the instructions may take beyond the budget */
    TRIES = 5,      /**< the machine may pause us, so the best of them counts */
    OPEN = 64,      /**< productions being written at once */
    BODY_BYTES = 24 * 1024,
    NOW_MS = 1700000000,
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tb_loop *loop;
static json_t *request;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    loop = tb_loop_new();
    request = json_loads("{\"body\": {\"amount\": {\"amount\": 500, \"currency\": \"CNY\"}, "
                         "\"list\": [1, [2, {}], null]}, \"x\": \"text\"}",
                         0, NULL);
    TB_ASSERT(request != NULL);
    return 0;
}

/* ---- a grammar ---- */

/* @X stands for a production of X. Where the input has ended, or too much is open, the first one is
 * taken: it contains no other. B: block, S: statement, V: variable, E: expression, N: number,
 * L: literal text, F: function, M: name of a metamethod, P: pattern, R: part of one. */
static const char *const BLOCK[] = {"a = b ", "@S", "@S@S", "@S@S@S", "do return @E end "};
static const char *const STATEMENT[] = {
    "b = a ",
    "@V = @E ",
    "@V = @E ",
    "while @E do @B end ",
    "repeat @B until @E ",
    "for i = 1, @N do @B end ",
    "for i = 1, @N do t[i] = @E end ",
    "for k, v in pairs(@E) do @B end ",
    "for k, v in ipairs(@E) do @B end ",
    "for k, v in @F, @E do @B end ",
    "if @E then @B else @B end ",
    "pcall(function(...) @B end) ",
    "pcall(@E, @E) ",
    "xpcall(function(...) @B end, function(e) @B return e end) ",
    "xpcall(f, f, @E) ",
    "f = @F ",
    "a, b = f(@E, @E) ",
    "t[@E] = @E ",
    "t[#t + 1] = @E ",
    "s = s .. @E ",
    "s = s .. s ",
    "s = s:rep(@N) ",
    "setmetatable(t, { @M = @F }) ",
    "setmetatable(t, { @M = @F, @M = t }) ",
    "setmetatable(request, { @M = @E }) ",
    "a = setmetatable({}, { @M = @F, @M = @F }) ",
    "table.sort(t, @F) ",
    "table.sort(@E) ",
    "table.insert(t, @N, @E) ",
    "table.insert(@E, @E) ",
    "@V = table.remove(t, @N) ",
    "@V = table.concat(t, @E) ",
    "error(@E) ",
    "error(@E, @N) ",
    "@V = tb.lookup(@E, @E) ",
    "local a, b, t = @E, @E, {} ",
    "request.@V = @E ",
    "g = @E ",
    "string.rep = @E ",
    "@V = decision.all(@E, @E) ",
    "@V = tables.map(@E, @F) ",
};
static const char *const VARIABLE[] = {"a", "b", "s", "t", "f", "g", "request"};
static const char *const EXPRESSION[] = {
    "a",
    "b",
    "s",
    "t",
    "f",
    "nil",
    "true",
    "@N",
    "@L",
    "@F",
    "tb.null",
    "request.body",
    "request.body.list",
    "request.@V",
    "...",
    "{}",
    "{ @E, @E }",
    "{ x = @E, [@E] = @E }",
    "#@E",
    "-@E",
    "not @E",
    "(@E)[@E]",
    "(@E .. @E)",
    "(@E + @E)",
    "(@E % @E ^ @E)",
    "(@E == @E)",
    "(@E < @E)",
    "(@E and @E or @E)",
    "f(@E)",
    "(@E)(@E)",
    "select(@E, @E)",
    "pcall(f, @E)",
    "pcall(@E, @E, @E)",
    "tostring(@E)",
    "tonumber(@E, @N)",
    "type(@E)",
    "next(@E, @E)",
    "unpack(t, @N, @N)",
    "getmetatable(@E)",
    "setmetatable({}, { @M = @F })",
    "setmetatable({}, { @M = @E, @M = @F })",
    "tb.match(@E, @P)",
    "tb.match(s:rep(@N), @P, @N)",
    "tb.find(@E, @P)",
    "tb.replace(@E, @P, @L)",
    "tb.replace(s:rep(@N), @P, @L, @N)",
    "tb.now()",
    "tb.random(@N)",
    "tb.array(@E)",
    "tb.lookup(@E, @E)",
    "s:rep(@N)",
    "s:rep(@N, @L)",
    "s:sub(@N, @N)",
    "s:byte(@N, @N)",
    "s:find(@E, @N, true)",
    "s:reverse():upper()",
    "string.char(@N, @N)",
    "('%' .. @L):format(@E)",
    "(@L):format(@E, @E)",
    "table.concat(@E, @L, @N, @N)",
    "math.floor(@E)",
    "money.of(@N, 'CNY')",
    "money.format(@E, @L)",
    "money.split(money.of(@N, 'CNY'), { @N, @N })",
    "time.parts(tb.now(), @L)",
    "tables.get(request, @L, @E)",
    "decision.deny(@L, @L)",
    "assert(@E, @E)",
    "io",
    "os",
    "debug",
    "load",
    "coroutine",
    "_G",
};
static const char *const NUMBER[] = {
    "1",   "0",    "-1",   "2",   "3",    "17",   "250",  "1000", "1e4",  "3e4", "65535", "65536",
    "1e5", "25e4", "26e4", "1e9", "1e18", "2^53", "2^31", "2^63", "-1e9", "0.5", "0/0",   "1/0"};
static const char *const LITERAL[] = {
    "'a'",     "''",        "'x'",     "'%s'",      "'%5.2f'",
    "'d'",     "'q'",       "'p'",     "'99s'",     "'%99.99f'",
    "'$1'",    "'$0$0$$'",  "'\\255'", "'\\0'",     "'\\233\\128\\154'",
    "'key'",   "'missing'", "'n'",     "'__index'", "'Asia/Shanghai'",
    "'+08:00'"};
static const char *const FUNCTION[] = {"f",
                                       "function(...) return ... end",
                                       "function(p, q) @B return @E end",
                                       "function(...) return f(...) end",
                                       "function(p, q) return p end",
                                       "function(p, q) return q[p] end",
                                       "function() while true do end end",
                                       "function() error(a) end",
                                       "function() return 1 + f() end",
                                       "pcall",
                                       "error",
                                       "next",
                                       "tostring",
                                       "tb.lookup",
                                       "setmetatable",
                                       "string.rep",
                                       "table.concat"};
static const char *const METAMETHOD[] = {
    "__index", "__newindex", "__call", "__tostring", "__eq",   "__lt",        "__le",   "__concat",
    "__len",   "__unm",      "__add",  "__gc",       "__mode", "__metatable", "__pairs"};
static const char *const PATTERN[] = {"'a'", "'@R'", "'@R@R'", "'@R@R@R'", "'^@R$'", "@E"};
static const char *const PART[] = {"a",
                                   "b",
                                   ".",
                                   ".*",
                                   "a*",
                                   "[ab]+",
                                   "[^a]",
                                   "(@R)",
                                   "(@R)*",
                                   "(?:@R)*",
                                   "(?:@R|@R)",
                                   "(@R|@R)+",
                                   "@R@R",
                                   "@R?",
                                   "(?:@R){1,50}",
                                   "(?=@R)",
                                   "(?!@R)",
                                   "(?<=a)",
                                   "(?>@R)",
                                   "@R*+",
                                   "\\\\K",
                                   "\\\\1",
                                   "(?1)",
                                   "(?R)",
                                   "\\\\p{L}*",
                                   "\\\\w+",
                                   "$",
                                   "^",
                                   "(?i)@R",
                                   "(?(DEFINE)(@R))",
                                   "(?<=(?1))",
                                   "(?|(@R)|(@R))",
                                   "(?C1)",
                                   "(*COMMIT)",
                                   "\\\\X",
                                   "(?1)?"};

static const struct {
    char name;
    const char *const *productions;
    size_t n;
} GRAMMAR[] = {
#define RULE(name, of)                                                                             \
    {                                                                                              \
        name, of, TB_COUNT(of)                                                                     \
    }
    RULE('B', BLOCK),   RULE('S', STATEMENT), RULE('V', VARIABLE), RULE('E', EXPRESSION),
    RULE('N', NUMBER),  RULE('L', LITERAL),   RULE('F', FUNCTION), RULE('M', METAMETHOD),
    RULE('P', PATTERN), RULE('R', PART),
#undef RULE
};

struct choices {
    const uint8_t *at, *end;
};

static uint8_t choose(struct choices *from)
{
    return from->at < from->end ? *from->at++ : 0;
}

static const char *production(char name, size_t open, struct choices *from)
{
    size_t i = 0;
    while (GRAMMAR[i].name != name)
        i++;
    uint8_t chosen = choose(from);
    return GRAMMAR[i].productions[open >= OPEN - 1 ? 0 : chosen % GRAMMAR[i].n];
}

/* Statements into `out` until the input ends. What is being written lies on a stack of its own. */
static size_t write_body(struct choices *from, char *out, size_t most)
{
    const char *open[OPEN];
    size_t n = 0, depth = 0;
    while (depth > 0 || from->at < from->end) {
        if (depth == 0)
            open[depth++] = production('S', 0, from);
        const char *at = open[depth - 1];
        if (*at == '\0') {
            depth--;
        } else if (*at == '@') {
            open[depth - 1] += 2;
            open[depth] = production(at[1], depth, from);
            depth++;
        } else {
            if (n == most)
                return 0; /* half a statement is no script */
            out[n++] = *at;
            open[depth - 1]++;
        }
    }
    return n;
}

/* ---- the texts ---- */

/* What must be true in a state whatever ran there before. */
static const char PROBE[] =
    "for _, absent in ipairs({ io or 0, os or 0, debug or 0, package or 0, require or 0, load or 0,"
    " loadstring or 0, dofile or 0, getfenv or 0, setfenv or 0, rawget or 0, rawset or 0, jit or 0,"
    " ffi or 0, coroutine or 0, newproxy or 0, collectgarbage or 0, print or 0, _G or 0, g or 0,"
    " string.dump or 0, string.gsub or 0, table.new or 0, a or 0, t or 0 }) do\n"
    " if absent ~= 0 then return 'found ' .. _ end end\n"
    "if ('ab'):rep(2) ~= 'abab' or ('ab'):upper() ~= 'AB' or ('x'):find('x', 1, true) ~= 1 then "
    "return 'strings' end\n"
    "if tb.match('a17', '[0-9]+') ~= '17' or tb.now() ~= 1700000000 or tb.lookup == nil then "
    "return 'tb' end\n"
    "if getmetatable('') ~= false or getmetatable(tb) ~= false or getmetatable({}) ~= nil or "
    "getmetatable(1) ~= nil or getmetatable(print) ~= nil then return 'metatables' end\n"
    "if pcall(function() string.x = 1 end) or pcall(setmetatable, tb, {}) then return 'open' end\n"
    "local list = { 3, 1, 2 } table.sort(list)\n"
    "if table.concat(list, ',') ~= '1,2,3' or #tostring({}) ~= 5 then return 'tables' end\n"
    "if money.format(money.of(150, 'CNY')) == nil or select('#', unpack(list)) ~= 3 then "
    "return 'library' end\n"
    "if request.x ~= 'text' or request.body.amount.amount ~= 500 or request.a ~= nil then "
    "return 'request' end\n"
    "return true";

static size_t write_text(struct choices *from, char *out, size_t most)
{
    static char body[BODY_BYTES];
    size_t n = write_body(from, body, sizeof(body));
    int written = snprintf(out, most,
                           "return { on_request = function(request, ...)\n"
                           "local a, b, s, t, f = 1, 'b', 'aab', {}, function(...) return ... end\n"
                           "%.*s\nreturn a, t end,\nprobe = function(request) %s\nend }",
                           (int)n, body, PROBE);
    TB_ASSERT(written > 0 && (size_t)written < most);
    return (size_t)written;
}

/* ---- running ---- */

struct trial {
    struct tb_script *script;
    struct tb_script_call call;
    struct tb_script_result result;
    char told[512]; /* the decision as JSON */
};

static tb_err TB_SUSPENDS entry_of(struct tb_req *req, void *arg, struct tb_str table,
                                   struct tb_str key, json_t **out)
{
    (void)arg;
    if (table.n % 2 == 0)
        TB_TRY(tb_sleep(req, 1));
    *out = tb_str_eq(key, TB_STR("missing")) ? NULL : json_pack("{s:i, s:[]}", "n", 7, "list");
    return NULL;
}

static tb_err TB_SUSPENDS act(struct tb_req *req, void *arg)
{
    struct trial *trial = arg;
    trial->told[0] = '\0';
    TB_ASSERT(tb_script_run(req, trial->script, &trial->call, &trial->result) == NULL);
    const struct tb_script_result *result = &trial->result;
    TB_ASSERT(result->end == TB_SCRIPT_DONE || result->decision == NULL);
    TB_ASSERT(result->end != TB_SCRIPT_DONE || result->why[0] == '\0');
    TB_ASSERT(memchr(result->why, '\0', sizeof(result->why)) != NULL);
    TB_ASSERT(result->end != TB_SCRIPT_ENDED && result->lookups <= TB_SCRIPT_LOOKUPS + 1);
    if (result->decision != NULL) {
        char *told = json_dumps(result->decision, JSON_ENCODE_ANY);
        TB_ASSERT(told != NULL);
        snprintf(trial->told, sizeof(trial->told), "%s", told);
        free(told);
    }
    return NULL;
}

static int64_t run(struct trial *trial, const char *hook)
{
    trial->call = (struct tb_script_call){
        .hook = hook, .input = request, .now_ms = NOW_MS, .seed = 7, .lookup = entry_of};
    int64_t began = tb_thread_ns();
    TB_ASSERT(tb_run_to_end(loop, act, trial, 0) == NULL);
    return (tb_thread_ns() - began) / 1000;
}

/* The state is as good as a new one, or says that it is not. */
static void probe(struct trial *trial)
{
    if (tb_script_worn(trial->script) || !tb_script_has(trial->script, "probe"))
        return;
    run(trial, "probe");
    if (trial->result.end == TB_SCRIPT_BUDGET)
        return; /* the machine paused us */
    if (strcmp(trial->told, "true") != 0) {
        fprintf(stderr, "probe: %s %s\n", trial->told, trial->result.why);
        abort();
    }
}

/* @return the processor time of the script's call, us */
static int64_t try_text(const struct tb_script_limits *limits, struct tb_str text, bool probed)
{
    char why[TB_SCRIPT_WHY_BYTES];
    int64_t began = tb_thread_ns();
    struct trial trial = {.script = tb_script_new(limits, text, why, sizeof(why))};
    int64_t us = (tb_thread_ns() - began) / 1000;
    if (trial.script == NULL) {
        TB_ASSERT(why[0] != '\0');
        return us;
    }
    TB_ASSERT(tb_script_bytes(trial.script) <= limits->memory_bytes);
    if (tb_script_has(trial.script, "on_request")) {
        int64_t run_us = run(&trial, "on_request");
        us = run_us > us ? run_us : us;
        TB_ASSERT(trial.result.cpu_ns / 1000 <= (int64_t)STRETCH * (CPU_US + OVER_US));
        TB_ASSERT(tb_script_bytes(trial.script) <= limits->memory_bytes);
    }
    if (probed)
        probe(&trial);
    TB_ASSERT(tb_script_idle(trial.script));
    tb_script_free(trial.script); /* asserts that all its memory is back */
    return us;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[TB_SCRIPT_SOURCE_BYTES + 1];
    if (size < 4)
        return 0;
    struct tb_script_limits limits = tb_script_limits;
    struct choices from = {data + 4, data + size};
    bool grown = data[0] % 8 != 0;
    limits.cpu_us = CPU_US;
    bool timed = data[3] % 2 == 0;
    if (!timed) { /* it gives way all the time, and the loop takes longer than the script */
        limits.turn_us = 0;
        limits.wall_ms = 50;
    }
    if (data[0] >= 128) /* so that memory ends at any place */
        limits.memory_bytes = (160u << 10) + 4096u * data[1] + 16u * data[2];
    size_t n = size - 4 < sizeof(text) ? size - 4 : sizeof(text);
    if (grown)
        n = write_text(&from, text, sizeof(text));
    else
        memcpy(text, data + 4, n);
    int64_t best_us = INT64_MAX;
    int tries = timed ? TRIES : 1;
    for (int i = 0; i < tries && best_us > (int64_t)STRETCH * (CPU_US + OVER_US); i++) {
        int64_t us = try_text(&limits, (struct tb_str){text, n}, grown);
        best_us = us < best_us ? us : best_us;
    }
    if (timed && best_us > (int64_t)STRETCH * (CPU_US + OVER_US)) {
        fprintf(stderr, "took %lld us:\n%.*s\n", (long long)best_us, (int)n, text);
        abort();
    }
    return 0;
}
