/* Stage "idempotency": what a key may be, and what makes two requests the same. */
#include "exchange_fixture.h"

#include "base/json.h"
#include <stdio.h>
#include <stdlib.h>

static struct fixture f;

static int open_all(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static struct tb_exchange *write_with(struct tb_str key)
{
    struct tb_exchange *x = fixture_request(&f, "POST", "/shop/v1/things");
    fixture_flags(&f, TB_R_KEY);
    x->in.idempotency_key = key;
    return x;
}

static void asks_a_read_for_no_key_and_takes_none_from_it(void **state)
{
    (void)state;
    struct tb_exchange *x = write_with(TB_STR("\"not even closed"));
    fixture_flags(&f, 0);
    assert_string_equal(fixture_stage(&f, tb_stage_idempotency), "ok");
    assert_null(x->key.at);
    assert_string_equal(x->fingerprint, "");
}

static void refuses_a_write_without_a_key(void **state)
{
    (void)state;
    struct tb_exchange *x = write_with(TB_STR_NONE);
    assert_string_equal(fixture_stage(&f, tb_stage_idempotency), "idempotency_key_missing");
    assert_string_equal(fixture_place(&f), "idempotency-key:");
    assert_string_equal(fixture_detail(&f), "POST /shop/v1/things needs an Idempotency-Key");
    assert_string_equal(x->fingerprint, "");
}

static void reads_a_key_bare_or_as_a_quoted_string(void **state)
{
    (void)state;
    const struct {
        struct tb_str raw, key; /* key absent: refused */
    } cases[] = {
        {TB_STR("k"), TB_STR("k")},
        {TB_STR("!~'();:@&=+$/?#[]"), TB_STR("!~'();:@&=+$/?#[]")},
        {TB_STR("\"k\""), TB_STR("k")},
        {TB_STR("\"a b\""), TB_STR("a b")},
        {TB_STR("\"a,b\""), TB_STR("a,b")},
        {TB_STR("\"a\\\"b\\\\c\""), TB_STR("a\"b\\c")},
        {TB_STR("\"\\\\\""), TB_STR("\\")},
        {TB_STR("\"\\\"\""), TB_STR("\"")},
        {TB_STR("\" \""), TB_STR(" ")},
        {TB_STR("\"~\""), TB_STR("~")},

        {TB_STR(""), TB_STR_NONE},
        {TB_STR("\""), TB_STR_NONE},
        {TB_STR("\"\""), TB_STR_NONE},
        {TB_STR("\"k"), TB_STR_NONE},
        {TB_STR("k\""), TB_STR_NONE},
        {TB_STR("\"k\"x"), TB_STR_NONE},
        {TB_STR("\"k\";a=1"), TB_STR_NONE},
        {TB_STR("\"a\"b\""), TB_STR_NONE},
        {TB_STR("\"\\\""), TB_STR_NONE},
        {TB_STR("\"a\\\""), TB_STR_NONE},
        {TB_STR("\"\\n\""), TB_STR_NONE},
        {TB_STR("\"a\tb\""), TB_STR_NONE},
        {TB_STR("\"a\x7f\""), TB_STR_NONE},
        {TB_STR("\"\xe6\xac\xbe\""), TB_STR_NONE},
        {TB_STR("\"a\0b\""), TB_STR_NONE},
        {TB_STR("a b"), TB_STR_NONE},
        {TB_STR("a\tb"), TB_STR_NONE},
        {TB_STR("a,b"), TB_STR_NONE},
        {TB_STR("a\\b"), TB_STR_NONE},
        {TB_STR("a\"b"), TB_STR_NONE},
        {TB_STR("a\x7f"), TB_STR_NONE},
        {TB_STR("\xc3\xa4"), TB_STR_NONE},
        {TB_STR("a\0b"), TB_STR_NONE},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_exchange *x = write_with(cases[i].raw);
        const char *code = fixture_stage(&f, tb_stage_idempotency);
        bool good = cases[i].key.at != NULL;
        if (strcmp(code, good ? "ok" : "idempotency_key_invalid") != 0)
            fail_msg("%s: %s", cases[i].raw.at, code);
        if (good)
            assert_true(tb_str_eq(x->key, cases[i].key));
        else
            assert_string_equal(fixture_place(&f), "idempotency-key:");
        assert_int_equal(strlen(x->fingerprint), good ? 64 : 0);
    }
}

static void takes_keys_of_up_to_255_characters(void **state)
{
    (void)state;
    static const struct {
        size_t n;     /* characters of the key */
        bool escaped; /* and each is written as two */
        bool good;
    } cases[] = {
        {TB_KEY_MAX - 1, false, true}, {TB_KEY_MAX, false, true}, {TB_KEY_MAX + 1, false, false},
        {TB_KEY_MAX - 1, true, true},  {TB_KEY_MAX, true, true},  {TB_KEY_MAX + 1, true, false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char raw[2 * TB_KEY_MAX + 8];
        size_t n = 0;
        if (cases[i].escaped)
            raw[n++] = '"';
        for (size_t c = 0; c < cases[i].n; c++) {
            if (cases[i].escaped)
                raw[n++] = '\\';
            raw[n++] = cases[i].escaped ? '"' : 'k';
        }
        if (cases[i].escaped)
            raw[n++] = '"';
        struct tb_exchange *x = write_with((struct tb_str){raw, n});
        assert_string_equal(fixture_stage(&f, tb_stage_idempotency),
                            cases[i].good ? "ok" : "idempotency_key_invalid");
        if (cases[i].good)
            assert_int_equal(x->key.n, cases[i].n);
        else
            assert_non_null(strstr(fixture_detail(&f), "1 to 255 visible ASCII"));
    }
}

/* ---- fingerprints ---- */

struct asked {
    const char *method, *path, *body;
    const char *consent, *family; /* of a token; both NULL: the app's own */
    const char *changed_to;       /* by a script; NULL: not */
};

static void take_print(const struct asked *asked, char out[65])
{
    static struct tb_grant grant;
    struct tb_exchange *x = fixture_request(&f, asked->method, asked->path);
    fixture_flags(&f, TB_R_KEY);
    x->in.idempotency_key = TB_STR("k");
    grant = (struct tb_grant){.consent = tb_str(asked->consent), .family = tb_str(asked->family)};
    if (asked->consent != NULL || asked->family != NULL)
        x->grant = &grant;
    if (asked->body != NULL) {
        x->json = json_loads(asked->body, JSON_DECODE_ANY, NULL);
        assert_true(tb_json_defer(x->run.arena, x->json));
    }
    if (asked->changed_to != NULL) {
        x->sent_body = x->json;
        x->json = json_loads(asked->changed_to, JSON_DECODE_ANY, NULL);
        assert_true(tb_json_defer(x->run.arena, x->json));
    }
    assert_string_equal(fixture_stage(&f, tb_stage_idempotency), "ok");
    assert_int_equal(strspn(x->fingerprint, "0123456789abcdef"), 64);
    memcpy(out, x->fingerprint, 65);
}

static void knows_a_request_again_however_it_is_written(void **state)
{
    (void)state;
    static const struct asked pairs[][2] = {
        {{"POST", "/a", "{\"a\":1,\"b\":{\"c\":2,\"d\":3}}", NULL, NULL, NULL},
         {"POST", "/a", " { \"b\" : {\"d\":3, \"c\":2} , \"a\":1 }", NULL, NULL, NULL}},
        {{"POST", "/a", "{\"a\":\"x\"}", NULL, NULL, NULL},
         {"POST", "/a", "{\"a\":\"\\u0078\"}", NULL, NULL, NULL}},
        {{"POST", "/a", "{\"a\":1}", NULL, NULL, NULL},
         {"POST", "/a", "{\"a\":1}", NULL, NULL, "{\"a\":2}"}},
        {{"POST", "/a", "{}", "cns_1", "grn_1", NULL},
         {"POST", "/a", "{}", "cns_1", "grn_2", NULL}},
    };
    for (size_t i = 0; i < TB_COUNT(pairs); i++) {
        char one[65], other[65];
        take_print(&pairs[i][0], one);
        take_print(&pairs[i][1], other);
        if (strcmp(one, other) != 0)
            fail_msg("pair %zu differs", i);
    }
}

static void tells_requests_apart_by_all_that_they_ask_for(void **state)
{
    (void)state;
    static const struct asked cases[] = {
        {"POST", "/a", NULL, NULL, NULL, NULL},
        {"PUT", "/a", NULL, NULL, NULL, NULL},
        {"POST", "/b", NULL, NULL, NULL, NULL},
        {"POST", "/a", "{}", NULL, NULL, NULL},
        {"POST", "/a", "null", NULL, NULL, NULL},
        {"POST", "/a", "{\"a\":1}", NULL, NULL, NULL},
        {"POST", "/a", "{\"a\":2}", NULL, NULL, NULL},
        {"POST", "/a", "{\"a\":\"1\"}", NULL, NULL, NULL},
        {"POST", "/a", "{\"a\":[1]}", NULL, NULL, NULL},
        {"POST", "/a", "{\"a\":[1,1]}", NULL, NULL, NULL},
        {"POST", "/a", "{}", "cns_1", "grn_1", NULL},
        {"POST", "/a", "{}", "cns_2", "grn_1", NULL},
        {"POST", "/a", "{}", NULL, "grn_1", NULL},
        {"POST", "/a", "{}", NULL, "grn_2", NULL},
        {"POST", "/a\n", NULL, NULL, NULL, NULL},
    };
    char prints[TB_COUNT(cases)][65];
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        take_print(&cases[i], prints[i]);
        for (size_t j = 0; j < i; j++)
            if (strcmp(prints[i], prints[j]) == 0)
                fail_msg("cases %zu and %zu have one fingerprint", j, i);
    }
}

/* Fingerprints are kept with their keys: a release that makes them otherwise must say so by another
 * version, or every key in use meets "used for a different request". */
static void makes_the_fingerprints_it_has_made_before(void **state)
{
    (void)state;
    static const struct asked asked = {"POST", "/a", "{\"b\":2,\"a\":1}", "cns_1", NULL, NULL};
    char print[65];
    take_print(&asked, print);
    /* printf '2\nPOST /a\ncns_1\n{"a":1,"b":2}' | sha256sum */
    assert_string_equal(print, "9e68b5e7505df126b71a63cfdeb8d1161ef89e110c8b3013365d3c8e5e61d268");
}

/* What is hashed passes through a buffer of 2 KiB; nothing depends on where a body meets its end.
 */
static void hashes_bodies_around_the_size_of_its_buffer(void **state)
{
    (void)state;
    char before[65] = "";
    for (size_t n = 1900; n < 2200; n++) {
        char body[2400], print[65], again[65];
        int length = snprintf(body, sizeof(body), "{\"a\":\"%0*d\"}", (int)n, 0);
        assert_in_range(length, n, n + 16);
        const struct asked asked = {"POST", "/a", body, NULL, NULL, NULL};
        take_print(&asked, print);
        take_print(&asked, again);
        assert_string_equal(print, again);
        assert_string_not_equal(print, before);
        memcpy(before, print, sizeof(before));
    }
}

static bool hash_with(struct fixture *fixture, size_t cap)
{
    struct tb_exchange *x = fixture_request(fixture, "POST", "/shop/v1/things");
    fixture_flags(fixture, TB_R_KEY);
    x->in.idempotency_key = TB_STR("\"a \\\" key\"");
    x->json = json_loads("{\"b\":[1,{\"d\":2,\"c\":3}],\"a\":1}", 0, NULL);
    assert_true(tb_json_defer(x->run.arena, x->json));
    fixture_starve(fixture, cap);
    const char *code = fixture_stage(fixture, tb_stage_idempotency);
    if (strcmp(code, "ok") == 0) {
        static char whole[65]; /* with all memory, which comes first */
        if (whole[0] == '\0')
            memcpy(whole, x->fingerprint, sizeof(whole));
        assert_string_equal(x->fingerprint, whole);
        return true;
    }
    assert_string_equal(code, "internal");
    assert_string_equal(x->fingerprint, "");
    return false;
}

static void gives_no_fingerprint_when_memory_ends(void **state)
{
    (void)state;
    fixture_famine(&f, hash_with);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(asks_a_read_for_no_key_and_takes_none_from_it),
    cmocka_unit_test(refuses_a_write_without_a_key),
    cmocka_unit_test(reads_a_key_bare_or_as_a_quoted_string),
    cmocka_unit_test(takes_keys_of_up_to_255_characters),
    cmocka_unit_test(knows_a_request_again_however_it_is_written),
    cmocka_unit_test(tells_requests_apart_by_all_that_they_ask_for),
    cmocka_unit_test(makes_the_fingerprints_it_has_made_before),
    cmocka_unit_test(hashes_bodies_around_the_size_of_its_buffer),
    cmocka_unit_test(gives_no_fingerprint_when_memory_ends),
};
TEST_GROUP(tests, open_all, close_all);
