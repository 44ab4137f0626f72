"""The authorization server's errors, as one table: place, case, answer. And that failures tell nothing by the time they take:
a client or a user that exists fails as slowly as one that does not."""

import base64
import statistics
import time
import urllib.parse

import pytest

from harness.browser import Browser, Page
from harness.fapi import ASSERTION_TYPE, FapiClient, refused, token_of
from harness.jose import Key
from harness.partner import new_id

AUTHENTICATED = ("token_endpoint", "pushed_authorization_request_endpoint", "introspection_endpoint", "revocation_endpoint",
                 "backchannel_authentication_endpoint")
FORM = "application/x-www-form-urlencoded"


# ---- client authentication: 401 invalid_client everywhere ----

def stranger(client):
    """Credentials of a client that does not exist, well signed."""
    name = new_id("app")
    return client.credentials({"iss": name, "sub": name})


NOT_CLIENTS = {
    "none": lambda c: None,
    "id-alone": lambda c: {"client_id": c.id},
    "unknown": stranger,
    "signature": lambda c: c.credentials(sign=Key("ES256")),
    "other-key": lambda c: c.credentials(header={"kid": "other"}, sign=Key("ES256")),
    "alg-none": lambda c: c.credentials(alg="none"),
    "expired": lambda c: c.credentials({"exp": int(time.time()) - 90}),
    "no-exp": lambda c: c.credentials({"exp": None}),
    "far-exp": lambda c: c.credentials({"exp": int(time.time()) + 86400}),
    "no-jti": lambda c: c.credentials({"jti": None}),
    "no-aud": lambda c: c.credentials({"aud": None}),
    "aud-slash": lambda c: c.credentials({"aud": c.server.issuer + "/"}),
    "sub-is-not-iss": lambda c: c.credentials({"sub": new_id("app")}),
    "type": lambda c: {**c.credentials(), "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
    "no-type": lambda c: {"client_assertion": c.assertion()},
    "no-jwt": lambda c: {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "x.y.z"},
    "request-object": lambda c: {"client_assertion_type": ASSERTION_TYPE, "client_assertion": c.request_object({})},
    "secret-in-body": lambda c: {"client_id": c.id, "client_secret": token_of()},
}


@pytest.mark.parametrize("endpoint", AUTHENTICATED)
@pytest.mark.parametrize("case", NOT_CLIENTS)
def test_who_is_not_a_client_gets_invalid_client(client, endpoint, case):
    good = {"grant_type": "client_credentials", "token": token_of(), "scope": "accounts:read", "login_hint": "x"}
    answer = client.post(endpoint, good, auth=NOT_CLIENTS[case](client))
    refused(answer, (400, 401), "invalid_client", *(("invalid_request",) if answer.status_code == 400 else ()))


def test_a_basic_client_that_fails_is_challenged(client):
    basic = base64.b64encode(f"{client.id}:{token_of()}".encode()).decode()
    answer = client.post("token_endpoint", {"grant_type": "client_credentials"}, auth=None,
                         headers={"Authorization": f"Basic {basic}"})
    refused(answer, 401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic "), answer.headers


def test_two_methods_at_once_are_none(client):
    basic = base64.b64encode(f"{client.id}:{token_of()}".encode()).decode()
    answer = client.post("token_endpoint", {"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {basic}"})
    refused(answer, (400, 401), "invalid_client", "invalid_request")


def test_an_assertion_counts_once(client):
    auth = client.credentials()
    assert client.client_credentials(auth=auth).status_code == 200
    refused(client.client_credentials(auth=auth), 401, "invalid_client")
    refused(client.push(auth=auth).answer, 401, "invalid_client")


# ---- the token endpoint ----

TOKEN = [
    ("no grant type", {}, "invalid_request"),
    ("empty grant type", {"grant_type": ""}, "invalid_request"),
    ("unknown grant type", {"grant_type": "urn:x:unheard-of"}, "unsupported_grant_type"),
    ("password", {"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
    ("implicit", {"grant_type": "implicit"}, "unsupported_grant_type"),
    ("grant not registered", {"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": "x"}, "unauthorized_client"),
    ("no code", {"grant_type": "authorization_code", "code_verifier": "v" * 43}, "invalid_request"),
    ("unknown code", {"grant_type": "authorization_code", "code": "c" * 43, "code_verifier": "v" * 43}, "invalid_grant"),
    ("code too long", {"grant_type": "authorization_code", "code": "c" * 20000, "code_verifier": "v" * 43}, "invalid_request"),
    ("no refresh token", {"grant_type": "refresh_token"}, "invalid_request"),
    ("unknown refresh token", {"grant_type": "refresh_token", "refresh_token": "r" * 43}, "invalid_grant"),
    ("unknown scope", {"grant_type": "client_credentials", "scope": "no:such"}, "invalid_scope"),
    ("malformed scope", {"grant_type": "client_credentials", "scope": 'a"b'}, "invalid_scope"),
    ("scope not registered", {"grant_type": "client_credentials", "scope": "e-payment:write"}, "invalid_scope"),
]


@pytest.mark.parametrize("form, error", [row[1:] for row in TOKEN], ids=[row[0] for row in TOKEN])
def test_the_token_endpoint_says(client, form, error):
    proof = client.proof("POST", client.server.endpoint("token_endpoint"))
    refused(client.post("token_endpoint", form, proof=proof), 400, error)


def test_a_repeated_parameter_is_an_invalid_request(client):
    for endpoint, pairs in (("token_endpoint", [("grant_type", "client_credentials"), ("grant_type", "client_credentials")]),
                            ("introspection_endpoint", [("token", "a"), ("token", "b")]),
                            ("revocation_endpoint", [("token", "a"), ("token", "a")]),
                            ("pushed_authorization_request_endpoint", [("scope", "openid"), ("scope", "openid")])):
        refused(client.post(endpoint, pairs), (400, 401), "invalid_request")


def test_an_unknown_parameter_is_ignored(client):
    assert client.client_credentials(unheard_of="x").status_code == 200


def test_the_redirect_uri_must_be_that_of_the_request_if_it_is_sent(client):
    refused(client.redeem(client.authorize(), {"redirect_uri": "https://client.example/other"}), 400, "invalid_grant")
    assert client.redeem(client.authorize(), {"redirect_uri": None}).status_code == 200


def test_tokens_of_others_are_unknown_tokens(client, other_client):
    token = client.tokens()["access_token"]
    for what in (token, token_of(), "x"):
        answer = other_client.introspect(what)
        assert answer.status_code == 200 and answer.json() == {"active": False}, answer.text
        assert "no-store" in answer.headers["cache-control"]
        assert other_client.revoke(what).status_code == 200
    assert client.works(token)
    assert client.introspect(token).json()["active"] is True
    refused(client.post("revocation_endpoint", {}), 400, "invalid_request")
    refused(client.post("introspection_endpoint", {}), 400, "invalid_request")


# ---- PAR ----

PUSHED = [
    ({"response_type": None}, "invalid_request"),
    ({"response_type": "none"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"redirect_uri": "https://client.example/callback#x"}, "invalid_request"),
    ({"redirect_uri": "javascript:alert(1)"}, "invalid_request"),
    ({"scope": "no:such"}, "invalid_scope"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"code_challenge_method": "S512"}, "invalid_request"),
    ({"max_age": "soon"}, "invalid_request"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"dpop_jkt": "x"}, "invalid_request"),
    ({"client_id": "app_of_another"}, "invalid_request"),
    ({"claims": "{"}, "invalid_request"),
    ({"authorization_details": "["}, "invalid_authorization_details"),
    ({"authorization_details": "{}"}, "invalid_authorization_details"),
    ({"authorization_details": [{}]}, "invalid_authorization_details"),
    ({"authorization_details": [{"type": "unheard-of"}]}, "invalid_authorization_details"),
    ({"authorization_details": [{"type": "account_information", "permissions": ["balances"], "more": 1}]},
     "invalid_authorization_details"),
    ({"authorization_details": [{"type": "account_information", "permissions": ["everything"]}]},
     "invalid_authorization_details"),
    ({"authorization_details": [{"type": "account_information"}]}, "invalid_authorization_details"),
]


@pytest.mark.parametrize("changes, error", PUSHED, ids=[str(changes)[:60] for changes, _ in PUSHED])
def test_a_pushed_request_that_is_wrong_is_refused(client, changes, error):
    allowed = {error, "invalid_client"} if "client_id" in changes else {error}
    refused(client.push(changes).answer, (400, 401), *allowed)


# ---- the authorization endpoint: a page, never a redirect; errors that are the client's go to it ----

AUTHORIZE = {
    "nothing": {},
    "no client": {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
    "no request": {"client_id": "app_x"},
    "unknown client": {"client_id": "app_00000000000000000000000000", "request_uri": "urn:ietf:params:oauth:request_uri:x"},
    "foreign request_uri": {"client_id": "app_x", "request_uri": "https://attacker.example/request"},
    "open redirect": {"client_id": "app_x", "redirect_uri": "https://attacker.example/", "response_type": "code"},
}


@pytest.mark.parametrize("case", AUTHORIZE)
def test_a_client_or_request_that_is_wrong_leads_to_a_page(fapi, case):
    with Browser(fapi) as browser:
        page = browser.open(fapi.metadata["authorization_endpoint"] + "?" + urllib.parse.urlencode(AUTHORIZE[case]))
    assert isinstance(page, Page) and page.status == 400, page
    assert page.headers["content-type"].startswith("text/html") and "no-store" in page.headers["cache-control"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "access-control-allow-origin" not in page.headers


def test_what_a_silent_request_cannot_do_is_told_to_the_client(fapi, client):
    authorization = client.push({"prompt": "none"})
    with Browser(fapi) as browser:  # nobody is logged in
        response = authorization.decide(browser=browser)
    assert response["error"] == "login_required", response
    client.browser.login(client.browser.open(client.push().url()), client.users[0])
    response = client.push({"prompt": "none"}).decide()
    assert response.get("error") in ("consent_required", "interaction_required"), response


# ---- HTTP ----

@pytest.mark.parametrize("endpoint", AUTHENTICATED)
def test_wrong_method_type_and_size_are_said_as_oauth_errors(fapi, endpoint):
    url = fapi.metadata[endpoint]
    for method in ("GET", "PUT", "DELETE"):
        answer = fapi.http().request(method, url)
        refused(answer, 405, "invalid_request")
        assert answer.headers["allow"] == "POST"
    refused(fapi.http().post(url, json={"grant_type": "client_credentials"}), 415, "invalid_request")
    refused(fapi.http().post(url, content=b"a=" + b"x" * 200_000, headers={"Content-Type": FORM}), 413, "invalid_request")
    refused(fapi.http().post(url, content=b"grant_type=%zz", headers={"Content-Type": FORM}), 400, "invalid_request")
    refused(fapi.http().post(url, content=b"grant_type=%00", headers={"Content-Type": FORM}), 400, "invalid_request")


def test_the_resource_server_says_401_without_a_code_and_with_one(fapi, client):
    none = fapi.http().get("/accounts/v1/accounts")
    assert none.status_code == 401 and "error=" not in none.headers["www-authenticate"], none.headers
    bad = fapi.http().get("/accounts/v1/accounts", headers={"Authorization": "Bearer x"})
    assert bad.status_code == 401 and 'error="invalid_token"' in bad.headers["www-authenticate"], bad.headers
    token = client.tokens({"scope": "openid", "authorization_details": None})["access_token"]
    short = client.fetch(token)
    assert short.status_code == 403 and 'error="insufficient_scope"' in short.headers["www-authenticate"], short.headers
    query = fapi.http().get("/accounts/v1/accounts", params={"access_token": token})
    assert query.status_code in (400, 401), query.text


# ---- time ----

def medians(calls, rounds):
    """The median time of each call in ms, asked in turn, so that whatever else the machine does strikes all alike."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def alike(make_calls, rounds, within=0.20, tries=10):
    """The medians of two calls are within so much of each other; a machine in use gets more than one try."""
    for _ in range(tries):
        both = medians(make_calls(), rounds)
        low, high = sorted(both.values())
        if high <= low * (1 + within):
            return
    raise AssertionError(f"told apart by time: {both}")


def test_a_client_that_exists_fails_as_slowly_as_one_that_does_not(client):
    wrong = Key("ES256")

    def post(auth):
        refused(client.post("token_endpoint", {"grant_type": "client_credentials"}, auth=auth), 401, "invalid_client")

    def calls():
        absent = new_id("app")
        return {"existing": lambda: post(client.credentials(sign=wrong)),
                "absent": lambda: post(client.credentials({"iss": absent, "sub": absent}, sign=wrong))}
    alike(calls, 150)


def test_a_secret_of_a_client_that_exists_fails_as_slowly_as_of_one_that_does_not(fapi):
    client = FapiClient.register(fapi, token_endpoint_auth_method="client_secret_basic", jwks=None,
                                 token_endpoint_auth_signing_alg=None)

    def post(name):
        basic = base64.b64encode(f"{name}:{token_of()}".encode()).decode()
        refused(client.post("token_endpoint", {"grant_type": "client_credentials"}, auth=None,
                            headers={"Authorization": f"Basic {basic}"}), 401, "invalid_client")
    alike(lambda: {"existing": lambda: post(client.id), "absent": lambda: post(new_id("app"))}, 150)


def test_a_user_that_exists_fails_as_slowly_as_one_that_does_not(sandbox, fapi, client):
    with Browser(fapi) as browser:
        form = browser.open(client.push().url()).asks_password()
        names = {("password" if i.get("type") == "password" else "login"): i["name"] for i in form.inputs
                 if i.get("type", "text") in ("text", "email", "password")}

        def post(login):
            with sandbox.db() as db, db.cursor() as cursor:
                cursor.execute("delete from oauth.login_throttle")
            page = browser.submit(form, {names["login"]: login, names["password"]: "wrong " + token_of(8)})
            assert page.asks_password(), page
        alike(lambda: {"existing": lambda: post(client.users[1].login), "absent": lambda: post(f"{token_of(6).lower()}@x")}, 12)
