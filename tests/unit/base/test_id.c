/* Ids, random bytes and request ids. */
#include "base/id.h"
#include "base/random.h"
#include "base/time.h"
#include "test.h"
#include <sys/wait.h>
#include <unistd.h>

static void carries_time_and_book(void **state)
{
    (void)state;
    static const struct {
        const char *prefix;
        int32_t book;
        int64_t ms;
    } cases[] = {
        {"pay", 1, 0},
        {"acc", TB_BOOK_MAX, 1772271000123},
        {"p", 32768, TB_TIME_MAX / 2},
        {"transfer", 77, (INT64_C(1) << 47) - 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char id[TB_ID_ROOM];
        size_t n = tb_id_make(id, cases[i].prefix, cases[i].book, cases[i].ms);
        struct tb_str text = tb_str(id);
        assert_int_equal(n, strlen(cases[i].prefix) + 27);
        assert_int_equal(text.n, n);
        assert_true(tb_id_check(text, cases[i].prefix));
        assert_int_equal(tb_id_book(text), cases[i].book);
        assert_int_equal(tb_id_time(text), cases[i].ms);
    }
}

static void sorts_in_the_order_made_even_when_the_clock_stands_or_steps_back(void **state)
{
    (void)state;
    char before[TB_ID_ROOM] = "", id[TB_ID_ROOM];
    const int64_t now = INT64_C(1772271000000);
    for (int i = 0; i < 50000; i++) { /* more than the counter of one ms holds */
        int64_t ms = i < 20000 ? now : i < 30000 ? now - 900 : now + (i - 30000) / 10;
        tb_id_make(id, "pay", 7, ms);
        if (strcmp(before, id) >= 0 || !tb_id_check(tb_str(id), "pay"))
            fail_msg("%s does not follow %s", id, before);
        memcpy(before, id, sizeof(before));
    }
}

static void follows_a_clock_that_is_set_back_far(void **state)
{
    (void)state;
    char id[TB_ID_ROOM];
    tb_id_make(id, "pay", 7, INT64_C(1800000000000));
    tb_id_make(id, "pay", 7, INT64_C(1700000000000));
    assert_int_equal(tb_id_time(tb_str(id)), INT64_C(1700000000000));
}

static void refuses_every_spelling_but_its_own(void **state)
{
    (void)state;
    char id[TB_ID_ROOM];
    tb_id_make(id, "pay", 513, INT64_C(1772271000123));
    struct tb_str good = tb_str(id);
    assert_false(tb_id_check(good, "acc"));
    assert_false(tb_id_check(good, "pa"));
    assert_false(tb_id_check(good, "payy"));
    assert_false(tb_id_check((struct tb_str){id, good.n - 1}, "pay"));
    for (size_t i = 4; i < good.n; i++) {
        static const char bad[] = "ilouAZ-_ \n\x80";
        for (size_t j = 0; j < sizeof(bad); j++) { /* with the NUL */
            char changed[TB_ID_ROOM];
            memcpy(changed, id, sizeof(changed));
            changed[i] = bad[j];
            assert_false(tb_id_check((struct tb_str){changed, good.n}, "pay"));
            assert_int_equal(tb_id_book((struct tb_str){changed, good.n}), 0);
            assert_int_equal(tb_id_time((struct tb_str){changed, good.n}), -1);
        }
    }
    id[4] = '8'; /* the same 128 bits with one beyond them */
    assert_false(tb_id_check(good, "pay"));
    static const char *const cases[] = {
        "",
        "_",
        "pay_",
        "pay",
        "pay_0000000000000000000000000",
        "pay_00000000000000000000000000", /* version 0 */
        "pay_80000000000000000000000000", /* beyond 128 bits */
        "pay_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "averylongprefix_01m83th183g65804te2fw9getc",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(tb_id_book(tb_str(cases[i])), 0);
        assert_int_equal(tb_id_time(tb_str(cases[i])), -1);
    }
    assert_int_equal(tb_id_book(TB_STR_NONE), 0);
}

static void draws_random_bytes_of_every_length(void **state)
{
    (void)state;
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char bytes[3001];
        memset(bytes, 0, sizeof(bytes));
        tb_random_bytes(bytes, n);
        assert_int_equal(bytes[n], 0);
        size_t zeros = 0;
        for (size_t i = 0; i < n; i++)
            zeros += bytes[i] == 0;
        assert_true(zeros <= 10 + n / 32);
    }
    assert_true(tb_random_u64() != tb_random_u64());
}

/* Parent and children fork from the same half-used block: none may repeat another's bytes. */
static void never_repeats_itself_in_a_child(void **state)
{
    (void)state;
    enum { CHILDREN = 4 };
    uint64_t drawn[CHILDREN + 1];
    int ends[2];
    (void)tb_random_u64();
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child == 0) {
            uint64_t mine = tb_random_u64();
            _exit(write(ends[1], &mine, sizeof(mine)) == (ssize_t)sizeof(mine) ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(read(ends[0], &drawn[i], sizeof(drawn[i])), sizeof(drawn[i]));
    }
    drawn[CHILDREN] = tb_random_u64();
    for (int i = 0; i <= CHILDREN; i++)
        for (int j = 0; j < i; j++)
            assert_true(drawn[i] != drawn[j]);
    close(ends[0]);
    close(ends[1]);
}

static void makes_uuids_of_version_4(void **state)
{
    (void)state;
    char first[TB_UUID_CHARS + 1], second[TB_UUID_CHARS + 1];
    tb_uuid_make(first);
    tb_uuid_make(second);
    assert_true(tb_uuid_check(tb_str(first)));
    assert_int_equal(first[14], '4');
    assert_string_not_equal(first, second);
}

static void takes_only_uuids_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", true},
        {"F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6", true},
        {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f", true},
        {"00000000-0000-0000-0000-000000000000", false},
        {"f81d4fae-7dec-91d0-a765-00a0c91e6bf6", false},
        {"f81d4fae-7dec-11d0-c765-00a0c91e6bf6", false},
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bf", false},
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bf60", false},
        {"f81d4fae07dec-11d0-a765-00a0c91e6bf6", false},
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bg6", false},
        {"{81d4fae-7dec-11d0-a765-00a0c91e6bf6", false},
        {"", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (tb_uuid_check(tb_str(cases[i].text)) != cases[i].good)
            fail_msg("%s", cases[i].text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(carries_time_and_book),
    cmocka_unit_test(sorts_in_the_order_made_even_when_the_clock_stands_or_steps_back),
    cmocka_unit_test(follows_a_clock_that_is_set_back_far),
    cmocka_unit_test(refuses_every_spelling_but_its_own),
    cmocka_unit_test(draws_random_bytes_of_every_length),
    cmocka_unit_test(never_repeats_itself_in_a_child),
    cmocka_unit_test(makes_uuids_of_version_4),
    cmocka_unit_test(takes_only_uuids_of_the_rfc),
};
TEST_GROUP(tests, NULL, NULL);
