"""`scrapeengine.Transport`: HTTP/1.1 for any `httpx.AsyncClient` under trio."""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any

import httpx
import trio

from scrapeengine.http.transport.connection import Connection, Origin
from scrapeengine.http.transport.connections import Connections
from scrapeengine.http.transport.failures import Stale
from scrapeengine.http.transport.sending import chunked, framing, head_of, measured
from scrapeengine.http.transport.streams import within
from scrapeengine.http.transport.tracing import TracedBody, Tracing
from scrapeengine.model.checks import number, refuse_asyncio, whole
from scrapeengine.model.standards import IDEMPOTENT, PORTS

__all__ = ["Transport"]


class Transport(httpx.AsyncBaseTransport):
    """An HTTP/1.1 transport on trio, for `httpx.AsyncClient(transport=se.Transport())`.

    It keeps connections by origin, at constant cost a request whatever their number, and being cancelled leaves it as
    if the request had not been. A request that meets a kept connection which the server has just closed is sent once
    more on a fresh one, if its method is idempotent and its body can be sent again.

    httpx's timeouts are obeyed (connect, read, write). There is no time-out for its pool: it has no bound to wait for;
    bound the tasks instead. Like httpx's own transport it has no deadline for a request as a whole, and no cap on
    bodies; the client of a task has. Proxies and HTTP/2 are for httpx's own transport.

    Of httpx's extensions it obeys, beside `timeout`:

    - `sni_hostname`, a str or bytes: whom TLS asks for and the certificate must name, where the URL has an address.
    - `target`, bytes or an ASCII str: goes out as it is in the place of the URL's path and query.
    - `trace`, an async function of the name of an event and a dict: is told what httpcore tells, by the same names.
      Where httpcore brings its network streams, what comes has their `get_extra_info` only.

    An answer has the extensions `http_version` and `reason_phrase`. It has no `network_stream`, so that what follows a
    CONNECT or an upgrade is for httpx's own transport.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | None = None,
        block_private: bool = False,
        most_idle: int = 256,
        idle: float = 30.0,
        lifetime: float = 600.0,
    ) -> None:
        """Make a transport; nothing is opened.

        Args:
            verify: the context for TLS; None: certificates are verified against certifi's authorities.
            block_private: refuse to connect to addresses that are not public.
            most_idle: how many connections rest at once, for all origins.
            idle: the seconds for which a connection rests; after that the next request closes it, wherever it goes.
            lifetime: the seconds after which a connection is used no more.

        Raises:
            TypeError: an argument is of the wrong type.
            ValueError: an argument is out of its range.
        """
        if verify is not None and not isinstance(verify, ssl.SSLContext):
            raise TypeError(
                f"Transport(verify=…) must be an ssl.SSLContext, got {verify!r}; "
                "make one with ssl.create_default_context(cafile=…), or leave it out to verify as usual"
            )
        self._guarded = block_private
        self._connections = Connections(
            context=verify,
            most=whole(most_idle, "Transport(most_idle=…)", least=0),
            idle=number(idle, "Transport(idle=…)", endless=True),
            lifetime=number(lifetime, "Transport(lifetime=…)", endless=True),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of the answer is still to be read.

        Raises:
            httpx.UnsupportedProtocol: the URL is no http or https URL.
            httpx.LocalProtocolError: the request would break HTTP, or be two requests to some servers.
            httpx.TransportError: no answer came, or none that is HTTP.
            RuntimeError: an asyncio loop runs here; says what to write.
            TypeError: an extension is of the wrong type.
            Exception: what the function of the extension `trace` has raised.

        Checkpoint. If cancelled, the connection is closed.
        """
        if not trio.lowlevel.in_trio_run():
            refuse_asyncio(
                "a scrapeengine.Transport works under trio",
                "write httpx.AsyncClient() without it, or give the client a thread of its own: "
                "`await asyncio.to_thread(trio.run, main)`",
            )
        origin = _origin(request, guarded=self._guarded)
        headers = request.headers.raw
        if "host" not in request.headers:  # httpx gives none to a request that was made with `stream`
            headers = [(b"Host", request.url.netloc), *headers]
        head = head_of(request.method, _target(request), headers)
        in_parts = not isinstance(request.stream, httpx.ByteStream)
        length = framing(headers, parts=in_parts)
        limits: Mapping[str, float | None] = request.extensions.get("timeout") or {}
        tracing = Tracing.of(request, limits)
        again = request.method in IDEMPOTENT and not in_parts
        connection = self._connections.at_hand(origin)
        while True:
            try:
                if connection is None:
                    connection = await self._connected(origin, limits, tracing)
                return await self._ask(connection, request, head, length, limits, tracing)
            except BaseException as error:
                # Closed before anybody is told: the function is the program's own, and may never return.
                if connection is not None:
                    connection.close()
                    self._connections.leave(connection)
                    if tracing is not None:
                        await tracing.closed()
                if not (again and isinstance(error, Stale)):
                    raise
            connection, again = None, False  # on a fresh one, which cannot be stale

    async def aclose(self) -> None:
        """Close all connections. No checkpoint."""
        self._connections.close()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Close all connections."""
        await self.aclose()

    def __repr__(self) -> str:
        """Count the connections."""
        return f"<Transport {self._connections!r}>"

    async def _connected(
        self, origin: Origin, limits: Mapping[str, float | None], tracing: Tracing | None
    ) -> Connection:
        if tracing is not None:  # has the limit itself: the program's own time is not the server's
            return await self._connections.connect(origin, tracing)
        with within(limits.get("connect"), httpx.ConnectTimeout):
            return await self._connections.connect(origin)

    async def _ask(
        self,
        connection: Connection,
        request: httpx.Request,
        head: bytes,
        length: int | None,
        limits: Mapping[str, float | None],
        tracing: Tracing | None,
    ) -> httpx.Response:
        expect = "expect" in request.headers and request.headers["expect"].lower() == "100-continue"
        body, more = _body(request.stream, length, at_once=not expect and tracing is None)
        if tracing is None:
            limit = limits.get("write")
            await connection.send(request.method, head + body, more, most=math.inf, expect=expect, limit=limit)
            # httpx has this limit for each read; here the head is one, so that one that drips does not hang.
            with within(limits.get("read"), httpx.ReadTimeout):
                await connection.head()
        else:
            await tracing.ask(connection, head, more, expect=expect)
        if "close" in {option.strip().lower() for option in request.headers.get_list("connection", split_commas=True)}:
            connection.parser.keep = False
        answer = connection.parser.answer
        stream = _Body(self._connections, connection, limits.get("read"))
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=stream if tracing is None else TracedBody(stream, tracing, request),
            extensions=answer.extensions,
        )


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes. No generator: one that is left half-way would wait for the collector."""

    def __init__(self, connections: Connections, connection: Connection, limit: float | None) -> None:
        self._connections = connections
        self._connection: Connection | None = connection
        """None once it was left: then it is perhaps somebody else's."""
        self._limit = limit
        self._whole = False

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if self._whole:
            raise StopAsyncIteration
        if connection is None:
            raise httpx.StreamClosed
        answer = connection.parser.answer
        try:
            while not (answer.parts or answer.done):
                with within(self._limit, httpx.ReadTimeout):
                    await connection.more()
        except BaseException:
            connection.close()  # what is left of the answer would be taken for the next one's
            self._leave()
            raise
        if not answer.parts:
            self._whole = True
            self._leave()
            raise StopAsyncIteration
        return b"".join(answer.take())

    async def aclose(self) -> None:
        """Keep the connection if all was read, else close it. Again: nothing happens. No checkpoint."""
        self._leave()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.leave(connection)


def _origin(request: httpx.Request, *, guarded: bool) -> Origin:
    url = request.url
    port = PORTS.get(url.scheme)
    host = url.raw_host.decode("ascii").strip("[]")
    if port is None or not host:
        raise httpx.UnsupportedProtocol("the URL is no http or https URL with a host")
    given = request.extensions.get("sni_hostname") if url.scheme == "https" else None
    name = _text(given, "sni_hostname").lower() if given else ""
    return Origin(url.scheme, host, url.port or port, guarded, "" if name == host else name)


def _target(request: httpx.Request) -> bytes:
    target = request.extensions.get("target")
    return request.url.raw_path if target is None else _text(target, "target").encode("ascii", "replace")


def _text(given: object, what: str) -> str:
    """Return an extension that may be text or bytes as text.

    Raises:
        TypeError: it is neither.
        httpx.LocalProtocolError: it is not ASCII.
    """
    if not isinstance(given, str | bytes):
        raise TypeError(f"the extension {what!r} must be a str or bytes, got {type(given).__name__}")
    text = given if isinstance(given, str) else given.decode("latin-1")
    if not text.isascii():
        raise httpx.LocalProtocolError(f"the extension {what!r} of the request must be ASCII")
    return text


def _body(stream: Any, length: int | None, *, at_once: bool) -> tuple[bytes, AsyncGenerator[bytes, None] | None]:
    """Return the body in bytes if it is at hand and may go out with its head, and what streams it if not."""
    if length is None:
        return b"", chunked(stream)
    if not isinstance(stream, httpx.ByteStream):
        return b"", measured(stream, length)
    body = b"".join(stream)
    if len(body) != length:
        raise httpx.LocalProtocolError("the body of the request is not as long as its Content-Length")
    if at_once:
        return body, None
    return b"", measured(stream, length) if length else None
