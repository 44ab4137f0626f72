/* Software statements (RFC 7591 §2.3): what a directory that the bank trusts says of a client. Its
 * keys stand in the file registration.statement_jwks, its name in registration.statement_issuers.
 */
#ifndef TB_OAUTH_REGISTRATION_SOFTWARE_H
#define TB_OAUTH_REGISTRATION_SOFTWARE_H

#include <jansson.h>
#include <tongbao/req.h>

/** A verified statement. In the request's arena. */
struct tb_software {
    json_t *claims;
    struct tb_str issuer;
    struct tb_str organisation; /**< `org_id`; else the `software_id` stands for it */
    struct tb_str name;         /**< `org_name`, `client_name` or the organisation's id */
};

/** Verify a statement: signature, issuer, times, and that it says which software it is about.
 *  @return NULL; TB_E_INVALID_SOFTWARE_STATEMENT; TB_E_UNAPPROVED_SOFTWARE_STATEMENT (signed, and
 * of an issuer that is not approved, or there is no directory here) Waits: no, but for the disk:
 * the file is read each time, so a new one counts at once. */
tb_err TB_NODISCARD tb_software_verify(struct tb_req *req, struct tb_str statement,
                                       struct tb_software *out);

#endif
