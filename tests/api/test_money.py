"""What an amount may be, and what the bank declines. A decline is a payment in state failed, made with 201."""

import uuid

import pytest

from harness.client import assert_problem
from harness.partner import Partner

PAYMENTS = "/e-payment/v1/payments"
MOST = 2**53 - 1


@pytest.fixture(scope="module")
def partner(sandbox):
    return Partner(sandbox, "Money's partner")


@pytest.fixture(scope="module")
def client(partner):
    with partner.client() as client:
        yield client


def payment(debtor, creditor, amount='{"amount":1,"currency":"CNY"}'):
    """A body as text, for amounts that no serializer would write."""
    return (f'{{"reference":"T-{uuid.uuid4()}","debtor_account":"{debtor}","creditor_account":"{creditor}",'
            f'"amount":{amount}}}')


# ---- amounts ----

@pytest.mark.parametrize("written, status, code, pointer", [
    ("0", 422, "invalid_body", "/amount/amount"),
    ("-0", 422, "invalid_body", "/amount/amount"),
    ("-1", 422, "invalid_body", "/amount/amount"),
    ("-9223372036854775808", 422, "invalid_body", "/amount/amount"),
    (str(2**53), 422, "invalid_body", "/amount/amount"),
    (str(2**63 - 1), 422, "invalid_body", "/amount/amount"),
    (str(2**63), 422, "amount_out_of_range", "/amount/amount"),
    ("9" * 400, 422, "amount_out_of_range", "/amount/amount"),
    ("1.0", 400, "bad_number", "/amount/amount"),
    ("1.5", 400, "bad_number", "/amount/amount"),
    ("1e3", 400, "bad_number", "/amount/amount"),
    ("1E400", 400, "bad_number", "/amount/amount"),
    ("01", 400, "bad_json", None),
    ("+1", 400, "bad_json", None),
    ("0x10", 400, "bad_json", None),
    ("NaN", 400, "bad_json", None),
    ("Infinity", 400, "bad_json", None),
    ("true", 422, "invalid_body", "/amount/amount"),
    ("null", 422, "invalid_body", "/amount/amount"),
    ('"12345"', 422, "invalid_body", "/amount/amount"),
    ("[1]", 422, "invalid_body", "/amount/amount"),
    ('{"amount":1}', 422, "invalid_body", "/amount/amount"),
])
def test_an_amount_is_a_positive_whole_number_that_every_reader_holds(api, sandbox, written, status, code, pointer):
    before = api.balance(sandbox.debtor)
    body = payment(sandbox.debtor, sandbox.creditor, f'{{"amount":{written},"currency":"CNY"}}')
    problem = assert_problem(api.post(PAYMENTS, body), status, code)
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer
    assert api.balance(sandbox.debtor) == before


@pytest.mark.parametrize("amount", ["12345", '"12345 CNY"', "null", "[]", '[12345,"CNY"]', "{}", '{"amount":1}', '{"currency":"CNY"}',
                                    '{"amount":1,"currency":"CNY","exponent":2}', '{"amount":1,"amount ":1,"currency":"CNY"}'])
def test_money_is_an_object_of_amount_and_currency(api, sandbox, amount):
    answer = api.post(PAYMENTS, payment(sandbox.debtor, sandbox.creditor, amount))
    problem = assert_problem(answer, 422, "invalid_body")
    assert problem["errors"][0]["pointer"].startswith("/amount")


@pytest.mark.parametrize("currency, code", [("cny", "invalid_body"), ("CN", "invalid_body"), ("CNYY", "invalid_body"),
                                            ("", "invalid_body"), ("¥¥¥", "invalid_body"), ("156", "invalid_body"), ("CNY\\n", "invalid_body"),
                                            ("XXX", "unknown_currency"), ("ZZZ", "unknown_currency"), ("XAU", "unknown_currency")])
def test_a_currency_is_an_active_code(api, sandbox, currency, code):
    body = payment(sandbox.debtor, sandbox.creditor, f'{{"amount":1,"currency":"{currency}"}}')
    problem = assert_problem(api.post(PAYMENTS, body), 422, code)
    assert problem["errors"][0]["pointer"] == "/amount/currency"


@pytest.mark.parametrize("currency", ["CNY", "USD", "JPY", "KWD", "CLF"])
def test_amounts_are_minor_units_whatever_their_number_of_digits(sandbox, currency):
    partner = Partner(sandbox, "World of currencies", book=73)
    pair = partner.account(currency, 1001), partner.account(currency, 0)
    client = partner.client()
    paid = client.pay(*pair, 1001, currency)
    assert paid.status_code == 201 and paid.json()["amount"] == {"amount": 1001, "currency": currency}
    assert [client.balance(a) for a in pair] == [0, 1001]


def test_the_largest_amount_moves_to_the_last_unit(client, partner):
    pair = partner.account(minor=MOST), partner.account(minor=0)
    assert client.pay(*pair, MOST).json()["state"] == "succeeded"
    assert [client.balance(a) for a in pair] == [0, MOST]
    assert client.get(f"/accounts/v1/accounts/{pair[1]}").json()["balances"]["available"]["amount"] == MOST


# ---- declines ----

def decline(client, debtor, creditor, amount, code, currency="CNY"):
    """A payment that the bank declines; nothing but the payment is left of it."""
    before = [client.balance(a) for a in (debtor, creditor)]
    answer = client.pay(debtor, creditor, amount, currency)
    assert answer.status_code == 201, answer.text
    paid = answer.json()
    assert paid["state"] == "failed" and paid["failure"]["code"] == code and paid["failure"]["detail"]
    assert client.get(answer.headers["location"]).content == answer.content
    assert [client.balance(a) for a in (debtor, creditor)] == before
    return answer


def test_more_than_there_is_is_declined(client, partner):
    decline(client, partner.account(minor=100), partner.account(), 101, "insufficient_funds")


def test_all_there_is_can_be_paid(client, partner):
    pair = partner.account(minor=100), partner.account(minor=0)
    assert client.pay(*pair, 100).json()["state"] == "succeeded"
    decline(client, *pair, 1, "insufficient_funds")


def test_a_minimum_balance_stays(client, partner):
    pair = partner.account(minor=100, floor=40), partner.account()
    decline(client, *pair, 61, "insufficient_funds")
    assert client.pay(*pair, 60).json()["state"] == "succeeded"


def test_an_overdraft_can_be_used_to_its_end(client, partner):
    pair = partner.account(minor=100, floor=-50), partner.account()
    decline(client, *pair, 151, "insufficient_funds")
    assert client.pay(*pair, 150).json()["state"] == "succeeded"
    assert client.balance(pair[0]) == -50


def test_a_closed_account_neither_pays_nor_is_paid(client, partner):
    closed, open_account = partner.account(), partner.account()
    partner.close_account(closed)
    decline(client, closed, open_account, 1, "debtor_account_closed")
    decline(client, open_account, closed, 1, "creditor_account_closed")
    assert client.get(f"/accounts/v1/accounts/{closed}").json()["state"] == "closed"


def test_one_payment_stays_within_the_limit_of_its_account(client, partner):
    pair = partner.account(limit_each=500), partner.account()
    decline(client, *pair, 501, "single_limit_exceeded")
    assert client.pay(*pair, 500).json()["state"] == "succeeded"


def test_the_payments_of_a_day_stay_within_the_limit_of_their_account(client, partner):
    pair = partner.account(limit_day=500), partner.account()
    assert client.pay(*pair, 300).json()["state"] == "succeeded"
    decline(client, *pair, 201, "day_limit_exceeded")
    assert client.pay(*pair, 200).json()["state"] == "succeeded"
    decline(client, *pair, 1, "day_limit_exceeded")


def test_an_account_holds_no_more_than_it_may(client, partner):
    pair = partner.account(), partner.account(minor=90, ceiling=100)
    decline(client, *pair, 11, "balance_limit_exceeded")
    assert client.pay(*pair, 10).json()["state"] == "succeeded"


@pytest.mark.parametrize("debtor, creditor, currency", [("CNY", "CNY", "USD"), ("USD", "CNY", "CNY"), ("CNY", "USD", "CNY")])
def test_a_currency_that_is_not_the_accounts_is_refused_and_leaves_the_reference(client, partner, debtor, creditor, currency):
    pair, reference = (partner.account(debtor), partner.account(creditor)), f"T-{uuid.uuid4()}"
    problem = assert_problem(client.pay(*pair, 1, currency, reference=reference), 422, "currency_mismatch")
    assert problem["errors"][0]["pointer"] == "/amount/currency"
    assert client.pay(pair[0], partner.account(debtor), 1, debtor, reference=reference).json()["state"] == "succeeded"


def test_a_declined_payment_is_replayed_as_it_was_though_funds_came_since(client, partner):
    pair, key = (partner.account(minor=0), partner.account()), str(uuid.uuid4())
    body = payment(*pair)
    first = client.post(PAYMENTS, body, key=key)
    assert first.json()["state"] == "failed"
    assert client.pay(pair[1], pair[0], 10).json()["state"] == "succeeded"
    again = client.post(PAYMENTS, body, key=key)
    assert again.content == first.content and again.headers["idempotency-replayed"] == "true"
    assert client.balance(pair[0]) == 10
