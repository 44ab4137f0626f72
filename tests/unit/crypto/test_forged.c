/* Tokens that are wrong: the forgeries other libraries have been seen to accept, malformed ones by
 * table, and a great many mutations of good ones. All get one identical answer.
 *
 *     TB_MUTATIONS=1000000 TB_SEED=77 unit_crypto forged */
#include "../unit.h"

#include "crypto/digest.h"
#include "forge.h"
#include "vectors.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1700000000 };

#define HEADER "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}"
#define CLAIMS "{\"sub\":\"somebody\",\"exp\":1800000000}"

static const char *const types[] = {"at+jwt", NULL};

static struct tb_arena *arena;
static struct tb_key *key;
static struct tb_jose_policy policy;
static uint64_t mutations = 100000, seed = 1;

static void read_number(const char *variable, uint64_t *into)
{
    const char *text = getenv(variable);
    if (text != NULL)
        *into = strtoull(text, NULL, 10);
}

static int set_up(void **state)
{
    (void)state;
    read_number("TB_MUTATIONS", &mutations);
    read_number("TB_SEED", &seed);
    arena = tb_arena_new(16 * TB_ARENA_CAP);
    key = tb_key_make(TB_ALG_ES256);
    policy = (struct tb_jose_policy){.types = types,
                                     .algs = TB_ALG_ES256 | TB_ALG_PS256 | TB_ALG_ED25519,
                                     .bytes_max = TB_JOSE_BYTES_MAX,
                                     .find = find_only,
                                     .find_arg = key,
                                     .required = TB_CLAIM_EXP,
                                     .ahead_s = TB_JOSE_AHEAD_S};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tb_arena_free(arena);
    tb_key_free(key);
    return 0;
}

/* One identical answer: this error, and nothing of the token but the claims of one that has
 * expired. */
static void assert_refused(struct tb_str token, const char *what)
{
    struct tb_jose out;
    tb_err err = tb_jose_verify(&policy, token, NOW, arena, &out);
    if (err == NULL)
        fail_msg("accepted: %s", what);
    assert_true(tb_is(err, TB_E_TOKEN_INVALID));
    assert_null(out.key);
    assert_int_equal(out.claims != NULL, out.reason == TB_JOSE_EXPIRED);
    assert_null(out.payload.at);
}

static void assert_accepted(struct tb_str token)
{
    struct tb_jose out;
    if (tb_jose_verify(&policy, token, NOW, arena, &out) != NULL)
        fail_msg("refused: %s", tb_jose_reason_words(out.reason));
}

/* HMAC-SHA256 over header and payload, keyed with something public. */
static struct tb_str forge_hmac(struct tb_str header, struct tb_str secret)
{
    unsigned char code[TB_SHA256_BYTES];
    struct tb_str head = tb_arena_format(arena, "%s.%s", tb_base64url(arena, header).at,
                                         tb_base64url(arena, TB_STR(CLAIMS)).at);
    struct tb_hmac *hmac = tb_hmac_new(secret);
    tb_hmac_sha256(hmac, &head, 1, code);
    tb_hmac_free(hmac);
    return tb_arena_format(arena, "%s.%s", head.at,
                           tb_base64url(arena, TB_BYTES(code, sizeof(code))).at);
}

static void refuses_when_there_is_no_key(void **state)
{
    (void)state;
    struct tb_str good = forge(arena, key, TB_STR(HEADER), TB_STR(CLAIMS));
    assert_accepted(good);
    policy.find_arg = NULL;
    assert_refused(good, "a good token without a key");
    assert_refused(tb_str(A5_TOKEN), "an unsecured token without a key");
    policy.find_arg = key;
}

static void refuses_unsecured_tokens(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "None", "NONE", "nOnE", "", " none"};
    struct tb_str signature = tb_base64url(arena, TB_STR("no signature"));
    assert_refused(TB_STR(A5_TOKEN), "RFC 7515 A.5");
    for (size_t i = 0; i < TB_COUNT(names); i++) {
        struct tb_str header = tb_arena_format(arena, "{\"alg\":\"%s\",\"typ\":\"at+jwt\"}",
                                               names[i]);
        assert_refused(forge_with(arena, header, TB_STR(CLAIMS), TB_STR("")), names[i]);
        assert_refused(forge_with(arena, header, TB_STR(CLAIMS), signature), names[i]);
        assert_refused(forge(arena, key, header, TB_STR(CLAIMS)), names[i]);
    }
}

static void refuses_hmac_keyed_with_a_public_key(void **state)
{
    (void)state;
    struct tb_key *rsa = key_of(BILBO_PUBLIC, TB_JWK_PUBLIC);
    policy.find_arg = rsa;
    const struct tb_str secrets[] = {tb_key_write_jwk(rsa, TB_JWK_PUBLIC, arena),
                                     tb_key_thumbprint(rsa), TB_STR(""),
                                     TB_STR("{" BILBO_PUBLIC "}")};
    static const char *const names[] = {"HS256", "hs256", "Hs256", "PS256", "RS256"};
    for (size_t i = 0; i < TB_COUNT(secrets); i++)
        for (size_t j = 0; j < TB_COUNT(names); j++)
            assert_refused(
                forge_hmac(tb_arena_format(arena, "{\"alg\":\"%s\",\"typ\":\"at+jwt\"}", names[j]),
                           secrets[i]),
                names[j]);
    assert_refused(TB_STR(A1_TOKEN), "RFC 7515 A.1");
    assert_refused(TB_STR(BILBO_RS256_TOKEN), "RFC 7520 4.1");
    policy.find_arg = key;
    tb_key_free(rsa);
}

static void refuses_another_algorithm_than_the_keys(void **state)
{
    (void)state;
    static const char *const names[] = {"PS256", "EdDSA", "Ed25519", "RS256",  "ES384", "ES512",
                                        "es256", "Es256", "ES256K",  "ES256 ", " ES256"};
    for (size_t i = 0; i < TB_COUNT(names); i++)
        assert_refused(
            forge(arena, key,
                  tb_arena_format(arena, "{\"alg\":\"%s\",\"typ\":\"at+jwt\"}", names[i]),
                  TB_STR(CLAIMS)),
            names[i]);
}

static void refuses_headers_by_table(void **state)
{
    (void)state;
#define REST "\"alg\":\"ES256\",\"typ\":\"at+jwt\"}"
    static const char *const headers[] = {
        "{\"crit\":[\"zz\"]," REST,
        "{\"crit\":[]," REST,
        "{\"crit\":null," REST,
        "{\"crit\":[\"exp\"],\"exp\":1," REST,
        "{\"b64\":true," REST,
        "{\"b64\":false," REST,
        "{\"crit\":[\"b64\"],\"b64\":false," REST,
        "{\"jku\":\"https://evil.example/\"," REST,
        "{\"x5u\":\"https://evil.example/\"," REST,
        "{\"x5c\":[\"MIIB\"]," REST,
        "{\"zip\":\"DEF\"," REST,
        "{\"enc\":\"A256GCM\"," REST,
        "{\"jwk\":{" A3_PUBLIC "}," REST,
        "{\"jwk\":null," REST,
        "{\"kid\":\"\"," REST,
        "{\"kid\":1," REST,
        "{\"kid\":null," REST,
        "{\"kid\":[\"a\"]," REST,
        "{\"alg\":\"ES256\"," REST,
        "{\"kid\":\"a\",\"kid\":\"a\"," REST,
        "{\"kid\":\"a\\u0000b\"," REST,
        "{\"a\\u0000\":1," REST,
        "{\"kid\":\"\xff\"," REST,
        "{\"kid\":\"\xc0\xaf\"," REST,
        "{\"kid\":\"\\ud800\"," REST,
        "{\"kid\":\"a\nb\"," REST,
        "[" HEADER "]",
        "\""
        "ES256"
        "\"",
        "null",
        "1",
        "",
        " ",
        "{",
        HEADER "}",
        HEADER HEADER,
        HEADER ",",
        HEADER " x",
        "\xef\xbb\xbf" HEADER,
        "{\"alg\":\"ES256\"}",
        "{\"alg\":[\"ES256\"],\"typ\":\"at+jwt\"}",
        "{\"alg\":null,\"typ\":\"at+jwt\"}",
        "{\"typ\":\"at+jwt\"}",
        "{\"ALG\":\"ES256\",\"typ\":\"at+jwt\"}",
        "{}",
        "{\"x\":[[[[[[[[1]]]]]]]]," REST,
        "{\"x\":1e999," REST,
        "{\"x\":01," REST,
        "{'x':1," REST,
        "{\"x\":NaN," REST,
        "{/**/" REST,
    };
#undef REST
    assert_accepted(forge(arena, key, TB_STR(HEADER), TB_STR(CLAIMS)));
    for (size_t i = 0; i < TB_COUNT(headers); i++)
        assert_refused(forge(arena, key, tb_str(headers[i]), TB_STR(CLAIMS)), headers[i]);
    assert_refused(forge(arena, key, (struct tb_str){HEADER "\0", sizeof(HEADER)}, TB_STR(CLAIMS)),
                   "a NUL behind the header");
    char kid[256];
    for (int n = TB_KEY_KID_MAX; n <= TB_KEY_KID_MAX + 1; n++) {
        snprintf(kid, sizeof(kid), "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%0*d\"}", n, 0);
        struct tb_str token = forge(arena, key, tb_str(kid), TB_STR(CLAIMS));
        if (n == TB_KEY_KID_MAX)
            assert_accepted(token);
        else
            assert_refused(token, "a kid too long");
    }
}

static void refuses_claims_by_table(void **state)
{
    (void)state;
#define REST "\"exp\":1800000000}"
    static const char *const claims[] = {
        "",
        "1",
        "null",
        "\"x\"",
        "[]",
        "[" CLAIMS "]",
        "{",
        CLAIMS "}",
        CLAIMS CLAIMS,
        CLAIMS "x",
        "{}",
        "{\"exp\":1800000000,\"exp\":1800000000}",
        "{\"a\":1,\"a\":2," REST,
        "{\"x\":{\"a\":1,\"a\":2}," REST,
        "{\"x\":\"a\\u0000b\"," REST,
        "{\"x\":\"\xff\"," REST,
        "{\"x\":[[[[[[[[1]]]]]]]]," REST,
        "{\"x\":{\"x\":{\"x\":[{\"x\":[[[]]]}]}}," REST "}",
        "{\"x\":99999999999999999999," REST,
        "{\"exp\":1700000000}",
        "{\"exp\":\"1800000000\"}",
    };
#undef REST
    assert_accepted(
        forge(arena, key, TB_STR(HEADER), TB_STR("{\"x\":[[[[[[[1]]]]]]],\"exp\":1800000000}")));
    for (size_t i = 0; i < TB_COUNT(claims); i++)
        assert_refused(forge(arena, key, TB_STR(HEADER), tb_str(claims[i])), claims[i]);
    assert_refused(forge(arena, key, TB_STR(HEADER), (struct tb_str){CLAIMS "\0", sizeof(CLAIMS)}),
                   "a NUL behind the claims");
}

static void refuses_forms_by_table(void **state)
{
    (void)state;
    struct tb_str good = forge(arena, key, TB_STR(HEADER), TB_STR(CLAIMS));
    const char *dot = strchr(good.at, '.'), *last = strrchr(good.at, '.');
    int head = (int)(dot - good.at), body = (int)(last - dot - 1);
    const struct tb_str forms[] = {
        TB_STR_NONE,
        TB_STR(""),
        TB_STR("."),
        TB_STR(".."),
        TB_STR("..."),
        TB_STR("a.b.c"),
        tb_arena_format(arena, "%s.!~", good.at),
        tb_arena_format(arena, "%s.", good.at),
        tb_arena_format(arena, ".%s", good.at),
        tb_arena_format(arena, "%s=", good.at),
        tb_arena_format(arena, "%s==", good.at),
        tb_arena_format(arena, "%s\n", good.at),
        tb_arena_format(arena, "%s ", good.at),
        tb_arena_format(arena, " %s", good.at),
        tb_arena_format(arena, "%sA", good.at),
        tb_arena_format(arena, "%sAAAA", good.at),
        tb_arena_format(arena, "\"%s\"", good.at),
        tb_arena_format(arena, "%.*s.%.*s.", head, good.at, body, dot + 1),
        tb_arena_format(arena, "%.*s.%.*s", head, good.at, body, dot + 1),
        tb_arena_format(arena, "%.*s..%s", head, good.at, last + 1),
        tb_arena_format(arena, ".%.*s.%s", body, dot + 1, last + 1),
        tb_arena_format(arena, "%.*s.%.*s.%s", body, dot + 1, head, good.at, last + 1),
        tb_arena_format(arena, "%.*s.%.*s.%s.%s", head, good.at, body, dot + 1, last + 1, last + 1),
        {good.at, good.n - 1},
        {good.at, good.n + 1 /* its NUL */},
    };
    for (size_t i = 0; i < TB_COUNT(forms); i++)
        assert_refused(forms[i], forms[i].at == NULL ? "absent" : forms[i].at);

    char *spare = tb_arena_text(arena, good.at, good.n); /* 4 spare bits behind 64 bytes */
    assert_non_null(strchr("AQgw", spare[good.n - 1]));
    spare[good.n - 1]++;
    assert_refused((struct tb_str){spare, good.n}, "spare bits set");
}

static void refuses_signatures_of_other_forms(void **state)
{
    (void)state;
    unsigned char raw[TB_KEY_SIGNATURE_MAX], bytes[TB_KEY_SIGNATURE_MAX] = {0};
    struct tb_str head = tb_arena_format(arena, "%s.%s", tb_base64url(arena, TB_STR(HEADER)).at,
                                         tb_base64url(arena, TB_STR(CLAIMS)).at);
    tb_key_sign(key, head, raw);
#define SIGNED(n) tb_base64url(arena, TB_BYTES(bytes, (n)))
#define REFUSE(n, what)                                                                            \
    assert_refused(forge_with(arena, TB_STR(HEADER), TB_STR(CLAIMS), SIGNED(n)), what)
    memcpy(bytes, raw, 64);
    assert_accepted(forge_with(arena, TB_STR(HEADER), TB_STR(CLAIMS), SIGNED(64)));
    REFUSE(63, "a byte short");
    REFUSE(65, "a byte long");
    REFUSE(96, "of the length of P-384");
    REFUSE(128, "twice as long");
    memcpy(bytes, raw + 32, 32);
    memcpy(bytes + 32, raw, 32);
    REFUSE(64, "r and s swapped");
    memset(bytes, 0, sizeof(bytes));
    REFUSE(64, "zeros");
    memcpy(bytes, "\x30\x44\x02\x20", 4); /* DER, when no scalar needs padding */
    memcpy(bytes + 4, raw, 32);
    memcpy(bytes + 36, "\x02\x20", 2);
    memcpy(bytes + 38, raw + 32, 32);
    REFUSE(70, "DER");
#undef REFUSE
#undef SIGNED
}

static void refuses_what_is_too_large_before_anything_else(void **state)
{
    (void)state;
    enum { HUGE = 4 * 1024 * 1024 };
    struct tb_jose out;
    char *huge = malloc(HUGE);
    assert_non_null(huge);
    memset(huge, 'A', HUGE);
    huge[10] = huge[20] = '.';
    assert_refused((struct tb_str){huge, HUGE}, "4 MiB");
    assert_refused((struct tb_str){huge, TB_JOSE_BYTES_MAX + 1}, "8 KiB and 1");
    policy.find_arg = NULL;
    size_t used = tb_arena_used(arena);
    assert_non_null(tb_jose_verify(&policy, (struct tb_str){huge, HUGE}, NOW, arena, &out));
    assert_int_equal(out.reason, TB_JOSE_TOO_LARGE);
    assert_int_equal(tb_arena_used(arena), used);
    policy.find_arg = key;
    free(huge);
}

/* ---- mutations ---- */

enum { ROOM = 4096, GOOD_N = 3 };

struct token {
    char at[ROOM];
    size_t n;
};

static uint64_t random_u64(void) /* splitmix64 */
{
    uint64_t x = (seed += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static size_t below(size_t n)
{
    return n == 0 ? 0 : (size_t)(random_u64() % n);
}

/* Replace `cut` bytes at `at` by `n` bytes. */
static void splice(struct token *t, size_t at, size_t cut, const char *bytes, size_t n)
{
    char put[ROOM];
    if (at + cut > t->n || t->n - cut + n > ROOM || n > ROOM)
        return;
    memcpy(put, bytes, n); /* it may be a part of the token itself */
    memmove(t->at + at + n, t->at + at + cut, t->n - at - cut);
    memcpy(t->at + at, put, n);
    t->n = t->n - cut + n;
}

/* Decode a segment, change what it says, encode it again: past the decoder, into the parser. */
static void mutate_inside(struct token *t)
{
    static const char *const words[] = {
        "none", "HS256", "ES256", "PS256", "EdDSA", "\"",      "{", "}",  "[",    ":",
        "crit", "jwk",   "alg",   "typ",   "exp",   "\\u0000", "9", "-1", "null", "at+jwt"};
    unsigned char decoded[ROOM];
    struct token inside;
    size_t from = 0, n;
    for (size_t skip = below(3); skip > 0; skip--) {
        const char *dot = memchr(t->at + from, '.', t->n - from);
        if (dot == NULL)
            return;
        from = (size_t)(dot - t->at) + 1;
    }
    const char *end = memchr(t->at + from, '.', t->n - from);
    size_t size = (end == NULL ? t->n : (size_t)(end - t->at)) - from;
    if (!tb_base64url_read((struct tb_str){t->at + from, size}, decoded, &n) || n == 0)
        return;
    memcpy(inside.at, decoded, n);
    inside.n = n;
    const char *word = words[below(TB_COUNT(words))];
    if (below(2) == 0)
        inside.at[below(n)] ^= (char)(1 << below(8));
    else
        splice(&inside, below(n), below(8), word, strlen(word));
    char encoded[TB_BASE64URL_CHARS(ROOM)];
    splice(t, from, size, encoded,
           tb_base64url_write(encoded, (struct tb_str){inside.at, inside.n}));
}

static void mutate(struct token *t, const struct token *other)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=";
    size_t at = below(t->n), n = 1 + below(64);
    char byte = (char)random_u64();
    switch (below(9)) {
    case 0:
        if (t->n > 0)
            t->at[at] ^= (char)(1 << below(8));
        break;
    case 1: /* most bytes are not base64url: these are */
    case 2:
        if (t->n > 0)
            t->at[at] = alphabet[below(sizeof(alphabet) - 1)];
        break;
    case 3:
        splice(t, at, 0, &byte, 1);
        break;
    case 4:
        splice(t, at, n < t->n - at ? n : t->n - at, "", 0);
        break;
    case 5: {
        size_t from = below(other->n), most = other->n - from;
        splice(t, at, n < t->n - at ? n : t->n - at, other->at + from, n < most ? n : most);
        break;
    }
    case 6:
        splice(t, at, 0, t->at + at, n < t->n - at ? n : t->n - at);
        break;
    case 7:
        splice(t, t->n, 0, ".!~", 1 + below(3));
        break;
    default:
        mutate_inside(t);
    }
}

static struct tb_key *find_by_alg(void *arg, struct tb_str kid, enum tb_alg alg)
{
    struct tb_key **keys = arg;
    (void)kid;
    for (size_t i = 0; i < GOOD_N; i++)
        if (tb_key_alg(keys[i]) == alg)
            return keys[i];
    return NULL;
}

static bool is_good(const struct token *good, const struct token *t)
{
    for (size_t i = 0; i < GOOD_N; i++)
        if (t->n == good[i].n && memcmp(t->at, good[i].at, t->n) == 0)
            return true;
    return false;
}

static void accepts_no_mutation(void **state)
{
    (void)state;
    struct tb_key *keys[GOOD_N] = {tb_key_make(TB_ALG_ES256), tb_key_make(TB_ALG_PS256),
                                   tb_key_make(TB_ALG_ED25519)};
    static struct token good[GOOD_N];
    uint64_t first_seed = seed, reasons[TB_JOSE_MEMORY + 1] = {0};
    policy.find = find_by_alg;
    policy.find_arg = keys;
    for (size_t i = 0; i < GOOD_N; i++) {
        struct tb_str token = tb_jose_sign(keys[i], "at+jwt", TB_STR(CLAIMS), arena);
        memcpy(good[i].at, token.at, token.n);
        good[i].n = token.n;
        assert_accepted(token);
    }
    for (uint64_t i = 0; i < mutations; i++) {
        struct token t = good[below(GOOD_N)];
        struct tb_jose out;
        for (size_t times = 1 + below(3); times > 0; times--)
            mutate(&t, &good[below(GOOD_N)]);
        tb_arena_reset(arena);
        tb_err err = tb_jose_verify(&policy, (struct tb_str){t.at, t.n}, NOW, arena, &out);
        reasons[out.reason]++;
        if ((err == NULL) != is_good(good, &t))
            fail_msg("seed %" PRIu64 ", mutation %" PRIu64 " was %s: %.*s", first_seed, i,
                     err == NULL ? "accepted" : "refused", (int)t.n, t.at);
    }
    for (size_t i = 0; i <= TB_JOSE_MEMORY; i++)
        if (reasons[i] > 0)
            print_message("%10" PRIu64 " %s\n", reasons[i],
                          tb_jose_reason_words((enum tb_jose_reason)i));
    for (size_t i = 0; i < GOOD_N; i++)
        tb_key_free(keys[i]);
    policy.find = find_only;
    policy.find_arg = key;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(refuses_when_there_is_no_key),
    cmocka_unit_test(refuses_unsecured_tokens),
    cmocka_unit_test(refuses_hmac_keyed_with_a_public_key),
    cmocka_unit_test(refuses_another_algorithm_than_the_keys),
    cmocka_unit_test(refuses_headers_by_table),
    cmocka_unit_test(refuses_claims_by_table),
    cmocka_unit_test(refuses_forms_by_table),
    cmocka_unit_test(refuses_signatures_of_other_forms),
    cmocka_unit_test(refuses_what_is_too_large_before_anything_else),
    cmocka_unit_test(accepts_no_mutation),
};
TEST_GROUP(tests, set_up, tear_down);
