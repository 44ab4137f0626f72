"""What tests/run runs: builds, unit tests under the sanitizers, SQL, the API of a real gateway, faults, a short fuzz, and
the lint. Each suite tells its tests by name; the last line sums them up."""

import argparse
import concurrent.futures
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)
JOBS = str(os.cpu_count() or 2)
HANGS_S = 240  # in a test: pytest says where, and goes on
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"faulthandler_timeout={HANGS_S}"]
UNIT_TIMEOUT_S = 300
SUITE_TIMEOUT_S, SUITE_LONG_S = 1100, 7200
FUZZ_S, FUZZ_LONG_S = 15, 600


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
    once and in full at the end; what failed for the same reason as another, as all do whose fixture fails, is only counted."""

    def __init__(self, name):
        self.name = name
        self.passed, self.failed, self.skipped = [], {}, []
        self.alike = {}  # what was said → all tests that said it
        self.began = time.monotonic()
        say(f"== {name}")

    def add(self, test, ok, said=""):
        if ok:
            self.passed.append(test)
            return
        self.failed[test] = said
        tests = self.alike.setdefault(said, [])
        tests.append(test)
        if len(tests) == 1:
            say(f"   {self.told(said)}")

    def told(self, said):
        first, *more = self.alike[said]
        others = f" and {len(more)} more for the same reason" if more else ""
        return f"FAILED {first}{others}: {' '.join(line.strip() for line in reasons(said)[:2])}"

    def end(self):
        self.seconds = round(time.monotonic() - self.began, 1)
        for said, tests in self.alike.items():
            if len(said.splitlines()) > 1 or len(tests) > 1:
                say(f"   -- {self.told(said)}")
                lines = said.splitlines()
                for line in lines if len(lines) <= 2 * LAST_LINES else reasons(said) + ["…"] + lines[-LAST_LINES:]:
                    say(f"   | {line[:300]}")
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        say(f"   {len(self.passed)} passed, {len(self.failed)} failed{skipped} in {self.seconds} s")
        return self


def run(command, timeout, env=None, cwd=ROOT):
    """Run to the end or the timeout. Returns the exit code (-1: timed out) and all it said."""
    with tempfile.TemporaryFile() as out:  # no pipe, which whoever it leaves behind would keep open
        process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        end = ""
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code, end = -1, f"\ntimed out after {timeout} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        out.seek(0)
        return code, out.read().decode(errors="replace") + end


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
    """Read what a cmocka program said in the TAP format: what a test says stands behind its line."""
    parts = re.split(r"^(not ok|ok) \d+ (-|# SKIP) (.*)$", said, flags=re.M)
    results = list(zip(parts[1::4], parts[2::4], parts[3::4], parts[4::4]))
    for outcome, how, test, why in results:
        if how == "-":
            suite.add(f"{program}: {test}", outcome == "ok", why.strip())
        else:
            suite.skipped.append(f"{program}: {test}")
    planned = sum(map(int, re.findall(r"^1\.\.(\d+)", said, re.M)))
    fell = any((outcome, how) == ("not ok", "-") for outcome, how, _, _ in results)
    if len(results) < planned or code != 0 and not fell:
        suite.add(f"{program}: comes to an orderly end", False, (parts[-1] if results else said) + f"\nexit code {code}")
    elif not results:
        suite.add(f"{program}: has tests", False, said)


def suite_unit(options):
    """As many programs at a time as there are processors: many wait for a PostgreSQL of their own."""
    suite = Suite("unit")
    if not build(suite, "asan"):
        return suite.end()
    env = {"CMOCKA_MESSAGE_OUTPUT": "TAP"}
    programs = sorted(glob.glob(os.path.join(ROOT, "build-asan/unit/unit_*")))
    with concurrent.futures.ThreadPoolExecutor(int(JOBS)) as pool:
        for program, (code, said) in zip(programs, pool.map(lambda program: run([program], UNIT_TIMEOUT_S, env), programs)):
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

def pytest_suite(options, name, build=None):
    """Run tests/NAME, against a build directory."""
    suite, folder = Suite(name), f"tests/{name}"
    env = {"TB_SANDBOX_BUILD": os.path.join(ROOT, BUILDS[build][0])} if build else None
    marks, timeout = ([], SUITE_LONG_S) if options.long else (["-m", "not long"], SUITE_TIMEOUT_S)
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.xml")
        code, said = run([*PYTEST, folder, f"--junitxml={report}", *marks], timeout, env)
        cases = list(xml.parse(report).getroot().iter("testcase")) if os.path.exists(report) else []
    if not cases or code not in (0, 1):
        suite.add(f"{folder} runs to its end", False, said)
    for case in cases:
        test = f"{case.get('classname', '').split('.')[-1]}: {case.get('name')}"
        wrong = [e for e in case if e.tag in ("failure", "error")]
        if any(e.tag == "skipped" for e in case):
            suite.skipped.append(test)
            say(f"   skipped {test}")
        else:
            suite.add(test, not wrong, "\n".join(e.text or e.get("message", "") for e in wrong))
    slowest = sorted(cases, key=lambda case: -float(case.get("time")))[:3]
    say("   slowest: " + ", ".join(f"{case.get('name')[:60]} {float(case.get('time')):.0f} s" for case in slowest))
    return suite.end()


def suite_sql(options):
    return pytest_suite(options, "sql")


def suite_lint(options):
    return pytest_suite(options, "lint")


def suite_api(options):
    return pytest_suite(options, "api", "release")


def suite_clients(options):
    return pytest_suite(options, "clients", "release")


def suite_fault(options):
    """The faults are compiled into the asan build, so memory errors on the way of failure are found, too."""
    return pytest_suite(options, "fault", "asan")


# ---- fuzz ----

def fuzz(name, seconds):
    """Run one target; what it crashed on is kept in the folder for temporary files. Returns the exit code and what it said."""
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
    return code, said


def suite_fuzz(options):
    """As many targets at a time as there are processors: each uses one."""
    suite = Suite("fuzz")
    # Not all: clang's sanitizers do not come as libraries, so a shared object cannot be linked without undefined symbols.
    names = sorted(os.path.basename(source)[:-2] for source in glob.glob(os.path.join(TESTS, "fuzz/fuzz_*.c")))
    if not build(suite, "fuzz", names):
        return suite.end()
    seconds = FUZZ_LONG_S if options.long else FUZZ_S
    with concurrent.futures.ThreadPoolExecutor(int(JOBS)) as pool:
        for name, (code, said) in zip(names, pool.map(lambda name: fuzz(name, seconds), names)):
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
        for said in s.alike:
            say(f"{s.name}: {s.told(said)}")
    if options.json:
        print(json.dumps({"passed": passed, "failed": failed, "suites": [
            {"name": s.name, "seconds": s.seconds, "passed": s.passed, "failed": s.failed, "skipped": s.skipped}
            for s in suites]}, indent=1))
    print(f"{passed} passed, {failed} failed", file=sys.stderr if options.json else sys.stdout, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
