/* Access tokens that must no longer count although they have not expired, one by one or all that
 * came of a grant. The database remembers them (oauth.revoked_token); the set in shared memory is
 * what every worker of the machine asks.
 *
 *     TB_TRY(tb_token_revoke(req, revocations, grant->jti, grant->exp_s, now_s));
 *     TB_TRY(tb_grant_end(req, grant_id, "customer"));
 *
 * On this machine a revocation counts at once, on others after at most a second. */
#ifndef TB_OAUTH_TOKEN_REVOKE_H
#define TB_OAUTH_TOKEN_REVOKE_H

#include "crypto/jti_set.h"
#include <tongbao/req.h>

enum {
    TB_OAUTH_REVOKED_MS = 500, /**< how often to call tb_revocations_refresh */
    TB_OAUTH_JTI_MAX = 128,
    TB_GRANT_REVOKED_S = 600, /**< how long the end of a grant is remembered: longer than the access
                                   tokens that came of it live */
};

/** What one process knows of the database's list. Zero but for `set` at the start. */
struct tb_revocations {
    struct tb_jti_set *set;           /**< borrowed, shared memory */
    bool behind;                      /**< the last refresh has not come to the end */
    int64_t at_ms;                    /**< where to read on: time of revocation, */
    char after[TB_OAUTH_JTI_MAX + 1]; /**< and jti among those of one time */
};

/** Revoke a token until it expires. Repeating it is harmless.
 *  @return NULL; TB_E_OVERLOAD (the set is full: the token still counts); TB_E_STORE and its like
 * (it no longer counts here, but the list does not have it: repeat) Waits: yes. Source: RFC 7009
 * §2. */
tb_err TB_NODISCARD TB_SUSPENDS tb_token_revoke(struct tb_req *req,
                                                struct tb_revocations *revocations,
                                                struct tb_str jti, int64_t exp_s, int64_t now_s);

/** End a grant: its code and refresh token are void, its access tokens count no more, on this
 * machine before this returns. One that has ended already stays as it is.
 *  @param by  who ended it, for the record: "customer", "client", "bank", …
 *  @return NULL; TB_E_OVERLOAD (the set is full) and errors of tb_query: repeat
 *  Waits: yes. Not before tb_oauth_open. */
tb_err TB_NODISCARD TB_SUSPENDS tb_grant_end(struct tb_req *req, struct tb_str grant_id,
                                             const char *by);

/** Tell the workers of this machine of a grant that the database has just ended (SQL
 * oauth.end_grant), so that they need not wait to read of it.
 *  @return NULL; TB_E_OVERLOAD (the set is full; they read it once it is not). Waits: no. */
tb_err TB_NODISCARD tb_grant_ended(struct tb_req *req, struct tb_str grant_id);

/** Take what was revoked since the last time into the set, at the first call everything that has
 * not expired. One call takes a bounded number; while it leaves `behind` set, call again with a
 * fresh request. Begin to serve only when it is clear.
 *  @return NULL; TB_E_OVERLOAD (the set is full: tokens that are revoked still count; make it
 * larger); errors of tb_query Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_revocations_refresh(struct tb_req *req,
                                                       struct tb_revocations *revocations,
                                                       int64_t now_s);

#endif
