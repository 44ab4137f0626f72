/* The cache of verified tokens: whole bytes decide, expiry and revocation count at once, and memory
 * stays within its bounds whatever comes. */
#include "../unit.h"

#include "crypto/token_cache.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1700000000, TOKEN = 700 };

static struct tb_token_cache *cache;
static struct tb_jti_set *revoked;

static int set_up(void **state)
{
    (void)state;
    size_t bytes = tb_jti_set_bytes(1024);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(memory, 0, bytes);
    revoked = tb_jti_set_init(memory, bytes);
    cache = tb_token_cache_new(100, 1024 * 1024, revoked);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_token_cache_free(cache);
    free(revoked);
    return 0;
}

/* A token of TOKEN bytes that is different for each number, at its end or at its start. */
static struct tb_str token_of(char buffer[TOKEN + 1], int number, bool at_start)
{
    memset(buffer, 'x', TOKEN);
    snprintf(buffer + (at_start ? 0 : TOKEN - 8), 9, "%08d", number);
    if (at_start)
        buffer[8] = 'x';
    return (struct tb_str){buffer, TOKEN};
}

static struct tb_grant *grant_of(const char *jti, int64_t exp_s)
{
    static const struct tb_str scopes[] = {{"accounts:read", 13}, {"e-payment:write", 15}};
    return tb_grant_new(&(struct tb_grant){.partner = TB_STR("ptr_1"),
                                           .app = TB_STR("app_1"),
                                           .subject = TB_STR("app_1"),
                                           .jti = tb_str(jti),
                                           .env = TB_ENV_SANDBOX,
                                           .book = 7,
                                           .exp_s = exp_s,
                                           .scopes = scopes,
                                           .scopes_n = 2});
}

static bool add(struct tb_str token, const char *jti, int64_t exp_s)
{
    struct tb_grant *grant = grant_of(jti, exp_s);
    bool added = tb_token_cache_add(cache, token, grant, NOW);
    tb_grant_drop(grant);
    return added;
}

static bool found(struct tb_str token, int64_t now_s)
{
    struct tb_grant *grant = tb_token_cache_find(cache, token, now_s);
    tb_grant_drop(grant);
    return grant != NULL;
}

static void a_grant_carries_its_own_texts(void **state)
{
    (void)state;
    char partner[] = "ptr_1", scope[] = "a:read";
    struct tb_str scopes[] = {tb_str(scope)};
    struct tb_grant *grant = tb_grant_new(&(struct tb_grant){
        .partner = tb_str(partner), .scopes = scopes, .scopes_n = 1, .cert = TB_STR("c")});
    memset(partner, '?', 5);
    memset(scope, '?', 6);
    scopes[0] = TB_STR_NONE;
    assert_true(tb_str_eq(grant->partner, TB_STR("ptr_1")));
    assert_true(tb_str_eq(grant->cert, TB_STR("c")));
    assert_null(grant->dpop.at);
    assert_true(tb_grant_allows(grant, TB_STR("a:read")));
    assert_false(tb_grant_allows(grant, TB_STR("a:rea")));
    assert_false(tb_grant_allows(grant, TB_STR("a:reads")));
    assert_false(tb_grant_allows(grant, TB_STR("A:read")));
    assert_false(tb_grant_allows(grant, TB_STR("")));
    assert_ptr_equal(tb_grant_keep(grant), grant);
    tb_grant_drop(grant);
    tb_grant_drop_any(grant);
}

static void finds_exactly_the_bytes_it_was_given(void **state)
{
    (void)state;
    char one[TOKEN + 1], other[TOKEN + 1];
    struct tb_str token = token_of(one, 1, false);
    assert_false(found(token, NOW));
    assert_true(add(token, "j1", NOW + 60));
    assert_true(found(token, NOW));
    for (size_t i = 0; i < TOKEN; i++) {
        memcpy(other, one, TOKEN);
        other[i] ^= 1;
        assert_false(found((struct tb_str){other, TOKEN}, NOW));
    }
    for (size_t n = 0; n < TOKEN; n++)
        assert_false(found((struct tb_str){one, n}, NOW));
    assert_false(found((struct tb_str){one, TOKEN + 1}, NOW));
    assert_false(found(TB_STR_NONE, NOW));
    struct tb_grant *grant = tb_token_cache_find(cache, token, NOW);
    assert_true(tb_str_eq(grant->jti, TB_STR("j1")));
    assert_int_equal(grant->book, 7);
    tb_grant_drop(grant);
}

/* Tokens that are equal in the last 64 bytes, all that is hashed: one hash, one bucket of 8. */
static void tokens_of_one_hash_are_kept_apart(void **state)
{
    (void)state;
    char buffer[TOKEN + 1], jti[16];
    for (int i = 0; i < 8; i++) {
        snprintf(jti, sizeof(jti), "j%d", i);
        assert_true(add(token_of(buffer, i, true), jti, NOW + 60));
    }
    for (int i = 0; i < 8; i++) {
        struct tb_grant *grant = tb_token_cache_find(cache, token_of(buffer, i, true), NOW);
        snprintf(jti, sizeof(jti), "j%d", i);
        assert_non_null(grant);
        assert_true(tb_str_eq(grant->jti, tb_str(jti)));
        tb_grant_drop(grant);
    }
    for (int i = 8; i < 1000; i++) { /* the bucket overflows and nothing else does */
        assert_true(add(token_of(buffer, i, true), "j", NOW + 60));
        assert_true(found(token_of(buffer, i, true), NOW));
        assert_int_equal(tb_token_cache_stats(cache).entries, 8);
    }
    assert_false(found(token_of(buffer, 100000, true), NOW));
}

static void forgets_what_has_expired(void **state)
{
    (void)state;
    char buffer[TOKEN + 1];
    struct tb_str token = token_of(buffer, 1, false);
    assert_true(add(token, "j1", NOW + 60));
    assert_true(found(token, NOW + 59));
    assert_false(found(token, NOW + 60));
    assert_false(found(token, NOW)); /* gone, not only hidden */
    assert_int_equal(tb_token_cache_stats(cache).entries, 0);
    assert_int_equal(tb_token_cache_stats(cache).bytes, 0);
    assert_int_equal(tb_token_cache_stats(cache).dropped, 1);
}

static void honours_a_revocation_at_the_next_look(void **state)
{
    (void)state;
    char buffer[TOKEN + 1], second[TOKEN + 1];
    struct tb_str token = token_of(buffer, 1, false), other = token_of(second, 2, false);
    assert_true(add(token, "j1", NOW + 60));
    assert_true(add(other, "j2", NOW + 60));
    assert_int_equal(tb_jti_set_add(revoked, &TB_STR("j1"), 1, NOW + 60, NOW), TB_JTI_NEW);
    assert_false(found(token, NOW));
    assert_true(found(other, NOW));
    assert_false(add(token, "j1", NOW + 60)); /* nor does it come in again */
    assert_false(found(token, NOW));
    assert_int_equal(tb_jti_set_add(revoked, &TB_STR("j2"), 1, NOW + 60, NOW), TB_JTI_NEW);
    assert_false(found(other, NOW));
}

static void honours_that_an_app_is_gone(void **state)
{
    (void)state;
    char buffer[TOKEN + 1];
    struct tb_str token = token_of(buffer, 1, false);
    assert_true(add(token, "j1", NOW + 60));
    assert_int_equal(tb_jti_set_add(revoked, &TB_STR("app_1"), 1, NOW + 60, NOW), TB_JTI_NEW);
    assert_false(found(token, NOW));
    assert_false(add(token, "j1", NOW + 60));
}

static void a_grant_in_use_outlives_its_entry(void **state)
{
    (void)state;
    char buffer[TOKEN + 1];
    struct tb_str token = token_of(buffer, 1, false);
    assert_true(add(token, "j1", NOW + 60));
    struct tb_grant *grant = tb_token_cache_find(cache, token, NOW);
    tb_token_cache_clear(cache);
    assert_false(found(token, NOW));
    assert_true(tb_str_eq(grant->partner, TB_STR("ptr_1")));
    assert_int_equal(grant->refs, 1);
    tb_grant_drop(grant);
}

static void stays_within_its_number_of_entries(void **state)
{
    (void)state;
    char buffer[TOKEN + 1];
    for (int i = 0; i < 5000; i++) {
        assert_true(add(token_of(buffer, i, false), "j", NOW + 60));
        assert_true(found(token_of(buffer, i, false), NOW));
        assert_true(tb_token_cache_stats(cache).entries <= 100);
    }
    /* a token may have to give way within its bucket before the table is full */
    struct tb_token_cache_stats stats = tb_token_cache_stats(cache);
    assert_in_range(stats.entries, 90, 100);
    assert_int_equal(stats.entries + stats.evicted, 5000);
}

static void stays_within_its_bytes(void **state)
{
    (void)state;
    char buffer[TOKEN + 1];
    tb_token_cache_free(cache);
    cache = tb_token_cache_new(1000, 10 * 1024, NULL);
    for (int i = 0; i < 500; i++) {
        assert_true(add(token_of(buffer, i, false), "j", NOW + 60));
        assert_true(found(token_of(buffer, i, false), NOW));
        assert_true(tb_token_cache_stats(cache).bytes <= 10 * 1024);
    }
    assert_in_range(tb_token_cache_stats(cache).entries, 5, 14);
    tb_token_cache_free(cache);
    cache = tb_token_cache_new(1000, 500, NULL); /* no token fits */
    assert_true(add(token_of(buffer, 1, false), "j", NOW + 60));
    assert_false(found(token_of(buffer, 1, false), NOW));
    tb_token_cache_free(cache);
    cache = tb_token_cache_new(0, 1024 * 1024, NULL);
    assert_true(add(token_of(buffer, 1, false), "j", NOW + 60));
    assert_false(found(token_of(buffer, 1, false), NOW));
}

/* A token in steady use stays while strangers pass through. */
static void keeps_what_is_used(void **state)
{
    (void)state;
    char buffer[TOKEN + 1], busy[TOKEN + 1];
    struct tb_str token = token_of(busy, -1, false);
    assert_true(add(token, "busy", NOW + 60));
    for (int i = 0; i < 5000; i++) {
        assert_true(add(token_of(buffer, i, false), "j", NOW + 60));
        assert_true(found(token, NOW));
    }
}

static void the_same_token_again_replaces_itself(void **state)
{
    (void)state;
    char buffer[TOKEN + 1];
    struct tb_str token = token_of(buffer, 1, false);
    for (int i = 0; i < 10; i++)
        assert_true(add(token, "j", NOW + 60 + i));
    assert_int_equal(tb_token_cache_stats(cache).entries, 1);
    assert_true(found(token, NOW + 68));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_grant_carries_its_own_texts),
    TEST(finds_exactly_the_bytes_it_was_given),
    TEST(tokens_of_one_hash_are_kept_apart),
    TEST(forgets_what_has_expired),
    TEST(honours_a_revocation_at_the_next_look),
    TEST(honours_that_an_app_is_gone),
    TEST(a_grant_in_use_outlives_its_entry),
    TEST(stays_within_its_number_of_entries),
    TEST(stays_within_its_bytes),
    TEST(keeps_what_is_used),
    TEST(the_same_token_again_replaces_itself),
};
TEST_GROUP(tests, NULL, NULL);
