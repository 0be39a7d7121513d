"""The border: what the wire raises, in our own terms."""

from __future__ import annotations

from typing import Any

import httpx

from scrapeengine.errors import (
    ConnectFailed,
    ConnectionBroken,
    InvalidRequest,
    ProtocolError,
    RequestError,
    TransportError,
)

__all__ = ["translated"]

_KINDS: tuple[tuple[type[Exception], type[RequestError]], ...] = (
    (httpx.ConnectError, ConnectFailed),
    (httpx.UnsupportedProtocol, InvalidRequest),
    (httpx.LocalProtocolError, InvalidRequest),
    (httpx.RemoteProtocolError, ProtocolError),
    (httpx.DecodingError, ProtocolError),
    (httpx.NetworkError, ConnectionBroken),
)

_LOST = ("disconnected", "peer closed connection")
"""What httpx's `RemoteProtocolError` says when the connection was lost, and not the protocol broken."""


def translated(error: Exception, **where: Any) -> RequestError:
    """Return our error for one of the wire's. What is not known is a `TransportError` that names it.

    Args:
        error: what the wire raised.
        **where: what `RequestError` says of the request.
    """
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.RemoteProtocolError) and any(sign in text for sign in _LOST):
        return ConnectionBroken(text, **where)
    for foreign, ours in _KINDS:
        if isinstance(error, foreign):
            return ours(text, **where)
    return TransportError(f"{type(error).__name__}: {text}", **where)
