"""Clients register themselves (RFC 7591) and manage what they registered (RFC 7592). In the sandbox a stranger has nothing but
the URL, and afterwards everything; elsewhere a directory vouches and the bank approves."""

import base64
import json
import os
import re
import subprocess
import time

import pytest

from harness import Sandbox
from harness.client import Client
from harness.fapi import REDIRECT_URI, FapiClient, Server, refused
from harness.jose import Certificate, Key, b64, compact
from harness.sandbox import free_port, wait_until

PLAIN = {"plain_bearer_tokens": True}
FORBIDDEN = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")


@pytest.fixture(scope="module")
def keys():
    return {alg: Key(alg) for alg in ("ES256", "PS256", "Ed25519")}


@pytest.fixture
def register(fapi):
    def register(metadata, **options):
        return fapi.http().post("/oauth/register", json=metadata, **options)
    return register


def registered(answer):
    assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/json" and answer.headers["cache-control"] == "no-store"
    return answer.json()


def by_token(met, method, fapi, token=None, **options):
    headers = {"Authorization": f"Bearer {token or met['registration_access_token']}"}
    return fapi.http().request(method, met["registration_client_uri"], headers=headers, **options)


def replacement(met, **changes):
    """What a PUT sends: all of it but what is the server's, with changes."""
    own = {k: v for k, v in met.items() if k not in FORBIDDEN + ("tongbao_sandbox", "client_secret")}
    return {k: v for k, v in {**own, **changes}.items() if v is not None}


def basic(met, secret=None):
    pair = f"{met['client_id']}:{secret or met['client_secret']}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def token(fapi, met, secret=None):
    return fapi.http().post("/oauth/token", data={"grant_type": "client_credentials"}, headers=basic(met, secret))


# ---- a stranger ----

def test_a_stranger_with_nothing_but_the_url_moves_money(fapi, register):
    met = registered(register(PLAIN))
    got = token(fapi, met)
    assert got.status_code == 200, got.text
    world = met["tongbao_sandbox"]
    debtor, creditor = [a["id"] for a in world["accounts"] if a["currency"] == "CNY"][:2]
    with Client(fapi.url, fapi.ca, got.json()["access_token"]) as client:
        paid = client.pay(debtor, creditor, 12345)
        assert paid.status_code == 201 and paid.json()["state"] == "succeeded", paid.text
        assert client.balance(debtor) == world["accounts"][0]["balance"]["amount"] - 12345
        assert {a["id"] for a in client.pages("/accounts/v1/accounts")} == {a["id"] for a in world["accounts"]}


def test_every_effective_value_is_told(register):
    met = registered(register({"client_name": "三方", "client_name#zh": "三方", "redirect_uris": [REDIRECT_URI],
                               "of_tomorrow": {"x": 1.5}}))
    assert met["client_name"] == met["client_name#zh"] == "三方" and "of_tomorrow" not in met
    assert met["grant_types"] == ["authorization_code"] and met["response_types"] == ["code"]
    assert met["token_endpoint_auth_method"] == "client_secret_basic" and met["client_secret_expires_at"] == 0
    assert met["dpop_bound_access_tokens"] is True and met["tls_client_certificate_bound_access_tokens"] is False
    assert {"openid", "accounts:read", "e-payment:write"} <= set(met["scope"].split())
    assert abs(met["client_id_issued_at"] - time.time()) < 10 and met["registration_client_uri"].endswith(met["client_id"])
    assert len(met["registration_access_token"]) >= 43 and len(met["client_secret"]) >= 43


def test_the_sandbox_says_where_money_is_and_who_can_log_in(register):
    world = registered(register({}))["tongbao_sandbox"]
    assert {"CNY", "USD", "JPY", "KWD"} == {a["currency"] for a in world["accounts"]}
    assert all(a["balance"]["amount"] > 0 and a["balance"]["currency"] == a["currency"] for a in world["accounts"])
    assert [u["role"] for u in world["users"]] == ["initiator", "approver"]
    assert all(re.fullmatch("[A-Z2-7]{32}", u["totp_secret"]) and len(u["password"]) >= 16 for u in world["users"])


def test_each_registration_is_a_world_of_its_own(fapi, register):
    one, two = registered(register(PLAIN)), registered(register(PLAIN))
    for part in ("world", "partner", "book"):
        assert one["tongbao_sandbox"][part] != two["tongbao_sandbox"][part]
    theirs = two["tongbao_sandbox"]["accounts"][0]["id"]
    with Client(fapi.url, fapi.ca, token(fapi, one).json()["access_token"]) as client:
        assert client.get(f"/accounts/v1/accounts/{theirs}").status_code == 404


def test_registrations_at_once_get_worlds_apart(fapi):
    from concurrent.futures import ThreadPoolExecutor

    def twice(own):  # a client is one thread's
        return [own.http().post("/oauth/register", json={}) for _ in range(2)]
    servers = [Server(fapi.sandbox) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        met = [m.json()["tongbao_sandbox"] for both in pool.map(twice, servers) for m in both]
    for server in servers:
        server.close()
    assert len({m["book"] for m in met}) == len({m["users"][0]["login"] for m in met}) == 16


def test_plain_tokens_are_for_who_asked_for_them(fapi, register):
    met = registered(register({}))
    refused(token(fapi, met), 400, "invalid_dpop_proof", "invalid_request")


@pytest.mark.parametrize("alg", ["ES256", "PS256", "Ed25519"])
def test_a_client_authenticates_by_the_key_it_registered(fapi, alg):
    client = FapiClient.register(fapi, alg=alg)
    assert client.client_credentials().status_code == 200


def test_secrets_are_for_those_who_authenticate_by_them(register, keys):
    met = registered(register({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [keys["ES256"].jwk()]}}))
    assert "client_secret" not in met and "client_secret_expires_at" not in met


@pytest.mark.parametrize("asked, bound", [
    ({"dpop_bound_access_tokens": True}, "dpop"), ({"tls_client_certificate_bound_access_tokens": True}, "certificate"),
    ({}, "dpop"), ({"plain_bearer_tokens": True}, None),
    ({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example"}, "certificate"),
    ({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=a",
      "dpop_bound_access_tokens": True}, "dpop"),
])
def test_tokens_are_bound_unless_the_sandbox_is_asked_otherwise(register, asked, bound):
    met = registered(register(asked))
    assert met["dpop_bound_access_tokens"] is (bound == "dpop")
    assert met["tls_client_certificate_bound_access_tokens"] is (bound == "certificate")
    assert met["plain_bearer_tokens"] is (bound is None)


# ---- what is refused ----

CODE = {"redirect_uris": [REDIRECT_URI]}
SAME = Key("ES256", kid="same")


@pytest.mark.parametrize("uri", [
    "http://client.example/callback", "https://client.example/cb#fragment", "client.example/cb", "javascript:alert(1)", "https://",
    "https://user@client.example/cb", "https://client.example/a b", "com.example.app:/cb", "https://client.example:80a/cb", "",
    "http://127.0.0.1/cb", "https://client.example\\@evil.example/", "https://ClientÄ.example/", "data:text/html,x",
    "https://client.example/cb?code=x", "https://client.example/cb?a=1&state=2", "https://client.example/cb?iss", "https://client.example/cb?error=",
    "https://client.example/cb?response=x", "https://client.example/cb?%63ode=x", "https://client.example/cb?error_description=x",
    "https://client.example/cb?error_uri=x", "https://client.example:65536/cb", "https://client.example:0/cb", "https://client.example:/cb",
    "https://client.example:99999999999999999999/cb", "https://[::1/cb", "https://::1]/cb", "https://[::1]]/cb", "https://[::1]a/cb", "https://[]/cb",
    "https://[::g]/cb", "https://client..example/cb", "https://.example/cb", "https://client.example:80:80/cb", "https://client.example/%zz",
    "https://client.example/%2", "https:///cb"])
def test_a_redirect_uri_is_https_and_plain(register, uri):
    answer = register({"redirect_uris": [REDIRECT_URI, uri]})
    refused(answer, 400, "invalid_redirect_uri", "invalid_client_metadata")


@pytest.mark.parametrize("uri, good", [
    ("http://127.0.0.1/cb", True), ("http://[::1]:9/cb", True), ("http://localhost:8080/cb", True), (REDIRECT_URI, True),
    ("http://127.0.0.1.evil.example/cb", False), ("http://127.0.0.1@evil.example/cb", False), ("http://localhost.evil.example/", False),
    ("http://10.0.0.1/cb", False), ("http://127.0.0.1:80a/", False), ("http://127.0.0.1:65536/", False), ("http://127.0.0.1/cb?code=1", False),
    ("http://[::1]:65535/cb?decode=1&my_state=2", True), ("https://[2001:db8::7]:8443/cb?x=code", True)])
def test_a_native_client_may_listen_on_the_loopback_address(register, uri, good):
    answer = register({"application_type": "native", "redirect_uris": [uri]})
    assert registered(answer) if good else refused(answer, 400, "invalid_redirect_uri")


@pytest.mark.parametrize("metadata, error", [
    ({"grant_types": ["authorization_code"]}, "invalid_redirect_uri"),
    ({**CODE, "grant_types": ["password"]}, "invalid_client_metadata"),
    ({**CODE, "grant_types": ["implicit"], "response_types": ["token"]}, "invalid_client_metadata"),
    ({**CODE, "grant_types": ["client_credentials"], "response_types": ["code"]}, "invalid_client_metadata"),
    ({**CODE, "response_types": ["code id_token"]}, "invalid_client_metadata"),
    ({**CODE, "response_types": []}, "invalid_client_metadata"),
    ({"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
    ({"grant_types": ["client_credentials", "client_credentials"]}, "invalid_client_metadata"),
    ({"redirect_uris": REDIRECT_URI}, "invalid_client_metadata"),
    ({"client_name": 7}, "invalid_client_metadata"), ({"client_name": ""}, "invalid_client_metadata"),
    ({"client_name": "x" * 2049}, "invalid_client_metadata"), ({"client_name": "a\u0001b"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "none"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "client_secret_post"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "self_signed_tls_client_auth"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example",
      "tls_client_auth_san_ip": "192.0.2.1"}, "invalid_client_metadata"),
    ({"tls_client_auth_san_dns": "a.example"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_signing_alg": "RS256"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_signing_alg": "none"}, "invalid_client_metadata"),
    ({"request_object_signing_alg": "none"}, "invalid_client_metadata"),
    ({"request_object_signing_alg": "HS256"}, "invalid_client_metadata"),
    ({"id_token_signed_response_alg": "RS256"}, "invalid_client_metadata"),
    ({"authorization_signed_response_alg": "none"}, "invalid_client_metadata"),
    ({"introspection_signed_response_alg": "HS256"}, "invalid_client_metadata"),
    ({"response_modes": ["fragment"]}, "invalid_client_metadata"), ({"response_modes": "jwt"}, "invalid_client_metadata"),
    ({"dpop_bound_access_tokens": "true"}, "invalid_client_metadata"),
    ({"dpop_bound_access_tokens": True, "tls_client_certificate_bound_access_tokens": True}, "invalid_client_metadata"),
    ({"dpop_bound_access_tokens": True, "plain_bearer_tokens": True}, "invalid_client_metadata"),
    ({"require_pushed_authorization_requests": False}, "invalid_client_metadata"),
    ({"scope": "openid everything"}, "invalid_client_metadata"), ({"scope": ["openid"]}, "invalid_client_metadata"),
    ({"scope": "openid  accounts:read"}, "invalid_client_metadata"),
    ({"authorization_details_types": ["loan"]}, "invalid_client_metadata"),
    ({"subject_type": "pairwise"}, "invalid_client_metadata"), ({"default_max_age": -1}, "invalid_client_metadata"),
    ({"logo_uri": "http://logo.example/"}, "invalid_client_metadata"), ({"jwks_uri": "http://keys.example/"}, "invalid_client_metadata"),
    ({"jwks_uri": "file:///etc/passwd"}, "invalid_client_metadata"),
    ({"grant_types": ["urn:openid:params:grant-type:ciba"], "backchannel_token_delivery_mode": "push"}, "invalid_client_metadata"),
    ({"grant_types": ["urn:openid:params:grant-type:ciba"], "backchannel_token_delivery_mode": "ping"}, "invalid_client_metadata"),
    ({"backchannel_user_code_parameter": True}, "invalid_client_metadata"),
    ({"contacts": [7]}, "invalid_client_metadata"), ({"contacts": [str(i) for i in range(33)]}, "invalid_client_metadata"),
    ({"software_statement": "a.b.c"}, "unapproved_software_statement"), ({"software_statement": {}}, "invalid_software_statement"),
    ([], "invalid_client_metadata"), ("x", "invalid_client_metadata"),
])
def test_metadata_that_is_not_acceptable_is_refused_by_name(register, metadata, error):
    said = refused(register(metadata), 400, error)
    if isinstance(metadata, dict) and error == "invalid_client_metadata":
        told = said["error_description"]
        assert any(name.split("_")[0] in told or str(value) in told for name, value in metadata.items()), said


FOREIGN = [{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "f"}, {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "f"},
           {**Key("ES256").jwk(), "use": "enc"}, {**Key("ES256").jwk(), "alg": "RS256"}, {**Key("ES256").jwk(), "kid": 7}]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda f: f"{f['kty']} {f.get('use')} {f.get('alg')}")
def test_a_key_of_another_kind_is_passed_over(fapi, foreign):
    """RFC 7517 §5: by value as by address."""
    key = Key("ES256")
    client = FapiClient.register(fapi, jwks={"keys": [foreign, key.jwk()]})
    client.key = key
    assert client.client_credentials().status_code == 200


@pytest.mark.parametrize("header", [{}, {"kid": None}], ids=["named", "unnamed"])
def test_a_key_without_kid_is_used_where_it_is_the_only_candidate(fapi, header):
    key, other = Key("ES256"), Key("ES256")
    client = FapiClient.register(fapi, jwks={"keys": [key.bare_jwk(), Key("Ed25519").jwk()]})
    client.key = key
    assert client.client_credentials(auth=client.credentials(header=header)).status_code == 200
    both = FapiClient.register(fapi, jwks={"keys": [key.bare_jwk(), other.bare_jwk()]})
    both.key = key
    refused(both.client_credentials(auth=both.credentials(header=header)), 401, "invalid_client")


def test_keys_of_one_kid_are_told_apart_by_their_algorithm(fapi):
    one, two = Key("ES256", "same"), Key("PS256", "same")
    client = FapiClient.register(fapi, jwks={"keys": [one.jwk(), two.jwk()]}, token_endpoint_auth_signing_alg=None)
    for client.key in (one, two):
        assert client.client_credentials().status_code == 200


@pytest.mark.parametrize("name, good", [
    ({"subject_dn": "CN=a,O=b"}, True), ({"subject_dn": "2.5.4.3=#0C0161"}, True), ({"subject_dn": "cn = a + ou=b , O=\\,"}, True),
    ({"subject_dn": "client one"}, False), ({"subject_dn": "CN=a,,O=b"}, False), ({"subject_dn": "NoSuchType=a"}, False), ({"subject_dn": "CN=#0G"}, False),
    ({"subject_dn": "/CN=a/O=b"}, False), ({"subject_dn": "CN=a;O=b"}, False), ({"subject_dn": "CN=a,"}, False), ({"subject_dn": "CN=\"a\""}, False),
    ({"san_dns": "a.example"}, True), ({"san_dns": "https://a.example"}, False), ({"san_dns": "a b"}, False), ({"san_ip": "2001:DB8:0::7"}, True),
    ({"san_ip": "192.0.2"}, False), ({"san_ip": "192.0.2.0/24"}, False), ({"san_uri": "urn:a:b"}, True), ({"san_uri": "a.example"}, False),
    ({"san_email": "ops@A.example"}, True), ({"san_email": "ops"}, False), ({"san_email": "@a.example"}, False)], ids=str)
def test_names_in_certificates_have_their_form(register, name, good):
    [(member, value)] = name.items()
    answer = register({"token_endpoint_auth_method": "tls_client_auth", f"tls_client_auth_{member}": value})
    assert registered(answer) if good else f"tls_client_auth_{member} must be" in refused(answer, 400, "invalid_client_metadata")["error_description"]


@pytest.mark.parametrize("jwks", [
    {}, {"keys": []}, {"keys": {}}, {"keys": [7]}, {"keys": [SAME.jwk(), SAME.jwk()]}, {"keys": [*FOREIGN]},
    {"keys": [SAME.jwk(), {**Key("ES256").bare_jwk(private=True), "kid": "k"}]}, {"keys": [SAME.jwk(), {"kty": "oct", "k": "c2VjcmV0", "kid": "k"}]},
    {"keys": [{**SAME.bare_jwk(private=True), "kid": "k"}]}, {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k"}]},
    {"keys": [SAME.jwk(alg="RS256")]}, {"keys": [SAME.jwk(use="enc")]}, {"keys": [{**SAME.jwk(), "x": SAME.jwk()["y"]}]},
    {"keys": [{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}]}, {"keys": [Key("ES256").jwk() for _ in range(33)]},
])
def test_keys_are_public_readable_and_told_apart(register, jwks):
    refused(register({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}), 400, "invalid_client_metadata")


def test_keys_come_by_value_or_by_address(register):
    asked = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://client.example/jwks"}
    assert registered(register(asked))["jwks_uri"] == asked["jwks_uri"]
    refused(register({**asked, "jwks": {"keys": [SAME.jwk()]}}), 400, "invalid_client_metadata")


@pytest.mark.parametrize("content, kind, status", [
    (b'{"client_name":', "application/json", 400), (b'{"a":1,"a":2}', "application/json", 400), (b"\xff", "application/json", 400),
    (b"", "application/json", 400), (b"[" * 40 + b"]" * 40, "application/json", 400), (b"client_name=x", "application/x-www-form-urlencoded", 415),
    (b"{}", "text/plain", 415), (b'{"a":"' + b"x" * 70000 + b'"}', "application/json", 413)])
def test_a_body_that_is_no_json_object_is_refused(register, content, kind, status):
    refused(register(None, content=content, headers={"Content-Type": kind}), status, "invalid_client_metadata", "invalid_request")


def test_other_methods_are_told_what_goes(fapi):
    answer = fapi.http().get("/oauth/register")
    assert answer.status_code == 405 and "POST" in answer.headers["allow"]


# ---- management ----

def test_what_is_registered_can_be_read_again(fapi, register):
    met = registered(register({"client_name": "Reader", **CODE}))
    answer = by_token(met, "GET", fapi)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {k: v for k, v in met.items() if k not in ("tongbao_sandbox", "client_secret", "client_secret_expires_at")}


def test_only_the_token_of_the_client_manages_it(fapi, register):
    one, two = registered(register({})), registered(register({}))
    stranger = {**one, "registration_client_uri": fapi.url + "/oauth/register/app_" + "0" * 10 + "g00800" + "0" * 10}
    for met, shown in ((one, two["registration_access_token"]), (one, "x"), (stranger, one["registration_access_token"])):
        for method, options in (("GET", {}), ("PUT", {"json": replacement(one)}), ("DELETE", {})):
            answer = by_token(met, method, fapi, token=shown, **options)
            if met is stranger and answer.status_code == 404:
                continue  # not even the form of an id
            refused(answer, 401, "invalid_token")
            assert 'error="invalid_token"' in answer.headers.get("www-authenticate", "")
    nothing = fapi.http().get(one["registration_client_uri"])
    assert nothing.status_code == 401
    assert by_token(one, "GET", fapi).status_code == 200


def test_a_replacement_replaces_everything(fapi, register):
    met = registered(register({"client_name": "Before", "contacts": ["a@b.example"], **CODE}))
    answer = by_token(met, "PUT", fapi, json=replacement(met, client_name="After", contacts=None, scope="accounts:read"))
    assert answer.status_code == 200, answer.text
    now = by_token(met, "GET", fapi).json()
    assert now == answer.json() and now["client_name"] == "After" and "contacts" not in now and now["scope"] == "accounts:read"
    assert now["client_id"] == met["client_id"] and "client_secret" not in answer.json()


@pytest.mark.parametrize("member", FORBIDDEN)
def test_what_is_the_servers_is_not_for_clients_to_set(fapi, register, member):
    met = registered(register({"client_name": "Before"}))
    refused(by_token(met, "PUT", fapi, json=replacement(met, client_name="After", **{member: met[member]})), 400,
            "invalid_client_metadata")
    assert by_token(met, "GET", fapi).json()["client_name"] == "Before"


@pytest.mark.parametrize("changes", [
    {"client_id": None}, {"client_id": "app_01k9x3m6h0g00801v9r5t2n8qd"}, {"client_secret": "guessed"}, {"client_secret": 7},
    {"redirect_uris": ["http://evil.example/"]}, {"token_endpoint_auth_method": "none"}])
def test_a_bad_replacement_changes_nothing(fapi, register, changes):
    met = registered(register({"client_name": "Before", **CODE}))
    before = by_token(met, "GET", fapi).json()
    refused(by_token(met, "PUT", fapi, json=replacement(met, **changes)), 400, "invalid_client_metadata", "invalid_redirect_uri")
    assert by_token(met, "GET", fapi).json() == before


def test_a_replacement_may_name_the_secret_it_has(fapi, register):
    met = registered(register(PLAIN))
    assert by_token(met, "PUT", fapi, json=replacement(met, client_secret=met["client_secret"])).status_code == 200
    assert token(fapi, met).status_code == 200


def test_who_authenticates_by_a_key_from_now_on_loses_the_secret_and_gets_a_new_one_back(fapi, register, keys):
    met = registered(register(PLAIN))
    jwks = {"keys": [keys["ES256"].jwk()]}
    changed = by_token(met, "PUT", fapi, json=replacement(met, token_endpoint_auth_method="private_key_jwt", jwks=jwks))
    assert changed.status_code == 200, changed.text
    refused(token(fapi, met), 401, "invalid_client")
    back = by_token(met, "PUT", fapi, json=replacement(met, token_endpoint_auth_method="client_secret_basic"))
    assert back.status_code == 200 and back.json()["client_secret"] != met["client_secret"]
    assert token(fapi, met, back.json()["client_secret"]).status_code == 200


def test_a_deleted_client_is_gone_with_everything_at_once(fapi, register):
    client = FapiClient.register(fapi)
    tokens = client.tokens()
    assert client.works(tokens["access_token"])
    assert by_token(client.metadata, "DELETE", fapi).status_code == 204
    assert not client.works(tokens["access_token"])
    refused(client.refresh(tokens["refresh_token"]), (400, 401), "invalid_client", "invalid_grant")
    refused(client.client_credentials(), 401, "invalid_client")
    for method in ("GET", "DELETE"):
        refused(by_token(client.metadata, method, fapi), 401, "invalid_token")


def test_a_deleted_client_without_a_customer_is_stopped_within_a_second(fapi, register):
    met = registered(register(PLAIN))
    with Client(fapi.url, fapi.ca, token(fapi, met).json()["access_token"]) as client:
        assert client.get("/accounts/v1/accounts").status_code == 200
        assert by_token(met, "DELETE", fapi).status_code == 204
        wait_until(lambda: client.get("/accounts/v1/accounts").status_code in (401, 403), 1, "it is stopped")


def test_every_step_is_on_record(fapi, register, sandbox):
    met = registered(register({"client_name": "Recorded"}))
    by_token(met, "PUT", fapi, json=replacement(met, client_name="Renamed"))
    by_token(met, "DELETE", fapi)
    acts = json.loads(sandbox.cli("act", "list", met["client_id"], "--json"))
    assert [a["act"] for a in acts] == ["client.register", "client.replace", "client.revoke"]
    assert acts[1]["before"]["client_name"] == "Recorded" and acts[1]["after"]["client_name"] == "Renamed"
    assert all(a["who"] == "client:" + met["client_id"] for a in acts)
    assert met["client_secret"] not in json.dumps(acts) and met["registration_access_token"] not in json.dumps(acts)


# ---- certificates ----

def test_partners_are_told_of_certificates_that_end(fapi, register, sandbox, db, tmp_path_factory):
    certificate = Certificate(tmp_path_factory.mktemp("ending"))
    met = registered(register({"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [certificate.jwk()]}}))
    app, book = met["client_id"], met["tongbao_sandbox"]["book"]
    with db.cursor() as cursor:
        cursor.execute("select thumbprint, expires_at from oauth.certificate where client = %s", (app,))
        (thumbprint, ends), = cursor.fetchall()
        assert thumbprint == certificate.thumbprint
        told = []
        cursor.execute("update oauth.certificate set seen_at = %s where client = %s", (ends, app))
        for days in (61, 60, 59, 30, 29, 7, 6, 1, 0.5):
            cursor.execute("select oauth.tell_certificates(%s, %s::timestamptz - %s * interval '1 day')", (book, ends, days))
            told.append(cursor.fetchone()[0])
        assert told == [0, 1, 0, 1, 0, 1, 0, 1, 0]
        cursor.execute("select partner, data::jsonb from event.outbox where object = %s order by at", (app,))
        events = cursor.fetchall()
    assert [data["days"] for _, data in events] == [60, 30, 7, 1]
    assert {partner for partner, _ in events} == {met["tongbao_sandbox"]["partner"]}
    assert all(data["thumbprint"] == thumbprint and data["object"] == "client" for _, data in events)


def test_a_certificate_that_is_used_is_kept_in_mind(fapi, db, tmp_path_factory):
    client = FapiClient.register(fapi, certificate=Certificate(tmp_path_factory.mktemp("used")))
    with db.cursor() as cursor:
        cursor.execute("delete from oauth.certificate where client = %s returning thumbprint", (client.id,))
        kept = cursor.fetchall()
        assert client.client_credentials().status_code == 200
        cursor.execute("select thumbprint from oauth.certificate where client = %s", (client.id,))
        assert cursor.fetchall() == kept == [(client.certificate.thumbprint,)]


# ---- the limit of an address ----

def test_an_address_registers_no_more_than_the_most_in_an_hour():
    with Sandbox(settings={"TB_REGISTRATION_PER_HOUR": "3"}) as narrow:
        with narrow.client(token=None) as client:
            bad = [client.http.post("/oauth/register", json={"scope": "nonsense"}) for _ in range(5)]
            answers = [client.http.post("/oauth/register", json={}) for _ in range(4)]
            assert client.get("/readyz").status_code == 200
    assert {a.status_code for a in bad} == {400}
    assert [a.status_code for a in answers] == [201, 201, 201, 429]
    refused(answers[3], 429, "temporarily_unavailable")
    assert 1 <= int(answers[3].headers["retry-after"]) <= 1200


# ---- no sandbox: a directory vouches, the bank approves ----

class Live:
    """A second gateway over the database of a sandbox, in the live environment, with a live world and a directory."""

    def __init__(self, sandbox):
        self.sandbox, self.directory, self.port = sandbox, Key("ES256"), free_port()
        self.url = f"https://localhost:{self.port}"
        with open(sandbox.env["TB_CONFIG"], encoding="utf-8") as opened:
            text = opened.read()
        home = sandbox.home
        jwks, self.config = os.path.join(home, "directory.json"), os.path.join(home, "live.yaml")
        with open(jwks, "w", encoding="utf-8") as out:
            json.dump({"keys": [self.directory.jwk()]}, out)
        text = text.replace(str(sandbox.port), str(self.port)).replace(f"{sandbox.run_dir}/gateway", f"{home}/live")
        text = re.sub(r"^sandbox: true$", "sandbox: false", text, flags=re.M)
        text = re.sub(r"^mtls.*\n|^  mtls_port.*\n", "", text, flags=re.M)
        text = re.sub(r"^registration:\n(  .*\n)+", "registration:\n  statement_jwks: " + jwks +
                      "\n  statement_issuers: [https://directory.example]\n", text, flags=re.M)
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(text)
        os.makedirs(f"{home}/live", exist_ok=True)
        with sandbox.db() as db, db.cursor() as cursor:
            cursor.execute("insert into bank.world (id, name, kind, created_at) values ('wld_live', 'Live', 'live', now())")
            cursor.execute("insert into bank.book (book, world) values (60000, 'wld_live')")
        with open(f"{home}/live.log", "wb") as log:
            self.process = subprocess.Popen([os.path.join(sandbox.build, "tongbao"), "serve", "--config", self.config],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.client = Client(self.url, sandbox.ca)
        wait_until(self.ready, 30, "the live gateway")

    def ready(self):
        try:
            return self.client.get("/readyz").status_code == 200
        except Exception:  # pylint: disable=broad-except  # not there yet: refused, reset or half open
            return False

    def statement(self, key=None, **changes):
        claims = {"iss": "https://directory.example", "iat": int(time.time()), "software_id": "treasury", "org_id": "ORG-1",
                  "org_name": "Jiangnan Fintech", "redirect_uris": [REDIRECT_URI], "client_name": "Treasury"}
        return (key or self.directory).jwt({**claims, **changes}, {"typ": "JWT"})

    def register(self, statement=None, **metadata):
        asked = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [SAME.jwk()]}, **metadata}
        return self.client.http.post("/oauth/register", json={**asked, **({"software_statement": statement} if statement else {})})

    def cli(self, *arguments, exit_code=0):
        done = subprocess.run([os.path.join(self.sandbox.build, "tongbao"), *arguments, "--config", self.config], capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == exit_code, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def token(self, client_id):
        now = int(time.time())
        assertion = SAME.jwt({"iss": client_id, "sub": client_id, "aud": self.url, "jti": str(time.time_ns()), "iat": now, "exp": now + 60})
        proof = DPOP.jwt({"jti": str(time.time_ns()), "htm": "POST", "htu": self.url + "/oauth/token", "iat": now},
                         {"typ": "dpop+jwt", "jwk": DPOP.bare_jwk(), "kid": None})
        return self.client.http.post("/oauth/token", headers={"DPoP": proof}, data={
            "grant_type": "client_credentials", "client_assertion": assertion,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"})

    def fetch(self, token, path="/accounts/v1/accounts"):
        from harness.jose import sha256
        proof = DPOP.jwt({"jti": str(time.time_ns()), "htm": "GET", "htu": self.url + path, "iat": int(time.time()), "ath": sha256(token)},
                         {"typ": "dpop+jwt", "jwk": DPOP.bare_jwk(), "kid": None})
        return self.client.get(path, headers={"Authorization": f"DPoP {token}", "DPoP": proof})

    def close(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(30)


DPOP = Key("ES256")


@pytest.fixture(scope="module")
def live():
    with Sandbox() as sandbox:
        it = Live(sandbox)
        yield it
        it.close()


def test_outside_the_sandbox_a_page_that_cannot_go_on_names_no_cause(live):
    page = live.client.get("/oauth/authorize?client_id=app_x&request_uri=urn:x")
    assert page.status_code == 400 and "text/html" in page.headers["content-type"] and "request_uri" not in page.text, page.text


def test_outside_the_sandbox_a_directory_must_vouch(live):
    refused(live.register(), 400, "invalid_software_statement")
    refused(live.register(live.statement(key=Key("ES256"))), 400, "invalid_software_statement")
    refused(live.register(live.statement()[:-4] + "AAAA"), 400, "invalid_software_statement")
    refused(live.register(live.statement(software_id=None)), 400, "invalid_software_statement")
    refused(live.register(live.statement(exp=int(time.time()) - 60)), 400, "invalid_software_statement")
    refused(live.register(b64(compact({"alg": "none"})) + "." + b64(compact({"iss": "https://directory.example"})) + "."), 400,
            "invalid_software_statement")
    refused(live.register(live.statement(iss="https://other.example")), 400, "unapproved_software_statement")


def test_outside_the_sandbox_there_are_no_secrets_and_no_plain_tokens(live):
    refused(live.register(live.statement(), token_endpoint_auth_method="client_secret_basic", jwks=None), 400, "invalid_client_metadata")
    refused(live.register(live.statement(), plain_bearer_tokens=True), 400, "invalid_client_metadata")
    refused(live.register(live.statement(), tongbao_resource_server=True), 400, "invalid_client_metadata")


def test_the_statement_wins_and_the_bank_approves_before_anything_works(live):
    answer = live.register(live.statement(), client_name="Something else", redirect_uris=["https://evil.example/"],
                           grant_types=["authorization_code", "client_credentials"])
    met = registered(answer)
    assert met["client_name"] == "Treasury" and met["redirect_uris"] == [REDIRECT_URI] and met["software_statement"]
    assert "tongbao_sandbox" not in met and "client_secret" not in met and "plain_bearer_tokens" not in met
    app = met["client_id"]
    pending = json.loads(live.cli("app", "list", "--state", "pending", "--json"))
    assert [a["id"] for a in pending] == [app] and pending[0]["environment"] == "live"
    refused(live.token(app), 401, "invalid_client")
    live.cli("app", "resume", app)
    got = live.token(app)
    assert got.status_code == 200, got.text
    denied = live.fetch(got.json()["access_token"])
    assert denied.status_code == 403 and denied.json()["code"] == "not_entitled", denied.text
    live.cli("entitlement", "grant", app, "accounts")
    wait_until(lambda: live.fetch(got.json()["access_token"]).status_code == 200, 3, "the entitlement counts")


def test_one_organisation_is_one_partner(live):
    one = registered(live.register(live.statement(software_id="one", org_id="ORG-2")))["client_id"]
    two = registered(live.register(live.statement(software_id="two", org_id="ORG-2")))["client_id"]
    apps = {a["id"]: a["partner"] for a in json.loads(live.cli("app", "list", "--json"))}
    assert apps[one] == apps[two]
    live.cli("partner", "revoke", apps[one])
    refused(live.register(live.statement(org_id="ORG-2")), 400, "unapproved_software_statement")


def test_a_replacement_needs_a_statement_of_the_same_organisation(live):
    met = registered(live.register(live.statement(org_id="ORG-3")))
    def put(**changes):
        headers = {"Authorization": "Bearer " + met["registration_access_token"]}
        return live.client.http.put(met["registration_client_uri"], headers=headers, json=replacement(met, **changes))
    refused(put(software_statement=None), 400, "invalid_software_statement")
    registered(live.register(live.statement(org_id="ORG-4")))
    refused(put(software_statement=live.statement(org_id="ORG-4")), 400, "invalid_software_statement")
    assert put(software_statement=live.statement(org_id="ORG-3", client_name="Renamed")).json()["client_name"] == "Renamed"


def test_a_half_finished_registration_leaves_nothing(sandbox, register, db):
    """The users come last: without their table the whole registration is undone, and the answer says so."""
    with db.cursor() as cursor:
        cursor.execute("select count(*) from bank.world")
        before = cursor.fetchone()
        cursor.execute("alter table oauth.user_account rename to user_account_away")
        try:
            answer = register({})
        finally:
            cursor.execute("alter table oauth.user_account_away rename to user_account")
        assert answer.status_code >= 500, answer.text
        cursor.execute("select count(*) from bank.world")
        assert cursor.fetchone() == before


def test_a_partner_gets_another_app_in_its_world_by_an_initial_access_token(register, fapi):
    first = registered(register({"token_endpoint_auth_method": "client_secret_basic", "redirect_uris": [REDIRECT_URI]}))
    initial = {"Authorization": f"Bearer {first['registration_access_token']}"}
    asked = {"token_endpoint_auth_method": "client_secret_basic", "redirect_uris": [REDIRECT_URI], "tongbao_resource_server": True}
    second = registered(register(asked, headers=initial))
    mine, theirs = first["tongbao_sandbox"], second["tongbao_sandbox"]
    assert {name: theirs[name] for name in ("world", "book", "partner", "accounts")} == {
        name: mine[name] for name in ("world", "book", "partner", "accounts")}
    assert first["client_id"] != second["client_id"] and "users" not in theirs
    assert register(asked, headers={"Authorization": "Bearer nobodys"}).json()["error"] == "invalid_token"
    assert by_token(first, "DELETE", fapi).status_code == 204
    assert register(asked, headers=initial).status_code == 401
