/* Runs: problems as they are told, jobs without a client, work on helper threads. */
#include "../unit.h"

#include "runtime/run.h"
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

static int set_up(void **state)
{
    *state = tb_loop_new();
    return 0;
}

static int tear_down(void **state)
{
    tb_loop_free(*state);
    return 0;
}

static void records_the_first_detail_and_every_place(void **state)
{
    struct tb_run run;
    tb_run_init(&run, *state, tb_arena_new(TB_ARENA_CAP));
    struct tb_req *req = &run.req;
    assert_true(tb_is(tb_fail_at(req, TB_E_INVALID, "/amount", "%d is too much", 7), TB_E_INVALID));
    assert_true(tb_is(tb_fail_at(req, TB_E_AMOUNT_RANGE, "", "no"), TB_E_AMOUNT_RANGE));
    assert_true(tb_is(tb_fail(req, TB_E_NOT_FOUND, "no %s", "such"), TB_E_NOT_FOUND));
    assert_string_equal(run.problem.detail.at, "7 is too much");
    assert_int_equal(run.problem.places_n, 2);
    assert_string_equal(run.problem.places[0].pointer, "/amount");
    assert_string_equal(run.problem.places[0].code, "invalid_body");
    assert_string_equal(run.problem.places[1].pointer, "");
    assert_string_equal(run.problem.places[1].detail, "no");
    for (int i = 0; i < 40; i++)
        (void)!tb_fail_at(req, TB_E_INVALID, "/x", "again");
    assert_int_equal(run.problem.places_n, TB_RUN_ERRORS);
    assert_int_equal(run.problem.places_total, 42);
    tb_arena_free(run.arena);
}

static void says_internal_when_the_arena_is_used_up(void **state)
{
    struct tb_run run;
    tb_run_init(&run, *state, tb_arena_new(TB_ARENA_CHUNK));
    assert_null(tb_alloc(&run.req, 2 * TB_ARENA_CHUNK));
    assert_true(tb_is(tb_fail(&run.req, TB_E_INVALID, "whatever"), TB_E_INTERNAL));
    tb_arena_free(run.arena);
}

static tb_err double_it(struct tb_req *req, void *arg)
{
    TB_TRY(tb_sleep(req, 1));
    assert_non_null(tb_alloc(req, 100));
    *(int *)arg *= 2;
    return NULL;
}

static tb_err give_up(struct tb_req *req, void *arg)
{
    (void)arg;
    return tb_fail(req, TB_E_CONFLICT, "the job gives up");
}

static tb_err sleep_too_long(struct tb_req *req, void *arg)
{
    (void)arg;
    return tb_sleep(req, 60000);
}

static void runs_a_job_to_its_end(void **state)
{
    int number = 21;
    assert_null(tb_run_to_end(*state, double_it, &number, 0));
    assert_int_equal(number, 42);
    assert_true(tb_is(tb_run_to_end(*state, give_up, NULL, 0), TB_E_CONFLICT));
    assert_true(tb_is(tb_run_to_end(*state, sleep_too_long, NULL, 15), TB_E_DEADLINE));
}

static void leaves_a_detached_job_to_itself(void **state)
{
    int number = 21;
    assert_null(tb_run_detached(*state, "double", double_it, &number, 1000));
    assert_null(tb_run_detached(*state, "quitter", give_up, NULL, 1000));
    assert_int_equal(number, 21);
    for (int i = 0; i < 100 && number == 21; i++)
        tb_loop_turn(*state, 10);
    assert_int_equal(number, 42);
    assert_int_equal(tb_fiber_stats(*state).live, 0);
}

static void tells_the_time_left(void **state)
{
    struct tb_run run;
    tb_run_init(&run, *state, NULL);
    assert_int_equal(tb_run_left_ms(&run, 123), 123);
    run.deadline_ms = tb_loop_now_ms(*state) + 50;
    assert_int_equal(tb_run_left_ms(&run, 123), 50);
    run.deadline_ms -= 100;
    assert_int_equal(tb_run_left_ms(&run, 123), 0);
}

struct errand {
    pthread_t thread;
    int n;
};

static void work(void *arg)
{
    struct errand *errand = arg;
    usleep(2000);
    errand->thread = pthread_self();
    errand->n++;
}

static tb_err send_errand(struct tb_req *req, void *arg)
{
    struct errand *errand = arg;
    for (int i = 0; i < 3; i++)
        TB_TRY(tb_offload(req, work, errand));
    return NULL;
}

static void does_blocking_work_on_another_thread(void **state)
{
    struct errand errand = {0};
    assert_null(tb_run_to_end(*state, send_errand, &errand, 1000));
    assert_int_equal(errand.n, 3);
    assert_false(pthread_equal(errand.thread, pthread_self()));
}

static int refused, done;
static sem_t gate;

static void wait_at_gate(void *arg)
{
    (void)arg;
    sem_wait(&gate);
}

static tb_err one_errand(struct tb_req *req, void *arg)
{
    (void)arg;
    tb_err err = tb_offload(req, wait_at_gate, NULL);
    *(tb_is(err, TB_E_OVERLOAD) ? &refused : &done) += 1;
    return NULL;
}

static void refuses_blocking_work_beyond_the_queue(void **state)
{
    refused = done = 0;
    sem_init(&gate, 0, 0);
    for (int i = 0; i < 300; i++)
        assert_null(tb_run_detached(*state, "errand", one_errand, NULL, 0));
    for (int i = 0; i < 300; i++)
        sem_post(&gate);
    for (int i = 0; i < 1000 && tb_fiber_stats(*state).live > 0; i++)
        tb_loop_turn(*state, 100);
    assert_int_equal(refused + done, 300);
    assert_in_range(done, 256, 256 + 4); /* the queue, and what the threads had taken by then */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(records_the_first_detail_and_every_place),
    CASE(says_internal_when_the_arena_is_used_up),
    CASE(runs_a_job_to_its_end),
    CASE(leaves_a_detached_job_to_itself),
    CASE(tells_the_time_left),
    CASE(does_blocking_work_on_another_thread),
    CASE(refuses_blocking_work_beyond_the_queue),
};
TEST_GROUP(tests, NULL, NULL);
