"""Bytes to and from one server, over a plain socket; `tls` has the same through TLS.

They go to the socket itself: trio's `SocketStream` costs twice as much a call. All close at once and without a
checkpoint, so that `finally` can do it whatever is being cancelled.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import httpx
import trio

from scrapeengine.http.transport.words import of_system, of_tls

__all__ = ["MOST", "ByteStream", "PlainStream", "said", "within"]

MOST = 64 * 1024
"""The bytes that are read at once, at most."""


class ByteStream(Protocol):
    """A connection, as bytes."""

    def write_now(self, data: bytes) -> bool:
        """Send what can be sent without waiting, and say whether that was all; `flush` sends what is left."""
        ...

    async def flush(self) -> None:
        """Send what is left. Checkpoint if something is. If cancelled, some of it may have been sent."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of it. Checkpoint. If cancelled, some of it may have been sent."""
        ...

    async def read(self) -> bytes:
        """Wait for bytes, at most 64 KiB; none: the server sends no more. Checkpoint. If cancelled, none is lost."""
        ...

    def quiet(self) -> bool:
        """Say whether the server has sent nothing, and has not closed. What rests in a pool should be quiet."""
        ...

    def close(self) -> None:
        """Close it at once. Who waits for it gets an error. Again: nothing happens."""
        ...


class PlainStream:
    """A connected, non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._left: bytes | memoryview = b""
        """What is to be sent, and was not yet."""

    def write_now(self, data: bytes) -> bool:
        """Send what the kernel takes."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise httpx.WriteError(said(error)) from None
        if sent == len(data):
            return True
        self._left = memoryview(data)[sent:]
        return False

    async def flush(self) -> None:
        """Send what is left, as the kernel takes it."""
        try:
            while self._left:
                self._check()
                await trio.lowlevel.wait_writable(self._socket)
                self._left = self._left[self._socket.send(self._left) :]
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.WriteError(said(error)) from None

    async def write(self, data: bytes) -> None:
        """Send all, as the kernel takes it."""
        self._left = memoryview(data)
        await self.flush()

    async def read(self) -> bytes:
        """Read what has come. It always waits first, so that a server that sends fast does not hold up the loop."""
        sock = self._socket
        while True:
            try:
                self._check()
                await trio.lowlevel.wait_readable(sock)
                return sock.recv(MOST)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError) as error:
                raise httpx.ReadError(said(error)) from None

    def quiet(self) -> bool:
        """Look at the socket."""
        return not self._poll.poll(0)

    def _check(self) -> None:
        """Refuse a closed socket: trio, asked to wait for one, thinks from then on that somebody does."""
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError

    def close(self) -> None:
        """Close the socket."""
        if self._socket.fileno() >= 0:
            # First: who waits for a socket that is closed already would wait for ever.
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


@contextmanager
def within(seconds: float | None, error: type[httpx.TimeoutException]) -> Iterator[None]:
    """Limit what is done inside; None: no limit.

    Raises:
        httpx.TimeoutException: of the type that was given; it has taken too long.
    """
    if seconds is None:
        yield
        return
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error(f"nothing came or went for {seconds:g} s")


def said(error: OSError | trio.ClosedResourceError) -> str:
    """Return what the system or TLS said of a failure, which quotes nothing that was sent or received."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {of_tls(error)}"
    return of_system(error) if isinstance(error, OSError) else "the connection was closed"
