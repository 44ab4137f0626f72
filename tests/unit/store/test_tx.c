/* Transactions: a connection of one's own, all or nothing, conflicts tried again, deadlines,
 * losses. */
#include "../unit.h"

#include "proxy.h"
#include "store_fixture.h"
#include <stdio.h>
#include <string.h>
#include <tongbao/plugin.h>

static struct stage stage;

static int make_cluster(void **state)
{
    (void)state;
    pg_make(&stage.pg, false);
    pg_do(&stage.pg, "create table t (k int primary key, v int)");
    return 0;
}

static int remove_cluster(void **state)
{
    (void)state;
    pg_remove(&stage.pg);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    pg_do(&stage.pg, "truncate t; insert into t values (1, 10), (2, 20)");
    return 0;
}

static long long sum(void)
{
    return pg_number(&stage.pg, "select coalesce(sum(v), 0) from t");
}

static tb_err set_value(struct tb_tx *tx, int64_t key, int64_t value)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(key), TB_INT(value)};
    return tb_tx_query(tx, &rows, "update t set v = $2::int where k = $1::int", params, 2);
}

static tb_err add_row(struct tb_tx *tx, int64_t key)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(key)};
    return tb_tx_query(tx, &rows, "insert into t values ($1::int, 1)", params, 1);
}

static tb_err commit_both(struct actor *actor)
{
    struct tb_tx *tx;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(set_value(tx, 1, 100));
    assert_int_equal(sum(), 30); /* not seen outside yet */
    TB_TRY(set_value(tx, 2, 200));
    return tb_tx_commit(tx);
}

static void does_all_at_commit(void **state)
{
    (void)state;
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){0});
    assert_null(stage_do(&stage, &actor, commit_both, ENOUGH_MS));
    assert_int_equal(sum(), 300);
    assert_int_equal(tb_store_stats(stage.store).exclusive, 0);
    stage_close(&stage);
}

static tb_err fail_in_the_middle(struct actor *actor)
{
    struct tb_tx *tx;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(set_value(tx, 1, 100));
    tb_err err = add_row(tx, 2);
    assert_true(tb_is(err, TB_E_INTERNAL));
    assert_string_equal(tb_tx_sqlstate(tx), "23505"); /* unique violation */
    tb_tx_rollback(tx);
    return err;
}

static void does_nothing_after_rollback(void **state)
{
    (void)state;
    struct actor actor = {0}, next = {0};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_true(tb_is(stage_do(&stage, &actor, fail_in_the_middle, ENOUGH_MS), TB_E_INTERNAL));
    assert_int_equal(sum(), 30);
    assert_null(stage_do(&stage, &next, commit_both, ENOUGH_MS));
    assert_int_equal(tb_store_stats(stage.store).losses, 0); /* on the same session */
    stage_close(&stage);
}

static tb_err hold_a_while(struct actor *actor)
{
    struct tb_tx *tx;
    struct tb_rows *rows;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(tb_tx_query(tx, &rows, stage_sleep_sql(stretched_ms(150)), NULL, 0));
    return tb_tx_commit(tx);
}

static void waits_in_line_for_a_connection_and_leaves_one_to_reads(void **state)
{
    (void)state;
    enum { MANY = 4 };
    static struct actor actors[MANY];
    struct actor read = {.sql = "select 1"};
    memset(actors, 0, sizeof(actors));
    stage_open(&stage, (struct tb_store_options){.connections = 3});
    for (int i = 0; i < MANY; i++)
        stage_start(&stage, &actors[i], hold_a_while, ENOUGH_MS);
    for (int i = 0; i < 1000 && tb_store_stats(stage.store).exclusive < 2; i++)
        stage_idle(&stage, 5);
    assert_int_equal(tb_store_stats(stage.store).exclusive, 2);
    assert_int_equal(tb_store_stats(stage.store).queued, 2);
    assert_null(stage_do(&stage, &read, act_query, ENOUGH_MS));
    assert_false(actors[2].ended || actors[3].ended); /* it has not waited behind them */
    stage_wait(&stage, actors, MANY);
    for (int i = 0; i < MANY; i++)
        assert_null(actors[i].err);
    assert_true(actors[0].took_us < actors[2].took_us);
    stage_close(&stage);
}

static void serves_a_waiting_transaction_before_later_reads(void **state)
{
    (void)state;
    struct actor slow = {.sql = stage_sleep_sql(stretched_ms(200))}, holder = {0},
                 late = {.sql = "select 3"};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    stage_start(&stage, &slow, act_query, ENOUGH_MS);
    stage_idle(&stage, 10);
    stage_start(&stage, &holder, hold_a_while,
                ENOUGH_MS); /* the only connection is promised to it */
    stage_start(&stage, &late, act_query, ENOUGH_MS);
    stage_wait(&stage, &holder, 1);
    assert_null(holder.err);
    stage_wait(&stage, &late, 1);
    assert_null(late.err);
    assert_true(late.began_us + late.took_us > holder.began_us + holder.took_us);
    stage_wait(&stage, &slow, 1);
    stage_close(&stage);
}

static void refuses_to_wait_longer_than_the_bound(void **state)
{
    (void)state;
    static struct actor actors[2];
    memset(actors, 0, sizeof(actors));
    stage_open(&stage, (struct tb_store_options){.connections = 1, .wait_ms = 50});
    stage_start(&stage, &actors[0], hold_a_while, ENOUGH_MS);
    stage_start(&stage, &actors[1], hold_a_while, ENOUGH_MS);
    stage_wait(&stage, actors, 2);
    assert_null(actors[0].err);
    assert_true(tb_is(actors[1].err, TB_E_OVERLOAD));
    stage_close(&stage);
}

static tb_err overrun(struct actor *actor)
{
    struct tb_tx *tx;
    struct tb_rows *rows;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(set_value(tx, 1, 1000));
    tb_err err = tb_tx_query(tx, &rows, "select pg_sleep(30)", NULL, 0);
    tb_tx_rollback(tx);
    return err;
}

static void undoes_what_passes_the_deadline(void **state)
{
    (void)state;
    struct actor actor = {0}, next = {0};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_true(tb_is(stage_do(&stage, &actor, overrun, 120), TB_E_DEADLINE));
    assert_in_range(actor.took_us, 100000, 29000000);
    stage_idle(&stage, 50);
    assert_int_equal(sum(), 30);
    assert_null(stage_do(&stage, &next, commit_both, ENOUGH_MS));
    stage_close(&stage);
}

static tb_err lose_session(struct actor *actor)
{
    struct tb_tx *tx;
    struct tb_rows *rows;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(set_value(tx, 1, 1000));
    tb_err err = tb_tx_query(tx, &rows, "select pg_terminate_backend(pg_backend_pid())", NULL, 0);
    assert_true(tb_is(err, TB_E_STORE));
    tb_tx_rollback(tx);
    return err;
}

static tb_err lose_session_between(struct actor *actor)
{
    struct tb_tx *tx;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(set_value(tx, 1, 1000));
    pg_do(&stage.pg, "select pg_terminate_backend(pid) from pg_stat_activity"
                     " where application_name = 'victim' and state = 'idle in transaction'");
    tb_err err = set_value(tx, 2, 2000);
    tb_tx_rollback(tx);
    return err;
}

static void undoes_what_loses_its_session(void **state)
{
    (void)state;
    static tb_err (*const ways[])(struct actor *) = {lose_session, lose_session_between};
    stage_open(&stage, (struct tb_store_options){.connections = 2, .application = "victim"});
    for (size_t i = 0; i < 2; i++) {
        struct actor actor = {0}, next = {.sql = "select sum(v) from t"};
        assert_true(tb_is(stage_do(&stage, &actor, ways[i], ENOUGH_MS), TB_E_STORE));
        assert_null(stage_do(&stage, &next, act_query, ENOUGH_MS));
        assert_string_equal(next.cell, "30");
        for (int turns = 0; turns < 1000 && tb_store_stats(stage.store).exclusive > 0; turns++)
            stage_idle(&stage, 5);
        assert_int_equal(tb_store_stats(stage.store).exclusive, 0);
    }
    stage_close(&stage);
}

static void says_in_doubt_when_the_answer_to_commit_is_lost(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){.dsn = proxy_dsn(proxy)});
    proxy_lose_answer(proxy, "commit", 1);
    assert_true(tb_is(stage_do(&stage, &actor, commit_both, ENOUGH_MS), TB_E_IN_DOUBT));
    assert_int_equal(sum(), 300); /* it did happen */
    stage_close(&stage);
    proxy_free(proxy);
}

/* Both lock their first row, then the other's. */
static tb_err cross(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct actor *actor = arg;
    struct tb_rows *rows;
    (void)req;
    actor->number++;
    TB_TRY(set_value(tx, actor->book, 5));
    TB_TRY(tb_tx_query(tx, &rows, stage_sleep_sql(stretched_ms(100)), NULL, 0));
    return set_value(tx, 3 - actor->book, 6);
}

static tb_err run_cross(struct actor *actor)
{
    return tb_tx_run(&actor->run.req, stage.store, cross, actor);
}

static void runs_the_loser_of_a_deadlock_again(void **state)
{
    (void)state;
    static struct actor actors[2];
    memset(actors, 0, sizeof(actors));
    stage_open(&stage, (struct tb_store_options){0});
    for (int i = 0; i < 2; i++) {
        actors[i].book = i + 1;
        stage_start(&stage, &actors[i], run_cross, ENOUGH_MS);
    }
    stage_wait(&stage, actors, 2);
    assert_null(actors[0].err);
    assert_null(actors[1].err);
    uint64_t conflicts = tb_store_stats(stage.store).conflicts;
    assert_true(conflicts >= 1);
    assert_int_equal(actors[0].number + actors[1].number, 2 + conflicts);
    stage_close(&stage);
}

static tb_err always_conflict(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct tb_rows *rows;
    (void)req;
    ++*(long long *)arg;
    return tb_tx_query(tx, &rows, "do $$ begin raise using errcode = '40001'; end $$", NULL, 0);
}

static tb_err run_conflict(struct actor *actor)
{
    return tb_tx_run(&actor->run.req, stage.store, always_conflict, &actor->number);
}

static void stops_running_again_after_some_tries(void **state)
{
    (void)state;
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){0});
    assert_non_null(stage_do(&stage, &actor, run_conflict, ENOUGH_MS));
    assert_int_equal(actor.number, TB_TX_TRIES);
    stage_close(&stage);
}

#define CASE(name) cmocka_unit_test_setup(name, clean)
static const struct CMUnitTest tests[] = {
    CASE(does_all_at_commit),
    CASE(does_nothing_after_rollback),
    CASE(waits_in_line_for_a_connection_and_leaves_one_to_reads),
    CASE(serves_a_waiting_transaction_before_later_reads),
    CASE(refuses_to_wait_longer_than_the_bound),
    CASE(undoes_what_passes_the_deadline),
    CASE(undoes_what_loses_its_session),
    CASE(says_in_doubt_when_the_answer_to_commit_is_lost),
    CASE(runs_the_loser_of_a_deadlock_again),
    CASE(stops_running_again_after_some_tries),
};
TEST_GROUP(tests, make_cluster, remove_cluster);
