"""Reads: accounts, entries, payments and refunds, their pages and who may see them."""
import json

import pytest
from books import NOW, PARTNER, acc

OTHER = "ptr_" + "b" * 26


def page(b, function, *args):
    rows = b.query(f"select * from {function}({', '.join(['%s'] * len(args))})", *args)
    return {**rows[0], "data": json.loads(rows[0]["data"])} if rows else None


def walk(b, function, place, *args, rows=2):
    """All pages forward, then back from the last: both must give the same objects."""
    pages, after = [], None
    while True:
        p = page(b, function, *args, after, None, rows)
        pages.append([place(o) for o in p["data"]])
        if not p["has_more"]:
            break
        after = p["last"]
    back, before = [], p["first"]
    while before is not None:
        q = page(b, function, *args, None, before, rows)
        back.insert(0, [place(o) for o in q["data"]])
        before = q["first"] if q["has_more"] else None
    flat = [o for p in pages for o in p]
    assert [o for p in back for o in p] == flat[:len(flat) - len(pages[-1])]
    return flat


@pytest.fixture
def b(books):
    books.open(*[(n, 1000, {}) for n in range(1, 6)])
    books.open((6, 0, {}), partner=None)
    books.query("insert into bank.partner values (%s, 'other', 'active', %s)", OTHER, NOW)
    return books


def test_an_account_shows_its_balances(b):
    b.post({"verb": "hold", "id": "h1", "debit": 1, "credit": 2, "amount": 300})
    body = json.loads(b.one("select * from bank.read_account(1, %s, null, null, %s)", PARTNER, acc(1)))
    money = lambda n: {"amount": n, "currency": "CNY"}
    assert body == {"id": acc(1), "object": "account", "currency": "CNY", "state": "open", "name": "Account 1",
                    "balances": {"ledger": money(1000), "available": money(700), "held": money(300)}, "opened_at": NOW}


def test_available_is_what_lies_above_the_floor(b):
    b.open((7, 100, {"floor": -50}), (8, 100, {"floor": 30}), (9, 0, {"floor": None}))
    available = lambda n: json.loads(b.one("select * from bank.read_account(1, %s, null, null, %s)", PARTNER, acc(n)))["balances"]["available"]["amount"]
    assert [available(n) for n in (7, 8, 9)] == [150, 70, 0]


def test_accounts_come_newest_first_and_only_the_partners_own(b):
    assert walk(b, "bank.list_accounts", lambda o: o["id"], 1, PARTNER, None, None) == [acc(n) for n in (5, 4, 3, 2, 1)]
    assert page(b, "bank.list_accounts", 1, OTHER, None, None, None, None, 10) == {"data": [], "has_more": False, "first": None, "last": None}
    assert b.query("select * from bank.read_account(1, %s, null, null, %s)", PARTNER, acc(6)) == []


def test_entries_come_newest_first_from_both_sides(b):
    b.post(*[{"debit": 1 + n % 2, "credit": 2 - n % 2, "amount": n + 1} for n in range(6)])
    amounts = walk(b, "bank.list_entries", lambda o: o["amount"]["amount"], 1, PARTNER, None, None, acc(1))
    assert amounts == [6, -5, 4, -3, 2, -1, 1000]
    entry = page(b, "bank.list_entries", 1, PARTNER, None, None, acc(1), None, None, 1)["data"][0]
    assert (entry["sequence"], entry["balance"]["amount"], entry["counterparty"], entry["kind"]) == (7, 1003, acc(2), "test")
    assert page(b, "bank.list_entries", 1, OTHER, None, None, acc(1), None, None, 1) is None


def payments(b, n):
    calls = [b.call(b.payment(1 + i % 2, 3, 1 if i % 3 else 9999, f"R{i}"), now=f"2026-11-23T08:00:0{i // 2}.000Z") for i in range(n)]
    b.pay(*calls)
    return [c["id"] for c in calls]


def test_payments_come_newest_first_ties_by_id(b):
    ids = payments(b, 7)
    list_all = ("e_payment.list_payments", lambda o: o["id"], 1, PARTNER, None, None, None, None, None, None)
    assert walk(b, *list_all) == ids[::-1]
    assert walk(b, *list_all, rows=3) == ids[::-1]
    assert page(b, "e_payment.list_payments", 1, OTHER, None, None, None, None, None, None, None, None, 10)["data"] == []


def test_payments_are_filtered_by_state_reference_and_time(b):
    ids = payments(b, 8)
    found = lambda *filters: walk(b, "e_payment.list_payments", lambda o: o["id"], 1, PARTNER, None, None, *filters)
    assert found("failed", None, None, None) == [ids[n] for n in (6, 3, 0)]
    assert found(None, "R4", None, None) == [ids[4]]
    assert found(None, None, "2026-11-23T08:00:01Z", "2026-11-23T08:00:03Z") == [ids[n] for n in (5, 4, 3, 2)]


def test_the_bounds_hold_beside_a_cursor(b):
    ids = payments(b, 8)
    some = lambda after, before: [o["id"] for o in page(
        b, "e_payment.list_payments", 1, PARTNER, None, None, None, None, "2026-11-23T08:00:01Z", "2026-11-23T08:00:03Z", after, before, 10)["data"]]
    assert some(ids[7], None) == [ids[n] for n in (5, 4, 3, 2)]
    assert some(None, ids[0]) == [ids[n] for n in (5, 4, 3, 2)]
    assert some(ids[4], None) == [ids[3], ids[2]]


def test_a_cursor_to_nowhere_is_no_page(b):
    payments(b, 2)
    assert page(b, "e_payment.list_payments", 1, PARTNER, None, None, None, None, None, None, "pay_x", None, 10) is None
    assert page(b, "e_payment.list_payments", 1, PARTNER, None, None, None, None, None, None, None, "pay_x", 10) is None


def test_refunds_of_a_payment(b):
    call = b.call(b.payment(1, 3, 100))
    b.pay(call)
    b.run("e_payment.refund", *[b.refund(call["id"], n) for n in (1, 2, 3, 4, 5)])
    amounts = walk(b, "e_payment.list_refunds", lambda o: o["amount"]["amount"], 1, PARTNER, None, None, call["id"])
    assert amounts == [5, 4, 3, 2, 1]
    assert page(b, "e_payment.list_refunds", 1, OTHER, None, None, call["id"], None, None, 5) is None
    assert page(b, "e_payment.list_refunds", 1, PARTNER, None, None, call["id"], "rfd_x", None, 5) is None


def test_entries_say_what_moved_the_money(b):
    paid = b.call(b.payment(1, 3, 100, 'INV "9"', purpose="goods, \"May\""))
    plain = b.call(b.payment(1, 3, 5, "INV-2"))
    b.pay(paid, plain)
    back = b.refund(paid["id"], 40, reference="RET-1", reason="damaged")
    b.run("e_payment.refund", back)
    for account in (1, 3):
        data = page(b, "bank.list_entries", 1, PARTNER, None, None, acc(account), None, None, 3)["data"]
        told = [{m: e.get(m) for m in ("kind", "source", "reference", "purpose")} for e in data]
        assert told == [
            {"kind": "refund", "source": "rfd_" + back["id"][4:], "reference": "RET-1", "purpose": "damaged"},
            {"kind": "payment", "source": plain["id"], "reference": "INV-2", "purpose": None},
            {"kind": "payment", "source": paid["id"], "reference": 'INV "9"', "purpose": 'goods, "May"'}]
    first = page(b, "bank.list_entries", 1, PARTNER, None, None, acc(1), None, None, 10)["data"][-1]
    assert first["kind"] == "opening" and not {"source", "reference", "purpose"} & set(first)


def test_what_an_entry_is_about_is_found_by_index(b):
    b.pay(*[b.call(b.payment(1, 3, 1)) for _ in range(300)])
    b.query("analyze")
    b.query("set plan_cache_mode = force_generic_plan")
    b.query("prepare about(int, text) as select purpose from bank.source where book = $1 and id = $2")
    plan = "\n".join(r["QUERY PLAN"] for r in b.query("explain execute about(1, 'x')"))
    assert "using payment_pkey" in plan, plan
