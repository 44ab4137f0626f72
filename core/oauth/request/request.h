/* Common part of pushed requests (par.c) and of those without a browser (backchannel.c): which
 * parameters count, and the rules for those that both have. Each function judges one parameter of
 * `form` and puts it, where it was sent, in normal form into the object `params`. */
#ifndef TB_OAUTH_REQUEST_REQUEST_H
#define TB_OAUTH_REQUEST_REQUEST_H

#include "oauth/client/client.h"
#include "oauth/form.h"
#include "oauth/request/jar.h"

/** The parameters that count: those of the request object when there is one, else those that were
 *  sent beside the client's authentication. Refused: request_uri, and an unsigned
 *  request of a client that has to sign. (Another's client_id did not get past authentication.)
 *  @return NULL; TB_E_INVALID_REQUEST; TB_E_INVALID_REQUEST_OBJECT; as tb_jar_open
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_request_open(struct tb_req *req,
                                                const struct tb_oauth_client *client,
                                                const struct tb_form *sent, enum tb_jar_use use,
                                                struct tb_form *out);

/** An empty object that the arena will drop; NULL when it is full. */
json_t *tb_request_params(struct tb_req *req);

/** Put `value` in; absent: nothing. */
tb_err TB_NODISCARD tb_request_put(struct tb_req *req, json_t *params, const char *name,
                                   struct tb_str value);

/** A text of visible characters and blanks, at most `max` bytes. `ascii`: no others than those. */
tb_err TB_NODISCARD tb_request_text(struct tb_req *req, const struct tb_form *form,
                                    const char *name, size_t max, bool ascii, json_t *params);

/** A whole number within min..max. */
tb_err TB_NODISCARD tb_request_number(struct tb_req *req, const struct tb_form *form,
                                      const char *name, int64_t min, int64_t max, json_t *params);

/** acr_values; not sent, what the client registered as default_acr_values. */
tb_err TB_NODISCARD tb_request_acr(struct tb_req *req, const struct tb_oauth_client *client,
                                   const struct tb_form *form, json_t *params);

/** authorization_details, which must not have run out already by the clock of the client's world:
 *  TB_E_INVALID_AUTHORIZATION_DETAILS. */
tb_err TB_NODISCARD tb_request_details(struct tb_req *req, const struct tb_oauth_client *client,
                                       const struct tb_form *form, json_t *params);

/** scope, and what the details in `params` imply: TB_E_INVALID_SCOPE when there is neither or the
 *  client has not registered one of the names, or one that writes is implied by no details. */
tb_err TB_NODISCARD tb_request_scope(struct tb_req *req, const struct tb_oauth_client *client,
                                     const struct tb_form *form, json_t *params);

/** claims: an object whose members id_token and userinfo name claims (OpenID Connect Core §5.5);
 *  its other members are left out. An essential acr that cannot be reached is
 *  TB_E_UNMET_AUTHENTICATION_REQUIREMENTS. */
tb_err TB_NODISCARD tb_request_claims(struct tb_req *req, const struct tb_form *form,
                                      json_t *params);

/** The parameters as JSON text, for a statement; absent when the arena is full. */
struct tb_str tb_request_json(struct tb_req *req, const json_t *params);

#endif
