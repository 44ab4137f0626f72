"""tests/run itself: what its arguments name, what it makes of what programs print, and that a slow machine only gets more time."""

import json
import types
import xml.etree.ElementTree as xml

import coverage_report
import listing
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
    ("api/test_tokens.py", "api", "test_tokens.py"),
    ("api/e_payment/test_payments.py", "api", "e_payment/test_payments.py"),
    ("plugins/e_payment/tests/sql/test_pay.py::test_x", "sql", "e_payment/test_pay.py::test_x"), ("tests/api/attacks/test_slow.py", "api", "attacks/test_slow.py"),
    ("api/test_tokens.py::test_x[a/b::c]", "api", "test_tokens.py::test_x[a/b::c]"), ("fuzz/json", "fuzz", "json"),
])
def test_a_name_is_a_suite_and_a_test_of_it(name, suite, test):
    assert runner.split(name) == (suite, test)


def test_every_test_is_listed_by_a_name_that_is_taken():
    names = listing.tests_in("unit") + listing.tests_in("fuzz") + listing.tests_in("tsan")
    assert {"unit/store/batch::sends_a_lone_call_at_once", "unit/plugin/example::answers_pong", "fuzz/json"} <= set(names)
    assert "unit/runtime/context_fallback::begins_on_an_aligned_stack" in names, "a source may make two programs"
    assert [name for name in names if runner.split(name) is None] == []


def test_tables_of_unit_tests_are_read_whatever_form_they_have(tmp_path):
    source = tmp_path / "test_x.c"
    (tmp_path / "room.h").write_text("#define SHARED(name) cmocka_unit_test_setup(name, clean)\n")
    source.write_text("#define CASE(name) cmocka_unit_test_setup(name, clean)\n"
                      "cmocka_unit_test(a), cmocka_unit_test_setup_teardown(b,\n up, down), CASE(c), CASE(\n    d), SHARED(e), other(f)\n")
    assert listing.rows(str(source), "unit/x/x") == [f"unit/x/x::{test}" for test in "abcde"]


def test_groups_of_unit_tests_are_found_by_their_room_or_their_name():
    known = ["unit_store_tx", "unit_store_batch", "unit_plugin_example", "unit_oauth_token"]
    assert suites.programs_of([], known) == [(program, "") for program in sorted(known)]
    assert suites.programs_of(["store", "plugin/example::answers"], known) == [
        ("unit_store_batch", ""), ("unit_store_tx", ""), ("unit_plugin_example", "answers")]
    assert suites.programs_of(["store/bat"], known) == []


def test_a_list_has_what_was_named_and_no_more(monkeypatch, capsys):
    tests = {"api": ["api/test_a.py::test_b", "api/test_a.py::test_b[1]", "api/test_a.py::test_bc", "api/test_ab.py::test_b"], "build": []}
    monkeypatch.setattr(listing, "tests_in", tests.get)
    assert listing.tests_of({"api": ["test_a.py"]}) == {"api": tests["api"][:3]}
    assert listing.tests_of({"api": ["test_a.py::test_b"]}) == {"api": tests["api"][:2]}
    with pytest.raises(SystemExit, match="there is no test api/test_nope.py"):
        listing.tests_of({"api": ["test_nope.py"]})
    runner.show(types.SimpleNamespace(tests={"build": [], "api": []}, json=False))
    assert capsys.readouterr().out.splitlines() == ["build", *tests["api"]]
    runner.show(types.SimpleNamespace(tests={"api": []}, json=True))
    assert json.loads(capsys.readouterr().out) == {"suites": [{"name": "api", "tests": tests["api"]}]}


def test_coverage_is_summed_by_room_and_names_what_was_missed(monkeypatch, tmp_path):
    def line(number, count, *ways):
        return {"line_number": number, "count": count, "branches": [{"count": way} for way in ways]}
    (tmp_path / "core/http").mkdir(parents=True)
    (tmp_path / "core/http/tls.c").write_text("if (a)\n    b();\nc();\n")
    monkeypatch.setattr(coverage_report, "ROOT", str(tmp_path))
    files = {"core/http/tls.c": [line(1, 4, 4, 0), line(2, 0), line(3, 4)], "core/include/tongbao/x.h": [line(1, 1)]}
    assert coverage_report.table(files).splitlines()[2:] == [
        "| `http` | 1 | 3 | 66.7 % | 2 | 50.0 % |", "| `include` | 1 | 1 | 100.0 % | 0 | – |", "| all | 2 | 4 | 75.0 % | 2 | 50.0 % |"]
    assert list(coverage_report.missed(files, "http")) == list(coverage_report.missed(files, "core/http/tls.c")) == [
        "core/http/tls.c:1: 1 of 2 branches not taken: if (a)", "core/http/tls.c:2: not reached: b();"]


def test_the_page_of_coverage_keeps_its_reasons(monkeypatch, tmp_path):
    page = tmp_path / "coverage.md"
    monkeypatch.setattr(coverage_report, "PAGE", str(page))
    page.write_text("old table\n\n## Why not\n\n- because\n")
    coverage_report.write_page("new table\n")
    assert page.read_text() == "new table\n\n## Why not\n\n- because\n"


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
