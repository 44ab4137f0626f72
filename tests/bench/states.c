/* How long it takes to make the state of a partner's script, and what a hook's call takes in it,
 * beside what plain LuaJIT takes for the same text. Prints one JSON object; times are medians.
 *
 *     bench_states rules.lua namespaces.lua */
#include "base/mem.h"
#include "lua/script.h"
#include "runtime/loop.h"
#include "runtime/run.h"
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 1001, CALLS = 2001 };

static void die(const char *what)
{
    fprintf(stderr, "states: %s: %s\n", what, strerror(errno));
    exit(3);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct tb_str read_file(const char *path)
{
    static char texts[2][TB_SCRIPT_SOURCE_BYTES];
    static size_t n;
    FILE *file = fopen(path, "r");
    if (file == NULL || n == 2)
        die(path);
    struct tb_str text = {texts[n], fread(texts[n], 1, sizeof(texts[n]), file)};
    fclose(file);
    n++;
    return text;
}

/* ---- making a state ---- */

static int64_t make_ours(struct tb_str text, size_t *out_bytes)
{
    char why[TB_SCRIPT_WHY_BYTES];
    int64_t from = now_ns();
    struct tb_script *script = tb_script_new(&tb_script_limits, text, why, sizeof(why));
    int64_t took = now_ns() - from;
    if (script == NULL) {
        fprintf(stderr, "states: %s\n", why);
        exit(3);
    }
    *out_bytes = tb_script_bytes(script);
    tb_script_free(script);
    return took;
}

/* The peer: a state with the whole library of the distribution and no bound of any kind. */
static int64_t make_plain(struct tb_str text)
{
    int64_t from = now_ns();
    lua_State *lua = luaL_newstate();
    luaL_openlibs(lua);
    if (luaL_loadbuffer(lua, text.at, text.n, "rules") != 0)
        die(lua_tostring(lua, -1));
    int64_t took = now_ns() - from;
    lua_close(lua);
    return took;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t median(int64_t *times, size_t n)
{
    qsort(times, n, sizeof(*times), compare);
    return times[n / 2];
}

/* ---- a call ---- */

struct calls {
    struct tb_script *script;
    struct tb_script_call call;
    int64_t took[CALLS];
};

static tb_err TB_SUSPENDS call(struct tb_req *req, void *arg)
{
    struct calls *calls = arg;
    struct tb_script_result result;
    struct tb_arena *arena = tb_run_of(req)->arena;
    for (size_t i = 0; i < CALLS; i++) {
        int64_t from = now_ns();
        TB_TRY(tb_script_run(req, calls->script, &calls->call, &result));
        calls->took[i] = now_ns() - from;
        if (result.end != TB_SCRIPT_DONE)
            die(result.why);
        tb_arena_reset(arena);
    }
    return NULL;
}

static int64_t call_ours(struct tb_str text)
{
    static struct calls calls;
    char why[TB_SCRIPT_WHY_BYTES];
    struct tb_loop *loop = tb_loop_new();
    json_t *request = json_pack("{s:s, s:s, s:{s:s, s:{s:i, s:s}}}", "route",
                                "POST /e-payment/v1/payments", "world_time",
                                "2026-11-23T09:30:00.000Z", "body", "creditor_account", "acc_1",
                                "amount", "amount", 1200, "currency", "CNY");
    calls.script = tb_script_new(&tb_script_limits, text, why, sizeof(why));
    calls.call = (struct tb_script_call){
        .hook = "on_request", .input = request, .now_ms = 1700000000000};
    if (request == NULL || calls.script == NULL || tb_run_to_end(loop, call, &calls, 60000) != NULL)
        die("call");
    tb_script_free(calls.script);
    json_decref(request);
    tb_loop_free(loop);
    return median(calls.took, CALLS);
}

int main(int argc, char **argv)
{
    static int64_t bare[ROUNDS], full[ROUNDS], plain[ROUNDS];
    size_t bare_bytes = 0, full_bytes = 0;
    if (argc != 3) {
        fputs("states RULES NAMESPACES\n", stderr);
        return 2;
    }
    struct tb_str rules = read_file(argv[1]), namespaces = read_file(argv[2]);
    make_ours(namespaces, &full_bytes); /* compiles the library, once a process */
    for (size_t i = 0; i < ROUNDS; i++) {
        bare[i] = make_ours(rules, &bare_bytes);
        full[i] = make_ours(namespaces, &full_bytes);
        plain[i] = make_plain(rules);
    }
    printf("{\"state_ns\":%lld,\"namespaces_ns\":%lld,\"plain_ns\":%lld,\"call_ns\":%lld,"
           "\"state_bytes\":%zu,\"namespaces_bytes\":%zu}\n",
           (long long)median(bare, ROUNDS), (long long)median(full, ROUNDS),
           (long long)median(plain, ROUNDS), (long long)call_ours(rules), bare_bytes, full_bytes);
    return 0;
}
