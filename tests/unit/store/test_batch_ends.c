/* The ends of batched calls that do not come with an answer: what the server refuses, what loses
 * its place, its request, its connection or its store. */
#include "../unit.h"

#include "calls_fixture.h"
#include "proxy.h"
#include "store/store_impl.h"
#include <stdio.h>
#include <string.h>
#include <tongbao/plugin.h>

static int64_t ahead_ms;

int64_t __real_tb_loop_now_ms(struct tb_loop *loop);
int64_t __wrap_tb_loop_now_ms(struct tb_loop *loop);
int64_t __wrap_tb_loop_now_ms(struct tb_loop *loop)
{
    return __real_tb_loop_now_ms(loop) + ahead_ms;
}

/* One sweep as it would be after so much time; timers must not see it. */
static void sweep_after(int64_t ms)
{
    ahead_ms = ms;
    tb_batcher_sweep(stage.store->batcher, INT64_MIN);
    ahead_ms = 0;
}

static bool ended_as(const struct actor *actor, tb_err expected)
{
    return expected == NULL ? actor->err == NULL : tb_is(actor->err, expected);
}

/* Wait until the first `n` actors, whose calls are with the server, have given up waiting. */
static void until_forsaken(size_t n)
{
    until_sent(n);
    stage_wait(&stage, actors, n);
    for (size_t i = 0; i < n; i++)
        assert_true(tb_is(actors[i].err, TB_E_IN_DOUBT));
}

/* Take turns until no call is on its way any more. */
static void until_none_is_on_its_way(void)
{
    for (int turns = 0; tb_store_stats(stage.store).calls_in_flight > 0; turns++) {
        assert_true(turns < 4000);
        tb_loop_turn(stage.loop, 5);
    }
}

/* Each raises alone and together with another call, which must not suffer where the server was well
 * enough to do it. */
static void tells_by_the_sqlstate_what_became_of_a_call(void **state)
{
    (void)state;
    const struct {
        const char *what;
        tb_err alone, neighbour;
    } cases[] = {
        {"state 53200", TB_E_STORE,
         TB_E_STORE}, /* no memory: nothing of the batch is tried again */
        {"state 57P05", TB_E_STORE, TB_E_STORE},
        {"state 57014", TB_E_DEADLINE, NULL},
        {"state 40P01", TB_E_STORE, NULL},
        {"state 26000", TB_E_INTERNAL, NULL}, /* of the session, and yet no session can do it */
        {"state 42P05", TB_E_INTERNAL, NULL},
        {"state 0A000", TB_E_INTERNAL, NULL},
        {"state 25006", TB_E_INTERNAL, NULL},
    };
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        assert_true(tb_is(stage_do(&stage, cast(0, "", cases[i].what, 0), act_call, ENOUGH_MS),
                          cases[i].alone));
        stage_start(&stage, cast(1, "", cases[i].what, 0), act_call, ENOUGH_MS);
        stage_start(&stage, cast(2, "", "", (long)i), act_call, ENOUGH_MS);
        stage_wait(&stage, &actors[1], 2);
        assert_true(tb_is(actors[1].err, cases[i].alone));
        assert_true(ended_as(&actors[2], cases[i].neighbour));
    }
    assert_int_equal(things(), 6);
    assert_int_equal(tb_store_stats(stage.store).in_doubt, 0);
    stage_close(&stage);
}

/* Behind a call that takes long, calls give up from the middle, the end and the whole of their
 * group, and groups from every place in the circle. */
static void lets_a_call_leave_its_line_from_any_place(void **state)
{
    (void)state;
    static const struct {
        int32_t book;
        const char *key;
        bool leaves;
    } line[] = {
        {7, "", true},  {1, "", false},  {1, "", true},    {1, "", false},
        {1, "", true},  {2, "", true},   {2, "k2", false}, {2, "", true},
        {3, "", false}, {4, "k4", true}, {4, "", false},   {5, "", true},
    };
    enum { LINE = TB_COUNT(line) };
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1,
                                                 .wait_ms = ENOUGH_MS,
                                                 .statement_ms = ENOUGH_MS});
    stage_start(&stage, cast(0, "", "sleep", (long)stretched_ms(300)), act_call, ENOUGH_MS);
    until_sent(1);
    for (size_t i = 0; i < LINE; i++) {
        struct actor *actor = cast(1 + i, line[i].key, "", (long)i);
        actor->book = line[i].book;
        stage_start(&stage, actor, act_call, line[i].leaves ? 20 : ENOUGH_MS);
    }
    for (size_t i = 0; i < LINE; i++)
        if (line[i].leaves)
            stage_wait(&stage, &actors[1 + i], 1);
    assert_false(actors[0].ended);
    assert_int_equal(tb_store_stats(stage.store).calls_queued, 5);
    cast(LINE + 1, "", "", 1)->book = 6; /* go to the ends as they are now, of the circle */
    cast(LINE + 2, "", "", 1)->book = 1; /* and of a group */
    stage_start(&stage, &actors[LINE + 1], act_call, ENOUGH_MS);
    stage_start(&stage, &actors[LINE + 2], act_call, ENOUGH_MS);
    stage_wait(&stage, actors, LINE + 3);
    for (size_t i = 0; i < LINE; i++)
        assert_true(ended_as(&actors[1 + i], line[i].leaves ? TB_E_DEADLINE : NULL));
    assert_null(actors[LINE + 1].err);
    assert_null(actors[LINE + 2].err);
    assert_int_equal(things(), 8);
    assert_int_equal(tb_store_stats(stage.store).calls_in_flight, 0);
    stage_close(&stage);
}

/* A request that stopped waiting was told already; what becomes of its call changes nothing. */
static void does_not_count_a_call_in_doubt_twice(void **state)
{
    (void)state;
    const long sleeps_ms = (long)stretched_ms(300);
    struct proxy *proxy = proxy_new(&stage.pg);
    stage_open(&stage, (struct tb_store_options){.dsn = proxy_dsn(proxy),
                                                 .batch_connections = 1,
                                                 .statement_ms = ENOUGH_MS});
    for (size_t i = 0; i < 2; i++) {
        proxy_lose_answer(proxy, "sleep", 1);
        stage_start(&stage, cast(0, i == 0 ? "" : "forsaken", "sleep", sleeps_ms), act_call,
                    sleeps_ms / 2);
        until_forsaken(1);
        until_none_is_on_its_way();
        assert_int_equal(tb_store_stats(stage.store).in_doubt, i + 1);
        assert_int_equal(things(), i + 1); /* nor is it sent again for nobody */
    }
    stage_close(&stage);
    proxy_free(proxy);
}

static void ends_calls_that_nobody_waits_for(void **state)
{
    (void)state;
    static const char raises[] = "sleep and raise";
    const long sleeps_ms = (long)stretched_ms(300);
    stage_open(&stage,
               (struct tb_store_options){.batch_connections = 1, .statement_ms = ENOUGH_MS});
    stage_start(&stage, cast(0, "", "sleep", sleeps_ms), act_call, sleeps_ms / 2);
    until_forsaken(1);
    until_none_is_on_its_way();
    assert_int_equal(things(), 1);
    stage_start(&stage, cast(0, "", raises, sleeps_ms), act_call, sleeps_ms / 2);
    until_forsaken(1);
    until_none_is_on_its_way();
    assert_int_equal(tb_store_stats(stage.store).poisoned, 1);
    stage_start(&stage, cast(0, "", "sleep", sleeps_ms), act_call, sleeps_ms / 2);
    stage_start(&stage, cast(1, "", raises, 0), act_call, sleeps_ms / 2);
    until_forsaken(2);
    until_none_is_on_its_way();
    assert_int_equal(tb_store_stats(stage.store).splits, 1);
    assert_int_equal(tb_store_stats(stage.store).poisoned, 1); /* the halves were not sent */
    assert_int_equal(things(), 1);
    stage_close(&stage);
}

static void leaves_in_doubt_what_cannot_be_sent_again_for_half_a_minute(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    stage_start(&stage, cast(0, "u0", "sleep", 60000), act_call, ENOUGH_MS);
    stage_start(&stage, cast(1, "u1", "sleep", 60000), act_call, stretched_ms(100));
    until_sent(2);
    pg_kill(&stage.pg);
    stage_wait(&stage, &actors[1], 1);
    stage_idle(&stage, 50);
    sweep_after(10 * 1000);
    assert_int_equal(tb_store_stats(stage.store).calls_in_flight, 2);
    sweep_after(31 * 1000);
    assert_int_equal(tb_store_stats(stage.store).calls_in_flight, 0);
    stage_wait(&stage, actors, 1);
    assert_true(tb_is(actors[0].err, TB_E_IN_DOUBT));
    assert_true(tb_is(actors[1].err, TB_E_IN_DOUBT));
    assert_int_equal(tb_store_stats(stage.store).in_doubt, 2);
    stage_close(&stage);
    pg_start(&stage.pg);
}

/* Nothing may be left behind: the sanitizers look. */
static void closes_with_calls_that_nobody_waits_for(void **state)
{
    (void)state;
    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    stage_start(&stage, cast(0, "c0", "sleep", 60000), act_call, stretched_ms(100));
    until_forsaken(1);
    assert_int_equal(tb_store_stats(stage.store).calls_in_flight, 1); /* with the server */
    stage_close(&stage);

    stage_open(&stage, (struct tb_store_options){.batch_connections = 1});
    stage_start(&stage, cast(0, "c1", "sleep", 60000), act_call, stretched_ms(100));
    until_sent(1);
    pg_kill(&stage.pg);
    stage_wait(&stage, actors, 1);
    stage_idle(&stage, 50);
    assert_int_equal(tb_store_stats(stage.store).calls_in_flight, 1); /* to be sent again */
    stage_close(&stage);
    pg_start(&stage.pg);
}

#define CASE(name) cmocka_unit_test_setup(name, calls_clean)
static const struct CMUnitTest tests[] = {
    CASE(tells_by_the_sqlstate_what_became_of_a_call),
    CASE(lets_a_call_leave_its_line_from_any_place),
    CASE(does_not_count_a_call_in_doubt_twice),
    CASE(ends_calls_that_nobody_waits_for),
    CASE(leaves_in_doubt_what_cannot_be_sent_again_for_half_a_minute),
    CASE(closes_with_calls_that_nobody_waits_for),
};
TEST_GROUP(tests, calls_set_up, calls_tear_down);
