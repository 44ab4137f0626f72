"""The Lua that comes with Tongbao: linted, every example tested, and `tongbao script test` says what went wrong."""

import glob
import json
import os
import re
import subprocess

import pytest

from harness.sandbox import ROOT

BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build")
EXAMPLES = sorted(p for p in glob.glob(os.path.join(ROOT, "lua/examples/*.lua")) if not p.endswith("_test.lua"))


def run_tests(*arguments):
    return subprocess.run([os.path.join(BUILD, "tongbao"), "script", "test", *map(str, arguments)], cwd=ROOT,
                          capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def pair(tmp_path):
    """Writes a script and its tests; gives the test file's path."""
    def write(script, tests):
        (tmp_path / "night.lua").write_text(script)
        (tmp_path / "night_test.lua").write_text(tests)
        return tmp_path / "night_test.lua"
    return write


def names_in_luacheckrc():
    with open(os.path.join(ROOT, "lua/.luacheckrc"), encoding="utf-8") as there:
        text = re.search(r"read_globals = \{(.*)\},\n\}", there.read(), re.S).group(1)
    spaces = dict(re.findall(r"(\w+) = \{\s*fields = \{(.*?)\}", text, re.S))
    names = {f"{space}.{name}" for space, fields in spaces.items() for name in re.findall(r'"(\w+)"', fields)}
    return names | set(re.findall(r'"(\w+)"', text.split("math =")[0]))


def names_on_the_page():
    with open(os.path.join(ROOT, "lua/api.md"), encoding="utf-8") as there:
        return set(re.findall(r"^### `([\w.]+)", there.read(), re.M))


DENY = "return { on_request = function(request) return decision.deny('late', request.body.why) end }"


def test_luacheck_has_nothing_to_say():
    done = subprocess.run(["luacheck", "--no-color", "--config", "lua/.luacheckrc", "lua", "core/script/lua"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_luacheck_knows_what_a_script_does_not_find(tmp_path):
    (tmp_path / "x.lua").write_text("return { on_request = function() return os.time(), money.pi, string.gsub end }\n")
    done = subprocess.run(["luacheck", "--no-color", "--config", os.path.join(ROOT, "lua/.luacheckrc"), tmp_path / "x.lua"],
                          capture_output=True, text=True, check=False)
    for name in ("os", "pi", "gsub"):
        assert re.search(rf"'{name}'|field {name} ", done.stdout), done.stdout


def test_the_page_luacheck_and_the_sandbox_know_the_same_names(pair):
    names = sorted(names_on_the_page())
    assert len(names) > 50 and set(names) == names_in_luacheckrc()
    missing = ", ".join(f"{name} == nil and '{name}' or nil" for name in names)
    script = f"return {{ on_request = function() local t = {{}} for i = 1, select('#', {missing}) do " \
             f"t[#t + 1] = select(i, {missing}) end return {{ note = table.concat(t, ' ') }} end }}"
    done = run_tests(pair(script, "return { { name = 'a', expect = { note = '' } } }"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", EXAMPLES, ids=os.path.basename)
def test_an_example_does_what_its_tests_say(script):
    done = run_tests(script, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["failed"] == 0 and said["passed"] >= 5
    assert 0 < said["slowest_ms"] < said["budget_ms"] == 5


def test_it_shows_where_a_decision_is_not_as_expected(pair):
    done = run_tests(pair(DENY, """return {
        { name = "late", request = { body = { why = "sleep" } }, expect = { deny = { code = "late", detail = "sleep" } } },
        { name = "other words", request = { body = { why = "sleep" } },
          expect = { deny = { code = "early", detail = "sleep" }, note = "x" } },
        { name = "nothing was expected" },
    }"""))
    assert done.returncode == 1, done.stderr
    lines = [re.sub(r" \([\d.]+ ms, \d+ KiB\)$", "", line) for line in done.stdout.splitlines()]
    assert lines[0] == "TAP version 13"
    assert lines[2:-1] == [
        "ok 1 - late",
        "not ok 2 - other words",
        '#   /note: expected "x", decided nothing',
        '#   /deny/code: expected "early", decided "late"',
        "not ok 3 - nothing was expected",
        '#   /deny: expected nothing, decided {"code": "late"}',
        "1..3",
    ]
    assert lines[-1].startswith("# 1 passed, 2 failed; the slowest took 0.")


def test_its_json_says_the_same(pair):
    done = run_tests(pair(DENY, "return { { name = 'a', expect = { deny = { code = 'b' } } } }"), "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["passed"], said["failed"]) == (1, 0, 1)
    test = said["files"][0]["tests"][0]
    assert test["differences"] == [{"at": "/deny/code", "expected": "b", "decided": "late"}]
    assert test["end"] == "done" and test["cpu_ms"] > 0 and test["bytes"] > 0


SAID = {
    "an error of the script": ("return { on_request = function(request)\n return request.x.y end }",
                               "{ name = 'a' }", "it failed (error): script:2: attempt to index field 'x'"),
    "a loop": ("return { on_request = function() while true do end end }", "{ name = 'a' }", "it failed (budget): "),
    "a glutton": ("return { on_request = function() local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end end }",
                  "{ name = 'a' }, { name = 'b' }", "it failed (memory): not enough memory"),
    "a decision no hook may make": ("return { on_request = function() return { grant = true } end }",
                                    "{ name = 'a' }", "on_request returned a decision whose"),
    "no error where one was expected": ("return { on_request = function() end }",
                                        "{ name = 'a', expect_error = 'nope' }", 'it did not fail with "nope"'),
    "another error": ("return { on_request = function() error('mine') end }",
                      "{ name = 'a', expect_error = 'yours' }", "it failed otherwise: script:1: mine"),
    "a hook that is missing": ("return { on_response = function() end }", "{ name = 'a' }", "the script has no on_request"),
    "a member no test has": (DENY, "{ name = 'a', requests = {} }", 'a test has no member "requests"'),
    "a member of another type": (DENY, "{ name = 'a', now = 5 }", '"now" is of another type'),
    "a time that is none": (DENY, "{ name = 'a', now = 'noon' }", '"now" is written like'),
    "a test without a name": (DENY, "{ request = {} }", "a test has a name"),
    "a script that is none": ("return {", "{ name = 'a' }", "script:1: "),
}


@pytest.mark.parametrize("case", sorted(SAID))
def test_it_says_what_is_wrong(pair, case):
    script, tests, said = SAID[case]
    done = run_tests(pair(script, "return { " + tests + " }"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout


@pytest.mark.parametrize("tests, said", [
    ("return {}", "there are no tests in it"),
    ("return 5", "a test file returns a list of tests"),
    ("local x = nil\nreturn x.y", "night_test.lua:2: attempt to index"),
    ("return {\n", "night_test.lua:"),
    ("return { { name = 'a' }, os.time() }", "attempt to index global 'os'"),
])
def test_it_says_what_is_wrong_with_the_test_file(pair, tests, said):
    done = run_tests(pair(DENY, tests))
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout


def test_a_failure_that_is_expected_is_good(pair):
    done = run_tests(pair("return { on_request = function() return { grant = true } end }", """return {
        { name = "schema", expect_error = "grant" } }"""))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_clock_the_tables_and_the_numbers_are_the_tests_own(pair):
    script = """return { on_request = function(request) return { note = table.concat({ time.format(tb.now(), "+08:00"),
        request.world_time, tb.lookup("t", "k"), tostring(tb.lookup("t", "none")), tb.random(1000) }, " ") } end }"""
    test = "{ name = 'a', now = '2026-11-23T23:30:00+08:00', tables = { t = { k = 'v' } }, seed = %d, expect = { note = '' } }"
    notes = [json.loads(run_tests(pair(script, "return { " + test % seed + " }"), "--json").stdout)
             ["files"][0]["tests"][0]["differences"][0]["decided"] for seed in (1, 1, 2)]
    assert notes[0].startswith("2026-11-23T23:30:00+08:00 2026-11-23T15:30:00.000Z v nil ")
    assert notes[0] == notes[1] != notes[2]


def test_another_script_can_be_put_to_the_tests(pair, tmp_path):
    tests = pair(DENY, "return { { name = 'a' } }")
    (tmp_path / "better.lua").write_text("return { on_request = function() end }")
    assert run_tests(tests).returncode == 1
    assert run_tests(tests, "--script", tmp_path / "better.lua").returncode == 0


def test_files_that_are_not_there_are_told(tmp_path):
    assert run_tests(tmp_path / "none.lua").returncode == 3
    assert run_tests(tmp_path / "none.txt").returncode == 2
    assert run_tests().returncode == 2
