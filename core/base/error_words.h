/* Title and remedy of the core's errors in other languages than English. Those of products stand in
 * the products' tables (product/registry.h). */
#ifndef TB_BASE_ERROR_WORDS_H
#define TB_BASE_ERROR_WORDS_H

#include "base/lang.h"
#include <stddef.h>
#include <tongbao/error.h>

/** The row of `words` for an error and a language; NULL when there is none, or none is needed. */
const struct tb_error_words *tb_error_words_find(const struct tb_error_words *words, size_t n,
                                                 const char *code, enum tb_lang lang);

/** The same for an error of the core. */
const struct tb_error_words *tb_error_words(const char *code, enum tb_lang lang);

#endif
