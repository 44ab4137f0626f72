/* In every unit program: TB_TEST=name runs that test alone (`*` and `?` match as in file names).
 * `tests/run unit/store/batch::name` sets it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>

static void __attribute__((constructor)) run_one_test(void)
{
    const char *name = getenv("TB_TEST");
    if (name != NULL)
        cmocka_set_test_filter(name);
}
