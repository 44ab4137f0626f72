"""Every wrong request of the table, over HTTP/1.1 and HTTP/2: a problem document with a stable code, the place in the request
where it has one, and what to do about it; never a 5xx; and a decision trace that can be read by whom it concerns."""

import re
import uuid

import httpx
import pytest

from harness.partner import Partner
from harness.sandbox import ROOT
from wrong_requests import ROWS

PROTOCOLS = {"HTTP/1.1": False, "HTTP/2": True}


@pytest.fixture(scope="module")
def tokens(sandbox):
    stranger = Partner(sandbox, "Wrong requests' stranger", entitlements=())
    narrow = Partner(sandbox, "Wrong requests' narrow app")
    return {"demo": sandbox.token, "narrow": narrow.token("e-payment:read traces:read"), "stranger": stranger.token()}


@pytest.fixture(scope="module", params=PROTOCOLS)
def wire(request, sandbox):
    """A connection of the protocol."""
    with sandbox.client(token=None, http2=PROTOCOLS[request.param]) as client:
        yield client.http


@pytest.fixture(scope="module")
def objects(sandbox, api):
    """What the words in braces stand for."""
    payer, payee = sandbox.accounts(2)
    key, reference = str(uuid.uuid4()), f"W-{uuid.uuid4()}"
    paid = api.pay(payer, payee, 100, reference=reference, key=key).json()
    failed = api.pay(payer, payee, 9007199254740991).json()
    assert (paid["state"], failed["state"]) == ("succeeded", "failed")
    return {"debtor": payer, "creditor": payee, "payment": paid["id"], "failed": failed["id"], "key": key, "reference": reference,
            "token": sandbox.token}


@pytest.fixture(scope="module")
def documented():
    """The codes of docs/errors.md and of the products' pages, with their statuses."""
    codes = {}
    for page in ("docs/errors.md", "docs/products/e-payment.md"):
        with open(f"{ROOT}/{page}", encoding="utf-8") as opened:
            codes.update({code: int(status) for code, status in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", opened.read(), re.M)})
    return codes


def filled(text, objects):
    for name, value in objects.items():
        text = text.replace(f"{{{name}}}", value)
    return text.replace("{fresh}", f"W-{uuid.uuid4()}")


def send(wire, wrong, tokens, objects):
    headers = [("accept-encoding", "identity")]
    if wrong.token is not None:
        sent = tokens.get(wrong.token)
        headers.append(("authorization", f"Bearer {sent}" if sent else filled(wrong.token, objects)))
    if wrong.method == "POST" and wrong.key is not None:
        headers.append(("idempotency-key", filled(wrong.key, objects)))
    if wrong.body is not None and wrong.kind not in ("media type", "charset"):
        headers.append(("content-type", "application/json"))
    body = None
    if wrong.body is not None:
        try:
            body = filled(wrong.body.decode(), objects).encode()
        except UnicodeDecodeError:
            body = wrong.body
    request = httpx.Request(wrong.method, wire.base_url.join(filled(wrong.path, objects)), content=body, headers=headers + wrong.headers)
    return wire.send(request)


def place_of(problem):
    for place in problem.get("errors", []):
        for kind in ("pointer", "parameter", "header"):
            if kind in place:
                yield kind, place[kind]


@pytest.mark.parametrize("wrong", ROWS, ids=lambda wrong: wrong.name)
def test_a_wrong_request_is_told_what_is_wrong(wire, sandbox, anyone, tokens, objects, documented, wrong):
    answer = send(wire, wrong, tokens, objects)
    assert answer.status_code == wrong.status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == "en" and "accept-language" in answer.headers["vary"]
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["code"] == wrong.code, problem
    assert problem["status"] == wrong.status
    assert problem["title"] and problem["remedy"], problem
    assert problem["type"].endswith(f"/{wrong.code}") and problem["doc_url"] == problem["type"]
    assert problem["request_id"] == answer.headers["x-request-id"] and uuid.UUID(problem["request_id"])
    assert problem["instance"] == f"urn:uuid:{problem['request_id']}"
    assert problem["retryable"] is False
    assert wrong.says in problem.get("detail", ""), problem
    if wrong.where is not None:
        assert wrong.where in place_of(problem), problem
    if wrong.kind != "script" or wrong.code != "script_invalid":
        assert documented[wrong.code] == wrong.status
    read_trace(sandbox, anyone, tokens, wrong, problem)


def read_trace(sandbox, anyone, tokens, wrong, problem):
    if "trace" not in problem:
        assert wrong.kind in ("target", "size"), "answered before the gateway"
        return
    headers, path = {}, "/operator/traces/"
    if wrong.known and wrong.kind != "repeated":  # two Authorization fields are nobody's
        headers, path = {"authorization": f"Bearer {tokens[wrong.token]}"}, "/traces/v1/traces/"
    got = anyone.get(path + problem["trace"], headers=headers)
    assert got.status_code == 200, got.text
    trace = got.json()
    assert trace["status"] == wrong.status and trace["refused_by"], trace


def test_the_table_has_three_hundred_rows():
    assert len(ROWS) >= 300 and len({wrong.name for wrong in ROWS}) == len(ROWS)
