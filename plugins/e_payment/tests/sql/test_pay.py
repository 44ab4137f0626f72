"""Payments and refunds: what succeeds, what the bank declines (201, failed), what is refused (4xx)."""
import json
import re

import pytest
from books import APP, NOW, PARTNER, ROOT, acc

OTHER = "ptr_" + "b" * 26


@pytest.fixture
def b(books):
    books.open((1, 1000, {}), (2, 0, {}), (3, 100, {"limit_each": 50, "limit_day": 80}), (4, 0, {"ceiling": 10}))
    books.open((5, 0, {"currency": "JPY"}))
    books.open((6, 500, {}), partner=None)
    books.query("insert into bank.partner values (%s, 'other', 'active', %s)", OTHER, NOW)
    return books


def read(b, id, partner=PARTNER):
    rows = b.query("select e_payment.read_payment(1, %s, null, null, %s) as body", partner, id)
    return rows[0]["body"] if rows else None


def test_a_payment_has_exactly_these_members(b):
    call = b.call(b.payment(1, 2, 300, 'INV "1"', purpose="goods\n", metadata={"order": "7, 8: 9"}), "k")
    answer, = b.pay(call)
    assert answer["location"] == "/e-payment/v1/payments/" + call["id"]
    assert json.loads(answer["body"]) == {
        "id": call["id"], "object": "payment", "state": "succeeded", "reference": 'INV "1"', "debtor_account": acc(1),
        "creditor_account": acc(2), "amount": {"amount": 300, "currency": "CNY"}, "purpose": "goods\n",
        "metadata": {"order": "7, 8: 9"}, "refunded": {"amount": 0, "currency": "CNY"}, "created_at": NOW, "updated_at": NOW}
    assert '"order":"7, 8: 9"' in answer["body"] and '": ' not in answer["body"]
    assert read(b, call["id"]) == answer["body"]
    event, = b.query("select id, partner, type, object, data from event.outbox")
    assert event == {"id": "evt_" + call["id"][4:], "partner": PARTNER, "type": "payment.succeeded", "object": call["id"],
                     "data": '{"id":"%s","object":"payment","state":"succeeded"}' % call["id"]}


@pytest.mark.parametrize("debtor, creditor, amount, currency, code", [
    (2, 1, 1, "CNY", "insufficient_funds"),
    (1, 2, 1001, "CNY", "insufficient_funds"),
    (3, 2, 51, "CNY", "single_limit_exceeded"),
    (1, 4, 11, "CNY", "balance_limit_exceeded"),
])
def test_what_the_bank_declines_is_a_failed_payment(b, debtor, creditor, amount, currency, code):
    body = b.payment(debtor, creditor, amount)
    body["amount"]["currency"] = currency
    call = b.call(body, "k")
    answer, = b.pay(call)
    payment = json.loads(answer["body"])
    assert (answer["status"], payment["state"], payment["failure"]["code"]) == (201, "failed", code)
    assert payment["failure"]["detail"]
    assert read(b, call["id"]) == answer["body"]
    assert b.query("select from bank.transfer where kind = 'payment'") == []
    assert b.one("select type from event.outbox") == "payment.failed"
    assert b.pay(call)[0]["body"] == answer["body"]


@pytest.mark.parametrize("side, code", [("debtor", "debtor_account_closed"), ("creditor", "creditor_account_closed")])
def test_a_closed_account_is_a_decline(b, side, code):
    b.query("update bank.account set state = 'closed' where id = %s", acc(2))
    answer, = b.pay(b.call(b.payment(2, 1, 1) if side == "debtor" else b.payment(1, 2, 1)))
    assert json.loads(answer["body"])["failure"]["code"] == code


def test_the_limit_of_the_day_is_exact_in_a_batch_and_over_batches(b):
    states = [json.loads(a["body"])["state"] for a in b.pay(*[b.call(b.payment(3, 2, n)) for n in (50, 31, 20, 11, 10)])]
    assert states == ["succeeded", "failed", "succeeded", "failed", "succeeded"]
    assert json.loads(b.pay(b.call(b.payment(3, 2, 1)))[0]["body"])["failure"]["code"] == "day_limit_exceeded"


@pytest.mark.parametrize("change, status, code, pointer", [
    ({"debtor_account": acc(99)}, 422, "unknown_account", "/debtor_account"),
    ({"debtor_account": acc(6)}, 422, "unknown_account", "/debtor_account"),        # exists, but not for this partner
    ({"creditor_account": acc(99)}, 422, "unknown_account", "/creditor_account"),
    ({"creditor_account": acc(1)}, 422, "same_account", "/creditor_account"),
    ({"amount": {"amount": 1, "currency": "XXX"}}, 422, "unknown_currency", "/amount/currency"),
    ({"creditor_account": acc(5)}, 422, "currency_mismatch", "/amount/currency"),
    ({"amount": {"amount": 1, "currency": "JPY"}}, 422, "currency_mismatch", "/amount/currency"),
    ({"amount": {"amount": 0, "currency": "CNY"}}, 422, "amount_out_of_range", "/amount/amount"),
    ({"amount": {"amount": -1, "currency": "CNY"}}, 422, "amount_out_of_range", "/amount/amount"),
])
def test_a_request_that_names_what_it_cannot_name_leaves_no_trace(b, change, status, code, pointer):
    answer, = b.pay(b.call({**b.payment(1, 2, 1), **change}))
    assert (answer["status"], answer["code"], answer["pointer"], answer["body"]) == (status, code, pointer, None)
    assert b.query("select from e_payment.payment") == [] and b.query("select from event.outbox") == []


@pytest.mark.parametrize("debtor, creditor", [(2, 1), (1, 2), (1, 99), (99, 1), (1, 1)])
def test_an_unknown_currency_is_refused_before_anything_else_of_the_accounts(b, debtor, creditor):
    b.query("update bank.account set state = 'closed' where id = %s", acc(2))
    odd = b.payment(debtor, creditor, 1, "R")
    odd["amount"]["currency"] = "XXX"
    answers = b.pay(b.call(odd), b.call(b.payment(1, 4, 1)))
    assert [(a["status"], a["code"]) for a in answers] == [(422, "unknown_currency"), (201, None)]
    assert b.pay(b.call(b.payment(1, 4, 1, "R")))[0]["status"] == 201     # the reference is still free


def test_a_currency_that_an_account_does_not_have_leaves_the_reference_free(b):
    b.query("update bank.account set state = 'closed' where id = %s", acc(2))
    odd = {**b.payment(1, 2, 1, "R"), "amount": {"amount": 1, "currency": "JPY"}}       # closed, and in another currency
    twin = b.call({**odd, "creditor_account": acc(5)}, "k1")
    answers = b.pay(b.call(odd, "k2"), twin, b.call(b.payment(1, 4, 1, "R"), "k3"))     # and of three in a batch the last is in order
    assert [(a["status"], a["code"]) for a in answers] == [(422, "currency_mismatch")] * 2 + [(201, None)]


def test_an_account_that_may_be_read_may_not_be_debited(b):
    b.query("insert into bank.account_access values (1, false, %s, %s, %s)", NOW, PARTNER, acc(6))
    assert b.pay(b.call(b.payment(6, 2, 1)))[0]["code"] == "unknown_account"
    assert b.query("select from bank.read_account(1, %s, null, null, %s)", PARTNER, acc(6)) != []


def test_a_reference_is_used_once_and_leads_to_its_payment(b):
    first = b.call(b.payment(2, 1, 5, "R"), "k1")       # declined, and yet it has the reference
    assert b.pay(first)[0]["status"] == 201
    answer, = b.pay(b.call(b.payment(1, 2, 5, "R"), "k2"))
    assert (answer["status"], answer["code"], answer["pointer"]) == (409, "duplicate_reference", "/reference")
    assert answer["extra"] == {"payment": first["id"]}
    assert answer["location"] == "/e-payment/v1/payments/" + first["id"]
    assert b.balances(1, 2) == [1000, 0]


def test_of_twins_in_a_batch_the_first_that_is_in_order_gets_the_reference(b):
    calls = [b.call(b.payment(1, creditor, 5, "R"), f"k{n}") for n, creditor in enumerate((99, 1, 2, 2))]
    calls.insert(0, b.call({**b.payment(1, 2, 5, "R"), "debtor_account": acc(6)}))
    answers = b.pay(*calls)
    assert [a["status"] for a in answers] == [422, 422, 422, 201, 409]
    assert answers[4]["extra"]["payment"] == calls[3]["id"]
    assert b.balances(2) == [5]


def test_the_reference_is_the_partners_own(b):
    b.query("insert into bank.account_access values (1, true, %s, %s, %s)", NOW, OTHER, acc(1))
    answers = b.pay(b.call(b.payment(1, 2, 1, "R")), b.call(b.payment(1, 2, 1, "R"), partner=OTHER))
    assert [a["status"] for a in answers] == [201, 201]


def test_another_partners_payment_is_not_found(b):
    call = b.call(b.payment(1, 2, 1))
    b.pay(call)
    assert read(b, call["id"], OTHER) is None
    refund, = b.run("e_payment.refund", b.refund(call["id"], 1) | {"partner": OTHER})
    assert (refund["status"], refund["code"]) == (404, "not_found")


def test_money_that_arrives_in_a_batch_can_be_spent_later_in_it(b):
    states = [json.loads(a["body"])["state"] for a in b.pay(b.call(b.payment(2, 1, 5)), b.call(b.payment(1, 2, 5)),
                                                            b.call(b.payment(2, 1, 5)))]
    assert states == ["failed", "succeeded", "succeeded"]


# refunds

@pytest.fixture
def paid(b):
    call = b.call(b.payment(1, 2, 100))
    b.pay(call)
    return call["id"]


def test_refunds_run_in_parts_until_nothing_is_left(b, paid):
    call = b.refund(paid, 30, "k", reason="damaged")
    first, = b.run("e_payment.refund", call)
    refund = json.loads(first["body"])
    assert refund == {"id": "rfd_" + call["id"][4:], "object": "refund", "state": "succeeded", "payment": paid,
                      "amount": {"amount": 30, "currency": "CNY"}, "reason": "damaged", "created_at": NOW, "updated_at": NOW}
    assert first["location"] == f"/e-payment/v1/payments/{paid}/refunds/{refund['id']}"
    assert b.one("select e_payment.read_refund(1, %s, null, null, %s, %s)", PARTNER, paid, refund["id"]) == first["body"]
    over, rest, none = [b.run("e_payment.refund", b.refund(paid, n))[0] for n in (71, None, None)]
    assert (over["status"], over["code"], over["extra"]) == (
        409, "refund_exceeds_payment", {"remaining": {"amount": 70, "currency": "CNY"}})
    assert json.loads(rest["body"])["amount"]["amount"] == 70
    assert (none["status"], none["code"]) == (409, "refund_exceeds_payment")
    assert b.balances(1, 2) == [1000, 0]
    payment = json.loads(read(b, paid))
    assert (payment["state"], payment["refunded"]["amount"]) == ("succeeded", 100)


def test_refunds_of_one_payment_in_one_batch_are_capped_in_order(b, paid):
    answers = b.run("e_payment.refund", *[b.refund(paid, n) for n in (60, 50, 40, 1)])
    assert [a["status"] for a in answers] == [201, 409, 201, 409]
    assert answers[1]["extra"]["remaining"]["amount"] == 40


def test_a_refund_the_payee_cannot_cover_fails_and_takes_nothing_from_the_rest(b, paid):
    b.post({"debit": 2, "credit": 1, "amount": 80})
    failed, done = b.run("e_payment.refund", b.refund(paid, 30), b.refund(paid, 20))
    assert json.loads(failed["body"])["failure"]["code"] == "insufficient_funds"
    assert (json.loads(done["body"])["state"], json.loads(read(b, paid))["refunded"]["amount"]) == ("succeeded", 20)


def test_a_refund_to_a_closed_account_fails(b, paid):
    b.post({"debit": 1, "credit": 0, "amount": 900})
    b.query("update bank.account set state = 'closed' where id = %s", acc(1))
    answer, = b.run("e_payment.refund", b.refund(paid, 1))
    assert json.loads(answer["body"])["failure"]["code"] == "debtor_account_closed"


def test_refunds_that_are_refused(b, paid):
    failed = b.call(b.payment(2, 1, 5000))
    b.pay(failed)
    jpy = b.refund(paid, 1)
    jpy["body"]["amount"]["currency"] = "JPY"
    answers = b.run("e_payment.refund", b.refund("pay_" + "9" * 26, 1), b.refund(failed["id"], 1), jpy, b.refund(paid, 0))
    assert [(a["status"], a["code"]) for a in answers] == [
        (404, "not_found"), (409, "payment_not_refundable"), (422, "currency_mismatch"), (422, "amount_out_of_range")]


def test_the_codes_of_declines_are_those_of_the_product_and_its_schema(b):
    with open(ROOT + "/plugins/e_payment/e_payment.c", encoding="utf-8") as source:
        table = source.read().split("declines[] = {")[1].split("};")[0]
    declared = re.findall(r'\{"(\w+)"', table)
    with open(ROOT + "/schemas/e_payment/payment.json", encoding="utf-8") as schema:
        assert declared == json.load(schema)["$defs"]["failure"]["properties"]["code"]["enum"]
    details = [json.loads(b.one("select e_payment.failure_json(%s)", code))["detail"] for code in declared]
    assert "the bank declined" not in details
    ledger = ("debit_account_closed", "credit_account_closed", "balance_overflow", "ceiling_exceeded", "insufficient_funds",
              "single_limit_exceeded", "day_limit_exceeded")
    reached = {b.one("select e_payment.failure(%s, %s)", code, refund) for code in ledger for refund in (False, True)}
    assert reached == set(declared)
