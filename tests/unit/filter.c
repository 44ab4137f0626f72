/* In the program of a plugin's tests, whose main is the plugin's own: TB_TEST=name runs that test
 * alone (`*` and `?` match as in file names). `tests/run unit/plugin/example::name` sets it. */
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
