/* The figures of docs/decisions/0006-rate-limits.md: what one check costs, alone and among others.
 */
#include "gateway/limit.h"
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 4000000 };

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static struct tb_limit_set windows(size_t n, int64_t quota)
{
    static const char *const names[] = {"burst", "daily", "write", "month"};
    struct tb_limit_window all[4];
    struct tb_limit_set set;
    char why[128];
    for (size_t i = 0; i < n; i++)
        all[i] = (struct tb_limit_window){names[i], quota, 60000 << (4 * i),
                                          i == 2 ? TB_LIMIT_ROUTE : TB_LIMIT_APP};
    if (!tb_limit_set_init(&set, all, n, why, sizeof why))
        printf("%s\n", why);
    return set;
}

static double measure(struct tb_limiter *limiter, const struct tb_limit_set *set, size_t apps)
{
    static const char ids[][31] = {
        "app_01k9x3m6h0g00801v9r5t2n8qa", "app_01k9x3m6h0g00801v9r5t2n8qb",
        "app_01k9x3m6h0g00801v9r5t2n8qc", "app_01k9x3m6h0g00801v9r5t2n8qd"};
    struct tb_limit_subject subjects[4];
    struct tb_limit_verdict verdict;
    for (size_t i = 0; i < 4; i++)
        subjects[i] = (struct tb_limit_subject){.app = {ids[i], 30},
                                                .product = TB_STR("e-payment"),
                                                .route = TB_STR("POST /e-payment/v1/payments")};
    int64_t began = now_ns(), admitted = 0;
    for (int i = 0; i < ROUNDS; i++)
        admitted += tb_limit_take(limiter, set, &subjects[(size_t)i % apps], 1, began + i,
                                  &verdict);
    int64_t ended = now_ns();
    if (admitted < 0)
        printf("%ld", (long)admitted);
    return (double)(ended - began) / ROUNDS;
}

int main(void)
{
    size_t bytes = tb_limiter_bytes(TB_LIMIT_BUCKETS);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct tb_limiter *limiter = tb_limiter_open(memory, bytes);
    for (size_t n = 1; n <= 4; n++) {
        struct tb_limit_set wide = windows(n, INT64_C(100000000)), narrow = windows(n, 1);
        printf("%zu window%s: admitted %.1f ns", n, n == 1 ? "" : "s", measure(limiter, &wide, 4));
        printf(", refused %.1f ns\n", measure(limiter, &narrow, 4));
    }
    struct tb_limit_set one = windows(1, INT64_C(100000000));
    fflush(stdout);
    for (int p = 0; p < 2; p++) {
        if (fork() != 0)
            continue;
        printf("one bucket, 2 processes: %.1f ns each\n", measure(limiter, &one, 1));
        fflush(stdout);
        _exit(0);
    }
    while (wait(NULL) > 0)
        ;
    struct tb_limit_set set = windows(2, 1000);
    struct tb_limit_verdict verdict = {.set = &set, .remaining = 957, .reset_s = 43};
    char out[TB_LIMIT_HEADER_BYTES];
    size_t sum = 0;
    int64_t began = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        verdict.remaining = 957 - (i & 511);
        sum += tb_limit_header(&verdict, out);
    }
    printf("RateLimit header: %.1f ns (%zu bytes)\n", (double)(now_ns() - began) / ROUNDS,
           sum / ROUNDS);
    tb_limiter_close(limiter);
    return 0;
}
