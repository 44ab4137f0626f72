"""Slow clients: they hold what they have for as long as they are let."""

import time

from .wire import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PING, PREFACE, Wire,
                   frame, settings, window_update)


def _trickle(wire, pieces, every_s, seconds):
    end = time.monotonic() + seconds
    for piece in pieces:
        if time.monotonic() > end or not wire.send(piece):
            return
        wire.listen(every_s)


def slow_preface(target, every_s=0.5, seconds=60.0):
    """The connection preface, one byte at a time."""
    wire = Wire(target, preface=False)
    _trickle(wire, (PREFACE[i:i + 1] for i in range(len(PREFACE) - 1)), every_s, seconds)
    wire.listen(seconds)
    return wire.finish("slow_preface", linger_s=0)


def slow_frame(target, every_s=0.5, seconds=60.0):
    """One HEADERS frame, one byte at a time."""
    wire = Wire(target)
    data = frame(HEADERS, END_HEADERS | END_STREAM, 1, target.block(("x-slow", "x" * 200)))
    _trickle(wire, (data[i:i + 1] for i in range(len(data))), every_s, seconds)
    return wire.finish("slow_frame", linger_s=0)


def slow_headers(target, every_s=1.0, seconds=60.0):
    """A header block in CONTINUATION frames, one now and then."""
    wire = Wire(target)
    wire.send(frame(HEADERS, END_STREAM, 1, target.block()))
    _trickle(wire, (frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b") for _ in range(1000)), every_s, seconds)
    return wire.finish("slow_headers", linger_s=0)


def slow_body(target, every_s=0.5, seconds=60.0):
    """A body, one byte now and then, on two streams, with PING in between."""
    wire = Wire(target)
    wire.send(target.request(1, END_HEADERS, method="POST") + target.request(3, END_HEADERS, method="POST"))
    piece = frame(DATA, 0, 1, b"x") + frame(DATA, 0, 3, b"x") + frame(PING, 0, 0, b"keepopen")
    end = time.monotonic() + seconds
    while time.monotonic() < end and len({s for s, _ in wire.out.resets}) < 2 and wire.send(piece):
        wire.listen(every_s)
    return wire.finish("slow_body", linger_s=0)


def slow_read_window(target, streams=20, seconds=60.0, path="/big?bytes=100000"):
    """Ask for large answers with a window of nothing, opened by one byte now and then."""
    wire = Wire(target, first=settings((INITIAL_WINDOW_SIZE, 0)))
    wire.send(b"".join(target.request(1 + 2 * i, path=path) for i in range(streams)))
    end = time.monotonic() + seconds
    while time.monotonic() < end and wire.send(b"".join(window_update(1 + 2 * i, 1) for i in range(streams))):
        wire.listen(1.0)
    return wire.finish("slow_read_window", linger_s=0)


def slow_read_socket(target, streams=30, seconds=60.0, path="/big?bytes=1000000"):
    """Ask for large answers with wide windows, and do not read the socket."""
    wire = Wire(target, first=settings((INITIAL_WINDOW_SIZE, 0x7FFFFFFF)), receive_buffer=4096)
    wire.send(window_update(0, 0x7FFF0000) + b"".join(target.request(1 + 2 * i, path=path) for i in range(streams)),
              read=False)
    end = time.monotonic() + seconds
    while time.monotonic() < end and wire.send(frame(PING, 0, 0, b"keepopen"), read=False, deadline_s=1.0):
        time.sleep(0.5)
    return wire.finish("slow_read_socket", linger_s=0.5)


def idle_with_pings(target, every_s=0.5, seconds=90.0):
    """No request at all, only PING."""
    wire = Wire(target)
    _trickle(wire, (frame(PING, 0, 0, b"keepopen") for _ in range(10000)), every_s, seconds)
    return wire.finish("idle_with_pings", linger_s=0)


ALL = [slow_preface, slow_frame, slow_headers, slow_body, slow_read_window, slow_read_socket, idle_with_pings]
