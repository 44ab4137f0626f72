"""Tokens bound to a key (RFC 9449): good with a fresh proof of that key for the very request, and with nothing else."""

import time
import uuid

import pytest

from harness import Sandbox
from harness.client import assert_problem
from harness.forge import Forger
from harness.jose import Key, b64, compact, sha256

PING = "/example/v1/ping"
ALGS = "PS256 ES256 EdDSA Ed25519"


class Holder:
    """A client whose token is bound to its key."""

    def __init__(self, sandbox, alg="ES256", **claims):
        self.sandbox, self.key = sandbox, Key(alg)
        self.token = Forger(sandbox).token(claims={"cnf": {"jkt": self.key.thumbprint}, **claims})

    def claims(self, **changes):
        """What a good proof says; None leaves a claim out."""
        return {"jti": str(uuid.uuid4()), "htm": "GET", "htu": self.sandbox.url + PING, "iat": int(time.time()),
                "ath": sha256(self.token), **changes}

    def proof(self, header=None, key=None, sign=None, **changes):
        key = key or self.key
        return key.jwt(self.claims(**changes), header={"typ": "dpop+jwt", "kid": None, "jwk": key.bare_jwk(), **(header or {})}, sign=sign)

    def get(self, proof, scheme="DPoP", token=None, path=PING, **options):
        headers = [("authorization", f"{scheme} {token or self.token}")]
        headers += [("dpop", one) for one in ([proof] if isinstance(proof, str) else proof)]
        with self.sandbox.client(None, **options) as client:
            return client.get(path, headers=headers)


@pytest.fixture(scope="module")
def holder(sandbox):
    return Holder(sandbox)


def assert_refused(answer, error, code):
    assert_problem(answer, 401, code)
    assert answer.headers["www-authenticate"] == f'DPoP error="{error}", algs="{ALGS}"'


@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA", "Ed25519"])
def test_a_bound_token_is_good_with_a_proof_of_its_key(sandbox, alg):
    holder = Holder(sandbox, alg)
    assert holder.get(holder.proof()).status_code == 200


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "dPoP"])
def test_the_scheme_may_be_written_in_any_case(holder, scheme):
    assert holder.get(holder.proof(), scheme=scheme).status_code == 200


@pytest.mark.parametrize("changes", [
    lambda h: {"iat": int(time.time()) - 50},
    lambda h: {"iat": int(time.time()) + 8},
    lambda h: {"htu": h.sandbox.url + PING + "?a=b#c"},
    lambda h: {"htu": h.sandbox.url.upper().replace("HTTPS", "HttpS") + PING},
    lambda h: {"htu": h.sandbox.url + "/example/v1/%70ing"},
    lambda h: {"htu": h.sandbox.mtls_url + PING},
    lambda h: {"extra": {"a": [1]}},
], ids=["a while ago", "a clock ahead", "a query and a fragment", "letters of any case", "an escaped letter", "our other origin", "another claim"])
def test_what_may_differ_may(holder, changes):
    assert holder.get(holder.proof(**changes(holder))).status_code == 200


def test_a_proof_goes_with_its_request_at_the_other_listener(holder):
    assert holder.get(holder.proof(htu=holder.sandbox.mtls_url + PING), mtls=True).status_code == 200


# ---- what no proof is ----

def with_private_part(holder):
    return holder.proof(header={"jwk": holder.key.bare_jwk(private=True)})


def symmetric(holder):
    return holder.proof(header={"alg": "HS256", "jwk": {"kty": "oct", "k": "A" * 43}})


def unsigned(holder):
    head = b64(compact({"typ": "dpop+jwt", "alg": "none", "jwk": holder.key.bare_jwk()}))
    return f"{head}.{b64(compact(holder.claims()))}."


def changed_after_signing(holder):
    head, claims, signature = holder.proof().split(".")
    return f"{head}.{b64(compact(holder.claims()))}.{signature}"


REFUSED = {
    "no proof": lambda h: [],
    "two proofs": lambda h: [h.proof(), h.proof()],
    "the same proof twice": lambda h: [h.proof()] * 2,
    "no JWT": lambda h: "x",
    "an empty field": lambda h: "",
    "two in one field": lambda h: h.proof() + ", " + h.proof(),
    "an access token": lambda h: h.token,
    "no type": lambda h: h.proof(header={"typ": None}),
    "another type": lambda h: h.proof(header={"typ": "JWT"}),
    "no algorithm": lambda h: h.proof(header={"alg": None}),
    "a symmetric algorithm": symmetric,
    "not signed": unsigned,
    "an algorithm that is not ours": lambda h: h.proof(key=Key("RS256")),
    "no key": lambda h: h.proof(header={"jwk": None}),
    "a private key": with_private_part,
    "the signature of another key": lambda h: h.proof(sign=Key()),
    "changed after it was signed": changed_after_signing,
    "critical header": lambda h: h.proof(header={"crit": ["exp"], "exp": 1}),
    "no jti": lambda h: h.proof(jti=None),
    "an empty jti": lambda h: h.proof(jti=""),
    "a jti that is no text": lambda h: h.proof(jti=7),
    "no htm": lambda h: h.proof(htm=None),
    "another method": lambda h: h.proof(htm="POST"),
    "the method in small letters": lambda h: h.proof(htm="get"),
    "no htu": lambda h: h.proof(htu=None),
    "another path": lambda h: h.proof(htu=h.sandbox.url + PING + "/"),
    "the path in capitals": lambda h: h.proof(htu=h.sandbox.url + PING.upper()),
    "another host": lambda h: h.proof(htu="https://bank.example" + PING),
    "another port": lambda h: h.proof(htu="https://localhost:1" + PING),
    "no TLS": lambda h: h.proof(htu=h.sandbox.url.replace("https", "http") + PING),
    "a host served under another name": lambda h: h.proof(htu=h.sandbox.url.replace("localhost", "127.0.0.1") + PING),
    "a user in the URL": lambda h: h.proof(htu=h.sandbox.url.replace("//", "//user@") + PING),
    "the path alone": lambda h: h.proof(htu=PING),
    "no iat": lambda h: h.proof(iat=None),
    "iat as text": lambda h: h.proof(iat=str(int(time.time()))),
    "too old": lambda h: h.proof(iat=int(time.time()) - 75),
    "from the future": lambda h: h.proof(iat=int(time.time()) + 30),
    "no ath": lambda h: h.proof(ath=None),
    "the hash of another token": lambda h: h.proof(ath=sha256("x")),
    "the hash with padding": lambda h: h.proof(ath=sha256(h.token) + "="),
    "too large": lambda h: h.proof(extra="x" * 6000),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_proof_is_refused(holder, name):
    assert_refused(holder.get(REFUSED[name](holder)), "invalid_dpop_proof", "dpop_proof_invalid")


def test_a_proof_counts_once(holder):
    proof = holder.proof()
    assert holder.get(proof).status_code == 200
    assert_refused(holder.get(proof), "invalid_dpop_proof", "dpop_proof_invalid")


def test_a_proof_that_was_refused_was_not_used(holder):
    proof = holder.proof()
    assert holder.get(proof, path="/example/v1/other").status_code == 404  # nothing there asks for a token
    assert_refused(holder.get(proof, path="/accounts/v1/accounts"), "invalid_dpop_proof", "dpop_proof_invalid")
    assert holder.get(proof).status_code == 200


def test_the_proof_of_another_key_is_no_proof_of_this_one(holder):
    answer = holder.get(holder.proof(key=Key()))
    assert_refused(answer, "invalid_token", "token_invalid")


# ---- schemes ----

def test_a_token_bound_to_a_key_is_nothing_under_bearer(holder):
    """RFC 9449 §7.2: neither alone nor beside a good proof."""
    assert_refused(holder.get([], scheme="Bearer"), "invalid_token", "token_invalid")
    assert_refused(holder.get(holder.proof(), scheme="Bearer"), "invalid_token", "token_invalid")


def test_a_token_bound_to_nobody_is_nothing_under_dpop(holder):
    token = holder.sandbox.token
    assert_refused(holder.get(holder.proof(ath=sha256(token)), token=token), "invalid_token", "token_invalid")
    assert holder.get(holder.proof(ath=sha256(token)), token=token, scheme="Bearer").status_code == 200


def test_two_authorizations_are_none(holder):
    with holder.sandbox.client(None) as client:
        answer = client.get(PING, headers=[("authorization", f"DPoP {holder.token}"), ("authorization", f"Bearer {holder.token}"),
                                           ("dpop", holder.proof())])
    assert_problem(answer, 400, "bad_request")


def test_the_trace_says_why_to_the_operator_and_the_answer_says_what(holder):
    answer = holder.get(holder.proof(htm="POST"))
    assert "htm" in answer.json()["detail"]
    with holder.sandbox.client(None) as client:
        trace = client.get(f"/operator/traces/{answer.headers['x-request-id']}").json()
    assert trace["refused_by"] == "constrain"


# ---- nonces ----

@pytest.fixture(scope="module")
def asking():
    """A gateway that asks proofs for a nonce."""
    with Sandbox(settings={"TB_DPOP_NONCE": "true", "TB_WORKERS": "2"}) as it:
        yield Holder(it)


def test_no_nonce_is_told_where_none_is_asked_for(holder):
    assert "dpop-nonce" not in holder.get(holder.proof()).headers


def test_a_proof_without_a_nonce_gets_one(asking):
    answer = asking.get(asking.proof())
    assert_refused(answer, "use_dpop_nonce", "dpop_nonce_required")
    nonce = answer.headers["dpop-nonce"]
    answer = asking.get(asking.proof(nonce=nonce))
    assert answer.status_code == 200 and answer.headers["dpop-nonce"]


@pytest.mark.parametrize("nonce", ["", "x", "A" * 22, 7])
def test_a_nonce_of_another_is_none(asking, nonce):
    assert_refused(asking.get(asking.proof(nonce=nonce)), "use_dpop_nonce", "dpop_nonce_required")


def test_a_token_bound_to_nobody_is_asked_for_no_nonce(asking):
    with asking.sandbox.client() as client:
        answer = client.get(PING)
    assert answer.status_code == 200 and "dpop-nonce" not in answer.headers
