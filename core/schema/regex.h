/* Regular expressions of `pattern`, as ECMA-262 reads them where that matters, on PCRE2 with bounds
 * on what one match may cost. */
#ifndef TB_SCHEMA_REGEX_H
#define TB_SCHEMA_REGEX_H

#include "base/arena.h"

enum {
    TB_REGEX_BYTES = 512,        /**< of an expression */
    TB_REGEX_CODE_BYTES = 65536, /**< compiled */
    TB_REGEX_MATCHES = 20000,    /**< steps of one match that may be taken back */
    TB_REGEX_DEPTH = 1000,       /**< nested ones, where there is no JIT */
    TB_REGEX_HEAP_KIB = 512,     /**< memory of one match, where there is no JIT */
};

struct tb_regex;

enum tb_regex_verdict { TB_REGEX_NO, TB_REGEX_YES, TB_REGEX_TOO_COSTLY };

/** Compile `pattern`, which need not be anchored: it is searched for in the text.
 *  @return in the arena (its end is deferred there); NULL with the reason in `why` */
const struct tb_regex *tb_regex_compile(struct tb_arena *arena, struct tb_str pattern, char *why,
                                        size_t why_bytes);

/** Search `text`, which must be UTF-8. Any number of threads may use one expression at once. */
enum tb_regex_verdict tb_regex_search(const struct tb_regex *regex, struct tb_str text);

/** The expression as it was written. */
const char *tb_regex_source(const struct tb_regex *regex);

#endif
