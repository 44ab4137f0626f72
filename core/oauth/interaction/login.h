/* Logging in: first the password, then the second factor, each on a page of its own; the same for
 * who comes with a request and for who comes to the dashboard. */
#ifndef TB_OAUTH_INTERACTION_LOGIN_H
#define TB_OAUTH_INTERACTION_LOGIN_H

#include "oauth/interaction/pending_request.h"
#include "oauth/page/page.h"

struct tb_login {
    const struct tb_authz_request *asked; /**< what for; NULL: the dashboard */
    const struct tb_session *session;
    enum tb_lang lang;
    bool wants_code;     /**< the second factor; else the password */
    struct tb_str login; /**< to begin with, or absent */
    bool failed;         /**< what was sent is wrong */
    int64_t wait_s;      /**< not 0: too many attempts */
};

/** Answer with the page. */
tb_err TB_NODISCARD tb_login_reply(struct tb_req *req, const struct tb_login *login);

/** Answer by sending the browser to where the login was wanted, which asks for what comes next. */
tb_err TB_NODISCARD tb_login_go_on(struct tb_req *req, const struct tb_login *login);

#endif
