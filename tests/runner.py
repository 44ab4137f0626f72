"""What tests/run runs: builds, unit tests under the sanitizers, SQL, the API of a real gateway, faults, a short fuzz, and
the lint. Each suite tells its tests by name; the last line sums them up."""

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)
JOBS = str(os.cpu_count() or 2)
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
UNIT_TIMEOUT_S = 300
SUITE_TIMEOUT_S = 1500
FUZZ_S, FUZZ_LONG_S = 15, 600


def say(text=""):
    print(text, file=sys.stderr, flush=True)


def what_failed(said):
    """What a failed test said, in 40 lines: first what pytest says was not so, then the end of it all."""
    lines = said.splitlines()
    reasons = [line[:400] for line in lines if line.startswith("E   ")][:10]
    return reasons + lines[-(40 - len(reasons)):]


class Suite:
    """The outcome of one suite: names that passed, and those that failed with what they said."""

    def __init__(self, name):
        self.name = name
        self.passed, self.failed, self.skipped = [], {}, []
        self.began = time.monotonic()
        say(f"== {name}")

    def add(self, test, ok, said=""):
        if ok:
            self.passed.append(test)
        else:
            self.failed[test] = said
            say(f"   FAILED {test}\n" + "\n".join("   | " + line for line in what_failed(said)))

    def end(self):
        self.seconds = round(time.monotonic() - self.began, 1)
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        say(f"   {len(self.passed)} passed, {len(self.failed)} failed{skipped} in {self.seconds} s")
        return self


def run(command, timeout, env=None, cwd=ROOT):
    """Run to the end or the timeout. Returns the exit code (-1: timed out) and all it said."""
    try:
        done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, timeout=timeout, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as ended:
        said = ended.stdout or b""
        return -1, (said.decode(errors="replace") if isinstance(said, bytes) else said) + f"\ntimed out after {timeout} s"


# ---- builds ----

BUILDS = {
    "release": ("build", ["--preset", "release"]),
    "dev": ("build-dev", ["--preset", "dev"]),
    "asan": ("build-asan", ["--preset", "asan"]),
    "clang": ("build-clang", ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_COMPILER=clang"]),
    "fuzz": ("build-fuzz", ["--preset", "fuzz"]),
}


def build(suite, name, targets=()):
    """Configure and build all, or some targets; True when it worked."""
    directory, options = BUILDS[name]
    code, said = 0, ""
    if not os.path.exists(os.path.join(ROOT, directory, "build.ninja")):
        code, said = run(["cmake", "-S", ".", "-B", directory, *options], SUITE_TIMEOUT_S)
    if code == 0:
        some = ["--target", *targets] if targets else []
        code, said = run(["cmake", "--build", directory, "-j", JOBS, *some], SUITE_TIMEOUT_S)
    progress = re.compile(r"^\[\d+/\d+\] .*\n", re.M)
    suite.add(f"builds ({name})", code == 0, progress.sub("", said))
    return code == 0


def suite_build(options):
    suite = Suite("build")
    for name in ("release", "asan", "clang"):
        build(suite, name)
    return suite.end()


# ---- cmocka ----

def add_tap(suite, program, code, said):
    """Read what a cmocka program said in the TAP format."""
    names = re.findall(r"^(not ok|ok) \d+ - (.*)$", said, re.M)
    for outcome, test in names:
        skipped = test.endswith("# SKIP")
        if skipped:
            suite.skipped.append(f"{program}: {test}")
        else:
            suite.add(f"{program}: {test}", outcome == "ok", said)
    if code != 0 and all(outcome == "ok" for outcome, _ in names):
        suite.add(f"{program}: comes to an orderly end", False, said + f"\nexit code {code}")
    elif not names:
        suite.add(f"{program}: has tests", False, said)


def suite_unit(options):
    suite = Suite("unit")
    if not build(suite, "asan"):
        return suite.end()
    env = {"CMOCKA_MESSAGE_OUTPUT": "TAP"}
    for program in sorted(glob.glob(os.path.join(ROOT, "build-asan/unit/unit_*"))):
        code, said = run([program], UNIT_TIMEOUT_S, env)
        add_tap(suite, os.path.basename(program), code, said)
    return suite.end()


# ---- valgrind ----

def suite_valgrind(options):
    """Partners' scripts under memcheck, which sees into LuaJIT and PCRE2 where the sanitizers do not. Minutes: part of the
    long run, or when it is asked for by name."""
    suite = Suite("valgrind")
    sources = glob.glob(os.path.join(TESTS, "unit/script/test_*.c"))
    programs = sorted("unit_script_" + os.path.basename(source)[len("test_"):-len(".c")] for source in sources)
    if not build(suite, "dev", programs):
        return suite.end()
    memcheck = ["valgrind", "-q", "--leak-check=full", "--num-callers=40", "--error-exitcode=99",
                "--suppressions=tests/unit/valgrind.supp"]
    for program in programs:
        code, said = run([*memcheck, f"build-dev/unit/{program}"], SUITE_TIMEOUT_S, {"CMOCKA_MESSAGE_OUTPUT": "TAP"})
        add_tap(suite, program, code, said)
    return suite.end()


# ---- pytest ----

def pytest_suite(name, folder, env=None, arguments=()):
    suite = Suite(name)
    report = tempfile.NamedTemporaryFile(suffix=".xml", delete=False)
    report.close()
    code, said = run([*PYTEST, folder, f"--junitxml={report.name}", *arguments], SUITE_TIMEOUT_S, env)
    try:
        cases = xml.parse(report.name).getroot().iter("testcase")
    except xml.ParseError:
        cases = []
    seen = 0
    for case in cases:
        seen += 1
        test = f"{case.get('classname', '').split('.')[-1]}: {case.get('name')}"
        wrong = [e for e in case if e.tag in ("failure", "error")]
        if any(e.tag == "skipped" for e in case):
            suite.skipped.append(test)
        else:
            suite.add(test, not wrong, "\n".join(e.text or e.get("message", "") for e in wrong))
    if seen == 0 or (code not in (0, 1)):
        suite.add(f"{folder} runs to its end", False, said)
    os.unlink(report.name)
    for test in suite.skipped:
        say(f"   skipped {test}")
    return suite.end()


def suite_sql(options):
    return pytest_suite("sql", "tests/sql")


def suite_lint(options):
    return pytest_suite("lint", "tests/lint")


def marks(options):
    return [] if options.long else ["-m", "not long"]


def suite_api(options):
    return pytest_suite("api", "tests/api", {"TB_SANDBOX_BUILD": os.path.join(ROOT, "build")}, marks(options))


def suite_clients(options):
    return pytest_suite("clients", "tests/clients", {"TB_SANDBOX_BUILD": os.path.join(ROOT, "build")}, marks(options))


def suite_fault(options):
    """The faults are compiled into the asan build, so memory errors on the way of failure are found, too."""
    return pytest_suite("fault", "tests/fault", {"TB_SANDBOX_BUILD": os.path.join(ROOT, "build-asan")}, marks(options))


# ---- fuzz ----

def suite_fuzz(options):
    suite = Suite("fuzz")
    # Not all: clang's sanitizers do not come as libraries, so a shared object cannot be linked without undefined symbols.
    names = sorted(os.path.basename(source)[:-2] for source in glob.glob(os.path.join(TESTS, "fuzz/fuzz_*.c")))
    if not build(suite, "fuzz", names):
        return suite.end()
    seconds = FUZZ_LONG_S if options.long else FUZZ_S
    for name in names:
        target = os.path.join(ROOT, "build-fuzz/fuzz", name)
        with tempfile.TemporaryDirectory() as scratch:
            corpus = os.path.join(TESTS, "fuzz/corpus", name.removeprefix("fuzz_"))
            known = [corpus] if os.path.isdir(corpus) else []
            new = os.path.join(scratch, "new")
            os.mkdir(new)
            code, said = run([target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", new, *known],
                             seconds + 120, cwd=scratch)
            for crash in glob.glob(os.path.join(scratch, "*-*")):
                shutil.copy(crash, os.path.join(tempfile.gettempdir(), f"{name}-{os.path.basename(crash)}"))
        suite.add(f"{name} finds nothing in {seconds} s", code == 0, said)
    return suite.end()


# ---- clang-tidy ----

def suite_tidy(options):
    """Minutes for what seldom changes: part of the long run, or when it is asked for by name."""
    suite = Suite("tidy")
    if not build(suite, "release"):
        return suite.end()
    for folder in ("core/*/*.c", "plugins/*/*.c"):
        for source in sorted(glob.glob(os.path.join(ROOT, folder))):
            if os.path.basename(source).startswith("test_"):
                continue
            code, said = run(["clang-tidy", "-p", "build", "--quiet", source], UNIT_TIMEOUT_S)
            suite.add(os.path.relpath(source, ROOT), code == 0, said)
    return suite.end()


SUITES = {"build": suite_build, "lint": suite_lint, "unit": suite_unit, "sql": suite_sql, "api": suite_api,
          "clients": suite_clients, "fault": suite_fault, "fuzz": suite_fuzz, "tidy": suite_tidy, "valgrind": suite_valgrind}
LONG = ("tidy", "valgrind")
FOLDERS = {"clients": "clients", "fault": "fault", "api": "api"}


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__)
    parser.add_argument("--only", metavar="SUITE,…", help="of " + ", ".join(SUITES))
    parser.add_argument("--long", action="store_true", help="also what takes many minutes; fuzz each target for ten")
    parser.add_argument("--json", action="store_true", help="print one JSON document; the last line goes to standard error")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [s for s in SUITES if s not in LONG or options.long]
    for name in wanted:
        if name not in SUITES:
            parser.error(f"there is no suite {name}; there are {', '.join(SUITES)}")
        if not options.only and not glob.glob(os.path.join(TESTS, FOLDERS.get(name, "."), "**/*"), recursive=True):
            wanted = [w for w in wanted if w != name]
    suites = [SUITES[name](options) for name in wanted]

    failed = sum(len(s.failed) for s in suites)
    passed = sum(len(s.passed) for s in suites)
    for s in suites:
        for test, said in s.failed.items():
            say(f"FAILED {s.name}: {test}: {' '.join(what_failed(said)[:1])}")
    if options.json:
        print(json.dumps({"passed": passed, "failed": failed, "suites": [
            {"name": s.name, "seconds": s.seconds, "passed": s.passed, "failed": s.failed, "skipped": s.skipped}
            for s in suites]}, indent=1))
    print(f"{passed} passed, {failed} failed", file=sys.stderr if options.json else sys.stdout, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
