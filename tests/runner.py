"""What tests/run runs: builds, unit tests under the sanitizers, SQL, the API of a real gateway, faults, a short fuzz, and
the lint. Each suite tells its tests by name; the last line sums them up."""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys

import listing
import suites
from report import say
from suites import PROCESSORS, ROOT, TESTS
from yardstick import slowness

SUITES = {"build": suites.suite_build, "lint": suites.suite_lint, "unit": suites.suite_unit, "sql": suites.suite_sql,
          "api": suites.suite_api, "clients": suites.suite_clients, "fault": suites.suite_fault, "fuzz": suites.suite_fuzz,
          "tidy": suites.suite_tidy, "valgrind": suites.suite_valgrind, "tsan": suites.suite_tsan}
LONG = ("tidy", "valgrind", "tsan")
NAMED = ("unit", "sql", "lint", "api", "clients", "fault", "fuzz", "tsan")  # whose tests can be named
UNIT_BUILDS = ("asan", "dev", "release")
# What waits for processors beside what waits for answers. What fills all of them for a time that is set comes after both.
LANES = (("build", "unit"), ("lint", "api", "fault", "sql", "clients"))
FAILED = os.path.join(ROOT, "build/failed-tests.json")
EXAMPLES = """examples:
  tests/run                                        everything
  tests/run unit/store/batch                       one group of unit tests: test_batch.c
  tests/run unit/store/batch::sends_a_lone_call_at_once
  tests/run api/test_tokens.py                     one file of pytest
  tests/run api/e_payment/test_payments.py::test_a_payment_is_made
  tests/run --failed                               what failed the last time
  tests/run --list unit/store                      what can be named, here of a room
"""


# ---- which tests ----

def split(name):
    """A test as it is named on the command line → suite and test ("" for the whole suite); None: there is none such."""
    name = os.path.relpath(name, TESTS) if os.path.isabs(name) else name.removeprefix("tests/")
    name = re.sub(r"^(?:\.\./)?plugins/(\w+)/tests/(\w+)", r"\2/\1", name)
    suite, _, test = name.strip("/").partition("/")
    if suite not in SUITES or test and suite not in NAMED:
        return None
    path = test.partition("::")[0]
    if suite in ("unit", "tsan") and path.endswith(".c"):
        test = test.replace("test_", "", 1).replace(".c", "", 1)
    elif test and suite not in ("unit", "fuzz", "tsan") and not os.path.exists(os.path.join(ROOT, suites.path_of(suite, path))):
        return None
    return suite, test


def choose(parser, options):
    """Set `options.tests`: of each suite that is wanted the tests that are wanted, none for all."""
    names = list(options.names)
    if options.failed:
        if not os.path.exists(FAILED):
            parser.error("no run is on record")
        with open(FAILED, encoding="utf-8") as opened:
            names += json.load(opened)
        if not names:
            parser.error("nothing failed the last time")
    if options.only:
        names += options.only.split(",")
    if not names:
        names = [suite for suite in SUITES if suite not in LONG or options.long]
    options.tests = {}
    for name in names:
        if split(name) is None:
            parser.error(f"there is no test {name}; suites are {', '.join(SUITES)}")
        suite, test = split(name)
        options.tests.setdefault(suite, []).append(test)
    for suite, tests in options.tests.items():
        options.tests[suite] = [] if "" in tests else list(dict.fromkeys(tests))


def remember(done):
    """Keep what failed, for --failed."""
    os.makedirs(os.path.dirname(FAILED), exist_ok=True)
    failed = [again for suite in done for again in suite.again.values()]
    with open(FAILED, "w", encoding="utf-8") as out:
        json.dump(list(dict.fromkeys(failed)), out, indent=1)


# ---- running them ----

SPIN = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1000000): pass
"""


class Busy:
    """A process on every processor that computes without end."""

    def __enter__(self):
        self.loops = [subprocess.Popen([sys.executable, "-c", SPIN, str(os.getpid())]) for _ in range(PROCESSORS)]

    def __exit__(self, *_):
        for loop in self.loops:
            loop.kill()
            loop.wait()


def run_lane(options, names):
    return [SUITES[name](options) for name in names if name in options.tests]


def run_all(options):
    """All suites that are wanted: two lanes side by side, then the rest. Suites in the order of SUITES."""
    slowness.cache_clear()
    say(f"this machine: {slowness():.1f} times slower than an idle one")
    with concurrent.futures.ThreadPoolExecutor(len(LANES)) as pool:
        done = [suite for lane in pool.map(lambda names: run_lane(options, names), LANES) for suite in lane]
    done += run_lane(options, [name for name in SUITES if not any(name in lane for lane in LANES)])
    return sorted(done, key=lambda suite: list(SUITES).index(suite.name))


def run_busy(options, again):
    """The same beside busy loops; `again`: after a run without them, so what was built or takes many minutes is left out."""
    if again:
        options.long = False
        options.tests = {name: tests for name, tests in options.tests.items() if name not in ("build", *LONG)}
    with Busy():
        done = run_all(options)
    for suite in done:
        suite.name += " (busy)"
    return done


def show(options):
    """Print the tests that are wanted, by the names this program takes, one a line or as JSON."""
    tests = listing.tests_of(options.tests)
    if options.json:
        print(json.dumps({"suites": [{"name": name, "tests": tests[name]} for name in SUITES if name in tests]}, indent=1))
    else:
        print("\n".join(test for name in SUITES if name in tests for test in tests[name] or [name]))


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="TEST", nargs="*", help="a suite, a file or program of it, or one test (see below)")
    parser.add_argument("--only", metavar="SUITE,…", help="of " + ", ".join(SUITES))
    parser.add_argument("--failed", action="store_true", help="what failed the last time")
    parser.add_argument("--list", action="store_true", help="run nothing; print what would be run, by the names of the tests")
    parser.add_argument("--in", dest="build", metavar="BUILD", choices=UNIT_BUILDS, default="asan",
                        help=f"the build whose unit tests run: {', '.join(UNIT_BUILDS)}")
    parser.add_argument("--long", action="store_true", help="also what takes many minutes; fuzz each target for ten")
    parser.add_argument("--busy", action="store_true", help="beside a process on every processor that computes without end")
    parser.add_argument("--json", action="store_true", help="print one JSON document; the last line goes to standard error")
    options = parser.parse_args()
    choose(parser, options)
    if options.list:
        show(options)
        return 0
    done = []
    if not options.busy:
        done = run_all(options)
    if options.busy or options.long:
        done += run_busy(options, again=bool(done))
    remember(done)

    failed = sum(len(s.failed) for s in done)
    passed = sum(len(s.passed) for s in done)
    for s in done:
        for said in s.alike:
            say(f"{s.name}: {s.told(said)}")
    if options.json:
        print(json.dumps({"passed": passed, "failed": failed, "suites": [
            {"name": s.name, "seconds": s.seconds, "passed": s.passed, "failed": s.failed, "skipped": s.skipped}
            for s in done]}, indent=1))
    print(f"{passed} passed, {failed} failed", file=sys.stderr if options.json else sys.stdout, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
