"""A well-behaved client in a process of its own: one request after the other, each timed. It tells
what an attack does to the others on the same worker.

    assert felt(target, floods.ping_flood) <= 2
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

from yardstick import slowness

from .wire import DATA, END_STREAM, HEADERS, Target, Wire

FLOOR_MS = 5.0
"""A p99 below this is as good as any: it is the scheduler's, and longer on a busy machine."""


class Sample(list):
    """Latencies in milliseconds."""

    @property
    def p99(self):
        return sorted(self)[max(0, int(len(self) * 0.99) - 1)] if self else float("inf")


def ratio(calm, hit):
    """How many times slower the slowest hundredth was."""
    floor_ms = FLOOR_MS * slowness()
    return max(hit.p99, floor_ms) / max(calm.p99, floor_ms)


def felt(target, attack, seconds=1.5, tries=10):
    """How much of an attack another client feels: the ratio of its p99 during and before. The attacker
    comes again as soon as it is thrown out. On a machine that does other things too a sample can be
    bad by chance, never good by chance: the best of a few is taken, when the first is not good."""
    best = float("inf")
    for _ in range(tries):
        with Bystander(target) as bystander:
            calm = bystander.watch(1.0)
            with bystander.during() as hit:
                end = time.monotonic() + seconds
                attack(target)
                while time.monotonic() < end:
                    attack(target)
        if len(hit) > 50:
            best = min(best, ratio(calm, hit))
        if best <= 2:
            break
    return best


class Bystander:
    def __init__(self, target, every_s=0.002):
        self.target, self.every_s = target, every_s

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "attacks.bystander", json.dumps(asdict(self.target)), str(self.every_s)],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
        self.seen, self.failed = [], False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self._between(time.monotonic(), time.monotonic())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def _read(self):
        """Lines of (when it asked, milliseconds to the answer)."""
        for line in self.process.stdout:
            if not line.endswith("\n"):  # killed in the middle of it
                break
            started, ms = map(float, line.split())
            self.seen.append((started, ms))
        self.failed = True

    def _between(self, start, end):
        """What was asked in between; waits for the first answer behind the end."""
        while not self.seen or self.seen[-1][0] <= end:
            if self.failed:
                raise RuntimeError("the bystander was not served")
            time.sleep(0.001)
        return Sample(ms for started, ms in self.seen if start <= started <= end)

    def watch(self, seconds):
        start = time.monotonic()
        time.sleep(seconds)
        return self._between(start, time.monotonic())

    @contextlib.contextmanager
    def during(self):
        sample = Sample()
        start = time.monotonic()
        yield sample
        sample.extend(self._between(start, time.monotonic()))


def main():
    fields = json.loads(sys.argv[1])
    fields["headers"] = tuple(map(tuple, fields["headers"]))
    target, every_s = Target(**fields), float(sys.argv[2])
    wire, stream = Wire(target), 1
    while True:
        started = time.monotonic()
        wire.frames.clear()
        wire.send(target.request(stream))
        wire.listen(10.0, lambda w: w.has(DATA, stream, END_STREAM) or w.has(HEADERS, stream, END_STREAM))
        if wire.out.statuses.pop(stream, None) is None:
            sys.exit(f"not served: {wire.out}")
        print(started, (time.monotonic() - started) * 1000, flush=True)
        stream += 2
        if stream > 100_000 or wire.out.goaway is not None:
            wire.sock.close()
            wire, stream = Wire(target), 1
        time.sleep(every_s)


if __name__ == "__main__":
    main()
