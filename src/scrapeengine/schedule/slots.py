"""How many may hold something at once, and who does.

A `trio.CapacityLimiter` keeps this ledger too, and a line of waiters, which would be empty: who waits stands in the
lines of the scheduler, and slots are taken only when one is free. It costs several times as much, four times a task.
"""

from __future__ import annotations

from collections.abc import Hashable

import attrs

__all__ = ["Slots"]


@attrs.define(eq=False)
class Slots:
    """Slots, each held by one holder; a lowered total is reached as they are given back."""

    total: int
    """How many may be held at once. May be set at any time, to 0 too."""
    _holders: set[Hashable] = attrs.field(factory=set, init=False)

    @property
    def taken(self) -> int:
        """How many are held."""
        return len(self._holders)

    @property
    def free(self) -> bool:
        """Whether one more may be taken."""
        return len(self._holders) < self.total

    def take(self, holder: Hashable) -> None:
        """Take a slot for a holder that has none. Only when one is free."""
        assert holder not in self._holders
        assert len(self._holders) < self.total
        self._holders.add(holder)

    def give(self, holder: Hashable) -> None:
        """Give a holder's slot back.

        Raises:
            KeyError: it has none.
        """
        self._holders.remove(holder)
