"""The life of a partner's script by the API: pushed, reviewed by another app, activated, rolled back, stopped; and its tables."""

import getpass
import json
import os
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from harness.client import assert_problem
from harness.partner import Partner, new_id
from harness.scripted import Scripted

SCRIPTS = "/scripts/v1/scripts"
TABLES = "/scripts/v1/tables"
ALLOW = "return { on_request = function(request) end }"
PLENTY = [("", "", "test", 10**9, 60_000)]


class Team:
    """A partner with two apps: one writes, the other reviews."""

    def __init__(self, sandbox, **more):
        self.partner = Partner(sandbox, "Scripted", **more)
        self.reviewer_app = self.partner.add_app(PLENTY)
        self.author = self.partner.client()
        token = sandbox.cli("token", "--app", self.reviewer_app).strip()
        self.reviewer = sandbox.client(token)

    def push(self, source=ALLOW, **more):
        answer = self.author.post(SCRIPTS, {"source": source, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def review(self, made, verdict="approve", client=None, **more):
        return (client or self.reviewer).post(f"{SCRIPTS}/{made['script']}/reviews",
                                              {"version": made["version"], "verdict": verdict, **more})

    def activate(self, made, **more):
        return self.author.post(f"{SCRIPTS}/{made['script']}/activations", {"version": made["version"], **more})

    def post(self, made, verb):
        return self.author.post(f"{SCRIPTS}/{made['script']}/{verb}", None)

    def running(self, source=ALLOW, **more):
        made = self.push(source)
        assert self.review(made).status_code == 201
        answer = self.activate(made, **more)
        assert answer.status_code == 201, answer.text
        return made

    def script(self, made):
        answer = self.author.get(f"{SCRIPTS}/{made['script']}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def states(self, made):
        return {v["version"]: v["state"] for v in self.author.pages(f"{SCRIPTS}/{made['script']}/versions")}

    def acts(self, id):
        with self.partner.db.cursor() as cursor:
            cursor.execute("select act, who from tb.audit_entry where object = %s order by n", (id,))
            return cursor.fetchall()

    def violations(self):
        with self.partner.db.cursor() as cursor:
            cursor.execute("select * from script.audit(%s)", (self.partner.book,))
            return cursor.fetchall()


@pytest.fixture
def team(sandbox):
    it = Team(sandbox)
    yield it
    assert it.violations() == []


# ---- pushing ----

def test_the_first_push_makes_the_script_and_each_further_one_a_version(team):
    assert team.author.get(SCRIPTS).json()["data"] == []
    answer = team.author.post(SCRIPTS, {"source": ALLOW, "note": "allows everything"})
    first = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == f"{SCRIPTS}/{first['script']}/versions/1"
    assert (first["version"], first["state"], first["author"], first["note"]) == (1, "draft", team.partner.app, "allows everything")
    assert not {"reviewer", "reviewed_at", "review_note"} & set(first), "nobody has seen it"
    second = team.push(ALLOW + "  -- again")
    assert (second["script"], second["version"]) == (first["script"], 2) and second["digest"] != first["digest"]
    assert [s["id"] for s in team.author.pages(SCRIPTS)] == [first["script"]]
    assert [v["version"] for v in team.author.pages(f"{SCRIPTS}/{first['script']}/versions", limit=1)] == [2, 1]
    assert team.author.get(answer.headers["location"]).json() == {**first, "source": ALLOW}
    script = team.script(first)
    assert script["versions"] == 2 and "active" not in script and script["breakers"] == script["failures"] == []


@pytest.mark.parametrize("source, told", [
    ("return {", "1"), ("local x = 1\nreturn { on_request = function(r) end end }", "2"),
    ("\x1bLJ\x02", ""), ("return 1", "table"), ("return {}", "no hook"), ("return { on_reqest = function() end }", "no hook"),
    ("return { on_request = 1 }", "function"), ("while true do end", ""), ("error('no')", "no"), ("return os.time()", "1"),
    ("-- " + "字" * 22000 + "\n" + ALLOW, "65536"),
], ids=["syntax", "line 2", "bytecode", "no table", "no hook", "misspelt", "no function", "endless", "raises", "no os", "too long"])
def test_a_text_that_is_no_script_is_refused_with_its_line_and_not_kept(team, source, told):
    problem = assert_problem(team.author.post(SCRIPTS, {"source": source}), 422, "script_invalid")
    assert told in problem["detail"] and problem["errors"][0]["pointer"] == "/source", problem
    assert team.author.get(SCRIPTS).json()["data"] == []


@pytest.mark.parametrize("body", [{}, {"source": ""}, {"source": "x" * 65537}, {"source": 1}, {"source": ALLOW, "note": ""},
                                  {"source": ALLOW, "author": "x"}, []])
def test_a_push_of_another_shape_is_refused(team, body):
    assert_problem(team.author.post(SCRIPTS, body), 422, "invalid_body")


def test_the_largest_text_can_be_pushed_and_comes_back_as_it_was(team):
    source = ALLOW + "\n--" + "x\t\"\\é漢🍐" * 3000
    source += " " * (65536 - len(source.encode()))
    made = team.push(source)
    assert team.author.get(f"{SCRIPTS}/{made['script']}/versions/1").json()["source"] == source


def test_a_push_that_is_repeated_makes_one_version(team):
    key = str(uuid.uuid4())
    one, two = [team.author.post(SCRIPTS, {"source": ALLOW}, key=key) for _ in range(2)]
    assert one.json() == two.json() and two.headers["idempotency-replayed"] == "true"
    assert_problem(team.author.post(SCRIPTS, {"source": ALLOW + " "}, key=key), 422, "idempotency_key_reused")
    assert_problem(team.author.post(SCRIPTS, {"source": ALLOW}, key=None), 400, "idempotency_key_missing")


# ---- reviewing ----

def test_the_author_does_not_review_what_it_pushed(team):
    made = team.push()
    assert_problem(team.review(made, client=team.author), 403, "review_by_author")
    answer = team.review(made, note="seen")
    version = answer.json()
    assert answer.status_code == 201 and version["state"] == "reviewed"
    assert (version["reviewer"], version["review_note"]) == (team.reviewer_app, "seen")
    assert_problem(team.review(made), 409, "conflict")


def test_what_was_rejected_never_runs(team):
    made = team.push()
    assert_problem(team.activate(made), 409, "not_reviewed")
    assert team.review(made, "reject").json()["state"] == "rejected"
    assert_problem(team.activate(made), 409, "not_reviewed")
    assert_problem(team.review(made), 409, "conflict")


def test_a_version_that_is_not_there_is_told_so(team):
    made = team.push()
    missing = {**made, "version": 2}
    for answer in (team.review(missing), team.activate(missing)):
        assert_problem(answer, 422, "unknown_version")
    for version in ("2", "0", "01", "-1", "x", "1.0", "99999999999999999999"):
        assert_problem(team.author.get(f"{SCRIPTS}/{made['script']}/versions/{version}"), 404, "not_found")


# ---- running ----

def test_a_version_runs_for_all_by_default_and_every_act_is_on_record(team):
    made = team.running()
    active = team.script(made)["active"]
    assert {"version": 1, "canary": 100, "on_request_failure": "deny", "on_response_failure": "skip",
            "activated_by": team.partner.app}.items() <= active.items() and "previous" not in active
    assert team.states(made) == {1: "active"}
    author, reviewer = "client:" + team.partner.app, "client:" + team.reviewer_app
    assert team.acts(made["script"]) == [("script.push", author), ("script.review", reviewer), ("script.activate", author)]


def test_a_canary_leaves_the_rest_to_the_version_before_until_it_serves_all(team):
    first, second = team.running(), team.running(ALLOW + " ", canary=10, on_request_failure="allow", on_response_failure="withhold")
    active = team.script(first)["active"]
    assert (active["version"], active["canary"], active["previous"]) == (2, 10, 1)
    assert (active["on_request_failure"], active["on_response_failure"]) == ("allow", "withhold")
    assert team.states(first) == {1: "active", 2: "active"}
    assert team.activate(second, canary=50).json()["previous"] == 1
    assert team.activate(second).json()["previous"] == 1
    assert team.states(first) == {1: "retired", 2: "active"}
    generations = [r["generation"] for r in (team.activate(second).json(), team.activate(second).json())]
    assert generations == [5, 6], "what this script had before, and nobody else's"
    assert team.script(first)["active"]["generation"] == 6


def test_activations_are_numbered_for_each_script_alone(team, sandbox):
    first = team.running()
    other = Scripted(sandbox, ALLOW)
    team.partner.run("select script.set_recording(%s, %s, true, 'x', now())", team.partner.book, first["script"])
    again = team.activate(first)
    assert again.json()["generation"] == team.script(first)["active"]["generation"] == 2
    assert other.one("select count(*) from script.activation where script = %s", other.script) == 1


def test_a_canary_that_gives_way_to_another_is_not_fallen_back_on(team):
    first = team.running()
    team.running(ALLOW + " ", canary=10)
    third = team.running(ALLOW + "  ", canary=20)
    assert team.script(first)["active"]["previous"] == 1
    assert team.states(first) == {1: "active", 2: "retired", 3: "active"}
    back = team.post(third, "rollbacks").json()
    assert (back["version"], back["kind"]) == (1, "rollback")


def test_a_rollback_returns_to_the_version_before_with_its_policies_once(team):
    first = team.running(on_request_failure="allow")
    assert_problem(team.post(first, "rollbacks"), 409, "nothing_before")
    team.running(ALLOW + " ")
    back = team.post(first, "rollbacks")
    assert back.status_code == 201 and back.headers["location"] == f"{SCRIPTS}/{first['script']}"
    assert (back.json()["version"], back.json()["on_request_failure"], back.json()["canary"]) == (1, "allow", 100)
    assert team.states(first) == {1: "active", 2: "retired"}
    assert_problem(team.post(first, "rollbacks"), 409, "nothing_before")
    assert team.activate({**first, "version": 2}).json()["previous"] == 1


def test_a_stopped_script_runs_no_version_until_one_is_activated(team):
    made = team.running()
    stopped = team.post(made, "stops").json()
    assert stopped["kind"] == "stop" and "version" not in stopped and "canary" not in stopped
    assert "active" not in team.script(made) and team.states(made) == {1: "retired"}
    assert_problem(team.post(made, "stops"), 409, "conflict")
    assert_problem(team.post(made, "rollbacks"), 409, "nothing_before")
    assert team.activate(made).status_code == 201


def test_a_rollback_that_is_repeated_steps_back_once(team):
    first = team.running()
    team.running(ALLOW + " ")
    key, path = str(uuid.uuid4()), f"{SCRIPTS}/{first['script']}/rollbacks"
    one, two = [team.author.post(path, None, key=key) for _ in range(2)]
    assert one.status_code == 201 and one.json() == two.json() and two.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("body", [{"version": 0}, {"version": "1"}, {"version": 1, "canary": 0}, {"version": 1, "canary": 101},
                                  {"version": 1, "on_request_failure": "skip"}, {"version": 1, "on_response_failure": "deny"}, {}])
def test_an_activation_of_another_shape_is_refused(team, body):
    made = team.push()
    assert_problem(team.author.post(f"{SCRIPTS}/{made['script']}/activations", body), 422, "invalid_body")


def test_many_activations_at_once_leave_one_that_runs(team):
    first, second = team.running(), team.push(ALLOW + " ")
    team.review(second)
    authors = [team.partner.client() for _ in range(8)]  # a client is one thread's

    def activate(own, n):
        made = (first, second)[n % 2]
        return own.post(f"{SCRIPTS}/{made['script']}/activations", {"version": made["version"], "canary": 1 + n})
    with ThreadPoolExecutor(8) as pool:
        answers = [a for some in pool.map(lambda k: [activate(authors[k], n) for n in range(k, 24, 8)], range(8)) for a in some]
    assert {a.status_code for a in answers} == {201}
    generations = [a.json()["generation"] for a in answers]
    assert len(set(generations)) == 24
    last = max(answers, key=lambda a: a.json()["generation"]).json()
    active = team.script(first)["active"]
    assert (active["version"], active["canary"], active["generation"]) == (last["version"], last["canary"], last["generation"])


def test_another_partners_script_is_not_found_and_its_versions_count_alone(team, sandbox):
    made, other = team.running(), Team(sandbox)
    theirs = other.push()
    assert theirs["script"] != made["script"] and theirs["version"] == 1
    assert_problem(other.author.get(f"{SCRIPTS}/{made['script']}"), 404, "not_found")
    for verb, body in (("reviews", {"version": 1, "verdict": "reject"}), ("activations", {"version": 1}), ("rollbacks", None),
                       ("stops", None)):
        assert_problem(other.author.post(f"{SCRIPTS}/{made['script']}/{verb}", body), 404, "not_found")
    assert team.script(made)["active"]["version"] == 1


def test_an_operators_name_is_not_told(team, sandbox, tmp_path):
    made = team.push()
    sandbox.cli("script", "review", "1", "--partner", team.partner.id, "--as", "wei")
    answer = team.author.get(f"{SCRIPTS}/{made['script']}/versions/1")
    assert answer.json()["reviewer"] == "bank" and "wei" not in answer.text


def test_what_workers_gave_up_is_told(team):
    made = team.running()
    for seconds in (0, 1, 31):  # the second is of another worker, while it is off
        team.partner.run("select script.note_failure(%s, %s, 1, 'on_request', 'error', %s, 'script:1: \"no\"',"
                         " now() + %s * interval '1 s', now() + %s * interval '1 s')",
                         team.partner.book, made["script"], str(uuid.uuid4()), seconds, seconds + 30)
    script = team.script(made)
    assert [(b["hook"], b["off"], b["times"], b["why"]) for b in script["breakers"]] == [("on_request", True, 2, 'script:1: "no"')]
    assert [f["ended"] for f in script["failures"]] == ["error"] * 3
    assert script["failures"][0]["at"] > script["failures"][1]["at"]
    assert ("script.turn_off", "worker") in team.acts(made["script"])


# ---- tables ----

def at(table, key):
    return f"{TABLES}/{table}/entries/{key}"


def put(client, table, key, value):
    return client.http.put(at(table, key), json={"value": value})


@pytest.mark.parametrize("value", [None, True, 0, -1, 9007199254740991, "", "漢\n\"", [], {}, {"a": [1, {"b": None}]}, "x" * 4094])
def test_an_entry_is_what_was_put(team, value):
    answer = put(team.author, "t", "k", value)
    assert answer.status_code == 201 and answer.json()["value"] == value
    entry = team.author.get(at("t", "k")).json()
    assert (entry["table"], entry["key"], entry["value"], entry["updated_by"]) == ("t", "k", value, team.partner.app)
    again = put(team.author, "t", "k", "other")
    assert again.status_code == 200 and team.author.get(at("t", "k")).json()["value"] == "other"


@pytest.mark.parametrize("text, status", [
    ("9223372036854775807", 201), ("-9223372036854775808", 201), ("9007199254740993", 201),
    ("9223372036854775808", 400), ("1" + "0" * 400, 400), ("1.5", 400), ("1e2", 400), ("1e400", 400), ("NaN", 400), ("'x'", 400),
    ("[" * 40 + "]" * 40, 400), ('{"a":1,"a":2}', 400), ('"\\ud800"', 400), ('"\\u0000"', 400), ("[" + "1," * 1500 + "1]", 400),
])
def test_a_number_is_kept_exactly_or_refused(team, text, status):
    answer = team.author.http.put(at("t", "k"), content='{"value":%s}' % text, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    if status == 201:
        assert f'"value":{text},' in team.author.get(at("t", "k")).text.replace(": ", ":")


@pytest.mark.parametrize("key", ["a", "acc_1", "ERP 7", "汉字", "a.b", "%", "..x", "k" * 128, "漢" * 128, "a?b#c", "+"])
def test_a_key_may_be_any_text(team, key):
    path = f"{TABLES}/t/entries/{quote(key, safe='')}"
    assert team.author.http.put(path, json={"value": 1}).status_code == 201
    assert team.author.get(path).json()["key"] == key
    assert [e["key"] for e in team.author.pages(f"{TABLES}/t/entries")] == [key]
    assert team.author.http.delete(path).status_code == 204


@pytest.mark.parametrize("table, key", [("T", "k"), ("1t", "k"), ("t-a", "k"), ("t" * 41, "k"), ("t", "k" * 129), ("%C3%A9", "k"),
                                        ("t", "k\x9b"), ("t", "k\u202e"), ("t", "\u200bk"), ("t", "k\u2028")])
def test_a_name_that_none_can_have_is_refused(team, table, key):
    assert_problem(put(team.author, table, key, 1), 400, "bad_request")
    assert_problem(team.author.get(at(table, key)), 404, "not_found")


def test_a_value_has_at_most_4096_bytes(team):
    assert put(team.author, "t", "k", "x" * 4094).status_code == 201
    problem = assert_problem(put(team.author, "t", "k", "x" * 4095), 422, "entry_too_large")
    assert problem["errors"][0]["pointer"] == "/value"
    assert_problem(put(team.author, "t", "k", "漢" * 1365), 422, "entry_too_large")
    assert team.author.get(at("t", "k")).json()["value"] == "x" * 4094


def test_the_last_entry_takes_its_table_along(team):
    for table, key in (("b", "1"), ("a", "1"), ("a", "2")):
        put(team.author, table, key, 1)
    assert [(t["name"], t["entries"]) for t in team.author.pages(TABLES, limit=1)] == [("a", 2), ("b", 1)]
    assert_problem(team.author.http.delete(at("a", "3")), 404, "not_found")
    for key in "12":
        assert team.author.http.delete(at("a", key)).status_code == 204
    assert_problem(team.author.get(f"{TABLES}/a/entries"), 404, "not_found")
    assert [t["name"] for t in team.author.pages(TABLES)] == ["b"]


def test_entries_come_by_key_both_ways(team):
    keys = [f"k{n:03d}" for n in range(25)]
    for key in reversed(keys):
        put(team.author, "t", key, key)
    assert [e["key"] for e in team.author.pages(f"{TABLES}/t/entries", limit=10)] == keys
    first = team.author.get(f"{TABLES}/t/entries?limit=10").json()
    back = team.author.get(f"{TABLES}/t/entries", params={"limit": 5, "ending_before": first["next_cursor"]}).json()
    assert [e["key"] for e in back["data"]] == keys[4:9] and back["has_more"]


def test_there_are_twenty_tables(team):
    for n in range(20):
        assert put(team.author, f"t{n}", "k", n).status_code == 201
    assert_problem(put(team.author, "t20", "k", 1), 409, "table_quota_exceeded")
    assert put(team.author, "t19", "k", 2).status_code == 200 and put(team.author, "t19", "l", 2).status_code == 201
    team.author.http.delete(at("t0", "k"))
    assert put(team.author, "t20", "k", 1).status_code == 201


def test_what_is_anothers_table_is_ones_own_to_name(team, sandbox):
    other = Team(sandbox)
    put(team.author, "payees", "a", "ours")
    assert_problem(other.author.get(at("payees", "a")), 404, "not_found")
    assert_problem(other.author.http.delete(at("payees", "a")), 404, "not_found")
    assert put(other.author, "payees", "a", "theirs").status_code == 201
    assert team.author.get(at("payees", "a")).json()["value"] == "ours"


def test_a_partner_of_another_book_has_tables_of_its_own(sandbox):
    """The same partner, apps in two worlds."""
    here, there = Team(sandbox), Team(sandbox, book=74)
    with there.partner.db.cursor() as cursor:
        cursor.execute("update bank.app set partner = %s where id = %s", (here.partner.id, there.reviewer_app))
    with sandbox.client(sandbox.cli("token", "--app", there.reviewer_app).strip()) as abroad:
        put(here.author, "t", "k", "here")
        assert_problem(abroad.get(at("t", "k")), 404, "not_found")
        made = here.push()
        assert abroad.get(SCRIPTS).json()["data"] == [] and abroad.post(SCRIPTS, {"source": ALLOW}).json()["script"] != made["script"]


# ---- by the command line ----

@pytest.fixture
def run(sandbox, team):
    """`run("script", "list")` for the team's partner: what it printed, as JSON; with another exit code, what it complained of."""
    def run(*arguments, exit_code=0, partner=True):
        whose = ["--partner", team.partner.id] if partner else []
        said = subprocess.run([os.path.join(sandbox.build, "tongbao"), *arguments, *whose, "--json"], capture_output=True, text=True,
                              check=False, timeout=60, env={**sandbox.environment(), "TB_CONFIG": sandbox.env["TB_CONFIG"]})
        assert said.returncode == exit_code, said.stdout + said.stderr
        if exit_code == 0:
            return json.loads(said.stdout)
        assert said.stdout == "" and all(line.startswith("tongbao ") for line in said.stderr.splitlines()), said.stderr
        return said.stderr
    return run


@pytest.fixture
def file(tmp_path):
    def file(text, name="script.lua"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)
    return file


def test_the_bank_takes_a_script_from_the_first_push_to_the_end(team, run, file):
    made = run("script", "push", file(ALLOW), "--note", "first", "--as", "wei")
    assert (made["version"], made["state"], made["author"]) == (1, "draft", "operator:wei")
    assert "whoever pushed" in run("script", "review", "1", "--as", "wei", exit_code=1)
    assert "nobody has reviewed" in run("script", "activate", "1", exit_code=1)
    reviewed = run("script", "review", "1", "--as", "lan", "--note", "good")
    assert (reviewed["state"], reviewed["author"], reviewed["reviewer"]) == ("reviewed", "operator:wei", "operator:lan")
    activated = run("script", "activate", "1", "--on-request-failure", "allow")
    who = "operator:" + (os.environ.get("SUDO_USER") or getpass.getuser())
    assert (activated["version"], activated["by"], activated["generation"]) == (1, who, 1)
    assert run("script", "show")["active"]["activated_by"] == who
    assert run("script", "record", "--days", "1")["by"] == who
    told = team.author.get(f"{SCRIPTS}/{made['script']}/versions/1").json()
    assert (told["author"], told["reviewer"]) == ("bank", "bank"), "the partner learns no names of the bank's people"
    assert "no version ran" in run("script", "rollback", exit_code=1)
    run("script", "push", file(ALLOW + " "), "--as", "wei")
    run("script", "review", "2", "--as", "lan")
    assert run("script", "activate", "2", "--canary", "5")["canary"] == 5
    [row] = run("script", "list")
    assert (row["id"], row["runs"], row["canary"], row["previous"], row["versions"], row["off"]) == (made["script"], 2, 5, 1, 2, False)
    assert run("script", "rollback")["version"] == 1
    assert run("script", "stop")["kind"] == "stop"
    shown = run("script", "show")
    assert [(v["version"], v["state"], v["reviewer"]) for v in shown["versions"]] == [(1, "retired", "operator:lan"), (2, "retired", "operator:lan")]
    one = run("script", "show", "1")
    assert (one["source"], one["author"], one["note"], one["review_note"]) == (ALLOW, "operator:wei", "first", "good")
    acts = team.acts(made["script"])
    assert [a for a, _ in acts] == ["script.push", "script.review", "script.activate", "script.record", "script.push", "script.review", "script.activate",
                                    "script.rollback", "script.stop"]
    assert len({w for _, w in acts}) == 1 and acts[0][1] not in ("operator:wei", "operator:lan"), "whoever ran the command is on record"
    assert json.loads(team.partner.sandbox.cli("audit", "--json")) == []


def test_nobody_reviews_under_another_name_what_he_pushed(run, file):
    run("script", "push", file(ALLOW))
    for name in ("lan", "wei"):
        assert "whoever pushed" in run("script", "review", "1", "--as", name, exit_code=1), "the author is who runs the command"
    run("script", "push", file(ALLOW), "--as", "Wei")
    for name in ("Wei", "wei", "WEI"):
        assert "whoever pushed" in run("script", "review", "2", "--as", name, exit_code=1)
    for name in ("wei ", " wei", "w\u200bei", "w\u0435i", "wei/", "operator:lan", "lan\n", "x" * 61):
        run("script", "review", "2", "--as", name, exit_code=2)
    assert run("script", "review", "2", "--as", "lan")["state"] == "reviewed"


def test_an_app_of_another_name_is_still_the_author(team):
    made = team.push()
    team.partner.run("update bank.app set name = 'Another name' where id = %s", team.partner.app)
    with team.partner.client() as again:  # another token, another connection
        assert_problem(team.review(made, client=again), 403, "review_by_author")
    assert team.review(made).status_code == 201


def test_what_was_reviewed_is_what_runs(team):
    """A version never changes: what is pushed after a review is another version, and a draft."""
    made = team.push()
    assert team.review(made).status_code == 201
    changed = team.push("return { on_request = function() return { deny = { code = 'changed' } } end }")
    assert changed["version"] == 2 and changed["state"] == "draft"
    assert_problem(team.activate(changed), 409, "not_reviewed")
    assert_problem(team.post(changed, "rollbacks"), 409, "nothing_before")
    assert team.activate(made).status_code == 201
    assert_problem(team.review(changed, client=team.author), 403, "review_by_author")
    assert_problem(team.review(made, "reject"), 409, "conflict")
    assert team.script(made)["active"]["version"] == 1


def test_a_rejected_version_is_rejected_by_the_bank_too(run, file):
    run("script", "push", file(ALLOW), "--as", "wei")
    assert run("script", "review", "1", "--as", "lan", "--reject")["state"] == "rejected"
    assert "rejected" in run("script", "activate", "1", exit_code=1)


@pytest.mark.parametrize("text, told", [
    ("return {\n on_request = }", ":2"), ("return {}", "no hook"), ("", "table"), ("x" * 65537, "65536"), ("\x1bLJ", "")])
def test_a_file_that_is_no_script_ends_with_1_and_its_line(run, file, text, told):
    path = file(text)
    assert told in run("script", "push", path, exit_code=1)
    assert run("script", "list") == []


def test_what_is_no_text_is_refused(run, tmp_path):
    for content in (b"return { on_request = function() end } --\xff", b"return { on_request = function() end } --\x00"):
        (tmp_path / "bad.lua").write_bytes(content)
        run("script", "push", str(tmp_path / "bad.lua"), exit_code=1)
    run("script", "push", str(tmp_path / "none.lua"), exit_code=3)


@pytest.mark.parametrize("arguments", [
    ("script", "show"), ("script", "rollback"), ("script", "push", "-"), ("script", "review", "1"), ("table", "list")])
def test_a_command_about_a_script_needs_its_partner(run, arguments):
    run(*arguments, exit_code=2, partner=False)


@pytest.mark.parametrize("arguments", [
    ("script", "activate", "x"), ("script", "activate", "0"), ("script", "activate", "1", "--canary", "0"),
    ("script", "activate", "1", "--on-request-failure", "skip"), ("script", "review", "1", "--as", ""), ("script", "review", "1001")])
def test_a_command_line_that_makes_no_sense_ends_with_2(run, arguments):
    run(*arguments, exit_code=2)


def test_what_is_not_there_ends_with_1_and_what_to_do(run, sandbox):
    for command in (["show"], ["activate", "1"], ["review", "1"], ["rollback"], ["stop"], ["dry-run", "--version", "1"]):
        assert "`tongbao script push` makes one" in run("script", *command, exit_code=1)
    sandbox.cli("script", "show", "--partner", new_id("ptr"), exit_code=1)


def test_a_partner_with_apps_in_two_worlds_is_asked_which(team, run, sandbox, file):
    abroad = Team(sandbox, book=75)
    with abroad.partner.db.cursor() as cursor:
        cursor.execute("update bank.app set partner = %s where id = %s", (team.partner.id, abroad.reviewer_app))
    path = file(ALLOW)
    run("script", "push", path, exit_code=1)
    run("script", "push", path, "--world", abroad.partner.world)
    assert team.author.get(SCRIPTS).json()["data"] == []
    assert [r["world"] for r in run("script", "list")] == [abroad.partner.world]
    run("script", "push", path, "--world", new_id("wld"), exit_code=1)


def test_the_bank_keeps_tables_and_what_it_writes_is_on_record(team, run):
    assert run("table", "put", "payees", "汉 字", '{"limit": 5}')["state"] == "written"
    assert run("table", "get", "payees", "汉 字")["value"] == {"limit": 5}
    assert run("table", "put", "payees", "b", '"x"')["state"] == "written"
    assert [(t["table"], t["entries"]) for t in run("table", "list")] == [("payees", 2)]
    assert [e["key"] for e in run("table", "list", "payees")] == ["b", "汉 字"]
    assert team.author.get(at("payees", "b")).json()["updated_by"] == "bank"
    assert run("table", "delete", "payees", "b")["state"] == "deleted"
    for arguments in (("get", "payees", "b"), ("delete", "payees", "b"), ("put", "Payees", "b", "1"), ("put", "t", "k", "{"),
                      ("put", "t", "k", '"' + "x" * 4095 + '"')):
        run("table", *arguments, exit_code=1)
    assert [a for a, _ in team.acts(team.partner.id)] == ["entry.put", "entry.put", "entry.delete"]
