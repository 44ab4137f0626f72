/* Faults on purpose: the right place, the right visit, one death for all processes of a test. */
#include "../unit.h"

#include "../yardstick.h"

#include "runtime/fault.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef TB_FAULTS

static void fails_at_the_named_place_and_visit_only(void **state)
{
    (void)state;
    tb_fault_set("here:error:2,there:error:*");
    assert_false(TB_FAULT("here"));
    assert_true(TB_FAULT("here"));
    assert_false(TB_FAULT("here"));
    assert_true(TB_FAULT("there"));
    assert_true(TB_FAULT("there"));
    assert_false(TB_FAULT("elsewhere"));
    tb_fault_set(NULL);
    assert_false(TB_FAULT("there"));
}

static void delays_without_failing(void **state)
{
    (void)state;
    struct timespec before, after;
    tb_fault_set("slow:delay=30");
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_false(TB_FAULT("slow"));
    clock_gettime(CLOCK_MONOTONIC, &after);
    int64_t ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    assert_in_range(ms, 29, stretched_ms(1000));
    tb_fault_set(NULL);
}

/* The signal that ended a child which visited `name`, 0 if it survived. */
static int visit_in_child(const char *name)
{
    pid_t child = fork();
    if (child == 0) {
        (void)TB_FAULT(name);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void dies_once_for_all_processes_of_a_directory(void **state)
{
    (void)state;
    char dir[] = "/tmp/tb-fault-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    tb_fault_set("gone:kill");
    assert_int_equal(visit_in_child("gone"), SIGKILL);
    assert_int_equal(visit_in_child("gone"), SIGKILL);
    setenv("TB_FAULT_DIR", dir, 1);
    assert_int_equal(visit_in_child("gone"), SIGKILL);
    assert_int_equal(visit_in_child("gone"), 0);
    unsetenv("TB_FAULT_DIR");
    tb_fault_set("gone:abort");
    assert_int_equal(visit_in_child("gone"), SIGABRT);
    tb_fault_set(NULL);
    snprintf(path, sizeof(path), "%s/gone", dir);
    unlink(path);
    rmdir(dir);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(fails_at_the_named_place_and_visit_only),
    cmocka_unit_test(delays_without_failing),
    cmocka_unit_test(dies_once_for_all_processes_of_a_directory),
};
TEST_GROUP(tests, NULL, NULL);

#else

static void are_absent_from_this_build(void **state)
{
    (void)state;
    setenv("TB_FAULT", "here:error:*", 1);
    assert_false(TB_FAULT("here"));
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(are_absent_from_this_build)};
TEST_GROUP(tests, NULL, NULL);

#endif
