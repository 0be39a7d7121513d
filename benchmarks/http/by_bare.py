"""Requests by nothing but trio sockets and httptools: what can be reached at all.

It is honest in that each response is parsed in full, headers and body, and that its connection is kept only if the
parser says so. It has no pool, no timeout, no redirect, no decoding and no error handling.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools
import trio

from benchmarks.http.measuring import Job, Meter, read_job


class Connection(NamedTuple):
    """How bytes are sent and received: by a socket, or by TLS over one."""

    send: Callable[[bytes], Awaitable[object]]
    receive: Callable[[int], Awaitable[bytes | bytearray]]


class Response:
    """What the parser finds in one response."""

    def __init__(self) -> None:
        """Make an empty one."""
        self.parser = httptools.HttpResponseParser(self)
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.done = self.keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Ask whether the connection outlives this response, while the parser still knows."""
        self.keep = self.parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """See its end."""
        self.done = True


async def connect(host: str, port: int, *, tls: bool) -> Connection:
    """Connect to a server."""
    if not tls:
        stream = trio.socket.socket()
        await stream.connect((host, port))
        return Connection(stream.send, stream.recv)
    over = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=ssl.create_default_context())
    return Connection(over.send_all, over.receive_some)


async def exchange(connection: Connection, request: bytes) -> Response:
    """Send a request, and read its response."""
    await connection.send(request)
    response = Response()
    while not response.done:
        response.parser.feed_data(await connection.receive(65536))
    if response.parser.get_status_code() != 200 or not response.keep:
        raise RuntimeError("the server refused a request, or closes its connection")
    return response


async def main(job: Job, meter: Meter) -> None:
    """Have as many workers as there are tasks take from one iterator, each with a connection of its own."""
    parts = urlsplit(job.url)
    assert parts.hostname is not None
    assert parts.port is not None
    host, port, path = parts.hostname, parts.port, parts.path.encode()
    rest = f" HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\nUser-Agent: bare\r\n\r\n".encode()
    numbers = iter(range(job.requests))

    async def work() -> None:
        connection = await connect(host, port, tls=parts.scheme == "https")
        for number in numbers:
            began = time.perf_counter()
            response = await exchange(connection, b"GET %b/%d" % (path, number) + rest)
            meter.took(time.perf_counter() - began)
            meter.got(bytes(response.body))

    async with trio.open_nursery() as nursery:
        for _ in range(job.tasks):
            nursery.start_soon(work)


if __name__ == "__main__":
    the_job = read_job()
    trio.run(main, the_job, Meter(the_job))
