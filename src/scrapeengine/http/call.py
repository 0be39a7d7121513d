"""One request as it goes out, and how it comes to be: cheaply where the URL is plain, by httpx where it is not.

To build an `httpx.Request` and join its URL costs more than to send it. So what all requests of a platform share is put
into bytes once (`Prepared`), and the `httpx.Request` of a call is made when someone looks at it.
"""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx

from scrapeengine.errors import InvalidRequest
from scrapeengine.http import requests
from scrapeengine.http.transport.connection import Origin
from scrapeengine.http.transport.sending import head_of
from scrapeengine.model.event import Event, shown
from scrapeengine.model.platform import Platform

__all__ = ["Call", "Prepared"]

_PORTS = {"http": 80, "https": 443}
_SAFE = r"(?:[A-Za-z0-9\-_~!$&'()*+,;=:@/?]|\.(?!/|\.|$|\?))*"
"""What a path and a query may have that httpx leaves as it is, dot segments excluded."""
_BELOW = re.compile(rf"/(?!/){_SAFE}")
_WHOLE = re.compile(rf"(https?)://([a-z0-9](?:[a-z0-9.\-]{{0,251}}[a-z0-9])?)(?::([1-9][0-9]{{0,4}}))?(/{_SAFE})")
_MOST_HOSTS = 1000
_LONGEST = 65_000
"""The characters that a URL may have: httpx takes no more than 65,536."""

Headers = tuple[tuple[bytes, bytes], ...]


@attrs.define(eq=False, repr=False)
class Call:
    """One request."""

    method: str
    origin: Origin
    host: str
    """The host as platforms are named by it: with its port where that is not the scheme's own."""
    target: bytes
    """The path and the query."""
    headers: Headers
    """All that go out, `Host` included."""
    body: bytes
    head: bytes
    """The bytes that go out, the body's included."""

    @property
    def url(self) -> str:
        """The URL, without user, password and fragment."""
        return f"{self.origin.scheme}://{self.host}{self.target.decode('ascii')}"

    @property
    def request(self) -> httpx.Request:
        """The request in httpx's terms."""
        headers = [(name, value) for name, value in self.headers if name != b"content-length"]
        return httpx.Request(self.method, _parsed(self.url), headers=headers, content=self.body or None)

    def also(self, headers: dict[str, str]) -> Call:
        """Return this call with more headers, which replace those of the same name."""
        if not headers:
            return self
        more = {name.lower().encode(): value.encode() for name, value in headers.items()}
        kept = tuple((name, value) for name, value in self.headers if name not in more)
        return _composed(self.method, self.origin, self.host, self.target, (*kept, *more.items()), self.body)

    @classmethod
    def of(cls, request: httpx.Request, *, guarded: bool) -> Call:
        """Take a request of httpx's over.

        Raises:
            httpx.LocalProtocolError: it would break HTTP.
        """
        url = request.url
        host = url.raw_host.decode("ascii").rstrip(".")
        port = _PORTS[url.scheme] if url.port is None else url.port
        named = f"[{host}]" if ":" in host else host
        origin = Origin(url.scheme, host, port, guarded)
        shown_host = named if port == _PORTS[url.scheme] else f"{named}:{port}"
        headers = tuple((name.lower(), value) for name, value in request.headers.raw)
        if _misframed(headers, request.content):
            raise httpx.LocalProtocolError("the Content-Length or Transfer-Encoding of the request is not its body's")
        return _composed(request.method, origin, shown_host, url.raw_path, headers, request.content)


@functools.lru_cache(maxsize=4096)
def _parsed(url: str) -> httpx.URL:
    """Return a URL in httpx's terms; those of feeds come again and again."""
    return httpx.URL(url)


def _composed(method: str, origin: Origin, host: str, target: bytes, headers: Headers, body: bytes) -> Call:
    return Call(method, origin, host, target, headers, body, head_of(method, target, headers) + body)


def _misframed(headers: Headers, body: bytes) -> bool:
    """Say whether headers of the scraper's own would make the server read more or less than the body."""
    lengths = [value for name, value in headers if name == b"content-length"]
    coded = any(name == b"transfer-encoding" for name, _ in headers)
    return coded or (lengths != [b"%d" % len(body)] if lengths or body else False)


@attrs.define(eq=False, repr=False)
class _Kind:
    """What all plain requests to one origin share."""

    origin: Origin
    host: str
    headers: Headers
    tail: bytes
    """What follows the target."""


class Prepared:
    """What all requests of one platform share, for as long as its policy stays."""

    def __init__(self, policy: Platform[Any]) -> None:
        self.policy = policy
        self._base = policy.base_url
        self._path = ""
        self._home: _Kind | None = None
        self._kinds: dict[str, _Kind] = {}
        base = None if self._base is None else _WHOLE.fullmatch(self._base if self._has_path() else f"{self._base}/")
        if base is not None:
            self._path = base[4].rstrip("/")
            self._home = self._kind(self._base or "")

    def call(self, platform: str, event: Event, method: str, url: str, **given: Any) -> Call:
        """Make the request that a task has asked for.

        Args:
            platform: the name of the task's platform.
            event: the task's.
            method: the HTTP method.
            url: absolute, or relative to the platform's `base_url` or the event's URL.
            **given: `params`, `headers`, `content`, `data` and `json`, as `Http.request` takes them.

        Raises:
            InvalidRequest: the URL or a header is malformed, or the URL is relative and there is nothing to join it to.
        """
        request = requests.build(self.policy, event, method, url, platform=platform, **given)
        return self.adopt(platform, request)

    def adopt(self, platform: str, request: httpx.Request) -> Call:
        """Make a call of a request of httpx's.

        Raises:
            InvalidRequest: it would break HTTP.
        """
        where: dict[str, Any] = {"platform": platform, "method": request.method, "phase": "build"}
        if len(str(request.url)) > _LONGEST:
            raise InvalidRequest("the URL is too long", url=f"{shown(str(request.url))[:200]}…", **where)
        try:
            return Call.of(request, guarded=self.policy.block_private)
        except httpx.LocalProtocolError as error:
            raise InvalidRequest(str(error), url=shown(str(request.url)), **where) from None

    def plain(self, event: Event, url: str) -> Call | None:
        """Make a GET request with nothing of its own from what is prepared; None if that is not there.

        So it is where the URL needs httpx's eye, or leads to another origin than the event's.
        """
        if len(url) > _LONGEST // 2:
            return None
        home = self._home
        if home is not None and _BELOW.fullmatch(url):
            return _joined(home, f"{self._path}{url}")
        parts = _WHOLE.fullmatch(url)
        if parts is None:
            return None
        netloc = url[: parts.start(4)]
        # Without a base_url, what a request carries hangs on whether it goes to the origin of its event.
        if self._base is None and not (event.url is None or event.url.startswith(f"{netloc}/")):
            return None
        kind = self._kinds.get(netloc) or self._new_kind(netloc)
        return None if kind is None else _joined(kind, parts[4])

    def _new_kind(self, netloc: str) -> _Kind | None:
        """Prepare what all requests to one more origin share; None if httpx cannot: who asks it is told why."""
        if len(self._kinds) >= _MOST_HOSTS:
            self._kinds.clear()
        kind = self._kind(f"{netloc}/")
        if kind is not None:
            self._kinds[netloc] = kind
        return kind

    def _has_path(self) -> bool:
        return bool(urlsplit(self._base or "").path)

    def _kind(self, url: str) -> _Kind | None:
        """Have httpx build one request, and take what all like it share; None if it cannot: who asks is told so."""
        try:
            call = self.adopt("", requests.build(self.policy, Event(url=url), "GET", url, platform=""))
        except InvalidRequest:
            return None
        tail = call.head[len(b"GET ") + len(call.target) :]
        return _Kind(call.origin, call.host, call.headers, tail)


def _joined(kind: _Kind, path: str) -> Call:
    target = path.encode("ascii")
    return Call("GET", kind.origin, kind.host, target, kind.headers, b"", b"GET %b%b" % (target, kind.tail))
