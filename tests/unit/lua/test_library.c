/* The library that is written in Lua: what its functions are worth, and that no way leads through
 * it to anything else or to the next call. */
#include "lua_fixture.h"

struct worth {
    const char *expression, *json;
};

static void judge(const struct worth *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct stage stage;
        char body[1024];
        bool statements = strncmp(cases[i].expression, "local ", 6) == 0 ||
                          strncmp(cases[i].expression, "for ", 4) == 0;
        snprintf(body, sizeof(body), statements ? "%s" : "return %s", cases[i].expression);
        stage_begin(&stage, stage_hook(body), "{\"nothing\": null, \"list\": []}");
        stage_run(&stage);
        if (stage.decision == NULL || strcmp(stage.decision, cases[i].json) != 0)
            fail_msg("%s is %s (%s), not %s", cases[i].expression, stage.decision, stage.result.why,
                     cases[i].json);
        stage_end(&stage);
    }
}

/* The body fails at the script's own line, and says so. */
static void blame(const struct worth *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct stage stage;
        stage_begin(&stage, stage_hook(cases[i].expression), "{}");
        stage_run(&stage);
        if (stage.result.end != TB_SCRIPT_ERROR ||
            strstr(stage.result.why, cases[i].json) == NULL ||
            strncmp(stage.result.why, "script:2: ", 10) != 0)
            fail_msg("%s: %s, %s", cases[i].expression, tb_script_end_word(stage.result.end),
                     stage.result.why);
        stage_end(&stage);
    }
}

#define CNY(n) "{\"amount\": " #n ", \"currency\": \"CNY\"}"

/* ---- money ---- */

static const struct worth MONEY[] = {
    {"money.of(5, 'CNY')", CNY(5)},
    {"money.of(-9007199254740991, 'CNY')", CNY(-9007199254740991)},
    {"money.split(money.of(4, 'CNY'), { 4503599627370495, 1 })", "[" CNY(4) ", " CNY(0) "]"},
    {"money.add(money.of(5, 'CNY'), money.of(-7, 'CNY'))", CNY(-2)},
    {"money.sub(money.of(5, 'CNY'), money.of(7, 'CNY'))", CNY(-2)},
    {"local m = money.of return { money.compare(m(1, 'CNY'), m(2, 'CNY')), "
     "money.compare(m(2, 'CNY'), m(2, 'CNY')), money.compare(m(3, 'CNY'), m(2, 'CNY')) }",
     "[-1, 0, 1]"},
    {"money.split(money.of(100, 'CNY'), { 1, 1, 1 })", "[" CNY(34) ", " CNY(33) ", " CNY(33) "]"},
    {"money.split(money.of(-100, 'CNY'), { 1, 0, 2 })", "[" CNY(-33) ", " CNY(0) ", " CNY(-67) "]"},
    {"money.split(money.of(1, 'CNY'), { 1, 3 })", "[" CNY(0) ", " CNY(1) "]"},
    {"money.split(money.of(0, 'CNY'), { 7 })", "[" CNY(0) "]"},
    /* products beyond 2^53: 9007199254740991 * 3 / 4503599627370496 and the rest */
    {"money.split(money.of(9007199254740991, 'CNY'), { 3, 4503599627370493 })",
     "[" CNY(6) ", " CNY(9007199254740985) "]"},
    {"money.split(money.of(9007199254740990, 'CNY'), { 1501199875790165, 1501199875790165, 1 })",
     "[" CNY(4503599627370494) ", " CNY(4503599627370493) ", " CNY(3) "]"},
    {"{ money.format(money.of(123450, 'CNY')), money.format(money.of(-5, 'CNY')), "
     "money.format(money.of(1000, 'JPY')), money.format(money.of(1234567890, 'BHD'), ',') }",
     "[\"1234.50 CNY\", \"-0.05 CNY\", \"1000 JPY\", \"1,234,567.890 BHD\"]"},
    {"money.format(money.of(0, 'CNY'))", "\"0.00 CNY\""},
    {"local zero = 0 local minus = money.of(-zero, 'CNY') "
     "return { money.format(minus), money.format(money.add(minus, minus)), 1 / minus.amount > 0, "
     "money.format({ amount = -zero, currency = 'JPY' }) }",
     "[\"0.00 CNY\", \"0.00 CNY\", true, \"0 JPY\"]"},
    {"{ money.format(money.of(100000, 'CNY'), ','), money.format(money.of(-99999, 'CNY'), ',') }",
     "[\"1,000.00 CNY\", \"-999.99 CNY\"]"},
    {"money.parse('123.45', 'CNY')", CNY(12345)},
    {"money.parse('-1,234.5', 'CNY')", CNY(-123450)},
    {"money.parse('12.3400', 'CNY')", CNY(1234)},
    {"money.parse('-0', 'CNY')", CNY(0)},
    {"money.parse('90071992547409.91', 'CNY')", CNY(9007199254740991)},
    {"{ money.parse('90071992547409.92', 'CNY') == nil, money.parse('1.234', 'CNY') == nil, "
     "money.parse('1,23', 'CNY') == nil, money.parse('', 'CNY') == nil, "
     "money.parse('1e3', 'CNY') == nil, money.parse('1.', 'CNY') == nil, "
     "money.parse('1.5', 'JPY') == nil, money.parse(' 1', 'CNY') == nil }",
     "[true, true, true, true, true, true, true, true]"},
    {"{ money.parse(12, 'CNY') == nil, money.parse(nil, 'CNY') == nil, money.parse({}, 'CNY') == nil, "
     "money.parse(tb.null, 'CNY') == nil, money.parse('1', 'RMB') == nil, money.parse('1') == nil }",
     "[true, true, true, true, true, true]"},
    {"money.parse('1.2345', 'CLF')", "{\"amount\": 12345, \"currency\": \"CLF\"}"},
    {"money.parse('-0.001', 'KWD')", "{\"amount\": -1, \"currency\": \"KWD\"}"},
    {"{ money.format(money.of(-12345, 'CLF')), money.format(money.of(1, 'KWD')) }",
     "[\"-1.2345 CLF\", \"0.001 KWD\"]"},
};

static void counts_money(void **state)
{
    (void)state;
    judge(MONEY, COUNT(MONEY));
}

static const struct worth MONEY_WRONG[] = {
    {"local _ = money.of(1.5, 'CNY')", "whole number"},
    {"local _ = money.of(2 ^ 53, 'CNY')", "whole number"},
    {"local _ = money.of(0 / 0, 'CNY')", "whole number"},
    {"local _ = money.of(1, 'QQQ')", "QQQ is not a currency"},
    {"local _ = money.of(1)", "nil is not a currency"},
    {"local _ = money.of(1, 'XAU')", "not a currency"},
    {"local _ = money.add(money.of(1, 'CNY'), money.of(1, 'JPY'))", "two currencies: CNY and JPY"},
    {"local _ = money.add(money.of(9007199254740991, 'CNY'), money.of(1, 'CNY'))", "whole number"},
    {"local _ = money.sub(1, 2)", "money is {"},
    {"local _ = money.compare(money.of(1, 'CNY'), nil)", "money is {"},
    {"local _ = money.split(money.of(1, 'CNY'), {})", "weights are together"},
    {"local _ = money.split(money.of(1, 'CNY'), { 0, 0 })", "weights are together"},
    {"local _ = money.split(money.of(1, 'CNY'), { -1, 2 })", "a weight is a whole number"},
    {"local _ = money.split(money.of(1, 'CNY'), { 2 ^ 52, 1 })", "weights are together"},
    {"local _ = money.split(money.of(1, 'CNY'))", "takes a list of weights"},
    {"local _ = money.format({ amount = 1, currency = 'ZZZ' })", "not a currency"},
};

static void blames_the_script_for_money_that_is_none(void **state)
{
    (void)state;
    blame(MONEY_WRONG, COUNT(MONEY_WRONG));
}

static void loses_and_makes_no_unit_in_any_split(void **state)
{
    (void)state;
    static const struct worth cases[] = {
        {"for n = 1, 60 do local weights, total = {}, tb.random(2147483647) * tb.random(1000000) "
         "for i = 1, tb.random(8) do weights[i] = tb.random(2147483647) end "
         "local sum = 0 for _, part in ipairs(money.split(money.of(total, 'CNY'), weights)) do "
         "sum = sum + part.amount end if sum ~= total then return { n, sum, total } end end "
         "return 'even'",
         "\"even\""},
    };
    judge(cases, COUNT(cases));
}

/* Products beyond 2^53, where doubles would be off by some units; what is expected was computed
 * with whole numbers of any size. */
static const struct worth LARGE_SPLITS[] = {
    {"return amounts(2251799813685248, { 2251799813685250, 2251799813685246 })",
     "[1125899906842625, 1125899906842623]"},
    {"return amounts(7, { 1 })", "[7]"},
    {"return amounts(9007199254740991, { 2251799813685248, 2251799813685247, 1 })",
     "[4503599627370495, 4503599627370494, 2]"},
    {"return amounts(2251799813697593, { 1125899906842624, 1125899906842624, 2251799813685248 })",
     "[562949953424398, 562949953424398, 1125899906848797]"},
    {"return amounts(400313697549057, { 471807530014218, 96011686859380, 456497427037051, 483986039031323, 519147159498931 })",
     "[93156936816791, 18957210467080, 90134004360288, 95561545736438, 102504000168460]"},
    {"return amounts(160159907423158, { 192736966662566, 356684396254578, 101810375488859, 259539472078500, 386310311416014 })",
     "[23798608041588, 44042366589044, 12571253261800, 32047189878892, 47700489651834]"},
    {"return amounts(5288967964882181, { 317326713001774, 342362477943584, 423963537607649, 288370113362268, 478575245245761 })",
     "[906912652245544, 978464308800364, 1211678313212183, 824155337770950, 1367757352853140]"},
    {"return amounts(212962929405287, { 228054013271377, 453135993498282, 311415503804452, 436204271307719 })",
     "[33991264158997, 67539549223460, 46416226143883, 65015889878947]"},
};

static void splits_exactly_where_products_are_beyond_a_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(LARGE_SPLITS); i++) {
        char body[512];
        snprintf(body, sizeof(body),
                 "local function amounts(total, weights) return tables.map("
                 "money.split(money.of(total, 'CNY'), weights), function(m) return m.amount end) "
                 "end %s",
                 LARGE_SPLITS[i].expression);
        judge(&(struct worth){body, LARGE_SPLITS[i].json}, 1);
    }
}

/* ---- time ---- */

/* tb.now() of the stage is 2023-11-14T22:13:20.123Z, a Tuesday; in Shanghai it is Wednesday. */
static const struct worth TIME[] = {
    {"time.now('Asia/Shanghai')",
     "{\"day\": 15, \"hour\": 6, \"minute\": 13, \"month\": 11, \"second\": 20, \"weekday\": 3, "
     "\"year\": 2023}"},
    {"{ time.hour('UTC'), time.hour('-02:30'), time.hour('Asia/Kolkata') }", "[22, 19, 3]"},
    {"{ time.weekday('UTC'), time.weekday('+08:00') }", "[2, 3]"},
    {"{ time.date('UTC'), time.date('Asia/Shanghai') }", "[\"2023-11-14\", \"2023-11-15\"]"},
    {"{ time.between('22:00', '06:00', 'UTC'), time.between('22:14', '06:00', 'UTC'), "
     "time.between('06:00', '22:13', 'UTC'), time.between('06:00', '22:14', 'UTC'), "
     "time.between('22:13', '22:14', 'UTC'), time.between('00:00', '00:00', 'UTC') }",
     "[true, false, false, true, true, true]"},
    {"{ time.between('22:13', '06:00', 'UTC'), time.between('23:00', '22:13', 'UTC'), "
     "time.between('23:00', '22:14', 'UTC') }",
     "[true, false, true]"},
    {"{ time.at(-62135596800000, 'UTC').year, time.at(253402300799999, 'UTC').year }", "[1, 9999]"},
    {"{ time.parse('2023-11-15T06:13:20.123+08:00'), time.parse('1970-01-01T00:00:00Z'), "
     "time.parse('0001-01-01T00:00:00Z'), time.parse('2024-02-29T23:59:59.9z') }",
     "[1700000000123, 0, -62135596800000, 1709251199900]"},
    {"{ time.parse('2023-02-29T00:00:00Z') == nil, time.parse('2023-11-15T24:00:00Z') == nil, "
     "time.parse('2023-11-15 00:00:00Z') == nil, time.parse('2023-11-15T00:00:00') == nil, "
     "time.parse('2023-11-15T00:00:00+24:00') == nil, time.parse('2023-13-01T00:00:00Z') == nil }",
     "[true, true, true, true, true, true]"},
    {"{ time.format(tb.now(), 'Asia/Shanghai'), time.format(0, 'Z'), time.format(-1, '-00:30') }",
     "[\"2023-11-15T06:13:20+08:00\", \"1970-01-01T00:00:00Z\", \"1969-12-31T23:29:59-00:30\"]"},
    {"{ time.days('1970-01-01'), time.days('2000-03-01') - time.days('2000-02-28'), "
     "time.days('2024-12-31'), time.days('1900-02-29') == nil, time.days(7) == nil }",
     "[0, 2, 20088, true, true]"},
    {"{ time.parse(5) == nil, time.parse(nil) == nil, time.parse(tb.null) == nil }",
     "[true, true, true]"},
    {"{ time.weekday('2026-11-23'), time.weekday('2026-11-22'), time.weekday('1969-12-31'), "
     "time.weekday('0001-01-01'), time.weekday('2000-02-29') }",
     "[1, 7, 3, 1, 2]"},
    {"{ time.shift('2026-12-31', 1), time.shift('2024-03-01', -1), time.shift('2025-03-01', -1), "
     "time.shift('1900-02-28', 1), time.shift('2000-02-28', 1) }",
     "[\"2027-01-01\", \"2024-02-29\", \"2025-02-28\", \"1900-03-01\", \"2000-02-29\"]"},
    {"{ time.shift('2024-01-31', 0, 1), time.shift('2026-01-31', 0, 1), time.shift('2026-01-31', 1, 1), "
     "time.shift('2026-10-31', 0, 4), time.shift('2026-03-31', 0, -1), time.shift('2026-01-15', 0, -13), "
     "time.shift('2026-12-31', 0, 12), time.shift('2024-02-29', 0, 12), time.shift('2026-11-30', 0, 1) }",
     "[\"2024-02-29\", \"2026-02-28\", \"2026-03-01\", \"2027-02-28\", \"2026-02-28\", \"2024-12-15\", "
     "\"2027-12-31\", \"2025-02-28\", \"2026-12-30\"]"},
    {"{ time.shift('9999-12-30', 1), time.shift('0001-01-02', -1), time.shift('9999-11-30', 0, 1) }",
     "[\"9999-12-31\", \"0001-01-01\", \"9999-12-30\"]"},
    {"local clock = time.at(time.parse('2000-02-29T12:00:00Z'), 'UTC') "
     "return { clock.month, clock.day, clock.weekday }",
     "[2, 29, 2]"},
};

static void reads_the_clock_of_a_zone(void **state)
{
    (void)state;
    judge(TIME, COUNT(TIME));
}

static const struct worth TIME_WRONG[] = {
    {"local _ = time.hour()", "a zone is"},
    {"local _ = time.hour('Europe/Berlin')", "a zone is"},
    {"local _ = time.now('+8')", "a zone is"},
    {"local _ = time.between('22', '6', 'UTC')", "a time of day"},
    {"local _ = time.between('24:00', '06:00', 'UTC')", "a time of day"},
    {"local _ = time.at(1e300, 'UTC')", "an instant is"},
    {"local _ = time.format('now', 'UTC')", "an instant is"},
    {"local _ = time.weekday('2026-02-30')", "not 2026-02-30"},
    {"local _ = time.between('9:00', '17:00', 'UTC')", "not 9:00"},
    {"local _ = time.shift('2026-02-29', 1)", "takes a date"},
    {"local _ = time.shift('2026-02-28')", "a whole number of days"},
    {"local _ = time.shift('2026-02-28', 1, '1')", "one of months"},
    {"local _ = time.shift('2026-02-28', 0.5)", "a whole number"},
    {"local _ = time.shift('2026-02-28', 0, 0.5)", "a whole number"},
    {"local _ = time.shift('2026-02-28', 0 / 0)", "a whole number"},
    {"local _ = time.shift('2026-02-28', 0, 1 / 0)", "within the years"},
    {"local _ = time.shift('9999-12-31', 1)", "the years 1 to 9999"},
    {"local _ = time.shift('0001-01-31', -31)", "the years 1 to 9999"},
};

static void blames_the_script_for_times_that_are_none(void **state)
{
    (void)state;
    blame(TIME_WRONG, COUNT(TIME_WRONG));
}

/* ---- tables ---- */

static const struct worth TABLES[] = {
    {"tables.map({ 1, 2 }, function(n, at) return n * 10 + at end)", "[11, 22]"},
    {"tables.map({}, function() end)", "[]"},
    {"tables.filter({ 1, 2, 3 }, function(n) return n ~= 2 end)", "[1, 3]"},
    {"tables.filter(request.list, function() return true end)", "[]"},
    {"{ tables.find({ 'a', 'b' }, function(v) return v == 'b' end) }", "[\"b\", 2]"},
    {"tables.find({}, function() return true end) == nil", "true"},
    {"{ tables.contains({ 1, 2 }, 2), tables.contains({ 1 }, 1), tables.contains({ 1 }, 2), "
     "tables.contains({}, 1) }",
     "[true, true, false, false]"},
    {"tables.keys({ b = 1, a = 2, c = 3 })", "[\"a\", \"b\", \"c\"]"},
    {"tables.merge({ a = 1, b = 1 }, nil, { b = 2 })", "{\"a\": 1, \"b\": 2}"},
    {"{ tables.get({ a = { { b = 5 } } }, 'a', 1, 'b'), tables.get(request, 'x', 'y') == nil, "
     "tables.get(request, 'nothing') == nil, tables.get(request, 'nothing', 'x') == nil, "
     "tables.get(5) }",
     "[5, true, true, true, 5]"},
};

static void goes_over_lists_and_records(void **state)
{
    (void)state;
    judge(TABLES, COUNT(TABLES));
}

static const struct worth TABLES_WRONG[] = {
    {"local _ = tables.map(nil, tb.now)", "takes a list"},
    {"local _ = tables.filter({})", "a list and a function"},
    {"local _ = tables.keys({ 1 })", "names are texts"},
    {"local _ = tables.merge({}, 'x')", "takes records"},
};

static void blames_the_script_for_lists_that_are_none(void **state)
{
    (void)state;
    blame(TABLES_WRONG, COUNT(TABLES_WRONG));
}

/* ---- decisions ---- */

static const struct worth DECISION[] = {
    {"decision.deny('late', 'come back')",
     "{\"deny\": {\"code\": \"late\", \"detail\": \"come back\"}}"},
    {"decision.allow()", "{}"},
    {"decision.allow('seen')", "{\"note\": \"seen\"}"},
    {"decision.route({ channel = 'fast' })", "{\"route\": {\"channel\": \"fast\"}}"},
    {"decision.limit('big', 5, 60)",
     "{\"limit\": {\"name\": \"big\", \"quota\": 5, \"window_s\": 60}}"},
    {"decision.redact()", "{\"redact\": []}"},
    {"decision.all()", "{}"},
    {"decision.all(nil, decision.approvals(2), decision.approvals(1), nil)", "{\"approvals\": 2}"},
    {"decision.all(decision.allow('a'), decision.deny('x'), decision.deny('y'))",
     "{\"deny\": {\"code\": \"x\"}}"},
    {"decision.all(decision.set({ a = 1, m = { x = 1, y = { 1 } } }), "
     "decision.set({ b = 2, m = { y = { 2 }, z = tb.null } }))",
     "{\"set\": {\"a\": 1, \"b\": 2, \"m\": {\"x\": 1, \"y\": [2], \"z\": null}}}"},
    {"decision.all(decision.set({ a = { x = 1 } }), decision.set({ a = tb.array({}) }))",
     "{\"set\": {\"a\": []}}"},
    {"decision.all(decision.route({ channel = 'a', account = 'b' }), decision.route({ channel = 'c' }))",
     "{\"route\": {\"account\": \"b\", \"channel\": \"c\"}}"},
    {"decision.all(decision.limit('n', 5, 60), decision.limit('n', 3, 60))",
     "{\"limit\": {\"name\": \"n\", \"quota\": 3, \"window_s\": 60}}"},
    {"decision.all(decision.redact('/a'), decision.redact('/b', '/c'), decision.links({ up = '/x' }))",
     "{\"links\": {\"up\": \"/x\"}, \"redact\": [\"/a\", \"/b\", \"/c\"]}"},
    {"decision.all(decision.allow('a'), decision.allow('b'))", "{\"note\": \"a; b\"}"},
    {"#decision.all(decision.allow(('\xe9\x80\x9a'):rep(199)), decision.allow('b')).note", "598"},
    {"{ #decision.allow(('\xe9\x80\x9a'):rep(201)).note, #decision.deny('x', ('y'):rep(300)).deny.detail }",
     "[600, 200]"},
    {"local asked = 0 local hook = decision.rules({ function(r) asked = asked + 1 end, "
     "function() return decision.deny('no') end, function() asked = asked + 10 end }) "
     "return { hook(request), asked }",
     "[{\"deny\": {\"code\": \"no\"}}, 1]"},
};

static void makes_one_decision_of_many(void **state)
{
    (void)state;
    judge(DECISION, COUNT(DECISION));
}

static const struct worth DECISION_WRONG[] = {
    {"local _ = decision.deny()", "takes a code"},
    {"local _ = decision.route('fast')", "takes a record"},
    {"local _ = decision.all({ grant = true })", "no member grant"},
    {"local _ = decision.all(5)", "returns a decision or nothing"},
    {"local _ = decision.all(decision.limit('a', 1, 1), decision.limit('b', 1, 1))", "one limit"},
};

static void blames_the_script_for_decisions_that_are_none(void **state)
{
    (void)state;
    blame(DECISION_WRONG, COUNT(DECISION_WRONG));
}

static tb_err TB_SUSPENDS entry(struct tb_req *req, void *arg, struct tb_str table,
                                struct tb_str key, json_t **out)
{
    (void)arg;
    (void)table;
    (void)key;
    TB_TRY(tb_sleep(req, 1));
    *out = json_true();
    return NULL;
}

static void waits_within_rules_and_lists(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage,
                stage_hook("return decision.rules({ function() return { set = { seen = "
                           "tables.map({ 'a', 'b' }, function(k) return tb.lookup('t', k) end) } } "
                           "end })(request)"),
                "{}");
    stage.call.lookup = entry;
    stage_run(&stage);
    assert_string_equal(stage.result.why, "");
    assert_string_equal(stage.decision, "{\"set\": {\"seen\": [true, true]}}");
    stage_end(&stage);
}

/* ---- nothing leads out ---- */

/* Each is true when all is well. */
static const struct worth SEALED[] = {
    {"type(money) == 'userdata' and type(time) == 'userdata'", "true"},
    {"pcall(function() money.add = nil end) or pcall(function() decision.x = 1 end)", "false"},
    {"pcall(pairs, money) or pcall(next, tables) or pcall(setmetatable, time, {})", "false"},
    {"getmetatable(money) or getmetatable(time) or getmetatable(tables) or getmetatable(decision)",
     "false"},
    {"sort == nil and xpcall ~= nil and host == nil and exponent == nil and money.exponent == nil",
     "true"},
    {"local kept = money money = { add = 1 } return kept.add ~= 1", "true"},
    {"tostring(money) .. tostring(money.add)", "\"userdatafunction\""},
    {"local seen = {} tables.map({ 1 }, function(...) seen = { ... } end) return #seen", "2"},
    {"{ pcall(tables.map, { { 5 } }, error) }", "[false, [5]]"},
    {"{ pcall(money.add, setmetatable({}, { __index = function() error('mine', 0) end })) }",
     "[false, \"mine\"]"},
    {"local list = tables.map({}, tb.now) return pcall(setmetatable, list, {})", "false"},
    {"local a, b = { x = 1 }, { y = 2 } tables.merge(a, b) decision.all({ set = a }, { set = b }) "
     "return a.y == nil and b.x == nil",
     "true"},
};

static void is_sealed(void **state)
{
    (void)state;
    judge(SEALED, COUNT(SEALED));
}

/* A call may spoil its own view of the library; the next one finds it whole. */
static void is_whole_again_in_the_next_call(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(
        &stage,
        stage_hook("local whole = type(money) == 'userdata' and decision.deny('x').deny.code\n"
                   "money, decision, tables = nil, {}, { get = 1 }\n"
                   "pcall(function() time.hour = function() return 99 end end)\n"
                   "return { whole, time.hour('UTC') }"),
        "{}");
    for (int i = 0; i < 3; i++) {
        stage_run(&stage);
        assert_string_equal(stage.decision, "[\"x\", 22]");
    }
    stage_end(&stage);
}

/* Bodies that try to spend in the library what they may not spend themselves. */
static const struct worth GREEDY[] = {
    {"while true do money.split(money.of(1, 'CNY'), { 1, 1, 1 }) end", "budget"},
    {"tables.map({ 1 }, function() while true do end end)", "budget"},
    {"while true do pcall(decision.rules({ function() while true do end end }), request) end",
     "budget"},
    {"money.add(setmetatable({}, { __index = function() while true do end end }), {})", "budget"},
    {"local s = { amount = 1, currency = ('x'):rep(2e5) } while true do pcall(money.format, s) end",
     "budget"},
    {"local t = {} for i = 1, 1e4 do t[i] = 1 end while true do money.split(money.of(1, 'CNY'), t) end",
     "budget"},
    {"local d = { set = {} } d.set.x = d.set while true do decision.all(d, d) end", "budget"},
    {"local d = {} local at = d for i = 1, 500 do at.x = {} at = at.x end "
     "return tables.get(decision.all({ set = d }, { set = d }), 'set', 'x') ~= nil and 1 or 2",
     "done"},
};

static void spends_the_calls_budget(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(GREEDY); i++) {
        struct stage stage;
        bool endless = strcmp(GREEDY[i].json, "budget") == 0;
        stage_begin_within(&stage, endless ? stage_limits() : stage_patient_limits(),
                           stage_hook(GREEDY[i].expression), "{}");
        stage_run(&stage);
        const char *end = tb_script_end_word(stage.result.end);
        /* what allocates without end may run out of memory first */
        if (strcmp(end, GREEDY[i].json) != 0 && strcmp(end, "memory") != 0)
            fail_msg("%s: %s, %s", GREEDY[i].expression, end, stage.result.why);
        stage_end(&stage);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(counts_money),
    cmocka_unit_test(blames_the_script_for_money_that_is_none),
    cmocka_unit_test(loses_and_makes_no_unit_in_any_split),
    cmocka_unit_test(splits_exactly_where_products_are_beyond_a_double),
    cmocka_unit_test(reads_the_clock_of_a_zone),
    cmocka_unit_test(blames_the_script_for_times_that_are_none),
    cmocka_unit_test(goes_over_lists_and_records),
    cmocka_unit_test(blames_the_script_for_lists_that_are_none),
    cmocka_unit_test(makes_one_decision_of_many),
    cmocka_unit_test(blames_the_script_for_decisions_that_are_none),
    cmocka_unit_test(waits_within_rules_and_lists),
    cmocka_unit_test(is_sealed),
    cmocka_unit_test(is_whole_again_in_the_next_call),
    cmocka_unit_test(spends_the_calls_budget),
};
TEST_GROUP(tests, NULL, NULL);
