"""Node's own clients use the gateway as any partner's program would: fetch over HTTP/1.1, and node:http2."""

import pytest

from bridge import node

CLIENTS = {"pay_http2.js": "h2", "pay_fetch.js": "http/1.1"}


@pytest.fixture(scope="module", params=CLIENTS)
def visit(request, sandbox):
    """What one client met, and what it should have spoken."""
    [met] = node(request.param, env={**sandbox.env, "NODE_EXTRA_CA_CERTS": sandbox.ca})
    return {**met, "wanted": CLIENTS[request.param]}


def test_it_pays_and_reads_the_payment_back(visit):
    paid, read = visit["paid"], visit["read"]
    assert (paid["status"], paid["type"], paid["body"]["state"]) == (201, "application/json", "succeeded")
    assert {name: paid["body"][name] for name in visit["ordered"]} == visit["ordered"]
    assert (read["status"], read["body"]) == (200, paid["body"])


def test_it_gets_the_same_bytes_for_the_same_key(visit):
    assert visit["again"]["status"] == 201 and visit["again"]["replayed"] == "true" and visit["same"]
    assert "replayed" not in visit["paid"]


def test_it_is_told_what_is_wrong(visit):
    assert (visit["refused"]["status"], visit["refused"]["type"]) == (422, "application/problem+json")
    assert [error["pointer"] for error in visit["refused"]["body"]["errors"]] == ["/amount/amount"]
    assert (visit["missing"]["status"], visit["missing"]["body"]["code"]) == (404, "no_such_route")


def test_it_asks_for_the_head_alone(visit):
    assert visit["head"] == {"status": 200, "bytes": 0}


def test_it_pays_many_times_at_once(visit):
    assert {answer["status"] for answer in visit["many"]} == {201}
    assert {answer["id"] for answer in visit["many"]} == set(visit["list"]) and len(visit["list"]) == 100


def test_it_speaks_what_it_should(visit):
    assert set(visit["protocols"]) == {visit["wanted"]} and visit["trouble"] == []
    assert visit.get("versions", ["HTTP/1.1"]) == ["HTTP/1.1"]


def test_its_connections_are_kept(visit):
    """fetch leaves its first connection after the HEAD, as it always does, and then opens one for each request at once."""
    assert len(visit["protocols"]) <= {"h2": 1, "http/1.1": 1 + len(visit["many"])}[visit["wanted"]]
