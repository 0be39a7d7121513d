"""A small web site on loopback: it answers what its handler says, and keeps a ledger of what it was asked.

    connection ──> _Connection.request ──> handler ──> _Connection.send ──┐
                          ^               (in flight)                     │
                          └────────────────── kept alive ─────────────────┘

It speaks as much HTTP/1.1 (RFC 9112) as a client of good manners needs: kept connections, bodies with a
`Content-Length`, HEAD. What it does not speak it refuses with a status that says so, and closes the connection.

A request is in flight from when it was read to just before its answer is sent: a client that has its answer can never
be seen with that request still in flight, so `most_in_flight` may be held against a limit without tolerance.

The sockets are real, and so must be the time: a `MockClock` that jumps does not know what is still on the wire.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import attrs
import trio

from scrapeengine.model.checks import refuse_asyncio

__all__ = ["Answer", "Handler", "Ledger", "Request", "Site"]

_LARGEST_HEAD = 16 * 1024
_LARGEST_BODY = 16 * 1024 * 1024
_CHUNK = 64 * 1024
_LINGER = 1.0
"""Seconds for a client that was refused to read why."""
_PHRASES = {int(status): status.phrase for status in HTTPStatus}


@attrs.frozen
class Request:
    """A request of a client."""

    method: str
    """The HTTP method, as it was sent."""
    target: str
    """The path with its query, as it was sent."""
    headers: Mapping[str, str]
    """Names in lower case; where a name came several times, its values are joined by commas."""
    body: bytes = attrs.field(default=b"", repr=False)
    """The body."""

    @property
    def path(self) -> str:
        """The target without its query; not decoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> Mapping[str, str]:
        """The query, decoded; of a name that came several times, the last value."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@attrs.frozen
class Answer:
    """An answer of the site."""

    status: int = 200
    """The status code."""
    body: bytes = attrs.field(default=b"", repr=False)
    """The body; HEAD gets its length only."""
    headers: Mapping[str, str] = attrs.field(default=MappingProxyType({}), hash=False)
    """Sent as they are. With `Connection: close` the connection ends after the answer; a `Content-Length` that is
    given replaces the true one, so that the two together make an answer that breaks off."""


Handler: TypeAlias = Callable[[Request], Awaitable[Answer | None]]
"""Says what to answer; None to hang up without a word. It is cancelled when its client hangs up."""


@attrs.define(eq=False)
class Ledger:
    """The requests to a site, as seen from outside of whoever asked. To be read, not written."""

    arrivals: list[float] = attrs.field(factory=list, init=False)
    """When each request had arrived, in order, by `trio.current_time()`."""
    in_flight: int = attrs.field(default=0, init=False)
    """Requests that the handler has not answered yet."""
    most_in_flight: int = attrs.field(default=0, init=False)
    """The most that have ever been in flight at once."""
    connections: int = attrs.field(default=0, init=False)
    """Connections that were opened, those that are closed by now included."""

    @property
    def requests(self) -> int:
        """The number of requests that have arrived."""
        return len(self.arrivals)

    @contextmanager
    def entry(self) -> Iterator[None]:
        """Enter a request, for as long as it is in flight."""
        self.arrivals.append(trio.current_time())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1


class Site:
    """A web site on a loopback port of its own; `async with Site.open(handler) as site` makes one."""

    def __init__(self, handler: Handler, port: int) -> None:
        """Describe a site; `open` serves it."""
        self.url = f"http://127.0.0.1:{port}"
        """Where it is, without a slash at the end."""
        self.ledger = Ledger()
        """The requests that it got."""
        self._handler = handler

    @property
    def host(self) -> str:
        """Its host with its port: what an engine calls the platform of its URLs."""
        return self.url.removeprefix("http://")

    @classmethod
    @asynccontextmanager
    async def open(cls, handler: Handler) -> AsyncIterator[Site]:
        """Serve a site for as long as the `async with` lasts.

        At its end all connections are closed, and handlers that still run are cancelled. What the body raises leaves
        as the same object; what a handler raises is a fault of the test: it ends the `async with`, and leaves in an
        `ExceptionGroup`, with what the body raised if both did.

        Args:
            handler: `async def handler(request: Request) -> Answer`, called for each request; many run at once.

        Raises:
            RuntimeError: an asyncio loop runs here; says what to write.

        Checkpoint. If cancelled, nothing is left open.
        """
        if not trio.lowlevel.in_trio_run():
            refuse_asyncio(
                "a Site works under trio",
                "open it where its engine runs, in a thread of its own: `await asyncio.to_thread(trio.run, main)`",
            )
        failed: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                site = cls(handler, listeners[0].socket.getsockname()[1])
                nursery.start_soon(trio.serve_listeners, site._serve, listeners)
                try:
                    yield site
                except BaseException as error:
                    failed = error
                    raise
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if group.exceptions != (failed,):
                raise
        if failed is not None:
            raise failed

    async def _serve(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection, until either side has had enough. What the handler raises leaves."""
        self.ledger.connections += 1
        connection = _SiteConnection(stream)
        try:
            while (request := await connection.request()) is not None:
                answer = await self._ask(request, connection)
                if answer is None or not await connection.send(request, answer):
                    return
        except _Refused as refused:
            await connection.refuse(refused.status)

    async def _ask(self, request: Request, connection: _SiteConnection) -> Answer | None:
        """Ask the handler; None if it hangs up, or the client did before it had an answer."""
        answer: Answer | None = None
        with self.ledger.entry():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.watch, nursery.cancel_scope)
                answer = await self._handler(request)
                nursery.cancel_scope.cancel()
        return answer

    def __repr__(self) -> str:
        """Say where it is, and count what it was asked."""
        return f"<Site {self.url} {self.ledger.requests} requests, {self.ledger.in_flight} in flight>"


class _Refused(Exception):
    """A request that the site cannot read."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _SiteConnection:
    """One connection, and what was read of it ahead."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._ahead = bytearray()
        self._kept = True
        """Whether the client means to send another request after this one."""

    async def request(self) -> Request | None:
        """Read a request; None if the client hangs up before it is whole. Checkpoint, unless it was read ahead."""
        while (end := self._ahead.find(b"\r\n\r\n", 0, _LARGEST_HEAD)) < 0:
            if len(self._ahead) >= _LARGEST_HEAD:
                raise _Refused(431)
            if not await self._more():
                return None
        request, self._kept = _parsed(bytes(self._ahead[:end]))
        whole = end + 4 + _length(request)
        while len(self._ahead) < whole:
            if not await self._more():
                return None
        body = bytes(self._ahead[end + 4 : whole])
        del self._ahead[:whole]
        return attrs.evolve(request, body=body)

    async def watch(self, scope: trio.CancelScope) -> None:
        """Cancel `scope` when the client hangs up. What it sends until then is kept. Checkpoint."""
        while len(self._ahead) < _LARGEST_HEAD:
            if not await self._more():
                scope.cancel()
                return

    async def send(self, request: Request, answer: Answer) -> bool:
        """Send an answer; whether another request may follow. Checkpoint. If cancelled, a part may have been sent."""
        kept = self._kept and _named(answer.headers, "connection").lower() != "close"
        try:
            await self._stream.send_all(_rendered(request.method, answer, kept=kept))
        except trio.BrokenResourceError:
            return False
        return kept

    async def refuse(self, status: int) -> None:
        """Say that a request cannot be read, and wait until that was heard: to close over unread data is a reset."""
        await self.send(Request("", "", {}), Answer(status, headers={"Connection": "close"}))
        with trio.move_on_after(_LINGER), suppress(trio.BrokenResourceError):
            await self._stream.send_eof()
            while await self._stream.receive_some(_CHUNK):
                pass

    async def _more(self) -> bool:
        """Read on; whether there was anything. Checkpoint. If cancelled, nothing is lost."""
        try:
            data = await self._stream.receive_some(_CHUNK)
        except trio.BrokenResourceError:
            return False
        self._ahead += data
        return bool(data)


def _parsed(head: bytes) -> tuple[Request, bool]:
    """Read the head of a request, and whether its connection is to be kept."""
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, version = first.split(" ")
    except ValueError:
        raise _Refused(400) from None
    if version not in {"HTTP/1.0", "HTTP/1.1"}:
        raise _Refused(505 if version.startswith("HTTP/") else 400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _Refused(400)
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    kept = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Request(method, target, MappingProxyType(headers)), kept


def _length(request: Request) -> int:
    """Say how long the body of a request is."""
    if "transfer-encoding" in request.headers:
        raise _Refused(501)
    text = request.headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise _Refused(400)
    if len(text) > len(str(_LARGEST_BODY)) or int(text) > _LARGEST_BODY:
        raise _Refused(413)
    return int(text)


def _rendered(method: str, answer: Answer, *, kept: bool) -> bytes:
    """Put an answer into the bytes that are sent."""
    bare = answer.status < 200 or answer.status in {204, 304}
    headers = dict(answer.headers)
    if not bare and not _named(headers, "content-length"):
        headers["Content-Length"] = str(len(answer.body))
    if not kept and not _named(headers, "connection"):
        headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if bare or method == "HEAD" else answer.body)


def _named(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")
