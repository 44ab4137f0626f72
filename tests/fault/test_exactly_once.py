"""Money moves once: whoever races, whatever dies, wherever in the middle, with a script in the payer's way and without. Every
test ends with `tongbao audit`."""

import asyncio
import collections
import itertools
import os
import random
import threading
import time
import uuid

import httpx
import pytest

from harness import Sandbox
from harness.faults import FAULTY_BUILD, database_answers, kill_quietly, rows, settles, until_settled
from harness.sandbox import ROOT, wait_until
from harness.scripted import ScriptedDemo


def payment(debtor, creditor, amount, reference):
    return {"reference": reference, "debtor_account": debtor, "creditor_account": creditor,
            "amount": {"amount": amount, "currency": "CNY"}, "purpose": "goods"}


def payments_of(sandbox, reference):
    return rows(sandbox, "select id, state from e_payment.payment where reference = %s", reference)


def pay_until_answered(sandbox, body, key):
    def pay():
        with sandbox.client(timeout=8.0) as client:
            return client.post("/e-payment/v1/payments", body, key=key)
    return until_settled(pay)


# Does all that a script may do to a payment without refusing it: asks a table, maps, routes, notes, and shapes the answer.
RULES = """
return {
    on_request = function(request)
        if request.method ~= "POST" then return nil end
        local rule = tb.lookup("rules", request.body.amount.currency)
        return { set = { purpose = rule.purpose }, route = { channel = rule.channel }, note = "by " .. rule.channel }
    end,
    on_response = function(request, response)
        if request.method ~= "POST" then return nil end
        return { set = { purpose = "shaped" }, links = { receipt = "/receipts/" .. response.body.id } }
    end,
}"""


def with_rules(sandbox, canary=100):
    """Let the script decide about so many percent of what the sandbox's partner sends."""
    it = ScriptedDemo(sandbox)
    it.put("rules", "CNY", '{"purpose": "mapped", "channel": "rail"}')
    it.activate(RULES, canary=canary)
    it.db.close()


def assert_scripted(sandbox, answer):
    """The script was asked before and after: what is kept is mapped, what travelled is shaped."""
    assert answer.json()["purpose"] == "shaped" and answer.json()["channel"] == "rail"
    assert rows(sandbox, "select purpose from e_payment.payment where id = %s", answer.json()["id"]) == [("mapped",)]


# ---- races ----

@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(build=FAULTY_BUILD, settings={"TB_WORKERS": "2"}) as it:
        yield it


@pytest.fixture(scope="module", params=["no script", "a script"])
def bank(sandbox, request):
    if request.param == "a script":
        with_rules(sandbox)
    return sandbox


def test_64_clients_that_race_one_key_cause_one_effect(bank):
    debtor, creditor = bank.accounts(2)
    key, reference = str(uuid.uuid4()), f"RACE-{uuid.uuid4()}"
    body = payment(debtor, creditor, 777, reference)
    gate = threading.Barrier(64)
    answers = []

    def race():
        with bank.client() as client:
            client.get("/healthz")
            gate.wait()
            answers.append(client.post("/e-payment/v1/payments", body, key=key))

    clients = [threading.Thread(target=race) for _ in range(64)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    statuses = collections.Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409} and statuses[201] >= 1, statuses
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    replayed = [answer for answer in answers if answer.headers.get("idempotency-replayed") == "true"]
    assert len(replayed) == statuses[201] - 1
    assert len(payments_of(bank, reference)) == 1
    with bank.client() as client:
        assert client.balance(creditor) - 777 == client.balance(debtor) + 777
    bank.cli("audit")


def test_64_clients_that_race_one_reference_under_their_own_keys_cause_one_effect(bank):
    debtor, creditor = bank.accounts(2)
    reference = f"RACE-{uuid.uuid4()}"
    body = payment(debtor, creditor, 778, reference)

    async def race_16():
        headers = {"Authorization": f"Bearer {bank.token}"}
        async with httpx.AsyncClient(base_url=bank.url, verify=bank.ca, http2=True, headers=headers, timeout=20) as client:
            return await asyncio.gather(*(client.post("/e-payment/v1/payments", json=body,
                                                      headers={"Idempotency-Key": str(uuid.uuid4())}) for _ in range(16)))

    async def race():
        return [answer for some in await asyncio.gather(*(race_16() for _ in range(4))) for answer in some]

    answers = asyncio.run(race())
    assert collections.Counter(a.status_code for a in answers) == {201: 1, 409: 63}
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"duplicate_reference"}
    assert len(payments_of(bank, reference)) == 1
    bank.cli("audit")


# ---- death at a chosen place ----

LABELS = ["key_claimed", "before_ledger_tx", "in_ledger_tx", "after_commit_before_reply"]


def pay_and_die(sandbox, deaths):
    """Pay with a worker that dies of it; `deaths` is the folder of those that happened. The answer that settles it."""
    victim, dead = sandbox.pids(), os.listdir(deaths)
    key, reference = str(uuid.uuid4()), f"FAULT-{uuid.uuid4()}"
    with sandbox.client() as client:
        before = client.balance(sandbox.creditor)
    body = payment(sandbox.debtor, sandbox.creditor, 4321, reference)
    first = pay_until_answered(sandbox, body, key)
    assert len(os.listdir(deaths)) == len(dead) + 1, "the fault did not happen"
    wait_until(lambda: sandbox.pids() not in ([], victim), 10, "another worker serves")
    again = pay_until_answered(sandbox, body, key)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert payments_of(sandbox, reference) == [(first.json()["id"], "succeeded")]
    with sandbox.client() as client:
        assert client.balance(sandbox.creditor) == before + 4321
    return first


@pytest.mark.parametrize("label", LABELS)
def test_a_worker_that_dies_in_the_middle_leaves_one_effect(label, tmp_path):
    """The payment that sandbox/up makes is the first visit; the second dies."""
    settings = {"TB_WORKERS": "1", "TB_FAULT": f"{label}:kill:2", "TB_FAULT_DIR": str(tmp_path)}
    with Sandbox(build=FAULTY_BUILD, settings=settings) as sandbox:
        pay_and_die(sandbox, tmp_path)
        sandbox.cli("audit")


def test_a_worker_that_dies_in_the_middle_with_a_script_leaves_one_effect(tmp_path):
    """One worker after the other, each at another place. The first dies as above. Each further one is first sent, twice, what
    the one before died of; so it dies at its third visit, at the first of the places where nobody has died yet."""
    deaths = ",".join(f"{label}:kill:{2 if label == 'before_ledger_tx' else 3}" for label in LABELS)
    settings = {"TB_WORKERS": "1", "TB_FAULT": deaths, "TB_FAULT_DIR": str(tmp_path)}
    with Sandbox(build=FAULTY_BUILD, settings=settings) as sandbox:
        with_rules(sandbox)
        for _ in LABELS:
            assert_scripted(sandbox, pay_and_die(sandbox, tmp_path))
        assert sorted(os.listdir(tmp_path)) == sorted(LABELS)
        sandbox.cli("audit")


# ---- everything dies, all the time ----

class Payer(threading.Thread):
    """Pays under ever new keys, repeats until each is settled, and remembers what it was promised."""

    def __init__(self, sandbox, accounts, until, seed):
        super().__init__()
        self.sandbox, self.accounts, self.until = sandbox, accounts, until
        self.random = random.Random(seed)
        self.promised = {}  # key → payment id
        self.retries = 0
        self.error = None

    def run(self):
        try:
            for number in itertools.count():
                if time.monotonic() > self.until:
                    return
                debtor, creditor = self.random.sample(self.accounts, 2)
                key = f"{self.name}-{number}-{uuid.uuid4()}"
                answer = self.settle(payment(debtor, creditor, self.random.randint(1, 500), key), key)
                assert answer.status_code == 201, answer.text
                self.promised[key] = answer.json()["id"]
        except BaseException as error:  # shown by the test
            self.error = error

    def settle(self, body, key):
        while True:
            try:
                with self.sandbox.client(timeout=10.0) as client:
                    for _ in range(50):
                        answer = client.post("/e-payment/v1/payments", body, key=key)
                        if settles(answer):
                            return answer
                        self.retries += 1
                        time.sleep(0.1)
            except (httpx.TransportError, OSError):
                self.retries += 1
                time.sleep(0.05)
            assert time.monotonic() < self.until + 60, "a payment was never settled"


def kill_a_worker(sandbox, chance):
    pids = sandbox.pids()
    if pids:
        kill_quietly(chance.choice(pids))


@pytest.mark.parametrize("seconds", [45, pytest.param(120, marks=pytest.mark.long)])
def test_nothing_promised_is_lost_while_workers_and_postgres_are_killed(seconds):
    """kill -9 of a random worker every 2 s and of PostgreSQL every 20 s, under a load that repeats what was not answered. Half
    of the requests meet a script, so many a payment is sent with it and repeated without, or the other way round."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    build = os.path.join(ROOT, "build") if os.path.exists(os.path.join(ROOT, "build/tongbao")) else FAULTY_BUILD
    with Sandbox(build=build, settings={"TB_WORKERS": "2"}) as sandbox:
        accounts = sandbox.accounts(20)
        with_rules(sandbox, canary=50)
        until = time.monotonic() + seconds
        payers = [Payer(sandbox, accounts, until, seed + n) for n in range(8)]
        for payer in payers:
            payer.start()
        killed = collections.Counter()
        for tick in itertools.count(1):
            time.sleep(2)
            if time.monotonic() > until:
                break
            kill_a_worker(sandbox, chance)
            killed["workers"] += 1
            if tick % 10 == 0:
                kill_quietly(sandbox.postmaster())
                killed["postgres"] += 1
        for payer in payers:
            payer.join()
        assert [payer.error for payer in payers if payer.error] == []
        promised = {key: id for payer in payers for key, id in payer.promised.items()}
        print(f"{len(promised)} payments, {sum(p.retries for p in payers)} retries, killed {dict(killed)}")
        wait_until(lambda: database_answers(sandbox), 20, "PostgreSQL is back")
        found = dict(rows(sandbox, "select reference, id from e_payment.payment"))
        assert {key: found.get(key) for key in promised} == promised
        assert rows(sandbox, "select reference from e_payment.payment group by book, partner, reference having count(*) > 1") == []
        purposes = dict(rows(sandbox, "select purpose, count(*) from e_payment.payment group by 1"))
        assert min(purposes["goods"], purposes["mapped"]) > len(promised) // 4
        sandbox.wait_ready()
        sandbox.cli("audit")
        assert killed["workers"] > 10 and killed["postgres"] >= seconds // 25 and len(promised) > 100


# ---- a promise outlives PostgreSQL ----

def pay_and_kill_postgres(sandbox, accounts, loops):
    """In each loop pay a few times, kill PostgreSQL at once after the last 2xx, and count what is then missing."""
    lost = 0
    for loop in range(loops):
        promised = []
        with sandbox.client() as client:
            for number in range(5):
                answer = client.pay(accounts[0], accounts[1], 1, reference=f"LOOP-{uuid.uuid4()}")
                if answer.status_code == 201:
                    promised.append(answer.json()["id"])
        postmaster = sandbox.postmaster()
        kill_quietly(postmaster)
        wait_until(lambda: sandbox.postmaster() != postmaster and database_answers(sandbox), 20, f"PostgreSQL is back, loop {loop}")
        there = {id for (id,) in rows(sandbox, "select id from e_payment.payment where id = any(%s)", promised)}
        lost += len(set(promised) - there)
        sandbox.wait_ready()
    return lost


@pytest.mark.parametrize("loops", [10, pytest.param(200, marks=pytest.mark.long)])
def test_no_2xx_is_lost_when_postgres_is_killed_right_after_it(loops):
    with Sandbox(build=FAULTY_BUILD, settings={"TB_WORKERS": "1"}) as sandbox:
        accounts = sandbox.accounts(2)
        assert pay_and_kill_postgres(sandbox, accounts, loops // 2) == 0
        with_rules(sandbox)
        assert pay_and_kill_postgres(sandbox, accounts, loops // 2) == 0
        sandbox.cli("audit")


def test_the_test_above_sees_losses_when_commits_are_not_flushed():
    """With synchronous_commit off the same loop must be able to lose something, or it proves nothing."""
    with Sandbox(build=FAULTY_BUILD, settings={"TB_WORKERS": "1"}) as sandbox:
        connection = sandbox.db()
        with connection.cursor() as cursor:  # not `with connection`: that would be a transaction block
            cursor.execute("alter database tongbao set synchronous_commit = off")
            cursor.execute("alter system set wal_writer_delay = '10s'")
        connection.close()
        kill_quietly(sandbox.postmaster())
        wait_until(lambda: database_answers(sandbox), 20, "PostgreSQL is back")
        sandbox.wait_ready()
        lost = 0
        for _ in range(10):
            lost += pay_and_kill_postgres(sandbox, sandbox.accounts(2), 1)
            if lost > 0:
                return
        pytest.fail("nothing was lost in ten loops without flushed commits")
