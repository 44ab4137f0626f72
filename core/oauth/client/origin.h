/* Web origins of a client (`web_origins`): whose scripts may call the API in its name and read what
 * it answers. Source: the Fetch standard, "CORS protocol"; RFC 6454 §6.2 for the form. */
#ifndef TB_OAUTH_CLIENT_ORIGIN_H
#define TB_OAUTH_CLIENT_ORIGIN_H

#include <jansson.h>
#include <tongbao/req.h>

struct tb_oauth_client;

/** Whether every element of `web_origins` is an origin as a browser sends it: scheme, host in lower
 *  case and port, the port only where it is not the scheme's own, and nothing else. https; in a
 *  sandbox also http on this machine.
 *  @return NULL; TB_E_INVALID_CLIENT_METADATA */
tb_err TB_NODISCARD tb_origins_check(struct tb_req *req, const json_t *metadata, bool sandbox);

/** Let the request's origin read the answer when it is one of the client's. */
void tb_origin_judge(struct tb_req *req, const struct tb_oauth_client *client);

#endif
