/* The target of a request: split into path and query, checked, decoded once. What has two readings
 * is refused instead of repaired: a path that one layer takes for another than the next layer does
 * is how access rules are slipped past. Source: RFC 9112 §3.2, RFC 3986 §3.3, §6.2.2; OWASP "path
 * traversal". */
#ifndef TB_HTTP_PATH_H
#define TB_HTTP_PATH_H

#include <stdbool.h>
#include <tongbao/error.h>
#include <tongbao/types.h>

enum {
    TB_TARGET_BYTES = 8192, /**< longest path and query together */
    TB_PATH_BYTES = 2048,   /**< longest path */
};

struct tb_target {
    struct tb_str path;  /**< as sent, begins with "/" */
    struct tb_str query; /**< behind "?", as sent; absent when there is none */
    bool encoded;        /**< the path has %XX: use tb_path_decode */
};

/** Split and check `target`. The parts borrow its bytes.
 *  @param out_why  gets a constant sentence for the partner when refused
 *  @return NULL; TB_E_URI_TOO_LONG; TB_E_BAD_REQUEST: not an absolute path, bytes outside visible
 * ASCII, a fragment, a backslash, "." or ".." as a segment, %00, %2F, %5C, control characters or
 *          broken UTF-8 behind a %, a % that is not followed by two hexadecimal digits */
tb_err TB_NODISCARD tb_target_split(struct tb_str target, struct tb_target *out,
                                    const char **out_why);

/** Decode the %XX of a path that tb_target_split accepted. `out` has room for path.n bytes.
 *  @return bytes written */
size_t tb_path_decode(struct tb_str path, char *out);

#endif
