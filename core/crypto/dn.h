/* Distinguished names as texts (RFC 4514) beside distinguished names in certificates. One name has
 * many texts: types by any case or by OID, values escaped or as `#` and hexadecimal, blanks around
 * separators, the members of a set in any order; so texts are never compared with each other.
 *
 *     if (tb_dn_same(registered, certificate.subject_der))
 *         ...
 */
#ifndef TB_CRYPTO_DN_H
#define TB_CRYPTO_DN_H

#include <stdbool.h>
#include <tongbao/types.h>

enum {
    TB_DN_BYTES_MAX = 2048,    /**< of a text */
    TB_DN_ATTRIBUTES_MAX = 64, /**< of a name */
};

/** Whether `text` is a distinguished name with at least one attribute. Waits: no. */
bool tb_dn_good(struct tb_str text);

/** Whether `text` is the name that `der` encodes, compared as RFC 5280 §7.1 has it: without regard
 *  to case, to runs of blanks and to the kinds of strings.
 *  Waits: no. Source: RFC 4514; RFC 8705 §2.1.2. */
bool tb_dn_same(struct tb_str text, struct tb_str der);

#endif
