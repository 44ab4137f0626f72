/* The figures of docs/decisions/0005-jose.md: what signing, verifying and recognising a token cost.
 * Each is the best of many rounds, so that a busy machine does not change it much.
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

enum { NOW = 1700000000, ROUNDS = 50, TOKENS = 4096 };

static const char *const types[] = {"at+jwt", NULL};
static const char claims[] =
    "{\"iss\":\"https://api.bank.example\",\"sub\":\"app_01jd0000000000000000000000\","
    "\"aud\":\"https://api.bank.example\",\"client_id\":\"app_01jd0000000000000000000000\","
    "\"partner\":\"ptr_01jd0000000000000000000000\",\"book\":1,\"env\":\"sandbox\","
    "\"scope\":\"accounts:read e-payment:read e-payment:write example:read\","
    "\"iat\":1700000000,\"exp\":1700003600,\"jti\":\"tok_01jd0000000000000000000000\"}";

/* What the measured operations work on. */
struct bench {
    struct tb_arena *arena;
    struct tb_key *key;
    struct tb_jose_policy policy;
    struct tb_str token;
    struct tb_token_cache *cache;
    struct tb_str tokens[TOKENS];
    int tokens_n, next;
    struct tb_hmac *hmac;
    unsigned char digest[TB_SHA256_BYTES];
};

static double best_ns(struct bench *bench, void (*operation)(struct bench *), int n)
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t started_us = tb_monotonic_us();
        for (int i = 0; i < n; i++)
            operation(bench);
        double took_ns = (double)(tb_monotonic_us() - started_us) * 1000 / n;
        best = took_ns < best ? took_ns : best;
    }
    return best;
}

static void sign(struct bench *bench)
{
    tb_arena_reset(bench->arena);
    if (tb_jose_sign(bench->key, "at+jwt", tb_str(claims), bench->arena).at == NULL)
        abort();
}

static void verify(struct bench *bench)
{
    struct tb_jose out;
    tb_arena_reset(bench->arena);
    if (tb_jose_verify(&bench->policy, bench->token, NOW, bench->arena, &out) != NULL)
        abort();
}

static void find(struct bench *bench)
{
    struct tb_str token = bench->tokens[bench->next];
    bench->next = bench->next + 1 < bench->tokens_n ? bench->next + 1 : 0;
    struct tb_grant *grant = tb_token_cache_find(bench->cache, token, NOW);
    if (grant == NULL)
        abort();
    tb_grant_drop(grant);
}

static const struct tb_str parts[] = {{"POST", 4}, {"/e-payment/v1/payments", 22}, {claims, 300}};

static void sha256(struct bench *bench)
{
    tb_sha256(parts, 3, bench->digest);
}

static void hmac(struct bench *bench)
{
    tb_hmac_sha256(bench->hmac, parts, 2, bench->digest);
}

static void with_algorithm(struct bench *bench, enum tb_alg alg)
{
    bench->key = tb_key_make(alg);
    bench->policy.algs = alg;
    bench->policy.find_arg = bench->key;
    struct tb_str token = tb_jose_sign(bench->key, "at+jwt", tb_str(claims), bench->arena);
    bench->token = (struct tb_str){strdup(token.at), token.n};
    printf("%-8s sign %8.1f us   verify %8.1f us   %zu bytes\n", tb_alg_name(alg).at,
           best_ns(bench, sign, alg == TB_ALG_PS256 ? 20 : 200) / 1000,
           best_ns(bench, verify, 200) / 1000, token.n);
    tb_key_free(bench->key);
    free((void *)(uintptr_t)bench->token.at);
}

/* Look-ups in turn over `n` tokens of 680 bytes that differ at their end. */
static void with_tokens(struct bench *bench, int n)
{
    enum { BYTES = 680 };
    static char texts[TOKENS][BYTES];
    struct tb_grant *grant = tb_grant_new(&(struct tb_grant){.exp_s = NOW + 60});
    bench->cache = tb_token_cache_new((size_t)4 * TOKENS, (size_t)64 << 20, NULL);
    bench->tokens_n = n;
    bench->next = 0;
    for (int i = 0; i < n; i++) {
        memset(texts[i], 'x', BYTES);
        memcpy(texts[i] + BYTES - sizeof(i), &i, sizeof(i));
        bench->tokens[i] = (struct tb_str){texts[i], BYTES};
        if (!tb_token_cache_add(bench->cache, bench->tokens[i], grant, NOW))
            abort();
    }
    printf("cached   find %8.1f ns   among %d tokens\n", best_ns(bench, find, 50000), n);
    tb_grant_drop(grant);
    tb_token_cache_free(bench->cache);
}

int main(void)
{
    static struct bench bench;
    bench.arena = tb_arena_new(TB_ARENA_CAP);
    bench.policy = (struct tb_jose_policy){.types = types,
                                           .bytes_max = TB_JOSE_BYTES_MAX,
                                           .find = find_only,
                                           .required = TB_CLAIM_EXP};
    with_algorithm(&bench, TB_ALG_ES256);
    with_algorithm(&bench, TB_ALG_PS256);
    with_algorithm(&bench, TB_ALG_ED25519);
    with_tokens(&bench, 1);
    with_tokens(&bench, 100);
    with_tokens(&bench, TOKENS);
    bench.hmac = tb_hmac_new(TB_STR("0123456789abcdef0123456789abcdef"));
    printf("SHA-256       %8.1f ns   of 326 bytes in 3 parts\n", best_ns(&bench, sha256, 20000));
    printf("HMAC          %8.1f ns   of 26 bytes in 2 parts\n", best_ns(&bench, hmac, 20000));
    tb_hmac_free(bench.hmac);
    tb_arena_free(bench.arena);
    return 0;
}
