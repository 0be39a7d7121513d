"""A server of raw bytes on loopback: a function of the test talks on each connection, and what came is kept.

    async def serve(talk):
        while await talk.request():
            await talk.send(OK)

    async with serving(serve) as server:
        ...  # ask server.url; then look at server.requests, server.connections

The sockets are real, and so must be the time.
"""

from __future__ import annotations

import re
import socket
from contextlib import asynccontextmanager, suppress

import attrs
import trio

__all__ = ["OK", "Server", "Talk", "answering", "flooding", "serving"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_PIECE = 64 * 1024


@attrs.define(eq=False)
class Talk:
    """One connection, as the server sees it."""

    stream: trio.abc.Stream
    """Through TLS, where the server has a context for it."""
    socket: trio.socket.SocketType
    """What is below TLS."""
    number: int
    """The server's connections are counted from 0."""
    server: Server
    ahead: bytes = b""
    """What has come and was not asked for yet."""

    @property
    def came(self):
        """All that has come on this connection."""
        return bytes(self.server.came[self.number])

    async def receive(self):
        """Take what has come ahead, or wait for more; nothing if the client has hung up."""
        data, self.ahead = self.ahead, b""
        return data or await self._more()

    async def until(self, mark):
        """Read up to and with a mark; what has come before it if the client hangs up."""
        while mark not in self.ahead:
            data = await self._more()
            if not data:
                found, self.ahead = self.ahead, b""
                return found
            self.ahead += data
        found, _, self.ahead = self.ahead.partition(mark)
        return found + mark

    async def head(self):
        """Read the head of a request; what has come of it if the client hangs up."""
        return await self.until(b"\r\n\r\n")

    async def request(self):
        """Read a whole request, whose body has a length if it has one; nothing if the client hangs up."""
        while True:
            head, end, rest = self.ahead.partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if end and len(rest) >= length:
                self.ahead = rest[length:]
                self.server.requests.append(head + end + rest[:length])
                return self.server.requests[-1]
            data = await self._more()
            if not data:
                return b""
            self.ahead += data

    async def send(self, *parts):
        """Send each part by itself."""
        for part in parts:
            await self.stream.send_all(part)
            self.server.sent += len(part)

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
        """Wait until the client hangs up, in whichever way."""
        with suppress(trio.BrokenResourceError):
            while await self.stream.receive_some(_PIECE):
                pass

    def close(self):
        """End the connection; by a reset, if the client has sent what was not read."""
        self.socket.close()

    def reset(self):
        """End the connection by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    async def _more(self):
        data = await self.stream.receive_some(_PIECE)
        self.server.came[self.number] += data
        return bytes(data)


@attrs.define(eq=False)
class Server:
    """A server, and what it has seen."""

    serve: object
    tls: object
    url: str
    port: int
    requests: list = attrs.field(factory=list)
    """Those that were read whole, by `Talk.request`."""
    came: list = attrs.field(factory=list)
    """What has come on each connection, as far as it was read by the methods of `Talk`."""
    names: list = attrs.field(factory=list)
    """The names that TLS was asked for."""
    open: int = 0
    """The connections that are being served."""
    sent: int = 0
    """The bytes of which the kernel has taken charge."""

    @property
    def connections(self):
        """Count the connections that have been made."""
        return len(self.came)

    @property
    def targets(self):
        """List what the requests have asked for."""
        return [request.split(b" ", 2)[1].decode() for request in self.requests]

    async def handle(self, stream):
        """Serve one connection, and close it, whatever happens."""
        below, number = stream.socket, len(self.came)
        self.came.append(bytearray())
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
async def serving(serve, *, tls=None, host="127.0.0.1"):
    """Open a server; when the block is left, all is closed. What the block raises leaves as it is, in no group.

    Args:
        serve: an async function of a `Talk`, called for each connection, which ends with it.
        tls: the context of the server, for https.
        host: how its URL names the address that it listens on, 127.0.0.1.
    """
    [listener] = listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    server = Server(serve, tls, f"http{'s' if tls else ''}://{host}:{port}", port)
    if tls is not None:
        tls.sni_callback = lambda _, name, __: server.names.append(name)
    failed = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, server.handle, listeners)
            try:
                yield server
            except BaseException as error:
                failed = error
                raise
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if group.exceptions != (failed,):
            raise
    if failed is not None:
        raise failed


def answering(*parts, then="close"):
    """Make a function that answers each request with the same: then it closes, or waits, or goes on ("keep")."""

    async def serve(talk):
        while await talk.request():
            await talk.send(*parts)
            if then == "close":
                return
            if then == "wait":
                await talk.client_gone()

    return serve


def flooding(head, piece):
    """Make a function that answers with a head, and then with the same without end."""

    async def serve(talk):
        await talk.request()
        await talk.send(head)
        await talk.flood(piece)

    return serve
