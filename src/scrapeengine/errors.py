"""Every error of the library, under one base.

    ScrapeError
    ├── EngineBusy            the engine is running already
    ├── AgendaFull            `task.follow` met `max_pending`
    ├── ItemsFull             `task.emit` met `Caps.items` or `Caps.items_bytes`
    ├── UnknownPlatform       an event names no platform that the engine has
    ├── TaskTimeout           the task outlived `Timeout.task`
    ├── RetriesExhausted      `task.retry` was called once too often
    ├── ScraperCrashed        the scraper raised what is no `Exception`, which is its `__cause__`
    ├── PoisonousJob          processes died while the scraper ran, so it is not run again
    ├── PlatformClosed        the platform asked for more patience than `Retry.patience`
    ├── StoreError            the store could not do what it was asked for, and has changed nothing
    │   ├── StoreBusy         others keep it locked for too long
    │   ├── StoreClosed       its `async with` has been left
    │   └── StoreFull         it has no room for more jobs
    ├── SinkUnavailable       a sink could not take a batch now; it is tried again
    ├── RecordedError         a failure as a store has kept it, delivered again after a crash
    └── RequestError          one request; says platform, method, URL, attempt, phase and seconds
        ├── InvalidRequest    it could not be sent: a malformed URL, a bad header
        ├── RobotsDisallowed  a rule of robots.txt forbids it; where it leaves the scraper, the task is `Skipped`
        ├── RobotsUnavailable robots.txt could not be had for as long as `Retry.patience`
        ├── AddressBlocked    it would go to a private address (`block_private`)
        ├── CertificateError  the server is not who it should be
        ├── StatusError       the answer was a 4xx or 5xx
        ├── RedirectError     the answer leads to where we do not follow
        │   └── TooManyRedirects
        ├── HeadersTooLarge   the answer's head or trailers exceed 64 KiB or 256 headers
        ├── BodyTooLarge      the answer's body exceeds the platform's `Caps`
        ├── UnsupportedEncoding  the answer's body is in a coding that cannot be read here
        └── TransportError    no whole answer came; what is retried by default
            ├── AttemptTimeout
            ├── ConnectFailed
            ├── ConnectionBroken
            ├── TruncatedBody
            └── ProtocolError

Wrong arguments are plain `TypeError` and `ValueError`, raised where they are made.

All of them can be pickled and copied: class, `args`, attributes and notes are the same after it. Python leaves cause
and traceback behind, as with any exception. Of the request that a `StatusError` holds goes along what tells no secret:
method, URL, and the headers that are named here. What programs send as a credential has no one name.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx import Request, Response

__all__ = [
    "AddressBlocked",
    "AgendaFull",
    "AttemptTimeout",
    "BodyTooLarge",
    "CertificateError",
    "ConnectFailed",
    "ConnectionBroken",
    "EngineBusy",
    "HeadersTooLarge",
    "InvalidRequest",
    "ItemsFull",
    "PlatformClosed",
    "PoisonousJob",
    "ProtocolError",
    "RecordedError",
    "RedirectError",
    "RequestError",
    "RetriesExhausted",
    "RobotsDisallowed",
    "RobotsUnavailable",
    "ScrapeError",
    "ScraperCrashed",
    "SinkUnavailable",
    "StatusError",
    "StoreBusy",
    "StoreClosed",
    "StoreError",
    "StoreFull",
    "TaskTimeout",
    "TooManyRedirects",
    "TransportError",
    "TruncatedBody",
    "UnknownPlatform",
    "UnsupportedEncoding",
]


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_TELL_NO_SECRET = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "if-modified-since",
        "if-none-match",
        "range",
        "user-agent",
    }
)
"""The headers of a request that go along when an error is pickled or copied."""


class ScrapeError(Exception):
    """The base of every error of the library."""

    def __reduce__(self) -> tuple[Callable[..., ScrapeError], tuple[Any, ...], dict[str, Any]]:
        """Say how it is made again: not by its `__init__`, which may want more than `args`."""
        return _made_again, (type(self), *self.args), self._kept()

    def _kept(self) -> dict[str, Any]:
        """Return its attributes and notes, as they are when it is made again."""
        # Notes can be added to a copy without adding them to the original.
        return {name: list(value) if name == "__notes__" else value for name, value in vars(self).items()}


def _made_again(kind: type[ScrapeError], *args: object) -> ScrapeError:
    return kind.__new__(kind, *args)


class EngineBusy(ScrapeError):
    """An engine makes one run at a time, and this one is running."""


class AgendaFull(ScrapeError):
    """`max_pending` events wait already; the event was not taken."""


class ItemsFull(ScrapeError):
    """A task has emitted as many items, or bytes, as its platform's `Caps` lets; the item was not taken."""


class UnknownPlatform(ScrapeError):
    """An event names a platform that the engine does not have, or none at all."""


class TaskTimeout(ScrapeError):
    """A task ran for longer than its platform's `Timeout.task`, parked time not counted."""


class RetriesExhausted(ScrapeError):
    """A scraper called `task.retry` on the last attempt that its platform's `Retry` allows."""


class ScraperCrashed(ScrapeError):
    """A scraper raised what is no `Exception`: the panic of an extension, say, or `asyncio.CancelledError`.

    That is its `__cause__`; in a group of several, the group is.
    """


class PoisonousJob(ScrapeError):
    """Process after process has died while the scraper ran on this event; the last ones had no other suspect.

    The scraper was not run again. `store.retry` has it run once more, as if nothing had happened.

    Attributes:
        deaths: the number of processes.
    """

    def __init__(self, message: str, *, deaths: int) -> None:
        super().__init__(message)
        self.deaths = deaths


class PlatformClosed(ScrapeError):
    """A platform is closed for longer than its `Retry.patience`.

    Attributes:
        seconds: how long it stays closed, from when the error was made.
    """

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class StoreError(ScrapeError):
    """A store could not do what it was asked for, and has changed nothing: its text says what to do instead."""


class StoreBusy(StoreError):
    """Others kept a store locked for longer than we wait. Ask again."""


class StoreClosed(StoreError):
    """The store's `async with` has been left, or is being left."""


class StoreFull(StoreError):
    """A store has no room for more jobs; none of them was taken."""


class SinkUnavailable(ScrapeError):
    """A sink could not take a batch now, which passes by itself: a deadlock, a lost connection.

    A sink that raises it is given the batch again, for as long as its policy has patience, whatever its `on_error`.
    """


class RecordedError(ScrapeError):
    """A failure as a store has kept it: the class of the error and its text.

    Attributes:
        kind: the name of the error's class.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind

    def __repr__(self) -> str:
        """Show what kept error it is."""
        return f"RecordedError({self.kind!r}, {str(self)!r})"


class RequestError(ScrapeError):
    """One request failed. The text holds no credentials and no query values.

    Attributes:
        platform: the platform's name.
        method: the HTTP method.
        url: the URL, without user, password and query values.
        attempt: which attempt of the request this was, from 1.
        phase: what was being done: "build", "connect", "send", "head", "body" or "decode"; "" where it says nothing.
        seconds: how long that attempt took.
        untried: why it was not tried again, where only the budget of a platform's retries was in the way; else "".
    """

    def __init__(
        self,
        message: str,
        *,
        platform: str = "",
        method: str = "",
        url: str = "",
        attempt: int = 1,
        phase: str = "",
        seconds: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.platform = platform
        self.method = method
        self.url = url
        self.attempt = attempt
        self.phase = phase
        self.seconds = seconds
        self.untried = ""

    def __str__(self) -> str:
        """Say what happened, and to which request; and why it was not tried again, if only the budget forbade it."""
        request = " ".join(filter(None, (self.method, self.url, f"on {self.platform!r}" if self.platform else "")))
        parts = (request, f"attempt {self.attempt}", self.phase and f"in {self.phase}", f"{self.seconds:.2f} s")
        text = f"{self.args[0]} ({', '.join(filter(None, parts))})"
        return f"{text}; not tried again: {self.untried}" if self.untried else text


class InvalidRequest(RequestError):
    """The request could not be built or sent: a malformed URL, a bad header."""


class RobotsDisallowed(RequestError):
    """A rule of the site's robots.txt forbids this URL (RFC 9309); only with `Platform(robots=…)`.

    Where it leaves the scraper, the task ends as `Skipped`: the site has said what it does not want. Nothing failed.
    """


class RobotsUnavailable(RequestError):
    """The site's robots.txt could not be had, for as long as `Retry.patience`; only with `Platform(robots=…)`.

    Until it can be had nothing is allowed (RFC 9309, section 2.3.1.4). It is asked for again a minute later.
    """


class AddressBlocked(RequestError):
    """The request would go to an address that is not public; only with `Platform(block_private=True)`."""


class CertificateError(RequestError):
    """The server's certificate does not prove that it is who it should be. Never tried again."""


class StatusError(RequestError):
    """The platform answered with a 4xx or 5xx.

    Attributes:
        response: the answer, its body read.
        status: its status code.
    """

    def __init__(
        self,
        response: Response,
        *,
        platform: str = "",
        method: str = "",
        url: str = "",
        attempt: int = 1,
        phase: str = "",
        seconds: float = 0.0,
    ) -> None:
        # Not the site's own phrase: it may quote the request, and be as long as it likes.
        text = f"{response.status_code} {_PHRASES.get(response.status_code, '')}".rstrip()
        super().__init__(text, platform=platform, method=method, url=url, attempt=attempt, phase=phase, seconds=seconds)
        self.response = response
        self.status: int = response.status_code

    def _kept(self) -> dict[str, Any]:
        """Return what is kept; of the response without what its request may tell."""
        return {**super()._kept(), "response": _without_secrets(self.response)}


def _without_secrets(response: Response) -> Response:
    """Copy a response: all that the site has sent, and of the request what tells no secret; no body, no credentials."""
    kept = copy(response)  # without its stream, as httpx has it
    vars(kept).pop("_cookies", None)  # made of the headers where somebody looks at them; its lock cannot be pickled
    kept.history = [_without_secrets(each) for each in response.history]
    kept.next_request = None
    with suppress(RuntimeError):  # it was made without one
        kept.request = _telling_nothing(response.request)
    return kept


def _telling_nothing(request: Request) -> Request:
    headers = [(name, value) for name, value in request.headers.multi_items() if name.lower() in _TELL_NO_SECRET]
    told = type(request)(request.method, "http://a.test/", headers=headers)
    told.url = request.url.copy_with(userinfo=b"")  # as it is: httpx takes some hosts for none
    return told


class RedirectError(RequestError):
    """A redirect leads to where we do not follow."""


class TooManyRedirects(RedirectError):
    """More redirects than one request may take."""


class HeadersTooLarge(RequestError):
    """The answer's head, or its trailers, are larger than 64 KiB or have more than 256 headers."""


class BodyTooLarge(RequestError):
    """The answer's body is larger than the platform's `Caps` allow, on the wire or decoded."""


class UnsupportedEncoding(RequestError):
    """The answer's body is in a content coding that cannot be read here; the text says what to install, if that helps.

    Not tried again unless `Retry.errors` has it: the site would send the same.
    """


class TransportError(RequestError):
    """No whole answer came."""


class AttemptTimeout(TransportError):
    """One attempt took longer than the platform's `Timeout.attempt`."""


class ConnectFailed(TransportError):
    """No connection could be made: name, route, refusal, or TLS."""


class ConnectionBroken(TransportError):
    """The connection was lost before the whole answer had come."""


class TruncatedBody(TransportError):
    """The body ended before it was whole."""


class ProtocolError(TransportError):
    """The answer is not HTTP."""
