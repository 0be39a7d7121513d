"""The border: what the wire raises, in our own terms."""

from __future__ import annotations

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
)
from scrapeengine.http import failures

__all__ = ["tells_nothing", "translated"]

_KINDS: tuple[tuple[type[Exception], type[RequestError], str | None], ...] = (
    (failures.Blocked, AddressBlocked, None),
    (failures.Untrusted, CertificateError, None),
    (failures.HeadTooLarge, HeadersTooLarge, None),
    (failures.CutShort, TruncatedBody, None),
    (httpx.ConnectError, ConnectFailed, None),
    (httpx.UnsupportedProtocol, InvalidRequest, "the URL is no http or https URL"),
    (httpx.LocalProtocolError, InvalidRequest, "the request breaks HTTP: a header or the length of its body"),
    (httpx.RemoteProtocolError, ProtocolError, "the answer is no HTTP"),
    (httpx.DecodingError, ProtocolError, "the body cannot be decoded"),
    (httpx.NetworkError, ConnectionBroken, None),
)
"""What they are here, and in which words; None: in their own, which quote nothing that was sent or received."""

_LOST = ("Server disconnected", "peer closed connection")
"""How httpx's `RemoteProtocolError` begins when the connection was lost, and not the protocol broken."""


def tells_nothing(error: Exception) -> bool:
    """Say whether the wire's own words may be seen: they quote neither the request nor the answer."""
    return isinstance(error, httpx.ConnectError | httpx.NetworkError) or _is_lost(error)


def translated(error: Exception, **where: Any) -> RequestError:
    """Return our error for one of the wire's. What is not known is a `TransportError` that names it.

    Args:
        error: what the wire raised.
        **where: what `RequestError` says of the request.
    """
    if _is_lost(error):
        return ConnectionBroken(str(error), **where)
    if isinstance(error, failures.BodyTooLarge):
        return BodyTooLarge(f"{error}; allow more with Caps(…), or with stream(cap=…)", **where)
    for foreign, ours, words in _KINDS:
        if isinstance(error, foreign):
            return ours(words or str(error) or type(error).__name__, **where)
    if type(error).__name__ == "LocalProtocolError":  # h11's own passes through httpx where a body is too short
        return InvalidRequest("the request breaks HTTP: a header or the length of its body", **where)
    return TransportError(f"the wire failed with {type(error).__name__}", **where)


def _is_lost(error: Exception) -> bool:
    return isinstance(error, httpx.RemoteProtocolError) and str(error).startswith(_LOST)
