"""TLS over a connected socket."""

from __future__ import annotations

import functools
import socket
import ssl

import httpx
import trio

from scrapeengine.http.transport.addresses import literal
from scrapeengine.http.transport.failures import Untrusted
from scrapeengine.http.transport.words import of_system, of_tls, small

__all__ = ["default_context", "secure"]


@functools.cache
def default_context() -> ssl.SSLContext:
    """Return the context that verifies against certifi's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.

    Making one takes 67 ms, so that there is one for all; do not change it.
    """
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def secure(sock: socket.socket, host: str, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    """Make TLS on a socket; the handshake is done when it returns.

    Args:
        sock: connected and non-blocking; it belongs to the stream from now on.
        host: whom the certificate must name: a name in ASCII, or an address; IPv6 without brackets.
        context: what is trusted.

    Raises:
        Untrusted: the certificate does not prove who the server is; the message says why.
        httpx.ConnectError: there is no TLS with this server.

    Checkpoint. If cancelled, the socket is closed, as it is after an error.
    """
    try:
        stream = _stream(sock, host, context)
        await stream.do_handshake()
    except BaseException as error:
        sock.close()
        if isinstance(error, trio.BrokenResourceError):
            raise _in_words(error.__cause__) from None
        raise
    return stream


def _stream(sock: socket.socket, host: str, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    plain = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    try:
        return trio.SSLStream(plain, context, server_hostname=_named(host), https_compatible=True)
    except (TypeError, ValueError, ssl.SSLError):
        raise httpx.ConnectError(f"TLS failed: no certificate can be for the host {host!r}") from None


def _named(host: str) -> str:
    """Return the host as certificates have it: an address in its usual form, a name without its last dot (RFC 6066)."""
    address = literal(host)
    return host.removesuffix(".") if address is None else address.partition("%")[0]


def _in_words(error: BaseException | None) -> httpx.ConnectError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Untrusted(of_tls(error))
    if isinstance(error, ssl.SSLError):
        said = of_tls(error, handshake=True)
    elif isinstance(error, OSError):
        said = small(of_system(error))
    else:
        said = "the connection broke in the handshake"
    return httpx.ConnectError(f"TLS failed: {said}")
