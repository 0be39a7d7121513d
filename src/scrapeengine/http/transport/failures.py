"""Failures that have no exception of httpx's own; each is one of httpx's too.

    httpx.RemoteProtocolError
    ├── NotHttp           a rule of HTTP is broken; the text says which
    ├── HeadTooLarge      head or trailers
    ├── BodyOverCap       on the wire or decoded
    └── CutShort          the body ended before it was whole
    httpx.DecodingError
    └── Unreadable        the body is in a coding that cannot be read here
    httpx.ConnectError
    ├── Blocked           the address is not public
    └── Untrusted         the certificate does not prove who the server is
    httpx.ReadError
    └── Stale             a kept connection was closed before any byte of the answer came
    httpx.ReadTimeout
    └── Expired           the deadline has passed
    httpx.TransportError
    └── NoAnswer          somebody else's transport has returned none

So `Transport` raises in a plain `httpx.AsyncClient` what its users expect, and the client of a task tells them apart.
Their texts quote nothing that was sent or received.
"""

from __future__ import annotations

import httpx

__all__ = [
    "Blocked",
    "BodyOverCap",
    "CutShort",
    "Expired",
    "HeadTooLarge",
    "NoAnswer",
    "NotHttp",
    "Stale",
    "Unreadable",
    "Untrusted",
]


class NotHttp(httpx.RemoteProtocolError):
    """An answer breaks a rule of HTTP, which the text names."""


class HeadTooLarge(httpx.RemoteProtocolError):
    """The head or the trailers of an answer are too large."""


class BodyOverCap(httpx.RemoteProtocolError):
    """The body of an answer is too large."""


class CutShort(httpx.RemoteProtocolError):
    """The body of an answer ended before it was whole."""


class Unreadable(httpx.DecodingError):
    """The body of an answer is in a coding that cannot be read here."""


class Blocked(httpx.ConnectError):
    """The address is not public, and only public ones were allowed."""


class Untrusted(httpx.ConnectError):
    """The certificate does not prove who the server is."""


class Stale(httpx.ReadError):
    """A kept connection was closed before any byte of the answer came: the server may not have seen the request."""


class NoAnswer(httpx.TransportError):
    """A transport that is not ours has returned no answer, and raised nothing."""


class Expired(httpx.ReadTimeout):
    """The deadline of an exchange has passed."""
