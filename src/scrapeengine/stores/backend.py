"""Backends: they keep the tables of a store, run rules on them, and know who waits and what time it is.

This is the inner one of two seams. Rules (`rules`) are synchronous; whoever can run them on tables of its own offers a
`TableBackend`, and `TableStore` makes a store of it. Whoever cannot, a database at the other end of a wire for one,
offers all calls of `Store` itself. Both are checked from outside, by `CheckedStore`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

import attrs
import trio

from scrapeengine.model.store import Starts
from scrapeengine.model.validators import Validator
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules.rows import Marks
from scrapeengine.stores.rules.tables import Tables

__all__ = ["Notifier", "TableBackend", "Times"]

T = TypeVar("T")


@attrs.define(eq=False)
class Notifier:
    """Rings at each change that somebody may wait for, and remembers what nobody has looked at since."""

    fresh: set[str] = attrs.field(factory=set, init=False)
    """The platforms that have got a ready job since their ready jobs were looked at last."""
    version: int | None = attrs.field(default=None, init=False)
    """The number of others' changes when somebody looked at all platforms last."""
    count: int = attrs.field(default=0, init=False)
    """The number of calls so far that have made something ready."""
    alarm: float = attrs.field(default=math.inf, init=False)
    """When, by the store's `awake`, something becomes ready; not later, as far as `asked` says."""
    waiting: dict[object, float] = attrs.field(factory=dict, init=False)
    """When each of those who wait looks again of itself, by the store's `awake`: what is ready later wakes it not."""
    asked: int = attrs.field(default=-1, init=False)
    """What `count` was when somebody asked the tables for `alarm` last: if it is so still, `alarm` is not too late."""
    rung: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Is set at the next change."""

    def take(self, marks: Marks) -> None:
        """Add what a call has changed and seen, and wake those who wait for it."""
        self.fresh |= marks.ready
        if marks.seen is None:
            self.fresh.clear()
        else:
            self.fresh -= marks.seen
        if marks.version is not None:
            self.version = marks.version
        if marks.alarm is not None:
            self.alarm = marks.alarm
        if marks.ready or marks.stirred:
            self.stir()
        elif marks.freed or (self.waiting and marks.soonest < max(self.waiting.values())):
            self.ring()
        self.alarm = min(self.alarm, marks.soonest)
        if marks.alarm is not None:
            self.asked = self.count

    def stir(self) -> None:
        """Wake all who wait: something may be ready."""
        self.count += 1
        self.ring()

    def ring(self) -> None:
        """Wake all who wait, to look whether it concerns them."""
        self.rung.set()
        self.rung = trio.Event()


@attrs.define(eq=False)
class Times:
    """The time of a store that is open, and how it stands to trio's."""

    clock: Clock
    moment: Moment
    """That of the last call: how clocks stood to each other then."""
    _notifier: Notifier

    def adopt(self, moment: Moment) -> None:
        """Make it the moment of the last call, before the notifier is told what the call has changed."""
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
        until = at - self.awake
        # Who sleeps until then must not wake too soon, by a rounding error. There is none while trio's time is the
        # smaller part of the store's (Sterbenz); where a simulated clock has gone beyond that, one step mends it.
        return until if until + self.awake >= at else math.nextafter(until, math.inf)


class TableBackend(Protocol):
    """Tables that are open, and all that the calls of a store need beside them."""

    @property
    def name(self) -> str:
        """The scheme, and where the tables are, as they may be shown."""
        ...

    @property
    def policy(self) -> StorePolicy:
        """The options of the store."""
        ...

    @property
    def times(self) -> Times:
        """The time of the store."""
        ...

    @property
    def notifier(self) -> Notifier:
        """Those who wait."""
        ...

    @property
    def starts(self) -> Starts | None:
        """See `Store`."""
        ...

    @property
    def look_again(self) -> float:
        """Seconds after which to look whether other processes have changed something; infinite if there are none."""
        ...

    @property
    def pending(self) -> int:
        """Count the jobs that were pending when a rule was run last: for a `repr`, without I/O."""
        ...

    async def recall(self, platform: str, url: str) -> Validator | None:
        """Return what is known of a URL, as of the last call that was answered, or of a later one. Checkpoint.

        Each conditional request asks this before it goes out: it should not wait for what others write.

        Raises:
            StoreError: it could not be asked.
        """
        ...

    async def run(self, rule: Callable[[Tables], T], *, reads: bool = False) -> T:
        """Run a rule on the tables, whole or not at all, and tell the times and the notifier. Checkpoint.

        The moment of the call is adopted before the notifier is told, and both before anybody else is answered.

        Args:
            rule: what to do.
            reads: that it changes nothing.

        Raises:
            StoreError: it could not be run, and nothing has happened.
        """
        ...
