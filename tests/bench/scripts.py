"""The part `scripts` of tests/bench/run: what partners' scripts cost those who have them, and those who have not."""

import contextlib
import json
import os
import re
import statistics
import tempfile
import threading
import time

from common import BUILD, CLIENT_CORE, ROOT, SERVER_CORE, median_of, pin_workers, resident_kib, run, send, served_per_core
from harness.client import Client
from harness.forge import Forger
from harness.partner import DEMO_BOOK, new_id
from harness.sandbox import Sandbox

HERE = os.path.join(ROOT, "tests/bench")
PING = "/example/v1/ping"
UNBOUND = {"TB_WORKERS": "1", "TB_RATE_BURST": "1000000000", "TB_RATE_DAILY": "1000000000"}
REFUSED = b'{"reference":"","debtor_account":"acc_0","creditor_account":"acc_2","amount":{"amount":1200,"currency":"CNY"}}'

# What burns every call's whole budget, and what stays below it.
BURNS = "return { on_request = function() while true do end end }"
NEARLY = "return {{ on_request = function() for i = 1, {turns} do local _ = i * i end end }}"
NEARLY_MS = 4.4
HARMLESS = "return { on_request = function() end }"

# Thousands at once, which neither the API nor script.point is for.
SEED = """
with made as (
    select * from unnest(%(partners)s::text[], %(apps)s::text[], %(scripts)s::text[], %(sources)s::text[])
                  with ordinality m (partner, app, script, source, n)
), partners as (
    insert into bank.partner (id, name, created_at) select partner, 'Partner ' || n, now() from made returning id
), apps as (
    insert into bank.app (id, partner, world, name, plain_tokens, created_at)
    select app, partner, (select world from bank.book where book = %(book)s), 'App', true, now() from made
     where exists (select from partners) returning id
), entitled as (
    insert into bank.entitlement (app, product, environment, operation, since)
    select app, '', 'sandbox', '', now() from made where exists (select from apps)
)
select count(*) from made"""

SCRIPTS = """
with made as (
    select * from unnest(%(partners)s::text[], %(scripts)s::text[], %(sources)s::text[]) m (partner, script, source)
), base as (
    update script.counter set generation = generation + (select count(*) from made)
    returning generation - (select count(*) from made) as generation
), numbered as (
    select m.*, b.generation + row_number() over () as generation from made m, base b
), scripts as (
    insert into script.script (generation, book, id, partner, version, created_at)
    select generation, %(book)s, script, partner, 1, now() from numbered returning id
), versions as (
    insert into script.version (book, script, version, created_at, digest, author, reviewer, state, source)
    select %(book)s, script, v, now(), sha256(convert_to(source, 'UTF8')), 'operator:a', 'operator:b',
           case v when 1 then 'active' else 'retired' end, source || repeat(' ', v)
      from numbered, generate_series(1, %(versions)s) v where exists (select from scripts)
)
insert into script.activation (generation, book, version, canary, at, script, kind, by, on_request_failure, on_response_failure)
select generation, %(book)s, 1, 100, now(), script, 'activate', 'operator:b', 'deny', 'skip' from numbered
 where exists (select from scripts)"""


class Crowd:
    """Partners with an app and, when told so, an active script each. A token of each stands in the file `tokens`."""

    def __init__(self, sandbox, sources, versions=1):
        self.sandbox, n = sandbox, len(sources)
        self.rows = {"book": DEMO_BOOK, "versions": versions, "sources": sources,
                     **{kind: [new_id(prefix) for _ in range(n)]
                        for kind, prefix in (("partners", "ptr"), ("apps", "app"), ("scripts", "scr"))}}
        self.do(SEED)
        forger = Forger(sandbox)
        self.signed = [forger.token(claims={"client_id": app, "sub": app, "partner": partner, "exp": int(time.time()) + 3000})
                       for app, partner in zip(self.rows["apps"], self.rows["partners"])]
        with tempfile.NamedTemporaryFile("w", dir=sandbox.home, delete=False) as out:
            out.write("\n".join(self.signed) + "\n")
        self.tokens = out.name

    def do(self, sql):
        connection = self.sandbox.db()
        with connection.cursor() as cursor:
            cursor.execute(sql, self.rows)
        connection.close()

    def activate(self):
        self.do(SCRIPTS)
        time.sleep(2 + len(self.signed) / 5000)  # the worker asks for 500 changes, again and again, four times a second
        return self


def metric(sandbox, name):
    with sandbox.client(token=None) as anyone:
        page = anyone.get("/metrics").text
    return float(re.search(rf"^{name} (\S+)", page, re.M)[1])


def text(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as opened:
        return opened.read()


def undisturbed(pid, core):
    """On a core, and before everything else that wants it: a tail of latencies is that of the machine otherwise."""
    os.sched_setaffinity(pid, {core})
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


def flow(sandbox, tokens, rate, seconds, *more):
    """GETs at a constant rate, timed from when they were due."""
    for pid in sandbox.pids():
        undisturbed(pid, SERVER_CORE)
    return send(sandbox, "--token", tokens, "--get", PING, "--rate", rate, "--seconds", seconds, "--connections", 4, *more,
                preexec_fn=lambda: undisturbed(0, CLIENT_CORE))


# ---- what a script costs its partner ----

def bench_calls(table, rounds):
    with Sandbox(build=BUILD, settings=UNBOUND) as sandbox:
        pin_workers(sandbox, SERVER_CORE)
        bare = Crowd(sandbox, [""])
        scripted, idle = Crowd(sandbox, [text("rules.lua")]).activate(), Crowd(sandbox, [HARMLESS]).activate()
        body = os.path.join(sandbox.home, "body")
        with open(body, "wb") as out:
            out.write(REFUSED)
        post = ("-d", body, "-H", "content-type: application/json")  # no key: nobody is asked whether it was answered

        def get(crowd):
            return lambda: 1e6 / served_per_core(sandbox.url + PING, sandbox.pids(), crowd.signed[0], 120000, 8, 16)

        def refused(crowd):
            return lambda: 1e6 / served_per_core(sandbox.url + "/e-payment/v1/payments", sandbox.pids(), crowd.signed[0], 60000, 8, 16,
                                                 post, "4xx")

        plain, with_script, with_idle, post_plain, post_script = median_of(max(rounds, 5), get(bare), get(scripted), get(idle),
                                                                           refused(bare), refused(scripted))
        assert metric(sandbox, "tongbao_script_errors_total") == 0
    table.add("a partner's script of 20 lines adds to a GET, processor time; the GET without beside it", with_script - plain, plain,
              "us", 3, lower=True, absolute=True)
    table.add("a script that does nothing adds; the same beside it", with_idle - plain, plain, "us", None, lower=True)
    table.add("the 20 lines on a POST whose body the schema refuses: the script reads its amount and payee", post_script - post_plain,
              post_plain, "us", None, lower=True)


def bench_states(table, rounds):
    told = [json.loads(run("taskset", "-c", str(SERVER_CORE), os.path.join(BUILD, "bench/bench_states"),
                           os.path.join(HERE, "rules.lua"), os.path.join(HERE, "namespaces.lua"))) for _ in range(rounds)]
    median = {name: statistics.median(one[name] for one in told) for name in told[0]}
    table.add("a script's state, made with that text; vs luaL_newstate, luaL_openlibs and luaL_loadbuffer of the same",
              median["state_ns"] / 1000, median["plain_ns"] / 1000, "us", 50, lower=True, absolute=True)
    table.add("the same with a text that uses all four namespaces of the library", median["namespaces_ns"] / 1000,
              median["plain_ns"] / 1000, "us", 50, lower=True, absolute=True)
    table.add("call of that script's hook alone, warm", median["call_ns"] / 1000, None, "us", None, lower=True)
    table.add("memory of such a state; vs with all four namespaces", median["state_bytes"] / 1024, median["namespaces_bytes"] / 1024,
              "KiB", None, lower=True)


# ---- ten thousand partners ----

def bench_crowd(table, rounds, n=10000, rate=1000):
    rules = text("rules.lua")
    with Sandbox(build=BUILD, settings=UNBOUND) as sandbox:
        pin_workers(sandbox, SERVER_CORE)
        (worker,) = sandbox.pids()
        crowd = Crowd(sandbox, [f"{rules}-- {i}\n" for i in range(n)])
        one = os.path.join(sandbox.home, "one")
        with open(one, "w", encoding="utf-8") as out:
            out.write(crowd.signed[0] + "\n")

        def cycle(tokens, seconds):
            told = flow(sandbox, tokens, rate, seconds)
            assert set(told["status"]) == {"200"}, told
            return told

        cycle(crowd.tokens, n / rate)
        bare, without = cycle(crowd.tokens, n / rate), resident_kib(worker)
        crowd.activate()
        known = resident_kib(worker)
        cycle(crowd.tokens, n / rate)
        all_of_them, alone = cycle(crowd.tokens, n / rate), cycle(one, 5)
        states, most = metric(sandbox, "tongbao_script_states"), resident_kib(worker)
        assert states <= 2000 and metric(sandbox, "tongbao_script_states_evicted_total") >= 2 * n - 2000 - 1
    table.add(f"memory of a worker that has served {n:,} partners with a script each ({states:,.0f} states kept); vs without scripts",
              most / 1024, without / 1024, "MiB", None, lower=True)
    table.add("of that, to know their scripts before any is called", (known - without) / 1024, None, "MiB", None, lower=True)
    for which in ("p50", "p99"):
        table.add(f"{which} of GETs by {n:,} partners in turn, {rate:,}/s, each without its state in the worker; vs without scripts",
                  all_of_them[which + "_us"], bare[which + "_us"], "us", None, lower=True)
        table.add(f"{which} of GETs by one of them, {rate:,}/s", alone[which + "_us"], None, "us", None, lower=True)


# ---- a partner beside one that burns its budget ----

def turns_for(sandbox, ms):
    """How many turns of a loop take a script so long here."""
    probe = Crowd(sandbox, [NEARLY.format(turns=20000)]).activate()
    before = metric(sandbox, "tongbao_script_cpu_seconds_sum"), metric(sandbox, "tongbao_script_calls_total")
    flow(sandbox, probe.tokens, 100, 1)
    spent = metric(sandbox, "tongbao_script_cpu_seconds_sum") - before[0]
    return int(20000 * ms / 1000 / (spent / (metric(sandbox, "tongbao_script_calls_total") - before[1])))


def bench_bystander(table, rounds, rate=2000, beside=10):
    """The attackers send what the configuration admits by default; the rest is measured before and after."""
    with Sandbox(build=BUILD, settings=UNBOUND) as sandbox:
        pin_workers(sandbox, SERVER_CORE)
        it, turns = Crowd(sandbox, [""]), turns_for(sandbox, NEARLY_MS)
        harmless, burner, nearly = (Crowd(sandbox, [source]).activate() for source in (HARMLESS, BURNS, NEARLY.format(turns=turns)))

        def p99(attacker=None, seconds=4):
            more = ("--beside", attacker.tokens, "--beside-rate", beside) if attacker else ()
            told = flow(sandbox, it.tokens, rate, seconds, *more)
            assert set(told["status"]) == {"200"}, told
            return told["p99_us"]

        p99()
        before = median_of(rounds, p99, lambda: p99(harmless))
        close, burnt = p99(nearly, 24), p99(burner, 24)
        after = median_of(rounds, p99, lambda: p99(harmless))
        alone, quiet = (statistics.mean(pair) for pair in zip(before, after))
    name = f"a bystander's p99 at {rate:,} GETs/s while another's script"
    how = f"{beside} requests/s; vs alone"
    table.add(f"{name} burns its whole budget of 5 ms, {how}", burnt, alone, "us", 1.05, lower=True)
    table.add(f"{name} takes {NEARLY_MS} ms each time, {how}", close, alone, "us", 1.05, lower=True)
    table.add(f"{name} does nothing, {how}", quiet, alone, "us", 1.05, lower=True)


# ---- a thousand activations a minute ----

def own_kib(pid):
    """What the process has allocated: unlike its share of the binary, it does not change with how many run that."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
        return int(re.search(r"^Anonymous:\s+(\d+) kB", rollup.read(), re.M)[1])


class Activations(threading.Thread):
    """Lets another version of one partner after the other run, by the API, at a steady rate: one lane of several."""

    def __init__(self, sandbox, crowd, places, per_second, versions):
        super().__init__()
        self.sandbox, self.crowd, self.places, self.per_second, self.versions = sandbox, crowd, places, per_second, versions
        self.over, self.done, self.failed = threading.Event(), 0, []

    def run(self):
        with contextlib.ExitStack() as stack:
            clients = {at: stack.enter_context(Client(self.sandbox.url, self.sandbox.ca, self.crowd.signed[at])) for at in self.places}
            due = time.monotonic()
            while not self.over.is_set():
                at = self.places[self.done % len(self.places)]
                answer = clients[at].post(f"/scripts/v1/scripts/{self.crowd.rows['scripts'][at]}/activations",
                                          {"version": 1 + (1 + self.done // len(self.places)) % self.versions})
                self.done += 1
                if answer.status_code != 201:
                    self.failed.append(answer.text)
                due += 1 / self.per_second
                time.sleep(max(0, due - time.monotonic()))


def bench_activations(table, _, seconds=40, warm=35, partners=16, versions=100, rate=1000):
    settings = {**UNBOUND, "TB_SCRIPT_STATES": "64"}
    with Sandbox(build=BUILD, settings=settings) as sandbox:
        pin_workers(sandbox, SERVER_CORE)
        (worker,) = sandbox.pids()
        crowd = Crowd(sandbox, [text("rules.lua")] * partners, versions).activate()
        lanes = [Activations(sandbox, crowd, range(first, partners, 4), 6, versions) for first in range(4)]
        memory, over, made = [], threading.Event(), metric(sandbox, "tongbao_script_states_made_total")
        begun = time.monotonic()

        def watch():
            while not over.wait(0.5):
                if time.monotonic() - begun > warm:
                    memory.append((sum(lane.done for lane in lanes), own_kib(worker)))

        threads = [*lanes, threading.Thread(target=watch)]
        for thread in threads:
            thread.start()
        try:
            told = flow(sandbox, crowd.tokens, rate, seconds + warm)
        finally:
            for event in (over, *(lane.over for lane in lanes)):
                event.set()
            for thread in threads:
                thread.join()
        took, done = time.monotonic() - begun, sum(lane.done for lane in lanes)
        made = metric(sandbox, "tongbao_script_states_made_total") - made
        kept = metric(sandbox, "tongbao_script_states")
    failed = [why for lane in lanes for why in lane.failed]
    assert not failed and set(told["status"]) == {"200"} and kept <= 64, (failed[:3], told)
    slope = statistics.linear_regression(*zip(*memory)).slope * 1000
    table.add(f"activations a minute by the API, each met by requests ({rate:,} GETs/s through the scripts, {made:,.0f} states made, "
              f"{kept:.0f} kept, 0 requests failed)", done * 60 / took, None, "activations", 1000)
    table.add("what the worker's memory grows by meanwhile, per 1,000 activations", slope, None, "KiB", 64, lower=True)


def bench_scripts(table, rounds):
    for part in (bench_calls, bench_states, bench_crowd, bench_bystander, bench_activations):
        part(table, rounds)
