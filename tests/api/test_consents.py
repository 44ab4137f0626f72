"""Consents over the wire: what customers' tokens open, that payments hold to their grant and mandates to their limits, and how a
partner reads its consents and gives them back. Customers decide in the bank's own pages."""

import time
import uuid

import pytest

from harness.customer import ACCOUNTS, CONSENTS, PAYMENTS, SCOPE, Customer, mandate, money, refused
from harness.fapi import FapiClient, granted
from harness.partner import new_id
from harness.sandbox import wait_until


@pytest.fixture(scope="module")
def customer(fapi, sandbox):
    return Customer(fapi, sandbox)


# ---- accounts ----

def test_a_customers_token_reads_the_consented_accounts_and_no_others(customer):
    mine, theirs = customer.accounts[:2]
    token, _, id = customer.consent({"type": "account_information", "permissions": ["balances", "details"], "accounts": [mine]})
    assert [a["id"] for a in customer.get(ACCOUNTS, token)["data"]] == [mine]
    account = customer.get(f"{ACCOUNTS}/{mine}", token)
    assert account["balances"]["ledger"]["currency"] == "CNY" and account["name"]
    refused(customer.client.fetch(token, f"{ACCOUNTS}/{theirs}"), 404, "not_found")
    refused(customer.client.fetch(token, f"{ACCOUNTS}/{mine}/entries"), 403, "consent_mismatch")
    receipts = customer.get(f"{CONSENTS}/{id}/receipts")["data"]
    assert [r["operation"].rpartition("/")[2] for r in receipts] == ["entries", "{account_id}", "accounts"]
    assert {r["outcome"] for r in receipts} == {"granted"} and all(r["request_id"] for r in receipts)


def test_what_the_consent_does_not_permit_is_left_out(customer):
    token, _, _ = customer.consent({"type": "account_information", "permissions": ["entries"], "accounts": customer.accounts[:1]})
    account = customer.get(f"{ACCOUNTS}/{customer.accounts[0]}", token)
    assert set(account) == {"id", "object", "currency", "state"}
    entries = customer.get(f"{ACCOUNTS}/{customer.accounts[0]}/entries", token)["data"]
    assert entries and all("balance" not in e for e in entries)


def test_a_frequency_holds_per_day_and_account(customer):
    token, _, _ = customer.consent({"type": "account_information", "permissions": ["balances"], "accounts": customer.accounts[:2],
                                    "frequency_per_day": 2})
    first, second = customer.accounts[:2]
    for _ in range(2):
        customer.get(f"{ACCOUNTS}/{first}", token)
    refused(customer.client.fetch(token, f"{ACCOUNTS}/{first}"), 403, "consent_limit_exceeded")
    customer.get(f"{ACCOUNTS}/{second}", token)


def test_a_consent_to_read_does_not_pay_and_one_to_pay_does_not_read(customer):
    reading, _, _ = customer.consent({"type": "account_information", "permissions": ["balances"]})
    refused(customer.pay(reading, 1), 403, "insufficient_scope")
    refused(customer.client.fetch(reading, PAYMENTS), 403, "insufficient_scope")
    paying, _, _ = customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(1)})
    refused(customer.client.fetch(paying, ACCOUNTS), 403, "insufficient_scope")


def test_what_is_the_partners_own_is_not_opened_by_a_customers_token(customer):
    token, _, id = customer.consent({"type": "account_information", "permissions": ["balances"]})
    for path in (CONSENTS, f"{CONSENTS}/{id}", f"{CONSENTS}/{id}/receipts"):
        refused(customer.client.fetch(token, path), 403, "insufficient_scope")
    refused(customer.client.fetch(token, f"{CONSENTS}/{id}", "DELETE"), 403, "insufficient_scope")


# ---- payments ----

def test_a_payment_executes_once_and_only_as_it_was_granted(customer):
    token, _, id = customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(1234),
                                     "debtor_account": customer.accounts[0]})
    for amount, pointer, changes in (
            (1233, "/amount/amount", {}), (1235, "/amount/amount", {}),
            (1234, "/creditor_account", {"creditor_account": customer.other_payee}),
            (1234, "/debtor_account", {"debtor_account": customer.accounts[1]})):
        body = refused(customer.pay(token, amount, **changes), 403, "consent_mismatch")
        assert body["errors"][0]["pointer"] == pointer
    paid = customer.pay(token, 1234, key="once-" + id)
    assert paid.status_code == 201 and paid.json()["consent"] == id, paid.text
    refused(customer.pay(token, 1234), 403, "consent_consumed")
    consent = customer.get(f"{CONSENTS}/{id}")
    assert (consent["status"], consent["ended_by"]) == ("COND", "use")
    receipt = customer.get(f"{CONSENTS}/{id}/receipts")["data"][0]
    assert (receipt["payment"], receipt["outcome"], receipt["amount"]) == (paid.json()["id"], "succeeded", money(1234))
    assert receipt["request_id"] == paid.headers["x-request-id"]

    # the retry of a lost answer, and reading what was paid
    again = customer.pay(token, 1234, key="once-" + id, reference=paid.json()["reference"])
    assert again.status_code == 201 and again.json() == paid.json() and again.headers["idempotency-replayed"] == "true"
    assert customer.get(f"{PAYMENTS}/{paid.json()['id']}", token) == paid.json()


def test_a_key_answers_under_the_consent_it_was_used_under_and_nowhere_else(customer):
    first, refresh, _ = customer.consent(mandate(100, ("Month", 1000)))
    second, _, other = customer.consent(mandate(100, ("Month", 1000)))
    pay = lambda token, key: customer.pay(token, 10, key=key, reference="R-" + key)
    for key, mine, others in (("by-consent-" + other, first, (second, customer.own)), ("by-app-" + other, customer.own, (first, second))):
        paid = pay(mine, key)
        assert paid.status_code == 201, paid.text
        for token in others:
            refused(pay(token, key), 422, "idempotency_key_reused")
        assert pay(mine, key).headers["idempotency-replayed"] == "true"
    # a token that was refreshed is the same consent's
    again = pay(granted(customer.client.refresh(refresh))["access_token"], "by-consent-" + other)
    assert again.status_code == 201 and again.headers["idempotency-replayed"] == "true"
    assert customer.get(f"{CONSENTS}/{other}")["limits"][0]["spent"] == money(0)


def test_a_customers_token_sees_the_payments_of_its_consent_alone(customer):
    tokens = [customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(n)})[0] for n in (11, 22)]
    ids = [customer.pay(token, n).json()["id"] for token, n in zip(tokens, (11, 22))]
    assert [p["id"] for p in customer.get(PAYMENTS, tokens[0])["data"]] == [ids[0]]
    refused(customer.client.fetch(tokens[0], f"{PAYMENTS}/{ids[1]}"), 404, "not_found")
    assert {p["id"] for p in customer.get(PAYMENTS)["data"]} >= set(ids)


def refund(customer, by, payment, amount, key=None):
    path = f"{PAYMENTS}/{payment['id']}/refunds"
    return customer.client.fetch(by, path, "POST", json={"amount": money(amount)}, headers={"Idempotency-Key": key or uuid.uuid4().hex})


def test_a_refund_is_no_part_of_the_consent_that_paid(customer):
    token, _, _ = customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(30)})
    payment = customer.pay(token, 30).json()
    refused(refund(customer, token, payment, 30), 404, "not_found")     # nothing was paid to the consent's account
    assert refund(customer, customer.own, payment, 30).status_code == 201


def test_a_mandate_of_the_payee_covers_refunds_and_is_drawn_on(customer):
    payer, payee = customer.accounts[0], customer.accounts[1]
    body = {"reference": f"T-{uuid.uuid4()}", "debtor_account": payer, "creditor_account": payee, "amount": money(90)}
    paid = customer.client.fetch(customer.own, PAYMENTS, "POST", json=body, headers={"Idempotency-Key": uuid.uuid4().hex}).json()
    token, _, id = customer.consent({"type": "mandate", "debtor_account": payee, "creditor_accounts": [payer], "maximum_individual_amount": money(50),
                                     "periodic_limits": [{"period_type": "Day", "period_alignment": "Calendar", "amount": money(60)}]})
    refused(refund(customer, token, paid, 51), 403, "consent_limit_exceeded")
    made = refund(customer, token, paid, 50, "k-mandate")
    assert (made.status_code, made.json()["state"], made.json()["consent"]) == (201, "succeeded", id)
    refused(refund(customer, token, paid, 11), 403, "consent_limit_exceeded")
    own = refund(customer, customer.own, paid, 1).json()       # by the partner's own access: not the consent's
    assert "consent" not in own
    path = f"{PAYMENTS}/{paid['id']}/refunds"
    assert [r["id"] for r in customer.get(path, token)["data"]] == [made.json()["id"]]
    assert customer.get(made.headers["location"], token)["id"] == made.json()["id"]
    refused(customer.client.fetch(token, f"{path}/{own['id']}"), 404, "not_found")
    receipts = customer.get(f"{CONSENTS}/{id}/receipts")["data"]
    assert [(r["refund"], r["amount"]) for r in receipts if "refund" in r] == [(made.json()["id"], money(50))]


def test_a_declined_payment_does_not_use_the_consent_up(customer):
    token, _, id = customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(50)})
    limit = "update bank.account set limit_each = %s where book = %s and id = %s"
    customer.rows(limit, 49, customer.book, customer.accounts[0])
    try:
        declined = customer.pay(token, 50)
    finally:
        customer.rows(limit, None, customer.book, customer.accounts[0])
    assert (declined.status_code, declined.json()["failure"]["code"]) == (201, "single_limit_exceeded")
    assert customer.get(f"{CONSENTS}/{id}")["status"] == "AUTH"
    assert customer.pay(token, 50).json()["state"] == "succeeded"


def test_sixty_four_payments_at_once_under_one_grant_are_one(customer):
    token, _, id = customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(77)})
    answers = customer.at_once(64, lambda client: customer.pay(token, 77, client=client))
    assert sorted(a.status_code for a in answers) == [201] + [403] * 63
    assert {a.json()["code"] for a in answers if a.status_code == 403} == {"consent_consumed"}
    assert len(customer.get(PAYMENTS, token)["data"]) == 1


def test_a_mandate_counts_exactly_however_many_pay_at_once(customer):
    token, _, id = customer.consent(mandate(100, ("Month", 1000), ("Year", 5000)))
    refused(customer.pay(token, 101), 403, "consent_limit_exceeded")
    answers = customer.at_once(40, lambda client: customer.pay(token, 70, client=client))
    assert [a.status_code for a in answers].count(201) == 14
    left = refused(customer.pay(token, 21), 403, "consent_limit_exceeded")
    assert left["remaining"] == money(20)
    assert customer.pay(token, 20).status_code == 201
    assert [limit["spent"] for limit in customer.get(f"{CONSENTS}/{id}")["limits"]] == [money(1000)] * 2
    assert customer.get(f"{CONSENTS}/{id}")["status"] == "AUTH"


# ---- life ----

def test_a_partner_gives_a_consent_back_and_its_tokens_are_dead_at_once(customer, other_client):
    token, refresh, id = customer.consent({"type": "account_information", "permissions": ["balances"]})
    assert customer.client.works(token)
    stranger = granted(other_client.client_credentials())["access_token"]
    refused(other_client.fetch(stranger, f"{CONSENTS}/{id}", "DELETE"), 403, "insufficient_scope")
    gone = customer.client.fetch(customer.own, f"{CONSENTS}/{id}", "DELETE")
    assert gone.status_code == 204 and gone.content == b""
    refused(customer.client.fetch(token, ACCOUNTS), 403, "consent_revoked")
    assert customer.client.refresh(refresh).json()["error"] == "invalid_grant"
    consent = customer.get(f"{CONSENTS}/{id}")
    assert (consent["status"], consent["ended_by"]) == ("CANC", "partner")
    assert customer.client.fetch(customer.own, f"{CONSENTS}/{id}", "DELETE").status_code == 204


def test_another_partners_consents_are_not_found(customer, fapi, sandbox):
    _, _, id = customer.consent({"type": "account_information", "permissions": ["balances"]})
    other = FapiClient.register(fapi, scope=SCOPE)
    own = granted(other.client_credentials("consents:read consents:write"))["access_token"]
    for method, path in (("GET", f"{CONSENTS}/{id}"), ("DELETE", f"{CONSENTS}/{id}"), ("GET", f"{CONSENTS}/{id}/receipts"),
                         ("GET", f"{CONSENTS}/{new_id('cns')}")):
        refused(other.fetch(own, path, method), 404, "not_found")
    assert other.fetch(own, CONSENTS).json()["data"] == []
    assert customer.get(f"{CONSENTS}/{id}")["status"] == "AUTH"


def test_what_the_customer_revokes_is_over_before_a_worker_has_read_of_it(customer):
    token, _, id = customer.consent(mandate(100, ("Day", 1000)))
    assert customer.pay(token, 1).status_code == 201
    customer.rows("select consent.revoke(%s, %s, 'customer', c.subject, now()) from consent.consent c where c.book = %s and c.id = %s",
                  customer.book, id, customer.book, id)
    refused(customer.pay(token, 1), 403, "consent_revoked")


def ended_by_partner(customer, sandbox, id):
    assert customer.client.fetch(customer.own, f"{CONSENTS}/{id}", "DELETE").status_code == 204


def ended_by_bank(customer, sandbox, id):
    sandbox.cli("consent", "revoke", id)


def ended_by_customer(customer, sandbox, id):
    customer.rows("select consent.revoke(%s, %s, 'customer', c.subject, now()) from consent.consent c where c.id = %s", customer.book, id, id)


def ended_by_time(customer, sandbox, id):
    customer.rows("update consent.consent set ends_at = now() where id = %s", id)
    customer.rows("select consent.expire(%s, now(), 10)", customer.book)


@pytest.mark.parametrize("end, code", [(ended_by_partner, "consent_revoked"), (ended_by_bank, "consent_revoked"),
                                       (ended_by_customer, "consent_revoked"), (ended_by_time, "consent_expired")])
def test_whoever_ended_it_a_token_of_its_own_is_told_so_and_opens_nothing(customer, sandbox, end, code):
    """At once, and still when every worker has read the list of revoked tokens, and when that has forgotten."""
    tokens = {}
    for detail in (mandate(100, ("Day", 1000)), {"type": "account_information", "permissions": ["balances"]}):
        token, refresh, id = customer.consent(detail)
        assert customer.client.fetch(token, "/oauth/userinfo").status_code == 200
        tokens[detail["type"]] = token, refresh
        end(customer, sandbox, id)
    for pause in (0, 1.1):
        time.sleep(pause)
        paying, reading = tokens["mandate"][0], tokens["account_information"][0]
        refused(customer.pay(paying, 1), 403, code)
        for token, path in ((paying, PAYMENTS), (reading, ACCOUNTS), (reading, f"{ACCOUNTS}/{customer.accounts[0]}"), (paying, "/oauth/userinfo")):
            refused(customer.client.fetch(token, path), 403, code)
        for token, refresh in tokens.values():
            assert customer.client.introspect(token).json() == {"active": False}
            assert customer.client.refresh(refresh).json()["error"] == "invalid_grant"
        customer.rows("delete from oauth.revoked_token")


def test_until_enough_have_approved_tokens_open_nothing(customer):
    customer.rows("select consent.set_rule(%s, %s, 'mandate', 2)", customer.book, customer.company)
    token, _, id = customer.consent(mandate(100, ("Day", 1000)))
    consent = customer.get(f"{CONSENTS}/{id}")
    assert (consent["status"], consent["approvals"]) == ("AWAF", {"required": 2, "given": 1})
    refused(customer.pay(token, 1), 403, "consent_pending")
    refused(customer.client.fetch(token, PAYMENTS), 403, "consent_pending")
    second = customer.rows("select id from oauth.user_account where book = %s and id <> %s", customer.book, consent["subject"])[0][0]
    assert customer.rows("select status from consent.decide(%s, %s, %s, true, null, now())", customer.book, id, second) == [("AUTH",)]
    assert customer.pay(token, 1).status_code == 201
    customer.rows("delete from consent.rule where book = %s", customer.book)


def test_a_consent_ends_by_the_clock_of_its_world(fapi, sandbox):
    it = Customer(fapi, sandbox)
    token, refresh, id = it.consent({"type": "account_information", "permissions": ["balances"], "valid_to": "2031-01-01T00:00:00Z"})
    assert it.client.works(token)
    world = it.client.metadata["tongbao_sandbox"]["world"]
    it.rows("update bank.world set clock_offset_ms = extract(epoch from '2031-01-01'::timestamptz - now()) * 1000 where id = %s", world)
    # A worker remembers a world for a second, and the clerk ends what was given.
    wait_until(lambda: it.client.fetch(token, ACCOUNTS).status_code == 403, 2, "the token opens nothing")
    refused(it.client.fetch(token, ACCOUNTS), 403, "consent_expired")
    assert it.get(f"{CONSENTS}/{id}")["status"] == "EXPD"
    wait_until(lambda: it.client.refresh(refresh).status_code != 200, 5, "what was given has ended")


def test_lists_run_in_pages_and_take_filters(customer):
    everything = customer.get(CONSENTS + "?limit=100")["data"]
    assert [c["id"] for c in everything] == sorted((c["id"] for c in everything), reverse=True) and len(everything) > 5
    first = customer.get(CONSENTS + "?limit=2")
    second = customer.get(CONSENTS + f"?limit=2&starting_after={first['next_cursor']}")
    assert [c["id"] for c in first["data"] + second["data"]] == [c["id"] for c in everything[:4]]
    consumed = customer.get(CONSENTS + "?status=COND&limit=100")["data"]
    assert consumed == [c for c in everything if c["status"] == "COND"]
    assert {c["type"] for c in customer.get(CONSENTS + "?type=mandate")["data"]} == {"mandate"}
    refused(customer.client.fetch(customer.own, CONSENTS + "?status=odd"), 400, "bad_parameter")
    path = f"{CONSENTS}/{consumed[-1]['id']}/receipts?limit=1"
    first = customer.get(path)
    assert len(first["data"]) == 1
