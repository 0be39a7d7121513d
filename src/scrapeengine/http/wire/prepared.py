"""Calls that cost little: what all requests of a platform share is put into bytes once.

To build a request and join its URL costs more than to send it. So a plain GET, below a `base_url` or to a plain
absolute URL, is put together from what is prepared; all else is built by `requests`.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from scrapeengine.errors import InvalidRequest
from scrapeengine.http.transport.connection import Origin
from scrapeengine.http.wire import requests
from scrapeengine.http.wire.call import Call, Headers
from scrapeengine.http.wire.connector import Connector, ForeignConnector
from scrapeengine.model.event import Event
from scrapeengine.model.platform import Platform
from scrapeengine.model.urls import parse

__all__ = ["Means", "Prepared"]

_SAFE = r"(?:[A-Za-z0-9\-_~!$&()*+,;=:@/?]|\.(?!/|\.|$|\?))*"
"""Characters of a path and a query that parsing leaves as they are, dot segments excluded."""
_BELOW = re.compile(rf"/(?!/){_SAFE}")
_WHOLE = re.compile(rf"(https?)://([a-z0-9](?:[a-z0-9.\-]{{0,251}}[a-z0-9])?)(?::([1-9][0-9]{{0,4}}))?(/{_SAFE})")
_MOST_HOSTS = 1000
_LONGEST = requests.LONGEST // 2
_MOST_POLICIES = 1000


@attrs.define(eq=False)
class _Kind:
    """The bytes that all plain requests to one origin share."""

    origin: Origin
    host: str
    headers: Headers
    tail: bytes
    """The bytes that follow the target."""
    closes: bool


class Prepared:
    """The parts that all requests of one platform share, for as long as it is not tuned."""

    def __init__(self, platform: Platform[Any]) -> None:
        self.platform = platform
        self._base = platform.base_url
        self._path = ""
        self._home: _Kind | None = None
        self._kinds: dict[str, _Kind] = {}
        if self._base is not None:
            self._path = parse(self._base).target.rstrip("/")
            self._home = self._kind(self._base)

    def __repr__(self) -> str:
        """Count the origins."""
        return f"<Prepared for {len(self._kinds) + (self._home is not None)} origins>"

    def call(self, name: str, event: Event, method: str, url: Any, **given: Any) -> Call:
        """Make the request that a task has asked for, as `requests.build` does."""
        return requests.build(self.platform, event, method, url, name=name, **given)

    def plain(self, event: Event, url: str) -> Call | None:
        """Make a GET request with nothing of its own from what is prepared; None if that is not there.

        So it is where the URL must be looked at closely, or leads to another origin than the event's.
        """
        if len(url) > _LONGEST:
            return None
        home = self._home
        if home is not None and _BELOW.fullmatch(url):
            return _put_together(home, f"{self._path}{url}")
        parts = _WHOLE.fullmatch(url)
        if parts is None:
            return None
        netloc = url[: parts.start(4)]
        # Without a base_url, what a request carries hangs on whether it goes to the origin of its event.
        if self._base is None and not (event.url is None or event.url.startswith(f"{netloc}/")):
            return None
        kind = self._kinds.get(netloc) or self._new_kind(netloc)
        return None if kind is None else _put_together(kind, parts[4])

    def _new_kind(self, netloc: str) -> _Kind | None:
        """Prepare what all requests to one more origin share; None if there are none: who asks for one is told why."""
        if len(self._kinds) >= _MOST_HOSTS:
            self._kinds.clear()
        kind = self._kind(f"{netloc}/")
        if kind is not None:
            self._kinds[netloc] = kind
        return kind

    def _kind(self, url: str) -> _Kind | None:
        """Build one request, and take what all like it share; None if there are none: who asks for one is told why."""
        try:
            call = requests.build(self.platform, Event(url=url), "GET", url, name="")
        except InvalidRequest:
            return None
        tail = call.head[len(b"GET ") + len(call.target) :]
        return _Kind(call.origin, call.host, call.headers, tail, call.closes)


class Means:
    """The makers and carriers of each platform's requests, as it is tuned now."""

    def __init__(self, connector: Connector) -> None:
        """Make it.

        Args:
            connector: what carries the requests of platforms that have no transport of their own.
        """
        self._connector = connector
        self._ready: dict[int, tuple[Prepared, Connector]] = {}
        """By the identity of the platform, which is another object once it was tuned; what is prepared keeps it."""

    def of(self, platform: Platform[Any]) -> tuple[Prepared, Connector]:
        """Return what makes and what carries the requests of a platform; made when it is first asked for."""
        means = self._ready.get(id(platform))
        if means is None:
            if len(self._ready) >= _MOST_POLICIES:
                self._ready.clear()
            connector = self._connector if platform.transport is None else ForeignConnector(platform.transport)
            means = self._ready[id(platform)] = (Prepared(platform), connector)
        return means


def _put_together(kind: _Kind, path: str) -> Call:
    target = path.encode("ascii")
    head = b"GET %b%b" % (target, kind.tail)
    return Call("GET", kind.origin, kind.host, target, kind.headers, b"", head, None, kind.closes)
