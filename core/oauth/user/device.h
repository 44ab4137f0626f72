/* Browsers that have logged in before (OWASP, "device cookies"): each gets a mark for the login, by
 * which its failures are counted apart from those of strangers. A mark opens nothing: whoever has
 * one is asked for password and second factor like everybody else. Nothing is kept of it here. */
#ifndef TB_OAUTH_USER_DEVICE_H
#define TB_OAUTH_USER_DEVICE_H

#include <tongbao/req.h>

enum { TB_DEVICE_LIFE_S = 180 * 86400 };

/** The browser's mark for this login, one of ours and not too old; absent when it has none.
 *  @param login  in lower case
 *  @return what tells it from other browsers, in the arena. Waits: no. */
struct tb_str tb_device(struct tb_req *req, struct tb_str login);

/** Mark the browser with the answer: its login is through. A mark it had is replaced.
 *  @return NULL; TB_E_INTERNAL (arena full) */
tb_err TB_NODISCARD tb_device_mark(struct tb_req *req, struct tb_str login);

#endif
