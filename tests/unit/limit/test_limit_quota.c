/* Quotas of a day and of a month: at most so many in each, whenever they come, however many
 * processes ask; and what a rolling window admits, said exactly. The clocks are the test's. */
#include "../unit.h"

#include "base/time.h"
#include "limit/limit_table.h"
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define S      INT64_C(1000000000) /* ns */
#define START  (12345 * S)
#define HOUR_S INT64_C(3600)
#define DAY_S  (24 * HOUR_S)

struct bench {
    void *memory;
    size_t bytes;
    struct tb_limiter *limiter;
    int64_t from_ms; /* what the wall clock shows at START */
};

static int64_t instant(const char *text)
{
    int64_t ms;
    assert_true(tb_time_parse(tb_str(text), &ms));
    return ms;
}

static struct bench bench_open(size_t buckets, const char *from)
{
    struct bench b = {.bytes = tb_limiter_bytes(buckets), .from_ms = instant(from)};
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

/* Ask `at_s` seconds after the begin. */
static bool take(struct bench *b, const struct tb_limit_set *set, const char *app, int64_t at_s,
                 struct tb_limit_verdict *v)
{
    struct tb_limit_subject subject = {.app = tb_str(app)};
    tb_limiter_date(b->limiter, b->from_ms + at_s * 1000);
    return tb_limit_take(b->limiter, set, &subject, 1, START + at_s * S, v);
}

static int64_t take_many(struct bench *b, const struct tb_limit_set *set, int64_t n, int64_t at_s)
{
    struct tb_limit_verdict v;
    int64_t admitted = 0;
    for (int64_t i = 0; i < n; i++)
        admitted += take(b, set, "a", at_s, &v);
    return admitted;
}

static void assert_header(const struct tb_limit_verdict *verdict, const char *expected)
{
    char header[TB_LIMIT_HEADER_BYTES + 1];
    header[tb_limit_header(verdict, header)] = '\0';
    assert_string_equal(header, expected);
}

/* Far more than the quota, at every hour of three days: no day has more than the quota. */
static void lets_the_quota_through_on_each_day_and_not_one_more(void **state)
{
    (void)state;
    static const struct tb_limit_window window = {"daily", 100, 0, TB_LIMIT_APP, TB_LIMIT_DAY};
    struct tb_limit_set set = set_of(&window, 1);
    struct bench b = bench_open(64, "2026-02-27T00:00:00Z");
    int64_t of_day[3] = {0};
    assert_string_equal(set.policy, "\"daily\";q=100;w=86400");
    for (int64_t hour = 0; hour < 72; hour++)
        of_day[hour / 24] += take_many(&b, &set, 9, hour * HOUR_S + 1799);
    for (size_t day = 0; day < 3; day++)
        assert_int_equal(of_day[day], 100);
    bench_close(&b);
}

static void begins_a_day_at_midnight_of_utc(void **state)
{
    (void)state;
    static const struct tb_limit_window window = {"daily", 7, 0, TB_LIMIT_APP, TB_LIMIT_DAY};
    struct tb_limit_set set = set_of(&window, 1);
    struct bench b = bench_open(64, "2026-12-31T23:59:50Z");
    struct tb_limit_verdict v;
    assert_true(take(&b, &set, "a", 0, &v));
    assert_header(&v, "\"daily\";r=6;t=10");
    assert_int_equal(take_many(&b, &set, 20, 1), 6);
    assert_false(take(&b, &set, "a", 2, &v));
    assert_header(&v, "\"daily\";r=0;t=8");
    assert_int_equal(v.retry_after_s, 8);
    assert_int_equal(take_many(&b, &set, 20, 9), 0);
    assert_int_equal(take_many(&b, &set, 20, 10), 7); /* not only what has come back since */
    bench_close(&b);
}

static void counts_months_as_the_calendar_does(void **state)
{
    (void)state;
    static const struct tb_limit_window window = {"monthly", 50, 0, TB_LIMIT_APP, TB_LIMIT_MONTH};
    static const int64_t days[] = {31, 29, 31, 30}; /* 2028 is a leap year */
    struct tb_limit_set set = set_of(&window, 1);
    struct bench b = bench_open(64, "2028-01-01T00:00:00Z");
    struct tb_limit_verdict v;
    int64_t day = 0;
    assert_string_equal(set.policy, "\"monthly\";q=50");
    for (size_t month = 0; month < 4; month++) {
        int64_t admitted = 0;
        for (int64_t end = day + days[month]; day < end; day++)
            admitted += take_many(&b, &set, 5, day * DAY_S);
        assert_int_equal(admitted, 50);
    }
    assert_true(take(&b, &set, "a", day * DAY_S + 60, &v));
    assert_int_equal(v.reset_s, 31 * DAY_S - 60);
    assert_int_equal(v.remaining, 49);
    bench_close(&b);
}

static void never_is_whole_again_because_the_clock_went_back(void **state)
{
    (void)state;
    static const struct tb_limit_window window = {"daily", 5, 0, TB_LIMIT_APP, TB_LIMIT_DAY};
    struct tb_limit_set set = set_of(&window, 1);
    struct bench b = bench_open(64, "2026-05-05T00:00:01Z");
    assert_int_equal(take_many(&b, &set, 3, 0), 3);
    b.from_ms -= 2000; /* the day before */
    assert_int_equal(take_many(&b, &set, 9, 0), 2);
    b.from_ms += 2000;
    assert_int_equal(take_many(&b, &set, 9, 0), 0);
    bench_close(&b);
}

static void takes_a_quota_and_a_burst_together_or_none(void **state)
{
    (void)state;
    static const struct tb_limit_window windows[] = {
        {"burst", 10, 10000, TB_LIMIT_APP, TB_LIMIT_ROLLING},
        {"daily", 25, 0, TB_LIMIT_APP, TB_LIMIT_DAY},
        {"monthly", 30, 0, TB_LIMIT_APP, TB_LIMIT_MONTH}};
    struct tb_limit_set set = set_of(windows, 3);
    struct bench b = bench_open(64, "2026-06-29T12:00:00Z");
    struct tb_limit_verdict v;
    assert_string_equal(set.policy,
                        "\"burst\";q=10;w=10, \"daily\";q=25;w=86400, \"monthly\";q=30");
    assert_int_equal(take_many(&b, &set, 50, 0), 10);
    assert_int_equal(take_many(&b, &set, 50, 10), 10);
    assert_int_equal(take_many(&b, &set, 50, 20), 5);
    assert_false(take(&b, &set, "a", 20, &v));
    assert_int_equal(v.violated, 1 << 1); /* the refused took nothing from the others */
    assert_header(&v, "\"daily\";r=0;t=43180");
    assert_int_equal(take_many(&b, &set, 50, 12 * HOUR_S), 5);
    assert_false(take(&b, &set, "a", 12 * HOUR_S, &v));
    assert_int_equal(v.violated, 1 << 2);
    assert_header(&v, "\"monthly\";r=0;t=86400");
    assert_true(take(&b, &set, "a", 36 * HOUR_S, &v)); /* July */
    bench_close(&b);
}

/* What the documents say of a rolling window: in any time d at most q + q*d/w, so within w up to
 * 2q - 1; and that is reached. */
static void admits_of_a_rolling_window_what_the_documents_say(void **state)
{
    (void)state;
    static const struct tb_limit_window window = {"burst", 5, 10000, TB_LIMIT_APP,
                                                  TB_LIMIT_ROLLING};
    struct tb_limit_set set = set_of(&window, 1);
    struct bench b = bench_open(64, "2026-01-01T00:00:00Z");
    struct tb_limit_subject subject = {.app = TB_STR("a")};
    struct tb_limit_verdict v;
    enum { STEPS = 4000, MS = 10 };
    static int admitted[STEPS + 1]; /* before that step */
    int most = 0;
    for (int i = 0; i < STEPS; i++) { /* asked all the time */
        bool yes = tb_limit_take(b.limiter, &set, &subject, 1, START + i * MS * S / 1000, &v);
        admitted[i + 1] = admitted[i] + yes;
    }
    for (int from = 0; from < STEPS; from++)
        for (int to = from + 1; to <= STEPS && to - from <= 10000 / MS; to++) {
            int n = admitted[to] - admitted[from];
            assert_true(n <= 5 + 5 * (to - from) * MS / 10000);
            most = n > most ? n : most;
        }
    assert_int_equal(most, 9);
    bench_close(&b);
}

static void passes_the_places_of_days_gone_by_on(void **state)
{
    (void)state;
    static const struct tb_limit_window window = {"daily", 10, 0, TB_LIMIT_APP, TB_LIMIT_DAY};
    struct tb_limit_set set = set_of(&window, 1);
    struct bench b = bench_open(32, "2026-01-01T00:00:00Z");
    struct tb_limit_verdict v;
    char name[16];
    for (int i = 0; i < 320; i++) {
        int64_t admitted = 0;
        snprintf(name, sizeof(name), "app%d", i);
        for (int n = 0; n < 20; n++)
            admitted += take(&b, &set, name, i / 8 * DAY_S, &v);
        assert_int_equal(admitted, 10);
    }
    assert_int_equal(tb_limiter_stats(b.limiter).shared, 0);
    assert_true(tb_limiter_stats(b.limiter).passed_on > 200);
    bench_close(&b);
}

/* ---- many at once ---- */

enum { PROCESSES = 4, DAYS = 5, ROUNDS = 20000 };

static void is_exact_over_processes_and_midnights(void **state)
{
    (void)state;
    static const struct tb_limit_window windows[] = {
        {"daily", 10000, 0, TB_LIMIT_APP, TB_LIMIT_DAY},
        {"monthly", 37000, 0, TB_LIMIT_APP, TB_LIMIT_MONTH}};
    struct tb_limit_set set = set_of(windows, 2);
    struct bench b = bench_open(64, "2026-08-01T00:00:00Z");
    _Atomic int64_t *admitted = mmap(NULL, DAYS * sizeof(*admitted), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(admitted, MAP_FAILED);
    for (int p = 0; p < PROCESSES; p++) {
        pid_t pid = fork();
        if (pid != 0)
            continue;
        struct tb_limit_verdict v;
        for (int day = 0; day < DAYS; day++)
            for (int i = 0; i < ROUNDS; i++)
                if (take(&b, &set, "a", day * DAY_S + i, &v))
                    atomic_fetch_add(&admitted[day], 1);
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status = -1;
        wait(&status);
        assert_int_equal(status, 0);
    }
    /* A process that is behind asks for a day that others have left; it counts on their day. */
    int64_t all = 0;
    for (int day = 0; day < DAYS; day++)
        all += admitted[day];
    assert_int_equal(all, 37000);
    munmap(admitted, DAYS * sizeof(*admitted));
    bench_close(&b);
}

/* ---- with the books between ---- */

/* What a machine does every second; `books` is the one row there is. */
static void save(struct bench *b, int64_t *books)
{
    struct tb_quota_count news[4];
    size_t from = 0, n = tb_quota_news(b->limiter, &from, news, 4);
    assert_in_range(n, 0, 1);
    if (n == 0)
        return;
    *books += news[0].units - news[0].saved;
    assert_true(tb_quota_known(b->limiter, &news[0], *books));
}

static void goes_on_with_what_the_books_know(void **state)
{
    (void)state;
    static const struct tb_limit_window window = {"daily", 100, 0, TB_LIMIT_APP, TB_LIMIT_DAY};
    struct tb_limit_set set = set_of(&window, 1);
    struct bench a = bench_open(64, "2026-03-03T10:00:00Z"),
                 b = bench_open(64, "2026-03-03T10:00:00Z");
    struct tb_quota_count news[4];
    int64_t books = 0;
    size_t from = 0;
    assert_int_equal(take_many(&a, &set, 30, 0), 30);
    assert_int_equal(tb_quota_news(a.limiter, &from, news, 4), 1);
    assert_int_equal(take_many(&a, &set, 5, 0), 5); /* while it is on its way */
    books += news[0].units;
    assert_true(tb_quota_known(a.limiter, &news[0], books));
    save(&a, &books);
    assert_int_equal(books, 35);
    save(&a, &books); /* nothing is new */
    assert_int_equal(books, 35);

    assert_int_equal(take_many(&b, &set, 20, 1), 20); /* another machine */
    save(&b, &books);
    assert_int_equal(books, 55);
    assert_int_equal(take_many(&b, &set, 200, 1), 45);
    save(&b, &books);
    assert_int_equal(books, 100);
    assert_int_equal(take_many(&a, &set, 1, 1), 1); /* it has not heard of it */
    save(&a, &books);
    assert_int_equal(take_many(&a, &set, 200, 1), 0);

    struct bench c = bench_open(64, "2026-03-03T10:00:00Z"); /* the service, started again */
    const struct tb_quota_count row = {.key = news[0].key, .end_day = news[0].end_day};
    tb_limiter_date(c.limiter, c.from_ms);
    assert_true(tb_quota_known(c.limiter, &row, books));
    assert_true(tb_quota_known(c.limiter, &row, books)); /* twice is once */
    assert_int_equal(take_many(&c, &set, 200, 2), 0);
    assert_int_equal(take_many(&c, &set, 200, 14 * HOUR_S), 100);
    from = 0;
    assert_int_equal(tb_quota_news(c.limiter, &from, news, 4), 1);
    assert_int_equal(news[0].units - news[0].saved, 100); /* of the new day, all of it */
    bench_close(&a);
    bench_close(&b);
    bench_close(&c);
}

static void refuses_quotas_that_make_no_sense(void **state)
{
    (void)state;
    static const struct tb_limit_window bad[] = {
        {"d", 0, 0, TB_LIMIT_APP, TB_LIMIT_DAY},
        {"d", -1, 0, TB_LIMIT_APP, TB_LIMIT_MONTH},
        {"d", INT64_C(1000000000001), 0, TB_LIMIT_APP, TB_LIMIT_DAY}};
    char why[128];
    struct tb_limit_set set;
    for (size_t i = 0; i < TB_COUNT(bad); i++) {
        assert_false(tb_limit_set_init(&set, &bad[i], 1, why, sizeof(why)));
        assert_non_null(strstr(why, "from 1 to 1000000000000"));
    }
    struct tb_limit_window largest = {"d", INT64_C(1000000000000), 0, TB_LIMIT_APP, TB_LIMIT_DAY};
    set = set_of(&largest, 1);
    struct bench b = bench_open(64, "2026-01-01T00:00:00Z");
    struct tb_limit_subject subject = {.app = TB_STR("a")};
    struct tb_limit_verdict v;
    assert_true(tb_limit_take(b.limiter, &set, &subject, INT64_MAX, START, &v));
    assert_int_equal(v.remaining, 0);
    assert_false(tb_limit_take(b.limiter, &set, &subject, INT64_MAX, START, &v));
    bench_close(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lets_the_quota_through_on_each_day_and_not_one_more),
    cmocka_unit_test(begins_a_day_at_midnight_of_utc),
    cmocka_unit_test(counts_months_as_the_calendar_does),
    cmocka_unit_test(never_is_whole_again_because_the_clock_went_back),
    cmocka_unit_test(takes_a_quota_and_a_burst_together_or_none),
    cmocka_unit_test(admits_of_a_rolling_window_what_the_documents_say),
    cmocka_unit_test(passes_the_places_of_days_gone_by_on),
    cmocka_unit_test(is_exact_over_processes_and_midnights),
    cmocka_unit_test(goes_on_with_what_the_books_know),
    cmocka_unit_test(refuses_quotas_that_make_no_sense),
};
TEST_GROUP(tests, NULL, NULL);
