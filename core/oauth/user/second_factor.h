/* The second factor of a login, as an interface: a bank's own (a signing stick, an app that asks)
 * is one more constant table of these functions. The first is TOTP, RFC 6238.
 *
 *     const struct tb_second_factor *factor = tb_second_factor(user->factor);
 *     TB_TRY(factor->verify(req, &factor_case, answer, &right));
 */
#ifndef TB_OAUTH_USER_SECOND_FACTOR_H
#define TB_OAUTH_USER_SECOND_FACTOR_H

#include "base/secret.h"
#include <tongbao/req.h>

/** What a login with password and second factor is worth: strong customer authentication. */
#define TB_ACR_SCA "urn:openbanking:psd2:sca"

/** Whose factor it is. */
struct tb_factor_case {
    struct tb_str user; /**< "usr_…" */
    int32_t book;
    const struct tb_secret *secret; /**< what `enroll` gave, opened */
};

struct tb_second_factor {
    const char *name; /**< as oauth.user_account.second_factor says */

    /** Make what the factor keeps of a user: `secret` is sealed and stored. Waits: no. */
    void (*enroll)(struct tb_secret *out_secret);

    /** Ask the user by a way of the factor's own (a message, an app), right after the password;
     *  NULL: it only reads an answer. Waits: may. */
    tb_err (*challenge)(struct tb_req *req, const struct tb_factor_case *of);

    /** Whether `answer`, as typed into the page, is right and was not used before: two requests
     * with one answer find it right once. Waits: may.
     *  @return NULL with *out_right; errors of the store (the login then fails) */
    tb_err (*verify)(struct tb_req *req, const struct tb_factor_case *of, struct tb_str answer,
                     bool *out_right);
};

extern const struct tb_second_factor tb_totp;

/** The factor of this name, NULL when there is none. */
const struct tb_second_factor *tb_second_factor(struct tb_str name);

#endif
