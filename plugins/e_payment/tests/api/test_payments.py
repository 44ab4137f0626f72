"""One payment, from outside: what it answers, what it moves, and that it happens exactly once."""

import concurrent.futures
import json
import re
import uuid

import pytest

from harness.client import assert_problem
from harness.partner import Partner, new_id

PAYMENTS = "/e-payment/v1/payments"
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
FEW_S = 60


@pytest.fixture(scope="module")
def other(sandbox):
    return Partner(sandbox, "Payments' other partner")


@pytest.fixture(scope="module")
def theirs(other):
    with other.client() as client:
        yield client


@pytest.fixture
def pair(sandbox):
    return sandbox.accounts(2)


def body_of(pair, amount=12345, reference=None, **members):
    return {"reference": reference or f"T-{uuid.uuid4()}", "debtor_account": pair[0], "creditor_account": pair[1],
            "amount": {"amount": amount, "currency": "CNY"}, "purpose": "goods", **members}


def new_key():
    return str(uuid.uuid4())


# ---- the request ----

def test_a_payment_is_made(api, pair):
    body = body_of(pair)
    answer = api.post(PAYMENTS, body)
    assert answer.status_code == 201 and answer.http_version == "HTTP/2"
    paid = answer.json()
    assert answer.headers["location"] == f"{PAYMENTS}/{paid['id']}"
    assert answer.headers["content-type"] == "application/json"
    assert "idempotency-replayed" not in answer.headers
    assert re.fullmatch(r"pay_[0-9a-hjkmnp-tv-z]{26}", paid["id"])
    assert paid["state"] == "succeeded" and paid["object"] == "payment"
    assert {k: paid[k] for k in body} == body
    assert paid["refunded"] == {"amount": 0, "currency": "CNY"}
    assert TIME.match(paid["created_at"]) and paid["updated_at"] == paid["created_at"]
    assert "failure" not in paid


def test_balances_move_by_exactly_the_amount_and_nothing_else_moves(api, sandbox, pair, db):
    with db.cursor() as cursor:
        cursor.execute("select id, balance, version, held, incoming from bank.account")
        before = {row[0]: row[1:] for row in cursor}
        assert api.pay(*pair, 12345).status_code == 201
        cursor.execute("select id, balance, version, held, incoming from bank.account")
        after = {row[0]: row[1:] for row in cursor}
    moved = {account: (now[0] - before[account][0], now[1] - before[account][1], now[2:]) for account, now in after.items()
             if now != before[account]}
    assert moved == {pair[0]: (-12345, 1, (0, 0)), pair[1]: (12345, 1, (0, 0))}


def test_an_account_shows_the_payment(api, pair):
    before = api.get(f"/accounts/v1/accounts/{pair[0]}").json()["balances"]["ledger"]["amount"]
    paid = api.pay(*pair, 12345).json()
    account = api.get(f"/accounts/v1/accounts/{pair[0]}").json()
    money = {"amount": before - 12345, "currency": "CNY"}
    assert {k: account[k] for k in ("id", "currency", "state", "balances")} == {
        "id": pair[0], "currency": "CNY", "state": "open",
        "balances": {"ledger": money, "available": money, "held": {"amount": 0, "currency": "CNY"}}}
    entry = api.get(f"/accounts/v1/accounts/{pair[0]}/entries?limit=1").json()["data"][0]
    assert entry["amount"] == {"amount": -12345, "currency": "CNY"} and entry["balance"] == money
    assert entry["counterparty"] == pair[1] and entry["kind"] == "payment"
    assert entry["transfer"] == "xfr_" + paid["id"].removeprefix("pay_")


def test_a_payment_is_read_as_it_is_now(api, pair):
    made = api.pay(*pair)
    read = api.get(made.headers["location"])
    assert read.status_code == 200 and read.content == made.content
    api.post(made.headers["location"] + "/refunds", {"amount": {"amount": 45, "currency": "CNY"}})
    now = api.get(made.headers["location"]).json()
    assert now["refunded"]["amount"] == 45 and now["updated_at"] > now["created_at"]


def test_what_the_partner_noted_comes_back_as_it_was(api, pair):
    noted = {"purpose": "Äpfel \"und\" 梨 \\ 🍐", "metadata": {"订单": "A-1077", "quote\"": "line\nbreak\t", "empty": ""}}
    made = api.post(PAYMENTS, body_of(pair, **noted))
    assert made.status_code == 201, made.text
    for paid in (made.json(), api.get(made.headers["location"]).json()):
        assert {k: paid[k] for k in noted} == noted


def test_only_what_is_required_is_enough(api, pair):
    body = body_of(pair)
    del body["purpose"]
    answer = api.post(PAYMENTS, body)
    assert answer.status_code == 201 and "purpose" not in answer.json() and "metadata" not in answer.json()


# ---- the key ----

def test_the_same_request_again_gets_the_same_bytes(api, pair):
    key, body = new_key(), body_of(pair)
    first = api.post(PAYMENTS, body, key=key)
    before = api.balance(pair[0])
    again = api.post(PAYMENTS, body, key=key)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert api.balance(pair[0]) == before


def test_a_replay_is_the_answer_of_then(api, pair):
    key, body = new_key(), body_of(pair)
    first = api.post(PAYMENTS, body, key=key)
    api.post(first.headers["location"] + "/refunds", {"amount": {"amount": 1, "currency": "CNY"}})
    assert api.post(PAYMENTS, body, key=key).content == first.content


def test_who_prefers_it_gets_a_replay_as_the_payment_is_now(api, pair):
    key, reference = str(uuid.uuid4()), f"NOW-{uuid.uuid4()}"
    first = api.pay(*pair, amount=500, reference=reference, key=key)
    api.post(f"{first.headers['location']}/refunds", {"amount": {"amount": 200, "currency": "CNY"}})
    body = {"reference": reference, "debtor_account": pair[0], "creditor_account": pair[1],
            "amount": {"amount": 500, "currency": "CNY"}, "purpose": "goods"}
    then = api.post("/e-payment/v1/payments", body, key=key)
    now = api.post("/e-payment/v1/payments", body, key=key, headers={"Prefer": "current"})
    assert then.status_code == now.status_code == 201 and then.content == first.content
    assert now.json()["refunded"]["amount"] == 200 and now.json()["id"] == first.json()["id"]
    assert now.headers["preference-applied"] == "current" and now.headers["idempotency-replayed"] == "true"



@pytest.mark.parametrize("write", [
    lambda b: json.dumps(b, indent=4),
    lambda b: json.dumps(dict(reversed(b.items()))),
    lambda b: json.dumps({**b, "amount": dict(reversed(b["amount"].items()))}),
    lambda b: " \r\n\t" + json.dumps(b) + " \n",
    lambda b: json.dumps(b).replace("goods", "\\u0067\\u006fods"),
], ids=["white space", "order of members", "order within", "white space around", "escapes"])
def test_another_spelling_of_the_same_request_is_a_replay(api, pair, write):
    key, body = new_key(), body_of(pair)
    first = api.post(PAYMENTS, body, key=key)
    again = api.post(PAYMENTS, write(body), key=key)
    assert again.content == first.content and again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("change", [
    {"amount": {"amount": 12346, "currency": "CNY"}},
    {"amount": {"amount": 12345, "currency": "USD"}},
    {"reference": "another"},
    {"purpose": "services"},
    {"metadata": {"a": "b"}},
    {"creditor_account": "DEBTOR"},
], ids=lambda c: next(iter(c)))
def test_another_request_under_the_same_key_is_refused(api, sandbox, pair, change):
    key, body = new_key(), body_of(pair)
    assert api.post(PAYMENTS, body, key=key).status_code == 201
    changed = {k: sandbox.creditor if v == "DEBTOR" else v for k, v in change.items()}
    assert_problem(api.post(PAYMENTS, {**body, **changed}, key=key), 422, "idempotency_key_reused")
    assert api.post(PAYMENTS, body, key=key).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("wrong, code", [
    ({"creditor_account": new_id("acc")}, "unknown_account"), ({"debtor_account": new_id("acc")}, "unknown_account"),
    ({"creditor_account": "DEBTOR"}, "same_account"), ({"amount": {"amount": 1, "currency": "XXX"}}, "unknown_currency"),
    ({"amount": {"amount": 1, "currency": "USD"}}, "currency_mismatch"), ({"amount": {"amount": 0, "currency": "CNY"}}, "invalid_body"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_a_refusal_leaves_key_and_reference_to_the_corrected_request(api, pair, wrong, code):
    key, body = new_key(), body_of(pair)
    wrong = {k: pair[0] if v == "DEBTOR" else v for k, v in wrong.items()}
    for _ in range(2):
        refused = api.post(PAYMENTS, {**body, **wrong}, key=key)
        assert_problem(refused, 422, code)
        assert "idempotency-replayed" not in refused.headers
    made = api.post(PAYMENTS, body, key=key)
    assert (made.status_code, made.json()["state"]) == (201, "succeeded")


def test_a_reused_key_names_the_request_that_used_it(api, pair):
    key, body = new_key(), body_of(pair)
    first = api.post(PAYMENTS, body, key=key)
    problem = assert_problem(api.post(PAYMENTS, {**body, "purpose": "other"}, key=key), 422, "idempotency_key_reused")
    assert problem["used_by"] == first.headers["x-request-id"] and problem["used_at"] == first.json()["created_at"]


def test_a_payment_needs_a_key(api, pair):
    before = api.balance(pair[0])
    assert_problem(api.post(PAYMENTS, body_of(pair), key=None), 400, "idempotency_key_missing")
    assert api.balance(pair[0]) == before


@pytest.mark.parametrize("key", [
    "", '""', '"', '"a', 'a"', '"a"b"', '"a\\x"', '"a\\"', "a b", "a,b", "a\\b", "x" * 256, '"' + "x" * 256 + '"', "ключ".encode(),
    "a\tb"], ids=repr)
def test_a_malformed_key_is_refused(sandbox, pair, key):
    with sandbox.client(http2=False) as client:
        assert_problem(client.post(PAYMENTS, body_of(pair), key=key), 400, "idempotency_key_invalid")


@pytest.mark.parametrize("key", ["k", "k" * 255, '"' + "k" * 255 + '"', "!#$%&'()*+-./:;<=>?@[]^_`{|}~", '"with space"',
                                 '"with \\" and \\\\"'])
def test_any_well_formed_key_is_taken(api, pair, key):
    key = key.replace("k", uuid.uuid4().hex[0], 1)
    body = body_of(pair)
    answers = [api.post(PAYMENTS, body, key=key) for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 201] or answers[0].json()["code"] == "idempotency_key_reused"


def test_a_quoted_key_is_the_bare_one(api, pair):
    key, body = new_key(), body_of(pair)
    first = api.post(PAYMENTS, body, key=f'"{key}"')
    assert api.post(PAYMENTS, body, key=key).content == first.content


def test_the_key_may_come_under_its_older_name(api, pair):
    key, body = new_key(), body_of(pair)
    first = api.post(PAYMENTS, body, key=None, headers={"x-idempotency-key": key})
    again = api.post(PAYMENTS, body, key=key)
    assert first.status_code == 201 and again.content == first.content


def test_two_keys_are_one_too_many(api, pair):
    headers = {"x-idempotency-key": new_key()}
    assert_problem(api.post(PAYMENTS, body_of(pair), headers=headers), 400, "bad_request")


def test_a_key_belongs_to_its_partner(api, theirs, other, pair):
    key = new_key()
    assert api.post(PAYMENTS, body_of(pair), key=key).status_code == 201
    own = (other.account(), pair[1])
    answer = theirs.post(PAYMENTS, body_of(own), key=key)
    assert answer.status_code == 201 and "idempotency-replayed" not in answer.headers


def test_a_key_belongs_to_its_operation(api, pair):
    key = new_key()
    made = api.post(PAYMENTS, body_of(pair), key=key)
    refund = api.post(made.headers["location"] + "/refunds", {"amount": {"amount": 1, "currency": "CNY"}}, key=key)
    assert refund.status_code == 201 and "idempotency-replayed" not in refund.headers


def test_a_refused_request_is_refused_again_under_its_key(api, sandbox, pair):
    key, body = new_key(), body_of((pair[0], new_id("acc")))
    first = assert_problem(api.post(PAYMENTS, body, key=key), 422, "unknown_account")
    answer = api.post(PAYMENTS, body, key=key)
    again = assert_problem(answer, 422, "unknown_account")
    assert "idempotency-replayed" not in answer.headers        # judged again
    own = ("instance", "request_id", "trace")
    assert {k: v for k, v in again.items() if k not in own} == {k: v for k, v in first.items() if k not in own}


def test_a_request_that_never_got_to_the_books_leaves_its_key_free(api, pair):
    key = new_key()
    assert_problem(api.post(PAYMENTS, {"reference": "x"}, key=key), 422, "invalid_body")
    assert api.post(PAYMENTS, body_of(pair), key=key).status_code == 201


def test_many_who_race_with_one_key_pay_once(sandbox, pair):
    key, body = new_key(), body_of(pair)
    with concurrent.futures.ThreadPoolExecutor(16) as pool, sandbox.client() as api:
        before = api.balance(pair[0])

        def once(_):
            with sandbox.client() as client:
                return [client.post(PAYMENTS, body, key=key) for _ in range(4)]
        answers = [a for several in pool.map(once, range(16), timeout=FEW_S) for a in several]
        assert api.balance(pair[0]) == before - 12345
    paid = {a.content for a in answers if a.status_code == 201}
    assert len(paid) == 1
    assert all(a.status_code in (201, 409) for a in answers)
    assert sum("idempotency-replayed" not in a.headers for a in answers if a.status_code == 201) == 1


# ---- the reference ----

def test_a_reference_is_used_once(api, pair):
    body = body_of(pair)
    first = api.post(PAYMENTS, body)
    before = api.balance(pair[0])
    answer = api.post(PAYMENTS, body)
    problem = assert_problem(answer, 409, "duplicate_reference")
    assert problem["errors"][0]["pointer"] == "/reference"
    assert problem["payment"] == first.json()["id"]
    assert answer.headers["link"] == f'<{first.headers["location"]}>; rel="related"'
    assert api.balance(pair[0]) == before


def test_many_who_race_with_one_reference_and_keys_of_their_own_pay_once(sandbox, pair):
    body = body_of(pair)
    with concurrent.futures.ThreadPoolExecutor(16) as pool, sandbox.client() as api:
        before = api.balance(pair[0])

        def once(_):
            with sandbox.client() as client:
                return [client.post(PAYMENTS, body) for _ in range(2)]
        answers = [a for both in pool.map(once, range(16), timeout=FEW_S) for a in both]
        assert api.balance(pair[0]) == before - 12345
    paid, = [a.json()["id"] for a in answers if a.status_code == 201]
    told = [assert_problem(a, 409, "duplicate_reference")["payment"] for a in answers if a.status_code != 201]
    assert told == [paid] * (len(answers) - 1)


def test_a_reference_is_used_up_by_a_failed_payment_too(api, pair):
    body = body_of(pair, amount=9_000_000_000_000_000)
    assert api.post(PAYMENTS, body).json()["state"] == "failed"
    assert_problem(api.post(PAYMENTS, body_of(pair, reference=body["reference"])), 409, "duplicate_reference")


def test_a_conflict_does_not_use_up_the_key(api, pair):
    body, key = body_of(pair), new_key()
    api.post(PAYMENTS, body)
    assert_problem(api.post(PAYMENTS, body, key=key), 409, "duplicate_reference")
    assert api.post(PAYMENTS, body_of(pair), key=key).status_code == 201


def test_a_reference_belongs_to_its_partner(api, theirs, other, pair):
    body = body_of(pair)
    assert api.post(PAYMENTS, body).status_code == 201
    assert theirs.post(PAYMENTS, {**body, "debtor_account": other.account()}).status_code == 201


# ---- whose accounts ----

@pytest.mark.parametrize("side", ["debtor_account", "creditor_account"])
def test_an_account_that_does_not_exist_is_named(api, pair, side):
    problem = assert_problem(api.post(PAYMENTS, {**body_of(pair), side: new_id("acc")}), 422, "unknown_account")
    assert problem["errors"][0]["pointer"] == f"/{side}"


def test_an_account_of_another_partner_cannot_be_debited(api, other, pair):
    account = other.account()
    problem = assert_problem(api.post(PAYMENTS, body_of((account, pair[1]))), 422, "unknown_account")
    unknown = assert_problem(api.post(PAYMENTS, body_of((new_id("acc"), pair[1]))), 422, "unknown_account")
    assert problem["errors"] == unknown["errors"] and problem["detail"] == unknown["detail"]


def test_an_account_of_another_partner_can_be_paid(api, theirs, other, pair):
    account = other.account()
    assert api.pay(pair[0], account, 5).json()["state"] == "succeeded"
    assert theirs.balance(account) == 1_000_005


def test_an_account_of_another_world_does_not_exist(api, sandbox, pair):
    account = Partner(sandbox, "Another world", book=71).account()
    assert_problem(api.pay(pair[0], account), 422, "unknown_account")


def test_an_account_cannot_pay_itself(api, pair):
    problem = assert_problem(api.pay(pair[0], pair[0]), 422, "same_account")
    assert problem["errors"][0]["pointer"] == "/creditor_account"


def test_the_payment_of_another_partner_is_not_found(api, theirs, other, pair):
    ours = api.pay(*pair).headers["location"]
    stranger = assert_problem(theirs.get(ours), 404, "not_found")
    nobody = assert_problem(theirs.get(f"{PAYMENTS}/{new_id('pay')}"), 404, "not_found")
    assert stranger["title"] == nobody["title"] and set(stranger) == set(nobody)
