/* The forms of names in a client's metadata: where it is, where its answers go, and by what name in
 * its certificate it is known. */
#ifndef TB_OAUTH_CLIENT_METADATA_NAMES_H
#define TB_OAUTH_CLIENT_METADATA_NAMES_H

#include <stdbool.h>
#include <tongbao/req.h>

/** Whether `uri` is an https URI without user, fragment and escapes in its host, whose port exists.
 *  Source: RFC 3986. */
bool tb_uri_link(struct tb_str uri);

/** The same for a redirect URI, which may also be http on the loopback address for a native app.
 *  Source: RFC 8252 §7.3. */
bool tb_uri_redirect(struct tb_str uri, bool native);

/** The first parameter in the query of `uri` that authorization responses have; NULL: none. */
const char *tb_uri_response_parameter(struct tb_req *req, struct tb_str uri);

/** The members of tls_client_auth, of which a client has one (RFC 8705 §2.1.2). */
struct tb_tls_name {
    const char *name, *what; /**< what it must be, for the refusal */
    bool (*good)(struct tb_str text);
};
enum { TB_TLS_NAMES = 5 };
extern const struct tb_tls_name tb_tls_names[TB_TLS_NAMES];

#endif
