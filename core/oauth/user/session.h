/* Sessions of browsers on the bank's own pages. A cookie names one by 32 random bytes, of which the
 * database keeps a digest; it is found while it has been used within ten minutes and is younger
 * than thirty. A browser that is not logged in has a cookie, too, which nothing is kept of: every
 * form is bound to its browser by a token made of the cookie, whoever is logged in or nobody.
 *
 *     struct tb_session session;
 *     TB_TRY(tb_session_find(req, &session));
 *     if (!session.whole)
 *         ...                                          // show the login
 */
#ifndef TB_OAUTH_USER_SESSION_H
#define TB_OAUTH_USER_SESSION_H

#include "oauth/form.h"
#include "oauth/user/user.h"

enum {
    TB_SESSION_IDLE_S = 10 * 60,
    TB_SESSION_LIFE_S = 30 * 60,
    TB_SESSION_HALF_S = 5 * 60, /**< from the password to the second factor */
};

#define TB_SESSION_COOKIE "__Host-tongbao"

struct tb_session {
    struct tb_str id;     /**< what the cookie says: secret */
    bool fresh;           /**< the browser has to be given the cookie */
    bool half, whole;     /**< password shown; second factor, too. Neither: nobody is logged in */
    struct tb_user *user; /**< of half and whole ones */
    int64_t auth_time_s;  /**< when the login was complete */
    int64_t zone_s;       /**< what the clocks of the user's world show beyond UTC */
    struct tb_str acr;    /**< what it is worth: TB_ACR_SCA; absent on half ones */
};

/** Find the browser's session and count this as a use of it. A browser without a cookie gets one
 *  with the answer.
 *  @return NULL; errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_session_find(struct tb_req *req, struct tb_session *out_session);

/** Give the browser a new session for `user`: a new id at every step of the login, so that an id
 *  somebody knew before is worth nothing after it. The one it had ends.
 *  @param whole  the second factor was shown, too */
tb_err TB_NODISCARD TB_SUSPENDS tb_session_open(struct tb_req *req, struct tb_session *session,
                                                const struct tb_user *user, bool whole);

/** End the session and take the cookie away. */
tb_err TB_NODISCARD TB_SUSPENDS tb_session_close(struct tb_req *req, struct tb_session *session);

/** The token that forms of this session carry in their field `csrf`; in the arena. */
struct tb_str tb_session_token(struct tb_arena *arena, const struct tb_session *session);

/** Whether a form came from a page of ours in this browser: its token, and what the browser says of
 *  where it came from (Sec-Fetch-Site, else Origin).
 *  @return NULL; TB_E_FORM_FOREIGN
 *  Waits: no. Source: OWASP CSRF prevention; Fetch Metadata; RFC 6454. */
tb_err TB_NODISCARD tb_session_check(struct tb_req *req, const struct tb_session *session,
                                     const struct tb_form *form);

/** The error of a form that is not accepted. One of tb_oauth_pages_product's. */
TB_ERROR_DEFINE(FORM_FOREIGN, 403, "form_not_accepted", false,
                "The form is out of date or was sent from another site.",
                "Open the page again and send the form it shows.")

#endif
