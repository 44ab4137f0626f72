"""The scripts of lua/examples on a gateway: what their tests say of decisions holds for payments, too."""

import datetime
import json
import os
import uuid
from zoneinfo import ZoneInfo

import pytest

from harness.client import assert_problem
from harness.sandbox import ROOT
from harness.scripted import Scripted

PAYMENTS = "/e-payment/v1/payments"


@pytest.fixture(scope="module")
def partner(sandbox):
    return Scripted(sandbox)


@pytest.fixture
def example(partner):
    """Activates an example by its name, with tables."""
    def run(name, **tables):
        with open(os.path.join(ROOT, "lua/examples", name + ".lua"), encoding="utf-8") as script:
            partner.activate(script.read())
        for table, entries in tables.items():
            for key, value in entries.items():
                partner.put(table, key, json.dumps(value))
    yield run
    assert partner.failures() == []


def paid(answer):
    assert answer.status_code == 201, answer.text
    return answer.json()


def denied(answer, code):
    assert_problem(answer, 403, "script_denied")
    assert answer.json()["script"]["code"] == code


@pytest.mark.parametrize("amount, channel", [(5000000, "instant"), (5000001, "batch"), (100000001, "gross")])
def test_split_route(partner, example, amount, channel):
    example("split_route")
    assert partner.trace(partner.pay(amount))["scripts"][0]["verdict"] == "route"
    assert paid(partner.pay(1))["channel"] == "instant"


def test_map_erp(partner, example):
    example("map_erp", vendors={"100234": {"account": partner.b}})
    number = uuid.uuid4().hex
    document = {"BELNR": number, "HKONT": partner.a, "LIFNR": "100234", "WRBTR": "1,234.50", "WAERS": "CNY", "SGTXT": "纸"}
    payment = paid(partner.http.post(PAYMENTS, document))
    assert (payment["reference"], payment["purpose"]) == (number, "纸")
    assert payment["amount"] == {"amount": 123450, "currency": "CNY"}
    denied(partner.http.post(PAYMENTS, {**document, "WRBTR": "1.234,50"}), "bad_amount")
    denied(partner.http.post(PAYMENTS, {**document, "WAERS": "RMB"}), "bad_amount")


def test_sum_document(partner, example):
    example("sum_document")
    document = {"document": {"number": uuid.uuid4().hex, "currency": "CNY"}, "payer": {"account": partner.a},
                "payee": {"account": partner.b}, "lines": [{"text": "纸", "net": "1,000.00", "tax": "130.00"}, {"net": "0.10", "tax": "0.01"}]}
    payment = paid(partner.http.post(PAYMENTS, document))
    assert payment["amount"] == {"amount": 113011, "currency": "CNY"} and payment["purpose"] == "纸; -"
    assert payment["metadata"] == {"lines": "2", "tax": "130.01 CNY"}
    document["lines"][1]["tax"] = None
    denied(partner.http.post(PAYMENTS, document), "bad_line")


def test_payee_list(partner, example):
    example("payee_list")
    denied(partner.pay(), "unknown_payee")
    partner.put("payees", partner.b, json.dumps({"name": "Wei", "most": 200}))
    assert "cost_centre" not in paid(partner.pay(200, metadata={"cost_centre": "7", "order": "1"}))["metadata"]
    denied(partner.pay(201), "above_payee_limit")


def test_night_approval(partner, example):
    example("night_approval")
    paid(partner.pay(1000000))
    answer = partner.pay(1000001)
    assert answer.status_code == 201 or answer.json()["code"] == "approvals_required", answer.text


def test_working_days(partner, example):
    today = datetime.datetime.now(ZoneInfo("Asia/Shanghai")).date()
    days = [str(today + datetime.timedelta(days=n)) for n in range(-1, 3)]
    years = {day[:4] for day in days}
    example("working_days", calendar={year: {"off": days} for year in years})
    assert_problem(partner.pay(), 403, "approvals_required")
    for year in years:
        partner.run("update script.entry set value = %s where partner = %s and table_name = 'calendar' and key = %s",
                    json.dumps({"work": days}), partner.id, year)
    assert "booked" not in paid(partner.pay()).get("metadata", {})


def test_allocate_remittance(partner, example):
    example("allocate_remittance")
    payment = paid(partner.pay(100, metadata={"invoices": "A:100,B:100,C:100"}))
    assert payment["metadata"]["allocated"] == "A:34,B:33,C:33"
    denied(partner.pay(301, metadata={"invoices": "A:100,B:100,C:100"}), "overpaid")


def test_reminder_text(partner, example):
    example("reminder_text", texts={"en": "Invoice $1 over $2 is due in $3 days"})
    due = datetime.datetime.now(ZoneInfo("Asia/Shanghai")).date() + datetime.timedelta(days=400)
    body = {"reference": uuid.uuid4().hex, "debtor_account": partner.a, "creditor_account": partner.b,
            "amount": {"amount": 123450, "currency": "CNY"}, "metadata": {"due": str(due)}}
    said = paid(partner.http.post(PAYMENTS, body))["purpose"]
    assert said.startswith(f"Invoice {body['reference']} over 1,234.50 CNY is due in ")
    assert int(said.split()[-2]) in (399, 400, 401), "the day may have turned meanwhile"


def test_subsidiary_view(partner, example):
    example("subsidiary_view", subsidiaries={partner.app: {"name": "Wei Trading"}})
    answer = partner.pay(purpose="card 6225880212345678, 房租", metadata={"cost_centre": "7", "order": "1"})
    payment = paid(answer)
    assert payment["purpose"] == "card ****5678, 房租" and payment["metadata"] == {"order": "1"}
    assert answer.headers["link"] == f'<{PAYMENTS}/{payment["id"]}/refunds>; rel="refunds"'
    listed = partner.http.get(PAYMENTS).json()["data"]
    assert listed and not any("purpose" in one or "cost_centre" in one.get("metadata", {}) for one in listed)
    stored = partner.one("select purpose from e_payment.payment where id = %s", payment["id"])
    assert stored == "card 6225880212345678, 房租", "what is kept is the whole"
