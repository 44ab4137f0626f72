/* Generations and binaries change while clients keep asking, and no client notices. */
#include "../unit.h"

#include "service.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct service s;

static int up(void **state)
{
    (void)state;
    service_up(&s, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    service_end(&s);
    return 0;
}

/** Ask without a pause until only this generation is left; every question must be answered, and in
 * the end by the new one. */
static void ask_until_generation(int generation)
{
    int pid, answered, counter;
    int64_t until = service_now_ms() + stretched_ms(20000);
    do {
        for (int i = 0; i < 50; i++)
            assert_true(service_ask(&s, 'w', &pid, &answered, &counter));
        assert_true(service_now_ms() < until);
    } while (!service_renewed(&s, generation - 1));
    for (int i = 0; i < 50; i++) {
        assert_true(service_ask(&s, 'w', &pid, &answered, &counter));
        assert_int_equal(answered, generation);
    }
}

static void no_question_goes_unanswered_over_a_new_generation(void **state)
{
    (void)state;
    for (int generation = 2; generation <= 6; generation++) {
        kill(s.pid, SIGHUP);
        ask_until_generation(generation);
    }
}

static void a_request_in_flight_is_finished_by_the_old_generation(void **state)
{
    (void)state;
    int fd = service_send(&s, 's'), pid, generation, counter;
    usleep((useconds_t)stretched_ms(50) * 1000);
    kill(s.pid, SIGHUP);
    service_wait(service_generation(&s) == 2 && service_count(&s, "serving") == 2, 3000);
    assert_true(service_read(fd, &pid, &generation, &counter));
    assert_int_equal(generation, 1);
    service_wait(!process_lives(pid), 1000);
}

static void a_generation_that_is_slow_to_start_changes_nothing_until_it_is_ready(void **state)
{
    (void)state;
    int64_t slow_ms = stretched_ms(800) < 2000 ? stretched_ms(800) : 2000; /* it may take 3 s */
    s.play->slow_ms = (int)slow_ms;
    kill(s.pid, SIGHUP);
    int pid, generation, counter;
    for (int64_t until = service_now_ms() + slow_ms / 2; service_now_ms() < until;) {
        assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
        assert_int_equal(generation, 1);
    }
    ask_until_generation(2);
}

static void the_old_generation_answers_until_the_new_one_accepts(void **state)
{
    (void)state;
    int pid, generation, counter;
    s.play->go_ms = 1500;
    kill(s.pid, SIGHUP);
    for (int64_t until = service_now_ms() + stretched_ms(20000); !service_renewed(&s, 1);) {
        int64_t asked = service_now_ms();
        assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
        assert_in_range(service_now_ms() - asked, 0,
                        1300); /* less than until the new one accepts */
        assert_true(service_now_ms() < until);
    }
}

static void a_generation_that_refuses_leaves_the_old_one_serving(void **state)
{
    (void)state;
    int pid, generation, counter;
    s.play->refuse_from = 2;
    kill(s.pid, SIGHUP);
    service_wait(service_file_has(&s, "status.json", "plugin test: wrong ABI 2"), 3000);
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    assert_int_equal(generation, 1);
    s.play->refuse_from = 0;
    kill(s.pid, SIGHUP);
    ask_until_generation(3);
}

static void a_configuration_that_is_bad_leaves_the_old_generation_serving(void **state)
{
    (void)state;
    s.play->workers = -1;
    kill(s.pid, SIGHUP);
    service_wait(service_file_has(&s, "status.json", "the configuration is bad"), 3000);
    s.play->workers = 2;
    int pid, generation, counter;
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    assert_int_equal(generation, 1);
}

static void a_generation_may_have_more_workers(void **state)
{
    (void)state;
    s.play->workers = 4;
    kill(s.pid, SIGHUP);
    service_wait(service_renewed(&s, 1), 4000);
    assert_int_equal(service_count(&s, "serving"), 4);
}

static void a_worker_that_falls_in_an_old_generation_is_not_mourned(void **state)
{
    (void)state;
    int fd = service_send(&s, 's'), pid, generation, counter;
    usleep((useconds_t)stretched_ms(50) * 1000);
    kill(s.pid, SIGHUP);
    service_wait(service_generation(&s) == 2 && service_count(&s, "draining") == 1, 3000);
    int starts = s.play->starts;
    service_ask(&s, 'w', &pid, &generation, &counter);
    close(fd);
    service_wait(service_count(&s, "draining") == 0, 3000);
    assert_int_equal(s.play->starts, starts);
}

static void shared_memory_outlives_generations_and_binaries(void **state)
{
    (void)state;
    int pid, generation, counter;
    for (int i = 1; i <= 3; i++) {
        assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
        assert_int_equal(counter, i);
    }
    kill(s.pid, SIGHUP);
    service_wait(service_renewed(&s, 1), 4000);
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    assert_int_equal(counter, 4);
    kill(s.pid, SIGUSR2);
    service_wait(service_renewed(&s, 2), 4000);
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    assert_int_equal(counter, 5);
    s.play->limit_layout = 7;
    int before = service_generation(&s);
    kill(s.pid, SIGHUP);
    service_wait(service_renewed(&s, before), 4000);
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    assert_int_equal(counter, 1);
}

static void a_new_binary_takes_over_and_no_question_goes_unanswered(void **state)
{
    (void)state;
    int pid, before, generation, counter, asked = 0;
    assert_true(service_ask(&s, 'w', &pid, &before, &counter));
    kill(s.pid, SIGUSR2);
    int64_t until = service_now_ms() + stretched_ms(20000);
    while (!service_renewed(&s, before)) {
        assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
        asked++;
        assert_true(service_now_ms() < until);
    }
    assert_true(asked > 0);
    assert_true(process_lives(s.pid));
    assert_true(service_file_has(&s, "log", "binary_changes"));

    /* The master that came keeps the same promises. */
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    kill(pid, SIGKILL);
    service_wait(service_count(&s, "serving") == 2 && !process_lives(pid), 2000);
    kill(s.pid, SIGTERM);
    int status = service_join(&s, 4000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_binary_that_does_not_take_the_configuration_is_refused(void **state)
{
    (void)state;
    s.play->check_exit = 1;
    kill(s.pid, SIGUSR2);
    service_wait(service_file_has(&s, "status.json", "does not accept the configuration"), 3000);
    int pid, generation, counter;
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    assert_int_equal(generation, 1);
    assert_false(service_file_has(&s, "log", "binary_changes"));
}

static void a_new_binary_whose_workers_refuse_leaves_the_old_workers_serving(void **state)
{
    (void)state;
    s.play->refuse_from = 2;
    kill(s.pid, SIGUSR2);
    service_wait(service_file_has(&s, "status.json", "plugin test: wrong ABI"), 4000);
    assert_true(service_file_has(&s, "log", "binary_changes"));
    int pid, generation, counter;
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    assert_int_equal(generation, 1);
    s.play->refuse_from = 0;
    int before = generation;
    kill(s.pid, SIGHUP);
    service_wait(service_renewed(&s, before), 4000);
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, up, end)

static const struct CMUnitTest tests[] = {
    STARTED(no_question_goes_unanswered_over_a_new_generation),
    STARTED(a_request_in_flight_is_finished_by_the_old_generation),
    STARTED(a_generation_that_is_slow_to_start_changes_nothing_until_it_is_ready),
    STARTED(the_old_generation_answers_until_the_new_one_accepts),
    STARTED(a_generation_that_refuses_leaves_the_old_one_serving),
    STARTED(a_configuration_that_is_bad_leaves_the_old_generation_serving),
    STARTED(a_generation_may_have_more_workers),
    STARTED(a_worker_that_falls_in_an_old_generation_is_not_mourned),
    STARTED(shared_memory_outlives_generations_and_binaries),
    STARTED(a_new_binary_takes_over_and_no_question_goes_unanswered),
    STARTED(a_binary_that_does_not_take_the_configuration_is_refused),
    STARTED(a_new_binary_whose_workers_refuse_leaves_the_old_workers_serving),
};
TEST_GROUP(tests, NULL, NULL);
