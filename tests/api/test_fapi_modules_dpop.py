"""Modules of the FAPI 2.0 conformance plans about DPoP (RFC 9449): codes bound to a key before they are redeemed, and every
way in which a proof at the resource server can be wrong. See test_fapi_modules.py."""

import re
import time

import pytest

from harness.fapi import RESOURCE, granted, refused, token_of
from harness.jose import Key, b64, compact, sha256, unb64

UNBOUND = ("invalid_request", "invalid_grant", "invalid_dpop_proof")


def par_proof(client, key=None, **changes):
    return client.proof("POST", client.server.endpoint("pushed_authorization_request_endpoint"), key=key, **changes)


def token_proof(client, key=None, **changes):
    return client.proof("POST", client.server.endpoint("token_endpoint"), key=key, **changes)


def test_ensure_dpop_auth_code_binding_success(client):
    authorization = client.authorize({"dpop_jkt": client.dpop.thumbprint}, proof=par_proof(client))
    assert client.works(client.checked(authorization, client.redeem(authorization))["access_token"])


def test_ensure_dpopproof_at_par_endpoint_binding_success(client):
    authorization = client.authorize(proof=par_proof(client))
    assert client.works(client.checked(authorization, client.redeem(authorization))["access_token"])


def test_ensure_mismatched_dpop_jkt_fails(client):
    answer = client.push({"dpop_jkt": Key().thumbprint}, proof=par_proof(client)).answer
    refused(answer, 400, "invalid_request", "invalid_dpop_proof")


def test_ensure_token_endpoint_fails_with_mismatched_dpop_jkt(client):
    authorization = client.authorize({"dpop_jkt": Key().thumbprint})
    refused(client.redeem(authorization), 400, *UNBOUND)


def test_ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt(client):
    authorization = client.authorize(proof=par_proof(client))
    refused(client.redeem(authorization, proof=token_proof(client, key=Key())), 400, *UNBOUND)


def proofs_of_an_age(client, seconds):
    """PAR, token and resource with proofs so many seconds old."""
    def at():
        return {"iat": int(time.time()) - seconds}
    authorization = client.authorize(proof=par_proof(client, claims=at()))
    tokens = client.checked(authorization, client.redeem(authorization, proof=token_proof(client, claims=at())))
    proof = client.proof("GET", client.server.url + RESOURCE, tokens["access_token"], claims=at())
    answer = client.fetch(tokens["access_token"], proof=proof)
    assert answer.status_code == 200, answer.text


def test_ensure_dpopproof_with_iat_10seconds_after_succeeds(client):
    proofs_of_an_age(client, -10)


def test_ensure_dpopproof_with_iat_10seconds_before_succeeds(client):
    proofs_of_an_age(client, 10)


# ---- at the resource server ----

@pytest.fixture(scope="module")
def bound(client):
    """A client with an access token that is bound to its key, asked for once."""
    return client, client.tokens()["access_token"]


def proof_for(bound, key=None, **changes):
    client, token = bound
    return client.proof("GET", client.server.url + RESOURCE, token, key=key, **changes)


def accepted(bound, proof, path=RESOURCE, scheme=None, headers=None):
    client, token = bound
    answer = client.fetch(token, path, scheme=scheme, proof=proof, headers=headers)
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"


def rejected(bound, proof, scheme=None, errors=("invalid_dpop_proof",)):
    """401 with a challenge that says what is wrong and which algorithms would do (RFC 9449 §7.1)."""
    client, token = bound
    answer = client.fetch(token, scheme=scheme, proof=proof)
    assert answer.status_code == 401, f"{answer.status_code} {answer.text}"
    asked = answer.headers["www-authenticate"]
    error = re.search(r'error="(\w+)"', asked)
    assert asked.startswith("DPoP ") and 'algs="' in asked and error and error[1] in errors, asked


def tampered(token):
    """The same JWT with one octet of its signature changed."""
    data, _, signature = token.rpartition(".")
    raw = bytearray(unb64(signature))
    raw[20] ^= 1
    return f"{data}.{b64(bytes(raw))}"


def without_alg(bound):
    client, token = bound
    good = proof_for(bound)
    _, claims, _ = good.split(".")
    head = b64(compact({"typ": "dpop+jwt", "jwk": client.dpop.bare_jwk()}))
    return f"{head}.{claims}.{b64(client.dpop.sign(f'{head}.{claims}'.encode()))}"


# A good proof of another key, or none at all: it may be said of the proof or of the token.
EITHER = ("invalid_dpop_proof", "invalid_token")
MISSING_CLAIMS = ("jti", "htm", "htu", "iat", "ath")
MISSING_NAMES = ("typ", "jwk")


def test_dpop_negative_tests(bound):
    client, token = bound
    url = client.server.url + RESOURCE
    rsa = Key("PS256")
    accepted(bound, proof_for(bound))

    # The header: once, and well-formed. HTTP/2 field names are lower-case on the wire however they are written.
    accepted(bound, None, headers={"DPOP": proof_for(bound)})
    rejected(bound, [proof_for(bound), proof_for(bound)])
    good = proof_for(bound)
    rejected(bound, [good, good])
    for malformed in ("x", "a.b.c", good.replace(".", "", 1), good + ".x", good[:-1] + "=", "..", "{}", good + "," + good):
        rejected(bound, malformed)

    # What must be there.
    for name in MISSING_NAMES:
        rejected(bound, proof_for(bound, header={name: None}))
    rejected(bound, without_alg(bound))
    for name in MISSING_CLAIMS:
        rejected(bound, proof_for(bound, claims={name: None}))

    # What it must be.
    for typ in ("JWT", "at+jwt", "dpop", "dpop+jwt+x", 1):
        rejected(bound, proof_for(bound, header={"typ": typ}))
    rejected(bound, proof_for(bound, key=rsa, alg="RS256"))
    rejected(bound, proof_for(bound, alg="none"))
    rejected(bound, proof_for(bound, header={"alg": "HS256"}))
    rejected(bound, tampered(proof_for(bound)))
    rejected(bound, proof_for(bound, sign=Key()))
    rejected(bound, proof_for(bound, header={"jwk": client.dpop.bare_jwk(private=True)}))
    rejected(bound, proof_for(bound, header={"jwk": "x"}))
    rejected(bound, proof_for(bound, header={"jwk": {"kty": "oct", "k": "AAAA"}}))
    rejected(bound, proof_for(bound, header={"crit": ["x"], "x": 1}))
    for method in ("PUT", "get", "POST", ""):
        rejected(bound, proof_for(bound, claims={"htm": method}))

    # The URL: without query and fragment, in normal form.
    accepted(bound, proof_for(bound, claims={"htu": url + "?limit=5#top"}))
    accepted(bound, proof_for(bound), path=RESOURCE + "?limit=5")
    accepted(bound, proof_for(bound, claims={"htu": url.replace("https://localhost", "HTTPS://LOCALHOST")}))
    for other in ("https://other.example.com" + RESOURCE, url + "/x", client.server.url, url.replace("https:", "http:"), "", 1,
                  url.replace("localhost", "localhost.example.com"), url.replace("https://", "https://user@")):
        rejected(bound, proof_for(bound, claims={"htu": other}))

    # The time, and once.
    now = int(time.time())
    for moment in (now + 3600, now - 3600, str(now), None, -1, 1e300):
        rejected(bound, proof_for(bound, claims={"iat": moment}))
    once = proof_for(bound)
    accepted(bound, once)
    rejected(bound, once)
    same = token_of()
    accepted(bound, proof_for(bound, claims={"jti": same}))
    rejected(bound, proof_for(bound, claims={"jti": same, "iat": now - 1}))
    rejected(bound, proof_for(bound, claims={"jti": ""}))
    rejected(bound, proof_for(bound, claims={"jti": 1}))

    # The token it comes with, and the key that is bound to.
    rejected(bound, proof_for(bound, claims={"ath": sha256("another token")}))
    rejected(bound, proof_for(bound, claims={"ath": ""}))
    rejected(bound, proof_for(bound, key=Key()), errors=EITHER)
    rejected(bound, proof_for(bound, key=rsa), errors=EITHER)

    # What is not known does not matter.
    accepted(bound, proof_for(bound, header={"more": "x"}, claims={"more": {"x": 1}}))

    # No proof, with either scheme; a proof under Bearer; the scheme in any case.
    rejected(bound, None, errors=EITHER)
    rejected(bound, None, scheme="Bearer", errors=("invalid_token",))
    rejected(bound, proof_for(bound), scheme="Bearer", errors=("invalid_token",))
    accepted(bound, proof_for(bound), scheme="dpop")
    accepted(bound, proof_for(bound), scheme="DPOP")
    accepted(bound, proof_for(bound))


# ---- at the authorization server ----

WRONG = {
    "not-a-jwt": lambda c: "x",
    "typ": lambda c: token_proof(c, header={"typ": "JWT"}),
    "none": lambda c: token_proof(c, alg="none"),
    "rs256": lambda c: token_proof(c, key=Key("PS256"), alg="RS256"),
    "private-key": lambda c: token_proof(c, header={"jwk": c.dpop.bare_jwk(private=True)}),
    "signature": lambda c: tampered(token_proof(c)),
    "htm": lambda c: token_proof(c, claims={"htm": "GET"}),
    "htu": lambda c: token_proof(c, claims={"htu": c.server.endpoint("introspection_endpoint")}),
    "iat-future": lambda c: token_proof(c, claims={"iat": int(time.time()) + 120}),
    "iat-past": lambda c: token_proof(c, claims={"iat": int(time.time()) - 3600}),
    "no-jti": lambda c: token_proof(c, claims={"jti": None}),
    "two": lambda c: [token_proof(c), token_proof(c)],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_token_endpoint_refuses_a_proof_that_is_wrong(client, wrong):
    refused(client.client_credentials(proof=WRONG[wrong](client)), 400, "invalid_dpop_proof")


def test_the_token_endpoint_takes_a_proof_once(client):
    proof = token_proof(client)
    granted(client.client_credentials(proof=proof))
    refused(client.client_credentials(proof=proof), 400, "invalid_dpop_proof")


@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA", "Ed25519"])
def test_a_proof_may_be_signed_with_each_algorithm(client, alg):
    key = Key(alg)
    tokens = granted(client.client_credentials(proof=token_proof(client, key=key)))
    proof = client.proof("GET", client.server.url + RESOURCE, tokens["access_token"], key=key)
    answer = client.fetch(tokens["access_token"], proof=proof)
    assert answer.status_code == 200, answer.text


def test_a_refresh_may_bind_to_another_key(client):
    tokens, key = client.tokens(), Key()
    again = granted(client.refresh(tokens["refresh_token"], proof=token_proof(client, key=key)))
    token = again["access_token"]
    assert client.fetch(token, proof=client.proof("GET", client.server.url + RESOURCE, token, key=key)).status_code == 200
    assert client.fetch(token).status_code == 401
