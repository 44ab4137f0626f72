/* Slowing down whoever guesses at a login, by the login that is tried and by the address that
 * tries. The counters are in the database: they hold for all workers and outlive them.
 *
 *     TB_TRY(tb_throttle_attempt(req, login, &wait_s));
 *     if (wait_s > 0)
 *         ...                                            // refuse without looking
 *     ... judge ...
 *     TB_TRY(tb_throttle_success(req, login, true));     // only when it was right
 */
#ifndef TB_OAUTH_THROTTLE_H
#define TB_OAUTH_THROTTLE_H

#include <tongbao/req.h>

/** Count an attempt before it is judged.
 *  @param login       as typed, whether anybody has it or not
 *  @param out_wait_s  0: judge it; else the seconds until the next may be tried
 *  @return NULL; errors of tb_query: then do not judge it
 *  Waits: yes. Source: OWASP ASVS 5.0 V6.3; NIST SP 800-63B §5.2.2. */
tb_err TB_NODISCARD TB_SUSPENDS tb_throttle_attempt(struct tb_req *req, struct tb_str login,
                                                    int64_t *out_wait_s);

/** Take a counted attempt back, because it was right.
 *  @param complete  the login is through: its failures before are forgotten */
tb_err TB_NODISCARD TB_SUSPENDS tb_throttle_success(struct tb_req *req, struct tb_str login,
                                                    bool complete);

#endif
