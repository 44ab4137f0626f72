#include "yardstick.h"

#include <time.h>

enum { STEPS = 40000000, REFERENCE_US = 60000, MOST_PERCENT = 2000 };

/* The wall time of a computation that is long enough to be preempted where others want the
 * processor, too, against what it takes where nothing else runs. */
static int64_t measure(void)
{
    struct timespec from, to;
    volatile uint64_t kept = 1;
    uint64_t n = kept;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < STEPS; i++)
        n = n * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    kept = n;
    clock_gettime(CLOCK_MONOTONIC, &to);
    int64_t us = (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
    int64_t percent = us * 100 / REFERENCE_US;
    return percent < 100 ? 100 : percent > MOST_PERCENT ? MOST_PERCENT : percent;
}

int64_t stretched_ms(int64_t ms)
{
    static int64_t percent;
    if (percent == 0)
        percent = measure();
    return ms * percent / 100;
}

int64_t thread_cpu_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}
