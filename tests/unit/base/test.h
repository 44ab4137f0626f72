/* cmocka with the headers it wants before it, and the comparisons these tests use. */
#ifndef TB_TESTS_UNIT_BASE_TEST_H
#define TB_TESTS_UNIT_BASE_TEST_H

#include "../unit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tongbao/error.h>
#include <tongbao/types.h>

#define COUNT(array) (TB_COUNT(array))

/** A tb_str in a static table, NULs included; TB_STR is no constant expression. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/** The text is there and is exactly `expected`. */
static inline void assert_text(struct tb_str text, const char *expected)
{
    assert_non_null(text.at);
    if (text.n != strlen(expected) || memcmp(text.at, expected, text.n) != 0)
        fail_msg("\"%.*s\" is not \"%s\"", (int)text.n, text.at, expected);
}

/** `err` is of kind `kind`; NULL for both is success. */
static inline void assert_err(tb_err err, tb_err kind)
{
    if (!(err == NULL && kind == NULL) && !tb_is(err, kind))
        fail_msg("%s is not %s", err == NULL ? "success" : err->code,
                 kind == NULL ? "success" : kind->code);
}

#endif
