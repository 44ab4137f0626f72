/* Scripts that mean harm. Whatever they do: they end within twice their budget, nothing they did is
 * there for the next call, memory comes back, and nothing of the host can be reached. */
#include "stage.h"

#include <time.h>

static int64_t thread_us(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* Sanitizers and emulators stretch everything; what is proven there is that it ends. */
#if defined(__SANITIZE_ADDRESS__)
enum { STRETCH = 20 };
#else
enum { STRETCH = 1 };
#endif

/* Bodies of a hook, and how each must end; NULL: as it likes, but soon. */
static const struct {
    const char *body, *end;
} ATTACKS[] = {
    /* time */
    {"while true do end", "budget"},
    {"for i = 1, 1e12 do end", "budget"},
    {"repeat until false", "budget"},
    {"while true do pcall(function() while true do end end) end", "budget"},
    {"local function f() return pcall(f) end while true do f() end", NULL},
    {"local a = setmetatable({}, { __call = pcall }) return a(a)", NULL},
    {"local a = setmetatable({}, { __call = pcall }) return pcall(a, a)", NULL},
    {"local a = setmetatable({}, { __call = xpcall }) return a(a, a)", NULL},
    {"local a = setmetatable({}, { __index = pcall, __newindex = pcall, __call = pcall }) a[a] = a[a]",
     NULL},
    {"local t = {} for i = 1, 245 do t[i] = pcall end return pcall(unpack(t))", NULL},
    {"local function f() while true do end end while true do xpcall(f, f) end", NULL},
    {"while true do xpcall(error, function() while true do end end) end", "budget"},
    {"setmetatable(request, { __index = function(t, k) while true do end end }) return request.x",
     "budget"},
    {"local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]",
     NULL},
    {"local a = {} local b = setmetatable({}, { __index = a }) setmetatable(a, { __index = b }) return a.x",
     "error"},
    {"error(setmetatable({}, { __tostring = function() while true do end end }))", "error"},
    {"return tostring(setmetatable({}, { __tostring = function() while true do end end }))",
     "budget"},
    {"return tostring(setmetatable({}, { __tostring = tostring }))", "error"},
    {"local m = {} m.__tostring = function(x) return tostring(x) end return tostring(setmetatable({}, m))",
     "error"},
    {"local m = {} m.__tostring = function(x) while true do pcall(tostring, x) end end return tostring(setmetatable({}, m))",
     "budget"},
    {"return tb.match('a', ('('):rep(250) .. (')'):rep(250))", "error"},
    {"return tb.match('a', ('(?='):rep(120) .. (')'):rep(120))", NULL},
    {"local t = {} for i = 1, 1e4 do t[i] = i end while true do table.sort(t, function() return true end) end",
     "budget"},
    {"local t = {} for i = 1, 3e4 do t[i] = -i end table.sort(t)", NULL},
    {"local t = {} while true do table.insert(t, 1, 1) end", NULL},
    {"local t = {} for i = 1, 3e4 do t[i] = i end while true do table.remove(t, 1) table.insert(t, 1) end",
     "budget"},
    {"local s = ('x'):rep(250000) while true do s:reverse() end", "budget"},
    {"local s = ('x'):rep(250000) while true do s:upper() end", "budget"},
    {"local s = ('x'):rep(60000) while true do s:lower() end", "budget"},
    {"local s, t = ('x'):rep(250000), ('x'):rep(249999) .. 'y' while true do local b = s < t end",
     "budget"},
    {"local s = ('1'):rep(250000) while true do local n = s + 1 end", "budget"},
    {"local s = ('1'):rep(60000) while true do local n = s + 1 end", "budget"},
    {"local s = 'x' while true do s = s .. s end", NULL},
    {"local s = ('x'):rep(60000) while true do local t = s .. 'y' end", "budget"},
    {"local t = {} for i = 1, 2e4 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end "
     "while true do next(t) end",
     NULL},
    {"while true do ('x'):find(('x'):rep(100)) end", "budget"},
    {"local s, t = ('a'):rep(200000), ('a'):rep(100000) .. 'b' while true do s:find(t, 1, true) end",
     "budget"},
    {"local t = {} for i = 1, 250 do t[i] = 'x' end while true do unpack(t) end", "budget"},
    {"while true do ('%s'):rep(1000):format() end", "error"},
    {"local t = {} for i = 1, 3e4 do t[i] = '' end while true do table.concat(t) end", "budget"},
    {"local f f = function(n) return n == 0 and 1 or f(n - 1) + f(n - 1) end return f(60)",
     "budget"},
    /* patterns */
    {"return tb.match(('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30))", NULL},
    {"return tb.match(('a'):rep(5000), '(a*)*b')", "error"},
    {"return tb.match(('a'):rep(5000), '(a|aa)+$b')", "error"},
    {"while true do tb.match(('a'):rep(1000), 'a*a*b') end", NULL},
    {"for i = 1, 1e9 do pcall(tb.match, ('a'):rep(5000), '(a*)*b' .. i) end", "budget"},
    {"return tb.match(('('):rep(200) .. (')'):rep(200), ('('):rep(200) .. 'a' .. (')'):rep(200))",
     "error"},
    {"return tb.match('a', ('(?:'):rep(60) .. 'a' .. ('{1,100})'):rep(60))", "error"},
    {"return tb.match('a', '(?R)')", "error"},
    {"return tb.match('\\255', 'a')", "error"},
    {"return tb.match('a', '\\\\C')", "error"},
    {"return #tb.replace(('a'):rep(60000), 'a', ('b'):rep(1000))", "error"},
    {"while true do tb.replace(('a'):rep(10000), 'b', 'c') end", "budget"},
    {"return tb.match(('a'):rep(65000), 'a*[bc]')", "budget"},
    {"return tb.match(('a'):rep(65000), '(?:(?=a*+[bc])|.)*+$')", "budget"},
    {"return tb.match(('a'):rep(65000), '(?:(?=\\\\p{L}*+[bc])|.)*+z')", "budget"},
    {"return tb.match(('a'):rep(65000), '(?:(?=(a*)\\\\1[bc])|.)*+z')", "error"},
    {"while true do pcall(tb.match, ('a'):rep(65000), '(?:(?=a*+[bc])|.)*+$') end", "budget"},
    {"return tb.replace('ab', 'a|(?<=(?1))b(?(DEFINE)(\\\\Ka))', 'x')", "error"},
    /* memory */
    {"return ('x'):rep(1e9)", "error"},
    {"local t = {} while true do t[#t + 1] = {} end", NULL},
    {"local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", "memory"},
    {"local t = {} while true do pcall(function() while true do t[#t + 1] = ('x'):rep(1e5) .. #t end end) end",
     "memory"},
    {"local s = ('x'):rep(2e5) local t = {} while true do t[#t + 1] = s .. #t end", "memory"},
    {"return ('%99999d'):format(1)", "error"},
    {"return ('%99.99f'):format(1) .. ('%s'):rep(60):format(unpack({ 1 }))", "error"},
    {"return #string.format(('%s'):rep(50), unpack((function() local t = {} for i = 1, 50 do t[i] = ('x'):rep(2e5) end return t end)()))",
     "error"},
    {"local function f() return 1 + f() end return f()", NULL},
    {"local function f(...) return f(1, ...) end return f()", NULL},
    {"return select(-1, unpack({}, 1, 1e8))", "error"},
    {"return unpack({}, -1e18, 1e18)", "error"},
    {"return ('x'):byte(1, -1), (('x'):rep(1e5)):byte(1, -1)", "error"},
    {"return #{ ('x'):byte(-2^62, 2^62) }", NULL},
    {"return ('x'):byte(2^63, -2^63), ('x'):byte(-2^63, 2^63)", NULL},
    {"return tostring(('x'):rep(2e5)):rep(2)", "error"},
    {"return table.concat({ ('x'):rep(2e5), ('x'):rep(2e5) })", "error"},
    {"return table.concat({}, ('x'):rep(1000), 1, 1e9)", "error"},
    /* errors */
    {"error()", "error"},
    {"error({ a = 1 })", "error"},
    {"error(('x'):rep(2e5))", "error"},
    {"error(tb)", "error"},
    {"return request.a.b.c", "error"},
};

static void ends_soon_whatever_a_script_does(void **state)
{
    (void)state;
    const int64_t most_us = 2 * tb_script_limits.cpu_us * STRETCH;
    for (size_t i = 0; i < COUNT(ATTACKS); i++) {
        struct stage stage;
        int64_t best_us = INT64_MAX;
        for (int tries = 0; tries < 5 && best_us > most_us;
             tries++) { /* the machine may pause us */
            stage_begin(&stage, stage_hook(ATTACKS[i].body), "{\"a\": {}}");
            int64_t before_us = thread_us();
            stage_run(&stage);
            int64_t us = thread_us() - before_us;
            best_us = us < best_us ? us : best_us;
            const char *end = tb_script_end_word(stage.result.end);
            if (ATTACKS[i].end != NULL && strcmp(end, ATTACKS[i].end) != 0 && STRETCH == 1)
                fail_msg("%s: ended as %s: %s", ATTACKS[i].body, end, stage.result.why);
            assert_true(tb_script_bytes(stage.script) <= tb_script_limits.memory_bytes);
            stage_end(&stage);
        }
        if (best_us > most_us)
            fail_msg("%s: took %lld us", ATTACKS[i].body, (long long)best_us);
    }
}

struct reading {
    char text[TB_SCRIPT_SOURCE_BYTES];
    char why[TB_SCRIPT_WHY_BYTES];
    struct tb_script *script;
};

static tb_err TB_SUSPENDS read_on_a_fiber(struct tb_req *req, void *arg)
{
    (void)req;
    struct reading *reading = arg;
    reading->script = tb_script_new(&tb_script_limits, tb_str(reading->text), reading->why,
                                    sizeof reading->why);
    return NULL;
}

/* A text is read on a fiber, whose stack is short. */
static void reads_texts_that_nest_as_deep_as_can_be(void **state)
{
    (void)state;
    static const char *const nests[][2] = {{"{", "}"},
                                           {"(", ")"},
                                           {"f(", ")"},
                                           {"function() return ", " end"},
                                           {"-", ""},
                                           {"not ", ""},
                                           {"1 .. ", ""},
                                           {"1 ^ ", ""},
                                           {"(function() do ", " end end)()"},
                                           {"a[", "]"},
                                           {"{ x = ", "}"}};
    struct tb_loop *loop = tb_loop_new();
    for (size_t i = 0; i < COUNT(nests); i++)
        for (int depth = 20; depth <= 2000; depth = depth * 5 / 4) {
            static struct reading reading;
            size_t n = (size_t)snprintf(reading.text, sizeof reading.text, "local a = ");
            for (int at = 0; at < depth; at++)
                n += (size_t)snprintf(reading.text + n, sizeof reading.text - n, "%s", nests[i][0]);
            n += (size_t)snprintf(reading.text + n, sizeof reading.text - n, "1");
            for (int at = 0; at < depth; at++)
                n += (size_t)snprintf(reading.text + n, sizeof reading.text - n, "%s", nests[i][1]);
            snprintf(reading.text + n, sizeof reading.text - n, " return {}");
            assert_null(tb_run_to_end(loop, read_on_a_fiber, &reading, 60000));
            tb_script_free(reading.script);
        }
    tb_loop_free(loop);
}

/* What must not be there at all, or must not lead to it. Each is true when all is well. */
static const char *const ABSENT[] = {
    "_G == nil and _VERSION == nil and getfenv == nil and setfenv == nil",
    "io == nil and os == nil and debug == nil and package == nil and require == nil and module == nil",
    "ffi == nil and jit == nil and bit == nil and coroutine == nil",
    "load == nil and loadstring == nil and loadfile == nil and dofile == nil",
    "rawget == nil and rawset == nil and rawequal == nil and collectgarbage == nil and gcinfo == nil",
    "newproxy == nil and print == nil",
    "string.dump == nil and ('').dump == nil",
    "string.gsub == nil and string.gmatch == nil and string.match == nil and ('').gsub == nil",
    "table.new == nil and table.clear == nil and table.foreach == nil and table.getn == nil",
    "math.random == nil and math.randomseed == nil",
    "getmetatable('') == false and getmetatable(string) == false and getmetatable(tb) == false",
    "not pcall(setmetatable, string, {})",
    "not pcall(setmetatable, '', {})",
    "not pcall(function() string.rep = 1 end)",
    "not pcall(function() tb.now = function() return 0 end end)",
    "not pcall(function() ('').x = 1 end)",
    "not pcall(pairs, string)",
    "not pcall(next, tb)",
    "not pcall(table.insert, string, 1)",
    "not pcall(getmetatable)",
    "not pcall(('x').rep, 'x', 1e9)",
    "(''):find('%', 1, true) == nil and not pcall(('').find, 'a', '.', 1, false)",
    "not tostring(print or function() end):find('0x') and tostring({}) == 'table'",
    "not pcall(setmetatable, tb.array({}), {})",
    "getmetatable(tb.array({})) == false",
    "not select(2, pcall(error)):find('0x')",
    "not pcall(('').format, '%p', 'x') and not pcall(('').format, '\\0%%%-9p', 'x')",
    "('%%p%5.1f'):format(1) == '%p  1.0'",
    "type(select(2, pcall(string.rep))) == 'string'",
};

static void has_nothing_that_leads_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ABSENT); i++) {
        struct stage stage;
        char body[512];
        bool guarded = strstr(ABSENT[i], "pcall(error)") != NULL;
        snprintf(body, sizeof body, guarded ? "return pcall(error) == false" : "return %s",
                 ABSENT[i]);
        stage_begin(&stage, stage_hook(body), "{}");
        stage_run(&stage);
        if (stage.decision == NULL || strcmp(stage.decision, "true") != 0)
            fail_msg("%s: %s %s", ABSENT[i], stage.decision, stage.result.why);
        stage_end(&stage);
    }
}

static void a_state_without_memory_left_is_not_used_again(void **state)
{
    (void)state;
    struct tb_script_limits patient = tb_script_limits;
    patient.cpu_us = 10000000; /* so that memory is what ends it, on a slow machine, too */
    char why[TB_SCRIPT_WHY_BYTES];
    struct stage stage;
    stage_begin(&stage, stage_hook("return 1"), "{}");
    tb_script_free(stage.script);
    stage.script = tb_script_new(
        &patient,
        tb_str(stage_hook("local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end")), why,
        sizeof why);
    assert_non_null(stage.script);
    stage_run(&stage);
    assert_int_equal(stage.result.end, TB_SCRIPT_MEMORY);
    assert_true(tb_script_worn(stage.script));
    stage_end(&stage);
}

static void garbage_of_one_call_is_not_the_next_ones(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage,
                stage_hook("local t = {} for i = 1, 30 do t[i] = ('x'):rep(1e5) .. i end return 1"),
                "{}");
    stage_run(&stage);
    assert_string_equal(stage.decision, "1");
    assert_true(tb_script_worn(stage.script));
    stage_end(&stage);
}

static tb_err TB_SUSPENDS some_entry(struct tb_req *req, void *arg, struct tb_str table,
                                     struct tb_str key, json_t **out)
{
    (void)arg, (void)table, (void)key;
    TB_TRY(tb_sleep(req, 0));
    *out = json_pack("{s:[i,i,{s:s}]}", "a", 1, 2, "b", "text");
    return NULL;
}

/* Wherever memory ends, in the script or in the host's own hands, the worker lives. */
static void survives_the_end_of_memory_at_any_allocation(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "local a = tb.lookup('a', 'b') for i = 1, 20 do pcall(tb.lookup, 'a', 'c' .. i) end",
        "local a = tb.lookup('a', 'b') return { { { { { { { { { a, a } } } } } } } } }",
        "local t = {} for i = 1, 30 do t[i] = ('x'):rep(300) .. i end return t",
        ("local m = setmetatable({}, { __index = function(_, k) return tb.lookup('a', k) end }) "
         "return { m.a, m.b }"),
        "table.sort({ 3, 2, 1 }) return { money.of(3, 'CNY'), pcall(error, {}), tb.replace('aba', 'b', 'c') }",
    };
    struct stage stage;
    stage_begin(&stage, stage_hook("return 1"), "{\"a\": [1, {\"b\": [2, 3]}]}");
    stage.call.lookup = some_entry;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct tb_script_limits limits = tb_script_limits;
        limits.cpu_us = 10000000;
        size_t ends[TB_SCRIPT_ENDED + 1] = {0};
        for (limits.memory_bytes = 30000; limits.memory_bytes < 64000; limits.memory_bytes += 24) {
            char why[TB_SCRIPT_WHY_BYTES];
            tb_script_free(stage.script);
            stage.script = tb_script_new(&limits, tb_str(stage_hook(bodies[i])), why, sizeof why);
            if (stage.script == NULL)
                continue;
            stage_run(&stage);
            ends[stage.result.end]++;
            if (!tb_script_worn(stage.script))
                stage_run(&stage); /* not to be harmed by what the first call left */
        }
        assert_true(ends[TB_SCRIPT_MEMORY] > 10);
        assert_true(ends[TB_SCRIPT_DONE] + ends[TB_SCRIPT_ERROR] > 10);
    }
    stage_end(&stage);
}

/* Many calls on one state leave no more than one does. */
static void gives_memory_back(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(
        &stage,
        stage_hook("local t = {} for i = 1, 50 do t[i] = ('x'):rep(100) .. i end return #t"), "{}");
    size_t most = 0;
    for (int i = 0; i < 3000; i++) {
        stage_run(&stage);
        assert_string_equal(stage.decision, "50");
        if (i == 300)
            most = 2 * tb_script_bytes(stage.script);
        else if (i > 300)
            assert_true(tb_script_bytes(stage.script) <= most);
    }
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_soon_whatever_a_script_does),
        cmocka_unit_test(reads_texts_that_nest_as_deep_as_can_be),
        cmocka_unit_test(has_nothing_that_leads_out),
        cmocka_unit_test(a_state_without_memory_left_is_not_used_again),
        cmocka_unit_test(garbage_of_one_call_is_not_the_next_ones),
        cmocka_unit_test(survives_the_end_of_memory_at_any_allocation),
        cmocka_unit_test(gives_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
