"""A payment under a mandate, with a worker that dies in the middle of it: one payment, drawn on once, receipted once."""

import os
import time
import uuid

import httpx
import pytest

from harness import Sandbox
from harness.fapi import FapiClient, Server, granted
from harness.sandbox import ROOT, wait_until

FAULTY_BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build-asan")
PAYMENTS, CONSENTS = "/e-payment/v1/payments", "/consents/v1/consents"
SCOPE = "openid e-payment:read e-payment:write consents:read"


def pay_until_answered(client, token, body, key, seconds=30):
    """The same request under the same key until there is an answer that settles it; each try over a new connection."""
    until = time.monotonic() + seconds
    while True:
        try:
            once = client.on_a_connection_of_its_own()
            answer = once.fetch(token, PAYMENTS, "POST", json=body, headers={"Idempotency-Key": key})
            once.server.close()
            if answer.status_code < 500 and answer.status_code not in (408, 409, 429):
                return answer
        except httpx.TransportError:
            pass
        assert time.monotonic() < until, "no answer that settles it"
        time.sleep(0.2)


# The payment that sandbox/up makes is the first visit; the second dies.
@pytest.mark.parametrize("label", ["key_claimed", "before_ledger_tx", "in_ledger_tx", "after_commit_before_reply"])
def test_a_worker_that_dies_in_the_middle_draws_on_a_mandate_once(label, tmp_path):
    settings = {"TB_WORKERS": "1", "TB_FAULT": f"{label}:kill:2", "TB_FAULT_DIR": str(tmp_path)}
    with Sandbox(build=FAULTY_BUILD, settings=settings) as sandbox:
        client = FapiClient.register(Server(sandbox), scope=SCOPE)
        accounts = [a["id"] for a in client.metadata["tongbao_sandbox"]["accounts"] if a["currency"] == "CNY"]
        limit = {"period_type": "Day", "period_alignment": "Calendar", "amount": {"amount": 900, "currency": "CNY"}}
        token = client.tokens({"scope": "openid", "authorization_details": [{
            "type": "mandate", "debtor_account": accounts[0], "maximum_individual_amount": {"amount": 500, "currency": "CNY"},
            "periodic_limits": [limit]}]})["access_token"]
        body = {"reference": f"FAULT-{label}", "debtor_account": accounts[0], "creditor_account": accounts[-1],
                "amount": {"amount": 450, "currency": "CNY"}}
        key, victim = str(uuid.uuid4()), sandbox.pids()
        first = pay_until_answered(client, token, body, key)
        assert os.listdir(tmp_path), "the fault did not happen"
        wait_until(lambda: sandbox.pids() not in ([], victim), 10, "another worker serves")
        again = pay_until_answered(client, token, body, key)
        assert first.status_code == again.status_code == 201 and first.content == again.content
        assert again.headers["idempotency-replayed"] == "true"

        client = client.on_a_connection_of_its_own()
        own = granted(client.client_credentials("consents:read"))["access_token"]
        consent = client.fetch(own, CONSENTS).json()["data"][0]
        assert consent["limits"][0]["spent"]["amount"] == 450
        receipts = client.fetch(own, f"{CONSENTS}/{consent['id']}/receipts").json()["data"]
        assert [r["payment"] for r in receipts] == [first.json()["id"]]
        assert pay_until_answered(client, token, {**body, "reference": "REST"}, str(uuid.uuid4())).status_code == 201
        assert pay_until_answered(client, token, {**body, "reference": "OVER"}, str(uuid.uuid4())).status_code == 403
        client.server.close()
        sandbox.cli("audit")
