"""The platforms of a run that are paused, with a lane or without: by a limit of 0, or by the store.

Both are kept apart: who ends the one has not ended the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["Pauses"]


@attrs.define(eq=False)
class Pauses:
    """Which platforms are paused, each with since when. Replaced whole, for other threads may be looking."""

    by_limit: dict[str, float] = attrs.field(factory=dict, init=False)
    """Those whose limit is 0."""
    by_store: dict[str, float] = attrs.field(factory=dict, init=False)
    """Those that are paused in the store, as far as this run has been told: as soon as work waits there."""

    def look_at(self, limits: Mapping[str, int], now: float) -> None:
        """Take down which limits are 0."""
        self.by_limit = {name: self.by_limit.get(name, now) for name, limit in limits.items() if not limit}

    def tell(self, name: str, now: float, *, paused: bool) -> None:
        """Take down what the store says of a platform."""
        others = {other: since for other, since in self.by_store.items() if other != name}
        self.by_store = {**others, name: self.by_store.get(name, now)} if paused else others

    def since(self, name: str, now: float) -> float:
        """Say since when a platform is paused; now, if it is not."""
        return min(self.by_limit.get(name, now), self.by_store.get(name, now))
