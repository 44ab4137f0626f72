"""The suites of tests/run: builds, unit programs, pytest folders, fuzz targets, clang-tidy, and programs under valgrind.

Each is a function of `options`; `options.tests[name]` are those of its tests that are wanted, all if empty."""

import concurrent.futures
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import xml.etree.ElementTree as xml

from report import Suite
from yardstick import slowness

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)
PROCESSORS = os.cpu_count() or 2
JOBS = str(PROCESSORS)
HANGS_S = 240  # in a test: pytest says where, and goes on
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-c", "tests/pytest.ini", "-q", "-p", "no:cacheprovider", "-o", f"faulthandler_timeout={HANGS_S}"]
UNIT_TIMEOUT_S = 300
SUITE_TIMEOUT_S, SUITE_LONG_S = 1100, 7200
FUZZ_S, FUZZ_LONG_S = 15, 600


def run(command, timeout, env=None, cwd=ROOT):
    """Run to the end or the timeout, which is longer on a busy machine. Returns the exit code (-1: timed out) and all it said."""
    timeout = int(timeout * slowness())
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
    "tsan": ("build-tsan", ["--preset", "tsan"]),
    "coverage": ("build-coverage", ["--preset", "coverage"]),
    "clang": ("build-clang", ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_COMPILER=clang"]),
    "fuzz": ("build-fuzz", ["--preset", "fuzz"]),
}
wanting = {name: threading.Lock() for name in BUILDS}  # suites that need the same build
compiling = threading.Lock()                           # a build uses all processors
built = {}                                             # name, targets → exit code and what was said


def build(suite, name, targets=()):
    """Configure and build all, or some targets, unless a suite did so before; True when it worked."""
    with wanting[name]:
        before = built.get((name, ())) or built.get((name, tuple(targets)))
        code, said = before or compile_all(name, targets)
        built[name, tuple(targets)] = code, said
    if not before or code != 0:
        suite.add(f"builds ({name})", code == 0, said)
    return code == 0


def compile_all(name, targets):
    directory, options = BUILDS[name]
    code, said = 0, ""
    with compiling:
        if not os.path.exists(os.path.join(ROOT, directory, "build.ninja")):
            code, said = run(["cmake", "-S", ".", "-B", directory, *options], SUITE_TIMEOUT_S)
        if code == 0:
            some = ["--target", *targets] if targets else []
            code, said = run(["cmake", "--build", directory, "-j", JOBS, *some], SUITE_TIMEOUT_S)
    progress = re.compile(r"^\[\d+/\d+\] .*\n", re.M)
    return code, progress.sub("", said)


def suite_build(options):
    suite = Suite("build")
    for name in ("release", "asan", "clang"):
        build(suite, name)
    build(suite, "fuzz", fuzz_targets())
    return suite.end()


# ---- cmocka ----

def add_tap(suite, program, code, said):
    """Read what a cmocka program said in the TAP format: what a test says stands behind its line."""
    place = program.replace("_", "/", 2)  # unit_store_batch → unit/store/batch
    if suite.name == "tsan":
        place = "tsan" + place.removeprefix("unit")
    parts = re.split(r"^(not ok|ok) \d+ (-|# SKIP) (.*)$", said, flags=re.M)
    results = list(zip(parts[1::4], parts[2::4], parts[3::4], parts[4::4]))
    for outcome, how, test, why in results:
        if how == "-":
            suite.add(f"{program}: {test}", outcome == "ok", why.strip(), f"{place}::{test}")
        else:
            suite.skipped.append(f"{program}: {test}")
    planned = sum(map(int, re.findall(r"^1\.\.(\d+)", said, re.M)))
    fell = any((outcome, how) == ("not ok", "-") for outcome, how, _, _ in results)
    if len(results) < planned or code != 0 and not fell:
        suite.add(f"{program}: comes to an orderly end", False, (parts[-1] if results else said) + f"\nexit code {code}", place)
    elif not results:
        suite.add(f"{program}: has tests", False, said, place)


def commands_of(preset):
    """unit_<room>_<thing>, or unit_plugin_<product>_<thing> → how it is started: ctest knows, of what is built."""
    code, said = run(["ctest", "--test-dir", BUILDS[preset][0], "--show-only=json-v1"], SUITE_TIMEOUT_S)
    if code != 0:
        raise SystemExit(f"ctest does not tell the unit tests of {BUILDS[preset][0]}:\n{said}")
    return {test["name"]: test["command"] for test in json.loads(said)["tests"] if "command" in test}


def programs_of(wanted, known):
    """Those of `known` that are wanted, each with the test in it that is wanted ("": all). `wanted`: "store", "store/batch" or
    "store/batch::sends_a_lone_call_at_once"; none: every one."""
    if not wanted:
        return [(program, "") for program in sorted(known)]
    chosen = []
    for name in wanted:
        place, _, test = name.partition("::")
        prefix = "unit_" + place.replace("/", "_")
        chosen += [(p, test) for p in sorted(known) if p == prefix or "/" not in place and p.startswith(prefix + "_")]
    return chosen


def run_programs(suite, preset, wanted=()):
    """Build and run groups of unit tests, all or those that are wanted (see programs_of), each in a process of its own. As many
    at a time as there are processors: many wait for a PostgreSQL of their own."""
    places = [name.partition("::")[0] for name in wanted]
    alone = places and all("/" in place for place in places)  # of a room it is not known what there is before it is built
    if not build(suite, preset, ["unit_" + place.replace("/", "_") for place in places] if alone else ()):
        return
    commands = commands_of(preset)
    programs = programs_of(wanted, commands)
    if not programs:
        suite.add("has such tests", False, f"no program of unit tests is called {', '.join(wanted)}")

    def go(one):
        program, test = one
        return run(commands[program], UNIT_TIMEOUT_S, {"CMOCKA_MESSAGE_OUTPUT": "TAP", **({"TB_TEST": test} if test else {})})

    with concurrent.futures.ThreadPoolExecutor(PROCESSORS) as pool:
        for (program, _), (code, said) in zip(programs, pool.map(go, programs)):
            add_tap(suite, program, code, said)


def suite_unit(options):
    suite = Suite("unit")
    run_programs(suite, options.build, options.tests["unit"])
    return suite.end()


# ---- ThreadSanitizer ----

def suite_tsan(options):
    """Unit programs under ThreadSanitizer: a process has one thread that serves and some that do blocking work for it. None is
    left out: core/runtime/fiber.c tells it of every fiber. The build takes minutes: part of the long run, or when it is asked
    for by name."""
    suite = Suite("tsan")
    run_programs(suite, "tsan", options.tests["tsan"])
    return suite.end()


# ---- valgrind ----

def suite_valgrind(options):
    """Partners' scripts under memcheck, which sees into LuaJIT and PCRE2 where the sanitizers do not. Minutes: part of the
    long run, or when it is asked for by name."""
    suite = Suite("valgrind")
    if not build(suite, "dev", ["unit_lua", "unit_hooks"]):
        return suite.end()
    memcheck = ["valgrind", "-q", "--leak-check=full", "--num-callers=40", "--error-exitcode=99",
                "--suppressions=tests/unit/valgrind.supp"]
    commands = commands_of("dev")
    for program, _ in programs_of(["lua", "hooks"], commands):
        code, said = run([*memcheck, *commands[program]], SUITE_TIMEOUT_S, {"CMOCKA_MESSAGE_OUTPUT": "TAP"})
        add_tap(suite, program, code, said)
    return suite.end()


# ---- pytest ----

def folders_of(suite):
    """Where a suite's tests stand: tests/<suite>, and tests/<suite> of each product that has them."""
    return [f"tests/{suite}", *sorted(os.path.relpath(path, ROOT) for path in glob.glob(f"{ROOT}/plugins/*/tests/{suite}"))]


def path_of(suite, test):
    """Where a test stands: tests/<suite>/<test>; of a product, which its name begins with, in the product's folder."""
    product, _, rest = test.partition("/")
    folder = f"plugins/{product}/tests/{suite}"
    return os.path.join(folder, rest) if product and os.path.isdir(os.path.join(ROOT, folder)) else f"tests/{suite}/{test}"


def named(node):
    """What tests/run calls a test that pytest, whose root is tests/, calls so."""
    return re.sub(r"^\.\./plugins/(\w+)/tests/(\w+)/", r"\2/\1/", node)


def pytest_suite(options, name, preset=None, processes=PROCESSORS):
    """Run a suite's folders, against a build directory, in some processes that take their files one after the other."""
    suite, folders = Suite(name), folders_of(name)
    wanted = [path_of(name, test) for test in options.tests[name]] or folders
    if preset and not build(suite, preset):
        return suite.end()
    env = {"TB_SANDBOX_BUILD": os.path.join(ROOT, BUILDS[preset][0])} if preset else None
    by_name = all("::" in test for test in wanted)
    marks, timeout = ([], SUITE_LONG_S) if options.long or by_name else (["-m", "not long"], SUITE_TIMEOUT_S)
    files = {test.partition("::")[0] for test in wanted}
    split = ["-n", str(processes), "--dist", "loadfile"] if processes > 1 and (len(files) > 1 or not options.tests[name]) else []
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.xml")
        code, said = run([*PYTEST, *split, *wanted, f"--junitxml={report}", "-o", "junit_family=xunit1", *marks], timeout, env)
        cases = list(xml.parse(report).getroot().iter("testcase")) if os.path.exists(report) else []
    if not cases or code not in (0, 1):
        suite.add(f"{name} runs to its end", False, said)
    for case in cases:
        test = f"{case.get('classname', '').split('.')[-1]}: {case.get('name')}"
        wrong = [e for e in case if e.tag in ("failure", "error")]
        if any(e.tag == "skipped" for e in case):
            suite.skipped.append(test)
        else:
            suite.add(test, not wrong, "\n".join(e.text or e.get("message", "") for e in wrong), node_of(case))
    slowest = sorted(cases, key=lambda case: -float(case.get("time")))[:3]
    suite.slowest = ", ".join(f"{case.get('name')[:60]} {float(case.get('time')):.0f} s" for case in slowest)
    return suite.end()


def node_of(case):
    """What pytest calls the test: file, classes, name; None: what went wrong was no test."""
    file = case.get("file")
    if not file:
        return None
    classes = case.get("classname", "").removeprefix(file.removesuffix(".py").replace("/", ".")).split(".")
    return named("::".join(filter(None, [file, *classes, case.get("name")])))


def suite_sql(options):
    return pytest_suite(options, "sql")


def suite_lint(options):
    return pytest_suite(options, "lint", processes=1)


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


def fuzz_targets():
    """Not all that can be built: clang's sanitizers do not come as libraries, so a shared object cannot be linked without
    undefined symbols."""
    return sorted(os.path.basename(source)[:-2] for source in glob.glob(os.path.join(TESTS, "fuzz/fuzz_*.c")))


def suite_fuzz(options):
    """As many targets at a time as there are processors: each uses one."""
    suite, wanted = Suite("fuzz"), options.tests["fuzz"]
    names = [name for name in fuzz_targets() if not wanted or name.removeprefix("fuzz_") in wanted]
    if not build(suite, "fuzz", names):
        return suite.end()
    seconds = FUZZ_LONG_S if options.long else FUZZ_S
    with concurrent.futures.ThreadPoolExecutor(PROCESSORS) as pool:
        for name, (code, said) in zip(names, pool.map(lambda name: fuzz(name, seconds), names)):
            suite.add(f"{name} finds nothing in {seconds} s", code == 0, said, name.replace("_", "/", 1))
    return suite.end()


# ---- clang-tidy ----

def suite_tidy(options):
    """Minutes for what seldom changes: part of the long run, or when it is asked for by name."""
    suite = Suite("tidy")
    if not build(suite, "release"):
        return suite.end()
    for folder in ("core/*/*.c", "core/*/*/*.c", "plugins/*/*.c"):
        for source in sorted(glob.glob(os.path.join(ROOT, folder))):
            code, said = run(["clang-tidy", "-p", "build", "--quiet", source], UNIT_TIMEOUT_S)
            suite.add(os.path.relpath(source, ROOT), code == 0, said)
    return suite.end()
