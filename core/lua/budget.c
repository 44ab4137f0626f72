/* What a call may spend. Three things look at it: the count hook every so many instructions, the
 * allocator when much was allocated between two looks, and library functions that loop in C. Once
 * the budget is used up the hook is set to every instruction, so that whatever catches the error
 * (pcall, a metamethod, an error handler) meets it again with its next step. */
#include "base/assert.h"
#include "base/time.h"
#include "lua/state.h"
#include "runtime/loop.h"
#include "runtime/ticks.h"

static const char SPENT[] = "the budget of this call is used up";
static const char STARVED[] = "not enough memory";

struct tb_script *tb_script_of(lua_State *lua)
{
    void *script;
    lua_getallocf(lua, &script);
    return script;
}

static int pace(const struct tb_script *script)
{
    const struct tb_script_spend *spend = script->spend;
    if (script->starved || spend == NULL || spend->spent)
        return 1;
    return script->large > 0 ? TB_SCRIPT_SLOW_PACE : TB_SCRIPT_PACE;
}

static void on_count(lua_State *lua, lua_Debug *where);

static void set_pace(struct tb_script *script)
{
    lua_sethook(script->lua, on_count, LUA_MASKCOUNT, pace(script));
}

void tb_script_look_soon(struct tb_script *script)
{
    if (script->lua != NULL) /* it is being made */
        lua_sethook(script->lua, on_count, LUA_MASKCOUNT, 1);
}

/* ---- the clock ---- */

/* The thread's clock costs a system call. It cannot have gone further than the processor's counter,
 * so as long as that has not passed the budget there is nothing to ask. No processor of today
 * counts slower than 1 GHz (x86-64) or 1 MHz (aarch64). */
static uint64_t sure_ticks(int64_t ns)
{
    if (ns <= 0)
        return 0;
#if defined(__x86_64__)
    return (uint64_t)ns;
#else
    return (uint64_t)ns / 1000;
#endif
}

static bool used_up(struct tb_script *script)
{
    struct tb_script_spend *spend = script->spend;
    if (spend->spent)
        return true;
    if (tb_ticks() - spend->ticks_from < spend->ticks_sure)
        return false;
    int64_t left = spend->cpu_left_ns - (tb_thread_ns() - spend->cpu_from_ns);
    spend->ticks_from = tb_ticks();
    spend->ticks_sure = sure_ticks(left);
    spend->spent = left <= 0;
    return spend->spent;
}

/* Memory that was refused ends the call in the same way: what it had half built must not go on. */
bool tb_script_spent(struct tb_script *script)
{
    if (script->spend == NULL)
        return false; /* the text is being read: nothing of it runs for long */
    return script->starved || used_up(script);
}

void tb_script_check(lua_State *lua)
{
    struct tb_script *script = tb_script_of(lua);
    if (!tb_script_spent(script))
        return;
    set_pace(script);
    const char *why = script->starved ? STARVED : SPENT;
    if (!script->spend->raised) {
        script->spend->raised = true;
        luaL_error(lua, "%s", why); /* with the line */
    }
    lua_pushstring(lua, why); /* again and again: there can be thousands of pcall to leave */
    lua_error(lua);
}

/* Whether to preempt: the time slice is used up and no C frame is on the Lua stack, across which a
 * yield would be illegal. */
static bool gives_way(lua_State *lua, const struct tb_script_spend *spend)
{
    return spend != NULL && tb_ticks() - spend->slice_ticks > spend->turn_ticks &&
           lua_isyieldable(lua);
}

static void on_count(lua_State *lua, lua_Debug *where)
{
    (void)where;
    struct tb_script *script = tb_script_of(lua);
    script->churn = 0;
    tb_script_check(lua);
    set_pace(script);
    if (gives_way(lua, script->spend)) {
        script->spend->paused = true;
        (void)lua_yield(lua, 0);
    }
}

void tb_script_charge(lua_State *lua, size_t units)
{
    struct tb_script *script = tb_script_of(lua);
    script->churn += units * 16;
    if (script->churn < TB_SCRIPT_CHURN)
        return;
    script->churn = 0;
    tb_script_check(lua);
}

/* ---- slices ---- */

enum {
    LATELY_NS = 500 * 1000,
    SHORT_NS = TB_SCRIPT_SHORT_US * 1000,
    LATER_TURNS = 5, /* so many times as short as the first */
};

/* The thread's clock, read not long ago: most slices are so short that asking for the time would be
 * a third of them. What ran since it was read is given to the slice on top of its budget. */
static _Thread_local struct {
    uint64_t ticks;
    int64_t cpu_ns;
    struct tb_tick_origin origin;
    double ns_per_tick; /* 0: not known yet */
} lately;

static void look_at_the_clock(uint64_t ticks)
{
    lately.ticks = ticks;
    lately.cpu_ns = tb_thread_ns();
    if (lately.origin.us == 0)
        tb_tick_origin_set(&lately.origin);
    int64_t us = tb_loop_us() - lately.origin.us;
    if (us > 1000)
        lately.ns_per_tick = (double)us * 1000.0 / (double)(ticks - lately.origin.ticks);
}

/* Most calls end with their first slice. Whoever has given way once is in no hurry: a request that
 * comes meanwhile waits for the rest of a slice, and that should be nothing beside what it takes.
 */
static uint64_t turn_ticks(int64_t turn_us, bool again)
{
    double ns = (double)turn_us * (again ? 1000.0 / LATER_TURNS : 1000.0);
    return lately.ns_per_tick == 0 ? UINT64_MAX : (uint64_t)(ns / lately.ns_per_tick);
}

void tb_script_slice(struct tb_script *script, struct tb_script_spend *spend)
{
    TB_ASSERT(script->spend == NULL);
    uint64_t ticks = tb_ticks();
    if (ticks - lately.ticks >= sure_ticks(LATELY_NS) || lately.ns_per_tick == 0)
        look_at_the_clock(ticks);
    script->spend = spend;
    spend->cpu_from_ns = lately.cpu_ns +
                         (int64_t)((double)(ticks - lately.ticks) * lately.ns_per_tick);
    spend->slice_ticks = spend->ticks_from = ticks;
    spend->ticks_sure = sure_ticks(spend->cpu_left_ns);
    spend->turn_ticks = turn_ticks(script->limits->turn_us, spend->paused);
    spend->paused = false;
    set_pace(script);
}

/* A slice that was short cannot have been interrupted for long: the counter is exact enough. */
void tb_script_slice_end(struct tb_script *script)
{
    struct tb_script_spend *spend = script->spend;
    int64_t ns = (int64_t)((double)(tb_ticks() - spend->slice_ticks) * lately.ns_per_tick);
    if (ns > SHORT_NS || lately.ns_per_tick == 0)
        ns = tb_thread_ns() - spend->cpu_from_ns;
    spend->cpu_left_ns -= ns > 0 ? ns : 0;
    spend->held_ns += ns > SHORT_NS ? ns - SHORT_NS : 0;
    script->spend = NULL;
}
