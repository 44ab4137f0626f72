"""Floods and bombs against the guarded server: refused, cheap in memory, not felt by others. And, so
that these tests are known to see anything: the same against the plain library, which falls."""

import signal
import time

import pytest

from harness.sandbox import wait_until

from . import floods
from .bare import Bare
from .bystander import felt
from .wire import (CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, Wire, frame)

MEMORY_BYTES = 64 << 20
LOOPS_S = 0.3
"""What a server that has nothing to do does not use of the processor in a second."""


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("attack", floods.ALL, ids=lambda f: f.__name__)
def test_an_attack_is_refused_within_memory(guarded, attack, tls):
    before = guarded.rss_bytes()
    out = attack(guarded.target(tls))
    assert out.closed, out
    assert out.goaway in (ENHANCE_YOUR_CALM, None if tls else ENHANCE_YOUR_CALM), out
    assert guarded.rss_bytes() - before <= MEMORY_BYTES
    assert guarded.alive()


@pytest.mark.parametrize("attack", floods.ALL, ids=lambda f: f.__name__)
def test_another_client_does_not_notice(guarded, attack):
    assert felt(guarded.target(), attack) <= 2
    assert guarded.alive()


def test_backend_work_behind_reset_streams_is_bounded():
    with Bare(limits={"reset_burst": 100_000, "reset_per_s": 100_000}) as server:
        out = floods.rapid_reset(server.target(), path="/slow?ms=1000")
        counters = server.counters()
        assert out.closed and out.goaway == ENHANCE_YOUR_CALM and out.why == "orphans"
        assert counters["orphans"] == 1 and counters["reset"] <= 33
        assert counters["connections"] == 2, "the dead connection counts as long as its work runs"
        wait_until(lambda: server.counters()["connections"] == 1, 3, "the work has ended, and its connection with it")


def test_an_answer_in_flight_survives_its_window_being_opened():
    with Bare(limits={"frame_burst": 1_000_000}) as server:
        for _ in range(10):
            floods.window_reopen(server.target())
            assert server.alive()
        assert server.counters()["window"] > 0, "the attack never reached what it is for"


def _continue_behind_goaway(server):
    """Send a CONTINUATION that follows the last GOAWAY. @return the CPU seconds the server has used until then"""
    target = server.target()
    wire = Wire(target)
    wire.send(target.request(1, path="/slow?ms=5000") + frame(HEADERS, END_STREAM, 3, target.block()))
    wire.listen(0.3)
    server.process.send_signal(signal.SIGTERM)
    wire.listen(2.0)
    wire.send(frame(CONTINUATION, END_HEADERS, 3, b"\x00\x01a\x01b"))
    return server.cpu_s()


def test_continuation_behind_goaway_does_not_loop():
    with Bare() as server:
        before = _continue_behind_goaway(server)
        time.sleep(1.0)
        assert server.cpu_s() - before < LOOPS_S


class TestThePlainLibraryFalls:
    def test_to_the_header_bomb(self):
        with Bare(guard=False, memory_bytes=1 << 30) as server:
            before = server.rss_bytes()
            floods.header_bomb(server.target(), streams=20)
            assert not server.alive() or server.rss_bytes() - before > MEMORY_BYTES

    def test_to_rapid_reset(self):
        with Bare(guard=False) as server:
            out = floods.rapid_reset(server.target(), frames=20_000)
            assert not out.refused()

    def test_to_a_window_opened_again(self):
        with Bare(guard=False) as server:
            for _ in range(10):
                floods.window_reopen(server.target())
                if not server.alive():
                    break
            assert server.process.poll() == -signal.SIGABRT

    def test_to_continuation_behind_goaway(self):
        with Bare(guard=False) as server:
            before = _continue_behind_goaway(server)
            wait_until(lambda: server.cpu_s() - before > LOOPS_S, 2, "it does nothing else any more")
