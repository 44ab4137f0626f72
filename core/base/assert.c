/* The end of a process that found itself wrong. Written with one write(2) and no allocation: the
 * heap may be what is broken. */
#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void tb_assert_failed(const char *what, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "tongbao: assertion failed: %s (%s:%d)\n", what, file,
                     line);
    size_t length = n < 0 ? 0 : (size_t)n;
    if (length >= sizeof(text))
        length = sizeof(text) - 1;
    if (write(STDERR_FILENO, text, length) < 0)
        abort(); /* nobody to tell; the core dump must do */
    abort();
}
