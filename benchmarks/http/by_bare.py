"""Requests by nothing but trio sockets and httptools: what can be reached at all.

It is honest in that each response is parsed in full, headers and body, and that its connection is kept only if the
parser says so. It has no pool, no timeout, no redirect, no decoding and no error handling.
"""

from __future__ import annotations

import httptools
import trio
from measuring import Job, Meter, read_job


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


async def exchange(stream: trio.socket.SocketType, request: bytes) -> Response:
    """Send a request, and read its response."""
    await stream.send(request)
    response = Response()
    while not response.done:
        response.parser.feed_data(await stream.recv(65536))
    if response.parser.get_status_code() != 200 or not response.keep:
        raise RuntimeError("the server refused a request, or closes its connection")
    return response


async def main(job: Job, meter: Meter) -> None:
    """Have as many workers as there are tasks take from one iterator, each with a connection of its own."""
    numbers = job.numbers()
    host, _, port = job.url.removeprefix("http://").partition(":")
    rest = f" HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\nUser-Agent: bare\r\n\r\n".encode()

    async def work() -> None:
        with trio.socket.socket() as stream:
            await stream.connect((host, int(port)))
            for number in numbers:
                response = await exchange(stream, b"GET /%d" % number + rest)
                meter.got(bytes(response.body))

    async with trio.open_nursery() as nursery:
        for _ in range(job.tasks):
            nursery.start_soon(work)


if __name__ == "__main__":
    the_job = read_job()
    the_meter = Meter(the_job)
    trio.run(main, the_job, the_meter)
    the_meter.tell()
