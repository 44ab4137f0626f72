/* Rate limits: what passes, what is told, and that it is exact however many processes ask. */
#include "../unit.h"

#include "base/mem.h"
#include "base/random.h"
#include "limit/limit.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define S     INT64_C(1000000000) /* ns */
#define START (12345 * S)

/* A limiter over fresh shared memory, as a worker has it. */
struct bench {
    void *memory;
    size_t bytes;
    struct tb_limiter *limiter;
};

static struct bench bench_open(size_t buckets)
{
    struct bench b = {.bytes = tb_limiter_bytes(buckets)};
    b.memory = mmap(NULL, b.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(b.memory, MAP_FAILED);
    b.limiter = tb_limiter_open(b.memory, b.bytes);
    return b;
}

static void bench_close(struct bench *b)
{
    tb_limiter_close(b->limiter);
    munmap(b->memory, b->bytes);
}

static struct tb_limit_set set_of(const struct tb_limit_window *windows, size_t n)
{
    char why[128] = "";
    struct tb_limit_set set;
    if (!tb_limit_set_init(&set, windows, n, why, sizeof(why)))
        fail_msg("%s", why);
    return set;
}

static struct tb_limit_set one_window(int64_t quota, int64_t window_s)
{
    struct tb_limit_window window = {"burst", quota, window_s * 1000, TB_LIMIT_APP,
                                     TB_LIMIT_ROLLING};
    return set_of(&window, 1);
}

static struct tb_limit_subject app(const char *name)
{
    return (struct tb_limit_subject){
        .app = tb_str(name), .product = TB_STR("e-payment"), .route = TB_STR("GET /x")};
}

static int64_t take_many(struct bench *b, const struct tb_limit_set *set, const char *name,
                         int64_t n, int64_t now)
{
    struct tb_limit_subject subject = app(name);
    struct tb_limit_verdict verdict;
    int64_t admitted = 0;
    for (int64_t i = 0; i < n; i++)
        admitted += tb_limit_take(b->limiter, set, &subject, 1, now, &verdict);
    return admitted;
}

static void assert_header(const struct tb_limit_verdict *verdict, const char *expected)
{
    char header[TB_LIMIT_HEADER_BYTES + 1];
    header[tb_limit_header(verdict, header)] = '\0';
    assert_string_equal(header, expected);
}

static void lets_the_quota_through_and_not_one_more(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    static const int64_t quotas[] = {1, 2, 7, 60, 600, 99999};
    for (size_t i = 0; i < TB_COUNT(quotas); i++) {
        char name[16];
        snprintf(name, sizeof(name), "app%zu", i);
        struct tb_limit_set set = one_window(quotas[i], 60);
        assert_int_equal(take_many(&b, &set, name, quotas[i] + 10, START), quotas[i]);
    }
    bench_close(&b);
}

static void returns_the_quota_evenly(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    struct tb_limit_set set = one_window(60, 60);
    assert_int_equal(take_many(&b, &set, "a", 100, START), 60);
    assert_int_equal(take_many(&b, &set, "a", 5, START + S - 1), 0);
    assert_int_equal(take_many(&b, &set, "a", 5, START + S), 1);
    assert_int_equal(take_many(&b, &set, "a", 5, START + 11 * S), 5);
    assert_int_equal(take_many(&b, &set, "a", 100, START + 11 * S), 5);
    assert_int_equal(take_many(&b, &set, "a", 100, START + 1000 * S), 60);
    bench_close(&b);
}

static void tells_what_is_left_and_when_to_come_back(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    struct tb_limit_set set = one_window(60, 60);
    struct tb_limit_subject subject = app("a");
    struct tb_limit_verdict v;
    assert_true(tb_limit_take(b.limiter, &set, &subject, 1, START, &v));
    assert_header(&v, "\"burst\";r=59;t=1");
    assert_true(tb_limit_take(b.limiter, &set, &subject, 9, START, &v));
    assert_header(&v, "\"burst\";r=50;t=10");
    assert_true(tb_limit_take(b.limiter, &set, &subject, 0, START, &v));
    assert_header(&v, "\"burst\";r=50;t=10");
    assert_true(tb_limit_take(b.limiter, &set, &subject, 48, START, &v));
    assert_false(tb_limit_take(b.limiter, &set, &subject, 5, START, &v));
    assert_header(&v, "\"burst\";r=2;t=3");
    assert_int_equal(v.retry_after_s, 3);
    assert_false(tb_limit_take(b.limiter, &set, &subject, 5, START + 2 * S, &v));
    assert_int_equal(v.retry_after_s, 1);
    assert_true(tb_limit_take(b.limiter, &set, &subject, 5, START + 3 * S, &v));
    assert_header(&v, "\"burst\";r=0;t=60");
    bench_close(&b);
}

static void keeps_its_promise_of_when_to_come_back(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    struct tb_limit_set set = one_window(7, 61); /* no whole interval */
    struct tb_limit_subject subject = app("a");
    struct tb_limit_verdict v;
    int64_t now = START;
    for (int i = 0; i < 200; i++) {
        while (tb_limit_take(b.limiter, &set, &subject, 1, now, &v))
            now += 12345678;
        assert_in_range(v.retry_after_s, 1, 9);
        now += v.retry_after_s * S;
        assert_true(tb_limit_take(b.limiter, &set, &subject, 1, now, &v));
    }
    bench_close(&b);
}

static void counts_a_cost_above_the_quota_as_all_of_it(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    struct tb_limit_set set = one_window(10, 10);
    struct tb_limit_subject subject = app("a");
    struct tb_limit_verdict v;
    assert_true(tb_limit_take(b.limiter, &set, &subject, INT64_MAX, START, &v));
    assert_false(tb_limit_take(b.limiter, &set, &subject, INT64_MAX, START, &v));
    assert_int_equal(v.retry_after_s, 10);
    assert_true(tb_limit_take(b.limiter, &set, &subject, INT64_MAX, START + 10 * S, &v));
    bench_close(&b);
}

static void takes_all_windows_or_none(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    static const struct tb_limit_window windows[] = {
        {"burst", 100, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING},
        {"daily", 150, 86400000, TB_LIMIT_APP, TB_LIMIT_ROLLING},
        {"write", 10, 1000, TB_LIMIT_ROUTE, TB_LIMIT_ROLLING}};
    struct tb_limit_set both = set_of(windows, 2), three = set_of(windows, 3);
    struct tb_limit_subject subject = app("a");
    struct tb_limit_verdict v;
    assert_string_equal(three.policy,
                        "\"burst\";q=100;w=60, \"daily\";q=150;w=86400, \"write\";q=10;w=1");
    assert_int_equal(three.policy_n, strlen(three.policy));

    assert_int_equal(take_many(&b, &three, "a", 50, START), 10); /* the others gave nothing away */
    assert_int_equal(take_many(&b, &both, "a", 200, START), 90);
    assert_false(tb_limit_take(b.limiter, &three, &subject, 1, START, &v));
    assert_int_equal(v.violated, 1 << 0 | 1 << 2);
    assert_int_equal(v.tightest, 0); /* 0.6 s against 0.1 s */

    int64_t later = START + 60 * S; /* the burst is whole again, of the day 50 are left */
    assert_int_equal(take_many(&b, &both, "a", 200, later), 50);
    assert_false(tb_limit_take(b.limiter, &both, &subject, 1, later, &v));
    assert_int_equal(v.violated, 1 << 1);
    assert_header(&v, "\"daily\";r=0;t=516"); /* 576 s for each of the day, 60 have gone */

    struct tb_arena *arena = tb_arena_new(4096);
    struct tb_text text;
    tb_text_init(&text, arena);
    v.violated = 1 << 0 | 1 << 1;
    tb_limit_violated(&v, &text);
    assert_string_equal(tb_text_end(&text).at, "[\"burst\",\"daily\"]");
    tb_arena_free(arena);

    struct tb_limit_set none = set_of(NULL, 0);
    assert_true(tb_limit_take(b.limiter, &none, &subject, 1, START, &v));
    assert_header(&v, "");
    assert_string_equal(none.policy, "");
    bench_close(&b);
}

static void shows_the_tightest_window(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    static const struct tb_limit_window windows[] = {
        {"burst", 10, 10000, TB_LIMIT_APP, TB_LIMIT_ROLLING},
        {"daily", 14, 86400000, TB_LIMIT_APP, TB_LIMIT_ROLLING}};
    struct tb_limit_set set = set_of(windows, 2);
    struct tb_limit_subject subject = app("a");
    struct tb_limit_verdict v;
    assert_true(tb_limit_take(b.limiter, &set, &subject, 3, START, &v));
    assert_header(&v, "\"burst\";r=7;t=3");
    assert_true(tb_limit_take(b.limiter, &set, &subject, 1, START + 10 * S, &v));
    assert_header(&v, "\"burst\";r=9;t=1");
    assert_true(tb_limit_take(b.limiter, &set, &subject, 4, START + 20 * S, &v));
    assert_int_equal(v.tightest, 0);
    assert_true(tb_limit_take(b.limiter, &set, &subject, 2, START + 30 * S, &v));
    assert_header(&v, "\"daily\";r=4;t=61685");
    bench_close(&b);
}

static void keeps_apps_products_and_routes_apart(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    static const struct tb_limit_window windows[] = {
        {"a", 5, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING},
        {"p", 5, 60000, TB_LIMIT_PRODUCT, TB_LIMIT_ROLLING},
        {"r", 5, 60000, TB_LIMIT_ROUTE, TB_LIMIT_ROLLING}};
    const struct tb_limit_subject first = {TB_STR("app_1"), TB_STR("p1"), TB_STR("GET /1")};
    const struct {
        struct tb_limit_subject subject;
        bool shares[3];
    } cases[] = {
        {{TB_STR("app_1"), TB_STR("p1"), TB_STR("GET /1")}, {true, true, true}},
        {{TB_STR("app_1"), TB_STR("p1"), TB_STR("GET /2")}, {true, true, false}},
        {{TB_STR("app_1"), TB_STR("p2"), TB_STR("GET /3")}, {true, false, false}},
        {{TB_STR("app_2"), TB_STR("p1"), TB_STR("GET /1")}, {false, false, false}},
        {{TB_STR("app_1\0"), TB_STR("p1"), TB_STR("GET /1")}, {false, false, false}},
    };
    struct tb_limit_verdict v;
    for (size_t w = 0; w < 3; w++) {
        struct tb_limit_set set = set_of(&windows[w], 1);
        assert_true(tb_limit_take(b.limiter, &set, &first, 5, START, &v));
        for (size_t i = 0; i < TB_COUNT(cases); i++)
            assert_int_equal(tb_limit_take(b.limiter, &set, &cases[i].subject, 1, START, &v),
                             !cases[i].shares[w]);
    }
    bench_close(&b);
}

static void is_exact_for_quotas_of_any_size(void **state)
{
    (void)state;
    static const int64_t cases[][2] = {/* quota, window in s */
                                       {3, 7},           {1000, 1},
                                       {1000000, 60},    {1000003, 60},
                                       {1000000000, 60}, {12345678901, 86400},
                                       {100000000, 1},   {1000000000000, 86400 * 7}};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct bench b = bench_open(64);
        int64_t quota = cases[i][0], window = cases[i][1], cost = quota / 10000 + 1, admitted = 0;
        struct tb_limit_set set = one_window(quota, window);
        struct tb_limit_subject subject = app("a");
        struct tb_limit_verdict v;
        for (int64_t step = 0; step <= 40000; step++) { /* two windows, much too fast */
            int64_t now = START + window * S / 20000 * step;
            admitted += tb_limit_take(b.limiter, &set, &subject, cost, now, &v) ? cost : 0;
            admitted += tb_limit_take(b.limiter, &set, &subject, cost, now, &v) ? cost : 0;
        }
        if (admitted > 3 * quota || admitted < 3 * quota - 3 * quota / 100 - cost)
            fail_msg("%ld in %ld s: %ld admitted of %ld", (long)quota, (long)window, (long)admitted,
                     (long)(3 * quota));
        bench_close(&b);
    }
}

/* ---- many at once ---- */

enum { PROCESSES = 4, THREADS = 2 };

/* What the processes of a test do, and count together. */
struct crowd {
    struct bench *b;
    const struct tb_limit_set *sets;
    size_t sets_n;
    size_t apps;
    int64_t rounds;   /* of each thread */
    int64_t until_ns; /* real time instead of rounds: 0 none */
    _Atomic int64_t admitted[256];
};

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * S + now.tv_nsec;
}

static void *hammer(void *arg)
{
    struct crowd *crowd = arg;
    struct tb_limit_verdict v;
    uint64_t random = tb_random_u64() | 1;
    for (int64_t i = 0; crowd->until_ns != 0 || i < crowd->rounds; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t which = (size_t)(random >> 33) % crowd->apps;
        char name[32];
        snprintf(name, sizeof(name), "a%zu", which);
        struct tb_limit_subject subject = app(name);
        int64_t now = crowd->until_ns == 0 ? START : monotonic_ns();
        if (crowd->until_ns != 0 && now >= crowd->until_ns)
            break;
        const struct tb_limit_set *set = &crowd->sets[(random >> 20) % crowd->sets_n];
        if (tb_limit_take(crowd->b->limiter, set, &subject, 1, now, &v))
            atomic_fetch_add(&crowd->admitted[which], 1);
    }
    return NULL;
}

static void run_crowd(struct crowd *crowd)
{
    for (int p = 0; p < PROCESSES; p++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid != 0)
            continue;
        pthread_t threads[THREADS];
        for (int t = 0; t < THREADS; t++)
            pthread_create(&threads[t], NULL, hammer, crowd);
        for (int t = 0; t < THREADS; t++)
            pthread_join(threads[t], NULL);
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status = -1;
        wait(&status);
        assert_int_equal(status, 0);
    }
}

static struct crowd *crowd_open(struct bench *b, const struct tb_limit_set *sets, size_t sets_n)
{
    struct crowd *crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(crowd, MAP_FAILED);
    crowd->b = b;
    crowd->sets = sets;
    crowd->sets_n = sets_n;
    crowd->apps = 1;
    return crowd;
}

static void crowd_close(struct crowd *crowd)
{
    munmap(crowd, sizeof(*crowd));
}

static void is_exact_over_processes_at_one_moment(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    struct tb_limit_set set = one_window(100000, 60);
    struct crowd *crowd = crowd_open(&b, &set, 1);
    crowd->rounds = 50000;
    run_crowd(crowd);
    assert_int_equal(crowd->admitted[0], 100000);
    crowd_close(crowd);
    bench_close(&b);
}

static void is_exact_over_processes_in_real_time(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    struct tb_limit_set set = one_window(20000, 1);
    struct crowd *crowd = crowd_open(&b, &set, 1);
    /* Emptied before, and what is left in the end is taken then: it does not matter when the others
     * get to run. */
    int64_t began = monotonic_ns();
    assert_int_equal(take_many(&b, &set, "a0", 20001, began), 20000);
    crowd->until_ns = began + S;
    run_crowd(crowd);
    int64_t left = take_many(&b, &set, "a0", 20001, crowd->until_ns);
    assert_int_equal(crowd->admitted[0] + left, 20000);
    crowd_close(crowd);
    bench_close(&b);
}

/* Two sets share the daily window; each has a window of its own that runs out first for some. */
static void never_lets_more_through_when_windows_disagree(void **state)
{
    (void)state;
    static const struct tb_limit_window first[] = {
        {"daily", 60000, 86400000, TB_LIMIT_APP, TB_LIMIT_ROLLING},
        {"reads", 40000, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING}};
    static const struct tb_limit_window second[] = {
        {"writes", 30000, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING},
        {"daily", 60000, 86400000, TB_LIMIT_APP, TB_LIMIT_ROLLING}};
    struct bench b = bench_open(64);
    struct tb_limit_set sets[] = {set_of(first, 2), set_of(second, 2)};
    struct crowd *crowd = crowd_open(&b, sets, 2);
    crowd->rounds = 60000;
    run_crowd(crowd);
    assert_in_range(crowd->admitted[0], 60000 * 99 / 100, 60000);
    crowd_close(crowd);
    bench_close(&b);
}

static void goes_on_in_the_next_generation(void **state)
{
    (void)state;
    struct bench b = bench_open(64);
    struct tb_limit_set set = one_window(100, 60);
    assert_int_equal(take_many(&b, &set, "a", 70, START), 70);
    struct bench next = b;
    next.limiter = tb_limiter_open(b.memory, b.bytes);
    assert_int_equal(take_many(&next, &set, "a", 70, START), 30);
    assert_int_equal(take_many(&b, &set, "a", 70, START), 0);
    tb_limiter_close(next.limiter);
    bench_close(&b);
}

/* ---- a crowded table ---- */

static void passes_full_buckets_on_without_loss(void **state)
{
    (void)state;
    struct bench b = bench_open(32);
    struct tb_limit_set set = one_window(10, 1);
    char name[16];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "app%d", i);
        assert_int_equal(take_many(&b, &set, name, 20, START + i * S), 10);
    }
    struct tb_limiter_stats stats = tb_limiter_stats(b.limiter);
    assert_int_equal(stats.buckets, 32);
    assert_int_equal(stats.used, 32);
    assert_int_equal(stats.passed_on, 500 - 32);
    assert_int_equal(stats.shared, 0);
    bench_close(&b);
}

static void shares_buckets_rather_than_letting_more_through(void **state)
{
    (void)state;
    struct bench b = bench_open(32);
    struct tb_limit_set set = one_window(10, 60);
    char name[16];
    int served = 0;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "app%d", i);
        int64_t admitted = take_many(&b, &set, name, 20, START);
        assert_true(admitted <= 10);
        served += admitted == 10;
    }
    assert_in_range(served, 32, 64); /* their own buckets and the shared ones of this length */
    assert_true(tb_limiter_stats(b.limiter).shared > 0);

    /* Other lengths of window share among themselves only. */
    struct tb_limit_set daily = one_window(10, 86400);
    assert_int_equal(take_many(&b, &daily, "b", 20, START), 10);

    bench_close(&b);
}

static void takes_along_what_was_taken_from_a_shared_bucket(void **state)
{
    (void)state;
    struct bench b = bench_open(32);
    struct tb_limit_set brief = one_window(1, 1), set = one_window(10, 60);
    char name[16];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "app%d", i);
        take_many(&b, &brief, name, 1, START);
    }
    assert_int_equal(take_many(&b, &set, "a", 20, START), 10);
    assert_int_equal(tb_limiter_stats(b.limiter).passed_on, 0);
    assert_int_equal(take_many(&b, &set, "a", 20, START + 13 * S), 2); /* in one of its own now */
    assert_int_equal(tb_limiter_stats(b.limiter).passed_on, 1);
    bench_close(&b);
}

static void stays_within_the_quota_while_buckets_change_hands(void **state)
{
    (void)state;
    struct bench b = bench_open(32);
    struct tb_limit_set set = one_window(50, 60);
    struct crowd *crowd = crowd_open(&b, &set, 1);
    crowd->apps = 200;
    crowd->rounds = 20000;
    run_crowd(crowd);
    for (size_t i = 0; i < crowd->apps; i++)
        assert_true(crowd->admitted[i] <= 50 + PROCESSES * THREADS);
    crowd_close(crowd);
    bench_close(&b);
}

static void serves_on_when_processes_are_killed(void **state)
{
    (void)state;
    struct bench b = bench_open(32);
    struct tb_limit_set set = one_window(10000, 1);
    struct crowd *crowd = crowd_open(&b, &set, 1);
    crowd->apps = 100;
    crowd->until_ns = monotonic_ns() + 600 * S;
    for (int i = 0; i < 30; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            hammer(crowd);
            _exit(0);
        }
        usleep(3000 + (useconds_t)(tb_random_u64() % 3000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    int64_t now = monotonic_ns() + 100 * S;
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "a%d", i);
        assert_int_equal(take_many(&b, &set, name, 11000, now + i * 3 * S), 10000);
    }
    crowd_close(crowd);
    bench_close(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lets_the_quota_through_and_not_one_more),
    cmocka_unit_test(returns_the_quota_evenly),
    cmocka_unit_test(tells_what_is_left_and_when_to_come_back),
    cmocka_unit_test(keeps_its_promise_of_when_to_come_back),
    cmocka_unit_test(counts_a_cost_above_the_quota_as_all_of_it),
    cmocka_unit_test(takes_all_windows_or_none),
    cmocka_unit_test(shows_the_tightest_window),
    cmocka_unit_test(keeps_apps_products_and_routes_apart),
    cmocka_unit_test(is_exact_for_quotas_of_any_size),
    cmocka_unit_test(is_exact_over_processes_at_one_moment),
    cmocka_unit_test(is_exact_over_processes_in_real_time),
    cmocka_unit_test(never_lets_more_through_when_windows_disagree),
    cmocka_unit_test(goes_on_in_the_next_generation),
    cmocka_unit_test(passes_full_buckets_on_without_loss),
    cmocka_unit_test(shares_buckets_rather_than_letting_more_through),
    cmocka_unit_test(takes_along_what_was_taken_from_a_shared_bucket),
    cmocka_unit_test(stays_within_the_quota_while_buckets_change_hands),
    cmocka_unit_test(serves_on_when_processes_are_killed),
};
TEST_GROUP(tests, NULL, NULL);
