"""Routes of events: the platforms that each runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from scrapeengine.errors import UnknownPlatform
from scrapeengine.model.event import Event
from scrapeengine.model.platform import Platform
from scrapeengine.model.urls import host_of, named_host, told

__all__ = ["Route", "Routes"]


@attrs.frozen(repr=False)
class Route:
    """The route of an event."""

    known: tuple[str, ...]
    """The platforms that it runs on."""
    unknown: tuple[tuple[str, UnknownPlatform], ...] = ()
    """The names that no platform has, each with the error that says so; the empty name if there is no name."""


class Routes:
    """The platforms of an engine, as events see them."""

    def __init__(self, platforms: Mapping[str, Platform[Any]], *, hosts: bool) -> None:
        """Make the routes.

        Args:
            platforms: the declared platforms by name.
            hosts: whether any host is a platform, by the engine's default.
        """
        self._names = tuple(platforms)
        self._declared = frozenset(platforms)
        self._hosts = hosts
        self._by_host: dict[str, str] = {}
        for name, platform in platforms.items():
            if platform.host is not None:
                self._by_host.setdefault(platform.host, name)
        # A name that is a host serves it, however it is written; one that is written like it comes first.
        self._by_host.update({host: name for name in reversed(self._names) if (host := named_host(name)) is not None})
        self._by_host.update({name: name for name in platforms})
        self._everywhere = Route(self._names)

    def of(self, event: Event) -> Route:
        """Say where an event goes."""
        if event.platforms:
            if self._declared.issuperset(event.platforms):
                return Route(event.platforms)
            found = {name: self.declared(name) for name in event.platforms}
            known = dict.fromkeys(name for name in found.values() if name is not None)
            return Route(tuple(known), tuple((name, self._no_such(name)) for name in found if found[name] is None))
        if event.url is not None:
            return self._by_url(event.url)
        return self._everywhere if self._names else _nowhere("the event names no platform, and the engine has none")

    def declared(self, name: str) -> str | None:
        """Return the declared platform that a name means: the one that has it, or a host that is written otherwise."""
        if name in self._declared:
            return name
        host = named_host(name) if "." in name or ":" in name or name.lower() == "localhost" else None
        found = None if host is None else self._by_host.get(host)
        return found if found is not None and named_host(found) == host else None

    def host(self, host: str) -> str | None:
        """Name the platform that serves a host, as `host_of` names it; None if none does."""
        return self._by_host.get(host, host if self._hosts else None)

    def _by_url(self, url: str) -> Route:
        host = host_of(url)
        if host is None:
            return _nowhere(f"{told(url)} is no http or https URL, so it has no host; name the event's platforms")
        name = self.host(host)
        if name is None:
            hint = "give the engine a default=Platform('*', …) to serve hosts that have no platform of their own"
            return Route((), ((host, UnknownPlatform(f"no platform serves the host {host!r}; {hint}")),))
        return Route((name,))

    def _no_such(self, name: str) -> UnknownPlatform:
        known = ", ".join(map(repr, self._names[:10])) or "none"
        return UnknownPlatform(f"no platform is named {told(name)}; the engine has {known}")


def _nowhere(message: str) -> Route:
    return Route((), (("", UnknownPlatform(message)),))
