"""What `tests/run` reports: outcomes of suites as they come, each reason once, and all of them again at the end."""

import re
import sys
import threading
import time


def say(text=""):
    print(text, file=sys.stderr, flush=True)


# A line that tells why, of all that compilers, linkers, cmocka, sanitizers, libFuzzer and pytest say.
REASON = re.compile(r"""
    ^E\ \ \                                                   # pytest
    | ^\#\ (?!ok|not\ ok)                                    # cmocka
    | (?:^|[\s:])(?:fatal\ )?error:\  | ^FAILED:\  | ^CMake\ Error | undefined\ reference\ to | :\ No\ rule\ to\ make
    | ERROR:\ \w+(?:Sanitizer|Fuzzer): | \bruntime\ error:\  | ^SUMMARY:\  | ^\s+\#\d+\ 0x\w+\ in\ (?!__|fuzzer)
    | Test\ unit\ written\ to | ^Base64:
    | ^Timeout\ \( | ^\ \ File\ ".*/tests/ | ^timed\ out\ after | ^exit\ code\ """, re.X)
REASONS, LAST_LINES = 12, 12


def reasons(said):
    """The lines that tell why, the first of them; without any the last line."""
    lines = [line[:300] for line in said.splitlines() if line.strip()]
    return [line for line in lines if REASON.search(line)][:REASONS] or lines[-1:]


class Suite:
    """The outcome of one suite: names that passed, and those that failed with what they said. What failed is told in a line at
    once and in full at the end; what failed for the same reason as another, as all do whose fixture fails, is only counted.
    Suites may run side by side: a line that comes in between bears the suite's name, and an end is told in one piece."""

    printing = threading.Lock()

    def __init__(self, name):
        self.name = name
        self.passed, self.failed, self.skipped = [], {}, []
        self.alike = {}  # what was said → all tests that said it
        self.again = {}  # test that failed → what to give to tests/run
        self.slowest = ""
        self.began = time.monotonic()
        self.tell(f"== {self.name}")

    def tell(self, text):
        with self.printing:
            say(text)

    def add(self, test, ok, said="", again=None):
        """`again`: how tests/run is called to run the test alone; None: it has no name of its own there."""
        if ok:
            self.passed.append(test)
            return
        self.failed[test] = said
        self.again[test] = again or self.name
        tests = self.alike.setdefault(said, [])
        tests.append(test)
        if len(tests) == 1:
            self.tell(f"   {self.name}: {self.told(said)}")

    def told(self, said):
        first, *more = self.alike[said]
        others = f" and {len(more)} more for the same reason" if more else ""
        return f"FAILED {first}{others}: {' '.join(line.strip() for line in reasons(said)[:2])}"

    def end(self):
        self.seconds = round(time.monotonic() - self.began, 1)
        lines = []
        for said, tests in self.alike.items():
            if len(said.splitlines()) > 1 or len(tests) > 1:
                lines.append(f"   -- {self.told(said)}")
                whole = said.splitlines()
                some = whole if len(whole) <= 2 * LAST_LINES else reasons(said) + ["…"] + whole[-LAST_LINES:]
                lines += [f"   | {line[:300]}" for line in some]
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        lines += [f"   skipped {test}" for test in self.skipped]
        lines += [f"   slowest: {self.slowest}"] if self.slowest else []
        lines.append(f"   {len(self.passed)} passed, {len(self.failed)} failed{skipped} in {self.seconds} s")
        self.tell("\n".join([f"== {self.name} has ended", *lines]))
        return self
