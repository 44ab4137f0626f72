/* Syntax of what a request names, the same for HTTP/1 and HTTP/2. Private to core/http/guard*. */
#ifndef TB_HTTP_GUARD_GUARD_SYNTAX_H
#define TB_HTTP_GUARD_GUARD_SYNTAX_H

#include <h2o.h>
#include <stdbool.h>

/** A token of at most 32 characters (RFC 9110 5.6.2). */
bool tb_guard_method_ok(h2o_iovec_t method);

/** "/…" of visible ASCII without "#", or "*" with OPTIONS (RFC 9112 3.2, RFC 9113 8.3.1). */
bool tb_guard_target_ok(h2o_iovec_t target, h2o_iovec_t method);

/** host[:port] without user information; at most 255 characters (RFC 3986 3.2). */
bool tb_guard_authority_ok(h2o_iovec_t authority);

/** Neither begins nor ends with a space or tab (RFC 9113 8.2.1). */
static inline bool guard_value_is_trimmed(h2o_iovec_t value)
{
    if (value.len == 0)
        return true;
    char first = value.base[0], last = value.base[value.len - 1];
    return first != ' ' && first != '\t' && last != ' ' && last != '\t';
}

#endif
