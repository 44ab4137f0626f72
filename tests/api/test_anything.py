"""Anything at all: whatever a client with a good token sends, it is told what is wrong in the form of the place; nothing breaks inside."""

import json
import random
import urllib.parse
import uuid

import pytest

from harness.inventory import operations
from harness.partner import Partner, new_id

REQUESTS, GOOD_EVERY = 1500, 50
BITS = ["", "0", "-1", "1", "99999999999999999999", "null", "true", "x" * 64, "x" * 300, "é", "漢字", "🍐", "' or 1=1 --", "\"; drop table bank.account; --",
        "$1", "%s", "%n%n%n", "{}", "[]", "../..", "\\", "/", "a b", "\t", "\r\n", "\x01", "\x7f", "<script>", "${jndi:ldap://x}", "\u202e",
        "acc_01k9x3m6h0g00801v9r5t2n8qd", "pay_01k9x3m6h0g00801v9r5t2n8qd", "2026-11-23T00:00:00Z", "9999-12-31T23:59:59.999Z",
        "0000-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "infinity", "-infinity", "NaN", "succeeded", "100", "2147483648", "1e3"]
FILTERS = ["limit", "starting_after", "ending_before", "state", "reference", "created[gte]", "created[lt]", "expand[]", "fields", ""]
PARAMETERS = ["grant_type", "client_id", "client_assertion", "client_assertion_type", "code", "code_verifier", "refresh_token", "scope",
              "token", "request", "request_uri", "redirect_uri", "response_type", "authorization_details", "claims", "login_hint", "x"]
GRANTS = ["authorization_code", "client_credentials", "refresh_token", "urn:openid:params:grant-type:ciba"]
NAMES = ["reference", "debtor_account", "creditor_account", "amount", "purpose", "metadata", "reason", "currency", "id", ""]
HEADERS = ["x-request-id", "traceparent", "tracestate", "idempotency-key", "x-idempotency-key", "content-type", "accept", "if-match", "prefer",
           "cookie", "range", "expect", "x-fapi-interaction-id", "accept-encoding", "te"]


class Anything:
    def __init__(self, chance, objects):
        self.chance, self.objects = chance, objects

    def bit(self):
        return self.chance.choice(BITS)

    def value(self, depth=0):
        kind = self.chance.randrange(8 if depth < 4 else 5)
        if kind < 3:
            return self.bit()
        if kind < 5:
            return self.chance.choice([0, 1, -1, 2**53, 2**63 - 1, True, False, None, 1.5])
        if kind == 5:
            return [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
        return {self.chance.choice(NAMES): self.value(depth + 1) for _ in range(self.chance.randrange(5))}

    def path(self, operation):
        values = {}
        for name, prefix in operation.parameters:
            values[name] = self.chance.choice([self.objects.get(name, "x"), new_id(prefix or "xxx"), urllib.parse.quote(self.bit(), safe="")])
        path = operation.at(**values)
        if self.chance.random() < 0.1:
            path += self.chance.choice(["/", "//", "/x", "%20", ".", "?"])
        query = [(self.chance.choice(FILTERS), self.bit()) for _ in range(self.chance.choice([0, 0, 1, 1, 2, 5, 20]))]
        return path + ("?" + urllib.parse.urlencode(query) if query else "")

    def body(self, good):
        kind = self.chance.randrange(5)
        if kind == 0:
            return json.dumps(good)
        if kind == 1:
            return json.dumps({**good, self.chance.choice(NAMES): self.value()})
        if kind == 2:
            return json.dumps(self.value())
        text = bytearray(json.dumps(good).encode())
        for _ in range(self.chance.randrange(1, 6)):
            text[self.chance.randrange(len(text))] = self.chance.randrange(256)
        return bytes(text)

    def form(self):
        pairs = [("grant_type", self.chance.choice(GRANTS)), ("client_id", self.objects["client_id"])]
        pairs += [(self.chance.choice(PARAMETERS), self.bit()) for _ in range(self.chance.randrange(6))]
        return urllib.parse.urlencode(self.chance.sample(pairs, len(pairs))).encode()

    def headers(self):
        out = {"idempotency-key": str(uuid.uuid4()), "content-type": "application/json"}
        for _ in range(self.chance.choice([0, 0, 1, 3])):
            text = "".join(c for c in self.bit() if " " <= c <= "~").strip()
            out[self.chance.choice(HEADERS)] = text or "x"
        if out.get("te", "trailers") != "trailers":
            del out["te"]  # HTTP/2 allows nothing else, and ends the connection
        return out


@pytest.fixture(scope="module")
def objects_of(sandbox):
    partner = Partner(sandbox, "Anything's partner")
    account, other = partner.account(), partner.account()
    with partner.client() as client:
        made = client.pay(account, other, 100)
        refund = client.post(made.headers["location"] + "/refunds", {"amount": {"amount": 1, "currency": "CNY"}})
        yield client, {"account_id": account, "payment_id": made.json()["id"], "refund_id": refund.json()["id"],
                       "request_id": made.headers["x-request-id"], "code": "not_found",
                       "consent_id": new_id("cns"), "client_id": partner.app}, (account, other)


def fails_in_form(answer, operation):
    """A problem document; from the authorization server also an OAuth error or a page."""
    kind = answer.headers["content-type"]
    if kind == "application/problem+json":
        return answer.json()["status"] == answer.status_code
    if kind == "application/json":
        return operation.path.startswith("/oauth/") and set(answer.json()) == {"error", "error_description"}
    return operation.path.startswith("/oauth/") and kind == "text/html; charset=utf-8"


def test_whatever_is_sent_nothing_breaks_inside(objects_of, sandbox):
    client, objects, pair = objects_of
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    any_ = Anything(chance, objects)
    workers, known, seen = sandbox.pids("worker"), operations(), set()
    products = [o for o in known if not o.path.startswith(("/oauth/", "/.well-known/"))]
    for n in range(REQUESTS):
        operation = chance.choice(known if chance.random() < 0.4 else products)
        method = operation.method if chance.random() < 0.9 else chance.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "X"])
        good = {"reference": f"T-{uuid.uuid4()}", "debtor_account": pair[0], "creditor_account": pair[1],
                "amount": {"amount": 1, "currency": "CNY"}}
        body = any_.body(good) if method != "GET" or chance.random() < 0.05 else None
        path, headers = any_.path(operation), any_.headers()
        if operation.path.startswith("/oauth/") and body is not None and chance.random() < 0.7:
            body, headers["content-type"] = any_.form(), "application/x-www-form-urlencoded"
        answer = client.http.request(method, path, content=body, headers=headers)
        told = f"seed {seed}, request {n}: {method} {path} {headers} {body!r}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500, told
        assert answer.headers["x-request-id"] and answer.headers["traceparent"], told
        if answer.status_code >= 400 and method != "HEAD":
            assert fails_in_form(answer, operation), told
        seen.add(answer.status_code)
        if n % GOOD_EVERY == 0:
            assert client.pay(*pair, 1).status_code == 201, "between all that, what is right still works"
    assert seen >= {200, 400, 404, 405, 422}
    assert sandbox.pids("worker") == workers and sandbox.crashes() == []
    assert "nothing wrong" in sandbox.cli("audit")
