"""Strictness: the guard refuses what RFC 9112 and 9113 call malformed, and nothing else."""

import subprocess
import time

import pytest

from harness.sandbox import wait_until

from . import smuggling, strictness
from .bare import Bare
from .wire import (DATA, END_HEADERS, END_STREAM, HEADERS, MAX_CONCURRENT_STREAMS, PING, PRIORITY, SETTINGS, Target,
                   Wire, frame, literal, window_update)

# What the plain library lets through. The guarded one must not: these rows prove that the table can fail.
PLAIN_FAILS = {
    "8.1.1 refuses a length without a body": "looks at the length only when DATA comes",
    "8.2.1 refuses an empty name": "reads one octet behind the block, and takes the field",
    "8.2.1 refuses a space before a value": "checks characters only",
    "8.2.1 refuses a tab behind a value": "checks characters only",
    "8.2.2 refuses keep-alive": "its table marks connection, upgrade and transfer-encoding only",
    "8.2.2 refuses proxy-connection": "its table marks connection, upgrade and transfer-encoding only",
    "8.3.1 refuses an empty :path": "presence is checked, syntax is not",
    "8.3.1 refuses a :path without slash": "a slash is put in front",
    "8.3.1 refuses * with GET": "presence is checked, syntax is not",
    "8.3.1 refuses a space in :path": "presence is checked, syntax is not",
    "8.3.1 refuses a fragment in :path": "presence is checked, syntax is not",
    "8.3.1 refuses an empty :method": "presence is checked, syntax is not",
    "8.3.1 refuses a :method that is no token": "presence is checked, syntax is not",
    "8.3.1 refuses user information in :authority": "presence is checked, syntax is not",
    "8.3.1 refuses an empty :authority": "presence is checked, syntax is not",
    "8.3.1 refuses a slash in :authority": "presence is checked, syntax is not",
}


@pytest.mark.parametrize("case", strictness.CASES, ids=lambda c: c.id)
def test_guarded(guarded, case):
    passed, seen = strictness.run(guarded.target(), case)
    assert passed, seen


@pytest.mark.parametrize("case", strictness.CASES, ids=lambda c: c.id)
def test_plain(plain, case):
    falls = case.id in PLAIN_FAILS
    passed, seen = strictness.run(plain.target(), case, seconds=0.5 if falls else 10.0)
    assert passed == (not falls), seen


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", [name for name, _ in smuggling.cases(Target())])
def test_http1_smuggling_is_refused(guarded, name, tls):
    target = guarded.target(tls)
    out = smuggling.exchange(target, dict(smuggling.cases(target))[name])
    assert smuggling.refused(out), out


@pytest.mark.parametrize("name", [name for name, _, _ in smuggling.accepted(Target())])
def test_correct_http1_is_served(guarded, name):
    (data, statuses), = [(d, s) for n, d, s in smuggling.accepted(guarded.target()) if n == name]
    assert list(smuggling.exchange(guarded.target(), data).statuses.values()) == statuses


def test_a_chunked_body_split_at_every_byte_is_read(guarded):
    """The decoder keeps its state between reads."""
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-A: b\r\n\r\n"
    import socket
    with socket.create_connection(("127.0.0.1", guarded.plain_port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(head)
        for i in range(len(body)):
            s.sendall(body[i:i + 1])
            time.sleep(0.001)
        answer = b""
        while chunk := s.recv(4096):
            answer += chunk
    assert answer.endswith(b"body 15\n"), answer


def test_trailers_do_not_become_fields(guarded):
    target = guarded.target(path="/echo", method="POST")
    wire = Wire(target)
    wire.send(target.request(1, END_HEADERS) + frame(DATA, 0, 1, b"hello") +
              frame(HEADERS, END_STREAM | END_HEADERS, 1, literal("authorization", "Bearer stolen")))
    wire.listen(10.0, lambda w: w.has(DATA, 1, END_STREAM))
    body = b"".join(p for k, _, s, p in wire.frames if k == DATA and s == 1)
    assert body == b"body 5\n"


def test_limits_are_announced(guarded):
    wire = Wire(guarded.target())
    wire.listen(10.0, lambda w: len([f for f in w.frames if f[0] == SETTINGS and not f[1]]) == 2)
    last = [p for k, f, _, p in wire.frames if k == SETTINGS and not f][-1]
    assert last[:6] == MAX_CONCURRENT_STREAMS.to_bytes(2, "big") + (32).to_bytes(4, "big")


def test_connections_of_one_address_are_bounded():
    with Bare(limits={"address_connections": 20}) as server:
        wires = [Wire(server.target()) for _ in range(30)]
        assert sum(w.ping(10.0) for w in wires) == 20
        for w in wires:
            w.sock.close()
        wait_until(lambda: Wire(server.target()).ping(), 3, "a place is free again")


class TestGoodClients:
    """Nothing a decent client does comes near a budget."""

    def test_h2load(self, guarded):
        out = subprocess.run(["h2load", "-n", "100000", "-c", "16", "-m", "32", f"http://127.0.0.1:{guarded.plain_port}/ping"],
                             capture_output=True, text=True, check=True).stdout
        assert "100000 succeeded, 0 failed, 0 errored" in out

    def test_a_large_upload_and_download(self, guarded, tmp_path):
        upload = tmp_path / "upload"
        upload.write_bytes(b"x" * (1 << 20))
        url = f"https://127.0.0.1:{guarded.tls_port}"
        out = subprocess.run(["curl", "-sk", "--http2", "--data-binary", f"@{upload}", url + "/echo"],
                             capture_output=True, text=True, check=True).stdout
        assert out.endswith("body 1048576\n")
        got = subprocess.run(["curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{size_download}",
                              url + "/big?bytes=16000000"], capture_output=True, text=True, check=True).stdout
        assert got == "16000000"

    def test_a_client_that_returns_every_byte_at_once(self, guarded):
        """Two WINDOW_UPDATE for each DATA frame of a large answer."""
        target = guarded.target(path="/big?bytes=8000000")
        wire = Wire(target)
        wire.send(target.request(1))
        seen = taken = 0
        while taken < 8_000_000 and wire.listen(3.0, lambda w: len(w.frames) > seen):
            news = [len(p) for k, _, _, p in wire.frames[seen:] if k == DATA and p]
            seen = len(wire.frames)
            taken += sum(news)
            if not wire.send(b"".join(window_update(0, n) + window_update(1, n) for n in news)):
                break
        assert taken == 8_000_000, wire.out

    def test_a_client_that_pings_and_prioritises_with_each_request(self, guarded):
        target = guarded.target()
        wire = Wire(target)
        for i in range(3000):
            stream = 1 + 2 * i
            wire.frames.clear()
            wire.send(frame(PRIORITY, 0, stream, b"\0\0\0\0\x0f") + target.request(stream) + frame(PING, 0, 0, b"12345678"))
            assert wire.listen(2.0, lambda w: w.has(DATA, stream)), wire.out

    def test_a_client_that_cancels_one_request_in_five(self, guarded):
        target = guarded.target()
        wire = Wire(target)
        for i in range(1000):
            stream = 1 + 2 * i
            wire.frames.clear()
            wire.send(target.request(stream) + (frame(3, 0, stream, b"\0\0\0\x08") if i % 5 == 0 else b""))
            assert i % 5 == 0 or wire.listen(2.0, lambda w: w.has(DATA, stream)), wire.out
        assert wire.ping()
