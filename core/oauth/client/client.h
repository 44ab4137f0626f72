/* OAuth clients: an app of the bank (bank.app, whose id is the client_id) with the metadata it
 * registered (RFC 7591), and the public keys it signs with.
 *
 *     struct tb_oauth_client *client;
 *     TB_TRY(tb_oauth_client_find(req, client_id, &client));
 *     if (!tb_oauth_client_has(client, "redirect_uris", uri))
 *         return tb_fail(...);
 */
#ifndef TB_OAUTH_CLIENT_CLIENT_H
#define TB_OAUTH_CLIENT_CLIENT_H

#include "crypto/key.h"
#include <jansson.h>
#include <tongbao/req.h>

/** How a client proves who it is: token_endpoint_auth_method. */
enum tb_client_auth {
    TB_AUTH_PRIVATE_KEY_JWT,
    TB_AUTH_TLS,             /**< tls_client_auth: a certificate of an authority, by its subject */
    TB_AUTH_SELF_SIGNED_TLS, /**< self_signed_tls_client_auth: a certificate that it registered */
    TB_AUTH_SECRET_BASIC,    /**< sandbox worlds only */
};

struct tb_oauth_client {
    struct tb_str id, partner, name, world; /**< app_…, ptr_…, for people, wld_… */
    int32_t book;                           /**< the first of its world */
    bool active;                            /**< neither the app nor its partner is suspended */
    bool sandbox;                           /**< its world is one */
    int64_t world_offset_ms;                /**< the world's clock minus the wall clock */
    enum tb_client_auth auth;
    json_t *metadata;       /**< RFC 7591 members as registered; borrowed from the arena */
    bool dpop_bound;        /**< dpop_bound_access_tokens */
    bool certificate_bound; /**< tls_client_certificate_bound_access_tokens */
    bool plain_tokens;      /**< its tokens may be bound to nobody; never true outside a sandbox */
    bool resource_server;   /**< may introspect tokens of others */
    bool signed_requests;   /**< require_signed_request_object */
    struct tb_str scope;    /**< registered, blank-separated; absent: none */
    enum tb_alg request_alg, response_alg, assertion_alg; /**< 0: any of ours */

    struct tb_str jwks;     /**< JSON text of its JWK Set by value; absent: by jwks_uri, or none */
    struct tb_str jwks_uri; /**< absent: by value, or none */
    struct tb_str fetched;  /**< what jwks_uri last gave; absent: nothing yet */
    int64_t fetched_s;      /**< when; 0: never */
    struct tb_str secrets;  /**< digests of its live secrets, blank-separated; absent: none */
};

/** Read a client: one query.
 *  @return NULL; TB_E_INVALID_CLIENT (there is none, or it is suspended); errors of tb_query
 *  Waits: yes. Memory: the request's arena. */
tb_err TB_NODISCARD TB_SUSPENDS tb_oauth_client_find(struct tb_req *req, struct tb_str id,
                                                     struct tb_oauth_client **out);

/** As tb_oauth_client_find, but where there is no such client, or a suspended one, *out is one
 * whose keys and secrets nobody has (`active` is false): so that what follows takes as long as with
 * a client that exists, and fails. */
tb_err TB_NODISCARD TB_SUSPENDS tb_oauth_client_find_any(struct tb_req *req, struct tb_str id,
                                                         struct tb_oauth_client **out);

/** The JWK Set of the client nobody is: one key of each algorithm. */
struct tb_str tb_client_nobodys_jwks(void);

/** Whether the client has registered this grant type. None registered: authorization_code only
 *  (RFC 7591 §2). */
bool tb_oauth_client_may(const struct tb_oauth_client *client, const char *grant_type);

/** Whether the array `member` of its metadata ("redirect_uris", "response_types") has `value`,
 *  compared exactly. */
bool tb_oauth_client_has(const struct tb_oauth_client *client, const char *member,
                         struct tb_str value);

/** The value of token_endpoint_auth_method. */
struct tb_str tb_client_auth_name(enum tb_client_auth auth);

/* ---- keys ---- */

/** The public keys and certificates of one JWK Set, parsed once in each worker and counted. */
struct tb_client_keys;

/** The client's keys, by value or from its jwks_uri. A uri is fetched again after 5 minutes, and
 *  sooner (at most every 30 s, whatever the number of workers) when `token` names a kid that is not
 *  there; while it cannot be fetched, what it gave counts for an hour.
 *  @param token  a compact JWS, not verified yet; absent: do not look for its kid
 *  @param out    counted for the request's arena; has no keys when there are none to be had
 *  @return NULL; TB_E_OVERLOAD with its retry_after (as many as may wait for such keys, in all or
 *          for that host, do already); TB_E_INTERNAL (arena full); errors of tb_wait
 *  Waits: for keys that are not there, some 5 s at most; never while those that are there count.
 * Source: RFC 7517 §5; OWASP API7:2023. */
tb_err TB_NODISCARD TB_SUSPENDS tb_oauth_client_keys(struct tb_req *req,
                                                     const struct tb_oauth_client *client,
                                                     struct tb_str token,
                                                     struct tb_client_keys **out);

/** The key of this kid and algorithm; else the only key of the algorithm that could be meant: of
 * all when there is no kid, of those without one when there is. NULL when there is none, or
 * several. Fits tb_jose_policy.find; `keys` is a struct tb_client_keys. */
struct tb_key *tb_client_keys_find(void *keys, struct tb_str kid, enum tb_alg alg);

/** Whether a key of the set has this certificate as the first of its x5c.
 *  @param thumbprint  base64url of the SHA-256 of the DER */
bool tb_client_keys_certificate(const struct tb_client_keys *keys, struct tb_str thumbprint);

/* ---- secrets ---- */

enum {
    TB_CLIENT_SECRET_CHARS = 43, /**< base64url of 32 random bytes */
    TB_CLIENT_SECRETS_MAX = 2,   /**< live at once */
};

/** Make a secret and its digest. Store the digest with oauth.add_secret(app, digest, at,
 *  expires_at), show the secret once, keep it nowhere. Both NUL-terminated. */
void tb_client_secret_make(char out_secret[TB_CLIENT_SECRET_CHARS + 1],
                           char out_digest[TB_CLIENT_SECRET_CHARS + 1]);

#endif
