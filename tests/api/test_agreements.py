"""Agreements: what the owner of an account lets a partner take that may not debit it. Refunds across partners need one."""

import json

import pytest

from harness.client import assert_problem
from harness.partner import Partner, new_id

PAYMENTS = "/e-payment/v1/payments"


def money(amount, currency="CNY"):
    return {"amount": amount, "currency": currency}


@pytest.fixture(scope="module")
def payer(sandbox):
    return Partner(sandbox, "Payer's partner")


@pytest.fixture(scope="module")
def shop(sandbox):
    return Partner(sandbox, "Shop's partner")


@pytest.fixture(scope="module")
def client(payer):
    with payer.client() as client:
        yield client


@pytest.fixture(scope="module")
def owner(shop):
    with shop.client() as client:
        yield client


@pytest.fixture
def paid(client, payer, shop):
    """1000 paid into an account of the shop, which has as much of its own."""
    payment = client.pay(payer.account(minor=1000), shop.account(minor=1000), 1000).json()
    assert payment["state"] == "succeeded"
    return payment


def path(payment, agreement=""):
    return f"/accounts/v1/accounts/{payment['creditor_account']}/agreements" + (f"/{agreement}" if agreement else "")


def refund(client, payment, amount=None, **members):
    return client.post(f"{PAYMENTS}/{payment['id']}/refunds", {**({"amount": money(amount)} if amount else {}), **members})


def test_a_refund_needs_a_right_to_debit_the_payee(client, owner, paid):
    problem = assert_problem(refund(client, paid, 400), 409, "refund_not_authorised")
    assert "has not agreed" in problem["detail"]
    assert owner.balance(paid["creditor_account"]) == 2000 and client.get(f"{PAYMENTS}/{paid['id']}/refunds").json()["data"] == []


def test_an_agreement_is_made_used_read_and_ended(client, owner, payer, paid):
    terms = {"kind": "refund", "partner": payer.id, "maximum_individual_amount": money(500),
             "periodic_limit": {"period_type": "Month", "amount": money(700)}, "days": 30, "document": "contract 7"}
    answer = owner.post(path(paid), terms)
    made = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == path(paid, made["id"])
    assert {k: made[k] for k in ("object", "state", "account", "made_by", "days", "document", "used")} == {
        "object": "agreement", "state": "active", "account": paid["creditor_account"], "made_by": "partner", "days": 30,
        "document": "contract 7", "used": {"count": 0, "amount": money(0)}}
    assert_problem(refund(client, paid, 501), 409, "refund_not_authorised")
    done = refund(client, paid, 500).json()
    assert (done["state"], done["agreement"]) == ("succeeded", made["id"])
    problem = assert_problem(refund(client, paid, 201), 409, "refund_not_authorised")
    assert problem["remaining"] == money(200)
    assert owner.balance(paid["creditor_account"]) == 1500

    for reader in (owner, client):      # whoever acts for the owner, and whom it is for
        seen = reader.get(path(paid, made["id"])).json()
        assert seen["used"] == {"count": 1, "amount": money(500)} and seen["periodic_limit"]["spent"] == money(500)
        assert [a["id"] for a in reader.get(path(paid)).json()["data"]] == [made["id"]]
    for _ in range(2):
        assert owner.http.request("DELETE", path(paid, made["id"])).status_code == 204
    assert owner.get(path(paid, made["id"])).json()["state"] == "ended"
    assert_problem(refund(client, paid, 1), 409, "refund_not_authorised")


def test_whom_it_is_for_gives_it_up(client, owner, payer, paid):
    made = owner.post(path(paid), {"kind": "refund", "partner": payer.id}).json()
    assert client.http.request("DELETE", path(paid, made["id"])).status_code == 204
    assert owner.get(path(paid, made["id"])).json()["ended_by"] == "partner"


def test_agreements_of_others_are_not_found(client, owner, api, payer, paid):
    made = owner.post(path(paid), {"kind": "refund", "partner": payer.id}).json()
    assert_problem(api.get(path(paid)), 404, "not_found")
    assert_problem(api.get(path(paid, made["id"])), 404, "not_found")
    assert_problem(api.http.request("DELETE", path(paid, made["id"])), 404, "not_found")
    assert_problem(client.post(path(paid), {"kind": "refund", "partner": payer.id}), 404, "not_found")
    assert owner.get(path(paid, made["id"])).json()["state"] == "active"


@pytest.mark.parametrize("change, status, code, pointer", [
    ({"partner": "ptr"}, 422, "invalid_body", "/partner"),
    ({"kind": "sweep"}, 422, "invalid_body", "/kind"),
    ({"days": 366}, 422, "invalid_body", "/days"),
    ({"days": 0}, 422, "invalid_body", "/days"),
    ({"maximum_individual_amount": money(0)}, 422, "invalid_body", "/maximum_individual_amount/amount"),
    ({"valid_to": "2020-01-01T00:00:00Z"}, 422, "invalid_body", "/valid_to"),
    ({"maximum_individual_amount": money(1, "USD")}, 422, "currency_mismatch", "/maximum_individual_amount/currency"),
    ({"unknown": 1}, 422, "invalid_body", "/unknown"),
    ({"partner": new_id("ptr")}, 422, "unknown_partner", "/partner"),
])
def test_an_agreement_that_makes_no_sense_is_not_made(owner, payer, paid, change, status, code, pointer):
    problem = assert_problem(owner.post(path(paid), {"kind": "refund", "partner": payer.id, **change}), status, code)
    assert problem["errors"][0]["pointer"] == pointer
    assert owner.get(path(paid)).json()["data"] == []


def test_a_second_agreement_leads_to_the_first(owner, payer, paid):
    first = owner.post(path(paid), {"kind": "refund", "partner": payer.id}, key="k-agree")
    again = owner.post(path(paid), {"kind": "refund", "partner": payer.id}, key="k-agree")
    assert again.content == first.content and again.headers["idempotency-replayed"] == "true"
    second = owner.post(path(paid), {"kind": "refund", "partner": payer.id})
    assert_problem(second, 409, "agreement_exists")
    assert second.headers["link"].startswith(f"<{first.headers['location']}>")


def test_writing_agreements_needs_its_scope_and_a_key(shop, payer, paid, owner):
    with shop.client(scope="accounts:read") as reader:
        assert_problem(reader.post(path(paid), {"kind": "refund", "partner": payer.id}), 403, "insufficient_scope")
    assert_problem(owner.post(path(paid), {"kind": "refund", "partner": payer.id}, key=None), 400, "idempotency_key_missing")


# ---- by the bank ----

@pytest.fixture
def run(sandbox):
    def run(*arguments, exit_code=0):
        said = sandbox.cli("agreement", *arguments, "--json", exit_code=exit_code, errors=exit_code != 0)
        return json.loads(said) if exit_code == 0 else said
    return run


def test_the_bank_makes_lists_and_ends_an_agreement(client, sandbox, run, payer, paid):
    account = paid["creditor_account"]
    made = run("add", account, payer.id, "--each", "300", "--limit", "400", "--period", "Day", "--days", "7", "--for", "30",
               "--document", "contract 9")
    assert made["state"] == "active"
    done = refund(client, paid, 300).json()
    assert done["agreement"] == made["id"]
    assert_problem(refund(client, paid, 101), 409, "refund_not_authorised")
    listed, = run("list", "--account", account)
    assert (listed["id"], listed["partner"], listed["made_by"], listed["document"]) == (made["id"], payer.id, "bank", "contract 9")
    assert listed["used"] == {"count": 1, "amount": money(300)} and "valid_to" in listed
    assert "one is in force already" in run("add", account, payer.id, exit_code=1)
    assert run("end", made["id"])["state"] == "ended"
    assert run("end", made["id"])["state"] == "ended"
    assert run("list", "--account", account) == [] and len(run("list", "--account", account, "--all")) == 1
    assert_problem(refund(client, paid, 1), 409, "refund_not_authorised")
    acts = [a["act"] for a in json.loads(sandbox.cli("act", "list", made["id"], "--json"))]
    assert acts == ["agreement.make", "agreement.end"]


@pytest.mark.parametrize("arguments, exit_code, said", [
    (("--each", "0"), 2, "each"), (("--days", "366"), 2, "days"), (("--limit", "5"), 1, "go together"),
    (("--limit", "5", "--period", "Lunch"), 1, "a period is"),
])
def test_the_bank_is_told_what_makes_no_sense(run, payer, paid, arguments, exit_code, said):
    assert said in run("add", paid["creditor_account"], payer.id, *arguments, exit_code=exit_code)
    assert run("list", "--account", paid["creditor_account"], "--all") == []


def test_the_bank_names_accounts_partners_and_agreements_that_are(run, payer, paid):
    assert "no such" in run("add", new_id("acc"), payer.id, exit_code=1)
    assert "no such partner" in run("add", paid["creditor_account"], new_id("ptr"), exit_code=1)
    assert "no such agreement" in run("end", new_id("agr"), exit_code=1)
