"""How much slower than an idle machine this one is: what waits in the tests, waits in proportion.

`slowness()` is measured once in a process, when first called: the wall time of a fixed computation against what it takes on
an idle machine, 1 at least. Limits that end what hangs are multiplied with it; nothing that a test proves depends on it.
`tests/unit/yardstick.h` is the same for unit programs."""

import functools
import time

STEPS = 3_000_000
REFERENCE_S = 0.12  # what they take where nothing else runs
MOST = 20


def measure():
    """The wall time of a computation that is long enough to be preempted where others want the processor, too."""
    began, n = time.perf_counter(), 0
    for i in range(STEPS):
        n += i & 7
    return time.perf_counter() - began


@functools.lru_cache(maxsize=None)
def slowness():
    return min(MOST, max(1.0, measure() / REFERENCE_S))
