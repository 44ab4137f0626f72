/* Passwords: what a hash looks like, and which password it is of. */
#include "../unit.h"

#include "crypto/password.h"
#include <string.h>
#include <time.h>

static char hash[TB_PASSWORD_HASH_ROOM];

static int set_up(void **state)
{
    (void)state;
    return tb_password_hash(TB_STR("correct horse battery"), hash) ? 0 : -1;
}

static void hashes_with_argon2id_and_the_stated_costs(void **state)
{
    (void)state;
    static const char head[] = "$argon2id$v=19$m=65536,t=2,p=1$";
    assert_memory_equal(hash, head, sizeof(head) - 1);
    assert_int_equal(TB_PASSWORD_MEMORY, 65536 * 1024);
    assert_int_equal(TB_PASSWORD_PASSES, 2);
}

static void knows_the_password_and_no_other(void **state)
{
    (void)state;
    static const char *const others[] = {"", "correct horse batter", "correct horse battery ",
                                         "Correct horse battery"};
    assert_true(tb_password_check(TB_STR("correct horse battery"), tb_str(hash)));
    for (size_t i = 0; i < TB_COUNT(others); i++)
        assert_false(tb_password_check(tb_str(others[i]), tb_str(hash)));
}

static void salts_every_hash(void **state)
{
    (void)state;
    char again[TB_PASSWORD_HASH_ROOM];
    assert_true(tb_password_hash(TB_STR("correct horse battery"), again));
    assert_string_not_equal(hash, again);
}

static void takes_passwords_of_8_to_256_bytes(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        bool taken;
    } rows[] = {{0, false}, {7, false}, {8, true}, {256, true}, {257, false}};
    char long_one[257], out[TB_PASSWORD_HASH_ROOM];
    memset(long_one, 'x', sizeof(long_one));
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        assert_int_equal(tb_password_hash((struct tb_str){long_one, rows[i].n}, out),
                         rows[i].taken);
}

/* A hash that is cut, foreign or missing is nobody's. */
static void believes_no_other_hash(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "$argon2id$v=19$m=65536,t=2,p=1$", "plain",
                                      "$2b$12$abcdefghijklmnopqrstuv"};
    for (size_t i = 0; i < TB_COUNT(bad); i++)
        assert_false(tb_password_check(TB_STR("correct horse battery"), tb_str(bad[i])));
    assert_false(tb_password_check(TB_STR("correct horse battery"), TB_STR_NONE));
    assert_false(tb_password_check(TB_STR(""), TB_STR_NONE));
}

static double seconds(struct tb_str of)
{
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    assert_false(tb_password_check(TB_STR("some other password"), of));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

/* Else the time of an answer would tell which logins exist. */
static void works_as_long_for_a_login_nobody_has(void **state)
{
    (void)state;
    double known = 1e9, unknown = 1e9;
    for (int i = 0; i < 5; i++) { /* the least of several: what else ran on the machine only adds */
        double a = seconds(tb_str(hash)), b = seconds(TB_STR_NONE);
        known = a < known ? a : known;
        unknown = b < unknown ? b : unknown;
    }
    assert_true(unknown > known * 0.7 && unknown < known * 1.4);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hashes_with_argon2id_and_the_stated_costs),
    cmocka_unit_test(knows_the_password_and_no_other),
    cmocka_unit_test(salts_every_hash),
    cmocka_unit_test(takes_passwords_of_8_to_256_bytes),
    cmocka_unit_test(believes_no_other_hash),
    cmocka_unit_test(works_as_long_for_a_login_nobody_has),
};
TEST_GROUP(tests, set_up, NULL);
