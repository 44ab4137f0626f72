/* Claims about a customer that a client asked for by the parameter `claims` (OpenID Connect Core
 * §5.5). We know few: the subject, the name, and how and when they logged in. */
#ifndef TB_OAUTH_CLAIMS_H
#define TB_OAUTH_CLAIMS_H

#include <stdbool.h>
#include <tongbao/req.h>

/** The claims we can give, blank-separated: for the metadata. */
#define TB_CLAIM_NAMES "sub name acr auth_time"

/** Whether `claims` (JSON text, or absent) asks for the claim `name` at `place`: "id_token" or
 * "userinfo". */
bool tb_claims_ask(struct tb_req *req, struct tb_str claims, const char *place, const char *name);

/** The name of a customer; absent when there is no such user.
 *  @return NULL; errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_claims_name(struct tb_req *req, struct tb_str subject,
                                               struct tb_str *out);

#endif
