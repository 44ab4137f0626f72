/* The certificates that clients authenticate with, kept so that their partners can be told before
 * one ends: 60, 30, 7 and 1 days ahead, by the event client.certificate_expiring. */
#ifndef TB_OAUTH_CLIENT_CERTIFICATE_H
#define TB_OAUTH_CLIENT_CERTIFICATE_H

#include "store/tx.h"
#include <jansson.h>

/** Keep the certificates that `metadata` registers by value (the first x5c of each key); ones that
 *  cannot be read are passed over.
 *  @return NULL; errors of tb_tx_query */
tb_err TB_NODISCARD TB_SUSPENDS tb_certificates_keep(struct tb_req *req, struct tb_tx *tx,
                                                     struct tb_str app, const json_t *metadata);

/** Keep the certificate (DER) that a client has just authenticated with. Written at most once an
 *  hour for each by each worker; a failure to write is not the client's and is only logged.
 *  Waits: then. */
void TB_SUSPENDS tb_certificate_seen(struct tb_req *req, struct tb_str app, struct tb_str der);

#endif
