/* The bank's customers as people who log in: users of a company, with a password and a second
 * factor. They see the authorization server's pages and decide about consents; partners never learn
 * more of them than the id.
 *
 *     TB_TRY(tb_user_password(req, TB_STR("correct horse battery"), &hash));  // off the loop
 *     TB_TRY(tb_tx_run(req, store, work, …));           // and in it, as often as needed:
 *     TB_TRY(tb_user_make(req, tx, &order, &made));     // made.secret: shown once, to be enrolled
 */
#ifndef TB_OAUTH_USER_USER_H
#define TB_OAUTH_USER_USER_H

#include "base/id.h"
#include "crypto/otp.h"
#include "oauth/user/second_factor.h"
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
    struct tb_str totp;    /**< TB_OTP_SECRET_BYTES random bytes; absent: made here */
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

/** Give a user a new password and a new second factor, inside a transaction of the caller; sessions
 *  end. Recorded as an act of `who` ("operator:lan").
 *  @param hash  of tb_user_password
 *  @return NULL; TB_E_NOT_FOUND (nobody has the login); errors of tb_tx_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_user_reset(struct tb_req *req, struct tb_tx *tx,
                                              struct tb_str login, struct tb_str hash,
                                              struct tb_str who, struct tb_user_made *out_made);

/** A user as the pages know them. Texts in the request's arena. */
struct tb_user {
    struct tb_str id, login, name, role;
    struct tb_str company, company_name; /**< party of the book */
    struct tb_str world;                 /**< that of the book */
    int32_t book;
    int64_t world_offset_ms; /**< the world's clock minus the wall clock */
    const struct tb_second_factor *factor;
    struct tb_str sealed; /**< what the factor keeps */
};

/** Whether `login` and `password` belong together, and whose they are. Costs the same for a login
 *  that nobody has.
 *  @return NULL, with *out_user NULL when they do not or the user is locked; errors of tb_query;
 *          TB_E_OVERLOAD
 *  Waits: yes, some 50 ms. */
tb_err TB_NODISCARD TB_SUSPENDS tb_user_login(struct tb_req *req, struct tb_str login,
                                              struct tb_str password, struct tb_user **out_user);

/** Ask for the user's second factor by its own way, if it has one: once the password was right. */
tb_err TB_NODISCARD TB_SUSPENDS tb_user_challenge(struct tb_req *req, const struct tb_user *user);

/** Whether `answer` is what the user's second factor says now; right at most once. */
tb_err TB_NODISCARD TB_SUSPENDS tb_user_factor(struct tb_req *req, const struct tb_user *user,
                                               struct tb_str answer, bool *out_right);

/** Columns of a user in the statements of this room, and the user they make. */
#define TB_USER_COLUMNS                                                                            \
    "u.id, u.login, u.name, u.role, u.company, p.name, u.book, w.clock_offset_ms, "                \
    "u.second_factor, u.secret, w.id"
#define TB_USER_TABLES                                                                             \
    "oauth.user_account u join bank.party p on p.book = u.book and p.id = u.company "              \
    "join bank.book b on b.book = u.book join bank.world w on w.id = b.world"
enum { TB_USER_COLUMNS_N = 11 };

/** @param column  where TB_USER_COLUMNS begin */
tb_err TB_NODISCARD tb_user_of_row(struct tb_req *req, const struct tb_rows *rows, size_t column,
                                   struct tb_user **out_user);

#endif
