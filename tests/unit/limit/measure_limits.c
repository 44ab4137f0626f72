/* The figures of docs/decisions/0006-rate-limits.md: what one check costs.
 */
#include "limit/limit.h"
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

enum { ROUNDS = 200, CHECKS = 20000 };

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
                                          i == 2 ? TB_LIMIT_ROUTE : TB_LIMIT_APP, TB_LIMIT_ROLLING};
    if (!tb_limit_set_init(&set, all, n, why, sizeof(why)))
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
    int64_t best = INT64_MAX, admitted = 0;
    for (int r = 0; r < ROUNDS; r++) {
        int64_t began = now_ns();
        for (size_t i = 0; i < CHECKS; i++)
            admitted += tb_limit_take(limiter, set, &subjects[i % apps], 1, began, &verdict);
        int64_t took = now_ns() - began;
        best = took < best ? took : best;
    }
    if (admitted < 0) /* keep the compiler from dropping it all */
        printf("%ld", (long)admitted);
    return (double)best / CHECKS;
}

static double measure_header(const struct tb_limit_set *set)
{
    struct tb_limit_verdict verdict = {.set = set, .reset_s = 43};
    char out[TB_LIMIT_HEADER_BYTES];
    int64_t best = INT64_MAX;
    size_t sum = 0;
    for (int r = 0; r < ROUNDS; r++) {
        int64_t began = now_ns();
        for (int i = 0; i < CHECKS; i++) {
            verdict.remaining = 957 - (i & 511);
            sum += tb_limit_header(&verdict, out);
        }
        int64_t took = now_ns() - began;
        best = took < best ? took : best;
    }
    if (sum == 0)
        printf("0");
    return (double)best / CHECKS;
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
    struct tb_limit_set set = windows(2, 1000);
    printf("RateLimit header: %.1f ns\n", measure_header(&set));
    tb_limiter_close(limiter);
    return 0;
}
