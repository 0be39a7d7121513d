"""TLS over a connected socket. Trio's `SSLStream` does it for any stream, which takes half as many instructions more.

Invariants:

- What is encrypted goes out in its order, `_going` before all that is newer, whoever sends it: who writes, or who reads
  and has to answer, to new keys or a new handshake. The latter never waits for that: a server which has answered need
  not read on.
- One task at a time waits until something comes. Who writes may need that too, and waits for what the reader gets.
"""

from __future__ import annotations

import functools
import select
import socket
import ssl

import httpx
import trio

from scrapeengine.http.transport.addresses import literal
from scrapeengine.http.transport.failures import Untrusted
from scrapeengine.http.transport.records import Records
from scrapeengine.http.transport.sessions import LastSession
from scrapeengine.http.transport.streams import MOST, said
from scrapeengine.http.transport.words import of_system, of_tls, small

__all__ = ["TlsStream", "default_context", "secure"]


@functools.cache
def default_context() -> ssl.SSLContext:
    """Return the context that verifies against certifi's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.

    Making one takes 67 ms, so that there is one for all; do not change it.
    """
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def secure(sock: socket.socket, host: str, context: ssl.SSLContext, last: LastSession | None = None) -> TlsStream:
    """Make TLS on a socket; the handshake is done when it returns.

    Args:
        sock: connected and non-blocking; it belongs to the stream from now on.
        host: whom the certificate must name: a name in ASCII, or an address; IPv6 without brackets.
        context: what is trusted.
        last: the last session with this host by this context, to go on from and to be kept up to date.

    Raises:
        Untrusted: the certificate does not prove who the server is; the message says why.
        httpx.ConnectError: there is no TLS with this server.

    Checkpoint. If cancelled, the socket is closed, as it is after an error.
    """
    try:
        stream = TlsStream(sock, _records(host, context, last), last)
        await stream.handshake()
    except BaseException as error:
        sock.close()
        if last is not None:
            last.forget()  # a server that cannot go on from it is asked without it next time
        if isinstance(error, OSError):
            raise _in_words(error) from None
        raise
    return stream


class TlsStream:
    """TLS over a connected, non-blocking socket."""

    def __init__(self, sock: socket.socket, records: Records, last: LastSession | None = None) -> None:
        self._socket = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._records = records
        self._last = last
        """Where the session is kept; None once it is."""
        self._going: bytes | memoryview = b""
        """What is encrypted, and was not sent yet."""
        self._filling = False
        """Whether a task waits until something comes."""
        self._filled: trio.Event | None = None
        """What another one waits for then."""

    @property
    def tls(self) -> ssl.SSLObject:
        """OpenSSL's part of it."""
        return self._records.tls

    async def handshake(self) -> None:
        """Agree on keys, and have the server prove who it is.

        Raises:
            OSError: it could not be done; `ssl.SSLError` is one of these.

        Checkpoint. If cancelled, the connection is of no use.
        """
        while not self._records.shaken():
            await self._send()
            await self._fill()
        await self._send()

    def write_now(self, data: bytes) -> bool:
        """Encrypt it, and send what the kernel takes."""
        self._records.give(data)
        try:
            self._step()
        except ssl.SSLWantReadError:
            return False
        except OSError as error:
            raise httpx.WriteError(said(error)) from None
        return not (self._going or self._records.outgoing)

    async def flush(self) -> None:
        """Send what is left, as the kernel takes it."""
        try:
            await self._send()
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.WriteError(said(error)) from None

    async def write(self, data: bytes) -> None:
        """Encrypt and send all, as the kernel takes it."""
        self._records.give(data)
        await self.flush()

    async def read(self) -> bytes:
        """Read and decrypt what has come. It waits first, as it does without TLS."""
        records = self._records
        try:
            if records.incoming:
                await trio.lowlevel.checkpoint()
            else:
                await self._fill()
            while True:
                data = records.decrypted()
                if records.answers:
                    self._step()
                if data is not None:
                    break
                await self._fill()
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(said(error)) from None
        if self._last is not None:
            self._last.keep(self.tls)
            self._last = None
        return data

    def quiet(self) -> bool:
        """Look at the socket. What has come may be for TLS alone: a ticket for the next session."""
        records = self._records
        if self._poll.poll(0):
            try:
                self._take()
                if records.decrypted() is not None:
                    return False
            except OSError:
                return False
        return not (records.incoming or records.outgoing)

    def close(self) -> None:
        """Close the socket, with no farewell."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)  # first, as without TLS
            self._socket.close()

    async def _send(self) -> None:
        """Send all that is to go out. Checkpoint if there is something. If cancelled, what is left is sent next."""
        while self._going or self._records.outgoing:
            self._check()
            await trio.lowlevel.wait_writable(self._socket)
            try:
                self._step()
            except ssl.SSLWantReadError:
                await self._fill()

    def _step(self) -> None:
        """Send once, and of what was given what comes next, if nothing older waits."""
        going = self._going or self._records.take()
        try:
            sent = self._socket.send(going)
        except BlockingIOError:
            sent = 0
        self._going = b"" if sent == len(going) else memoryview(going)[sent:]

    async def _fill(self) -> None:
        """Wait until something comes, and take it. Checkpoint. If cancelled, nothing is taken."""
        if self._filling:
            if self._filled is None:
                self._filled = trio.Event()
            await self._filled.wait()
            return
        self._filling = True
        try:
            self._check()
            await trio.lowlevel.wait_readable(self._socket)
            self._take()
        finally:
            self._filling = False
            if self._filled is not None:
                self._filled.set()
                self._filled = None

    def _take(self) -> None:
        try:
            self._records.came(self._socket.recv(MOST))
        except BlockingIOError:
            return

    def _check(self) -> None:
        """Refuse a closed socket, as without TLS."""
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError


def _records(host: str, context: ssl.SSLContext, last: LastSession | None) -> Records:
    try:
        return Records(context, _named(host), None if last is None else last.get(context))
    except (TypeError, ValueError, ssl.SSLError):
        raise httpx.ConnectError(f"TLS failed: no certificate can be for the host {host!r}") from None


def _named(host: str) -> str:
    """Return the host as certificates have it: an address in its usual form, a name without its last dot (RFC 6066)."""
    address = literal(host)
    return host.removesuffix(".") if address is None else address.partition("%")[0]


def _in_words(error: OSError) -> httpx.ConnectError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Untrusted(of_tls(error))
    text = of_tls(error, handshake=True) if isinstance(error, ssl.SSLError) else small(of_system(error))
    return httpx.ConnectError(f"TLS failed: {text}")
