"""Keys: claim, replay, twins in one batch, and what is not stored."""
import pytest
from books import FP, NOW, PARTNER, acc

ROUTE = "POST /e-payment/v1/payments"


@pytest.fixture
def open_books(books):
    books.open((1, 1000, {}), (2, 0, {}))
    return books


def test_a_retry_replays_the_exact_answer_and_moves_nothing(open_books):
    b = open_books
    call = b.call(b.payment(1, 2, 300, "R1", purpose='a "quoted"\n purpose', metadata={"k": "v: 1, 2", "long key": "é"}), "k1")
    first, = b.pay(call)
    again, = b.pay({**call, "id": "pay_" + b.new_id(), "now": "2026-11-24T08:00:00.000Z"})
    assert (first["status"], first["replayed"], again["replayed"]) == (201, False, True)
    assert [first[m] for m in ("status", "body", "location")] == [again[m] for m in ("status", "body", "location")]
    assert b.balances(1, 2) == [700, 300]


def test_a_replay_keeps_the_state_of_then_while_a_read_shows_now(open_books):
    b = open_books
    call = b.call(b.payment(1, 2, 300), "k1")
    body = b.pay(call)[0]["body"]
    b.run("e_payment.refund", b.refund(call["id"], 100))
    assert b.pay(call)[0]["body"] == body
    assert '"refunded":{"amount":100,' in b.one("select e_payment.read_payment(1, %s, null, null, %s)", PARTNER, call["id"])


def test_another_request_under_the_key_is_refused(open_books):
    b = open_books
    b.pay(b.call(b.payment(1, 2, 300), "k1"))
    answer, = b.pay({**b.call(b.payment(1, 2, 301), "k1"), "fp": "0b" * 32})
    assert (answer["status"], answer["code"]) == (422, "idempotency_key_reused")
    assert b.balances(2) == [300]


def test_the_scope_of_a_key_is_partner_and_route(open_books):
    b = open_books
    other = "ptr_" + "b" * 26
    b.query("insert into bank.partner values (%s, 'other', 'active', %s)", other, NOW)
    b.query("insert into bank.account_access values (1, true, %s, %s, %s)", NOW, other, acc(1))
    first = b.call(b.payment(1, 2, 10), "k")
    answers = b.pay(first, b.call(b.payment(1, 2, 10), "k", partner=other))
    assert [a["status"] for a in answers] == [201, 201]
    refund, = b.run("e_payment.refund", b.refund(first["id"], 5, "k"))
    assert (refund["status"], refund["replayed"]) == (201, False)


def test_twins_in_one_batch_run_once(open_books):
    b = open_books
    body = b.payment(1, 2, 100)
    twins = [b.call(body, "k") for _ in range(3)]
    odd = {**b.call(b.payment(1, 2, 7), "k"), "fp": "0b" * 32}
    free = b.call(b.payment(1, 2, 1))
    answers = b.pay(twins[0], odd, free, twins[1], twins[2])
    assert [a["status"] for a in answers] == [201, 422, 201, 201, 201]
    assert [a["replayed"] for a in answers] == [False, False, False, True, True]
    assert answers[0]["body"] == answers[3]["body"] == answers[4]["body"]
    assert b.balances(2) == [101]


def test_a_batch_of_replays_only_and_an_empty_batch(open_books):
    b = open_books
    calls = [b.call(b.payment(1, 2, 1), f"k{n}") for n in range(3)]
    first = b.pay(*calls)
    again = b.pay(*calls)
    assert [a["body"] for a in first] == [a["body"] for a in again] and all(a["replayed"] for a in again)
    assert b.pay() == []


def test_a_refusal_of_whatever_kind_leaves_the_key_free(open_books):
    b = open_books
    b.pay(b.call(b.payment(1, 2, 1, "R")))
    wrong = [b.payment(1, 99, 1), b.payment(99, 1, 1), b.payment(1, 1, 1), b.payment(1, 2, 0), b.payment(1, 2, 1, "R"),
             {**b.payment(1, 2, 1), "amount": {"amount": 1, "currency": "XXX"}}, {**b.payment(1, 2, 1), "amount": {"amount": 1, "currency": "JPY"}}]
    for n, body in enumerate(wrong):
        call = b.call(body, f"k{n}")
        first, again = b.pay(call)[0], b.pay(call)[0]
        assert 400 <= first["status"] < 500 and not first["replayed"]
        assert again == first                                      # judged again, and as before
        answer, = b.pay({**b.call(b.payment(1, 2, 1), f"k{n}"), "fp": "0c" * 32})
        assert answer["status"] == 201, (first["code"], answer)     # the corrected request, under the same key
    gone, = b.run("e_payment.refund", b.refund("pay_" + "9" * 26, 1, "kr"))
    assert (gone["status"], b.query("select from tb.idempotency_key where key = 'kr'")) == (404, [])


def test_a_decline_uses_the_key_up(open_books):
    b = open_books
    call = b.call(b.payment(2, 1, 9999), "k")
    assert '"state":"failed"' in b.pay(call)[0]["body"]
    assert b.pay(call)[0]["replayed"]
    answer, = b.pay({**b.call(b.payment(1, 2, 1), "k"), "fp": "0c" * 32})
    assert (answer["status"], answer["code"]) == (422, "idempotency_key_reused")


def test_a_reused_key_says_when_and_by_which_request_it_was_used(open_books):
    b = open_books
    b.pay(b.call(b.payment(1, 2, 300), "k1", request="req-1"))
    answer, = b.pay({**b.call(b.payment(1, 2, 301), "k1", request="req-2", now="2026-11-24T00:00:00Z"), "fp": "0b" * 32})
    assert answer["extra"] == {"used_at": NOW, "used_by": "req-1"} and "req-1" in answer["detail"] and NOW in answer["detail"]
    twin = {**b.call(b.payment(1, 2, 7), "k2", request="req-4"), "fp": "0b" * 32}
    _, answer = b.pay(b.call(b.payment(1, 2, 1), "k2", request="req-3"), twin)      # in one batch
    assert (answer["code"], answer["extra"]) == ("idempotency_key_reused", {"used_at": NOW, "used_by": "req-3"})


def test_another_request_beside_one_that_is_refused_has_only_come_too_early(open_books):
    b = open_books
    odd = {**b.call(b.payment(1, 2, 7), "k"), "fp": "0b" * 32}
    refused, early = b.pay(b.call(b.payment(1, 99, 7), "k"), odd)
    assert (refused["code"], early["status"], early["code"]) == ("unknown_account", 409, "idempotency_key_in_progress")
    assert b.pay(odd)[0]["status"] == 201


def test_lookup_tells_what_became_of_a_key(open_books):
    b = open_books
    first, = b.pay(b.call(b.payment(1, 2, 1), "k"))
    found = b.query("select * from tb.lookup(1, %s, %s, 'k')", PARTNER, ROUTE)
    assert (found[0]["status"], found[0]["body"], found[0]["replayed"]) == (201, first["body"], True)
    assert b.query("select * from tb.lookup(1, %s, %s, 'none')", PARTNER, ROUTE) == []


def test_keys_are_forgotten_by_age_a_bounded_number_at_a_time(open_books):
    b = open_books
    b.pay(*[b.call(b.payment(1, 2, 1), f"old{n}") for n in range(5)])
    b.pay(b.call(b.payment(1, 2, 1), "new", now="2026-11-27T08:00:00.000Z"))
    forget = "select tb.forget_keys(1, timestamptz '2026-11-27T08:00:00Z' - interval '72 hours', 3)"
    assert [b.one(forget), b.one(forget), b.one(forget)] == [3, 2, 0]
    assert b.query("select key from tb.idempotency_key") == [{"key": "new"}]


def test_a_product_that_forgets_an_answer_is_an_error_not_a_silence(open_books):
    b = open_books
    b.query("create function public.deaf(book int, calls tb.call[]) returns setof tb.answer language sql as"
            " 'select a.* from unnest(array[]::tb.answer[]) a'")
    with pytest.raises(Exception, match="a batch of 1 calls was given 0 answers"):
        b.run("public.deaf", b.call({}, "k"))
    assert b.query("select from tb.idempotency_key") == []
