/* The master keeps its processes: it starts them together, replaces those that fall, ends those
 * that hang, and takes all of them along when it ends. */
#include "../unit.h"

#include "service.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct service s;

static int prepare(void **state)
{
    (void)state;
    service_prepare(&s, 2);
    return 0;
}

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

static int pid_of_a_worker(void)
{
    int pid, generation, counter;
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    return pid;
}

static void serves_when_every_worker_is_ready(void **state)
{
    (void)state;
    service_start(&s);
    service_wait_serving(&s);
    int pid, generation, counter;
    assert_true(service_ask(&s, 'w', &pid, &generation, &counter));
    assert_int_equal(generation, 1);
    assert_int_not_equal(pid, s.pid);
}

static void says_why_and_fails_when_a_worker_refuses_at_the_start(void **state)
{
    (void)state;
    s.play->refuse_from = 1;
    service_start(&s);
    int status = service_join(&s, 5000);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(service_file_has(&s, "log", "cannot start: plugin test: wrong ABI 1"));
}

static void says_why_and_fails_when_a_worker_dies_at_the_start(void **state)
{
    (void)state;
    s.play->die_from = 1;
    service_start(&s);
    assert_int_equal(WEXITSTATUS(service_join(&s, 5000)), 1);
    assert_true(service_file_has(&s, "log", "cannot start: died of signal 6"));
}

static void gives_up_on_a_worker_that_does_not_become_ready(void **state)
{
    (void)state;
    s.play->slow_ms = 20000;
    service_start(&s);
    assert_int_equal(WEXITSTATUS(service_join(&s, 8000)), 1);
    assert_true(service_file_has(&s, "log", "did not become ready in time"));
}

static void refuses_a_run_directory_that_is_in_use(void **state)
{
    (void)state;
    struct service second = s;
    service_start(&second);
    assert_int_equal(WEXITSTATUS(service_join(&second, 5000)), 1);
    assert_true(service_file_has(&s, "log", "another tongbao runs with this run directory"));
    (void)pid_of_a_worker();
}

static void refuses_an_address_that_is_in_use(void **state)
{
    (void)state;
    struct service second;
    service_prepare(&second, 1);
    for (size_t i = 0; i < sizeof(second.play->listen); i++)
        second.play->listen[i] = s.play->listen[i];
    service_start(&second);
    assert_int_equal(WEXITSTATUS(service_join(&second, 5000)), 1);
    assert_true(service_file_has(&second, "log", "Address already in use"));
    service_end(&second);
}

static void replaces_a_killed_worker_within_a_second(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        int victim = pid_of_a_worker();
        int starts = s.play->starts;
        usleep(1100000); /* it has served long enough not to count as dying fast */
        kill(victim, SIGKILL);
        service_wait(s.play->starts > starts && service_count(&s, "serving") == 2, 1000);
        assert_false(process_lives(victim));
    }
}

static void waits_longer_each_time_a_worker_dies_at_once(void **state)
{
    (void)state;
    s.play->die_from = 1;
    kill(pid_of_a_worker(), SIGKILL);
    usleep(2000000);
    /* 0 + 50 + 100 + 200 + 400 + 800 ms: six attempts and a bit of luck, not hundreds */
    assert_in_range(s.play->starts - 2, 3, 8);
    (void)pid_of_a_worker(); /* the other one still serves */
    s.play->die_from = 0;
    service_wait(service_count(&s, "serving") == 2, 4000);
}

static void ends_a_worker_whose_loop_hangs_and_says_what_it_served(void **state)
{
    (void)state;
    service_hit(&s, 'h');
    service_wait(service_crashes(&s) == 1, 6000);
    assert_true(service_crash_has(&s, "\"signal\": \"ABRT\""));
    assert_true(service_crash_has(&s, "POST /test/v1/h"));
    service_wait(service_count(&s, "serving") == 2, 1000);
}

static void leaves_a_worker_alone_that_somebody_has_stopped(void **state)
{
    (void)state;
    int pid = pid_of_a_worker();
    kill(pid, SIGSTOP);
    usleep(4500000);
    assert_true(process_lives(pid));
    kill(pid, SIGCONT);
    usleep(1500000);
    assert_true(process_lives(pid));
    assert_int_equal(service_crashes(&s), 0);
}

static void finishes_what_is_begun_before_it_ends(void **state)
{
    (void)state;
    int fd = service_send(&s, 's');
    usleep((useconds_t)stretched_ms(100) * 1000);
    kill(s.pid, SIGTERM);
    int pid, generation, counter;
    assert_true(service_read(fd, &pid, &generation, &counter));
    int status = service_join(&s, 2500);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(process_lives(pid));
    assert_false(service_file_has(&s, "status.json", ""));
}

static void ends_at_once_when_told_so(void **state)
{
    (void)state;
    int pid = pid_of_a_worker(), generation, counter;
    int fd = service_send(&s, 's');
    kill(s.pid, SIGQUIT);
    service_join(&s, 1000);
    assert_false(process_lives(pid));
    assert_false(service_read(fd, &pid, &generation, &counter)); /* what was begun is left */
}

/* While the answer to a request `s` is far from there. */
static void early_in_the_request(void)
{
    usleep((useconds_t)s.play->think_ms * 100);
}

static void ends_at_once_at_the_second_request(void **state)
{
    (void)state;
    int fd = service_send(&s, 's'), pid, generation, counter;
    early_in_the_request();
    kill(s.pid, SIGINT);
    early_in_the_request();
    kill(s.pid, SIGINT);
    service_join(&s, 1000);
    assert_false(service_read(fd, &pid, &generation, &counter)); /* what was begun is left */
}

static void leaves_no_process_when_it_is_killed(void **state)
{
    (void)state;
    int first = pid_of_a_worker(), second = first;
    service_wait((second = pid_of_a_worker()) != first, 5000);
    kill(s.pid, SIGKILL);
    service_join(&s, 1000);
    service_wait(!process_lives(first) && !process_lives(second), 3000);
}

static void gives_the_address_free_at_once_when_it_is_killed(void **state)
{
    (void)state;
    int fd = service_send(&s, 's'), pid, generation, counter;
    early_in_the_request();
    kill(s.pid, SIGKILL);
    service_join(&s, 1000);
    usleep((useconds_t)stretched_ms(100) * 1000);
    service_start(&s); /* while an old worker is finishing its request */
    service_wait_serving(&s);
    assert_true(service_read(fd, &pid, &generation, &counter));
}

#define STARTED(test)  cmocka_unit_test_setup_teardown(test, up, end)
#define PREPARED(test) cmocka_unit_test_setup_teardown(test, prepare, end)

static const struct CMUnitTest tests[] = {
    PREPARED(serves_when_every_worker_is_ready),
    PREPARED(says_why_and_fails_when_a_worker_refuses_at_the_start),
    PREPARED(says_why_and_fails_when_a_worker_dies_at_the_start),
    PREPARED(gives_up_on_a_worker_that_does_not_become_ready),
    STARTED(refuses_a_run_directory_that_is_in_use),
    STARTED(refuses_an_address_that_is_in_use),
    STARTED(replaces_a_killed_worker_within_a_second),
    STARTED(waits_longer_each_time_a_worker_dies_at_once),
    STARTED(ends_a_worker_whose_loop_hangs_and_says_what_it_served),
    STARTED(leaves_a_worker_alone_that_somebody_has_stopped),
    STARTED(finishes_what_is_begun_before_it_ends),
    STARTED(ends_at_once_when_told_so),
    STARTED(ends_at_once_at_the_second_request),
    STARTED(leaves_no_process_when_it_is_killed),
    STARTED(gives_the_address_free_at_once_when_it_is_killed),
};
TEST_GROUP(tests, NULL, NULL);
