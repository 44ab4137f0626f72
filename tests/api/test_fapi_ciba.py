"""The modules of the FAPI CIBA test plan (fapi-ciba-id1) that are about no ecosystem of their own, each as one test that bears
its name: requests for authorization that need no browser at the client, in poll and ping mode. Users decide on the dashboard."""

import ast
import http.server
import os
import queue
import re
import ssl
import threading
import time

import pytest
from yardstick import slowness

from harness import Sandbox
from harness.browser import Browser
from harness.fapi import CIBA_GRANT, DETAILS, FapiClient, Server, granted, refused, token_of
from harness.jose import Certificate, sha256

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ELSEWHERE = "https://other1.example.com"
GRANTS = ["refresh_token", CIBA_GRANT]
NOT_AUTHENTICATED = ("access_denied", "invalid_request", "invalid_client")


class Notified(http.server.BaseHTTPRequestHandler):
    """A client's notification endpoint: keeps what it is told and answers as its server says."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        self.server.told.put((self.path, self.headers, body))
        status, fields, said = self.server.answer
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(said))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def bank():
    """A sandbox that may notify a client on this machine, whose certificate the sandbox's own authority has issued."""
    sandbox = Sandbox(settings={"TB_OAUTH_PRIVATE_ADDRESSES": "true", "TB_WORKERS": "2"})
    sandbox.settings["TB_OAUTH_CA"] = f"{sandbox.run_dir}/tls/ca.pem"
    with sandbox:
        yield Server(sandbox)


@pytest.fixture(scope="module")
def poller(bank):
    return FapiClient.register(bank, redirect_uris=None, response_types=None, grant_types=GRANTS,
                               backchannel_token_delivery_mode="poll")


@pytest.fixture(scope="module")
def signer(bank):
    """A client whose backchannel requests must be signed."""
    return FapiClient.register(bank, alg="PS256", redirect_uris=None, response_types=None, grant_types=GRANTS,
                               backchannel_token_delivery_mode="poll", backchannel_authentication_request_signing_alg="PS256")


@pytest.fixture(scope="module")
def other_signer(bank):
    return FapiClient.register(bank, alg="PS256", redirect_uris=None, response_types=None, grant_types=GRANTS,
                               backchannel_token_delivery_mode="poll", backchannel_authentication_request_signing_alg="PS256")


@pytest.fixture(scope="module")
def holder(bank, tmp_path_factory):
    """A client that is known by its certificate."""
    return FapiClient.register(bank, certificate=Certificate(tmp_path_factory.mktemp("mtls")), redirect_uris=None,
                               response_types=None, grant_types=GRANTS, backchannel_token_delivery_mode="poll")


@pytest.fixture(scope="module")
def endpoint(bank):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notified)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{bank.sandbox.run_dir}/tls/server.pem", f"{bank.sandbox.run_dir}/tls/server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.told, server.answer = queue.Queue(), (204, {}, b"")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def pinged(bank, endpoint):
    url = f"https://localhost:{endpoint.server_address[1]}/notified"
    return FapiClient.register(bank, redirect_uris=None, response_types=None, grant_types=GRANTS,
                               backchannel_token_delivery_mode="ping", backchannel_client_notification_endpoint=url)


@pytest.fixture(autouse=True)
def nobody_waits(bank):
    """A customer is asked by one client only so many times at once: what a test left open ends with it."""
    yield
    with bank.sandbox.db() as db, db.cursor() as cursor:
        cursor.execute("update oauth.backchannel set expires_at = now() where state = 'pending' and expires_at > now()")


def opened(answer):
    """The answer to a good backchannel request (CIBA §7.3)."""
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    assert "no-store" in answer.headers["cache-control"] and answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert len(body["auth_req_id"]) >= 22 and re.fullmatch(r"[A-Za-z0-9._-]+", body["auth_req_id"]), body
    assert body["expires_in"] > 0 and body.get("interval", 5) >= 1, body
    return body


def start(client, changes=None, **signing):
    """A request that waits for its user; its answer and its binding message."""
    message = f"B-{token_of(6)}"
    return opened(client.backchannel({"binding_message": message, **(changes or {})}, **signing)), message


def decide(client, message, approve=True):
    """The user finds the request on the dashboard by its binding message."""
    client.browser.decide_waiting(client.server.url + "/oauth/dashboard", client.users[0], message, approve)


def completes(client, waiting, message):
    decide(client, message)
    tokens = granted(client.poll(waiting["auth_req_id"]), client.token_type)
    if "id_token" in tokens:
        client.id_token(tokens["id_token"])
    assert client.works(tokens["access_token"])
    return tokens


def refuses(client, *errors, changes=None, status=400, **signing):
    refused(client.backchannel(changes, **signing), status, *(errors or ("invalid_request",)))


def test_each_module_has_its_test(capsys):
    with open(os.path.join(TESTS, "fixtures/fapi_ciba_modules.txt"), encoding="utf-8") as listed:
        names = listed.read().split()
    with open(__file__, encoding="utf-8") as source:
        tests = {node.name for node in ast.parse(source.read()).body if isinstance(node, ast.FunctionDef)}
    missing = [name for name in names if "test_" + re.sub(r"[^A-Za-z0-9]", "_", name) not in tests]
    with capsys.disabled():
        print(f" {len(names) - len(missing)} of {len(names)} modules of the FAPI CIBA plan have their test ", end="")
    assert len(names) == 42 and not missing


# ---- the flow ----

def test_discovery_end_point_verification(bank):
    metadata = bank.metadata
    assert sorted(metadata["backchannel_token_delivery_modes_supported"]) == ["ping", "poll"]
    assert metadata["backchannel_authentication_endpoint"].startswith(bank.url + "/")
    algs = set(metadata["backchannel_authentication_request_signing_alg_values_supported"])
    assert algs and algs <= {"PS256", "ES256", "EdDSA", "Ed25519"}
    assert CIBA_GRANT in metadata["grant_types_supported"]
    assert metadata.get("backchannel_user_code_parameter_supported", False) is False


@pytest.mark.parametrize("who", ["poller", "signer", "holder"])
def test_happy_flow(request, who):
    client = request.getfixturevalue(who)
    waiting, message = start(client)
    refused(client.poll(waiting["auth_req_id"]), 400, "authorization_pending")
    tokens = completes(client, waiting, message)
    refused(client.poll(waiting["auth_req_id"]), 400, "invalid_grant")
    assert tokens["authorization_details"]


def test_user_rejects_authentication(poller):
    waiting, message = start(poller)
    decide(poller, message, approve=False)
    refused(poller.poll(waiting["auth_req_id"]), 400, "access_denied")


def test_auth_req_id_expired(bank, poller):
    waiting, _ = start(poller, {"requested_expiry": "10"})
    assert waiting["expires_in"] <= 10
    with bank.sandbox.db() as db, db.cursor() as cursor:
        cursor.execute("update oauth.backchannel set expires_at = expires_at - interval '11 s' where digest = %s returning 1",
                       (sha256(waiting["auth_req_id"]),))
        assert cursor.fetchall()
    refused(poller.poll(waiting["auth_req_id"]), 400, "expired_token")


def test_ensure_requested_expiry_as_string_succeeds(signer):
    for expiry in ("30", 30):
        waiting, message = start(signer, {"requested_expiry": expiry})
        assert waiting["expires_in"] <= 30
    completes(signer, waiting, message)


def test_ensure_other_scope_order_succeeds(signer):
    waiting, message = start(signer, {"scope": "accounts:read openid"})
    completes(signer, waiting, message)


def test_ensure_authorization_request_with_binding_message_succeeds(poller):
    waiting = opened(poller.backchannel({"binding_message": "1234"}))
    completes(poller, waiting, "1234")


def test_ensure_authorization_request_with_potentially_bad_binding_message(poller):
    bad = "1234 \N{GRINNING FACE} \N{LATIN SMALL LETTER E WITH ACUTE} " + "\N{CJK UNIFIED IDEOGRAPH-901A}" * 300
    answer = poller.backchannel({"binding_message": bad})
    if answer.status_code == 200:
        decide(poller, bad)
        return
    refused(answer, 400, "invalid_binding_message")


def test_multiple_call_to_token_endpoint(poller):
    waiting, message = start(poller)
    for _ in range(3):
        refused(poller.poll(waiting["auth_req_id"]), 400, "authorization_pending", "slow_down")
    refused(poller.poll(waiting["auth_req_id"]), 400, "slow_down")
    completes(poller, waiting, message)


def test_refresh_token(poller, signer):
    waiting, message = start(poller)
    tokens = completes(poller, waiting, message)
    again = granted(poller.refresh(tokens["refresh_token"]))
    assert poller.works(again["access_token"]) and again.get("refresh_token") in (None, tokens["refresh_token"])
    refused(signer.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    refused(poller.refresh(tokens["refresh_token"], auth={"client_id": poller.id}), (400, 401), *NOT_AUTHENTICATED)


# ---- hints and parameters ----

def test_ensure_authorization_request_with_multiple_hints_fails(poller, signer):
    for more in ({"login_hint_token": "x"}, {"id_token_hint": "x"}, {"login_hint_token": "x", "id_token_hint": "y"}):
        refuses(poller, changes=more)
        refuses(signer, changes=more)
    refuses(poller, changes={"login_hint": None})


@pytest.mark.parametrize("changes, error", [
    ({"login_hint": "nobody@nowhere"}, "unknown_user_id"),
    ({"binding_message": "line\nfeed"}, "invalid_binding_message"),
    ({"requested_expiry": "0"}, "invalid_request"),
    ({"requested_expiry": "soon"}, "invalid_request"),
    ({"scope": "no-such-scope"}, "invalid_scope"),
    ({"authorization_details": [{"type": "unheard-of"}]}, "invalid_authorization_details"),
    ({"request_uri": "urn:x:y"}, "invalid_request"),
], ids=lambda value: value if isinstance(value, str) else "-".join(value))
def test_a_parameter_that_is_wrong_is_refused(poller, changes, error):
    refuses(poller, error, changes=changes)


def test_a_request_without_any_context_the_user_could_recognise_is_refused(poller):
    """FAPI CIBA §5.2.2: a unique authorization context, or a binding message."""
    answer = poller.backchannel({"binding_message": None, "authorization_details": None})
    refused(answer, 400, "invalid_request", "invalid_binding_message")
    opened(poller.backchannel({"binding_message": None, "authorization_details": DETAILS}))


# ---- client authentication ----

def test_ensure_without_client_assertion_in_backchannel_authorization_request(poller):
    refused(poller.backchannel(auth={"client_id": poller.id}), (400, 401), *NOT_AUTHENTICATED)


def test_ensure_without_client_assertion_in_token_endpoint_request(poller):
    waiting, _ = start(poller)
    answer = poller.poll(waiting["auth_req_id"], auth={"client_id": poller.id})
    refused(answer, (400, 401), "invalid_client", "invalid_request")


def test_ensure_client_assertion_signature_algorithm_in_backchannel_authorization_request_is_RS256_fails(signer):
    refused(signer.backchannel(auth=signer.credentials(alg="RS256")), (400, 401), *NOT_AUTHENTICATED)


def test_ensure_client_assertion_signature_algorithm_in_token_endpoint_request_is_RS256_fails(signer):
    waiting, _ = start(signer)
    refused(signer.poll(waiting["auth_req_id"], auth=signer.credentials(alg="RS256")), (400, 401), "invalid_client")


def test_ensure_client_assertion_with_iss_aud_to_token_endpoint_succeeds(bank, poller):
    waiting, _ = start(poller)
    answer = poller.poll(waiting["auth_req_id"], auth=poller.credentials({"aud": bank.issuer}))
    refused(answer, 400, "authorization_pending", "slow_down")


def test_ensure_wrong_auth_req_id_in_token_endpoint_request(poller, signer):
    waiting, message = start(poller)
    decide(poller, message)
    refused(signer.poll(waiting["auth_req_id"]), 400, "invalid_grant")
    refused(poller.poll(token_of()), 400, "invalid_grant")
    granted(poller.poll(waiting["auth_req_id"]))


def test_ensure_wrong_client_id_in_token_endpoint_request(poller, signer):
    waiting, _ = start(poller)
    wrong = poller.credentials({"iss": signer.id, "sub": signer.id})
    refused(poller.poll(waiting["auth_req_id"], auth=wrong), (400, 401), "invalid_client")


def test_ensure_wrong_client_id_in_backchannel_authorization_request(poller, signer):
    wrong = poller.credentials({"iss": signer.id, "sub": signer.id})
    refused(poller.backchannel(auth=wrong), (400, 401), *NOT_AUTHENTICATED)
    refused(poller.backchannel(auth={**poller.credentials(), "client_id": signer.id}), (400, 401), *NOT_AUTHENTICATED)


def test_ensure_mtls_holder_of_key_required(holder):
    waiting, message = start(holder)
    decide(holder, message)
    refused(holder.poll(waiting["auth_req_id"], certificate=None), (400, 401), "invalid_client")
    tokens = granted(holder.poll(waiting["auth_req_id"]), "Bearer")
    assert holder.works(tokens["access_token"]) and not holder.works(tokens["access_token"], certificate=None)


# ---- signed requests ----

def test_ensure_unsigned_backchannel_authorization_request_fails(signer):
    unsigned = {"scope": "openid accounts:read", "login_hint": signer.users[0].login, "binding_message": "B1"}
    refused(signer.post("backchannel_authentication_endpoint", unsigned), 400, "invalid_request")


def test_ensure_different_client_id_and_issuer_in_backchannel_authorization_request(signer, other_signer):
    signed = signer.request_object({"scope": "openid", "login_hint": signer.users[0].login, "binding_message": "B1"})
    answer = signer.post("backchannel_authentication_endpoint", {"client_id": other_signer.id, "request": signed}, auth=None)
    refused(answer, 401, "invalid_client")


def test_ensure_request_object_bad_aud_fails(signer):
    refuses(signer, claims={"aud": ELSEWHERE})


def test_ensure_request_object_bad_iss_fails(signer, other_signer):
    refuses(signer, claims={"iss": other_signer.id})


def test_ensure_request_object_exp_is_70_minutes_in_future_fails(signer):
    refuses(signer, claims={"exp": int(time.time()) + 70 * 60})


def test_ensure_request_object_expired_exp_fails(signer):
    refuses(signer, claims={"exp": int(time.time()) - 300, "nbf": int(time.time()) - 600})


def test_ensure_request_object_missing_aud_fails(signer):
    refuses(signer, claims={"aud": None})


def test_ensure_request_object_missing_exp_fails(signer):
    refuses(signer, claims={"exp": None})


def test_ensure_request_object_missing_iat_fails(signer):
    refuses(signer, claims={"iat": None})


def test_ensure_request_object_missing_iss_fails(signer):
    refuses(signer, claims={"iss": None})


def test_ensure_request_object_missing_jti_fails(signer):
    refuses(signer, claims={"jti": None})


def test_a_request_object_that_was_used_before_is_refused(signer):
    jti = token_of()
    opened(signer.backchannel(claims={"jti": jti}))
    refuses(signer, claims={"jti": jti})
    opened(signer.backchannel())


def test_ensure_request_object_missing_nbf_fails(signer):
    refuses(signer, claims={"nbf": None})


def test_ensure_request_object_nbf_is_10_minutes_in_future_fails(signer):
    later = int(time.time()) + 600
    refuses(signer, claims={"nbf": later, "exp": later + 300})


def test_ensure_request_object_nbf_is_70_minutes_in_past_fails(signer):
    refuses(signer, claims={"nbf": int(time.time()) - 70 * 60})


def test_ensure_request_object_signature_algorithm_is_bad_fails(signer):
    refuses(signer, header={"alg": "XS256"})
    refuses(signer, header={"alg": "HS256"})


def test_ensure_request_object_signature_algorithm_is_none_fails(signer):
    refuses(signer, alg="none")


def test_ensure_request_object_signature_algorithm_is_RS256_fails(signer):
    refuses(signer, alg="RS256")


def test_ensure_request_object_signed_by_other_client_fails(signer, other_signer):
    refuses(signer, sign=other_signer.key)
    refuses(signer, header={"kid": other_signer.key.kid}, sign=other_signer.key)


# ---- ping ----

def pings(client, endpoint, answer):
    """The user approves and the client is told; the tokens are there whatever the client's endpoint answers (CIBA §10.2)."""
    while not endpoint.told.empty():
        endpoint.told.get()
    endpoint.answer = answer
    token = token_of()
    waiting, message = start(client, {"client_notification_token": token})
    decide(client, message)
    path, fields, body = endpoint.told.get(timeout=10 * slowness())
    assert path == "/notified" and fields["Authorization"] == f"Bearer {token}" and waiting["auth_req_id"].encode() in body
    assert fields["Content-Type"].startswith("application/json"), fields
    granted(client.poll(waiting["auth_req_id"]))


def test_ping_tells_the_client_and_needs_a_notification_token(pinged, endpoint):
    pings(pinged, endpoint, (204, {}, b""))
    refuses(pinged, changes={"client_notification_token": None})


def test_ping_backchannel_notification_endpoint_response_401(pinged, endpoint):
    pings(pinged, endpoint, (401, {}, b""))


def test_ping_with_mtls_ciba_notification_endpoint_response_401_and_require_server_does_not_retry(pinged, endpoint):
    pings(pinged, endpoint, (401, {}, b""))
    with pytest.raises(queue.Empty):
        endpoint.told.get(timeout=12)


def test_ping_backchannel_notification_endpoint_response_403(pinged, endpoint):
    pings(pinged, endpoint, (403, {}, b""))


def test_ping_backchannel_notification_endpoint_response_has_body(pinged, endpoint):
    pings(pinged, endpoint, (200, {"Content-Type": "application/json"}, b'{"thanks": true}'))


def test_ping_backchannel_notification_endpoint_return_redirect_request(pinged, endpoint):
    pings(pinged, endpoint, (301, {"Location": f"https://localhost:{endpoint.server_address[1]}/moved"}, b""))
    with pytest.raises(queue.Empty):
        endpoint.told.get(timeout=3)


def test_ping_tells_the_client_of_a_refusal_too(pinged, endpoint):
    while not endpoint.told.empty():
        endpoint.told.get()
    endpoint.answer = (204, {}, b"")
    waiting, message = start(pinged)
    decide(pinged, message, approve=False)
    endpoint.told.get(timeout=10 * slowness())
    refused(pinged.poll(waiting["auth_req_id"]), 400, "access_denied")


def test_another_user_does_not_see_the_request(bank, poller):
    waiting, message = start(poller)
    with Browser(bank) as browser:
        page = browser.login(browser.open(bank.url + "/oauth/dashboard"), poller.users[1])
        assert page.status == 200 and message not in page.text
    refused(poller.poll(waiting["auth_req_id"]), 400, "authorization_pending")
