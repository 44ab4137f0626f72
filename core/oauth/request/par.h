/* Pushed authorization requests (RFC 9126): a client sends its whole request over its own
 * authenticated connection, where everything about it is judged, and gets a request_uri that its
 * customer's browser carries to the authorization endpoint.
 *
 *     struct tb_pushed pushed;
 *     TB_TRY(tb_pushed_find(req, client_id, request_uri, &pushed));
 *     struct tb_str redirect_uri = tb_json_str(pushed.params, "redirect_uri");
 */
#ifndef TB_OAUTH_REQUEST_PAR_H
#define TB_OAUTH_REQUEST_PAR_H

#include <tongbao/plugin.h>
#include <tongbao/req.h>

enum {
    TB_PUSHED_LIFE_S = 300, /**< of a request_uri; FAPI 2.0 asks for less than 600 */
};

#define TB_PUSHED_PREFIX "urn:ietf:params:oauth:request_uri:"

/** POST /oauth/par and POST /oauth/backchannel. */
extern const struct tb_plugin tb_oauth_par_product;

/** A request that was pushed. `params` are validated and in normal form. Always there:
 *      redirect_uri    one of the client's, exactly as it is to be answered to
 *      scope           names of the client's scope, those that the details imply among them
 *      code_challenge  S256
 *      response_mode   "query" or "jwt"
 *  and, where the client sent them:
 *      state, nonce, acr_values, ui_locales, login_hint, dpop_jkt   texts
 *      subject                 "usr_…", whom its id_token_hint is about
 *      prompt                  "none", or "login" and "consent", blank-separated
 *      max_age                 seconds, integer >= 0
 *      authorization_details   array of one detail (details.h)
 *      claims                  object with `id_token`, `userinfo` or both */
struct tb_pushed {
    struct tb_str client, digest; /**< digest: primary key of oauth.pushed_request */
    json_t *params;               /**< borrowed from the arena */
};

/** Find the request that `request_uri` stands for. It is not used up: what uses it up is the
 *  customer's decision, `update oauth.pushed_request set used_at = … where digest = … and used_at
 * is null`, in the decision's transaction, so that opening the page twice, or a preview of the
 * link, does no harm.
 *  @return NULL; TB_E_INVALID_REQUEST_URI (unknown, expired, used, or another client's); errors of
 *          tb_query
 *  Waits: yes. Memory: the request's arena. Source: RFC 9126 §4; FAPI 2.0 Security Profile
 *  §5.3.2.2, note 3. */
tb_err TB_NODISCARD TB_SUSPENDS tb_pushed_find(struct tb_req *req, struct tb_str client_id,
                                               struct tb_str request_uri, struct tb_pushed *out);

#endif
