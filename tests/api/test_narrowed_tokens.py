"""Tokens narrowed at a refresh (RFC 9396 §6): what such a token says is what it opens, at every operation, and what it uses counts
against the whole consent. Each member by itself is judged in tests/sql/test_narrowing.py."""

import pytest

from harness.customer import ACCOUNTS, CONSENTS, PAYMENTS, Customer, limits, mandate, money, refused


@pytest.fixture(scope="module")
def customer(fapi, sandbox):
    return Customer(fapi, sandbox)


def introspected(customer, token):
    answer = customer.client.introspect(token).json()
    return answer["active"] and answer["authorization_details"][0]


# ---- payments ----

def test_a_narrowed_mandate_pays_what_its_token_says(customer):
    whole, refresh, id = customer.consent(mandate(500, ("Month", 5000)))
    token = customer.narrowed(refresh, maximum_individual_amount=money(100))
    assert introspected(customer, token)["maximum_individual_amount"] == money(100)
    assert introspected(customer, whole)["maximum_individual_amount"] == money(500)
    body = refused(customer.pay(token, 500), 403, "consent_limit_exceeded")
    assert body["errors"][0]["pointer"] == "/amount/amount" and "100" in body["detail"]
    refused(customer.pay(token, 101), 403, "consent_limit_exceeded")
    assert customer.pay(token, 100).status_code == 201
    assert customer.pay(whole, 500).status_code == 201
    assert customer.get(f"{CONSENTS}/{id}")["limits"][0]["spent"] == money(600)


def test_uses_of_the_whole_consent_are_held_against_a_narrower_limit(customer):
    whole, refresh, id = customer.consent(mandate(500, ("Month", 5000)))
    token = customer.narrowed(refresh, periodic_limits=limits(("Month", 300)))
    assert customer.pay(whole, 250).status_code == 201
    assert refused(customer.pay(token, 51), 403, "consent_limit_exceeded")["remaining"] == money(50)
    assert customer.pay(token, 50).status_code == 201
    refused(customer.pay(token, 1), 403, "consent_limit_exceeded")
    assert customer.pay(whole, 500).status_code == 201
    assert customer.get(f"{CONSENTS}/{id}")["limits"][0]["spent"] == money(800)


def test_a_limit_that_only_the_token_has_counts_what_was_paid_before(customer):
    whole, refresh, id = customer.consent(mandate(500, ("Year", 5000)))
    assert customer.pay(whole, 200).status_code == 201
    token = customer.narrowed(refresh, periodic_limits=limits(("Year", 5000), ("Day", 300)))
    assert refused(customer.pay(token, 101), 403, "consent_limit_exceeded")["remaining"] == money(100)
    answers = customer.at_once(8, lambda client: customer.pay(token, 20, client=client))
    assert sorted(a.status_code for a in answers) == [201] * 5 + [403] * 3
    assert customer.pay(whole, 500).status_code == 201
    shown = customer.get(f"{CONSENTS}/{id}")["limits"]
    assert [(limit["period_type"], limit["spent"]) for limit in shown] == [("Year", money(800))]


def test_a_reference_that_only_the_token_names_is_the_only_one(customer):
    whole, refresh, _ = customer.consent({"type": "payment", "creditor_account": customer.payee, "amount": money(9)})
    token = customer.narrowed(refresh, reference="INV-ONLY")
    refused(customer.pay(token, 9), 403, "consent_mismatch")
    assert customer.pay(token, 9, reference="INV-ONLY").status_code == 201
    refused(customer.pay(whole, 9), 403, "consent_consumed")


def test_a_narrowed_token_sees_the_payments_it_could_have_made(customer):
    whole, refresh, _ = customer.consent(mandate(500, ("Month", 5000)))
    here = customer.pay(whole, 10).json()["id"]
    there = customer.pay(whole, 10, creditor_account=customer.other_payee).json()["id"]
    large = customer.pay(whole, 400).json()["id"]
    token = customer.narrowed(refresh, creditor_accounts=[customer.payee], maximum_individual_amount=money(100))
    refused(customer.pay(token, 10, creditor_account=customer.other_payee), 403, "consent_mismatch")
    assert [p["id"] for p in customer.get(PAYMENTS, token)["data"]] == [here]
    assert customer.get(f"{PAYMENTS}/{here}", token)["id"] == here
    for hidden in (there, large):
        refused(customer.client.fetch(token, f"{PAYMENTS}/{hidden}"), 404, "not_found")
    assert [p["id"] for p in customer.get(PAYMENTS, whole)["data"]] == [large, there, here]


def test_a_token_that_begins_later_or_pays_at_other_hours_does_nothing_now(customer):
    _, refresh, id = customer.consent(mandate(500, ("Month", 5000)))
    later = customer.narrowed(refresh, valid_from="2031-01-01T00:00:00Z")
    refused(customer.pay(later, 1), 403, "consent_pending")
    refused(customer.client.fetch(later, PAYMENTS), 403, "consent_pending")
    hour = int(customer.rows("select extract(hour from now() at time zone 'Asia/Shanghai')")[0][0])
    other = (hour + 12) % 24
    token = customer.narrowed(refresh, allowed_hours={"from": f"{other:02}:00", "to": f"{other:02}:59"})
    refused(customer.pay(token, 1), 403, "consent_mismatch")
    assert customer.get(f"{CONSENTS}/{id}")["limits"][0]["spent"] == money(0)


# ---- accounts ----

def test_an_account_that_was_left_out_is_not_there(customer):
    kept, left_out = customer.accounts[:2]
    whole, refresh, _ = customer.consent({"type": "account_information", "permissions": ["balances", "entries", "details"],
                                          "accounts": [kept, left_out]})
    token = customer.narrowed(refresh, accounts=[kept])
    assert [a["id"] for a in customer.get(ACCOUNTS, token)["data"]] == [kept]
    assert customer.get(f"{ACCOUNTS}/{kept}", token)["balances"] and customer.get(f"{ACCOUNTS}/{kept}/entries", token)["data"]
    for path in (f"{ACCOUNTS}/{left_out}", f"{ACCOUNTS}/{left_out}/entries"):
        refused(customer.client.fetch(token, path), 404, "not_found")
        assert customer.client.fetch(whole, path).status_code == 200
    # the next narrowing begins at what was granted, not at what the last token had
    assert [a["id"] for a in customer.get(ACCOUNTS, customer.narrowed(refresh, accounts=[left_out]))["data"]] == [left_out]
    assert introspected(customer, token)["accounts"] == [kept]


def test_a_permission_that_was_left_out_shows_nothing(customer):
    mine = customer.accounts[0]
    _, refresh, _ = customer.consent({"type": "account_information", "permissions": ["balances", "entries", "details"], "accounts": [mine]})
    token = customer.narrowed(refresh, permissions=["details"])
    for account in (customer.get(f"{ACCOUNTS}/{mine}", token), customer.get(ACCOUNTS, token)["data"][0]):
        assert account["name"] and "balances" not in account
    refused(customer.client.fetch(token, f"{ACCOUNTS}/{mine}/entries"), 403, "consent_mismatch")
    token = customer.narrowed(refresh, permissions=["entries"])
    assert set(customer.get(f"{ACCOUNTS}/{mine}", token)) == {"id", "object", "currency", "state"}
    entries = customer.get(f"{ACCOUNTS}/{mine}/entries", token)["data"]
    assert entries and all("balance" not in e for e in entries)


def test_a_frequency_that_only_the_token_has_counts_the_uses_of_the_whole(customer):
    path = f"{ACCOUNTS}/{customer.accounts[0]}"
    whole, refresh, _ = customer.consent({"type": "account_information", "permissions": ["balances"], "accounts": customer.accounts[:1]})
    customer.get(path, whole)
    token = customer.narrowed(refresh, frequency_per_day=3)
    customer.get(path, token)
    customer.get(path, whole)
    refused(customer.client.fetch(token, path), 403, "consent_limit_exceeded")
    customer.get(path, whole)
