/* Ids in shared memory: one use, expiry, fullness, and the race of many for one id. */
#include "../unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The code under test is compiled in, so that something can happen between its looking and its
 * writing. */
static _Thread_local void (*meanwhile)(void);

static bool exchange(_Atomic uint64_t *at, uint64_t *observed, uint64_t word)
{
    void (*happens)(void) = meanwhile;
    meanwhile = NULL;
    if (happens != NULL)
        happens();
    return atomic_compare_exchange_strong(at, observed, word);
}

#undef atomic_compare_exchange_strong
#define atomic_compare_exchange_strong exchange
#include "crypto/jti_set.c"

enum { NOW = 1700000000, ENTRIES = 5 * 1024 }; /* the most for its 1024 buckets */

static struct tb_jti_set *set;
static size_t bytes;

static int set_up(void **state)
{
    (void)state;
    bytes = tb_jti_set_bytes(ENTRIES);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    set = tb_jti_set_init(memory, bytes);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(set, bytes);
}

static enum tb_jti add(const char *id, int64_t expires_s, int64_t now_s)
{
    struct tb_str part = tb_str(id);
    return tb_jti_set_add(set, &part, 1, expires_s, now_s);
}

static bool has(const char *id, int64_t now_s)
{
    struct tb_str part = tb_str(id);
    return tb_jti_set_has(set, &part, 1, now_s);
}

static void takes_an_id_once(void **state)
{
    (void)state;
    assert_false(has("a", NOW));
    assert_int_equal(add("a", NOW + 60, NOW), TB_JTI_NEW);
    assert_true(has("a", NOW));
    assert_int_equal(add("a", NOW + 60, NOW), TB_JTI_SEEN);
    assert_int_equal(add("a", NOW + 600, NOW + 30), TB_JTI_SEEN);
    assert_int_equal(add("b", NOW + 60, NOW), TB_JTI_NEW);
    assert_int_equal(add("", NOW + 60, NOW), TB_JTI_NEW);
    assert_int_equal(add("", NOW + 60, NOW), TB_JTI_SEEN);
}

static void keeps_the_parts_of_an_id_apart(void **state)
{
    (void)state;
    struct tb_str one[] = {TB_STR("ab"), TB_STR("c")}, two[] = {TB_STR("a"), TB_STR("bc")};
    struct tb_str three[] = {TB_STR("abc")}, four[] = {TB_STR("ab"), TB_STR("c"), TB_STR_NONE};
    assert_int_equal(tb_jti_set_add(set, one, 2, NOW + 60, NOW), TB_JTI_NEW);
    assert_int_equal(tb_jti_set_add(set, two, 2, NOW + 60, NOW), TB_JTI_NEW);
    assert_int_equal(tb_jti_set_add(set, three, 1, NOW + 60, NOW), TB_JTI_NEW);
    assert_int_equal(tb_jti_set_add(set, four, 3, NOW + 60, NOW), TB_JTI_NEW);
    assert_int_equal(tb_jti_set_add(set, one, 2, NOW + 60, NOW), TB_JTI_SEEN);
}

static void forgets_after_expiry_and_never_before(void **state)
{
    (void)state;
    for (int64_t shift = 0; shift < 40; shift++) {
        char id[16];
        int64_t now_s = NOW + shift;
        snprintf(id, sizeof(id), "id%d", (int)shift);
        assert_int_equal(add(id, now_s + 60, now_s), TB_JTI_NEW);
        assert_true(has(id, now_s + 59));
        assert_false(has(id, now_s + 60 + 16));
        assert_int_equal(add(id, now_s + 200, now_s + 60 + 16), TB_JTI_NEW);
    }
    assert_int_equal(add("past", NOW - 5, NOW), TB_JTI_NEW); /* even so not twice at once */
    assert_int_equal(add("past", NOW - 5, NOW), TB_JTI_SEEN);
    assert_int_equal(add("month", NOW + TB_JTI_LIFE_MAX_S, NOW), TB_JTI_NEW);
    assert_true(has("month", NOW + TB_JTI_LIFE_MAX_S - 1));
    assert_false(has("month", NOW + TB_JTI_LIFE_MAX_S + 16));
    assert_int_equal(add("year", NOW + TB_JTI_LIFE_MAX_S + 1, NOW), TB_JTI_FULL);
}

static void refuses_when_full_and_has_room_again_after_expiry(void **state)
{
    (void)state;
    char id[24];
    int kept = 0, full = 0;
    for (int i = 0; i < 4 * ENTRIES; i++) {
        snprintf(id, sizeof(id), "%d", i);
        enum tb_jti outcome = add(id, NOW + 60, NOW);
        kept += outcome == TB_JTI_NEW;
        full += outcome == TB_JTI_FULL;
        if (i < ENTRIES) /* what it promises to hold */
            assert_int_equal(outcome, TB_JTI_NEW);
        if (outcome == TB_JTI_NEW)
            assert_true(has(id, NOW));
    }
    assert_true(full > 0);
    assert_int_equal(kept + full, 4 * ENTRIES);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(id, sizeof(id), "later%d", i);
        assert_int_equal(add(id, NOW + 200, NOW + 100), TB_JTI_NEW);
    }
}

static void tells_when_it_has_changed(void **state)
{
    (void)state;
    uint64_t before = tb_jti_set_generation(set);
    assert_false(has("a", NOW));
    assert_true(tb_jti_set_generation(set) == before);
    assert_int_equal(add("a", NOW + 60, NOW), TB_JTI_NEW);
    assert_true(tb_jti_set_generation(set) != before);
    before = tb_jti_set_generation(set);
    assert_int_equal(add("a", NOW + 60, NOW), TB_JTI_SEEN);
    assert_true(tb_jti_set_generation(set) == before);
}

/* ---- races ---- */

static enum tb_jti theirs;

static void another_adds_the_same_id(void)
{
    theirs = add("contested", NOW + 60, NOW);
}

static void another_adds_it_half_a_minute_later(void)
{
    theirs = add("contested", NOW + 90, NOW + 40);
}

static void gives_way_to_one_who_took_the_same_word(void **state)
{
    (void)state;
    meanwhile = another_adds_the_same_id;
    assert_int_equal(add("contested", NOW + 60, NOW), TB_JTI_SEEN);
    assert_int_equal(theirs, TB_JTI_NEW);
}

/* The one who looked first is held up; by the time the other looks, other words have come free. */
static void gives_way_to_one_who_took_another_word(void **state)
{
    (void)state;
    memset(set->key, 7, sizeof(set->key)); /* a key under which its two buckets differ */
    struct place place = slot_of_jti(set, &TB_STR("contested"), 1);
    assert_int_not_equal(place.at[0], place.at[1]);
    for (size_t way = 0; way < WAYS; way++) { /* the second bucket is full for another 20 s */
        struct place stranger = {.print = (uint64_t)(way + 1) << EXPIRY_BITS};
        set->buckets[place.at[1]].words[way] = stranger.print | unit_of(NOW + 20 + UNIT_S);
    }
    set->buckets[place.at[0]].words[0] = UINT64_C(99) << EXPIRY_BITS | unit_of(NOW + 600);
    meanwhile = another_adds_it_half_a_minute_later;
    assert_int_equal(add("contested", NOW + 60, NOW), TB_JTI_SEEN);
    assert_int_equal(theirs, TB_JTI_NEW);
}

enum { RACERS = 4, ROUNDS = 20000, STEP = 64 };

static _Atomic int winners[ROUNDS];
static pthread_barrier_t start;

static void *race(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % STEP == 0) /* all have the same clock; it steps, so that words are used again */
            pthread_barrier_wait(&start);
        int64_t now_s = NOW + i / STEP * 16;
        char id[24];
        snprintf(id, sizeof(id), "round%d", i);
        if (add(id, now_s + 40, now_s) == TB_JTI_NEW)
            atomic_fetch_add(&winners[i], 1);
    }
    return NULL;
}

static void at_most_one_of_many_hears_new(void **state)
{
    (void)state;
    pthread_t threads[RACERS];
    int won = 0;
    memset((void *)winners, 0, sizeof(winners));
    assert_int_equal(pthread_barrier_init(&start, NULL, RACERS), 0);
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, NULL), 0);
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    for (int i = 0; i < ROUNDS; i++) {
        assert_in_range(winners[i], 0, 1);
        won += winners[i];
    }
    assert_true(won > ROUNDS * 9 / 10); /* both giving way is rare */
}

static void processes_share_it(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(add("from the child", NOW + 60, NOW) == TB_JTI_NEW ? 0 : 1);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(has("from the child", NOW));
    assert_int_equal(add("from the child", NOW + 60, NOW), TB_JTI_SEEN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(takes_an_id_once),
    TEST(keeps_the_parts_of_an_id_apart),
    TEST(forgets_after_expiry_and_never_before),
    TEST(refuses_when_full_and_has_room_again_after_expiry),
    TEST(tells_when_it_has_changed),
    TEST(gives_way_to_one_who_took_the_same_word),
    TEST(gives_way_to_one_who_took_another_word),
    TEST(at_most_one_of_many_hears_new),
    TEST(processes_share_it),
};
TEST_GROUP(tests, NULL, NULL);
