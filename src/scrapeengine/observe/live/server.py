"""HTTP for a page that a person looks at: h11 on trio, a request a connection, and every wait has an end.

Invariants:

- A connection ends by itself: the request has ten seconds to come, each part of the answer ten to be taken. Who follows
  without end, and takes nothing, holds its socket's buffer and one part for so long.
- At most `MOST` connections are served at once. One more takes the place of the one that has waited longest for its
  request to come: who opens them and says nothing keeps nobody out. Where all have asked, it is closed at once.
- Cancelled, nothing is left: no send is shielded.

Rejected: hypercorn's trio worker (0.18). It shields each send and gives it no time, so that a client which takes
nothing holds its task for ever, and the end of the server too: a cancelled one was still there when the client went, 8
seconds later. With one request a connection there is little of a server left to write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs
import trio

from scrapeengine.observe.log import logger

h11: Any
try:
    import h11  # type: ignore[no-redef, unused-ignore]
except ImportError:
    h11 = None

__all__ = ["MOST", "Asked", "Following", "PageReply", "PageServer", "require"]

MOST = 64
"""The most connections that are served at once."""
_PATIENCE = 10.0
"""Seconds for a request to come, and for each part of an answer to be taken."""
_COUNTS = {"host", "origin", "authorization", "content-type"}
"""The headers by which it is decided who may do what."""
_LONGEST_HEAD, _LONGEST_BODY = 16 * 1024, 64 * 1024
_AT_ONCE = 64 * 1024


def require() -> None:
    """Raise an `ImportError` that says what to install, if h11 is not there."""
    if h11 is None:
        raise ImportError("the live page needs h11, which is not installed: pip install 'scrapeengine[dashboard]'")


@attrs.frozen
class Asked:
    """One request."""

    method: str
    path: str
    """Without its query."""
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes = attrs.field(repr=False)


class Following(Protocol):
    """An answer without end."""

    async def next(self) -> bytes:
        """Wait for the next part of it. Checkpoint."""
        ...


@attrs.frozen
class PageReply:
    """One answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = attrs.field(default=b"", repr=False)
    follow: Following | None = None
    """Goes on behind the body, until either side goes."""
    ended: Callable[[], None] | None = None
    """Called when that is over."""


class PageServer:
    """Answers requests."""

    def __init__(self, answer: Callable[[Asked], Awaitable[PageReply]]) -> None:
        """Make it.

        Args:
            answer: answers one request; what it raises is logged, and a 500.
        """
        self._answer = answer
        self._open = 0
        self._mute: dict[trio.CancelScope, None] = {}
        """Of those whose request has not come, the scopes in which it is waited for: the oldest first."""

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Serve connections, for ever. Checkpoint. If cancelled, all are closed."""
        await trio.serve_listeners(self._handle, listeners)

    async def _handle(self, stream: trio.SocketStream) -> None:
        if self._open >= MOST:
            oldest = next(iter(self._mute), None)
            if oldest is None:
                await stream.aclose()
                return
            self._drop(oldest)
        self._open += 1
        scope = trio.CancelScope(deadline=trio.current_time() + _PATIENCE)
        self._mute[scope] = None
        try:
            await self._converse(stream, scope)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, h11.RemoteProtocolError):
            pass  # it has gone, or talks no sense: nobody is there to be told
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are served
            logger().error("a connection to the live page was given up", exc_info=error)
        finally:
            self._open -= 1
            self._mute.pop(scope, None)
            await trio.aclose_forcefully(stream)

    def _drop(self, mute: trio.CancelScope) -> None:
        """Give up waiting for a request."""
        del self._mute[mute]
        mute.cancel()

    async def _converse(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)
        asked: Asked | None = None
        with scope:
            try:
                came = await _read(wire, stream)
                self._mute.pop(scope, None)
            except h11.RemoteProtocolError as error:
                if wire.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                    await _send(wire, stream, _refused(error.error_status_hint))
                raise
            if isinstance(came, PageReply):
                await _send(wire, stream, came)
                return
            asked = came
        if asked is None:
            return
        try:
            reply = await self._answer(asked)
        except Exception as error:  # noqa: BLE001 - whatever it is, who asks is answered
            logger().error("the live page could not answer", exc_info=error)
            reply = _refused(500)
        if asked.method == "HEAD":  # whose answer has no body; nobody need know how long it would be
            reply = attrs.evolve(reply, body=b"")
        try:
            await _send(wire, stream, reply)
            if reply.follow is not None:
                await _go_on(wire, stream, reply.follow)
        finally:
            if reply.ended is not None:
                reply.ended()

    def __repr__(self) -> str:
        """Count the connections."""
        return f"<PageServer, {self._open} connections>"


async def _read(wire: Any, stream: trio.SocketStream) -> Asked | PageReply | None:
    """Read a request; what is too large is answered at once, and None: there is none."""
    head, body = None, b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            if wire.they_are_waiting_for_100_continue:
                await stream.send_all(wire.send(h11.InformationalResponse(status_code=100, headers=())))
            wire.receive_data(await stream.receive_some(_AT_ONCE))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
            if len(body) > _LONGEST_BODY:
                return _refused(413)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            path = head.target.decode("ascii", "replace").partition("?")[0]
            headers = _once(head.headers)
            if headers is None:
                return _refused(400)
            return Asked(head.method.decode("ascii"), path, headers, body)
        else:  # the connection was closed, before a request or in the middle of one
            return None


def _once(headers: Any) -> dict[str, str] | None:
    """Return headers by name; None: one that counts was given twice, and nobody knows which."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("ascii").lower()
        if key in found and key in _COUNTS:
            return None
        found[key] = value.decode("latin-1")
    return found


async def _send(wire: Any, stream: trio.SocketStream, reply: PageReply) -> None:
    headers = [*reply.headers, ("Connection", "close")]
    if reply.follow is None:
        headers.append(("Content-Length", str(len(reply.body))))
    data = wire.send(h11.Response(status_code=reply.status, headers=headers))
    if reply.body:
        data += wire.send(h11.Data(data=reply.body))
    if reply.follow is None:
        data += wire.send(h11.EndOfMessage())
    await _take(stream, data)


async def _take(stream: trio.SocketStream, data: bytes) -> None:
    """Have a part of an answer taken, in time."""
    with trio.fail_after(_PATIENCE):
        await stream.send_all(data)


async def _go_on(wire: Any, stream: trio.SocketStream, following: Following) -> None:
    """Send one part after the other until the client goes. Checkpoint."""
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_it_goes, stream, nursery.cancel_scope)
        try:
            while True:
                await _take(stream, wire.send(h11.Data(data=await following.next())))
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as raised:
            error = raised  # in no group
            nursery.cancel_scope.cancel()
    if error is not None:
        raise error


async def _until_it_goes(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Cancel once the client has gone; whatever it still sends is nothing that anybody waits for."""
    try:
        while await stream.receive_some(_AT_ONCE):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()


def _refused(status: int) -> PageReply:
    return PageReply(status, (("Content-Type", "text/plain"),))
