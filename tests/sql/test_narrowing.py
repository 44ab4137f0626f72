"""Tokens that say less than their consent (RFC 9396 §6): every member of every type is held at every use, and what is used counts
against the whole consent. A token's details are what its claim has: an array of one."""
import json

import pytest
from books import NOW, PARTNER, acc
from consents import Consents, at, mandate, money, payment, reading


@pytest.fixture
def c(books):
    return Consents(books)


def limits(*rows):
    return [{"period_type": t, "period_alignment": a, "amount": money(n)} for t, a, n in rows]


def less(c, id, **members):
    """The details of a token of the consent that was narrowed to these members."""
    return [{**c.read(id)["details"], **members}]


def spent(c, id):
    return [(limit["period_type"], limit["spent"]["amount"]) for limit in c.read(id)["limits"]]


# ---- one use by a narrowed token ----

HOURS = {"from": "09:00", "to": "15:59"}   # it is 16:00 in Shanghai


@pytest.mark.parametrize("detail, members, call, code", [
    (mandate(500), {"maximum_individual_amount": money(99)}, {}, "consent_limit_exceeded"),
    (mandate(500), {"creditor_accounts": [acc(4)]}, {}, "consent_mismatch"),
    (mandate(500, creditor_accounts=[acc(2), acc(4)]), {"creditor_accounts": [acc(4)]}, {}, "consent_mismatch"),
    (mandate(500), {"periodic_limits": limits(("Day", "Calendar", 99))}, {}, "consent_limit_exceeded"),
    (mandate(500), {"periodic_limits": limits(("Day", "Calendar", 250), ("Week", "Consent", 99))}, {}, "consent_limit_exceeded"),
    (mandate(500), {"allowed_hours": HOURS}, {}, "consent_mismatch"),
    (mandate(500, allowed_hours={"from": "09:00", "to": "17:00"}), {"allowed_hours": HOURS}, {}, "consent_mismatch"),
    (mandate(500), {"valid_from": at(1)}, {}, "consent_pending"),
    (mandate(500), {"valid_to": at(1)}, {"when": at(1)}, "consent_expired"),
    (mandate(500, valid_to=at(100)), {"valid_to": at(1)}, {"when": at(1)}, "consent_expired"),
    (payment(100), {"reference": "INV-1"}, {"reference": "INV-2"}, "consent_mismatch"),
])
def test_each_member_is_held_when_it_pays(c, detail, members, call, code):
    id = c.given(detail)
    assert c.pay(id, 100, details=less(c, id, **members), **call) == code
    assert c.receipts(id) == [] and c.books.query("select from consent.spent where amount > 0") == []
    assert c.pay(id, 100, **{"details": less(c, id), **call}) == "succeeded"


@pytest.mark.parametrize("members", [
    {"maximum_individual_amount": money(100)}, {"creditor_accounts": [acc(2)]}, {"reference": "INV-1"}, {"valid_from": NOW},
    {"periodic_limits": limits(("Day", "Calendar", 100), ("Month", "Consent", 100))}, {"valid_to": at(1)},
    {"allowed_hours": {"from": "16:00", "to": "16:01"}},
])
def test_what_it_still_says_it_does(c, members):
    id = c.given(payment(100) if "reference" in members else mandate(500))
    assert c.pay(id, 100, details=less(c, id, **members), reference=members.get("reference")) == "succeeded"


@pytest.mark.parametrize("types, members, when, code", [
    ("account_information", {"accounts": [acc(3)]}, NOW, "not_found"),
    ("account_information", {"valid_to": at(1)}, at(1), "consent_expired"),
    ("account_information", {"accounts": [acc(1)]}, NOW, None),
    ("mandate", {"valid_from": at(1)}, NOW, "consent_pending"),
    ("mandate", {"maximum_individual_amount": money(1)}, NOW, None),
])
def test_each_member_is_held_when_it_reads(c, types, members, when, code):
    id = c.given(mandate(500) if types == "mandate" else reading(accounts=[acc(1), acc(3)]), (1,) if types == "mandate" else (1, 3))
    account = 1 if types == "account_information" else None
    assert c.use(id, account, when, types, details=json.dumps(less(c, id, **members))) == code
    assert c.use(id, account, when, types, details=json.dumps(less(c, id))) is None


# ---- what a read shows ----

def test_a_narrowed_token_opens_its_own_accounts_and_permissions(c):
    id = c.given(reading(), accounts=(1, 3))
    opened = lambda details: {(r["account"], r["can_read_details"], r["can_read_balances"], r["can_read_entries"]) for r in c.books.query(
        "select * from bank.opened(1, %s, %s)", id, details and json.dumps(details))}
    assert opened(None) == opened(less(c, id)) == {(acc(1), True, True, True), (acc(3), True, True, True)}
    assert opened(less(c, id, accounts=[acc(3)])) == {(acc(3), True, True, True)}
    assert opened(less(c, id, permissions=["balances"])) == {(acc(n), False, True, False) for n in (1, 3)}
    narrow = less(c, id, permissions=["entries"], accounts=[acc(1)])
    assert opened(narrow) == {(acc(1), False, False, True)}
    c.change(id, (3,))
    assert opened(narrow) == set(), "the customer took the account away"
    read = lambda details, n: c.books.query("select bank.read_account(1, %s, %s, %s, %s)", PARTNER, id, json.dumps(details), acc(n))
    assert read(less(c, id), 3) and not read(less(c, id, accounts=[acc(1)]), 3)


def test_accounts_that_were_added_later_are_opened_by_later_tokens(c):
    id = c.given(reading(), accounts=(1,))
    token = json.dumps(less(c, id))
    c.change(id, (1, 3))
    assert c.use(id, 3, details=token) == "not_found"
    assert c.use(id, 3, details=json.dumps(less(c, id))) is None


@pytest.mark.parametrize("members, seen", [
    ({}, "abc"), ({"maximum_individual_amount": money(50)}, "a"), ({"creditor_accounts": [acc(4)]}, "c"),
    ({"creditor_accounts": [acc(2)], "maximum_individual_amount": money(60)}, "ab"),
])
def test_it_reads_the_payments_it_could_have_made(c, members, seen):
    id = c.given(mandate(100))
    calls = {"a": c.call(id, 50), "b": c.call(id, 60), "c": c.call(id, 70, creditor=4)}
    c.books.pay(*calls.values())
    details = json.dumps(less(c, id, **members))
    listed = c.books.query("select data from e_payment.list_payments(1, %s, %s, %s, null, null, null, null, null, null, 10)",
                           PARTNER, id, details)[0]["data"]
    names = {call["id"]: name for name, call in calls.items()}
    assert [names[p["id"]] for p in json.loads(listed)] == sorted(seen, reverse=True)
    for name, call in calls.items():
        found = c.books.query("select e_payment.read_payment(1, %s, %s, %s, %s)", PARTNER, id, details, call["id"])
        assert bool(found) == (name in seen)


def test_introspection_says_what_the_token_may_do_now(c):
    in_force = lambda id, details, when=NOW: [r["d"] for r in c.books.query(
        "select * from consent.in_force(1, %s, %s, %s) d", id, json.dumps(details), when)]
    id = c.given(reading(valid_to=at(100)), accounts=(1, 3))
    narrow = less(c, id, accounts=[acc(1)], valid_to=at(10))
    assert in_force(id, less(c, id)) == [less(c, id)] and in_force(id, narrow, at(9)) == [narrow]
    assert in_force(id, narrow, at(10)) == [] and in_force(id, less(c, id), at(100)) == []
    before = less(c, id)
    c.change(id, (3,))
    assert in_force(id, before) == [less(c, id)] and in_force(id, narrow) == [[{**narrow[0], "accounts": []}]]
    c.revoke(id)
    assert in_force(id, before) == []
    used = c.given(payment(300))
    c.pay(used)
    assert in_force(used, less(c, used)) == [less(c, used)], "what it paid for can be read"


# ---- what counts ----

def test_uses_of_the_whole_are_held_against_a_narrower_limit(c):
    id = c.given(mandate(500, (("Day", "Calendar", 500),)))
    token = less(c, id, periodic_limits=limits(("Day", "Calendar", 200)))
    assert c.pay(id, 150) == "succeeded"
    answer, = c.books.pay(c.call(id, 51, details=token))
    assert (answer["code"], answer["extra"]) == ("consent_limit_exceeded", {"remaining": money(50)})
    assert c.pay(id, 50, details=token) == "succeeded" and spent(c, id) == [("Day", 200)]
    assert c.pay(id, 100) == "succeeded"
    answer, = c.books.pay(c.call(id, 1, details=token))
    assert answer["extra"] == {"remaining": money(0)}, "more was spent than the token may"


def test_the_limit_of_the_consent_holds_for_a_narrowed_token(c):
    id = c.given(mandate(500, (("Day", "Calendar", 250),)))
    token = less(c, id, maximum_individual_amount=money(100))
    assert [c.pay(id, 100, details=token) for _ in range(3)] == ["succeeded", "succeeded", "consent_limit_exceeded"]


def test_a_limit_of_a_kind_that_the_consent_has_not_counts_from_the_first_payment_on(c):
    id = c.given(mandate(500, (("Year", "Calendar", 1000),)), wall=at(day=20))
    for day in (20, 22, 23):
        assert c.pay(id, 100, when=at(day=day)) == "succeeded"
    week = less(c, id, periodic_limits=limits(("Year", "Calendar", 1000), ("Week", "Calendar", 250), ("Day", "Consent", 400)))
    assert c.pay(id, 151, details=week) == "consent_limit_exceeded"     # 23 November is a Monday
    assert c.pay(id, 149, details=week) == "succeeded"
    assert c.pay(id, 1) == "succeeded"
    assert c.pay(id, 1, details=week) == "consent_limit_exceeded"
    assert c.pay(id, 100) == "succeeded", "it limits the token, not the consent"
    rows = c.books.query("select a.n, sum(s.amount) as total from consent.allowance a join consent.spent s using (book, consent, n)"
                         " group by a.n order by a.n")
    assert [(r["n"], r["total"]) for r in rows] == [(1, 550), (2, 550), (3, 550)]
    assert spent(c, id) == [("Year", 550)], "what is counted for tokens is no limit of the consent"


def test_whole_and_narrowed_tokens_in_one_batch_count_one_after_another(c):
    id = c.given(mandate(500, (("Year", "Calendar", 1000),)))
    token = less(c, id, periodic_limits=limits(("Year", "Calendar", 1000), ("Day", "Calendar", 100)))
    calls = [c.call(id, 60), c.call(id, 41, details=token), c.call(id, 40, details=token), c.call(id, 1, details=token), c.call(id, 1)]
    answers = c.books.pay(*calls)
    assert [c.outcome(a) for a in answers] == ["succeeded", "consent_limit_exceeded", "succeeded", "consent_limit_exceeded", "succeeded"]


def test_what_is_declined_is_given_back_to_every_count(c):
    id = c.given(mandate(500, (("Year", "Calendar", 1000),)))
    token = less(c, id, periodic_limits=limits(("Year", "Calendar", 1000), ("Day", "Calendar", 100)))
    c.books.query("update bank.account set limit_each = 50 where id = %s", acc(1))
    assert c.pay(id, 100, details=token) == "single_limit_exceeded"
    assert [c.pay(id, 50, details=token) for _ in range(3)] == ["succeeded", "succeeded", "consent_limit_exceeded"]


@pytest.mark.parametrize("consents, tokens", [({"frequency_per_day": 5}, 2), ({}, 2)], ids=["less often", "only the token"])
def test_a_frequency_of_a_token_counts_the_uses_of_the_whole(c, consents, tokens):
    id = c.given(reading(**consents), accounts=(1, 3))
    token = json.dumps(less(c, id, frequency_per_day=tokens))
    assert c.use(id, 1) is None
    assert [c.use(id, 1, details=token) for _ in range(2)] == [None, "consent_limit_exceeded"]
    assert c.use(id, 1) is None and c.use(id, 3, details=token) is None
    assert [c.use(id, 1, when=at(8 * 3600), details=token) for _ in range(3)] == [None, None, "consent_limit_exceeded"]     # tomorrow
