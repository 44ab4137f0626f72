"""Values that PostgreSQL does not take, or takes in another way, wherever a client's text comes near it: refused or served, never a
500. What the API's own operations get is in wrong_requests.py; here are the endpoints of the authorization server."""

import json
import urllib.parse

import pytest

from harness.fapi import DETAILS

TEXTS = ["a\x00b", "\ud800", "\u202e", "x" * 5000, "'", "\\", "infinity", "99999999999999999999", "-1", "2026-04-30T00:00:00+23:59"]
PARAMETERS = ["scope", "state", "nonce", "redirect_uri", "acr_values", "max_age", "prompt", "login_hint", "claims", "ui_locales", "resource",
              "authorization_details", "dpop_jkt", "code_challenge", "response_mode", "id_token_hint", "requested_expiry"]


def escaped(text):
    """As a form writes it; what is no text of Unicode as bytes that UTF-8 does not have."""
    return urllib.parse.quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")


def served(answer):
    assert answer.status_code < 500, f"{answer.status_code} {answer.text}"


@pytest.fixture(scope="module")
def poster(client):
    """Posts a form of the usual parameters with one of them as it is written here."""
    def post(endpoint, usual, name, text):
        pairs = {key: urllib.parse.quote(value if isinstance(value, str) else json.dumps(value), safe="") for key, value in usual.items()}
        pairs |= {key: urllib.parse.quote(value, safe="") for key, value in client.credentials().items()}
        pairs[name] = escaped(text)
        return client.server.http().post(client.server.metadata[endpoint], content="&".join(f"{k}={v}" for k, v in pairs.items()),
                                       headers={"content-type": "application/x-www-form-urlencoded"})
    return post


@pytest.mark.parametrize("name", PARAMETERS)
def test_pushed_parameters(client, poster, name):
    usual, _ = client.parameters({})
    for text in TEXTS:
        served(poster("pushed_authorization_request_endpoint", usual, name, text))


@pytest.mark.parametrize("name", ["login_hint", "binding_message", "requested_expiry", "client_notification_token", "scope", "user_code"])
def test_backchannel_parameters(client, poster, name):
    usual = {"scope": "openid", "login_hint": "nobody", "binding_message": "B1", "authorization_details": DETAILS}
    for text in TEXTS:
        served(poster("backchannel_authentication_endpoint", usual, name, text))


@pytest.mark.parametrize("grant, names", [
    ("authorization_code", ["code", "redirect_uri", "code_verifier"]), ("refresh_token", ["refresh_token", "scope"]),
    ("client_credentials", ["scope", "resource"]), ("urn:openid:params:grant-type:ciba", ["auth_req_id"]),
])
def test_token_parameters(poster, grant, names):
    usual = {"grant_type": grant, "code": "x", "redirect_uri": "https://client.example/callback", "code_verifier": "v" * 43,
             "refresh_token": "x", "auth_req_id": "x"}
    for name in names:
        for text in TEXTS:
            served(poster("token_endpoint", usual, name, text))


@pytest.mark.parametrize("endpoint", ["introspection_endpoint", "revocation_endpoint"])
def test_shown_tokens(poster, endpoint):
    for text in TEXTS:
        served(poster(endpoint, {"token": "x"}, "token", text))


DATES = ["2099-04-31T00:00:00Z", "2099-04-30T00:00:00+23:59", "2099-04-30T00:00:00-16:00", "2099-04-30T00:00:00." + "9" * 200 + "Z",
         "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-15:59", "9999-12-31T23:59:59Z", "infinity"]


@pytest.mark.parametrize("text", DATES, ids=lambda text: text[:32])
def test_times_of_authorization_details(client, text):
    """What was pushed reaches the books only when it is decided."""
    pushed = client.push({"authorization_details": [{**DETAILS[0], "valid_to": text}]})
    served(pushed.answer)
    if pushed.answer.status_code == 201:
        assert pushed.decide()["code"]


@pytest.mark.parametrize("member", ["client_name", "software_id", "scope", "redirect_uris", "default_max_age", "tls_client_auth_subject_dn"])
def test_registered_members(anyone, member):
    for value in ["a\x00b", "\ud800", "x" * 5000, 2**31, 2**63 - 1, 2**63, -1, ["a\x00"], 1.5]:
        served(anyone.http.post("/oauth/register", content=json.dumps({"client_name": "Hostile", member: value}),
                                headers={"content-type": "application/json"}))


def test_names_in_the_authorization_header(anyone):
    for text in TEXTS:
        for header in (f"Basic {text}", f"Bearer {text}", f"DPoP {text}"):
            try:
                header.encode("latin-1")
            except UnicodeEncodeError:
                continue
            if header != header.strip() or any(ord(c) < 32 for c in header):
                continue
            served(anyone.http.post("/oauth/token", data={"grant_type": "client_credentials"}, headers={"authorization": header}))
