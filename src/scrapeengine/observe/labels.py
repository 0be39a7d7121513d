"""The names under which platforms are counted: a bounded number of them, however many hosts the default serves."""

from __future__ import annotations

import attrs

from scrapeengine.model.instrument import RunStarted

__all__ = ["Labels"]


@attrs.define(eq=False)
class Labels:
    """The names of one run."""

    hosts: int = 0
    """The hosts that get a name of their own, the first that come; all others are counted under the default's name."""
    default: str = attrs.field(default="", init=False)
    """The name of the platform that serves all other hosts; empty: there is none."""
    _names: set[str] = attrs.field(factory=set, init=False)
    _left: int = attrs.field(default=0, init=False)

    def begin(self, details: RunStarted) -> None:
        """Know the platforms that a run has declared."""
        self.default, self._names, self._left = details.default, set(details.platforms), self.hosts

    def known(self, platform: str) -> str:
        """Return the name under which a platform is counted by now."""
        return platform if platform in self._names else self.default

    def of(self, platform: str) -> str:
        """Return the name under which a platform is counted."""
        if platform in self._names:
            return platform
        if not self._left:
            return self.default
        self._left -= 1
        self._names.add(platform)
        return platform
