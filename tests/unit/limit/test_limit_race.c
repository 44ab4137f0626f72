/* What happens between looking at a bucket and taking from it, step by step: the moments that a
 * test with many processes meets too seldom. */
#include "../unit.h"

#include "../../../core/limit/limit.c"
#include "base/mem.h"

#define START (INT64_C(12345) * TB_LIMIT_TICKS_PER_S)

enum { BUCKETS = 32 };

struct bench {
    void *memory;
    struct tb_limiter *limiter;
    struct tb_limit_set set; /* 10 in 60 s */
};

static struct bench bench_open(void)
{
    struct bench b = {.memory = tb_mem(tb_limiter_bytes(BUCKETS))};
    b.limiter = tb_limiter_open(b.memory, tb_limiter_bytes(BUCKETS));
    struct tb_limit_window window = {"burst", 10, 60000, TB_LIMIT_APP, TB_LIMIT_ROLLING};
    char why[64];
    assert_true(tb_limit_set_init(&b.set, &window, 1, why, sizeof(why)));
    return b;
}

static void bench_close(struct bench *b)
{
    tb_limiter_close(b->limiter);
    tb_mem_free(b->memory);
}

/* A request that has looked and not yet taken. */
static struct take looking(struct bench *b, const char *app, int64_t cost, int64_t now)
{
    const struct tb_limit_rule *rule = &b->set.rules[0];
    struct tb_limit_subject subject = {.app = tb_str(app)};
    struct take t = {.worth = cost * rule->per_unit};
    t.key = key_of(rule, digest((struct tb_limit_key){odd[0], odd[2]}, subject.app), &subject);
    t.place = tb_limit_place_find(b->limiter, t.key, rule->like, now);
    look(b->limiter, rule, &t, now);
    return t;
}

static bool take(struct bench *b, const char *app, int64_t cost, int64_t now,
                 struct tb_limit_verdict *verdict)
{
    struct tb_limit_subject subject = {.app = tb_str(app)};
    return tb_limit_take(b->limiter, &b->set, &subject, cost, now / 16, verdict);
}

static int64_t left(struct bench *b, const char *app, int64_t now)
{
    struct tb_limit_verdict verdict;
    assert_true(take(b, app, 0, now, &verdict));
    return verdict.remaining;
}

static void decides_anew_when_somebody_was_faster(void **state)
{
    (void)state;
    struct bench b = bench_open();
    struct tb_limit_verdict verdict;
    struct take t = looking(&b, "a", 3, START);
    assert_true(take(&b, "a", 7, START, &verdict));
    assert_true(commit(b.limiter, &b.set.rules[0], &t, START));
    assert_int_equal(left(&b, "a", START), 0);

    struct bench c = bench_open();
    t = looking(&c, "a", 3, START);
    assert_true(take(&c, "a", 8, START, &verdict));
    assert_false(commit(c.limiter, &c.set.rules[0], &t, START));
    assert_true(t.over > 0 && t.over <= c.set.rules[0].per_unit);
    assert_int_equal(left(&c, "a", START), 2);
    bench_close(&b);
    bench_close(&c);
}

static void gives_back_exactly_or_not_at_all(void **state)
{
    (void)state;
    struct bench b = bench_open();
    struct tb_limit_verdict verdict;
    struct take t = looking(&b, "a", 4, START);
    assert_true(commit(b.limiter, &b.set.rules[0], &t, START));
    assert_int_equal(left(&b, "a", START), 6);
    give_back(&b.set.rules[0], &t);
    assert_int_equal(left(&b, "a", START), 10);

    t = looking(&b, "a", 1, START);
    assert_true(commit(b.limiter, &b.set.rules[0], &t, START));
    int64_t later = START + 6 * TB_LIMIT_TICKS_PER_S; /* what was taken has come back by itself */
    assert_true(take(&b, "a", 10, later, &verdict));
    give_back(&b.set.rules[0], &t);
    assert_int_equal(left(&b, "a", later), 0);
    bench_close(&b);
}

static void takes_nothing_from_the_next_owner_of_a_bucket(void **state)
{
    (void)state;
    struct bench b = bench_open();
    struct tb_limit_verdict verdict;
    struct take t = looking(&b, "a", 5, START);
    struct tb_limit_place old = t.place;
    char name[16] = "a";
    for (int i = 0; tb_limit_place_holds(old, t.key); i++) { /* somebody gets its place */
        snprintf(name, sizeof(name), "b%d", i);
        (void)take(&b, name, 1, START, &verdict);
    }
    assert_true(commit(b.limiter, &b.set.rules[0], &t, START));
    assert_ptr_not_equal(t.place.cell, old.cell);
    assert_int_equal(left(&b, name, START), 9);
    assert_int_equal(left(&b, "a", START), 5);
    bench_close(&b);
}

static void waits_for_nobody_who_died_moving_a_bucket(void **state)
{
    (void)state;
    struct bench b = bench_open();
    struct tb_limit_verdict verdict;
    struct take t = looking(&b, "a", 5, START);
    atomic_store(t.place.cell, -START);
    assert_true(take(&b, "a", 10, START, &verdict)); /* from a shared bucket */
    assert_false(take(&b, "a", 1, START, &verdict));
    assert_int_equal(tb_limiter_stats(b.limiter).shared, 2);
    assert_int_equal(atomic_load(t.place.cell), -START);

    int64_t later = START + 61 * TB_LIMIT_TICKS_PER_S;
    char name[16];
    for (int i = 0; atomic_load(t.place.cell) < 0; i++) { /* its place is found again */
        assert_true(i < 1000);
        snprintf(name, sizeof(name), "b%d", i);
        (void)take(&b, name, 10, later, &verdict);
    }
    bench_close(&b);
}

static void lets_one_at_a_time_pass_buckets_on(void **state)
{
    (void)state;
    struct bench b = bench_open();
    struct tb_limit_verdict verdict;
    char name[16];
    for (int i = 0; tb_limiter_stats(b.limiter).used < BUCKETS; i++) {
        snprintf(name, sizeof(name), "b%d", i);
        assert_true(take(&b, name, 1, START, &verdict));
    }
    _Atomic int64_t *mover = (_Atomic int64_t *)b.memory + 3;
    int64_t later = START + 60 * TB_LIMIT_TICKS_PER_S;
    atomic_store(mover, later - 1); /* another is at it */
    assert_true(take(&b, "a", 1, later, &verdict));
    assert_int_equal(tb_limiter_stats(b.limiter).passed_on, 0);
    assert_int_equal(tb_limiter_stats(b.limiter).shared, 1);

    int64_t much_later = later + 61 * TB_LIMIT_TICKS_PER_S; /* and has died */
    assert_true(take(&b, "a", 1, much_later, &verdict));
    assert_int_equal(tb_limiter_stats(b.limiter).passed_on, 1);
    assert_int_equal(atomic_load(mover), 0);
    bench_close(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(decides_anew_when_somebody_was_faster),
    cmocka_unit_test(gives_back_exactly_or_not_at_all),
    cmocka_unit_test(takes_nothing_from_the_next_owner_of_a_bucket),
    cmocka_unit_test(waits_for_nobody_who_died_moving_a_bucket),
    cmocka_unit_test(lets_one_at_a_time_pass_buckets_on),
};
TEST_GROUP(tests, NULL, NULL);
