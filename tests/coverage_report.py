"""What tests/coverage measures: the lines and branches of each room of core/ that tests reach. It builds with gcov's counters
(preset coverage), runs every program of unit tests, with --api also the API suite, and prints a table.

A process writes its counts when it comes to its end: what only ran in one that was killed, or that crashed on purpose, counts as
not reached. The branch of TB_ASSERT that ends the process is no branch here: no test can take it and go on."""

import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys
import time
import types

from report import Suite, say
from suites import BUILDS, ROOT, pytest_suite, run_programs
from yardstick import slowness

BUILD = os.path.join(ROOT, BUILDS["coverage"][0])
COUNTS = os.path.join(BUILD, "coverage.json")
PAGE = os.path.join(ROOT, "docs/coverage.md")
GCOVR_TIMEOUT_S = 300
# One process: gcovr 5.2 waits for ever when one of several fails. Not counted is the same source compiled for processors that
# this one is not (unit_runtime_context_fallback): gcovr takes a function for one thing on one line.
GCOVR = ["gcovr", "--root", ROOT, "--filter", "core/", "--object-directory", BUILD, "--json", COUNTS, "-j", "1",
         "--exclude-directories", ".*context_fallback.*", "--exclude-branches-by-pattern", r".*\bTB_ASSERT\(.*"]
HEAD = """# Coverage

Which lines and branches of `core/` the tests reach, by room: written by `tests/coverage {arguments}`, which measures it with gcov and
gcovr in a build of its own (`build-coverage/`, not optimised, faults compiled in). `tests/coverage --missed store` then names
the branches of a room or of a file that were not reached.

A process writes its counts when it comes to its end: what only ran in one that was killed, or that crashed on purpose, counts as
not reached. The branch of `TB_ASSERT` that ends the process is not counted. SQL and Lua are not measured.

{machine}, {date}. {ran}.

"""
REASONS = "\n## Why not\n"  # written by hand, kept below the table


class Room:
    """Sums over the files of a room."""

    def __init__(self):
        self.files = self.lines = self.lines_reached = self.branches = self.branches_reached = 0

    def add(self, lines):
        branches = [branch for line in lines for branch in line["branches"]]
        self.files += 1
        self.lines += len(lines)
        self.lines_reached += sum(line["count"] > 0 for line in lines)
        self.branches += len(branches)
        self.branches_reached += sum(branch["count"] > 0 for branch in branches)


def measured():
    """File → its lines that are code, as gcovr counted them."""
    with open(COUNTS, encoding="utf-8") as opened:
        files = json.load(opened)["files"]
    return {file["file"]: [line for line in file["lines"] if not line["gcovr/noncode"] and not line["gcovr/excluded"]]
            for file in files}


def room_of(path):
    """core/http/tls.c → http; a room within a room is one of its own."""
    return os.path.dirname(path).removeprefix("core/").removesuffix("/tongbao")


def rooms_of(files):
    rooms = collections.defaultdict(Room)
    for path, lines in files.items():
        if lines:
            rooms[room_of(path)].add(lines)
            rooms["all"].add(lines)
    return rooms


def table(files):
    rooms = rooms_of(files)
    rows = ["| room | files | lines | reached | branches | reached |", "|---|---|---|---|---|---|"]
    for name in sorted(rooms, key=lambda name: (name == "all", name)):
        room = rooms[name]
        shown = f"`{name}`" if name != "all" else "all"
        rows.append(f"| {shown} | {room.files} | {room.lines:,} | {share(room.lines_reached, room.lines)} "
                    f"| {room.branches:,} | {share(room.branches_reached, room.branches)} |")
    return "\n".join(rows) + "\n"


def share(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def missed(files, wanted):
    """One line for each line of a room or file that was not reached, or not in each of its directions."""
    wanted = wanted.removeprefix("core/").strip("/")
    found = [path for path in sorted(files) if wanted in (room_of(path), path.removeprefix("core/"))]
    for path in found:
        with open(os.path.join(ROOT, path), encoding="utf-8") as opened:
            source = opened.read().splitlines()
        for line in files[path]:
            ways = line["branches"]
            never = sum(way["count"] == 0 for way in ways)
            if line["count"] == 0 or never:
                why = "not reached" if line["count"] == 0 else f"{never} of {len(ways)} branches not taken"
                yield f"{path}:{line['line_number']}: {why}: {source[line['line_number'] - 1].strip()}"
    if not found:
        raise SystemExit(f"there is no room or file {wanted} in core/")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = re.search(r"model name\s*: (.*)", info.read())
    gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{os.cpu_count()} cores, {model[1] if model else os.uname().machine}, Linux {os.uname().release}, gcc {gcc}"


def measure(options):
    """Count anew. Returns the suites that ran."""
    for old in glob.glob(os.path.join(BUILD, "**/*.gcda"), recursive=True):
        os.remove(old)
    unit = Suite("unit")
    run_programs(unit, "coverage")
    done = [unit.end()]
    if options.api:
        done.append(pytest_suite(types.SimpleNamespace(tests={"api": []}, long=False), "api", "coverage"))
    counted = subprocess.run(GCOVR, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                             timeout=GCOVR_TIMEOUT_S * slowness())
    if counted.returncode != 0:
        raise SystemExit("gcovr failed:\n" + counted.stderr)
    return done


def page(suites, text, api):
    """docs/coverage.md; it says of each suite how many of its tests passed, for what failed may have reached less."""
    passed = [(suite.name, len(suite.passed), len(suite.passed) + len(suite.failed)) for suite in suites]
    ran = ", ".join(f"{n:,} of {all:,} tests of `tests/{name}` passed" for name, n, all in passed)
    head = HEAD.format(arguments="--api --write" if api else "--write", machine=machine(), date=time.strftime("%Y-%m-%d"), ran=ran)
    return head + text


def write_page(text):
    """Put `text` above what the page says by hand: why branches are not reached."""
    with open(PAGE, encoding="utf-8") as old:
        _, mark, reasons = old.read().partition(REASONS)
    with open(PAGE, "w", encoding="utf-8") as out:
        out.write(text + mark + reasons)


def main():
    parser = argparse.ArgumentParser(prog="tests/coverage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", action="store_true", help="run the API suite against that build as well (many minutes)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/coverage.md, with date and machine")
    parser.add_argument("--missed", metavar="ROOM", help="measure nothing; print what was not reached the last time, of a room or a file")
    options = parser.parse_args()
    if options.missed:
        if not os.path.exists(COUNTS):
            parser.error("nothing was measured yet")
        print("\n".join(missed(measured(), options.missed)))
        return 0
    done = measure(options)
    text = table(measured())
    print(text, end="")
    if options.write:
        write_page(page(done, text, options.api))
    failed = sum(len(suite.failed) for suite in done)
    if failed:
        say(f"{failed} tests failed, so the table says less than it could")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
