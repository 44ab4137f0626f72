/* DPoP proofs (RFC 9449): a JWT that a client makes for one request, signed with the key its tokens
 * are bound to. The authorization server asks for one where it issues tokens, the gateway wherever
 * a bound token is shown.
 *
 *     struct tb_str jkt;
 *     TB_TRY(tb_dpop_check(req, &(struct tb_dpop_want){.nonce = tb_dpop_asks()}, &jkt));
 */
#ifndef TB_OAUTH_TOKEN_DPOP_H
#define TB_OAUTH_TOKEN_DPOP_H

#include "base/secret.h"
#include <tongbao/req.h>

enum {
    TB_DPOP_AGE_S = 60,      /**< how old a proof may be */
    TB_DPOP_NONCE_ROOM = 32, /**< characters of a nonce, with its NUL */
};

/** What a proof must say besides its method, URL and time. */
struct tb_dpop_want {
    struct tb_str token; /**< the access token it comes with; absent at the authorization server */
    bool nonce;          /**< it must carry a nonce of ours */
};

/** Check the proof of this request, if it has one. It counts once, among all workers.
 *  @param out_jkt  thumbprint of its key, in the request's arena; absent when there is no proof
 *  @return NULL; TB_E_INVALID_DPOP_PROOF, with what is wrong as detail; TB_E_USE_DPOP_NONCE;
 *          TB_E_OVERLOAD (too many proofs at once to remember another)
 *  Waits: no; about one signature verification of processor. Source: RFC 9449 §4.3, §8, §9. */
tb_err TB_NODISCARD tb_dpop_check(struct tb_req *req, const struct tb_dpop_want *want,
                                  struct tb_str *out_jkt);

/** Whether the configuration asks proofs for a nonce (dpop.nonce). Then every answer of an endpoint
 *  that takes proofs carries one in the header DPoP-Nonce. */
bool tb_dpop_asks(void);

/** The nonce to hand out at this second. It is accepted for 150 to 300 s, on every worker and
 *  machine that has the same master secret. NUL-terminated. */
void tb_dpop_nonce(int64_t now_s, char out[TB_DPOP_NONCE_ROOM]);

/** Derive the key of nonces and make room for the keys of proofs; tb_oauth_open calls it. */
void tb_dpop_open(const struct tb_secret *master);

#endif
