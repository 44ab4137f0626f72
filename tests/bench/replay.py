"""Requests over HTTP/2 that differ from each other: a proof, an assertion or a code is good for one, so h2load, which repeats
itself, cannot send them. Slow by the standards of a load generator, which does no harm where the server's processor time counts.

    with Replay(url, ca) as replay:
        replay.send([("GET", "/example/v1/ping", {"dpop": proof}, None) for proof in proofs])    # every answer must be 200
"""

import socket
import ssl
import urllib.parse

import h2.config
import h2.connection
import h2.events

CONNECTIONS, STREAMS = 4, 32


class Connection:
    def __init__(self, url, ca, cert):
        where = urllib.parse.urlsplit(url)
        tls = ssl.create_default_context(cafile=ca)
        tls.set_alpn_protocols(["h2"])
        if cert:
            tls.load_cert_chain(*cert)
        self.socket = tls.wrap_socket(socket.create_connection(("127.0.0.1", where.port)), server_hostname=where.hostname)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = [(":scheme", "https"), (":authority", where.netloc)]
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="ascii"))
        self.h2.initiate_connection()
        self.socket.sendall(self.h2.data_to_send())
        self.left = 0

    def ask(self, requests):
        """Send a window of requests in one piece."""
        for method, path, fields, body in requests:
            stream = self.h2.get_next_available_stream_id()
            self.h2.send_headers(stream, [(":method", method), (":path", path), *self.head, *fields.items()], end_stream=body is None)
            if body is not None:
                self.h2.send_data(stream, body, end_stream=True)
        self.left += len(requests)
        self.socket.sendall(self.h2.data_to_send())

    def await_answers(self):
        while self.left:
            data = self.socket.recv(65536)
            assert data, "the connection was closed"
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    status = dict(event.headers)[":status"]
                    assert status == "200", f"status {status}"
                elif isinstance(event, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.left -= 1
                assert not isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)), event
            self.socket.sendall(self.h2.data_to_send())


class Replay:
    def __init__(self, url, ca, cert=None):
        self.connections = [Connection(url, ca, cert) for _ in range(CONNECTIONS)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.socket.close()

    def send(self, requests):
        """All of them, each of (method, path, fields, body), with CONNECTIONS * STREAMS under way at once."""
        at = 0
        while at < len(requests):
            for connection in self.connections:
                connection.ask(requests[at:at + STREAMS])
                at += STREAMS
            for connection in self.connections:
                connection.await_answers()
