/* The verifier and the signer of tokens. The order of the verifier is part of its safety: size and
 * form first, then the header against the policy, then the signature; the claims of a token that
 * did not verify are never parsed. */
#include "crypto/jose.h"
#include "base/assert.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/digest.h"
#include <string.h>

#define TIME_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* The token in its three parts, and what of it is signed. */
struct parts {
    struct tb_str header, payload, signature, signed_part;
};

/* An embedded key until somebody else owns it. */
struct loose_key {
    struct tb_key *key;
};

static void free_key(void *loose)
{
    tb_key_free(((struct loose_key *)loose)->key);
}

const char *tb_jose_reason_words(enum tb_jose_reason reason)
{
    static const char *const words[] = {
#define TB_JOSE_REASON(name, text) text,
        TB_JOSE_REASONS(TB_JOSE_REASON)
#undef TB_JOSE_REASON
    };
    return words[reason];
}

/* ---- form ---- */

static bool split(struct tb_str token, struct parts *out)
{
    const char *end = token.at + token.n;
    const char *first = memchr(token.at, '.', token.n);
    if (first == NULL)
        return false;
    const char *second = memchr(first + 1, '.', (size_t)(end - first - 1));
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL)
        return false;
    out->header = (struct tb_str){token.at, (size_t)(first - token.at)};
    out->payload = (struct tb_str){first + 1, (size_t)(second - first - 1)};
    out->signature = (struct tb_str){second + 1, (size_t)(end - second - 1)};
    out->signed_part = (struct tb_str){token.at, (size_t)(second - token.at)};
    return out->header.n > 0 && out->payload.n > 0 && out->signature.n > 0;
}

/* Decode a segment into the arena, NUL-terminated. */
static enum tb_jose_reason decode(struct tb_str segment, struct tb_arena *arena, struct tb_str *out)
{
    size_t n;
    unsigned char *bytes = tb_arena_raw(arena, segment.n * 3 / 4 + 1);
    if (bytes == NULL)
        return TB_JOSE_MEMORY;
    if (!tb_base64url_read(segment, bytes, &n))
        return TB_JOSE_ENCODING;
    bytes[n] = '\0';
    *out = TB_BYTES(bytes, n);
    return TB_JOSE_OK;
}

/* One JSON object and nothing behind it, UTF-8, no NUL, no member twice. NULL when it is not. */
static json_t *parse_object(struct tb_str text, struct tb_arena *arena)
{
    static const struct tb_json_limits limits = {
        .bytes = TB_JOSE_BYTES_MAX, .depth = TB_JOSE_DEPTH_MAX, .members = 256, .reals = true};
    json_t *json;
    if (tb_json_parse(arena, text, &limits, &json, NULL) != NULL)
        return NULL;
    return json_is_object(json) ? json : NULL;
}

/* ---- header ---- */

/* Extensions that change what is signed or where the key comes from (RFC 7515 §4.1.2-6, §4.1.11,
 * RFC 7516 §4.1.3, RFC 7797). We implement none, so `crit` can only list what we do not understand.
 */
static bool asks_for_extension(const json_t *header)
{
    static const char *const names[] = {"crit", "b64", "jku", "x5u", "x5c", "zip", "enc"};
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (json_object_get(header, names[i]) != NULL)
            return true;
    return false;
}

static bool type_accepted(const json_t *header, const char *const *types)
{
    struct tb_str type = tb_json_str(header, "typ");
    if (type.at == NULL && json_object_get(header, "typ") != NULL)
        return false;
    for (; *types != NULL; types++)
        if ((**types == '\0') == (type.at == NULL) && tb_str_eq(type, tb_str(*types)))
            return true;
    return false;
}

static enum tb_jose_reason read_embedded(const json_t *jwk, struct tb_arena *arena,
                                         struct loose_key **out)
{
    struct loose_key *loose = tb_arena_alloc(arena, sizeof(*loose));
    if (loose == NULL || !tb_arena_defer(arena, free_key, loose))
        return TB_JOSE_MEMORY;
    loose->key = tb_key_read_jwk(jwk, TB_JWK_PUBLIC);
    *out = loose;
    return TB_JOSE_OK;
}

static enum tb_jose_reason find_key(const struct tb_jose_policy *policy, const json_t *header,
                                    enum tb_alg alg, struct tb_arena *arena, struct tb_key **out,
                                    struct loose_key **out_loose)
{
    const json_t *jwk = json_object_get(header, "jwk");
    struct tb_str kid = tb_json_str(header, "kid");
    enum tb_jose_reason reason;
    if (json_object_get(header, "kid") != NULL && (kid.n == 0 || kid.n > TB_KEY_KID_MAX))
        return TB_JOSE_KID;
    if ((jwk != NULL) != policy->embedded_key)
        return TB_JOSE_KEY_EMBEDDED;
    struct tb_key *key;
    if (policy->embedded_key) {
        if ((reason = read_embedded(jwk, arena, out_loose)) != TB_JOSE_OK)
            return reason;
        key = (*out_loose)->key;
    } else {
        key = policy->find(policy->find_arg, kid, alg);
    }
    if (key == NULL || tb_key_alg(key) != alg)
        return policy->embedded_key ? TB_JOSE_KEY_EMBEDDED : TB_JOSE_KEY_UNKNOWN;
    *out = key;
    return TB_JOSE_OK;
}

static enum tb_jose_reason check_header(const struct tb_jose_policy *policy, struct tb_str segment,
                                        struct tb_arena *arena, struct tb_key **out_key,
                                        struct loose_key **out_loose)
{
    struct tb_str text;
    enum tb_jose_reason reason = decode(segment, arena, &text);
    if (reason != TB_JOSE_OK)
        return reason;
    const json_t *header = parse_object(text, arena);
    if (header == NULL)
        return TB_JOSE_HEADER;
    if (asks_for_extension(header))
        return TB_JOSE_EXTENSION;
    unsigned alg = tb_alg_read(tb_json_str(header, "alg"));
    if (alg == 0 || (alg & policy->algs) == 0)
        return TB_JOSE_ALGORITHM;
    if (!type_accepted(header, policy->types))
        return TB_JOSE_TYPE;
    return find_key(policy, header, (enum tb_alg)alg, arena, out_key, out_loose);
}

/* ---- claims ---- */

struct times {
    int64_t exp, iat, nbf; /* -1: absent */
};

static bool read_time(const json_t *claims, const char *name, bool required, int64_t *out)
{
    const json_t *value = json_object_get(claims, name);
    *out = -1;
    if (value == NULL)
        return !required;
    if (!json_is_integer(value))
        return false;
    *out = json_integer_value(value);
    return *out >= 0 && *out <= TIME_MAX;
}

static bool text_formed(const json_t *claims, const char *name, bool required, size_t max)
{
    const json_t *value = json_object_get(claims, name);
    if (value == NULL)
        return !required;
    size_t n = json_string_length(value);
    return json_is_string(value) && n > 0 && n <= max;
}

static bool forms_good(const json_t *claims, unsigned required, struct times *out)
{
    return read_time(claims, "exp", required & TB_CLAIM_EXP, &out->exp) &&
           read_time(claims, "iat", required & TB_CLAIM_IAT, &out->iat) &&
           read_time(claims, "nbf", required & TB_CLAIM_NBF, &out->nbf) &&
           text_formed(claims, "jti", required & TB_CLAIM_JTI, TB_JOSE_JTI_MAX) &&
           text_formed(claims, "sub", required & TB_CLAIM_SUB, TB_JOSE_BYTES_MAX);
}

static bool audience_good(const struct tb_jose_policy *policy, const json_t *claims)
{
    const json_t *aud = json_object_get(claims, "aud");
    if (policy->audience.at == NULL)
        return true;
    if (!policy->audience_list || !json_is_array(aud))
        return tb_str_eq(tb_json_str(claims, "aud"), policy->audience);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const json_t *one = json_array_get(aud, i);
        if (tb_str_eq((struct tb_str){json_string_value(one), json_string_length(one)},
                      policy->audience))
            return true;
    }
    return false;
}

static enum tb_jose_reason check_times(const struct tb_jose_policy *policy,
                                       const struct times *times, int64_t now_s)
{
    if (times->exp >= 0 && times->exp <= now_s)
        return TB_JOSE_EXPIRED;
    if (times->iat > now_s + policy->ahead_s || times->nbf > now_s + policy->ahead_s)
        return TB_JOSE_NOT_YET;
    if (policy->life_max_s > 0 && times->exp > now_s + policy->life_max_s)
        return TB_JOSE_TOO_LONG;
    if (policy->age_max_s > 0 && times->iat >= 0 && times->iat < now_s - policy->age_max_s)
        return TB_JOSE_TOO_OLD;
    return TB_JOSE_OK;
}

static enum tb_jose_reason check_claims(const struct tb_jose_policy *policy, int64_t now_s,
                                        struct tb_arena *arena, struct tb_jose *token)
{
    struct times times;
    token->claims = parse_object(token->payload, arena);
    if (token->claims == NULL)
        return TB_JOSE_CLAIMS;
    if (!forms_good(token->claims, policy->required, &times))
        return TB_JOSE_CLAIM_FORM;
    if (policy->issuer.at != NULL && !tb_str_eq(tb_json_str(token->claims, "iss"), policy->issuer))
        return TB_JOSE_ISSUER;
    if (policy->subject.at != NULL &&
        !tb_str_eq(tb_json_str(token->claims, "sub"), policy->subject))
        return TB_JOSE_SUBJECT;
    if (!audience_good(policy, token->claims))
        return TB_JOSE_AUDIENCE;
    return check_times(policy, &times, now_s);
}

/* ---- verify ---- */

static enum tb_jose_reason verify(const struct tb_jose_policy *policy, struct tb_str text,
                                  int64_t now_s, struct tb_arena *arena, struct tb_jose *token)
{
    struct parts parts;
    struct tb_str signature;
    struct loose_key *loose = NULL;
    enum tb_jose_reason reason;
    if (text.n > policy->bytes_max)
        return TB_JOSE_TOO_LARGE;
    if (text.n == 0 || !split(text, &parts))
        return TB_JOSE_SEGMENTS;
    if ((reason = decode(parts.payload, arena, &token->payload)) != TB_JOSE_OK ||
        (reason = decode(parts.signature, arena, &signature)) != TB_JOSE_OK)
        return reason;
    token->key = policy->heads == NULL ? NULL : tb_head_memo_find(policy->heads, parts.header);
    if (token->key == NULL)
        reason = check_header(policy, parts.header, arena, &token->key, &loose);
    if (reason != TB_JOSE_OK)
        return reason;
    if (!tb_key_verify(token->key, parts.signed_part, signature))
        return TB_JOSE_SIGNATURE;
    if (loose != NULL && policy->heads != NULL) {
        tb_head_memo_keep(policy->heads, parts.header, loose->key);
        loose->key = NULL;
    }
    return check_claims(policy, now_s, arena, token);
}

tb_err tb_jose_verify(const struct tb_jose_policy *policy, struct tb_str token, int64_t now_s,
                      struct tb_arena *arena, struct tb_jose *out)
{
    *out = (struct tb_jose){.reason = TB_JOSE_OK};
    enum tb_jose_reason reason = verify(policy, token, now_s, arena, out);
    if (reason == TB_JOSE_OK)
        return NULL;
    json_t *claims = reason == TB_JOSE_EXPIRED ? out->claims : NULL;
    *out = (struct tb_jose){.reason = reason, .claims = claims};
    return TB_E_TOKEN_INVALID;
}

/* ---- sign ---- */

struct tb_str tb_jose_sign(struct tb_key *key, const char *type, struct tb_str claims,
                           struct tb_arena *arena)
{
    struct tb_text header;
    tb_text_init(&header, arena);
    tb_text_add(&header, TB_STR("{\"alg\":\""));
    tb_text_add(&header, tb_alg_name(tb_key_alg(key)));
    tb_text_add(&header, TB_STR("\",\"typ\":"));
    tb_text_add_json(&header, tb_str(type));
    tb_text_add(&header, TB_STR(",\"kid\":"));
    tb_text_add_json(&header, tb_key_kid(key));
    tb_text_add_char(&header, '}');
    struct tb_str head = tb_text_end(&header);
    if (head.at == NULL)
        return TB_STR_NONE;
    char *out = tb_arena_raw(arena, TB_BASE64URL_CHARS(head.n) + TB_BASE64URL_CHARS(claims.n) +
                                        TB_BASE64URL_CHARS(TB_KEY_SIGNATURE_MAX) + 3);
    if (out == NULL)
        return TB_STR_NONE;
    size_t n = tb_base64url_write(out, head);
    out[n++] = '.';
    n += tb_base64url_write(out + n, claims);
    unsigned char signature[TB_KEY_SIGNATURE_MAX];
    size_t signature_n = tb_key_sign(key, (struct tb_str){out, n}, signature);
    out[n++] = '.';
    n += tb_base64url_write(out + n, TB_BYTES(signature, signature_n));
    out[n] = '\0';
    return (struct tb_str){out, n};
}
