/* Errors of the authorization server, and how any error looks on its endpoints. The table is
 * oauth_errors.def.
 *
 *     return tb_fail(req, TB_E_INVALID_GRANT, "the code is not valid");
 */
#ifndef TB_OAUTH_ERRORS_H
#define TB_OAUTH_ERRORS_H

#include "base/arena.h"
#include <tongbao/req.h>

#define TB_OAUTH_ERROR TB_ERROR_DEFINE
#include "oauth/oauth_errors.def"
#undef TB_OAUTH_ERROR

/** Whether `err` is one of the table. */
bool tb_is_oauth_error(tb_err err);

/** The body of a refusal: {"error","error_description"}. Errors of the core get the code that comes
 *  nearest: 429, 503 and 504 are temporarily_unavailable, other 5xx server_error, the rest
 *  invalid_request.
 *  @param detail  for the description; characters the RFC does not allow there become "?"; absent:
 *                 the error's title
 *  @return JSON text in the arena; absent when it is full
 *  Waits: no. Source: RFC 6749 §5.2. */
struct tb_str tb_oauth_error_body(struct tb_arena *arena, tb_err err, struct tb_str detail);

/** The code that tb_oauth_error_body would write: for redirects and JARM. */
struct tb_str tb_oauth_error_code(tb_err err);

#endif
