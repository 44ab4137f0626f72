"""Raw HTTP/2: frames, a little HPACK, and a connection that writes as fast as the peer takes it while
it reads all that comes back."""

import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

from yardstick import slowness

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE = range(1, 7)


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", k, v) for k, v in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def integer(value, prefix_bits, first=0):
    """RFC 7541 5.1."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([first | value])
    out = bytearray([first | limit])
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def text(value):
    value = value.encode("latin-1") if isinstance(value, str) else value
    return integer(len(value), 7) + value


def literal(name, value, indexing=False):
    """A field with its name in full."""
    return (b"\x40" if indexing else b"\x00") + text(name) + text(value)


@dataclass
class Target:
    """What is attacked: where, and what an ordinary request to it looks like."""

    host: str = "127.0.0.1"
    port: int = 443
    tls: bool = True
    authority: str = "localhost"
    path: str = "/ping"
    method: str = "GET"
    headers: tuple = ()
    timeout_s: float = 20.0

    @property
    def scheme(self):
        return "https" if self.tls else "http"

    def pseudo(self, **changes):
        fields = {":method": self.method, ":scheme": self.scheme, ":path": self.path,
                  ":authority": self.authority}
        fields.update({":" + k: v for k, v in changes.items()})
        return [(k, v) for k, v in fields.items() if v is not None]

    def block(self, *more, **changes):
        """The header block of an ordinary request, with changes to its pseudo-header fields."""
        fields = self.pseudo(**changes) + list(self.headers) + list(more)
        return b"".join(literal(k, v) for k, v in fields)

    def request(self, stream, flags=END_STREAM | END_HEADERS, **changes):
        return frame(HEADERS, flags, stream, self.block(**changes))


@dataclass
class Outcome:
    """What happened."""

    name: str = ""
    sent: int = 0
    seconds: float = 0.0
    closed: bool = False
    goaway: int = None
    why: str = ""
    resets: list = field(default_factory=list)
    statuses: dict = field(default_factory=dict)
    note: str = ""
    answer: str = ""

    def refused(self):
        return self.closed or self.goaway not in (None, NO_ERROR)


class Wire:
    """One HTTP/2 connection."""

    def __init__(self, target, preface=True, first=settings(), receive_buffer=None, segment=None, alpn=("h2",)):
        self.target = target
        self.out = Outcome()
        self.frames = []
        self.keep = True
        self._buffer = b""
        sock = socket.socket(socket.AF_INET6 if ":" in target.host else socket.AF_INET)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if segment:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        sock.settimeout(target.timeout_s)
        sock.connect((target.host, target.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(list(alpn))
            sock = context.wrap_socket(sock, server_hostname=target.authority.split(":")[0])
        sock.setblocking(False)
        self.sock = sock
        self.started = time.monotonic()
        if preface:
            self.send(PREFACE + first)

    def _take(self, data):
        if not data:
            self.out.closed = True
            return
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= 9:
            length = int.from_bytes(self._buffer[at:at + 3], "big")
            if len(self._buffer) - at < 9 + length:
                break
            kind, flags, stream = struct.unpack(">BBI", self._buffer[at + 3:at + 9])
            self._note(kind, flags, stream & 0x7FFFFFFF, self._buffer[at + 9:at + 9 + length])
            at += 9 + length
        self._buffer = self._buffer[at:]

    def _note(self, kind, flags, stream, payload):
        if kind == GOAWAY:
            self.out.goaway = struct.unpack(">I", payload[4:8])[0]
            self.out.why = payload[8:].decode("latin-1")
        elif kind == RST_STREAM:
            self.out.resets.append((stream, struct.unpack(">I", payload)[0]))
        elif kind == HEADERS and payload and payload[0] & 0x80:
            status = {8: 200, 9: 204, 12: 400, 13: 404, 14: 500}.get(payload[0] & 0x7F, 0)
            self.out.statuses[stream] = status
        elif kind == HEADERS and payload[:2] == b"\x08\x03":
            self.out.statuses[stream] = int(payload[2:5])
        if self.keep:
            self.frames.append((kind, flags, stream, payload))

    def _read_all(self):
        while not self.out.closed:
            try:
                self._take(self.sock.recv(1 << 18))
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            except (OSError, ssl.SSLError):
                self.out.closed = True

    def read_some(self, most):
        """Read at most so many bytes that are there."""
        try:
            self._take(self.sock.recv(most))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass
        except (OSError, ssl.SSLError):
            self.out.closed = True

    def send(self, data, read=True, deadline_s=None):
        """Write all of `data`, reading meanwhile unless told not to. False when the peer closed or
        the deadline passed."""
        view = memoryview(data)
        end = time.monotonic() + (deadline_s if deadline_s is not None else self.target.timeout_s)
        while len(view) and not self.out.closed:
            left = end - time.monotonic()
            if left <= 0:
                return False
            readable, writable = ready(self.sock, read, True, min(left, 0.5))
            if readable:
                self._read_all()
            if writable and not self.out.closed:
                try:
                    sent = self.sock.send(view[:1 << 18])
                    self.out.sent += sent
                    view = view[sent:]
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                    pass
                except (OSError, ssl.SSLError):
                    self._read_all()
                    self.out.closed = True
        return not self.out.closed

    def listen(self, seconds, until=None):
        """Read for a while, or until the peer closed, or `until(self)` holds, for which a busy machine has longer."""
        end = time.monotonic() + seconds * (slowness() if until else 1)
        while not self.out.closed and (left := end - time.monotonic()) > 0:
            if until is not None and until(self):
                return True
            if getattr(self.sock, "pending", lambda: 0)() or ready(self.sock, True, False, min(left, 0.5))[0]:
                self._read_all()
        return until is not None and until(self)

    def has(self, kind, stream=None, flags=0):
        return any(k == kind and (stream is None or s == stream) and f & flags == flags
                   for k, f, s, _ in self.frames)

    def ping(self, seconds=5.0):
        """Whether the peer still answers."""
        mark = struct.pack(">d", time.monotonic())
        self.send(frame(PING, 0, 0, mark))
        return self.listen(seconds, lambda w: any(k == PING and f & ACK and p == mark for k, f, _, p in w.frames))

    def finish(self, name, note="", linger_s=2.0):
        """Wait a moment for a close, close, and report."""
        if not self.out.closed:
            self.listen(linger_s)
        self.out.seconds = time.monotonic() - self.started
        self.out.name, self.out.note = name, note
        self.sock.close()
        return self.out


def ready(sock, read, write, seconds):
    """Whether it can be read, and written, within the time: by poll, which knows descriptors above 1023."""
    asked = (select.POLLIN if read else 0) | (select.POLLOUT if write else 0)
    poll = select.poll()
    poll.register(sock, asked)
    events = sum(event for _, event in poll.poll(seconds * 1000))
    broken = events & (select.POLLERR | select.POLLHUP | select.POLLNVAL)
    return bool(read and (events & select.POLLIN or broken)), bool(write and (events & select.POLLOUT or broken))
