/* What the store does per second against a PostgreSQL with fsync on, this process and the server
 * sharing the machine: keyed calls in batches and one by one, and reads. The function called
 * inserts one row; the key, its answer and its lock come on top, as in production.
 *
 *     measure_store [seconds per figure, 2] */
#include "../unit.h"

#include "store/migrate.h"
#include "store_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACTORS_MAX = 1024 };

static struct stage stage;
static struct actor actors[ACTORS_MAX];
static int64_t until_us;
static unsigned long long keys;
static int64_t waits_us[1 << 20];
static size_t waits_n;

static const char SCHEMA[] =
    "create schema t; create table t.thing (book int, id text primary key, v int);"
    "create function t.put(book int, calls tb.call[]) returns setof tb.answer language sql as $$"
    " with i as (insert into t.thing select put.book, c.id_suffix, (c.body->>'v')::int"
    "            from unnest(calls) c)"
    " select c.n, 201, null, null, null, '/t/v1/things/' || c.id_suffix,"
    "        '{\"id\":\"' || c.id_suffix || '\"}', null::jsonb, false from unnest(calls) c order by c.n"
    "$$";

static void keep_wait(int64_t us)
{
    if (waits_n < TB_COUNT(waits_us))
        waits_us[waits_n++] = us;
}

static tb_err call_often(struct actor *actor)
{
    while (tb_loop_us() < until_us) {
        int64_t began_us = tb_loop_us();
        snprintf(actor->key, sizeof(actor->key), "key-%llu", keys++);
        TB_TRY(act_call(actor));
        keep_wait(tb_loop_us() - began_us);
        actor->number++;
        struct tb_arena *arena = actor->run.arena;
        tb_arena_reset(arena);
    }
    return NULL;
}

static tb_err read_often(struct actor *actor)
{
    while (tb_loop_us() < until_us) {
        int64_t began_us = tb_loop_us();
        TB_TRY(act_query(actor));
        keep_wait(tb_loop_us() - began_us);
        tb_arena_reset(actor->run.arena);
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, struct tb_store_options options, size_t n,
                    tb_err (*act)(struct actor *), int seconds)
{
    stage_open(&stage, options);
    waits_n = 0;
    int64_t began_us = tb_loop_us();
    until_us = began_us + seconds * INT64_C(1000000);
    for (size_t i = 0; i < n; i++) {
        actors[i] = (struct actor){.sql = "select v from t.thing where id = 'none' and v = $1::int",
                                   .body = "{\"v\":12345,\"reference\":\"INV-2026-000001\"}"};
        stage_start(&stage, &actors[i], act, 0);
    }
    stage_wait(&stage, actors, n);
    double took_s = (double)(tb_loop_us() - began_us) / 1e6;
    for (size_t i = 0; i < n; i++)
        if (actors[i].err != NULL)
            printf("actor %zu: %s\n", i, actors[i].err->code);
    struct tb_store_stats stats = tb_store_stats(stage.store);
    qsort(waits_us, waits_n, sizeof(*waits_us), by_size);
    printf("%-44s %8.0f /s   p50 %7.2f ms   p99 %7.2f ms", name, (double)waits_n / took_s,
           (double)waits_us[waits_n / 2] / 1000, (double)waits_us[waits_n * 99 / 100] / 1000);
    if (stats.batches > 0)
        printf("   %5.1f calls/batch", (double)stats.calls / (double)stats.batches);
    printf("\n");
    fflush(stdout);
    stage_close(&stage);
}

static tb_err apply_migrations(struct tb_req *req, void *store)
{
    const struct tb_migration_set set = {"store", tb_store_migrations};
    return tb_migrate(req, store, &set, 1, NULL, NULL);
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;
    pg_make(&stage.pg, true);
    stage_open(&stage, (struct tb_store_options){0});
    if (tb_run_to_end(stage.loop, apply_migrations, stage.store, 0) != NULL)
        return 1;
    stage_close(&stage);
    pg_do(&stage.pg, SCHEMA);
    const struct tb_store_options two = {.batch_connections = 2};
    const struct tb_store_options singles2 = {.batch_connections = 2, .batch_size = 1};
    const struct tb_store_options singles32 = {.batch_connections = 32, .batch_size = 1};
    const struct tb_store_options wide = {.batch_connections = 2, .batch_size = 256};
    measure("one call at a time, 1 caller", two, 1, call_often, seconds);
    measure("singles, 2 connections, 256 callers", singles2, 256, call_often, seconds);
    measure("singles, 32 connections, 256 callers", singles32, 256, call_often, seconds);
    measure("batches <= 64, 2 connections, 32 callers", two, 32, call_often, seconds);
    measure("batches <= 64, 2 connections, 256 callers", two, 256, call_often, seconds);
    measure("batches <= 64, 2 connections, 1024 callers", two, 1024, call_often, seconds);
    measure("batches <= 256, 2 connections, 1024 callers", wide, 1024, call_often, seconds);
    measure("reads, 1 connection, 1 caller", (struct tb_store_options){.connections = 1}, 1,
            read_often, seconds);
    measure("reads, 1 connection, 64 callers", (struct tb_store_options){.connections = 1}, 64,
            read_often, seconds);
    measure("reads, 4 connections, 64 callers", (struct tb_store_options){.connections = 4}, 64,
            read_often, seconds);
    pg_remove(&stage.pg);
    return 0;
}
