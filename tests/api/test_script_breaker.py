"""A hook that keeps failing is turned off, on all workers at once; where the partner looks it is told; and how it comes back."""

import contextlib
import json
import time

import pytest

from harness import Sandbox
from harness.client import assert_problem
from harness.sandbox import wait_until
from harness.scripted import KNOWN_WITHIN_S, Scripted, hook

WORKERS = 3
CONNECTIONS = 12  # so many surely meet every worker
ACCOUNTS = "/accounts/v1/accounts"
OFF_S = 30
FAILING = hook("if request.query.limit == '1' then error('as asked') end")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(settings={"TB_WORKERS": str(WORKERS)}) as it:
        yield it


@pytest.fixture
def clients():
    """`clients(it)`: connections of its partner that meet every worker."""
    with contextlib.ExitStack() as stack:
        yield lambda it: [stack.enter_context(it.client()) for _ in range(CONNECTIONS)]


def ask(client, fails=False):
    return client.get(ACCOUNTS, params={"limit": 1 if fails else 2})


def turn_off(it, client):
    for _ in range(20):
        assert_problem(ask(client, fails=True), 403, "script_failed")


def is_off(answer):
    return answer.status_code == 403 and "turned off" in answer.json()["detail"]


def script(it):
    return it.http.get(f"/scripts/v1/scripts/{it.script}").json()


def test_what_one_worker_turns_off_is_off_on_all_and_comes_back(sandbox, clients):
    it = Scripted(sandbox, FAILING)
    everywhere, before = clients(it), sandbox.metric("tongbao_script_off_total")
    assert {ask(client).status_code for client in everywhere} == {200}
    turn_off(it, everywhere[0])
    turned = time.monotonic()
    wait_until(lambda: script(it)["breakers"], 2, "the partner is told")
    [breaker] = script(it)["breakers"]
    assert (breaker["hook"], breaker["version"], breaker["off"], breaker["times"]) == ("on_request", 1, True, 1)
    assert "as asked" in breaker["why"]
    it.await_workers()
    answers = [ask(client) for client in everywhere]
    assert all(is_off(answer) for answer in answers), "every worker has heard of it"
    assert {it.trace(answer)["scripts"][0]["verdict"] for answer in answers} == {"off"}
    [listed] = [row for row in json.loads(sandbox.cli("script", "list", "--json")) if row["id"] == it.script]
    assert listed["off"] is True
    assert sandbox.metric("tongbao_script_off_total") == before + 1
    assert sandbox.metric("tongbao_script_passed_by_total") >= CONNECTIONS
    assert it.one("select count(*) from tb.audit_entry where object = %s and act = 'script.turn_off'", it.script) == 1

    time.sleep(max(0, turned + OFF_S + 0.5 - time.monotonic()))
    assert {ask(client).status_code for client in everywhere} == {200}, "it is called again"
    assert script(it)["breakers"][0]["off"] is False
    again = [ask(client, fails=True) for client in everywhere]
    assert not is_off(again[0]), "that call was made, and failed"
    wait_until(lambda: script(it)["breakers"][0]["times"] == 2, 2, "where it goes on failing, a few times are enough")
    it.await_workers()
    assert all(is_off(ask(client)) for client in everywhere)
    assert it.one("select count(*) from tb.audit_entry where object = %s and act = 'script.turn_off'", it.script) == 1


def test_an_activation_calls_a_hook_that_was_off_at_once(sandbox, clients):
    it = Scripted(sandbox, FAILING)
    everywhere = clients(it)
    turn_off(it, everywhere[0])
    wait_until(lambda: script(it)["breakers"], 2, "the partner is told")
    it.await_workers()
    it.point(1)
    assert script(it)["breakers"] == []
    it.await_workers()
    assert {ask(client).status_code for client in everywhere} == {200}


def test_a_recording_that_begins_calls_nothing_that_is_off(sandbox, clients):
    it = Scripted(sandbox, FAILING)
    everywhere = clients(it)
    turn_off(it, everywhere[0])
    wait_until(lambda: script(it)["breakers"], 2, "the partner is told")
    it.http.http.put("/scripts/v1/recording", json={"days": 1})
    it.await_workers()
    assert all(is_off(ask(client)) for client in everywhere)


def test_a_worker_that_begins_hears_of_what_is_off(sandbox, clients):
    it = Scripted(sandbox, FAILING)
    turn_off(it, it.http)
    wait_until(lambda: script(it)["breakers"], 2, "the partner is told")
    sandbox.reload()
    assert all(is_off(ask(client)) for client in clients(it))


def test_a_canary_that_fails_takes_nothing_from_the_version_before(sandbox):
    it = Scripted(sandbox, "return {}")
    bad = it.push(hook("error('always')"))
    it.point(bad, previous=1, canary=50)
    it.await_workers()
    verdicts = []
    for _ in range(120):
        answer = it.http.get(ACCOUNTS)
        scripts = it.trace(answer).get("scripts", [{}])
        verdicts.append((scripts[0].get("version"), answer.status_code, scripts[0].get("verdict")))
    assert {status for version, status, _ in verdicts if version != bad} == {200}
    assert {"error", "off"} == {verdict for version, _, verdict in verdicts if version == bad}
    wait_until(lambda: script(it)["breakers"], 2, "the partner is told")
    assert [b["version"] for b in script(it)["breakers"]] == [bad]


def test_news_of_what_does_not_run_any_more_turns_nothing_off(sandbox, clients):
    it = Scripted(sandbox, FAILING)
    it.activate(FAILING)
    off = "select script.note_failure(%s, %s, %s, 'on_request', 'error', %s, 'x', now() - %s * interval '1 s', now() + interval '1 hour')"
    it.run(off, it.book, it.script, 1, "retired", 0)
    it.run(off, it.book, it.script, 2, "before the activation", 60)
    it.await_workers()
    assert script(it)["breakers"] == [] and {ask(client).status_code for client in clients(it)} == {200}


def test_a_rollback_counts_on_every_worker_within_half_a_second(sandbox, clients):
    it = Scripted(sandbox, "return {}")
    everywhere, worst = clients(it), 0.0
    bad = it.push(hook('return { deny = { code = "wrong" } }'))
    for _ in range(5):
        it.point(bad, previous=1)
        it.await_workers()
        assert {ask(client).status_code for client in everywhere} == {403}
        it.point(1, kind="rollback")
        rolled_back, asked = time.monotonic(), 0.0
        while (denied := [answered for client in everywhere if (answered := when_denied(client))]):
            asked = denied[-1] - rolled_back
        worst = max(worst, asked)
    print(f"the last of {WORKERS} workers denied {worst * 1000:.0f} ms after a rollback")
    assert worst < KNOWN_WITHIN_S


def test_that_an_activation_counts_everywhere_can_be_seen(sandbox):
    it = Scripted(sandbox, "return {}")
    before = sandbox.metric("tongbao_script_generation")
    it.point(1)
    generation = it.one("select generation from script.script where id = %s", it.script)
    assert before < generation
    it.await_workers()
    assert sandbox.metric("tongbao_script_generation") == generation
    sandbox.reload()
    assert sandbox.metric("tongbao_script_generation") == generation, "a worker that begins knows all before it serves"


def when_denied(client):
    """When the request was sent that was denied; None: it was not."""
    sent = time.monotonic()
    return sent if ask(client).status_code == 403 else None


def test_long_calls_leave_a_script_alone_until_they_are_made_up_for():
    """Where they cannot give way, and do not fail, so that the breaker has nothing to say about them; an activation makes up for
    nothing."""
    with Sandbox(settings={"TB_WORKERS": "1", "TB_SCRIPT_LONG": "1ms", "TB_SCRIPT_CPU": "1s"}) as own:
        turns = "tostring(setmetatable({{}}, {{ __tostring = function() for i = 1, {} do local _ = i * i end return '' end }}))"
        it, brief, quick = Scripted(own, hook(turns.format(200000))), Scripted(own, hook("")), Scripted(own, hook(""))
        took_us = min(it.trace(it.http.get(ACCOUNTS))["scripts"][0]["cpu_microseconds"] for _ in range(5))
        for partner, us in ((it, 100000), (brief, 5000)):
            partner.activate(hook(turns.format(200000 * us // took_us)))
            answers = [partner.http.get(ACCOUNTS)]
            while len(answers) < 100 and answers[-1].status_code == 200:
                answers.append(partner.http.get(ACCOUNTS))
            refused = answers[-1]
            assert "all the time there is for them" in assert_problem(refused, 403, "script_failed")["detail"]
            assert partner.trace(refused)["scripts"][0]["verdict"] == "too long"
            [told] = wait_until(lambda: script(partner)["failures"], 2, "the partner is told")
            assert (told["hook"], told["version"], told["ended"]) == ("on_request", 2, "too long")
            assert told["request_id"] == refused.headers["x-request-id"] and told["why"] in refused.json()["detail"]
        assert quick.http.get(ACCOUNTS).status_code == 200, "it is the partner's own share"
        it.activate(hook(""))
        assert it.http.get(ACCOUNTS).status_code == 403
        assert script(it)["breakers"] == [] and own.metric("tongbao_script_budget_total") == 0
        wait_until(lambda: brief.http.get(ACCOUNTS).status_code == 200, 30, "a call is settled, and made again")


def test_a_text_that_is_read_anew_for_every_call_is_charged_as_its_calls_are():
    """Each call leaves the state so full that it is not used again, and the text is long."""
    with Sandbox(settings={"TB_WORKERS": "1", "TB_SCRIPT_LONG": "1ms", "TB_SCRIPT_CPU": "1s"}) as own:
        fill = "local t = {} for i = 1, 56 do t[i] = ('x'):rep(40000) .. i end "
        table = "local list = {" + ",".join(f"'{i:07}'" for i in range(6000)) + "}\n"
        it, answers = Scripted(own, table + hook(fill)), []
        while len(answers) < 500 and (not answers or answers[-1].status_code == 200):
            answers.append(it.http.get(ACCOUNTS))
        assert "all the time there is for them" in assert_problem(answers[-1], 403, "script_failed")["detail"]
        wait_until(lambda: own.metric("tongbao_script_states_worn_total") >= len(answers) - 2, 5, "the count is on the page")
