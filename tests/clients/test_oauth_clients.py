"""Two OAuth libraries that others wrote, both certified for FAPI 2.0, connect with nothing but the URL: they discover, register,
send a customer to the bank's pages, and pay. A library throws at whatever is not to the letter, and then the test fails."""

import pytest

from bridge import node

LIBRARIES = ("openid_client", "oauth4webapi")


@pytest.fixture(params=LIBRARIES)
def play(request, sandbox, certificate):
    """Play one scenario with one of the libraries; gives what it met."""
    def played(scenario, **more):
        [met] = node(f"oauth/{request.param}.js", scenario,
                     env={**sandbox.env, **certificate, "NODE_EXTRA_CA_CERTS": sandbox.ca, **more})
        assert met["protocols"] == ["h2"]
        return met
    return played


def paid(met):
    return met["paid"]["status"], met["paid"]["state"], met["paid"]["amount"]


ONCE = (201, "succeeded", {"amount": 4200, "currency": "CNY"})


def test_code_flow_with_pushed_requests_and_dpop(play):
    met = play("code_with_dpop")
    assert (met["token_type"].lower(), paid(met), met["known"], met["gone"]) == ("dpop", ONCE, True, {"active": False})


@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "Ed25519"])
def test_every_algorithm_authenticates_and_a_payment_happens_once(sandbox, certificate, algorithm):
    [met] = node("oauth/openid_client.js", "code_with_dpop",
                 env={**sandbox.env, **certificate, "NODE_EXTRA_CA_CERTS": sandbox.ca, "ALGORITHM": algorithm})
    assert (met["iss"], met["again"], met["refused"], met["same_subject"], met["jkt"]) == (sandbox.url, 403, 401, True, True)
    [detail] = met["details"]
    assert (detail["type"], detail["amount"]) == ("payment", {"amount": 4200, "currency": "CNY"})


def test_code_flow_with_tls_certificates(play):
    met = play("code_with_mtls")
    assert (met["token_type"].lower(), paid(met), met["known"]) == ("bearer", ONCE, True)
    assert met.get("without_certificate", 401) == 401


def test_signed_requests_and_responses(play):
    met = play("signed_messages")
    assert paid(met) == ONCE and met.get("sent_back", ["response"]) == ["response"]


def test_client_credentials(play):
    met = play("client_credentials")
    assert (met["token_type"].lower(), met["scope"], met["listed"]) == ("dpop", "accounts:read", 200)


def test_decoupled_authorization_by_polling(play):
    met = play("decoupled")
    assert (met["token_type"].lower(), paid(met), met.get("early", "authorization_pending")) == ("dpop", ONCE, "authorization_pending")


def test_a_resource_server_gets_signed_introspection(play):
    met = play("signed_introspection")
    assert met["told"] and met["client"]


def test_a_client_manages_its_registration(sandbox):
    [met] = node("oauth/oauth4webapi.js", "registration", env={**sandbox.env, "NODE_EXTRA_CA_CERTS": sandbox.ca})
    assert {name: met[name] for name in met if name != "protocols"} == {
        "read": 200, "changed": "Another name", "forbidden": 400, "bad": "invalid_redirect_uri", "kept": "Another name",
        "stranger": 401, "before": 200, "deleted": 204, "gone": 401, "after": 401}
