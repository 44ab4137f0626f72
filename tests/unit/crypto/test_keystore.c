/* Signing keys: their states by the clock, rotation without a gap, and what is sealed stays so. */
#include "../unit.h"

#include "crypto/keystore.h"
#include "crypto/seal.h"
#include <string.h>

enum { NOW = 1700000000, PERIOD = 90 * 86400, LEAD = 86400, OVERLAP = 7200, ROWS_MAX = 16 };

static const struct tb_key_schedule schedule = {TB_ALG_ES256, PERIOD, LEAD, OVERLAP};

struct fixture {
    struct tb_arena *arena;
    struct tb_secret master;
    struct tb_keystore *keys;
    struct tb_key_row rows[ROWS_MAX];
    size_t n;
};

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture = (struct fixture){.arena = tb_arena_new(TB_ARENA_CAP)};
    tb_secret_set(&fixture.master, "0123456789abcdef0123456789abcdef", 32);
    fixture.keys = tb_keystore_new(&fixture.master);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_keystore_free(fixture.keys);
    tb_secret_wipe(&fixture.master);
    tb_arena_free(fixture.arena);
    return 0;
}

/* What a clerk does: make a key when one is due, store its row, load. */
static void turn(int64_t now_s)
{
    if (tb_keystore_due(fixture.keys, &schedule, now_s)) {
        assert_true(fixture.n < ROWS_MAX);
        assert_true(tb_keystore_make(fixture.keys, &schedule, now_s, fixture.arena,
                                     &fixture.rows[fixture.n]));
        fixture.n++;
    }
    assert_null(tb_keystore_load(fixture.keys, fixture.rows, fixture.n, now_s));
}

static void needs_a_master_secret_of_32_bytes(void **state)
{
    (void)state;
    struct tb_secret master = {0};
    assert_null(tb_keystore_new(&master));
    tb_secret_set(&master, "0123456789abcdef0123456789abcde", 31);
    assert_null(tb_keystore_new(&master));
    tb_secret_wipe(&master);
}

static void the_first_key_signs_at_once(void **state)
{
    (void)state;
    assert_true(tb_keystore_due(fixture.keys, &schedule, NOW));
    assert_null(tb_keystore_signer(fixture.keys, NOW));
    turn(NOW);
    assert_false(tb_keystore_due(fixture.keys, &schedule, NOW));
    struct tb_key *key = tb_keystore_signer(fixture.keys, NOW);
    assert_non_null(key);
    assert_true(tb_str_eq(fixture.rows[0].kid, tb_key_thumbprint(key)));
    assert_ptr_equal(tb_keystore_find(fixture.keys, fixture.rows[0].kid, TB_ALG_ES256, NOW), key);
    assert_null(tb_keystore_find(fixture.keys, fixture.rows[0].kid, TB_ALG_PS256, NOW));
    assert_null(tb_keystore_find(fixture.keys, TB_STR("other"), TB_ALG_ES256, NOW));
    assert_null(tb_keystore_find(fixture.keys, TB_STR_NONE, TB_ALG_ES256, NOW));
}

static void a_key_goes_from_next_to_active_to_retired_to_ended(void **state)
{
    (void)state;
    turn(NOW);
    turn(NOW + PERIOD - LEAD); /* the second is published a day ahead */
    assert_int_equal(fixture.n, 2);
    const int64_t starts = fixture.rows[0].signs_until_s;
    static const struct {
        int64_t after_s;
        enum tb_key_state first, second;
    } rows[] = {
        {-LEAD, TB_KEY_ACTIVE, TB_KEY_NEXT},    {-1, TB_KEY_ACTIVE, TB_KEY_NEXT},
        {0, TB_KEY_RETIRED, TB_KEY_ACTIVE},     {OVERLAP - 1, TB_KEY_RETIRED, TB_KEY_ACTIVE},
        {OVERLAP, TB_KEY_ENDED, TB_KEY_ACTIVE}, {PERIOD - 1, TB_KEY_ENDED, TB_KEY_ACTIVE},
        {PERIOD, TB_KEY_ENDED, TB_KEY_RETIRED}, {PERIOD + OVERLAP, TB_KEY_ENDED, TB_KEY_ENDED},
    };
    for (size_t i = 0; i < TB_COUNT(rows); i++) {
        int64_t now_s = starts + rows[i].after_s;
        struct tb_key_status status[TB_KEYSTORE_KEYS_MAX];
        assert_int_equal(tb_keystore_status(fixture.keys, now_s, status), 2);
        assert_int_equal(status[0].state, rows[i].first);
        assert_int_equal(status[1].state, rows[i].second);
        for (size_t j = 0; j < 2; j++) {
            bool active = status[j].state == TB_KEY_ACTIVE, ended = status[j].state == TB_KEY_ENDED;
            struct tb_key *key = tb_keystore_find(fixture.keys, fixture.rows[j].kid, TB_ALG_ES256,
                                                  now_s);
            struct tb_key *signer = tb_keystore_signer(fixture.keys, now_s);
            assert_true((key == NULL) == ended);
            assert_true(!active || signer == key);
            struct tb_str jwks = tb_keystore_jwks(fixture.keys, now_s, fixture.arena);
            assert_true((strstr(jwks.at, fixture.rows[j].kid.at) == NULL) == ended);
        }
    }
}

static void years_of_rotation_leave_no_gap(void **state)
{
    (void)state;
    for (int64_t now_s = NOW; now_s < NOW + INT64_C(3) * 365 * 86400; now_s += 3600) {
        turn(now_s);
        struct tb_key_status status[TB_KEYSTORE_KEYS_MAX];
        size_t n = tb_keystore_status(fixture.keys, now_s, status), active = 0;
        for (size_t i = 0; i < n; i++)
            active += status[i].state == TB_KEY_ACTIVE;
        assert_int_equal(active, 1);
        assert_in_range(n, 1, 2); /* next and active, or active and retired */
    }
    assert_int_equal(fixture.n, 13);
}

static void a_missed_rotation_is_made_good(void **state)
{
    (void)state;
    turn(NOW);
    int64_t late_s = NOW + 2 * PERIOD;
    assert_null(tb_keystore_signer(fixture.keys, late_s));
    turn(late_s);
    assert_non_null(tb_keystore_signer(fixture.keys, late_s));
    assert_int_equal(fixture.rows[1].signs_from_s, late_s - TB_KEYSTORE_SKEW_S);
}

static void loading_again_keeps_the_keys_it_has(void **state)
{
    (void)state;
    turn(NOW);
    struct tb_key *key = tb_keystore_signer(fixture.keys, NOW);
    uint64_t generation = tb_keystore_generation(fixture.keys);
    turn(NOW + PERIOD - LEAD);
    assert_ptr_equal(tb_keystore_signer(fixture.keys, NOW + PERIOD - LEAD), key);
    assert_true(tb_keystore_generation(fixture.keys) == generation);
    assert_null(tb_keystore_load(fixture.keys, fixture.rows + 1, 1, NOW)); /* withdrawn */
    assert_null(tb_keystore_signer(fixture.keys, NOW));
    assert_true(tb_keystore_generation(fixture.keys) != generation);
}

static void another_worker_reads_the_same_keys(void **state)
{
    (void)state;
    turn(NOW);
    struct tb_keystore *other = tb_keystore_new(&fixture.master);
    assert_null(tb_keystore_load(other, fixture.rows, fixture.n, NOW));
    unsigned char signature[TB_KEY_SIGNATURE_MAX];
    size_t n = tb_key_sign(tb_keystore_signer(other, NOW), TB_STR("m"), signature);
    assert_true(tb_key_verify(tb_keystore_signer(fixture.keys, NOW), TB_STR("m"),
                              (struct tb_str){(const char *)signature, n}));
    tb_keystore_free(other);
}

static void refuses_rows_and_stays_as_it_was(void **state)
{
    (void)state;
    turn(NOW);
    turn(NOW + PERIOD - LEAD);
    struct tb_key_row good[2] = {fixture.rows[0], fixture.rows[1]}, bad[9];
    char *bent = tb_arena_text(fixture.arena, good[1].sealed.at, good[1].sealed.n);
    bent[40] = bent[40] == 'A' ? 'B' : 'A';
    for (size_t i = 0; i < 9; i++)
        bad[i] = good[1];
    bad[0].sealed.at = bent;
    bad[1].sealed.n -= 2;
    bad[2].sealed = good[0].sealed; /* sealed for the other kid */
    bad[3].kid = TB_STR("k");
    bad[4].alg = TB_STR("PS256");
    bad[5].alg = TB_STR("HS256");
    bad[6].signs_from_s -= 1; /* two would sign at once */
    bad[7].signs_until_s = bad[7].signs_from_s;
    bad[8].valid_until_s = bad[8].signs_until_s - 1;
    for (size_t i = 0; i < 9; i++) {
        struct tb_keystore *fresh = tb_keystore_new(&fixture.master);
        for (int order = 0; order < 2; order++) {
            struct tb_key_row rows[2] = {order == 0 ? good[0] : bad[i],
                                         order == 0 ? bad[i] : good[0]};
            if (tb_keystore_load(fresh, rows, 2, NOW) == NULL)
                fail_msg("row %zu was loaded", i);
        }
        assert_null(tb_keystore_signer(fresh, NOW));
        tb_keystore_free(fresh);
        if (i != 0 && i != 1 && i != 2) /* a key it holds already is not opened again */
            assert_non_null(
                tb_keystore_load(fixture.keys, (struct tb_key_row[]){good[0], bad[i]}, 2, NOW));
        assert_non_null(tb_keystore_signer(fixture.keys, NOW));
    }
    struct tb_secret wrong = {0};
    tb_secret_set(&wrong, "0123456789abcdef0123456789abcdeF", 32);
    struct tb_keystore *stranger = tb_keystore_new(&wrong);
    assert_non_null(tb_keystore_load(stranger, good, 2, NOW));
    tb_keystore_free(stranger);
    tb_secret_wipe(&wrong);
}

static void holds_a_bounded_number_of_keys(void **state)
{
    (void)state;
    struct tb_key_schedule hasty = {TB_ALG_ED25519, 10, 5, 100000};
    for (size_t i = 0; i <= TB_KEYSTORE_KEYS_MAX; i++) {
        assert_true(tb_keystore_make(fixture.keys, &hasty, NOW + 10 * (int64_t)i, fixture.arena,
                                     &fixture.rows[i]));
        const char *why = tb_keystore_load(fixture.keys, fixture.rows, i + 1, NOW);
        assert_true((why == NULL) == (i < TB_KEYSTORE_KEYS_MAX));
    }
}

static void what_is_sealed_opens_for_its_name_and_key_alone(void **state)
{
    (void)state;
    struct tb_secret key = {0}, other = {0}, out = {0};
    tb_secret_derive(&key, &fixture.master, "one");
    tb_secret_derive(&other, &fixture.master, "two");
    struct tb_str plain = TB_STR("secret"),
                  sealed = tb_seal(&key, TB_STR("n"), plain, fixture.arena);
    struct tb_str again = tb_seal(&key, TB_STR("n"), plain, fixture.arena);
    assert_false(tb_str_eq(sealed, again)); /* a nonce of its own */
    assert_true(tb_unseal(&key, TB_STR("n"), sealed, &out));
    assert_true(tb_str_eq((struct tb_str){(const char *)out.at, out.n}, plain));
    assert_false(tb_unseal(&other, TB_STR("n"), sealed, &out));
    assert_false(tb_unseal(&key, TB_STR("m"), sealed, &out));
    assert_false(tb_unseal(&key, TB_STR_NONE, sealed, &out));
    assert_false(tb_unseal(&key, TB_STR("n"), TB_STR_NONE, &out));
    for (size_t n = 0; n < sealed.n; n++)
        assert_false(tb_unseal(&key, TB_STR("n"), (struct tb_str){sealed.at, n}, &out));
    for (size_t i = 0; i < sealed.n; i++) {
        char *bent = tb_arena_text(fixture.arena, sealed.at, sealed.n);
        bent[i] = bent[i] == 'A' ? 'Q' : 'A';
        assert_false(tb_unseal(&key, TB_STR("n"), (struct tb_str){bent, sealed.n}, &out));
    }
    sealed = tb_seal(&key, TB_STR_NONE, TB_STR_NONE, fixture.arena);
    assert_true(tb_unseal(&key, TB_STR_NONE, sealed, &out));
    assert_int_equal(out.n, 0);
    assert_null(
        tb_seal(&key, TB_STR("n"), (struct tb_str){sealed.at, TB_SEAL_BYTES_MAX + 1}, fixture.arena)
            .at);
    tb_secret_wipe(&key);
    tb_secret_wipe(&other);
    tb_secret_wipe(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(needs_a_master_secret_of_32_bytes),
    TEST(the_first_key_signs_at_once),
    TEST(a_key_goes_from_next_to_active_to_retired_to_ended),
    TEST(years_of_rotation_leave_no_gap),
    TEST(a_missed_rotation_is_made_good),
    TEST(loading_again_keeps_the_keys_it_has),
    TEST(another_worker_reads_the_same_keys),
    TEST(refuses_rows_and_stays_as_it_was),
    TEST(holds_a_bounded_number_of_keys),
    TEST(what_is_sealed_opens_for_its_name_and_key_alone),
};
TEST_GROUP(tests, NULL, NULL);
