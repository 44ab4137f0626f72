"""Scripts where things die: whatever a script waits for, decides or fails at, and whoever is killed meanwhile, there is one
effect or none, and what was answered once is answered again. Every test ends with `tongbao audit`."""

import collections
import itertools
import threading
import time
import uuid

import pytest
from yardstick import slowness

from harness import Sandbox
from harness.client import assert_problem
from harness.faults import FAULTY_BUILD, Asked, Held, kill, rows, until_settled
from harness.sandbox import wait_until
from harness.scripted import Scripted, answering, await_workers, hook

PAYMENTS, SCRIPTS, TABLES = "/e-payment/v1/payments", "/scripts/v1/scripts", "/scripts/v1/tables"
ENTRIES = "lock table script.entry in access exclusive mode"  # what tb.lookup reads
CHAIN = "select pg_advisory_xact_lock(7151283, 1)"  # of the record of acts, which each step in a script's life takes last
DENY = hook('return { deny = { code = "no" } }')


@pytest.fixture(scope="module")
def bank():
    # A script may wait longer than a lock is held here, and the sanitizers make it slow.
    settings = {"TB_WORKERS": "2", "TB_SCRIPT_WALL": "20s", "TB_SCRIPT_CPU": "200ms"}
    with Sandbox(build=FAULTY_BUILD, settings=settings) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def audited(bank):
    yield
    assert "nothing wrong" in bank.cli("audit")


class Paying(Scripted):
    """A partner with a script that sends a payment again and again, each time over a new connection."""

    def __init__(self, sandbox, source=None, **how):
        super().__init__(sandbox, source, **how)
        self.bearer = self.http.http.headers["authorization"].split()[1]

    def await_workers(self):
        """Over a connection of its own: the database may have fallen since the last time."""
        [(generation,)] = rows(self.sandbox, "select generation from script.script where book = %s and id = %s", self.book, self.script)
        await_workers(self.sandbox, generation)

    def anew(self):
        return self.sandbox.client(self.bearer, timeout=20)

    def payment(self, amount=100):
        """A payment of its own under a key of its own: a function that sends it, and its reference."""
        key, reference = str(uuid.uuid4()), f"FAULT-{uuid.uuid4()}"

        def send():
            with self.anew() as client:
                return client.pay(self.a, self.b, amount, reference=reference, key=key)
        return send, reference

    def made(self, reference):
        return [id for (id,) in rows(self.sandbox, "select id from e_payment.payment where reference = %s", reference)]

    def balance(self):
        return rows(self.sandbox, "select balance from bank.account where id = %s", self.b)[0][0]


def replayed(answer):
    return answer.headers.get("idempotency-replayed") == "true"


# ---- a script that waits ----

LOOKING = {
    "on_request": hook("""
        if request.method ~= "POST" then return end
        return { route = { channel = tb.lookup("rules", "all").channel } }"""),
    "on_response": answering("""
        if request.method ~= "POST" then return end
        return { set = { purpose = tb.lookup("rules", "all").channel } }"""),
}


@pytest.mark.parametrize("victim", ["workers", "postgres"])
@pytest.mark.parametrize("name", LOOKING)
def test_who_dies_while_a_script_waits_for_an_entry_leaves_one_effect(bank, name, victim):
    it = Paying(bank, LOOKING[name])
    it.put("rules", "all", '{"channel": "rail"}')
    send, reference = it.payment()
    committed = name == "on_response"
    with Held(bank, ENTRIES) as held:
        asked = Asked(send)
        assert "script.lookup" in str(held.wait())
        assert len(it.made(reference)) == committed
        kill(bank, victim)
    answer = asked.end()
    if victim == "workers":
        assert answer is None, "its connection died with its worker"
    elif committed:  # the answer as it is stored, for that was done
        assert answer.status_code == 201 and answer.json()["purpose"] == "goods"
    else:
        assert_problem(answer, 503, "store_unavailable")
        assert it.made(reference) == []

    settled, again = until_settled(send), until_settled(send)
    assert settled.status_code == 201 and replayed(settled) == committed
    assert settled.json()["purpose" if committed else "channel"] == "rail", "the script is asked again"
    assert replayed(again) and again.content == settled.content
    assert it.made(reference) == [settled.json()["id"]]
    assert it.balance() == 1_000_000 + 100


def test_a_lost_answer_is_given_whatever_the_script_says_by_then(bank):
    it = Paying(bank, LOOKING["on_response"])
    it.put("rules", "all", '{"channel": "rail"}')
    send, reference = it.payment()
    with Held(bank, ENTRIES) as held:
        asked = Asked(send)
        held.wait()
        kill(bank, "workers")
    assert asked.end() is None and len(it.made(reference)) == 1
    it.http = it.anew()
    stored = None
    for source in (DENY, hook("error('x')"), hook('return { set = { amount = { amount = 99 } } }')):
        it.activate(source)
        again = until_settled(send)
        assert again.status_code == 201 and replayed(again), again.text
        stored = stored or again.content
        assert again.content == stored
    it.point(1, kind="rollback")
    it.await_workers()
    again = until_settled(send)
    assert replayed(again) and again.json()["purpose"] == "rail"
    assert it.made(reference) == [again.json()["id"]]
    assert it.balance() == 1_000_000 + 100


# ---- a script that fails after the commit ----

@pytest.mark.parametrize("body, ended", [
    ("error('after the commit')", "error"), ("while true do end", "budget"),
    ("local t = {} while true do t[#t + 1] = ('x'):rep(60000) .. #t end", "memory")], ids=["error", "budget", "memory"])
def test_a_script_that_fails_after_the_commit_changes_nothing_and_is_told_of(bank, body, ended):
    it = Paying(bank, answering(f"if request.method == 'POST' then {body} end"))
    send, reference = it.payment()
    first, again = send(), send()
    assert first.status_code == again.status_code == 201 and first.content == again.content
    assert replayed(again) and not replayed(first)

    def told():
        return it.http.get(f"{SCRIPTS}/{it.script}").json()["failures"]
    failure = wait_until(told, 5, "the failure stands where the partner looks")[-1]
    assert (failure["hook"], failure["ended"], failure["version"]) == ("on_response", ended, 1)
    assert failure["request_id"] == first.headers["x-request-id"]
    assert it.trace(first)["scripts"][0]["verdict"] == ended

    it.point(1, on_response="withhold")
    it.await_workers()
    other, other_reference = it.payment(10)
    for withheld in (other(), other(), send()):
        assert_problem(withheld, 502, "answer_withheld")
    it.point(1, on_response="skip")
    it.await_workers()
    assert send().content == first.content
    given = other()
    assert given.status_code == 201 and replayed(given)
    assert it.made(reference) == [first.json()["id"]] and it.made(other_reference) == [given.json()["id"]]
    assert it.balance() == 1_000_000 + 110


# ---- two versions and one key ----

VERSIONS = {
    "map": hook('if request.method == "POST" then return { set = { purpose = "new" }, route = { channel = "new" } } end'),
    "deny": hook('if request.method == "POST" then return { deny = { code = "no" } } end'),
}


@pytest.mark.parametrize("new", VERSIONS)
def test_a_key_that_meets_both_versions_of_a_canary_has_one_effect(bank, new):
    it = Paying(bank)
    old = it.push(hook('if request.method == "POST" then return { route = { channel = "old" } } end'))
    it.point(it.push(VERSIONS[new]), old, canary=50)
    it.await_workers()
    channels = collections.Counter()
    for n in range(8):
        send, reference = it.payment(1)
        answers = [asked.end() for asked in [Asked(send) for _ in range(3)]]
        if n == 4:
            kill(bank, "workers")
        answers += [until_settled(send) for _ in range(4)]
        given = [answer for answer in answers if answer.status_code == 201]
        assert {answer.status_code for answer in answers} <= {201, 403, 409}, answers
        assert len({answer.content for answer in given}) <= 1, "one answer"
        assert it.made(reference) == list({answer.json()["id"] for answer in given}), "one effect, or none"
        assert sum(not replayed(answer) for answer in given) <= 1
        later = itertools.dropwhile(lambda answer: answer.status_code != 201, answers[3:])
        assert {answer.status_code for answer in later} <= {201}, "what was done is not denied any more"
        channels.update(answer.json()["channel"] for answer in given[:1])
    assert set(channels) == ({"old", "new"} if new == "map" else {"old"}), channels
    assert it.balance() == 1_000_000 + channels.total()


# ---- steps in a script's life ----

class Team(Paying):
    """A partner whose apps push, review and activate over the API; the versions deny reading under names of their own."""

    def __init__(self, sandbox):
        super().__init__(sandbox)
        reviewer = self.add_app([("", "", "test", 10**9, 60_000)])
        self.reviewer = sandbox.cli("token", "--app", reviewer).strip()

    def step(self, verb, body=None, by=None):
        """A function that takes a step, under one key however often it is called."""
        key = str(uuid.uuid4())

        def send():
            with self.sandbox.client(by or self.bearer, timeout=20) as client:
                return client.post(SCRIPTS + (f"/{self.script}/{verb}" if verb else ""), body, key=key)
        return send

    def steps(self, name, version):
        """The steps from a text to one that runs, and back."""
        source = hook(f'if request.method == "GET" then return {{ deny = {{ code = "{name}" }} }} end')
        return [self.step("", {"source": source}), self.step("reviews", {"version": version, "verdict": "approve"}, self.reviewer),
                self.step("activations", {"version": version}), self.step("rollbacks")]

    def state(self):
        """What runs, the states of all versions, and how many activations and acts are on record; all at one moment."""
        version, previous, canary, states, activations, acts = rows(self.sandbox, """
            select s.version, s.previous, s.canary,
                   (select jsonb_object_agg(v.version, v.state) from script.version v where v.script = s.id),
                   (select count(*) from script.activation a where a.script = s.id),
                   (select count(*) from tb.audit_entry a where a.object = s.id)
              from script.script s where s.id = %s""", self.script)[0]
        return (version, previous, canary), states, activations, acts

    def runs_everywhere(self, code):
        """Once every worker knows of a step, all agree about what runs; it says `code`."""
        self.await_workers()
        clients = [self.anew() for _ in range(12)]  # spread over the workers
        answers = [client.get("/accounts/v1/accounts") for client in clients]
        assert [answer.json()["script"]["code"] for answer in answers] == [code] * 12
        for client in clients:
            client.close()


STATES = [  # of the script after each step, with version 1 running before
    ((1, None, 100), {"1": "active", "2": "draft"}, 1, 4),
    ((1, None, 100), {"1": "active", "2": "reviewed"}, 1, 5),
    ((2, 1, 100), {"1": "retired", "2": "active"}, 2, 6),
    ((1, None, 100), {"1": "active", "2": "retired"}, 3, 7),
]


@pytest.mark.parametrize("victim", ["workers", "postgres"])
def test_a_step_in_a_scripts_life_is_taken_wholly_or_not_at_all(bank, victim):
    it = Team(bank)
    for send in it.steps("one", 1)[:3]:
        assert send().status_code == 201
    before = it.state()
    assert before == ((1, None, 100), {"1": "active"}, 1, 3)
    for send, after, runs in zip(it.steps("two", 2), STATES, ["one", "one", "two", "one"]):
        with Held(bank, CHAIN) as held:
            asked = Asked(send)
            held.wait()
            assert it.state() == before, "nothing is seen of it before it is whole"
            kill(bank, victim)
        asked.end()
        assert it.state() in (before, after)
        answer = until_settled(send)
        assert answer.status_code == 201 and it.state() == after
        again = until_settled(send)
        assert replayed(again) and again.content == answer.content and it.state() == after
        it.runs_everywhere(runs)
        before = after


# ---- recordings and dry runs ----

class Recorded(Paying):
    """A partner whose requests are recorded."""

    def __init__(self, sandbox, source=None):
        super().__init__(sandbox, source)
        with self.anew() as client:
            assert client.http.put("/scripts/v1/recording", json={"days": 1}).status_code == 200
        self.await_workers()

    def send(self, n):
        """Pay n times; the ids of the requests."""
        with self.anew() as client:
            answers = [client.pay(self.a, self.b, 1) for _ in range(n)]
        assert {answer.status_code for answer in answers} == {201}
        return [answer.headers["x-request-id"] for answer in answers]

    def recorded(self):
        found = rows(self.sandbox, "select request_id from script.recording where script = %s order by n", self.script)
        return [id for (id,) in found]


def test_no_request_is_recorded_twice_whatever_dies(bank):
    it = Recorded(bank)
    sent = []
    for victim in ("workers", "postgres"):
        with Held(bank, "select from script.recording_switch where script = %s for update", it.script) as held:
            sent += it.send(4)
            assert "script.record" in str(held.wait())
            kill(bank, victim)
        last = it.send(4)
        sent += last
        wait_until(lambda ids=last: set(ids) <= set(it.recorded()), 10, "what came afterwards is recorded")
    found = it.recorded()
    assert len(found) == len(set(found)) and set(found) <= set(sent), found
    counted = rows(bank, "select kept, bytes, last_n from script.recording_switch where script = %s", it.script)
    assert counted == rows(bank, "select count(*), sum(octet_length(request)), max(n) from script.recording where script = %s",
                           it.script)


@pytest.mark.parametrize("victim", ["workers", "postgres"])
def test_a_dry_run_that_loses_its_process_does_not_run_for_ever(bank, victim):
    it = Recorded(bank, LOOKING["on_request"])
    it.put("rules", "all", '{"channel": "rail"}')
    sent = it.send(3)
    wait_until(lambda: len(it.recorded()) == len(sent), 10, "recordings")
    path = f"{SCRIPTS}/{it.script}/dry-runs"

    def begin():
        with it.anew() as client:
            answer = client.post(path, {"version": 1, "against": None}, key=None)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def status(of):
        with it.anew() as client:
            return client.get(of).json()["status"]

    with Held(bank, ENTRIES) as held:
        dead = [begin(), begin()]
        wait_until(lambda: len(held.waiting()) == 2, 10, "both wait for an entry")
        kill(bank, victim)
    # It is heard of every second. Half a minute of silence need not be waited for.
    rows(bank, "update script.dry_run set heard_at = heard_at - interval '31 s' where script = %s and status = 'running'"
               " returning id", it.script)
    assert {status(run) for run in dead} <= {"lost", "failed"}
    alive = begin()
    assert wait_until(lambda: status(alive) not in ("running",) and status(alive), 10, "a later one ends") == "done"
    with it.anew() as client:
        assert client.http.delete(dead[0]).json()["status"] in ("cancelled", "failed")


# ---- tables ----

TABLES_MAX, ENTRIES_MAX = 20, 10_000


def fill(it, left):
    """Two tables and `left` entries less than there may be."""
    small = [(f"old_{i}", 1) for i in range(TABLES_MAX - 3)]
    for table, n in [("bulk", ENTRIES_MAX - left - len(small)), *small]:
        it.run("insert into script.entry_count (book, partner, table_name, entries) values (%s, %s, %s, %s)",
               it.book, it.id, table, n)
        it.run("insert into script.entry (book, partner, table_name, key, value, updated_at, by)"
               " select %s, %s, %s, 'old_' || i, '1', now(), 'operator:a' from generate_series(1, %s) i", it.book, it.id, table, n)


class Writer(threading.Thread):
    """Puts ever new entries, takes one away when there may be no more, and remembers which of them there must be."""

    def __init__(self, it, name, over):
        super().__init__()
        self.it, self.label, self.over = it, name, over
        self.there, self.refused, self.error = [], collections.Counter(), None

    def settle(self, method, place, **body):
        def send():
            with self.it.anew() as client:
                return client.http.request(method, f"{TABLES}/{place[0]}/entries/{place[1]}", **body)
        return until_settled(send)

    def put(self, place):
        answer = self.settle("PUT", place, json={"value": self.label})
        if answer.status_code in (200, 201):
            self.there.append(place)
            return
        why = assert_problem(answer, 409, "table_quota_exceeded")["detail"]
        self.refused[why] += 1
        if self.there and "entries" in why:
            answer = self.settle("DELETE", self.there.pop(0))
            assert answer.status_code in (204, 404), answer.text  # 404: an answer before this one was lost

    def run(self):
        try:
            for n in itertools.count():
                self.put((f"new_{self.label}_{n}", "new") if n % 3 == 0 else ("bulk", f"new_{self.label}_{n}"))
                if self.over.is_set():
                    return
        except BaseException as error:  # shown by the test
            self.error = error


def test_the_last_entry_there_may_be_is_put_once_though_its_worker_dies(bank):
    it = Paying(bank)
    fill(it, 1)

    def put(key):
        with it.anew() as client:
            return client.http.put(f"{TABLES}/bulk/entries/new_{key}", json={"value": key})
    with Held(bank, "select from script.entry_count where partner = %s and table_name = 'bulk' for update", it.id) as held:
        asked = [Asked(lambda key=key: put(key)) for key in range(8)]  # spread over the workers
        held.wait()
        time.sleep(0.3 * slowness())  # they have all been sent
        kill(bank, "workers")
    assert [one.end() for one in asked] == [None] * 8
    answers = [until_settled(lambda key=key: put(key)) for key in range(8)]
    assert sorted(answer.status_code for answer in answers) in ([200] + [409] * 7, [201] + [409] * 7)
    assert rows(bank, "select count(*) from script.entry where partner = %s", it.id) == [(ENTRIES_MAX,)]


def test_no_quota_of_tables_is_passed_whatever_dies(bank):
    it, over = Paying(bank), threading.Event()
    fill(it, 10)
    writers = [Writer(it, name, over) for name in "abcd"]
    for writer in writers:
        writer.start()
    for victim in ("workers", "postgres"):
        time.sleep(0.5)
        kill(bank, victim)
    wait_until(lambda: len(sum((writer.refused for writer in writers), collections.Counter())) == 2, 20, "both quotas are reached")
    over.set()
    for writer in writers:
        writer.join()
    assert [writer.error for writer in writers if writer.error] == []
    assert len(sum((writer.refused for writer in writers), collections.Counter())) == 2, "both quotas were reached"
    there = rows(bank, "select table_name, key from script.entry where partner = %s", it.id)
    assert {place for place in there if place[1].startswith("new")} == {place for w in writers for place in w.there}
    assert len({table for table, _ in there}) <= TABLES_MAX
    last = (writers[0].settle("PUT", ("bulk", f"last_{n}"), json={"value": n}).status_code for n in itertools.count())
    filled = sum(1 for _ in itertools.takewhile(lambda status: status == 201, last))
    assert len(there) + filled == ENTRIES_MAX
