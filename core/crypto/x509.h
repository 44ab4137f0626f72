/* Names and thumbprint of a client certificate, for tls_client_auth and for tokens bound to it
 * (RFC 8705). Nothing here judges the certificate: TLS has verified the chain, or has not and says
 * so.
 *
 *     struct tb_certificate certificate;
 *     if (!tb_certificate_read(der, arena, &certificate))
 *         return tb_fail(...);
 */
#ifndef TB_CRYPTO_X509_H
#define TB_CRYPTO_X509_H

#include "base/arena.h"
#include <stdbool.h>
#include <stdint.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

enum { TB_CERTIFICATE_BYTES_MAX = 16 * 1024, TB_CERTIFICATE_NAMES_MAX = 64 };

/** Kinds of subject alternative names a client can be registered by (RFC 8705 §2.1.2). */
enum tb_san_kind { TB_SAN_DNS, TB_SAN_URI, TB_SAN_IP, TB_SAN_EMAIL };

struct tb_san {
    enum tb_san_kind kind;
    struct tb_str text; /**< as it stands there; an address as inet_ntop writes it */
};

/** All texts in the arena, NUL-terminated and, but for subject_der, without a NUL in them. */
struct tb_certificate {
    struct tb_str subject; /**< distinguished name as RFC 4514 writes it, UTF-8: "CN=a,O=b,C=CN" */
    struct tb_str subject_der; /**< the same as encoded there, for dn.h; may have NULs */
    const struct tb_san *names;
    size_t names_n;
    int64_t not_before_s, not_after_s;
    struct tb_str x5t; /**< base64url of the SHA-256 of the DER: `cnf` `x5t#S256` */
};

/** Read a certificate.
 *  @return false when the bytes are not exactly one, a name has a NUL in it, or a bound is passed
 *  Waits: no. Source: RFC 5280, RFC 4514, RFC 8705 §2.1.2 and §3.1. */
bool TB_NODISCARD tb_certificate_read(struct tb_str der, struct tb_arena *arena,
                                      struct tb_certificate *out);

#endif
