"""What is set counts: a gateway with narrow limits refuses at exactly these."""

import json
import time
import uuid

import pytest
from yardstick import slowness

from harness import Sandbox
from harness.client import assert_problem
from harness.partner import Partner

PAYMENTS = "/e-payment/v1/payments"
PING = "/example/v1/ping"
NARROW = {
    "TB_WORKERS": "1",
    "TB_LIMITS_PAGE": "5",
    "TB_LIMITS_BODY": "2KiB",
    "TB_LIMITS_JSON_DEPTH": "4",
    "TB_LIMITS_JSON_MEMBERS": "12",
    "TB_LIMITS_REQUEST_DEADLINE": "2s",
    "TB_RATE_BURST": "7",
    "TB_RATE_BURST_WINDOW": "1h",
    "TB_METRICS_ALLOW": "192.0.2.0/24",
    "TB_LOG_ACCESS": "all",
    "TB_PROBLEM_BASE": "https://developers.bank.example/problems/",
}


@pytest.fixture(scope="module")
def narrow():
    with Sandbox(settings=NARROW) as it:
        yield it


@pytest.fixture(scope="module")
def client(narrow):
    with narrow.client() as client:
        yield client


def test_a_page_has_no_more_than_the_most(client):
    page = client.get("/accounts/v1/accounts").json()
    assert len(page["data"]) == 5 and page["has_more"]
    assert len(client.get("/accounts/v1/accounts?limit=5").json()["data"]) == 5
    problem = assert_problem(client.get("/accounts/v1/accounts?limit=6"), 400, "bad_parameter")
    assert problem["errors"][0]["detail"] == "must be an integer from 1 to 5"


def test_a_body_has_no_more_bytes_levels_and_members_than_the_most(client):
    def told(body, status, code):
        return assert_problem(client.post(PAYMENTS, body), status, code)["detail"]
    told('{"a":"' + "x" * (2048 - 8) + '"}', 422, "invalid_body")
    assert "2048" in told('{"a":"' + "x" * (2048 - 7) + '"}', 413, "body_too_large")
    told("[" * 4 + "]" * 4, 422, "invalid_body")
    assert told("[" * 5 + "]" * 5, 400, "bad_json").startswith("nested too deep")
    told("[" + "1," * 11 + "1]", 422, "invalid_body")
    assert told("[" + "1," * 12 + "1]", 400, "bad_json").startswith("too many members")


def test_an_app_without_an_agreement_gets_what_is_set(narrow):
    with Partner(narrow, "Without agreement", limits=()).client() as client:
        assert client.get(PING).headers["ratelimit-policy"].startswith('"burst";q=7;w=3600')
        assert [client.get(PING).status_code for _ in range(7)] == [200] * 6 + [429]


def test_what_is_the_operators_is_not_there_for_others(client):
    name = client.get(PING).headers["x-request-id"]
    nowhere = client.get("/nowhere").json()
    for path in ("/metrics", f"/operator/traces/{name}", f"/operator/traces/{uuid.uuid4()}"):
        answer = client.get(path)
        assert answer.status_code == 404 and answer.json()["code"] == "no_such_route" and set(answer.json()) == set(nowhere)
    assert client.get(f"/traces/v1/traces/{name}").status_code == 200


def test_problems_are_named_below_the_base(client):
    assert client.get("/nowhere").json()["type"] == "https://developers.bank.example/problems/no_such_route"


def test_a_read_that_takes_too_long_is_told_so_in_time(narrow, client):
    lock = narrow.db()
    with lock.cursor() as cursor:
        cursor.execute("begin; lock table bank.account in access exclusive mode")
        began = time.monotonic()
        answer = client.get(f"/accounts/v1/accounts/{narrow.debtor}")
        took = time.monotonic() - began
        cursor.execute("rollback")
    lock.close()
    assert_problem(answer, 504, "deadline_exceeded")
    assert took > 1.9 and int(answer.headers["retry-after"]) >= 1
    assert client.get(f"/accounts/v1/accounts/{narrow.debtor}").status_code == 200


def test_a_payment_that_takes_too_long_happens_once_or_never(narrow, client):
    """While its account is locked it cannot be done; whatever was answered, the key tells the truth afterwards."""
    body = {"reference": f"T-{uuid.uuid4()}", "debtor_account": narrow.debtor, "creditor_account": narrow.creditor,
            "amount": {"amount": 7, "currency": "CNY"}}
    key, before = str(uuid.uuid4()), client.balance(narrow.debtor)
    lock = narrow.db()
    with lock.cursor() as cursor:
        cursor.execute("begin; select from bank.account where id = %s for update", (narrow.debtor,))
        answer = client.post(PAYMENTS, body, key=key)
        cursor.execute("rollback")
    lock.close()
    assert answer.status_code in (503, 504) and answer.json()["retryable"] is True, answer.text
    until = time.monotonic() + 10 * slowness()
    while (again := client.post(PAYMENTS, body, key=key)).status_code in (409, 503, 504) and time.monotonic() < until:
        time.sleep(0.1)
    assert again.status_code == 201 and again.json()["state"] == "succeeded", again.text
    assert client.balance(narrow.debtor) == before - 7


def test_the_log_has_a_line_for_every_request_and_no_secret(narrow, client):
    names = [client.get(PING).headers["x-request-id"] for _ in range(3)]
    until = time.monotonic() + 5 * slowness()
    while not all(name in narrow.log() for name in names) and time.monotonic() < until:
        time.sleep(0.05)
    lines = [json.loads(line) for line in narrow.log().splitlines() if names[0] in line]
    assert len(lines) == 1 and lines[0]["route"] == "GET /example/v1/ping" and lines[0]["status"] == 200 and lines[0]["partner"].startswith("ptr_")
    with open(f"{narrow.run_dir}/secret", encoding="ascii") as opened:
        secret = opened.read().strip()
    signature = narrow.token.split(".")[2]
    assert secret not in narrow.log() and signature not in narrow.log() and signature[:20] not in narrow.log()


def test_bodies_up_to_the_limit_are_served():
    """Keyed writes, which are hashed and handed to the store, of nearly the most bytes; and what is larger is 413."""
    with Sandbox(settings={"TB_WORKERS": "1", "TB_LIMITS_BODY": "1MiB"}) as sandbox, sandbox.client() as client:
        for size in (300 << 10, 511 << 10, 700 << 10, (1 << 20) - 1024, 1 << 20):
            body = {"reference": f"T-{uuid.uuid4()}", "debtor_account": sandbox.debtor, "creditor_account": sandbox.creditor,
                    "amount": {"amount": 1, "currency": "CNY"}, "purpose": "goods"}
            text = json.dumps(body)
            key = str(uuid.uuid4())
            made = client.post(PAYMENTS, text + " " * (size - len(text)), key=key)
            assert made.status_code == 201, f"{size}: {made.text}"
            again = client.post(PAYMENTS, text, key=key)
            assert again.headers["idempotency-replayed"] == "true" and again.json() == made.json()
            wide = json.dumps({**body, "metadata": {"note": "x" * (size - len(text) - 64)}})
            assert_problem(client.post(PAYMENTS, wide), 422, "invalid_body")
        assert_problem(client.post(PAYMENTS, text + " " * ((1 << 20) + 1 - len(text))), 413, "body_too_large")
