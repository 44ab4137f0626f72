/* Reads: typed parameters, shared connections, limits of time, number and size, a server that goes.
 */
#include "../unit.h"

#include "base/text.h"
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
    return 0;
}

static int remove_cluster(void **state)
{
    (void)state;
    pg_remove(&stage.pg);
    return 0;
}

static tb_err ask_types(struct actor *actor)
{
    static const char sql[] = "select $1::text, $2::bigint, $3::boolean, $4::timestamptz, $5::text,"
                              " $6::text is null, ''::text";
    const struct tb_param params[] = {TB_TEXT(TB_STR("\xe5\xae\x9d 'x'")),
                                      TB_INT(INT64_MIN),
                                      TB_BOOL(true),
                                      TB_TIME(1772271000123),
                                      TB_TEXT(TB_STR_NONE),
                                      TB_NULL};
    struct tb_rows *rows;
    TB_TRY(tb_store_query(&actor->run.req, stage.store, &rows, sql, params, TB_COUNT(params)));
    assert_int_equal(rows->n, 1);
    assert_int_equal(rows->columns, 7);
    assert_string_equal(tb_cell(rows, 0, 0).at, "\xe5\xae\x9d 'x'");
    assert_string_equal(tb_cell(rows, 0, 1).at, "-9223372036854775808");
    assert_string_equal(tb_cell(rows, 0, 2).at, "t");
    assert_string_equal(tb_cell(rows, 0, 3).at, "2026-02-28 09:30:00.123+00");
    assert_null(tb_cell(rows, 0, 4).at);
    assert_string_equal(tb_cell(rows, 0, 5).at, "t");
    assert_non_null(tb_cell(rows, 0, 6).at);
    assert_int_equal(tb_cell(rows, 0, 6).n, 0);
    return NULL;
}

static void carries_every_type_and_null(void **state)
{
    (void)state;
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){0});
    assert_null(stage_do(&stage, &actor, ask_types, 1000));
    stage_close(&stage);
}

static tb_err ask_rows(struct actor *actor)
{
    struct tb_rows *rows;
    const struct tb_param params[] = {TB_INT(actor->number)};
    TB_TRY(tb_store_query(&actor->run.req, stage.store, &rows, actor->sql, params, 1));
    assert_int_equal(rows->n, actor->number);
    for (size_t i = 0; i < rows->n; i++) {
        char expected[24];
        snprintf(expected, sizeof(expected), "%zu", i + 1);
        assert_string_equal(tb_cell(rows, i, 0).at, expected);
    }
    return NULL;
}

static void gives_all_rows_in_order_or_none(void **state)
{
    (void)state;
    static const long long counts[] = {0, 1, 2, 100, 5000};
    stage_open(&stage, (struct tb_store_options){0});
    for (size_t i = 0; i < TB_COUNT(counts); i++) {
        struct actor actor = {.sql = "select n from generate_series(1, $1::bigint) n",
                              .number = counts[i]};
        assert_null(stage_do(&stage, &actor, ask_rows, 1000));
    }
    stage_close(&stage);
}

static void refuses_an_answer_that_does_not_fit(void **state)
{
    (void)state;
    struct actor big = {.sql = "select repeat('x', 1000000)"}, small = {.sql = "select 7"};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_true(tb_is(stage_do(&stage, &big, act_query, ENOUGH_MS), TB_E_INTERNAL));
    assert_null(stage_do(&stage, &small, act_query, ENOUGH_MS));
    assert_string_equal(small.cell, "7");
    stage_close(&stage);
}

static void keeps_other_statements_when_one_fails(void **state)
{
    (void)state;
    enum { MANY = 60 };
    static struct actor actors[MANY];
    memset(actors, 0, sizeof(actors));
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    for (int i = 0; i < MANY; i++) {
        actors[i].number = i % 5 - 2; /* every fifth divides by zero */
        actors[i].sql = i % 7 == 3 ? "select nothing from nowhere" : "select 60 / $1::int";
        stage_start(&stage, &actors[i], act_query, ENOUGH_MS);
    }
    assert_true(tb_store_stats(stage.store).in_flight > 1); /* together on one connection */
    stage_wait(&stage, actors, MANY);
    for (int i = 0; i < MANY; i++) {
        char expected[24];
        if (i % 7 == 3 || i % 5 == 2) {
            assert_true(tb_is(actors[i].err, TB_E_INTERNAL));
            continue;
        }
        snprintf(expected, sizeof(expected), "%d", 60 / (i % 5 - 2));
        assert_null(actors[i].err);
        assert_string_equal(actors[i].cell, expected);
    }
    assert_int_equal(tb_store_stats(stage.store).losses, 0);
    stage_close(&stage);
}

static void prepares_a_statement_once_for_each_connection(void **state)
{
    (void)state;
    static const char sql[] = "select count(*) from pg_prepared_statements where $1::int = 1";
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    for (int i = 0; i < 5; i++) {
        struct actor actor = {.sql = sql, .number = 1};
        assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
        assert_string_equal(actor.cell, "1");
    }
    stage_close(&stage);
}

/* A migration of the next generation changes what a statement gives; the server forgets a plan. */
static void prepares_again_what_the_server_does_not_take_any_more(void **state)
{
    (void)state;
    static const char sql[] = "select * from thing";
    struct actor actor = {.sql = sql}, forget = {.sql = "deallocate all"};
    pg_do(&stage.pg, "create table thing (a int); insert into thing values (1)");
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
    pg_do(&stage.pg, "alter table thing add column b int default 2");
    assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
    assert_null(stage_do(&stage, &forget, act_query, ENOUGH_MS));
    assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
    assert_string_equal(actor.cell, "1");
    assert_int_equal(tb_store_stats(stage.store).reprepared, 2);
    stage_close(&stage);
    pg_do(&stage.pg, "drop table thing");
}

static void ends_a_statement_that_takes_too_long(void **state)
{
    (void)state;
    struct actor slow = {.sql = "select pg_sleep(30)"}, quick = {.sql = "select 1"};
    stage_open(&stage, (struct tb_store_options){.connections = 1, .statement_ms = 150});
    assert_true(tb_is(stage_do(&stage, &slow, act_query, ENOUGH_MS), TB_E_DEADLINE));
    assert_in_range(slow.took_us, 140000, 29000000);
    assert_null(stage_do(&stage, &quick, act_query, ENOUGH_MS));
    assert_int_equal(tb_store_stats(stage.store).losses, 0);
    stage_close(&stage);
}

static void stops_waiting_at_the_deadline_and_drops_the_answer(void **state)
{
    (void)state;
    struct actor slow = {.sql = stage_sleep_sql(stretched_ms(400))}, next = {.sql = "select 2"};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_true(tb_is(stage_do(&stage, &slow, act_query, 50), TB_E_DEADLINE));
    assert_in_range(slow.took_us, 45000, 1000 * stretched_ms(400) - 1);
    assert_null(stage_do(&stage, &next, act_query, ENOUGH_MS));
    assert_string_equal(next.cell, "2");
    assert_int_equal(tb_store_stats(stage.store).abandoned, 1);
    stage_close(&stage);
}

static void stops_waiting_when_the_client_is_gone(void **state)
{
    (void)state;
    struct actor slow = {.sql = "select pg_sleep(0.2)"}, next = {.sql = "select 2"};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    stage_start(&stage, &slow, act_query, ENOUGH_MS);
    stage_idle(&stage, 20);
    tb_run_cancel(&slow.run);
    stage_wait(&stage, &slow, 1);
    assert_true(tb_is(slow.err, TB_E_CANCELLED));
    assert_null(stage_do(&stage, &next, act_query, ENOUGH_MS)); /* answered after it */
    assert_int_equal(tb_store_stats(stage.store).abandoned, 1);
    stage_close(&stage);
}

enum { OCCUPY = 16 }; /* TB_PIPELINE_MAX: as many as one connection takes */

/* Fill the only connection with statements of which the first takes `seconds`. */
static void occupy(struct actor *actors, const char *sql)
{
    memset(actors, 0, OCCUPY * sizeof(*actors));
    for (int i = 0; i < OCCUPY; i++) {
        actors[i].sql = i == 0 ? sql : "select 1";
        stage_start(&stage, &actors[i], act_query, ENOUGH_MS);
    }
}

static void refuses_beyond_the_queue(void **state)
{
    (void)state;
    static struct actor busy[OCCUPY], waiting[10], surplus;
    memset(waiting, 0, sizeof(waiting));
    stage_open(&stage,
               (struct tb_store_options){.connections = 1, .queue = 10, .wait_ms = ENOUGH_MS});
    occupy(busy, stage_sleep_sql(stretched_ms(200)));
    for (int i = 0; i < 10; i++) {
        waiting[i].sql = "select 5";
        stage_start(&stage, &waiting[i], act_query, ENOUGH_MS);
    }
    surplus.sql = "select 6";
    stage_start(&stage, &surplus, act_query, ENOUGH_MS);
    assert_true(surplus.ended); /* it has not waited for a turn */
    assert_true(tb_is(surplus.err, TB_E_OVERLOAD));
    assert_int_equal(surplus.run.problem.retry_after_s, 1);
    stage_wait(&stage, busy, OCCUPY);
    stage_wait(&stage, waiting, 10);
    for (int i = 0; i < 10; i++)
        assert_null(waiting[i].err);
    assert_int_equal(tb_store_stats(stage.store).overloads, 1);
    stage_close(&stage);
}

static void waits_for_a_connection_no_longer_than_the_bound(void **state)
{
    (void)state;
    static struct actor busy[OCCUPY];
    struct actor late = {.sql = "select 1"};
    stage_open(&stage, (struct tb_store_options){.connections = 1, .wait_ms = 150});
    occupy(busy, stage_sleep_sql(stretched_ms(800)));
    assert_true(tb_is(stage_do(&stage, &late, act_query, ENOUGH_MS), TB_E_OVERLOAD));
    assert_in_range(late.took_us, 140000, 1000 * stretched_ms(800) - 1);
    stage_wait(&stage, busy, OCCUPY);
    stage_close(&stage);
}

static void gives_up_its_place_in_line_at_the_deadline(void **state)
{
    (void)state;
    static struct actor busy[OCCUPY];
    struct actor late = {.sql = "select 1"};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    occupy(busy, stage_sleep_sql(stretched_ms(300)));
    assert_true(tb_is(stage_do(&stage, &late, act_query, 50), TB_E_DEADLINE));
    assert_int_equal(tb_store_stats(stage.store).queued, 0);
    stage_wait(&stage, busy, OCCUPY);
    stage_close(&stage);
}

static void says_so_at_once_while_the_server_is_away_and_recovers(void **state)
{
    (void)state;
    static struct actor in_flight[3];
    struct actor actor = {.sql = "select 1"};
    memset(in_flight, 0, sizeof(in_flight));
    stage_open(&stage, (struct tb_store_options){0});
    for (int i = 0; i < 3; i++) {
        in_flight[i].sql = "select pg_sleep(30)";
        stage_start(&stage, &in_flight[i], act_query, ENOUGH_MS);
    }
    stage_idle(&stage, 30);
    pg_kill(&stage.pg);
    stage_wait(&stage, in_flight, 3);
    for (int i = 0; i < 3; i++)
        assert_true(tb_is(in_flight[i].err, TB_E_STORE));
    stage_idle(&stage, 50);
    assert_false(tb_store_ready(stage.store));
    stage_start(&stage, &actor, act_query, ENOUGH_MS);
    assert_true(actor.ended); /* it has not waited for a turn */
    assert_true(tb_is(actor.err, TB_E_STORE));
    assert_int_equal(actor.run.problem.retry_after_s, 1);

    pg_start(&stage.pg);
    int64_t until_us = tb_loop_us() + 1000 * stretched_ms(8000);
    while (!tb_store_ready(stage.store) && tb_loop_us() < until_us)
        tb_loop_turn(stage.loop, 10);
    assert_true(tb_store_ready(stage.store));
    assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
    assert_true(tb_store_stats(stage.store).losses > 0);
    stage_close(&stage);
}

static void comes_back_after_its_sessions_were_ended(void **state)
{
    (void)state;
    struct actor actor = {.sql = "select 1"};
    stage_open(&stage, (struct tb_store_options){.application = "victim"});
    pg_do(&stage.pg, "select pg_terminate_backend(pid) from pg_stat_activity"
                     " where application_name = 'victim'");
    for (int i = 0; i < 2000 && tb_store_stats(stage.store).losses < 6; i++)
        stage_idle(&stage, 10);
    assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
    stage_close(&stage);
}

static void gives_up_a_server_that_does_not_answer(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    struct actor actor = {.sql = "select 1"};
    stage_open(&stage, (struct tb_store_options){
                           .dsn = proxy_dsn(proxy), .statement_ms = 100, .connections = 1});
    proxy_freeze(proxy, true);
    assert_true(tb_is(stage_do(&stage, &actor, act_query, 0), TB_E_STORE));
    assert_in_range(actor.took_us, 2000000, 1000 * stretched_ms(4000));
    assert_int_equal(tb_store_stats(stage.store).dropped, 1);
    proxy_freeze(proxy, false);
    stage_idle(&stage, 300);
    assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
    stage_close(&stage);
    proxy_free(proxy);
}

/* The server can do neither what a pipeline cannot carry nor what it has no room for, but the next.
 */
static void goes_on_after_what_a_shared_connection_cannot_do(void **state)
{
    (void)state;
    const struct {
        const char *sql;
        tb_err err;
    } cases[] = {
        {"copy (select 1) to stdout", TB_E_STORE},
        {"do $$ begin raise using errcode = '53200'; end $$", TB_E_STORE},
        {"do $$ begin raise using errcode = '57P05'; end $$", TB_E_STORE},
        {"do $$ begin raise using errcode = '0A000'; end $$", TB_E_INTERNAL},
        {"do $$ begin raise using errcode = '25006'; end $$", TB_E_INTERNAL},
        {"do $$ begin raise using errcode = '42P05'; end $$", TB_E_INTERNAL},
    };
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct actor actor = {.sql = cases[i].sql}, next = {.sql = "select 1"};
        assert_true(tb_is(stage_do(&stage, &actor, act_query, ENOUGH_MS), cases[i].err));
        assert_null(stage_do(&stage, &next, act_query, ENOUGH_MS));
    }
    stage_close(&stage);
}

static tb_err act_query_and_keep_cause(struct actor *actor)
{
    tb_err err = act_query(actor);
    const struct tb_problem *problem = &actor->run.problem;
    assert_true(problem->cause.n > 200 && problem->cause.n % 3 == 1);
    assert_true(tb_utf8_valid(problem->cause));
    return err;
}

/* The room for the server's words ends within a character. */
static void keeps_whole_characters_of_a_long_message(void **state)
{
    (void)state;
    struct actor actor = {.sql = "do $$ begin raise 'x%', repeat('\xe5\xae\x9d', 100); end $$"};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_true(
        tb_is(stage_do(&stage, &actor, act_query_and_keep_cause, ENOUGH_MS), TB_E_INTERNAL));
    stage_close(&stage);
}

/* ---- coming up ---- */

static tb_err await_not_long(struct tb_req *req, void *store)
{
    return tb_store_await(req, store, 300);
}

/* Open without waiting, see that it does not come up, and why. */
static void open_in_vain(struct tb_store_options options, const char *why)
{
    stage.loop = tb_loop_new();
    stage.store = tb_store_open(stage.loop, &options);
    assert_true(tb_is(tb_run_to_end(stage.loop, await_not_long, stage.store, 0), TB_E_STORE));
    for (int i = 0; i < 1000 && strstr(tb_store_trouble(stage.store), why) == NULL; i++)
        stage_idle(&stage, 10);
    assert_non_null(strstr(tb_store_trouble(stage.store), why));
    assert_false(tb_store_ready(stage.store));
}

static void gives_up_an_attempt_to_connect_and_tries_again(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    struct actor actor = {.sql = "select 1"};
    proxy_freeze(proxy, true);
    open_in_vain(
        (struct tb_store_options){.dsn = proxy_dsn(proxy), .connect_ms = stretched_ms(200)},
        "timed out");
    proxy_freeze(proxy, false);
    for (int i = 0; i < 4000 && !tb_store_ready(stage.store); i++)
        stage_idle(&stage, 10);
    assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
    stage_close(&stage);
    proxy_free(proxy);
}

static void says_why_it_does_not_come_up(void **state)
{
    (void)state;
    open_in_vain((struct tb_store_options){.dsn = "host=/nowhere"}, "refused");
    stage_close(&stage);
    open_in_vain((struct tb_store_options){.dsn = stage.pg.dsn, .statement_ms = INT64_MAX / 2},
                 "statement_timeout");
    stage_close(&stage);
}

static void holds_a_batch_to_what_the_classes_of_sizes_can_tell(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_size = 2 * TB_BATCH_MAX});
    assert_int_equal(stage.store->options.batch_size, TB_BATCH_MAX);
    stage_close(&stage);
}

static tb_err act_many_texts(struct actor *actor)
{
    static char texts[TB_STATEMENTS_MAX + 2][24];
    for (size_t i = 0; i < TB_COUNT(texts); i++) {
        snprintf(texts[i], sizeof(texts[i]), "select %zu", i);
        actor->sql = texts[i];
        if (i < TB_STATEMENTS_MAX - 1)
            (void)tb_statement_of(&stage.store->statements, texts[i]);
        else
            TB_TRY(act_query(actor));
    }
    assert_string_equal(actor->cell, "4097");
    return NULL;
}

static tb_err act_changing_text(struct actor *actor)
{
    char text[] = "select 1";
    actor->sql = text;
    TB_TRY(act_query(actor));
    assert_string_equal(actor->cell, "1");
    text[7] = '2';
    return act_query(actor);
}

static void takes_another_text_at_the_same_address_for_another_statement(void **state)
{
    (void)state;
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_null(stage_do(&stage, &actor, act_changing_text, ENOUGH_MS));
    assert_string_equal(actor.cell, "2");
    stage_close(&stage);
}

static void sends_unprepared_what_is_too_much_to_remember(void **state)
{
    (void)state;
    struct actor actor = {0};
    stage_open(&stage, (struct tb_store_options){.connections = 1});
    assert_null(stage_do(&stage, &actor, act_many_texts, ENOUGH_MS));
    struct actor count = {.sql = "select count(*) from pg_prepared_statements"};
    assert_null(stage_do(&stage, &count, act_query, ENOUGH_MS));
    assert_string_equal(count.cell, "1");
    stage_close(&stage);
}

static void finds_the_server_among_several_addresses(void **state)
{
    (void)state;
    char dsn[256];
    struct actor actor = {.sql = "select 1"};
    snprintf(dsn, sizeof(dsn), "host=/nowhere,/tmp,%s user=tongbao dbname=postgres", stage.pg.dir);
    stage_open(&stage, (struct tb_store_options){.dsn = dsn});
    assert_null(stage_do(&stage, &actor, act_query, ENOUGH_MS));
    stage_close(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(carries_every_type_and_null),
    cmocka_unit_test(gives_all_rows_in_order_or_none),
    cmocka_unit_test(refuses_an_answer_that_does_not_fit),
    cmocka_unit_test(keeps_other_statements_when_one_fails),
    cmocka_unit_test(prepares_a_statement_once_for_each_connection),
    cmocka_unit_test(prepares_again_what_the_server_does_not_take_any_more),
    cmocka_unit_test(ends_a_statement_that_takes_too_long),
    cmocka_unit_test(stops_waiting_at_the_deadline_and_drops_the_answer),
    cmocka_unit_test(stops_waiting_when_the_client_is_gone),
    cmocka_unit_test(refuses_beyond_the_queue),
    cmocka_unit_test(waits_for_a_connection_no_longer_than_the_bound),
    cmocka_unit_test(gives_up_its_place_in_line_at_the_deadline),
    cmocka_unit_test(says_so_at_once_while_the_server_is_away_and_recovers),
    cmocka_unit_test(comes_back_after_its_sessions_were_ended),
    cmocka_unit_test(gives_up_a_server_that_does_not_answer),
    cmocka_unit_test(goes_on_after_what_a_shared_connection_cannot_do),
    cmocka_unit_test(keeps_whole_characters_of_a_long_message),
    cmocka_unit_test(gives_up_an_attempt_to_connect_and_tries_again),
    cmocka_unit_test(says_why_it_does_not_come_up),
    cmocka_unit_test(holds_a_batch_to_what_the_classes_of_sizes_can_tell),
    cmocka_unit_test(takes_another_text_at_the_same_address_for_another_statement),
    cmocka_unit_test(sends_unprepared_what_is_too_much_to_remember),
    cmocka_unit_test(finds_the_server_among_several_addresses),
};
TEST_GROUP(tests, make_cluster, remove_cluster);
