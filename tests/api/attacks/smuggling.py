"""HTTP/1: requests that two parsers could read differently. Each must be answered 400 and the
connection closed, with the second request, hidden in the first, not answered."""

import socket
import ssl
import time

from .wire import Outcome, Target

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


def exchange(target, data, seconds=3.0):
    """Send raw bytes over HTTP/1 and read until the server closes."""
    out = Outcome()
    sock = socket.create_connection((target.host, target.port), timeout=seconds)
    if target.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        sock = context.wrap_socket(sock, server_hostname=target.authority.split(":")[0])
    started, answer = time.monotonic(), b""
    try:
        sock.sendall(data)
        out.sent = len(data)
        while chunk := sock.recv(65536):
            answer += chunk
        out.closed = True
    except socket.timeout:
        pass
    except OSError:
        out.closed = True
    sock.close()
    out.seconds = time.monotonic() - started
    parts = answer.split(b"HTTP/1.1 ")[1:]
    out.statuses = {i: int(p[:3]) for i, p in enumerate(parts)}
    out.note, out.answer = answer[:200].decode("latin-1"), answer.decode("latin-1")
    return out


def cases(target):
    """(name, bytes): all malformed."""
    host = b"Host: " + target.authority.encode() + b"\r\n"
    post = b"POST " + target.path.encode() + b" HTTP/1.1\r\n" + host
    get = b"GET " + target.path.encode() + b" HTTP/1.1\r\n"
    chunk = b"Transfer-Encoding: chunked\r\n"
    n = str(len(HIDDEN)).encode()
    hidden_chunk = b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n"
    return [
        ("CL.TE", post + b"Content-Length: 6\r\n" + chunk + b"\r\n0\r\n\r\nG"),
        ("TE.CL", post + chunk + b"Content-Length: 4\r\n\r\n" + hidden_chunk),
        ("TE.TE", post + chunk + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN),
        ("TE.TE same", post + chunk + chunk + b"\r\n0\r\n\r\n" + HIDDEN),
        ("TE list", post + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN),
        ("TE identity", post + b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN),
        ("TE xchunked", post + b"Transfer-Encoding: xchunked\r\n\r\n" + HIDDEN),
        ("TE with tab before value end", post + b"Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n" + HIDDEN),
        ("TE in HTTP/1.0", post.replace(b"1.1", b"1.0") + chunk + b"\r\n0\r\n\r\n" + HIDDEN),
        ("CL.CL different", post + b"Content-Length: 0\r\nContent-Length: " + n + b"\r\n\r\n" + HIDDEN),
        ("CL.CL same", post + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + HIDDEN),
        ("CL list", post + b"Content-Length: 0, " + n + b"\r\n\r\n" + HIDDEN),
        ("CL plus", post + b"Content-Length: +0\r\n\r\n" + HIDDEN),
        ("CL minus", post + b"Content-Length: -1\r\n\r\n" + HIDDEN),
        ("CL hex", post + b"Content-Length: 0x0\r\n\r\n" + HIDDEN),
        ("CL empty", post + b"Content-Length: \r\n\r\n" + HIDDEN),
        ("CL huge", post + b"Content-Length: 99999999999999999999999\r\n\r\n" + HIDDEN),
        ("two Hosts", get + host + b"Host: evil.example\r\n\r\n"),
        ("no Host", get + b"\r\n"),
        ("Host with user", get + b"Host: user@" + target.authority.encode() + b"\r\n\r\n"),
        ("Host with path", get + b"Host: localhost/evil\r\n\r\n"),
        ("bare LF in head", get + host + b"X-A: b\nX-C: d\r\n\r\n"),
        ("bare LF at the end", get + host.rstrip(b"\r\n") + b"\n\n"),
        ("bare LF behind the request line", get.rstrip(b"\r\n") + b"\n" + host + b"\r\n"),
        ("bare CR in a value", get + host + b"X-A: b\rX-C: d\r\n\r\n"),
        ("NUL in a value", get + host + b"X-A: b\0c\r\n\r\n"),
        ("space before colon", post + b"Content-Length : 0\r\n\r\n" + HIDDEN),
        ("tab before colon", post + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + HIDDEN),
        ("space before the first field", get + b" " + host + b"\r\n"),
        ("obs-fold", get + host + b"X-A: b\r\n c\r\n\r\n"),
        ("obs-fold in TE", post + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN),
        ("no colon", get + host + b"X-A\r\n\r\n"),
        ("empty name", get + host + b": b\r\n\r\n"),
        ("absolute target with user", b"GET http://user@" + target.authority.encode() + b"/ping HTTP/1.1\r\n" + host + b"\r\n"),
        ("target without slash", b"GET ping HTTP/1.1\r\n" + host + b"\r\n"),
        ("target with fragment", b"GET /ping#a HTTP/1.1\r\n" + host + b"\r\n"),
        ("target with high byte", b"GET /p\xc3\xafng HTTP/1.1\r\n" + host + b"\r\n"),
        ("method with a brace", b"G{T /ping HTTP/1.1\r\n" + host + b"\r\n"),
        ("HTTP/2 in the request line", b"GET /ping HTTP/2.0\r\n" + host + b"\r\n"),
        ("too many fields", get + host + b"".join(b"X-%d: y\r\n" % i for i in range(101)) + b"\r\n"),
        ("too large a head", get + host + b"X-A: " + b"b" * 40000 + b"\r\n\r\n"),
        ("chunk size with bare LF", post + chunk + b"\r\n1\nx\r\n0\r\n\r\n"),
        ("chunk size of nothing", post + chunk + b"\r\n\r\nx\r\n0\r\n\r\n"),
        ("chunk size with space", post + chunk + b"\r\n1 \r\nx\r\n0\r\n\r\n"),
        ("chunk size 0x1", post + chunk + b"\r\n0x1\r\nx\r\n0\r\n\r\n"),
        ("chunk size too long", post + chunk + b"\r\n0000000000000001\r\nx\r\n0\r\n\r\n"),
        ("chunk data longer than its size", post + chunk + b"\r\n1\r\nxx\r\n0\r\n\r\n"),
        ("chunk data ended by LF", post + chunk + b"\r\n1\r\nx\n0\r\n\r\n"),
        ("chunk extension with bare LF", post + chunk + b"\r\n1;a\nb\r\nx\r\n0\r\n\r\n"),
        ("chunk extension without end", post + chunk + b"\r\n1;" + b"a" * 5000 + b"\r\nx\r\n0\r\n\r\n"),
        ("trailer with bare LF", post + chunk + b"\r\n0\r\nX-A: b\nX-C: d\r\n\r\n"),
        ("trailer without end", post + chunk + b"\r\n0\r\nX-A: " + b"b" * 9000 + b"\r\n\r\n"),
    ]


def _attack(name):
    def run(target):
        out = exchange(target, dict(cases(target))[name])
        out.name = name
        return out
    run.__name__ = "smuggling: " + name
    return run


def refused(out):
    """One answer, 400 (or 413, 431), and closed."""
    return out.closed and list(out.statuses.values()) in ([400], [413], [431])


def accepted(target):
    """(name, bytes, statuses): correct requests that must still be served."""
    host = b"Host: " + target.authority.encode() + b"\r\n"
    last = host + b"Connection: close\r\n"
    path = target.path.encode()
    chunked = b"POST " + path + b" HTTP/1.1\r\n" + last + b"Transfer-Encoding: chunked\r\n\r\n"
    return [
        ("GET", b"GET " + path + b" HTTP/1.1\r\n" + last + b"\r\n", [200]),
        ("absolute target", b"GET http://" + target.authority.encode() + path + b" HTTP/1.1\r\n" + last + b"\r\n", [200]),
        ("lower-case name", b"GET " + path + b" HTTP/1.1\r\n" + last.replace(b"Host", b"host") + b"\r\n", [200]),
        ("HTTP/1.0 without Host", b"GET " + path + b" HTTP/1.0\r\n\r\n", [200]),
        ("body by length", b"POST " + path + b" HTTP/1.1\r\n" + last + b"Content-Length: 5\r\n\r\nhello", [200]),
        ("space behind a length", b"POST " + path + b" HTTP/1.1\r\n" + last + b"Content-Length: 5 \t\r\n\r\nhello", [200]),
        ("chunks", chunked + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", [200]),
        ("chunk extension", chunked + b"5;a=b\r\nhello\r\n0\r\n\r\n", [200]),
        ("trailer", chunked + b"5\r\nhello\r\n0\r\nX-A: b\r\n\r\n", [200]),
        ("pipelined", b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\nGET " + path + b" HTTP/1.1\r\n" + last + b"\r\n",
         [200, 200]),
        ("Upgrade: h2c is ignored", b"GET " + path + b" HTTP/1.1\r\n" + host +
         b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", [200]),
    ]


ALL = [_attack(name) for name, _ in cases(Target())]
