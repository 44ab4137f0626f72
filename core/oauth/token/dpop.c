/* The checks of RFC 9449 §4.3, in the order of their cost: form, key and signature in the verifier
 * of tokens; then method, URL, nonce and token hash; last whether it was seen before, so that a
 * proof that is refused takes no room in the set. */
#include "oauth/token/dpop.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "crypto/seal.h"
#include "http/server.h"
#include "oauth/errors.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <ctype.h>
#include <strings.h>

enum {
    HTU_MAX = 2048,
    SLOT_S = 150,     /* a nonce is handed out for one slot and accepted in the next as well */
    NONCE_CHARS = 22, /* base64url of 128 bits */
    HEADS = 1024,     /* clients whose keys a worker keeps ready */
};

static struct tb_hmac *nonce_key;

static const char *const types[] = {"dpop+jwt", NULL};

static struct tb_jose_policy policy = {
    .types = types,
    .algs = TB_ALGS,
    .bytes_max = TB_JOSE_PROOF_BYTES_MAX,
    .embedded_key = true,
    .required = TB_CLAIM_IAT | TB_CLAIM_JTI,
    .ahead_s = TB_JOSE_AHEAD_S,
    .age_max_s = TB_DPOP_AGE_S,
};

/* ---- nonces ---- */

void tb_dpop_open(const struct tb_secret *master)
{
    struct tb_secret key = {0};
    tb_secret_derive(&key, master, "tongbao dpop nonces 1");
    tb_hmac_free(nonce_key);
    nonce_key = tb_hmac_new(TB_BYTES(key.at, key.n));
    tb_secret_wipe(&key);
    tb_head_memo_free(policy.heads);
    policy.heads = tb_head_memo_new(HEADS);
}

bool tb_dpop_asks(void)
{
    return tb_oauth()->config->dpop_nonce;
}

void tb_dpop_nonce(int64_t now_s, char out[TB_DPOP_NONCE_ROOM])
{
    unsigned char code[TB_SHA256_BYTES];
    char slot[24];
    struct tb_str part = {slot, tb_text_int(slot, now_s / SLOT_S)};
    tb_hmac_sha256(nonce_key, &part, 1, code);
    out[tb_base64url_write(out, TB_BYTES(code, 16))] = '\0';
}

static bool nonce_good(struct tb_str nonce, int64_t now_s)
{
    char now[TB_DPOP_NONCE_ROOM], before[TB_DPOP_NONCE_ROOM];
    tb_dpop_nonce(now_s, now);
    tb_dpop_nonce(now_s - SLOT_S, before);
    return tb_same_secret(nonce, (struct tb_str){now, NONCE_CHARS}) ||
           tb_same_secret(nonce, (struct tb_str){before, NONCE_CHARS});
}

/* ---- the URL ---- */

/* A URL as far as it must fit. */
struct place {
    struct tb_str scheme, host, port, path;
};

static size_t find_any(struct tb_str text, const char *chars)
{
    for (size_t n = 0; n < text.n; n++)
        for (const char *c = chars; *c != '\0'; c++)
            if (text.at[n] == *c)
                return n;
    return text.n;
}

/* RFC 3986 §6.2.3: the port that the scheme implies may be written, left empty or left out. */
static struct tb_str usual_port(struct tb_str scheme)
{
    return scheme.n == 5 ? TB_STR("443") : TB_STR("80");
}

/* Host and port; an address of IPv6 has colons of its own, in brackets. */
static bool read_authority(struct tb_str text, struct place *out)
{
    size_t brackets = text.n > 0 && text.at[0] == '[' ? find_any(text, "]") : 0;
    size_t n = brackets + find_any((struct tb_str){text.at + brackets, text.n - brackets}, ":");
    out->host = (struct tb_str){text.at, n};
    out->port = usual_port(out->scheme);
    if (n + 1 < text.n)
        out->port = (struct tb_str){text.at + n + 1, text.n - n - 1};
    return n > 0 && find_any(out->port, ":@") == out->port.n && find_any(out->host, "@") == n;
}

/* Take a URL apart; its query and fragment do not count (RFC 9449 §4.3, check 9). */
static bool read_place(struct tb_str url, struct place *out)
{
    size_t n = find_any(url, ":");
    if (url.n < n + 4 || memcmp(url.at + n, "://", 3) != 0)
        return false;
    out->scheme = (struct tb_str){url.at, n};
    struct tb_str rest = {url.at + n + 3, url.n - n - 3};
    n = find_any(rest, "/?#");
    struct tb_str authority = {rest.at, n};
    rest = (struct tb_str){rest.at + n, rest.n - n};
    out->path = (struct tb_str){rest.at, find_any(rest, "?#")};
    return read_authority(authority, out);
}

static bool same_of_any_case(struct tb_str a, struct tb_str b)
{
    return a.n == b.n && strncasecmp(a.at, b.at, a.n) == 0;
}

enum {
    ESCAPED = 0x100 /* of a unit: the character is not the same as when it is written plainly */
};

static bool is_unreserved(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* The next unit of a path as RFC 3986 §6.2.2 compares them: an escape counts as its character only
 * where that is unreserved, so %2F is no slash. -1 at the end, -2 for a broken escape. */
static int next_unit(struct tb_str *path)
{
    if (path->n == 0)
        return -1;
    unsigned char c = (unsigned char)path->at[0];
    size_t n = 1;
    int escaped = 0;
    if (c == '%') {
        if (path->n < 3 || !tb_hex_read((struct tb_str){path->at + 1, 2}, &c))
            return -2;
        n = 3;
        escaped = is_unreserved(c) ? 0 : ESCAPED;
    }
    *path = (struct tb_str){path->at + n, path->n - n};
    return c | escaped;
}

/* Whether two paths, as they were sent, are the same. */
static bool same_path(struct tb_str a, struct tb_str b)
{
    int unit;
    if (a.n == 0)
        a = TB_STR("/");
    do {
        unit = next_unit(&a);
        if (unit != next_unit(&b) || unit == -2)
            return false;
    } while (unit >= 0);
    return true;
}

/* Whether `url` is `path` under one of our own origins. What the request says of its authority is
 * not asked: a proxy between may have its own idea of it. */
static bool is_here(struct place url, const char *origin, struct tb_str path)
{
    struct place own;
    return read_place(tb_str(origin), &own) && same_of_any_case(url.scheme, own.scheme) &&
           same_of_any_case(url.host, own.host) && tb_str_eq(url.port, own.port) &&
           same_path(url.path, path);
}

/* RFC 3986 knows visible ASCII only; what others are taken for, each parser decides by itself. */
static bool is_visible(struct tb_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    return true;
}

static bool url_good(struct tb_str htu, struct tb_str path)
{
    const struct tb_config *config = tb_oauth()->config;
    struct place url;
    return htu.n <= HTU_MAX && is_visible(htu) && read_place(htu, &url) &&
           (is_here(url, config->issuer, path) || is_here(url, config->mtls_origin, path));
}

/* ---- the proof ---- */

/* How many DPoP headers there are; the value of the last in *out. */
static size_t find_proof(const struct tb_incoming *in, struct tb_str *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in->headers_n; i++)
        if (tb_str_eq(in->headers[i].name, TB_STR("dpop"))) {
            *out = in->headers[i].value;
            n++;
        }
    return n;
}

static bool token_hash_good(const json_t *claims, struct tb_str token)
{
    unsigned char digest[TB_SHA256_BYTES];
    char text[TB_SHA256_BASE64URL];
    tb_sha256(&token, 1, digest);
    tb_base64url_write(text, TB_BYTES(digest, sizeof(digest)));
    return tb_str_eq(tb_json_str(claims, "ath"), TB_BYTES(text, sizeof(text)));
}

static const char *check_claims(const struct tb_incoming *in, const struct tb_dpop_want *want,
                                const json_t *claims)
{
    if (!tb_str_eq(tb_json_str(claims, "htm"), in->method))
        return "htm is not the method of the request";
    if (!url_good(tb_json_str(claims, "htu"), in->raw_path))
        return "htu is not the URL of the request";
    if (want->token.at != NULL && !token_hash_good(claims, want->token))
        return "ath is not the hash of the access token";
    return NULL;
}

/* Once is enough: a proof is remembered as long as its iat would let it pass. */
static tb_err use_up(struct tb_req *req, struct tb_str jkt, const json_t *claims, int64_t now_s)
{
    int64_t iat_s = 0;
    bool good = tb_json_int(claims, "iat", &iat_s);
    struct tb_str parts[] = {jkt, tb_run_of(req)->in->path, tb_json_str(claims, "jti")};
    enum tb_jti seen = tb_jti_set_add(tb_oauth()->proofs, parts, TB_COUNT(parts),
                                      iat_s + TB_DPOP_AGE_S + 1, now_s);
    if (!good || seen == TB_JTI_SEEN)
        return tb_fail(req, TB_E_INVALID_DPOP_PROOF, "the DPoP proof was used before");
    if (seen == TB_JTI_FULL)
        return tb_fail(req, TB_E_OVERLOAD, "too many DPoP proofs at once");
    return NULL;
}

static tb_err check(struct tb_req *req, const struct tb_dpop_want *want, struct tb_str proof,
                    struct tb_jose *out)
{
    const struct tb_run *run = tb_run_of(req);
    int64_t now_s = tb_oauth_now_s(req);
    if (tb_jose_verify(&policy, proof, now_s, run->arena, out) != NULL)
        return tb_fail(req, TB_E_INVALID_DPOP_PROOF, "the DPoP proof: %s",
                       tb_jose_reason_words(out->reason));
    const char *why = check_claims(run->in, want, out->claims);
    if (why != NULL)
        return tb_fail(req, TB_E_INVALID_DPOP_PROOF, "the DPoP proof: %s", why);
    if (want->nonce && !nonce_good(tb_json_str(out->claims, "nonce"), now_s))
        return tb_fail(req, TB_E_USE_DPOP_NONCE,
                       "the DPoP proof has no nonce of ours, or an old one");
    return use_up(req, tb_key_thumbprint(out->key), out->claims, now_s);
}

tb_err tb_dpop_check(struct tb_req *req, const struct tb_dpop_want *want, struct tb_str *out_jkt)
{
    struct tb_str proof;
    struct tb_jose verified;
    *out_jkt = TB_STR_NONE;
    size_t proofs = find_proof(tb_run_of(req)->in, &proof);
    if (proofs == 0)
        return NULL;
    if (proofs > 1)
        return tb_fail(req, TB_E_INVALID_DPOP_PROOF, "more than one DPoP proof");
    TB_TRY(check(req, want, proof, &verified));
    struct tb_str jkt = tb_key_thumbprint(verified.key);
    char *kept = tb_arena_text(tb_run_of(req)->arena, jkt.at, jkt.n);
    if (kept == NULL)
        return tb_fail(req, TB_E_INTERNAL, "no memory left for the DPoP proof");
    *out_jkt = (struct tb_str){kept, jkt.n};
    return NULL;
}
