"""httpx's extension `trace`: what becomes of a request is told to a function of the program, as httpcore tells it.

The names of the events, their order and what they bring are httpcore's (httpcore/_trace.py), so that what was written
for it works here; they are no promise of httpx's. A request without the extension makes nothing of this.

The function is the program's own code: it may take its time, be cancelled, and raise. So nothing is told while
something is open that nobody would close.
"""

from __future__ import annotations

import inspect
import math
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import attrs
import httpx
import trio

from scrapeengine.http.transport.answer import AnswerSoFar
from scrapeengine.http.transport.connection import Connection, Origin
from scrapeengine.http.transport.sessions import LastSession
from scrapeengine.http.transport.streams import within
from scrapeengine.http.transport.tls import TlsStream, secure

__all__ = ["BodyParts", "Network", "TracedBody", "Tracing"]

_BODY = "http11.receive_response_body"

T = TypeVar("T")
Told: TypeAlias = Callable[[str, dict[str, Any]], object]
"""Takes the name of an event, and what it brings; should be async."""


@attrs.frozen(eq=False)
class Network:
    """Facts about a connection, by the names that httpcore's network streams have for it."""

    _socket: socket.socket
    _tls: ssl.SSLObject | None = None

    def get_extra_info(self, info: str) -> Any:
        """Return "client_addr", "server_addr", "socket" or "ssl_object"; None if there is no such."""
        match info:
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
            case "socket":
                return self._socket
            case "ssl_object":
                return self._tls
            case _:
                return None


@attrs.define(eq=False)
class Tracing:
    """Tells a function of one request."""

    _told: Told
    _request: httpx.Request
    _limits: Mapping[str, float | None]
    """httpx's timeouts."""
    _left: float | None = attrs.field(init=False)
    """The seconds that are left to connect; None: no limit."""

    @classmethod
    def of(cls, request: httpx.Request, limits: Mapping[str, float | None]) -> Tracing | None:
        """Make one, if the request asks for it.

        Raises:
            TypeError: it does not say whom to tell.
        """
        told = request.extensions.get("trace")
        if told is None:
            return None
        if not callable(told):
            raise TypeError(f"the extension `trace` must be an async function, got {told!r}")
        return cls(told, request, limits)

    async def tell(self, event: str, info: dict[str, Any]) -> None:
        """Tell of an event.

        Raises:
            TypeError: the function is no async one.
            Exception: what the function raises.

        Checkpoint as the function has it.
        """
        said = self._told(event, info)
        if not inspect.isawaitable(said):
            raise TypeError(f"the extension `trace` must be an async function, got {self._told!r}; write async def")
        await said

    async def step(
        self,
        name: str,
        info: dict[str, Any],
        do: Callable[[], Awaitable[T]],
        *,
        shown: Callable[[T], Any] = lambda _: None,
        discard: Callable[[T], object] = lambda _: None,
    ) -> T:
        """Do something, and tell that it has begun, and how it has ended.

        Args:
            name: the event's, without its end.
            info: what is told at its beginning.
            do: what is to be done.
            shown: makes what is told of what came of it.
            discard: closes what came of it, if that cannot be told.
        """
        await self.tell(f"{name}.started", info)
        try:
            made = await do()
        except BaseException as error:
            await self.tell(f"{name}.failed", {"exception": error})
            raise
        try:
            await self.tell(f"{name}.complete", {"return_value": shown(made)})
        except BaseException:
            discard(made)
            raise
        return made

    async def dial(self, origin: Origin, dial: Callable[[Origin], Awaitable[socket.socket]]) -> socket.socket:
        """Connect a socket."""
        limit = self._left = self._limits.get("connect")

        async def do() -> socket.socket:
            begun = trio.current_time()
            with within(limit, httpx.ConnectTimeout):
                sock = await dial(origin)
            if limit is not None:
                self._left = limit - (trio.current_time() - begun)
            return sock

        info = {"host": origin.host, "port": origin.port, "local_address": None, "timeout": limit}
        name = "connection.connect_tcp"
        return await self.step(name, info | {"socket_options": None}, do, shown=Network, discard=socket.socket.close)

    async def secure(self, sock: socket.socket, name: str, context: ssl.SSLContext, last: LastSession) -> TlsStream:
        """Make TLS on a socket, which is closed if there is none."""

        async def do() -> TlsStream:
            with within(self._left, httpx.ConnectTimeout):
                return await secure(sock, name, context, last)

        info = {"ssl_context": context, "server_hostname": name, "timeout": self._limits.get("connect")}
        try:
            return await self.step("connection.start_tls", info, do, shown=lambda made: Network(sock, made.tls))
        except BaseException:
            sock.close()
            raise

    async def ask(
        self, connection: Connection, head: bytes, body: AsyncGenerator[bytes, None] | None, *, expect: bool
    ) -> None:
        """Send a request, head and body one after the other, and wait for the head of its answer."""
        method, limit = self._request.method, self._limits.get("write")
        info = {"request": self._request}

        async def send() -> None:
            await connection.send(method, head, most=math.inf, limit=limit)
            _check(connection)

        async def upload() -> None:
            if body is not None:
                await connection.upload(body, expect=expect, limit=limit)
                _check(connection)

        async def receive() -> None:
            with within(self._limits.get("read"), httpx.ReadTimeout):
                await connection.head()

        try:
            await self.step("http11.send_request_headers", info, send)
            await self.step("http11.send_request_body", info, upload)
        except httpx.WriteError:
            if not connection.unsent:
                raise
            # The server may have said why, and if not, waiting for its answer says that it was not sent.
        await self.step(
            "http11.receive_response_headers", info, receive, shown=lambda _: _said(connection.parser.answer)
        )

    async def closed(self) -> None:
        """Tell that the answer is done with; its connection has been left before."""

        async def do() -> None:
            pass

        await self.step("http11.response_closed", {}, do)


def _check(connection: Connection) -> None:
    if connection.unsent:
        raise httpx.WriteError(connection.unsent)


def _said(answer: AnswerSoFar) -> tuple[bytes, int, bytes, list[tuple[bytes, bytes]]]:
    said = answer.extensions
    return said["http_version"], answer.status, said["reason_phrase"], answer.headers


class BodyParts(Protocol):
    """The body of an answer, as it comes."""

    async def __anext__(self) -> bytes:
        """Return the next part."""
        ...

    async def aclose(self) -> None:
        """Leave the connection."""
        ...


class TracedBody(httpx.AsyncByteStream):
    """The body of an answer, of which a function is told. Whatever it raises, the connection is left."""

    def __init__(self, parts: BodyParts, tracing: Tracing, request: httpx.Request) -> None:
        """Make it.

        Args:
            parts: the body.
            tracing: what is told of it.
            request: what was answered.
        """
        self._parts = parts
        self._tracing = tracing
        self._request = request
        self._begun = self._ended = self._closed = False  # each is told of once

    def __aiter__(self) -> TracedBody:
        """Return itself: the body can be read once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next part."""
        try:
            if not self._begun:
                self._begun = True
                await self._tracing.tell(f"{_BODY}.started", {"request": self._request})
            return await self._next()
        except StopAsyncIteration:
            raise
        except BaseException:
            # No checkpoint: it is done also where the function was cancelled.
            await self._parts.aclose()
            raise

    async def _next(self) -> bytes:
        try:
            return await anext(self._parts)
        except StopAsyncIteration:
            if not self._ended:
                self._ended = True
                await self._tracing.tell(f"{_BODY}.complete", {"return_value": None})
            raise
        except BaseException as error:
            await self._tracing.tell(f"{_BODY}.failed", {"exception": error})
            raise

    async def aclose(self) -> None:
        """Leave the connection, and tell that the answer is done with; once. Checkpoint as the function has it."""
        await self._parts.aclose()  # before it is told, which may raise or never return
        if not self._closed:
            self._closed = True
            await self._tracing.closed()
