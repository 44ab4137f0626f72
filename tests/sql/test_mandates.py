"""Payments under consents: what a grant covers, how often, how much; exact in batches, in races, and against a model."""
import calendar
import datetime
import json
import random

import psycopg2
import pytest
from books import APP, FP, NOW, PARTNER, acc
from consents import LAN, OTHER_APP, WEI, Consents, at, mandate, money, payment, reading
from test_concurrency import SEEDS, together


@pytest.fixture
def c(books):
    return Consents(books)


# ---- one payment ----

def test_a_payment_consent_pays_exactly_what_was_granted_once(c):
    id = c.given(payment(300))
    call = c.call(id, key="k")
    answer, = c.books.pay(call)
    assert json.loads(answer["body"])["consent"] == id and c.outcome(answer) == "succeeded"
    assert c.books.balances(1, 2) == [700, 300] and c.status(id) == "COND" and c.read(id)["ended_by"] == "use"
    assert c.pay(id) == "consent_consumed"
    receipt, = c.receipts(id)
    assert (receipt["object"], receipt["outcome"], receipt["amount"], receipt["account"], receipt["request_id"]) == (
        call["id"], "succeeded", 300, acc(1), "req")


@pytest.mark.parametrize("change, code, pointer", [
    ({"debtor": 3}, "consent_mismatch", "/debtor_account"),
    ({"creditor": 4}, "consent_mismatch", "/creditor_account"),
    ({"amount": 299}, "consent_mismatch", "/amount/amount"),
    ({"amount": 301}, "consent_mismatch", "/amount/amount"),
    ({"reference": "INV-2"}, "consent_mismatch", "/reference"),
    ({"currency": "JPY"}, "consent_mismatch", "/amount/currency"),
    ({"app": OTHER_APP}, "consent_revoked", None),
    ({"partner": "ptr_" + "b" * 26}, "consent_revoked", None),
])
def test_anything_else_is_refused_and_leaves_the_consent_as_it_was(c, change, code, pointer):
    id = c.given(payment(300, reference="INV-1"))
    wanted = {"reference": "INV-1", **{k: v for k, v in change.items() if k != "currency"}}
    call = c.call(id, wanted.pop("amount", 300), **wanted)
    call["body"]["amount"]["currency"] = change.get("currency", "CNY")
    answer, = c.books.pay(call)
    assert (answer["status"], answer["code"], answer["pointer"]) == (403, code, pointer) and answer["detail"]
    assert c.books.query("select from e_payment.payment") == [] and c.receipts(id) == []
    assert c.pay(id, reference="INV-1") == "succeeded"


def test_what_the_partner_may_debit_by_itself_does_not_count_for_a_consent(c):
    c.books.query("insert into bank.account_access values (1, true, %s, %s, %s)", NOW, PARTNER, acc(3))
    id = c.given(payment(300))
    assert c.pay(id, debtor=3) == "consent_mismatch"
    plain = c.books.call(c.books.payment(1, 2, 300))
    assert c.books.pay(plain)[0]["code"] == "unknown_account"      # and the other way round


@pytest.mark.parametrize("detail", [reading(), None])
def test_a_consent_to_something_else_pays_nothing(c, detail):
    assert c.pay(c.given(detail)) == "consent_mismatch"


def test_a_declined_payment_does_not_consume(c):
    id = c.given(payment(300))
    c.books.query("update bank.account set limit_each = 299 where id = %s", acc(1))
    assert c.pay(id) == "single_limit_exceeded" and c.status(id) == "AUTH"
    c.books.query("update bank.account set limit_each = null where id = %s", acc(1))
    assert c.pay(id) == "succeeded" and c.status(id) == "COND"
    assert [r["outcome"] for r in c.receipts(id)] == ["failed", "succeeded"]


def test_a_payment_that_is_refused_for_another_reason_does_not_consume(c):
    used = c.call(c.given(payment(1)), 1, reference="R")
    c.books.pay(used)
    id = c.given(payment(300))
    assert c.pay(id, reference="R") == "duplicate_reference"
    assert c.status(id) == "AUTH" and c.receipts(id) == []
    assert c.books.query("select from consent.spent where amount <> 0 and consent = %s", id) == []


def test_a_replay_is_answered_though_the_consent_is_used_up_or_gone(c):
    id = c.given(payment(300))
    call = c.call(id, key="k")
    first, = c.books.pay(call)
    c.revoke(id)
    again, = c.books.pay(call)
    assert again["replayed"] and again["body"] == first["body"] and c.books.balances(2) == [300]
    assert len(c.receipts(id)) == 1


def test_a_refusal_by_the_consent_leaves_the_key_free(c):
    c.books.query("select consent.set_rule(1, 'pty_1', 'payment', 2)")
    id = c.given(payment(300))
    call = c.call(id, key="k")
    assert c.books.pay(call)[0]["code"] == "consent_pending"
    c.decide(id, LAN)
    assert c.outcome(c.books.pay(call)[0]) == "succeeded"


def test_a_consent_sees_its_own_payments_only(c):
    a, b = c.given(mandate()), c.given(mandate())
    mine = [c.call(a, n) for n in (1, 2, 3)]
    c.books.pay(*mine, c.call(b, 5))
    page = lambda after, before, n: c.books.query(
        "select * from e_payment.list_payments(1, %s, %s, null, null, null, null, null, %s, %s, %s)", PARTNER, a, after, before, n)
    ids = lambda rows: [p["id"] for p in json.loads(rows[0]["data"])]
    newest = [m["id"] for m in mine][::-1]
    assert ids(page(None, None, 10)) == newest
    assert ids(page(newest[0], None, 1)) == [newest[1]] and ids(page(None, newest[2], 1)) == [newest[1]]
    other = c.books.one("select id from e_payment.payment where consent = %s", b)
    assert page(other, None, 10) == []
    read = lambda consent, id: c.books.query("select e_payment.read_payment(1, %s, %s, null, %s)", PARTNER, consent, id)
    assert read(a, newest[0]) and read(None, other) and not read(a, other)


# ---- mandates ----

def test_a_mandate_holds_each_of_its_limits(c):
    id = c.given(mandate(100, [("Day", "Calendar", 250), ("Week", "Calendar", 300)], creditor_accounts=[acc(2)]))
    answer, = c.books.pay(c.call(id, 101))
    assert (answer["code"], answer["pointer"]) == ("consent_limit_exceeded", "/amount/amount")
    assert c.pay(id, 10, creditor=4) == "consent_mismatch"
    assert [c.pay(id, n) for n in (100, 100, 51, 50)] == ["succeeded", "succeeded", "consent_limit_exceeded", "succeeded"]
    answer, = c.books.pay(c.call(id, 1))
    assert answer["extra"] == {"remaining": money(0)} and "day" in answer["detail"]
    tomorrow = at(day=24)
    answer, = c.books.pay(c.call(id, 51, when=tomorrow))
    assert answer["extra"] == {"remaining": money(50)} and "week" in answer["detail"]
    assert c.pay(id, 50, when=tomorrow) == "succeeded"
    assert c.status(id) == "AUTH"


def test_a_mandate_without_creditors_pays_anybody_but_only_from_its_debtor(c):
    id = c.given(mandate())
    assert [c.pay(id, 1, creditor=n) for n in (2, 3, 4)] == ["succeeded"] * 3
    assert c.pay(id, 1, debtor=3, creditor=2) == "consent_mismatch"


@pytest.mark.parametrize("hours, inside, outside", [
    (("08:00", "16:00"), ("2026-11-23T07:59:59Z", "2026-11-23T00:00:00Z"), ("2026-11-23T08:00:00Z", "2026-11-24T23:59:59Z")),
    (("16:00", "24:00"), ("2026-11-23T08:00:00Z", "2026-11-23T15:59:59.999Z"), ("2026-11-23T07:59:59Z", "2026-11-23T16:00:00Z")),
    (("00:00", "24:00"), ("2026-11-23T15:59:59Z", "2026-11-23T16:00:00Z"), ()),
    (("22:00", "06:00"), ("2026-11-23T14:00:00Z", "2026-11-23T21:59:59Z"), ("2026-11-23T22:00:00Z", "2026-11-23T13:59:59Z")),
])
def test_allowed_hours_are_those_of_the_worlds_clocks(c, hours, inside, outside):
    id = c.given(mandate(valid_from="2026-11-22T00:00:00Z", allowed_hours={"from": hours[0], "to": hours[1]}))
    assert [c.pay(id, 1, when=t) for t in inside] == ["succeeded"] * 2
    assert [c.pay(id, 1, when=t) for t in outside] == ["consent_mismatch"] * len(outside)


def test_a_declined_payment_gives_the_mandate_its_amount_back(c):
    id = c.given(mandate(5000, [("Day", "Calendar", 5000)]))
    assert c.pay(id, 4000) == "insufficient_funds"
    assert c.pay(id, 1000) == "succeeded"
    assert c.read(id)["limits"][0]["spent"] == money(1000)


def test_what_came_to_nothing_in_a_batch_makes_room_for_what_came_after(c):
    """The first is declined, so the second fits; neither a payment consent nor a limit is lost to the first."""
    id = c.given(mandate(5000, [("Day", "Calendar", 5000)]))
    once = c.given(payment(300), (3,))
    calls = [c.call(id, 4500), c.call(id, 600), c.call(id, 399), c.call(once, 300, reference="R", debtor=3),
             c.books.call(c.books.payment(1, 2, 5))]
    c.books.pay(c.call(c.given(payment(1)), 1, reference="R"))       # the reference of the fourth is taken
    calls.insert(4, c.call(once, 300, debtor=3))
    outcomes = [c.outcome(a) for a in c.books.pay(*calls)]
    assert outcomes == ["insufficient_funds", "succeeded", "succeeded", "duplicate_reference", "succeeded", "unknown_account"]
    assert c.status(once) == "COND" and c.read(id)["limits"][0]["spent"] == money(999)


def test_calls_with_and_without_a_consent_share_a_batch(c):
    c.books.query("insert into bank.account_access values (1, true, %s, %s, %s)", NOW, PARTNER, acc(3))
    id = c.given(payment(300))
    plain = [c.books.call(c.books.payment(3, 2, n), f"k{n}") for n in (1, 2)]
    answers = c.books.pay(plain[0], c.call(id), plain[1], c.call(id))
    assert [c.outcome(a) for a in answers] == ["succeeded", "succeeded", "succeeded", "consent_consumed"]
    assert [a["n"] for a in answers] == [0, 1, 2, 3]


# ---- races ----

def test_64_draws_race_one_payment_consent_and_one_wins(c):
    id = c.given(payment(300))
    calls = [c.call(id, key=f"k{n}") for n in range(64)]

    def race(i, gate):
        db = c.books.connect()
        gate.wait()
        answer, = c.books.pay(calls[i], db=db)
        db.close()
        return c.outcome(answer)

    outcomes = together(64, race)
    assert sorted(set(outcomes)) == ["consent_consumed", "succeeded"] and outcomes.count("succeeded") == 1
    assert c.books.balances(2) == [300] and len(c.receipts(id)) == 1


def test_a_limit_is_exact_under_a_race_of_batches_over_several_consents(c):
    """Batches name the consents in any order: they are locked by id, so nobody waits in a circle."""
    ids = [c.given(mandate(100, [("Day", "Calendar", 130), ("Year", "Consent", 10000)])) for _ in range(4)]
    work = [[c.call(random.Random(n * 10 + k).choice(ids), 10, key=f"k{n}-{k}") for k in range(8)] for n in range(24)]

    def race(i, gate):
        db = c.books.connect()
        gate.wait()
        answers = c.books.pay(*work[i], db=db)
        db.close()
        return [(call["consent"], c.outcome(a)) for call, a in zip(work[i], answers)]

    outcomes = [o for batch in together(24, race) for o in batch]
    for id in ids:
        asked = [o for consent, o in outcomes if consent == id]
        assert len(asked) > 13 and asked.count("succeeded") == 13
        assert c.read(id)["limits"][0]["spent"] == money(130)
    assert c.books.balances(2) == [4 * 130]


def test_a_revocation_and_payments_race_and_nothing_is_paid_after_it(c):
    id = c.given(mandate(10, [("Day", "Calendar", 10000)]))
    calls = [c.call(id, 1, key=f"k{n}") for n in range(16)]

    def race(i, gate):
        db = c.books.connect()
        gate.wait()
        result = c.revoke(id, db=db) if i == 16 else c.outcome(c.books.pay(calls[i], db=db)[0])
        db.close()
        return result

    outcomes = together(17, race)[:16]
    assert set(outcomes) <= {"succeeded", "consent_revoked"} and c.status(id) == "CANC"
    assert c.read(id)["limits"][0]["spent"]["amount"] == outcomes.count("succeeded") == c.books.balances(2)[0]
    assert c.pay(id, 1) == "consent_revoked"


def test_a_revocation_waits_for_a_payment_that_is_under_way_and_a_payment_for_a_revocation(c):
    id = c.given(mandate())
    paying, ending = c.books.connect(), c.books.connect()
    paying.autocommit = ending.autocommit = False
    assert c.pay(id, 1, db=paying) == "succeeded"
    with pytest.raises(psycopg2.errors.LockNotAvailable):
        c.books.query("set lock_timeout = '200ms'", db=ending)
        c.revoke(id, db=ending)
    ending.rollback()
    paying.commit()
    c.revoke(id, db=ending)
    with pytest.raises(psycopg2.errors.LockNotAvailable):
        c.books.query("set lock_timeout = '200ms'", db=paying)
        c.pay(id, 1, db=paying)
    paying.rollback()
    ending.commit()
    assert c.pay(id, 1) == "consent_revoked"
    paying.close()
    ending.close()


def test_uses_of_a_day_are_counted_exactly_in_a_race(c):
    id = c.given(reading(frequency_per_day=5), (1,))

    def race(i, gate):
        db = c.books.connect()
        gate.wait()
        code = c.books.one("select consent.use(1, %s, null, %s, %s, 'GET /a', 'account_information', %s, 'r', %s)",
                           id, APP, f"rct_{i:026d}", acc(1), NOW, db=db)
        db.close()
        return code

    codes = together(32, race)
    assert codes.count(None) == 5 and set(codes) == {None, "consent_limit_exceeded"} and len(c.receipts(id)) == 5


def test_two_approvers_race_and_the_consent_is_in_force_once(c):
    c.books.query("select consent.set_rule(1, 'pty_1', 'payment', 2)")
    id = c.given(payment(300))

    def race(i, gate):
        db = c.books.connect()
        gate.wait()
        decision = c.decide(id, (LAN, "usr_" + "bo".rjust(26, "0"))[i], db=db)
        db.close()
        return decision["status"] or decision["refusal"]

    assert sorted(together(2, race)) == ["AUTH", "not_pending"]


# ---- against a model ----

def month_later(day, months):
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return datetime.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def period_of(period_type, alignment, origin, day):
    """The first day of the period that `day` lies in, found by walking from period to period."""
    days = {"Day": 1, "Week": 7, "Fortnight": 14}.get(period_type)
    months = {"Month": 1, "Half-year": 6, "Year": 12}.get(period_type)
    if alignment == "Calendar":
        origin = datetime.date(1970, 1, 5) if days else datetime.date(1970, 1, 1)
    nth = lambda n: origin + datetime.timedelta(days * n) if days else month_later(origin, months * n)
    n = 0
    while nth(n) > day:
        n -= 1
    while nth(n + 1) <= day:
        n += 1
    return nth(n)


KINDS = [(t, a) for t in ("Day", "Week", "Fortnight", "Month", "Half-year", "Year") for a in ("Consent", "Calendar")]


@pytest.mark.parametrize("period_type, alignment", KINDS)
def test_periods_are_those_of_the_model(c, period_type, alignment):
    chance = random.Random(period_type + alignment)
    origins = [datetime.date(2024, 1, 31), datetime.date(2024, 2, 29), datetime.date(2026, 11, 23)]
    for origin in origins:
        days = [origin + datetime.timedelta(chance.randrange(0, 900)) for _ in range(40)] + [origin]
        rows = c.books.query("select d, p.* from unnest(%s::date[]) d, consent.period(%s, %s, %s, d) p", days, period_type, alignment, origin)
        for row in rows:
            assert row["starts"] == period_of(period_type, alignment, origin, row["d"]), (origin, row)
            assert row["starts"] <= row["d"] < row["ends"]
            assert period_of(period_type, alignment, origin, row["ends"]) == row["ends"]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_draws_come_out_as_in_the_model(c, seed):
    """One call after another: the model says which is paid, declined or refused, and what is left."""
    chance = random.Random(seed)
    begun = datetime.datetime(2026, 11, 23, 8, 1, tzinfo=datetime.timezone.utc)
    zone = datetime.timezone(datetime.timedelta(hours=8))
    mandates = {}
    for debtor in (1, 3, 1):
        limits = [(*kind, chance.randrange(50, 400)) for kind in chance.sample(KINDS, 3)]
        most, creditors = chance.randrange(40, 120), chance.choice([None, [2], [2, 4]])
        id = c.given(mandate(most, limits, **({"creditor_accounts": [acc(n) for n in creditors]} if creditors else {})), (debtor,))
        mandates[id] = {"debtor": debtor, "most": most, "creditors": creditors, "limits": limits, "spent": {}}
    balance = {1: 1000, 3: 1000, 2: 0, 4: 0}
    origin = begun.astimezone(zone).date()
    clock = begun
    for turn in range(60):
        clock += datetime.timedelta(hours=chance.choice([0, 0, 1, 9, 40, 200, 900]))
        batch = []
        for _ in range(chance.randrange(1, 5)):
            id = chance.choice(list(mandates))
            m = mandates[id]
            debtor = m["debtor"] if chance.random() < 0.95 else 4 - m["debtor"]
            batch.append((id, chance.randrange(1, 130), chance.choice([2, 4]), debtor))
        expected = []
        for id, amount, creditor, debtor in batch:
            m = mandates[id]
            keys = [(t, a, period_of(t, a, origin, clock.astimezone(zone).date())) for t, a, _ in m["limits"]]
            if debtor != m["debtor"] or (m["creditors"] and creditor not in m["creditors"]):
                expected.append("consent_mismatch")
            elif amount > m["most"] or any(m["spent"].get(k, 0) + amount > limit[2] for k, limit in zip(keys, m["limits"])):
                expected.append("consent_limit_exceeded")
            elif balance[debtor] < amount:
                expected.append("insufficient_funds")
            else:
                expected.append("succeeded")
                balance[debtor] -= amount
                balance[creditor] += amount
                for k in keys:
                    m["spent"][k] = m["spent"].get(k, 0) + amount
        when = clock.isoformat()
        if "insufficient_funds" in expected:        # a decline may let a later call of the batch through; one by one it cannot
            outcomes = [c.pay(id, amount, creditor, debtor, when) for id, amount, creditor, debtor in batch]
        else:
            outcomes = [c.outcome(a) for a in c.books.pay(*[c.call(id, amount, creditor, debtor, when)
                                                            for id, amount, creditor, debtor in batch])]
        assert outcomes == expected, turn
        if balance[1] < 50 or balance[3] < 50:
            c.books.post(*[{"debit": 2, "credit": n, "amount": balance[2] // 2} for n in (1, 3) if balance[2] > 1])
            balance = {n: c.books.balances(n)[0] for n in balance}
    for id, m in mandates.items():
        stored = c.books.query("select a.period_type, a.alignment, s.period, s.amount from consent.spent s join consent.allowance a"
                               " using (book, consent, n) where s.consent = %s and s.amount > 0", id)
        assert {(r["period_type"], r["alignment"], r["period"]): r["amount"] for r in stored} == {
            k: v for k, v in m["spent"].items() if v}
