"""What a registration loses is lost for what was asked for and granted before: every use of a request, code, grant or token is
decided again by the registration as it is then (RFC 7592 §2.2: a replacement replaces everything)."""

import json

import pytest

from harness.browser import APPROVING, Landing, Page
from harness.fapi import CIBA_GRANT, FapiClient, granted, refused
from harness.sandbox import wait_until

OWN = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
       "tongbao_sandbox", "client_secret")
ELSEWHERE = "https://client.example/elsewhere"
PAYING = "openid accounts:read e-payment:read e-payment:write"


def replace(client, **changes):
    """PUT the registration with changes; members that are None are left out."""
    kept = {k: v for k, v in client.metadata.items() if k not in OWN}
    body = {k: v for k, v in {**kept, **changes}.items() if v is not None}
    met = client.metadata
    answer = client.server.http().put(met["registration_client_uri"], json=body,
                                      headers={"Authorization": f"Bearer {met['registration_access_token']}"})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def own(fapi):
    """A client that may lose something."""
    return FapiClient.register(fapi, scope=PAYING)


@pytest.fixture
def ciba(fapi):
    return FapiClient.register(fapi, redirect_uris=None, response_types=None, grant_types=["refresh_token", CIBA_GRANT],
                               backchannel_token_delivery_mode="poll", scope=PAYING)


def payment(client):
    return [{"type": "payment", "amount": {"amount": 100, "currency": "CNY"}, "debtor_account": client.accounts[0],
             "creditor_account": client.accounts[1]}]


# ---- what was granted ----

def test_a_refresh_gives_no_scope_that_was_lost_and_gives_it_again_when_it_is_back(own):
    tokens = own.tokens()
    replace(own, scope="openid")
    narrowed = granted(own.refresh(tokens["refresh_token"]))
    assert narrowed["scope"] == "openid" and "authorization_details" not in narrowed
    assert own.fetch(narrowed["access_token"]).status_code == 403
    refused(own.refresh(tokens["refresh_token"], {"scope": "accounts:read"}), 400, "invalid_scope")
    replace(own, scope=PAYING)
    again = granted(own.refresh(tokens["refresh_token"]))
    assert set(again["scope"].split()) == {"openid", "accounts:read"} and again["authorization_details"]
    assert own.fetch(again["access_token"]).status_code == 200


def test_a_refresh_with_nothing_left_is_refused(own):
    tokens = own.tokens({"scope": "accounts:read"})
    replace(own, scope="openid")
    refused(own.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_details_of_a_lost_type_are_not_carried_on(own):
    tokens = own.tokens({"scope": "openid", "authorization_details": payment(own)})
    replace(own, authorization_details_types=["account_information"])
    narrowed = granted(own.refresh(tokens["refresh_token"]))
    assert narrowed["scope"] == "openid" and "authorization_details" not in narrowed
    refused(own.refresh(tokens["refresh_token"], {"authorization_details": json.dumps(payment(own))}), 400, "invalid_authorization_details")


def test_a_code_gives_no_scope_that_was_lost(own):
    it = own.authorize()
    replace(own, scope="openid")
    assert granted(own.redeem(it))["scope"] == "openid"


@pytest.mark.parametrize("changes, error", [
    ({"redirect_uris": [ELSEWHERE]}, "invalid_grant"),
    ({"grant_types": ["client_credentials"], "redirect_uris": None, "response_types": None}, "unauthorized_client")])
def test_a_code_that_went_where_the_client_is_no_longer_is_worth_nothing(own, changes, error):
    it = own.authorize()
    replace(own, **changes)
    refused(own.redeem(it), 400, error)


def test_an_access_token_opens_nothing_that_was_lost(own):
    token = own.tokens()["access_token"]
    assert own.fetch(token).status_code == 200
    replace(own, scope="openid")
    wait_until(lambda: own.fetch(token).status_code == 403, 5, "the lost scope opens nothing")


# ---- what was asked for ----

@pytest.mark.parametrize("changes, error", [
    ({"scope": "openid"}, "invalid_scope"),
    ({"authorization_details_types": ["payment"]}, "invalid_authorization_details"),
    ({"response_modes": ["jwt"]}, "invalid_request"),
    ({"grant_types": ["client_credentials", "urn:openid:params:grant-type:ciba"], "response_types": None}, "unauthorized_client")])
def test_a_pushed_request_for_what_was_lost_is_refused_to_the_client(own, changes, error):
    it = own.push()
    url = it.url()
    page = own.browser.login(own.browser.open(url), own.users[0])
    form = page.asks_decision()
    replace(own, **changes)
    for landing in (own.browser.submit(form, button=form.button(APPROVING)), own.browser.open(url)):
        assert isinstance(landing, Landing) and "code" not in landing.parameters, landing
        assert landing.parameters["error"] == error and landing.parameters["state"] == it.parameters["state"], landing


def test_a_pushed_request_for_a_lost_redirect_uri_leads_nowhere(own):
    it = own.push()
    url = it.url()
    page = own.browser.login(own.browser.open(url), own.users[0])
    form = page.asks_decision()
    replace(own, redirect_uris=[ELSEWHERE])
    for page in (own.browser.submit(form, button=form.button(APPROVING)), own.browser.open(url)):
        assert isinstance(page, Page) and page.status == 400, page
        assert "client.example/callback" not in page.answer.text


# ---- without a browser ----

def asked_and_approved(ciba, before=None):
    sent = ciba.backchannel()
    assert sent.status_code == 200, sent.text
    if before:
        before()
    digest = sent.json()["auth_req_id"]
    page = ciba.browser.login(ciba.browser.open(ciba.server.url + "/oauth/dashboard"), ciba.users[0])
    link = next(a for a, _ in page.links if "request=" in a)
    return digest, ciba.browser.open(link)


def test_a_backchannel_request_gives_no_scope_that_was_lost(ciba):
    request, page = asked_and_approved(ciba)
    form = page.asks_decision()
    done = ciba.browser.submit(form, button=form.button(APPROVING))
    assert done.status == 200, done
    replace(ciba, scope="openid")
    assert granted(ciba.poll(request))["scope"] == "openid"


def test_a_backchannel_request_for_what_was_lost_can_be_approved_by_nobody(ciba):
    _, page = asked_and_approved(ciba, lambda: replace(ciba, scope="openid"))
    assert page.status == 400 and not page.asks_decision(), page


# ---- what is said of tokens ----

def test_introspection_says_what_is_still_allowed(own):
    tokens = own.tokens()
    replace(own, scope="openid")
    for kind in ("access_token", "refresh_token"):
        said = own.introspect(tokens[kind], token_type_hint=kind).json()
        assert said["active"] is True and said["scope"] == "openid" and "authorization_details" not in said, (kind, said)
    replace(own, grant_types=["authorization_code", "client_credentials"])
    assert own.introspect(tokens["refresh_token"], token_type_hint="refresh_token").json() == {"active": False}


def test_introspection_does_not_say_what_the_bank_has_withdrawn(own, sandbox):
    token = own.tokens()["access_token"]
    assert "accounts:read" in own.introspect(token).json()["scope"].split()
    sandbox.cli("entitlement", "withdraw", own.id, "")
    said = own.introspect(token).json()
    assert said["active"] is True and said["scope"] == "openid", said


def test_who_gives_up_being_a_resource_server_asks_about_others_no_more(fapi):
    asker = FapiClient.register(fapi, tongbao_resource_server=True, scope=PAYING)
    met = asker.metadata
    kin = fapi.http().post("/oauth/register", json={"plain_bearer_tokens": True, "grant_types": ["client_credentials"]},
                           headers={"Authorization": f"Bearer {met['registration_access_token']}"}).json()
    pair = (kin["client_id"], kin["client_secret"])
    token = fapi.http().post("/oauth/token", data={"grant_type": "client_credentials"}, auth=pair).json()["access_token"]
    assert asker.introspect(token).json()["active"] is True
    replace(asker, tongbao_resource_server=None)
    assert asker.introspect(token).json() == {"active": False}
