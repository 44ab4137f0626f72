"""Every effect asks for its own right: a refund debits the payee's account, so the partner must be allowed to debit it, by
access, by consent, or because its owner has agreed."""
import json

import pytest
from books import APP, NOW, PARTNER, acc, id_suffix
from consents import Consents, at, mandate, payment
from test_concurrency import together

SHOP = "ptr_" + "b" * 26        # acts for the payee's owner
OTHER_APP = "app_" + "b" * 26


@pytest.fixture
def b(books):
    """PARTNER debits 1 and 3; 2 and 4 are accounts of another company, which SHOP debits. A payment of 100 to either."""
    books.query("insert into bank.partner values (%s, 'shop', 'active', %s)", SHOP, NOW)
    for app, partner in ((APP, PARTNER), (OTHER_APP, SHOP)):
        books.query("insert into bank.app (id, partner, world, name, created_at) values (%s, %s, 'wld_1', 'App', %s)", app, partner, NOW)
    books.query("insert into bank.party values (1, 'pty_2', 'company', 'Shop', null, %s)", NOW)
    books.open((1, 1000, {}), (3, 1000, {}))
    books.open((2, 500, {"party": "pty_2"}), (4, 500, {"party": "pty_2"}), (6, 500, {"party": "pty_2"}), partner=SHOP)
    calls = [books.call(books.payment(1, creditor, 100)) for creditor in (2, 4)]
    assert [a["status"] for a in books.pay(*calls)] == [201, 201]
    books.paid, books.paid4 = (c["id"] for c in calls)
    return books


def agree(b, account=2, partner=PARTNER, by=SHOP, now=NOW, **terms):
    """What the partner that acts for the owner is answered."""
    call = {"n": 0, "id": "agr_" + b.new_id(), "partner": by, "app": OTHER_APP, "now": now, "path": {"account_id": acc(account)},
            "body": {"kind": "refund", "partner": partner, **terms}}
    return b.query("select * from bank.agree(1, tb.calls(%s))", json.dumps([call]))[0]


def agreed(b, *args, **terms):
    answer = agree(b, *args, **terms)
    assert answer["status"] == 201, answer
    return json.loads(answer["body"])["id"]


def outcome(answer):
    if answer["status"] != 201:
        return answer["code"]
    body = json.loads(answer["body"])
    return body["failure"]["code"] if body["state"] == "failed" else body["state"]


def refund(b, *args, db=None, **more):
    body = {k: more.pop(k) for k in list(more) if k in ("reason", "reference")}
    call = {**b.refund(*args, **body), **more}
    return outcome(b.run("e_payment.refund", call, db=db)[0])


def money(amount):
    return {"amount": amount, "currency": "CNY"}


def test_an_account_that_the_partner_may_not_debit_is_not_debited_by_a_refund(b):
    answer, = b.run("e_payment.refund", b.refund(b.paid, 40))
    assert (answer["status"], answer["code"]) == (409, "refund_not_authorised")
    assert b.balances(1, 2) == [800, 600]
    assert b.query("select from e_payment.refund") == [] and b.query("select from event.outbox where type like 'refund.%%'") == []


def test_access_that_only_reads_is_no_right(b):
    b.query("insert into bank.account_access values (1, false, %s, %s, %s)", NOW, PARTNER, acc(2))
    assert refund(b, b.paid, 40) == "refund_not_authorised"
    b.query("update bank.account_access set can_debit = true where partner = %s and account = %s", PARTNER, acc(2))
    assert refund(b, b.paid, 40) == "succeeded"


@pytest.mark.parametrize("options, amount, code", [
    ({"limit_each": 30}, 31, "single_limit_exceeded"), ({"limit_day": 30}, 31, "day_limit_exceeded"),
    ({"limit_day": 30}, 30, "succeeded"), ({"floor": 80}, 21, "insufficient_funds")])
def test_limits_and_floor_of_the_payees_account_hold_for_refunds(b, options, amount, code):
    b.open((7, 0, {**options, "floor": 0}))
    call = b.call(b.payment(1, 7, 100))
    b.pay(call)
    if "floor" in options:
        b.query("update bank.account set floor = %s where id = %s", options["floor"], acc(7))
    assert refund(b, call["id"], amount) == code


def test_under_an_agreement_a_refund_debits_the_account_and_names_its_right(b):
    agreement = agreed(b)
    answer, = b.run("e_payment.refund", b.refund(b.paid, 40, "k"))
    assert (answer["status"], json.loads(answer["body"])["agreement"]) == (201, agreement)
    assert b.balances(1, 2) == [840, 560]
    assert refund(b, b.paid4, 40) == "refund_not_authorised"       # the owner's other account
    assert refund(b, b.paid) == "succeeded"                        # what is left of it
    assert refund(b, b.paid, 1) == "refund_exceeds_payment"        # never more than the payment brought
    seen = json.loads(b.one("select bank.read_agreement(1, %s, %s, %s, %s)", PARTNER, acc(2), agreement, NOW))
    assert seen == {"id": agreement, "object": "agreement", "kind": "refund", "state": "active", "account": acc(2), "partner": PARTNER,
                    "days": 365, "used": {"count": 2, "amount": money(100)}, "made_by": "partner", "created_at": NOW}


def test_access_goes_before_an_agreement_and_takes_nothing_from_it(b):
    agreed(b)
    b.query("insert into bank.account_access values (1, true, %s, %s, %s)", NOW, PARTNER, acc(2))
    answer, = b.run("e_payment.refund", b.refund(b.paid, 40))
    assert "agreement" not in json.loads(answer["body"]) and b.query("select from bank.agreement_use") == []


@pytest.mark.parametrize("terms, when, amount, code", [
    ({"days": 10}, "2026-12-03T08:00:00.122Z", 10, "succeeded"),
    ({"days": 10}, "2026-12-03T08:00:00.123Z", 10, "refund_not_authorised"),
    ({}, "2027-11-23T08:00:00.122Z", 10, "succeeded"),
    ({}, "2027-11-23T08:00:00.123Z", 10, "refund_not_authorised"),
    ({"valid_to": "2026-11-24T00:00:00Z"}, "2026-11-23T23:59:59Z", 10, "succeeded"),
    ({"valid_to": "2026-11-24T00:00:00Z"}, "2026-11-24T00:00:00Z", 10, "refund_not_authorised"),
    ({"maximum_individual_amount": money(30)}, NOW, 30, "succeeded"),
    ({"maximum_individual_amount": money(30)}, NOW, 31, "refund_not_authorised"),
])
def test_an_agreement_covers_what_it_says(b, terms, when, amount, code):
    agreed(b, **terms)
    assert refund(b, b.paid, amount, now=when) == code


def test_a_period_is_exact_and_begins_with_the_day_of_the_world(b):
    agreed(b, periodic_limit={"period_type": "Day", "amount": money(50)})
    assert refund(b, b.paid, 30) == "succeeded"
    answer, = b.run("e_payment.refund", b.refund(b.paid, 21))
    assert (answer["code"], answer["extra"]) == ("refund_not_authorised", {"remaining": money(20)})
    assert refund(b, b.paid, 20) == "succeeded"
    assert refund(b, b.paid, 50, now="2026-11-23T16:00:00Z") == "succeeded"       # midnight in Shanghai


def test_in_one_batch_a_limit_is_taken_in_order_and_what_is_declined_takes_nothing(b):
    agreed(b, periodic_limit={"period_type": "Whole", "amount": money(60)})
    other = b.call(b.payment(3, 2, 100))
    b.pay(other)
    b.query("update bank.account set floor = balance - 50 where id = %s", acc(2))
    answers = b.run("e_payment.refund", b.refund(b.paid, 60), b.refund(other["id"], 30), b.refund(b.paid, 31), b.refund(b.paid, 20))
    assert [outcome(a) for a in answers] == ["insufficient_funds", "succeeded", "refund_not_authorised", "succeeded"]
    assert b.query("select uses_n, amount from bank.agreement_use") == [{"uses_n": 2, "amount": 50}]


def test_an_ended_agreement_covers_nothing_and_another_can_be_made(b):
    first = agreed(b)
    taken = agree(b)
    assert (taken["status"], taken["code"], taken["extra"]) == (409, "agreement_exists", {"agreement": first})
    assert b.query("select bank.end_seen_agreement(1, %s, %s, %s, %s)", SHOP, acc(2), first, NOW) != []
    assert refund(b, b.paid, 10) == "refund_not_authorised"
    second = agreed(b, valid_to="2026-11-24T00:00:00Z")
    assert refund(b, b.paid, 10) == "succeeded"
    third = agreed(b, now="2026-11-24T00:00:00Z")       # the second has run out
    states = [json.loads(b.one("select bank.read_agreement(1, %s, %s, %s, %s)", SHOP, acc(2), a, "2026-11-24T00:00:01Z"))
              for a in (first, second, third)]
    assert [s["state"] for s in states] == ["ended", "expired", "active"] and states[0]["ended_by"] == "partner"


@pytest.mark.parametrize("change, status, code, pointer", [
    ({"account": 1}, 404, "not_found", None),                      # not of the partner that asks
    ({"account": 99}, 404, "not_found", None),
    ({"partner": SHOP}, 422, "unknown_partner", "/partner"),       # itself
    ({"partner": "ptr_" + "c" * 26}, 422, "unknown_partner", "/partner"),
    ({"maximum_individual_amount": {"amount": 1, "currency": "USD"}}, 422, "currency_mismatch", "/maximum_individual_amount/currency"),
    ({"periodic_limit": {"period_type": "Day", "amount": {"amount": 1, "currency": "USD"}}}, 422, "currency_mismatch",
     "/periodic_limit/amount/currency"),
    ({"valid_to": NOW}, 422, "invalid_body", "/valid_to"),
])
def test_agreements_that_are_not_made(b, change, status, code, pointer):
    answer = agree(b, **change)
    assert (answer["status"], answer["code"], answer["pointer"]) == (status, code, pointer)
    assert b.query("select from bank.agreement") == []


def test_a_partner_without_debit_access_or_of_another_world_makes_none(b):
    b.query("insert into bank.account_access values (1, false, %s, %s, %s)", NOW, PARTNER, acc(2))
    assert agree(b, by=PARTNER, partner=SHOP)["code"] == "not_found"
    b.query("insert into bank.world values ('wld_2', 'other', 'sandbox', 'Asia/Shanghai', 0, %s)", NOW)
    b.query("update bank.app set world = 'wld_2' where partner = %s", PARTNER)
    assert agree(b)["code"] == "unknown_partner"
    b.query("update bank.account set state = 'closed', balance = 0 where id = %s", acc(6))
    assert agree(b, account=6)["code"] == "conflict"
    b.query("update bank.account set state = 'open', balance = 500 where id = %s", acc(6))


def test_who_sees_and_ends_an_agreement(b):
    third = "ptr_" + "c" * 26
    b.query("insert into bank.partner values (%s, 'third', 'active', %s)", third, NOW)
    b.query("insert into bank.app (id, partner, world, name, created_at) values (%s, %s, 'wld_1', 'App', %s)", "app_" + "c" * 26, third, NOW)
    mine, its = agreed(b), agreed(b, partner=third)

    def listed(partner):
        rows = b.query("select data from bank.list_agreements(1, %s, %s, null, null, 10, %s)", partner, acc(2), NOW)
        return [a["id"] for a in json.loads(rows[0]["data"])] if rows else None
    assert (listed(SHOP), listed(PARTNER), listed(third)) == ([its, mine], [mine], [its])
    assert b.query("select from bank.list_agreements(1, %s, %s, null, null, 10, %s)", PARTNER, acc(4), NOW) == []
    assert b.query("select bank.read_agreement(1, %s, %s, %s, %s)", third, acc(2), mine, NOW) == []
    assert b.query("select bank.read_agreement(1, %s, %s, %s, %s)", SHOP, acc(4), mine, NOW) == []       # of another account
    assert b.query("select bank.end_seen_agreement(1, %s, %s, %s, %s)", third, acc(2), mine, NOW) == []
    assert b.query("select bank.end_seen_agreement(1, %s, %s, %s, %s)", PARTNER, acc(2), mine, NOW) != []


def test_a_partner_that_leaves_takes_its_agreements_along(b):
    agreed(b)
    b.query("select directory.end_partner(%s, 'operator:test', %s)", SHOP, NOW)
    assert refund(b, b.paid, 10) == "refund_not_authorised"


def test_a_consent_of_the_payee_is_a_right_and_is_drawn_on(books):
    c = Consents(books)
    # PARTNER pays from the company's account 1 to the shop's 2, which it may not debit
    paid = c.call(c.given(payment(300, 2)), 300, 2)
    assert c.outcome(books.pay(paid)[0]) == "succeeded"
    books.query("update bank.party set id = id")        # the shop's owner is pty_2, whose user is STRANGER
    give = c.open(mandate(100, (("Day", "Calendar", 150),), creditor_accounts=[acc(1)]))
    books.query("update consent.consent set company = 'pty_2', subject = (select id from oauth.user_account where company = 'pty_2')"
                " where id = %s", give)
    assert c.decide(give, user="usr_" + "x".rjust(26, "0"), accounts=[2])["refusal"] is None

    def back(amount, **more):
        call = books.refund(paid["id"], amount) | {"consent": give, "request": "req"} | more
        return outcome(books.run("e_payment.refund", call)[0])
    assert back(101) == "consent_limit_exceeded"
    assert back(100) == "succeeded"
    assert (back(51), back(50)) == ("consent_limit_exceeded", "succeeded")
    row, = books.query("select distinct consent, agreement from e_payment.refund")
    assert row == {"consent": give, "agreement": None}
    receipts = [json.loads(r["j"]) for r in books.query("select consent.receipt_json(r) as j from consent.receipt r where consent = %s", give)]
    assert [r["amount"]["amount"] for r in receipts] == [100, 50] and all(r["refund"].startswith("rfd_") for r in receipts)
    elsewhere = c.call(c.given(payment(300, 4, reference="X"), accounts=(3,)), 300, 4, 3, reference="X")
    assert c.outcome(books.pay(elsewhere)[0]) == "succeeded"
    assert back(1, path={"payment_id": elsewhere["id"]}) == "not_found"      # money that came to another account


def test_a_refunds_reference_is_used_once_by_its_partner_and_leads_to_it(b):
    b.query("insert into bank.account_access values (1, true, %s, %s, %s)", NOW, PARTNER, acc(2))
    calls = [b.refund(b.paid, 10, "k1", reference="R"), b.refund(b.paid, 10, "k2", reference="R"), b.refund(b.paid, 10, "k3", reference="S")]
    first, twin, other = b.run("e_payment.refund", *calls)
    assert [outcome(a) for a in (first, twin, other)] == ["succeeded", "duplicate_reference", "succeeded"]
    made = json.loads(first["body"])
    assert made["reference"] == "R"
    again, = b.run("e_payment.refund", b.refund(b.paid, 5, "k4", reference="R"))
    assert (again["status"], again["code"], again["pointer"]) == (409, "duplicate_reference", "/reference")
    assert again["extra"] == {"payment": b.paid, "refund": made["id"]} and again["location"] == first["location"]
    b.pay(b.call(b.payment(1, 2, 1, "R")))         # a payment's reference is another


@pytest.mark.parametrize("cap", [50, 55])
def test_refunds_that_race_for_a_limit_never_exceed_it(b, cap):
    agreement = agreed(b, periodic_limit={"period_type": "Whole", "amount": money(cap)})
    paid = [b.call(b.payment(1, 2, 10)) for _ in range(8)]
    b.pay(*paid)

    def race(i, gate):
        db = b.connect()
        gate.wait()
        found = [refund(b, paid[i]["id"], 10, db=db)]
        db.close()
        return found
    found = [o for some in together(8, race) for o in some]
    assert (found.count("succeeded"), found.count("refund_not_authorised")) == (5, 3)
    assert b.query("select amount, uses_n from bank.agreement_use where agreement = %s", agreement) == [{"amount": 50, "uses_n": 5}]
    assert b.one("select sum(amount) from e_payment.refund where state = 'succeeded' and agreement = %s", agreement) == 50


def test_an_end_that_races_with_refunds_leaves_all_of_them_before_it(b):
    agreement = agreed(b)

    def race(i, gate):
        db = b.connect()
        gate.wait()
        found = [b.query("select bank.end_seen_agreement(1, %s, %s, %s, %s)", SHOP, acc(2), agreement, NOW, db=db) and "ended"] if i == 0 \
            else [refund(b, b.paid, 1, db=db) for _ in range(5)]
        db.close()
        return found
    found = [o for some in together(4, race) for o in some]
    assert set(found) <= {"ended", "succeeded", "refund_not_authorised"}
    assert refund(b, b.paid, 1) == "refund_not_authorised"


def test_an_end_is_not_before_the_last_use(b):
    agreement = agreed(b)
    assert refund(b, b.paid, 1, now="2026-11-23T09:00:00Z") == "succeeded"
    b.query("select bank.end_agreement(1, %s, 'bank test', %s)", agreement, NOW)       # asked for before, done after
    assert b.one("select tb.rfc3339(ended_at) from bank.agreement") == "2026-11-23T09:00:00.000Z"
