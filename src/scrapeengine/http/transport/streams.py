"""Bytes to and from one server: over a plain socket, or through TLS.

The plain one goes to the socket itself: trio's `SocketStream` costs twice as much a call. Both close at once and
without a checkpoint, so that `finally` can do it whatever is being cancelled.
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

__all__ = ["ByteStream", "PlainStream", "TlsStream", "within"]

_MOST = 64 * 1024
"""The bytes that are read at once, at most."""


class ByteStream(Protocol):
    """A connection, as bytes."""

    def write_now(self, data: bytes) -> int:
        """Send what can be sent without waiting; return how many bytes that was."""
        ...

    async def write(self, data: bytes | memoryview) -> None:
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

    def write_now(self, data: bytes) -> int:
        """Send what the kernel takes."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise httpx.WriteError(_words(error)) from None

    async def write(self, data: bytes | memoryview) -> None:
        """Send all, as the kernel takes it."""
        left = memoryview(data)
        try:
            while left:
                self._check()
                await trio.lowlevel.wait_writable(self._socket)
                left = left[self._socket.send(left) :]
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.WriteError(_words(error)) from None

    async def read(self) -> bytes:
        """Read what has come. It always waits first, so that a server that sends fast does not hold up the loop."""
        sock = self._socket
        while True:
            try:
                self._check()
                await trio.lowlevel.wait_readable(sock)
                return sock.recv(_MOST)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError) as error:
                raise httpx.ReadError(_words(error)) from None

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


class TlsStream:
    """A TLS connection, by trio's `SSLStream`.

    It is the one door to a private part of that, `_incoming`; a test says when it has changed.
    """

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self._socket = stream.transport_stream.socket

    def write_now(self, data: bytes) -> int:
        """Send nothing: TLS may have to wait."""
        del data
        return 0

    async def write(self, data: bytes | memoryview) -> None:
        """Encrypt and send."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.WriteError(_words(error)) from None

    async def read(self) -> bytes:
        """Read and decrypt."""
        try:
            return bytes(await self._stream.receive_some(_MOST))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(_words(error)) from None

    def quiet(self) -> bool:
        """Look at the socket below, and at what was read from it already and waits to be decrypted."""
        return not (self._stream._incoming.pending or self._socket.is_readable())  # noqa: SLF001 - trio has no other way

    def close(self) -> None:
        """Close the socket below, with no farewell."""
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


def _words(error: BaseException) -> str:
    """Say what the system said, which quotes nothing that was sent or received."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {of_tls(error)}"
    if isinstance(error, OSError):
        return of_system(error)
    if isinstance(error, trio.ClosedResourceError):
        return "the connection was closed"
    return "the connection broke"
