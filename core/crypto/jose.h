/* Signed tokens: JWS in compact form (RFC 7515) with a JSON object of claims (RFC 7519). Everything
 * inbound is verified here, under a policy that says what one purpose accepts; the token itself
 * chooses nothing (RFC 8725). A refusal looks the same whatever its cause: the reason is for the
 * operator's trace and must not reach the client.
 *
 *     struct tb_jose token;
 *     TB_TRY(tb_jose_verify(&access_token_policy, text, now_s, arena, &token));
 *     struct tb_str subject = tb_json_str(token.claims, "sub");
 */
#ifndef TB_CRYPTO_JOSE_H
#define TB_CRYPTO_JOSE_H

#include "crypto/head_memo.h"
#include "crypto/key.h"
#include <stdint.h>

enum {
    TB_JOSE_BYTES_MAX = 8 * 1024,       /**< of a token */
    TB_JOSE_PROOF_BYTES_MAX = 4 * 1024, /**< of a DPoP proof */
    TB_JOSE_DEPTH_MAX = 8,              /**< of header and claims */
    TB_JOSE_JTI_MAX = 128,              /**< characters */
    TB_JOSE_AHEAD_S = 10,               /**< usual `ahead_s`: FAPI 2.0 asks for 0 to 10 */
};

/** Why a token was refused, in the order of the checks: TB_JOSE_REASON(name, words). */
#define TB_JOSE_REASONS(REASON)                                                                    \
    REASON(OK, "verified")                                                                         \
    REASON(TOO_LARGE, "larger than its purpose allows")                                            \
    REASON(SEGMENTS, "not three segments")                                                         \
    REASON(ENCODING, "not exact base64url")                                                        \
    REASON(HEADER, "header is not a strict JSON object")                                           \
    REASON(EXTENSION, "header asks for an extension that is never accepted")                       \
    REASON(ALGORITHM, "algorithm is not allowed for this purpose")                                 \
    REASON(TYPE, "typ is not the one of this purpose")                                             \
    REASON(KID, "kid is not a text of acceptable length")                                          \
    REASON(KEY_UNKNOWN, "no key with this kid and algorithm")                                      \
    REASON(KEY_EMBEDDED, "embedded key is missing, unwanted or unacceptable")                      \
    REASON(SIGNATURE, "signature does not verify")                                                 \
    REASON(CLAIMS, "claims are not a strict JSON object")                                          \
    REASON(CLAIM_FORM, "a claim is missing or of the wrong form")                                  \
    REASON(ISSUER, "issued by another")                                                            \
    REASON(SUBJECT, "about another subject")                                                       \
    REASON(AUDIENCE, "meant for another audience")                                                 \
    REASON(EXPIRED, "expired")                                                                     \
    REASON(NOT_YET, "from the future")                                                             \
    REASON(TOO_LONG, "valid for longer than its purpose allows")                                   \
    REASON(TOO_OLD, "issued too long ago")                                                         \
    REASON(MEMORY, "no memory left for it")

enum tb_jose_reason {
#define TB_JOSE_REASON(name, words) TB_JOSE_##name,
    TB_JOSE_REASONS(TB_JOSE_REASON)
#undef TB_JOSE_REASON
};

/** Claims a policy can require; those that are present are checked for their form in any case. */
enum {
    TB_CLAIM_EXP = 1u << 0,
    TB_CLAIM_IAT = 1u << 1,
    TB_CLAIM_NBF = 1u << 2,
    TB_CLAIM_JTI = 1u << 3,
    TB_CLAIM_SUB = 1u << 4,
};

/** What one purpose accepts. */
struct tb_jose_policy {
    const char *const
        *types;    /**< accepted `typ`, compared exactly, NULL at the end; "" stands for none */
    unsigned algs; /**< set of enum tb_alg */
    size_t bytes_max;

    /** The key of the one party this token may come from; it must be of `alg`, or NULL. `kid` is
     *  absent when the token names none, and is a key of a map, never part of a path or a
     * statement. Must not wait. */
    struct tb_key *(*find)(void *arg, struct tb_str kid, enum tb_alg alg);
    void *find_arg;
    bool embedded_key; /**< the key is the header's `jwk`, and `find` is not asked: DPoP alone */
    struct tb_head_memo *heads; /**< of this policy, with embedded keys; NULL: none are kept */

    struct tb_str issuer, subject; /**< exact `iss`, `sub`; absent: not checked */
    struct tb_str audience;        /**< exact `aud`; absent: not checked */
    bool audience_list;            /**< `aud` may also be an array that contains `audience` */
    unsigned required;             /**< set of TB_CLAIM_* */
    int64_t ahead_s;               /**< how far iat and nbf may lie in the future */
    int64_t life_max_s;            /**< how far exp may lie in the future; 0: not checked */
    int64_t age_max_s;             /**< how far iat may lie in the past; 0: not checked */
};

/** A verified token. All of it lives in the arena, but `key`, which belongs to the policy's party;
 *  an embedded one to the arena or to `heads`, so that it is borrowed until the next verification.
 */
struct tb_jose {
    enum tb_jose_reason reason;
    struct tb_key *key;
    struct tb_str payload; /**< the claims as they were signed */
    json_t *claims;        /**< borrowed */
};

/** Verify a token.
 *  @param now_s  the wall clock, seconds since 1970
 *  @return NULL; TB_E_TOKEN_INVALID whatever is wrong, with only out->reason set, and out->claims
 *          of a token that has expired and is good in all else
 *  Waits: no. Source: RFC 7515 §5.2, RFC 8725 §3. */
tb_err TB_NODISCARD tb_jose_verify(const struct tb_jose_policy *policy, struct tb_str token,
                                   int64_t now_s, struct tb_arena *arena, struct tb_jose *out);

/** The reason in words, for the operator. */
const char *tb_jose_reason_words(enum tb_jose_reason reason);

/** Sign claims. The header is `alg`, `typ` and `kid`.
 *  @param type    plain ASCII: "at+jwt"
 *  @param claims  JSON text of an object; signed as it is
 *  @return the token in the arena, NUL-terminated; absent when the arena is full. Waits: no; takes
 *          20 us (ES256, Ed25519) to 1 ms (PS256) of processor. */
struct tb_str tb_jose_sign(struct tb_key *key, const char *type, struct tb_str claims,
                           struct tb_arena *arena);

#endif
