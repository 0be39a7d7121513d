"""Sites that speak bytes at any pace, on loopback, and runs of an engine against them."""

from __future__ import annotations

import re
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio
import trio.lowlevel

import scrapeengine as se

ONCE = se.Retry(attempts=1)
AT_ONCE = se.Retry(attempts=3, wait_initial=0, wait_max=0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_PIECE = 64 * 1024
_HOME = str(Path(se.__file__).parent)


async def get(task):
    """Make one request, and return the body."""
    return (await task.http.get("/a")).content


async def get_event(task):
    """Ask for the URL of the event."""
    return (await task.http.get(task.event.url)).content


@attrs.define(eq=False)
class Talk:
    """One connection, as the site sees it."""

    stream: trio.abc.Stream
    socket: trio.socket.SocketType
    number: int
    """The site's connections are counted from 0."""
    web: Web
    _come: bytearray = attrs.field(factory=bytearray)

    async def request(self):
        """Wait for a whole request, and return its bytes; none if the client has hung up."""
        while True:
            head, end, rest = bytes(self._come).partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if end and len(rest) >= length:
                self._come[:] = rest[length:]
                self.web.requests.append(head + end + rest[:length])
                return self.web.requests[-1]
            data = await self.stream.receive_some(_PIECE)
            if not data:
                return b""
            self._come += data

    async def send(self, *parts):
        """Send each part by itself."""
        for part in parts:
            await self.stream.send_all(part)
            self.web.sent += len(part)

    async def drip(self, data, gap=0.01):
        """Send a byte at a time."""
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await trio.sleep(gap)

    async def flood(self, data, pieces=None):
        """Send the same without end, or as often as is said, in large pieces."""
        piece = data * max(1, _PIECE // len(data))
        sent = 0
        while pieces is None or sent < pieces:
            await self.send(piece)
            await trio.lowlevel.checkpoint()
            sent += 1

    async def client_gone(self):
        """Wait until the client hangs up."""
        while await self.stream.receive_some(_PIECE):
            pass

    def reset(self):
        """End the connection by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


@attrs.define(eq=False)
class Web:
    """A site, and what it has seen."""

    serve: object
    tls: object = None
    url: str = ""
    port: int = 0
    requests: list = attrs.field(factory=list)
    connections: int = 0
    open: int = 0
    """The connections that are being served."""
    sent: int = 0
    """The bytes of which the kernel has taken charge."""

    @property
    def targets(self):
        """List what the requests have asked for."""
        return [request.split(b" ", 2)[1].decode() for request in self.requests]

    async def handle(self, stream):
        """Serve one connection, and close it, whatever happens."""
        below = stream.socket
        number, self.connections = self.connections, self.connections + 1
        self.open += 1
        try:
            if self.tls is not None:
                stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
                await stream.do_handshake()
            await self.serve(Talk(stream, below, number, self))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has hung up
        finally:
            self.open -= 1
            below.close()


@asynccontextmanager
async def site(serve, *, tls=None):
    """Open a site; when the block is left, all its connections are closed."""
    web = Web(serve, tls)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    [listener] = listeners
    web.port = listener.socket.getsockname()[1]
    web.url = f"http{'s' if tls else ''}://127.0.0.1:{web.port}"
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, web.handle, listeners)
        try:
            yield web
        finally:
            nursery.cancel_scope.cancel()


@attrs.define(eq=False)
class Seen:
    """What came of a run."""

    web: Web
    outcomes: list
    took: float
    """Seconds."""

    @property
    def outcome(self):
        """The only outcome."""
        [outcome] = self.outcomes
        return outcome

    @property
    def error(self):
        """What the only task has failed with."""
        assert isinstance(self.outcome, se.Failure), self.outcome
        return self.outcome.error

    @property
    def value(self):
        """What the only task has returned."""
        assert isinstance(self.outcome, se.Success), getattr(self.outcome, "error", self.outcome)
        return self.outcome.value


def on(serve, scrape=get, *, tls=None, events=("e",), **policy):
    """Run a scraper against a site. Nothing of the engine may be left when its run has ended."""

    async def main():
        async with site(serve, tls=tls) as web:
            begun = trio.current_time()
            platform = se.Platform("A", scrape, **({"base_url": web.url, "retry": ONCE} | policy))
            outcomes = await outcomes_of([platform], [se.Event(each) for each in events])
            return Seen(web, outcomes, trio.current_time() - begun)

    return within(10, main)


async def outcomes_of(platforms, events, **options):
    """Run events to their end."""
    async with se.Engine(platforms, **options).stream(events) as run:
        outcomes = [outcome async for outcome in run]
    assert not of_the_engine()
    return outcomes


def within(seconds, main, *args, **options):
    """Run an async function, for so long at most."""

    async def limited():
        with trio.fail_after(seconds):
            return await main(*args)

    return trio.run(limited, **options)


def answering(*parts, then="close"):
    """Make a site that answers each request with the same bytes: then it closes, or waits, or goes on ("keep")."""

    async def serve(talk):
        while await talk.request():
            await talk.send(*parts)
            if then == "close":
                return
            if then == "wait":
                await talk.client_gone()

    return serve


def of_the_engine():
    """List the tasks of this trio run that run the engine's code."""
    found, todo = [], [trio.lowlevel.current_root_task()]
    while todo:
        task = todo.pop()
        for nursery in task.child_nurseries:
            todo += nursery.child_tasks
        code = getattr(task.coro, "cr_code", None)
        if code is not None and code.co_filename.startswith(_HOME):
            found.append(task.name)
    return found


def open_files():
    """List what this process has open."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            continue  # the folder itself, which was open to be listed
    return found


@asynccontextmanager
async def gaps():
    """Measure how long the loop was stalled: yields a list, which is filled when the block is left."""
    longest = [0.0]

    async def tick():
        last = trio.current_time()
        while True:
            await trio.sleep(0.001)
            now = trio.current_time()
            longest[0] = max(longest[0], now - last)
            last = now

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        yield longest
        nursery.cancel_scope.cancel()
