/* Everything a script can call, with everything it should not be called with; hooks that are not
 * what they were when the text was read; and calls that try to leave something behind for the next
 * one, or for another partner's. */
#include "lua_fixture.h"

/* ---- arguments ---- */

static const char *const FUNCTIONS[] = {
    "assert",        "error",           "getmetatable",   "ipairs",         "next",
    "pairs",         "pcall",           "select",         "setmetatable",   "type",
    "tonumber",      "tostring",        "unpack",         "xpcall",         "math.abs",
    "math.ceil",     "math.floor",      "math.fmod",      "math.max",       "math.min",
    "string.byte",   "string.char",     "string.find",    "string.format",  "string.len",
    "string.lower",  "string.rep",      "string.reverse", "string.sub",     "string.upper",
    "table.concat",  "table.insert",    "table.remove",   "table.sort",     "tb.now",
    "tb.random",     "tb.array",        "tb.match",       "tb.find",        "tb.replace",
    "money.of",      "money.add",       "money.sub",      "money.compare",  "money.split",
    "money.format",  "time.now",        "time.hour",      "time.at",        "time.between",
    "time.parse",    "time.format",     "time.days",      "tables.map",     "tables.filter",
    "tables.find",   "tables.keys",     "tables.get",     "tables.merge",   "tables.contains",
    "decision.deny", "decision.allow",  "decision.set",   "decision.route", "decision.limit",
    "decision.all",  "decision.redact", "decision.rules", "decision.links", "decision.approvals"};

/* Calls f with all of them, alone and in company, and counts the rounds. */
static const char *const WITH_EVERYTHING =
    "local cyclic = {} cyclic.cyclic, cyclic[1] = cyclic, cyclic\n"
    "local function angry() error({}) end\n"
    "local touchy = setmetatable({ 1, 2 }, { __index = angry, __newindex = angry, __len = angry, __lt = angry, __le = angry,\n"
    "    __eq = angry, __concat = angry, __tostring = angry, __call = angry, __unm = angry, __add = angry })\n"
    "local values = { false, 0, -1, 1.5, 250, 251, 2 ^ 31, -2 ^ 31, 2 ^ 53, 2 ^ 63, -2 ^ 63, 1e300, 0 / 0, math.huge, -math.huge,\n"
    "    '', 'x', '0', '-1', '\\255\\254', 'a\\0b', '%s%d%q%5c', '$1', '(', ('x'):rep(2000), {}, { 1, 2, 3 }, { x = 1 }, cyclic, touchy,\n"
    "    tb.array({}), tb.null, tb, string, angry, error, pcall }\n"
    "pcall(f)\n"
    "for a = 1, #values + 1 do\n"
    "    pcall(f, values[a])\n"
    "    for b = 1, #values + 1 do\n"
    "        pcall(f, values[a], values[b])\n"
    "        pcall(f, 'text', values[a], values[b])\n"
    "        pcall(f, values[b], { 3, 1, 2 }, values[a], values[b])\n"
    "        done = done + 1\n"
    "    end\n"
    "end\n"
    "return done";

static void takes_whatever_its_functions_are_called_with(void **state)
{
    (void)state;
    struct tb_script_limits limits = *stage_limits();
    limits.cpu_us = 600 * INT64_C(1000000); /* it is not time that ends it */
    limits.memory_bytes = (size_t)64 << 20;
    for (size_t i = 0; i < COUNT(FUNCTIONS); i++) {
        char body[4096];
        struct stage stage;
        snprintf(body, sizeof(body), "local f, done = %s, 0\n%s", FUNCTIONS[i], WITH_EVERYTHING);
        stage_begin_within(&stage, &limits, stage_hook(body), "{}");
        for (int calls = RUNNING_ON_VALGRIND ? 1 : 0; calls < 2;
             calls++) { /* the second finds all as the first did */
            stage_run(&stage);
            if (stage.decision == NULL || strcmp(stage.decision, "1444") != 0)
                fail_msg("%s: %s, %s", FUNCTIONS[i], stage.decision, stage.result.why);
        }
        stage_end(&stage);
    }
}

/* ---- hooks ---- */

/* Texts that were in order when they were read, and what becomes of a call. While the text is read
 * it is the beginning of 1970. */
static const char *const CHANGED[][2] = {
    {"if tb.now() > 0 then return {} end return { on_request = function() end }", "error"},
    {"if tb.now() > 0 then return 1 end return { on_request = function() end }", "error"},
    {"if tb.now() > 0 then return nil end return { on_request = function() end }", "error"},
    {"if tb.now() > 0 then error({}) end return { on_request = function() end }", "error"},
    {"if tb.now() > 0 then while true do end end return { on_request = function() end }", "budget"},
    {"if tb.now() > 0 then tb.lookup('a', 'b') end return { on_request = function() end }",
     "error"},
    {"if tb.now() > 0 then return { on_request = 1 } end return { on_request = function() end }",
     "error"},
    {"if tb.now() > 0 then return { on_request = {} } end return { on_request = function() end }",
     "error"},
    {"if tb.now() > 0 then return { on_request = setmetatable({}, { __call = function() return {} end }) } end "
     "return { on_request = function() end }",
     "done"},
    {"if tb.now() > 0 then return setmetatable({}, { __index = function() while true do end end }) end "
     "return { on_request = function() end }",
     "budget"},
    {"if tb.now() > 0 then return tb end return { on_request = function() end }", "error"},
    {"return { on_request = error }", "error"},
    {"return { on_request = tb.lookup }", "error"},
    {"return { on_request = tb.array }", "done"},
    {"return { on_request = pcall }", "done"},
    {"return { on_request = type }", "done"},
    {"return setmetatable({ on_request = function() return {} end }, { __index = error, __metatable = 1 })",
     "done"},
};

static void runs_hooks_that_are_not_what_they_were(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CHANGED); i++) {
        struct stage stage;
        bool endless = strcmp(CHANGED[i][1], "budget") == 0;
        stage_begin_within(&stage, endless ? stage_limits() : stage_patient_limits(), CHANGED[i][0],
                           "{}");
        for (int calls = 0; calls < 3; calls++) {
            stage_run(&stage);
            const char *end = tb_script_end_word(stage.result.end);
            if (strcmp(end, CHANGED[i][1]) != 0)
                fail_msg("%s: %s, %s", CHANGED[i][0], end, stage.result.why);
        }
        stage_end(&stage);
    }
}

/* ---- what calls leave behind ---- */

/* Each tries to count its calls somewhere. A function of a text counts as often as it is made anew.
 */
static const char *const COUNTERS[] = {
    "count = (count or 0) + 1 return { on_request = function() return count end }",
    "local n = 0 return { on_request = function() n = n + 1 return n end }",
    "local t = { n = 0 } return { on_request = function() t.n = t.n + 1 return t.n end }",
    "local function f() end return { on_request = function() return pcall(function() f.n = 1 end) and 2 or 1 end }",
    "return { on_request = function() local good = pcall(function() tb.n = (tb.n or 0) + 1 end) return good and 2 or 1 end }",
    "return { on_request = function() pcall(function() string.n = 1 end) return ('').n == nil and string.n == nil and 1 or 2 end }",
    "return { on_request = function() pcall(function() getmetatable('').n = 1 end) return getmetatable('') == false and 1 or 2 end }",
    "return { on_request = function() local l = tb.array({}) pcall(setmetatable, l, { n = 1 }) return getmetatable(l) == false and 1 or 2 end }",
    "return { on_request = function(r) r.n = (r.n or 0) + 1 return r.n end }",
    "return { on_request = function() local l = { 1, 2, 3 } l[#l + 1] = 4 return #l == 4 and 1 or 2 end }",
    "return { on_request = function() local l = { x = { y = 1 } } l.x.y = l.x.y + 1 return l.x.y == 2 and 1 or 2 end }",
    "return { on_request = function() local m = money.of(1, 'CNY') m.amount = m.amount + 1 return money.of(1, 'CNY').amount end }",
    "return { on_request = function() pcall(function() money.n = 1 end) return money.n == nil and 1 or 2 end }",
    "return { on_request = function() local d = decision.deny('x') d.deny.n = 1 return decision.deny('x').deny.n == nil and 1 or 2 end }",
    "return { on_request = function() local k = tables.keys({ a = 1 }) k.n = 1 return tables.keys({ a = 1 }).n == nil and 1 or 2 end }",
    "return { on_request = function() tostring(setmetatable({}, { __tostring = function() n = (n or 0) + 1 return '' end })) return n end }",
    "local old = tostring tostring = function() return 2 end return { on_request = function() return old(1) == '1' and 1 or 2 end }",
    "return { on_request = function() local _ = tb.random(1000) return tb.random(1) end }",
    "return { on_request = function() tb.match('abc', '(b)') return tb.match('xyz', 'y') == 'y' and 1 or 2 end }",
};

static void starts_every_call_from_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(COUNTERS); i++) {
        struct stage stage;
        stage_begin(&stage, COUNTERS[i], "{}");
        for (int calls = 0; calls < 3; calls++) {
            stage_run(&stage);
            if (stage.decision == NULL || strcmp(stage.decision, "1") != 0)
                fail_msg("%s: %s, %s", COUNTERS[i], stage.decision, stage.result.why);
        }
        stage_end(&stage);
    }
}

struct visitor {
    struct stage *stage;
    const char *secret;
    char *decision;
    bool over;
};

static tb_err TB_SUSPENDS sleepy_entry(struct tb_req *req, void *arg, struct tb_str table,
                                       struct tb_str key, json_t **out)
{
    const struct visitor *visitor = arg;
    (void)table, (void)key;
    TB_TRY(tb_sleep(req, 2));
    *out = json_string(visitor->secret);
    return NULL;
}

static tb_err TB_SUSPENDS visit(struct tb_req *req, void *arg)
{
    struct visitor *visitor = arg;
    struct tb_script_result result;
    json_t *input = json_pack("{s:s}", "secret", visitor->secret);
    struct tb_script_call one = visitor->stage->call;
    one.input = input;
    one.lookup = sleepy_entry;
    one.lookup_arg = visitor;
    tb_err err = tb_script_run(req, visitor->stage->script, &one, &result);
    if (err == NULL && result.decision != NULL)
        visitor->decision = json_dumps(result.decision, JSON_ENCODE_ANY);
    json_decref(input);
    visitor->over = true;
    return err;
}

/* Calls that wait in one state at once share its memory and its library, and see nothing of each
 * other: neither what they were given, nor globals, nor upvalues. */
static void keeps_calls_apart_that_wait_side_by_side(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage,
                "local mine\n"
                "return { on_request = function(request)\n"
                "  assert(mine == nil and shared == nil and string.mine == nil)\n"
                "  mine, shared = request.secret, request.secret\n"
                "  local entry = tb.lookup('t', 'k')\n"
                "  tables.map({ 1 }, function() return tb.lookup('t', 'k') end)\n"
                "  return { mine, shared, entry, request.secret }\n"
                "end }",
                "{}");
    static const char *const secrets[] = {"one", "two", "three", "four", "five", "six"};
    struct visitor visitors[COUNT(secrets)];
    for (size_t i = 0; i < COUNT(secrets); i++) {
        visitors[i] = (struct visitor){.stage = &stage, .secret = secrets[i]};
        assert_null(tb_run_detached(stage.loop, "visitor", visit, &visitors[i], 30000));
    }
    for (size_t i = 0; i < COUNT(secrets); i++) {
        char wanted[96];
        while (!visitors[i].over)
            tb_loop_turn(stage.loop, 100);
        snprintf(wanted, sizeof(wanted), "[\"%s\", \"%s\", \"%s\", \"%s\"]", secrets[i], secrets[i],
                 secrets[i], secrets[i]);
        assert_non_null(visitors[i].decision);
        assert_string_equal(visitors[i].decision, wanted);
        free(visitors[i].decision);
    }
    stage_end(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_whatever_its_functions_are_called_with),
    cmocka_unit_test(runs_hooks_that_are_not_what_they_were),
    cmocka_unit_test(starts_every_call_from_nothing),
    cmocka_unit_test(keeps_calls_apart_that_wait_side_by_side),
};
TEST_GROUP(tests, NULL, NULL);
