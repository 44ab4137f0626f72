/* Client metadata (RFC 7591 §2 and the specifications that add members), judged and
 * brought into the form that counts.
 *
 *     json_t *effective;
 *     TB_TRY(tb_client_metadata(req, requested, &(struct tb_metadata_rules){.sandbox = true},
 * &effective));
 */
#ifndef TB_OAUTH_CLIENT_CLIENT_METADATA_H
#define TB_OAUTH_CLIENT_CLIENT_METADATA_H

#include <jansson.h>
#include <tongbao/req.h>

struct tb_metadata_rules {
    bool sandbox;         /**< secrets and tokens bound to nobody are possible */
    struct tb_str scopes; /**< all that can be registered, blank-separated */
};

enum {
    TB_METADATA_TEXT_MAX = 2048, /**< bytes of one text */
    TB_METADATA_LIST_MAX = 32,   /**< texts of one list, keys of a set */
};

/** Judge what was asked for and write the effective metadata: members we do not know are left out,
 *  members that were not sent get what counts then.
 *
 *  A client that asks for no kind of binding gets one all the same: certificate-bound tokens when
 *  it authenticates by certificate, else DPoP; in the sandbox `plain_bearer_tokens` does without.
 *  @param requested  the body's object, or the claims of a software statement over it
 *  @return NULL; TB_E_INVALID_REDIRECT_URI, TB_E_INVALID_CLIENT_METADATA with the member's name
 *  Waits: no. Memory: *out_effective lives as long as the request's arena. */
tb_err TB_NODISCARD tb_client_metadata(struct tb_req *req, const json_t *requested,
                                       const struct tb_metadata_rules *rules,
                                       json_t **out_effective);

#endif
