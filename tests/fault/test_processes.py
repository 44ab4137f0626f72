"""Processes fall, hang, are replaced and renewed, and nobody but the request that caused it notices."""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
import uuid

import httpx
import pytest

from harness.client import assert_problem
from harness.load import Load
from harness.sandbox import PATIENCE, wait_until


def ping(_):
    return "GET", "/example/v1/ping", {}, b""


def wait_whole(sandbox):
    wait_until(lambda: len(sandbox.pids()) == 2 and sandbox.status()["state"] == "serving", 10, "two workers serve")


def crash(sandbox, how, token="demo", **headers):
    """Send the request that brings a worker down; its client sees the connection end without an answer.
    Returns the record, and the seconds from the end of the connection until all workers serve again."""
    wait_whole(sandbox)
    before, workers = len(sandbox.crashes()), sandbox.pids()
    with sandbox.client(token=token) as client:
        with pytest.raises(httpx.TransportError):
            client.http.post(f"/aborts/v1/{how}", headers=headers)
    ended = time.monotonic()
    wait_until(lambda: len(sandbox.crashes()) > before, 5, "a crash record")
    # It writes that itself and goes on dying; until its master has noticed it counts as serving.
    wait_until(lambda: sorted(sandbox.pids()) != sorted(workers), 10, "the master has noticed")
    wait_whole(sandbox)
    return sandbox.crashes()[-1], time.monotonic() - ended


async def under_load(sandbox, requests, disturb, every_s, connections=6, streams=6):
    """Send pings, and disturb the service every so often until all are answered."""
    load = Load(sandbox.url, sandbox.ca, requests, ping, token=sandbox.token, connections=connections, streams=streams)
    task = asyncio.create_task(load.run())
    while not task.done():
        await asyncio.wait([task], timeout=every_s)
        if not task.done():
            disturb()
    return await task


# ---- crashes ----

@pytest.mark.parametrize("how, sign", [("abort", "ABRT"), ("null", "SEGV"), ("stack", "SEGV")])
def test_a_crash_is_recorded_with_the_request_and_the_worker_is_back_at_once(breakable, how, sign):
    wait_until(lambda: len(breakable.pids()) == 2, 10, "both workers serve, whatever crashed before")
    victims = set(breakable.pids())
    request_id = str(uuid.uuid4())
    record, seconds = crash(breakable, how, **{"X-Request-Id": request_id})
    assert seconds < (5 if breakable.sanitized else 1) * PATIENCE
    assert record["request"]["request_id"] == request_id
    assert record["request"]["route"] == f"POST /aborts/v1/{how}"
    assert record["request"]["partner"].startswith("ptr_")
    assert record["stack_overflow"] == (how == "stack")
    if how != "null" or not breakable.sanitized:  # which sees the null pointer before the processor does
        assert record["signal"] == sign
        assert record["where"].startswith("aborts.so+0x") or how == "abort"
    assert len(victims & set(breakable.pids())) == 1, "the other worker goes on"


def test_a_request_that_crashed_twice_is_quarantined_and_others_are_not(breakable):
    token = breakable.cli("token").strip()  # who asks is part of what makes a request the same
    first, _ = crash(breakable, "abort", token)
    second, _ = crash(breakable, "abort", token)
    assert (first["quarantined"], second["quarantined"]) == (False, True)
    workers = breakable.pids()
    for _ in range(6):  # on whichever worker
        with breakable.client(token=token) as client:
            assert_problem(client.http.post("/aborts/v1/abort"), 503, "quarantined_request")
            assert client.get("/aborts/v1/fine").status_code == 200
    assert breakable.pids() == workers


def test_a_loop_that_hangs_is_ended_and_recorded(breakable):
    record, _ = crash(breakable, "hang")
    assert record["request"]["route"] == "POST /aborts/v1/hang"


def test_a_killed_worker_costs_only_the_requests_it_had(breakable):
    wait_whole(breakable)
    connections, streams = 6, 6

    def kill():
        for pid in breakable.pids()[:1]:  # none, when both are on their way back from the blows before
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    result = asyncio.run(under_load(breakable, 6000, kill, 1.5, connections, streams))
    kills = result.connections - result.goaways
    assert set(result.statuses) == {200}
    assert len(result.failed) <= kills * streams
    assert result.statuses[200] + len(result.failed) == 6000
    wait_whole(breakable)


# ---- generations ----

@pytest.mark.parametrize("which", [signal.SIGHUP, signal.SIGUSR2])
@pytest.mark.parametrize("requests", [8000, pytest.param(100000, marks=pytest.mark.long)])
def test_no_request_fails_while_generations_change(breakable, which, requests):
    wait_whole(breakable)
    before, master = breakable.status()["generation"], breakable.master()
    so = breakable.plugins / "example.so"

    def change():
        shutil.copy(so, str(so) + ".new")  # as a linker does: a new file under the old name
        os.replace(str(so) + ".new", so)
        breakable.signal(which)

    result = asyncio.run(under_load(breakable, requests, change, 1.5))
    assert result.failed == []
    assert result.statuses == {200: requests}
    wait_until(lambda: breakable.renewed(before), 20, "the last generation serves alone")
    assert breakable.master() == master


def test_a_product_that_is_broken_leaves_the_old_generation_serving(breakable):
    wait_whole(breakable)
    workers = sorted(breakable.pids())
    so = breakable.plugins / "example.so"
    os.rename(so, str(so) + ".good")
    try:
        so.write_bytes(b"this is no shared object")
        done = subprocess.run([os.path.join(breakable.build, "tongbao"), "reload", "--config", breakable.env["TB_CONFIG"]],
                              env=breakable.environment(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "example" in done.stderr and "still serves" in done.stderr
        assert sorted(breakable.pids()) == workers
        with breakable.client() as client:
            assert client.get("/example/v1/ping").status_code == 200
    finally:
        os.replace(str(so) + ".good", so)
    assert "serves" in breakable.cli("reload")


def test_a_configuration_that_is_wrong_is_refused_with_its_line(breakable):
    wait_whole(breakable)
    path = breakable.env["TB_CONFIG"]
    with open(path, encoding="utf-8") as opened:
        good = opened.read()
    try:
        with open(path, "w", encoding="utf-8") as out:
            out.write(good + "\nworkerz: 3\n")
        breakable.signal(signal.SIGHUP)
        wait_until(lambda: "workers" in ((breakable.status()["last_reload"] or {}).get("why") or ""), 10, "the refusal")
        with breakable.client() as client:
            assert client.get("/example/v1/ping").status_code == 200
    finally:
        with open(path, "w", encoding="utf-8") as out:
            out.write(good)
    breakable.reload()


def test_a_request_in_flight_is_answered_when_the_service_ends(breakable):
    """Ends the sandbox's gateway: keep it before the last of this file's tests that need it."""
    wait_whole(breakable)
    master = breakable.master()

    async def end_in_the_middle():
        load = Load(breakable.url, breakable.ca, 4000, ping, token=breakable.token, connections=4, streams=8,
                    until=time.monotonic() + 1.0)
        task = asyncio.create_task(load.run())
        await asyncio.sleep(0.5)
        os.kill(master, signal.SIGTERM)
        await asyncio.wait([task], timeout=20)
        return load.result

    result = asyncio.run(end_in_the_middle())
    refused = [why for _, why in result.failed if "refused" not in why.lower()]
    assert refused == [], "no request that was taken is left without an answer"
    wait_until(lambda: not os.path.exists(f"/proc/{master}"), 15, "the master's end")
    breakable.down()
    breakable.up()


def test_workers_do_not_outlive_a_killed_master(breakable):
    wait_whole(breakable)
    workers, master = breakable.pids(), breakable.master()
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in workers), 15, "the workers' end")
    breakable.up()
    wait_whole(breakable)


# ---- what runs out ----

def test_no_descriptors_left_degrades_and_recovers(breakable):
    wait_whole(breakable)
    pids = breakable.pids()
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + 10, limits[pid][1]))
    held = []
    try:
        for _ in range(60):
            held.append(socket.create_connection(("127.0.0.1", breakable.port), timeout=1))
        time.sleep(1)
        assert sorted(breakable.pids()) == sorted(pids), "no worker died"
    finally:
        for connection in held:
            connection.close()
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits[pid])
    breakable.wait_ready()
    assert sorted(breakable.pids()) == sorted(pids)
