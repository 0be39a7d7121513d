"""The end of a run that serves a store until there is nothing to do, or nothing left.

A run looks whether it may end when it has nothing in hand, and the store had nothing for it when it was asked last.
"idle" ends it there: what is delayed, closed, paused or in the hands of others is left aside; what was in hand before
it was known that its platform is closed is given back, where nothing else is in hand. So is, by both, what is parked on
a platform whose limit is 0; else that would be in hand for ever. "empty" waits for all of that, as
far as it is of platforms that the engine has: for delayed jobs until they are due, for closed platforms until they open
again, for others' jobs until they have ended or their leases have, for what comes in meanwhile. What recurs has no end,
and is refused; where all that is left is of paused platforms the run ends with an error, for it may be for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias

import attrs

from scrapeengine.model.job import QueueStatistics
from scrapeengine.model.store import Store
from scrapeengine.model.urls import named, told
from scrapeengine.observe.log import logger

__all__ = ["Until", "WhenEmpty", "WhenIdle", "check_until", "refuse_recurring"]

Until: TypeAlias = Literal["idle", "empty"]

_PENDING = ("ready", "delayed", "leased")
_SHOWN = 3
"""The platforms that a message names at most."""


def check_until(until: object) -> None:
    """Refuse what says no end.

    Raises:
        ValueError: says what there is.
    """
    if until not in (None, "idle", "empty"):  # a tuple, for what cannot be hashed
        raise ValueError(
            f'serve(until=…) must be "idle" (nothing is due), "empty" (nothing is pending) or None (for ever), got '
            f"{told(until)}"
        )


def refuse_recurring(own: Mapping[str, QueueStatistics]) -> None:
    """Refuse to work until a store is empty that never will be.

    Args:
        own: the jobs of the engine's platforms.

    Raises:
        ValueError: something recurs there.
    """
    recurring = {name: each.recurring for name, each in sorted(own.items()) if each.recurring}
    if recurring:
        raise ValueError(
            f'serve(until="empty") would never end: {sum(recurring.values()):,} jobs recur, on {_listed(recurring)}; '
            'write until="idle" to end when nothing is due, or cancel what recurs (store.cancel)'
        )


@attrs.frozen
class WhenIdle:
    """Ends a run that has nothing to do. Implements `served.claims.Finish`."""

    leaves_closed = True

    async def reached(self) -> bool:
        """Say that it may end. No checkpoint."""
        return True


@attrs.define(eq=False)
class WhenEmpty:
    """Ends a run when nothing is pending any more. Implements `served.claims.Finish`."""

    _store: Store
    _serves: Callable[[str], bool]
    """Says whether the engine has a platform."""
    _paused: Callable[[str], bool]
    """Says whether one of its platforms is paused."""
    leaves_closed: bool = attrs.field(default=False, init=False)
    _said: bool = attrs.field(default=False, init=False)

    async def reached(self) -> bool:
        """Say whether nothing is pending on the engine's platforms; log it once if something is. Checkpoint.

        Raises:
            ValueError: something recurs there by now, or all that is left is of platforms that are paused.
            StoreError: the store could not be asked.
        """
        counted = await self._store.stats()
        own = {name: each for name, each in counted.items() if self._serves(name)}
        refuse_recurring(own)
        ready, delayed, leased = (sum(getattr(each, status) for each in own.values()) for status in _PENDING)
        if not (ready or delayed or leased):
            self._say_what_is_left(counted)
            return True
        left = [name for name, each in sorted(own.items()) if each.ready or each.delayed]
        if not leased and all(own[name].paused or self._paused(name) for name in left):
            raise ValueError(
                f'serve(until="empty") would never end: the {ready + delayed:,} jobs that are left are all on '
                f"platforms that are paused, {_listed(left)}; go on with tune(…, limit=…) or store.resume(…), or "
                'write until="idle"'
            )
        if not self._said:
            self._said = True
            logger().info(
                "nothing can run here now; the run waits until the store is empty",
                ready=ready,
                delayed=delayed,
                leased=leased,
            )
        return False

    def _say_what_is_left(self, counted: Mapping[str, QueueStatistics]) -> None:
        """Say which jobs stay pending, since nobody here can do them."""
        others = [
            name
            for name, each in sorted(counted.items())
            if not self._serves(name) and any(getattr(each, status) for status in _PENDING)
        ]
        if others:
            logger().warning("jobs are left on platforms that this engine does not have", platforms=_listed(others))


def _listed(names: Iterable[str]) -> str:
    shown = [repr(named(name)) for name in names]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} others" if len(shown) > _SHOWN else "")
