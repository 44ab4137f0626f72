/* The bank's customers as people who log in: users of a company, with a password and a second
 * factor. They see the authorization server's pages and decide about consents; partners never learn
 * more of them than the id.
 *
 *     TB_TRY(tb_user_password(req, TB_STR("correct horse battery"), &hash));  // off the loop
 *     TB_TRY(tb_tx_run(req, store, work, …));           // and in it, as often as needed:
 *     TB_TRY(tb_user_make(req, tx, &order, &made));     // made.secret: shown once, to be enrolled
 */
#ifndef TB_OAUTH_USER_H
#define TB_OAUTH_USER_H

#include "base/id.h"
#include "store/tx.h"

enum {
    TB_USER_LOGIN_MAX = 64,   /**< bytes: letters, digits and ._-@ */
    TB_USER_NAME_MAX = 128,   /**< bytes */
    TB_USER_SECRET_ROOM = 40, /**< base32 of a TOTP secret and NUL */
};

/** A user to be made. Texts are borrowed. */
struct tb_user_order {
    int32_t book;
    struct tb_str login;   /**< unique over all books; kept in lower case */
    struct tb_str name;    /**< of the person */
    struct tb_str company; /**< party id in the book */
    struct tb_str role;    /**< what limits of the company's rules go by: "initiator", "approver" */
    struct tb_str hash;    /**< of tb_user_password */
};

struct tb_user_made {
    char id[TB_ID_ROOM]; /**< "usr_…" */
    char
        secret[TB_USER_SECRET_ROOM]; /**< of the second factor (RFC 6238), base32: not told again */
};

/** Hash a password, TB_PASSWORD_BYTES_MIN..MAX bytes. Not inside a transaction.
 *  @return NULL; TB_E_INVALID (length); TB_E_OVERLOAD
 *  Waits: yes, some 50 ms. Memory: *out_hash in the request's arena, NUL-terminated. */
tb_err TB_NODISCARD TB_SUSPENDS tb_user_password(struct tb_req *req, struct tb_str password,
                                                 struct tb_str *out_hash);

/** Make a user with TOTP as second factor, inside a transaction of the caller.
 *  @return NULL; TB_E_INVALID (a text has not its form); TB_E_CONFLICT (the login is taken; the
 *          transaction goes on); errors of tb_tx_query (the company must be a party of the book)
 *  Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_user_make(struct tb_req *req, struct tb_tx *tx,
                                             const struct tb_user_order *order,
                                             struct tb_user_made *out_made);

#endif
