"""What a request says twice it says the same, and what it says of its body is heeded: RFC 9110, 9112 and 9113 where a client and
a server could understand each other differently. What is malformed over HTTP/2 ends its stream alone."""

import gzip
import json
import uuid

import pytest

from attacks.wire import DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, frame, integer, literal, text
from harness.client import assert_problem
from test_curl import curl
from test_edge import PAYMENTS, PING, Talk, http1, pay, payment, still_works

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def talk(sandbox):
    wire = Talk(sandbox)
    yield wire
    wire.sock.close()


# ---- HTTP/2 heads ----

def host(value):
    """A `host` field by its place in the static table."""
    return integer(38, 4) + text(value)


MALFORMED = {
    "another host": lambda t: t.block(("host", "evil.example")),
    "another host by index": lambda t: t.block() + host("evil.example"),
    "two hosts": lambda t: t.block(("host", t.target.authority), ("host", t.target.authority)),
    "an empty host": lambda t: t.block() + b"\xa6",
    "scheme http": lambda t: t.block(scheme="http"),
    "another scheme": lambda t: t.block(scheme="ftp"),
    "two lengths": lambda t: t.block(("content-length", "0"), ("content-length", "0")),
    "two lengths by index": lambda t: t.block() + (integer(28, 4) + text("0")) * 2,
    "a length in words": lambda t: t.block(("content-length", "none")),
    "connection": lambda t: t.block(("connection", "close")),
    "te": lambda t: t.block(("te", "gzip")),
    "upper case": lambda t: t.block(("X-A", "b")),
    "an unknown pseudo-header field": lambda t: t.block() + literal(":x", "y"),
    "two authorities": lambda t: t.block() + literal(":authority", t.target.authority),
    "a pseudo-header field behind others": lambda t: t.block(path=None) + literal(":path", PING),
}


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_ends_its_stream_alone(talk, make):
    rest = pay(talk, 1)
    talk.headers(3, make(talk), END_STREAM)
    assert talk.listen(5, lambda w: w.resets(3)) and talk.resets(3) == [PROTOCOL_ERROR], talk.out
    talk.send(rest)
    assert talk.answer(1)[0] == 201, "the payment beside it"
    still_works(talk, 5)


def test_a_field_of_the_table_is_seen_when_it_is_only_referred_to(talk):
    """The second request's `host` is one octet."""
    talk.headers(1, talk.block() + literal("host", talk.target.authority, indexing=True), END_STREAM)
    assert talk.answer(1)[0] == 200
    talk.headers(3, talk.block() + b"\xbe", END_STREAM)
    assert talk.answer(3)[0] == 200
    talk.headers(5, talk.block() + b"\xbe\xbe", END_STREAM)
    assert talk.listen(5, lambda w: w.resets(5)) and talk.resets(5) == [PROTOCOL_ERROR]
    talk.headers(7, talk.block() + integer(62, 6, 0x40) + text("evil.example"), END_STREAM)
    assert talk.listen(5, lambda w: w.resets(7)) and talk.resets(7) == [PROTOCOL_ERROR]
    still_works(talk, 9)


def test_host_may_repeat_or_stand_in_for_the_authority(talk):
    talk.headers(1, talk.block(("host", talk.target.authority.upper())), END_STREAM)
    talk.headers(3, talk.block(("host", talk.target.authority), authority=None), END_STREAM)
    talk.headers(5, talk.block(("host", "evil.example"), authority=None), END_STREAM)
    assert (talk.answer(1)[0], talk.answer(3)[0], talk.answer(5)[0]) == (200, 200, 421)


def test_malformed_trailers_are_refused(talk):
    talk.ask(1, method="POST", path=PAYMENTS, body=b"{}", ends=False)
    talk.headers(1, literal(":path", "/"), END_STREAM)
    assert talk.answer(1)[0] == 400
    still_works(talk, 3)


# ---- expectations ----

def test_a_body_is_asked_for_over_http2(talk):
    body = payment(talk.sandbox)
    talk.ask(1, ("expect", "100-continue"), ("content-type", "application/json"), ("idempotency-key", str(uuid.uuid4())),
             ("content-length", str(len(body))), method="POST", path=PAYMENTS, ends=False)
    assert talk.listen(5, lambda w: w.has(HEADERS, 1, END_HEADERS))
    assert [p for k, _, s, p in talk.frames if (k, s) == (HEADERS, 1)] == [b"\x08\x03100"]
    talk.send(frame(DATA, END_STREAM, 1, body))
    assert talk.answer(1)[0] == 201


def test_no_100_goes_before_an_answer_that_is_there(talk):
    talk.ask(1, ("expect", "100-continue"), ("content-length", str(2 << 20)), method="POST", path=PAYMENTS, ends=False)
    assert talk.answer(1)[0] == 413
    talk.ask(3, ("expect", "100-continue"))
    assert talk.answer(3)[0] == 200
    assert b"\x08\x03100" not in [p for k, _, _, p in talk.frames if k == HEADERS]


def test_an_unknown_expectation_is_417(talk):
    talk.ask(1, ("expect", "200-ok"), method="POST", path=PAYMENTS, ends=False)
    status, headers, body = talk.answer(1)
    assert status == 417 and json.loads(body)["code"] == "expectation_failed" and headers["content-type"] == "application/problem+json"
    still_works(talk, 3)


# ---- targets ----

def ping(sandbox, target, host=b"HOST"):
    return http1(sandbox, b"GET " + target.encode() + b" HTTP/1.1\r\n" + host + b"\r\nConnection: close\r\nAuthorization: Bearer " +
                 sandbox.token.encode() + b"\r\n\r\n")


@pytest.mark.parametrize("target, status", [("https://HERE/example/v1/ping", 200), ("HTTPS://HERE/example/v1/ping", 200),
                                            ("https://HERE/example/v1/ping?x=1", 400), ("https://HERE", 404), ("https://HERE?x=1", 404),
                                            ("https://evil.example/example/v1/ping", 421), ("https://user@HERE/example/v1/ping", 400),
                                            ("https:///example/v1/ping", 400), ("ftp://HERE/example/v1/ping", 400)])
def test_an_absolute_target_names_its_host(sandbox, target, status):
    here = f"localhost:{sandbox.port}"
    for host in (b"HOST", b"Host: evil.example"):
        out = ping(sandbox, target.replace("HERE", here), host)
        assert list(out.statuses.values()) == [status], out
    assert ping(sandbox, target.replace("HERE", here), b"X: y").statuses == {0: 400}, "Host is needed all the same"


def test_options_of_the_server_are_answered(talk, sandbox):
    talk.ask(1, method="OPTIONS", path="*")
    status, headers, body = talk.answer(1)
    assert (status, body) == (204, b"") and "POST" in headers["allow"] and headers["x-request-id"]
    out = http1(sandbox, b"OPTIONS * HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n")
    assert out.answer.startswith("HTTP/1.1 204 ")
    still_works(talk, 3)


# ---- what the body is said to be ----

@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "gzip, identity", "x"])
def test_a_coded_body_is_415(sandbox, api, coding):
    answer = api.post(PAYMENTS, gzip.compress(payment(sandbox)), headers={"content-encoding": coding})
    problem = assert_problem(answer, 415, "unsupported_content_coding")
    assert answer.headers["accept-encoding"] == "identity" and coding in problem["detail"]
    assert_problem(api.post(PAYMENTS, payment(sandbox), headers={"content-encoding": coding}), 415, "unsupported_content_coding")


def test_identity_is_no_coding(sandbox, api):
    assert api.post(PAYMENTS, payment(sandbox), headers={"content-encoding": "Identity"}).status_code == 201


@pytest.mark.parametrize("path, kind", [("/oauth/token", FORM), ("/oauth/par", FORM), ("/oauth/register", "application/json")])
def test_a_coded_body_is_415_at_the_authorization_server(anyone, path, kind):
    answer = anyone.http.post(path, content=gzip.compress(b"{}"), headers={"content-type": kind, "content-encoding": "gzip"})
    assert answer.status_code == 415 and answer.headers["accept-encoding"] == "identity"
    assert answer.headers["content-type"] == "application/json" and "gzip" in answer.json()["error_description"]


@pytest.mark.parametrize("charset", ["utf-16", "ISO-8859-1", '"utf-7"', "", '"utf-8'])
def test_a_charset_other_than_utf8_is_named(sandbox, api, anyone, charset):
    answer = api.post(PAYMENTS, payment(sandbox), headers={"Content-Type": f"application/json; charset={charset}"})
    assert charset.strip('"').lower() in assert_problem(answer, 415, "unsupported_media_type")["detail"].lower()
    answer = anyone.http.post("/oauth/token", content=b"x=y", headers={"content-type": f"{FORM};a=b; Charset={charset}"})
    assert answer.status_code == 415 and "charset" in answer.json()["error_description"]


@pytest.mark.parametrize("parameters", ["; charset=utf-8", ';charset="UTF-8"', "; a=\"x;charset=y\" ; charset = Us-Ascii", ";", "; x"])
def test_utf8_by_any_name_is_taken(sandbox, api, parameters):
    answer = api.post(PAYMENTS, payment(sandbox), headers={"Content-Type": "application/json" + parameters})
    assert answer.status_code == 201, answer.text


def test_curl_asks_before_it_sends(sandbox, tmp_path):
    body = tmp_path / "body"
    body.write_text('{"reference":"' + "x" * 60000 + '"}')
    _, status, _, said = curl(sandbox, PAYMENTS, "--http2", "-H", "Expect: 100-continue", "-H", "Idempotency-Key: x", "--json", f"@{body}")
    assert status == 422, said
