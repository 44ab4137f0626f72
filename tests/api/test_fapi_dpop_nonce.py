"""DPoP with nonces of the server's (RFC 9449 §8 and §9): a bank that asks for them says so, hands them out with every answer
that may be followed by a proof, and takes no proof without one."""

import base64
import re
import time

import pytest

from harness import Sandbox
from harness.fapi import RESOURCE, FapiClient, Server, granted, refused


@pytest.fixture(scope="module")
def client():
    with Sandbox(settings={"TB_DPOP_NONCE": "true", "TB_WORKERS": "2"}) as sandbox:
        yield FapiClient.register(Server(sandbox))


def nonce_of(answer):
    nonce = answer.headers["dpop-nonce"]
    assert re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", nonce) and len(nonce) < 100, nonce
    return nonce


def at_token(client, **claims):
    return client.proof("POST", client.server.endpoint("token_endpoint"), claims=claims)


def asked(client):
    """The nonce of the challenge that a proof without one meets at the token endpoint."""
    answer = client.client_credentials()
    refused(answer, 400, "use_dpop_nonce")
    return nonce_of(answer)


def test_the_token_endpoint_asks_for_a_nonce_and_takes_it(client):
    nonce = asked(client)
    answer = client.client_credentials(proof=at_token(client, nonce=nonce))
    granted(answer)
    nonce_of(answer)


def test_a_challenge_uses_nothing_up(client):
    """RFC 9449 §8: the client repeats the request with a new proof, so neither code nor assertion's effect is lost."""
    authorization = client.authorize()
    refusal = client.redeem(authorization)
    refused(refusal, 400, "use_dpop_nonce")
    granted(client.redeem(authorization, proof=at_token(client, nonce=nonce_of(refusal))))


@pytest.mark.parametrize("nonce", ["x", "", 1, "wBD_WXl5LmxNYOLnbnoftQ", base64.b64encode(bytes(16)).decode()])
def test_a_nonce_that_is_not_ours_is_asked_for_again(client, nonce):
    answer = client.client_credentials(proof=at_token(client, nonce=nonce))
    refused(answer, 400, "use_dpop_nonce", "invalid_dpop_proof")
    granted(client.client_credentials(proof=at_token(client, nonce=nonce_of(answer))))


def test_a_pushed_request_with_a_proof_needs_a_nonce_too(client):
    url = client.server.endpoint("pushed_authorization_request_endpoint")
    answer = client.push(proof=client.proof("POST", url)).answer
    refused(answer, 400, "use_dpop_nonce")
    assert client.push(proof=client.proof("POST", url, claims={"nonce": nonce_of(answer)})).request_uri


def test_the_resource_server_asks_for_a_nonce_and_takes_it(client):
    token = granted(client.client_credentials(proof=at_token(client, nonce=asked(client))))["access_token"]
    answer = client.fetch(token)
    assert answer.status_code == 401, answer.text
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith("DPoP ") and 'error="use_dpop_nonce"' in challenge, challenge
    url = client.server.url + RESOURCE
    good = client.proof("GET", url, token, claims={"nonce": nonce_of(answer)})
    answer = client.fetch(token, proof=good)
    assert answer.status_code == 200, answer.text
    again = client.fetch(token, proof=client.proof("GET", url, token, claims={"nonce": nonce_of(answer)}))
    assert again.status_code == 200, again.text


def test_a_nonce_replaces_no_other_check(client):
    nonce = asked(client)
    refused(client.client_credentials(proof=at_token(client, nonce=nonce, iat=int(time.time()) - 3600)), 400,
            "invalid_dpop_proof")
    refused(client.client_credentials(proof=at_token(client, nonce=nonce, htm="GET")), 400, "invalid_dpop_proof")
    proof = at_token(client, nonce=nonce)
    granted(client.client_credentials(proof=proof))
    refused(client.client_credentials(proof=proof), 400, "invalid_dpop_proof")
