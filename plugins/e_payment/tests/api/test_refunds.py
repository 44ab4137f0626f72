"""Refunds: in part, again and again, never more than was paid."""

import concurrent.futures
import uuid

import pytest

from harness.client import assert_problem
from harness.partner import Partner, new_id

PAYMENTS = "/e-payment/v1/payments"


@pytest.fixture(scope="module")
def partner(sandbox):
    return Partner(sandbox, "Refunds' partner")


@pytest.fixture(scope="module")
def client(partner):
    with partner.client() as client:
        yield client


@pytest.fixture
def paid(client, partner):
    """A payment of 1000 with the accounts it ran between."""
    payment = client.pay(partner.account(minor=1000), partner.account(minor=0), 1000).json()
    assert payment["state"] == "succeeded"
    return payment


def refund(client, payment, amount=None, currency="CNY", key="new", **members):
    body = {**({} if amount is None else {"amount": {"amount": amount, "currency": currency}}), **members}
    return client.post(f"{PAYMENTS}/{payment['id']}/refunds", body, key=key)


def balances(client, payment):
    return [client.balance(payment[side]) for side in ("debtor_account", "creditor_account")]


def test_a_part_goes_back(client, paid):
    answer = refund(client, paid, 345, reason="one item returned", metadata={"item": "7"})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"{PAYMENTS}/{paid['id']}/refunds/{made['id']}"
    assert {k: made[k] for k in ("object", "state", "payment", "amount", "reason", "metadata")} == {
        "object": "refund", "state": "succeeded", "payment": paid["id"], "amount": {"amount": 345, "currency": "CNY"},
        "reason": "one item returned", "metadata": {"item": "7"}}
    assert balances(client, paid) == [345, 655]
    assert client.get(answer.headers["location"]).content == answer.content
    now = client.get(f"{PAYMENTS}/{paid['id']}").json()
    assert now["refunded"] == {"amount": 345, "currency": "CNY"} and now["state"] == "succeeded"


def test_parts_add_up_to_the_whole_and_no_further(client, paid):
    for amount in (400, 400, 200):
        assert refund(client, paid, amount).json()["state"] == "succeeded"
    problem = assert_problem(refund(client, paid, 1), 409, "refund_exceeds_payment")
    assert problem["remaining"] == {"amount": 0, "currency": "CNY"}
    assert balances(client, paid) == [1000, 0]


def test_a_refund_beyond_what_is_left_says_what_is_left(client, paid):
    assert refund(client, paid, 600).status_code == 201
    problem = assert_problem(refund(client, paid, 401), 409, "refund_exceeds_payment")
    assert problem["remaining"] == {"amount": 400, "currency": "CNY"}
    assert problem["errors"][0]["pointer"] == "/amount/amount"
    assert refund(client, paid, 400).json()["state"] == "succeeded"


def test_without_an_amount_all_that_is_left_goes_back(client, paid):
    assert refund(client, paid, 300).status_code == 201
    assert refund(client, paid).json()["amount"] == {"amount": 700, "currency": "CNY"}
    assert balances(client, paid) == [1000, 0]
    assert_problem(refund(client, paid), 409, "refund_exceeds_payment")


def test_a_refund_is_replayed(client, paid):
    key = str(uuid.uuid4())
    first = refund(client, paid, 100, key=key)
    again = refund(client, paid, 100, key=key)
    assert again.content == first.content and again.headers["idempotency-replayed"] == "true"
    assert_problem(refund(client, paid, 101, key=key), 422, "idempotency_key_reused")
    assert balances(client, paid) == [100, 900]


def test_a_refund_needs_a_key(client, paid):
    assert_problem(refund(client, paid, 1, key=None), 400, "idempotency_key_missing")


def test_a_refund_is_made_in_the_currency_of_the_payment(client, paid):
    problem = assert_problem(refund(client, paid, 1, "USD"), 422, "currency_mismatch")
    assert problem["errors"][0]["pointer"] == "/amount/currency"


@pytest.mark.parametrize("amount", [0, -1, True, "1", 2**53])
def test_a_refund_is_of_a_positive_amount(client, paid, amount):
    assert_problem(refund(client, paid, amount), 422, "invalid_body")


def test_a_failed_payment_has_nothing_to_give_back(client, partner):
    payment = client.pay(partner.account(minor=0), partner.account(), 5).json()
    assert payment["state"] == "failed"
    assert_problem(refund(client, payment, 1), 409, "payment_not_refundable")


def test_a_refund_that_is_not_covered_fails_and_leaves_what_is_left(client, partner, paid):
    assert client.pay(paid["creditor_account"], partner.account(), 900).json()["state"] == "succeeded"
    declined = refund(client, paid, 101)
    assert declined.status_code == 201 and declined.json()["state"] == "failed"
    assert declined.json()["failure"]["code"] == "insufficient_funds"
    assert client.get(f"{PAYMENTS}/{paid['id']}").json()["refunded"]["amount"] == 0
    assert refund(client, paid, 100).json()["state"] == "succeeded"


def test_a_refund_to_a_closed_account_fails(client, partner, paid):
    partner.close_account(paid["debtor_account"])
    assert refund(client, paid, 1).json()["failure"]["code"] == "debtor_account_closed"


def test_refunds_that_race_never_exceed_the_payment(sandbox, client, partner, paid):
    token = partner.token()

    def several(_):
        with sandbox.client(token) as own:
            return [refund(own, paid, 70) for _ in range(5)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [a for some in pool.map(several, range(8), timeout=60) for a in some]
    made = [a for a in answers if a.status_code == 201]
    assert len(made) == 1000 // 70 and all(a.json()["state"] == "succeeded" for a in made)
    assert {a.json()["code"] for a in answers if a.status_code != 201} == {"refund_exceeds_payment"}
    assert balances(client, paid) == [980, 20]


def test_refunds_are_listed_newest_first(client, paid):
    made = [refund(client, paid, n).json()["id"] for n in (1, 2, 3, 4, 5)]
    path = f"{PAYMENTS}/{paid['id']}/refunds"
    assert [r["id"] for r in client.get(path).json()["data"]] == made[::-1]
    assert [r["id"] for r in client.pages(path, limit=2)] == made[::-1]


def test_refunds_of_another_partner_are_not_found(client, api, paid):
    made = refund(client, paid, 1)
    assert_problem(api.post(f"{PAYMENTS}/{paid['id']}/refunds", {}), 404, "not_found")
    assert_problem(api.get(f"{PAYMENTS}/{paid['id']}/refunds"), 404, "not_found")
    assert_problem(api.get(made.headers["location"]), 404, "not_found")


def test_a_refund_belongs_to_its_payment(client, partner, paid):
    other = client.pay(partner.account(), partner.account(), 5).json()
    made = refund(client, paid, 1).json()
    assert_problem(client.get(f"{PAYMENTS}/{other['id']}/refunds/{made['id']}"), 404, "not_found")
    assert_problem(client.get(f"{PAYMENTS}/{paid['id']}/refunds/{new_id('rfd')}"), 404, "not_found")
    assert_problem(client.post(f"{PAYMENTS}/{new_id('pay')}/refunds", {}), 404, "not_found")
