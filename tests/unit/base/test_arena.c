/* The arena: what it hands out, where it ends, what happens at reset. */
#include "base/arena.h"
#include "test.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void hands_out_zeroed_aligned_memory_of_every_size(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    for (size_t round = 0; round < 2; round++) {
        for (size_t n = 0; n < 300; n++) {
            unsigned char *at = tb_arena_alloc(arena, n);
            assert_non_null(at);
            assert_int_equal((uintptr_t)at % 16, 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(at[i], 0);
            memset(at, 0xEE, n); /* must not show in the second round */
        }
        tb_arena_reset(arena);
    }
    tb_arena_free(arena);
}

static void gives_two_empty_allocations_different_addresses(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    assert_ptr_not_equal(tb_arena_raw(arena, 0), tb_arena_raw(arena, 0));
    tb_arena_free(arena);
}

static void refuses_past_its_cap_and_stays_refusing_until_reset(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(1024);
    assert_non_null(tb_arena_raw(arena, 1000));
    assert_false(tb_arena_overflowed(arena));
    size_t used = tb_arena_used(arena);
    assert_null(tb_arena_raw(arena, 100));
    assert_true(tb_arena_overflowed(arena));
    assert_null(tb_arena_raw(arena, 1)); /* would have fitted before */
    assert_null(tb_arena_text(arena, "a", 1));
    assert_null(tb_arena_format(arena, "%d", 1).at);
    assert_int_equal(tb_arena_used(arena), used);
    tb_arena_reset(arena);
    assert_false(tb_arena_overflowed(arena));
    assert_int_equal(tb_arena_used(arena), 0);
    assert_non_null(tb_arena_raw(arena, 1024));
    assert_null(tb_arena_raw(arena, 1));
    tb_arena_free(arena);
}

static void refuses_sizes_that_would_wrap_around(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX / 2};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
        assert_null(tb_arena_alloc(arena, sizes[i]));
        tb_arena_reset(arena);
        assert_null(tb_arena_text(arena, "a", sizes[i]));
        tb_arena_free(arena);
    }
}

static void holds_exactly_its_cap_in_small_pieces(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    size_t n = 0;
    while (tb_arena_raw(arena, 16) != NULL)
        n++;
    assert_int_equal(n, TB_ARENA_CAP / 16);
    tb_arena_reset(arena);
    assert_non_null(tb_arena_raw(arena, TB_ARENA_CAP));
    assert_null(tb_arena_raw(arena, 0)); /* nothing is left, not even for nothing */
    tb_arena_free(arena);
}

static void keeps_what_it_handed_out_apart_over_many_chunks(void **state)
{
    (void)state;
    enum { PIECES = 500 };
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    unsigned char *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = tb_arena_raw(arena, 1 + i * 3);
        assert_non_null(pieces[i]);
        memset(pieces[i], (int)(i & 0xFF), 1 + i * 3);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t j = 0; j < 1 + i * 3; j++)
            assert_int_equal(pieces[i][j], i & 0xFF);
    tb_arena_free(arena);
}

static char order[16];

static void note(void *letter)
{
    size_t n = strlen(order);
    order[n] = *(const char *)letter;
    order[n + 1] = '\0';
}

static void runs_deferred_functions_last_first_at_reset(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b", c[] = "c";
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    order[0] = '\0';
    assert_true(tb_arena_defer(arena, note, a));
    assert_true(tb_arena_defer(arena, note, b));
    tb_arena_reset(arena);
    assert_string_equal(order, "ba");
    assert_true(tb_arena_defer(arena, note, c));
    tb_arena_free(arena);
    assert_string_equal(order, "bac");
}

static void runs_a_deferred_function_at_once_when_full(void **state)
{
    (void)state;
    char a[] = "a";
    struct tb_arena *arena = tb_arena_new(16);
    order[0] = '\0';
    assert_false(tb_arena_defer(arena, note, a));
    assert_string_equal(order, "a");
    tb_arena_free(arena);
    assert_string_equal(order, "a");
}

static void formats_short_and_long_texts(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 255, 256, 257, 5000};
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct tb_str text = tb_arena_format(arena, "%*s", (int)lengths[i], "");
        assert_int_equal(text.n, lengths[i]);
        assert_int_equal(text.at[text.n], '\0');
    }
    assert_text(tb_arena_format(arena, "%s=%d", "x", 7), "x=7");
    tb_arena_free(arena);
}

#ifndef TB_ARENA_MALLOC
static void extends_only_the_latest_allocation(void **state)
{
    (void)state;
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    char *first = tb_arena_raw(arena, 10);
    assert_true(tb_arena_extend(arena, first, 10, 100));
    size_t used = tb_arena_used(arena);
    assert_int_equal(used, 112);
    char *second = tb_arena_raw(arena, 10);
    assert_int_equal(second - first, 112);
    assert_false(tb_arena_extend(arena, first, 100, 200));
    assert_false(tb_arena_extend(arena, second, 10, TB_ARENA_CHUNK));
    assert_false(tb_arena_extend(arena, second, 10, SIZE_MAX));
    tb_arena_free(arena);
}

static void ends_the_process_when_a_chunk_was_overrun(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
        char *all = tb_arena_raw(arena, TB_ARENA_CHUNK);
        *(volatile char *)(all + TB_ARENA_CHUNK) = 'x';
        tb_arena_reset(arena);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
#endif

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hands_out_zeroed_aligned_memory_of_every_size),
    cmocka_unit_test(gives_two_empty_allocations_different_addresses),
    cmocka_unit_test(refuses_past_its_cap_and_stays_refusing_until_reset),
    cmocka_unit_test(refuses_sizes_that_would_wrap_around),
    cmocka_unit_test(holds_exactly_its_cap_in_small_pieces),
    cmocka_unit_test(keeps_what_it_handed_out_apart_over_many_chunks),
    cmocka_unit_test(runs_deferred_functions_last_first_at_reset),
    cmocka_unit_test(runs_a_deferred_function_at_once_when_full),
    cmocka_unit_test(formats_short_and_long_texts),
#ifndef TB_ARENA_MALLOC
    cmocka_unit_test(extends_only_the_latest_allocation),
    cmocka_unit_test(ends_the_process_when_a_chunk_was_overrun),
#endif
};
TEST_GROUP(tests, NULL, NULL);
