/* Batched calls: how they gather, and that each happens once, alone in its failure, whatever the
 * connection does. */
#include "../unit.h"

#include "calls_fixture.h"
#include "proxy.h"
#include "runtime/fault.h"
#include <stdio.h>
#include <string.h>
#include <tongbao/plugin.h>

static void sends_a_lone_call_at_once(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){0});
    struct actor *actor = cast(0, "k1", "", 7);
    stage_start(&stage, actor, act_call, ENOUGH_MS);
    assert_int_equal(tb_store_stats(stage.store).calls_in_flight, 0);
    tb_loop_turn(stage.loop, 0);
    assert_int_equal(tb_store_stats(stage.store).calls_in_flight, 1); /* not after some timer */
    stage_wait(&stage, actor, 1);
    assert_null(actor->err);
    assert_string_equal(actor->cell, "{\"v\":7}");
    assert_int_equal(actor->answer.status, 201);
    assert_false(actor->answer.replayed);
    struct tb_store_stats stats = tb_store_stats(stage.store);
    assert_int_equal(stats.batches, 1);
    assert_int_equal(stats.batch_sizes[0], 1);
    stage_close(&stage);
}

static void gathers_what_comes_while_connections_are_busy(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1, .batch_size = 64});
    stage_start(&stage, cast(0, "first", "sleep", 100), act_call, ENOUGH_MS);
    until_sent(1);
    for (size_t i = 1; i <= 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "g%zu", i);
        stage_start(&stage, cast(i, key, "", (long)i), act_call, ENOUGH_MS);
    }
    assert_int_equal(tb_store_stats(stage.store).calls_queued, 100);
    stage_wait(&stage, actors, 101);
    for (size_t i = 1; i <= 100; i++) {
        char expected[16];
        snprintf(expected, sizeof(expected), "{\"v\":%zu}", i);
        assert_null(actors[i].err);
        assert_string_equal(actors[i].cell, expected);
    }
    /* 1, then 64, then the other 36: three transactions */
    struct tb_store_stats stats = tb_store_stats(stage.store);
    assert_int_equal(stats.batches, 3);
    assert_int_equal(stats.batch_sizes[0], 1);
    assert_int_equal(stats.batch_sizes[6], 2);
    assert_int_equal(pg_number(&stage.pg, "select count(distinct batch) from t.thing"), 3);
    assert_int_equal(stats.calls_in_flight, 0);
    stage_close(&stage);
}

static void keeps_the_calls_of_one_turn_together(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 2});
    for (size_t i = 0; i < 50; i++)
        stage_start(&stage, cast(i, "", "", (long)i), act_call, ENOUGH_MS);
    stage_wait(&stage, actors, 50);
    assert_int_equal(tb_store_stats(stage.store).batches, 1);
    stage_close(&stage);
}

static void answers_a_repeated_key_from_what_was_stored(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){0});
    assert_null(stage_do(&stage, cast(0, "same", "", 1), act_call, ENOUGH_MS));
    assert_null(stage_do(&stage, cast(1, "same", "", 1), act_call, ENOUGH_MS));
    assert_string_equal(actors[0].cell, actors[1].cell);
    assert_false(actors[0].answer.replayed);
    assert_true(actors[1].answer.replayed);
    assert_int_equal(things(), 1);
    stage_close(&stage);
}

static void does_one_effect_for_racing_calls_with_one_key(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_size = 5});
    for (size_t i = 0; i < 64; i++)
        stage_start(&stage, cast(i, "raced", "", 9), act_call, ENOUGH_MS);
    stage_wait(&stage, actors, 64);
    for (size_t i = 0; i < 64; i++) {
        assert_null(actors[i].err);
        assert_string_equal(actors[i].cell, "{\"v\":9}");
    }
    assert_int_equal(things(), 1);
    stage_close(&stage);
}

static void lets_a_poison_call_fail_alone_among_a_hundred(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1, .batch_size = 128});
    for (size_t i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "p%zu", i);
        stage_start(&stage, cast(i, key, i == 57 ? "raise" : "", (long)i), act_call, ENOUGH_MS);
    }
    stage_wait(&stage, actors, 100);
    for (size_t i = 0; i < 100; i++) {
        if (i == 57)
            assert_true(tb_is(actors[i].err, TB_E_INTERNAL));
        else
            assert_null(actors[i].err);
    }
    assert_int_equal(things(), 99);
    struct tb_store_stats stats = tb_store_stats(stage.store);
    assert_int_equal(stats.poisoned, 1);
    assert_in_range(stats.splits, 6, 7); /* 100, 50, 25, 12 or 13, … 1 */
    stage_close(&stage);
}

static void isolates_every_poison_of_many(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){0});
    for (size_t i = 0; i < 200; i++)
        stage_start(&stage, cast(i, "", i % 20 == 0 ? "raise" : "", (long)i), act_call, ENOUGH_MS);
    stage_wait(&stage, actors, 200);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(actors[i].err == NULL, i % 20 != 0);
    assert_int_equal(things(), 190);
    assert_int_equal(tb_store_stats(stage.store).poisoned, 10);
    stage_close(&stage);
}

static void tries_a_conflict_again_as_a_whole(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    for (size_t i = 0; i < 10; i++)
        stage_start(&stage, cast(i, "", i == 3 ? "conflict" : "", 2), act_call, ENOUGH_MS);
    stage_wait(&stage, actors, 10);
    for (size_t i = 0; i < 10; i++)
        assert_null(actors[i].err);
    struct tb_store_stats stats = tb_store_stats(stage.store);
    assert_int_equal(stats.conflicts, 2);
    assert_int_equal(stats.splits, 0);
    assert_int_equal(things(), 10);
    stage_close(&stage);
}

static void gives_up_on_a_conflict_that_does_not_end(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    for (size_t i = 0; i < 4; i++)
        stage_start(&stage, cast(i, "", i == 3 ? "conflict" : "", 1000), act_call, ENOUGH_MS);
    stage_wait(&stage, actors, 4);
    for (size_t i = 0; i < 3; i++)
        assert_null(actors[i].err);
    assert_true(tb_is(actors[3].err, TB_E_STORE));
    assert_int_equal(things(), 3);
    stage_close(&stage);
}

static void survives_a_deadlock_between_two_batches(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 2, .batch_size = 1});
    for (size_t i = 0; i < 2; i++) {
        struct actor *actor = cast(i, "", "", (long)i);
        actor->function = "t.deadlock";
        stage_start(&stage, actor, act_call, ENOUGH_MS);
    }
    stage_wait(&stage, actors, 2);
    assert_null(actors[0].err);
    assert_null(actors[1].err);
    assert_true(tb_store_stats(stage.store).conflicts >= 1);
    assert_int_equal(things(), 2);
    stage_close(&stage);
}

static void takes_turns_between_books(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1, .batch_size = 8});
    for (size_t i = 0; i < 200; i++)
        stage_start(&stage, cast(i, "", "sleep", 2), act_call, ENOUGH_MS);
    stage_idle(&stage, 5);
    struct actor *other = cast(200, "", "", 1);
    other->book = 2;
    stage_start(&stage, other, act_call, ENOUGH_MS);
    stage_wait(&stage, other, 1);
    size_t ended = 0;
    for (size_t i = 0; i < 200; i++)
        ended += actors[i].ended;
    assert_true(ended <= 32); /* not behind the two hundred that came before */
    stage_wait(&stage, actors, 201);
    stage_close(&stage);
}

static void tells_a_refusal_with_its_words(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){0});
    struct actor *actor = cast(0, "d1", "decline", 5);
    assert_true(tb_is(stage_do(&stage, actor, act_call, ENOUGH_MS), TB_E_DUPLICATE_REFERENCE));
    const struct tb_problem *problem = &actor->run.problem;
    assert_int_equal(problem->places_n, 1);
    assert_int_equal(problem->link.n, strlen("/t/v1/things/1"));
    assert_int_equal(problem->extra.n, strlen("{\"first\": 1}"));
    assert_int_equal(problem->detail.n, strlen("taken"));
    /* A code nobody knows is our mistake, not the partner's. */
    assert_true(
        tb_is(stage_do(&stage, cast(1, "d2", "strange", 5), act_call, ENOUGH_MS), TB_E_INTERNAL));
    /* Nothing of either was stored as an effect. */
    assert_int_equal(things(), 0);
    stage_close(&stage);
}

static void says_in_doubt_when_a_function_leaves_a_call_out(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    for (size_t i = 0; i < 3; i++) {
        struct actor *actor = cast(i, "", "", (long)i);
        actor->function = "t.lazy";
        stage_start(&stage, actor, act_call, ENOUGH_MS);
    }
    stage_wait(&stage, actors, 3);
    assert_null(actors[0].err);
    assert_true(tb_is(actors[1].err, TB_E_IN_DOUBT));
    assert_true(tb_is(actors[2].err, TB_E_IN_DOUBT));
    stage_close(&stage);
}

static void resolves_a_lost_answer_by_the_key(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    stage_open(&stage, (struct tb_store_options){.dsn = proxy_dsn(proxy)});
    proxy_lose_answer(proxy, "\"lost\"", 1);
    struct actor *actor = cast(0, "lost", "", 3);
    assert_null(stage_do(&stage, actor, act_call, ENOUGH_MS));
    assert_string_equal(actor->cell, "{\"v\":3}");
    assert_int_equal(things(), 1);
    assert_int_equal(tb_store_stats(stage.store).resent, 1);
    assert_int_equal(tb_store_stats(stage.store).in_doubt, 0);
    stage_close(&stage);
    proxy_free(proxy);
}

static void resolves_a_whole_batch_whose_answer_is_lost_twice(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    stage_open(&stage, (struct tb_store_options){.dsn = proxy_dsn(proxy), .batch_connections = 1});
    proxy_lose_answer(proxy, "\"w7\"", 2);
    for (size_t i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "w%zu", i);
        stage_start(&stage, cast(i, key, "", (long)i), act_call, ENOUGH_MS);
    }
    stage_wait(&stage, actors, 20);
    for (size_t i = 0; i < 20; i++)
        assert_null(actors[i].err);
    assert_int_equal(things(), 20);
    assert_int_equal(pg_number(&stage.pg, "select count(distinct batch) from t.thing"), 1);
    assert_int_equal(tb_store_stats(stage.store).resent, 40);
    stage_close(&stage);
    proxy_free(proxy);
}

static void never_sends_a_call_without_key_twice(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    stage_open(&stage, (struct tb_store_options){.dsn = proxy_dsn(proxy)});
    proxy_lose_answer(proxy, "keyless", 1);
    assert_true(
        tb_is(stage_do(&stage, cast(0, "", "keyless", 3), act_call, ENOUGH_MS), TB_E_IN_DOUBT));
    assert_int_equal(things(), 1);
    assert_int_equal(tb_store_stats(stage.store).resent, 0);
    assert_int_equal(tb_store_stats(stage.store).in_doubt, 1);
    stage_close(&stage);
    proxy_free(proxy);
}

static void stops_sending_a_call_that_always_loses_its_connection(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    stage_open(&stage, (struct tb_store_options){.dsn = proxy_dsn(proxy)});
    proxy_lose_answer(proxy, "\"cursed\"", 100);
    stage_start(&stage, cast(0, "cursed", "", 1), act_call, ENOUGH_MS);
    stage_start(&stage, cast(1, "blessed", "", 2), act_call, ENOUGH_MS);
    stage_wait(&stage, actors, 2);
    assert_true(tb_is(actors[0].err, TB_E_IN_DOUBT));
    assert_null(actors[1].err);
    assert_int_equal(things(), 2);
    proxy_lose_answer(proxy, "", 0);
    assert_null(
        stage_do(&stage, cast(0, "cursed", "", 1), act_call, ENOUGH_MS)); /* the client repeats */
    assert_true(actors[0].answer.replayed);
    assert_int_equal(things(), 2);
    stage_close(&stage);
    proxy_free(proxy);
}

static void does_not_take_a_later_failure_for_the_outcome_of_a_lost_attempt(void **state)
{
    (void)state;
    struct proxy *proxy = proxy_new(&stage.pg);
    stage_open(&stage, (struct tb_store_options){.dsn = proxy_dsn(proxy), .statement_ms = 150});
    proxy_lose_answer(proxy, "\"hung\"", 1);
    /* Both attempts pass the time limit, but the answer to the first was not heard. */
    assert_true(tb_is(stage_do(&stage, cast(0, "hung", "sleep", 60000), act_call, ENOUGH_MS),
                      TB_E_IN_DOUBT));
    assert_int_equal(tb_store_stats(stage.store).resent, 1);
    stage_close(&stage);
    proxy_free(proxy);
}

static void says_in_doubt_at_the_deadline_of_a_call_on_its_way(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    const long sleeps_ms = (long)stretched_ms(400);
    struct actor *slow = cast(0, "slow", "sleep", sleeps_ms);
    stage_start(&stage, slow, act_call, stretched_ms(80));
    until_sent(1);
    stage_start(&stage, cast(1, "behind", "", 1), act_call, stretched_ms(50)); /* never leaves */
    stage_wait(&stage, actors, 2);
    assert_true(tb_is(slow->err, TB_E_IN_DOUBT));
    assert_in_range(slow->took_us, 75000, 1000 * sleeps_ms - 1);
    assert_true(tb_is(actors[1].err, TB_E_DEADLINE));
    assert_null(stage_do(&stage, cast(2, "slow", "sleep", sleeps_ms), act_call, ENOUGH_MS));
    assert_true(actors[2].answer.replayed);
    assert_int_equal(things(), 1);
    stage_close(&stage);
}

static void finishes_a_call_whose_client_is_gone(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){0});
    struct actor *actor = cast(0, "gone", "sleep", 60);
    stage_start(&stage, actor, act_call, ENOUGH_MS);
    until_sent(1);
    tb_run_cancel(&actor->run);
    stage_wait(&stage, actor, 1);
    assert_null(actor->err);
    assert_int_equal(things(), 1);
    stage_close(&stage);
}

static void ends_a_call_the_server_finds_too_long(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1,
                                                 .statement_ms = stretched_ms(250)});
    stage_start(&stage, cast(0, "quick", "", 1), act_call, ENOUGH_MS);
    stage_start(&stage, cast(1, "endless", "sleep", 60000), act_call, ENOUGH_MS);
    stage_start(&stage, cast(2, "quick too", "", 2), act_call, ENOUGH_MS);
    stage_wait(&stage, actors, 3);
    assert_null(actors[0].err);
    assert_true(tb_is(actors[1].err, TB_E_DEADLINE));
    assert_null(actors[2].err);
    assert_int_equal(things(), 2);
    stage_close(&stage);
}

static void refuses_calls_beyond_the_queue_and_the_bound(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){
                           .batch_connections = 1, .batch_size = 1, .queue = 5, .wait_ms = 150});
    stage_start(&stage, cast(0, "", "sleep", (long)stretched_ms(600)), act_call, ENOUGH_MS);
    until_sent(1);
    for (size_t i = 1; i <= 7; i++)
        stage_start(&stage, cast(i, "", "", (long)i), act_call, ENOUGH_MS);
    assert_true(actors[6].ended && tb_is(actors[6].err, TB_E_OVERLOAD));
    assert_true(actors[7].ended && tb_is(actors[7].err, TB_E_OVERLOAD));
    stage_wait(&stage, actors, 8);
    for (size_t i = 1; i <= 5; i++)
        assert_true(tb_is(actors[i].err, TB_E_OVERLOAD)); /* nobody served them within 150 ms */
    assert_int_equal(actors[1].run.problem.retry_after_s, 1);
    assert_int_equal(things(), 1);
    stage_close(&stage);
}

static void resolves_calls_over_a_restart_of_the_server(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    stage_start(&stage, cast(0, "r0", "sleep", (long)stretched_ms(400)), act_call, ENOUGH_MS);
    until_sent(1);
    stage_start(&stage, cast(1, "r1", "", 1), act_call, ENOUGH_MS); /* waits behind it, unsent */
    pg_kill(&stage.pg);
    stage_wait(&stage, &actors[1], 1);
    assert_true(tb_is(actors[1].err, TB_E_STORE)); /* certain: nothing happened */
    assert_false(actors[0].ended);                 /* uncertain: not answered yet */
    stage_idle(&stage, 50);
    assert_true(tb_is(stage_do(&stage, cast(2, "r2", "", 2), act_call, ENOUGH_MS), TB_E_STORE));
    pg_start(&stage.pg);
    stage_wait(&stage, actors, 1);
    assert_null(actors[0].err);
    assert_int_equal(things(), 1);
    stage_close(&stage);
}

/* The places where a test may kill us must not change what happens when it does not. */
static void goes_on_as_ever_from_its_places_for_faults(void **state)
{
    (void)state;
#ifdef TB_FAULTS
    tb_fault_set("key_claimed:delay=1:*,before_ledger_tx:delay=1:*,in_ledger_tx:delay=1:*,"
                 "after_commit_before_reply:delay=1:*");
    stage_open(&stage, (struct tb_store_options){0});
    for (size_t i = 0; i < 20; i++)
        stage_start(&stage, cast(i, "", i == 3 ? "raise" : "", (long)i), act_call, ENOUGH_MS);
    stage_wait(&stage, actors, 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(actors[i].err == NULL, i != 3);
    assert_int_equal(things(), 19);
    stage_close(&stage);
    tb_fault_set(NULL);
#endif
}

#define CASE(name) cmocka_unit_test_setup(name, calls_clean)
static const struct CMUnitTest tests[] = {
    CASE(sends_a_lone_call_at_once),
    CASE(gathers_what_comes_while_connections_are_busy),
    CASE(keeps_the_calls_of_one_turn_together),
    CASE(answers_a_repeated_key_from_what_was_stored),
    CASE(does_one_effect_for_racing_calls_with_one_key),
    CASE(lets_a_poison_call_fail_alone_among_a_hundred),
    CASE(isolates_every_poison_of_many),
    CASE(tries_a_conflict_again_as_a_whole),
    CASE(gives_up_on_a_conflict_that_does_not_end),
    CASE(survives_a_deadlock_between_two_batches),
    CASE(takes_turns_between_books),
    CASE(tells_a_refusal_with_its_words),
    CASE(says_in_doubt_when_a_function_leaves_a_call_out),
    CASE(resolves_a_lost_answer_by_the_key),
    CASE(resolves_a_whole_batch_whose_answer_is_lost_twice),
    CASE(never_sends_a_call_without_key_twice),
    CASE(stops_sending_a_call_that_always_loses_its_connection),
    CASE(does_not_take_a_later_failure_for_the_outcome_of_a_lost_attempt),
    CASE(says_in_doubt_at_the_deadline_of_a_call_on_its_way),
    CASE(finishes_a_call_whose_client_is_gone),
    CASE(ends_a_call_the_server_finds_too_long),
    CASE(refuses_calls_beyond_the_queue_and_the_bound),
    CASE(resolves_calls_over_a_restart_of_the_server),
    CASE(goes_on_as_ever_from_its_places_for_faults),
};
TEST_GROUP(tests, calls_set_up, calls_tear_down);
