/* Request objects (RFC 9101, and CIBA Core §7.1.1): the parameters of a request as the claims of a
 * JWT that the client signed. What stands beside it in the form does not count.
 *
 *     struct tb_form inner;
 *     TB_TRY(tb_jar_open(req, client, object, TB_JAR_PUSHED, &inner));
 */
#ifndef TB_OAUTH_REQUEST_JAR_H
#define TB_OAUTH_REQUEST_JAR_H

#include "oauth/client/client.h"
#include "oauth/form.h"

enum {
    TB_JAR_LIFE_S = 3600, /**< how long before now nbf may be, and how long after it exp */
};

/** What a request object is for. They differ in the claims they need and the error they fail with.
 */
enum tb_jar_use {
    TB_JAR_PUSHED,      /**< names its client again as client_id; TB_E_INVALID_REQUEST_OBJECT */
    TB_JAR_BACKCHANNEL, /**< has jti and iat too, and counts once (oauth/jti_replay.h);
                             TB_E_INVALID_REQUEST, as CIBA Core §13 says */
};

/** Verify a request object of `client` and take its parameters out. Values that are no texts
 *  (claims, authorization_details, max_age) become their JSON text, as they would stand in a form;
 *  the claims of the JWT itself are left out.
 *  @param object  compact JWS
 *  @return NULL; the error of `use`, whose description says which rule was broken; errors of
 *          tb_query
 *  Waits: yes, for the client's keys and the jti. Memory: the request's arena. Source: RFC 9101 §6,
 * FAPI 2.0 Message Signing §5.3.1. */
tb_err TB_NODISCARD TB_SUSPENDS tb_jar_open(struct tb_req *req,
                                            const struct tb_oauth_client *client,
                                            struct tb_str object, enum tb_jar_use use,
                                            struct tb_form *out);

#endif
