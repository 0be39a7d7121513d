"""Events not to be asked for again before their time (`task.skip(…, again_after=…)`), in an engine without a store."""

from __future__ import annotations

from collections import OrderedDict

import attrs

from scrapeengine.schedule.clock import Anchor

__all__ = ["Skips"]

_MOST = 100_000


@attrs.define(eq=False, repr=False)
class Skips:
    """The times until which events need not be asked for, by event and platform. The oldest are forgotten first.

    Times are those of the current run's clock, plus a shift that makes one timeline of all runs.
    """

    known: OrderedDict[tuple[str, str], tuple[float, str]] = attrs.field(factory=OrderedDict, init=False)
    _anchor: Anchor | None = attrs.field(default=None, init=False)
    _shift: float = attrs.field(default=0.0, init=False)

    def __len__(self) -> int:
        """Count what is kept."""
        return len(self.known)

    def attach(self, anchor: Anchor) -> None:
        """Go on with the clock of the run that begins."""
        if self._anchor is not None:
            self._shift -= anchor.shift_from(self._anchor)
        self._anchor = anchor

    def add(self, id: str, platform: str, until: float, reason: str) -> None:
        """Keep in mind that an event need not be asked for on a platform until a time of the run's clock."""
        self.known.pop((id, platform), None)  # so that it goes to the end: the oldest is at the other
        self.known[id, platform] = (until + self._shift, reason)
        if len(self.known) > _MOST:
            self.known.popitem(last=False)

    def left(self, id: str, platform: str, now: float) -> tuple[float, str] | None:
        """Return for how many seconds that holds, and why; None if it does not."""
        known = self.known.get((id, platform))
        if known is None:
            return None
        seconds = known[0] - self._shift - now
        if seconds <= 0:
            del self.known[id, platform]
            return None
        return seconds, known[1]

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Skips {len(self.known)}>"
