/* Faults on purpose. Compiled in test builds only. */
#include "runtime/fault.h"

#ifdef TB_FAULTS

#include "base/assert.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FAULTS_MAX = 8, NAME_MAX_BYTES = 48 };
enum action { KILL, ABORT, DELAY, ERROR };

struct fault {
    char name[NAME_MAX_BYTES];
    enum action action;
    long delay_ms;
    unsigned long hit, visits; /* hit 0: every visit */
};

static struct fault faults[FAULTS_MAX];
static size_t faults_n;
static bool loaded;

static void parse_action(struct fault *fault, const char *text)
{
    if (strcmp(text, "kill") == 0)
        fault->action = KILL;
    else if (strcmp(text, "abort") == 0)
        fault->action = ABORT;
    else if (strcmp(text, "error") == 0)
        fault->action = ERROR;
    else {
        TB_ASSERT(strncmp(text, "delay=", 6) == 0);
        fault->action = DELAY;
        fault->delay_ms = strtol(text + 6, NULL, 10);
    }
}

static void parse_fault(struct fault *fault, char *text)
{
    char *rest = NULL;
    const char *name = strtok_r(text, ":", &rest);
    const char *action = strtok_r(NULL, ":", &rest);
    const char *hit = strtok_r(NULL, ":", &rest);
    TB_ASSERT(name != NULL && strlen(name) < NAME_MAX_BYTES && action != NULL);
    *fault = (struct fault){.hit = 1};
    memcpy(fault->name, name, strlen(name) + 1);
    parse_action(fault, action);
    if (hit != NULL)
        fault->hit = strcmp(hit, "*") == 0 ? 0 : strtoul(hit, NULL, 10);
}

void tb_fault_set(const char *spec)
{
    char copy[512];
    loaded = true;
    faults_n = 0;
    if (spec == NULL)
        return;
    TB_ASSERT(strlen(spec) < sizeof(copy));
    memcpy(copy, spec, strlen(spec) + 1);
    char *rest = NULL;
    for (char *one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        TB_ASSERT(faults_n < FAULTS_MAX);
        parse_fault(&faults[faults_n++], one);
    }
}

/* Only one process of all that share the directory dies of a fault. */
static bool claim_death(const char *name)
{
    const char *dir = getenv("TB_FAULT_DIR");
    char path[4096];
    if (dir == NULL || dir[0] == '\0')
        return true;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static bool happen(const struct fault *fault)
{
    switch (fault->action) {
    case KILL:
        if (claim_death(fault->name))
            kill(getpid(), SIGKILL);
        return false;
    case ABORT:
        if (claim_death(fault->name))
            abort();
        return false;
    case DELAY:
        nanosleep(&(struct timespec){fault->delay_ms / 1000, fault->delay_ms % 1000 * 1000000},
                  NULL);
        return false;
    case ERROR:
        break;
    }
    return true;
}

bool tb_fault_armed(const char *name)
{
    if (!loaded)
        tb_fault_set(getenv("TB_FAULT"));
    for (size_t i = 0; i < faults_n; i++)
        if (strcmp(faults[i].name, name) == 0)
            return true;
    return false;
}

bool tb_fault(const char *name)
{
    if (!tb_fault_armed(name))
        return false;
    bool fail = false;
    for (size_t i = 0; i < faults_n; i++) {
        struct fault *fault = &faults[i];
        if (strcmp(fault->name, name) != 0)
            continue;
        fault->visits++;
        if (fault->hit == 0 || fault->hit == fault->visits)
            fail |= happen(fault);
    }
    return fail;
}

#else

/* ISO C wants a declaration in every file. */
typedef int tb_no_faults;

#endif
