"""What tests there are, by the names tests/run takes; nothing is built for it. Unit tests are read from the tables in their
sources, pytest says what it would collect."""

import concurrent.futures
import glob
import os
import re
import subprocess

from suites import PROCESSORS, PYTEST, ROOT, TESTS, folders_of, fuzz_targets, named

TABLE = r"\bcmocka_unit_test\w*"
MACRO = re.compile(rf"^#define[ \t]+(\w+)\(\w+\)\s+(?:\\\s+)?{TABLE}.*$", re.M)  # a suite's own short form of it
PROGRAM = re.compile(r"\btb_unit_program\(([a-z]+)_(\w+)\s+SOURCES\s+test_(\w+)\.c\b")


def unit_tests():
    """unit/<room>/<thing>::<test> for each row of a file's table; the file's name alone where it has none."""
    names = []
    for source in sorted(glob.glob(os.path.join(TESTS, "unit/*/test_*.c"))):
        room, thing = source.split("/")[-2], os.path.basename(source)[len("test_"):-len(".c")]
        names += [name for program in programs(room, thing) for name in rows(source, f"unit/{room}/{program}")]
    for source in sorted(glob.glob(os.path.join(ROOT, "plugins/*/tests/unit/test_*.c"))):
        product, thing = source.split("/")[-4], os.path.basename(source)[len("test_"):-len(".c")]
        names += rows(source, f"unit/plugin/{product}" + (f"_{thing}" if thing != product else ""))
    return sorted(names)


def programs(room, thing):
    """What tests/unit/<room>/test_<thing>.c is built into: a group of its room's program, and others of other names."""
    with open(os.path.join(TESTS, "unit", room, "CMakeLists.txt"), encoding="utf-8") as opened:
        built = PROGRAM.findall(opened.read())
    return [thing] + [program for of, program, source in built if (of, source) == (room, thing) and program != thing]


def rows(source, program):
    with open(source, encoding="utf-8") as opened:
        text = opened.read()
    shared = ""  # the short form may be in a header of the room
    for header in glob.glob(os.path.join(os.path.dirname(source), "*.h")):
        with open(header, encoding="utf-8") as opened:
            shared += opened.read()
    forms = "|".join([TABLE, *(rf"\b{re.escape(name)}" for name in MACRO.findall(text + shared))])
    tests = re.findall(rf"(?:{forms})\(\s*(\w+)", MACRO.sub("", text))
    return [f"{program}::{test}" for test in dict.fromkeys(tests)] or [program]


def pytest_tests(suite):
    """Each suite by itself: each has fixtures of its own."""
    done = subprocess.run([*PYTEST, "--collect-only", *folders_of(suite)], cwd=ROOT, capture_output=True, text=True, check=False)
    names = [name for name in map(named, done.stdout.splitlines()) if name.startswith(f"{suite}/") and "::" in name]
    if done.returncode != 0:
        raise SystemExit(f"tests/{suite} cannot be read by pytest:\n{done.stdout}{done.stderr}")
    return names


def within(name, wanted):
    """Whether a test belongs to what was named: it, its file or program, or its room or folder."""
    return name == wanted or name.startswith(wanted) and name[len(wanted)] in "/:["


def tests_of(chosen):
    """Suite → its tests, of `chosen` (suite → what was named of it, nothing for all). A suite whose tests have no names
    of their own has none."""
    with concurrent.futures.ThreadPoolExecutor(PROCESSORS) as pool:
        pending = {suite: pool.submit(tests_in, suite) for suite in chosen}
    tests = {suite: found.result() for suite, found in pending.items()}
    for suite, some in chosen.items():
        for one in some:
            if not any(within(name, f"{suite}/{one}") for name in tests[suite]):
                raise SystemExit(f"there is no test {suite}/{one}")
        if some:
            tests[suite] = [name for name in tests[suite] if any(within(name, f"{suite}/{one}") for one in some)]
    return tests


def tests_in(suite):
    if suite == "unit":
        return unit_tests()
    if suite == "tsan":
        return ["tsan" + name.removeprefix("unit") for name in unit_tests()]
    if suite == "fuzz":
        return [target.replace("_", "/", 1) for target in fuzz_targets()]
    return pytest_tests(suite) if os.path.isdir(os.path.join(TESTS, suite)) else []
