"""Proof before use: requests of a partner that asked for it are recorded, redacted and bounded; a version is tried on them,
and what it would change is told exactly."""

import glob
import json
import os
import re
import socket
import ssl
import time
import uuid

import pytest

from harness import Sandbox
from harness.client import assert_problem
from harness.partner import Partner, new_id
from harness.sandbox import ROOT, wait_until
from harness.scripted import await_workers

RECORDING = "/scripts/v1/recording"
SCRIPTS = "/scripts/v1/scripts"
ALLOW = "return { on_request = function(request) end }"
# Denies what is above 100.00, sends what is above 50.00 another way, names a purpose where the reference says "set", and
# breaks on "break".
JUDGE = """
return {
    on_request = function(request)
        local body = request.body
        if request.method ~= "POST" then return end
        if string.sub(body.reference, 1, 5) == "break" then error("not this one") end
        if body.amount.amount > 10000 then
            return { deny = { code = "above_limit", detail = "at most 100.00" } }
        end
        if body.amount.amount > 5000 then return { route = { channel = "slow" } } end
        if string.sub(body.reference, 1, 3) == "set" then return { set = { purpose = "rent" } } end
    end,
}"""


class Recorded:
    """A partner with two accounts, whose requests are recorded."""

    def __init__(self, sandbox, redact=(), record=True):
        self.partner = Partner(sandbox, "Recorded")
        self.client = self.partner.client()
        self.debtor, self.creditor = self.partner.account(minor=10_000_000), self.partner.account(minor=0)
        if record:
            answer = self.client.http.put(RECORDING, json={"days": 1, "redact": list(redact)})
            assert answer.status_code == 200, answer.text
            self.await_workers()

    def await_workers(self):
        """Until every worker knows whether it is recorded."""
        await_workers(self.partner.sandbox, self.partner.one("select generation from script.script where partner = %s", self.partner.id))

    def pay(self, amount, reference="pay", **members):
        return self.client.pay(self.debtor, self.creditor, amount, reference=f"{reference}-{uuid.uuid4()}", **members)

    def recording(self):
        answer = self.client.get(RECORDING)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def await_recordings(self, n):
        return wait_until(lambda: self.recording()["recordings"] >= n and self.recording(), 10, f"{n} recordings")

    def rows(self):
        with self.partner.db.cursor() as cursor:
            cursor.execute("select r.request_id, r.status, r.verdict, r.request from script.recording r join script.script s"
                           " on s.book = r.book and s.id = r.script where s.partner = %s order by r.n", (self.partner.id,))
            return [(id, status, verdict, json.loads(text)) for id, status, verdict, text in cursor.fetchall()]

    def push(self, source):
        answer = self.client.post(SCRIPTS, {"source": source})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def dry_run(self, made, **more):
        answer = self.client.post(f"{SCRIPTS}/{made['script']}/dry-runs", {"version": made["version"], **more}, key=None)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def done(self, path, status="done", seconds=30):
        return wait_until(lambda: (it := self.client.get(path).json())["status"] != "running" and it, seconds, "its end")


@pytest.fixture
def recorded(sandbox):
    return Recorded(sandbox)


# ---- recording ----

def test_nothing_is_recorded_unless_somebody_asks_for_it(sandbox):
    it = Recorded(sandbox, record=False)
    assert it.recording() == {"object": "recording", "active": False, "redact": [], "recordings": 0, "bytes": 0}
    it.push(ALLOW)
    it.await_workers()
    assert it.pay(100).status_code == 201
    time.sleep(1.0)
    assert it.rows() == [] and it.recording()["active"] is False


def test_recordings_are_what_the_script_is_given_and_how_it_ended(recorded):
    paid = recorded.pay(4200, purpose="goods")
    refused = recorded.client.post("/e-payment/v1/payments", {"amount": 1})
    read = recorded.client.get(f"/accounts/v1/accounts/{recorded.debtor}?")
    assert (paid.status_code, refused.status_code, read.status_code) == (201, 422, 200)
    told = recorded.await_recordings(3)
    assert told["active"] and told["by"] == recorded.partner.app and told["bytes"] > 0
    rows = recorded.rows()
    assert [row[1] for row in rows] == [201, 422, 200]
    assert [row[0] for row in rows] == [a.headers["x-request-id"] for a in (paid, refused, read)]
    assert {row[2] for row in rows} == {"none"}
    first = rows[0][3]
    assert first["id"] == rows[0][0] and first["partner"] == recorded.partner.id
    assert first["body"]["amount"] == {"amount": 4200, "currency": "CNY"}
    token = recorded.client.http.headers["authorization"].split()[1]
    assert all(token not in json.dumps(row[3]) for row in rows)


def test_what_is_named_is_left_out_and_long_texts_are_cut(sandbox):
    it = Recorded(sandbox, redact=["/reference", "/amount/currency", "/metadata/*"])
    refused = it.pay(4200, metadata={"secret": "hush hush"}, purpose="goods", note="x" * 3000)
    assert refused.status_code == 422  # there is no such member; the script would have seen it all the same
    it.await_recordings(1)
    body = it.rows()[0][3]["body"]
    assert body["reference"] == "[redacted]" and body["metadata"] == {"secret": "[redacted]"}
    assert body["amount"] == {"amount": 4200, "currency": "[redacted]"}
    assert body["note"] == "x" * 512 and body["purpose"] == "[redacted]"
    with it.partner.db.cursor() as cursor:
        cursor.execute("select count(*) from script.recording where request like '%%hush%%'")
        assert cursor.fetchone()[0] == 0


@pytest.mark.parametrize("body", [{"days": 0}, {"days": 31}, {}, {"days": 1, "redact": ["name"]}, {"days": 1, "redact": ["/a~"]}])
def test_what_makes_no_sense_as_a_recording_is_refused(sandbox, body):
    it = Recorded(sandbox, record=False)
    assert_problem(it.client.http.put(RECORDING, json=body), 422, "invalid_body")


def test_recording_ends_and_is_forgotten(recorded):
    recorded.pay(100)
    recorded.await_recordings(1)
    assert recorded.client.http.delete(RECORDING).status_code == 204
    assert recorded.rows() == []
    recorded.await_workers()
    recorded.pay(100)
    time.sleep(1.0)
    told = recorded.recording()
    assert recorded.rows() == [] and told["active"] is False and told["recordings"] == 0
    with recorded.partner.db.cursor() as cursor:
        cursor.execute("select act, who from tb.audit_entry where object = %s order by n", (told["script"],))
        who = "client:" + recorded.partner.app
        assert cursor.fetchall() == [("script.record", who), ("script.stop_recording", who)]


def test_nothing_is_recorded_beyond_its_end(recorded):
    script = recorded.recording()["script"]
    recorded.partner.run("update script.recording_switch set until = now() where script = %s", script)
    recorded.pay(100)
    time.sleep(1.0)
    assert recorded.rows() == []


# ---- dry runs ----

def test_a_dry_run_tells_exactly_what_a_version_would_do(recorded):
    denied = [recorded.pay(20_000).headers["x-request-id"] for _ in range(3)]
    routed = [recorded.pay(7_000).headers["x-request-id"] for _ in range(2)]
    changed = recorded.pay(100, reference="set").headers["x-request-id"]
    broken = recorded.pay(100, reference="break").headers["x-request-id"]
    for _ in range(5):
        assert recorded.pay(100).status_code == 201
    recorded.await_recordings(12)
    path = recorded.dry_run(recorded.push(JUDGE))
    ended = recorded.done(path)
    assert ended["status"] == "done" and "against" not in ended
    assert (ended["recordings"], ended["differences"]) == (12, 7)
    counts = ended["counts"]
    assert counts["replayed"] == 12 and counts["changed"] == 7
    after = {k: v for k, v in counts["after"].items() if not k.endswith("_ns")}
    assert after == {"allow": 8, "deny": 3, "error": 1, "route": 2, "set": 1, "limit": 0, "approvals": 0}
    assert counts["before"]["allow"] == 12 and counts["before"]["mean_ns"] == 0
    assert 0 < counts["after"]["mean_ns"] <= counts["after"]["slowest_ns"]
    assert counts["changes"] == {"allow": 0, "deny": 3, "error": 1, "route": 2, "set": 1, "limit": 0, "approvals": 0, "words": 0}
    samples = {k: sorted(v) for k, v in counts["samples"].items()}
    assert samples == {"deny": sorted(denied), "route": sorted(routed), "set": [changed], "error": [broken]}

    answer = recorded.client.get(path + "/differences")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-ndjson"
    lines = {line["request_id"]: line for line in map(json.loads, answer.text.splitlines())}
    assert set(lines) == set(denied + routed + [changed, broken])
    assert lines[denied[0]]["after"] == {"verdict": "deny", "decision": {"deny": {"code": "above_limit", "detail": "at most 100.00"}}}
    assert lines[denied[0]]["before"] == {"verdict": "allow"} and lines[denied[0]]["changes"] == ["deny"]
    assert lines[broken]["after"]["verdict"] == "error" and "not this one" in lines[broken]["after"]["why"]


def test_a_version_is_held_against_another(recorded):
    for amount in (20_000, 7_000, 100):
        recorded.pay(amount)
    recorded.await_recordings(3)
    first = recorded.push(JUDGE)
    softer = recorded.push(JUDGE.replace("10000", "30000").replace("slow", "fast"))
    counts = recorded.done(recorded.dry_run(softer, against=first["version"]))["counts"]
    assert counts["before"]["deny"] == 1 and counts["after"]["deny"] == 0
    assert counts["changes"] == {"allow": 1, "deny": 0, "error": 0, "route": 1, "set": 0, "limit": 0, "approvals": 0, "words": 0}
    same = recorded.done(recorded.dry_run(first, against=first["version"]))
    assert same["counts"]["changed"] == 0 and recorded.client.get(
        f"{SCRIPTS}/{first['script']}/dry-runs/{same['id']}/differences").text == ""
    assert recorded.done(recorded.dry_run(first, against=None, limit=1))["recordings"] == 1


def test_a_dry_run_gives_the_same_answer_twice(recorded):
    for _ in range(20):
        recorded.pay(100)
    recorded.await_recordings(20)
    chance = recorded.push("""
        return { on_request = function(request)
            if tb.random(2) == 1 then return { deny = { code = "chance", detail = tostring(tb.now()) } } end
        end }""")
    paths = [recorded.dry_run(chance) for _ in range(2)]
    first, second = (recorded.done(path) for path in paths)
    assert first["counts"]["replayed"] == 20 and 0 < first["counts"]["after"]["deny"] < 20
    said = [[json.loads(line) for line in recorded.client.get(path + "/differences").text.splitlines()] for path in paths]
    assert said[0] == said[1]
    assert first["counts"]["samples"] == second["counts"]["samples"]


def test_tables_are_read_as_they_are_now(recorded):
    recorded.pay(100)
    recorded.await_recordings(1)
    reader = recorded.push("""
        return { on_request = function(request)
            if tb.lookup("payees", request.body.creditor_account) then return { deny = { code = "listed" } } end
        end }""")
    assert recorded.done(recorded.dry_run(reader))["counts"]["after"]["deny"] == 0
    entry = f"/scripts/v1/tables/payees/entries/{recorded.creditor}"
    assert recorded.client.http.put(entry, json={"value": True}).status_code < 300
    told = recorded.done(recorded.dry_run(reader))
    assert told["counts"]["after"]["deny"] == 1 and "now" in told["lookups"] or "during" in told["lookups"]


def test_others_see_neither_recordings_nor_dry_runs(sandbox, recorded):
    recorded.pay(20_000)
    recorded.await_recordings(1)
    path = recorded.dry_run(recorded.push(JUDGE))
    assert recorded.done(path)["counts"]["replayed"] == 1
    other = Recorded(sandbox)
    theirs = other.push(JUDGE)
    assert other.recording()["recordings"] == 0
    assert other.done(other.dry_run(theirs))["recordings"] == 0
    for where in (path, path + "/differences", path.replace(recorded.recording()["script"], theirs["script"])):
        assert_problem(other.client.get(where), 404, "not_found")
    assert_problem(other.client.http.delete(path), 404, "not_found")
    script = recorded.recording()["script"]
    assert_problem(other.client.post(f"{SCRIPTS}/{script}/dry-runs", {"version": 1}, key=None), 404, "not_found")


def test_a_dry_run_of_nothing_there_is_refused(recorded):
    made = recorded.push(ALLOW)
    path = f"{SCRIPTS}/{made['script']}/dry-runs"
    problem = assert_problem(recorded.client.post(path, {"version": 7}, key=None), 422, "invalid_body")
    assert problem["errors"][0]["pointer"] == "/version"
    problem = assert_problem(recorded.client.post(path, {"version": 1, "against": 7}, key=None), 422, "invalid_body")
    assert problem["errors"][0]["pointer"] == "/against"
    assert_problem(recorded.client.get(f"{path}/{new_id('dry')}"), 404, "not_found")
    assert recorded.done(recorded.dry_run(made))["recordings"] == 0


def fill(it, n):
    """So many recordings at once, straight in the books."""
    script = it.recording()["script"]
    request = json.dumps({"id": "r", "method": "POST", "path": "/e-payment/v1/payments", "world_time": "2026-11-23T08:00:00.000Z",
                          "body": {"reference": "INV", "purpose": "goods", "amount": {"amount": 20000, "currency": "CNY"}}})
    it.partner.run("insert into script.recording (n, world_ms, at, forget_at, book, bytes, status, script, verdict,"
                   " request_id, request)"
                   " select i, 0, now(), now() + interval '1 day', %s, %s, 201, %s, 'none', 'r-' || i, %s from generate_series(1, %s) i",
                   it.partner.book, len(request), script, request, n)


def test_differences_come_in_pages(recorded):
    made = recorded.push(JUDGE)
    fill(recorded, 12_000)
    path = recorded.dry_run(made)
    ended = recorded.done(path)
    assert ended["counts"]["changes"]["deny"] == 12_000 and ended["differences"] == 10_000
    seen, where = [], path + "/differences"
    while where:
        answer = recorded.client.get(where)
        assert answer.status_code == 200 and len(answer.content) < 512 * 1024
        seen += [json.loads(line)["request_id"] for line in answer.text.splitlines()]
        link = answer.headers.get("link", "")
        where = link[1:link.index(">")] if 'rel="next"' in link else None
    assert seen == [f"r-{i}" for i in range(1, 10_001)]


def test_a_dry_run_can_be_ended_and_two_run_at_a_time(recorded):
    made = recorded.push(JUDGE)
    fill(recorded, 60_000)
    paths = [recorded.dry_run(made) for _ in range(2)]
    assert_problem(recorded.client.post(f"{SCRIPTS}/{made['script']}/dry-runs", {"version": 1}, key=None), 409, "conflict")
    for path in paths:
        assert recorded.client.http.delete(path).status_code == 200
    for path in paths:
        ended = recorded.done(path)
        assert ended["status"] == "cancelled" and ended["counts"]["replayed"] < 60_000


def test_a_version_that_takes_all_its_time_fails_on_requests_not_on_the_worker(recorded):
    for _ in range(3):
        recorded.pay(100)
    recorded.await_recordings(3)
    ended = recorded.done(recorded.dry_run(recorded.push("return { on_request = function() while true do end end }")))
    assert ended["status"] == "done" and ended["counts"]["after"]["error"] == 3
    assert recorded.pay(100).status_code == 201


# ---- by the command line ----

def test_the_bank_records_and_tries_versions_for_a_partner(sandbox, tmp_path):
    it = Recorded(sandbox, record=False)
    whose = ("--partner", it.partner.id)
    begun = json.loads(sandbox.cli("script", "record", *whose, "--days", "1", "--redact", "/reference,/metadata/*", "--json"))
    assert begun["active"] and begun["by"].startswith("operator:") and begun["redact"] == ["/reference", "/metadata/*"]
    it.await_workers()
    for amount in (20_000, 20_000, 7_000, 100):
        it.pay(amount)
    it.await_recordings(4)
    it.push(JUDGE)
    said = sandbox.cli("script", "dry-run", *whose, "--version", "1")
    assert "version 1 on 4 recorded requests, against no script: 3 would go another way" in said
    assert "would deny 2:" in said and "would route 1 elsewhere:" in said and "slowest" in said
    assert "not as they were" in said
    lines = tmp_path / "lines"
    result = json.loads(sandbox.cli("script", "dry-run", *whose, "--version", "1", "--against", "1", "--json"))
    assert result["counts"]["changed"] == 0 and result["by"] == begun["by"] and result["status"] == "done"
    sandbox.cli("script", "dry-run", *whose, "--version", "1", "--against", "none", "--limit", "2", "--differences", str(lines))
    told = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [line["changes"] for line in told] == [["route"]]
    assert it.rows()[0][3]["body"]["reference"] == "[redacted]"
    assert sandbox.cli("script", "record", *whose, "--off", "--json") and len(it.rows()) == 4
    assert json.loads(sandbox.cli("script", "record", *whose, "--forget", "--json"))["recordings"] == 0


@pytest.mark.parametrize("options", [["--days", "0"], ["--days", "31"], ["--days", "1", "--off"], ["--days", "1", "--redact", "a"]])
def test_a_recording_that_makes_no_sense_is_refused_by_the_command(sandbox, options):
    sandbox.cli("script", "record", "--partner", new_id("ptr"), *options, exit_code=2)


def test_a_dry_run_needs_a_version_there_is(sandbox, recorded):
    whose = ("--partner", recorded.partner.id)
    sandbox.cli("script", "dry-run", *whose, exit_code=2)
    sandbox.cli("script", "dry-run", *whose, "--version", "1", exit_code=1)
    sandbox.cli("script", "dry-run", *whose, "--version", "1", "--against", "x", exit_code=2)


# ---- what products mark ----

def test_what_a_schema_marks_as_sensitive_is_left_out(recorded):
    paid = recorded.pay(100, purpose="for Li Hua's medicine")
    refund = recorded.client.post(f"/e-payment/v1/payments/{paid.json()['id']}/refunds", {"reason": "Li Hua recovered"})
    assert (paid.status_code, refund.status_code) == (201, 201), refund.text
    recorded.await_recordings(2)
    first, second = [row[3]["body"] for row in recorded.rows()]
    assert first["purpose"] == second["reason"] == "[redacted]" and first["amount"]["amount"] == 100
    assert "Hua" not in json.dumps(recorded.rows())


def free_texts(schema, pointer=""):
    """Members of a schema that take what people write, "Li Hua, 138 0013 8000", with what the schema says of them."""
    if schema.get("type") == "string" and not {"enum", "const"} & set(schema) and schema.get("format", "tb-line") == "tb-line":
        if re.search(schema.get("pattern", ""), "Li Hua, 138 0013 8000"):
            yield pointer, schema
    for name, member in schema.get("properties", {}).items():
        yield from free_texts(member, f"{pointer}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from free_texts(schema["items"], pointer + "/*")


def test_every_free_text_that_a_body_takes_is_marked():
    """The partner's own metadata is its own to leave out."""
    found = []
    for source in glob.glob(os.path.join(ROOT, "plugins/*/*.c")):
        product = os.path.basename(os.path.dirname(source))
        with open(source, encoding="utf-8") as file:
            names = re.findall(r'\.body_schema = "(\w+)"', file.read())
        for name in names:
            with open(os.path.join(ROOT, "schemas", product, name + ".json"), encoding="utf-8") as file:
                found += [(product, name, *text) for text in free_texts(json.load(file))]
    assert len(found) >= 2
    assert [place[:3] for place in found if place[3].get("x-sensitive") is not True] == []


# ---- until when ----

def test_the_clerk_deletes_what_is_old_by_the_banks_clock(recorded):
    recorded.pay(100)
    recorded.await_recordings(1)
    recorded.partner.run("update script.recording r set forget_at = now() from script.script s"
                         " where s.book = r.book and s.id = r.script and s.partner = %s", recorded.partner.id)
    wait_until(lambda: recorded.rows() == [], 30, "the clerk forgets it")
    told = recorded.recording()
    assert (told["recordings"], told["bytes"], told["active"]) == (0, 0, True)


def test_a_recording_is_due_by_the_banks_clock_not_by_the_worlds(sandbox):
    """A sandbox whose clock is years ahead keeps what was recorded today."""
    it = Recorded(sandbox, record=False)
    it.client.http.put(RECORDING, json={"days": 1})
    it.await_workers()
    before = it.partner.one("select clock_offset_ms from bank.world where id = %s", it.partner.world)
    try:
        it.partner.run("update bank.world set clock_offset_ms = %s where id = %s", 3 * 365 * 86_400_000, it.partner.world)
        time.sleep(1.5)
        it.pay(100)
        it.await_recordings(1)
    finally:
        it.partner.run("update bank.world set clock_offset_ms = %s where id = %s", before, it.partner.world)
    kept = "select extract(epoch from forget_at - now()) from script.recording r join script.script s on s.id = r.script where s.partner = %s"
    assert 6.9 * 86400 < it.partner.one(kept, it.partner.id) < 7.1 * 86400
    assert it.rows()[0][3]["world_time"][:4] > "2028", "the script is told the world's time"


# ---- beside other requests ----

def work_before_an_answer(sandbox, token):
    """The processor time that a worker spends between a request, which waits for nothing, and its answer: seconds, of which nine
    in ten requests see less. What else the machine does changes it little. No client between: it would take longer than that."""
    [worker] = sandbox.pids()
    clock = ~worker << 3 | 2  # CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) makes it
    request = f"GET /example/v1/ping HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    spent = []
    with socket.create_connection(("127.0.0.1", sandbox.port)) as tcp:
        with ssl.create_default_context(cafile=sandbox.ca).wrap_socket(tcp, server_hostname="localhost") as connection:
            for _ in range(1000):
                before = time.clock_gettime(clock)
                connection.sendall(request)
                answer = connection.recv(16384)
                spent.append(time.clock_gettime(clock) - before)
                assert answer.startswith(b"HTTP/1.1 200 ")
                while not answer.endswith(b"}"):
                    answer = connection.recv(16384)
    return sorted(spent)[len(spent) * 9 // 10]


def test_other_requests_do_not_notice_a_dry_run():
    """A request that comes while dry runs compute is answered before them: no more work of theirs lies in its way than a turn."""
    with Sandbox(settings={"TB_WORKERS": "1"}) as sandbox:
        it = Recorded(sandbox)
        made = it.push(JUDGE)
        fill(it, 60_000)
        other = Partner(sandbox).token()
        work_before_an_answer(sandbox, other)
        alone = work_before_an_answer(sandbox, other)
        runs = [it.dry_run(made) for _ in range(2)]
        beside = work_before_an_answer(sandbox, other)
        still = [it.client.get(where).json()["status"] for where in runs].count("running")
        for where in runs:
            it.client.http.delete(where)
        print(f"work before an answer: alone {alone * 1000:.2f} ms, beside dry runs {beside * 1000:.2f} ms, {still} of 2 still running")
        assert still > 0, "the dry runs were over before anybody could notice them"
        assert beside < 2 * alone + 0.001
