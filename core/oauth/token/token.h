/* Access tokens: JWT in the profile of RFC 9068, typ at+jwt, signed with ES256 by the key store's
 * active key. Besides the claims of the profile a token says `partner`, `book` and `env`, so that a
 * request needs no look-up to be let in, and `grant` and `consent`, so that it ends with them. One
 * checker belongs to one worker and remembers what it verified.
 *
 *     struct tb_grant *grant;
 *     const char *why;
 *     tb_err err = tb_token_check(checker, token, now_s, &grant, &why);
 *     if (err != NULL)
 *         ...                                             // `why` is for the operator's trace only
 *     if (!tb_arena_defer(arena, tb_grant_drop_any, grant))
 *         return TB_E_INTERNAL;
 *     why = tb_token_misused(grant, &presented);          // NULL: shown by whom it is bound to
 */
#ifndef TB_OAUTH_TOKEN_TOKEN_H
#define TB_OAUTH_TOKEN_TOKEN_H

#include "base/arena.h"
#include "base/id.h"
#include "crypto/grant.h"
#include "crypto/jti_set.h"
#include "crypto/keystore.h"
#include "crypto/token_cache.h"

enum {
    TB_TOKEN_LIFE_MAX_S = 31 * 86400, /**< of any token; the revoked set must outlast it */
    TB_TOKEN_LIFE_LIVE_S = 300,       /**< of tokens in the live environment */
};

/** What a checker accepts, and what it mints. Texts are borrowed and outlive it. */
struct tb_token_rules {
    struct tb_str issuer;             /**< `iss`: the configured https URL, compared byte by byte */
    struct tb_str audience;           /**< `aud`: the name of this API */
    enum tb_env env;                  /**< tokens of the other environment are refused */
    struct tb_keystore *keys;         /**< borrowed */
    const struct tb_jti_set *revoked; /**< borrowed, shared memory; NULL: nothing is ever revoked */
    size_t cache_entries, cache_bytes; /**< of the cache of verified tokens */
};

struct tb_token_checker;

struct tb_token_checker *tb_token_checker_new(const struct tb_token_rules *rules);
void tb_token_checker_free(struct tb_token_checker *checker);

/** Check an access token: signature, type, issuer, audience, times, revocation of it or of its
 * grant, environment. Who shows it is not asked: see tb_token_misused.
 *  @param out_grant  what it allows, with one count for the caller; NULL on error
 *  @param out_why    on error: the cause in words, for the operator alone
 *  @return NULL; TB_E_TOKEN_INVALID; TB_E_ENVIRONMENT_MISMATCH
 *  Waits: no; some 60 ns for a token seen before, 65 us for a new one. Source: RFC 9068 §4. */
tb_err TB_NODISCARD tb_token_check(struct tb_token_checker *checker, struct tb_str token,
                                   int64_t now_s, struct tb_grant **out_grant,
                                   const char **out_why);

/** What was wrong with a token, as far as it may be said where there is nothing to protect. */
enum tb_token_fault {
    TB_TOKEN_UNKNOWN, /**< it is none of ours: who sent it has no part in it */
    TB_TOKEN_EXPIRED,
    TB_TOKEN_REVOKED, /**< it, its grant or its app */
};

/** Of a token that tb_token_check refused. Texts are absent where it is unknown. */
struct tb_token_refused {
    enum tb_token_fault fault;
    struct tb_str partner, app; /**< whose it was; valid until the next check */
};
struct tb_token_refused tb_token_refused(const struct tb_token_checker *checker);

/** What a request shows together with its token. */
struct tb_presented {
    bool dpop_scheme;   /**< the token came as "Authorization: DPoP", not as Bearer */
    struct tb_str cert; /**< x5t#S256 of the client certificate of the connection, or absent */
    struct tb_str dpop; /**< thumbprint of the key of a DPoP proof that was verified, or absent */
};

/** Whether a token is shown by another than whom it is bound to, or under the wrong scheme: only a
 * token bound to a DPoP key goes under DPoP, and it goes under nothing else. One bound to nobody
 * (plain bearer) counts in the sandbox only.
 *  @return NULL when all is well; else the cause in words, for the operator alone
 *  Waits: no. Source: RFC 8705 §3, RFC 9449 §7.1, §7.2. */
const char *tb_token_misused(const struct tb_grant *grant, const struct tb_presented *presented);

struct tb_token_cache_stats tb_token_checker_stats(const struct tb_token_checker *checker);

/** What a new token says. */
struct tb_token_order {
    struct tb_str partner, app;
    struct tb_str subject; /**< absent: the app */
    struct tb_str scope;   /**< names with one space between, at most TB_GRANT_SCOPES_MAX */
    int32_t book;
    struct tb_str cert, dpop; /**< whom it is bound to, or absent */
    int64_t life_s;           /**< 1..TB_TOKEN_LIFE_MAX_S, live 1..TB_TOKEN_LIFE_LIVE_S */
    struct tb_str family;     /**< the customer's grant it comes of, or absent */
    struct tb_str consent;    /**< or absent */
    struct tb_str details;    /**< authorization_details, JSON text of an array; or absent */
    struct tb_str acr;        /**< how the customer was authenticated, or absent */
    int64_t auth_time_s;      /**< and when; 0: not said */
};

struct tb_minted {
    struct tb_str token; /**< in the arena, NUL-terminated */
    int64_t exp_s;
    char jti[TB_ID_ROOM];
};

/** Sign a new token with the rules' issuer, audience and environment.
 *  @return NULL; TB_E_BAD_REQUEST (life, book or scope out of range, or nobody to be bound to in
 * the live environment); TB_E_STORE (there is no active key); TB_E_INTERNAL (arena full) Waits: no;
 * about 25 us. Source: RFC 9068 §2. */
tb_err TB_NODISCARD tb_token_mint(struct tb_token_checker *checker,
                                  const struct tb_token_order *order, int64_t now_s,
                                  struct tb_arena *arena, struct tb_minted *out);

#endif
