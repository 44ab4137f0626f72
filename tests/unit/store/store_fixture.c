#include "../unit.h"

#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

static tb_err await(struct tb_req *req, void *store)
{
    return tb_store_await(req, store, ENOUGH_MS);
}

void stage_open(struct stage *stage, struct tb_store_options options)
{
    if (options.dsn == NULL)
        options.dsn = stage->pg.dsn;
    (void)stretched_ms(0); /* measured now, not between a loop's clock and a deadline */
    if (options.wait_ms == 0)
        options.wait_ms = stretched_ms(2000); /* who waits here waits for what is stretched, too */
    if (options.statement_ms == 0)
        options.statement_ms = stretched_ms(10000);
    stage->loop = tb_loop_new();
    stage->store = tb_store_open(stage->loop, &options);
    assert_null(tb_run_to_end(stage->loop, await, stage->store, 0));
}

void stage_close(struct stage *stage)
{
    for (int i = 0; i < 2000 && tb_fiber_stats(stage->loop).live > 0; i++)
        tb_loop_turn(stage->loop, 10);
    tb_store_close(stage->store);
    tb_loop_free(stage->loop);
}

static void actor_main(void *arg)
{
    struct actor *actor = arg;
    tb_run_begin(&actor->run);
    actor->err = actor->act(actor);
    tb_run_end(&actor->run);
    tb_arena_free(actor->run.arena);
    actor->took_us = tb_loop_us() - actor->began_us;
    actor->ended = true;
}

void stage_start(struct stage *stage, struct actor *actor, tb_err (*act)(struct actor *actor),
                 int64_t within_ms)
{
    actor->stage = stage;
    actor->act = act;
    actor->ended = false;
    tb_run_init(&actor->run, stage->loop, tb_arena_new(TB_ARENA_CAP));
    actor->run.label = "actor";
    actor->run.deadline_ms = within_ms == 0 ? 0 : tb_loop_now_ms(stage->loop) + within_ms;
    actor->began_us = tb_loop_us();
    assert_null(tb_fiber_start(stage->loop, actor_main, actor));
}

void stage_wait(struct stage *stage, const struct actor *actors, size_t n)
{
    int64_t until_us = tb_loop_us() + ENOUGH_MS * INT64_C(1000);
    for (size_t i = 0; i < n; i++)
        while (!actors[i].ended) {
            tb_loop_turn(stage->loop, 100);
            if (tb_loop_us() > until_us)
                fail_msg("actor %zu of %zu does not end", i, n);
        }
}

tb_err stage_do(struct stage *stage, struct actor *actor, tb_err (*act)(struct actor *actor),
                int64_t within_ms)
{
    stage_start(stage, actor, act, within_ms);
    stage_wait(stage, actor, 1);
    return actor->err;
}

const char *stage_sleep_sql(int64_t ms)
{
    static char texts[4][48];
    static unsigned n;
    char *text = texts[n++ % 4];
    snprintf(text, sizeof(texts[0]), "select pg_sleep(%.3f)", (double)ms / 1000);
    return text;
}

void stage_idle(struct stage *stage, int64_t ms)
{
    int64_t until_us = tb_loop_us() + ms * 1000;
    for (int64_t turns = 0; turns <= ms / 10 || tb_loop_us() < until_us; turns++)
        tb_loop_turn(stage->loop, 5);
}

static void keep(struct actor *actor, struct tb_str text)
{
    snprintf(actor->cell, sizeof(actor->cell), "%.*s", (int)text.n, text.at == NULL ? "" : text.at);
}

tb_err act_query(struct actor *actor)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(actor->number)};
    size_t params_n = strstr(actor->sql, "$1") == NULL ? 0 : 1;
    TB_TRY(
        tb_store_query(&actor->run.req, actor->stage->store, &rows, actor->sql, params, params_n));
    if (rows->n > 0 && rows->columns > 0)
        keep(actor, tb_cell(rows, 0, 0));
    return NULL;
}

tb_err act_call(struct actor *actor)
{
    static const char fingerprint[] =
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const struct tb_call call = {.function = actor->function == NULL ? "t.put" : actor->function};
    const struct tb_call_context context = {
        .book = actor->book == 0 ? 1 : actor->book,
        .partner = TB_STR("ptr_test"),
        .app = TB_STR("app_test"),
        .now_ms = tb_loop_wall_ms(actor->stage->loop),
        .route = TB_STR("POST /t/v1/things"),
        .key = actor->key[0] == '\0' ? TB_STR_NONE : tb_str(actor->key),
        .fingerprint = TB_STR(fingerprint),
        .body = actor->body[0] == '\0' ? TB_STR_NONE : tb_str(actor->body),
    };
    TB_TRY(tb_store_call(&actor->run.req, actor->stage->store, &actor->answer, &call, &context));
    keep(actor, actor->answer.body);
    return NULL;
}
