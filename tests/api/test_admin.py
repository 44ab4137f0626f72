"""What operators do by the command line: partners, apps, secrets, grants and consents, and the record of it all."""

import json

import pytest

from harness.client import Client
from harness.fapi import FapiClient, refused
from harness.partner import Partner
from harness.sandbox import wait_until

FOUND, USAGE = 1, 2
WITHIN_S = 1  # what a worker remembers is at most so old


@pytest.fixture
def run(sandbox):
    """`run("partner", "list")`: what it printed, as JSON."""
    def run(*arguments, exit_code=0):
        said = sandbox.cli(*arguments, "--json", exit_code=exit_code)
        return json.loads(said) if exit_code == 0 else said
    return run


@pytest.fixture
def partner(run):
    return run("partner", "create", "Jiangnan Fintech")["id"]


@pytest.fixture
def world(run, sandbox):
    return run("app", "show", sandbox.env["TB_CLIENT_ID"])["world"]


@pytest.fixture
def app(run, partner, world, tmp_path):
    """An app of the partner with a secret: (id, secret)."""
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps({"client_name": "Treasury", "plain_bearer_tokens": True}))
    made = run("app", "create", "Treasury", "--partner", partner, "--world", world, "--metadata", str(metadata))
    return made["id"], made["client_secret"]


@pytest.fixture
def ask(fapi):
    """`ask(app, secret)`: the answer of the token endpoint."""
    def ask(app, secret):
        return fapi.http().post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(app, secret))
    return ask


def acts_of(run, thing):
    return [a["act"] for a in run("act", "list", thing)]


# ---- partners and apps ----

def test_a_partner_is_made_stopped_and_let_go_on(run, partner):
    assert {"id": partner, "name": "Jiangnan Fintech", "state": "active"}.items() <= run("partner", "list")[-1].items()
    assert run("partner", "suspend", partner)["state"] == "suspended"
    assert run("partner", "suspend", partner)["state"] == "suspended"
    assert partner in [p["id"] for p in run("partner", "list", "--state", "suspended")]
    assert run("partner", "resume", partner)["state"] == "active"
    assert acts_of(run, partner) == ["partner.create", "partner.suspend", "partner.resume"]


def test_an_app_of_the_bank_gets_a_token_and_uses_what_it_is_entitled_to(run, app, ask, fapi):
    answer = ask(*app)
    assert answer.status_code == 200, answer.text
    with Client(fapi.url, fapi.ca, answer.json()["access_token"]) as client:
        assert client.get("/accounts/v1/accounts").status_code == 403
        run("entitlement", "grant", app[0], "accounts", "GET /accounts/v1/accounts")
        wait_until(lambda: client.get("/accounts/v1/accounts").status_code == 200, WITHIN_S, "the entitlement counts")
    shown = run("app", "show", app[0])
    assert shown["entitlements"] == ["accounts GET /accounts/v1/accounts"] and shown["plain_tokens"] is True
    assert len(shown["secrets"]) == 1 and app[1] not in json.dumps(shown)


def test_two_secrets_are_good_at_a_time(run, app, ask):
    client, first = app
    second = run("app", "secret", client)["client_secret"]
    assert [ask(client, s).status_code for s in (first, second)] == [200, 200]
    third = run("app", "secret", client)["client_secret"]
    assert [ask(client, s).status_code for s in (first, second, third)] == [401, 200, 200]
    fourth = run("app", "secret", client, "--overlap", "0")["client_secret"]
    assert [ask(client, s).status_code for s in (second, third, fourth)] == [401, 401, 200]
    shown = run("act", "list", client)
    assert [a["act"] for a in shown] == ["app.create", "client.register"] + 3 * ["app.secret"]
    assert not any(s in json.dumps(shown) for s in (first, second, third, fourth))


def test_a_suspended_app_gets_no_token_and_its_tokens_stop(run, app, ask, fapi):
    client, secret = app
    run("entitlement", "grant", client, "accounts")
    token = ask(client, secret).json()["access_token"]
    with Client(fapi.url, fapi.ca, token) as theirs:
        assert theirs.get("/accounts/v1/accounts").status_code == 200
        run("app", "suspend", client)
        refused(ask(client, secret), 401, "invalid_client")
        wait_until(lambda: theirs.get("/accounts/v1/accounts").json().get("code") == "stopped", WITHIN_S, "it is stopped")
        run("app", "resume", client)
        wait_until(lambda: theirs.get("/accounts/v1/accounts").status_code == 200, WITHIN_S, "it goes on")
    assert ask(client, secret).status_code == 200


def test_a_resource_server_is_made_by_the_bank(run, app):
    assert run("app", "show", app[0])["resource_server"] is False
    for more, now in (((), True), ((), True), (("--off",), False)):
        run("app", "server", app[0], *more)
        assert run("app", "show", app[0])["resource_server"] is now
    assert acts_of(run, app[0])[2:] == ["app.server", "app.server"]


@pytest.mark.parametrize("arguments", [
    ("partner", "suspend", "ptr_nobody"), ("partner", "resume", "ptr_nobody"), ("partner", "revoke", "ptr_nobody"),
    ("app", "show", "app_nobody"), ("app", "suspend", "app_nobody"), ("app", "revoke", "app_nobody"), ("app", "secret", "app_nobody"),
    ("app", "server", "app_nobody"),
    ("entitlement", "grant", "app_nobody", "example"), ("entitlement", "withdraw", "app_nobody", "example"),
    ("interface", "start", "nothing"), ("grant", "revoke", "grn_nobody"), ("consent", "show", "cns_nobody"),
    ("consent", "revoke", "cns_nobody")])
def test_what_is_not_there_is_told_with_exit_code_1(sandbox, arguments):
    assert sandbox.cli(*arguments, exit_code=FOUND) == ""


def test_an_app_needs_a_partner_a_world_and_good_metadata(sandbox, partner, world, tmp_path):
    sandbox.cli("app", "create", "X", exit_code=USAGE)
    sandbox.cli("app", "create", "X", "--partner", partner, "--world", "wld_nowhere", exit_code=FOUND)
    sandbox.cli("app", "create", "X", "--partner", "ptr_nobody", "--world", world, exit_code=FOUND)
    for content in ("{", '{"grant_types":["password"]}', "[]"):
        bad = tmp_path / "bad.json"
        bad.write_text(content)
        sandbox.cli("app", "create", "X", "--partner", partner, "--world", world, "--metadata", str(bad), exit_code=FOUND)
    sandbox.cli("app", "create", "X", "--partner", partner, "--world", world, "--metadata", "/nowhere.json", exit_code=FOUND)
    assert json.loads(sandbox.cli("app", "list", "--partner", partner, "--json")) == []


# ---- grants and consents ----

@pytest.fixture
def granted(fapi):
    """A client to whom a customer has granted something, and the tokens of it."""
    client = FapiClient.register(fapi)
    return client, client.tokens()


def test_a_grant_is_listed_and_ended_with_its_tokens(run, granted):
    client, tokens = granted
    grant, = run("grant", "list", "--app", client.id)
    assert grant["user"].startswith("usr_") and grant["consent"].startswith("cns_")
    assert run("grant", "revoke", grant["id"])["state"] == "ended"
    refused(client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    wait_until(lambda: client.fetch(tokens["access_token"]).status_code == 401, WITHIN_S, "the token has ended")
    assert run("grant", "list", "--app", client.id) == []
    ended, = run("grant", "list", "--app", client.id, "--all")
    assert ended["ended_at"] and ended["ended_by"].startswith("operator:")
    assert acts_of(run, grant["id"]) == ["grant.revoke"]


def test_a_consent_is_shown_and_ended_with_everything_under_it(run, granted):
    client, tokens = granted
    consent, = run("consent", "list", "--app", client.id, "--status", "AUTH")
    assert run("consent", "show", consent["id"])["id"] == consent["id"]
    assert run("consent", "revoke", consent["id"])["state"] == "CANC"
    refused(client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    answer = client.fetch(tokens["access_token"])
    assert (answer.status_code, answer.json()["code"]) == (403, "consent_revoked")
    assert acts_of(run, consent["id"]) == ["consent.revoke"]
    assert run("consent", "revoke", consent["id"])["state"] == "CANC"
    assert acts_of(run, consent["id"]) == ["consent.revoke"]


def test_a_partners_exit_ends_everything_it_has(run, granted, db):
    client, tokens = granted
    partner = client.metadata["tongbao_sandbox"]["partner"]
    assert run("partner", "revoke", partner)["state"] == "revoked"
    refused(client.client_credentials(), 401, "invalid_client")
    refused(client.refresh(tokens["refresh_token"]), 401, "invalid_client")
    headers = {"Authorization": "Bearer " + client.metadata["registration_access_token"]}
    refused(client.server.http().get(client.metadata["registration_client_uri"], headers=headers), 401, "invalid_token")
    wait_until(lambda: client.fetch(tokens["access_token"]).status_code == 401, WITHIN_S, "the token has ended")
    assert run("grant", "list", "--app", client.id) == [] and run("consent", "list", "--app", client.id, "--status", "AUTH") == []
    assert {a["state"] for a in run("app", "list", "--partner", partner)} == {"revoked"}
    with db.cursor() as cursor:
        for left in ("oauth.client where app", "oauth.client_secret where app", "oauth.certificate where client"):
            cursor.execute(f"select count(*) from {left} = %s", (client.id,))
            assert cursor.fetchone() == (0,), left
        cursor.execute("select count(*) from bank.account_access where partner = %s", (partner,))
        assert cursor.fetchone() == (0,)
    run("partner", "resume", partner, exit_code=FOUND)
    run("app", "resume", client.id, exit_code=FOUND)


# ---- the record ----

def test_who_did_what_to_what_and_how_it_was_before(run, partner):
    run("partner", "suspend", partner)
    made, suspended = run("act", "list", partner)
    assert made["who"].startswith("operator:") and made["before"] is None and made["after"]["name"] == "Jiangnan Fintech"
    assert suspended["before"] == {"state": "active"} and suspended["after"] == {"state": "suspended"}
    assert suspended["n"] > made["n"] and suspended["at"] >= made["at"]


@pytest.mark.parametrize("damage, repair", [
    ("update tb.audit_entry set who = 'operator:nobody' where n = %(n)s", "update tb.audit_entry set who = %(who)s where n = %(n)s"),
    ("update tb.audit_entry set after = '{}' where n = %(n)s", "update tb.audit_entry set after = %(after)s where n = %(n)s"),
    ("update tb.audit_entry set at = at + interval '1 ms' where n = %(n)s", "update tb.audit_entry set at = at - interval '1 ms' where n = %(n)s"),
    ("update tb.audit_entry set hash = sha256('x') where n = %(n)s", "update tb.audit_entry set hash = %(hash)s where n = %(n)s"),
    ("delete from tb.audit_entry where n = %(n)s", "insert into tb.audit_entry values (%(n)s, %(at)s, %(who)s, %(act)s, %(object)s, null, "
                                              "%(after)s, %(prev)s, %(hash)s)"),
])
def test_the_audit_sees_that_an_act_was_changed_or_left_out(sandbox, run, partner, db, damage, repair):
    run("partner", "suspend", partner)
    run("partner", "resume", partner)
    with db.cursor() as cursor:
        cursor.execute("select n, at, who, act, object, after::text, prev, hash from tb.audit_entry where object = %s order by n limit 1",
                       (partner,))
        row = dict(zip(("n", "at", "who", "act", "object", "after", "prev", "hash"), cursor.fetchone()))
        assert sandbox.cli("audit", "--json") == "[]\n"
        cursor.execute(damage, row)
        try:
            found = json.loads(sandbox.cli("audit", "--json", exit_code=FOUND))
        finally:
            cursor.execute(repair, row)
    assert {v["invariant"] for v in found} == {"act_chain"} and found[0]["object"] in (str(row["n"]), str(row["n"] + 1))
    assert "newest has the hash" in sandbox.cli("audit")


def test_acts_at_once_make_one_chain(sandbox, run):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: run("partner", "create", f"At once {n}")["id"], range(8)))
    assert len(set(made)) == 8
    assert sandbox.cli("audit", "--json") == "[]\n"


def test_ids_that_were_made_by_hand_are_found_too(run, sandbox):
    partner = Partner(sandbox, "By hand")
    assert run("app", "show", partner.app)["metadata"] is None
    assert run("entitlement", "list", partner.app)[0]["product"] == ""
