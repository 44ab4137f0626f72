"""A load that keeps its word: it sends so many requests over HTTP/2 connections, follows GOAWAY as RFC 9113 §6.8 asks, and
counts as failed every request that was not answered with the status it wants.

    result = asyncio.run(load(url, ca, requests=10000, make=lambda n: ("GET", "/example/v1/ping", {}, b"")))
    assert result.failed == []
"""

import asyncio
import collections
import ssl
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events


@dataclass
class Result:
    statuses: collections.Counter = field(default_factory=collections.Counter)
    failed: list = field(default_factory=list)  # (number of the request, why)
    answers: dict = field(default_factory=dict)  # number → (status, body), when asked for
    connections: int = 0
    goaways: int = 0
    latencies: list = field(default_factory=list)  # seconds


class Load:
    def __init__(self, url, ca, requests, make, token=None, connections=8, streams=8, keep_answers=False, until=None):
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.authority = parts.netloc
        self.tls = ssl.create_default_context(cafile=ca)
        self.tls.set_alpn_protocols(["h2"])
        self.make, self.token = make, token
        self.todo = collections.deque(range(requests))
        self.streams = streams
        self.connections_n = connections
        self.keep_answers = keep_answers
        self.until = until  # stop sending at this moment (time.monotonic)
        self.result = Result()

    def more(self):
        return bool(self.todo) and (self.until is None or time.monotonic() < self.until)

    async def run(self):
        await asyncio.gather(*(self.lane() for _ in range(self.connections_n)))
        return self.result

    async def lane(self):
        """One connection at a time, a new one when the server asks for it, until nothing is left to send."""
        while self.more():
            connection = Connection(self)
            try:
                await connection.run()
            except OSError as error:
                connection.lost(error)
                await asyncio.sleep(0.01)


class PatientH2(h2.connection.H2Connection):
    """The library closes a connection at the first GOAWAY, though answers to open streams are still to come."""

    def _receive_goaway_frame(self, frame):
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class Connection:
    def __init__(self, owner):
        self.owner = owner
        self.result = owner.result
        self.h2 = PatientH2(h2.config.H2Configuration(header_encoding="utf-8"))
        self.open = {}  # stream → [number, status, body, began]
        self.leaving = False

    async def run(self):
        self.result.connections += 1
        reader, self.writer = await asyncio.open_connection(self.owner.host, self.owner.port, ssl=self.owner.tls)
        try:
            self.h2.initiate_connection()
            self.fill()
            while self.open:
                self.flush()
                await self.writer.drain()
                data = await reader.read(65536)
                if not data:
                    self.lost("the connection was closed")
                    return
                for event in self.h2.receive_data(data):
                    self.handle(event)
                self.fill()
            self.flush()
        finally:
            self.writer.close()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.writer.write(data)

    def fill(self):
        limit = min(self.owner.streams, self.h2.remote_settings.max_concurrent_streams)
        while not self.leaving and len(self.open) < limit and self.owner.more():
            self.send(self.owner.todo.popleft())

    def send(self, number):
        method, path, headers, body = self.owner.make(number)
        fields = [(":method", method), (":scheme", "https"), (":authority", self.owner.authority), (":path", path)]
        if self.owner.token:
            fields.append(("authorization", f"Bearer {self.owner.token}"))
        fields += list(headers.items())
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields, end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self.open[stream] = [number, None, b"", time.monotonic()]

    def handle(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.ResponseReceived):
            if stream in self.open:
                self.open[stream][1] = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            if stream in self.open:
                self.open[stream][2] += event.data
        elif isinstance(event, h2.events.StreamEnded):
            self.answered(stream)
        elif isinstance(event, h2.events.StreamReset):
            request = self.open.pop(stream, None)
            if request and event.error_code == 7:  # REFUSED_STREAM: not processed, may be sent again
                self.owner.todo.append(request[0])
            elif request:
                self.result.failed.append((request[0], f"reset with {event.error_code}"))
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.result.goaways += 1
            self.leaving = True
            for late in [s for s in self.open if s > event.last_stream_id]:
                self.owner.todo.append(self.open.pop(late)[0])  # not processed, may be sent again

    def answered(self, stream):
        request = self.open.pop(stream, None)
        if request is None:
            return
        number, status, body, began = request
        self.result.statuses[status] += 1
        self.result.latencies.append(time.monotonic() - began)
        if self.owner.keep_answers:
            self.result.answers[number] = (status, body)

    def lost(self, why):
        for number, *_ in self.open.values():
            self.result.failed.append((number, str(why)))
        self.open.clear()


async def load(*arguments, **options):
    return await Load(*arguments, **options).run()
