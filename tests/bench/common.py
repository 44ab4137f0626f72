"""What the parts of tests/bench/run share: where things are, processor time and memory of processes, loads, medians."""

import json
import os
import re
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("TB_SANDBOX_BUILD") or os.path.join(ROOT, "build")
SERVER_CORE, CLIENT_CORE = 0, 1


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def processor_seconds(pids):
    """Processor time the processes have had, from the scheduler's own account (ns)."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/schedstat", encoding="utf-8") as account:
            total += int(account.read().split()[0])
    return total / 1e9


def resident_kib(pid):
    """Memory of the process alone: what is shared with others counts in part (Pss)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
        return int(re.search(r"^Pss:\s+(\d+) kB", rollup.read(), re.M)[1])


def served_per_core(url, pids, token, requests=400000, connections=16, streams=32, more=(), status="2xx"):
    """Requests served for each second of the server's own processor time, so that neither a load generator that cannot keep up
    nor another program on the machine counts. Every answer must be of the class `status`. `more`: arguments for h2load."""
    before = processor_seconds(pids)
    out = run("taskset", "-c", str(CLIENT_CORE), "h2load", "-c", str(connections), "-m", str(streams), "-t1", "-n", str(requests),
              "-H", f"authorization: Bearer {token}", *more, url)
    spent = processor_seconds(pids) - before
    assert re.search(rf"\b{requests} {status}", out), out
    return requests / spent


def send(sandbox, *arguments, **options):
    """What bench_load tells of a load of its own kind."""
    return json.loads(run(os.path.join(BUILD, "bench/bench_load"), "--host", "localhost", "--port", str(sandbox.port), "--ca",
                          sandbox.ca, *(str(word) for word in arguments), **options))


def pin_workers(sandbox, core):
    for pid in sandbox.pids():
        os.sched_setaffinity(pid, {core})


def median_of(rounds, *measures):
    """Each measure once a round, in turn; the median of each."""
    results = [[] for _ in measures]
    for _ in range(rounds):
        for index, measure in enumerate(measures):
            results[index].append(measure())
    return [statistics.median(values) for values in results]
