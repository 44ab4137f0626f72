/* How much slower than an idle machine this one is, measured once in a program: what only
 * ends a test that hangs, and what must outlast something, is given in milliseconds of an idle
 * machine and stretched. Nothing that a test proves depends on it. tests/yardstick.py is the same
 * for pytest. */
#ifndef TB_TESTS_UNIT_YARDSTICK_H
#define TB_TESTS_UNIT_YARDSTICK_H

#include <stdint.h>

/** What takes `ms` on an idle machine may take so long here: as long, or up to twenty times. The
 * first call measures, for some 50 ms in which no loop's clock goes on. */
int64_t stretched_ms(int64_t ms);

/** The processor time of this thread so far, which grows by what it does and not by what it waits
 * for. */
int64_t thread_cpu_ms(void);

#endif
