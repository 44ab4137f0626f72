"""The authorization server while PostgreSQL dies: it fails closed, says so with 503, and what counts once still counts once."""

import contextlib
import os
import random
import signal
import threading
import time

import httpx
import pytest

from harness import Sandbox
from harness.fapi import FapiClient, Server, granted, refused
from harness.sandbox import ROOT, wait_until

BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build-asan")
ROUNDS = 8


@pytest.fixture(scope="module")
def bank():
    with Sandbox(build=BUILD, settings={"TB_WORKERS": "2"}) as sandbox:
        yield Server(sandbox)


@pytest.fixture(scope="module")
def client(bank):
    return FapiClient.register(bank)


class Paused:
    """PostgreSQL stands still: connections stay, nothing is answered."""

    def __init__(self, sandbox):
        self.postmaster = sandbox.postmaster()

    def children(self):
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", encoding="utf-8") as opened:
                        if int(opened.read().rpartition(")")[2].split()[1]) == self.postmaster:
                            found.append(int(name))
                except OSError:
                    continue
        return found

    def signal(self, which):
        """The postmaster first, so that no child is born unseen; those that end meanwhile do no harm."""
        os.kill(self.postmaster, which)
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)

    def __enter__(self):
        self.signal(signal.SIGSTOP)

    def __exit__(self, *_):
        self.signal(signal.SIGCONT)


def unavailable(answer):
    """503 (or 504: the deadline) in OAuth's own form, with a time to come back."""
    refused(answer, (503, 504), "temporarily_unavailable")
    assert answer.status_code == 504 or int(answer.headers["retry-after"]) > 0, answer.headers


def kill(sandbox):
    """kill -9 of PostgreSQL's postmaster."""
    before = sandbox.postmaster()
    os.kill(before, signal.SIGKILL)
    return before


def back(client, before):
    """PostgreSQL is another process, and the workers that client and browser talk to have found it."""
    sandbox = client.server.sandbox

    def well():
        try:
            page = client.browser.http.get(client.server.url + "/oauth/dashboard")
            return sandbox.postmaster() != before and page.status_code < 500 and client.client_credentials().status_code == 200
        except (httpx.TransportError, OSError, ValueError):
            return False
    wait_until(well, 30, "the authorization server is well again")


def test_without_the_database_nothing_is_authenticated_and_nothing_issued(client):
    authorization = client.authorize()
    tokens = granted(client.redeem(authorization))
    assertion = client.credentials()
    with Paused(client.server.sandbox):
        unavailable(client.client_credentials(auth=assertion))
        unavailable(client.push().answer)
        unavailable(client.refresh(tokens["refresh_token"]))
        unavailable(client.introspect(tokens["access_token"]))
        unavailable(client.revoke(tokens["access_token"]))
        page = client.browser.http.get(authorization.url())
        assert page.status_code in (503, 504) and page.headers["content-type"].startswith("text/html"), page.text
    back(client, None)


def fall(sandbox, after_s):
    """Kill PostgreSQL so much later; a thread that tells the old postmaster."""
    killed = []

    def later():
        time.sleep(after_s)
        killed.append(kill(sandbox))
    thread = threading.Thread(target=later)
    thread.start()
    return thread, killed


def during(sandbox, after_s, call):
    """What a call answers while PostgreSQL dies, or None when there was none; and the postmaster that died."""
    thread, killed = fall(sandbox, after_s)
    try:
        answer = call()
    except httpx.TransportError:
        answer = None
    thread.join()
    return answer, killed[0]


def test_a_code_never_gives_two_tokens_whenever_postgres_dies(client):
    chance = random.Random(int(os.environ.get("TB_SEED", "7")))
    given = 0
    for _ in range(ROUNDS):
        authorization = client.authorize()
        answer, before = during(client.server.sandbox, chance.uniform(0, 0.02), lambda a=authorization: client.redeem(a))
        back(client, before)
        again = client.redeem(authorization)
        successes = [a for a in (answer, again) if a is not None and a.status_code == 200]
        assert len(successes) <= 1, "two tokens for one code"
        for a in (answer, again):
            if a is not None and a.status_code != 200:
                refused(a, (400, 503, 504), "invalid_grant", "temporarily_unavailable")
        given += len(successes)
    print(f"{given} of {ROUNDS} codes gave a token", end=" ")


def test_an_assertion_never_authenticates_twice_whenever_postgres_dies(client):
    chance = random.Random(int(os.environ.get("TB_SEED", "11")))
    for _ in range(ROUNDS):
        auth = client.credentials({"exp": int(time.time()) + 200})
        answer, before = during(client.server.sandbox, chance.uniform(0, 0.01),
                                lambda used=auth: client.client_credentials(auth=used))
        back(client, before)
        again = client.client_credentials(auth=auth)
        both = [a.status_code for a in (answer, again) if a is not None]
        assert both.count(200) <= 1, both
        if answer is not None and answer.status_code != 200:
            refused(answer, (401, 503, 504), "invalid_client", "temporarily_unavailable")


def test_a_request_is_decided_at_most_once_whenever_postgres_dies(client):
    chance = random.Random(int(os.environ.get("TB_SEED", "13")))
    for _ in range(ROUNDS // 2):
        authorization = client.push()
        url = authorization.url()

        def decide(where=url):
            return client.browser.decide(where, client.users[0])
        first, before = during(client.server.sandbox, chance.uniform(0.01, 0.04), decide)
        back(client, before)
        second = decide()
        codes = [o.parameters["code"] for o in (first, second) if hasattr(o, "parameters") and "code" in o.parameters]
        assert len(codes) <= 1, codes
        for outcome in (first, second):
            assert outcome is None or hasattr(outcome, "parameters") or outcome.status in (400, 503, 504), outcome


def test_tokens_of_a_revoked_grant_stay_revoked_when_postgres_dies_right_after(client):
    for _ in range(3):
        tokens = client.tokens()
        assert client.revoke(tokens["refresh_token"]).status_code == 200
        back(client, kill(client.server.sandbox))
        refused(client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
        assert not client.works(tokens["access_token"])
