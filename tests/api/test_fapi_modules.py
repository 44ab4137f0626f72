"""The server modules of the FAPI 2.0 final test plans of the OpenID Foundation's conformance suite, each as one test that bears
its name; the variants are DPoP with private_key_jwt. Here: the flow, codes, client authentication, PAR and PKCE; modules about
request objects are in test_fapi_modules_signed.py, those about DPoP in test_fapi_modules_dpop.py.

Where a module lets the server choose between refusing and doing right, so does the test."""

import ast
import glob
import os
import re
import ssl
import subprocess
import time

import pytest

from harness.browser import APPROVING, Browser, Landing, Page
from harness.fapi import RESOURCE, SCOPE, granted, refused, token_of
from harness.jose import sha256

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NOT_AUTHENTICATED = ("invalid_client", "invalid_request")
PROTOCOL_CLAIMS = ("iss", "aud", "exp", "iat", "nonce", "acr", "sub", "auth_time", "at_hash", "amr")  # of no person
ELSEWHERE = "https://other1.example.com"


def age(sandbox, table, value, seconds):
    """Make what the server keeps of a secret value expire so much earlier; how long it still had."""
    with sandbox.db() as db, db.cursor() as cursor:
        cursor.execute(f"""update oauth.{table} set expires_at = expires_at - make_interval(secs => %s) where digest = %s
                           returning extract(epoch from expires_at - now())::float8""", (seconds, sha256(value)))
        rows = cursor.fetchall()
    assert len(rows) == 1, f"{len(rows)} rows in {table}"
    return rows[0][0] + seconds


def stopped(outcome, *errors):
    """The authorization endpoint did not let a request through: a page that says so, or one of the errors for the client."""
    if isinstance(outcome, Page):
        assert outcome.status == 400 and not outcome.asks_password() and not outcome.asks_decision(), outcome
        return
    assert outcome.parameters.get("error") in errors and "code" not in outcome.parameters, outcome


# ---- all of them are here ----

def test_each_module_has_its_test(capsys):
    with open(os.path.join(TESTS, "fixtures/fapi2_modules.txt"), encoding="utf-8") as opened:
        names = opened.read().split()
    tests = set()
    for file in glob.glob(os.path.join(TESTS, "api/test_fapi_modules*.py")):
        with open(file, encoding="utf-8") as opened:
            tests |= {node.name for node in ast.parse(opened.read()).body if isinstance(node, ast.FunctionDef)}
    missing = [name for name in names if "test_" + re.sub(r"[^A-Za-z0-9]", "_", name) not in tests]
    with capsys.disabled():
        print(f" {len(names) - len(missing)} of {len(names)} modules of the FAPI 2.0 final plans have their test ", end="")
    assert len(names) == 70 and not missing


# ---- the flow ----

@pytest.mark.parametrize("variant", ["client", "signing_client", "mtls_client"])
def test_happy_flow(request, variant):
    client = request.getfixturevalue(variant)
    authorization = client.authorize()
    tokens = client.checked(authorization, client.redeem(authorization))
    assert "id_token" in tokens and tokens["authorization_details"], tokens
    answer = client.fetch(tokens["access_token"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"], answer.text
    info = client.fetch(tokens["access_token"], "/oauth/userinfo")
    assert info.status_code == 200, info.text
    assert info.json()["sub"] == client.id_token(tokens["id_token"], authorization.parameters["nonce"])["sub"]


def test_discovery_end_point_verification(fapi):
    metadata = fapi.metadata
    assert fapi.http().get("/.well-known/openid-configuration").json() == metadata
    assert metadata["issuer"] == fapi.url
    ours = {"PS256", "ES256", "EdDSA", "Ed25519"}
    for name in ("token_endpoint_auth", "request_object", "dpop", "introspection", "authorization", "id_token",
                 "backchannel_authentication_request"):
        algs = metadata.get(f"{name}_signing_alg_values_supported")
        assert algs and set(algs) <= ours, f"{name}: {algs}"
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "pushed_authorization_request_endpoint",
                 "introspection_endpoint", "revocation_endpoint", "registration_endpoint", "userinfo_endpoint",
                 "backchannel_authentication_endpoint"):
        assert metadata[name].startswith(fapi.url + "/"), name
    assert metadata["require_pushed_authorization_requests"] is True
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["tls_client_certificate_bound_access_tokens"] is True
    assert metadata["response_types_supported"] == ["code"]
    assert sorted(metadata["response_modes_supported"]) == ["jwt", "query"]
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert set(metadata["grant_types_supported"]) == {"authorization_code", "refresh_token", "client_credentials",
                                                      "urn:openid:params:grant-type:ciba"}
    assert {"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"} \
        <= set(metadata["token_endpoint_auth_methods_supported"])
    assert "none" not in metadata["token_endpoint_auth_methods_supported"]
    assert set(metadata["authorization_details_types_supported"]) == {"payment", "account_information", "mandate"}
    assert sorted(metadata["backchannel_token_delivery_modes_supported"]) == ["ping", "poll"]
    assert "openid" in metadata["scopes_supported"] and metadata["subject_types_supported"] == ["public"]
    assert isinstance(metadata.get("claims_parameter_supported", False), bool)
    for name in ("token_endpoint", "pushed_authorization_request_endpoint", "introspection_endpoint", "revocation_endpoint",
                 "userinfo_endpoint", "backchannel_authentication_endpoint"):
        assert metadata["mtls_endpoint_aliases"][name].startswith("https://"), name
    kids = [key["kid"] for key in fapi.jwks()["keys"]]
    assert kids and len(set(kids)) == len(kids)
    assert not any({"d", "p", "q", "k"} & set(key) for key in fapi.jwks()["keys"])


def test_user_rejects_authentication(client):
    response = client.push().decide(approve=False)
    assert response["error"] == "access_denied" and "code" not in response, response


def test_ensure_other_scope_order_succeeds(client):
    tokens = client.tokens({"scope": " ".join(reversed(SCOPE.split()))})
    assert client.works(tokens["access_token"])


def test_ensure_authorization_request_without_state_success(client):
    authorization = client.authorize({"state": None})
    assert "state" not in authorization.response
    client.checked(authorization, client.redeem(authorization))  # and no s_hash


def test_ensure_authorization_request_without_nonce_success(client):
    authorization = client.authorize({"nonce": None})
    tokens = client.checked(authorization, client.redeem(authorization))
    assert "nonce" not in client.id_token(tokens["id_token"])


def test_ensure_authorization_request_with_64_char_nonce_success(client):
    nonce = token_of(48)
    assert len(nonce) == 64
    authorization = client.authorize({"nonce": nonce})
    tokens = client.checked(authorization, client.redeem(authorization))
    assert client.id_token(tokens["id_token"], nonce)["nonce"] == nonce


def test_ensure_authorization_request_with_long_nonce(client):
    authorization = client.push({"nonce": token_of(288)})  # 384 characters
    if authorization.answer.status_code != 201:
        refused(authorization.answer, 400, "invalid_request")
        return
    authorization.decide()
    client.checked(authorization, client.redeem(authorization))  # the nonce is whole


@pytest.mark.parametrize("length", [384, 1024, 2048])
def test_ensure_authorization_request_with_long_state(client, length):
    authorization = client.push({"state": token_of(length)[:length]})
    if authorization.answer.status_code != 201:
        assert length > 1000, "FAPI 2.0 §5.3.2.2 note 4: states of a thousand characters do occur"
        refused(authorization.answer, 400, "invalid_request")
        return
    authorization.decide()  # the state is whole


def test_test_essential_acr_sca_claim(fapi, client):
    acr = fapi.metadata["acr_values_supported"][0]
    authorization = client.push({"claims": {"id_token": {"acr": {"essential": True, "values": [acr]}}}})
    response = authorization.decide()
    if "error" in response:
        assert response["error"] in ("access_denied", "unmet_authentication_requirements"), response
        return
    tokens = client.checked(authorization, client.redeem(authorization))
    assert client.id_token(tokens["id_token"], authorization.parameters["nonce"])["acr"] == acr


def test_test_claims_parameter_identity_claims(fapi, client):
    offered = [claim for claim in fapi.metadata.get("claims_supported", []) if claim not in PROTOCOL_CLAIMS]
    if fapi.metadata.get("claims_parameter_supported") is not True:
        offered = []
    forms = [None, {"essential": True}, {"essential": False}]
    asked = {claim: forms[i % 3] for i, claim in enumerate([*offered, "nobody_knows_this_claim"])}
    authorization = client.authorize({"claims": {"id_token": asked, "userinfo": asked}})
    tokens = client.checked(authorization, client.redeem(authorization))
    told = client.id_token(tokens["id_token"], authorization.parameters["nonce"])
    info = client.fetch(tokens["access_token"], "/oauth/userinfo")
    assert info.status_code == 200 and info.headers["content-type"].startswith("application/json"), info.text
    assert info.json()["sub"] == told["sub"]
    for claim in offered:
        assert claim in told and claim in info.json(), claim
    assert "nobody_knows_this_claim" not in told and "nobody_knows_this_claim" not in info.json()


def test_refresh_token(client, other_client):
    tokens = client.tokens()
    again = granted(client.refresh(tokens["refresh_token"]))
    assert again.get("refresh_token") in (None, tokens["refresh_token"]), "FAPI 2.0 §5.3.2.1: no rotation"
    assert client.works(again["access_token"])
    refused(client.refresh(tokens["refresh_token"], auth={"client_id": client.id}), (400, 401), *NOT_AUTHENTICATED)
    refused(client.refresh(tokens["refresh_token"], auth=None), (400, 401), *NOT_AUTHENTICATED)
    refused(client.refresh(tokens["refresh_token"], proof=None), 400, "invalid_request", "invalid_grant", "invalid_dpop_proof")
    url = client.server.endpoint("token_endpoint")
    elsewhere = client.proof("POST", url, claims={"htu": ELSEWHERE})
    refused(client.refresh(tokens["refresh_token"], proof=elsewhere), 400, "invalid_dpop_proof")
    refused(other_client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    refused(client.refresh(tokens["refresh_token"], {"scope": SCOPE + " e-payment:write"}), 400, "invalid_scope")
    granted(client.refresh(tokens["refresh_token"]))


# ---- codes ----

def test_attempt_reuse_authorization_code_after_one_second(client):
    authorization = client.authorize()
    tokens = client.checked(authorization, client.redeem(authorization))
    assert client.works(tokens["access_token"])
    time.sleep(1)
    refused(client.redeem(authorization), 400, "invalid_grant")
    assert not client.works(tokens["access_token"]), "RFC 6749 §4.1.2: what was issued should be revoked"
    refused(client.refresh(tokens["refresh_token"]), 400, "invalid_grant")


def test_ensure_token_endpoint_fails_with_expired_auth_code(sandbox, client):
    authorization = client.authorize()
    assert age(sandbox, "code", authorization.code, 62) <= 60, "FAPI 2.0 §5.3.2.1: codes live for 60 seconds at most"
    refused(client.redeem(authorization), 400, "invalid_grant")


def test_ensure_authorization_code_is_bound_to_client(client, other_client):
    refused(other_client.redeem(client.authorize()), 400, "invalid_grant")


def test_ensure_client_id_in_token_endpoint(client, other_client):
    authorization = client.authorize()
    foreign = client.credentials({"iss": other_client.id, "sub": other_client.id})
    answer = client.redeem(authorization, auth={**foreign, "client_id": other_client.id})
    refused(answer, (400, 401), "invalid_client", "invalid_grant")
    mixed = client.redeem(authorization, auth={**client.credentials(), "client_id": other_client.id})
    refused(mixed, (400, 401), "invalid_client", "invalid_grant")


# ---- client authentication ----

def test_ensure_client_assertion_in_token_endpoint(client):
    answer = client.redeem(client.authorize(), auth={"client_id": client.id})
    refused(answer, (400, 401), *NOT_AUTHENTICATED)


def test_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails(client):
    past = {"exp": int(time.time()) - 300}
    refused(client.redeem(client.authorize(), auth=client.credentials(past)), (400, 401), "invalid_client")


def test_ensure_client_assertion_with_no_sub_fails(client):
    refused(client.redeem(client.authorize(), auth=client.credentials({"sub": None})), (400, 401), "invalid_client")


def test_ensure_client_assertion_with_wrong_aud_fails(client):
    wrong = client.credentials({"aud": ELSEWHERE})
    refused(client.redeem(client.authorize(), auth=wrong), (400, 401), "invalid_client")


def test_ensure_signed_client_assertion_with_RS256_fails(signing_client):
    authorization = signing_client.authorize()
    assert signing_client.key.alg == "PS256"
    weak = signing_client.credentials(alg="RS256")
    refused(signing_client.redeem(authorization, auth=weak), (400, 401), "invalid_client")
    granted(signing_client.redeem(authorization))


def test_par_test_array_as_audience_fails(fapi, client):
    for audience in ([fapi.issuer, ELSEWHERE], [fapi.issuer]):
        answer = client.push(auth=client.credentials({"aud": audience})).answer
        refused(answer, (400, 401), *NOT_AUTHENTICATED)


def test_par_test_par_endpoint_url_as_audience_fails(fapi, client):
    audience = fapi.metadata["pushed_authorization_request_endpoint"]
    refused(client.push(auth=client.credentials({"aud": audience})).answer, (400, 401), *NOT_AUTHENTICATED)


def test_par_test_token_endpoint_url_as_audience_fails(fapi, client):
    audience = fapi.metadata["token_endpoint"]
    refused(client.push(auth=client.credentials({"aud": audience})).answer, (400, 401), *NOT_AUTHENTICATED)


def test_par_ensure_jwt_client_assertions_nbf_8_seconds_in_the_future_is_accepted(client):
    soon = int(time.time()) + 8
    assert client.push(auth=client.credentials({"iat": soon, "nbf": soon})).request_uri


def test_par_ensure_jwt_client_assertions_nbf_over_60_seconds_in_the_future_fails(client):
    late = int(time.time()) + 66
    answer = client.push(auth=client.credentials({"iat": late, "nbf": late, "exp": late + 60})).answer
    refused(answer, (400, 401), *NOT_AUTHENTICATED)


# ---- sender constraint and transport ----

def connects(fapi, version, ciphers=None):
    """Whether the server completes a handshake of this one version of TLS with these ciphers."""
    more = ["-cipher", ciphers] if ciphers else []
    port = fapi.url.rsplit(":", 1)[1]
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", version, *more],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    return "Cipher is (NONE)" not in done.stdout and "Cipher is" in done.stdout


def test_ensure_holder_of_key_required(fapi, client, mtls_client):
    authorization = client.authorize()
    unbound = client.redeem(authorization, proof=None)
    refused(unbound, 400, "invalid_request", "invalid_grant", "invalid_dpop_proof")
    authorization = mtls_client.authorize()
    refused(mtls_client.redeem(authorization, certificate=None), (400, 401), "invalid_client")
    recommended = ("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                   "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384")
    assert connects(fapi, "-tls1_3") and connects(fapi, "-tls1_2", recommended)
    assert not connects(fapi, "-tls1_1", "ALL:@SECLEVEL=0") and not connects(fapi, "-tls1", "ALL:@SECLEVEL=0")
    weak = "ALL:@SECLEVEL=0:!" + recommended.replace(":", ":!") + ":!CHACHA20:!DHE+AESGCM"
    assert not connects(fapi, "-tls1_2", weak), "BCP 195 recommends four cipher suites for TLS 1.2"
    assert ssl.get_server_certificate(("localhost", int(fapi.url.rsplit(":", 1)[1])), ca_certs=fapi.ca)


# ---- PAR ----

def test_par_attempt_reuse_request_uri(client):
    authorization = client.authorize()
    stopped(client.browser.open(authorization.url()), "invalid_request_uri", "invalid_request")


def test_par_attempt_to_use_expired_request_uri(sandbox, client):
    authorization = client.push()
    lives = authorization.answer.json()["expires_in"]
    assert 0 < lives < 600
    assert age(sandbox, "pushed_request", authorization.request_uri, lives + 1) <= lives
    stopped(client.browser.open(authorization.url()), "invalid_request_uri", "invalid_request")


def test_par_attempt_to_use_request_uri_for_different_client(client, other_client):
    authorization = client.push()
    outcome = other_client.browser.open(authorization.url(client_id=other_client.id))
    stopped(outcome, "invalid_request", "invalid_request_object", "invalid_request_uri")
    outcome = client.browser.open(authorization.url(client_id=other_client.id))
    stopped(outcome, "invalid_request", "invalid_request_object", "invalid_request_uri")


def test_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds(fapi, client):
    authorization = client.push()
    with Browser(fapi) as preview:
        first = preview.open(authorization.url())
        assert isinstance(first, Page) and first.status == 200 and first.asks_password(), first
    authorization.decide()
    client.checked(authorization, client.redeem(authorization))


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_par_attempt_invalid_http_method(fapi, method):
    answer = fapi.http().request(method, fapi.metadata["pushed_authorization_request_endpoint"])
    assert answer.status_code == 405 and answer.headers["allow"] == "POST", f"{answer.status_code} {answer.headers}"


def test_par_authorization_request_containing_request_uri_form_param(client):
    answer = client.push(form={"request_uri": "urn:ietf:params:oauth:request_uri:" + token_of()}).answer
    refused(answer, 400, "invalid_request", "invalid_request_object", "request_uri_not_supported")


def test_par_without_duplicate_parameters(client):
    authorization = client.push()
    assert set(re.findall(r"[?&]([^=]+)=", authorization.url())) == {"client_id", "request_uri"}
    authorization.decide()
    client.checked(authorization, client.redeem(authorization))


def test_ensure_unsigned_authorization_request_without_using_par_fails(fapi, client):
    parameters, _ = client.parameters({"authorization_details": None})
    url = str(fapi.http().build_request("GET", fapi.metadata["authorization_endpoint"], params=parameters).url)
    stopped(client.browser.open(url), "invalid_request", "invalid_request_uri")


def test_ensure_redirect_uri_in_authorization_request(client):
    refused(client.push({"redirect_uri": None}).answer, 400, "invalid_request", "invalid_request_object")


def test_ensure_registered_redirect_uri(client):
    answer = client.push({"redirect_uri": "https://client.example/callback/" + token_of(8)}).answer
    refused(answer, 400, "invalid_request", "invalid_request_object")


def test_plain_fapi_tolerate_unregistered_redirect_uri(client):
    authorization = client.push({"redirect_uri": "https://client.example/callback?more=" + token_of(8)})
    if authorization.answer.status_code == 201:  # RFC 9126 §2.4 would allow it
        authorization.decide()
        client.checked(authorization, client.redeem(authorization))
    else:
        refused(authorization.answer, 400, "invalid_request", "invalid_request_object")


def test_ensure_response_type_code_idtoken_fails(client):
    answer = client.push({"response_type": "code id_token"}).answer
    refused(answer, 400, "unsupported_response_type", "invalid_request", "unauthorized_client")


def test_ensure_response_type_token_fails(client):
    answer = client.push({"response_type": "token"}).answer
    refused(answer, 400, "unsupported_response_type", "invalid_request", "unauthorized_client")


def test_ensure_server_handles_non_matching_intent_id(client, other_client):
    """What other ecosystems call an intent is our authorization detail and the consent that comes of it: one that names
    another world's account leads nowhere, and nobody sees another client's consent."""
    foreign = [{"type": "account_information", "permissions": ["balances"], "accounts": [other_client.accounts[0]]}]
    authorization = client.push({"authorization_details": foreign})
    if authorization.answer.status_code == 201:
        outcome = client.browser.decide(authorization.url(), client.users[0])
        if isinstance(outcome, Landing):
            assert outcome.parameters.get("error") in ("access_denied", "invalid_request"), outcome
        else:
            assert other_client.accounts[0] not in outcome.text, outcome
            assert not any(form.button(APPROVING) for form in outcome.forms), "nothing here could be approved"
    else:
        refused(authorization.answer, 400, "invalid_authorization_details", "invalid_request")
    ours = client.tokens()["access_token"]
    consents = client.fetch(ours, "/consents/v1/consents")
    if consents.status_code == 200:
        for consent in consents.json()["data"]:
            theirs = other_client.tokens()["access_token"]
            assert other_client.fetch(theirs, "/consents/v1/consents/" + consent["id"]).status_code == 404
            break


# ---- PKCE ----

def test_par_ensure_pkce_required(client):
    answer = client.push({"code_challenge": None, "code_challenge_method": None}).answer
    refused(answer, 400, "invalid_request")


def test_par_plain_pkce_rejected(client):
    verifier = token_of()
    refused(client.push({"code_challenge": verifier, "code_challenge_method": "plain"}).answer, 400, "invalid_request")
    refused(client.push({"code_challenge": verifier, "code_challenge_method": None}).answer, 400, "invalid_request")


def test_ensure_pkce_code_verifier_required(client):
    refused(client.redeem(client.authorize(), {"code_verifier": None}), 400, "invalid_grant")


def test_incorrect_pkce_code_verifier_rejected(client):
    refused(client.redeem(client.authorize(), {"code_verifier": token_of()}), 400, "invalid_grant")


def test_the_resource_is_one_that_needs_a_token(fapi):
    """Otherwise nothing above would mean anything."""
    assert fapi.http().get(RESOURCE).status_code == 401
