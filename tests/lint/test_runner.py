"""tests/run itself: what its arguments name, what it makes of what programs print, and that a slow machine only gets more time."""

import types
import xml.etree.ElementTree as xml

import pytest
import runner
import suites
import yardstick
from report import Suite

TAP = """1..3
ok 1 - stands
not ok 2 - falls
# ../tests/unit/store/test_batch.c:7: error: Failure!
ok 3 # SKIP sleeps
"""


@pytest.mark.parametrize("name, suite, test", [
    ("unit", "unit", ""), ("unit/store/batch", "unit", "store/batch"), ("tests/unit/store/test_batch.c", "unit", "store/batch"),
    ("unit/store/batch::sends_a_lone_call_at_once", "unit", "store/batch::sends_a_lone_call_at_once"),
    ("api/test_payments.py", "api", "test_payments.py"), ("tests/api/attacks/test_slow.py", "api", "attacks/test_slow.py"),
    ("api/test_payments.py::test_x[a/b::c]", "api", "test_payments.py::test_x[a/b::c]"), ("fuzz/json", "fuzz", "json"),
])
def test_a_name_is_a_suite_and_a_test_of_it(name, suite, test):
    assert runner.split(name) == (suite, test)


@pytest.mark.parametrize("name", ["nope", "api/test_nope.py", "build/release", ""])
def test_what_names_nothing_is_refused(name):
    assert runner.split(name) is None


def test_a_test_that_failed_is_run_again_by_its_name(capsys):
    suite = Suite("unit")
    suites.add_tap(suite, "unit_store_batch", 1, TAP)
    assert (suite.passed, suite.skipped) == (["unit_store_batch: stands"], ["unit_store_batch: sleeps"])
    assert suite.again == {"unit_store_batch: falls": "unit/store/batch::falls"}
    assert "test_batch.c:7: error: Failure!" in capsys.readouterr().err
    case = xml.fromstring('<testcase classname="api.attacks.test_floods.TestThePlainLibraryFalls" name="to_it[1]" file="api/attacks/test_floods.py"/>')
    assert suites.node_of(case) == "api/attacks/test_floods.py::TestThePlainLibraryFalls::to_it[1]"


def test_a_program_that_does_not_come_to_its_end_has_failed():
    suite = Suite("unit")
    suites.add_tap(suite, "unit_store_batch", 139, TAP.replace("not ok 2 - falls", "ok 2 - falls").replace("ok 3 # SKIP sleeps\n", ""))
    assert list(suite.failed) == ["unit_store_batch: comes to an orderly end"]


def test_a_reason_is_reported_once(capsys):
    suite = Suite("api")
    for n in range(3):
        suite.add(f"test {n}", False, "E   no database")
    suite.end()
    said = capsys.readouterr().err
    assert said.count("api: FAILED") == 1 and "and 2 more for the same reason" in said


def test_suites_that_are_not_named_are_not_run(monkeypatch):
    ran = []
    monkeypatch.setattr(runner, "SUITES", {name: lambda options, name=name: ran.append(name) or types.SimpleNamespace(name=name)
                                           for name in runner.SUITES})
    options = types.SimpleNamespace(tests={"api": [], "unit": ["store/batch"], "fuzz": []})
    assert [suite.name for suite in runner.run_all(options)] == ["unit", "api", "fuzz"]
    assert sorted(ran) == ["api", "fuzz", "unit"] and ran[-1] == "fuzz"


def test_a_slow_machine_gets_more_time_and_an_idle_one_no_less(monkeypatch):
    for measured, expected in ((0.01, 1), (3 * yardstick.REFERENCE_S, 3), (1000, yardstick.MOST)):
        monkeypatch.setattr(yardstick, "measure", lambda measured=measured: measured)
        yardstick.slowness.cache_clear()
        assert yardstick.slowness() == pytest.approx(expected)
    yardstick.slowness.cache_clear()
