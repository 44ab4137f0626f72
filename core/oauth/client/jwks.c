/* Parsed key sets, kept by the digest of their text: a client that has not changed its keys costs a
 * hash, not the parsing of keys, and two workers need not agree on anything. */
#include "oauth/client/jwks.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "crypto/x509.h"

enum {
    REMEMBERED = 512, /* sets of one worker; two on one place displace each other */
    CHAIN_CHARS_MAX = (TB_CERTIFICATE_BYTES_MAX + 2) / 3 * 4,
};

struct tb_client_keys {
    unsigned char digest[TB_SHA256_BYTES];
    unsigned refs;
    size_t keys_n, certificates_n;
    struct tb_key *keys[TB_JWKS_KEYS_MAX];
    char certificates[TB_JWKS_KEYS_MAX][TB_SHA256_BASE64URL]; /* thumbprints of x5c[0] */
};

static struct tb_client_keys *remembered[REMEMBERED];

static const struct tb_json_limits SET_LIMITS = {
    .bytes = TB_JWKS_BYTES_MAX, .depth = 8, .members = 2048, .reals = true};
static const struct tb_json_limits PART_LIMITS = {
    .bytes = TB_JOSE_BYTES_MAX, .depth = TB_JOSE_DEPTH_MAX, .members = 256, .reals = true};

/* ---- reading ---- */

/* The certificates of a key (RFC 7517 §4.7): standard base64 of DER, its own first. */
static void take_certificate(struct tb_client_keys *keys, const json_t *jwk)
{
    const json_t *chain = tb_json_array(jwk, "x5c");
    const json_t *first = json_array_get(chain, 0);
    unsigned char der[TB_CERTIFICATE_BYTES_MAX + 3], digest[TB_SHA256_BYTES];
    size_t n;
    struct tb_str text = {json_string_value(first), json_string_length(first)};
    if (text.n == 0 || text.n > CHAIN_CHARS_MAX || keys->certificates_n == TB_JWKS_KEYS_MAX ||
        !tb_base64_read(text, der, &n))
        return;
    tb_sha256(&TB_BYTES(der, n), 1, digest);
    tb_base64url_write(keys->certificates[keys->certificates_n++],
                       TB_BYTES(digest, sizeof(digest)));
}

static void take_key(struct tb_client_keys *keys, const json_t *jwk)
{
    struct tb_key *key = NULL;
    if (keys->keys_n < TB_JWKS_KEYS_MAX)
        key = tb_key_read_jwk(jwk, TB_JWK_PUBLIC);
    if (key != NULL)
        keys->keys[keys->keys_n++] = key;
}

static json_t *parse_set(struct tb_str text)
{
    json_t *set;
    if (text.n == 0 || tb_json_parse(NULL, text, &SET_LIMITS, &set, NULL) != NULL)
        return NULL;
    if (tb_json_array(set, "keys") != NULL)
        return set;
    json_decref(set);
    return NULL;
}

bool tb_jwks_formed(struct tb_str text)
{
    json_t *set = parse_set(text);
    json_decref(set);
    return set != NULL;
}

static struct tb_client_keys *parse(struct tb_str text)
{
    struct tb_client_keys *keys = tb_mem(sizeof(*keys));
    json_t *set = parse_set(text);
    const json_t *list = tb_json_array(set, "keys");
    for (size_t i = 0; i < json_array_size(list); i++) {
        take_key(keys, json_array_get(list, i));
        take_certificate(keys, json_array_get(list, i));
    }
    json_decref(set);
    keys->refs = 1;
    return keys;
}

struct tb_client_keys *tb_client_keys_hold(struct tb_client_keys *keys)
{
    if (keys != NULL)
        keys->refs++;
    return keys;
}

void tb_client_keys_drop(struct tb_client_keys *keys)
{
    if (keys == NULL || --keys->refs > 0)
        return;
    for (size_t i = 0; i < keys->keys_n; i++)
        tb_key_free(keys->keys[i]);
    tb_mem_free(keys);
}

struct tb_client_keys *tb_client_keys_read(struct tb_str text)
{
    unsigned char digest[TB_SHA256_BYTES];
    tb_sha256(&text, 1, digest);
    struct tb_client_keys **place = &remembered[(digest[0] << 8 | digest[1]) % REMEMBERED];
    if (*place == NULL || memcmp((*place)->digest, digest, sizeof(digest)) != 0) {
        tb_client_keys_drop(*place);
        *place = parse(text);
        memcpy((*place)->digest, digest, sizeof(digest));
    }
    (*place)->refs++;
    return *place;
}

/* ---- finding ---- */

struct tb_key *tb_client_keys_find(void *arg, struct tb_str kid, enum tb_alg alg)
{
    const struct tb_client_keys *keys = arg;
    struct tb_key *candidate = NULL;
    size_t candidates_n = 0;
    for (size_t i = 0; i < keys->keys_n; i++) {
        struct tb_key *key = keys->keys[i];
        if (tb_key_alg(key) != alg)
            continue;
        if (kid.at != NULL && tb_str_eq(tb_key_kid(key), kid))
            return key;
        if (kid.at != NULL && tb_key_named(key))
            continue; /* another, by its own word */
        candidate = key;
        candidates_n++;
    }
    return candidates_n == 1 ? candidate : NULL; /* which of several is not for us to guess */
}

bool tb_client_keys_names(const struct tb_client_keys *keys, struct tb_str kid)
{
    for (size_t i = 0; i < keys->keys_n; i++)
        if (tb_str_eq(tb_key_kid(keys->keys[i]), kid) || !tb_key_named(keys->keys[i]))
            return true;
    return false;
}

bool tb_client_keys_certificate(const struct tb_client_keys *keys, struct tb_str thumbprint)
{
    for (size_t i = 0; i < keys->certificates_n; i++)
        if (tb_str_eq(TB_BYTES(keys->certificates[i], TB_SHA256_BASE64URL), thumbprint))
            return true;
    return false;
}

const json_t *tb_jws_peek(struct tb_arena *arena, struct tb_str token, int part)
{
    size_t from = 0, to, n;
    json_t *json;
    for (; part > 0 && from < token.n; from++)
        part -= token.at[from] == '.';
    for (to = from; to < token.n && token.at[to] != '.';)
        to++;
    if (to == from || to - from > TB_JOSE_BYTES_MAX)
        return NULL;
    unsigned char *bytes = tb_arena_raw(arena, to - from);
    if (bytes == NULL || !tb_base64url_read((struct tb_str){token.at + from, to - from}, bytes, &n))
        return NULL;
    if (tb_json_parse(arena, TB_BYTES(bytes, n), &PART_LIMITS, &json, NULL) != NULL)
        return NULL;
    return json_is_object(json) ? json : NULL;
}
