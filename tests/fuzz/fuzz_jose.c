/* Tokens, keys and certificates from strangers. The first byte says what the rest is:
 *     '0'  a token, held against three known keys: accepted only if it is one of three known tokens
 *     '1'  a header, a newline and claims, truly signed: accepted only if they are what the policy
 * says '2'  a JWK: what is taken comes back the same from its own text '3'  a certificate in DER
 *     '4'  base64url: what is taken is written the same again */
#include "../unit/crypto/vectors.h"
#include "base/assert.h"
#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "crypto/x509.h"
#include <string.h>

enum { KEYS = 3, BYTES_MAX = 64 * 1024 };

static struct tb_key *keys[KEYS];
static struct tb_arena *arena;
static struct tb_str known[KEYS] = {{A3_TOKEN, sizeof(A3_TOKEN) - 1},
                                    {BILBO_PS256_TOKEN, sizeof(BILBO_PS256_TOKEN) - 1}};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tb_key *find(void *arg, struct tb_str kid, enum tb_alg alg)
{
    (void)arg, (void)kid;
    for (size_t i = 0; i < KEYS; i++)
        if (tb_key_alg(keys[i]) == alg)
            return keys[i];
    return NULL;
}

static const char *const types[] = {"", "JWT", "at+jwt", NULL};
static const struct tb_jose_policy policy = {.types = types,
                                             .algs = TB_ALG_ES256 | TB_ALG_PS256 | TB_ALG_ED25519,
                                             .bytes_max = TB_JOSE_BYTES_MAX,
                                             .find = find,
                                             .required = TB_CLAIM_EXP};

static struct tb_key *read_key(const char *jwk, enum tb_jwk_part part)
{
    json_t *json = json_loads(jwk, JSON_REJECT_DUPLICATES, NULL);
    struct tb_key *key = tb_key_read_jwk(json, part);
    TB_ASSERT(key != NULL);
    json_decref(json);
    return key;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    keys[0] = read_key("{" A3_PUBLIC "}", TB_JWK_PUBLIC);
    keys[1] = read_key("{" BILBO_PUBLIC "}", TB_JWK_PUBLIC);
    keys[2] = read_key("{" ED_PUBLIC "," ED_D "}", TB_JWK_PRIVATE);
    /* Ed25519 signs the same text to the same bytes, so this is one token for all runs. */
    static char token[1024];
    arena = tb_arena_new((size_t)16 * TB_ARENA_CAP);
    struct tb_str made = tb_jose_sign(keys[2], "at+jwt", TB_STR("{\"exp\":1300819380}"), arena);
    memcpy(token, made.at, made.n);
    known[2] = (struct tb_str){token, made.n};
    tb_arena_reset(arena);
    return 0;
}

static void token(struct tb_str text)
{
    struct tb_jose out;
    bool is_known = false;
    for (size_t i = 0; i < KEYS; i++)
        is_known |= tb_str_eq(text, known[i]);
    tb_err err = tb_jose_verify(&policy, text, A3_EXP - 1, arena, &out);
    TB_ASSERT((err == NULL) == is_known);
    TB_ASSERT(err == NULL || (out.key == NULL && out.claims == NULL));
}

static void header_and_claims(struct tb_str text)
{
    unsigned char signature[TB_KEY_SIGNATURE_MAX];
    struct tb_jose out;
    const char *line = memchr(text.at, '\n', text.n);
    if (line == NULL)
        return;
    struct tb_str header = {text.at, (size_t)(line - text.at)};
    struct tb_str claims = {line + 1, text.n - header.n - 1};
    struct tb_str head = tb_arena_format(arena, "%s.%s", tb_base64url(arena, header).at,
                                         tb_base64url(arena, claims).at);
    size_t n = tb_key_sign(keys[2], head, signature);
    struct tb_str whole = tb_arena_format(arena, "%s.%s", head.at,
                                          tb_base64url(arena, TB_BYTES(signature, n)).at);
    TB_ASSERT(whole.at != NULL);
    if (tb_jose_verify(&policy, whole, A3_EXP, arena, &out) != NULL)
        return;
    int64_t exp_s;
    json_t *json = json_loadb(header.at, header.n, 0, NULL);
    TB_ASSERT(tb_alg_read(tb_json_str(json, "alg")) == TB_ALG_ED25519);
    TB_ASSERT(json_object_get(json, "crit") == NULL && json_object_get(json, "jwk") == NULL);
    TB_ASSERT(tb_str_eq(out.payload, claims));
    TB_ASSERT(tb_json_int(out.claims, "exp", &exp_s) && exp_s > A3_EXP);
    json_decref(json);
}

static void jwk(struct tb_str text)
{
    for (int part = TB_JWK_PUBLIC; part <= TB_JWK_PRIVATE; part++) {
        json_t *json, *again;
        if (tb_json_parse(arena, text, &tb_json_limits, &json, NULL) != NULL)
            return;
        struct tb_key *key = tb_key_read_jwk(json, (enum tb_jwk_part)part);
        if (key == NULL)
            continue;
        struct tb_str out = tb_key_write_jwk(key, (enum tb_jwk_part)part, arena);
        TB_ASSERT(tb_json_parse(arena, out, &tb_json_limits, &again, NULL) == NULL);
        struct tb_key *back = tb_key_read_jwk(again, (enum tb_jwk_part)part);
        TB_ASSERT(back != NULL && tb_str_eq(tb_key_kid(key), tb_key_kid(back)));
        TB_ASSERT(tb_str_eq(tb_key_thumbprint(key), tb_key_thumbprint(back)));
        tb_key_free(key);
        tb_key_free(back);
    }
}

static void certificate(struct tb_str text)
{
    struct tb_certificate out;
    if (!tb_certificate_read(text, arena, &out))
        return;
    TB_ASSERT(strlen(out.subject.at) == out.subject.n && out.x5t.n == TB_SHA256_BASE64URL);
    for (size_t i = 0; i < out.names_n; i++)
        TB_ASSERT(strlen(out.names[i].text.at) == out.names[i].text.n);
}

static void base64url(struct tb_str text)
{
    size_t n;
    unsigned char *bytes = tb_arena_raw(arena, text.n * 3 / 4 + 1);
    if (!tb_base64url_read(text, bytes, &n))
        return;
    TB_ASSERT(tb_str_eq(tb_base64url(arena, TB_BYTES(bytes, n)), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(struct tb_str) = {token, header_and_claims, jwk, certificate,
                                                   base64url};
    if (size == 0 || size > BYTES_MAX || data[0] < '0' || data[0] > '4')
        return 0;
    kinds[data[0] - '0']((struct tb_str){(const char *)data + 1, size - 1});
    tb_arena_reset(arena);
    return 0;
}
