"""Who waits for a store, and what wakes them."""

from __future__ import annotations

import math

import attrs
import trio

from scrapeengine.stores.rules.rows import Marks

__all__ = ["Notifier"]


@attrs.define(eq=False)
class Notifier:
    """Rings at each change that somebody may wait for, and remembers what nobody has looked at since."""

    fresh: set[str] = attrs.field(factory=set, init=False)
    """The platforms that have got a ready job since their ready jobs were looked at last."""
    version: int | None = attrs.field(default=None, init=False)
    """What was seen of others' changes when somebody looked at all platforms last."""
    count: int = attrs.field(default=0, init=False)
    """How many calls so far have made something ready."""
    alarm: float = attrs.field(default=math.inf, init=False)
    """When, by the store's `awake`, those who wait look again."""
    rung: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Is set at the next change."""

    def take(self, marks: Marks) -> None:
        """Take note of what a call has changed and seen, and wake those who wait."""
        self.fresh |= marks.ready
        if marks.seen is None:
            self.fresh.clear()
        else:
            self.fresh -= marks.seen
        if marks.version is not None:
            self.version = marks.version
        if marks.alarm is not None:
            self.alarm = marks.alarm
        if marks.ready:
            self.stir()
        elif marks.freed or marks.soonest < self.alarm:
            self.ring()
        self.alarm = min(self.alarm, marks.soonest)

    def stir(self) -> None:
        """Take note that something may be ready."""
        self.count += 1
        self.ring()

    def ring(self) -> None:
        """Wake all who wait."""
        self.rung.set()
        self.rung = trio.Event()
