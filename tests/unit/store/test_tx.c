/* Transactions: a connection of one's own, all or nothing, conflicts tried again, deadlines,
 * losses. */
#include "../unit.h"

#include "proxy.h"
#include "store/store_impl.h"
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
    stage_open(&stage, (struct tb_store_options){.connections = 3, .wait_ms = ENOUGH_MS});
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
    stage_open(&stage, (struct tb_store_options){.connections = 1, .wait_ms = ENOUGH_MS});
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

/* The holder keeps the only connection; of those behind it some give up. */
static void leaves_the_line_at_the_deadline(void **state)
{
    (void)state;
    static struct actor actors[5];
    struct actor surplus = {0};
    memset(actors, 0, sizeof(actors));
    stage_open(&stage, (struct tb_store_options){
                           .connections = 1, .wait_ms = ENOUGH_MS, .queue = TB_COUNT(actors) - 1});
    for (size_t i = 0; i < TB_COUNT(actors); i++)
        stage_start(&stage, &actors[i], hold_a_while, i == 2 || i == 4 ? 20 : ENOUGH_MS);
    assert_true(tb_is(stage_do(&stage, &surplus, hold_a_while, ENOUGH_MS), TB_E_OVERLOAD));
    stage_wait(&stage, &actors[2], 1);
    stage_wait(&stage, &actors[4], 1);
    struct actor last = {0};
    stage_start(&stage, &last, hold_a_while, ENOUGH_MS); /* behind those that stayed */
    stage_wait(&stage, actors, TB_COUNT(actors));
    stage_wait(&stage, &last, 1);
    for (size_t i = 0; i < TB_COUNT(actors); i++)
        assert_int_equal(tb_is(actors[i].err, TB_E_DEADLINE), i == 2 || i == 4);
    assert_null(actors[1].err);
    assert_null(actors[3].err);
    assert_null(last.err);
    assert_int_equal(tb_store_stats(stage.store).overloads, 1);
    assert_int_equal(tb_store_stats(stage.store).queued, 0);
    stage_close(&stage);
}

static tb_err come_too_late(struct actor *actor)
{
    struct tb_tx_wait wait = {.wake = tb_fiber_token()};
    TB_TRY(tb_pool_reserve(stage.store, &wait));
    assert_non_null(wait.conn);
    assert_int_equal(tb_store_stats(stage.store).exclusive, 1);
    tb_pool_unreserve(stage.store, &wait);
    assert_int_equal(tb_store_stats(stage.store).exclusive, 0);
    return commit_both(actor);
}

/* Whoever is given a connection in the turn of its deadline gives it back. */
static void gives_back_a_connection_that_came_too_late(void **state)
{
    (void)state;
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_null(stage_do(&stage, &actor, come_too_late, ENOUGH_MS));
    stage_close(&stage);
}

static tb_err sleep_long(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct tb_rows *rows;
    (void)req, (void)arg;
    return tb_tx_query(tx, &rows, "select pg_sleep(30)", NULL, 0);
}

static tb_err run_sleep(struct actor *actor)
{
    return tb_tx_run(&actor->run.req, stage.store, sleep_long, NULL);
}

static void refuses_all_transactions_while_the_server_is_away(void **state)
{
    (void)state;
    static struct actor actors[3];
    struct actor late = {0};
    memset(actors, 0, sizeof(actors));
    stage_open(&stage, (struct tb_store_options){.connections = 1, .wait_ms = ENOUGH_MS});
    for (size_t i = 0; i < TB_COUNT(actors); i++)
        stage_start(&stage, &actors[i], run_sleep, ENOUGH_MS);
    for (int i = 0; i < 1000 && tb_store_stats(stage.store).exclusive < 1; i++)
        stage_idle(&stage, 5);
    pg_kill(&stage.pg);
    stage_wait(&stage, actors, TB_COUNT(actors));
    for (size_t i = 0; i < TB_COUNT(actors); i++)
        assert_true(tb_is(actors[i].err, TB_E_STORE));
    stage_start(&stage, &late, commit_both, ENOUGH_MS);
    assert_true(late.ended); /* it has not waited for a turn */
    assert_true(tb_is(late.err, TB_E_STORE));
    assert_int_equal(late.run.problem.retry_after_s, 1);
    stage_close(&stage);
    pg_start(&stage.pg);
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

/* As if the server had gone in the moment when the fiber was on: between two statements. */
static void lose_own_session(void)
{
    for (int i = 0; i < stage.store->conns_n; i++)
        if (stage.store->conns[i].exclusive)
            tb_conn_drop(&stage.store->conns[i], "a test");
}

static tb_err go_on_without_session(struct actor *actor)
{
    struct tb_tx *tx;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(set_value(tx, 1, 1000));
    lose_own_session();
    tb_err err = set_value(tx, 2, 2000);
    tb_tx_rollback(tx);
    return err;
}

static tb_err commit_without_session(struct actor *actor)
{
    struct tb_tx *tx;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(set_value(tx, 1, 1000));
    lose_own_session();
    return tb_tx_commit(tx);
}

/* Not in doubt: a commit that was never sent did not happen. */
static void is_certain_of_what_it_could_not_ask_for(void **state)
{
    (void)state;
    static tb_err (*const ways[])(struct actor *) = {go_on_without_session, commit_without_session};
    stage_open(&stage, (struct tb_store_options){.connections = 2});
    for (size_t i = 0; i < 2; i++) {
        struct actor actor = {0};
        assert_true(tb_is(stage_do(&stage, &actor, ways[i], ENOUGH_MS), TB_E_STORE));
        assert_int_equal(tb_store_stats(stage.store).exclusive, 0);
        assert_int_equal(sum(), 30);
    }
    assert_int_equal(tb_store_stats(stage.store).in_doubt, 0);
    stage_close(&stage);
}

static void says_that_nothing_was_done_when_the_begin_is_lost(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){.dsn = proxy_dsn(proxy)});
    proxy_lose_answer(proxy, "begin;", 1);
    assert_true(tb_is(stage_do(&stage, &actor, commit_both, ENOUGH_MS), TB_E_STORE));
    assert_int_equal(tb_store_stats(stage.store).exclusive, 0);
    assert_int_equal(sum(), 30);
    stage_close(&stage);
    proxy_free(proxy);
}

/* A deferred check speaks at the commit, here with the SQLSTATE in t_says, the first two times. */
static const char LATE_CHECK[] =
    "create table t_says (state text); create sequence t_checks;"
    "create function t_check() returns trigger language plpgsql as $$ begin"
    " if nextval('t_checks') <= 2 then"
    "  raise 'not so' using errcode = (select state from t_says); end if; return null; end $$;"
    "create constraint trigger t_check after update on t deferrable initially deferred"
    " for each row execute function t_check()";

static tb_err set_first(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    (void)req;
    ++*(long long *)arg;
    return set_value(tx, 1, 100);
}

static tb_err run_set_first(struct actor *actor)
{
    return tb_tx_run(&actor->run.req, stage.store, set_first, &actor->number);
}

static void takes_a_commit_that_is_refused_for_undone(void **state)
{
    (void)state;
    struct actor refused = {0}, conflicting = {0};
    pg_do(&stage.pg, LATE_CHECK);
    pg_do(&stage.pg, "insert into t_says values ('23514')");
    stage_open(&stage, (struct tb_store_options){0});
    assert_true(tb_is(stage_do(&stage, &refused, run_set_first, ENOUGH_MS), TB_E_INTERNAL));
    assert_int_equal(refused.number, 1);
    assert_int_equal(sum(), 30);
    pg_do(&stage.pg, "alter sequence t_checks restart; update t_says set state = '40001'");
    assert_null(stage_do(&stage, &conflicting, run_set_first, ENOUGH_MS));
    assert_int_equal(conflicting.number, 3); /* run again as after any conflict */
    assert_int_equal(sum(), 120);
    assert_int_equal(tb_store_stats(stage.store).in_doubt, 0);
    stage_close(&stage);
    pg_do(&stage.pg, "drop trigger t_check on t; drop function t_check; drop table t_says;"
                     " drop sequence t_checks");
}

static tb_err run_without_memory(struct tb_req *req, struct tb_tx *tx, void *arg)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_rows *rows;
    (void)arg;
    TB_TRY(set_value(tx, 1, 1000));
    TB_TRY(tb_tx_script(tx, "")); /* nothing to do is no error */
    assert_non_null(tb_arena_raw(arena, tb_arena_cap(arena) - tb_arena_used(arena)));
    const struct tb_param params[] = {TB_INT(1)};
    return tb_tx_query(tx, &rows, "select $1::int", params, 1);
}

static tb_err fill_in_the_middle(struct actor *actor)
{
    return tb_tx_run(&actor->run.req, stage.store, run_without_memory, NULL);
}

static tb_err copy_in_the_middle(struct actor *actor)
{
    struct tb_tx *tx;
    TB_TRY(tb_tx_begin(&actor->run.req, stage.store, &tx));
    TB_TRY(set_value(tx, 1, 1000));
    tb_err err = tb_tx_script(tx, "copy t to stdout");
    tb_tx_rollback(tx);
    return err;
}

static void undoes_what_cannot_go_on(void **state)
{
    (void)state;
    struct actor full = {0}, copying = {0}, next = {0};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_true(tb_is(stage_do(&stage, &full, fill_in_the_middle, ENOUGH_MS), TB_E_INTERNAL));
    assert_true(tb_is(stage_do(&stage, &copying, copy_in_the_middle, ENOUGH_MS), TB_E_STORE));
    assert_int_equal(sum(), 30);
    assert_null(stage_do(&stage, &next, commit_both, ENOUGH_MS));
    stage_close(&stage);
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
    CASE(leaves_the_line_at_the_deadline),
    CASE(gives_back_a_connection_that_came_too_late),
    CASE(refuses_all_transactions_while_the_server_is_away),
    CASE(undoes_what_passes_the_deadline),
    CASE(undoes_what_loses_its_session),
    CASE(says_in_doubt_when_the_answer_to_commit_is_lost),
    CASE(is_certain_of_what_it_could_not_ask_for),
    CASE(says_that_nothing_was_done_when_the_begin_is_lost),
    CASE(takes_a_commit_that_is_refused_for_undone),
    CASE(undoes_what_cannot_go_on),
    CASE(runs_the_loser_of_a_deadlock_again),
    CASE(stops_running_again_after_some_tries),
};
TEST_GROUP(tests, make_cluster, remove_cluster);
