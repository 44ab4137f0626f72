/* How much slower than an idle machine this one is, measured once when a program begins: what only
 * ends a test that hangs, and what must outlast something, is given in milliseconds of an idle
 * machine and stretched. Nothing that a test proves depends on it. tests/yardstick.py is the same
 * for pytest. */
#ifndef TB_TESTS_UNIT_YARDSTICK_H
#define TB_TESTS_UNIT_YARDSTICK_H

#include <stdint.h>

/** What takes `ms` on an idle machine may take so long here: as long, or up to twenty times. */
int64_t stretched_ms(int64_t ms);

#endif
