"""One thing to scrape, and the host that its URL belongs to."""

from __future__ import annotations

from typing import Any

import attrs

from scrapeengine.model.checks import whole
from scrapeengine.model.described import described
from scrapeengine.model.urls import named, told

__all__ = ["Event"]


@described
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
    """The name that tells this event from all others."""
    url: str | None = attrs.field(hash=False)
    """An absolute URL, or none."""
    platforms: tuple[str, ...] = attrs.field(hash=False)
    """The names of the platforms to scrape it on; none: by the URL's host, or on all."""
    data: Any = attrs.field(hash=False)
    """Data for the scraper; any object."""
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
        # Tuples of types, and no unions: these are made anew at each call, which costs more than all else here.
        if url is not None and not isinstance(url, str):
            raise TypeError(f"Event(url=…) must be a str, got {told(url)}")
        key = id or url if id is None or isinstance(id, str) else id
        if key is not None and (isinstance(key, bool) or not isinstance(key, (str, int))):
            raise TypeError(f"Event(id=…) must be a str or an int, got {told(key)}")
        if key is None or key == "":
            raise ValueError("an Event needs an id or a url: write Event('match-17') or Event(url='https://…')")
        names = _names(platforms) if platforms != () else ()
        if type(priority) is not int or priority:
            whole(priority, "Event(priority=…)", least=-(2**63))
        self.__attrs_init__(str(key), url, names, data, priority)  # pyright: ignore[reportAttributeAccessIssue]

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
    if not isinstance(platforms, (tuple, list)) or not all(isinstance(name, str) for name in platforms):
        raise TypeError(
            f"Event(platforms=…) must be a tuple of names, got {told(platforms)}; write platforms=('bet9ja',)"
        )
    if len(set(platforms)) != len(platforms):
        raise ValueError(f"Event(platforms=…) names a platform twice: {told(platforms)}")
    return tuple(platforms)
