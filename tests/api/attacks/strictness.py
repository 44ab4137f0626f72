"""A table of what RFC 9113 and RFC 7541 demand of a server, case by case, with raw frames. A case
says what to send and what must come back:

    served          an answer 200 on stream 1
    refused CODE    a stream error (RST_STREAM, or an answer of 4xx where the request is malformed), a
                    connection error (GOAWAY), or a closed connection; with one of the codes if any
    broken CODE     a connection error or a closed connection
    alive           a PING is answered afterwards
"""

import struct
from dataclasses import dataclass

from .wire import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM,
                   FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HAS_PRIORITY, HEADERS, INITIAL_WINDOW_SIZE,
                   MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, PADDED, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE,
                   REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, Wire, frame, integer, literal, rst, settings,
                   text, window_update)

ALL_HEADERS = END_STREAM | END_HEADERS


@dataclass
class Case:
    section: str
    name: str
    send: object          # bytes, or target -> bytes, or target -> list of bytes sent one after another
    expect: str
    codes: tuple = ()
    first: bytes = settings()
    preface: bool = True

    @property
    def id(self):
        return f"{self.section} {self.name}"


def run(target, case, seconds=10.0, served=(200,)):
    """(passed, what happened). `served`: statuses that stand for "served"."""
    wire = Wire(target, first=case.first, preface=case.preface)
    data = case.send(target) if callable(case.send) else case.send
    for part in data if isinstance(data, list) else [data]:
        wire.send(part)
        wire.listen(0.05, lambda w: w.out.closed)
    out = wire.out
    if case.expect == "served":
        done = wire.listen(seconds, lambda w: w.has(DATA, 1, END_STREAM) or w.has(HEADERS, 1, END_STREAM))
        passed = bool(done) and out.statuses.get(1) in served
    elif case.expect == "alive":
        passed = wire.ping(seconds)
    else:
        def over(w):
            return w.out.closed or w.out.goaway is not None or (case.expect == "refused" and
                                                                (w.out.resets or 400 in w.out.statuses.values()))
        wire.listen(seconds, over)
        codes = [c for c in [out.goaway] + [c for _, c in out.resets] if c is not None]
        if case.expect == "broken":
            codes = [out.goaway] if out.goaway is not None else []
        happened = out.closed or bool(codes) or (case.expect == "refused" and 400 in out.statuses.values())
        passed = happened and (not codes or not case.codes or any(c in case.codes for c in codes))
    seen = f"goaway={out.goaway} resets={out.resets} statuses={out.statuses} closed={out.closed}"
    wire.sock.close()
    return passed, seen


def _get(stream=1, flags=ALL_HEADERS, **changes):
    return lambda t: t.request(stream, flags, **changes)


def _fields(*fields, flags=ALL_HEADERS):
    """A request with more fields."""
    return lambda t: frame(HEADERS, flags, 1, t.block(*fields))


def _block(make, flags=ALL_HEADERS):
    """A request whose whole block is made by hand."""
    return lambda t: frame(HEADERS, flags, 1, make(t))


def _only(*fields):
    return _block(lambda t: b"".join(literal(k, v) for k, v in fields))


def _post(*after, length=None):
    """POST on stream 1, then frames."""
    def make(t):
        more = (("content-length", str(length)),) if length is not None else ()
        return frame(HEADERS, END_HEADERS, 1, t.block(*more, method="POST")) + b"".join(after)
    return make


def _then(*after, stream=1):
    """An answered GET, then frames."""
    return lambda t: [t.request(stream)] + list(after)


P, F, S, SC, C = PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, STREAM_CLOSED, COMPRESSION_ERROR
SIZE = (S, P)
CLOSED = (SC, P)

CASES = [
    # generic
    Case("generic", "serves GET", _get(), "served"),
    Case("generic", "serves POST with a body", _post(frame(DATA, END_STREAM, 1, b"hello")), "served"),
    Case("generic", "serves POST in two DATA frames", _post(frame(DATA, 0, 1, b"he"), frame(DATA, END_STREAM, 1, b"llo")), "served"),
    Case("generic", "serves padded HEADERS", lambda t: frame(HEADERS, ALL_HEADERS | PADDED, 1, b"\x08" + t.block() + bytes(8)), "served"),
    Case("generic", "serves HEADERS with priority", lambda t: frame(HEADERS, ALL_HEADERS | HAS_PRIORITY, 1, b"\0\0\0\0\xff" + t.block()), "served"),
    Case("generic", "serves padded DATA", _post(frame(DATA, END_STREAM | PADDED, 1, b"\x03hello" + bytes(3))), "served"),
    Case("generic", "serves HEADERS and CONTINUATION", lambda t: frame(HEADERS, END_STREAM, 1, t.block()[:10]) + frame(CONTINUATION, END_HEADERS, 1, t.block()[10:]), "served"),
    Case("generic", "serves HEADERS and three CONTINUATION", lambda t: frame(HEADERS, END_STREAM, 1, b"") + frame(CONTINUATION, 0, 1, t.block()[:5]) + frame(CONTINUATION, 0, 1, t.block()[5:9]) + frame(CONTINUATION, END_HEADERS, 1, t.block()[9:]), "served"),
    Case("generic", "serves POST with trailers", lambda t: _post(frame(DATA, 0, 1, b"hello"))(t) + frame(HEADERS, ALL_HEADERS, 1, literal("x-checksum", "1")), "served"),
    Case("generic", "takes PRIORITY for an idle stream", lambda t: frame(PRIORITY, 0, 1, b"\0\0\0\0\x0f") + t.request(1), "served"),
    Case("generic", "takes WINDOW_UPDATE", lambda t: window_update(0, 1000) + t.request(1) + window_update(1, 1000), "served"),
    Case("generic", "takes GOAWAY", frame(GOAWAY, 0, 0, bytes(8)), "alive"),
    Case("generic", "answers PING", b"", "alive"),
    Case("generic", "takes RST_STREAM", _then(rst(1)), "alive"),
    # 3.4 preface
    Case("3.4", "refuses a bad preface", b"INVALID * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings(), "broken", (P,), preface=False),
    # 4
    Case("4.1", "ignores unknown frames", lambda t: frame(0x16, 0, 0, b"x" * 8) + t.request(1), "served"),
    Case("4.1", "ignores undefined flags", frame(PING, 0x16, 0, b"12345678"), "alive"),
    Case("4.1", "ignores the reserved bit", struct.pack(">IBBI", 8, PING, 0, 0x80000000)[1:] + b"12345678", "alive"),
    Case("4.2", "takes DATA of 16384", _post(frame(DATA, END_STREAM, 1, b"x" * 16384)), "served"),
    Case("4.2", "refuses DATA of 16385", _post(frame(DATA, END_STREAM, 1, b"x" * 16385)), "refused", (S,)),
    Case("4.2", "refuses HEADERS of 16385", lambda t: frame(HEADERS, ALL_HEADERS, 1, t.block(("x", "y" * 16384))), "broken", (S,)),
    Case("4.3", "refuses a broken block", _block(lambda t: b"\x40"), "broken", (C,)),
    Case("4.3", "refuses PRIORITY inside a block", lambda t: frame(HEADERS, END_STREAM, 1, t.block()) + frame(PRIORITY, 0, 1, b"\0\0\0\0\xff"), "broken", (P,)),
    Case("4.3", "refuses another stream's HEADERS inside a block", lambda t: frame(HEADERS, END_STREAM, 1, t.block()) + t.request(3), "broken", (P,)),
    Case("4.3", "refuses an unknown frame inside a block", lambda t: frame(HEADERS, END_STREAM, 1, t.block()) + frame(0x16, 0, 0, b"x"), "broken", (P,)),
    # 5.1
    Case("5.1", "idle: refuses DATA", frame(DATA, END_STREAM, 1, b"x"), "refused", CLOSED),
    Case("5.1", "idle: refuses RST_STREAM", rst(1), "broken", (P,)),
    Case("5.1", "idle: refuses WINDOW_UPDATE", window_update(1, 100), "broken", (P,)),
    Case("5.1", "idle: refuses CONTINUATION", lambda t: frame(CONTINUATION, END_HEADERS, 1, t.block()), "broken", (P,)),
    Case("5.1", "half-closed: refuses DATA", _then(frame(DATA, END_STREAM, 1, b"x")), "refused", (SC,)),
    Case("5.1", "half-closed: refuses HEADERS", lambda t: [t.request(1), t.request(1)], "refused", CLOSED),
    Case("5.1", "half-closed: refuses CONTINUATION", lambda t: [t.request(1), frame(CONTINUATION, END_HEADERS, 1, t.block())], "refused", CLOSED),
    Case("5.1", "closed: refuses DATA", lambda t: [t.request(1, END_HEADERS, method="POST") + rst(1), frame(DATA, END_STREAM, 1, b"x")], "refused", (SC,)),
    Case("5.1", "closed: refuses HEADERS", lambda t: [t.request(1, END_HEADERS, method="POST") + rst(1), t.request(1)], "refused", CLOSED),
    Case("5.1", "closed: refuses CONTINUATION", lambda t: [t.request(1, END_HEADERS, method="POST") + rst(1), frame(CONTINUATION, END_HEADERS, 1, t.block())], "refused", CLOSED),
    Case("5.1", "closed: ignores WINDOW_UPDATE", _then(window_update(1, 1)), "alive"),
    Case("5.1", "closed: ignores PRIORITY", _then(frame(PRIORITY, 0, 1, b"\0\0\0\0\x0f")), "alive"),
    Case("5.1.1", "refuses an even stream", _get(2), "broken", (P,)),
    Case("5.1.1", "refuses a smaller stream", lambda t: [t.request(5), t.request(3)], "broken", CLOSED),
    Case("5.1.2", "refuses more streams than it allows", lambda t: b"".join(t.request(1 + 2 * i, END_HEADERS, method="POST") for i in range(120)), "refused", (P, REFUSED_STREAM)),
    Case("5.3.1", "refuses HEADERS that depend on themselves", lambda t: frame(HEADERS, ALL_HEADERS | HAS_PRIORITY, 1, b"\0\0\0\x01\xff" + t.block()), "refused", (P,)),
    Case("5.3.1", "refuses PRIORITY that depends on itself", frame(PRIORITY, 0, 2, b"\0\0\0\x02\xff"), "refused", (P,)),
    Case("5.5", "ignores an unknown frame between requests", lambda t: t.request(1) + frame(0xBA, 0, 1, b"x"), "served"),
    # 6.1 DATA
    Case("6.1", "refuses DATA on stream 0", frame(DATA, END_STREAM, 0, b"x"), "broken", (P,)),
    Case("6.1", "refuses DATA with too much padding", _post(frame(DATA, END_STREAM | PADDED, 1, b"\x0fhello")), "broken", (P,)),
    Case("6.1", "refuses DATA padded without a length", _post(frame(DATA, END_STREAM | PADDED, 1, b"")), "broken", SIZE),
    # 6.2 HEADERS
    Case("6.2", "refuses HEADERS on stream 0", lambda t: frame(HEADERS, ALL_HEADERS, 0, t.block()), "broken", (P,)),
    Case("6.2", "refuses HEADERS with too much padding", lambda t: frame(HEADERS, ALL_HEADERS | PADDED, 1, b"\xff" + t.block()), "broken", (P,)),
    Case("6.2", "refuses HEADERS without END_HEADERS before DATA", lambda t: frame(HEADERS, 0, 1, t.block(method="POST")) + frame(DATA, END_STREAM, 1, b"x"), "broken", (P,)),
    Case("6.2", "refuses HEADERS too short for its priority", frame(HEADERS, ALL_HEADERS | HAS_PRIORITY, 1, b"\0\0"), "broken", SIZE),
    # 6.3 PRIORITY
    Case("6.3", "refuses PRIORITY on stream 0", frame(PRIORITY, 0, 0, b"\0\0\0\0\xff"), "broken", (P,)),
    Case("6.3", "refuses PRIORITY of 4 bytes", lambda t: t.request(1, END_HEADERS, method="POST") + frame(PRIORITY, 0, 1, b"\0\0\0\0"), "refused", (S,)),
    # 6.4 RST_STREAM
    Case("6.4", "refuses RST_STREAM on stream 0", rst(0), "broken", (P,)),
    Case("6.4", "refuses RST_STREAM of 3 bytes", lambda t: t.request(1, END_HEADERS, method="POST") + frame(RST_STREAM, 0, 1, b"\0\0\0"), "broken", (S,)),
    # 6.5 SETTINGS
    Case("6.5", "acknowledges SETTINGS", settings((MAX_CONCURRENT_STREAMS, 100)), "alive"),
    Case("6.5", "takes an empty SETTINGS", frame(SETTINGS), "alive"),
    Case("6.5", "refuses SETTINGS ACK with a payload", frame(SETTINGS, ACK, 0, b"\0"), "broken", (S,)),
    Case("6.5", "refuses SETTINGS on stream 1", frame(SETTINGS, 0, 1, b"\0\3\0\0\0\x64"), "broken", (P,)),
    Case("6.5", "refuses SETTINGS of 3 bytes", frame(SETTINGS, 0, 0, b"\0\3\0"), "broken", (S,)),
    Case("6.5.2", "refuses ENABLE_PUSH 2", settings((ENABLE_PUSH, 2)), "broken", (P,)),
    Case("6.5.2", "refuses INITIAL_WINDOW_SIZE 2^31", settings((INITIAL_WINDOW_SIZE, 1 << 31)), "broken", (F,)),
    Case("6.5.2", "refuses MAX_FRAME_SIZE 16383", settings((MAX_FRAME_SIZE, 16383)), "broken", (P,)),
    Case("6.5.2", "refuses MAX_FRAME_SIZE 2^24", settings((MAX_FRAME_SIZE, 1 << 24)), "broken", (P,)),
    Case("6.5.2", "ignores an unknown setting", settings((0xFF, 1)), "alive"),
    # 6.6 PUSH_PROMISE
    Case("6.6", "refuses PUSH_PROMISE", lambda t: frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + t.block()), "broken", (P,)),
    # 6.7 PING
    Case("6.7", "ignores an unasked PING ACK", frame(PING, ACK, 0, b"unasked!"), "alive"),
    Case("6.7", "refuses PING on stream 1", frame(PING, 0, 1, b"12345678"), "broken", (P,)),
    Case("6.7", "refuses PING of 6 bytes", frame(PING, 0, 0, b"123456"), "broken", (S,)),
    # 6.8 GOAWAY
    Case("6.8", "refuses GOAWAY on stream 1", frame(GOAWAY, 0, 1, bytes(8)), "broken", (P,)),
    Case("6.8", "refuses GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), "broken", (S,)),
    # 6.9 WINDOW_UPDATE
    Case("6.9", "refuses WINDOW_UPDATE of 0 on stream 0", window_update(0, 0), "broken", (P,)),
    Case("6.9", "refuses WINDOW_UPDATE of 0 on a stream", lambda t: t.request(1, END_HEADERS, method="POST") + window_update(1, 0), "refused", (P,)),
    Case("6.9", "refuses WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE := 8, 0, 0, b"\0\0\1"), "broken", (S,)),
    Case("6.9.1", "refuses a connection window of 2^31", window_update(0, 0x7FFFFFFF) * 2, "broken", (F,)),
    Case("6.9.1", "refuses a stream window of 2^31", lambda t: t.request(1, END_HEADERS, method="POST") + window_update(1, 0x7FFFFFFF) * 2, "refused", (F,)),
    Case("6.9.1", "waits for the window, then serves", lambda t: [t.request(1), window_update(1, 100)], "served", first=settings((INITIAL_WINDOW_SIZE, 0))),
    Case("6.9.2", "serves when the initial window grows", lambda t: [t.request(1), settings((INITIAL_WINDOW_SIZE, 100))], "served", first=settings((INITIAL_WINDOW_SIZE, 0))),
    Case("6.9.2", "keeps a negative window", lambda t: [t.request(1), settings((INITIAL_WINDOW_SIZE, 2)), settings((INITIAL_WINDOW_SIZE, 100))], "served", first=settings((INITIAL_WINDOW_SIZE, 3))),
    # 6.10 CONTINUATION
    Case("6.10", "refuses CONTINUATION on stream 0", lambda t: frame(HEADERS, END_STREAM, 1, t.block()) + frame(CONTINUATION, END_HEADERS, 0, b""), "broken", (P,)),
    Case("6.10", "refuses CONTINUATION of another stream", lambda t: frame(HEADERS, END_STREAM, 1, t.block()) + frame(CONTINUATION, END_HEADERS, 3, b"\x00\x01a\x01b"), "broken", (P,)),
    Case("6.10", "refuses CONTINUATION behind END_HEADERS", lambda t: t.request(1, END_HEADERS, method="POST") + frame(CONTINUATION, END_HEADERS, 1, b"\x00\x01a\x01b"), "broken", (P,)),
    Case("6.10", "refuses CONTINUATION behind DATA", _post(frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, b"\x00\x01a\x01b")), "broken", (P,)),
    # 7
    Case("7", "takes GOAWAY with an unknown code", frame(GOAWAY, 0, 0, bytes(4) + b"\0\0\0\xff"), "alive"),
    Case("7", "takes RST_STREAM with an unknown code", lambda t: t.request(1, END_HEADERS, method="POST") + rst(1, 0xFF), "alive"),
    # 8.1
    Case("8.1", "refuses trailers without END_STREAM", lambda t: _post()(t) + frame(HEADERS, END_HEADERS, 1, literal("x-a", "1")), "refused", (P,)),
    Case("8.1", "refuses pseudo-header fields in trailers", lambda t: _post()(t) + frame(HEADERS, ALL_HEADERS, 1, literal(":method", "GET")), "refused", (P,)),
    Case("8.1.1", "refuses a body longer than its length", _post(frame(DATA, END_STREAM, 1, b"hello"), length=1), "refused", (P,)),
    Case("8.1.1", "refuses a body shorter than its length", _post(frame(DATA, END_STREAM, 1, b"hello"), length=9), "refused", (P,)),
    Case("8.1.1", "refuses a length without a body", _fields(("content-length", "5")), "refused", (P,)),
    Case("8.1.1", "refuses a length that is no number", _fields(("content-length", "five")), "refused", (P,)),
    # 8.2
    Case("8.2.1", "refuses upper case in a name", _fields(("X-Upper", "a")), "refused", (P,)),
    Case("8.2.1", "refuses a space in a name", _fields(("x a", "a")), "refused", (P,)),
    Case("8.2.1", "refuses a colon in a name", _fields(("x:a", "a")), "refused", (P,)),
    Case("8.2.1", "refuses an empty name", _fields(("", "a")), "refused", (P, C)),
    Case("8.2.1", "refuses NUL in a value", _fields(("x-a", "a\0b")), "refused", (P,)),
    Case("8.2.1", "refuses CR in a value", _fields(("x-a", "a\rb")), "refused", (P,)),
    Case("8.2.1", "refuses LF in a value", _fields(("x-a", "a\nx-c: d")), "refused", (P,)),
    Case("8.2.1", "refuses a space before a value", _fields(("x-a", " a")), "refused", (P,)),
    Case("8.2.1", "refuses a tab behind a value", _fields(("x-a", "a\t")), "refused", (P,)),
    Case("8.2.2", "refuses connection", _fields(("connection", "keep-alive")), "refused", (P,)),
    Case("8.2.2", "refuses keep-alive", _fields(("keep-alive", "1")), "refused", (P,)),
    Case("8.2.2", "refuses proxy-connection", _fields(("proxy-connection", "keep-alive")), "refused", (P,)),
    Case("8.2.2", "refuses transfer-encoding", _fields(("transfer-encoding", "chunked")), "refused", (P,)),
    Case("8.2.2", "refuses upgrade", _fields(("upgrade", "h2c")), "refused", (P,)),
    Case("8.2.2", "takes te: trailers", _fields(("te", "trailers")), "served"),
    Case("8.2.2", "refuses te: gzip", _fields(("te", "gzip")), "refused", (P,)),
    # 8.3
    Case("8.3", "refuses an unknown pseudo-header field", _fields((":test", "a")), "refused", (P,)),
    Case("8.3", "refuses :status in a request", _fields((":status", "200")), "refused", (P,)),
    Case("8.3", "refuses a pseudo-header field behind another", _block(lambda t: t.block(("x-a", "b"), path=None) + literal(":path", "/ping")), "refused", (P,)),
    Case("8.3.1", "refuses an empty :path", _get(path=""), "refused", (P,)),
    Case("8.3.1", "refuses a :path without slash", _get(path="ping"), "refused", (P,)),
    Case("8.3.1", "refuses * with GET", _get(path="*"), "refused", (P,)),
    Case("8.3.1", "refuses a space in :path", _get(path="/ping HTTP/1.1"), "refused", (P,)),
    Case("8.3.1", "refuses a line end in :path", _get(path="/ping\r\nx: y"), "refused", (P,)),
    Case("8.3.1", "refuses a fragment in :path", _get(path="/ping#a"), "refused", (P,)),
    Case("8.3.1", "refuses :path missing", _get(path=None), "refused", (P,)),
    Case("8.3.1", "refuses :method missing", _get(method=None), "refused", (P,)),
    Case("8.3.1", "refuses :scheme missing", _get(scheme=None), "refused", (P,)),
    Case("8.3.1", "refuses an empty :method", _get(method=""), "refused", (P,)),
    Case("8.3.1", "refuses a :method that is no token", _get(method="GET /x"), "refused", (P,)),
    Case("8.3.1", "refuses :path twice", _fields((":path", "/ping")), "refused", (P,)),
    Case("8.3.1", "refuses :method twice", _fields((":method", "GET")), "refused", (P,)),
    Case("8.3.1", "refuses :scheme twice", _fields((":scheme", "http")), "refused", (P,)),
    Case("8.3.1", "refuses :authority twice", _fields((":authority", "localhost")), "refused", (P,)),
    Case("8.3.1", "refuses user information in :authority", _get(authority="user@localhost"), "refused", (P,)),
    Case("8.3.1", "refuses an empty :authority", _get(authority=""), "refused", (P,)),
    Case("8.3.1", "refuses a slash in :authority", _get(authority="localhost/x"), "refused", (P,)),
    Case("8.4", "refuses PUSH_PROMISE from a client", lambda t: [t.request(1), frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02")], "broken", (P,)),
    # hpack
    Case("hpack 2.3.3", "refuses index 70 in an empty table", _block(lambda t: t.block() + integer(70, 7, 0x80)), "broken", (C,)),
    Case("hpack 2.3.3", "refuses a name index beyond the table", _block(lambda t: t.block() + integer(70, 4) + text("a")), "broken", (C,)),
    Case("hpack 4.2", "refuses a table size update behind a field", _block(lambda t: t.block() + b"\x21"), "broken", (C,)),
    Case("hpack 4.2", "takes a table size update before the fields", _block(lambda t: b"\x20" + t.block()), "served"),
    Case("hpack 5.1", "refuses an integer without end", _block(lambda t: t.block() + b"\xff" + b"\xff" * 10), "broken", (C,)),
    Case("hpack 5.2", "refuses a string longer than the block", _block(lambda t: t.block() + b"\x00\x01a\x7e"), "broken", (C,)),
    Case("hpack 5.2", "refuses Huffman padding of 8 bits", _block(lambda t: t.block() + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"), "broken", (C,)),
    Case("hpack 5.2", "refuses Huffman padding of zeros", _block(lambda t: t.block() + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"), "broken", (C,)),
    Case("hpack 5.2", "refuses the end-of-string symbol", _block(lambda t: t.block() + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"), "broken", (C,)),
    Case("hpack 6.1", "refuses index 0", _block(lambda t: t.block() + b"\x80"), "broken", (C,)),
    Case("hpack 6.2.1", "serves a field added and referred to", _block(lambda t: t.block() + literal("x-a", "b", indexing=True) + b"\xbe"), "served"),
    Case("hpack 6.3", "refuses a table larger than its limit", _block(lambda t: integer(4097, 5, 0x20) + t.block()), "broken", (C,)),
]
