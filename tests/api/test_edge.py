"""What the gateway refuses before a stage has seen it is answered as everything else is: a problem document with a code and a
request id, of that request alone. Other requests of the connection go on, and the header compression stays in step."""

import json
import uuid

import hpack
import pytest

from attacks import smuggling
from attacks.wire import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, NO_ERROR, Target, Wire, frame,
                          literal)

PING, PAYMENTS = "/example/v1/ping", "/e-payment/v1/payments"
BODY_MAX = 1 << 20
FRAME = 16384


class Talk(Wire):
    """A connection of one app, whose answers are decoded."""

    def __init__(self, sandbox, **options):
        self.sandbox = sandbox
        super().__init__(Target(port=sandbox.port, authority=f"localhost:{sandbox.port}", path=PING,
                                headers=(("authorization", f"Bearer {sandbox.token}"),)), **options)

    def block(self, *fields, method="GET", path=PING, **changes):
        return self.target.block(*fields, method=method, path=path, **changes)

    def ask(self, stream, *fields, body=None, ends=True, **changes):
        block = self.block(*fields, **changes)
        self.headers(stream, block, END_STREAM if ends and body is None else 0)
        for at in range(0, len(body or b""), FRAME):
            last = ends and at + FRAME >= len(body)
            self.send(frame(DATA, END_STREAM if last else 0, stream, body[at:at + FRAME]))

    def headers(self, stream, block, flags):
        parts = [block[at:at + FRAME] for at in range(0, len(block), FRAME)] or [b""]
        self.send(b"".join(frame(CONTINUATION if i else HEADERS, (0 if i else flags) | (END_HEADERS if i == len(parts) - 1 else 0), stream, p)
                           for i, p in enumerate(parts)))

    def answers(self):
        """{stream: (status, headers, body)} of all that has come whole."""
        decoder, heads, bodies, done = hpack.Decoder(), {}, {}, set()
        for kind, flags, stream, payload in self.frames:
            if kind == HEADERS:
                fields = dict(decoder.decode(payload))
                if fields[":status"] != "100":
                    heads[stream] = fields
                else:
                    bodies.setdefault(stream, []).append("100")
            elif kind == DATA:
                bodies.setdefault(stream, []).append(payload)
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                done.add(stream)
        return {s: (int(heads[s][":status"]), heads[s], b"".join(b for b in bodies.get(s, []) if b != "100")) for s in done}

    def answer(self, stream, seconds=10.0):
        assert self.listen(seconds, lambda w: any(s == stream and f & END_STREAM and k in (HEADERS, DATA) for k, f, s, _ in w.frames)), \
            f"no answer on {stream}: {self.out}"
        return self.answers()[stream]

    def resets(self, stream):
        return [code for s, code in self.out.resets if s == stream]


@pytest.fixture
def talk(sandbox):
    wire = Talk(sandbox)
    yield wire
    wire.sock.close()


def assert_problem(answer, status, code):
    got, headers, body = answer
    assert got == status, answer
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["detail"] and problem["title"]
    assert problem["request_id"] == headers["x-request-id"] and headers["traceparent"]
    return problem


def payment(sandbox, **more):
    return json.dumps({"reference": f"EDGE-{uuid.uuid4()}", "debtor_account": sandbox.debtor, "creditor_account": sandbox.creditor,
                       "amount": {"amount": 1, "currency": "CNY"}, **more}).encode()


def pay(talk, stream):
    """All of a payment but its last byte. @return that byte's frame"""
    body = payment(talk.sandbox)
    talk.ask(stream, ("content-type", "application/json"), ("idempotency-key", str(uuid.uuid4())), method="POST", path=PAYMENTS,
             body=body[:-1], ends=False)
    return frame(DATA, END_STREAM, stream, body[-1:])


def still_works(talk, stream):
    assert talk.out.goaway is None and not talk.out.closed, talk.out
    talk.ask(stream)
    assert talk.answer(stream)[0] == 200


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "actual"])
def test_a_body_above_the_limit_is_413_of_its_stream(talk, declared):
    rest = pay(talk, 1)
    size = BODY_MAX + 1
    length = (("content-length", str(size)),) if declared else ()
    talk.ask(3, *length, method="POST", path=PAYMENTS, body=b" " * size)
    problem = assert_problem(talk.answer(3), 413, "body_too_large")
    assert str(BODY_MAX) in problem["detail"]
    assert talk.resets(3) == []
    talk.send(rest)
    assert talk.answer(1)[0] == 201, "the payment beside it"
    still_works(talk, 5)


def test_a_declared_body_is_refused_before_it_comes(talk):
    talk.ask(1, ("content-length", str(BODY_MAX + 1)), method="POST", path=PAYMENTS, ends=False)
    assert_problem(talk.answer(1), 413, "body_too_large")
    talk.send(frame(DATA, 0, 1, b"x" * FRAME) * 8 + frame(HEADERS, END_STREAM | END_HEADERS, 1, literal("x-sum", "1", indexing=True)))
    talk.headers(3, talk.block() + b"\xbe", END_STREAM)
    assert talk.answer(3)[0] == 200, "the trailers' field is in the table"
    assert talk.resets(1) == [], "a client that looks for the answer behind its body finds it"
    still_works(talk, 5)


def test_who_goes_on_sending_is_asked_to_stop(talk):
    talk.ask(1, ("content-length", str(20 << 20)), method="POST", path=PAYMENTS, ends=False)
    talk.answer(1)
    for _ in range(10):
        talk.send(frame(DATA, 0, 1, b"x" * FRAME) * 64)
    assert talk.listen(5, lambda w: w.resets(1)) and talk.resets(1) == [NO_ERROR]
    still_works(talk, 3)


@pytest.mark.parametrize("protocol", ["--http2", "--http1.1"])
@pytest.mark.parametrize("length", [[], ["-H", "Transfer-Encoding: chunked"]], ids=["declared", "actual"])
def test_curl_reads_413_at_its_first_try(sandbox, tmp_path, protocol, length):
    from test_curl import run
    body = tmp_path / "body"
    body.write_bytes(b" " * (8 << 20))
    said = run("curl", "-sS", protocol, "--cacert", sandbox.ca, *(length if protocol == "--http1.1" else []), "-H", "Expect:", "-H",
               "content-type: application/json", "--data-binary", f"@{body}", "-w", "\n%{http_code} %{content_type}", sandbox.url + PAYMENTS)
    assert said.returncode == 0, said.stderr
    document, kind = said.stdout.rsplit("\n", 1)
    assert kind == "413 application/problem+json" and json.loads(document)["code"] == "body_too_large"


EXCESS = {
    "101 fields": lambda: b"".join(literal(f"x-{i}", "y") for i in range(101)),
    "900 references": lambda: literal("x-one", "y" * 1000, indexing=True) + b"\xbe" * 900,
    "40 KB in one": lambda: literal("x-large", "y" * 40000),
    "40 KB in many": lambda: b"".join(literal(f"x-{i}", "y" * 1000) for i in range(40)),
}


@pytest.mark.parametrize("trailers", [False, True], ids=["head", "trailers"])
@pytest.mark.parametrize("excess", EXCESS.values(), ids=EXCESS)
def test_headers_above_the_limit_are_431_of_their_stream(talk, excess, trailers):
    rest = pay(talk, 1)
    marks = literal("x-before", "b", indexing=True), literal("x-after", "a", indexing=True)
    if trailers:
        talk.ask(3, method="POST", body=b"x", ends=False)
        talk.headers(3, marks[0] + excess() + marks[1], END_STREAM)
    else:
        talk.headers(3, talk.block(("x-request-id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8")) + marks[0] + excess() + marks[1], END_STREAM)
    assert_problem(talk.answer(3), 431, "headers_too_large")
    talk.send(rest)
    assert talk.answer(1)[0] == 201, "the payment beside it"
    talk.headers(5, talk.block() + b"\xbe\xbf", END_STREAM)
    assert talk.answer(5)[0] == 200, "the table holds what the refused block put there"
    still_works(talk, 7)


def test_a_field_that_fits_is_served_however_it_is_coded(talk):
    talk.headers(1, talk.block(("x-large", "y" * 26000)), END_STREAM)
    assert talk.answer(1)[0] == 200


def test_a_path_above_the_limit_is_refused_by_name(talk):
    talk.ask(1, path="/" + "x" * 9000)
    assert_problem(talk.answer(1), 414, "uri_too_long")
    talk.ask(3, path="/" + "x" * 40000)
    assert_problem(talk.answer(3), 431, "headers_too_large")
    still_works(talk, 5)


def ends_in_calm(talk):
    talk.listen(10, lambda w: w.out.closed)
    assert talk.out.closed and talk.out.goaway in (ENHANCE_YOUR_CALM, None)


@pytest.mark.parametrize("block", [lambda: literal("x", "y" * 70000), lambda: literal("x", "y", indexing=True) + b"\xbe" * 2000],
                         ids=["70 KB", "2,000 references"])
def test_a_block_beyond_the_hard_bound_ends_the_connection(talk, block):
    talk.headers(1, talk.block() + block(), END_STREAM)
    ends_in_calm(talk)


def test_who_goes_on_being_refused_is_let_go(talk):
    answered = 0
    for stream in range(1, 401, 2):
        if talk.out.closed:
            break
        talk.headers(stream, talk.block() + EXCESS["101 fields"](), END_STREAM)
        talk.listen(2, lambda w: w.out.closed or w.has(HEADERS, stream))
        answered += talk.has(HEADERS, stream)
    assert 50 <= answered <= 90
    ends_in_calm(talk)


def http1(sandbox, data):
    """What comes back for raw bytes."""
    target = Target(port=sandbox.port, authority=f"localhost:{sandbox.port}")
    return smuggling.exchange(target, data.replace(b"HOST", f"Host: localhost:{sandbox.port}".encode()))


H1 = {
    "syntax": (b"GET /example/v1/ping HTTP/1.1\r\nHOST\r\nX-A : b\r\n\r\n", 400, "bad_request"),
    "no host": (b"GET /example/v1/ping HTTP/1.1\r\n\r\n", 400, "bad_request"),
    "two lengths": (b"POST /example/v1/ping HTTP/1.1\r\nHOST\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400, "bad_request"),
    "chunks": (b"POST /example/v1/ping HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "declared": (b"POST /example/v1/ping HTTP/1.1\r\nHOST\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 1), 413, "body_too_large"),
    "expected": (b"POST /example/v1/ping HTTP/1.1\r\nHOST\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 1), 413, "body_too_large"),
    "expectation": (b"POST /example/v1/ping HTTP/1.1\r\nHOST\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx", 417, "expectation_failed"),
    "expectation without a body": (b"GET /example/v1/ping HTTP/1.1\r\nHOST\r\nExpect: a\r\n\r\n", 417, "expectation_failed"),
    "101 fields": (b"GET /example/v1/ping HTTP/1.1\r\nHOST\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(100)) + b"\r\n", 431, "headers_too_large"),
    "40 KB": (b"GET /example/v1/ping HTTP/1.1\r\nHOST\r\nX: " + b"y" * 40000 + b"\r\n\r\n", 431, "headers_too_large"),
    "head without end": (b"GET /example/v1/ping HTTP/1.1\r\nHOST\r\nX: " + b"y" * 70000, 431, "headers_too_large"),
}


@pytest.mark.parametrize("data, status, code", H1.values(), ids=H1)
def test_http1_refusals_are_problems(sandbox, data, status, code):
    out = http1(sandbox, data)
    assert out.closed and list(out.statuses.values()) == [status], out
    head, body = out.answer.split("\r\n\r\n", 1)
    headers = {n.lower(): v for n, v in (line.split(": ", 1) for line in head.split("\r\n")[1:])}
    assert_problem((status, headers, body.encode()), status, code)
    assert headers["connection"] == "close"


def test_refusals_are_counted(sandbox, talk):
    def count(kind):
        return sandbox.metric(rf'tongbao_guard_total\{{kind="{kind}"\}}')
    before = {kind: count(kind) for kind in ("body_limit", "header_fields", "expectation")}
    talk.ask(1, ("content-length", str(BODY_MAX + 1)), method="POST", path=PAYMENTS, ends=False)
    talk.answer(1)
    talk.headers(3, talk.block() + EXCESS["101 fields"](), END_STREAM)
    talk.answer(3)
    http1(sandbox, H1["expectation"][0])
    assert {kind: count(kind) - n for kind, n in before.items()} == {"body_limit": 1, "header_fields": 1, "expectation": 1}
