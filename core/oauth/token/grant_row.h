/* A grant as the token endpoint reads it from the database: who allowed whom what. Made by the
 * customer's decision (SQL oauth.open_grant), read by its code, refresh token or id.
 *
 *     struct tb_grant_row granted;
 *     TB_TRY(tb_code_take(req, code, client->id, &refresh, &granted));
 */
#ifndef TB_OAUTH_TOKEN_GRANT_ROW_H
#define TB_OAUTH_TOKEN_GRANT_ROW_H

#include <stdbool.h>
#include <tongbao/req.h>

/** All texts are in the request's arena. */
struct tb_grant_row {
    struct tb_str id; /**< "grn_…", the family of its tokens */
    int32_t book;
    struct tb_str partner;
    struct tb_str subject;      /**< "usr_…" */
    struct tb_str scope;        /**< blank-separated */
    struct tb_str details;      /**< authorization_details, JSON text; or absent */
    struct tb_str consent;      /**< "cns_…" or absent */
    struct tb_str claims;       /**< the request's `claims`, JSON text; or absent */
    struct tb_str nonce, acr;   /**< or absent */
    int64_t auth_time_s;        /**< 0: not known */
    struct tb_str challenge;    /**< of a code: PKCE S256 */
    struct tb_str dpop_jkt;     /**< of a code: the key the token must be bound to, or absent */
    struct tb_str redirect_uri; /**< of a code */
};

/** The grant with this id, if it has not ended.
 *  @return NULL; TB_E_INVALID_GRANT; errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_grant_row_find(struct tb_req *req, struct tb_str id,
                                                  struct tb_grant_row *out);

/** Read a row of SQL type oauth.grant_row, whose first column says its state.
 *  @return whether the state is "ok"; only then the rest can be relied upon */
bool tb_grant_row_read(const struct tb_rows *rows, struct tb_grant_row *out);

/** The columns of oauth.grant_row, in the order tb_grant_row_read wants them. */
#define TB_GRANT_ROW_COLUMNS                                                                       \
    "state, id, book, partner, subject, scope, details, consent, claims, nonce, acr, auth_time, "  \
    "challenge, dpop_jkt, redirect_uri"

#endif
