"""What browsers let scripts of other origins read, by the Fetch standard: metadata and keys for everybody; the API, the token
endpoint and pushed requests for the origins that the app has registered; nothing for others, and nothing at all where customers
are logged in. And that a sandbox on this machine does not bind the browser's localhost to https."""

import base64

import pytest

from harness import Sandbox
from harness.client import assert_problem
from harness.sandbox import wait_until

OURS, THEIRS, NOBODYS = "https://app.example", "https://other.example:8443", "https://evil.example"
PING, PAYMENTS, ACCOUNTS = "/example/v1/ping", "/e-payment/v1/payments", "/accounts/v1/accounts"


class App:
    """A client with web origins, and a plain token of it."""

    def __init__(self, fapi, *origins):
        answer = fapi.http().post("/oauth/register", json={"client_name": "Web app", "web_origins": list(origins), "plain_bearer_tokens": True})
        assert answer.status_code == 201, answer.text
        self.fapi, self.met = fapi, answer.json()
        self.basic = "Basic " + base64.b64encode(f"{self.met['client_id']}:{self.met['client_secret']}".encode()).decode()
        self.bearer = f"Bearer {self.token().json()['access_token']}"

    def token(self, origin=None, grant="client_credentials", path="/oauth/token"):
        headers = {"Authorization": self.basic, **({"Origin": origin} if origin else {})}
        return self.fapi.http().post(path, data={"grant_type": grant}, headers=headers)

    def get(self, path, origin=None):
        return self.fapi.http().get(path, headers={"Authorization": self.bearer, **({"Origin": origin} if origin else {})})


@pytest.fixture(scope="module")
def ours(fapi):
    return App(fapi, OURS, "http://localhost:3000")


@pytest.fixture(scope="module")
def theirs(fapi):
    return App(fapi, THEIRS)


def preflight(anyone, path, origin, method="POST", headers="authorization,content-type,dpop,idempotency-key"):
    return anyone.http.options(path, headers={"Origin": origin, "Access-Control-Request-Method": method,
                                              "Access-Control-Request-Headers": headers})


def cors(answer):
    return {n: v for n, v in answer.headers.items() if n.startswith("access-control-")}


@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/oauth/jwks"])
def test_metadata_and_keys_are_for_every_origin(anyone, path):
    for headers in ({}, {"Origin": NOBODYS}):
        assert cors(anyone.get(path, headers=headers)) == {"access-control-allow-origin": "*"}
    answer = preflight(anyone, path, NOBODYS, "GET")
    assert answer.status_code == 204 and answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"


@pytest.mark.parametrize("origin", [OURS, THEIRS, "http://localhost:3000"])
@pytest.mark.parametrize("path", [PING, PAYMENTS, ACCOUNTS + "/acc_01k9x3m6h0g00801v9r5t2n8qd", "/oauth/token", "/oauth/par", "/oauth/userinfo"])
def test_a_preflight_passes_for_the_origin_of_any_app(anyone, ours, theirs, path, origin):
    """It has no credentials, and is answered before anything is asked."""
    answer = wait_until(lambda: (a := preflight(anyone, path, origin)).status_code == 204 and a, 2, "the origins have been read")
    got = cors(answer)
    assert got["access-control-allow-origin"] == origin and answer.headers["vary"] == "Origin"
    assert {"authorization", "content-type", "dpop", "idempotency-key"} <= set(got["access-control-allow-headers"].split(", "))
    assert ("POST" if path in (PAYMENTS, "/oauth/token", "/oauth/par") else "GET") in got["access-control-allow-methods"].split(", ")
    assert int(got["access-control-max-age"]) > 0 and "access-control-allow-credentials" not in got and answer.content == b""


@pytest.mark.parametrize("origin", [NOBODYS, "null", "*", "https://app.example:443", "https://app.example.evil.example", "https://APP.example",
                                    "https://app", OURS + " " + THEIRS, "http://app.example"])
def test_nothing_is_said_to_others(anyone, ours, origin):
    answer = preflight(anyone, PAYMENTS, origin)
    assert_problem(answer, 405, "method_not_allowed")
    assert not cors(answer) and answer.headers["allow"]
    assert not cors(ours.get(PING, origin)) and not cors(ours.token(origin))


@pytest.mark.parametrize("path", ["/oauth/authorize", "/oauth/login", "/oauth/consents", "/oauth/register", "/healthz", "/metrics", "/nothing"])
def test_customers_pages_and_the_rest_are_for_no_origin(anyone, ours, path):
    for answer in (preflight(anyone, path, OURS), preflight(anyone, path, OURS, "GET"), anyone.get(path, headers={"Origin": OURS})):
        assert answer.status_code != 204 and not cors(answer)


def test_options_that_are_no_preflight_are_an_unknown_method(anyone, ours):
    assert_problem(anyone.http.options(PAYMENTS, headers={"Origin": OURS}), 405, "method_not_allowed")
    assert_problem(anyone.http.options(PAYMENTS, headers={"Access-Control-Request-Method": "POST"}), 405, "method_not_allowed")


def test_an_answer_is_for_the_origins_of_its_app(ours, theirs):
    answer = wait_until(lambda: (a := ours.get(PING, OURS)) if cors(ours.get(PING, OURS)) else None, 2, "the origins have been read")
    assert answer.status_code == 200 and cors(answer)["access-control-allow-origin"] == OURS and answer.headers["vary"] == "Origin"
    assert {"x-request-id", "location", "retry-after", "dpop-nonce"} <= set(cors(answer)["access-control-expose-headers"].split(", "))
    assert not cors(ours.get(PING, THEIRS)) and "Origin" in ours.get(PING, THEIRS).headers["vary"]
    assert not cors(theirs.get(PING, OURS)) and cors(theirs.get(PING, THEIRS))
    assert not cors(ours.get(PING)) and "vary" not in ours.get(PING).headers


def test_a_refusal_can_be_read_once_the_app_is_known(anyone, ours):
    answer = ours.get(PING + "?x=1", OURS)
    assert_problem(answer, 400, "bad_parameter")
    assert cors(answer)["access-control-allow-origin"] == OURS
    assert not cors(anyone.get(PING, headers={"Origin": OURS})), "nobody's request"
    assert not cors(anyone.get(PING, headers={"Origin": OURS, "Authorization": "Bearer x"}))


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/par"])
def test_the_authorization_server_answers_the_clients_own_origins(ours, theirs, anyone, path):
    answer = ours.token(OURS, "nonsense", path)
    assert answer.status_code == 400 and cors(answer)["access-control-allow-origin"] == OURS
    assert not cors(ours.token(THEIRS, path=path)) and not cors(ours.token(path=path))
    stranger = anyone.http.post(path, data={"grant_type": "client_credentials"}, headers={"Origin": OURS})
    assert stranger.status_code == 401 and not cors(stranger)
    if path == "/oauth/token":
        good = ours.token(OURS)
        assert good.status_code == 200 and cors(good)["access-control-allow-origin"] == OURS


def test_an_origin_that_is_taken_back_is_over(fapi, anyone):
    app = App(fapi, "https://short.example")
    wait_until(lambda: preflight(anyone, PING, "https://short.example").status_code == 204, 2, "it is there")
    kept = {k: v for k, v in app.met.items() if k not in ("registration_access_token", "registration_client_uri", "client_secret_expires_at",
                                                          "client_id_issued_at", "tongbao_sandbox", "web_origins")}
    headers = {"Authorization": f"Bearer {app.met['registration_access_token']}"}
    assert fapi.http().put(app.met["registration_client_uri"], json=kept, headers=headers).status_code == 200
    wait_until(lambda: preflight(anyone, PING, "https://short.example").status_code == 405, 2, "it is gone")
    assert not cors(app.get(PING, "https://short.example"))


@pytest.mark.parametrize("origin", ["https://app.example/", "https://app.example/path", "https://App.example", "https://app.example:443",
                                    "https://app.example:0", "https://app.example:70000", "https://app.example:08", "http://app.example",
                                    "https://user@app.example", "https://app..example", "https://.example", "https://-", "*", "null",
                                    "https://*.example", "app.example", "https://", "https://app.example?x", "http://localhost:80",
                                    "https://[::1", "https://app.example\n", "https://" + "a" * 250])
def test_what_is_no_origin_cannot_be_registered(fapi, origin):
    answer = fapi.http().post("/oauth/register", json={"client_name": "x", "web_origins": [OURS, origin]})
    assert answer.status_code == 400 and answer.json()["error"] == "invalid_client_metadata"
    assert "web_origins" in answer.json()["error_description"]


def test_a_sandbox_on_this_machine_does_not_bind_localhost_to_https():
    hosts = {"localhost": False, "127.0.0.1": False, "[::1]": False, "a.localhost": False, "bank.example": True, "localhost.example": True}
    sandbox = Sandbox(settings={"TB_WORKERS": "1"})
    sandbox.settings["TB_HOSTS"] = ",".join(f"{host}:{sandbox.port}" for host in hosts)
    with sandbox, sandbox.client(token=None) as anyone:
        for host, bound in hosts.items():
            name = {"Host": f"{host}:{sandbox.port}"}
            for answer in (anyone.http.post("/oauth/token", headers=name), anyone.get("/oauth/login", headers=name)):
                assert answer.status_code not in (421, 500), answer.text
                assert ("strict-transport-security" in answer.headers) == bound, host
