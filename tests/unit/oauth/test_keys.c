/* Signing keys and revocations against a real PostgreSQL: one key for each moment however many
 * processes ask, kept over restarts, and revocations that reach others. */
#include "../unit.h"

#include "../store/pg.h"
#include "oauth/token/keys.h"
#include "oauth/token/revoke.h"
#include "runtime/run.h"
#include "store/migrate.h"
#include "store/query.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct tb_migration tb_consent_migrations[];
extern const struct tb_migration tb_ledger_migrations[];
extern const struct tb_migration tb_outbox_migrations[];

enum { NOW = 1700000000, WORKERS = 8, REVOKED = 2500 };

static struct pg pg;
static struct tb_loop *loop;
static struct tb_store *store;
static struct tb_host host; /* a job's, with the books in reach */
static struct tb_secret master;

static tb_err TB_SUSPENDS query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                                const struct tb_param *params, size_t params_n)
{
    return tb_store_query(req, store, out_rows, sql, params, params_n);
}

static tb_err TB_SUSPENDS await(struct tb_req *req, void *arg)
{
    (void)arg;
    return tb_store_await(req, store, 20000);
}

static int set_up(void **state)
{
    (void)state;
    pg_make(&pg, false);
    const struct tb_migration *rooms[] = {tb_store_migrations, tb_ledger_migrations,
                                          tb_outbox_migrations, tb_oauth_migrations,
                                          tb_consent_migrations};
    for (size_t i = 0; i < TB_COUNT(rooms); i++)
        for (const struct tb_migration *m = rooms[i]; m->number != 0; m++)
            pg_do(&pg, m->sql);
    loop = tb_loop_new();
    store = tb_store_open(loop, &(struct tb_store_options){.dsn = pg.dsn});
    host = tb_run_host;
    host.query = query;
    tb_secret_set(&master, "0123456789abcdef0123456789abcdef", 32);
    return tb_run_to_end(loop, await, NULL, 0) != NULL;
}

static int tear_down(void **state)
{
    (void)state;
    tb_store_close(store);
    tb_loop_free(loop);
    tb_secret_wipe(&master);
    pg_remove(&pg);
    return 0;
}

static int empty_tables(void **state)
{
    (void)state;
    pg_do(&pg, "truncate oauth.signing_key, oauth.revoked_token");
    return 0;
}

/* ---- keys ---- */

struct refresh {
    struct tb_keystore *keys;
    enum tb_key_purpose purpose;
    int64_t now_s;
    int64_t rotate_s; /* 0: refresh */
    tb_err err;
    bool ended;
};

static tb_err TB_SUSPENDS refresh_job(struct tb_req *req, void *arg)
{
    struct refresh *refresh = arg;
    req->host = &host;
    if (refresh->rotate_s != 0)
        refresh->err = tb_oauth_keys_rotate(req, refresh->keys, refresh->purpose,
                                            &tb_oauth_schedule, "operator:test", refresh->rotate_s,
                                            refresh->now_s);
    else
        refresh->err = tb_oauth_keys_refresh(req, refresh->keys, refresh->purpose,
                                             &tb_oauth_schedule, refresh->now_s);
    refresh->ended = true;
    return NULL;
}

static tb_err refresh_of(struct tb_keystore *keys, enum tb_key_purpose purpose, int64_t now_s)
{
    struct refresh refresh = {.keys = keys, .purpose = purpose, .now_s = now_s};
    assert_null(tb_run_to_end(loop, refresh_job, &refresh, 0));
    return refresh.err;
}

static tb_err refresh_at(struct tb_keystore *keys, int64_t now_s)
{
    return refresh_of(keys, TB_KEYS_OF_TOKENS, now_s);
}

static tb_err rotate(struct tb_keystore *keys, int64_t from_s, int64_t now_s)
{
    struct refresh refresh = {.keys = keys, .now_s = now_s, .rotate_s = from_s};
    assert_null(tb_run_to_end(loop, refresh_job, &refresh, 0));
    return refresh.err;
}

static void the_first_start_makes_one_key_and_the_second_reads_it(void **state)
{
    (void)state;
    struct tb_keystore *first = tb_keystore_new(&master), *second = tb_keystore_new(&master);
    assert_null(refresh_at(first, NOW));
    assert_null(refresh_at(second, NOW + 5));
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key"), 1);
    assert_true(tb_str_eq(tb_key_kid(tb_keystore_signer(first, NOW)),
                          tb_key_kid(tb_keystore_signer(second, NOW + 5))));
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key where sealed like "
                                    "'%PRIVATE%' or length(sealed) < 100"),
                     0);
    tb_keystore_free(first);
    tb_keystore_free(second);
}

static void workers_that_start_together_agree_on_one_key(void **state)
{
    (void)state;
    struct refresh refreshes[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        refreshes[i] = (struct refresh){.keys = tb_keystore_new(&master), .now_s = NOW + i % 3};
        assert_null(tb_run_detached(loop, "refresh", refresh_job, &refreshes[i], 0));
    }
    for (int i = 0; i < WORKERS; i++)
        while (!refreshes[i].ended)
            tb_loop_turn(loop, 100);
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key"), 1);
    for (int i = 0; i < WORKERS; i++) {
        assert_null(refreshes[i].err);
        struct tb_key *key = tb_keystore_signer(refreshes[i].keys, NOW + 3);
        assert_non_null(key);
        assert_true(
            tb_str_eq(tb_key_kid(key), tb_key_kid(tb_keystore_signer(refreshes[0].keys, NOW + 3))));
    }
    for (int i = 0; i < WORKERS; i++)
        tb_keystore_free(refreshes[i].keys);
}

static void rotation_goes_on_by_itself(void **state)
{
    (void)state;
    struct tb_keystore *keys = tb_keystore_new(&master);
    for (int64_t now_s = NOW; now_s < NOW + INT64_C(366) * 86400; now_s += 86400) {
        assert_null(refresh_at(keys, now_s));
        assert_non_null(tb_keystore_signer(keys, now_s));
    }
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key"), 5);
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key where signs_from - "
                                    "made_at >= interval '47 hours'"),
                     4);
    tb_keystore_free(keys);
}

static void another_master_secret_opens_nothing_and_says_so(void **state)
{
    (void)state;
    struct tb_keystore *keys = tb_keystore_new(&master), *stranger;
    struct tb_secret other = {0};
    tb_secret_set(&other, "another secret of the same length", 32);
    stranger = tb_keystore_new(&other);
    assert_null(refresh_at(keys, NOW));
    assert_true(tb_is(refresh_at(stranger, NOW), TB_E_INTERNAL));
    assert_null(tb_keystore_signer(stranger, NOW));
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key"), 1);
    tb_keystore_free(keys);
    tb_keystore_free(stranger);
    tb_secret_wipe(&other);
}

static bool same_signer(struct tb_keystore *a, struct tb_keystore *b, int64_t now_s)
{
    return tb_str_eq(tb_key_kid(tb_keystore_signer(a, now_s)),
                     tb_key_kid(tb_keystore_signer(b, now_s)));
}

static void keys_of_responses_are_others_than_keys_of_tokens(void **state)
{
    (void)state;
    struct tb_keystore *tokens = tb_keystore_new(&master), *responses = tb_keystore_new(&master);
    assert_null(refresh_of(tokens, TB_KEYS_OF_TOKENS, NOW));
    assert_null(refresh_of(responses, TB_KEYS_OF_RESPONSES, NOW));
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key"), 2);
    assert_false(same_signer(tokens, responses, NOW));
    tb_keystore_free(tokens);
    tb_keystore_free(responses);
}

static void a_rotation_ahead_of_the_schedule_overlaps(void **state)
{
    (void)state;
    struct tb_keystore *keys = tb_keystore_new(&master), *other = tb_keystore_new(&master);
    struct tb_key_status status[TB_KEYSTORE_KEYS_MAX];
    assert_null(refresh_at(keys, NOW));
    assert_null(refresh_at(other, NOW));
    assert_null(rotate(keys, NOW + 600, NOW));
    assert_null(rotate(other, NOW + 600, NOW)); /* a second hand on it at the same time */
    assert_int_equal(tb_keystore_status(keys, NOW, status), 2);
    assert_int_equal(status[0].state, TB_KEY_ACTIVE);
    assert_int_equal(status[1].state, TB_KEY_NEXT);
    for (int64_t at = NOW; at < NOW + 1200; at += 60) {
        assert_true(same_signer(keys, other, at));
        assert_true(tb_str_eq(tb_key_kid(tb_keystore_signer(keys, at)),
                              status[at < NOW + 600 ? 0 : 1].kid));
    }
    assert_int_equal(status[0].valid_until_s, NOW + 600 + tb_oauth_schedule.overlap_s);
    assert_int_equal(status[1].signs_until_s, NOW + 600 + tb_oauth_schedule.period_s);
    tb_keystore_free(keys);
    tb_keystore_free(other);
}

static void a_rotation_brings_the_published_key_forward(void **state)
{
    (void)state;
    struct tb_keystore *keys = tb_keystore_new(&master);
    int64_t late = NOW + tb_oauth_schedule.period_s - 86400;
    assert_null(refresh_at(keys, NOW));
    assert_null(refresh_at(keys, late)); /* offers the next */
    assert_null(rotate(keys, late + 60, late));
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key"), 2);
    struct tb_key_status status[TB_KEYSTORE_KEYS_MAX];
    assert_int_equal(tb_keystore_status(keys, late + 60, status), 2);
    assert_int_equal(status[0].state, TB_KEY_RETIRED);
    assert_int_equal(status[1].state, TB_KEY_ACTIVE);
    tb_keystore_free(keys);
}

static void refuses_to_rotate_into_more_keys_than_a_store_holds(void **state)
{
    (void)state;
    struct tb_keystore *keys = tb_keystore_new(&master);
    tb_err err = refresh_at(keys, NOW);
    for (int64_t at = NOW + 1; err == NULL && at < NOW + 20; at++)
        err = rotate(keys, at, at - 1);
    assert_true(tb_is(err, TB_E_CONFLICT));
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.signing_key"),
                     TB_KEYSTORE_KEYS_MAX - 2);
    assert_null(refresh_at(keys, NOW + 30));
    tb_keystore_free(keys);
}

/* ---- revocations ---- */

static struct tb_jti_set *new_set(size_t entries)
{
    size_t bytes = (tb_jti_set_bytes(entries) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    memset(memory, 0, bytes);
    return tb_jti_set_init(memory, bytes);
}

struct revocation {
    struct tb_revocations *revocations;
    struct tb_str jti; /* absent: refresh */
    int64_t exp_s, now_s;
    tb_err err;
};

static tb_err TB_SUSPENDS revocation_job(struct tb_req *req, void *arg)
{
    struct revocation *r = arg;
    req->host = &host;
    if (r->jti.at == NULL)
        r->err = tb_revocations_refresh(req, r->revocations, r->now_s);
    else
        r->err = tb_token_revoke(req, r->revocations, r->jti, r->exp_s, r->now_s);
    return NULL;
}

static tb_err revoke(struct tb_revocations *revocations, const char *jti, int64_t exp_s,
                     int64_t now_s)
{
    struct revocation r = {revocations, tb_str(jti), exp_s, now_s, NULL};
    assert_null(tb_run_to_end(loop, revocation_job, &r, 0));
    return r.err;
}

static tb_err read_list(struct tb_revocations *revocations, int64_t now_s)
{
    return revoke(revocations, NULL, 0, now_s);
}

static bool has(const struct tb_revocations *revocations, const char *jti)
{
    struct tb_str text = tb_str(jti);
    return tb_jti_set_has(revocations->set, &text, 1, NOW);
}

static void a_revocation_reaches_other_machines(void **state)
{
    (void)state;
    struct tb_revocations here = {.set = new_set(64)}, there = {.set = new_set(64)};
    assert_null(read_list(&there, NOW));
    assert_null(revoke(&here, "tok_1", NOW + 600, NOW));
    assert_null(revoke(&here, "tok_1", NOW + 600, NOW));
    assert_null(revoke(&here, "tok_old", NOW, NOW)); /* has ended by itself */
    assert_true(has(&here, "tok_1"));
    assert_false(has(&there, "tok_1"));
    assert_null(read_list(&there, NOW + 2));
    assert_true(has(&there, "tok_1"));
    assert_false(has(&there, "tok_2"));
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.revoked_token"), 1);

    /* One that was committed late, with a time that the reader has passed. */
    pg_do(&pg, "insert into oauth.revoked_token values "
               "('tok_late', to_timestamp(1700000600), to_timestamp(1699999960))");
    assert_null(read_list(&there, NOW + 4));
    assert_true(has(&there, "tok_late"));
    free(here.set);
    free(there.set);
}

static void a_start_reads_all_that_has_not_expired_in_pages(void **state)
{
    (void)state;
    struct tb_revocations late = {.set = new_set(2 * REVOKED)};
    int pages = 0;
    pg_do(&pg, "insert into oauth.revoked_token select 'tok_' || i, to_timestamp(1700000600), "
               "to_timestamp(1699990000 + i / 700) from generate_series(1, 2500) i");
    pg_do(&pg, "insert into oauth.revoked_token values "
               "('tok_gone', to_timestamp(1699999999), to_timestamp(1699990000))");
    do {
        assert_null(read_list(&late, NOW));
        pages++;
    } while (late.behind);
    assert_int_equal(pages, 3);
    for (int i = 1; i <= REVOKED; i++) {
        char jti[16];
        snprintf(jti, sizeof(jti), "tok_%d", i);
        assert_true(has(&late, jti));
    }
    assert_false(has(&late, "tok_gone"));
    free(late.set);
}

static void a_full_set_is_an_error_and_the_token_is_not_listed(void **state)
{
    (void)state;
    struct tb_revocations tiny = {.set = new_set(1)};
    int full = 0;
    for (int i = 0; i < 64; i++) {
        char jti[16];
        snprintf(jti, sizeof(jti), "tok_%d", i);
        tb_err err = revoke(&tiny, jti, NOW + 600, NOW);
        assert_true(err == NULL || tb_is(err, TB_E_OVERLOAD));
        full += err != NULL;
    }
    assert_true(full > 0);
    assert_int_equal(pg_number(&pg, "select count(*) from oauth.revoked_token"), 64 - full);
    free(tiny.set);
}

#define TEST(name) cmocka_unit_test_setup(name, empty_tables)

static const struct CMUnitTest tests[] = {
    TEST(the_first_start_makes_one_key_and_the_second_reads_it),
    TEST(workers_that_start_together_agree_on_one_key),
    TEST(rotation_goes_on_by_itself),
    TEST(another_master_secret_opens_nothing_and_says_so),
    TEST(keys_of_responses_are_others_than_keys_of_tokens),
    TEST(a_rotation_ahead_of_the_schedule_overlaps),
    TEST(a_rotation_brings_the_published_key_forward),
    TEST(refuses_to_rotate_into_more_keys_than_a_store_holds),
    TEST(a_revocation_reaches_other_machines),
    TEST(a_start_reads_all_that_has_not_expired_in_pages),
    TEST(a_full_set_is_an_error_and_the_token_is_not_listed),
};
TEST_GROUP(tests, set_up, tear_down);
