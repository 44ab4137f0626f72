/* What a file of unit tests begins with: cmocka, and how the file's tests become a group of the
 * room's program. tests/unit/store/test_batch.c is the group "batch" of unit_store:
 *
 *     static const struct CMUnitTest tests[] = {cmocka_unit_test(does_this), ...};
 *     TEST_GROUP(tests, set_up, tear_down);
 */
#ifndef TB_TESTS_UNIT_H
#define TB_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the headers above */

struct test_group {
    const char *file; /* its path; test_<name>.c names the group */
    const struct CMUnitTest *tests;
    size_t tests_n;
    CMFixtureFunction set_up, tear_down;
    char name[48];
    struct test_group *next;
};

/** Make the rows of `tests` a group. `set_up` and `tear_down` (NULL: none) run once before and
 * after its tests, and not at all when none of them is wanted. */
#define TEST_GROUP(tests, set_up, tear_down)                                                       \
    static struct test_group test_group;                                                           \
    static void __attribute__((constructor)) add_test_group(void)                                  \
    {                                                                                              \
        test_group_add(&test_group);                                                               \
    }                                                                                              \
    static struct test_group test_group = {                                                        \
        __FILE__, tests, sizeof(tests) / sizeof((tests)[0]), set_up, tear_down, "", NULL}

/** Add a group to those of the program; TEST_GROUP calls it before main. */
void test_group_add(struct test_group *group);

/** Run what the command line names: `group`, `group::test` (`*` and `?` match as in file names),
 * nothing for all; `--list` prints the names instead. TB_TEST=test chooses tests where no `::`
 * does. Several groups run one after the other in a process each, so that none meets what another
 * left behind. The main of every program, unless the room has one of its own that calls it.
 * @return 0; 1: a test failed, or no test has such a name */
int test_groups_run(int argc, char **argv);

#endif
