"""Modules of the FAPI 2.0 conformance plans about message signing: requests as signed objects (RFC 9101), pushed, and
responses as JWTs (JARM). See test_fapi_modules.py."""

import time

from harness.browser import Landing
from harness.fapi import refused, token_of
from test_fapi_modules import ELSEWHERE


def refuses_object(client, claims=None, **signing):
    refused(client.push(claims=claims, **signing).answer, 400, "invalid_request_object")


def completes(client, authorization):
    authorization.decide()
    return client.checked(authorization, client.redeem(authorization))


def test_ensure_unsigned_request_at_par_endpoint_fails(signing_client):
    parameters, _ = signing_client.parameters({"authorization_details": None})
    answer = signing_client.post("pushed_authorization_request_endpoint", parameters)
    refused(answer, 400, "invalid_request", "invalid_request_object")


def test_ensure_expired_request_object_fails(signing_client):
    now = int(time.time())
    refuses_object(signing_client, {"nbf": now - 360, "exp": now - 120})


def test_ensure_request_object_without_exp_fails(signing_client):
    refuses_object(signing_client, {"exp": None})


def test_ensure_request_object_without_nbf_fails(signing_client):
    refuses_object(signing_client, {"nbf": None})


def test_ensure_request_object_with_exp_over_60_fails(signing_client):
    refuses_object(signing_client, {"exp": int(time.time()) + 70 * 60})


def test_ensure_request_object_with_nbf_over_60_fails(signing_client):
    refuses_object(signing_client, {"nbf": int(time.time()) - 70 * 60})


def test_ensure_request_object_with_nbf_8_seconds_in_the_future_is_accepted(signing_client):
    completes(signing_client, signing_client.push(claims={"nbf": int(time.time()) + 8}))


def test_ensure_request_object_with_bad_aud_fails(signing_client):
    refuses_object(signing_client, {"aud": ELSEWHERE})


def test_ensure_request_object_with_multiple_aud_succeeds(fapi, signing_client):
    completes(signing_client, signing_client.push(claims={"aud": [fapi.issuer, ELSEWHERE, "invalid"]}))


def test_ensure_request_object_with_invalid_signature_fails(signing_client):
    parameters, _ = signing_client.parameters()
    good = signing_client.request_object(parameters)
    head, _, signature = good.rpartition(".")
    bad = head + "." + ("A" if signature[10] != "A" else "B").join([signature[:10], signature[11:]])
    answer = signing_client.post("pushed_authorization_request_endpoint", {"client_id": signing_client.id, "request": bad})
    refused(answer, 400, "invalid_request_object")


def test_ensure_request_object_signature_algorithm_is_not_none(signing_client):
    refuses_object(signing_client, alg="none")


def test_ensure_signed_request_object_with_RS256_fails(signing_client):
    assert signing_client.key.alg == "PS256"
    refuses_object(signing_client, alg="RS256")


def test_ensure_request_object_without_redirect_uri_fails(signing_client):
    answer = signing_client.push({"redirect_uri": None}).answer
    refused(answer, 400, "invalid_request", "invalid_request_object")


def test_ensure_matching_key_in_authorization_request(signing_client, other_signing_client):
    theirs = other_signing_client.key
    refused(signing_client.push(sign=theirs).answer, 400, "invalid_request_object")
    refused(signing_client.push(header={"kid": theirs.kid}, sign=theirs).answer, 400, "invalid_request_object")
    refused(signing_client.push(header={"kid": None}, sign=theirs).answer, 400, "invalid_request_object")


def test_par_authorization_request_containing_request_uri(signing_client):
    refuses_object(signing_client, {"request_uri": "urn:ietf:params:oauth:request_uri:" + token_of()})


def only_what_was_signed_counts(client, authorization, **outside):
    """Parameters beside the request_uri: the server may refuse them, or must go by what was signed."""
    outcome = client.browser.decide(authorization.url(**outside), client.users[0])
    if not isinstance(outcome, Landing):
        assert outcome.status == 400, outcome
        return
    response = client.read_response(outcome)
    assert response.get("state") == authorization.parameters.get("state"), response
    if "error" in response:
        assert response["error"] == "invalid_request", response
        return
    authorization.response, authorization.code = response, response["code"]
    client.checked(authorization, client.redeem(authorization))  # the nonce is the one that was signed, and no s_hash


def test_ensure_different_nonce_inside_and_outside_request_object(signing_client):
    only_what_was_signed_counts(signing_client, signing_client.push(), nonce=token_of(16))


def test_ensure_different_state_inside_and_outside_request_object(signing_client):
    only_what_was_signed_counts(signing_client, signing_client.push(), state=token_of(16))


def test_state_only_outside_request_object_not_used(signing_client):
    only_what_was_signed_counts(signing_client, signing_client.push({"state": None}), state=token_of(16))


# ---- beyond the modules ----

def test_parameters_beside_a_pushed_request_object_do_not_count(signing_client):
    authorization = signing_client.push(form={"scope": "e-payment:write", "state": "outside", "nonce": "outside"})
    completes(signing_client, authorization)


def test_a_request_object_of_another_client_id_is_refused(signing_client, other_signing_client):
    answer = signing_client.push({"client_id": other_signing_client.id}).answer
    refused(answer, 400, "invalid_request", "invalid_request_object")


def test_errors_for_the_client_come_as_a_jwt_too(signing_client):
    authorization = signing_client.push()
    response = authorization.decide(approve=False)
    assert response["error"] == "access_denied" and set(authorization.landing.parameters) == {"response"}
