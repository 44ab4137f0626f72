"""What an app may use: nothing that was not agreed; and what the bank stops, stops for all within a second."""

import json

import pytest

from harness.client import assert_problem
from harness.partner import Partner
from harness.sandbox import wait_until

PING, PING_KEY = "/example/v1/ping", "GET /example/v1/ping"
ACCOUNTS, ACCOUNTS_KEY = "/accounts/v1/accounts", "GET /accounts/v1/accounts"
WITHIN_S = 1  # what a worker remembers is at most so old


def status(client, path=PING):
    return client.get(path).status_code


def all_get(wanted, clients):
    """Within a second, on whichever worker."""
    wait_until(lambda: {status(c) for c in clients} == {wanted}, WITHIN_S, f"{wanted} for all")


@pytest.mark.parametrize("entitlements, open_paths", [
    ([], []),
    ([("", "")], [PING, ACCOUNTS]),
    ([("example", "")], [PING]),
    ([("example", PING_KEY)], [PING]),
    ([("accounts", ACCOUNTS_KEY)], [ACCOUNTS]),
    ([("example", ""), ("accounts", "")], [PING, ACCOUNTS]),
    ([("accounts", PING_KEY)], []),
    ([("exampl", ""), ("example", "POST /example/v1/ping"), ("accounts", "GET /accounts/v1/accounts/{account_id:acc}")], []),
])
def test_an_app_may_use_what_was_agreed_and_nothing_else(sandbox, entitlements, open_paths):
    with Partner(sandbox, "Entitled", entitlements=entitlements).client() as client:
        for path in (PING, ACCOUNTS):
            answer = client.get(path)
            if path in open_paths:
                assert answer.status_code == 200, answer.text
            else:
                assert "no entitlement" in assert_problem(answer, 403, "not_entitled")["detail"]


def test_one_operation_does_not_open_its_product(sandbox):
    partner = Partner(sandbox, "One operation", entitlements=[("accounts", ACCOUNTS_KEY)])
    account = partner.account()
    with partner.client() as client:
        assert status(client, ACCOUNTS) == 200
        assert_problem(client.get(f"{ACCOUNTS}/{account}"), 403, "not_entitled")
        assert_problem(client.post("/e-payment/v1/payments", {}), 403, "not_entitled")


def test_an_entitlement_of_the_other_environment_counts_for_nothing(sandbox):
    partner = Partner(sandbox, "Other environment", entitlements=[])
    partner.run("insert into bank.entitlement (app, product, environment, operation, since) values (%s, '', 'live', '', now())",
                partner.app)
    with partner.client() as client:
        assert "in the sandbox environment" in assert_problem(client.get(PING), 403, "not_entitled")["detail"]


def test_the_trace_says_why_and_can_be_read_without_any_entitlement(sandbox):
    with Partner(sandbox, "Traced", entitlements=[]).client() as client:
        name = client.get(PING).headers["x-request-id"]
        trace = client.get(f"/traces/v1/traces/{name}")
    assert trace.status_code == 200, trace.text
    assert trace.json()["refused_by"] == "entitle" and f"covers {PING_KEY} in the sandbox" in trace.json()["why"]


def test_entitlements_are_granted_and_withdrawn_within_a_second_on_every_worker(sandbox):
    partner = Partner(sandbox, "Granted", entitlements=[])
    clients = [partner.client() for _ in range(4)]
    assert {status(c) for c in clients} == {403}
    sandbox.cli("entitlement", "grant", partner.app, "example")
    all_get(200, clients)
    sandbox.cli("entitlement", "withdraw", partner.app, "example")
    all_get(403, clients)
    for c in clients:
        c.close()


@pytest.mark.parametrize("operation", ["", PING_KEY])
def test_a_stopped_interface_refuses_everybody_within_a_second(sandbox, anyone, operation):
    partner = Partner(sandbox, "Stopped")
    clients = [partner.client() for _ in range(4)]
    assert {status(c) for c in clients} == {200}
    where = ["example"] + ([operation] if operation else [])
    try:
        sandbox.cli("interface", "stop", *where, "--reason", "a drill")
        all_get(403, clients)
        answers = [c.get(PING) for c in clients]
        for answer in answers:
            assert "the bank has stopped" in assert_problem(answer, 403, "stopped")["detail"]
            assert "drill" not in answer.text
        whole = anyone.get(f"/operator/traces/{answers[0].headers['x-request-id']}").json()
        assert whole["refused_by"] == "entitle" and whole["cause"] == "a drill"
        assert status(clients[0], ACCOUNTS) == 200
    finally:
        sandbox.cli("interface", "start", *where)
    all_get(200, clients)
    for c in clients:
        c.close()


def test_a_suspended_partner_stops_with_all_its_apps(sandbox):
    partner = Partner(sandbox, "Two apps")
    first = partner.client()
    partner.app = partner.add_app([])
    second = partner.client()
    assert (status(first), status(second)) == (200, 200)
    sandbox.cli("partner", "suspend", partner.id)
    all_get(403, (first, second))
    for client in (first, second):
        assert_problem(client.get(PING), 403, "stopped")
    sandbox.cli("partner", "resume", partner.id)
    all_get(200, (first, second))
    first.close()
    second.close()


def test_tokens_bound_to_nobody_are_for_apps_that_may_use_them(sandbox):
    partner = Partner(sandbox, "Bound")
    with partner.client() as client:
        assert status(client) == 200
        partner.run("update bank.app set plain_tokens = false where id = %s", partner.app)
        all_get(401, [client])
        answer = client.get(PING)
        assert_problem(answer, 401, "token_invalid")
        assert answer.json()["detail"] .startswith("the access token is bound to nobody, which the app's own setting does not allow")


def many(partner, n, environment="sandbox"):
    """So many entitlements of operations that stand before those of the product `example`; none of them is served."""
    partner.run("insert into bank.entitlement (app, product, environment, operation, since)"
                " select %s, 'accounts', %s, 'GET /' || %s || '/v1/' || i, now() from generate_series(1, %s) i",
                partner.app, environment, environment, n)


@pytest.mark.parametrize("n", [498, 499, 500, 511, 512, 600, 9_999])
def test_an_entitlement_behind_many_others_counts(sandbox, n):
    partner = Partner(sandbox, "Entitled to much", entitlements=[("example", PING_KEY)])
    many(partner, n)
    with partner.client() as client:
        assert status(client) == 200
        assert_problem(client.get(ACCOUNTS), 403, "not_entitled")


def test_no_more_entitlements_are_granted_than_are_read(sandbox):
    partner = Partner(sandbox, "Entitled to all there is", entitlements=[])
    many(partner, 9_999)
    assert len(json.loads(sandbox.cli("entitlement", "list", partner.app, "--json"))) == 9_999
    many(partner, 500, environment="live")
    sandbox.cli("entitlement", "grant", partner.app, "example", PING_KEY)
    with partner.client() as client:
        assert status(client) == 200
    sandbox.cli("entitlement", "grant", partner.app, "example", exit_code=1)
    sandbox.cli("entitlement", "grant", partner.app, "example", PING_KEY)  # it has this one
    sandbox.cli("entitlement", "withdraw", partner.app, "accounts", "GET /sandbox/v1/17")
    sandbox.cli("entitlement", "grant", partner.app, "example")


def test_limits_of_a_thousand_operations_are_each_their_own(sandbox):
    limits = [("accounts", f"GET /accounts/v1/{n}", "own", 1_000, 60_000) for n in range(1_000)]
    partner = Partner(sandbox, "Limited in much", limits=limits + [("example", PING_KEY, "own", 2, 3_600_000)])
    with partner.client() as client:
        assert [status(client) for _ in range(3)] == [200, 200, 429]
        assert client.get(ACCOUNTS).headers["ratelimit-policy"].startswith('"burst"')


def test_two_apps_with_many_entitlements_do_not_mix(sandbox):
    """More lines than one page of memory, and stops among them."""
    many = [("example", f"GET /example/v1/{n}") for n in range(300)]
    one, two = Partner(sandbox, "Many", entitlements=many + [("example", PING_KEY)]), Partner(sandbox, "Few", entitlements=many[:3])
    with one.client() as first, two.client() as second:
        for _ in range(3):
            assert (status(first), status(second)) == (200, 403)
