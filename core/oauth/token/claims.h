/* Claims about a customer that a client asked for by the parameter `claims` (OpenID Connect Core
 * §5.5). We know few: the subject, the name, and how and when they logged in. */
#ifndef TB_OAUTH_TOKEN_CLAIMS_H
#define TB_OAUTH_TOKEN_CLAIMS_H

#include <jansson.h>
#include <stdbool.h>
#include <tongbao/req.h>

/** The claims we can give, blank-separated: for the metadata. */
#define TB_CLAIM_NAMES "sub name acr auth_time"

/** Whether `claims` (JSON text, or absent) asks for the claim `name` at `place`: "id_token" or
 * "userinfo". */
bool tb_claims_ask(struct tb_req *req, struct tb_str claims, const char *place, const char *name);

/** Whether a claim that is asked for with values can be `value`, at both places.
 *  @param claims          the parameter, validated (par.h); NULL: nothing is asked for
 *  @param essential_only  look only where it is asked for as essential
 *  @param out_place       where it cannot be; NULL: not wanted
 *  Source: OpenID Connect Core §5.5.1. */
bool tb_claims_fit(const json_t *claims, const char *name, bool essential_only, struct tb_str value,
                   const char **out_place);

/** The name of a customer; absent when there is no such user.
 *  @return NULL; errors of tb_query. Waits: yes. */
tb_err TB_NODISCARD TB_SUSPENDS tb_claims_name(struct tb_req *req, struct tb_str subject,
                                               struct tb_str *out);

#endif
