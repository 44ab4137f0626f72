"""bank.post(): what each instruction does, what it is refused for, chains, holds, ids that come again."""
import pytest
from books import NOW, acc, id_suffix

MAX = 2**62 - 1
LATER = "2026-11-23T09:00:00.000Z"


def x(n):
    return "xfr_" + id_suffix(900 + n)


def move(debit, credit, amount, **more):
    return {"debit": debit, "credit": credit, "amount": amount, **more}


@pytest.fixture
def b(books):
    books.open((1, 1000, {}), (2, 0, {}), (3, 0, {}), (4, 50, {"floor": -100}), (5, 0, {"ceiling": 70}))
    return books


def test_moves_money_and_writes_both_entries(b):
    assert b.post(move(1, 2, 300), move(2, 3, 120)) == [None, None]
    assert b.balances(1, 2, 3) == [700, 180, 120]
    entries = b.query("select version, amount, balance, counterparty from bank.entry where account = %s order by 1", acc(2))
    assert [tuple(e.values()) for e in entries] == [(1, 300, 300, acc(1)), (2, -120, 180, acc(3))]


@pytest.mark.parametrize("instruction, code", [
    (move(1, 2, 0), "amount_must_be_positive"),
    (move(1, 2, -5), "amount_must_be_positive"),
    (move(1, 2, None), "amount_must_be_positive"),
    (move(1, 1, 5), "accounts_must_be_different"),
    (move(99, 2, 5), "debit_account_not_found"),
    (move(1, 99, 5), "credit_account_not_found"),
    (move(1, 2, 1001), "insufficient_funds"),
    (move(1, 5, 71), "ceiling_exceeded"),
    (move(4, 2, 151), "insufficient_funds"),
    (move(1, 2, 5, currency="USD"), "debit_currency_mismatch"),
    (move(0, 2, MAX + 1), "balance_overflow"),
    (move(0, 2, 2**63 - 1), "balance_overflow"),
    (move(0, 1, MAX), "balance_overflow"),
])
def test_refuses_without_a_trace(b, instruction, code):
    before = b.query("select * from bank.account order by id")
    assert b.post(instruction) == [code]
    assert b.query("select * from bank.account order by id") == before
    assert b.query("select from bank.transfer where kind = 'test'") == []


@pytest.mark.parametrize("instruction", [move(1, 2, 1000), move(4, 2, 150), move(1, 5, 70)])
def test_goes_exactly_to_the_bound(b, instruction):
    assert b.post(instruction) == [None]


def test_no_sum_overflows_at_the_edge_of_what_a_balance_can_be(b):
    b.open((6, 0, {"floor": None}), (7, 0, {}), (8, 0, {"floor": None}))
    assert b.post(move(6, 7, MAX)) == [None]
    assert b.post(move(6, 8, 1), move(8, 7, 1), move(7, 6, MAX), move(7, 6, 1)) == [
        "balance_overflow", "balance_overflow", None, "insufficient_funds"]
    assert b.post({"verb": "hold", "id": "hld_1", **move(6, 7, MAX)}, move(6, 8, 1), move(8, 7, 1)) == [
        None, "balance_overflow", "balance_overflow"]


def test_refuses_closed_accounts_and_the_wrong_currency_on_either_side(b):
    b.open((6, 0, {"currency": "JPY"}))
    b.query("update bank.account set state = 'closed' where id = %s", acc(3))
    assert b.post(move(3, 2, 1), move(1, 3, 1), move(1, 6, 1), move(1, 6, 1, currency="JPY")) == [
        "debit_account_closed", "credit_account_closed", "credit_currency_mismatch", "debit_currency_mismatch"]


def test_outcomes_are_as_if_one_ran_after_another(b):
    """Money that arrives in the batch can be spent later in it, and not before."""
    assert b.post(move(2, 3, 10), move(1, 2, 15), move(2, 3, 10), move(2, 3, 10), move(2, 3, 5)) == [
        "insufficient_funds", None, None, "insufficient_funds", None]
    assert b.balances(1, 2, 3) == [985, 0, 15]


def test_keeps_the_limits_per_payment_and_per_day_of_the_world(b):
    b.open((6, 1000, {"limit_each": 60, "limit_day": 100}))
    limited = lambda amount, at="2026-11-23T08:00:00Z": move(6, 2, amount, limited=True, at=at)
    assert b.post(limited(61), limited(60), limited(41), limited(40), limited(1), move(6, 2, 200)) == [
        "single_limit_exceeded", None, "day_limit_exceeded", None, "day_limit_exceeded", None]
    # 15:59:59 UTC is still the same date in Shanghai, 16:00 is the next
    assert b.post(limited(1, "2026-11-23T15:59:59Z"), limited(60, "2026-11-23T16:00:00Z"),
                  limited(41, "2026-11-23T16:00:01Z")) == ["day_limit_exceeded", None, "day_limit_exceeded"]
    # a call that was late over midnight counts on the day the account is in
    assert b.post(limited(41, "2026-11-23T15:59:59Z"), limited(40, "2026-11-23T15:59:59Z")) == ["day_limit_exceeded", None]


def test_the_same_id_with_the_same_content_is_the_same_transfer(b):
    assert b.post(move(1, 2, 10, id=x(1))) == [None]
    assert b.post(move(1, 2, 10, id=x(1)), move(1, 2, 10, id=x(2)), move(1, 2, 10, id=x(2))) == [None, None, None]
    assert b.balances(2) == [20]
    existed = b.query("select existed from bank.post(1, array[row('transfer', %s, %s, %s, 10, 'CNY', 'test', %s, false,"
                      " null, null, null, null)::bank.instruction])", x(1), acc(1), acc(2), NOW)
    assert existed == [{"existed": True}]


@pytest.mark.parametrize("change, code", [
    ({"debit": 3}, "exists_with_different_debit_account"),
    ({"credit": 3}, "exists_with_different_credit_account"),
    ({"amount": 11}, "exists_with_different_amount"),
    ({"currency": "USD"}, "exists_with_different_currency"),
    ({"kind": "other"}, "exists_with_different_kind"),
    ({"verb": "post", "hold": "hld_9"}, "exists_with_different_verb"),
])
@pytest.mark.parametrize("together", [False, True])
def test_the_same_id_with_other_content_is_refused_field_by_field(b, change, code, together):
    first = move(1, 2, 10, id=x(1))
    second = {**first, **change}
    outcomes = b.post(first, second) if together else b.post(first) + b.post(second)
    assert outcomes == [None, code]
    assert b.balances(1, 2, 3) == [990, 10, 0]


def test_an_id_whose_first_instruction_was_refused_is_still_free(b):
    assert b.post(move(2, 3, 5, id=x(1)), move(1, 3, 5, id=x(1)), move(1, 3, 5, id=x(1))) == ["insufficient_funds", None, None]
    assert b.balances(1, 3) == [995, 5]


def test_linked_legs_succeed_together_or_not_at_all(b):
    assert b.post(move(1, 2, 100, chain=1), move(2, 3, 60, chain=1),
                  move(1, 2, 5),
                  move(1, 2, 100, chain=2), move(2, 3, 9999, chain=2), move(1, 3, 1, chain=2),
                  move(2, 3, 46)) == [
        None, None, None, "linked_failed", "insufficient_funds", "linked_failed", "insufficient_funds"]
    assert b.balances(1, 2, 3) == [895, 45, 60]


def test_two_chains_side_by_side_do_not_infect_each_other(b):
    assert b.post(move(1, 2, 1, chain=1), move(2, 3, 5, chain=1), move(1, 2, 2, chain=2), move(2, 3, 2, chain=2),
                  move(3, 2, 9, chain=3), move(1, 2, 1, chain=3)) == [
        "linked_failed", "insufficient_funds", None, None, "insufficient_funds", "linked_failed"]


def test_a_chain_that_breaks_gives_back_limits_and_holds(b):
    b.open((6, 100, {"limit_day": 50}))
    assert b.post({"verb": "hold", "id": "hld_1", **move(6, 2, 50, limited=True), "chain": 1}, move(2, 3, 1, chain=1),
                  {"verb": "hold", "id": "hld_1", **move(6, 2, 40, limited=True)}) == ["linked_failed", "insufficient_funds", None]
    assert (b.account(6)["held"], b.account(6)["day_out"]) == (40, 40)


def test_an_existing_member_of_a_chain_counts_as_done(b):
    b.post(move(1, 2, 10, id=x(1)))
    assert b.post(move(1, 2, 10, id=x(1), chain=1), move(2, 3, 99, chain=1)) == [None, "insufficient_funds"]
    assert b.balances(1, 2) == [990, 10]


def test_what_a_broken_chain_did_twice_is_not_done(b):
    assert b.post(move(1, 2, 10, id=x(1), chain=1), move(1, 2, 10, id=x(1), chain=1), move(2, 3, 99, chain=1)) == [
        "linked_failed", "linked_failed", "insufficient_funds"]
    b.post(hold("h1", 1, 2, 10))
    assert b.post(void("h1", chain=1), void("h1", chain=1), hold("h2", 1, 2, 5, chain=1), hold("h2", 1, 2, 5, chain=1),
                  move(2, 3, 99, chain=1)) == ["linked_failed"] * 4 + ["insufficient_funds"]
    assert (state(b, "h1"), b.account(1)["held"], b.balances(1)) == (("open", 0, 10), 10, [1000])


def hold(id, debit, credit, amount, **more):
    return {"verb": "hold", "id": id, **move(debit, credit, amount), **more}


def post(hold, amount=None, **more):
    return {"verb": "post", "hold": hold, "amount": amount, **more}


def void(hold, **more):
    return {"verb": "void", "hold": hold, **more}


def state(b, id):
    h = b.query("select state, posted, remaining from bank.hold where id = %s", id)[0]
    return tuple(h.values())


def test_a_hold_reserves_on_both_sides_and_moves_nothing(b):
    assert b.post(hold("h1", 1, 5, 60)) == [None]
    assert (b.account(1)["balance"], b.account(1)["held"], b.account(5)["incoming"]) == (1000, 60, 60)
    assert b.post(move(1, 2, 941), move(1, 5, 11), move(1, 2, 940)) == ["insufficient_funds", "ceiling_exceeded", None]


def test_a_hold_is_posted_in_parts_and_the_rest_stays_or_is_released(b):
    b.post(hold("h1", 1, 2, 100), hold("h2", 1, 2, 100))
    assert b.post(post("h1", 30), post("h1", 30), post("h1", 41), post("h1")) == [None, None, "exceeds_hold", None]
    assert state(b, "h1") == ("posted", 100, 0)
    assert b.post(post("h2", 30, release_remainder=True), post("h2", 1)) == [None, "hold_already_posted"]
    assert state(b, "h2") == ("posted", 30, 0)
    assert (b.account(1)["balance"], b.account(1)["held"], b.account(2)["incoming"]) == (870, 0, 0)


def test_a_void_frees_what_remains_and_can_be_repeated(b):
    assert b.post(hold("h1", 1, 2, 100), post("h1", 40), void("h1"), void("h1"), post("h1", 1)) == [
        None, None, None, None, "hold_already_voided"]
    assert state(b, "h1") == ("voided", 40, 0)
    assert (b.account(1)["balance"], b.account(1)["held"]) == (960, 0)


def test_a_post_repeated_under_its_id_is_the_same_post(b):
    b.post(hold("h1", 1, 2, 100), hold("h2", 1, 2, 100))
    one = post("h1", 40, id=x(1))
    assert b.post(one) == [None]
    assert b.post(one, {**one, "amount": 41}, {**one, "hold": "h2"}, {**one, "amount": None}) == [
        None, "exists_with_different_amount", "exists_with_different_hold", None]
    assert state(b, "h1") == ("open", 40, 60)


@pytest.mark.parametrize("change, code", [
    ({}, None), ({"amount": 11}, "exists_with_different_amount"), ({"debit": 4}, "exists_with_different_debit_account"),
    ({"credit": 3}, "exists_with_different_credit_account"), ({"kind": "other"}, "exists_with_different_kind"),
    ({"expires_at": LATER}, "exists_with_different_expiry"),
])
def test_a_hold_that_comes_again(b, change, code):
    first = hold("h1", 1, 2, 10)
    b.post(first)
    assert b.post({**first, **change}) == [code]
    assert b.account(1)["held"] == 10


def test_holds_that_are_unknown_or_past_their_time(b):
    assert b.post(post("h9", 1), void("h9")) == ["hold_not_found"] * 2
    assert b.post(hold("h1", 1, 2, 10, expires_at=NOW)) == ["expiry_must_be_later"]
    b.post(hold("h1", 1, 2, 10, expires_at=LATER), hold("h2", 1, 2, 10))
    assert b.post(post("h1", 1, at=LATER), void("h1", at=LATER)) == ["hold_expired"] * 2
    assert b.post({"verb": "expire", "hold": "h1", "at": NOW, "id": None}) == ["hold_not_due"]


def test_the_clerk_expires_what_is_due_oldest_first(b):
    b.post(*[hold(f"h{n}", 1, 2, 10, expires_at=f"2026-11-23T09:00:0{n}Z") for n in range(4)], post("h0", 3))
    expire = lambda now, rows: [r["expire_holds"] for r in b.query("select * from bank.expire_holds(1, %s, %s)", now, rows)]
    assert expire("2026-11-23T09:00:02Z", 2) == ["h0", "h1"]
    assert expire("2026-11-23T09:00:02Z", 2) == ["h2"]
    assert expire("2026-11-23T09:00:02Z", 2) == []
    assert state(b, "h0") == ("expired", 3, 0)
    assert b.account(1)["held"] == 10


def test_a_chain_of_posts_is_undone_whole(b):
    b.post(hold("h1", 1, 2, 100), hold("h2", 1, 2, 100))
    assert b.post(post("h1", chain=1), post("h2", 101, chain=1)) == ["linked_failed", "exceeds_hold"]
    assert (state(b, "h1"), state(b, "h2")) == (("open", 0, 100), ("open", 0, 100))
    assert b.post(post("h1", chain=1), void("h2", chain=1), move(1, 3, 1, chain=1)) == [None, None, None]
    assert b.account(1)["balance"] == 899


def test_an_account_with_money_or_holds_cannot_be_closed(b):
    b.post(hold("h1", 1, 2, 10))
    for number in (1, 2):
        with pytest.raises(Exception, match="check constraint"):
            b.query("update bank.account set state = 'closed' where id = %s", acc(number))


def test_accounts_are_opened_in_bulk_from_the_worlds_own_money(books):
    rows = 2500
    books.open(*[(n, 100 + n, {}) for n in range(1, rows + 1)])
    assert books.balances(0, 1, rows) == [-sum(100 + n for n in range(1, rows + 1)), 101, 100 + rows]
    with pytest.raises(Exception, match="could not be funded: insufficient_funds"):
        books.open((9001, 10**9, {"from": acc(1)}))


def test_every_exponent_from_0_to_4_is_known(books):
    exponents = {r["code"]: r["exponent"] for r in books.query("select * from bank.currency")}
    assert {c: exponents[c] for c in ("JPY", "KRW", "CNY", "USD", "KWD", "BHD", "CLF")} == {
        "JPY": 0, "KRW": 0, "CNY": 2, "USD": 2, "KWD": 3, "BHD": 3, "CLF": 4}
    assert len(exponents) > 150 and not {"XAU", "XTS", "XXX", "HRK", "ZWL"} & exponents.keys()


def test_seals_follow_each_other_without_holding_up_the_ledger(b):
    seal = lambda: b.one("select bank.seal(1, %s)", NOW)
    assert seal() == 0                              # closes the block of the opening transfers
    b.post(move(1, 2, 1))
    assert (seal(), seal(), seal()) == (1, 1, 0)    # an empty block stays open
    b.post(move(1, 2, 1))
    blocks = b.query("select block, transfers_n from bank.seal order by block")
    assert [tuple(r.values()) for r in blocks] == [(1, 2), (2, 1)]
    assert b.one("select block from bank.book") == 3
