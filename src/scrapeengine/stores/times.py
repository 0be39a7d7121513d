"""What a store that is open knows of its time, and how that stands to trio's."""

from __future__ import annotations

import math

import attrs
import trio

from scrapeengine.stores.clock import Clock
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.notifier import Notifier

__all__ = ["Times"]


@attrs.define(eq=False)
class Times:
    """The time of one store."""

    clock: Clock
    moment: Moment
    """That of the last call: how clocks stood to each other then."""
    _notifier: Notifier

    def adopt(self, moment: Moment) -> None:
        """Take note of the moment of a call, before the notifier is told what the call has changed."""
        if moment.offset != self.moment.offset:
            # Another clock has been at work: alarms that were set by this one are worth nothing.
            self._notifier.alarm = math.inf
            self._notifier.stir()
        self.moment = moment

    @property
    def awake(self) -> float:
        """How far `awake` is ahead of trio's clock."""
        return self.ahead(self.moment)

    def ahead(self, moment: Moment) -> float:
        """Return how far the `awake` of a moment is ahead of trio's clock."""
        return moment.offset - self.clock.trio

    @property
    def unix(self) -> float:
        """How far Unix time is ahead of trio's clock, which changes when somebody sets it, or the machine has slept."""
        return self.moment.shown(self.moment.by_now(self.awake))

    def now(self) -> float:
        """Return the Unix time."""
        return trio.current_time() + self.unix

    def deadline(self, at: float) -> float:
        """Return when by trio's clock it is an instant by `awake`."""
        # Exact by a simulated clock, since one is less than twice the other (Sterbenz): who sleeps until then does not
        # wake too soon.
        return at - self.awake
