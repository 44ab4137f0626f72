/* The groups of a program of unit tests, and the names on its command line. */
#include "unit.h"

#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct test_group *groups; /* sorted by name */

void test_group_add(struct test_group *group)
{
    const char *base = strrchr(group->file, '/');
    base = base == NULL ? group->file : base + 1;
    snprintf(group->name, sizeof(group->name), "%.*s", (int)strcspn(base + strlen("test_"), "."),
             base + strlen("test_"));
    struct test_group **at = &groups;
    while (*at != NULL && strcmp((*at)->name, group->name) < 0)
        at = &(*at)->next;
    group->next = *at;
    *at = group;
}

/* ---- what is wanted ---- */

struct wanted {
    char group[48];
    const char *test;
};

static struct wanted wanted_of(const char *name)
{
    struct wanted w;
    const char *parted = strstr(name, "::");
    size_t n = parted == NULL ? strlen(name) : (size_t)(parted - name);
    snprintf(w.group, sizeof(w.group), "%.*s", (int)n, name);
    w.test = parted != NULL ? parted + 2 : getenv("TB_TEST");
    if (w.test == NULL)
        w.test = "*";
    return w;
}

static bool has(const struct test_group *group, const struct wanted *w)
{
    if (fnmatch(w->group, group->name, 0) != 0)
        return false;
    for (size_t i = 0; i < group->tests_n; i++)
        if (fnmatch(w->test, group->tests[i].name, 0) == 0)
            return true;
    return false;
}

/* The next group, from `group` on, that has such tests. */
static const struct test_group *find(const struct test_group *group, const struct wanted *w)
{
    while (group != NULL && !has(group, w))
        group = group->next;
    return group;
}

/* ---- running it ---- */

static bool run_here(const struct test_group *group, const struct wanted *w)
{
    cmocka_set_test_filter(w->test);
    return _cmocka_run_group_tests(group->name, group->tests, group->tests_n, group->set_up,
                                   group->tear_down) == 0;
}

static bool run_in_child(const struct test_group *group, const struct wanted *w)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        exit(run_here(group, w) ? 0 : 1);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s was ended by signal %d\n", group->name, WTERMSIG(status));
    return status == 0;
}

static bool run(const char *name)
{
    struct wanted w = wanted_of(name);
    const struct test_group *group = find(groups, &w);
    if (group == NULL) {
        fprintf(stderr, "no test is called %s::%s\n", w.group, w.test);
        return false;
    }
    if (find(group->next, &w) == NULL)
        return run_here(group, &w);
    bool passed = true;
    for (; group != NULL; group = find(group->next, &w))
        passed &= run_in_child(group, &w);
    return passed;
}

static void list(void)
{
    for (const struct test_group *group = groups; group != NULL; group = group->next)
        for (size_t i = 0; i < group->tests_n; i++)
            printf("%s::%s\n", group->name, group->tests[i].name);
}

int test_groups_run(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return 0;
    }
    bool passed = argc > 1 || run("*");
    for (int i = 1; i < argc; i++)
        passed &= run(argv[i]);
    return passed ? 0 : 1;
}
