/* Texts of scripts that mean harm before they run: those that take the parser long, and those that
 * nest. */
#include "lua_fixture.h"

struct reading {
    char text[TB_SCRIPT_SOURCE_BYTES];
    char why[TB_SCRIPT_WHY_BYTES];
    struct tb_script *script;
};

static tb_err TB_SUSPENDS read_on_a_fiber(struct tb_req *req, void *arg)
{
    (void)req;
    struct reading *reading = arg;
    reading->script = tb_script_new(stage_limits(), tb_str(reading->text), reading->why,
                                    sizeof(reading->why));
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
            size_t n = (size_t)snprintf(reading.text, sizeof(reading.text), "local a = ");
            for (int at = 0; at < depth; at++)
                n += (size_t)snprintf(reading.text + n, sizeof(reading.text) - n, "%s",
                                      nests[i][0]);
            n += (size_t)snprintf(reading.text + n, sizeof(reading.text) - n, "1");
            for (int at = 0; at < depth; at++)
                n += (size_t)snprintf(reading.text + n, sizeof(reading.text) - n, "%s",
                                      nests[i][1]);
            snprintf(reading.text + n, sizeof(reading.text) - n, " return {}");
            assert_null(tb_run_to_end(loop, read_on_a_fiber, &reading, 60000));
            tb_script_free(reading.script);
        }
    tb_loop_free(loop);
}

/* Texts that the parser takes long for: a beginning, what is repeated until the text is full, and
 * an end. The table's keys are whole numbers whose hashes end alike. */
static const char *const LONG[][3] = {
    {"return { on_request = a", " or a", "}"},
    {"return { on_request = a", " and a", "}"},
    {"if a then ", "elseif a then ", "end return {}"},
    {"while a do ", "do break end ", "end return {}"},
    {"while a do ", "if b then break end ", "end return {}"},
    {"do ", "if a then goto x end ", "end ::x:: return {}"},
    {"", "::a:: ", "return {}"},
    {"local a = b", "..b", " return {}"},
    {"", "f = function() end ", "return {}"},
    {"local t = {", "{},", "} return {}"},
    {"local n = 0.", "0", " return {}"},
    {"local n = 0x", "f", " return {}"},
    {"--[==[", "]=]", "]==] return {}"},
    {"local s = '", "\\x41", "' return {}"},
};

static int64_t read_us(const char *text)
{
    char why[TB_SCRIPT_WHY_BYTES];
    int64_t before_us = stage_thread_us();
    tb_script_free(tb_script_new(stage_limits(), tb_str(text), why, sizeof(why)));
    return stage_thread_us() - before_us;
}

static void check_reading(const char *text)
{
    const int64_t most_us = 2 * stage_limits()->cpu_us * (stage_stretch() == 1 ? 1 : 10);
    int64_t best_us = INT64_MAX;
    for (int tries = 0; tries < 5 && best_us > most_us; tries++) {
        int64_t us = read_us(text);
        best_us = us < best_us ? us : best_us;
    }
    if (best_us > most_us)
        fail_msg("%.60s…: took %lld us", text, (long long)best_us);
}

/* LuaJIT's hash of a number, so that a text can have many that meet in one place. */
static uint32_t turn(uint32_t word, int bits)
{
    return word << bits | word >> (32 - bits);
}

static uint32_t hash_of(double number)
{
    uint64_t word;
    memcpy(&word, &number, sizeof(word));
    uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 32) << 1;
    low ^= high;
    high = turn(high, 14);
    low -= high;
    high = turn(high, 5);
    return (high ^ low) - turn(low, 13);
}

static void reads_no_text_for_long(void **state)
{
    (void)state;
    static char text[TB_SCRIPT_SOURCE_BYTES];
    const size_t room = sizeof(text) - 64;
    for (size_t i = 0; i < COUNT(LONG); i++) {
        size_t n = (size_t)snprintf(text, sizeof(text), "%s", LONG[i][0]);
        while (n < room)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", LONG[i][1]);
        snprintf(text + n, sizeof(text) - n, "%s", LONG[i][2]);
        check_reading(text);
    }
    size_t n = (size_t)snprintf(text, sizeof(text), "local t = {");
    for (uint32_t number = 100000; n < room; number++)
        if (hash_of(number) % 16384 == 5)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "[%u]=1,", number);
    snprintf(text + n, sizeof(text) - n, "} return {}");
    check_reading(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_texts_that_nest_as_deep_as_can_be),
    cmocka_unit_test(reads_no_text_for_long),
};
TEST_GROUP(tests, NULL, NULL);
