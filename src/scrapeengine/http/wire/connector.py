"""Connectors: they carry requests, and bring their answers. By our own connections, or by any transport of httpx's."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import httpx
import trio

from scrapeengine.http.transport.answer import AnswerSoFar
from scrapeengine.http.transport.connection import Connection, Origin
from scrapeengine.http.transport.connections import Connections
from scrapeengine.http.transport.failures import BodyOverCap, Expired, NoAnswer
from scrapeengine.http.transport.sending import chunked, measured
from scrapeengine.http.wire.call import Call
from scrapeengine.http.wire.uploads import CallersError, Upload, callers_error_in
from scrapeengine.http.wire.watch import Deadline, Timer

__all__ = ["Channel", "Connector", "ForeignConnector", "OwnConnector", "connector_of"]

_SECONDS_TO_CLOSE = 1.0
_SAID = frozenset({"http_version", "reason_phrase"})


class Channel(Protocol):
    """Carries one request at a time. `ask`, then `more` until the answer is done, then `leave`."""

    @property
    def deadline(self) -> float:
        """The time by which it has to be done, trio's. Whoever gives it a request sets it, and may set it anew."""
        ...

    @deadline.setter
    def deadline(self, when: float) -> None: ...

    @property
    def phase(self) -> str:
        """The step that it is at: "connect", "send", "head" or "body"; who decodes the body sets "decode"."""
        ...

    @phase.setter
    def phase(self, phase: str) -> None: ...

    @property
    def answer(self) -> AnswerSoFar:
        """The answer as far as it has come, once a request was sent."""
        ...

    async def ask(self, call: Call, most: float) -> None:
        """Send a request, and wait for the head of its answer. It goes out without a checkpoint before, if it can.

        Follows no redirect, keeps no cookie, writes no log; `most` are the bytes that the body may have on the wire.

        Raises:
            Expired: the deadline has passed.
            httpx.TransportError: no answer came.

        Checkpoint. If cancelled, `leave` closes what carried it.
        """
        ...

    async def more(self) -> None:
        """Wait for more of the body; raises as `ask`. Checkpoint. If cancelled, what has come can still be taken."""
        ...

    async def leave(self) -> None:
        """Give it back; what is not done is closed. Again: nothing happens."""
        ...


class Connector(Protocol):
    """Carries requests."""

    @property
    def connects(self) -> bool:
        """Whether connections are made here; else somewhere else, which does not say when."""
        ...

    def at_hand(self, origin: Origin) -> Channel | None:
        """Return what can carry a request at this instant, if there is such."""
        ...

    async def connect(self, origin: Origin) -> Channel:
        """Make what can carry a request.

        Raises:
            httpx.ConnectError: it cannot be made.

        Checkpoint. If cancelled, nothing is left open.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections. Checkpoint."""
        ...


class OwnConnector:
    """Our own connections."""

    connects = True

    def __init__(self, alarms: Timer) -> None:
        """Make it.

        Args:
            alarms: the run's, which ring for deadlines.
        """
        self._connections = Connections()
        self._alarms = alarms

    def __repr__(self) -> str:
        """Count the connections."""
        return f"<OwnConnector {self._connections!r}>"

    def at_hand(self, origin: Origin) -> Channel | None:
        """Return a kept connection."""
        connection = self._connections.at_hand(origin)
        return None if connection is None else _OwnChannel(self._connections, connection)

    async def connect(self, origin: Origin) -> Channel:
        """Make a connection."""
        connection = await self._connections.connect(origin)
        connection.watch = Deadline(connection, self._alarms)
        return _OwnChannel(self._connections, connection)

    async def aclose(self) -> None:
        """Close all connections. No checkpoint."""
        self._connections.close()


class _OwnChannel:
    """One of our connections, lent for one request."""

    __slots__ = ("_connection", "_connections", "_deadline")

    def __init__(self, connections: Connections, connection: Connection) -> None:
        assert isinstance(connection.watch, Deadline)
        self._connections = connections
        self._connection = connection
        self._deadline = connection.watch

    @property
    def deadline(self) -> float:
        return self._deadline.when

    @deadline.setter
    def deadline(self, when: float) -> None:
        self._deadline.set(when)

    @property
    def phase(self) -> str:
        return self._connection.phase

    @phase.setter
    def phase(self, phase: str) -> None:
        self._connection.phase = phase

    @property
    def answer(self) -> AnswerSoFar:
        return self._connection.parser.answer

    async def ask(self, call: Call, most: float) -> None:
        try:
            if call.closes:
                self._connection.parser.keep = False
            if call.upload is None:
                await self._connection.ask(call.method, call.head, most=most)
            else:
                await self._upload(call, call.upload, most)
        except httpx.TransportError:
            self._check()
            raise

    async def _upload(self, call: Call, upload: Upload, most: float) -> None:
        """Send a request whose body is read meanwhile."""
        parts, said = upload.parts(), call.first(b"content-length")
        framed = chunked(parts) if said is None else measured(parts, int(said))
        expect = (call.first(b"expect") or b"").lower() == b"100-continue"
        # A scope beside the alarm: what the body is read from may hang, and closing the connection would not end that.
        with _until(self._deadline.when):
            await self._connection.send(call.method, call.head, framed, most=most, expect=expect)
            await self._connection.head()

    async def more(self) -> None:
        try:
            await self._connection.more()
        except httpx.TransportError:
            self._check()
            raise

    async def leave(self) -> None:
        # No checkpoint: this is called in `finally`, where one would raise `trio.Cancelled` before it is done. The
        # alarm is left as it is, for the next request: to set it anew costs more than to let it ring in vain.
        self._deadline.when = math.inf
        self._connections.leave(self._connection)

    def _check(self) -> None:
        """Tell the closing of the connection by its deadline from all else that ends it."""
        if self._deadline.passed:
            raise Expired("the deadline has passed") from None


class ForeignConnector:
    """Any transport of httpx's; it makes and keeps its connections as it likes, and is its owner's to close."""

    connects = False

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    def at_hand(self, origin: Origin) -> Channel:
        """Return a channel for one request; whether it has to connect is the transport's business."""
        del origin
        return _ForeignChannel(self._transport)

    async def connect(self, origin: Origin) -> Channel:
        """Return a channel for one request."""
        return self.at_hand(origin)

    async def aclose(self) -> None:
        """Close nothing. No checkpoint."""


def connector_of(given: Connector | httpx.AsyncBaseTransport | None, alarms: Timer) -> Connector:
    """Return what carries the requests of a run: what the program has given, or (None) connections of our own.

    Args:
        given: a connector, or a transport of httpx's.
        alarms: the run's, which ring for deadlines.
    """
    if given is None:
        return OwnConnector(alarms)
    return ForeignConnector(given) if isinstance(given, httpx.AsyncBaseTransport) else given


class _ForeignChannel:
    """One request on a transport of httpx's."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._response: httpx.Response | None = None
        self._body: AsyncIterator[bytes] | None = None
        self._upload: Any = None
        """The stream that the request's body is read from, if it is read while it is sent."""
        self._most = math.inf
        self.phase = "head"
        self.answer = AnswerSoFar()
        self.deadline = math.inf

    async def ask(self, call: Call, most: float) -> None:
        self._most = most
        request = call.to_send()
        if call.upload is not None:
            self._upload = request.stream
        with trio.CancelScope(
            deadline=self.deadline
        ) as scope:  # and no `_until`, whose generator is half as much again
            try:
                self._response = await self._transport.handle_async_request(request)
            except BaseExceptionGroup as group:  # of a transport that sends in a nursery of its own
                raise (callers_error_in(group) or group) from None
        if scope.cancelled_caught:
            raise Expired("the deadline has passed")
        response = self._response
        if response is None:
            raise NoAnswer("the transport gave no answer: its handle_async_request must return a Response")
        answer = self.answer
        answer.status, answer.headers = response.status_code, list(response.headers.raw)
        coding = response.headers.get("content-encoding")
        answer.coding = None if coding is None else coding.encode("latin-1", "replace")
        answer.extensions = {key: value for key, value in response.extensions.items() if key in _SAID}
        self.phase = "body"
        stream = response.stream
        # What is in memory, as it is with `MockTransport`, need not be waited for part by part.
        if type(stream) is httpx.ByteStream and type(response) is httpx.Response:
            for part in stream:
                self._take_in(part)
            answer.done = True
            self._response = None  # there is nothing to close
            return
        if not isinstance(stream, httpx.AsyncByteStream):
            raise httpx.UnsupportedProtocol("the transport gave an answer whose body is not async")
        self._body = aiter(stream)

    async def more(self) -> None:
        assert self._body is not None
        part = None
        with _until(self.deadline):
            part = await anext(self._body, None)
        if part is None:
            self.answer.done = True
        else:
            self._take_in(part)

    def _take_in(self, part: bytes) -> None:
        answer = self.answer
        answer.size += len(part)
        if answer.size > self._most:
            raise BodyOverCap("the body has more bytes on the wire than it may")
        answer.parts.append(part)

    async def leave(self) -> None:
        response, self._response = self._response, None
        body, self._body = self._body, None
        upload, self._upload = self._upload, None
        # The answer is there, or an error that says more: what closing raises is of no use, and may not hang either.
        # The upload goes first, for a transport may wait for it in the closing of its answer.
        if upload is not None:
            with trio.move_on_after(_SECONDS_TO_CLOSE), suppress(Exception, CallersError):
                await upload.aclose()
        if response is not None:
            with trio.move_on_after(_SECONDS_TO_CLOSE), suppress(Exception):
                if isinstance(body, AsyncGenerator):
                    await body.aclose()
                await response.aclose()


@contextmanager
def _until(deadline: float) -> Iterator[None]:
    with trio.CancelScope(deadline=deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise Expired("the deadline has passed")
