/* Slowing down whoever guesses, without letting a stranger keep somebody out. Counted are: a login
 * from one address; a login in a browser that has logged in with it before (device.h), and then
 * nothing else; a login as a whole, with a higher bound; the codes of a login's second factor; an
 * address; and, of a client, hints that name nobody. The bounds are `login.*` and
 * `backchannel.unknown_hints` of the configuration. The counters are in the database: they hold for
 * all workers and outlive them.
 *
 *     TB_TRY(tb_throttle_attempt(req, TB_THROTTLE_PASSWORD, login, &wait_s));
 *     if (wait_s > 0)
 *         ...                                            // refuse without looking
 *     ... judge ...
 *     TB_TRY(tb_throttle_success(req, TB_THROTTLE_PASSWORD, login));   // only when it was right
 */
#ifndef TB_OAUTH_USER_THROTTLE_H
#define TB_OAUTH_USER_THROTTLE_H

#include "oauth/client/client.h"
#include <tongbao/req.h>

/** What is tried: the first step of a login, or its last. */
enum tb_throttle { TB_THROTTLE_PASSWORD, TB_THROTTLE_CODE };

/** Count an attempt before it is judged.
 *  @param login       as typed, whether anybody has it or not
 *  @param out_wait_s  0: judge it; else the seconds until the next may be tried
 *  @return NULL; errors of tb_query: then do not judge it
 *  Waits: yes. Source: OWASP ASVS 5.0 V6.3; NIST SP 800-63B §5.2.2; OWASP, "Slow Down Online
 *  Guessing Attacks with Device Cookies". */
tb_err TB_NODISCARD TB_SUSPENDS tb_throttle_attempt(struct tb_req *req, enum tb_throttle step,
                                                    struct tb_str login, int64_t *out_wait_s);

/** Take a counted attempt back, because it was right. With the last step the login is through: its
 *  failures before, from where it came, are forgotten, and the browser is one that has logged in.
 */
tb_err TB_NODISCARD TB_SUSPENDS tb_throttle_success(struct tb_req *req, enum tb_throttle step,
                                                    struct tb_str login);

/** A client has named a customer. One that names too many who do not exist is answered alike for
 *  all, so that nothing can be learned past the bound.
 *  @param exists  whether there is such a customer
 *  @return NULL; TB_E_RATE_LIMITED with its retry_after; errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_throttle_hint(struct tb_req *req,
                                                 const struct tb_oauth_client *client, bool exists);

#endif
