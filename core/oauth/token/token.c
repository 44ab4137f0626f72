/* Minting and checking access tokens. A check is a look into the cache; only a token that is not
 * there is verified. Who shows it is a question apart and asked each time, because the same token
 * may come over another connection. */
#include "oauth/token/token.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include <string.h>

static const char TYPE[] = "at+jwt";
static const char *const types[] = {TYPE, NULL};

struct tb_token_checker {
    struct tb_token_rules rules;
    struct tb_jose_policy policy;
    struct tb_token_cache *cache;
    struct tb_arena *scratch;        /**< of one verification */
    uint64_t keys_generation;        /**< of the key store when the cache was last emptied */
    int64_t now_s;                   /**< of the check that is running, for find_key */
    struct tb_token_refused refused; /**< of the last check; texts in the scratch */
};

static struct tb_key *find_key(void *arg, struct tb_str kid, enum tb_alg alg)
{
    struct tb_token_checker *checker = arg;
    return tb_keystore_find(checker->rules.keys, kid, alg, checker->now_s);
}

struct tb_token_checker *tb_token_checker_new(const struct tb_token_rules *rules)
{
    struct tb_token_checker *checker = tb_mem(sizeof(*checker));
    checker->rules = *rules;
    checker->cache = tb_token_cache_new(rules->cache_entries, rules->cache_bytes, rules->revoked);
    checker->scratch = tb_arena_new(TB_ARENA_CAP);
    checker->keys_generation = tb_keystore_generation(rules->keys);
    checker->policy = (struct tb_jose_policy){
        .types = types,
        .algs = TB_ALG_ES256,
        .bytes_max = TB_JOSE_BYTES_MAX,
        .find = find_key,
        .find_arg = checker,
        .issuer = rules->issuer,
        .audience = rules->audience,
        .required = TB_CLAIM_EXP | TB_CLAIM_IAT | TB_CLAIM_JTI | TB_CLAIM_SUB,
        .ahead_s = TB_JOSE_AHEAD_S,
        .life_max_s = TB_TOKEN_LIFE_MAX_S + TB_JOSE_AHEAD_S,
    };
    return checker;
}

void tb_token_checker_free(struct tb_token_checker *checker)
{
    if (checker == NULL)
        return;
    tb_token_cache_free(checker->cache);
    tb_arena_free(checker->scratch);
    tb_mem_free(checker);
}

struct tb_token_cache_stats tb_token_checker_stats(const struct tb_token_checker *checker)
{
    return tb_token_cache_stats(checker->cache);
}

/* ---- from claims to a grant ---- */

static bool read_env(struct tb_str name, enum tb_env *out)
{
    *out = tb_str_eq(name, TB_STR("live")) ? TB_ENV_LIVE : TB_ENV_SANDBOX;
    return *out == TB_ENV_LIVE || tb_str_eq(name, TB_STR("sandbox"));
}

static struct tb_str env_name(enum tb_env env)
{
    return env == TB_ENV_LIVE ? TB_STR("live") : TB_STR("sandbox");
}

/* Whether `c` may stand in the name of a scope (RFC 6749 §3.3). */
static bool scope_char(char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* Split at single spaces; false unless there are 1..TB_GRANT_SCOPES_MAX well-formed names. */
static bool split_scope(struct tb_str text, struct tb_str *out, size_t *out_n)
{
    size_t from = 0;
    *out_n = 0;
    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && text.at[i] != ' ') {
            if (!scope_char(text.at[i]))
                return false;
            continue;
        }
        if (i == from || *out_n == TB_GRANT_SCOPES_MAX)
            return false;
        out[(*out_n)++] = (struct tb_str){text.at + from, i - from};
        from = i + 1;
    }
    return true;
}

/* `cnf` binds the token to one thing we know how to ask for; anything else in it must not be passed
 * over, or a bound token would count as a plain one. */
static bool read_binding(const json_t *claims, struct tb_grant *grant)
{
    const json_t *cnf = json_object_get(claims, "cnf");
    if (cnf == NULL)
        return true;
    grant->cert = tb_json_str(cnf, "x5t#S256");
    grant->dpop = tb_json_str(cnf, "jkt");
    struct tb_str one = grant->cert.at != NULL ? grant->cert : grant->dpop;
    return json_object_size(cnf) == 1 && one.n == TB_SHA256_BASE64URL;
}

/* A text that may be missing. One of another form must not be passed over: a token would outlive
 * the grant or the consent that it names. */
static bool read_optional(const json_t *claims, const char *name, struct tb_str *out)
{
    *out = tb_json_str(claims, name);
    return json_object_get(claims, name) == NULL || out->n > 0;
}

static bool read_details(const json_t *claims, struct tb_arena *arena, struct tb_str *out)
{
    const json_t *details = json_object_get(claims, "authorization_details");
    struct tb_text text;
    if (details == NULL)
        return true;
    tb_text_init(&text, arena);
    tb_json_canonical(&text, details);
    *out = tb_text_end(&text);
    return json_is_array(details) && out->at != NULL;
}

/* The grant of verified claims; NULL when one is missing or of the wrong form. */
static struct tb_grant *read_grant(const json_t *claims, struct tb_arena *arena)
{
    struct tb_str scopes[TB_GRANT_SCOPES_MAX];
    int64_t book = 0, exp_s = 0;
    struct tb_grant grant = {
        .partner = tb_json_str(claims, "partner"),
        .app = tb_json_str(claims, "client_id"),
        .subject = tb_json_str(claims, "sub"),
        .jti = tb_json_str(claims, "jti"),
        .scopes = scopes,
    };
    if (grant.partner.n == 0 || grant.app.n == 0 || !tb_json_int(claims, "exp", &exp_s) ||
        !tb_json_int(claims, "book", &book) || book < 1 || book > TB_BOOK_MAX ||
        !read_env(tb_json_str(claims, "env"), &grant.env) ||
        !split_scope(tb_json_str(claims, "scope"), scopes, &grant.scopes_n) ||
        !read_binding(claims, &grant) || !read_optional(claims, "grant", &grant.family) ||
        !read_optional(claims, "consent", &grant.consent) ||
        !read_details(claims, arena, &grant.details))
        return NULL;
    grant.book = (int32_t)book;
    grant.exp_s = exp_s;
    return tb_grant_new(&grant);
}

/* ---- checking ---- */

static void note_fault(struct tb_token_checker *checker, enum tb_token_fault fault,
                       const json_t *claims)
{
    checker->refused = (struct tb_token_refused){fault, tb_json_str(claims, "partner"),
                                                 tb_json_str(claims, "client_id")};
}

/* A token that is not in the cache: verify it and put it there. */
static struct tb_grant *verify(struct tb_token_checker *checker, struct tb_str token, int64_t now_s,
                               const char **out_why)
{
    struct tb_jose out;
    struct tb_grant *grant = NULL;
    tb_arena_reset(checker->scratch);
    if (tb_jose_verify(&checker->policy, token, now_s, checker->scratch, &out) != NULL) {
        *out_why = tb_jose_reason_words(out.reason);
        if (out.reason == TB_JOSE_EXPIRED)
            note_fault(checker, TB_TOKEN_EXPIRED, out.claims);
        return NULL;
    }
    grant = read_grant(out.claims, checker->scratch);
    if (grant == NULL) {
        *out_why = "a claim of an access token is missing or of the wrong form";
        return NULL;
    }
    if (!tb_token_cache_add(checker->cache, token, grant, now_s)) {
        *out_why = "revoked";
        note_fault(checker, TB_TOKEN_REVOKED, out.claims);
        tb_grant_drop(grant);
        return NULL;
    }
    return grant;
}

tb_err tb_token_check(struct tb_token_checker *checker, struct tb_str token, int64_t now_s,
                      struct tb_grant **out_grant, const char **out_why)
{
    uint64_t generation = tb_keystore_generation(checker->rules.keys);
    if (generation != checker->keys_generation) { /* a key was withdrawn */
        tb_token_cache_clear(checker->cache);
        checker->keys_generation = generation;
    }
    checker->now_s = now_s;
    checker->refused = (struct tb_token_refused){.fault = TB_TOKEN_UNKNOWN};
    *out_grant = NULL;
    *out_why = NULL;
    struct tb_grant *grant = tb_token_cache_find(checker->cache, token, now_s);
    if (grant == NULL)
        grant = verify(checker, token, now_s, out_why);
    if (grant == NULL)
        return TB_E_TOKEN_INVALID;
    if (grant->env != checker->rules.env) {
        *out_why = "of the other environment";
        tb_grant_drop(grant);
        return TB_E_ENVIRONMENT_MISMATCH;
    }
    *out_grant = grant;
    return NULL;
}

struct tb_token_refused tb_token_refused(const struct tb_token_checker *checker)
{
    return checker->refused;
}

const char *tb_token_misused(const struct tb_grant *grant, const struct tb_presented *presented)
{
    if (grant->dpop.at == NULL && presented->dpop_scheme)
        return "sent as DPoP, and not bound to a key";
    if (grant->cert.at != NULL)
        return tb_str_eq(grant->cert, presented->cert)
                   ? NULL
                   : "bound to another client certificate than the connection's";
    if (grant->dpop.at == NULL)
        return grant->env == TB_ENV_SANDBOX ? NULL
                                            : "bound to nobody, which only the sandbox accepts";
    if (!presented->dpop_scheme)
        return "bound to a DPoP key, and sent as Bearer";
    return tb_str_eq(grant->dpop, presented->dpop)
               ? NULL
               : "bound to a DPoP key, and sent without a proof of it";
}

/* ---- minting ---- */

static bool order_good(const struct tb_token_rules *rules, const struct tb_token_order *order)
{
    struct tb_str scopes[TB_GRANT_SCOPES_MAX];
    size_t n;
    bool bound = order->cert.at != NULL || order->dpop.at != NULL;
    bool bound_twice = order->cert.at != NULL && order->dpop.at != NULL;
    int64_t life_max_s = rules->env == TB_ENV_LIVE ? (int64_t)TB_TOKEN_LIFE_LIVE_S
                                                   : (int64_t)TB_TOKEN_LIFE_MAX_S;
    return order->partner.n > 0 && order->app.n > 0 && order->book >= 1 &&
           order->book <= TB_BOOK_MAX && order->life_s >= 1 && order->life_s <= life_max_s &&
           split_scope(order->scope, scopes, &n) && !bound_twice &&
           (bound || rules->env == TB_ENV_SANDBOX) &&
           (order->cert.at == NULL || order->cert.n == TB_SHA256_BASE64URL) &&
           (order->dpop.at == NULL || order->dpop.n == TB_SHA256_BASE64URL);
}

static void add_member(struct tb_text *text, const char *name, struct tb_str value)
{
    tb_text_add_format(text, ",\"%s\":", name);
    tb_text_add_json(text, value);
}

static void add_optional(struct tb_text *text, const char *name, struct tb_str value)
{
    if (value.at != NULL)
        add_member(text, name, value);
}

static struct tb_str write_claims(const struct tb_token_rules *rules,
                                  const struct tb_token_order *order, int64_t now_s,
                                  struct tb_arena *arena, const struct tb_minted *minted)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    tb_text_add_format(&text, "{\"iat\":%lld,\"exp\":%lld,\"book\":%d", (long long)now_s,
                       (long long)minted->exp_s, (int)order->book);
    add_member(&text, "iss", rules->issuer);
    add_member(&text, "aud", rules->audience);
    add_member(&text, "sub", order->subject.at == NULL ? order->app : order->subject);
    add_member(&text, "client_id", order->app);
    add_member(&text, "partner", order->partner);
    add_member(&text, "env", env_name(rules->env));
    add_member(&text, "scope", order->scope);
    add_member(&text, "jti", tb_str(minted->jti));
    if (order->cert.at != NULL || order->dpop.at != NULL) {
        tb_text_add(&text, order->cert.at != NULL ? TB_STR(",\"cnf\":{\"x5t#S256\":")
                                                  : TB_STR(",\"cnf\":{\"jkt\":"));
        tb_text_add_json(&text, order->cert.at != NULL ? order->cert : order->dpop);
        tb_text_add_char(&text, '}');
    }
    add_optional(&text, "grant", order->family);
    add_optional(&text, "consent", order->consent);
    add_optional(&text, "acr", order->acr);
    if (order->auth_time_s != 0)
        tb_text_add_format(&text, ",\"auth_time\":%lld", (long long)order->auth_time_s);
    if (order->details.at != NULL) {
        tb_text_add(&text, TB_STR(",\"authorization_details\":"));
        tb_text_add(&text, order->details);
    }
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}

tb_err tb_token_mint(struct tb_token_checker *checker, const struct tb_token_order *order,
                     int64_t now_s, struct tb_arena *arena, struct tb_minted *out)
{
    if (!order_good(&checker->rules, order))
        return TB_E_BAD_REQUEST;
    struct tb_key *key = tb_keystore_signer(checker->rules.keys, now_s);
    if (key == NULL || tb_key_alg(key) != TB_ALG_ES256)
        return TB_E_STORE;
    out->exp_s = now_s + order->life_s;
    tb_id_make(out->jti, "tok", order->book, now_s * 1000);
    struct tb_str claims = write_claims(&checker->rules, order, now_s, arena, out);
    if (claims.at == NULL)
        return TB_E_INTERNAL;
    out->token = tb_jose_sign(key, TYPE, claims, arena);
    return out->token.at == NULL ? TB_E_INTERNAL : NULL;
}
