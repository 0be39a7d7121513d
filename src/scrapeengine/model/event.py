"""One thing to scrape, and the host that its URL belongs to."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import attrs
import idna

from scrapeengine.model.checks import whole

__all__ = ["Event", "host_of", "named", "shown", "told"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URLISH = re.compile(r"//|\\\\|^\s*https?:|[?#][^=]*=|:[^/?#]*@", re.IGNORECASE)
"""What an id has in it that is a URL, or is made of one: it may hold secrets. Better to take too much for one."""

_USER_WITHIN = re.compile(r"//[^/@]+@")
"""User and password of a URL in the path of another one, as proxies and archives have it."""


@attrs.frozen(init=False, repr=False)
class Event:
    """One thing to scrape: a match, a podcast, a feed, an article, a page.

    It runs on the platforms that it names; if it names none, on the platform of its URL's host;
    if it has no URL either, on every platform that the engine was given.

    Args:
        id: what tells this event from all others; an int is taken as its digits. The URL by default.
        url: an absolute `http` or `https` URL.
        platforms: the names of the platforms to scrape it on.
        data: whatever the scraper needs; the engine never looks at it.
        priority: larger starts sooner.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: it has neither an id nor a URL, or names a platform twice.
    """

    id: str
    """What tells this event from all others."""
    url: str | None = attrs.field(hash=False)
    """An absolute URL, or none."""
    platforms: tuple[str, ...] = attrs.field(hash=False)
    """The names of the platforms to scrape it on; none: by the URL's host, or on all."""
    data: Any = attrs.field(hash=False)
    """Whatever the scraper needs."""
    priority: int = attrs.field(hash=False)
    """Larger starts sooner."""

    def __init__(
        self,
        id: str | int | None = None,
        *,
        url: str | None = None,
        platforms: tuple[str, ...] | list[str] = (),
        data: Any = None,
        priority: int = 0,
    ) -> None:
        if url is not None and not isinstance(url, str):
            raise TypeError(f"Event(url=…) must be a str, got {told(url)}")
        key = id or url if isinstance(id, str | None) else id
        if isinstance(key, bool) or not isinstance(key, str | int | None):
            raise TypeError(f"Event(id=…) must be a str or an int, got {told(key)}")
        if key is None or key == "":
            raise ValueError("an Event needs an id or a url: write Event('match-17') or Event(url='https://…')")
        platforms = _names(platforms)
        whole(priority, "Event(priority=…)", least=-(2**63))
        self.__attrs_init__(str(key), url, tuple(platforms), data, priority)  # pyright: ignore[reportAttributeAccessIssue]

    def __repr__(self) -> str:
        """Show what was given, without the secrets that a URL may hold."""
        url = "" if self.url is None else named(self.url)
        parts = [f"url={url!r}" if self.id == self.url else told(self.id)]
        if url and self.id != self.url:
            parts.append(f"url={url!r}")
        if self.platforms:
            parts.append(f"platforms={tuple(map(named, self.platforms))!r}")
        if self.priority:
            parts.append(f"priority={self.priority}")
        return f"Event({', '.join(parts)})"


def _names(platforms: object) -> tuple[str, ...]:
    if not isinstance(platforms, tuple | list) or not all(isinstance(name, str) for name in platforms):
        raise TypeError(
            f"Event(platforms=…) must be a tuple of names, got {told(platforms)}; write platforms=('bet9ja',)"
        )
    if len(set(platforms)) != len(platforms):
        raise ValueError(f"Event(platforms=…) names a platform twice: {told(platforms)}")
    return tuple(platforms)


def host_of(url: str) -> str | None:
    """Name the platform of a URL: its host, with the port where it is not the scheme's own.

    Returns:
        The host in lower case, international names as ASCII, without a final dot; None if the URL is no `http` or
        `https` URL with a valid host.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme not in _DEFAULT_PORTS or not host:
            return None
        if not host.isascii():
            host = idna.encode(host).decode("ascii")
        host = host.rstrip(".")
    except (ValueError, UnicodeError):
        return None
    if not host:
        return None
    if ":" in host:
        host = f"[{host}]"
    return host if port is None or port == _DEFAULT_PORTS[parts.scheme] else f"{host}:{port}"


def shown(url: str) -> str:
    """Return the URL as it may be shown: without user and password, fragment, and the values of its query."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # what is no number there may be a password with a slash in it
    except ValueError:
        return "(malformed URL)"
    host = parts.netloc.rpartition("@")[2]
    scheme, path = parts.scheme, _USER_WITHIN.sub("//", parts.path)
    if not parts.netloc and "@" in path:
        # What stands before it may be meant as user and password, and the user looks like a scheme.
        scheme, path = "", path.rpartition("@")[2]
    pairs = (pair.partition("=") for pair in parts.query.split("&"))
    query = "&".join(f"{key}=…" if equals else "…" for key, equals, _ in pairs) if parts.query else ""
    return urlunsplit((scheme, host, path, query, ""))


def named(id: str) -> str:
    """Return an id as it may be shown: `shown` if it is a URL or made of one, else as it is."""
    return shown(id) if _URLISH.search(id) else id


def told(given: object) -> str:
    """Return what a program has given as an error may quote it: as `repr` does, but without the secrets of a URL."""
    if isinstance(given, str):
        return repr(named(given))
    if isinstance(given, bytes):
        return f"b{named(given.decode('latin-1'))!r}"
    text = repr(given)
    # Where URLs begin and end in there, nobody knows.
    return f"{type(given).__name__}(…)" if _URLISH.search(text) else text
