"""A refund under an agreement, with a worker that dies in the middle of it, or with PostgreSQL: the money went back once, and the
agreement counted what went."""

import os
import uuid

import pytest

from harness import Sandbox
from harness.faults import FAULTY_BUILD, Asked, Held, kill, rows, until_settled
from harness.partner import Partner
from harness.sandbox import wait_until

REFUND, LIMIT = 400, 900


def prepared(sandbox):
    """A payment into another partner's account, whose owner lets the payer's partner refund LIMIT in all; (payment, agreement)."""
    payer, shop = Partner(sandbox, "Payer's partner"), Partner(sandbox, "Shop's partner")
    with payer.client() as client:
        payment = client.pay(payer.account(minor=1000), shop.account(minor=0), 1000).json()
    agreement = sandbox.cli("agreement", "add", payment["creditor_account"], payer.id, "--limit", str(LIMIT), "--period", "Whole").split()[0]
    return payer, shop, payment, agreement


def refund_until_answered(sandbox, token, payment, key, amount=REFUND):
    def refund():
        with sandbox.client(token, timeout=8.0) as client:
            return client.post(f"/e-payment/v1/payments/{payment['id']}/refunds", {"amount": {"amount": amount, "currency": "CNY"}}, key=key)
    return until_settled(refund)


def assert_one_refund(sandbox, payment, agreement, first, again):
    assert first.status_code == again.status_code == 201 and first.content == again.content
    assert again.headers["idempotency-replayed"] == "true" and first.json()["agreement"] == agreement
    assert rows(sandbox, "select sum(uses_n)::int, sum(amount)::int from bank.agreement_use where agreement = %s", agreement) == [(1, REFUND)]
    assert rows(sandbox, "select balance from bank.account where id = %s", payment["creditor_account"]) == [(1000 - REFUND,)]
    sandbox.cli("audit")


# The payment of sandbox/up is the first visit, the one made here the second; the third dies.
@pytest.mark.parametrize("label", ["key_claimed", "before_ledger_tx", "in_ledger_tx", "after_commit_before_reply"])
def test_a_worker_that_dies_in_a_refund_leaves_one_refund_and_one_use(label, tmp_path):
    settings = {"TB_WORKERS": "1", "TB_FAULT": f"{label}:kill:3", "TB_FAULT_DIR": str(tmp_path)}
    with Sandbox(build=FAULTY_BUILD, settings=settings) as sandbox:
        payer, _, payment, agreement = prepared(sandbox)
        token, key, victim = payer.token(), str(uuid.uuid4()), sandbox.pids()
        first = refund_until_answered(sandbox, token, payment, key)
        assert os.listdir(tmp_path), "the fault did not happen"
        wait_until(lambda: sandbox.pids() not in ([], victim), 10, "another worker serves")
        again = refund_until_answered(sandbox, token, payment, key)
        assert_one_refund(sandbox, payment, agreement, first, again)
        over = refund_until_answered(sandbox, token, payment, str(uuid.uuid4()), LIMIT - REFUND + 1)
        assert (over.status_code, over.json()["code"]) == (409, "refund_not_authorised")


@pytest.mark.parametrize("victim", ["workers", "postgres"])
def test_killed_between_the_money_and_its_count_neither_or_both_are_there(victim):
    with Sandbox(build=FAULTY_BUILD, settings={"TB_WORKERS": "1"}) as sandbox:
        payer, _, payment, agreement = prepared(sandbox)
        token, key = payer.token(), str(uuid.uuid4())
        # the transfer is written; the count has to wait
        with Held(sandbox, "lock table bank.agreement_use in share row exclusive mode") as held:
            asked = Asked(lambda: sandbox.client(token).post(f"/e-payment/v1/payments/{payment['id']}/refunds",
                                                             {"amount": {"amount": REFUND, "currency": "CNY"}}, key=key))
            held.wait()
            kill(sandbox, victim)
        asked.end()
        first = refund_until_answered(sandbox, token, payment, key)
        assert_one_refund(sandbox, payment, agreement, first, refund_until_answered(sandbox, token, payment, key))
