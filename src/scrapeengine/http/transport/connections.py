"""All connections of one owner: those that rest, those that are in use, and how new ones are made."""

from __future__ import annotations

import socket
import ssl

import httpx
import trio

from scrapeengine.http.transport.connection import Connection, Origin
from scrapeengine.http.transport.dial import Dialer
from scrapeengine.http.transport.names import Names
from scrapeengine.http.transport.pool import Peak, Pool
from scrapeengine.http.transport.sessions import Sessions
from scrapeengine.http.transport.streams import ByteStream, PlainStream
from scrapeengine.http.transport.tls import default_context, secure
from scrapeengine.http.transport.tracing import Tracing

__all__ = ["Connections"]

_MOST = 256
_IDLE = 30.0
_LIFETIME = 600.0


class Connections:
    """Makes connections, and keeps them for the next request to the same origin.

    It has no bound on how many are in use: the limits of the platforms stand before it, and who waited here could be
    cancelled here. Each connection is in use, at rest, or closed; only `leave` and `close` take one out of use.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        most: int | None = None,
        idle: float = _IDLE,
        lifetime: float = _LIFETIME,
    ) -> None:
        """Make it; nothing is opened.

        Args:
            context: for TLS; None: certificates are verified against certifi's authorities.
            most: how many connections rest at once; None: 256, or as many as make up, with those that are in use, what
                was in use at once in the last `idle` seconds: the limits of the platforms say how many that is.
            idle: the seconds for which one rests before it is closed.
            lifetime: the seconds after which a connection is used no more, so that a moved name is looked up again.
        """
        self._context = context
        self._sessions = Sessions()
        self._dialer = Dialer(Names())
        self._pool: Pool[Origin, Connection] = Pool(most=_MOST if most is None else most, idle=idle, lifetime=lifetime)
        self._peak = Peak(idle) if most is None else None
        self._in_use: set[Connection] = set()
        """Known here only to be closed with all others; each belongs to its request."""
        self._closed = False

    def at_hand(self, origin: Origin) -> Connection | None:
        """Take a connection that rests; None if there is none."""
        connection = self._pool.take(origin, trio.current_time())
        if connection is not None:
            self._in_use.add(connection)
        return connection

    async def connect(self, origin: Origin, tracing: Tracing | None = None) -> Connection:
        """Make a connection.

        Args:
            origin: where to.
            tracing: whom to tell of it.

        Raises:
            Blocked: the origin is guarded, and its address is not public.
            Untrusted: the certificate does not prove who the server is.
            httpx.ConnectError: there is no such name, no route, no answer, no TLS.

        Checkpoint. If cancelled, nothing is left open.
        """
        self._check()
        sock = await (self._dial(origin) if tracing is None else tracing.dial(origin, self._dial))
        stream: ByteStream
        if origin.scheme == "https":
            if self._context is None:
                self._context = default_context()  # not before it is needed: to make one takes 67 ms
            make = secure if tracing is None else tracing.secure
            stream = await make(sock, origin.name or origin.host, self._context, self._sessions.of(origin))
        else:
            stream = PlainStream(sock)
        connection = Connection(origin, stream, trio.current_time())
        self._in_use.add(connection)
        try:
            # Once more: all may have been closed while this one was made, and nobody would close it any more.
            self._check()
        except httpx.ConnectError:
            self.leave(connection)
            raise
        return connection

    def leave(self, connection: Connection) -> None:
        """Keep a connection if it can carry another request, else close it. Again: nothing happens. No checkpoint."""
        if connection not in self._in_use:  # it may be at rest, or another request's by now
            return
        in_use = len(self._in_use)
        self._in_use.discard(connection)
        if self._closed or not connection.reusable:
            connection.close()
        else:
            connection.phase = "idle"
            now = trio.current_time()
            peak = self._peak
            if peak is not None and (in_use > _MOST or peak.most > _MOST):
                self._pool.most = max(_MOST, peak.seen(in_use, now) - in_use + 1)
            self._pool.put(connection.origin, connection, now)

    def close(self) -> None:
        """Close everything. Who waits on a connection gets an error. No checkpoint."""
        self._closed = True  # from here on nothing comes to rest any more
        self._pool.close()
        while self._in_use:
            self._in_use.pop().close()

    async def _dial(self, origin: Origin) -> socket.socket:
        return await self._dialer.dial(origin.host, origin.port, block_private=origin.guarded)

    def _check(self) -> None:
        if self._closed:
            raise httpx.ConnectError("the connections were closed")

    def __repr__(self) -> str:
        """Count the connections."""
        return f"<Connections {len(self._in_use)} in use, {len(self._pool)} at rest>"
