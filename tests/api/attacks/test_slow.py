"""Slow clients are let go by deadlines that no byte can move."""

import threading

import pytest
from yardstick import slowness

from . import slow
from .bare import Bare
from .bystander import felt
from .wire import DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, NO_ERROR, Wire, frame

SHORT = {"opening_ms": 1500, "frame_ms": 1500, "header_ms": 1500, "body_ms": 1500, "answer_ms": 1500, "idle_ms": 2500}


@pytest.fixture(scope="module")
def server(cert):
    with Bare(limits=SHORT, certificate=cert) as bare:
        yield bare


def _run_all(target, seconds=20.0):
    outs = {}

    def run(attack):
        outs[attack.__name__] = attack(target, seconds=seconds)

    threads = [threading.Thread(target=run, args=(attack,)) for attack in slow.ALL]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return outs


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_slow_client_is_let_go(server, tls):
    outs = {}
    assert felt(server.target(tls), lambda target: outs.update(_run_all(target)), seconds=0) <= 2
    for name in ("slow_frame", "slow_headers", "slow_read_window"):
        assert outs[name].closed and outs[name].goaway == ENHANCE_YOUR_CALM, outs[name]
        assert outs[name].seconds < 6 * slowness()
    assert outs["slow_preface"].closed and outs["slow_preface"].seconds < 8 * slowness()
    assert {s for s, _ in outs["slow_body"].resets} == {1, 3} and not outs["slow_body"].closed
    assert outs["slow_read_socket"].closed and outs["slow_read_socket"].seconds < 15 * slowness()
    assert outs["idle_with_pings"].closed and outs["idle_with_pings"].goaway == NO_ERROR
    assert server.alive()


def test_a_thousand_slow_connections_are_let_go():
    """One byte of a frame now and then, from each; that some wait while all the others connect is not what ends them."""
    with Bare(limits={**SHORT, "idle_ms": 60_000}) as server:
        target = server.target()
        before = server.rss_bytes()
        wires = [Wire(target) for _ in range(1000)]
        data = frame(1, END_HEADERS, 1, target.block())
        for i in range(6):
            for w in wires:
                w.send(data[i:i + 1])
        for w in wires:
            w.listen(8.0, lambda x: x.out.closed)
        assert all(w.out.closed for w in wires)
        assert server.rss_bytes() - before < 64 << 20
        assert server.counters()["slow_frame"] == 1000


def test_a_slow_but_steady_body_is_taken():
    """Slower than the deadline, but faster than the slowest line served."""
    with Bare(limits={**SHORT, "rate_bytes_per_s": 1000}) as server:
        wire = Wire(server.target())
        wire.send(server.target().request(1, END_HEADERS, method="POST"))
        for _ in range(12):
            wire.send(frame(DATA, 0, 1, b"x" * 1000))
            wire.listen(0.3)
        wire.send(frame(DATA, END_STREAM, 1))
        assert wire.listen(2.0, lambda w: w.out.statuses.get(1) == 200), wire.out


def test_old_connections_are_renewed_without_losing_a_request():
    with Bare(limits={"age_ms": 1000, "drain_ms": 5000}) as server:
        target = server.target()
        wire = Wire(target)
        wire.send(target.request(1, END_HEADERS, method="POST") + target.request(3, path="/slow?ms=3000"))
        wire.listen(2.5, lambda w: w.out.goaway is not None)
        assert wire.out.goaway == NO_ERROR and not wire.out.closed
        wire.send(frame(DATA, END_STREAM, 1, b"late"))
        wire.listen(6.0, lambda w: w.out.closed)
        assert wire.out.statuses == {1: 200, 3: 200}
        assert wire.out.closed and server.counters()["aged"] == 1
