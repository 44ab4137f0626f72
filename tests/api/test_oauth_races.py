"""What counts once counts once, whoever asks at the same moment: codes, decisions, assertions, proofs, CIBA requests. And what
was given for a code that is shown again is taken back, on every worker, within a second."""

import collections
import threading
import urllib.parse

import httpx
import pytest

from harness import Sandbox
from harness.browser import APPROVING, REFUSING
from harness.fapi import CIBA_GRANT, FapiClient, Server, granted, refused, token_of
from harness.sandbox import wait_until

RUNNERS = 64
NOTICE_S = 1


@pytest.fixture(scope="module")
def bank():
    with Sandbox(settings={"TB_WORKERS": "3"}) as sandbox:
        yield Server(sandbox)


@pytest.fixture(scope="module")
def client(bank):
    return FapiClient.register(bank, grant_types=["authorization_code", "refresh_token", "client_credentials", CIBA_GRANT],
                               backchannel_token_delivery_mode="poll")


@pytest.fixture(scope="module")
def twins(client):
    """The client, as often as there are runners, each on a connection of its own."""
    made = [client.on_a_connection_of_its_own() for _ in range(RUNNERS)]
    yield made
    for twin in made:
        twin.server.close()


def race(runners, run):
    """Let all runners go at once; what each came back with."""
    gate = threading.Barrier(len(runners))
    outcomes, fallen = [], []

    def go(runner):
        try:
            gate.wait()
            outcomes.append(run(runner))
        except Exception as error:
            fallen.append(error)

    threads = [threading.Thread(target=go, args=(runner,)) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fallen == []
    return outcomes


def one_won(answers, status, *errors):
    """Exactly one answer is good, the others were refused so."""
    statuses = collections.Counter(answer.status_code for answer in answers)
    assert statuses == {200: 1, status: len(answers) - 1}, statuses
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, status, *errors)
    return next(answer for answer in answers if answer.status_code == 200)


def nowhere_taken(twins, token):
    """After a second at most the token is refused on every connection, and so by every worker."""
    wait_until(lambda: not any(twin.works(token) for twin in twins), NOTICE_S, "refused on all connections")


def test_one_code_gives_one_token_and_is_revoked_by_its_reuse(client, twins):
    authorization = client.authorize()
    winner = one_won(race(twins, lambda twin: twin.redeem(authorization)), 400, "invalid_grant")
    refused(client.redeem(authorization), 400, "invalid_grant")
    nowhere_taken(twins, granted(winner)["access_token"])
    refused(client.refresh(granted(winner)["refresh_token"]), 400, "invalid_grant")


def test_a_code_shown_again_takes_back_its_token_on_every_worker(client, twins):
    authorization = client.authorize()
    tokens = granted(client.redeem(authorization))
    again = granted(client.refresh(tokens["refresh_token"]))["access_token"]
    for twin in twins[:16]:  # remembered by every worker
        assert twin.works(tokens["access_token"]) and twin.works(again)
    refused(client.redeem(authorization), 400, "invalid_grant")
    nowhere_taken(twins[:16], tokens["access_token"])
    nowhere_taken(twins[:16], again)


def test_a_revoked_refresh_token_takes_back_its_tokens_on_every_worker(client, twins):
    tokens = client.tokens()
    for twin in twins[:16]:
        assert twin.works(tokens["access_token"])
    assert client.revoke(tokens["refresh_token"]).status_code == 200
    nowhere_taken(twins[:16], tokens["access_token"])
    refused(client.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_a_revoked_access_token_is_refused_on_every_worker(client, twins):
    tokens = client.tokens()
    for twin in twins[:16]:
        assert twin.works(tokens["access_token"])
    assert client.revoke(tokens["access_token"]).status_code == 200
    nowhere_taken(twins[:16], tokens["access_token"])


def decisions(client, authorization, buttons):
    """Press the decision's button in so many windows of one browser at once."""
    browser = client.browser
    form = browser.login(browser.open(authorization.url()), client.users[0]).asks_decision()
    assert form
    bodies = []
    for pattern in buttons:
        pressed = form.button(pattern)
        bodies.append(urllib.parse.urlencode([*form.values(), (pressed["name"], pressed.get("value", ""))]))
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": client.server.url, "Accept": "text/html"}
    windows = [httpx.Client(verify=client.server.ca, http1=False, http2=True, timeout=20.0, headers=headers,
                            cookies=browser.http.cookies) for _ in bodies]
    for window in windows:
        window.get(client.server.url + "/healthz")
    answers = race(list(zip(windows, bodies)), lambda runner: runner[0].post(form.action, content=runner[1]))
    for window in windows:
        window.close()
    led = [a.headers["location"] for a in answers if a.status_code == 303 and "client.example" in a.headers["location"]]
    return [dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query)) for location in led]


def test_one_request_uri_is_decided_once(client):
    authorization = client.push()
    responses = decisions(client, authorization, [APPROVING] * RUNNERS)
    codes = {response["code"] for response in responses if "code" in response}
    assert len(codes) == 1, responses
    authorization.code = codes.pop()
    granted(client.redeem(authorization))


def test_an_approval_and_a_refusal_at_once_are_one_decision(client):
    for _ in range(4):
        responses = decisions(client, client.push(), [APPROVING, REFUSING] * 8)
        decided = [r for r in responses if "code" in r or r.get("error") == "access_denied"]
        assert len({r.get("code", "refused") for r in decided}) == 1, responses


def test_one_assertion_authenticates_once(client, twins):
    auth = client.credentials()
    one_won(race(twins, lambda twin: twin.client_credentials(auth=auth)), 401, "invalid_client")


def test_one_jti_authenticates_once_whatever_else_the_assertion_says(twins):
    jti = token_of()
    answers = race(twins, lambda twin: twin.client_credentials(auth=twin.credentials({"jti": jti, "more": token_of(4)})))
    one_won(answers, 401, "invalid_client")


def test_two_clients_may_choose_the_same_jti(bank, client):
    other, jti = FapiClient.register(bank), token_of()
    granted(client.client_credentials(auth=client.credentials({"jti": jti})))
    granted(other.client_credentials(auth=other.credentials({"jti": jti})))


def test_one_proof_counts_once_at_the_token_endpoint(client, twins):
    proof = client.proof("POST", client.server.endpoint("token_endpoint"))
    one_won(race(twins, lambda twin: twin.client_credentials(proof=proof)), 400, "invalid_dpop_proof")


def test_one_proof_counts_once_at_the_resource_server(client, twins):
    token = client.tokens()["access_token"]
    proof = client.proof("GET", client.server.url + "/oauth/userinfo", token)
    statuses = collections.Counter(a.status_code for a in race(twins, lambda t: t.fetch(token, "/oauth/userinfo", proof=proof)))
    assert statuses == {200: 1, 401: RUNNERS - 1}, statuses


def test_one_auth_req_id_gives_one_token(client, twins):
    message = f"R-{token_of(6)}"
    waiting = client.backchannel({"binding_message": message}).json()
    client.browser.decide_waiting(client.server.url + "/oauth/dashboard", client.users[0], message)
    one_won(race(twins, lambda twin: twin.poll(waiting["auth_req_id"])), 400, "invalid_grant")


def test_one_signed_backchannel_request_counts_once(bank):
    """Its jti is kept like an assertion's: whoever overhears the request cannot ask the customer again with it."""
    signer = FapiClient.register(bank, redirect_uris=None, response_types=None, grant_types=["client_credentials", CIBA_GRANT],
                                 backchannel_token_delivery_mode="poll", backchannel_authentication_request_signing_alg="ES256")
    other = FapiClient.register(bank, redirect_uris=None, response_types=None, grant_types=["client_credentials", CIBA_GRANT],
                                backchannel_token_delivery_mode="poll", backchannel_authentication_request_signing_alg="ES256")
    signers = [signer.on_a_connection_of_its_own() for _ in range(RUNNERS)]
    jti = token_of()
    answers = race(signers, lambda twin: twin.backchannel({"binding_message": f"R-{token_of(6)}"}, claims={"jti": jti}))
    for twin in signers:
        twin.server.close()
    one_won(answers, 400, "invalid_request")
    assert signer.backchannel(auth=signer.credentials({"jti": jti})).status_code == 200  # an assertion is another thing
    assert other.backchannel(claims={"jti": jti}).status_code == 200  # and so is another client


def test_a_refresh_token_serves_many_at_once(client, twins):
    """FAPI 2.0 §5.3.2.1: it is not rotated, so whoever lost an answer may ask again."""
    tokens = client.tokens()
    for answer in race(twins, lambda twin: twin.refresh(tokens["refresh_token"])):
        granted(answer)
