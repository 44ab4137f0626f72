"""The life of a product: init, health, jobs, fini, in the processes that serve it and nowhere else."""

import contextlib
import datetime
import json
import os
import signal
import subprocess

import pytest

from harness import Sandbox
from harness.client import assert_problem
from harness.sandbox import ROOT, copy_plugins, free_port, wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return copy_plugins(tmp_path_factory.mktemp("life"), "plugins/e_payment.so", "plugins/example.so", "fixtures/plugins/lives.so")


@pytest.fixture(scope="module")
def living(folder):
    """One worker, with a product that leaves traces of its life."""
    settings = {"TB_WORKERS": "1", "TB_PLUGINS_DIRECTORY": str(folder), "TB_PLUGINS_LOAD": "e_payment,example,lives",
                "TB_PLUGINS_LIVES_LOG": str(folder / "log"), "TB_PLUGINS_LIVES_ILL": str(folder / "ill")}
    with Sandbox(settings=settings) as sandbox:
        yield sandbox


def lines(folder):
    log = folder / "log"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def runs(sandbox, job):
    connection = sandbox.db()
    with connection, connection.cursor() as cursor:
        cursor.execute("select at from lives.run where job = %s order by at", (job,))
        found = [row[0] for row in cursor.fetchall()]
    connection.close()
    return found


def clerks(sandbox):
    """The clerk, unless it fell a moment ago."""
    return [p["pid"] for p in sandbox.status()["processes"] if p["kind"] == "clerk" and p["state"] == "serving"]


# ---- init and fini ----

def test_checking_and_documenting_a_plugin_runs_nothing_of_it(living, folder):
    before = lines(folder)
    for command in (("plugin", "check"), ("plugin", "doc")):
        assert "lives" in living.cli(*command, str(folder / "lives.so"), "--schemas", f"{ROOT}/schemas")
    assert lines(folder) == before


def test_a_worker_that_ends_in_order_says_so_to_its_products_once(living, folder):
    workers = [str(pid) for pid in living.pids()]
    living.reload()
    wait_until(lambda: all(["fini", pid] in lines(folder) for pid in workers), 5, "the worker's fini")
    assert all(lines(folder).count([what, pid]) == 1 for what in ("init", "fini") for pid in workers)
    assert not any(["fini", str(pid)] in lines(folder) for pid in living.pids()), "the new ones serve"


def test_every_command_ends_what_it_began(living, folder):
    before = len(lines(folder))
    living.cli("partner", "list")
    (began, first), (ended, second) = lines(folder)[before:]
    assert (began, ended) == ("init", "fini") and first == second


# ---- health ----

def test_a_product_that_is_not_well_makes_the_gateway_unready(living, folder):
    with living.client(token=None) as client:
        assert client.get("/readyz").status_code == 200
        (folder / "ill").touch()
        try:
            wait_until(lambda: client.get("/readyz").status_code == 503, 1, "it is known within a second")
            problem = assert_problem(client.get("/readyz"), 503, "product_unhealthy")
            assert "lives" in problem["detail"] and client.get("/healthz").status_code == 200
        finally:
            (folder / "ill").unlink()
        wait_until(lambda: client.get("/readyz").status_code == 200, 1, "and that it is well again")


# ---- jobs ----

def test_jobs_run_on_their_period_whatever_becomes_of_others(living):
    before = {job: len(runs(living, job)) for job in ("steady", "failing", "slow ends")}
    for job, n in before.items():
        wait_until(lambda: len(runs(living, job)) >= n + 3, 12, f"three more runs of {job}")
    assert living.metric("tongbao_jobs_failed_total") >= 3
    assert living.metric("tongbao_jobs_total") > living.metric("tongbao_jobs_failed_total")
    line = next(json.loads(line) for line in living.log().splitlines() if '"product_job_failed"' in line)
    assert (line["product"], line["job"], line["detail"]) == ("lives", "failing", "as always")


@contextlib.contextmanager
def second_service(sandbox, run_dir):
    """Another service on the same books, as a second machine has one."""
    env = {**sandbox.environment(), "TB_CONFIG": sandbox.env["TB_CONFIG"], "TB_RUN_DIRECTORY": str(run_dir),
           "TB_LISTEN_PORT": str(free_port()), "TB_LISTEN_MTLS_PORT": "0"}
    with open(run_dir / "log", "wb") as log, subprocess.Popen([os.path.join(sandbox.build, "tongbao"), "serve"], env=env, stderr=log) as it:
        try:
            wait_until(lambda: b'"serving"' in subprocess.run([os.path.join(sandbox.build, "tongbao"), "status", "--json"], env=env,
                                                              capture_output=True, check=False).stdout, 10, "it serves")
            yield
        finally:
            it.terminate()
            it.wait(30)


def test_a_job_runs_in_one_process_at_a_time(living, tmp_path):
    with second_service(living, tmp_path):
        began = len(runs(living, "slow begins"))
        wait_until(lambda: len(runs(living, "slow begins")) >= began + 3, 20, "three more runs")
    times = runs(living, "slow begins")
    assert all(b - a >= datetime.timedelta(seconds=2.5) for a, b in zip(times, times[1:]))


def test_a_job_whose_process_fell_is_run_again(living):
    connection = living.db()
    connection.autocommit = True
    with connection.cursor() as cursor:
        wait_until(lambda: cursor.execute("select from tb.job where name = 'slow' and leased_until is not null") or cursor.rowcount, 5, "it runs")
        fallen, = clerks(living)
        os.kill(fallen, signal.SIGKILL)
        wait_until(lambda: clerks(living) not in ([], [fallen]), 10, "another clerk")
        cursor.execute("update tb.job set leased_until = now() where name = 'slow'")  # two minutes later
        before = len(runs(living, "slow begins"))
        wait_until(lambda: len(runs(living, "slow begins")) > before, 10, "it runs again")
    connection.close()


# ---- migrations ----

def test_a_generation_without_its_migrations_is_refused_and_the_one_that_serves_is_kept_whole(living):
    connection = living.db()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("create table lives.kept as select * from tb.migration where set = 'lives'")
        cursor.execute("delete from tb.migration where set = 'lives'")
        try:
            assert "migration lives/0001_run has not been applied: run `tongbao migrate`" in refused(living, "reload")
            replace_worker(living)
        finally:
            cursor.execute("insert into tb.migration select * from lives.kept")
        cursor.execute("insert into tb.migration select set, 2, 'more', sum, 2, applied_at from lives.kept")  # which breaks what knows one alone
        try:
            assert "lives/0002_more" in refused(living, "reload")
            replace_worker(living)
        finally:
            cursor.execute("delete from tb.migration where set = 'lives' and number = 2")
    connection.close()
    living.reload()


def refused(sandbox, *arguments):
    done = subprocess.run([os.path.join(sandbox.build, "tongbao"), *arguments], capture_output=True, text=True, timeout=60, check=False,
                          env={**sandbox.environment(), "TB_CONFIG": sandbox.env["TB_CONFIG"]})
    assert done.returncode == 1, done.stdout
    return done.stderr


def replace_worker(sandbox):
    fallen, = sandbox.pids()
    os.kill(fallen, signal.SIGKILL)
    wait_until(lambda: len(sandbox.pids()) == 1 and sandbox.pids() != [fallen], 10, "another worker")
    with sandbox.client() as client:
        assert client.get("/example/v1/ping").status_code == 200
