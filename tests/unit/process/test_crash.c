/* Crashes are recorded with the request that was being served, and a request that does it twice is
 * quarantined. */
#include "../unit.h"

#include "process/quarantine.h"
#include "service.h"

#include <string.h>

static struct service s;

static int up(void **state)
{
    (void)state;
    service_up(&s, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    service_end(&s);
    return 0;
}

static void a_record_names_the_request_the_signal_and_the_place(void **state)
{
    (void)state;
    service_hit(&s, 'n');
    service_wait(service_crashes(&s) == 1, 3000);
    static const char *const parts[] = {
        "\"signal\": \"SEGV\"",           "\"address\": \"0x10\"",
        "\"request_id\": \"req-n\"",      "\"partner\": \"ptr_test\"",
        "\"route\": \"POST /test/v1/n\"", "\"where\": \"unit_process+0x",
        "\"stack_overflow\": false",      "\"kind\": \"worker\"",
        "\"quarantined\": false",
    };
    for (size_t i = 0; i < TB_COUNT(parts); i++) {
        if (!service_crash_has(&s, parts[i]))
            service_fail(parts[i], __FILE__, __LINE__);
    }
    assert_true(service_file_has(&s, "log", "\"event\":\"crash\""));
    service_wait(service_count(&s, "serving") == 2, 1000);
}

static void a_stack_overflow_is_called_by_its_name(void **state)
{
    (void)state;
    service_hit(&s, 'o');
    service_wait(service_crashes(&s) == 1, 3000);
    assert_true(service_crash_has(&s, "\"stack_overflow\": true"));
    assert_true(service_crash_has(&s, "POST /test/v1/o"));
}

static void the_second_crash_of_a_request_quarantines_it(void **state)
{
    (void)state;
    service_hit(&s, 'a');
    service_wait(service_crashes(&s) == 1, 3000);
    assert_true(service_crash_has(&s, "\"quarantined\": false"));
    service_wait(service_count(&s, "serving") == 2, 2000);
    service_hit(&s, 'a');
    service_wait(service_crashes(&s) == 2, 3000);
    assert_true(service_crash_has(&s, "\"quarantined\": true"));
}

/* ---- the table by itself ---- */

static struct tb_quarantine q;

static void hash_of(unsigned n, unsigned char out[TB_CRASH_HASH])
{
    const struct tb_str part = {(const char *)&n, sizeof(n)};
    tb_request_hash(&q, &part, 1, out);
}

static void an_empty_table_quarantines_nothing(void **state)
{
    (void)state;
    unsigned char hash[TB_CRASH_HASH];
    memset(&q, 0, sizeof(q));
    tb_quarantine_init(&q);
    hash_of(1, hash);
    assert_false(tb_quarantine_any(&q));
    assert_false(tb_quarantined(&q, hash));
    const unsigned char zero[TB_CRASH_HASH] = {0};
    assert_int_equal(tb_quarantine_note(&q, zero), 0);
    assert_int_equal(tb_quarantine_note(&q, zero), 0);
    assert_false(tb_quarantine_any(&q));
}

static void two_crashes_convict_one_does_not(void **state)
{
    (void)state;
    unsigned char hash[TB_CRASH_HASH], other[TB_CRASH_HASH];
    memset(&q, 0, sizeof(q));
    tb_quarantine_init(&q);
    hash_of(1, hash);
    hash_of(2, other);
    assert_int_equal(tb_quarantine_note(&q, hash), 1);
    assert_int_equal(tb_quarantine_note(&q, other), 1);
    assert_false(tb_quarantined(&q, hash));
    assert_int_equal(tb_quarantine_note(&q, hash), 2);
    assert_true(tb_quarantine_any(&q));
    assert_true(tb_quarantined(&q, hash));
    assert_false(tb_quarantined(&q, other));
}

static void the_oldest_gives_way_when_the_table_is_full(void **state)
{
    (void)state;
    unsigned char hash[TB_CRASH_HASH];
    memset(&q, 0, sizeof(q));
    tb_quarantine_init(&q);
    for (unsigned i = 0; i < TB_QUARANTINE_MAX + 1; i++) {
        hash_of(i, hash);
        tb_quarantine_note(&q, hash);
        tb_quarantine_note(&q, hash);
    }
    hash_of(0, hash);
    assert_false(tb_quarantined(&q, hash));
    hash_of(1, hash);
    assert_true(tb_quarantined(&q, hash));
    assert_int_equal(q.convicted_n, TB_QUARANTINE_MAX);
}

static void parts_cannot_be_shifted_against_each_other(void **state)
{
    (void)state;
    unsigned char one[TB_CRASH_HASH], two[TB_CRASH_HASH];
    const struct tb_str ab_c[] = {{"ab", 2}, {"c", 1}}, a_bc[] = {{"a", 1}, {"bc", 2}};
    tb_request_hash(&q, ab_c, 2, one);
    tb_request_hash(&q, a_bc, 2, two);
    assert_memory_not_equal(one, two, TB_CRASH_HASH);
}

static void the_hash_is_siphash_2_4(void **state)
{
    (void)state;
    /* Key 00..0f; message 07 00 00 00 00 00 00 00 (the length) and 7 zero bytes: computed with the
     * implementation of OpenSSL 3 (EVP_MAC "SIPHASH", size 16). */
    static const unsigned char want[TB_CRASH_HASH] = {0xa5, 0x2c, 0xc9, 0x84, 0xf2, 0x42,
                                                      0x8d, 0x77, 0x29, 0x61, 0xaf, 0x94,
                                                      0xdb, 0xe3, 0x7e, 0xbc};
    unsigned char got[TB_CRASH_HASH];
    struct tb_quarantine keyed = {.key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
    const struct tb_str part = {"\0\0\0\0\0\0\0", 7};
    tb_request_hash(&keyed, &part, 1, got);
    assert_memory_equal(got, want, TB_CRASH_HASH);
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, up, end)

static const struct CMUnitTest tests[] = {
    STARTED(a_record_names_the_request_the_signal_and_the_place),
    STARTED(a_stack_overflow_is_called_by_its_name),
    STARTED(the_second_crash_of_a_request_quarantines_it),
    cmocka_unit_test(an_empty_table_quarantines_nothing),
    cmocka_unit_test(two_crashes_convict_one_does_not),
    cmocka_unit_test(the_oldest_gives_way_when_the_table_is_full),
    cmocka_unit_test(parts_cannot_be_shifted_against_each_other),
    cmocka_unit_test(the_hash_is_siphash_2_4),
};
TEST_GROUP(tests, NULL, NULL);
