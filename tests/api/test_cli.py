"""The command line: what it prints, how it ends, and that it tells the truth about the books."""

import json
import os
import re
import subprocess
import uuid

import pytest

from harness import Sandbox
from harness.partner import Partner
from harness.sandbox import ROOT, wait_until

COMMANDS = ["serve", "reload", "status", "trace", "plugin check", "plugin doc", "plugin new", "migrate", "world seed", "world fill", "token",
            "keys list", "keys rotate", "partner list", "partner create", "partner suspend", "partner resume", "partner revoke",
            "app list", "app create", "app show", "app suspend", "app resume", "app revoke", "app secret", "app server", "entitlement list",
            "entitlement grant", "entitlement withdraw", "interface list", "interface stop", "interface start", "grant list",
            "grant revoke", "consent list", "consent show", "consent revoke", "agreement list", "agreement add", "agreement end", "act list", "user list", "user add", "user reset",
            "user lock", "user unlock", "script list", "script show", "script push", "script review", "script activate",
            "script rollback", "script stop", "script record", "script dry-run", "script test", "table list", "table get",
            "table put", "table delete", "audit", "config"]
DONE, FOUND, USAGE, ENVIRONMENT = 0, 1, 2, 3


@pytest.fixture
def run(sandbox):
    """`run("audit", …)`: the finished process."""
    def run(*arguments, **env):
        return subprocess.run([os.path.join(sandbox.build, "tongbao"), *arguments], capture_output=True, text=True, timeout=60,
                              check=False, env={**sandbox.environment(), "TB_CONFIG": sandbox.env["TB_CONFIG"], **env})
    return run


# ---- help ----

def test_the_overview_has_every_command(run):
    said = run("help")
    assert said.returncode == DONE and not said.stderr
    assert re.findall(r"^  ([a-z]+(?: [a-z-]+)?)  +\S", said.stdout, re.M) == COMMANDS
    assert run("--help").stdout == said.stdout and run("-h").stdout == said.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run, command):
    said = run(*command.split(), "--help")
    assert said.returncode == DONE and not said.stderr
    for part in (f"tongbao {command}: ", f"Usage: tongbao {command}", "Options:", "--config FILE", "--json"):
        assert part in said.stdout
    assert run("help", *command.split()).stdout == said.stdout
    assert all(len(line) <= 110 for line in said.stdout.splitlines())


@pytest.mark.parametrize("arguments, told", [
    ([], "Usage: tongbao COMMAND"), (["audti"], 'did you mean "audit"?'), (["plugin"], "`tongbao help plugin`"),
    (["world", "fil"], 'did you mean "world fill"?'), (["audit", "--jsn"], "unknown option --jsn"), (["audit", "now"], "one argument too many: now"),
    (["token", "--days"], "a value is missing behind --days"), (["audit", "--json=yes"], "no value is taken by --json"),
    (["token", "--days", "32"], "from 1 to 31"), (["token", "--days", "1.5"], "whole number"), (["token", "--days", ""], "whole number"),
    (["world", "fill", "--accounts", "0"], "from 1 to 1000000"), (["plugin", "check"], "an argument is missing"), (["plugin", "new"], "NAME"),
])
def test_a_command_line_that_makes_no_sense_ends_with_2_and_a_hint(run, arguments, told):
    said = run(*arguments)
    assert said.returncode == USAGE and told in said.stderr and not said.stdout


# ---- what is needed is not there ----

def test_a_configuration_that_is_not_there_ends_with_3(run):
    for command in (["audit"], ["migrate"], ["world", "seed"], ["token"]):
        said = run(*command, TB_CONFIG="/nowhere/tongbao.yaml")
        assert said.returncode == ENVIRONMENT and "/nowhere/tongbao.yaml" in said.stderr


def test_a_database_that_is_not_there_ends_with_3(run):
    said = run("audit", TB_STORE_DSN="host=/nowhere dbname=x")
    assert said.returncode == ENVIRONMENT and "books cannot be reached" in said.stderr


def test_an_app_that_is_not_there_ends_with_1(run):
    said = run("token", "--app", "app_01k9x3m6h0g00801v9r5t2n8qd")
    assert said.returncode == FOUND and "app_01k9x3m6h0g00801v9r5t2n8qd" in said.stderr and not said.stdout


@pytest.mark.parametrize("command", [["world", "seed"], ["world", "fill", "--accounts", "1"], ["token"]], ids=" ".join)
def test_what_is_for_sandboxes_is_refused_on_a_live_installation(run, command):
    said = run(*command, TB_SANDBOX="false")
    assert said.returncode == FOUND and "sandbox" in said.stderr and not said.stdout


# ---- config ----

def test_every_key_is_explained_without_a_file(run):
    said = run("config", "--explain", TB_CONFIG="/nowhere")
    assert said.returncode == DONE
    for key in ("workers", "limits.body", "guard.reset_burst", "store.dsn", "rate.burst"):
        assert re.search(rf"^\S*{re.escape(key)}", said.stdout, re.M), key
    rows = json.loads(run("config", "--explain", "--json", TB_CONFIG="/nowhere").stdout)
    assert len(rows) > 40 and all(row["doc"] and "default" in row for row in rows)


def test_every_value_is_shown_with_where_it_comes_from(run, sandbox):
    rows = {row["key"]: row for row in json.loads(run("config", "--json", TB_WORKERS="3").stdout)}
    assert (rows["workers"]["value"], rows["workers"]["source"]) == ("3", "environment")
    assert (rows["listen.port"]["value"], rows["listen.port"]["source"]) == (str(sandbox.port), "file")
    assert rows["limits.page"]["source"] == "default"
    assert sandbox.env["TB_DB"] not in run("config", "--json").stdout + run("config").stdout, "a DSN may have a password"


@pytest.mark.parametrize("text, told", [
    ("workesr: 2\n", "workers"), ("workers: 999\n", "256"), ("workers: two\n", "number"), ("workers: [2]\n", "workers"),
    ("limits: {body: 2GiB}\n", "1MiB"), ("listen: {port: 70000}\n", "65535"), ("workers: 1\nworkers: 2\n", "workers"),
    ("workers: [\n", "expected"), ("log: {level: loud}\n", "debug"), ("watchdog: {timeout: 10}\n", "watchdog.timeout")])
def test_a_wrong_configuration_is_refused_with_its_line(run, tmp_path, text, told):
    path = tmp_path / "tongbao.yaml"
    path.write_text(text)
    said = run("config", TB_CONFIG=str(path))
    assert said.returncode == FOUND and told in said.stderr and re.search(r"tongbao.yaml:\d+:\d+: ", said.stderr), said.stderr
    assert not said.stdout


# ---- migrations, worlds, tokens ----

def test_migrating_again_changes_nothing(run):
    said = run("migrate")
    assert said.returncode == DONE and said.stdout == "the database is up to date\n"
    steps = json.loads(run("migrate", "--json").stdout)
    assert steps and not any(s["applied"] for s in steps)
    assert {"store", "bank", "oauth", "event", "e-payment"} <= {s["set"] for s in steps}
    assert run("migrate", "--check").returncode == DONE


def test_a_migration_that_was_changed_is_refused(run, db):
    with db.cursor() as cursor:
        cursor.execute("update tb.migration set sum = reverse(sum) where set = 'bank'")
        try:
            for arguments in (["migrate"], ["migrate", "--check"]):
                said = run(*arguments)
                assert said.returncode == FOUND and "is not the file that was applied" in said.stderr, said.stderr
        finally:
            cursor.execute("update tb.migration set sum = reverse(sum) where set = 'bank'")
    assert run("migrate").returncode == DONE


def test_the_demo_world_is_made_once(run, sandbox):
    said = json.loads(run("world", "seed", "--json").stdout)
    assert (said["debtor"], said["creditor"]) == (sandbox.debtor, sandbox.creditor)
    assert said["debtor"] in run("world", "seed").stdout


def test_accounts_are_filled_in(run, api):
    said = run("world", "fill", "--accounts", "130")
    accounts = said.stdout.split()
    assert said.returncode == DONE and len(set(accounts)) == 130
    assert all(re.fullmatch(r"acc_[0-9a-hjkmnp-tv-z]{26}", a) for a in accounts)
    assert api.pay(accounts[0], accounts[-1], 1).json()["state"] == "succeeded"
    assert len(json.loads(run("world", "fill", "--accounts", "2", "--json").stdout)) == 2


def test_a_token_opens_what_it_was_minted_for(run, sandbox):
    said = json.loads(run("token", "--scope", "accounts:read example:read", "--days", "2", "--json").stdout)
    assert (said["token_type"], said["expires_in"], said["scope"]) == ("Bearer", 2 * 86400, "accounts:read example:read")
    with sandbox.client(said["access_token"]) as client:
        assert client.get("/accounts/v1/accounts").status_code == 200
        assert client.get("/e-payment/v1/payments").status_code == 403


@pytest.mark.parametrize("scope", [" ", "a  b", "a\nb", 'a"b', "ä", " a", "a "])
def test_a_scope_that_is_none_is_refused(run, scope):
    said = run("token", "--scope", scope)
    assert said.returncode == (USAGE if "\n" in scope else FOUND) and not said.stdout


# ---- plugins ----

def test_plugins_are_checked(run, sandbox, tmp_path):
    schemas = ["--schemas", f"{ROOT}/schemas"]
    good = f"{sandbox.build}/plugins/e_payment.so"
    bad = tmp_path / "bad.so"
    bad.write_bytes(b"\x7fELF nothing more")
    assert run("plugin", "check", *schemas, good).returncode == DONE
    said = run("plugin", "check", "--json", *schemas, good, str(bad))
    assert said.returncode == FOUND
    first, second = json.loads(said.stdout)
    assert first["ok"] and first["name"] == "e-payment" and not second["ok"] and str(bad) in second["why"]
    page = run("plugin", "doc", *schemas, good)
    assert page.returncode == DONE and page.stdout.startswith("# ") and "stateDiagram" in page.stdout


# ---- the service ----

def test_the_status_is_told(run, sandbox):
    said = run("status", "--json")
    assert said.returncode == DONE
    status = json.loads(said.stdout)
    assert status["state"] == "serving" and status["pid"] == sandbox.master() == int(sandbox.env["TB_PID"])
    assert {p["kind"] for p in status["processes"]} >= {"worker", "clerk"}
    assert f"127.0.0.1:{sandbox.port}" in run("status").stdout


def test_where_nothing_runs_the_status_ends_with_3(run, tmp_path):
    for command in ("status", "reload"):
        said = run(command, TB_RUN_DIRECTORY=str(tmp_path))
        assert said.returncode == ENVIRONMENT and "no service runs here" in said.stderr


def test_a_second_service_in_the_same_place_is_refused(run, sandbox):
    said = run("serve", TB_LISTEN_PORT="0")
    assert said.returncode != DONE and (str(sandbox.master()) in said.stderr or "runs" in said.stderr), said.stderr
    assert run("status").returncode == DONE


# ---- audit ----

def test_the_books_are_right(run, api, sandbox):
    api.pay(sandbox.debtor, sandbox.creditor, 1)
    said = run("audit")
    assert said.returncode == DONE and "nothing wrong" in said.stdout, said.stdout
    assert json.loads(run("audit", "--json").stdout) == []


@pytest.fixture(scope="module")
def copy():
    """Books of their own: what is broken here stays broken."""
    with Sandbox(settings={"TB_WORKERS": "1"}) as it:
        yield it


def test_events_are_forgotten_when_they_were_kept_long_enough(copy):
    debtor, creditor = copy.accounts(2)
    with copy.client() as api:
        payment = api.pay(debtor, creditor, 1).json()["id"]
    connection = copy.db()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("insert into event.outbox select at - interval '31 days', book, 'evt_old', partner, 'x.y', 'x', '{}' from event.outbox"
                       " where object = %s", (payment,))
        cursor.execute("update event.outbox set id = 'evt_' || repeat('0', 26) where id = 'evt_old'")

        def ids():
            cursor.execute("select object from event.outbox where object in ('x', %s)", (payment,))
            return [row[0] for row in cursor.fetchall()]
        wait_until(lambda: ids() == [payment], 12, "the old one is forgotten, the new one is not")
    connection.close()
    assert "nothing wrong" in copy.cli("audit")


CORRUPTIONS = [
    ("account_balance", "update bank.account set balance = balance + 1 where id = %(debtor)s"),
    ("account_held", "update bank.account set held = held + 1 where id = %(debtor)s"),
    ("entry_balances", "update bank.transfer set debit_balance = debit_balance - 1 where id = %(transfer)s"),
    ("entry_versions", "update bank.transfer set credit_version = credit_version + 1000 where id = %(transfer)s"),
    ("entry_balances", "update bank.transfer set amount = amount + 1 where id = %(transfer)s"),
    ("transfer_accounts", "update bank.transfer set debit = 'acc_nobody' where id = %(transfer)s"),
    ("transfer_currency", "update bank.transfer set currency = 'USD' where id = %(transfer)s"),
    ("payment_transfer", "delete from bank.transfer where id = %(transfer)s"),
    ("payment_transfer", "update e_payment.payment set amount = amount + 1 where id = %(payment)s"),
    ("payment_transfer", "update e_payment.payment set state = 'failed', failure = 'insufficient_funds' where id = %(payment)s"),
    ("payment_refunded", "update e_payment.payment set refunded = 1 where id = %(payment)s"),
    ("transfer_owner", "delete from e_payment.payment where id = %(payment)s"),
    ("object_event", "delete from event.outbox where object = %(payment)s"),
]


@pytest.mark.parametrize("invariant, sql", CORRUPTIONS, ids=[c[1].split(" where ")[0] for c in CORRUPTIONS])
def test_whatever_is_wrong_in_the_books_is_found(copy, invariant, sql):
    """Changed in the rows themselves, found from the rows alone, and clean again once it is put back."""
    debtor, creditor = copy.accounts(2)
    with copy.client() as api:
        payment = api.pay(debtor, creditor, 77, reference=f"AUDIT-{uuid.uuid4()}").json()["id"]
    names = {"debtor": debtor, "creditor": creditor, "payment": payment, "transfer": "xfr_" + payment.removeprefix("pay_")}
    connection = copy.db()
    cursor = connection.cursor()
    for _ in range(2):  # the first closes the block: what the clerk sealed over the damage would outlast the repair
        cursor.execute("select bank.seal(1, now())")
    assert "nothing wrong" in copy.cli("audit")
    cursor.execute("set session_replication_role = replica")  # no reference stands in the way of the hand that does this
    table = re.search(r"(?:update|from) (\S+)", sql)[1]
    condition = sql[sql.index(" where "):]
    cursor.execute(f"create temp table kept as select * from {table}{condition}", names)
    cursor.execute(sql, names)
    assert cursor.rowcount == 1
    try:
        said = copy.cli("audit", exit_code=FOUND)
        found = json.loads(copy.cli("audit", "--json", exit_code=FOUND))
    finally:
        cursor.execute(f"delete from {table}{condition}", names)
        cursor.execute(f"insert into {table} select * from kept")
        connection.close()
    broken = {v["invariant"] for v in found}
    assert invariant in broken and ("seal_digest" in broken) == (table == "bank.transfer"), found
    assert all(v["book"] == 1 and v["of"] in ("ledger", "e-payment") and v["detail"] for v in found)
    assert any(name in said for name in names.values()), said
    assert said.splitlines()[0].split()[:3] == ["book", "of", "invariant"]
    assert said.splitlines()[-1] == f"audit: 1 books, {len(found)} violations"
    assert "nothing wrong" in copy.cli("audit")
