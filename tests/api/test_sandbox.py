"""The two commands a stranger begins with: sandbox/up and sandbox/down."""

import os
import re
import signal
import subprocess

import pytest

from harness import Sandbox
from harness.client import assert_problem
from harness.sandbox import ROOT, wait_until

NEW_CLUSTER = "making the database cluster"


def up(sandbox, *arguments):
    return subprocess.run([os.path.join(ROOT, "sandbox/up"), "-d", "--no-build", *arguments], env=sandbox.environment(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def processes_of(sandbox):
    """Everything that runs out of the sandbox's directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as opened:
                command = opened.read().replace("\0", " ")
        except OSError:
            continue
        if sandbox.run_dir in command:
            found.append(command)
    return found


def test_prints_a_request_that_moves_money_and_its_answer(sandbox):
    assert "HTTP/2 201" in sandbox.said
    assert '"state":"succeeded"' in sandbox.said
    printed = re.search(r"^\. \S+/env\nKEY=.*?\n\n", sandbox.said, re.S | re.M).group(0)
    again = subprocess.run(["bash", "-c", printed], capture_output=True, text=True, check=False).stdout
    assert "HTTP/2 201" in again and '"state":"succeeded"' in again


def test_env_can_be_sourced_and_says_all_that_is_promised(sandbox):
    names = "TB_URL TB_CA TB_PID TB_DB TB_TOKEN TB_DEBTOR TB_CREDITOR".split()
    script = f". {sandbox.run_dir}/env; for n in {' '.join(names)}; do echo \"$n=${{!n}}\"; done"
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in said.splitlines())
    assert all(values[name] for name in names)
    assert os.path.exists(values["TB_CA"]) and os.path.exists(values["TB_TOKEN"])
    assert int(values["TB_PID"]) == sandbox.master()


def test_workers_are_children_of_the_master(sandbox):
    for pid in sandbox.pids():
        with open(f"/proc/{pid}/stat", encoding="utf-8") as opened:
            assert int(opened.read().rsplit(")", 1)[1].split()[1]) == sandbox.master()


def test_a_second_up_leaves_everything_running(sandbox):
    master, workers = sandbox.master(), sandbox.pids()
    done = up(sandbox)
    assert done.returncode == 0, done.stderr
    assert "HTTP/2 201" in done.stdout
    assert (sandbox.master(), sandbox.pids()) == (master, workers)


def test_another_port_is_refused_while_it_runs(sandbox):
    done = up(sandbox, "--port", str(sandbox.port + 1))
    assert done.returncode == 1
    assert f"it is up on port {sandbox.port}" in done.stderr


@pytest.mark.parametrize("arguments", [["--port", "0"], ["--port", "70000"], ["--port"], ["--mtls-port", "x"], ["--prot", "1"], ["x"]])
def test_refuses_arguments_that_make_no_sense(sandbox, arguments):
    assert up(sandbox, *arguments).returncode in (1, 2)


def test_the_demo_world_has_companies_accounts_and_currencies(sandbox, db):
    with db.cursor() as cursor:
        cursor.execute("select count(*) from bank.party where book = 1 and kind = 'company'")
        assert cursor.fetchone()[0] >= 20
        cursor.execute("select array_agg(distinct a.currency order by a.currency), count(*) from bank.account a"
                       " join bank.account_access x on (x.book, x.account) = (a.book, a.id)")
        currencies, n = cursor.fetchone()
    assert {"CNY", "USD", "JPY", "KWD"} <= set(currencies)
    assert n >= 100


@pytest.fixture(scope="module")
def other():
    """One that may be broken, as sandbox/up makes it for everybody."""
    with Sandbox(settings={"TB_SANDBOX_FSYNC": "on"}) as it:
        assert NEW_CLUSTER in it.said
        yield it


def test_the_cluster_is_durable_and_checks_its_pages(other):
    with other.db() as db, db.cursor() as cursor:
        for setting, value in (("data_checksums", "on"), ("fsync", "on"), ("synchronous_commit", "on"),
                               ("full_page_writes", "on"), ("listen_addresses", "")):
            cursor.execute(f"show {setting}")
            assert cursor.fetchone()[0] == value
        cursor.execute("show server_version_num")
        assert cursor.fetchone()[0].startswith("15")


def test_a_killed_database_is_back_within_five_seconds_and_answers_503_until_then(other):
    with other.client() as api:
        falls_and_comes_back(other, api)


def falls_and_comes_back(sandbox, api):
    os.kill(sandbox.postmaster(), signal.SIGKILL)
    statuses = []

    def pays():
        answer = api.pay(sandbox.debtor, sandbox.creditor)
        statuses.append(answer.status_code)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert_problem(answer, 503, "store_unavailable")
        return answer.status_code == 201

    wait_until(pays, 5, "a payment goes through again")
    assert set(statuses) <= {201, 503, 504}
    assert sandbox.cli("audit")


def test_two_sandboxes_live_side_by_side_and_down_leaves_nothing(sandbox, other):
    assert other.port != sandbox.port
    other.wait_ready()
    with other.client() as client:  # each of its workers comes back to the database on its own
        wait_until(lambda: client.pay(other.debtor, other.creditor).status_code == 201, 5, "a payment goes through")
        assert_problem(client.get(f"/accounts/v1/accounts/{sandbox.debtor}"), 404, "not_found")
    assert processes_of(other)
    other.down()
    assert processes_of(other) == []

    other.up()
    assert NEW_CLUSTER not in other.said, "the second start has less to do than the first"
    other.down(wipe=True)
    assert processes_of(other) == []
    assert not os.path.exists(other.run_dir)
    assert sandbox.pids()
