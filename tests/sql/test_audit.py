"""The audit sees every kind of damage: one corruption on purpose per invariant, constraints taken away first where they
would have stopped it, and exactly the invariants named that the damage breaks."""
import re

import pytest
from books import NOW, PARTNER, acc, id_suffix
from consents import Consents, mandate, payment, reading
from script_damage import DAMAGE as SCRIPT_DAMAGE

FREE = {
    "bank.account": "alter table bank.account drop constraint account_check, drop constraint account_check1,"
                    " drop constraint account_check2, drop constraint account_held_check",
    "bank.transfer": "alter table bank.transfer drop constraint transfer_amount_check, drop constraint transfer_check",
    "bank.hold": "alter table bank.hold drop constraint hold_check1, drop constraint hold_check2,"
                 " drop constraint hold_remaining_check",
    "e_payment.payment": "alter table e_payment.payment drop constraint payment_check, drop constraint payment_check1,"
                         " drop constraint payment_state_check",
}


@pytest.fixture
def b(books):
    """Two payments (one refunded in part), a declined one, a hold posted in part, an open one, and two sealed blocks."""
    books.open((1, 1000, {}), (2, 0, {}), (3, 0, {"ceiling": 5000}), (4, 0, {}))
    books.open((5, 0, {"currency": "JPY"}))
    books.query("select bank.seal(1, %s)", NOW)
    calls = [books.call(books.payment(1, 2, 100, "R1"), "k1"), books.call(books.payment(1, 3, 50, "R2"), "k2"),
             books.call(books.payment(2, 1, 9999, "R3"), "k3")]
    books.pay(*calls)
    books.p1, books.p2, books.p3 = (c["id"] for c in calls)
    books.r1 = books.refund(books.p1, 30, "k4")
    books.run("e_payment.refund", books.r1)
    books.post({"verb": "hold", "id": "h1", "debit": 1, "credit": 2, "amount": 40},
               {"verb": "hold", "id": "h2", "debit": 1, "credit": 2, "amount": 60},
               {"verb": "post", "hold": "h1", "amount": 10})
    for _ in range(2):
        books.query("select bank.seal(1, %s)", NOW)
    assert books.violations() == []
    assert books.one("select count(*) from bank.seal") == 2
    return books


@pytest.fixture
def consented(books):
    """A mandate drawn on twice, a payment consent used up, one that lets read, one that was revoked."""
    c = books.consents = Consents(books)
    books.mandate, books.once, books.reading, books.revoked = (
        c.given(mandate()), c.given(payment()), c.given(reading()), c.given(reading()))
    assert [c.pay(books.mandate, n) for n in (60, 40)] + [c.pay(books.once)] == ["succeeded"] * 3
    c.use(books.reading, 1)
    c.grant(books.revoked)
    c.revoke(books.revoked)
    assert books.violations() == []
    return books


@pytest.fixture
def agreed(books):
    """A refund under an agreement of the payee's owner, one by the partner's own access, and one under a mandate of the owner."""
    c = books.consents = Consents(books)
    books.query("insert into bank.account_access values (1, true, %s, %s, %s), (1, true, %s, %s, %s)", NOW, PARTNER, acc(1), NOW, PARTNER, acc(4))
    calls = [books.call(books.payment(1, n, 100)) for n in (2, 4, 3)]
    books.pay(*calls)
    books.agreement = "agr_" + id_suffix(1)
    books.query("insert into bank.agreement values (60, 90, %s, 'infinity', null, 1, 365, %s, %s, 'refund', %s, 'Whole', null,"
                " 'bank test', null)", NOW, books.agreement, acc(2), PARTNER)
    books.given = c.given(mandate(), accounts=(3,))
    refunds = [books.refund(p["id"], 40) for p in calls]
    refunds[2]["consent"] = books.given
    answers = books.run("e_payment.refund", *refunds)
    assert [a["status"] for a in answers] == [201] * 3
    books.by_agreement, books.by_access, books.by_consent = ("rfd_" + r["id"][4:] for r in refunds)
    assert books.violations() == []
    return books


def t(payment):
    return "xfr_" + payment[4:]


CASES = {
    # entries and accounts
    "an amount changed": ("update bank.transfer set amount = amount + 1 where id = '{t1}'",
        {"entry_balances", "account_balance", "seal_digest", "payment_transfer"}),
    "a running balance changed": ("update bank.transfer set debit_balance = debit_balance - 1 where id = '{t2}'",
        {"entry_balances", "seal_digest"}),
    "a transfer removed": ("delete from bank.transfer where id = '{t2}'",
        {"entry_versions", "account_balance", "seal_digest", "payment_transfer"}),
    "a transfer's time changed": ("update bank.transfer set at = at + interval '1 us' where id = '{t2}'", {"seal_digest"}),
    "a transfer's other side changed": ("update bank.transfer set credit = '{a4}' where id = '{t2}'",
        {"account_balance", "seal_digest", "payment_transfer"}),
    "a transfer to an account that is not": ("update bank.transfer set credit = 'acc_nowhere' where id = '{t2}'",
        {"transfer_accounts", "account_balance", "seal_digest", "payment_transfer"}),
    "a transfer between currencies": ("update bank.account set currency = 'JPY' where id = '{a3}'",
        {"transfer_currency", "currency_sum"}),
    "a negative amount": ("update bank.transfer set amount = -amount where id = '{t2}'",
        {"transfer_amount", "entry_balances", "account_balance", "seal_digest", "payment_transfer"}),
    "a balance changed": ("update bank.account set balance = balance + 1 where id = '{a2}'", {"account_balance", "currency_sum"}),
    "a version changed": ("update bank.account set version = version + 1 where id = '{a2}'", {"account_balance"}),
    "money moved without a transfer": ("update bank.account set balance = balance + case id when '{a1}' then -5 else 5 end"
        " where id in ('{a1}', '{a2}')", {"account_balance"}),
    "a floor above the balance": ("update bank.account set floor = 5000 where id = '{a1}'", {"account_bounds"}),
    "a ceiling below the balance": ("update bank.account set ceiling = 1 where id = '{a3}'", {"account_bounds"}),
    "an account closed with money": ("update bank.account set state = 'closed' where id = '{a1}'", {"account_closed"}),
    # holds
    "held that no hold explains": ("update bank.account set held = held + 1 where id = '{a1}'", {"account_held"}),
    "incoming that no hold explains": ("update bank.account set incoming = 0 where id = '{a2}'", {"account_held"}),
    "a hold released twice": ("update bank.hold set state = 'voided', remaining = 0 where id = 'h2'", {"account_held"}),
    "a hold that holds more than it took": ("update bank.hold set remaining = 61 where id = 'h2'", {"hold_amounts", "account_held"}),
    "a hold open with nothing left": ("update bank.hold set remaining = 0 where id = 'h2'", {"hold_amounts", "account_held"}),
    "a hold posted without a transfer": ("update bank.hold set posted = 9 where id = 'h1'", {"hold_posted"}),
    "a transfer from a hold that is not": ("update bank.transfer set hold = 'h9' where hold = 'h1'",
        {"hold_transfers", "hold_posted", "seal_digest"}),
    # seals
    "a transfer slipped into a sealed block": ("insert into bank.transfer select 1, debit_balance, 90, credit_balance, 90, at,"
        " book, block, 'xfr_new', debit, credit, currency, 'test', null from bank.transfer where id = '{t2}'",
        {"entry_versions", "account_balance", "seal_digest"}),
    "a seal made to fit": ("update bank.seal set digest = sha256('x') where block = 1", {"seal_digest", "seal_chain"}),
    "a seal removed": ("delete from bank.seal where block = 1", {"seal_chain", "seal_missing"}),
    "a transfer in a block to come": ("update bank.transfer set block = 99 where id = '{t2}'", {"seal_digest", "seal_missing"}),
    # payments and refunds
    "a payment that did not succeed": ("update e_payment.payment set state = 'failed', failure = 'x' where id = '{p2}'",
        {"payment_transfer", "object_event"}),
    "a payment that did not fail": ("update e_payment.payment set state = 'succeeded', failure = null where id = '{p3}'",
        {"payment_transfer", "object_event"}),
    "a payment of another amount": ("update e_payment.payment set amount = 51 where id = '{p2}'", {"payment_transfer"}),
    "a payment removed": ("delete from e_payment.payment where id = '{p2}'",
        {"transfer_owner", "event_object", "answer_object"}),
    "a payment refunded more than it was": ("update e_payment.payment set refunded = amount + 1 where id = '{p2}'", {"payment_refunded"}),
    "a refund that its payment does not know": ("update e_payment.payment set refunded = 0 where id = '{p1}'", {"payment_refunded"}),
    "a refund that did not succeed": ("update e_payment.refund set state = 'failed', failure = 'x'",
        {"refund_transfer", "payment_refunded", "object_event"}),
    "a refund of a payment that is not": ("update e_payment.refund set payment = 'pay_x'",
        {"refund_payment", "refund_transfer", "payment_refunded"}),
    "a refund removed": ("delete from e_payment.refund",
        {"transfer_owner", "payment_refunded", "event_object", "answer_object"}),
    "a state that is none": ("update e_payment.payment set state = 'odd' where id = '{p3}'", {"object_state"}),
    # events and answers
    "an event missing": ("delete from event.outbox where object = '{p2}'", {"object_event"}),
    "an event of another kind": ("update event.outbox set type = 'payment.failed' where object = '{p2}'", {"object_event"}),
    "an event told to another partner": ("update event.outbox set partner = 'ptr_x' where object = '{p2}'", {"object_event"}),
    "an answer that tells of no payment": ("update tb.idempotency_key set body = replace(body, '{p2}', 'pay_x') where key = 'k2'",
        {"answer_object"}),
}


CONSENT_CASES = {
    "less spent than was paid": ("update consent.spent set amount = 99 where consent = '{mandate}'", {"consent_spent"}),
    "more spent than allowed": ("update consent.allowance set amount = 99 where consent = '{mandate}'", {"consent_overdrawn"}),
    "a consent that can be used again": ("update consent.consent set status = 'AUTH' where id = '{once}'", {"consent_consumed"}),
    "an account open after the end": ("insert into bank.consent_access values (1, true, true, true, '{revoked}', '{a1}')",
        {"consent_access"}),
    "an account that should be open": ("delete from bank.consent_access where consent = '{reading}'", {"consent_access"}),
    "a grant that lives on": ("update oauth.grants set ended_at = null", {"consent_grants"}),
    "an app that went to another world": ("alter table bank.app drop constraint app_id_world_key cascade;"
        " insert into bank.world values ('wld_2', 'other', 'sandbox', 'Asia/Shanghai', 0, now()); update bank.app set world = 'wld_2'",
        {"consent_world"}),
    "a user that is gone": ("alter table oauth.user_account drop constraint user_account_id_book_key cascade;"
        " delete from oauth.user_account", {"consent_world"}),
    "a receipt removed": ("delete from consent.receipt where consent = '{mandate}' and amount = 40",
        {"consent_spent", "payment_consent"}),
    "a payment moved to another consent": ("update e_payment.payment set consent = '{once}' where consent = '{mandate}'",
        {"payment_consent"}),
}


@pytest.mark.corrupts
@pytest.mark.parametrize("case", CONSENT_CASES)
def test_sees_of_consents(consented, case):
    damage, invariants = CONSENT_CASES[case]
    consented.query(damage.format(mandate=consented.mandate, once=consented.once, reading=consented.reading,
                                  revoked=consented.revoked, a1=acc(1)))
    assert set(consented.violations()) == invariants


AGREEMENT_CASES = {
    "counted less than was taken": ("update bank.agreement_use set amount = 39", {"agreement_used"}),
    "counted a use too many": ("update bank.agreement_use set uses_n = 2", {"agreement_used"}),
    "a count removed": ("delete from bank.agreement_use", {"agreement_used"}),
    "more taken than agreed each": ("update bank.agreement set max_each = 39", {"agreement_limits"}),
    "more taken than agreed in all": ("update bank.agreement set max_period = 39", {"agreement_limits"}),
    "an agreement with another partner": ("update bank.agreement set partner = 'ptr_bbbbbbbbbbbbbbbbbbbbbbbbbb'", {"refund_right"}),
    "an agreement about another account": ("update bank.agreement set account = '{a4}'", {"refund_right"}),
    "an agreement about an account that is not": ("update bank.agreement set account = 'acc_x'", {"refund_right", "agreement_owner"}),
    "an agreement that had run out": ("update bank.agreement set valid_to = created_at", {"refund_right"}),
    "an agreement that had ended": ("update bank.agreement set ended_at = created_at - interval '1 s', ended_by = 'bank x'", {"refund_right"}),
    "a payment too old for the agreement": ("update e_payment.payment set created_at = created_at - interval '1 year'"
        " where creditor_account = '{a2}'", {"refund_right"}),
    "a refund that names no right": ("update e_payment.refund set agreement = null where id = '{by_agreement}'",
        {"refund_right", "agreement_used"}),
    "access that never was": ("delete from bank.account_access where account = '{a4}'", {"refund_right"}),
    "a refund moved to another consent": ("update e_payment.refund set consent = 'cns_x' where id = '{by_consent}'", {"refund_consent"}),
    "a refund without the consent it drew on": ("update e_payment.refund set consent = null where id = '{by_consent}'",
        {"refund_consent", "refund_right"}),
}


@pytest.mark.corrupts
@pytest.mark.parametrize("case", AGREEMENT_CASES)
def test_sees_of_agreements(agreed, case):
    damage, invariants = AGREEMENT_CASES[case]
    agreed.query("alter table bank.agreement drop constraint agreement_book_account_fkey")
    agreed.query(damage.format(by_agreement=agreed.by_agreement, by_consent=agreed.by_consent, **{f"a{n}": acc(n) for n in range(1, 6)}))
    assert set(agreed.violations()) == invariants


@pytest.mark.corrupts
@pytest.mark.parametrize("case", CASES)
def test_sees(b, case):
    damage, invariants = CASES[case]
    for free in FREE.values():
        b.query(free)
    b.query(damage.format(t1=t(b.p1), t2=t(b.p2), p1=b.p1, p2=b.p2, p3=b.p3, **{f"a{n}": acc(n) for n in range(1, 6)}))
    assert set(b.violations()) == invariants


def test_every_invariant_has_a_case_that_breaks_it(b):
    sources = b.query("select pg_get_function_sqlbody(p.oid) as body from pg_proc p"
                      " where p.prorettype = 'bank.violation'::regtype and p.pronargs = 1")
    names = {n for s in sources for n in re.findall(r"'([a-z]+_[a-z]+)'::text", s["body"])}
    seen = {i for _, broken in (CASES | CONSENT_CASES | AGREEMENT_CASES).values() for i in broken} | {i for _, i in SCRIPT_DAMAGE}
    assert seen == names


# ---- events that were kept long enough ----

def test_events_are_forgotten_oldest_first_and_the_audit_misses_none_of_them(b):
    assert b.one("select count(*) from event.outbox") == 4
    assert b.one("select event.forget(1, %s, 100)", NOW) == 0, "none is older"
    assert [b.one("select event.forget(1, %s::timestamptz + interval '1 ms', %s)", NOW, n) for n in (1, 100, 100)] == [1, 3, 0]
    assert b.violations() == []
    assert b.one("select upto = %s from event.forgotten where book = 1", NOW)


@pytest.mark.corrupts
def test_an_event_that_was_to_be_kept_is_missed(b):
    b.query("insert into event.forgotten values (%s::timestamptz - interval '1 ms', 1)", NOW)
    b.query("delete from event.outbox where object = %s", b.p2)
    assert b.violations() == ["object_event"]
