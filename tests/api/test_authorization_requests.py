"""What the pushed authorization request endpoint can know it refuses itself, by name (RFC 9126 §2.3), so that no customer is sent
to a page that leads nowhere; and who may answer a request that names its customer by an ID token (OpenID Connect Core §3.1.2.1)."""

import time

import pytest

from harness.browser import APPROVING, Browser, Landing, Page
from harness.fapi import DETAILS, FapiClient, refused

PAYING = "openid accounts:read e-payment:read e-payment:write"
YESTERDAY = "2024-01-01T00:00:00Z"
MANDATE = {"type": "mandate", "maximum_individual_amount": {"amount": 500, "currency": "CNY"},
           "periodic_limits": [{"period_type": "Day", "period_alignment": "Calendar", "amount": {"amount": 500, "currency": "CNY"}}]}


@pytest.fixture(scope="module")
def shop(fapi):
    return FapiClient.register(fapi, scope=PAYING + " consents:write")


@pytest.fixture(scope="module")
def signer(fapi):
    return FapiClient.register(fapi, alg="PS256", signed=True, scope=PAYING)


# ---- refused where it is pushed ----

@pytest.mark.parametrize("changes, error, words", [
    ({"scope": "openid e-payment:write", "authorization_details": None}, "invalid_scope",
     "e-payment:write needs authorization_details of type payment or mandate"),
    ({"scope": "openid accounts:read e-payment:write"}, "invalid_scope",
     "e-payment:write needs authorization_details of type payment or mandate"),
    ({"scope": "openid consents:write", "authorization_details": None}, "invalid_scope", "consents:write is for tokens of the client's own"),
    ({"authorization_details": [{**DETAILS[0], "valid_to": YESTERDAY}]}, "invalid_authorization_details", "/0/valid_to is in the past"),
    ({"scope": "openid", "authorization_details": [{**MANDATE, "valid_to": YESTERDAY}]}, "invalid_authorization_details",
     "/0/valid_to is in the past"),
    ({"claims": {"id_token": {"acr": {"essential": True, "values": ["urn:example:retina"]}}}}, "unmet_authentication_requirements",
     "claims: id_token: acr can only be urn:openbanking:psd2:sca"),
    ({"claims": {"userinfo": {"acr": {"essential": True, "value": "x"}}}}, "unmet_authentication_requirements", "claims: userinfo: acr"),
    ({"claims": {"id_token": {"sub": {"value": 7}}}}, "invalid_request", "claims: id_token: sub must be compared with texts"),
], ids=str)
def test_what_can_never_be_given_is_refused_where_it_is_pushed(shop, changes, error, words):
    assert words in refused(shop.push(changes).answer, 400, error)["error_description"]


def test_a_request_without_a_browser_is_judged_alike(fapi):
    client = FapiClient.register(fapi, redirect_uris=None, response_types=None, scope=PAYING,
                                 grant_types=["urn:openid:params:grant-type:ciba"], backchannel_token_delivery_mode="poll")
    said = refused(client.backchannel({"scope": "openid e-payment:write", "authorization_details": None}), 400, "invalid_scope")
    assert "e-payment:write needs authorization_details" in said["error_description"]


def test_a_time_is_past_by_the_clock_of_the_clients_world(fapi, db):
    client = FapiClient.register(fapi, scope=PAYING)
    later = {"authorization_details": [{**DETAILS[0], "valid_to": "2098-01-01T00:00:00Z"}]}
    assert client.push(later).answer.status_code == 201
    with db.cursor() as sql:
        sql.execute("update bank.world set clock_offset_ms = 90 * 365 * 86400000::bigint where id = %s", (client.metadata["tongbao_sandbox"]["world"],))
    assert "/0/valid_to is in the past" in refused(client.push(later).answer, 400, "invalid_authorization_details")["error_description"]


@pytest.mark.parametrize("member, value", [
    ("state", 7), ("state", {"a": 1}), ("nonce", 1.5), ("nonce", ["x"]), ("nonce", True), ("scope", ["openid"]),
    ("redirect_uri", {}), ("code_challenge", 5), ("response_type", False), ("login_hint", 7), ("max_age", True), ("claims", 7),
    ("prompt", []), ("ui_locales", ["zh"]), ("authorization_details", 3)], ids=str)
def test_a_member_of_a_request_object_is_of_its_kind(signer, member, value):
    parameters, _ = signer.parameters()
    answer = signer.post("pushed_authorization_request_endpoint",
                         {"client_id": signer.id, "request": signer.request_object({**parameters, member: value})})
    assert member in refused(answer, 400, "invalid_request_object")["error_description"]


@pytest.mark.parametrize("changes", [{"max_age": 600}, {"max_age": "600"}, {"claims": {"userinfo": {"name": None}}}, {"of_tomorrow": {"x": [1]}}], ids=str)
def test_members_that_may_be_json_stay_so_and_unknown_ones_are_passed_over(signer, changes):
    assert signer.push(changes).answer.status_code == 201


# ---- the page that cannot go on ----

def test_the_page_names_the_cause_in_a_sandbox(shop):
    page = Browser(shop.server).open(f"{shop.server.url}/oauth/authorize?client_id={shop.id}&request_uri=urn:ietf:params:oauth:request_uri:x")
    assert page.status == 400 and "the request_uri is unknown, used, expired or another client's" in page.text, page
    page = Browser(shop.server).open(f"{shop.server.url}/oauth/authorize?request_uri=<script>")
    assert page.status == 400 and "client_id and request_uri are needed" in page.text and "<script>" not in page.answer.text


# ---- whom it is for ----

def next_second():
    time.sleep(1.02 - time.time() % 1)  # a login of an earlier second than the request is one before it


@pytest.fixture(scope="module")
def hinted(fapi):
    """A client, and an ID token of each of its two users."""
    client = FapiClient.register(fapi)
    tokens = []
    for user in client.users:
        with Browser(fapi) as browser:
            it = client.push()
            it.decide(browser=browser, user=user)
            tokens.append(client.redeem(it).json()["id_token"])
    return client, tokens


def test_a_hint_of_another_user_than_the_one_who_is_logged_in(hinted):
    client, (first, second) = hinted
    with Browser(client.server) as browser:
        assert isinstance(browser.login(browser.open(client.push().url()), client.users[0]), Page)
        next_second()

        def silent(hint):
            return browser.open(client.push({"prompt": "none", "id_token_hint": hint}).url()).parameters["error"]

        assert silent(second) == "login_required" and silent(first) == "consent_required"
        assert browser.open(client.push({"id_token_hint": first}).url()).asks_decision()
        page = browser.open(client.push({"id_token_hint": second}).url())
        assert isinstance(page, Page) and page.asks_password() and not page.asks_decision(), page


def test_who_logs_in_for_a_hint_must_be_whom_it_names(hinted):
    client, (_, second) = hinted
    for user, decides in ((client.users[1], True), (client.users[0], False)):
        with Browser(client.server) as browser:
            it = client.push({"id_token_hint": second})
            end = browser.login(browser.open(it.url()), user)
            if decides:
                assert end.asks_decision(), end
            else:
                assert isinstance(end, Landing) and end.parameters["error"] == "login_required" and "code" not in end.parameters
                assert end.parameters["state"] == it.parameters["state"]


def test_a_decision_is_held_against_the_hint_of_its_request(hinted):
    """The form of a page that asks the right user, with another request's name put in."""
    client, (_, second) = hinted
    with Browser(client.server) as browser:
        page = browser.login(browser.open(client.push().url()), client.users[0])
        form, other = page.asks_decision(), client.push({"id_token_hint": second})
        for field in form.inputs:
            if field.get("name") == "request_uri":
                field["value"] = other.request_uri
        end = browser.submit(form, button=form.button(APPROVING))
        assert not isinstance(end, Landing) or end.parameters.get("error") == "login_required", end


def test_an_expired_hint_still_names_its_user_and_a_foreign_one_is_refused(fapi, hinted, other_client):
    client, (first, _) = hinted
    head, body, signature = first.split(".")
    for hint in (first[:-6] + "AAAAAA", f"{head}.{body}.", "x", other_client.tokens()["id_token"], client.assertion()):
        assert "id_token_hint" in refused(client.push({"id_token_hint": hint}).answer, 400, "invalid_request")["error_description"]
