/* TLS of the listener: one OpenSSL context with the suites of BCP 195, optional client certificates
 * and session tickets that every worker can read. The only file of this room that names OpenSSL;
 * contexts and connections cross its border as untyped pointers.
 * Source: RFC 9325 (BCP 195), RFC 8446, RFC 8705 §2, §6.2; RFC 5077. */
#ifndef TB_HTTP_TLS_H
#define TB_HTTP_TLS_H

#include <stdbool.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

struct tb_tls;

/** PEM files. */
struct tb_tls_files {
    const char *certificate; /**< leaf first, then the chain */
    const char *key;
    const char *client_ca;    /**< anchors for client certificates; NULL: none can be verified */
    bool ask_for_certificate; /**< ask clients for theirs; a client without one is served too */
};

/** A context from the files, which are kept as paths for tb_tls_reload.
 *  @param out_why  gets a constant or a sentence that is valid until the next call
 *  @return NULL when a file cannot be read, or the key does not belong to the certificate */
struct tb_tls *tb_tls_new(const struct tb_tls_files *files, const char **out_why);
void tb_tls_free(struct tb_tls *tls);

/** Read the files again. On error nothing has changed. Connections keep what they began with. */
bool TB_NODISCARD tb_tls_reload(struct tb_tls *tls, const char **out_why);

/** The SSL_CTX, for libh2o. Lives as long as `tls`, also over reloads. */
void *tb_tls_context(struct tb_tls *tls);

/** Draw the secret that session tickets are sealed with, unless there is one. Processes forked
 *  afterwards share it and go on from it hour by hour, each by itself and all alike, so a client
 * may resume with any of them. Call it in the master before the first fork; tb_tls_new calls it
 * too. */
void tb_tls_ticket_seed(void);

/** The client's certificate on a connection of libh2o (`ssl` of its socket, after the handshake),
 * also when the session was resumed.
 *  @param out_verified  it chains to the configured anchors and was valid when the session began
 *  @return its DER, to be freed with tb_mem_free; absent when the client showed none */
struct tb_str tb_tls_client_certificate(const void *socket_ssl, bool *out_verified);

#endif
