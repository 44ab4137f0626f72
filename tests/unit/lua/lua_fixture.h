/* A script with one hook, called once on a fiber of its own: what the tests of this room share. */
#ifndef TB_TESTS_UNIT_SCRIPT_STAGE_H
#define TB_TESTS_UNIT_SCRIPT_STAGE_H

#include "../unit.h"

#include <stdint.h>

#include "lua/script.h"
#include "runtime/loop.h"
#include "runtime/run.h"
#include "runtime/sanitize.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (TB_COUNT(array))

struct stage {
    struct tb_loop *loop;
    struct tb_script *script;
    struct tb_script_call call;
    struct tb_script_result result;
    char *decision; /* as JSON text, members sorted; NULL: none */
    tb_err err;
};

static inline int64_t stage_thread_us(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* Sanitizers, emulators and a build that is not optimised (coverage) stretch everything: how many
 * times a call may take there what it may take otherwise. */
static inline int64_t stage_stretch(void)
{
    if (RUNNING_ON_VALGRIND)
        return 40;
#if defined(TB_HAS_ASAN) || defined(TB_HAS_TSAN) || !defined(__OPTIMIZE__)
    return 4;
#else
    return 1;
#endif
}

/* The limits of the tests: those of the product, stretched. */
static inline const struct tb_script_limits *stage_limits(void)
{
    static struct tb_script_limits limits;
    limits = tb_script_limits;
    limits.cpu_us *= stage_stretch();
    limits.wall_ms *= stage_stretch();
    return &limits;
}

/* Those of tests that are about something else than time: what ends a call is never the clock. */
static inline const struct tb_script_limits *stage_patient_limits(void)
{
    static struct tb_script_limits limits;
    limits = tb_script_limits;
    limits.cpu_us = 10000000;
    limits.wall_ms = 50000;
    return &limits;
}

static inline struct tb_script *stage_script(const struct tb_script_limits *limits,
                                             const char *source)
{
    char why[TB_SCRIPT_WHY_BYTES];
    struct tb_script *script = tb_script_new(limits, tb_str(source), why, sizeof(why));
    if (script == NULL)
        fail_msg("refused: %s\n%s", why, source);
    return script;
}

static tb_err TB_SUSPENDS stage_act(struct tb_req *req, void *arg)
{
    struct stage *stage = arg;
    stage->err = tb_script_run(req, stage->script, &stage->call, &stage->result);
    if (stage->result.decision != NULL)
        stage->decision = json_dumps(stage->result.decision, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    return NULL;
}

/* Run `stage->call` with a script; the caller frees with stage_end. */
static inline void stage_run(struct stage *stage)
{
    free(stage->decision);
    stage->decision = NULL;
    assert_null(tb_run_to_end(stage->loop, stage_act, stage, 60000));
}

static inline void stage_begin_within(struct stage *stage, const struct tb_script_limits *limits,
                                      const char *source, const char *input)
{
    *stage = (struct stage){.loop = tb_loop_new(), .script = stage_script(limits, source)};
    stage->call = (struct tb_script_call){.hook = "on_request",
                                          .input = json_loads(input, JSON_DECODE_ANY, NULL),
                                          .now_ms = 1700000000123,
                                          .seed = 7};
    assert_non_null(stage->call.input);
}

static inline void stage_begin(struct stage *stage, const char *source, const char *input)
{
    stage_begin_within(stage, stage_patient_limits(), source, input);
}

static inline void stage_end(struct stage *stage)
{
    json_decref((json_t *)(uintptr_t)stage->call.input);
    free(stage->decision);
    tb_script_free(stage->script);
    tb_loop_free(stage->loop);
}

/* The text of a script whose hook has this body. */
static inline char *stage_hook(const char *body)
{
    static char text[TB_SCRIPT_SOURCE_BYTES];
    snprintf(text, sizeof(text), "return { on_request = function(request)\n%s\nend }", body);
    return text;
}

#endif
