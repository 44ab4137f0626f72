/* JWTs of clients that count once, among all workers and machines: assertions, and signed requests
 * of the back channel. What is kept until a token expires is a digest of its jti in the database,
 * whose primary key lets one of several through; while the database cannot be reached none counts.
 *
 *     bool first;
 *     TB_TRY(tb_jti_purpose(req, client->id, TB_JTI_OF_ASSERTION, assertion.claims, &first));
 */
#ifndef TB_OAUTH_JTI_REPLAY_H
#define TB_OAUTH_JTI_REPLAY_H

#include <jansson.h>
#include <tongbao/req.h>

/** What a token is for; a client may give the same jti to one of each. */
enum tb_jti_use_once { TB_JTI_OF_ASSERTION, TB_JTI_OF_BACKCHANNEL };

/** Count a verified token of `client` as used.
 *  @param claims     with jti and exp, whose forms the verifier has checked
 *  @param out_first  whether this was the first time
 *  @return NULL; errors of tb_query (retryable)
 *  Waits: yes. Source: RFC 7523 §3, RFC 7519 §4.1.7. */
tb_err TB_NODISCARD TB_SUSPENDS tb_jti_purpose(struct tb_req *req, struct tb_str client,
                                               enum tb_jti_use_once use, const json_t *claims,
                                               bool *out_first);

#endif
