"""Tokens between us and npm's jose: what we sign it verifies, what it signs we verify, what is forged we refuse, and whatever it
refuses we refuse. Where we refuse what it accepts is a table."""

import collections
import json
import random
import time

import pytest

from bridge import fixture, node
from harness.forge import Forger

LEAST_FORGED = 500

STRICTER = {
    "the key is never in or behind the token, and extensions are never understood (RFC 8725 §3.10)":
        {"jku", "x5u", "x5c", "jwk of the right key", "zip", "enc", "b64 false", "b64 true and critical"},
    "a kid is a text and names the key": {"kid missing", "kid a number"},
    "typ is compared exactly": {"typ in full", "typ in capitals"},
    "base64url is exact: its alphabet, no padding, no unused bits":
        {"signature with other last bits", "header with other last bits", "claims with other last bits", "signature with padding",
         "header with padding", "claims with padding", "signature with a blank", "signature with a line end", "claims with a line end inside",
         "signature in plain base64"},
    "no member of header or claims is there twice":
        {"header with a twin of typ", "header with a twin of kid", "header with an escaped twin", "claims with a twin of exp", "claims with an escaped twin"},
    "what a text says is the same for every reader": {"claims not UTF-8", "claims with an escaped NUL", "claims with half a character", "header with a byte order mark"},
    "tokens are small: 8 KiB, 8 levels": {"header deep", "claims deep", "larger than 8 KiB"},
    "a time is a whole number of seconds before the year 10000, and not long from now":
        {"exp a fraction", "exp beyond time", "exp with an exponent", "valid for years", "iat negative"},
    "exp has no tolerance": {"expired within the other's tolerance"},
    "iat is not in the future": {"issued in the future"},
    "sub and jti are texts of 1 to 128 characters": {"sub empty", "jti a number", "jti of 129 characters"},
}


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    """The corpus with both verdicts: (token, ours)."""
    seed = random.randrange(2**32)
    keys, *tokens = node("forge.js", str(seed))
    file = tmp_path_factory.mktemp("keys") / "jwks.json"
    file.write_text(json.dumps(keys))
    ours = fixture("jose_check", "verify", str(file), lines=[json.dumps({"token": t["token"]}) for t in tokens])
    assert len(ours) == len(tokens)
    return [{**token, "ours": verdict, "seed": seed} for token, verdict in zip(tokens, ours)]


@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA"])
def test_what_jose_signs_is_accepted(forged, alg):
    good = [t for t in forged if t["class"] == "good" and t["alg"] == alg]
    assert len(good) >= 5
    assert [t for t in good if (t["ours"], t["jose"]) != ("ok", "ok")] == []


def test_what_is_forged_is_refused(forged):
    bad = [t for t in forged if t["class"] != "good"]
    assert len(bad) >= LEAST_FORGED
    assert [t for t in bad if t["ours"] == "ok"] == []


def test_whatever_jose_refuses_is_refused(forged):
    assert [t for t in forged if t["jose"] != "ok" and t["ours"] == "ok"] == []
    assert collections.Counter(t["jose"] == "ok" for t in forged)[False] >= LEAST_FORGED


def test_where_we_are_stricter_is_known(forged):
    """Both ways: no class outside the table, and none in it for nothing."""
    stricter = {t["class"] for t in forged if t["jose"] == "ok" and t["ours"] != "ok"}
    known = set().union(*STRICTER.values())
    assert stricter - {"mutated"} == known
    # What is left of a mutated token that jose accepts is another way to write the same bytes.
    assert {t["ours"] for t in forged if t["class"] == "mutated" and t["jose"] == "ok"} <= {"not exact base64url"}


def test_reasons_are_told_apart(forged):
    """Refused for what is wrong and not for something else that happens to be."""
    wanted = {"alg none": {"not three segments", "algorithm is not allowed for this purpose"},
              "HS256 with the public key as PEM": {"algorithm is not allowed for this purpose"}, "typ JWT": {"typ is not the one of this purpose"},
              "crit of something unknown": {"header asks for an extension that is never accepted"},
              "signed by another key": {"signature does not verify"}, "signature one byte short": {"signature does not verify"},
              "claims with a twin of exp": {"claims are not a strict JSON object"}, "expired": {"expired"}, "iss of another": {"issued by another"},
              "aud of another": {"meant for another audience"}, "nbf in the future": {"from the future"}, "larger than 8 KiB": {"larger than its purpose allows"}}
    for name, reasons in wanted.items():
        assert {t["ours"] for t in forged if t["class"] == name} <= reasons, name


@pytest.mark.parametrize("kty", ["EC", "RSA", "OKP"])
def test_what_we_sign_with_our_own_keys_is_accepted_by_jose(tmp_path, kty):
    pairs = json.loads(fixture("jose_check", "make")[0])["keys"]
    private, public = tmp_path / "private.json", tmp_path / "public.json"
    private.write_text(json.dumps({"keys": pairs}))
    secret = {"d", "p", "q", "dp", "dq", "qi"}
    public.write_text(json.dumps({"keys": [{k: v for k, v in pair.items() if k not in secret} for pair in pairs]}))
    [kid] = [pair["kid"] for pair in pairs if pair["kty"] == kty]
    now = int(time.time())
    claims = [{"iss": "https://issuer.example", "aud": "https://api.example", "sub": "é", "jti": f"{i}", "iat": now, "exp": now + 60 + i} for i in range(20)]
    tokens = fixture("jose_check", "sign", str(private), lines=[json.dumps({"kid": kid, "claims": json.dumps(one)}) for one in claims])
    lines = [json.dumps({"token": token}) for token in tokens]
    assert node("verify.js", str(public), lines=lines) == ["ok"] * 20
    assert fixture("jose_check", "verify", str(public), lines=lines) == ["ok"] * 20


def test_a_token_of_the_bank_is_accepted_by_jose(sandbox, tmp_path):
    """What `tongbao token` prints, under the bank's public key, by issuer and audience."""
    forger = Forger(sandbox)
    tokens = [sandbox.token, sandbox.cli("token").split()[0]]
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [{**forger.public_jwk(), "kid": forger.kid, "alg": "ES256", "use": "sig"}]}))
    lines = [json.dumps({"token": token}) for token in tokens]
    assert node("verify.js", str(file), forger.claims["iss"], forger.claims["aud"], lines=lines) == ["ok"] * 2
    assert node("verify.js", str(file), forger.claims["iss"] + "/", forger.claims["aud"], lines=lines) == ["ERR_JWT_CLAIM_VALIDATION_FAILED"] * 2
