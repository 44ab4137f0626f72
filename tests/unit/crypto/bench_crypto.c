/* The figures of docs/decisions/0005-jose.md: what signing, verifying and recognising a token cost.
 *
 *     unit/bench_crypto */
#include "base/time.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "crypto/token_cache.h"
#include "forge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1700000000, CACHED = 4096, LOOKUPS = 4000000 };

static const char *const types[] = {"at+jwt", NULL};
static const char claims[] =
    "{\"iss\":\"https://api.bank.example\",\"sub\":\"app_01jd0000000000000000000000\","
    "\"aud\":\"https://api.bank.example\",\"client_id\":\"app_01jd0000000000000000000000\","
    "\"partner\":\"ptr_01jd0000000000000000000000\",\"book\":1,\"env\":\"sandbox\","
    "\"scope\":\"accounts:read e-payment:read e-payment:write example:read\","
    "\"iat\":1700000000,\"exp\":1700003600,\"jti\":\"tok_01jd0000000000000000000000\"}";

static double per_op_ns(int64_t started_us, int n)
{
    return (double)(tb_monotonic_us() - started_us) * 1000 / n;
}

static void tokens_of(enum tb_alg alg, struct tb_arena *arena, struct tb_str *out_token)
{
    struct tb_key *key = tb_key_make(alg);
    struct tb_jose out;
    struct tb_jose_policy policy = {.types = types,
                                    .algs = alg,
                                    .bytes_max = TB_JOSE_BYTES_MAX,
                                    .find = find_only,
                                    .find_arg = key,
                                    .required = TB_CLAIM_EXP};
    int n = alg == TB_ALG_PS256 ? 2000 : 10000;
    int64_t started = tb_monotonic_us();
    for (int i = 0; i < n; i++) {
        tb_arena_reset(arena);
        *out_token = tb_jose_sign(key, "at+jwt", tb_str(claims), arena);
    }
    double sign_ns = per_op_ns(started, n);
    struct tb_str token = {strdup(out_token->at), out_token->n};
    started = tb_monotonic_us();
    for (int i = 0; i < 10000; i++) {
        tb_arena_reset(arena);
        if (tb_jose_verify(&policy, token, NOW, arena, &out) != NULL)
            abort();
    }
    printf("%-8s sign %9.0f ns   verify %9.0f ns   token %4zu bytes\n", tb_alg_name(alg).at,
           sign_ns, per_op_ns(started, 10000), token.n);
    *out_token = token;
    tb_key_free(key);
}

/* Look-ups over `n` different tokens of the size of `like`. */
static void cached(struct tb_str like, int n)
{
    struct tb_token_cache *cache = tb_token_cache_new(4 * CACHED, 64 * 1024 * 1024, NULL);
    struct tb_grant *grant = tb_grant_new(&(struct tb_grant){.exp_s = NOW + 60});
    struct tb_str *tokens = calloc((size_t)n, sizeof tokens[0]);
    for (int i = 0; i < n; i++) {
        char *text = malloc(like.n);
        memcpy(text, like.at, like.n);
        memcpy(text + like.n - sizeof i, &i, sizeof i);
        tokens[i] = (struct tb_str){text, like.n};
        if (!tb_token_cache_add(cache, tokens[i], grant, NOW))
            abort();
    }
    int64_t started = tb_monotonic_us();
    for (int i = 0; i < LOOKUPS; i++) {
        struct tb_grant *found = tb_token_cache_find(cache, tokens[i % n], NOW);
        if (found == NULL)
            abort();
        tb_grant_drop(found);
    }
    printf("cached   find %9.1f ns   among %d tokens of %zu bytes\n", per_op_ns(started, LOOKUPS),
           n, like.n);
    for (int i = 0; i < n; i++)
        free((void *)(uintptr_t)tokens[i].at);
    free(tokens);
    tb_grant_drop(grant);
    tb_token_cache_free(cache);
}

static void digests(void)
{
    enum { N = 1000000 };
    static char body[300];
    unsigned char digest[TB_SHA256_BYTES];
    struct tb_str parts[] = {TB_STR("POST"), TB_STR("/e-payment/v1/payments"), {body, sizeof body}};
    int64_t started = tb_monotonic_us();
    for (int i = 0; i < N; i++)
        tb_sha256(parts, 3, digest);
    printf("SHA-256  %14.0f ns   of 326 bytes in 3 parts\n", per_op_ns(started, N));
    struct tb_hmac *hmac = tb_hmac_new(TB_STR("0123456789abcdef0123456789abcdef"));
    started = tb_monotonic_us();
    for (int i = 0; i < N; i++)
        tb_hmac_sha256(hmac, parts, 2, digest);
    printf("HMAC     %14.0f ns   of 26 bytes in 2 parts\n", per_op_ns(started, N));
    tb_hmac_free(hmac);
}

int main(void)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_str tokens[3];
    tokens_of(TB_ALG_ES256, arena, &tokens[0]);
    tokens_of(TB_ALG_PS256, arena, &tokens[1]);
    tokens_of(TB_ALG_ED25519, arena, &tokens[2]);
    cached(tokens[0], 1);
    cached(tokens[0], 100);
    cached(tokens[0], CACHED);
    digests();
    for (int i = 0; i < 3; i++)
        free((void *)(uintptr_t)tokens[i].at);
    tb_arena_free(arena);
    return 0;
}
