/* Common part of registering and managing a registration: reading what is requested, judging it,
 * and writing the client information response (RFC 7591 §3.2.1). */
#ifndef TB_OAUTH_REGISTRATION_REGISTRATION_H
#define TB_OAUTH_REGISTRATION_REGISTRATION_H

#include "oauth/client/client.h"
#include "oauth/registration/software.h"
#include "store/tx.h"

/** Read the body: an object in JSON.
 *  @return NULL; TB_E_MEDIA_TYPE; TB_E_INVALID_CLIENT_METADATA */
tb_err TB_NODISCARD tb_registration_read(struct tb_req *req, json_t **out_asked);

/** What was asked for, once judged. In the request's arena. */
struct tb_judged {
    json_t *metadata;           /**< effective */
    struct tb_str text;         /**< the same as JSON */
    struct tb_software vouched; /**< `claims` is NULL without a software statement */
    bool secret;                /**< it authenticates by client_secret_basic */
};

/** Judge it: what a software statement claims wins over the rest, and where this is no sandbox
 * there must be one.
 *  @return NULL; the errors of RFC 7591 §3.2.2 */
tb_err TB_NODISCARD tb_registration_judge(struct tb_req *req, const json_t *requested,
                                          struct tb_judged *out);

/** A client as it is told of itself. */
struct tb_registered {
    struct tb_str app;
    json_t *metadata; /**< effective; borrowed */
    int64_t issued_s;
    struct tb_str token;  /**< registration_access_token */
    struct tb_str secret; /**< a new one; absent: none is told */
    json_t *sandbox;      /**< member tongbao_sandbox, taken over; NULL: none */
};

/** Answer with the client information response. */
tb_err TB_NODISCARD tb_registration_answer(struct tb_req *req, int status,
                                           const struct tb_registered *client);

/** Make a secret for a client that has room for one, inside a transaction.
 *  @param out_secret  in the request's arena */
tb_err TB_NODISCARD TB_SUSPENDS tb_registration_secret(struct tb_req *req, struct tb_tx *tx,
                                                       struct tb_str app,
                                                       struct tb_str *out_secret);

/** The token behind "Bearer " in the request; absent when there is none. */
struct tb_str tb_registration_token(struct tb_req *req);

/** Handlers of /oauth/register/{client_id}: manage.c */
tb_err TB_SUSPENDS tb_registration_get(struct tb_req *req);
tb_err TB_SUSPENDS tb_registration_put(struct tb_req *req);
tb_err TB_SUSPENDS tb_registration_delete(struct tb_req *req);

#endif
