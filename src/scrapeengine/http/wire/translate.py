"""The border: what the wire raises, in our own terms."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from scrapeengine.errors import (
    AddressBlocked,
    BodyTooLarge,
    CertificateError,
    ConnectFailed,
    ConnectionBroken,
    HeadersTooLarge,
    InvalidRequest,
    ProtocolError,
    RequestError,
    TransportError,
    TruncatedBody,
    UnsupportedEncoding,
)
from scrapeengine.http.transport import failures
from scrapeengine.http.transport.words import of_system, of_tls, small

__all__ = ["tells_nothing", "translated"]

_KINDS: tuple[tuple[type[Exception], type[RequestError], str | None], ...] = (
    (failures.Blocked, AddressBlocked, None),
    (failures.Untrusted, CertificateError, None),
    (failures.HeadTooLarge, HeadersTooLarge, None),
    (failures.NotHttp, ProtocolError, None),
    (failures.CutShort, TruncatedBody, None),
    (failures.Unreadable, UnsupportedEncoding, None),
    (httpx.ConnectError, ConnectFailed, None),
    (httpx.UnsupportedProtocol, InvalidRequest, "the URL is no http or https URL"),
    (httpx.LocalProtocolError, InvalidRequest, "the request breaks HTTP: a header or the length of its body"),
    (httpx.RemoteProtocolError, ProtocolError, "the answer is no HTTP"),
    (httpx.ProtocolError, ProtocolError, "what was sent or received is no HTTP"),
    (httpx.DecodingError, ProtocolError, "the body cannot be decoded"),
    (httpx.NetworkError, ConnectionBroken, None),
    (httpx.ConnectTimeout, TransportError, "the transport's own time to connect has passed"),
    (httpx.WriteTimeout, TransportError, "the transport's own time to send has passed"),
    (httpx.ReadTimeout, TransportError, "the transport's own time to wait for the answer has passed"),
    (httpx.PoolTimeout, TransportError, "the transport had no free connection in its own time"),
    (httpx.TimeoutException, TransportError, "the transport's own time has passed"),
    (failures.NoAnswer, TransportError, None),
    (httpx.ProxyError, TransportError, "the proxy failed, or refused the request"),
)
"""The errors that they are here, and the words; None: their own, which quote nothing that was sent or received."""

_MUTE = (
    (httpx.ConnectError, "no connection could be made"),
    (httpx.WriteError, "the connection broke while the request was sent"),
    (httpx.CloseError, "the connection broke while it was closed"),
    (httpx.NetworkError, "the connection broke"),
    (failures.HeadTooLarge, "the head of the answer is too large"),
    (failures.CutShort, "the body ended before it was whole"),
    (failures.Unreadable, "the body is in a coding that cannot be read here"),
    (failures.Blocked, "the address is not public, and only those may be connected to"),
)
"""Words for those that have none of their own, and no cause that has."""

_MOST_CAUSES = 8
_LOST = ("Server disconnected", "peer closed connection")
"""Beginnings of httpx's `RemoteProtocolError` when the connection was lost, and not the protocol broken."""


def tells_nothing(error: Exception) -> bool:
    """Say whether the connector's own words may be seen: they quote neither the request nor the answer."""
    return isinstance(error, httpx.ConnectError | httpx.NetworkError) or _is_lost(error)


def translated(error: Exception, **where: Any) -> RequestError:
    """Return our error for one of the connector's. What is not known is a `TransportError` that names it.

    Args:
        error: what the wire raised.
        **where: what `RequestError` says of the request.
    """
    kind, words = _named(error)
    return kind(words, **where)


def _named(error: Exception) -> tuple[type[RequestError], str]:
    """Return the class of our error, and its words."""
    cause = _cause(error)
    if _is_lost(error):
        named: tuple[type[RequestError], str] = ConnectionBroken, str(error)
    elif isinstance(error, failures.BodyOverCap):
        named = BodyTooLarge, f"{error}; allow more with Caps(…), or with stream(cap=…)"
    elif isinstance(error, httpx.ConnectError) and isinstance(cause, ssl.SSLCertVerificationError):
        named = CertificateError, of_tls(cause)  # httpx's transport has no class for it
    elif found := next((each for each in _KINDS if isinstance(error, each[0])), None):
        _, ours, words = found
        named = ours, words or str(error) or _why(error, cause)
    elif type(error).__name__ == "LocalProtocolError":  # h11's own passes through httpx where a body is too short
        named = InvalidRequest, "the request breaks HTTP: a header or the length of its body"
    elif isinstance(error, OSError):
        named = TransportError, f"the wire failed: {_of(error)}"
    else:
        named = TransportError, f"the wire failed with {type(error).__name__}"
    return named


def _is_lost(error: Exception) -> bool:
    return isinstance(error, httpx.RemoteProtocolError) and str(error).startswith(_LOST)


def _why(error: Exception, cause: OSError | None) -> str:
    """Say why, of an error without a text: httpx's transport makes such of trio's, which have their cause behind."""
    if cause is not None:
        return _of(cause, handshake=isinstance(error, httpx.ConnectError))
    return next((words for kind, words in _MUTE if isinstance(error, kind)), "the connection broke")


def _cause(error: BaseException) -> OSError | None:
    """Return what the system or TLS has raised behind an error."""
    for _ in range(_MOST_CAUSES):
        # The pool of httpcore raises what it has caught "from None".
        behind = error.__cause__ or error.__context__
        if behind is None or isinstance(behind, OSError):
            return behind
        error = behind
    return None


def _of(error: OSError, *, handshake: bool = False) -> str:
    """Say what the system or TLS says."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {of_tls(error, handshake=handshake)}"
    return small(of_system(error))
